//! The head of a request, seen without the types of a framework.

/// The method, target and headers of a request. An adapter implements it for the types of its framework; everything in
/// [`adapter`](crate::adapter) that reads a request reads it through this.
pub trait RequestHead {
    /// The method as it was sent: `GET`, not `get`.
    fn method(&self) -> &str;

    /// Host and port of the request target, where it has them: over HTTP/2 and in requests to a proxy.
    fn authority(&self) -> Option<&[u8]>;

    /// All values of a header in the order they were sent. `name` is in lower case.
    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]>;
}

/// A header that may occur once at most.
#[derive(Clone, Copy)]
pub(super) enum Field<'h> {
    Absent,
    One(&'h [u8]),
    Repeated,
}

impl<'h> Field<'h> {
    pub(super) fn of(request: &'h impl RequestHead, name: &'static str) -> Self {
        let mut values = request.values(name);
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

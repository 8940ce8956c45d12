//! What responses say about what browsers and caches keep.

/// `Cache-Control` of a response that must be kept nowhere. `private` for caches that do not know `no-store`.
pub(crate) const NO_STORE: &str = "private, no-store";

/// What `Cache-Control` says in a response to a logged-in user, where the application says nothing itself.
///
/// Such a response is one to a request that asked for its session, if a user was logged in when the session was loaded or
/// after a commit. Beside a session cookie, and in the response to a logout, it is `private, no-store` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthenticatedCaching {
    /// `private, no-store`: no cache keeps it. After a logout, the button "Back" shows nothing of it.
    #[default]
    NoStore,
    /// `private, no-cache`: the user's own browser may keep it, and asks before it uses it again, but perhaps not for the
    /// button "Back". Shared caches may not.
    Revalidate,
}

impl AuthenticatedCaching {
    /// The value of `Cache-Control`.
    #[must_use]
    pub const fn cache_control(self) -> &'static str {
        match self {
            Self::NoStore => NO_STORE,
            Self::Revalidate => "private, no-cache",
        }
    }
}

/// When a response asks the browser to forget what it keeps of the site: `Clear-Site-Data: "cache", "storage"`.
///
/// Never `"cookies"`, which would remove those of all subdomains of the registrable domain. Browsers obey over https only,
/// and may take seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClearSiteData {
    /// Never.
    #[default]
    Never,
    /// When a request has logged out, whether or not its session still existed. Caches of the origin, its local and indexed
    /// storage and its service workers go, also what other users of the same browser left there.
    AtLogout,
}

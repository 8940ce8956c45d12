//! Session data: typed keys, values decoded one at a time.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The name and the type of one value in a session.
///
/// ```
/// use session_core::Key;
///
/// const CART: Key<Vec<u32>> = Key::new("cart");
/// assert_eq!(CART.name(), "cart");
/// ```
pub struct Key<T> {
    name: Cow<'static, str>,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// A key known at compile time.
    ///
    /// # Panics
    /// If `name` is empty or longer than [`Self::MAX_LEN`]; in a `const`, that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= Self::MAX_LEN, "a key must have between 1 and 128 bytes");
        Self { name: Cow::Borrowed(name), value: PhantomData }
    }

    /// A key known at run time only, for example from a URL.
    ///
    /// # Errors
    /// [`KeyError`] if `name` is empty or longer than [`Self::MAX_LEN`].
    pub fn dynamic(name: impl Into<String>) -> Result<Self, KeyError> {
        let name = name.into();
        if name.is_empty() || name.len() > Self::MAX_LEN {
            return Err(KeyError);
        }
        Ok(Self { name: Cow::Owned(name), value: PhantomData })
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_name(self) -> Bytes {
        match self.name {
            Cow::Borrowed(name) => Bytes::from_static(name.as_bytes()),
            Cow::Owned(name) => Bytes::from(name),
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// The text cannot name a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key must have between 1 and 128 bytes")]
pub struct KeyError;

/// The values of one session, each still encoded. Opaque to stores; cheap to clone.
///
/// Beside the application's values there may be some of the library itself. Their names are no text, as those of all keys are:
/// one byte, 128 or above.
///
/// `Debug` shows how many values there are and how large they are, never what they are called or contain.
#[derive(Clone, Default)]
pub struct Data {
    // A handful of values: a sorted slice beats a map in size and speed.
    entries: Arc<[(Bytes, Bytes)]>,
}

impl Data {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Size of all names and encoded values, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.entries.iter().map(size).sum()
    }

    /// What payload caps count: the size of the application's values, as [`size`](Self::size) has it, and their number.
    pub(crate) fn payload(&self) -> (usize, usize) {
        self.of_application().fold((0, 0), |(bytes, values), entry| (bytes + size(entry), values + 1))
    }

    /// The names of the application's values, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.of_application().filter_map(|(name, _)| std::str::from_utf8(name).ok())
    }

    /// The encoded value called `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Bytes> {
        self.position(name).ok().map(|at| &self.entries[at].1)
    }

    /// Sets an encoded value. Nothing is copied if the same bytes are there already.
    pub fn insert(&mut self, name: Bytes, value: Bytes) {
        let (at, after) = match self.position(&name) {
            Ok(at) if self.entries[at].1 == value => return,
            Ok(at) => (at, at + 1),
            Err(at) => (at, at),
        };
        let (before, after) = (&self.entries[..at], &self.entries[after..]);
        self.entries = before.iter().cloned().chain([(name, value)]).chain(after.iter().cloned()).collect();
    }

    /// Removes a value.
    pub fn remove(&mut self, name: &[u8]) {
        if let Ok(at) = self.position(name) {
            let (before, after) = (&self.entries[..at], &self.entries[at + 1..]);
            self.entries = before.iter().chain(after).cloned().collect();
        }
    }

    /// Removes the application's values.
    pub(crate) fn clear(&mut self) {
        if self.of_application().next().is_some() {
            self.entries = self.entries.iter().filter(|(name, _)| Self::is_reserved(name)).cloned().collect();
        }
    }

    /// Whether it is a name of the library's own values. A [`Key`] cannot have it, because its name is text.
    fn is_reserved(name: &[u8]) -> bool {
        matches!(name, [0x80..=0xff])
    }

    fn of_application(&self) -> impl Iterator<Item = &(Bytes, Bytes)> {
        self.entries.iter().filter(|(name, _)| !Self::is_reserved(name))
    }

    /// Keeps the values called one of `names` and drops all others.
    pub(crate) fn restrict(&mut self, names: &[Bytes]) {
        if self.entries.iter().any(|(name, _)| !names.contains(name)) {
            self.entries = self.entries.iter().filter(|(name, _)| names.contains(name)).cloned().collect();
        }
    }

    /// Whether both hold the same values.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries) || self.entries == other.entries
    }

    pub(crate) fn entries(&self) -> &[(Bytes, Bytes)] {
        &self.entries
    }

    /// Entries that are sorted by name already; `None` if they are not.
    pub(crate) fn from_sorted(entries: Vec<(Bytes, Bytes)>) -> Option<Self> {
        entries.is_sorted_by(|(a, _), (b, _)| a < b).then(|| Self { entries: entries.into() })
    }

    fn position(&self, name: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(entry, _)| entry.as_ref().cmp(name))
    }
}

fn size((name, value): &(Bytes, Bytes)) -> usize {
    name.len() + value.len()
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data").field("len", &self.len()).field("size", &self.size()).finish()
    }
}

/// Encodes one value as JSON, which every type that derives serde's traits survives, with field names, so that fields may
/// be added and dropped later. What could not be read back is refused. JSON has a single `null`: `Some(None)`, and in an
/// `Option` a number that is not finite, come back as `None`.
pub(crate) fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<Bytes, ValueError> {
    let bytes = serde_json::to_vec(value).map_err(|_| ValueError::Encode)?;
    match decode::<T>(&bytes) {
        Ok(_) => Ok(bytes.into()),
        Err(_) => Err(ValueError::Encode),
    }
}

/// Decodes one value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ValueError> {
    serde_json::from_slice(bytes).map_err(|_| ValueError::Decode)
}

/// A value could not be converted. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The type's `Serialize` failed, or its `Deserialize` on what that wrote.
    #[error(
        "the value cannot be written as JSON and read back; a number that is not finite? a map whose keys are no text?"
    )]
    Encode,
    /// What is stored under the key is not of the key's type. It is left as it is.
    #[error(
        "the stored value does not have the type of the key; was the type changed? give new fields #[serde(default)]"
    )]
    Decode,
}

//! What the cases keep in sessions.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use session_core::Key;

pub(super) const NOTE: Key<Note> = Key::new("note");
pub(super) const CART: Key<u64> = Key::new("cart");
pub(super) const COUNT: Key<u64> = Key::new("count");

/// A value that says what it is for. Encoded as one byte below 128, like a small number: whether a store keeps all
/// bytes is for other cases to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Anonymous,
    Kept,
    Mine,
    Late,
    Lost,
    First,
    Second,
}

impl Note {
    const ALL: [Self; 7] = [Self::Anonymous, Self::Kept, Self::Mine, Self::Late, Self::Lost, Self::First, Self::Second];
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Note {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::ALL.get(usize::from(number)).copied().ok_or_else(|| D::Error::custom("not a note"))
    }
}

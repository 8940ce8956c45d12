//! [`RecordFormat`]: how a record is stored.

/// The stored form of a record, by the number in its first byte.
///
/// This version reads all of them, and leaves a record of any other as it is. Which one it writes is up to
/// [`PolicyBuilder::record_format`](crate::PolicyBuilder::record_format): while a new version is being deployed, servers that
/// still run the one before must be able to read what it writes.
///
/// All of them begin alike, as [`layout`](crate::store::layout) says, so that what a server knows of one it knows of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RecordFormat {
    /// Keeps the strongest proof of an [`Authentication`](crate::Authentication) only: a weaker step-up is forgotten with its
    /// request.
    V3,
    /// Keeps one proof for each assurance level.
    V4,
}

impl RecordFormat {
    /// Every format that this version reads, the oldest first.
    pub const ALL: [Self; 2] = [Self::V3, Self::V4];

    /// The newest.
    pub const LATEST: Self = Self::V4;

    /// The first byte of a record.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The format whose records begin with this byte.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.byte() == byte)
    }
}

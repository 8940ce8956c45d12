//! Seeded faults: what the cases are tested with.

use crate::service::ServiceFault;

/// One broken rule. A run with a fault must fail exactly the cases that name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The store breaks its contract.
    Store(StoreFault),
    /// A correct store does not survive what happens to its servers.
    Service(ServiceFault),
}

impl Fault {
    /// Every fault.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let store = StoreFault::ALL.iter().copied().map(Self::Store);
        store.chain(ServiceFault::ALL.iter().copied().map(Self::Service)).collect()
    }
}

impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl From<ServiceFault> for Fault {
    fn from(fault: ServiceFault) -> Self {
        Self::Service(fault)
    }
}

/// Declares an enum of faults together with the list of all of them, which so cannot forget one.
macro_rules! faults {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[doc = $line:literal])+ $fault:ident,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $line])+ $fault,)*
        }

        impl $name {
            /// Every fault of this kind.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];
        }
    };
}
pub(crate) use faults;

faults! {
    /// One rule of the store contract that is broken, by wrapping a correct store.
    pub enum StoreFault {
        // --- load
        /// A loaded record lacks its device.
        LoadDropsDevice,
        /// An id that was never stored is an error.
        LoadUnknownFails,
        /// Ids are told apart by their first 15 bytes only.
        IdTruncated,
        /// Values are stored as text.
        ValuesAreText,
        /// An empty value is dropped.
        EmptyValuesVanish,
        /// Values are cut to 64 KiB.
        LargeValuesCut,
        /// Names of values lose their case.
        NamesFoldCase,

        // --- create
        /// `create` overwrites a live session.
        CreateOverwrites,
        /// `create` takes the same version number for the same version.
        CreateIgnoresNonce,
        /// An expired session occupies its id.
        ExpiredOccupies,
        /// A repeated `create` is `Occupied`.
        CreateRepeatOccupied,
        /// A repeated `create` writes the record again.
        CreateRepeatRewrites,
        /// `create` looks for the session to replace before it looks whether it is repeated.
        ReplacesCheckedFirst,
        /// A repeated `create` counts its own session towards the limit.
        LimitCountsItself,
        /// `create` looks first and writes later.
        CreateNotAtomic,

        // --- create in exchange
        /// The replaced session stays if it is in the shard of the new one.
        ReplaceLeavesOwnShard,
        /// The replaced session stays if it is in another shard.
        ReplaceLeavesOtherShard,
        /// The replaced session stays in the index of its user.
        ReplaceKeepsIndex,
        /// Whatever version the session to replace has is replaced.
        ReplaceIgnoresVersion,
        /// A login goes on without the session that it should replace.
        ReplaceIgnoresAbsence,
        /// An expired session can be replaced.
        ReplaceAcceptsExpired,
        /// The session to replace is deleted before the limit is checked.
        ReplaceBeforeLimit,
        /// Sessions are evicted although the session to replace was changed.
        EvictsBeforeReplace,
        /// The session to replace counts towards the limit.
        LimitCountsReplaced,
        /// The new session is inserted first, the replaced one deleted later.
        ReplaceNotAtomic,

        // --- limit
        /// `EvictOldest` looks at the last use.
        EvictOldestByUse,
        /// `EvictLeastRecent` looks at the beginning.
        EvictLeastRecentByAge,
        /// Among the oldest, the highest id goes.
        OldestTiesReversed,
        /// Among the least recently used, the highest id goes.
        LeastRecentTiesReversed,
        /// The order of last use does not follow touches.
        LimitIgnoresTouch,
        /// The order of last use does not follow updates.
        LimitIgnoresUpdate,
        /// The session that is being admitted may be evicted.
        EvictsNewest,
        /// A login evicts one session at most.
        EvictsOneAtMost,
        /// `EvictLeastRecent` evicts one session too many.
        EvictLeastRecentOffByOne,
        /// A login that is refused is stored all the same.
        RejectStores,
        /// Expired sessions count.
        LimitCountsExpired,
        /// Anonymous sessions count.
        LimitCountsVisitors,
        /// Anonymous sessions have a limit.
        LimitsVisitors,
        /// Each kind of session has a limit of its own.
        LimitPerKind,
        /// A logout makes no room.
        LimitForgetsLogout,
        /// `create` counts first and admits later.
        LimitNotAtomic,
        /// `create` counts first and admits later, under a lock of each handle.
        LimitLockedPerHandle,
        /// Of several evicted sessions, one is reported.
        EvictedNotReported,
        /// Of several evicted sessions, one is deleted.
        EvictedStay,
        /// Several sessions are evicted one after the other.
        EvictsOneByOne,

        // --- update
        /// `update` inserts a session that is not there.
        UpdateInserts,
        /// `update` overwrites any version.
        UpdateIgnoresVersion,
        /// `update` takes the same version number for the same version.
        UpdateIgnoresNonce,
        /// `update` of a session that is not there is a conflict.
        UpdateAbsentIsConflict,
        /// `update` brings an expired session back.
        UpdateRevivesExpired,
        /// A repeated `update` is a conflict.
        UpdateRepeatConflicts,
        /// A repeated `update` writes the record again.
        UpdateRepeatRewrites,
        /// `update` takes `last_seen` back.
        UpdateRewindsLastSeen,
        /// `update` never moves `last_seen`.
        UpdateKeepsLastSeen,
        /// `update` never changes the timeouts.
        UpdateKeepsLifetime,
        /// `update` keeps values that the new record does not have.
        UpdateMergesValues,
        /// `update` writes the values of every session of the user.
        UpdateHitsAllOfUser,
        /// `update` compares first and writes later.
        UpdateNotAtomic,
        /// `update` compares first and writes later, under a lock of each handle.
        UpdateLockedPerHandle,
        /// `update` deletes the record and inserts it again.
        UpdateDeletesFirst,

        // --- touch
        /// `touch` does nothing if less than a minute has passed.
        TouchThrottled,
        /// `touch` takes `last_seen` back.
        TouchBackwards,
        /// `touch` that moves nothing is `Absent`.
        TouchRepeatAbsent,
        /// `touch` changes the version.
        TouchBumpsVersion,
        /// `touch` drops the values.
        TouchDropsValues,
        /// `touch` of a session that is not there is `Applied`.
        TouchUnknownApplied,
        /// `touch` brings a deleted session back.
        TouchInserts,
        /// `touch` brings an expired session back.
        TouchRevivesExpired,
        /// `touch` does not move the idle deadline.
        TouchKeepsDeadline,
        /// After a `touch`, the absolute deadline does not count any more.
        TouchIgnoresAbsoluteDeadline,
        /// `touch` compares first and writes later.
        TouchNotAtomic,
        /// `touch` reads the record and writes it back later.
        TouchWritesBack,
        /// The list does not follow touches.
        TouchSkipsList,

        // --- delete
        /// `delete` takes the session of anybody.
        DeleteIgnoresOwner,
        /// `delete` is always `Deleted`.
        DeleteAlwaysDeleted,
        /// `delete` of a session that is not there is an error.
        DeleteUnknownFails,
        /// `delete` leaves expired sessions.
        DeleteSparesExpired,
        /// A deleted anonymous session can still be loaded.
        DeleteKeepsVisitors,
        /// A deleted session is still listed.
        DeleteKeepsIndex,
        /// `delete` takes all sessions of the user.
        DeleteTakesSiblings,
        /// `delete` looks first and deletes later.
        DeleteNotAtomic,

        // --- list
        /// The list shows anonymous sessions.
        ListShowsVisitors,
        /// The list shows expired sessions.
        ListShowsExpired,
        /// The list lacks the device.
        ListDropsDevice,
        /// The list shows sessions as they were created.
        ListIsStale,
        /// The list of a user without sessions is an error.
        ListUnknownFails,
        /// The list shows 50 sessions at most.
        ListCutAtFifty,
        /// A list call that is dropped leaves its lock behind.
        DroppedListLocks,
        /// The index of a user is read first and written later.
        IndexNotAtomic,
        /// Each write of a session adds it to the index of its user.
        IndexAppends,
        /// The sessions of a user who was revoked once are never listed again.
        RevokedStayHidden,

        // --- user ids
        /// A user id ends at its first NUL.
        UserCutAtNul,
        /// The sessions of `a` include those of `a:b`.
        UserIsPrefix,
        /// User ids are compared without regard to case.
        UserFoldsCase,
        /// User ids are compared by their first 255 bytes.
        UserCutAt255,

        // --- delete_by_user
        /// Revocation ends sessions of one kind only.
        RevokeSparesRefresh,
        /// Revocation ends 50 sessions at most.
        RevokeCutAtFifty,
        /// Revocation ends the session to keep, too.
        RevokeIgnoresKeep,
        /// Revocation reports one of the sessions it ended.
        RevokeReportsOne,
        /// Revocation ends anonymous sessions.
        RevokeEndsVisitors,
        /// Revocation for a user without sessions is an error.
        RevokeUnknownFails,
        /// Revocation leaves expired sessions.
        RevokeSparesExpired,
        /// Revocation ends one session after the other.
        RevokeOneByOne,

        // --- delete_expired
        /// The sweep takes live sessions.
        SweepTakesLive,
        /// The sweep ignores its limit.
        SweepIgnoresLimit,
        /// The sweep reports its limit, whatever it deleted.
        SweepReportsLimit,
        /// The sweep looks at the deadline before the last touch.
        SweepIgnoresTouch,
        /// The sweep counts first and deletes later.
        SweepNotAtomic,

        // --- time
        /// At the deadline, a session still lives.
        ExpiresLate,
        /// One millisecond before the deadline, a session is dead.
        ExpiresEarly,
        /// Timeouts are rounded up to full seconds.
        WholeSeconds,
        /// Timeouts are milliseconds in a signed 32-bit number.
        ThirtyTwoBits,

        // --- nodes and tenants
        /// A handle remembers what it loaded.
        HandleCaches,
        /// A handle lists and revokes only sessions that were created through it.
        HandleIndex,
        /// A deletion takes effect in its own handle only.
        DeleteStaysInHandle,
        /// Each handle has sessions of its own.
        OpenStartsEmpty,
        /// Two namespaces share their sessions.
        TenantsShare,
        /// The `Debug` output of the store shows users.
        DebugShowsUsers,
    }
}

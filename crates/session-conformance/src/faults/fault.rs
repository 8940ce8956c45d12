//! [`Fault`]: what can be wrong with a store, or go wrong when its servers are disrupted.

use crate::service::Disruption;

/// Declares [`Fault`] and the list of all faults, which cannot be incomplete. `in` names the disruption a fault needs.
macro_rules! faults {
    ($($(#[doc = $line:literal])+ $fault:ident $(in $disruption:ident)?,)*) => {
        /// One broken rule: of the store contract, or of what a correct store does when its servers are disrupted. A run
        /// with a fault must fail the cases that name it, and no others, except [random](crate::Case::random) ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[doc = $line])+ $fault,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];

            /// The disruption in which the fault shows. `None` for a store that breaks its contract in itself.
            pub(crate) fn disruption(self) -> Option<Disruption> {
                let rows = [$($((Self::$fault, Disruption::$disruption),)?)*];
                rows.into_iter().find(|(fault, _)| *fault == self).map(|(_, disruption)| disruption)
            }
        }
    };
}

faults! {
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
    /// `create` compares version numbers without their nonces.
    CreateIgnoresNonce,
    /// The id of an expired session is taken.
    ExpiredKeepsId,
    /// A repeated `create` is `IdTaken`.
    CreateRepeatIsTaken,
    /// A repeated `create` writes the record again.
    CreateRepeatRewrites,
    /// `create` looks for the session to replace before it checks whether it is a repetition.
    ReplacesCheckedFirst,
    /// A repeated `create` counts its own session towards the limit.
    LimitCountsItself,
    /// `create` checks first and writes later.
    CreateNotAtomic,

    // --- create in exchange
    /// The replaced session stays if it is in the shard of the new one.
    ReplaceLeavesOwnShard,
    /// The replaced session stays if it is in another shard.
    ReplaceLeavesOtherShard,
    /// The replaced session stays in the index of its user.
    ReplaceKeepsIndex,
    /// The session is replaced at any version.
    ReplaceIgnoresVersion,
    /// A login succeeds without the session that it should replace.
    ReplaceIgnoresAbsence,
    /// An expired session can be replaced.
    ReplaceAcceptsExpired,
    /// The session to replace is deleted before the limit is checked.
    ReplaceBeforeLimit,
    /// Sessions are evicted although the session to replace has changed.
    EvictsBeforeReplace,
    /// The session to replace counts towards the limit.
    LimitCountsReplaced,
    /// The new session is inserted first, the replaced one deleted later.
    ReplaceNotAtomic,

    // --- limit
    /// `EvictOldest` goes by the last use.
    EvictOldestByUse,
    /// `EvictLeastRecent` goes by the creation.
    EvictLeastRecentByAge,
    /// Of equally old sessions, the highest id is evicted.
    OldestTiesReversed,
    /// Of sessions last used at the same time, the highest id is evicted.
    LeastRecentTiesReversed,
    /// The order of last use ignores touches.
    LimitIgnoresTouch,
    /// The order of last use ignores updates.
    LimitIgnoresUpdate,
    /// The new session may be evicted.
    EvictsNewest,
    /// A login evicts one session at most.
    EvictsOneAtMost,
    /// `EvictLeastRecent` evicts one session too many.
    EvictLeastRecentOffByOne,
    /// A rejected login is stored.
    RejectStores,
    /// Expired sessions count.
    LimitCountsExpired,
    /// Anonymous sessions count.
    LimitCountsAnonymous,
    /// The limit applies to anonymous sessions.
    LimitsAnonymous,
    /// Each kind of session has a limit of its own.
    LimitPerKind,
    /// Anonymous sessions have no limit of their own.
    VisitorsAreNotLimited,
    /// At their limit, no visitor ends, and the new one is refused.
    VisitorsAreRejected,
    /// Of the visitors, the one that began first ends.
    VisitorsEndByAge,
    /// Anonymous sessions that were created without a limit are visitors.
    VisitorsIncludeOthers,
    /// Sessions of users count and end as if they were visitors.
    VisitorsIncludeUsers,
    /// Visitors whose session has expired count.
    VisitorsCountExpired,
    /// A repeated `create` of a visitor ends another one.
    VisitorsEndOnRepetition,
    /// Logged-out sessions count.
    LimitForgetsLogout,
    /// `create` counts first and inserts later.
    LimitNotAtomic,
    /// `create` counts first and inserts later, under a lock per handle.
    LimitLockedPerHandle,
    /// Of several evicted sessions, one is reported.
    EvictedNotReported,
    /// Of several evicted sessions, one is deleted.
    EvictedStay,
    /// Several sessions are evicted one after the other.
    EvictsOneByOne,

    // --- update
    /// `update` inserts an absent session.
    UpdateInserts,
    /// `update` overwrites any version.
    UpdateIgnoresVersion,
    /// `update` compares version numbers without their nonces.
    UpdateIgnoresNonce,
    /// `update` of an absent session is `Conflict`.
    UpdateAbsentIsConflict,
    /// `update` revives an expired session.
    UpdateRevivesExpired,
    /// A repeated `update` is `Conflict`.
    UpdateRepeatConflicts,
    /// A repeated `update` writes the record again.
    UpdateRepeatRewrites,
    /// `update` moves `last_seen` backwards.
    UpdateRewindsLastSeen,
    /// `update` never moves `last_seen`.
    UpdateKeepsLastSeen,
    /// `update` never changes the timeouts.
    UpdateKeepsTimeouts,
    /// `update` keeps values that the new record does not have.
    UpdateMergesValues,
    /// `update` writes the values of every session of the user.
    UpdateHitsAllOfUser,
    /// `update` compares first and writes later.
    UpdateNotAtomic,
    /// `update` compares first and writes later, under a lock per handle.
    UpdateLockedPerHandle,
    /// `update` deletes the record and inserts it again.
    UpdateDeletesFirst,

    // --- touch
    /// `touch` does nothing if less than a minute has passed.
    TouchThrottled,
    /// `touch` moves `last_seen` backwards.
    TouchBackwards,
    /// A `touch` that moves nothing is `Absent`.
    TouchRepeatAbsent,
    /// `touch` changes the version.
    TouchBumpsVersion,
    /// `touch` drops the values.
    TouchDropsValues,
    /// `touch` of an absent session is `Applied`.
    TouchUnknownApplied,
    /// `touch` revives a deleted session.
    TouchInserts,
    /// `touch` revives an expired session.
    TouchRevivesExpired,
    /// `touch` does not move the idle deadline.
    TouchKeepsDeadline,
    /// After a `touch`, the absolute deadline no longer applies.
    TouchIgnoresAbsoluteDeadline,
    /// `touch` compares first and writes later.
    TouchNotAtomic,
    /// `touch` reads the record and writes it back later.
    TouchWritesBack,
    /// The list ignores touches.
    TouchSkipsList,

    // --- delete
    /// `delete` ignores the owner.
    DeleteIgnoresOwner,
    /// `delete` is always `Deleted`.
    DeleteAlwaysDeleted,
    /// `delete` of an absent session is an error.
    DeleteUnknownFails,
    /// `delete` skips expired sessions.
    DeleteSparesExpired,
    /// A deleted anonymous session can still be loaded.
    DeleteKeepsAnonymous,
    /// A deleted session is still listed.
    DeleteKeepsIndex,
    /// `delete` deletes all sessions of the user.
    DeleteTakesSiblings,
    /// `delete` checks first and deletes later.
    DeleteNotAtomic,

    // --- list
    /// The list shows anonymous sessions.
    ListShowsAnonymous,
    /// The list shows expired sessions.
    ListShowsExpired,
    /// The list lacks the device.
    ListDropsDevice,
    /// The list lacks sessions that are not stored in the newest format.
    ListSkipsOldFormats,
    /// The list shows sessions as they were created.
    ListIsStale,
    /// The list of a user without sessions is an error.
    ListUnknownFails,
    /// The list shows 50 sessions at most.
    ListCutAtFifty,
    /// A cancelled `list_by_user` leaves its lock behind.
    DroppedListLocks,
    /// The index of a user is read first and written later.
    IndexNotAtomic,
    /// Each write of a session adds it to the index of its user.
    IndexAppends,
    /// After a revocation, sessions of the user are never listed again.
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
    /// Revocation reports sessions that had expired.
    RevokeReportsExpired,
    /// What revocation reports lacks the device.
    RevokeDropsDevice,
    /// Revocation reports sessions as they were when they were created.
    RevokeReportsAsCreated,
    /// Revocation ends anonymous sessions.
    RevokeEndsAnonymous,
    /// Revocation for a user without sessions is an error.
    RevokeUnknownFails,
    /// Revocation skips expired sessions.
    RevokeSparesExpired,
    /// Revocation ends one session after the other.
    RevokeOneByOne,

    // --- list_all and count
    /// The pages show no anonymous sessions.
    PagesSkipAnonymous,
    /// The pages show expired sessions.
    PagesShowExpired,
    /// The pages lack the device.
    PagesDropDevice,
    /// The pages end after the first.
    PagesEndEarly,
    /// Each page begins one session too late.
    PagesSkipOne,
    /// A page begins after as many sessions as there were on the pages before.
    PagesCountOffsets,
    /// A page has all sessions that there are.
    PagesIgnoreLimit,
    /// A cursor that another store made begins with the first page.
    PagesTakeAnyCursor,
    /// The count includes expired sessions.
    CountsExpired,
    /// The count includes the sessions of users only.
    CountsUsersOnly,

    // --- delete_expired
    /// The sweep deletes live sessions.
    SweepTakesLive,
    /// The sweep ignores its limit.
    SweepIgnoresLimit,
    /// The sweep reports its limit, whatever it deleted.
    SweepReportsLimit,
    /// The sweep goes by the deadline before the last touch.
    SweepIgnoresTouch,
    /// The sweep counts first and deletes later.
    SweepNotAtomic,

    // --- time
    /// At the deadline, a session is still alive.
    ExpiresLate,
    /// One millisecond before the deadline, a session is dead.
    ExpiresEarly,
    /// Timeouts are rounded up to full seconds.
    WholeSeconds,
    /// Timeouts are milliseconds in a signed 32-bit number.
    ThirtyTwoBits,

    // --- nodes and tenants
    /// A handle caches what it loaded.
    HandleCaches,
    /// A handle lists and revokes only sessions that were created through it.
    HandleIndex,
    /// A deletion takes effect in its own handle only.
    DeleteStaysInHandle,
    /// Each handle has its own sessions.
    OpenStartsEmpty,
    /// Two namespaces share their sessions.
    TenantsShare,
    /// The `Debug` output of the store shows users.
    DebugShowsUsers,

    // --- disrupted servers
    /// A restart loses all sessions.
    RestartForgetsSessions in Restart,
    /// A restart revives deleted sessions.
    RestartRevivesLogouts in Restart,
    /// A restart undoes every change since a session was created.
    RestartForgetsChanges in Restart,
    /// During an outage, sessions look absent.
    OutageLooksAbsent in Outage,
    /// During an outage, writes are acknowledged but not executed.
    OutageLooksDone in Outage,
    /// During an outage, operations never return.
    OutageHangs in Outage,
    /// After an outage, nodes keep failing.
    OutageNeverEnds in Outage,
    /// An outage ends the sessions that were loaded in the meantime.
    OutageEndsSessions in Outage,
    /// While the servers are frozen, sessions look absent.
    FreezeLooksAbsent in Freeze,
    /// After the servers were frozen, nodes keep failing.
    FreezeNeverEnds in Freeze,
    /// A session looks absent if the reply to its load is lost.
    LostReplyLooksAbsent in LostReply,
    /// An update whose reply is lost is retried and conflicts with itself.
    LostReplyConflicts in LostReply,
    /// An update whose reply is lost is applied twice.
    LostReplyAppliedTwice in LostReply,
    /// A deletion whose reply is lost is undone, but acknowledged.
    LostReplyUndone in LostReply,
    /// After a lost reply, each load gets the reply to the one before.
    LostReplyShiftsAnswers in LostReply,
    /// Scripts that a server forgot are not loaded again.
    ForgottenScriptsFail in ForgetScripts,
    /// Times are read in the time zone of the database.
    TimeZoneShiftsTimes in ForeignTimeZone,
    /// Sessions that moved to another server are not found.
    MovedShardsVanish in MoveShards,
    /// A failover revives deleted sessions.
    FailoverRevivesLogouts in Failover,
    /// After a failover, one node still reads from the former primary.
    FailoverSplitsNodes in Failover,
}

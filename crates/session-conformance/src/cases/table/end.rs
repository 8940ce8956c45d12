//! How sessions end, in numbers and in time; calls that are dropped, nodes, tenants.

use crate::cases::{apart, boundary, cancel, history, nodes, revoke, sweep};
use crate::table::cases;

cases! {
    pub(crate) const CASES;

    /// `delete_by_user` ends every session of the user.
    "revoke/ends-all" [] catches [RevokeSparesRefresh] => revoke::ends_all;
    /// `delete_by_user` returns the ids it deleted, and none when there was nothing to delete.
    "revoke/returns-what-it-ended" [] catches [RevokeReportsOne] => revoke::returns_what_it_ended;
    /// The session to keep is kept, the others end.
    "revoke/keeps-one" [] catches [RevokedStayHidden, RevokeIgnoresKeep, RevokeReportsOne] => revoke::keeps_one;
    /// A user without sessions is no error.
    "revoke/unknown-user-is-no-error" [] catches [RevokeUnknownFails] => revoke::unknown_user_is_no_error;
    /// Sessions of other users, and anonymous ones, stay.
    "revoke/leaves-others-alone" [] catches [RevokeEndsVisitors] => revoke::leaves_others_alone;
    /// Expired sessions of the user end too.
    "revoke/ends-expired-ones" [] catches [ListShowsExpired, RevokeSparesExpired] => revoke::ends_expired_ones;
    /// A login that was acknowledged before the revocation is gone after it.
    "revoke/ends-acknowledged-logins" []
        catches [IndexNotAtomic, RevokedStayHidden]
        => revoke::ends_acknowledged_logins;
    /// An update that was in flight during a revocation does not bring the session back.
    "revoke/cannot-be-undone-by-an-update" []
        catches [UpdateInserts, UpdateAbsentIsConflict]
        => revoke::cannot_be_undone_by_an_update;
    /// A revocation among updates ends every session.
    "revoke/beats-concurrent-updates" []
        catches [UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, RevokeReportsOne]
        => revoke::beats_concurrent_updates;

    /// `delete_expired` takes expired sessions, and no live ones.
    "sweep/takes-expired-ones-only" [] catches [SweepTakesLive, SweepReportsLimit] => sweep::takes_expired_ones_only;
    /// `delete_expired` deletes at most as many as it is told, and says how many.
    "sweep/honours-the-limit" []
        catches [SweepTakesLive, SweepIgnoresLimit, SweepReportsLimit]
        => sweep::honours_the_limit;
    /// A touched session is not expired.
    "sweep/spares-touched-ones" []
        catches [TouchBumpsVersion, SweepTakesLive, SweepReportsLimit, SweepIgnoresTouch]
        => sweep::spares_touched_ones;
    /// Several sweeps at once count each session once.
    "sweep/counts-once" [] catches [SweepTakesLive, SweepReportsLimit, SweepNotAtomic] => sweep::counts_once;

    /// `update`: alive 1 ms before the deadline, dead at it.
    "boundary/update" [] catches [UpdateRevivesExpired, ExpiresLate, ExpiresEarly] => boundary::update;
    /// `touch`: alive 1 ms before the deadline, dead at it.
    "boundary/touch" [] catches [TouchRevivesExpired, ExpiresLate, ExpiresEarly] => boundary::touch;
    /// `list_by_user`: alive 1 ms before the deadline, dead at it.
    "boundary/list" [] catches [ListShowsExpired, ExpiresLate, ExpiresEarly] => boundary::list;
    /// `create` of an id that is taken: alive 1 ms before the deadline, dead at it.
    "boundary/duplicate" []
        catches [CreateOverwrites, CreateIgnoresNonce, ExpiredOccupies, ExpiresLate, ExpiresEarly]
        => boundary::duplicate;
    /// Login in exchange for a session: alive 1 ms before the deadline, dead at it.
    "boundary/replaced" []
        catches [ReplaceIgnoresAbsence, ReplaceAcceptsExpired, ExpiresLate, ExpiresEarly]
        => boundary::replaced;
    /// The limit counts a session 1 ms before the deadline, and not at it.
    "boundary/counted" [] catches [LimitCountsExpired, ExpiresLate, ExpiresEarly] => boundary::counted;
    /// `delete_expired` takes nothing that lives for another millisecond.
    "boundary/sweep" [] catches [SweepTakesLive, SweepReportsLimit, ExpiresEarly] => boundary::sweep;
    /// The absolute deadline is as exact as the idle one.
    "boundary/absolute" [] catches [TouchRevivesExpired, ExpiresLate, ExpiresEarly] => boundary::absolute;
    /// Timeouts are kept to the millisecond.
    "boundary/sub-second" []
        catches [UpdateRevivesExpired, ExpiresLate, ExpiresEarly, WholeSeconds]
        => boundary::sub_second;
    /// Timeouts of up to 400 days are kept.
    "boundary/far-future" [] catches [ListShowsExpired, ThirtyTwoBits] => boundary::far_future;

    /// A login that is dropped midway happened or did not.
    "cancel/login" [] catches [LoadUnknownFails, ReplaceLeavesOtherShard, ReplaceNotAtomic] => cancel::login;
    /// A login at the limit that is dropped midway happened, with its evictions, or did not.
    "cancel/eviction" [] catches [LoadUnknownFails, EvictsOneAtMost, EvictedStay, EvictsOneByOne] => cancel::eviction;
    /// An update that is dropped midway happened or did not.
    "cancel/update" [] catches [UpdateDeletesFirst] => cancel::update;
    /// A revocation that is dropped midway happened or did not.
    "cancel/revocation" [] catches [RevokeOneByOne] => cancel::revocation;
    /// After calls that were dropped midway, the store works as before.
    "cancel/store-works-on" []
        catches [TouchBumpsVersion, DeleteIgnoresOwner, DroppedListLocks, IndexAppends, SweepTakesLive]
        => cancel::store_works_on;

    /// Whatever several tasks ask about one session at once: their answers are those of some order of the calls.
    "history/of-a-session" []
        catches [
            LoadUnknownFails, CreateOverwrites, CreateIgnoresNonce, CreateNotAtomic, UpdateInserts,
            UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateAbsentIsConflict, UpdateRewindsLastSeen,
            UpdateKeepsLastSeen, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, TouchThrottled,
            TouchBackwards, TouchRepeatAbsent, TouchBumpsVersion, TouchDropsValues, TouchUnknownApplied,
            TouchInserts, TouchNotAtomic, TouchWritesBack, TouchSkipsList, DeleteAlwaysDeleted, DeleteUnknownFails,
            DeleteKeepsIndex, DeleteNotAtomic, ListUnknownFails, IndexAppends, RevokedStayHidden, RevokeUnknownFails,
            HandleCaches, HandleIndex, DeleteStaysInHandle, OpenStartsEmpty,
        ]
        => history::of_a_session;
    /// Whatever several tasks ask about the sessions of one user at once: their answers are those of some order.
    "history/of-a-user" []
        catches [
            ReplaceLeavesOwnShard, ReplaceKeepsIndex, ReplaceIgnoresAbsence, LimitCountsReplaced, ReplaceNotAtomic,
            EvictOldestByUse, EvictLeastRecentByAge, OldestTiesReversed, LeastRecentTiesReversed,
            LimitIgnoresTouch, EvictsNewest, EvictLeastRecentOffByOne, RejectStores, LimitForgetsLogout,
            LimitNotAtomic, LimitLockedPerHandle, TouchThrottled, TouchBackwards, TouchRepeatAbsent,
            TouchBumpsVersion, TouchDropsValues, TouchUnknownApplied, TouchInserts, TouchWritesBack,
            TouchSkipsList, DeleteAlwaysDeleted, DeleteUnknownFails, DeleteKeepsIndex, DeleteTakesSiblings,
            DeleteNotAtomic, ListUnknownFails, IndexNotAtomic, RevokedStayHidden, RevokeIgnoresKeep,
            RevokeReportsOne, RevokeUnknownFails, RevokeOneByOne, HandleIndex, DeleteStaysInHandle, OpenStartsEmpty,
        ]
        => history::of_a_user;

    /// What one node writes, another reads.
    "nodes/see-each-others-writes" [Shared]
        catches [TouchBumpsVersion, TouchDropsValues, HandleCaches, HandleIndex, OpenStartsEmpty]
        => nodes::see_each_others_writes;
    /// A logout on one node holds on every other, at once.
    "nodes/logout-holds-everywhere" [Shared]
        catches [
            UpdateInserts, UpdateAbsentIsConflict, TouchUnknownApplied, TouchInserts, HandleCaches,
            DeleteStaysInHandle, OpenStartsEmpty
        ]
        => nodes::logout_holds_everywhere;
    /// A revocation finds the logins that other nodes took.
    "nodes/revocation-finds-every-login" [Shared]
        catches [RevokeReportsOne, HandleIndex, OpenStartsEmpty]
        => nodes::revocation_finds_every_login;
    /// An id that one node gave out is taken on every other.
    "nodes/an-id-is-taken-everywhere" [Shared]
        catches [CreateOverwrites, CreateIgnoresNonce, OpenStartsEmpty]
        => nodes::an_id_is_taken_everywhere;
    /// Sessions outlive the process that wrote them.
    "durable/sessions-survive-reopening" [Durable]
        catches [LoadDropsDevice, IndexAppends, HandleIndex, OpenStartsEmpty]
        => nodes::survive_reopening;
    /// A logout outlives the process that wrote it.
    "durable/logout-survives-reopening" [Durable]
        catches [DeleteKeepsIndex, DeleteTakesSiblings, HandleIndex, DeleteStaysInHandle, OpenStartsEmpty]
        => nodes::logout_survives_reopening;

    /// Two namespaces share nothing, even for the same id and the same user.
    "apart/tenants" []
        catches [
            LoadUnknownFails, DeleteAlwaysDeleted, DeleteUnknownFails, ListUnknownFails, RevokeUnknownFails,
            TenantsShare
        ]
        => apart::tenants;
    /// The `Debug` output of a store shows no user, no id and no value.
    "apart/debug-output" [] catches [DebugShowsUsers] => apart::debug_output;
}

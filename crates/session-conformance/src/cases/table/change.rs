//! How sessions change: `update`, `touch`, `delete`, `list_by_user`.

use crate::cases::{delete, list, touch, update, update_race, users};
use crate::table::cases;

cases! {
    pub(crate) const CASES;

    /// `update` replaces every field, and values that are gone are gone.
    "update/stores-every-field" []
        catches [LoadDropsDevice, UpdateKeepsLastSeen, UpdateMergesValues]
        => update::stores_every_field;
    /// A writer that read an older version is refused, and the newer record survives.
    "update/stale-version-conflicts" []
        catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => update::stale_version_conflicts;
    /// Two writers of the same version number are told apart by the nonce.
    "update/nonce-tells-writers-apart" []
        catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => update::nonce_tells_writers_apart;
    /// `update` of a session that never was is `Absent`, and inserts nothing.
    "update/absent-is-absent" []
        catches [UpdateInserts, UpdateAbsentIsConflict, ListUnknownFails]
        => update::absent_is_absent;
    /// A deleted session stays deleted: `update` never inserts.
    "update/never-resurrects" []
        catches [UpdateInserts, UpdateAbsentIsConflict, DeleteKeepsIndex]
        => update::never_resurrects;
    /// To `update`, an expired session is absent.
    "update/expired-is-absent" [] catches [UpdateRevivesExpired, ListShowsExpired] => update::expired_is_absent;
    /// The same `update` again is `Applied` again.
    "update/repeat-is-applied" [] catches [UpdateRepeatConflicts] => update::repeat_is_applied;
    /// An `update` that is repeated late does not take `last_seen` back.
    "update/repeat-keeps-a-later-touch" []
        catches [UpdateRepeatConflicts, UpdateRepeatRewrites, TouchBumpsVersion]
        => update::repeat_keeps_a_later_touch;
    /// An `update` by a request that began before the last touch does not take `last_seen` back.
    "update/keeps-a-later-touch" []
        catches [UpdateRewindsLastSeen, TouchBumpsVersion, IndexAppends]
        => update::keeps_a_later_touch;
    /// An `update` with a later `last_seen` moves the deadline.
    "update/moves-last-seen-and-the-deadline" []
        catches [UpdateKeepsLastSeen, IndexAppends]
        => update::moves_last_seen_and_the_deadline;
    /// An `update` with other timeouts moves the deadline, in both directions.
    "update/changes-the-lifetime" []
        catches [UpdateKeepsLifetime, TouchRevivesExpired, ListShowsExpired, IndexAppends]
        => update::changes_the_lifetime;
    /// Of 64 writers of the same version at once, one wins.
    "update/race-has-one-winner" []
        catches [UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst]
        => update_race::one_winner;
    /// 64 increments at once, each repeated until it is applied, read back as 64.
    "update/no-increment-is-lost" []
        catches [UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst]
        => update_race::no_increment_is_lost;
    /// 64 increments at once on two nodes read back as 64.
    "update/no-increment-is-lost-across-nodes" [Shared]
        catches [
            UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateLockedPerHandle,
            UpdateDeletesFirst, OpenStartsEmpty
        ]
        => update_race::no_increment_is_lost_across_nodes;
    /// An update among touches: the values of the one, the `last_seen` of the others.
    "update/and-touch-keep-both" []
        catches [
            UpdateRewindsLastSeen, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, TouchThrottled,
            TouchBackwards, TouchRepeatAbsent, TouchBumpsVersion, TouchDropsValues, TouchNotAtomic,
            TouchWritesBack
        ]
        => update_race::update_and_touch_keep_both;

    /// `touch` moves `last_seen`, to the millisecond.
    "touch/moves-last-seen" [] catches [TouchThrottled] => touch::moves_last_seen;
    /// An earlier touch that arrives later changes nothing, and is `Applied`.
    "touch/never-backwards" [] catches [TouchBackwards, TouchRepeatAbsent] => touch::never_backwards;
    /// The same `touch` again is `Applied` again.
    "touch/repeat-is-applied" [] catches [TouchRepeatAbsent] => touch::repeat_is_applied;
    /// `touch` changes neither the version nor anything else.
    "touch/changes-nothing-else" []
        catches [LoadDropsDevice, TouchBumpsVersion, TouchDropsValues]
        => touch::changes_nothing_else;
    /// `touch` of a session that never was is `Absent`.
    "touch/unknown-is-absent" [] catches [TouchUnknownApplied] => touch::unknown_is_absent;
    /// A deleted session stays deleted: `touch` never inserts.
    "touch/never-inserts" [] catches [TouchUnknownApplied, TouchInserts, DeleteKeepsIndex] => touch::never_inserts;
    /// To `touch`, an expired session is absent: it does not come back to life.
    "touch/expired-is-absent" [] catches [TouchRevivesExpired, ListShowsExpired] => touch::expired_is_absent;
    /// `touch` moves the idle deadline, again and again.
    "touch/extends-the-idle-deadline" [] catches [TouchKeepsDeadline] => touch::extends_the_idle_deadline;
    /// `touch` does not move the absolute deadline.
    "touch/stops-at-the-absolute-deadline" []
        catches [TouchRevivesExpired, TouchKeepsDeadline, TouchIgnoresAbsoluteDeadline, ListShowsExpired]
        => touch::stops_at_the_absolute_deadline;
    /// The list shows `last_seen` as touched.
    "touch/shows-in-the-list" [] catches [TouchSkipsList] => touch::shows_in_the_list;
    /// After 64 touches at once, in any order, the latest counts.
    "touch/race-keeps-the-latest" []
        catches [TouchThrottled, TouchBackwards, TouchRepeatAbsent, TouchNotAtomic, TouchWritesBack]
        => touch::race_keeps_the_latest;

    /// A deleted session cannot be loaded.
    "delete/removes" [] catches [DeleteKeepsVisitors] => delete::removes;
    /// A deleted session is not listed, the others of the user are.
    "delete/index-forgets" [] catches [DeleteKeepsIndex, DeleteTakesSiblings] => delete::index_forgets;
    /// `delete` of what is not there is `Absent`, and no error.
    "delete/repeat-is-absent" [] catches [DeleteAlwaysDeleted, DeleteUnknownFails] => delete::repeat_is_absent;
    /// The session of somebody else is left alone, and answered as `Absent`.
    "delete/wrong-owner-is-absent" []
        catches [DeleteIgnoresOwner, DeleteAlwaysDeleted, ListShowsVisitors]
        => delete::wrong_owner_is_absent;
    /// An expired session is deleted too.
    "delete/takes-expired-ones" [] catches [DeleteSparesExpired, ListShowsExpired] => delete::takes_expired_ones;
    /// Of 16 deletions at once, one is told `Deleted`.
    "delete/race-has-one-winner" []
        catches [DeleteAlwaysDeleted, DeleteUnknownFails, DeleteNotAtomic]
        => delete::race_has_one_winner;
    /// A logout among updates is a logout.
    "delete/beats-concurrent-updates" []
        catches [UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, DeleteKeepsIndex]
        => delete::beats_concurrent_updates;
    /// A logout among touches is a logout.
    "delete/beats-concurrent-touches" []
        catches [TouchInserts, TouchWritesBack, DeleteKeepsIndex]
        => delete::beats_concurrent_touches;
    /// Other sessions stay.
    "delete/leaves-others-alone" [] catches [DeleteTakesSiblings] => delete::leaves_others_alone;

    /// The list holds the user's sessions, and nobody else's.
    "list/own-sessions-only" [] catches [ListShowsVisitors] => list::own_sessions_only;
    /// A user without sessions has an empty list.
    "list/unknown-user-has-none" [] catches [ListUnknownFails] => list::unknown_user_has_none;
    /// Expired sessions are not listed.
    "list/live-only" [] catches [ListShowsExpired] => list::live_only;
    /// The list shows every field of a summary as it was stored.
    "list/shows-every-field" [] catches [ListDropsDevice] => list::shows_every_field;
    /// The list shows every field of a summary as it was updated.
    "list/follows-updates" []
        catches [UpdateKeepsLastSeen, UpdateKeepsLifetime, TouchSkipsList, ListDropsDevice, ListIsStale, IndexAppends]
        => list::follows_updates;
    /// However often a session was written, it is listed once.
    "list/each-session-once" [] catches [TouchBumpsVersion, IndexAppends] => list::each_session_once;
    /// After 64 logins of a user at once, all 64 are listed.
    "list/concurrent-logins-all-show" [] catches [ListCutAtFifty, IndexNotAtomic] => list::concurrent_logins_all_show;
    /// 100 sessions of a user are listed, and revoked, without any being forgotten.
    "list/a-hundred-all-show" []
        catches [ListCutAtFifty, RevokeCutAtFifty, RevokeReportsOne]
        => list::a_hundred_all_show;
    /// A login after a revocation of all sessions is listed.
    "list/login-after-revocation-shows" [] catches [RevokedStayHidden] => list::login_after_revocation_shows;

    /// Patterns, quotes, control characters, NUL and emoji in user ids mean nothing.
    "users/odd-names" [] catches [UserCutAtNul, UserFoldsCase] => users::odd_names;
    /// A user whose id begins with the id of another is another.
    "users/prefixes" [] catches [UserIsPrefix] => users::prefixes;
    /// Case, spaces and Unicode spellings make different users.
    "users/exact-bytes" [] catches [UserFoldsCase] => users::exact_bytes;
    /// User ids of 256 bytes that differ in the last one are different users.
    "users/longest-names" [] catches [UserCutAt255] => users::longest_names;
}

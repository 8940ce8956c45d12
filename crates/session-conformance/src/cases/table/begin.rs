//! How sessions begin: `load`, `create`, login in exchange for another session, the limit.

use crate::cases::{create, evict, limit, limit_race, load, replace};
use crate::table::cases;

cases! {
    pub(crate) const CASES;

    /// Every field comes back as it was stored.
    "load/returns-every-field" [] catches [LoadDropsDevice] => load::returns_every_field;
    /// An id that was never stored is `None`, not an error.
    "load/unknown-is-none" [] catches [LoadUnknownFails] => load::unknown_is_none;
    /// Ids are told apart by every one of their bytes, whatever these are.
    "load/tells-ids-apart" [] catches [IdTruncated] => load::tells_ids_apart;
    /// Values are bytes, not text.
    "load/binary-values" [] catches [ValuesAreText, NamesFoldCase] => load::binary_values;
    /// An empty value is a value.
    "load/empty-values" [] catches [EmptyValuesVanish] => load::empty_values;
    /// A value of 1 MiB comes back complete.
    "load/large-values" [] catches [LargeValuesCut] => load::large_values;
    /// Names of values are exact: case, spaces, NUL, any length up to 128 bytes.
    "load/names-are-exact" [] catches [NamesFoldCase] => load::names_are_exact;

    /// The id of a live session is never overwritten: `Occupied`, and nothing changes.
    "create/rejects-live-duplicate" [] catches [CreateOverwrites] => create::rejects_live_duplicate;
    /// Another writer with the same version number is not a repetition: `Occupied`.
    "create/tells-writers-apart" [] catches [CreateOverwrites, CreateIgnoresNonce] => create::tells_writers_apart;
    /// The id of an expired session is free.
    "create/replaces-expired-duplicate" [] catches [ExpiredOccupies] => create::replaces_expired_duplicate;
    /// The same `create` again is `Created` again, and nothing changes.
    "create/repeat-is-created" [] catches [CreateRepeatOccupied] => create::repeat_is_created;
    /// A `create` that is repeated late does not take `last_seen` back.
    "create/repeat-keeps-a-later-touch" []
        catches [CreateRepeatOccupied, CreateRepeatRewrites, TouchBumpsVersion]
        => create::repeat_keeps_a_later_touch;
    /// The same login again is `Created` again, although the session it replaces is gone by then.
    "create/repeat-of-a-login-is-created" []
        catches [CreateRepeatOccupied, ReplacesCheckedFirst, ReplaceLeavesOtherShard]
        => create::repeat_of_a_login_is_created;
    /// The same login again neither counts itself nor evicts itself.
    "create/repeat-at-the-limit-is-created" []
        catches [CreateRepeatOccupied, LimitCountsItself]
        => create::repeat_at_the_limit_is_created;
    /// Of 64 tasks that create the same id at once, one wins, and its record is the one that is stored.
    "create/race-has-one-winner" []
        catches [CreateOverwrites, CreateIgnoresNonce, CreateNotAtomic]
        => create::race_has_one_winner;
    /// Sessions of one user are separate records.
    "create/sessions-are-independent" [] catches [UpdateHitsAllOfUser] => create::sessions_of_a_user_are_independent;

    /// Login moves a visitor to a session in the shard of the user: one is gone, the other there.
    "replace/across-shards" [] catches [ReplaceLeavesOtherShard] => replace::across_shards;
    /// Login in exchange for a session of the same user: one is gone, the other there.
    "replace/within-a-shard" [] catches [ReplaceLeavesOwnShard, ReplaceKeepsIndex] => replace::within_a_shard;
    /// Login of another user takes the session out of the index of the first one.
    "replace/another-user" [] catches [ReplaceLeavesOtherShard, ReplaceKeepsIndex] => replace::another_user;
    /// Login in exchange for a session that was changed meanwhile is `ReplacedChanged`, and nothing changes.
    "replace/changed-is-refused" []
        catches [ReplaceIgnoresVersion, ListShowsVisitors, ListUnknownFails]
        => replace::changed_is_refused;
    /// Login in exchange for a session that is not there is `ReplacedAbsent`, and nothing changes.
    "replace/absent-is-refused" [] catches [ReplaceIgnoresAbsence, ListUnknownFails] => replace::absent_is_refused;
    /// To a login in exchange, an expired session is absent.
    "replace/expired-is-absent" []
        catches [ReplaceIgnoresAbsence, ReplaceAcceptsExpired]
        => replace::expired_is_absent;
    /// A login that the limit refuses leaves the session it would have replaced.
    "replace/refused-by-the-limit-keeps-the-old" []
        catches [ReplaceBeforeLimit, RejectStores, ListShowsVisitors]
        => replace::refused_by_the_limit_keeps_the_old;
    /// A login whose session to replace was changed evicts nobody.
    "replace/refused-evicts-nobody" []
        catches [ReplaceIgnoresVersion, EvictsBeforeReplace]
        => replace::refused_evicts_nobody;
    /// The session that is replaced does not count towards the limit.
    "replace/replaced-does-not-count" []
        catches [ReplaceLeavesOwnShard, ReplaceKeepsIndex, LimitCountsReplaced]
        => replace::replaced_does_not_count;
    /// Of 16 logins at once in exchange for the same visitor's session, one wins.
    "replace/race-across-shards" []
        catches [ReplaceLeavesOtherShard, ReplaceIgnoresAbsence, ReplaceNotAtomic]
        => replace::race_across_shards;
    /// Of 16 logins at once in exchange for the same session of the user, one wins.
    "replace/race-within-a-shard" []
        catches [ReplaceLeavesOwnShard, ReplaceKeepsIndex, ReplaceIgnoresAbsence, ReplaceNotAtomic]
        => replace::race_within_a_shard;
    /// Of a login and an update that expect the same version, exactly one succeeds.
    "replace/login-and-update-exclude-each-other" []
        catches [
            ReplaceLeavesOtherShard, ReplaceIgnoresVersion, ReplaceNotAtomic, UpdateInserts, UpdateNotAtomic,
            UpdateLockedPerHandle
        ]
        => replace::login_and_update_exclude_each_other;

    /// The session that began first has to go, whenever it was used.
    "limit/evicts-oldest" [] catches [EvictOldestByUse] => evict::evicts_oldest;
    /// The session that was used least recently has to go, whenever it began.
    "limit/evicts-least-recent" []
        catches [EvictLeastRecentByAge, EvictLeastRecentOffByOne]
        => evict::evicts_least_recent;
    /// Among sessions that began at once, the one with the lowest id has to go.
    "limit/ties-among-oldest" [] catches [OldestTiesReversed] => evict::ties_among_oldest;
    /// Among sessions that were used at once, the one with the lowest id has to go.
    "limit/ties-among-least-recent" []
        catches [LeastRecentTiesReversed, EvictLeastRecentOffByOne]
        => evict::ties_among_least_recent;
    /// A touch counts as use.
    "limit/touch-changes-the-order" []
        catches [EvictLeastRecentByAge, LimitIgnoresTouch, EvictLeastRecentOffByOne]
        => evict::touch_changes_the_order;
    /// An update with a later `last_seen` counts as use.
    "limit/update-changes-the-order" []
        catches [
            EvictLeastRecentByAge, LimitIgnoresUpdate, EvictLeastRecentOffByOne, UpdateKeepsLastSeen,
            IndexAppends
        ]
        => evict::update_changes_the_order;
    /// The session that was just admitted stays, even if the clock of its server is behind.
    "limit/never-evicts-the-new-one" [] catches [EvictsNewest] => evict::never_evicts_the_new_one;
    /// Under a lowered limit, one login evicts as many as are too many.
    "limit/lowered-evicts-several" []
        catches [EvictOldestByUse, EvictsOneAtMost, EvictedNotReported, EvictedStay]
        => evict::lowered_evicts_several;
    /// A login that is refused changes nothing.
    "limit/reject-changes-nothing" [] catches [RejectStores] => limit::reject_changes_nothing;
    /// A limit of N admits N.
    "limit/room-is-used" [] catches [EvictLeastRecentOffByOne] => limit::room_is_used;
    /// Expired sessions do not count.
    "limit/expired-do-not-count" [] catches [LimitCountsExpired] => limit::expired_do_not_count;
    /// Sessions of others, and anonymous ones, neither count nor go.
    "limit/others-do-not-count" []
        catches [LimitCountsVisitors, UserIsPrefix, UserFoldsCase]
        => limit::others_do_not_count;
    /// Anonymous sessions have no limit.
    "limit/ignored-for-visitors" [] catches [LimitsVisitors] => limit::ignored_for_visitors;
    /// Sessions of every kind count.
    "limit/counts-every-kind" [] catches [LimitPerKind] => limit::counts_every_kind;
    /// Logout and revocation make room at once.
    "limit/logout-makes-room" [] catches [LimitForgetsLogout] => limit::logout_makes_room;
    /// After K logins at once under an evicting limit of N, exactly N live, and the others are reported.
    "limit/evicting-holds-under-concurrent-logins" []
        catches [EvictLeastRecentOffByOne, LimitNotAtomic, IndexNotAtomic]
        => limit_race::evicting_holds;
    /// Of K logins at once under a rejecting limit of N, exactly N are admitted.
    "limit/rejecting-holds-under-concurrent-logins" []
        catches [RejectStores, LimitNotAtomic, IndexNotAtomic]
        => limit_race::rejecting_holds;
    /// Devices that log in again at once, at the limit, do not evict each other.
    "limit/repeated-logins-keep-every-device" []
        catches [ReplaceLeavesOwnShard, LimitCountsReplaced, ReplaceNotAtomic]
        => limit_race::repeated_logins_keep_every_device;
    /// The limit holds under logins at once on two nodes.
    "limit/holds-across-nodes" [Shared]
        catches [LimitNotAtomic, LimitLockedPerHandle, IndexNotAtomic, HandleIndex, OpenStartsEmpty]
        => limit_race::holds_across_nodes;
}

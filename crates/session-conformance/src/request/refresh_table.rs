//! Cases of refresh tokens; and those of whole requests that hold for them as they do for cookies.

use super::app::App;
use super::node::Node;
use super::{devices, lifetime, limits, races, refresh, refresh_reuse};
use crate::table::cases;

cases! {
    pub(super) const CASES;

    /// A refresh token is replaced at each use, in two store calls; the session stays the same.
    "refresh/replaced-at-each-use" [] catches [IndexAppends] => refresh::replaced_at_each_use;
    /// Of 64 simultaneous uses of a refresh token, on one node and on two, one replaces it, and all get the same one.
    "refresh/many-at-once-one-rotates" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => races::one_rotates;
    /// The same with a handle of its own on each of two nodes.
    "refresh/many-at-once-on-two-handles" [Shared] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst,
        OpenStartsEmpty,
    ] => races::one_rotates_on_two_handles;
    /// Inside the grace, a refresh token gets the identical successor, however often.
    "refresh/replay-gets-the-same-successor" [] => refresh::replay_gets_the_same_successor;
    /// Replays do not move the grace.
    "refresh/replay-does-not-move-the-grace" [] => refresh_reuse::replay_does_not_move_the_grace;
    /// A refresh token used after its grace ends the session, for everybody, and no other one.
    "refresh/reuse-ends-the-session" [] catches [DeleteKeepsIndex, DeleteTakesSiblings, IndexAppends]
        => refresh_reuse::ends_the_session;
    /// The same with a handle of its own on each of two nodes.
    "refresh/reuse-ends-it-on-every-handle" [Shared] catches [
        DeleteKeepsIndex, DeleteTakesSiblings, HandleIndex, DeleteStaysInHandle, OpenStartsEmpty,
    ] => refresh_reuse::ends_the_session_on_every_handle;
    /// A session that ended by reuse is dead after a restart of the app, and the others live.
    "refresh/reuse-outlives-a-restart" [Durable] catches [
        DeleteKeepsIndex, DeleteTakesSiblings, HandleIndex, DeleteStaysInHandle, OpenStartsEmpty,
    ] => refresh_reuse::outlives_a_restart;
    /// Without a grace, every second use is reuse.
    "refresh/without-grace-no-second-use" [] => refresh_reuse::without_a_grace_no_second_use;
    /// A token two generations old is reuse, although the clock stands still or goes back.
    "refresh/order-decides-and-not-time" [] => refresh_reuse::order_decides_and_not_time;
    /// Restarts between rotations cause neither a false reuse nor a second successor.
    "refresh/restarts-are-no-reuse" [Durable] catches [OpenStartsEmpty] => refresh::restarts_are_no_reuse;
    /// Nodes that take turns cause neither a false reuse nor a second successor.
    "refresh/nodes-may-take-turns" [] catches [RevokeSparesRefresh]
        => |env| async move { refresh::nodes_may_take_turns(&env, Node::standard(&env).await?).await };
    /// The same with a handle of its own on each of two nodes.
    "refresh/handles-may-take-turns" [Shared] catches [RevokeSparesRefresh, HandleCaches, OpenStartsEmpty]
        => |env| async move { refresh::nodes_may_take_turns(&env, Node::with_own_handle(&env).await?).await };
    /// A store that fails is an error, and the token is as good as before.
    "refresh/store-down-is-an-error" [] => refresh::store_down_is_an_error;
    /// After a rotation that was stored and whose answer got lost, the client gets the successor when it asks again.
    "refresh/lost-answer-is-made-good" [] => refresh::lost_answer_is_made_good;
    /// The same with replies of the servers that get lost; a revocation whose reply got lost can be repeated.
    "refresh/lost-reply-is-made-good" [LostReply] catches [
        service LostReplyLooksAbsent, service LostReplyUndone, service LostReplyShiftsAnswers,
    ] => refresh::lost_reply_is_made_good;
    /// After a revocation no token of the session works, whatever a refresh at the same time does.
    "refresh/revocation-wins" [] catches [
        UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, DeleteKeepsIndex,
        DeleteTakesSiblings, RevokedStayHidden, RevokeSparesRefresh, RevokeIgnoresKeep, RevokeReportsOne,
    ] => |env| async move { races::revocation_wins(&env, Node::standard(&env).await?).await };
    /// The same with a handle of its own on each of two nodes.
    "refresh/revocation-wins-on-two-handles" [Shared] catches [
        UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, DeleteKeepsIndex,
        DeleteTakesSiblings, RevokedStayHidden, RevokeSparesRefresh, RevokeIgnoresKeep, RevokeReportsOne,
        DeleteStaysInHandle, OpenStartsEmpty,
    ] => |env| async move { races::revocation_wins(&env, Node::with_own_handle(&env).await?).await };
    /// A refresh that was under way when its session ended gets nothing, and does not bring it back.
    "refresh/late-refresh-revives-nothing" [] catches [
        UpdateInserts, RevokeSparesRefresh, RevokeIgnoresKeep, RevokeReportsOne,
    ] => races::late_refresh_revives_nothing;
    /// Tokens that are made up, malformed, or of another tenant are refused and change nothing.
    "refresh/garbage-changes-nothing" [] catches [LoadUnknownFails, TenantsShare]
        => refresh_reuse::garbage_changes_nothing;
    /// The token of a cookie is no refresh token.
    "refresh/cookie-is-no-refresh-token" [] => refresh_reuse::cookie_is_no_refresh_token;
    /// A refresh token is no cookie.
    "refresh/refresh-token-is-no-cookie" [] catches [IndexAppends] => refresh_reuse::refresh_token_is_no_cookie;
    /// Any token of a session logs out, also one that was used up.
    "refresh/any-token-logs-out" [] catches [DeleteKeepsIndex] => refresh_reuse::any_token_logs_out;
    /// The session limit counts sessions of both kinds.
    "refresh/limit-counts-both-kinds" [] catches [LimitPerKind] => races::limit_counts_both_kinds;
    /// A revocation of all ends sessions of both kinds.
    "refresh/revocation-ends-both-kinds" [] catches [RevokeSparesRefresh, RevokeReportsOne]
        => races::revocation_ends_both_kinds;

    /// As `request/idle-deadline-is-exact`.
    "refresh/idle-deadline-is-exact" [] catches [ExpiresEarly] => lifetime::idle_deadline_is_exact::<App>;
    /// As `request/absolute-deadline-stands-still`.
    "refresh/absolute-deadline-stands-still" [] catches [UpdateKeepsLastSeen, ExpiresEarly]
        => lifetime::absolute_deadline_stands_still::<App>;
    /// As `request/backward-clock-extends-nothing`.
    "refresh/backward-clock-extends-nothing" [] catches [ExpiresEarly]
        => lifetime::backward_clock_extends_nothing::<App>;
    /// A session that is to be remembered lives for the timeouts of "remember me".
    "refresh/remembered-lives-longer" [] catches [UpdateKeepsLastSeen, ExpiresEarly, ThirtyTwoBits]
        => lifetime::remembered_lives_longer;
    /// As `request/tightened-policy-applies`.
    "refresh/tightened-policy-applies" [] catches [IndexAppends] => lifetime::tightened_policy_applies::<App>;
    /// As `request/loosened-policy-is-for-new-sessions`.
    "refresh/loosened-policy-is-for-new-sessions" [] => lifetime::loosened_policy_is_for_new_sessions::<App>;
    /// As `request/activity-moves-the-idle-deadline`: a refresh is activity.
    "refresh/activity-moves-the-idle-deadline" [] catches [UpdateKeepsLastSeen]
        => lifetime::activity_moves_the_idle_deadline::<App>;

    /// As `request/login-evicts-the-oldest`.
    "refresh/login-evicts-the-oldest" [] catches [EvictOldestByUse] => limits::evicts_the_oldest::<App>;
    /// As `request/login-evicts-the-least-recent`.
    "refresh/login-evicts-the-least-recent" [] catches [
        EvictLeastRecentByAge, LimitIgnoresUpdate, EvictLeastRecentOffByOne, UpdateKeepsLastSeen, IndexAppends,
    ] => limits::evicts_the_least_recent::<App>;
    /// As `request/login-over-the-limit-is-rejected`.
    "refresh/login-over-the-limit-is-rejected" [] catches [
        ReplaceLeavesOwnShard, ReplaceKeepsIndex, LimitCountsReplaced, RejectStores, LimitForgetsLogout,
        DeleteKeepsIndex, DeleteTakesSiblings, IndexAppends,
    ] => limits::rejects::<App>;
    /// As `request/expired-do-not-count`.
    "refresh/expired-do-not-count" [] catches [LimitCountsExpired] => limits::expired_ones_do_not_count::<App>;
    /// As `request/dead-by-policy-do-not-count`.
    "refresh/dead-by-policy-do-not-count" [] catches [RejectStores, LimitForgetsLogout]
        => limits::dead_by_policy_does_not_count::<App>;
    /// As `request/limit-holds-under-simultaneous-logins`.
    "refresh/limit-holds-under-simultaneous-logins" [] catches [
        EvictLeastRecentOffByOne, RejectStores, LimitNotAtomic, IndexNotAtomic,
    ] => limits::holds_under_simultaneous_logins::<App>;
    /// As `request/failed-login-evicts-nobody`.
    "refresh/failed-login-evicts-nobody" [] => limits::failed_login_evicts_none::<App>;

    /// As `request/list-shows-own-devices`.
    "refresh/list-shows-own-devices" [] catches [
        LoadDropsDevice, UpdateKeepsLastSeen, TouchSkipsList, ListDropsDevice, IndexAppends,
    ] => devices::list_shows_own_devices::<App>;
    /// As `request/revoked-is-dead-at-the-next-request`.
    "refresh/revoked-is-dead-at-the-next-refresh" [] catches [
        DeleteAlwaysDeleted, DeleteUnknownFails, DeleteTakesSiblings,
    ] => devices::revoked_is_dead_at_the_next_request::<App>;
    /// As `request/only-the-owner-may-revoke`.
    "refresh/only-the-owner-may-revoke" [] catches [DeleteIgnoresOwner, DeleteAlwaysDeleted]
        => devices::only_the_owner_may_revoke::<App>;
    /// As `request/revoking-the-others-keeps-this-one`.
    "refresh/revoking-the-others-keeps-this-one" [] catches [RevokeSparesRefresh, RevokeIgnoresKeep, RevokeReportsOne]
        => devices::revoking_the_others_keeps_this_one::<App>;
    /// As `request/revoking-all-ends-all`.
    "refresh/revoking-all-ends-all" [] catches [
        UpdateInserts, IndexAppends, RevokedStayHidden, RevokeSparesRefresh, RevokeReportsOne,
    ] => devices::revoking_all_ends_all::<App>;
}

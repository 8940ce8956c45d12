//! Cases of whole requests: limits, failures, devices, events and secrets.

use crate::request::browser::Browser;
use crate::request::{devices, events, limits, outage, secrets};
use crate::table::cases;

cases! {
    pub(super) const CASES;

    /// At the limit, a login ends the session that began first.
    "request/login-evicts-the-oldest" [] catches [EvictOldestByUse] => limits::evicts_the_oldest::<Browser>;
    /// At the limit, a login ends the session that was used least recently, if the policy says so.
    "request/login-evicts-the-least-recent" [] catches [
        EvictLeastRecentByAge, LimitIgnoresTouch, EvictLeastRecentOffByOne,
    ] => limits::evicts_the_least_recent::<Browser>;
    /// At the limit, a login is rejected and changes nothing, if the policy says so; what it replaces does not count.
    "request/login-over-the-limit-is-rejected" [] catches [
        ReplaceLeavesOwnShard, ReplaceKeepsIndex, ReplaceBeforeLimit, LimitCountsReplaced, RejectStores,
        LimitCountsAnonymous, LimitForgetsLogout, DeleteKeepsIndex, DeleteTakesSiblings,
    ] => limits::rejects::<Browser>;
    /// Expired sessions do not count towards the limit.
    "request/expired-do-not-count" [] catches [LimitCountsExpired] => limits::expired_ones_do_not_count::<Browser>;
    /// Sessions that a tightened policy ended do not count towards the limit.
    "request/dead-by-policy-do-not-count" [] catches [RejectStores, LimitForgetsLogout]
        => limits::dead_by_policy_does_not_count::<Browser>;
    /// After 16 simultaneous logins, as many sessions live as the limit allows.
    "request/limit-holds-under-simultaneous-logins" [] catches [
        EvictLeastRecentOffByOne, RejectStores, LimitCountsAnonymous, LimitNotAtomic, ListShowsAnonymous,
        IndexNotAtomic,
    ] => limits::holds_under_simultaneous_logins::<Browser>;
    /// Only a login that succeeds ends other sessions.
    "request/failed-login-evicts-nobody" [] => limits::failed_login_evicts_none::<Browser>;

    /// A session that cannot be read is an error: not "logged out", no new session, no change of the cookie.
    "request/unreadable-is-not-logged-out" [] => outage::unreadable_is_not_logged_out;
    /// A store that answers with another session is an error.
    "request/another-record-is-an-error" [] => outage::another_record_is_an_error;
    /// A store that does not answer within the store timeout is an error.
    "request/hanging-store-times-out" [] => outage::hanging_store_times_out;
    /// What could not be committed is an error and sets no cookie.
    "request/uncommitted-sets-no-cookie" [] => outage::uncommitted_sets_no_cookie;
    /// A logout whose end is not known is an error, and safe to repeat.
    "request/logout-can-be-repeated" [] => outage::logout_can_be_repeated;
    /// A write whose answer got lost is an error, and the session lives on.
    "request/lost-answer-keeps-the-session" [] => outage::lost_answer_keeps_the_session;
    /// A login that was committed during the request reaches the browser, although the store fails later.
    "request/committed-login-keeps-its-cookie" [] => outage::committed_login_keeps_its_cookie;

    /// The list of sessions shows the user's own, with their devices, most recently used first.
    "request/list-shows-own-devices" [] catches [TouchSkipsList, ListDropsDevice]
        => devices::list_shows_own_devices::<Browser>;
    /// A session that was revoked is dead at its next request.
    "request/revoked-is-dead-at-the-next-request" [] catches [
        DeleteAlwaysDeleted, DeleteUnknownFails, DeleteTakesSiblings,
    ] => devices::revoked_is_dead_at_the_next_request::<Browser>;
    /// Nobody can revoke somebody else's session.
    "request/only-the-owner-may-revoke" [] catches [DeleteIgnoresOwner, DeleteAlwaysDeleted]
        => devices::only_the_owner_may_revoke::<Browser>;
    /// Revoking all others keeps the current session.
    "request/revoking-the-others-keeps-this-one" [] catches [RevokeIgnoresKeep, RevokeReportsOne]
        => devices::revoking_the_others_keeps_this_one::<Browser>;
    /// Revoking all sessions ends all of the user and nobody else's; the user can log in again.
    "request/revoking-all-ends-all" [] catches [UpdateInserts, RevokedStayHidden, RevokeReportsOne]
        => devices::revoking_all_ends_all::<Browser>;
    /// What one node revokes, regenerates or writes, another node sees at the next request.
    "request/revoked-on-one-node-is-dead-on-another" [] => devices::revoked_on_one_node_is_dead_on_another;
    /// The same with a handle of its own on each node.
    "request/handles-of-one-store-are-nodes" [Shared] catches [HandleCaches, DeleteStaysInHandle, OpenStartsEmpty]
        => devices::handles_of_one_store_are_nodes;

    /// Each transition of a session is reported exactly once; reads and writes are not.
    "request/each-transition-is-one-event" [] catches [DeleteAlwaysDeleted, DeleteUnknownFails, IndexAppends]
        => events::each_transition_is_one_event;
    /// Every refusal is reported exactly once, as what it was.
    "request/every-refusal-is-an-event" [] catches [LoadUnknownFails] => events::every_refusal_is_an_event;
    /// The loser of a renewal race is reported as such, and reuse of a token as reuse.
    "request/race-and-reuse-are-events" [] => events::race_and_reuse_are_events;
    /// A broken audit sink cannot prevent a logout.
    "request/broken-audit-sink-blocks-nothing" [] catches [DeleteKeepsIndex] => events::broken_sink_blocks_nothing;

    /// No part of a token but the id is stored.
    "request/store-never-sees-a-token" [] => secrets::store_never_sees_a_token;
    /// Neither `Debug` output nor an error shows a token, an id or a user.
    "request/nothing-shows-a-secret" [] catches [DebugShowsUsers] => secrets::nothing_shows_a_secret;
}

//! Cases of whole requests with a cookie.

use super::browser::Browser;
use super::node::Node;
use super::{cookies, devices, events, fixation, lifetime, limits, outage, races, renewal};
use crate::table::cases;

cases! {
    pub(super) const CASES;

    /// A request without cookie that only reads costs no store call and gets no cookie.
    "request/no-cookie-costs-nothing" [] => cookies::no_cookie_costs_nothing;
    /// A request that does not ask for its session costs no store call, whatever its cookie.
    "request/nobody-asks-nothing-is-loaded" [] => cookies::not_loaded_unless_asked_for;
    /// A token has one spelling. Anything else is refused before the store is asked, and the cookie left alone.
    "request/malformed-token-costs-nothing" [] => cookies::malformed_costs_nothing;
    /// Two cookies of different users, of a name that a subdomain can set, are nobody's session, in whatever order they come.
    "request/two-different-cookies-are-nobodys" [] => cookies::two_different_cookies_are_ambiguous;
    /// Of two live sessions whose cookies only their host can have set, the later login counts, and a logout ends both.
    "request/of-two-cookies-the-later-login-counts" [] => cookies::of_two_cookies_the_later_login_counts;
    /// The cookie is found in any `Cookie` header, among others, and twice with the same value.
    "request/cookie-is-found-in-any-header" [] => cookies::found_in_any_header;
    /// A cookie whose name differs in case is another cookie.
    "request/cookie-name-is-case-sensitive" [] => cookies::name_is_case_sensitive;
    /// A token that belongs to no session stores nothing, and its cookie is left alone.
    "request/unknown-token-is-left-alone" [] catches [LoadUnknownFails] => cookies::unknown_token_is_left_alone;
    /// A token that a client made up is never adopted: the session it leads to has another id and another token.
    "request/client-cannot-choose-the-id" [] catches [LoadUnknownFails] => cookies::client_cannot_choose_the_id;
    /// Whoever knows the id of a session can do nothing to it.
    "request/public-id-is-no-weapon" [] => cookies::public_id_is_no_weapon;
    /// Tokens that are unknown, expired, ended, forged or replaced look the same to the client.
    "request/dead-tokens-look-alike" [] catches [LoadUnknownFails] => cookies::dead_tokens_look_alike;
    /// A token of another tenant belongs to no session.
    "request/other-tenants-token-is-unknown" [] catches [LoadUnknownFails, TenantsShare]
        => cookies::other_tenants_token_is_unknown;

    /// A request that only reads costs one store call and sets no cookie.
    "request/reading-sets-no-cookie" [] => cookies::reading_sets_no_cookie;
    /// Every response after the session was consulted has `Vary: Cookie`.
    "request/consulted-means-vary" [] => cookies::consulted_means_vary;
    /// Responses to a logged-in user are `private, no-store`, and so are those to logouts; others are not.
    "request/authenticated-is-uncached" [] => cookies::authenticated_is_uncached;
    /// A session that holds nothing is not stored and gets no cookie.
    "request/empty-session-is-not-stored" [] => cookies::empty_session_is_not_stored;
    /// The cookie of a login is `__Host-`, `Secure`, `HttpOnly`, `SameSite`, `Path=/`, and ends with the browser.
    "request/cookie-attributes" [] => cookies::attributes;
    /// A logout removes the cookie from the browser, however the cookie is configured.
    "request/removal-matches-every-attribute" [] => cookies::removal_matches_every_attribute;
    /// A late response to a stale request leaves the cookie of a login alone.
    "request/stale-response-keeps-a-newer-cookie" [] => cookies::stale_response_keeps_a_newer_cookie;
    /// Changing a session after the response is an error, not a silent loss.
    "request/late-write-is-an-error" [] => cookies::late_write_is_an_error;
    /// Requests that are under way at the same time never see each other's session.
    "request/requests-share-no-session-object" [] => cookies::requests_share_no_session_object;

    /// After a login, the cookie from before it never works again.
    "request/fixation" [] catches [ReplaceLeavesOtherShard, HandleCaches] => fixation::cookie_from_before_is_dead;
    /// Of the values of a visitor, a login carries over those that it names, and no others.
    "request/login-carries-over-what-is-named" [] => fixation::carries_over_what_is_named;
    /// A login carries over what another request wrote at the same time.
    "request/login-keeps-a-parallel-write" [] catches [ReplaceIgnoresVersion] => fixation::login_keeps_a_parallel_write;
    /// A login of another user carries over nothing and ends the first user's session.
    "request/another-user-gets-nothing" [] catches [ReplaceLeavesOtherShard, ReplaceKeepsIndex, HandleCaches]
        => fixation::another_user_gets_nothing;
    /// A second login of the same user has a new id and a new token, and ends the session before it.
    "request/same-user-again-gets-a-new-id" [] catches [ReplaceLeavesOwnShard, ReplaceKeepsIndex, HandleCaches]
        => fixation::same_user_again_gets_a_new_id;
    /// A request that was under way during a login can write neither to the old session nor to the new one.
    "request/login-shuts-out-requests-in-flight" [] catches [ReplaceLeavesOtherShard, UpdateInserts]
        => fixation::request_in_flight_cannot_write;
    /// A handler that fails after a login leaves a valid session, and the browser has its cookie.
    "request/handler-error-keeps-the-login" [] => fixation::handler_error_keeps_the_login;
    /// A login that is dropped at any await takes no place: the session from before it is left, or none.
    "request/login-dropped-anywhere" [] catches [DeleteKeepsIndex] => fixation::dropped_anywhere;
    /// A login that the store refused leaves the session from before it, and sets no cookie.
    "request/failed-login-keeps-the-session" [] catches [ListShowsAnonymous, ListUnknownFails]
        => fixation::failed_login_keeps_the_session;
    /// A new session whose id is taken gets another one; the session that has it is left alone.
    "request/taken-id-is-left-alone" [] catches [CreateOverwrites, CreateIgnoresNonce]
        => fixation::taken_id_is_left_alone;
    /// Without random numbers there is no session: no store call, no cookie, an error.
    "request/no-random-no-session" [] => fixation::no_random_no_session;

    /// A logout stays a logout, whatever a slow writer does, in each of 20 rounds.
    "request/logout-stays-logout" [] catches [
        UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, DeleteKeepsIndex,
    ] => races::logout_stays_logout;
    /// A request that writes to a session that ended meanwhile gets `Gone`, and no new session.
    "request/slow-writer-gets-gone" [] catches [UpdateInserts] => races::slow_writer_gets_gone;
    /// A request that only read a session that ended meanwhile does not bring it back, and is no error.
    "request/slow-reader-revives-nothing" [] catches [TouchInserts, DeleteKeepsIndex]
        => races::slow_reader_revives_nothing;
    /// A logout removes the cookie, and a copy of it is worth nothing.
    "request/logout-kills-the-old-cookie" [] catches [DeleteKeepsIndex] => races::logout_kills_the_old_cookie;
    /// A logout without a session writes nothing, creates nothing, and leaves the cookie alone.
    "request/logout-of-nobody-does-nothing" [] => races::logout_without_a_session_is_a_no_op;
    /// No value survives a logout; what is set after it belongs to a new, anonymous session.
    "request/logout-keeps-no-data" [] catches [ReplaceLeavesOtherShard, HandleCaches] => races::logout_keeps_no_data;
    /// The end of a session that a login has replaced meanwhile leaves the cookie of that login alone.
    "request/stale-logout-keeps-a-newer-login" [] catches [
        ReplaceLeavesOtherShard, DeleteAlwaysDeleted, DeleteUnknownFails,
    ] => races::stale_logout_keeps_a_newer_login;
    /// Simultaneous writers of different keys never overwrite each other.
    "request/different-keys-both-survive" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateMergesValues]
        => races::different_keys_both_survive;
    /// 64 simultaneous increments, on two nodes, add up to 64.
    "request/every-increment-counts" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => races::every_increment_counts;
    /// Of two writers of one key, the later commit wins.
    "request/same-key-later-commit-wins" [] catches [UpdateIgnoresNonce] => races::same_key_later_commit_wins;
    /// Of two writers of one key, the later commit fails, if the policy says so.
    "request/same-key-may-be-an-error" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => races::same_key_may_be_an_error;
    /// A write that began before a privilege was taken away does not give it back.
    "request/stale-write-restores-no-privilege" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateMergesValues,
    ] => races::stale_write_restores_no_privilege;

    /// A session lives until its idle deadline, and no millisecond longer.
    "request/idle-deadline-is-exact" [] => lifetime::idle_deadlines_are_exact;
    /// A session ends at its absolute deadline, whatever its activity.
    "request/absolute-deadline-stands-still" [] catches [TouchKeepsDeadline]
        => lifetime::absolute_deadline_stands_still::<Browser>;
    /// A clock that jumps back never extends a session past its absolute deadline.
    "request/backward-clock-extends-nothing" [] => lifetime::backward_clock_extends_nothing::<Browser>;
    /// The server ends a session on time, although the browser keeps its cookie.
    "request/kept-cookie-expires-all-the-same" [] => lifetime::kept_cookie_expires_all_the_same;
    /// "Remember me" survives the end of the browser and later writes, for exactly the remaining absolute lifetime.
    "request/remember-me-outlives-writes" [] catches [UpdateKeepsLastSeen, TouchKeepsDeadline, ThirtyTwoBits]
        => lifetime::remember_me_outlives_writes;
    /// A policy that is tightened applies to sessions that exist already.
    "request/tightened-policy-applies" [] => lifetime::tightened_policy_applies::<Browser>;
    /// A policy that is loosened does not lengthen sessions that exist already.
    "request/loosened-policy-is-for-new-sessions" [] => lifetime::loosened_policy_is_for_new_sessions::<Browser>;
    /// Activity is recorded when it is due: one store call more, at most once per touch interval.
    "request/touched-when-due" [] => lifetime::touched_when_due;
    /// Reading keeps a session alive.
    "request/activity-moves-the-idle-deadline" [] catches [TouchKeepsDeadline]
        => lifetime::activity_moves_the_idle_deadline::<Browser>;
    /// A passive request does not keep a session alive.
    "request/passive-is-no-activity" [] => lifetime::passive_is_no_activity;
    /// A request that only read a session that expired meanwhile is no error; one that wrote gets `Gone`.
    "request/deadline-during-a-read-is-no-error" [] => lifetime::deadline_during_a_read_is_no_error;
    /// A value over the payload cap is an error, and what was stored stays.
    "request/over-the-cap-loses-nothing" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => lifetime::over_the_cap_loses_nothing;
    /// A value that cannot be decoded is an error, and is left as it is.
    "request/undecodable-value-is-left-alone" [] => lifetime::undecodable_value_is_left_alone;

    /// After a regeneration the old token is dead, also for requests under way. The id and the values stay.
    "request/regenerate-kills-the-old-token" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => fixation::regenerate_kills_the_old_token;
    /// A step-up has a new token, a higher level and a new time of authentication, and keeps the values.
    "request/step-up-keeps-the-data" [] catches [TouchDropsValues] => fixation::step_up_keeps_the_data;
    /// A step-up of another user is refused, and neither raises nor ends the session.
    "request/wrong-user-changes-nothing" [] => fixation::wrong_user_changes_nothing;
    /// A guard that reads the session once more sees a revocation since the request began.
    "request/guard-reads-the-store" [] => fixation::guard_reads_the_store;

    /// A token is renewed when it is due; id, values and beginning of the session stay.
    "request/renewed-when-due" [] catches [TouchDropsValues] => renewal::renewed_when_due;
    /// Inside the grace, the predecessor gets the identical successor, however often.
    "request/replay-gets-the-same-successor" [] => renewal::replay_gets_the_same_successor;
    /// Tabs that renew at the same time all get the same token.
    "request/tabs-cannot-fork" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => renewal::tabs_cannot_fork;
    /// Responses that get lost or overtake each other do not cost the session.
    "request/responses-may-overtake-each-other" [] => renewal::responses_may_overtake_each_other;
    /// The first use of the successor ends the grace; the loser is refused, and keeps its cookie.
    "request/first-use-ends-the-grace" [] => renewal::first_use_ends_the_grace;
    /// A token used after its grace ends the session, for everybody.
    "request/reuse-ends-the-session" [] catches [DeleteKeepsIndex]
        => renewal::replay_outside_the_grace_ends_the_session;
    /// Using the predecessor does not extend its grace.
    "request/replay-does-not-extend-the-grace" [] => renewal::replay_does_not_extend_the_grace;
    /// The grace covers the immediate predecessor only.
    "request/grace-is-for-one-generation" [] => renewal::grace_is_for_one_generation;
    /// Inside its grace, the predecessor may read and write.
    "request/predecessor-may-read-and-write" [] => renewal::predecessor_may_read_and_write;
    /// The predecessor may neither log in nor step up nor regenerate; it is given its successor.
    "request/predecessor-may-not-rise" [] catches [IndexAppends] => renewal::predecessor_may_not_rise;
    /// A logout with the predecessor ends the session.
    "request/predecessor-may-log-out" [] catches [DeleteKeepsIndex] => renewal::predecessor_may_log_out;
    /// A write that meets a renewal is stored, and its response has the successor.
    "request/write-survives-a-renewal" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => renewal::write_survives_a_renewal;
    /// A renewal that was under way when its session ended does not bring it back.
    "request/renewal-revives-nothing" [] catches [UpdateInserts] => renewal::renewal_revives_nothing;

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

    /// A session that cannot be read cannot be written: the request fails, and changes no cookie.
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
    "request/revoked-on-one-node-is-dead-on-another" []
        => |env| async move { devices::work_across_nodes(&env, Node::standard(&env).await?).await };
    /// The same with a handle of its own on each node.
    "request/handles-of-one-store-are-nodes" [Shared] catches [HandleCaches, DeleteStaysInHandle, OpenStartsEmpty]
        => |env| async move { devices::work_across_nodes(&env, Node::with_own_handle(&env).await?).await };

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
    "request/store-never-sees-a-token" [] => events::store_never_sees_a_token;
    /// Neither `Debug` output nor an error shows a token, an id or a user.
    "request/nothing-shows-a-secret" [] catches [DebugShowsUsers] => events::nothing_shows_a_secret;
}

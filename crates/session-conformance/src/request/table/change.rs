//! Cases of whole requests: logout and races, deadlines, changes of the token.

use crate::request::browser::Browser;
use crate::request::{lifetime, races, renewal, stepup};
use crate::table::cases;

cases! {
    pub(super) const CASES;

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
        => stepup::regenerate_kills_the_old_token;
    /// A step-up has a new token, a higher level and a new time of authentication, and keeps the values.
    "request/step-up-keeps-the-data" [] catches [TouchDropsValues] => stepup::step_up_keeps_the_data;
    /// A step-up of another user is refused, and neither raises nor ends the session.
    "request/wrong-user-changes-nothing" [] => stepup::wrong_user_changes_nothing;
    /// A guard that reads the session once more sees a revocation since the request began.
    "request/guard-reads-the-store" [] => stepup::guard_reads_the_store;

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
}

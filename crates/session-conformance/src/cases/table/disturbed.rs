//! What happens to the servers of a store, and what is left of the sessions.

use crate::cases::{disturbed, lost_reply, outage};
use crate::table::cases;

cases! {
    pub(crate) const CASES;

    /// A restart of the servers undoes nothing that was acknowledged: no login, no change, no logout.
    "restart/undoes-nothing" [suffers Restart] catches [
        service RestartForgetsSessions, service RestartRevivesLogouts, service RestartForgetsChanges,
    ] => disturbed::restart;
    /// While the servers are down, every operation is an error in time, and none takes effect; then all is as before.
    "outage/is-an-error" [suffers Outage] catches [
        service OutageLooksAbsent, service OutageLooksDone, service OutageHangs, service OutageNeverEnds,
        service OutageEndsSessions,
    ] => outage::down;
    /// While the servers do not answer, every operation is an error in time; then each has taken effect or has not.
    "freeze/is-an-error" [suffers Freeze] catches [
        service FreezeLooksAbsent, service FreezeNeverEnds,
    ] => outage::frozen;
    /// After a lost reply an operation can be repeated, by the store or by its caller: it takes effect once.
    "lost-reply/takes-effect-once" [suffers LostReply] catches [
        service LostReplyLooksAbsent, service LostReplyConflicts, service LostReplyAppliedTwice,
        service LostReplyUndone, service LostReplyShiftsAnswers,
    ] => lost_reply::takes_effect_once;
    /// While replies get lost, an increment that was acknowledged counts once, and one that was not at most once.
    "lost-reply/counts-once" [suffers LostReply] catches [
        service LostReplyLooksAbsent, service LostReplyConflicts,
    ] => lost_reply::counts_once;
    /// Servers that forgot their scripts are taught them again, and nobody notices.
    "scripts/may-be-forgotten" [suffers ForgetScripts] catches [
        service ForgottenScriptsFail,
    ] => disturbed::forgotten_scripts;
    /// The time zone of the database changes nothing.
    "time-zone/does-not-matter" [suffers ForeignTimeZone] catches [
        service TimeZoneShiftsTimes,
    ] => disturbed::foreign_time_zone;
    /// Sessions that move to other servers are found there.
    "shards/may-move" [suffers MoveShards] catches [service MovedShardsVanish] => disturbed::moved_shards;
    /// A failover to replicas that have everything undoes nothing, and all nodes see the same.
    "failover/undoes-nothing" [suffers Failover] catches [
        service FailoverRevivesLogouts, service FailoverSplitsNodes,
    ] => disturbed::failover;
}

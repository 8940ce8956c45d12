//! The table of cases whose servers are disrupted.

use super::{lost_reply, outage, survival};
use crate::service::Disruption;
use crate::table::cases;

cases! {
    pub(super) const CASES;

    /// A restart of the servers undoes nothing that was acknowledged: no login, no change, no logout.
    "restart/undoes-nothing" [Restart] catches [
        service RestartForgetsSessions, service RestartRevivesLogouts, service RestartForgetsChanges,
    ] => |env| survival::survives(env, Disruption::Restart);
    /// While the servers are down, every operation is an error in time, and none takes effect; then all is as before.
    "outage/is-an-error" [Outage] catches [
        service OutageLooksAbsent, service OutageLooksDone, service OutageHangs, service OutageNeverEnds,
        service OutageEndsSessions,
    ] => |env| outage::is_an_error(env, Disruption::Outage);
    /// While the servers do not answer, every operation is an error in time; then each has taken effect or has not.
    "freeze/is-an-error" [Freeze] catches [service FreezeLooksAbsent, service FreezeNeverEnds]
        => |env| outage::is_an_error(env, Disruption::Freeze);
    /// After a lost reply an operation can be repeated, by the store or by its caller: it takes effect once.
    "lost-reply/takes-effect-once" [LostReply] catches [
        service LostReplyLooksAbsent, service LostReplyConflicts, service LostReplyAppliedTwice,
        service LostReplyUndone, service LostReplyShiftsAnswers,
    ] => lost_reply::takes_effect_once;
    /// While replies get lost, an increment that was acknowledged counts once, and one that was not at most once.
    "lost-reply/counts-once" [LostReply] catches [service LostReplyLooksAbsent, service LostReplyConflicts]
        => lost_reply::counts_once;
    /// Servers that forgot their scripts are taught them again, and nobody notices.
    "scripts/may-be-forgotten" [ForgetScripts] catches [service ForgottenScriptsFail]
        => |env| survival::survives(env, Disruption::ForgetScripts);
    /// The time zone of the database changes nothing.
    "time-zone/does-not-matter" [ForeignTimeZone] catches [service TimeZoneShiftsTimes]
        => |env| survival::survives(env, Disruption::ForeignTimeZone);
    /// Sessions that move to other servers are found there.
    "shards/may-move" [MoveShards] catches [service MovedShardsVanish]
        => |env| survival::survives(env, Disruption::MoveShards);
    /// A failover to replicas that have everything undoes nothing, and all nodes see the same.
    "failover/undoes-nothing" [Failover] catches [service FailoverRevivesLogouts, service FailoverSplitsNodes]
        => |env| survival::survives(env, Disruption::Failover);
}

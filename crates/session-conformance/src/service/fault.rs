//! Seeded faults of services that are disturbed.

use crate::fault::faults;

faults! {
    /// One thing that goes wrong when the servers of a correct store are disturbed.
    pub enum ServiceFault {
        /// A restart loses all sessions.
        RestartForgetsSessions,
        /// A restart brings deleted sessions back.
        RestartRevivesLogouts,
        /// A restart takes sessions back to how they were created.
        RestartForgetsChanges,
        /// During an outage, sessions look absent.
        OutageLooksAbsent,
        /// During an outage, writes are acknowledged and not carried out.
        OutageLooksDone,
        /// During an outage, operations never end.
        OutageHangs,
        /// After an outage, nodes do not work any more.
        OutageNeverEnds,
        /// An outage ends the sessions that somebody tried to use.
        OutageEndsSessions,
        /// While the servers do not answer, sessions look absent.
        FreezeLooksAbsent,
        /// After the servers did not answer for a while, nodes do not work any more.
        FreezeNeverEnds,
        /// A session whose record got lost on the way looks absent.
        LostReplyLooksAbsent,
        /// An update whose reply got lost is repeated, and meets itself: a conflict.
        LostReplyConflicts,
        /// An update whose reply got lost is carried out twice.
        LostReplyAppliedTwice,
        /// A deletion whose reply got lost is undone, and reported as done.
        LostReplyUndone,
        /// After a lost reply, each load gets the answer to the one before.
        LostReplyShiftsAnswers,
        /// A server that forgot its scripts is not taught them again.
        ForgottenScriptsFail,
        /// Times are those of the time zone of the database.
        TimeZoneShiftsTimes,
        /// Sessions that moved to another server are not found.
        MovedShardsVanish,
        /// A failover brings deleted sessions back.
        FailoverRevivesLogouts,
        /// After a failover, one node goes on reading from what was the primary.
        FailoverSplitsNodes,
    }
}

//! [`ServiceFault`]: what can go wrong when servers are disrupted.

use super::declare::faults;

faults! {
    /// What goes wrong when the servers of a correct store are disrupted.
    pub enum ServiceFault {
        /// A restart loses all sessions.
        RestartForgetsSessions,
        /// A restart revives deleted sessions.
        RestartRevivesLogouts,
        /// A restart undoes every change since a session was created.
        RestartForgetsChanges,
        /// During an outage, sessions look absent.
        OutageLooksAbsent,
        /// During an outage, writes are acknowledged but not executed.
        OutageLooksDone,
        /// During an outage, operations never return.
        OutageHangs,
        /// After an outage, nodes keep failing.
        OutageNeverEnds,
        /// An outage ends the sessions that were loaded in the meantime.
        OutageEndsSessions,
        /// While the servers are frozen, sessions look absent.
        FreezeLooksAbsent,
        /// After the servers were frozen, nodes keep failing.
        FreezeNeverEnds,
        /// A session looks absent if the reply to its load is lost.
        LostReplyLooksAbsent,
        /// An update whose reply is lost is retried and conflicts with itself.
        LostReplyConflicts,
        /// An update whose reply is lost is applied twice.
        LostReplyAppliedTwice,
        /// A deletion whose reply is lost is undone, but acknowledged.
        LostReplyUndone,
        /// After a lost reply, each load gets the reply to the one before.
        LostReplyShiftsAnswers,
        /// Scripts that a server forgot are not loaded again.
        ForgottenScriptsFail,
        /// Times are read in the time zone of the database.
        TimeZoneShiftsTimes,
        /// Sessions that moved to another server are not found.
        MovedShardsVanish,
        /// A failover revives deleted sessions.
        FailoverRevivesLogouts,
        /// After a failover, one node still reads from the former primary.
        FailoverSplitsNodes,
    }
}

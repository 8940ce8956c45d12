//! Faults above a correct store.

use crate::faults::faults;

faults! {
    /// One rule of handling a request that is broken, above a correct store.
    pub enum RequestFault {
        /// Of several cookies of the session's name, the first counts.
        FirstCookieWins,
        /// Only the first `Cookie` header is read.
        FirstHeaderOnly,
        /// The name of the cookie is matched without regard to case.
        CookieNameIgnoresCase,
        /// A token in quotes is accepted.
        QuotedTokenAccepted,
        /// The session is loaded before anybody asks for it.
        LoadsEagerly,
        /// Every visitor without cookie who asks for a session gets one that is stored.
        VisitorsStored,
        /// A token that does not fit the session it names ends that session.
        ForgedTokenEndsSession,
        /// A token that the client made up gives access to the session stored in its answer.
        PresentedIdAdopted,
        /// Anonymous requests that are under way at the same time share one session object.
        AnonymousSessionShared,
        /// A store that cannot be read counts as "no session".
        StoreErrorIsAnonymous,
        /// A store that fails removes the cookie.
        StoreErrorClearsCookie,
        /// The loser of a race between a token and its predecessor has its cookie removed.
        SupersededClearsCookie,
        /// A token that belongs to no session has its cookie removed.
        UnknownTokenClearsCookie,
        /// Every response repeats the cookie of its request.
        SetCookieOnEveryResponse,
        /// The removal of the cookie does not repeat its attributes.
        BareRemovalCookie,
        /// The cookie is readable by scripts.
        HttpOnlyForgotten,
        /// A persistent cookie always gets the full absolute lifetime.
        MaxAgeRestarts,
        /// `Vary` is set beside `Set-Cookie` only.
        VaryForgotten,
        /// What a handler did is committed only if it succeeds.
        CommitOnlyOnSuccess,
        /// A commit that fails is not noticed.
        CommitErrorIgnored,
        /// Requests with a safe method are not finished.
        GetNotFinished,
        /// A session that ended meanwhile is stored anew under another id.
        GoneIsRecreated,
        /// After a login, a step-up or a regeneration, the earlier token gives access to the new session.
        OldTokenStaysValid,
        /// A new session begins with all values of the one it replaces.
        OldDataKept,
        /// A login first deletes the session it replaces, then creates the new one.
        LoginDeletesFirst,
        /// Room under the session limit is made before it is known whether the login succeeds.
        EvictsBeforeLogin,
        /// A step-up that is refused ends the session.
        RefusedStepUpEndsSession,
        /// A value that cannot be decoded empties the session.
        UndecodableClearsSession,
        /// "Read it once more" is answered from memory.
        ReloadFromMemory,
        /// A node answers loads from memory until it writes something itself.
        NodeCachesLoads,
        /// No session ever expires.
        TimeoutsIgnored,
        /// A session lives up to and including its deadline.
        DeadlineInclusive,
        /// Activity moves the absolute deadline.
        ActivityRestartsAbsolute,
        /// Every request records activity, due or not, active or passive.
        TouchOnEveryRequest,
        /// A new policy does not apply to sessions that exist already.
        PolicyNotTightened,
        /// There is no payload cap.
        PayloadCapIgnored,
        /// The rule for two writers of one key is the other one.
        SameKeyRuleSwapped,
        /// The store may take as long as it likes.
        StoreTimeoutIgnored,
        /// Tokens are never renewed.
        RenewalForgotten,
        /// A renewal leaves its predecessor no grace.
        GraceForgotten,
        /// The grace after a renewal lasts as long as a policy can make it.
        GraceEndless,
        /// The grace after a renewal covers the token before the predecessor too.
        GraceCoversTwoGenerations,
        /// In the grace after a renewal, the predecessor may do all that its successor may, for ever.
        PredecessorIsSuccessor,
        /// The successor of a token is sent to one of the requests that present it only.
        SuccessorSentOnce,
        /// The first use of a successor does not end the grace of its predecessor.
        FirstUseForgotten,
        /// The reuse of a token does not end its session.
        ReuseForgiven,
        /// A refresh token counts as used before its successor is stored.
        UsedBeforeStored,
        /// Only the newest refresh token logs out.
        LogoutNeedsNewest,
        /// A token of one kind passes for one of the other.
        KindIgnored,
        /// Events about the end of sessions get lost.
        EventsLost,
        /// Every event is reported twice.
        EventsTwice,
        /// While the audit sink is broken, nothing is committed.
        AuditGatesCommit,
        /// The token is kept in its record, as part of the device.
        TokenStored,
        /// If the random generator fails, another one is used.
        EntropyFailureIgnored,
    }
}

//! `Debug` of every public type of `session-core` hides tokens, digests, ids, users and values.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::*;
use session_core::store::*;
use session_core::*;
use session_testbed::records::shop;
use session_testbed::{Client, Secrets};

const OPTIONAL: &str = "#[cfg(feature = \"encryption\")]";
const NOTE: Key<String> = Key::new("note");
const USER: &str = "user-8f3ac1";
const VALUE: &str = "value-51c0d2";
const AGENT: &str = "agent-77aa03";

/// The name of each type and its `Debug`, in both styles.
macro_rules! shown {
    ($($type:ident $(<$($generic:tt),+>)?: $value:expr,)+) => {
        vec![$({
            #[allow(elided_lifetimes_in_paths, reason = "one spelling for types with and without lifetime")]
            let value: &$type$(<$($generic),+>)? = &$value;
            (stringify!($type), format!("{value:?} {value:#?}"))
        }),+]
    };
}

/// The public types and traits of core: what its public modules re-export.
fn exported() -> BTreeSet<String> {
    let modules = [
        include_str!("../../crates/session-core/src/lib.rs"),
        include_str!("../../crates/session-core/src/store/mod.rs"),
        include_str!("../../crates/session-core/src/adapter/mod.rs"),
    ];
    let exports = modules.iter().flat_map(|source| source.split(';'));
    let exports = exports.filter_map(|item| item.trim().trim_start_matches(OPTIONAL).trim().strip_prefix("pub use "));
    let names = exports.flat_map(|item| item.split(|c: char| !c.is_alphanumeric()));
    names.filter(|name| name.starts_with(|c: char| c.is_uppercase())).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_public_type_hides_what_is_secret() {
    let clock = ManualClock::default();
    let now = clock.now();
    let policy = Policy::standard();
    let user = UserId::new(USER).unwrap();
    let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let (credential, token) = Credential::issue(Kind::Cookie, id, now, &OsEntropy).unwrap();
    let encoded = token.encode();
    let presented = policy.cookie().read([format!("__Host-id={}", encoded.expose()).as_bytes()]);
    let PresentedCookie::Token(parsed) = &presented else { panic!("a token was presented") };
    let (renewed, successor) =
        credential.renew(Kind::Cookie, parsed, Duration::from_secs(10), now, &OsEntropy).unwrap();

    let mut data = Data::default();
    data.insert("note".into(), VALUE.into());
    let device = Device::new().with_label(AGENT).with_user_agent(AGENT);
    let authentication = Authentication::new(user.clone(), Proof::new(Assurance::Aal1, now).method("pwd"));
    let timeouts = policy.timeouts(true, Persistence::Transient);
    let mut summary = SessionSummary::new(id, Kind::Cookie, now, timeouts);
    summary.authentication = Some(authentication.clone());
    summary.device = device.clone();
    let version = Version::first(&OsEntropy).unwrap();
    let record = Record { data: data.clone(), ..Record::new(summary.clone(), version, renewed.clone()) };
    let set_cookie = policy.cookie().set(&encoded, None);

    // A stored session, a request that changes it, and the store itself.
    let store = Arc::new(ReferenceStore::new());
    let grant = Grant::new().with_client(VALUE).unwrap().with_audience(VALUE).unwrap();
    let grant = grant.with_scope(Scope::parse(VALUE).unwrap()).unwrap();
    let login = Login::new(user.clone()).method("pwd").device(device.clone()).carry_over(NOTE);
    let login = login.grant(grant.clone()).provider_session(VALUE, VALUE);
    let builder = || SessionManager::builder(Arc::clone(&store) as _).clock(clock.clone()).observer(TracingObserver);
    let manager = builder().build();
    let mut client = Client::new(&manager);
    let log_in = async |session: &Session| {
        session.login(login.clone())?;
        session.insert(NOTE, &VALUE.to_owned())
    };
    client.request(log_in).await.unwrap();
    let request: RequestSession = client.begin();
    let session = request.session().await.unwrap();
    session.insert(NOTE, &VALUE.repeat(2)).unwrap();
    let stored_id = session.id().unwrap();

    let issued = manager.issue_refresh_token(login.clone(), None).await.unwrap();
    let refresh_token = issued.token.encode();
    let verified = PresentedToken::parse(refresh_token.expose().as_bytes()).unwrap();
    let verified = manager.verify_refresh_token(&verified).await.unwrap().unwrap();

    let mut secrets = Secrets::new();
    for token in [refresh_token.expose(), encoded.expose(), successor.encode().expose(), client.token().unwrap()] {
        secrets.add_token(token).unwrap();
    }
    for id in [id, stored_id, issued.session.id] {
        secrets.add_bytes("a session id", id.as_bytes());
    }
    let digest = serde_json::to_value(&renewed).unwrap()["current"].clone();
    let bytes: Vec<u8> = serde_json::from_value(digest.clone()).unwrap();
    assert_eq!(bytes.len(), 16, "a digest");
    secrets.add_bytes("a digest", &bytes);
    for (what, text) in [("a user", USER), ("a value", VALUE), ("a device", AGENT)] {
        secrets.add_text(what, text);
    }

    let event =
        Event { at: now, session: Some(id), user: Some(user.clone()), kind: EventKind::LoggedIn, request: None };
    let key_text = EncryptionKey::generate(&OsEntropy).unwrap().to_base64();
    let key = || EncryptionKey::from_base64(&key_text).unwrap();
    let keys = EncryptionKeys::new(key());
    secrets.add_text("a key", &key_text);
    let store_error = StoreError::new(StoreErrorKind::Other, "detail");
    let header = RecordHeader { id, version, user: Some(user.clone()), created_at: now, last_seen: now, timeouts };
    let replaces = Replacement { id, user: Some(&user), version };
    let cookie_builder = CookiePolicy::builder("__Host-app");
    let create =
        CreateRequest::new(&record).replacing(replaces).within(policy.session_limit()).among(policy.visitor_limit());
    let moving = MovingStore::new(ReferenceStore::new(), ReferenceStore::new());
    let CreateOutcome::Created { .. } = moving.create(CreateRequest::new(&record), now).await.unwrap() else {
        panic!("it is created")
    };
    let progress = moving.move_all(NonZeroU32::MIN, &clock, |_| ControlFlow::Continue(())).await.unwrap();
    let shown = shown! {
        MovingStore<_, _>: moving, MovingProgress: progress,
        MovedPage: moving.move_page(None, NonZeroU32::MIN, now).await.unwrap(), FollowError: FollowError::NotPublished,
        Inspection: Inspection::default(), SchemaState: SchemaState::Unneeded, ServerInfo: ServerInfo::new("Redis", "7"),
        Measurement: Measurement::Opened(Opened::User), Opened: Opened::User,
        Timestamp: now, ManualClock: clock, SystemClock: SystemClock,
        CookiePolicy: policy.cookie(), CookiePolicyBuilder: cookie_builder, CookiePolicyError: CookiePolicyError::Name,
        PresentedCookie: presented, SameSite: SameSite::Lax, SetCookie: set_cookie,
        Credential: renewed, Grace: Grace::Open, TokenCheck: renewed.check(Kind::Cookie, parsed),
        TokenDigest: serde_json::from_value(digest).unwrap(),
        Data: data, Key<_>: NOTE, KeyError: KeyError, ValueError: ValueError::Decode,
        EntropyError: EntropyError, OsEntropy: OsEntropy,
        Error: Error::from(StoreError::new(StoreErrorKind::Other, "detail")),
        StoreError: store_error, StoreErrorKind: StoreErrorKind::Other,
        Event: event, EventKind: EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Full },
        Termination: Termination::Evicted, TracingObserver: TracingObserver,
        Namespace: shop(), NamespaceError: Namespace::new("").unwrap_err(),
        ParseSessionIdError: ParseSessionIdError, SessionId: id, UserId: user, UserIdError: UserIdError,
        Grant: grant, GrantError: GrantError::NotGranted, Scope: grant.scope().clone(),
        Login: login, StepUp: StepUp::new(user.clone()).method("otp"),
        SessionManager: manager, SessionManagerBuilder: builder(),
        LimitPolicy: LimitPolicy::Reject, PayloadLimit: policy.payload(true), Policy: policy,
        PolicyBuilder: policy.to_builder(), PolicyError: PolicyError::Renewal, RememberMe: RememberMe::Never,
        Renewal: Renewal { timeout: std::time::Duration::from_secs(1), grace: std::time::Duration::ZERO },
        Finish: client.begin().finish_changed(), Listing: Listing::default(),
        Page: Page::new(Listing::default(), Some(Cursor::behind(&id))), Cursor: Cursor::behind(&id),
        Count: Count::exact(1),
        LimitCandidate: LimitCandidate { id, created_at: now, last_seen: now },
        AuthenticatedCaching: AuthenticatedCaching::Revalidate, ClearSiteData: ClearSiteData::AtLogout,
        WriteConflict: WriteConflict::Fail, SessionLimit: policy.session_limit(),
        Assurance: Assurance::Aal1, Authentication: authentication, Device: device, Kind: Kind::Cookie,
        Proof: Proof::new(Assurance::Aal1, now).method("pwd"), RecordFormat: RecordFormat::LATEST,
        RecordHeader: header, Timeouts: timeouts, Persistence: Persistence::Transient, Record: record,
        SessionSummary: summary, Version: version, Freshness: Freshness::Cached, FeedEvent: FeedEvent::Ended { id },
        FeedQueue: FeedQueue::default(), FollowedFeed: FollowedFeed::spawn(&tokio::runtime::Handle::current(), async |_| ()),
        RequestSession: request, ResponseHeaders: client.begin().finish().await.1,
        Remedy: Remedy { removes: Some(policy.cookie().remove()), reloads: true },
        HeaderEdit: HeaderEdit::AppendCookie(&set_cookie), HeaderEdits: token_edits(Some(&set_cookie), &[]),
        OriginGuard: OriginGuard::new(), OriginError: OriginError::Form, OriginRefusal: OriginRefusal::Missing,
        RequestContext: RequestContext::default(), RequestInfo: RequestInfo::new(),
        VisitorLimit: policy.visitor_limit(), VisitorDecision: VisitorDecision::Refuse, MissingOrigin: MissingOrigin::Refuse,
        Enforcement: Enforcement::Off, TokenTransport: TokenTransport::body(), TokenScheme: TokenScheme::Bearer, Challenge: Challenge::new(), ChallengeError: ChallengeError,
        LoginPage: LoginPage::new("/login").unwrap(), LoginPageError: LoginPageError,
        Requirement: Requirement::NONE, RejectionKind: RejectionKind::Gone,
        BearerRejectionKind: BearerRejectionKind::Invalid,
        IssuedRefreshToken: issued, VerifiedRefreshToken: verified, Session: session,
        SessionHandle: manager.handle(session).unwrap(),
        CreateRequest: create, CreateOutcome: CreateOutcome::Created { evicted: vec![id] },
        DeleteOutcome: DeleteOutcome::Deleted, Replacement: replaces,
        TouchOutcome: TouchOutcome::Applied, UpdateOutcome: UpdateOutcome::Conflict,
        KeyThumbprint: KeyThumbprint::from_bytes([7; 32]), ParseKeyThumbprintError: ParseKeyThumbprintError,
        EncodedToken: encoded, MalformedToken: MalformedToken,
        Cipher: Cipher::new(&keys, "shown"), EncryptedStore<_>: EncryptedStore::new(ReferenceStore::new(), &keys),
        EncryptionKey: key(), EncryptionKeys: keys, EncryptionKeyError: EncryptionKeyError::Pattern,
        DecryptError: DecryptError::Damaged, PlainValues: PlainValues::Refused,
        Expiry: Expiry::Idle, Verdict: verdict(&summary, &policy, now),
    };

    for (name, text) in shown.iter().chain(&[("ReferenceStore", format!("{store:?} {store:#?}"))]) {
        assert_eq!(secrets.found_in(text), [""; 0], "Debug of {name}");
    }
    // The search finds secrets where they are.
    assert!(secrets.found_in(set_cookie.expose()).contains(&"a token"));
    assert!(secrets.found_in(record.encode().unwrap()).contains(&"a digest, raw"));

    let shown: BTreeSet<String> = shown.into_iter().map(|(name, _)| name.to_owned()).collect();
    let traits = ["Clock", "Entropy", "Feed", "RequestHead", "Seal", "SessionObserver", "SessionStore", "VisitorGate"];
    // Tests in core prove that these have no `Debug`.
    let without_debug = ["PresentedToken", "SessionToken"];
    let expected =
        exported().into_iter().filter(|name| ![&traits[..], &without_debug].concat().contains(&name.as_str()));
    assert_eq!(shown, expected.collect(), "every public type must be shown here");
}

//! Cases of whole requests: who a request belongs to, what it is answered, and login.

use crate::request::{cookies, fixation, responses};
use crate::table::cases;

cases! {
    pub(super) const CASES;

    /// A request without cookie that only reads costs no store call and gets no cookie.
    "request/no-cookie-costs-nothing" [] => cookies::no_cookie_costs_nothing;
    /// A request that does not ask for its session costs no store call, whatever its cookie.
    "request/nobody-asks-nothing-is-loaded" [] => cookies::not_loaded_unless_asked_for;
    /// A token has one spelling. Anything else is refused before the store is asked, and the cookie left alone.
    "request/malformed-token-costs-nothing" [] => cookies::malformed_costs_nothing;
    /// Two cookies of the session's name with different values are nobody's session, in whatever order they come.
    "request/two-different-cookies-are-nobodys" [] => cookies::two_different_cookies_are_ambiguous;
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
    "request/reading-sets-no-cookie" [] => responses::reading_sets_no_cookie;
    /// Every response after the session was consulted has `Vary: Cookie`.
    "request/consulted-means-vary" [] => responses::consulted_means_vary;
    /// A session that holds nothing is not stored and gets no cookie.
    "request/empty-session-is-not-stored" [] => responses::empty_session_is_not_stored;
    /// The cookie of a login is `__Host-`, `Secure`, `HttpOnly`, `SameSite`, `Path=/`, and ends with the browser.
    "request/cookie-attributes" [] => responses::attributes;
    /// A logout removes the cookie from the browser, however the cookie is configured.
    "request/removal-matches-every-attribute" [] => responses::removal_matches_every_attribute;
    /// A late response to a stale request leaves the cookie of a login alone.
    "request/stale-response-keeps-a-newer-cookie" [] => responses::stale_response_keeps_a_newer_cookie;
    /// Changing a session after the response is an error, not a silent loss.
    "request/late-write-is-an-error" [] => responses::late_write_is_an_error;
    /// Requests that are under way at the same time never see each other's session.
    "request/requests-share-no-session-object" [] => responses::requests_share_no_session_object;

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
    /// A login that is dropped at any await leaves the session from before it, or the one from after it.
    "request/login-dropped-anywhere" [] catches [
        ReplaceLeavesOtherShard, ReplaceNotAtomic, ListShowsAnonymous, ListUnknownFails, IndexNotAtomic, HandleCaches,
    ] => fixation::dropped_anywhere;
    /// A login that the store refused leaves the session from before it, and sets no cookie.
    "request/failed-login-keeps-the-session" [] catches [ListShowsAnonymous, ListUnknownFails]
        => fixation::failed_login_keeps_the_session;
    /// A new session whose id is taken gets another one; the session that has it is left alone.
    "request/taken-id-is-left-alone" [] catches [CreateOverwrites, CreateIgnoresNonce]
        => fixation::taken_id_is_left_alone;
    /// Without random numbers there is no session: no store call, no cookie, an error.
    "request/no-random-no-session" [] => fixation::no_random_no_session;
}

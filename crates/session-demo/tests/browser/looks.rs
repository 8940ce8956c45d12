//! What the pages look like: wide and narrow, light and dark.

use session_testbed::browser::{Page, Scheme};

use crate::bed::{CLIENT, HYBRID, OTHER, Remember, SHOP, STRICT, bed, keep, link_from, sign_in, submit_from};

/// A desktop, and two phones.
const SIZES: [(u32, u32); 3] = [(1280, 800), (390, 844), (360, 740)];

/// For each piece of text that is seen, and what is written in empty fields: the contrast to its background, as WCAG 2 defines it, and the text.
const CONTRASTS: &str = r"(() => {
    const channels = color => color.match(/[\d.]+/g).map(Number);
    const luminance = color => {
        const [r, g, b] = channels(color).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const background = element => {
        const color = element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)';
        return channels(color)[3] === 0 ? background(element.parentElement) : color;
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const [text, element] = [texts.currentNode.data.trim(), texts.currentNode.parentElement];
        if (!text || !element.checkVisibility()) continue;
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(background(element))];
        found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), text]);
    }
    for (const input of document.querySelectorAll('[placeholder]')) {
        const [a, b] = [luminance(getComputedStyle(input, '::placeholder').color), luminance(background(input))];
        found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), input.placeholder]);
    }
    return found;
})()";

/// What is cut off or sticks out: elements beyond the edges of the window, or with more in them than they show.
const OVERFLOWS: &str = r"(() => {
    const width = document.documentElement.clientWidth;
    const sticks_out = element => {
        const { left, right } = element.getBoundingClientRect();
        const hides = getComputedStyle(element).overflowX !== 'visible' && element.scrollWidth > element.clientWidth;
        return left < 0 || right > width + .5 || (hides && element.localName !== 'input');
    };
    const seen = [...document.body.querySelectorAll('*')].filter(element => element.checkVisibility());
    return seen.filter(sticks_out).map(element => element.outerHTML.slice(0, 80));
})()";

/// Text that is torn in two, of those that are read at a glance.
const TORN: &str = r"[...document.querySelectorAll('button, time, .utc, .current, header p, header a')]
    .filter(element => element.getClientRects().length > 1 || element.getBoundingClientRect().height > 48)
    .map(element => element.outerHTML.slice(0, 80))";

/// Looks at the page that is open in every size, light and dark, and keeps what it looks like.
async fn look(tab: &Page, name: &str) {
    for (width, height) in SIZES {
        for scheme in [Scheme::Light, Scheme::Dark] {
            tab.emulate(width, height, scheme).await.unwrap();
            let look = format!("{name}-{width}-{}", scheme.name());
            keep(tab, &look).await;
            let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(tab.evaluate(overflow).await.unwrap(), 0, "{look} scrolls sideways");
            for (what, script) in [("sticks out", OVERFLOWS), ("is torn", TORN)] {
                let found = tab.evaluate(script).await.unwrap();
                assert!(found.as_array().unwrap().is_empty(), "{look}: what {what}: {found:#}");
            }
            let contrasts = tab.evaluate(CONTRASTS).await.unwrap();
            let contrasts: Vec<(f64, String)> = serde_json::from_value(contrasts).unwrap();
            assert!(contrasts.len() > 2, "{look}: no text");
            let faint: Vec<_> = contrasts.into_iter().filter(|&(contrast, _)| contrast < 4.5).collect();
            assert!(faint.is_empty(), "{look}: {faint:?}");
            let ground = tab.evaluate("getComputedStyle(document.body).backgroundColor").await.unwrap();
            let is_dark = ground.as_str().unwrap().starts_with("rgb(21, ");
            assert_eq!(is_dark, scheme == Scheme::Dark, "{look}: {ground}");
        }
    }
}

async fn look_at(tab: &Page, site: &str, pages: &[(&str, &str)]) {
    for (path, name) in pages {
        tab.open(&format!("{site}{path}")).await.unwrap();
        look(tab, name).await;
    }
}

#[tokio::test]
async fn pages_of_visitors_fit_and_are_legible() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    let pages =
        [("/", "home-visitor"), ("/?welcome", "cookie-lost"), ("/kinds", "kinds-visitor"), ("/none", "not-found")];
    look_at(&tab, SHOP, &pages).await;
    tab.open(SHOP).await.unwrap();
    tab.fill("[name=username]", "carol").await.unwrap();
    tab.fill("[name=password]", "wrong").await.unwrap();
    tab.click("[action='/login'] button").await.unwrap();
    look(&tab, "sign-in-wrong").await;
    look_at(&tab, HYBRID, &[("/", "home-visitor-hybrid"), ("/kinds", "kinds-visitor-hybrid")]).await;
    look_at(&tab, CLIENT, &[("/", "home-visitor-client"), ("/kinds", "kinds-visitor-client")]).await;
}

#[tokio::test]
async fn pages_of_users_fit_and_are_legible() {
    let bed = bed().await;
    let (other, person) = (bed.person().await, bed.person().await);
    sign_in(&other.page().await.unwrap(), HYBRID, "carol", Remember::Yes).await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, HYBRID, "carol", Remember::No).await;
    tab.open(HYBRID).await.unwrap();
    for item in ["tea", "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen"] {
        tab.fill("[name=item]", item).await.unwrap();
        tab.click("[action='/cart/add'] button").await.unwrap();
    }
    let pages = [("/", "home"), ("/devices", "devices"), ("/kinds", "kinds"), ("/sensitive", "sensitive")];
    look_at(&tab, HYBRID, &pages).await;
    submit_from(&tab, HYBRID, "/reauthenticate", &[("password", "wrong")]).await;
    look(&tab, "password-again").await;
    submit_from(&tab, OTHER, &format!("{HYBRID}/logout"), &[]).await;
    look(&tab, "refused").await;
    sign_in(&tab, CLIENT, "carol", Remember::No).await;
    look_at(&tab, CLIENT, &[("/", "home-client"), ("/devices", "devices-client")]).await;
    assert_eq!(person.cookies().await.unwrap().len(), 2);
}

/// Nobody can say that such a visitor has no cookie.
#[tokio::test]
async fn a_link_to_a_strict_site_says_that_a_cookie_may_be_kept_back() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, STRICT, "bob", Remember::No).await;
    link_from(&tab, OTHER, STRICT).await;
    let text = tab.text().await.unwrap();
    assert!(text.contains("it may have kept one back") && !text.contains("Nothing is stored"), "{text}");
    look(&tab, "strict-link").await;
    tab.click("section [href='/']").await.unwrap();
    let text = tab.text().await.unwrap();
    assert!(text.contains("Signed in as bob") && !text.contains("kept one back"), "{text}");
}

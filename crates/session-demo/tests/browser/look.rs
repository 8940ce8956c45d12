//! What is demanded of every page, whoever looks at it: wide and narrow, light and dark.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use session_testbed::browser::{Page, Scheme, package_file};

use crate::bed::{bed, keep, pictures};

/// A desktop, and two phones.
const SIZES: [(u32, u32); 3] = [(1280, 800), (390, 844), (360, 740)];

/// At which widths pictures are compared.
const COMPARED: [u32; 2] = [1280, 390];

/// They have so many pixels for each of CSS. Small ones show where everything is, and its colours; how a version of Chromium smooths a
/// letter, they do not.
const SCALE: f64 = 0.25;

/// Pictures differ if in some square of this size, in pixels, more than so many are different. A square and not the picture, so that a
/// button that is gone counts as much on a long page as on a short one.
const SQUARE: usize = 24;
const MAX_DIFFERENT: u64 = 48;

/// If this is set, what the pages look like now is what they are to look like. `cargo xtask browser --accept` does so.
const ACCEPT: &str = "ACCEPT_LOOKS";

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
const TORN: &str = r"[...document.querySelectorAll('button, time, .utc, .current, .bound, header p, header a')]
    .filter(element => element.getClientRects().length > 1 || element.getBoundingClientRect().height > 48)
    .map(element => element.outerHTML.slice(0, 80))";

/// Labels of pictures that lie on each other.
const OVERLAPPING: &str = r"[...document.querySelectorAll('svg')].flatMap(svg => {
    const texts = [...svg.querySelectorAll('text')];
    const box = element => element.getBoundingClientRect();
    const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    return texts.filter((text, index) => texts.slice(index + 1).some(other => overlap(box(text), box(other))))
        .map(text => text.outerHTML.slice(0, 80));
})";

/// Controls that are smaller than WCAG 2.2 has it (2.5.8). Links in a text may be.
const SMALL: &str = r"[...document.querySelectorAll('a[href], button, summary, input:not([type=hidden])')]
    .filter(element => element.checkVisibility() && getComputedStyle(element).display !== 'inline')
    .filter(element => { const { width, height } = element.getBoundingClientRect(); return width < 24 || height < 24; })
    .map(element => element.outerHTML.slice(0, 80))";

/// Looks at the page that is open in every size, light and dark, and keeps what it looks like. Then its times are not the real ones
/// any more.
pub(crate) async fn look(tab: &Page, name: &str) {
    let mut problems = Vec::new();
    load_axe(tab).await;
    for (width, height) in SIZES {
        for scheme in [Scheme::Light, Scheme::Dark] {
            tab.emulate(width, height, scheme).await.unwrap();
            let look = look_name(name, width, scheme);
            keep(tab, &look).await;
            let mut found = layout_problems(tab, scheme).await;
            if COMPARED.contains(&width) {
                found.extend(axe_problems(tab).await);
            }
            problems.extend(found.into_iter().map(|problem| format!("{look}: {problem}")));
        }
        problems.extend(focus_problems(tab).await.into_iter().map(|problem| format!("{name}-{width}: {problem}")));
    }
    freeze(tab).await;
    for (width, height) in SIZES.into_iter().filter(|(width, _)| COMPARED.contains(width)) {
        for scheme in [Scheme::Light, Scheme::Dark] {
            tab.emulate(width, height, scheme).await.unwrap();
            problems.extend(difference_from_accepted(tab, &look_name(name, width, scheme)).await);
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// As the files are named.
pub(crate) fn look_name(name: &str, width: u32, scheme: Scheme) -> String {
    format!("{name}-{width}-{}", scheme.name())
}

/// What each page must have a picture of.
pub(crate) fn compared_looks(name: &str) -> Vec<String> {
    let schemes = [Scheme::Light, Scheme::Dark];
    COMPARED.iter().flat_map(|width| schemes.map(|scheme| look_name(name, *width, scheme))).collect()
}

/// What does not fit, cannot be read, or is too small.
pub(crate) async fn layout_problems(tab: &Page, scheme: Scheme) -> Vec<String> {
    let mut problems = Vec::new();
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    if tab.evaluate(overflow).await.unwrap() != 0 {
        problems.push("it scrolls sideways".to_owned());
    }
    for (what, script) in
        [("sticks out", OVERFLOWS), ("is torn", TORN), ("is small", SMALL), ("is on another label", OVERLAPPING)]
    {
        let found: Vec<String> = serde_json::from_value(tab.evaluate(script).await.unwrap()).unwrap();
        problems.extend(found.iter().map(|element| format!("this {what}: {element}")));
    }
    let contrasts = tab.evaluate(CONTRASTS).await.unwrap();
    let contrasts: Vec<(f64, String)> = serde_json::from_value(contrasts).unwrap();
    if contrasts.len() <= 2 {
        problems.push("no text".to_owned());
    }
    let faint = contrasts.into_iter().filter(|&(contrast, _)| contrast < 4.5);
    problems.extend(faint.map(|(contrast, text)| format!("a contrast of {contrast:.1}: {text}")));
    let ground = tab.evaluate("getComputedStyle(document.body).backgroundColor").await.unwrap();
    let is_dark = ground.as_str().unwrap().starts_with("rgb(21, ");
    if is_dark != (scheme == Scheme::Dark) {
        problems.push(format!("the background is {ground}"));
    }
    problems
}

/// Makes [`axe_problems`] possible.
pub(crate) async fn load_axe(tab: &Page) {
    let axe = String::from_utf8(package_file("axe-core/axe.min.js").await.unwrap()).unwrap();
    tab.evaluate(&format!("{axe};undefined")).await.unwrap();
}

/// What axe-core finds.
pub(crate) async fn axe_problems(tab: &Page) -> Vec<String> {
    serde_json::from_value(tab.evaluate(include_str!("scripts/axe.js")).await.unwrap()).unwrap()
}

/// What the keyboard does not reach, or not in order, and where the focus does not show.
pub(crate) async fn focus_problems(tab: &Page) -> Vec<String> {
    let controls = tab.evaluate(include_str!("scripts/focus.js")).await.unwrap().as_u64().unwrap();
    tab.press_tab(usize::try_from(controls).unwrap()).await.unwrap();
    serde_json::from_value(tab.evaluate("focusProblems()").await.unwrap()).unwrap()
}

/// Gives the page the font, the times and the ids that pictures are compared with.
pub(crate) async fn freeze(tab: &Page) {
    let mut fonts = BTreeMap::new();
    for (weights, file) in [
        ("100 599", "@fontsource/source-sans-3/files/source-sans-3-latin-400-normal.woff2"),
        ("600 900", "@fontsource/source-sans-3/files/source-sans-3-latin-700-normal.woff2"),
    ] {
        fonts.insert(weights, STANDARD.encode(package_file(file).await.unwrap()));
    }
    tab.evaluate(&format!("{}({})", include_str!("scripts/freeze.js").trim_end(), json!(fonts))).await.unwrap();
}

/// In what the page, which is frozen, differs from what it is to look like.
async fn difference_from_accepted(tab: &Page, look: &str) -> Option<String> {
    let accepted = baseline().join(format!("{look}.png"));
    if is_accepting() {
        std::fs::write(accepted, picture(tab).await).unwrap();
        return None;
    }
    let found = match std::fs::read(&accepted) {
        Ok(before) => difference(tab, look, &before).await?,
        Err(error) => format!("{}: {error}", accepted.display()),
    };
    Some(format!("{look}: {found}. If it is to look like this: cargo xtask browser --accept"))
}

/// A picture to compare.
pub(crate) async fn picture(tab: &Page) -> Vec<u8> {
    tab.picture(SCALE).await.unwrap()
}

/// In what the page, which is frozen, differs from a picture. What it looks like, and the differences, are kept.
pub(crate) async fn difference(tab: &Page, look: &str, before: &[u8]) -> Option<String> {
    let picture = picture(tab).await;
    if before == picture {
        return None;
    }
    let found = compare(before, &picture).await;
    let keep = |what, picture| {
        let file = pictures().join(format!("{look}-{what}.png"));
        std::fs::write(&file, picture).unwrap();
        file
    };
    Some(match (found["different"].as_u64(), found["picture"].as_str()) {
        (Some(different), _) if different <= MAX_DIFFERENT => return None,
        (Some(different), Some(differences)) => {
            keep("now", picture);
            let file = keep("different", STANDARD.decode(differences).unwrap());
            format!("{different} of {} pixels of a square are different: {}", SQUARE * SQUARE, file.display())
        }
        _ => format!("another size, before and now: {}: {}", found["sizes"], keep("now", picture).display()),
    })
}

/// By pixelmatch, in a page without a policy.
async fn compare(before: &[u8], after: &[u8]) -> Value {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    let module = STANDARD.encode(package_file("pixelmatch/index.js").await.unwrap());
    let (before, after) = (STANDARD.encode(before), STANDARD.encode(after));
    let script = include_str!("scripts/compare.js").trim_end();
    tab.evaluate(&format!("{script}({}, {}, {}, {SQUARE})", json!(module), json!(before), json!(after))).await.unwrap()
}

/// What pages are to look like.
pub(crate) fn baseline() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser/baseline")
}

/// Whether what pages look like now is what they are to look like.
pub(crate) fn is_accepting() -> bool {
    std::env::var_os(ACCEPT).is_some()
}

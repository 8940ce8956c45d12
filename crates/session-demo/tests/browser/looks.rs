//! What the pages look like: wide and narrow, light and dark.

use session_testbed::browser::Scheme;

use crate::bed::{Remember, SHOP, bed, keep, sign_in};

/// For each piece of text that is seen: the contrast to its background, as WCAG 2 defines it, and the text.
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
    return found;
})()";

#[tokio::test]
async fn pages_fit_and_are_legible_wide_and_narrow_light_and_dark() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    tab.emulate(1280, 800, Scheme::Light).await.unwrap();
    for name in ["visitor", "carol"] {
        if name == "carol" {
            sign_in(&tab, SHOP, "carol", Remember::No).await;
        }
        for path in ["/", "/kinds", "/devices"] {
            if (name, path) == ("visitor", "/devices") {
                continue;
            }
            tab.open(&format!("{SHOP}{path}")).await.unwrap();
            for (size, width, height) in [("wide", 1280, 800), ("narrow", 360, 740)] {
                for scheme in [Scheme::Light, Scheme::Dark] {
                    tab.emulate(width, height, scheme).await.unwrap();
                    let page = if path == "/" { "/home" } else { path }.trim_start_matches('/');
                    let look = format!("{page}-{name}-{size}-{}", scheme.name());
                    keep(&tab, &look).await;
                    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
                    assert_eq!(tab.evaluate(overflow).await.unwrap(), 0, "{look} scrolls sideways");
                    let contrasts = tab.evaluate(CONTRASTS).await.unwrap();
                    let contrasts: Vec<(f64, String)> = serde_json::from_value(contrasts).unwrap();
                    assert!(contrasts.len() > 10, "{look}: no text");
                    let faint: Vec<_> = contrasts.into_iter().filter(|&(contrast, _)| contrast < 4.5).collect();
                    assert!(faint.is_empty(), "{look}: {faint:?}");
                    let ground = tab.evaluate("getComputedStyle(document.body).backgroundColor").await.unwrap();
                    let is_dark = ground.as_str().unwrap().starts_with("rgb(21, ");
                    assert_eq!(is_dark, scheme == Scheme::Dark, "{look}: {ground}");
                }
            }
        }
    }
    assert_eq!(tab.problems(), [] as [String; 0]);
}

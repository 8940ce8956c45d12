//! The report as a chart: the ratio of each backend to its floor.

use std::fmt::Write as _;

use crate::report::{Report, Row};

/// The operations that are drawn, with their titles; those that were not measured are left out.
const OPS: [(&str, &str); 6] = [
    ("request-untouched", "request that leaves its session alone"),
    ("request-read", "request that reads its session"),
    ("request-write", "request that changes its session"),
    ("request-login", "login: new id, index, limit"),
    ("store-load", "load from the store"),
    ("store-update", "compare-and-swap in the store"),
];
const CONCURRENCY: usize = 64;
/// Backends and their colours, which differ in lightness as well.
const BACKENDS: [(&str, &str); 4] =
    [("moka", "#1b4f72"), ("redis", "#d1495b"), ("postgres", "#8fbc8f"), ("sqlite", "#e9c46a")];

// Pixels.
const LEFT: f64 = 270.0;
const WIDTH: f64 = 400.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 64.0;
const BAR: f64 = 14.0;
const GAP: f64 = 14.0;

/// The chart as SVG, on a background of its own.
#[must_use]
pub fn svg(report: &Report) -> String {
    let find = |op: &str, backend: &str| {
        report.rows.iter().find(|row| row.op == op && row.backend == backend && row.concurrency == CONCURRENCY)
    };
    let groups: Vec<(&str, Vec<(&str, &Row)>)> = OPS
        .iter()
        .map(|(op, title)| {
            let bars = BACKENDS.iter().filter_map(|(backend, colour)| Some((*colour, find(op, backend)?)));
            (*title, bars.collect::<Vec<_>>())
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|(_, row)| row.sample.ratio_to_floor).fold(1.0, f64::max);
    let scale = WIDTH / (most * 1.05);

    let mut body = String::new();
    let floor = LEFT + scale;
    let bottom = TOP + groups.iter().map(|(_, bars)| BAR * bars.len() as f64 + GAP).sum::<f64>();
    // Behind everything else.
    let _ = writeln!(
        body,
        r##"<line x1="{floor:.1}" y1="{:.1}" x2="{floor:.1}" y2="{bottom:.1}" stroke="#bbbbbb" stroke-dasharray="4 3"/>"##,
        TOP - 6.0
    );
    let mut y = TOP;
    for (title, bars) in &groups {
        let middle = y + BAR * bars.len() as f64 / 2.0 + 4.0;
        text(&mut body, LEFT - 10.0, middle, "end", title);
        for (colour, row) in bars {
            let width = row.sample.ratio_to_floor * scale;
            let bar = BAR - 2.0;
            let _ =
                writeln!(body, r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{bar}" fill="{colour}"/>"#);
            let label = format!("{:.2}  ({}/s)", row.sample.ratio_to_floor, thousands(row.sample.ops_per_s));
            text(&mut body, LEFT + width + 6.0, y + BAR - 4.0, "start", &label);
            y += BAR;
        }
        y += GAP;
    }
    text(&mut body, floor, TOP - 10.0, "middle", "floor");
    text(&mut body, 10.0, 20.0, "start", "Throughput as a ratio to the least work that could do the job, 64 at once");
    let mut x = 10.0;
    for (backend, colour) in BACKENDS {
        let _ = writeln!(body, r#"<rect x="{x}" y="32" width="12" height="12" fill="{colour}"/>"#);
        text(&mut body, x + 18.0, 42.0, "start", backend);
        x += 80.0;
    }
    let [machine, servers] = report.environment.lines();
    text(&mut body, 10.0, bottom + 16.0, "start", &machine);
    text(&mut body, 10.0, bottom + 32.0, "start", &servers);
    let (width, height) = (LEFT + WIDTH + RIGHT, bottom + 42.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>Throughput of each backend as a ratio to its \
         floor</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222222">{content}</text>"##);
}

/// 1234567 as `1.23 M`, 12345 as `12 k`.
fn thousands(number: f64) -> String {
    if number >= 1e6 {
        format!("{:.2} M", number / 1e6)
    } else if number >= 1e4 {
        format!("{:.0} k", number / 1e3)
    } else {
        format!("{:.1} k", number / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::svg;
    use crate::report::example;

    #[test]
    fn each_measured_backend_has_a_bar_of_its_length() {
        let svg = svg(&example());
        // 0.95 and 0.9 of a scale that ends at 1.05.
        let width = |ratio: f64| format!(r#"width="{:.1}""#, ratio * 400.0 / 1.05);
        assert!(svg.contains(&width(0.95)) && svg.contains(&width(0.9)), "{svg}");
        assert!(svg.contains("0.95  (190 k/s)") && svg.contains("0.90  (3.60 M/s)"), "{svg}");
        // Operations that were not measured have no bars.
        assert!(!svg.contains("request that reads"), "{svg}");
    }
}

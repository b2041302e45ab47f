//! The chart: processor time of `/get` and `/incr`, by engine, as a picture that any browser draws.

use std::fmt::Write as _;

use super::Speed;
use crate::engine::Engine;
use crate::stats::Estimate;

/// Lengths in pixels.
const WIDTH: f64 = 860.0;
const NAMES: f64 = 235.0;
const FIGURES: f64 = 60.0;
const ROW: f64 = 18.0;
const BAR: f64 = 12.0;
const TITLE: f64 = 40.0;
const SPACE: f64 = 26.0;

/// Colours that can be read on white and on black.
const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.small { fill: #57606a }
.ours { fill: #0969da } .peer { fill: #8c959f } .ceiling { fill: #1a7f37 }
.whisker { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 }
  .ours { fill: #4493f8 } .peer { fill: #7d8590 } .ceiling { fill: #3fb950 }
  .whisker { stroke: #e6edf3 }
}";

struct Bar<'a> {
    name: &'a str,
    class: &'static str,
    cpu: Estimate,
}

/// Draws a panel for each engine and request.
pub(super) fn draw(speed: &Speed<'_>) -> String {
    let (mut body, mut y) = (String::new(), 0.0);
    for engine in Engine::ALL {
        for path in ["/get", "/incr"] {
            let bars = bars(speed, engine, path);
            if !bars.is_empty() {
                y = panel(&mut body, &format!("{engine}, {path}"), &bars, y);
            }
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\" \
         role=\"img\" aria-label=\"Processor time of the web server for each request\">\n\
         <style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn bars<'a>(speed: &'a Speed<'_>, engine: Engine, path: &str) -> Vec<Bar<'a>> {
    let webs = speed.webs.iter().enumerate().filter(|(_, web)| web.engine == Some(engine));
    let bars = webs.filter_map(|(at, web)| {
        let cpu = speed.of(at, path, |measured| measured.cpu)?;
        let name = web.contender.name;
        let class = match name {
            _ if name.starts_with("ceiling") => "ceiling",
            _ if web.contender.is_ours() => "ours",
            _ => "peer",
        };
        Some(Bar { name, class, cpu })
    });
    let mut bars: Vec<_> = bars.collect();
    bars.sort_by(|a, b| a.cpu.median.total_cmp(&b.cpu.median));
    bars
}

/// Draws a panel from `y` on, each on its own scale, and returns where it ends.
fn panel(body: &mut String, title: &str, bars: &[Bar<'_>], y: f64) -> f64 {
    let most = bars.iter().map(|bar| bar.cpu.high).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - NAMES - FIGURES) / most;
    let _ = writeln!(body, "<text class=\"title\" x=\"0\" y=\"{:.0}\">{title}</text>", y + 18.0);
    let _ = writeln!(
        body,
        "<text class=\"small\" x=\"{NAMES}\" y=\"{:.0}\">processor µs of the web server for each request; less is better</text>",
        y + 18.0,
    );
    for (row, Bar { name, class, cpu }) in (0_u32..).zip(bars) {
        let top = y + TITLE - SPACE / 2.0 + f64::from(row) * ROW;
        let middle = top + BAR / 2.0;
        let Estimate { median, low, high } = *cpu;
        let x = |value: f64| NAMES + value * scale;
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"{class}\" x=\"{NAMES}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <line class=\"whisker\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{median:.1}</text>",
            NAMES - 8.0,
            middle + 4.0,
            median * scale,
            x(low),
            x(high),
            x(high) + 6.0,
            middle + 4.0,
        );
    }
    y + TITLE + ROW * f64::from(u32::try_from(bars.len()).unwrap_or(u32::MAX)) + SPACE / 2.0
}

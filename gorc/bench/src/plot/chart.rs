//! Charts with logarithmic axes, written by hand as SVG.

use std::fmt::Write;

/// Size of one chart with its labels, in pixels.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
/// Room for labels: left, right, above, below.
const ROOM: [f64; 4] = [64.0, 24.0, 16.0, 52.0];
const TITLE: f64 = 40.0;

/// Colours that can be read on white and on black; a page in dark colours gets its own.
const STYLE: &str = "<style>
  .ground { fill: #ffffff } .ink { fill: #1b1f24 } .faint { fill: #57606a }
  .grid { stroke: #d0d7de; stroke-width: 1 } .axis { stroke: #57606a; stroke-width: 1; fill: none }
  .line { stroke: #0a69da; stroke-width: 2; fill: none } .dot { fill: #0a69da }
  text { font-family: system-ui, sans-serif; font-size: 12px }
  .title { font-size: 16px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .ink { fill: #e6edf3 } .faint { fill: #9198a1 }
    .grid { stroke: #2a313a } .axis { stroke: #9198a1 }
    .line { stroke: #58a6ff } .dot { fill: #58a6ff }
  }
</style>";

/// Points that are joined, by rising x; all coordinates positive.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
}

/// One line with its axes.
#[derive(Clone)]
pub(super) struct Chart<'a> {
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    pub(super) line: Line,
}

/// All charts, two in a row.
pub(super) fn page(title: &str, charts: &[Chart<'_>]) -> String {
    let (width, height) = (2.0 * WIDTH, TITLE + HEIGHT * charts.len().div_ceil(2) as f64);
    let mut svg = String::new();
    let mut put = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    put(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">"
    ));
    put(STYLE.to_owned());
    put(format!("<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>"));
    put(format!("<text class=\"ink title\" x=\"20\" y=\"27\">{title}</text>"));
    for (number, chart) in charts.iter().enumerate() {
        let (x, y) = ((number % 2) as f64 * WIDTH, TITLE + (number / 2) as f64 * HEIGHT);
        put(format!("<g transform=\"translate({x} {y})\">\n{}</g>", chart.draw()));
    }
    put("</svg>".to_owned());
    svg
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    /// Pixels at its ends.
    from: f64,
    to: f64,
}

impl Axis {
    /// Around all `values`, with a little room.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // At least two thirds of a decade, so that what hardly changes looks flat.
        let room = (0.7 - (high - low)).max(0.0) / 2.0 + 0.08;
        Self { low: low - room, high: high + room, from, to }
    }

    fn pixel(&self, value: f64) -> f64 {
        let share = (value.max(1e-12).log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// Values worth a line: 1, 2 and 5 times each power of ten, or the powers alone where there are many.
    fn marks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.high - self.low > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = self.low.floor() as i32..=self.high.ceil() as i32;
        let all = powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        all.filter(|mark| (self.low..=self.high).contains(&mark.log10())).collect()
    }
}

impl Chart<'_> {
    fn draw(&self) -> String {
        let [left, right, above, below] = ROOM;
        let (right, bottom) = (WIDTH - right, HEIGHT - below);
        let x = Axis::around(self.line.points.iter().map(|point| point.0), left, right);
        let y = Axis::around(self.line.points.iter().map(|point| point.1), bottom, above);
        let mut svg = String::new();
        let mut put = |text: std::fmt::Arguments<'_>| {
            // Writing to a text does not fail.
            let _ = writeln!(svg, "{text}");
        };
        for mark in x.marks() {
            let at = x.pixel(mark);
            put(format_args!("<path class=\"grid\" d=\"M{at:.1} {above}V{bottom}\"/>"));
            let (label, base) = (label(mark), bottom + 16.0);
            put(format_args!(
                "<text class=\"faint\" x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\">{label}</text>"
            ));
        }
        for mark in y.marks() {
            let at = y.pixel(mark);
            put(format_args!("<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>"));
            let (label, side, base) = (label(mark), left - 8.0, at + 4.0);
            put(format_args!(
                "<text class=\"faint\" x=\"{side}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>"
            ));
        }
        put(format_args!("<path class=\"axis\" d=\"M{left} {above}V{bottom}H{right}\"/>"));
        let (middle, base) = ((left + right) / 2.0, bottom + 38.0);
        put(format_args!(
            "<text class=\"ink\" x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">{}</text>",
            self.x
        ));
        let middle = (above + bottom) / 2.0;
        put(format_args!(
            "<text class=\"ink\" transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.y
        ));
        let pixels = self.line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x.pixel(*a), y.pixel(*b)));
        let pixels: Vec<String> = pixels.collect();
        put(format_args!("<polyline class=\"line\" points=\"{}\"/>", pixels.join(" ")));
        for (a, b) in &self.line.points {
            let (cx, cy) = (x.pixel(*a), y.pixel(*b));
            put(format_args!("<circle class=\"dot\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3.5\"/>"));
            let (label, over) = (label(*b), cy - 8.0);
            put(format_args!(
                "<text class=\"ink\" x=\"{cx:.1}\" y=\"{over:.1}\" text-anchor=\"middle\">{label}</text>"
            ));
        }
        svg
    }
}

/// A number with about two digits that count, thousands as k.
fn label(value: f64) -> String {
    let text = if value >= 9_950.0 {
        format!("{:.0}k", value / 1000.0)
    } else if value >= 1_000.0 {
        format!("{:.1}k", value / 1000.0)
    } else if value >= 9.95 {
        format!("{value:.0}")
    } else if value >= 0.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    match text.split_once('.') {
        Some((whole, rest)) if rest.trim_end_matches('k').bytes().all(|digit| digit == b'0') => {
            format!("{whole}{}", if rest.ends_with('k') { "k" } else { "" })
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short() {
        let labels = [50_000.0, 2_000.0, 1_500.0, 500.0, 10.0, 1.0, 1.8, 0.25, 0.02];
        let expected = ["50k", "2k", "1.5k", "500", "10", "1", "1.8", "0.25", "0.02"];
        assert_eq!(labels.map(label), expected);
    }

    #[test]
    fn axes_hold_their_values_and_grow_by_decades() {
        let axis = Axis::around([1_000.0, 50_000.0].into_iter(), 0.0, 100.0);
        assert!((0.0..15.0).contains(&axis.pixel(1_000.0)) && (85.0..100.0).contains(&axis.pixel(50_000.0)));
        assert_eq!(axis.marks(), [1e3, 2e3, 5e3, 1e4, 2e4, 5e4]);
    }
}

//! The curves as a picture: hits against waste.

use std::fmt::Write;

use crate::report::{Curves, Point};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 30.0;
const BOTTOM: f64 = 60.0;
/// Copies for nothing for each crossing, at the right edge.
const MOST_WASTE: f64 = 1.5;
/// Copies in time, at the lower edge.
const LEAST_SHARE: f64 = 0.6;

/// An SVG image.
pub fn draw(title: &str, curves: &Curves) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/><text x=\"{LEFT}\" y=\"22\" \
         font-size=\"15\">{title}</text>\n"
    );
    for step in 0..=8 {
        let share = LEAST_SHARE + (1.0 - LEAST_SHARE) * f64::from(step) / 8.0;
        let y = y_of(share);
        line(&mut svg, [LEFT, y], [WIDTH - RIGHT, y]);
        label(&mut svg, [LEFT - 8.0, y + 4.0], "end", &format!("{:.0} %", share * 100.0));
    }
    for step in 0..=6 {
        let wasted = MOST_WASTE * f64::from(step) / 6.0;
        let x = x_of(wasted);
        line(&mut svg, [x, TOP], [x, HEIGHT - BOTTOM]);
        label(&mut svg, [x, HEIGHT - BOTTOM + 18.0], "middle", &format!("{wasted:.2}"));
    }
    let below = "copies for nothing, for each crossing";
    label(&mut svg, [LEFT.midpoint(WIDTH - RIGHT), HEIGHT - 14.0], "middle", below);
    let rows = [
        ("predictor, seconds ahead", "#0b6e4f", "s", &curves.ours),
        ("constant velocity, seconds ahead", "#c05621", "s", &curves.straight),
        ("whoever is near, metres", "#4a5568", "m", &curves.near),
    ];
    for (row, (name, colour, unit, curve)) in rows.into_iter().enumerate() {
        let shown: Vec<&Point> = curve
            .iter()
            .filter(|point| point.wasted <= MOST_WASTE && point.presynced >= LEAST_SHARE)
            .collect();
        let mut points = String::new();
        for point in &shown {
            let (x, y) = (x_of(point.wasted), y_of(point.presynced));
            let _ = write!(points, "{x:.1},{y:.1} ");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"><title>{} {unit}</title></circle>",
                point.setting
            );
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        let y = HEIGHT - BOTTOM - 60.0 + 18.0 * row as f64;
        let x = WIDTH - RIGHT - 250.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
            y - 10.0
        );
        label(&mut svg, [x + 18.0, y], "start", name);
    }
    svg.push_str("</svg>\n");
    svg
}

fn x_of(wasted: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * wasted / MOST_WASTE
}

fn y_of(share: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (share - LEAST_SHARE) / (1.0 - LEAST_SHARE)
}

fn line(svg: &mut String, from: [f64; 2], to: [f64; 2]) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#e2e8f0\"/>",
        from[0], from[1], to[0], to[1]
    );
}

fn label(svg: &mut String, at: [f64; 2], anchor: &str, text: &str) {
    let _ =
        writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>", at[0], at[1]);
}

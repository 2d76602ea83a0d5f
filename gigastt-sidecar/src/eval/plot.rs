//! A picture of figures with their intervals, as SVG.

use std::fmt::Write as _;

/// Points on one scale, from zero on.
pub(super) struct Panel {
    /// What the scale is.
    pub title: String,
    pub rows: Vec<Row>,
}

/// A figure: what it is of, the figure, and from where to where it may lie or reaches.
pub(super) struct Row {
    pub label: String,
    pub value: f64,
    pub range: Option<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
/// Where scales begin and end.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 730.0;
const ROW: f64 = 24.0;
/// Above and below the rows of a panel.
const HEAD: f64 = 44.0;
const FOOT: f64 = 36.0;
/// Steps of a scale, at most.
const STEPS: f64 = 6.0;

/// Draws panels one below the other. Values below zero stand at zero.
pub(super) fn svg(panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut top = 0.0;
    for panel in panels {
        panel.draw(&mut out, top);
        top += panel.height();
    }
    out.push_str("</svg>\n");
    out
}

impl Panel {
    fn height(&self) -> f64 {
        HEAD + ROW * self.rows.len() as f64 + FOOT
    }

    fn draw(&self, out: &mut String, top: f64) {
        let ends = self.rows.iter().map(|row| row.range.map_or(row.value, |(_, high)| high.max(row.value)));
        let largest = ends.fold(0.0, f64::max);
        let step = step(largest);
        let steps = (largest / step).ceil().max(1.0);
        let x = |value: f64| LEFT + (RIGHT - LEFT) * (value.max(0.0) / (step * steps));
        let foot = top + HEAD + ROW * self.rows.len() as f64;

        text(out, 16.0, top + 24.0, "start", "bold", &self.title);
        for n in 0..=steps as u32 {
            let value = step * f64::from(n);
            let (at, from) = (x(value), top + HEAD - 8.0);
            line(out, (at, from), (at, foot), "#ddd", 1.0);
            // Steps of less than one have as many digits as they need.
            let digits = (-step.log10().floor()).max(0.0) as usize;
            text(out, at, foot + 16.0, "middle", "normal", &format!("{value:.digits$}"));
        }
        for (n, row) in self.rows.iter().enumerate() {
            let y = top + HEAD + ROW * (n as f64 + 0.5);
            text(out, LEFT - 12.0, y + 4.0, "end", "normal", &row.label);
            if let Some((low, high)) = row.range {
                line(out, (x(low), y), (x(high), y), "#4477aa", 3.0);
            }
            let _ =
                writeln!(out, "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"#223355\"/>", x(row.value));
        }
    }
}

/// 1, 2 or 5 times a power of ten, so that a scale has few steps.
fn step(largest: f64) -> f64 {
    let rough = if largest > 0.0 { largest / STEPS } else { 1.0 / STEPS };
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough).unwrap_or(rough)
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>"
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, weight: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{what}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, value: f64, range: Option<(f64, f64)>) -> Row {
        Row { label: label.into(), value, range }
    }

    #[test]
    fn figures_stand_on_their_scale() {
        let rows = vec![row("a < b & c", 5.0, Some((2.5, 10.0))), row("none", 0.0, None)];
        let svg = svg(&[Panel { title: "errors, %".into(), rows }]);
        assert!(svg.contains("a &lt; b &amp; c"));
        // The scale goes to 10: half of it is in the middle.
        assert!(svg.contains("<circle cx=\"515.0\" cy=\"56.0\""), "{svg}");
        assert!(svg.contains("<line x1=\"407.5\" y1=\"56.0\" x2=\"730.0\" y2=\"56.0\""), "{svg}");
        assert!(svg.contains("<circle cx=\"300.0\" cy=\"80.0\""), "{svg}");
        for label in [">0<", ">2<", ">10<"] {
            assert!(svg.contains(label), "{label}: {svg}");
        }
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn scales_have_round_steps() {
        for (largest, expected) in [(0.0, 0.2), (0.6, 0.1), (7.0, 2.0), (30.0, 5.0), (2_400.0, 500.0)] {
            assert!((step(largest) - expected).abs() < 1e-9, "{largest}: {}", step(largest));
        }
    }

    #[test]
    fn nothing_is_an_empty_picture() {
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}

//! One plot: lines over an axis, drawn as an SVG that takes its colours from the page.

use std::fmt::Write as _;

use crate::report::text::{escaped, number};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;
/// The page has colours for so many lines; further ones begin anew.
pub const COLOURS: usize = 8;
/// Points that tell their values when pointed at; of more, every n-th.
const MARKS: usize = 120;

/// A line.
pub struct Line {
    /// What it is.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// How the horizontal axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Evenly.
    Even,
    /// Shares of 0 to 1, each nine after the point as wide as the one before.
    Nines,
}

/// A span of the horizontal axis with a name.
pub struct Band {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub until: f64,
}

/// A plot.
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What runs to the right, with its unit.
    pub across: &'static str,
    /// What runs upwards, with its unit.
    pub up: &'static str,
    /// How it runs to the right.
    pub axis: Axis,
    /// Parts of the run.
    pub bands: Vec<Band>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// Where values lie on the paper.
struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    top: f64,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let place = |value: f64| match self.axis {
            Axis::Even => value,
            Axis::Nines => -(1.0 - value.min(0.999_99)).log10(),
        };
        let (from, to) = (place(self.from), place(self.to));
        LEFT + (place(value) - from) / (to - from).max(f64::EPSILON) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

impl Plot {
    /// The plot with its title and legend; nothing where no line has two points.
    pub fn html(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if !self.lines.iter().any(|line| line.points.len() > 1) {
            return String::new();
        }
        let (from, to) = match self.axis {
            Axis::Even => (0.0, points().map(|point| point.0).fold(1.0, f64::max)),
            Axis::Nines => (0.0, 0.999_99),
        };
        let steps = steps(points().map(|point| point.1).fold(0.0, f64::max));
        let scale = Scale { axis: self.axis, from, to, top: *steps.last().unwrap_or(&1.0) };

        let mut svg =
            format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, escaped(&self.title));
        self.draw_bands(&scale, &mut svg);
        self.draw_axes(&scale, &steps, &mut svg);
        for (number, line) in self.lines.iter().enumerate() {
            self.draw_line(&scale, number % COLOURS, line, &mut svg);
        }
        svg.push_str("</svg>");
        let legend: String = match &self.lines[..] {
            [_] => String::new(),
            lines => lines
                .iter()
                .enumerate()
                .map(|(number, line)| {
                    format!(r#"<span><i class="k{}"></i>{}</span>"#, number % COLOURS, escaped(&line.name))
                })
                .collect(),
        };
        format!(
            "<figure><figcaption>{} <small>{}</small></figcaption>{svg}<div class=\"legend\">{legend}</div></figure>\n",
            escaped(&self.title),
            escaped(self.up)
        )
    }

    fn draw_bands(&self, scale: &Scale, svg: &mut String) {
        for (at, band) in self.bands.iter().enumerate() {
            let (left, right) = (scale.x(band.from), scale.x(band.until.min(scale.to)));
            if right <= left {
                continue;
            }
            let (width, height) = (right - left, HEIGHT - TOP - BOTTOM);
            let _ = write!(
                svg,
                r#"<rect class="band b{}" x="{left:.1}" y="{TOP}" width="{width:.1}" height="{height:.1}"/>"#,
                at % 2
            );
            let name = escaped(&band.name);
            let _ = write!(svg, r#"<text class="part" x="{:.1}" y="{:.1}">{name}</text>"#, left + 4.0, TOP - 6.0);
        }
    }

    fn draw_axes(&self, scale: &Scale, steps: &[f64], svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for step in steps {
            let y = scale.y(*step);
            let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#);
            let _ =
                write!(svg, r#"<text class="tick end" x="{}" y="{:.1}">{}</text>"#, LEFT - 6.0, y + 4.0, number(*step));
        }
        let marks: Vec<(f64, String)> = match self.axis {
            Axis::Even => across_steps(scale.to).into_iter().map(|value| (value, number(value))).collect(),
            Axis::Nines => {
                [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
                    .map(|(value, text)| (value, text.to_owned()))
                    .into()
            }
        };
        for (value, text) in marks {
            let x = scale.x(value);
            let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{bottom}" y2="{}"/>"#, bottom + 4.0);
            let _ = write!(svg, r#"<text class="tick mid" x="{x:.1}" y="{}">{text}</text>"#, bottom + 17.0);
        }
        let middle = (LEFT + right) / 2.0;
        let _ = write!(
            svg,
            r#"<text class="tick mid" x="{middle:.1}" y="{}">{}</text>"#,
            HEIGHT - 6.0,
            escaped(self.across)
        );
    }

    fn draw_line(&self, scale: &Scale, colour: usize, line: &Line, svg: &mut String) {
        let at = |(across, up): &(f64, f64)| (scale.x(*across), scale.y(*up));
        let path: Vec<_> = line.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, r#"<polyline class="c{colour}" points="{}"/>"#, path.join(" "));
        for point in line.points.iter().step_by(line.points.len() / MARKS + 1) {
            let (x, y) = at(point);
            let across = match self.axis {
                Axis::Even => format!("at {}", number(point.0)),
                Axis::Nines => format!("{} %", number(point.0 * 100.0)),
            };
            let (name, value) = (escaped(&line.name), number(point.1));
            let _ = write!(
                svg,
                r#"<circle class="c{colour}" cx="{x:.1}" cy="{y:.1}" r="2"><title>{name}, {across}: {value}</title></circle>"#
            );
        }
    }
}

/// Round values from 0 up to at least the largest: four to eight of them.
fn steps(largest: f64) -> Vec<f64> {
    if largest.is_nan() || largest <= 0.0 {
        return vec![0.0, 1.0];
    }
    let step = round_step(largest / 5.0);
    let count = (largest / step - 1e-9).ceil() as usize;
    (0..=count).map(|at| at as f64 * step).collect()
}

/// Round values from 0 up to at most the largest.
fn across_steps(largest: f64) -> Vec<f64> {
    let step = round_step(largest / 8.0);
    (0..=(largest / step + 1e-9) as usize).map(|at| at as f64 * step).collect()
}

/// The next of 1, 2, 5, 10 and so on.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let times = rough / power;
    power
        * if times <= 1.0 {
            1.0
        } else if times <= 2.0 {
            2.0
        } else if times <= 5.0 {
            5.0
        } else {
            10.0
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps_and_reaches_the_largest() {
        for largest in [0.003, 0.7, 1.0, 4.9, 5.0, 13.0, 99.0, 1234.5, 980_000.0] {
            let steps = steps(largest);
            assert!((4..=9).contains(&steps.len()), "{largest}: {steps:?}");
            assert!(*steps.last().unwrap() >= largest * 0.999_999 && steps[0] == 0.0, "{largest}: {steps:?}");
        }
        assert_eq!(steps(0.0), [0.0, 1.0]);
        assert_eq!(across_steps(20.0), [0.0, 5.0, 10.0, 15.0, 20.0]);
    }

    #[test]
    fn points_lie_inside_the_paper_and_names_are_escaped() {
        let lines = vec![
            Line { name: "a<b".into(), points: vec![(0.0, 0.0), (10.0, 7.0)] },
            Line { name: "c".into(), points: vec![(5.0, 3.0)] },
        ];
        let bands = vec![Band { name: "quiet".into(), from: 2.0, until: 50.0 }];
        let plot = Plot { title: "t".into(), across: "s", up: "ms", axis: Axis::Even, bands, lines };
        let html = plot.html();
        assert!(html.contains("a&lt;b") && !html.contains("a<b"), "{html}");
        let places = html.split("points=\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split(' '));
        for place in places {
            let (x, y) = place.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{place}");
        }
    }

    #[test]
    fn what_has_no_line_is_not_drawn() {
        let plot =
            Plot { title: "t".into(), across: "s", up: "ms", axis: Axis::Nines, bands: Vec::new(), lines: Vec::new() };
        assert_eq!(plot.html(), "");
    }
}

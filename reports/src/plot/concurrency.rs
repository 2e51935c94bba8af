//! Concurrent connections of each server over a run.

use plotters::prelude::*;

use super::legend::{Legend, Swatch};
use super::{FONT, GRID, INK, PlotError, colour, fitted, second_round, text};
use crate::model::{Run, ServiceRun};
use crate::timeline::{Axis, Timeline};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 420;

/// Draws one service of a run; none where it has no timeline or no servers.
pub fn concurrency(run: &Run, service: &ServiceRun) -> Result<Option<String>, PlotError> {
    let Some(timeline) = service.timeline.as_ref() else {
        return Ok(None);
    };
    let buckets = timeline.peaks.iter().map(Vec::len).max().unwrap_or(0);
    if buckets == 0 {
        return Ok(None);
    }
    let (unit, size) = unit(timeline, buckets);
    let step = timeline.bucket as f64 / size;
    let top = timeline.peaks.iter().flatten().max().copied().unwrap_or(0);
    let legend = Legend::new(&service.servers, Swatch::Line, WIDTH - 10);

    let mut svg = String::new();
    {
        let size = (WIDTH, HEIGHT + legend.height());
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        let (upper, under) = root.split_vertically(HEIGHT);
        let title = format!(
            "{}: concurrent connections of {}",
            run.policy, service.service
        );
        let mut chart = ChartBuilder::on(&upper)
            .caption(fitted(&title, 16, WIDTH - 100), text(16))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(
                0.0..buckets as f64 * step,
                0.0..(top as f64 * 1.05).max(1.0),
            )?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_labels(9)
            .y_labels(7)
            .x_desc(unit)
            .y_desc("concurrent connections")
            .x_label_formatter(&|x| number(*x))
            .y_label_formatter(&|y| number(*y))
            .axis_desc_style((FONT, 13).into_font().color(&INK))
            .label_style((FONT, 12).into_font().color(&INK))
            .draw()?;
        for (server, peaks) in timeline.peaks.iter().enumerate() {
            let style = colour(server).stroke_width(2);
            let points = steps(peaks, step);
            if second_round(server) {
                chart.draw_series(DashedLineSeries::new(points, 6, 4, style))?;
            } else {
                chart.draw_series(LineSeries::new(points, style))?;
            }
        }
        legend.draw(&under)?;
        root.present()?;
    }
    Ok(Some(svg))
}

/// The corners of a step line: each bucket is level.
fn steps(peaks: &[u64], step: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, &peak) in peaks.iter().enumerate() {
        let y = peak as f64;
        match points.last_mut() {
            // A level that goes on needs no corner.
            Some(last) if last.1.to_bits() == y.to_bits() => last.0 = (at + 1) as f64 * step,
            _ => points.extend([(at as f64 * step, y), ((at + 1) as f64 * step, y)]),
        }
    }
    points
}

/// What the horizontal axis is called and what one of its units is worth.
fn unit(timeline: &Timeline, buckets: usize) -> (&'static str, f64) {
    let span = timeline.bucket as f64 * buckets as f64;
    match timeline.axis {
        Axis::Connections => ("connections arrived", 1.0),
        Axis::Time if span < 2e6 => ("time, µs", 1e3),
        Axis::Time if span < 2e9 => ("time, ms", 1e6),
        Axis::Time if span < 600e9 => ("time, s", 1e9),
        Axis::Time if span < 18_000e9 => ("time, min", 60e9),
        Axis::Time => ("time, h", 3_600e9),
    }
}

/// A label of an axis, without needless decimals.
fn number(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_goes_on_is_one_line() {
        assert_eq!(
            steps(&[2, 2, 5], 0.5),
            [(0.0, 2.0), (1.0, 2.0), (1.0, 5.0), (1.5, 5.0)]
        );
    }
}

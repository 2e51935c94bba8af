//! Share against promised share: one small panel for each policy, one bar for each server.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::legend::{Legend, Swatch, bar_style};
use super::{Area, FONT, GRID, INK, PlotError, fitted, text};
use crate::model::{Report, Run, ServerRun, ServiceRun};

const PANEL: (u32, u32) = (260, 190);
const ACROSS: usize = 4;
const NARROWEST: u32 = 520;
const TITLE: u32 = 40;

/// Room over the highest bar, for the share of one that is cut.
const HEADROOM: f64 = 1.15;

/// Servers that fit with their numbers under the bars.
const NUMBERED: usize = 20;

/// Draws the service at a place in [`Report::services`]; none where it has no servers.
pub fn share(report: &Report, service: usize) -> Result<Option<String>, PlotError> {
    let runs: Vec<(&Run, &ServiceRun)> = report
        .runs
        .iter()
        .filter_map(|run| Some((run, run.services.get(service)?)))
        .filter(|(_, service)| !service.servers.is_empty())
        .collect();
    let Some(&(_, first)) = runs.first() else {
        return Ok(None);
    };
    let top = top(&runs);

    let across = runs.len().min(ACROSS);
    let down = runs.len().div_ceil(ACROSS);
    let panel = PANEL.0.max(NARROWEST / across as u32);
    let width = panel * across as u32;
    let legend = Legend::new(&first.servers, Swatch::Bar, width - 10);
    let bottom = TITLE + PANEL.1 * down as u32;
    let mut svg = String::new();
    {
        let size = (width, bottom + legend.height());
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        let title = format!("{}: share of connections, in %", first.service);
        root.draw(&Text::new(
            fitted(&title, 16, width - 20),
            (10, 12),
            text(16),
        ))?;
        let (panels, under) = root.split_vertically(bottom);
        let (_, panels) = panels.split_vertically(TITLE);
        for (area, (run, service)) in panels.split_evenly((down, across)).iter().zip(runs) {
            draw_panel(area, panel, &run.policy, &service.servers, top)?;
        }
        legend.draw(&under)?;
        root.present()?;
    }
    Ok(Some(svg))
}

/// The highest share that panels show, in percent. All have the same scale, so a policy that puts
/// everything on one server must not flatten the others: its bar is cut, and says its share.
fn top(runs: &[(&Run, &ServiceRun)]) -> f64 {
    let servers = || runs.iter().flat_map(|(_, service)| &service.servers);
    let promised = servers().filter_map(|server| server.promised_share);
    let fair = runs
        .iter()
        .map(|(_, service)| 1.0 / service.servers.len() as f64);
    let typical = promised.chain(fair).fold(0.0, f64::max);
    let highest = servers()
        .filter_map(|server| server.share)
        .fold(typical, f64::max);
    100.0 * highest.min(2.0 * typical)
}

fn draw_panel(
    area: &Area<'_>,
    width: u32,
    policy: &str,
    servers: &[ServerRun],
    top: f64,
) -> Result<(), PlotError> {
    let count = servers.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(fitted(policy, 14, width - 50), text(14))
        .margin(6)
        .margin_right(10)
        .x_label_area_size(18)
        .y_label_area_size(32)
        .build_cartesian_2d(0.0..count, 0.0..top * HEADROOM)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(0)
        .y_labels(5)
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .label_style((FONT, 11).into_font().color(&INK))
        .draw()?;

    for (at, server) in servers.iter().enumerate() {
        let left = at as f64;
        let share = server.share.unwrap_or(0.0) * 100.0;
        chart.draw_series([Rectangle::new(
            [(left + 0.14, 0.0), (left + 0.86, share.min(top))],
            bar_style(at),
        )])?;
        if let Some(promised) = server.promised_share {
            let y = promised * 100.0;
            let line = ShapeStyle::from(&INK).stroke_width(2);
            chart.draw_series([PathElement::new([(left + 0.02, y), (left + 0.98, y)], line)])?;
        }
        let label = |text: String, height: f64, at: Pos, shift: i32| {
            let (x, y) = chart.plotting_area().map_coordinate(&(left + 0.5, height));
            let (from_x, from_y) = area.get_base_pixel();
            let style = (FONT, 11).into_font().color(&INK).pos(at);
            area.draw(&Text::new(text, (x - from_x, y - from_y + shift), style))
        };
        if servers.len() <= NUMBERED {
            let under = Pos::new(HPos::Center, VPos::Top);
            label((at + 1).to_string(), 0.0, under, 5)?;
        }
        if share > top {
            let inwards = if left + 0.5 < count / 2.0 {
                HPos::Left
            } else {
                HPos::Right
            };
            let over = Pos::new(inwards, VPos::Bottom);
            label(format!("{share:.0} %"), top, over, -2)?;
            let gap = [(left + 0.1, top * 0.86), (left + 0.9, top * 0.92)];
            chart.draw_series([PathElement::new(gap, WHITE.stroke_width(3))])?;
        }
    }
    Ok(())
}

//! Which colour is which server, in columns under a plot.

use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::{Color, ShapeStyle};

use super::{Area, INK, PlotError, colour, fitted, second_round, text, text_width};
use crate::model::ServerRun;

const SIZE: u32 = 12;
const ROW: u32 = 20;
const SWATCH: u32 = 24;
const GAP: u32 = 18;

/// Servers that are named.
const MOST: usize = 32;

/// What stands before a server's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Swatch {
    /// A bar, numbered as under the bars.
    Bar,
    /// A line.
    Line,
}

pub(super) struct Legend {
    labels: Vec<String>,
    swatch: Swatch,
    column: u32,
    columns: u32,
}

impl Legend {
    /// A legend for a plot of this width.
    pub(super) fn new(servers: &[ServerRun], swatch: Swatch, width: u32) -> Self {
        let mut labels: Vec<String> = servers
            .iter()
            .take(MOST)
            .enumerate()
            .map(|(at, server)| match swatch {
                Swatch::Bar => format!("{}: {}, weight {}", at + 1, server.server, server.weight),
                Swatch::Line => server.server.clone(),
            })
            .collect();
        if servers.len() > MOST {
            labels.push(format!("and {} more", servers.len() - MOST));
        }
        if swatch == Swatch::Bar {
            labels.push("promised share".to_owned());
        }
        let widest = labels.iter().map(|label| text_width(label, SIZE)).max();
        let column = SWATCH + widest.unwrap_or(0) + GAP;
        Self {
            labels,
            swatch,
            column: column.min(width),
            columns: (width / column).max(1),
        }
    }

    /// Pixels that it takes.
    pub(super) fn height(&self) -> u32 {
        (self.labels.len() as u32).div_ceil(self.columns) * ROW + ROW / 2
    }

    pub(super) fn draw(&self, area: &Area<'_>) -> Result<(), PlotError> {
        let last = self.labels.len().saturating_sub(1);
        for (at, label) in self.labels.iter().enumerate() {
            let (row, column) = (at as u32 / self.columns, at as u32 % self.columns);
            let x = (column * self.column + 10).cast_signed();
            let y = (row * ROW + ROW / 2).cast_signed();
            let end = x + SWATCH.cast_signed() - 8;
            if self.swatch == Swatch::Bar && at == last {
                let line = ShapeStyle::from(&INK).stroke_width(2);
                area.draw(&PathElement::new([(x, y), (end, y)], line))?;
            } else if at < MOST {
                self.draw_swatch(area, at, (x, y), end)?;
            }
            let shown = fitted(label, SIZE, self.column - SWATCH);
            let place = (x + SWATCH.cast_signed(), y - SIZE.cast_signed() / 2);
            area.draw(&Text::new(shown, place, text(SIZE)))?;
        }
        Ok(())
    }

    fn draw_swatch(
        &self,
        area: &Area<'_>,
        server: usize,
        (x, y): (i32, i32),
        end: i32,
    ) -> Result<(), PlotError> {
        match self.swatch {
            Swatch::Bar => {
                let fill = bar_style(server);
                area.draw(&Rectangle::new([(x, y - 5), (end, y + 5)], fill))?;
            }
            Swatch::Line => {
                let style = colour(server).stroke_width(2);
                let parts: &[(i32, i32)] = if second_round(server) {
                    &[(0, 6), (10, 16)]
                } else {
                    &[(0, 16)]
                };
                for (from, to) in parts {
                    area.draw(&PathElement::new([(x + from, y), (x + to, y)], style))?;
                }
            }
        }
        Ok(())
    }
}

/// How a server's bar is filled: paler where its colour comes round again.
pub(super) fn bar_style(server: usize) -> ShapeStyle {
    let strength = if second_round(server) { 0.5 } else { 1.0 };
    colour(server).mix(strength).filled()
}

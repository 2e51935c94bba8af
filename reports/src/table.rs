//! A report as text for a terminal: what was read, a summary of the policies, then every server.
//!
//! It fits the width it is given by leaving out the least important columns, never by cutting a
//! number, and writes no escape codes unless asked to.

mod figures;
mod grid;
mod header;
pub mod inspect;
mod scenario;
mod servers;
mod summary;
mod utc;

use crate::model::{Costs, Report};
use figures::Paint;
pub use figures::plain;

/// How to draw the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether escape codes colour it.
    pub colour: Colour,
    /// Whether the measured cost of the policies is shown.
    pub costs: Costs,
}

/// Whether escape codes colour the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escape codes.
    Ansi,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 100,
            colour: Colour::Never,
            costs: Costs::Included,
        }
    }
}

/// Draws the whole report.
pub fn render(report: &Report, style: Style) -> String {
    let paint = Paint(style.colour);
    let mut out = String::new();
    header::draw(&mut out, report, paint);
    for (place, service) in report.services.iter().enumerate() {
        out.push('\n');
        if report.services.len() > 1 {
            out.push_str(&paint.bold(&figures::plain(&service.service)));
            out.push_str("\n\n");
        }
        summary::draw(&mut out, report, place, style);
        out.push('\n');
        servers::draw(&mut out, report, place, style);
    }
    out
}

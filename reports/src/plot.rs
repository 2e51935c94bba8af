//! Plots of a report as SVG: no font libraries, the same bytes each time.
//!
//! Text is laid out by estimate and drawn by the viewer's own sans-serif font.

mod concurrency;
mod legend;
mod share;

use std::io;

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{DrawingArea, RGBColor, SVGBackend};
use plotters::style::{IntoFont, TextStyle};
use thiserror::Error;

pub use concurrency::concurrency;
pub use share::share;

/// The drawing failed.
#[derive(Debug, Error)]
#[error("cannot draw the plot: {0}")]
pub struct PlotError(#[from] DrawingAreaErrorKind<io::Error>);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// Okabe and Ito's palette for all kinds of colour vision, with wine red for its yellow, which is
/// lost on white, and grey for its black, which marks promised shares.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(136, 34, 85),
    RGBColor(127, 127, 127),
];

fn colour(server: usize) -> RGBColor {
    PALETTE[server % PALETTE.len()]
}

/// Whether a server is of those that share a colour with an earlier one.
fn second_round(server: usize) -> bool {
    server / PALETTE.len() % 2 == 1
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// Pixels that text of a size takes, about.
fn text_width(text: &str, size: u32) -> u32 {
    text.chars().count() as u32 * size * 6 / 10
}

/// Text without control characters, cut to the pixels it may take.
fn fitted(text: &str, size: u32, width: u32) -> String {
    let most = (width * 10 / (size * 6)).max(2) as usize;
    let mut shown: Vec<char> = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if shown.len() > most {
        shown.truncate(most - 1);
        shown.push('…');
    }
    shown.into_iter().collect()
}

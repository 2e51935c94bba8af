//! One row for each capture.

use super::super::figures::{Paint, Unit, count, counted, dash, decimal, plain};
use super::super::grid::{Align, Column, Grid, Line};
use super::super::utc;
use crate::inspect::{Capture, Inspection};
use crate::model;

/// Captures that are all shown.
const MOST: usize = 12;
/// Of more, so many at each end, and those with something to say.
const ENDS: usize = 4;

pub(super) fn draw(out: &mut String, inspection: &Inspection, width: usize, paint: Paint) {
    let captures = &inspection.captures;
    let total = &inspection.total;
    let unit = Unit::of_bytes(total.bytes);
    let right = |title: &str| Column::new(title, Align::Right, 0);
    let mut columns = vec![
        Column::new("capture", Align::Left, 0),
        right("packets"),
        right(unit.name),
        right("seconds"),
    ];
    let several = captures.len() > 1;
    if several {
        columns.push(Column::new("first packet, UTC", Align::Left, 2));
    }
    columns.push(Column::new("file type", Align::Left, 3));
    columns.push(Column::new("link type", Align::Left, 1));
    let mut grid = Grid::new(columns);
    let row = |name: String, packets, bytes: u64, times, first, types: [String; 2]| {
        let mut cells = vec![
            name,
            count(packets),
            unit.show(bytes as f64),
            decimal(seconds(times), 3),
        ];
        if several {
            cells.push(first);
        }
        cells.extend(types);
        Line::Cells(cells)
    };
    let hidden = if captures.len() > MOST {
        ENDS..captures.len() - ENDS
    } else {
        0..0
    };
    let mut untold = 0;
    for (place, capture) in captures.iter().enumerate() {
        let Capture { facts, file_type } = capture;
        if hidden.contains(&place) && facts.warnings.is_empty() {
            untold += 1;
            continue;
        }
        tell(&mut grid, &mut untold, paint);
        let model::Capture {
            name,
            packets,
            bytes,
            first_ns,
            last_ns,
            link_types,
            warnings,
        } = facts;
        grid.push(row(
            plain(name),
            *packets,
            *bytes,
            (*first_ns, *last_ns),
            first_ns.map_or_else(dash, utc::of_ns),
            [plain(file_type), plain(&link_types.join(", "))],
        ));
        for warning in warnings {
            grid.push(Line::Across(format!("  {}", paint.red(&plain(warning)))));
        }
    }
    if several {
        let times = (total.first_ns, total.last_ns);
        let name = counted(captures.len() as u64, "capture");
        let nothing = String::new;
        grid.push(row(
            name,
            total.packets,
            total.bytes,
            times,
            nothing(),
            [nothing(), nothing()],
        ));
    }
    grid.draw(out, width, paint);
}

/// How many rows were left out here.
fn tell(grid: &mut Grid, untold: &mut u64, paint: Paint) {
    if *untold > 0 {
        let text = format!("  {}", counted(*untold, "more capture"));
        grid.push(Line::Across(paint.dim(&text)));
        *untold = 0;
    }
}

fn seconds((first, last): (Option<u64>, Option<u64>)) -> Option<f64> {
    Some(last?.saturating_sub(first?) as f64 / 1e9)
}

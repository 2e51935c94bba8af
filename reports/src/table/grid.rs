//! Columns of text: aligned, headed, and left out from the least important on until they fit.

use super::figures::Paint;

/// Spaces between columns.
const GAP: usize = 2;

/// How a column's cells stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// One column.
pub(super) struct Column {
    /// Over the titles of neighbours with the same group; empty for none.
    group: String,
    title: String,
    align: Align,
    /// Columns of the highest rank go first where space is short; rank 0 stays.
    rank: u8,
}

impl Column {
    pub(super) fn new(title: impl Into<String>, align: Align, rank: u8) -> Self {
        Self {
            group: String::new(),
            title: title.into(),
            align,
            rank,
        }
    }

    /// Puts the column under a common heading.
    pub(super) fn under(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }
}

/// A line of the grid.
pub(super) enum Line {
    /// One cell for each column.
    Cells(Vec<String>),
    /// Text across all columns.
    Across(String),
}

/// A table that is being put together.
pub(super) struct Grid {
    columns: Vec<Column>,
    lines: Vec<Line>,
}

impl Grid {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            lines: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    pub(super) fn draw(&self, out: &mut String, width: usize, paint: Paint) {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| self.column_width(at))
            .collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        while spans(&shown, &widths) > width {
            let Some(rank) = shown.iter().map(|&at| self.columns[at].rank).max() else {
                break;
            };
            if rank == 0 {
                break;
            }
            shown.retain(|&at| self.columns[at].rank != rank);
        }

        if shown.iter().any(|&at| !self.columns[at].group.is_empty()) {
            push_line(out, &paint.dim(self.groups(&shown, &widths).trim_end()));
        }
        let titles = shown
            .iter()
            .map(|&at| pad(&self.columns[at].title, widths[at], self.columns[at].align));
        push_line(out, &paint.dim(join(titles).trim_end()));
        for line in &self.lines {
            match line {
                Line::Across(text) => push_line(out, text),
                Line::Cells(cells) => {
                    let cells = shown
                        .iter()
                        .map(|&at| pad(&cells[at], widths[at], self.columns[at].align));
                    push_line(out, join(cells).trim_end());
                }
            }
        }
    }

    fn column_width(&self, at: usize) -> usize {
        let cells = self.lines.iter().filter_map(|line| match line {
            Line::Cells(cells) => Some(length(&cells[at])),
            Line::Across(_) => None,
        });
        cells
            .max()
            .unwrap_or(0)
            .max(length(&self.columns[at].title))
    }

    /// The upper heading: each group's name to the right over its columns, with a rule before it.
    fn groups(&self, shown: &[usize], widths: &[usize]) -> String {
        let runs = shown.chunk_by(|&a, &b| {
            let group = &self.columns[a].group;
            !group.is_empty() && *group == self.columns[b].group
        });
        join(runs.map(|run| {
            let width = spans(run, widths);
            let group = &self.columns[run[0]].group;
            let rule = width.saturating_sub(length(group) + 1);
            match length(group) {
                0 => " ".repeat(width),
                _ if rule > 0 => format!("{} {group}", "─".repeat(rule)),
                _ => pad(group, width, Align::Right),
            }
        }))
    }
}

/// What these columns take with the gaps between them.
fn spans(shown: &[usize], widths: &[usize]) -> usize {
    let text: usize = shown.iter().map(|&at| widths[at]).sum();
    text + GAP * shown.len().saturating_sub(1)
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn join(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let space = " ".repeat(width.saturating_sub(length(text)));
    match align {
        Align::Left => format!("{text}{space}"),
        Align::Right => format!("{space}{text}"),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Colour;

    fn grid() -> Grid {
        let mut grid = Grid::new(vec![
            Column::new("server", Align::Left, 0),
            Column::new("peak", Align::Right, 1).under("concurrent"),
            Column::new("mean", Align::Right, 2).under("concurrent"),
        ]);
        grid.push(Line::Across("rr".to_owned()));
        grid.push(Line::Cells(
            ["10.1.0.1:80", "12", "3.25"].map(str::to_owned).into(),
        ));
        grid
    }

    fn drawn(width: usize) -> String {
        let mut out = String::new();
        grid().draw(&mut out, width, Paint(Colour::Never));
        out
    }

    #[test]
    fn groups_stand_over_their_columns() {
        insta::assert_snapshot!(drawn(80), @r"
                     concurrent
        server       peak  mean
        rr
        10.1.0.1:80    12  3.25
        ");
    }

    #[test]
    fn the_least_important_columns_go_first() {
        assert!(!drawn(22).contains("mean"));
        assert!(drawn(22).contains("peak"));
        assert!(!drawn(10).contains("peak"));
        assert!(drawn(10).contains("10.1.0.1:80"));
    }
}

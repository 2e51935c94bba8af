//! How numbers and names read in the table.

use super::{Colour, utc};
use crate::model::Selection;

/// Puts escape codes around text, or not.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub(super) Colour);

impl Paint {
    pub(super) fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.code("31", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        match self.0 {
            Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::Never => text.to_owned(),
        }
    }
}

/// A unit and what one of it is worth.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    size: f64,
}

impl Unit {
    /// The unit in which the largest of the byte counts reads best.
    pub(super) fn of_bytes(largest: u64) -> Self {
        let (name, size) = match largest {
            0..10_000 => ("B", 1.0),
            10_000..10_000_000 => ("kB", 1e3),
            10_000_000..10_000_000_000 => ("MB", 1e6),
            _ => ("GB", 1e9),
        };
        Self { name, size }
    }

    /// The unit in which the largest of the times in microseconds reads best.
    pub(super) fn of_us(largest: f64) -> Self {
        let (name, size) = if largest < 1e3 {
            ("µs", 1.0)
        } else if largest < 1e7 {
            ("ms", 1e3)
        } else {
            ("s", 1e6)
        };
        Self { name, size }
    }

    /// With one decimal, but none for plain bytes.
    pub(super) fn show(self, value: f64) -> String {
        if self.name == "B" {
            return format!("{value:.0}");
        }
        format!("{:.1}", value / self.size)
    }
}

/// A byte count by itself, `8.1 MB`.
pub(super) fn bytes(value: u64) -> String {
    // Units for a column leave a digit of room for its smaller values.
    let unit = Unit::of_bytes(value.saturating_mul(10));
    format!("{} {}", unit.show(value as f64), unit.name)
}

/// Breaks text between words where a line would pass the width; later lines are indented.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `12,345`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 packet`, `2 packets`.
pub(super) fn counted(value: u64, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(value))
}

/// `20 arp, 3 fragment`, largest first.
pub(super) fn by_reason<'a>(reasons: impl IntoIterator<Item = (&'a String, &'a u64)>) -> String {
    let mut reasons: Vec<_> = reasons.into_iter().filter(|&(_, &n)| n > 0).collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let parts: Vec<String> = reasons
        .into_iter()
        .map(|(reason, &n)| format!("{} {}", count(n), plain(reason)))
        .collect();
    parts.join(", ")
}

/// `25.0`, in percent; a dash where there is none.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(dash, |share| format!("{:.1}", share * 100.0))
}

/// With so many decimals; a dash where there is none.
pub(super) fn decimal(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(dash, |value| format!("{value:.decimals$}"))
}

/// What stands where there is no value.
pub(super) fn dash() -> String {
    "-".to_owned()
}

/// A name without what could steer the terminal.
pub fn plain(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let kept = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}

/// A bar of `width` cells, full at 1, with a mark where the promised share ends.
#[expect(
    clippy::cast_sign_loss,
    reason = "what is cast is clamped to 0 and above"
)]
pub(super) fn bar(share: f64, promised: Option<f64>, width: usize) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut cells: Vec<char> = (0..width)
        .map(|cell| match eighths.saturating_sub(cell * 8) {
            part @ 0..8 => PARTS[part],
            _ => '█',
        })
        .collect();
    if let Some(promised) = promised.filter(|&promised| promised > 0.0) {
        let end = (promised.clamp(0.0, 1.0) * width as f64).round() as usize;
        if let Some(cell) = cells.get_mut(end.max(1) - 1) {
            *cell = '│';
        }
    }
    cells.into_iter().collect()
}

/// What of the captures was taken, and how much was left out by that.
pub(super) fn selection(selection: &Selection) -> String {
    let left_out = |packets: u64, whose: &str| format!("{} {whose}", counted(packets, "packet"));
    let window = match (selection.from_ns, selection.to_ns) {
        (None, None) => None,
        (Some(from), None) => Some(format!("from {} UTC on", utc::of_ns(from))),
        (None, Some(to)) => Some(format!("before {} UTC", utc::of_ns(to))),
        (Some(from), Some(to)) => {
            let (from, to) = (utc::of_ns(from), utc::of_ns(to));
            Some(format!("from {from} to {to} UTC"))
        }
    };
    let window = window.map(|window| {
        let outside = left_out(selection.outside_packets, "outside");
        format!("{window} ({outside})")
    });
    let share = (selection.share < 1.0).then(|| {
        let others = left_out(selection.unsampled_packets, "of others");
        format!("{}% of connections ({others})", selection.share * 100.0)
    });
    let parts: Vec<String> = window.into_iter().chain(share).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(Unit::of_bytes(12_345).show(12_345.0), "12.3");
        assert_eq!(Unit::of_bytes(9_999).show(9_999.0), "9999");
        assert_eq!(Unit::of_us(1_500.0).show(1_500.0), "1.5");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "  three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
        assert_eq!(bytes(8_123_456), "8.1 MB");
    }

    #[test]
    fn bars() {
        assert_eq!(bar(0.5, None, 4), "██  ");
        assert_eq!(bar(0.53, None, 4), "██▏ ");
        assert_eq!(bar(0.25, Some(0.75), 4), "█ │ ");
        assert_eq!(bar(1.0, Some(1.0), 4), "███│");
        assert_eq!(bar(0.0, Some(0.0), 4), "    ");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(plain("rr\u{1b}[31m\n"), "rr\\u{1b}[31m\\n");
    }
}

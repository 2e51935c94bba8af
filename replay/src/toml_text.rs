//! Where something is wrong in a TOML text, and what, in one line.

use std::ops::Range;

/// Line and column of a place, from 1, the column in characters.
pub(crate) fn place(text: &str, span: Option<Range<usize>>) -> (usize, usize) {
    let at = span.map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or(before);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// Some messages have several lines, or repeat what stands in the text.
pub(crate) fn one_line(message: &str) -> String {
    let lines = message.replace('\n', ", ");
    let mut line = String::with_capacity(lines.len());
    for character in lines.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_lines() {
        let text = "a = 1\nbä = 2\n";
        assert_eq!(place(text, None), (1, 1));
        assert_eq!(place(text, Some(9..10)), (2, 3));
        assert_eq!(one_line("one\ntwo\tthree"), r"one, two\tthree");
    }
}

//! Words as a shell reads them back.

use std::ffi::OsStr;
use std::fmt::Write as _;

/// The word so that a shell takes it for one and changes nothing in it: as it is where that is
/// safe, else in quotes; in `$'…'` where it holds what a terminal would not show. That bash, zsh,
/// ksh and every shell of POSIX.1-2024 understand.
pub fn quoted(word: &OsStr) -> String {
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => escaped(word.as_encoded_bytes()),
    }
}

/// Characters that no shell gives a meaning.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c)
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            // Octal: of hexadecimal digits some shells take more than two.
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn words_by_hand() {
        let quoted = |word: &str| quoted(OsStr::new(word));
        assert_eq!(quoted("/data/a-1_b.pcap"), "/data/a-1_b.pcap");
        assert_eq!(quoted("tcp:10.0.0.1:80"), "tcp:10.0.0.1:80");
        assert_eq!(quoted("tcp:[2001:db8::1]:80"), "'tcp:[2001:db8::1]:80'");
        assert_eq!(quoted("two words"), "'two words'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~a"), "'~a'");
        assert_eq!(quoted("Jürgen.pcap"), "'Jürgen.pcap'");
        assert_eq!(quoted("a\n'1\u{1b}"), r"$'a\012\'1\033'");
    }

    #[test]
    fn bash_reads_them_back() {
        if Command::new("bash").arg("--version").output().is_err() {
            println!("skipped: no bash");
            return;
        }
        let words: [&[u8]; 8] = [
            b"plain.pcap",
            b"a b\t*?[x]$HOME`id`\"#!&|;<>(){}~=^",
            b"it's 'quoted'\\",
            b"",
            b"-",
            b"line\nbreak\x1b[31m\x7f",
            b"\xff\xfe1'\\",
            "Jürgen 日本".as_bytes(),
        ];
        for word in words {
            let line = format!("printf %s {}", quoted(OsStr::from_bytes(word)));
            let output = Command::new("bash").args(["-c", &line]).output();
            assert_eq!(
                output.map(|output| output.stdout).ok().as_deref(),
                Some(word),
                "{line}"
            );
        }
    }
}

//! Bytes that others sent as text, without loss and on one line.

use std::borrow::Cow;
use std::fmt::Write as _;

/// As text: `\xHH` stands for a byte, and for nothing else. Those bytes are written so that are no
/// UTF-8, those of control characters and of `also`, and the backslash.
pub(super) fn escaped(bytes: &[u8], also: Option<char>) -> Cow<'_, str> {
    let is_plain = |one: char| one != '\\' && !one.is_control() && Some(one) != also;
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(is_plain)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for one in chunk.valid().chars() {
            if is_plain(one) {
                text.push(one);
            } else {
                push_bytes(&mut text, one.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        push_bytes(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// Two digits for each byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As docs/table.md tells how.
    fn unescaped(text: &str) -> Vec<u8> {
        let mut parts = text.split("\\x");
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend(&part.as_bytes()[2..]);
        }
        bytes
    }

    #[test]
    fn what_is_no_plain_text_is_written_byte_by_byte() {
        let texts = [
            (&b"/a?b=c,\"d\"%20"[..], r#"/a?b=c,"d"%20"#),
            ("/grüße".as_bytes(), "/grüße"),
            (b"/a\\b", r"/a\x5cb"),
            (b"/\xfc\xff", r"/\xfc\xff"),
            (b"a\tb\r\n\0\x7f", r"a\x09b\x0d\x0a\x00\x7f"),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
            (b"", ""),
        ];
        for (bytes, text) in texts {
            assert_eq!(escaped(bytes, None), text);
            assert_eq!(unescaped(text), bytes);
        }
        assert_eq!(escaped(b"a,b", Some(',')), r"a\x2cb");
        assert_eq!(hexadecimal(&[0, 0xaf]), "00af");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                ".*".prop_map(String::into_bytes),
                "[a\\\\x0-9,]*".prop_map(String::into_bytes),
            ],
        ) {
            for also in [None, Some(',')] {
                let text = escaped(&bytes, also);
                prop_assert!(!text.contains(char::is_control));
                prop_assert!(also.is_none_or(|also| !text.contains(also)));
                prop_assert_eq!(&unescaped(&text), &bytes);
            }
        }
    }
}

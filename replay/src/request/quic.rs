//! QUIC's long header, as all versions have it (RFC 8999).
//!
//! Decrypts nothing: the server name within the first packet stays unread.

use super::record::Initial;

const LONG_HEADER: u8 = 0x80;
/// Bytes of an id in versions 1 and 2, and all drafts (RFC 9000 17.2).
const LONGEST_ID: usize = 20;

/// What the first datagram of a client says; none where it is no long header of a version that is
/// known: other protocols' datagrams look alike.
pub(super) fn initial(datagram: &[u8]) -> Option<Initial> {
    let (&first, rest) = datagram.split_first()?;
    let (version, rest) = rest.split_first_chunk()?;
    let version = u32::from_be_bytes(*version);
    if first & LONG_HEADER == 0 || !is_known(version) {
        return None;
    }
    let (destination_id, rest) = id(rest)?;
    let (source_id, _) = id(rest)?;
    Some(Initial {
        version,
        destination_id: destination_id.to_vec(),
        source_id: source_id.to_vec(),
    })
}

fn id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let length = usize::from(length);
    if length > LONGEST_ID {
        return None;
    }
    rest.split_at_checked(length)
}

/// Versions 1 and 2, the drafts of version 1, those that Google and Facebook (mvfst) had before,
/// with this header from Q046 on, and those that ask for a negotiation.
fn is_known(version: u32) -> bool {
    let [a, b, c, _] = version.to_be_bytes();
    match version {
        1 | 0x6b33_43cf => true,
        _ if version & 0x0f0f_0f0f == 0x0a0a_0a0a => true,
        _ => match [a, b, c] {
            [0xff, 0, 0] | [0xfa, 0xce, 0xb0] => true,
            [b'Q' | b'T', b'0', b'4' | b'5'] => version >= u32::from_be_bytes(*b"Q046"),
            _ => false,
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    /// The client's Initial of RFC 9001, Appendix A.2, as far as its ids.
    const CLIENT: [u8; 16] = [
        0xc0, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08, 0, 0,
    ];

    #[test]
    fn a_long_header_is_read() {
        let initial = initial(&CLIENT).unwrap();
        assert_eq!(initial.version, 1);
        let id = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
        assert_eq!(initial.destination_id, id);
        assert!(initial.source_id.is_empty());
    }

    #[test]
    fn what_is_cut_short_or_of_no_known_version_is_none() {
        for length in 0..15 {
            assert_eq!(initial(&CLIENT[..length]), None, "{length} bytes");
        }
        let mut other = CLIENT;
        other[1] = 0x12;
        assert_eq!(initial(&other), None);
        let mut short = CLIENT;
        short[0] = 0x40;
        assert_eq!(initial(&short), None);
    }
}

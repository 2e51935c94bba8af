//! The short way for plain packets answers what the full way answers, whatever the frame.

use equipoise_replay::decode::{Decoder, Tunnels};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::frames::{ethernet, ipv4, ipv6, tcp, udp};

const LINK_TYPES: [u16; 17] = [
    0, 1, 9, 12, 14, 50, 51, 77, 101, 104, 108, 113, 228, 229, 239, 276, 999,
];

/// A frame of a link type, of which the short way takes some.
fn frame() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let content = (0..6_u8, any::<u8>(), 0..40_usize).prop_map(|(kind, flags, payload)| {
        let payload = vec![7; payload];
        let mut datagram = udp(&payload);
        match kind {
            0 => return (4, ipv4(6, &tcp(2, 1, &payload))),
            1 | 2 => {
                let mut segment = tcp(flags, 9, &payload);
                segment[12] = [0x50, 0x80, 0x40, 0xf0][usize::from(flags >> 6)];
                return (6, segment);
            }
            3 => {}
            _ => {
                let port = [6080_u16, 4789, 6081, 443][usize::from(flags >> 6)];
                datagram[2..4].copy_from_slice(&port.to_be_bytes());
            }
        }
        (17, datagram)
    });
    (content, any::<bool>(), 0..8_u8, 0..8_u8).prop_map(|((protocol, content), six, turn, link)| {
        let packet = if six {
            let mut packet = ipv6(protocol, &content);
            let mapped = 0xffff_0a00_0001_u128.to_be_bytes();
            match turn {
                0 => packet[8..24].copy_from_slice(&mapped),
                1 => packet[24..40].copy_from_slice(&mapped),
                2 => packet[4..6].fill(0),
                3 => packet[5] = 10,
                _ => {}
            }
            packet
        } else {
            let mut packet = ipv4(protocol, &content);
            match turn {
                0 => packet[6] = 0x20,
                1 => packet[7] = 1,
                2 => packet[2..4].fill(0),
                3 => packet[3] = 30,
                4 => packet[0] = 0x46,
                _ => {}
            }
            packet
        };
        let kind: [u8; 2] = if six { [0x86, 0xdd] } else { [0x08, 0x00] };
        let behind = |header: &[u8]| [header, &packet].concat();
        match link {
            0 => (101, packet),
            1 => (0, behind(&[if six { 10 } else { 2 }, 0, 0, 0])),
            2 => (113, behind(&[&[0; 14][..], &kind].concat())),
            3 => (276, behind(&[&kind[..], &[0; 18]].concat())),
            4 => (1, ethernet(0x8100, &behind(&[0, 7, kind[0], kind[1]]))),
            5 => (1, ethernet(0x88a8, &behind(&[0, 7, kind[0], kind[1]]))),
            6 => (104, behind(&[0x0f, 0, kind[0], kind[1]])),
            _ => (1, ethernet(u16::from_be_bytes(kind), &packet)),
        }
    })
}

fn assert_equal(link_type: u16, bytes: &[u8], original: u32) -> Result<(), TestCaseError> {
    for tunnels in [Tunnels::Outer, Tunnels::Inner] {
        let decoder = Decoder {
            tunnels,
            ..Decoder::default()
        };
        let answer = decoder.decode(link_type, bytes, original);
        let fully = decoder.decode_fully(link_type, bytes, original);
        prop_assert_eq!(answer, fully, "{:?}, link type {}", tunnels, link_type);
        if let Ok(decoded) = answer {
            prop_assert!(decoded.payload_length < decoded.packet.length);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn on_valid_frames_changed_and_cut(
        (link_type, mut bytes) in frame(),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        kept in any::<Index>(),
        cut in any::<bool>(),
        original in prop_oneof![Just(None), any::<u32>().prop_map(Some)],
    ) {
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let original = original.unwrap_or(bytes.len() as u32);
        let kept = if cut { kept.index(bytes.len() + 1) } else { bytes.len() };
        assert_equal(link_type, &bytes[..kept], original)?;
    }

    #[test]
    fn on_random_bytes(
        link_type in select(&LINK_TYPES[..]),
        bytes in vec(any::<u8>(), 0..120),
        original in any::<u32>(),
    ) {
        assert_equal(link_type, &bytes, original)?;
    }
}

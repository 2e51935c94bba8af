//! A frame of any link type and any bytes is a packet or a reason to skip it, the same by the
//! short way as by the full one, with and without looking into tunnels.
#![no_main]

use equipoise_fuzz::decoder;
use equipoise_replay::decode::Tunnels;
use libfuzzer_sys::fuzz_target;

/// The link types that are decoded; other numbers are one reason.
const LINK_TYPES: [u16; 16] = [
    1, 0, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 239, 276, 999,
];

// The first byte chooses the link type, the second how much longer the frame was on its link, in
// steps that pass what an IP header can say.
fuzz_target!(|input: &[u8]| {
    let [link_type, longer, bytes @ ..] = input else {
        return;
    };
    let link_type = LINK_TYPES[usize::from(*link_type) % LINK_TYPES.len()];
    let on_wire = bytes.len() as u32 + u32::from(*longer) * 512;
    for tunnels in [Tunnels::Outer, Tunnels::Inner] {
        let decoder = decoder(tunnels);
        let decoded = decoder.decode(link_type, bytes, on_wire);
        assert_eq!(decoded, decoder.decode_fully(link_type, bytes, on_wire));
        match decoded {
            Ok(decoded) => assert!(decoded.payload_length < decoded.packet.length),
            Err(skipped) => assert!(!skipped.to_string().is_empty()),
        }
    }
});

//! Captures made by hand: formats, oddities and damage.

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use equipoise_replay::capture::{Capture, CaptureError, Damage, Found, Warning};
use flate2::Compression;
use flate2::write::GzEncoder;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapTsResolution, PcapWriter};
use pcap_file::{DataLink, Endianness};
use proptest::prelude::*;

use crate::frames::{block, enhanced, interface, option, section, simple};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    number: u64,
    time_ns: Option<u64>,
    link_type: u16,
    original_length: u32,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) type Outcome = (Vec<Owned>, Option<Warning>, Option<CaptureError>);

pub(crate) fn read(bytes: Vec<u8>) -> Outcome {
    match Capture::from_read("test", Cursor::new(bytes)) {
        Ok(capture) => drain(capture),
        Err(error) => (Vec::new(), None, Some(error)),
    }
}

pub(crate) fn drain(mut capture: Capture) -> Outcome {
    let mut frames = Vec::new();
    let error = loop {
        match capture.next_frame() {
            Ok(Some(frame)) => frames.push(Owned {
                number: frame.number,
                time_ns: frame.time_ns,
                link_type: frame.link_type,
                original_length: frame.original_length,
                bytes: frame.bytes.to_vec(),
            }),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(capture.packets(), frames.len() as u64);
    assert!(
        capture.next_frame().unwrap().is_none(),
        "nothing after the end"
    );
    (frames, capture.warning().cloned(), error)
}

/// Times and bytes only, of a capture without complaint.
pub(crate) fn whole(bytes: Vec<u8>) -> Vec<Owned> {
    let (frames, warning, error) = read(bytes);
    assert!(
        error.is_none() && warning.is_none(),
        "{error:?} {warning:?}"
    );
    frames
}

pub(crate) fn pcap(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    pcap_as(frames, Endianness::Little, PcapTsResolution::MicroSecond)
}

fn pcap_as(
    frames: &[(u64, Vec<u8>)],
    endianness: Endianness,
    ts_resolution: PcapTsResolution,
) -> Vec<u8> {
    let header = PcapHeader {
        endianness,
        ts_resolution,
        datalink: DataLink::ETHERNET,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (time, bytes) in frames {
        let time = Duration::from_nanos(*time);
        let packet = PcapPacket::new(time, bytes.len() as u32 + 3, &bytes[..]).unwrap();
        writer.write_packet(&packet).unwrap();
    }
    writer.into_inner()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

proptest! {
    #[test]
    fn pcap_round_trips_in_all_variants(
        frames in prop::collection::vec(
            (0_u64..4_000_000_000, prop::collection::vec(any::<u8>(), 0..2_000)), 0..40),
        big in any::<bool>(),
        nanoseconds in any::<bool>(),
    ) {
        let endianness = if big { Endianness::Big } else { Endianness::Little };
        let (resolution, unit) = if nanoseconds {
            (PcapTsResolution::NanoSecond, 1)
        } else {
            (PcapTsResolution::MicroSecond, 1_000)
        };
        let frames: Vec<_> = frames
            .into_iter()
            .map(|(time, bytes)| (time * 1_000_000_007 % (u64::from(u32::MAX) * 1_000_000_000), bytes))
            .collect();
        let expected: Vec<_> = (1..)
            .zip(&frames)
            .map(|(number, (time, bytes))| Owned {
                number,
                time_ns: Some(time / unit * unit),
                link_type: 1,
                original_length: bytes.len() as u32 + 3,
                bytes: bytes.clone(),
            })
            .collect();
        let file = pcap_as(&frames, endianness, resolution);
        prop_assert_eq!(&whole(gzip(&file)), &expected);
        prop_assert_eq!(&whole(zstd(&file)), &expected);
        prop_assert_eq!(&whole(file), &expected);
    }

    #[test]
    fn random_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        for start in [
            &[0xd4, 0xc3, 0xb2, 0xa1][..],
            &pcap(&[])[..],
            &section(true)[..],
            &[section(false), interface(false, 1, 0, &[])].concat()[..],
            &gzip(&pcap(&[]))[..12],
            &zstd(&pcap(&[]))[..8],
            &[],
        ] {
            read([start, &bytes].concat());
        }
    }

    #[test]
    fn damaged_captures_end_without_panic(
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
        kind in 0..3,
    ) {
        let mut file = match kind {
            0 => pcap(&[(1_000, vec![1; 60]), (2_000, vec![2; 61])]),
            1 => two_sections(),
            _ => zstd(&two_sections()),
        };
        let place = place.index(file.len());
        file[place] = value;
        read(file);
    }

    #[test]
    fn every_cut_keeps_what_was_whole(place in any::<prop::sample::Index>()) {
        let frames = [(1_000, vec![1; 60]), (2_000, vec![2; 61]), (3_000, vec![])];
        let file = pcap(&frames);
        let place = 24 + place.index(file.len() - 24);
        let ends = [24, 24 + 76, 24 + 76 + 77, file.len()];
        let (read, warning, error) = read(file[..place].to_vec());
        prop_assert!(error.is_none());
        let kept = ends.iter().filter(|end| **end <= place).count() - 1;
        prop_assert_eq!(read.len(), kept);
        let cut = !ends.contains(&place);
        prop_assert_eq!(
            warning,
            cut.then(|| Warning::Truncated {
                name: "test".to_owned(),
                packets: kept as u64,
                offset: ends[kept] as u64,
            })
        );
    }
}

/// Memory follows what is there, not what is claimed.
#[test]
fn claims_beyond_the_file_are_not_read_for() {
    struct Watched(Cursor<Vec<u8>>, Arc<AtomicUsize>);
    impl Read for Watched {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1.fetch_max(buffer.len(), Ordering::Relaxed);
            self.0.read(buffer)
        }
    }
    let mut snapped = pcap(&[(1_000, vec![1; 60])]);
    snapped[16..20].copy_from_slice(&[0xff; 4]);
    snapped.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0xff, 0]);
    snapped.extend([9; 100]);
    let mut block = two_sections();
    let whole = block.len() as u64;
    block.extend([6, 0, 0, 0, 0, 0, 0xff, 0]);
    block.extend([9; 100]);
    for (file, frames, whole) in [(snapped, 1, 100), (block, 4, whole)] {
        let largest = Arc::new(AtomicUsize::new(0));
        let reader = Watched(Cursor::new(file), Arc::clone(&largest));
        let (read, warning, error) = drain(Capture::from_read("test", reader).unwrap());
        assert_eq!((read.len(), error.is_none()), (frames, true));
        let cut_short = Warning::Truncated {
            name: "test".to_owned(),
            packets: frames as u64,
            offset: whole,
        };
        assert_eq!(warning, Some(cut_short));
        assert!(largest.load(Ordering::Relaxed) <= 256 << 10);
    }
}

#[test]
fn every_cut_of_a_pcapng_keeps_what_was_whole() {
    let file = two_sections();
    let all = whole(file.clone());
    let mut cut_short = 0;
    for cut in 12..file.len() {
        let (read, warning, error) = read(file[..cut].to_vec());
        assert!(error.is_none(), "{cut}: {error:?}");
        assert!(read[..] == all[..read.len()], "{cut}");
        cut_short += usize::from(warning.is_some());
    }
    // All but the nine ends of blocks.
    assert_eq!(cut_short, file.len() - 12 - 9);
}

/// Two sections of different byte order, with interfaces of different kinds.
pub(crate) fn two_sections() -> Vec<u8> {
    let nanoseconds = option(true, 9, &[9]);
    let binary = [
        option(false, 2, b"\xff not UTF-8"),
        option(false, 9, &[0x8a]),
        option(false, 14, &100_i64.to_le_bytes()),
    ]
    .concat();
    [
        section(true),
        interface(true, 1, 0, &nanoseconds),
        interface(true, 101, 0, &[]),
        enhanced(true, 0, 5_000_000_001, 60, &[1; 60]),
        enhanced(true, 1, 5_000_001, 61, &[2; 61]),
        block(true, 0x0000_4242, &[7; 9]),
        section(false),
        interface(false, 0, 4, &binary),
        simple(false, 9, &[3; 4]),
        enhanced(false, 0, 1_024 + 512, 3, &[4; 7]),
    ]
    .concat()
}

#[test]
fn pcapng_keeps_byte_order_interfaces_and_clocks_per_section() {
    let told: Vec<_> = whole(two_sections())
        .into_iter()
        .map(|frame| {
            let length = frame.bytes.len();
            (
                frame.number,
                frame.time_ns,
                frame.link_type,
                frame.original_length,
                length,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, Some(5_000_000_001), 1, 60, 60),
            (2, Some(5_000_001_000), 101, 61, 61),
            (3, None, 0, 9, 4),
            (4, Some(101_500_000_000), 0, 3, 7),
        ]
    );
}

#[test]
fn times_that_do_not_fit_are_none() {
    let time = |resolution: u8, offset: i64, ticks: u64| {
        let options = [
            option(false, 9, &[resolution]),
            option(false, 14, &offset.to_le_bytes()),
        ]
        .concat();
        let file = [
            section(false),
            interface(false, 1, 0, &options),
            enhanced(false, 0, ticks, 1, &[1]),
        ];
        whole(file.concat())[0].time_ns
    };
    assert_eq!(time(6, 0, 7), Some(7_000));
    assert_eq!(time(12, 0, 7_999), Some(7));
    assert_eq!(time(127, 0, u64::MAX), Some(0));
    assert_eq!(time(0x80 | 127, 0, u64::MAX), Some(0));
    assert_eq!(time(0x80 | 64, 0, u64::MAX), Some(999_999_999));
    assert_eq!(time(0, 0, u64::MAX), None);
    assert_eq!(time(0, -10, 9), None);
    assert_eq!(time(0, -10, 12), Some(2_000_000_000));
    assert_eq!(time(9, i64::MAX, 0), None);
}

#[test]
fn link_type_words_may_carry_check_sequence_bits() {
    let mut file = pcap(&[(0, vec![1])]);
    file[20..24].copy_from_slice(&0x3000_0071_u32.to_le_bytes());
    assert_eq!(whole(file)[0].link_type, 113);
}

#[test]
fn claims_of_gigabytes_are_damage() {
    let mut file = pcap(&[(1_000, vec![1; 60])]);
    file.extend([0; 8]);
    file.extend([0xff; 8]);
    let (frames, _, error) = read(file);
    assert_eq!(frames.len(), 1);
    let error = error.unwrap();
    assert!(
        matches!(
            error,
            CaptureError::Damaged {
                packets: 1,
                offset: 100,
                damage: Damage::TooLong {
                    claimed: 0xffff_ffff,
                    ..
                },
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "test is damaged behind packet 1, at byte 100: a record claims 4294967295 bytes, at most \
         262144 are accepted; `editcap -r test OUT 1-1` keeps what comes before"
    );

    let mut file = section(false);
    file.extend([6, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(matches!(
        read(file).2,
        Some(CaptureError::Damaged {
            damage: Damage::TooLong { .. },
            ..
        })
    ));
}

/// Memory does not grow with what a compressed capture repeats.
#[test]
fn interfaces_without_end_are_damage() {
    let interfaces = |count| {
        let described = interface(false, 1, 0, &[]).repeat(count);
        let packet = enhanced(false, count as u32 - 1, 0, 1, &[1]);
        zstd(&[section(false), described, packet].concat())
    };
    assert_eq!(whole(interfaces(65_536)).len(), 1);
    assert_eq!(
        read(interfaces(65_537)).2.unwrap().to_string(),
        "test is damaged before its first packet, at byte 1310748: a section describes more than \
         65536 interfaces; nothing of it can be kept: copy or capture it anew"
    );
}

#[test]
fn damage_tells_what_is_wrong() {
    let unknown = [section(true), enhanced(true, 2, 0, 1, &[1])].concat();
    assert!(matches!(
        read(unknown).2,
        Some(CaptureError::Damaged {
            damage: Damage::UnknownInterface {
                number: 2,
                described: 0
            },
            ..
        })
    ));
    let short = [
        section(true),
        interface(true, 1, 0, &[]),
        block(true, 6, &[0; 16]),
    ]
    .concat();
    assert!(matches!(
        read(short).2,
        Some(CaptureError::Damaged {
            damage: Damage::ShortBlock { kind: 6 },
            ..
        })
    ));
    let mut trailer = [section(true), block(true, 9, &[0; 16])].concat();
    *trailer.last_mut().unwrap() = 0;
    assert!(matches!(
        read(trailer).2,
        Some(CaptureError::Damaged {
            damage: Damage::Pcapng(_),
            ..
        })
    ));
}

#[test]
fn what_is_no_capture_is_named() {
    let found = |bytes: &[u8]| match read(bytes.to_vec()).2 {
        Some(CaptureError::NotACapture { found, .. }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(b""), Found::Empty);
    assert_eq!(found(b"GET / HTTP/1.1\r\nHost: a\r\n"), Found::Text);
    assert_eq!(found(b"hi\n"), Found::Text);
    assert_eq!(found(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0]), Found::Headless);
    assert_eq!(found(&[0x0a, 0x0d, 0x0d, 0x0a, 2, 0]), Found::Headless);
    assert!(matches!(
        found(b"snoop\0\0\0\0\0\0\x02"),
        Found::OtherCapture(_)
    ));
    assert!(matches!(
        found(&[0x34, 0xcd, 0xb2, 0xa1, 2, 0]),
        Found::OtherCapture(_)
    ));
    assert!(matches!(found(b"BZh91AY"), Found::OtherCompression(_)));
    assert_eq!(
        found(&[0x7f, b'E', b'L', b'F']),
        Found::Unknown(vec![0x7f, 0x45, 0x4c, 0x46])
    );
    assert_eq!(found(&gzip(b"")), Found::Empty);
    assert_eq!(found(&gzip(b"hello, world")), Found::Text);
    assert_eq!(found(&zstd(&gzip(&pcap(&[])))), Found::CompressedTwice);
    assert_eq!(
        read(b"hi\n".to_vec()).2.unwrap().to_string(),
        "test is text, not a capture; accepted are pcap and pcapng, plain or compressed with gzip \
         or zstd"
    );
}

#[test]
fn file_types() {
    use Endianness::{Big, Little};
    use PcapTsResolution::{MicroSecond, NanoSecond};

    let file_type = |bytes: Vec<u8>| {
        let capture = Capture::from_read("test", Cursor::new(bytes)).unwrap();
        capture.file_type()
    };
    let variant = |endianness, resolution| file_type(pcap_as(&[], endianness, resolution));
    assert_eq!(
        variant(Little, MicroSecond),
        "pcap (microseconds, little-endian)"
    );
    assert_eq!(variant(Big, MicroSecond), "pcap (microseconds, big-endian)");
    assert_eq!(
        variant(Little, NanoSecond),
        "pcap (nanoseconds, little-endian)"
    );
    assert_eq!(variant(Big, NanoSecond), "pcap (nanoseconds, big-endian)");
    assert_eq!(file_type(two_sections()), "pcapng");
    assert_eq!(file_type(zstd(&two_sections())), "pcapng, zstd");
    assert_eq!(
        file_type(gzip(&pcap(&[]))),
        "pcap (microseconds, little-endian), gzip"
    );
}

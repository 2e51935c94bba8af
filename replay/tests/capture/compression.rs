//! Compressed captures made by hand: of several parts, cut short and damaged.

use equipoise_replay::capture::{CaptureError, Found, Warning};

use crate::formats::{gzip, pcap, read, whole, zstd};

#[test]
fn compressed_streams_may_have_several_parts() {
    let file = pcap(&[(1_000, vec![1; 60]), (2_000, vec![2; 61])]);
    let (head, tail) = file.split_at(50);
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..]].concat();
    assert_eq!(
        whole([gzip(head), gzip(tail)].concat()),
        whole(file.clone())
    );
    assert_eq!(
        whole([skippable.clone(), zstd(head), skippable, zstd(tail)].concat()),
        whole(file)
    );
}

#[test]
fn compressed_streams_cut_short_keep_what_was_whole() {
    let frames: Vec<_> = (0..30_000_u64)
        .map(|time| {
            (
                time,
                time.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .to_be_bytes()
                    .to_vec(),
            )
        })
        .collect();
    let file = pcap(&frames);
    for compressed in [gzip(&file), zstd(&file)] {
        let (read, warning, error) = read(compressed[..compressed.len() - 9].to_vec());
        assert!(error.is_none(), "{error:?}");
        // Of zstd the last block is lost, which holds at most 128 KiB.
        assert!(
            read.len() * 24 + 24 >= file.len() - (128 << 10) - 24,
            "{}",
            read.len()
        );
        assert!(
            matches!(warning, Some(Warning::Truncated { packets, .. }) if packets == read.len() as u64)
        );
        assert!(matches!(
            self::read(compressed[..13].to_vec()).2,
            Some(CaptureError::NotACapture {
                found: Found::Headless,
                ..
            })
        ));
    }
}

/// As `gzip` does.
#[test]
fn what_stands_behind_a_gzip_stream_is_ignored() {
    let file = pcap(&[(1_000, vec![1; 60]), (2_000, vec![2; 61])]);
    let (head, tail) = file.split_at(50);
    let stream = [gzip(head), gzip(tail)].concat();
    let expected = whole(file.clone());
    for zeros in [1, 511, 70_000] {
        assert_eq!(whole([&stream[..], &vec![0; zeros]].concat()), expected);
    }
    let ignored = Warning::TrailingGarbage {
        name: "test".to_owned(),
        offset: stream.len() as u64,
    };
    let more = gzip(b"more");
    for garbage in [
        &b"garbage"[..],
        &[0x1f, 0x8a, 0, 0],
        &[0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 7],
        &[&[0], &more[..]].concat(),
    ] {
        let (read, warning, error) = read([&stream[..], garbage].concat());
        assert!(error.is_none(), "{error:?}");
        assert_eq!((&read, &warning), (&expected, &Some(ignored.clone())));
    }
    assert_eq!(
        ignored.to_string(),
        format!(
            "test: what stands behind byte {} of the file is no gzip data and is ignored",
            stream.len()
        )
    );
    let (frames, warning, error) = read([gzip(&file[..24]), b"x".to_vec()].concat());
    assert!(frames.is_empty() && error.is_none());
    assert!(matches!(warning, Some(Warning::TrailingGarbage { .. })));
    // A member that begins and ends too early is one that was cut short.
    let (_, warning, _) = self::read([&stream[..], &more[..7]].concat());
    assert!(matches!(warning, Some(Warning::Truncated { .. })));
}

/// Whatever it does to the records.
#[test]
fn damaged_compression_is_not_blamed_on_records() {
    let frames: Vec<_> = (0..2_000_u64)
        .map(|time| {
            (
                time,
                vec![time.wrapping_mul(time) as u8; 1 + time as usize % 40],
            )
        })
        .collect();
    let first = gzip(&pcap(&frames));
    let records = pcap(&frames)[24..].to_vec();
    let file = [first.clone(), gzip(&records)].concat();
    let expected = whole(file.clone()).len() as u64;
    let mut noticed = 0;
    let places: Vec<_> = (first.len() + 10..file.len()).step_by(97).collect();
    for &place in &places {
        let mut file = file.clone();
        file[place] ^= 1 << (place % 8);
        let (read, warning, error) = read(file);
        match error {
            Some(CaptureError::Compression {
                compression: "gzip",
                packets,
                start,
                end,
                ..
            }) => {
                assert_eq!((packets, start), (read.len() as u64, first.len() as u64));
                assert!(end > place as u64, "{place} {end}");
                noticed += 1;
            }
            // Some bits mean nothing.
            None if warning.is_none() => assert_eq!(read.len() as u64, expected, "{place}"),
            // What was taken for the end of the stream lies behind that of the file.
            None => assert!(
                matches!(warning, Some(Warning::Truncated { packets, .. }) if packets < expected),
                "{place}: {warning:?}"
            ),
            Some(error) => panic!("{place}: {error}"),
        }
    }
    assert!(
        noticed * 10 > places.len() * 9,
        "{noticed} of {}",
        places.len()
    );
    let mut checksum = file;
    let place = checksum.len() - 8;
    checksum[place] ^= 1;
    let text = read(checksum).2.unwrap().to_string();
    assert_eq!(
        text,
        format!(
            "the gzip compression of test is damaged between bytes {} and {} of the file (corrupt \
             gzip stream does not have a matching checksum), noticed behind packet 4000: packets \
             before that may be wrong, too; copy or capture it anew",
            first.len(),
            place + 8
        )
    );
    // Sound compression around a damaged record.
    let mut records = pcap(&frames);
    records[24 + 8..24 + 12].fill(0xff);
    let error = read(gzip(&records)).2;
    assert!(
        matches!(error, Some(CaptureError::Damaged { packets: 0, .. })),
        "{error:?}"
    );
}

/// One zstd frame of 128 KiB window: uncompressed blocks of `block` bytes each, then `end`.
fn zstd_blocks(content: &[u8], block: usize, checksum: bool, end: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, if checksum { 4 } else { 0 }, 7 << 3];
    for bytes in content.chunks(block) {
        frame.extend(&((bytes.len() as u32) << 3).to_le_bytes()[..3]);
        frame.extend(bytes);
    }
    frame.extend(end);
    frame
}

/// Though the window they lie in is never filled.
#[test]
fn every_whole_block_of_a_cut_zstd_frame_is_read() {
    let frames: Vec<_> = (0..40_u8)
        .map(|n| (u64::from(n) * 1_000, vec![n; 34]))
        .collect();
    let file = pcap(&frames);
    let expected = whole(file.clone());
    let (head, block, record) = (6, 44, 16 + 34);
    for checksum in [false, true] {
        let end: &[u8] = if checksum {
            &[1, 0, 0, 9, 9, 9, 9]
        } else {
            &[1, 0, 0]
        };
        let compressed = zstd_blocks(&file, block, checksum, end);
        assert_eq!(whole(compressed.clone()), expected);
        for cut in head + 3 + block..compressed.len() {
            let content = (cut - head) / (block + 3) * block;
            let (read, warning, error) = read(compressed[..cut].to_vec());
            assert!(error.is_none(), "{cut}: {error:?}");
            let kept = (content - 24) / record;
            assert_eq!(read.len(), kept, "{cut}");
            assert!(read == expected[..kept], "{cut}");
            let cut_short = Warning::Truncated {
                name: "test".to_owned(),
                packets: kept as u64,
                offset: (24 + kept * record) as u64,
            };
            assert_eq!(warning, Some(cut_short), "{cut}");
        }
    }
    // A block of the type that nobody uses.
    let damaged = zstd_blocks(&file[..24 + 7 * record], block, true, &[6, 0, 0, 1, 2, 3]);
    let (read, warning, error) = read(damaged);
    assert_eq!((read, warning), (expected[..7].to_vec(), None));
    assert!(
        matches!(
            error,
            Some(CaptureError::Compression {
                compression: "zstd",
                packets: 7,
                start: 0,
                ..
            })
        ),
        "{error:?}"
    );
}

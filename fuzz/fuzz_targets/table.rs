//! A table of any bytes is refused with one line, or read to its end or its first damage, in
//! bounded memory. A table that was extracted is read back as the captures that it was made of; with
//! bytes changed in its pages, up to the damage; with its checksums mended, as what else it may say.
#![no_main]

use equipoise_core::Timestamp;
use equipoise_fuzz::{Step, assert_one_line, pause, steps};
use equipoise_replay::capture::{CaptureError, Source};
use equipoise_replay::decode::Decoder;
use equipoise_replay::table::{self, Format, Options, Rows};
use equipoise_replay::trace::{Event, Totals, Trace};
use equipoise_replay::track::{Connection, Tracker};
use equipoise_replay::transform::Selection;
use libfuzzer_sys::fuzz_target;

/// More than a segment of some.
const MANY: usize = 9_000;
const START: Timestamp = Timestamp(1_700_000_000 * Timestamp::SECOND);

/// Bits of a step.
const OTHER_CAPTURE: u8 = 1;
const EARLIER: u8 = 2;
const FIRST_FRAGMENT: u8 = 4;

// A table, or how to damage one, and the packets to make it of.
fuzz_target!(|input: &[u8]| {
    if input.starts_with(b"PAR1") {
        read_any(input);
        let mut mended = input.to_vec();
        if mend(&mut mended) {
            read_any(&mended);
        }
    } else if let Some((damage, script)) = input.split_first_chunk() {
        extract(*damage, script);
    }
});

/// Whatever comes of it.
fn read_any(table: &[u8]) {
    let source = Source::from_bytes("table", table);
    match read(&[source]) {
        Ok(found) => found.errors.iter().for_each(|error| assert_one_line(error)),
        Err(error) => assert_one_line(&error.to_string()),
    }
}

fn extract(damage: [u8; 7], script: &[u8]) {
    let sources = captures(script, damage[0] % 8 == 7);
    let format = Format::Parquet {
        segment: 1 << (damage[0] / 8),
    };
    let mut table = Vec::new();
    let options = Options {
        decoder: Decoder::default(),
        selection: Selection::default(),
        rows: Rows::Connections,
        format,
    };
    let made = table::extract(&sources, options, &mut table, &mut ());
    made.expect("captures are sound");
    let of_captures = read(&sources).expect("captures are sound");
    let of_table = read(&[Source::from_bytes("table", &table[..])]).expect("the table is sound");
    assert!(of_captures == of_table);
    assert!(of_table.errors.is_empty());

    let footer = footer_of(&table);
    let is_cut = damage[0] % 8 == 6;
    let mut is_in_footer = false;
    let mut damaged = table.clone();
    for [high, low, change] in [
        [damage[1], damage[2], damage[3]],
        [damage[4], damage[5], damage[6]],
    ] {
        let part = usize::from(u16::from_be_bytes([high, low]));
        let place = part * damaged.len() >> 16;
        is_in_footer |= place >= footer && change != 0;
        damaged[place] ^= change;
        if is_cut && change == 0 {
            damaged.truncate(place);
            break;
        }
    }
    if let Ok(found) = read(&[Source::from_bytes("table", &damaged[..])]) {
        // The footer has no checksum.
        assert!(is_in_footer || !found.errors.is_empty() || found == of_table);
        let events = found.events.len();
        assert!(is_in_footer || found.events[..] == of_table.events[..events]);
    }
    if mend(&mut damaged) {
        read_any(&damaged);
    }
}

/// All that there is to know of a trace.
#[derive(PartialEq)]
struct Read {
    events: Vec<Event>,
    ended: Vec<Connection>,
    totals: Totals,
    errors: Vec<String>,
}

fn read(sources: &[Source]) -> Result<Read, CaptureError> {
    let mut trace = Trace::open(sources, Decoder::default(), Tracker::default())?;
    let (mut events, mut ended, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut batch = Vec::new();
    let mut now = Timestamp(0);
    loop {
        match trace.next_batch(&mut batch) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => errors.push(error.to_string()),
        }
        for event in &batch {
            if let Event::Packet(packet) = event {
                assert!(
                    packet.time >= now && packet.raw_time_ns.is_none_or(|raw| raw <= packet.time.0)
                );
                now = packet.time;
            }
        }
        // What claims to be millions of packets need not be kept.
        if events.len() < 2 * MANY {
            events.append(&mut batch);
        }
        ended.extend(trace.ended());
    }
    ended.extend(trace.ended());
    let totals = trace.totals().clone();
    Ok(Read {
        events,
        ended,
        totals,
        errors,
    })
}

/// Two captures of raw IPv4 with nanoseconds, of headers only.
fn captures(script: &[u8], many: bool) -> [Source; 2] {
    let mut files = [Vec::new(), Vec::new()];
    for file in &mut files {
        for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65_535, 101] {
            file.extend(u32::to_le_bytes(word));
        }
    }
    let count = script.len() / 8;
    let times = if many { MANY / count.max(1) } else { 1 };
    let mut start = START;
    for _ in 0..times {
        for step in steps(start, script) {
            start = step.now;
            let file = &mut files[usize::from(step.act & OTHER_CAPTURE)];
            file.extend(record(&step));
        }
    }
    let [one, other] = files;
    [
        Source::from_bytes("one", one),
        Source::from_bytes("other", other),
    ]
}

fn record(step: &Step) -> Vec<u8> {
    let mut time = step.now.0;
    if step.act & EARLIER != 0 {
        time -= pause(step.act >> 4);
    }
    let decoded = &step.decoded;
    let packet = &decoded.packet;
    let fragment: u16 = if step.act & FIRST_FRAGMENT == 0 {
        0
    } else {
        0x2000
    };
    let mut frame = vec![0x45, 0];
    frame.extend((packet.length as u16).to_be_bytes());
    frame.extend(decoded.identification.to_be_bytes());
    frame.extend(fragment.to_be_bytes());
    let is_udp = packet.protocol == equipoise_core::Protocol::Udp;
    frame.extend([64, if is_udp { 17 } else { 6 }, 0, 0]);
    for address in [packet.source, packet.destination] {
        frame.extend((address.0 as u32).to_be_bytes());
    }
    frame.extend(packet.source_port.to_be_bytes());
    frame.extend(packet.destination_port.to_be_bytes());
    if is_udp {
        frame.extend((packet.length as u16 - 20).to_be_bytes());
        frame.extend([0; 2]);
    } else {
        frame.extend(decoded.tcp_sequence.to_be_bytes());
        frame.extend(decoded.tcp_acknowledgement.to_be_bytes());
        frame.extend([0x50, packet.flags.bits(), 0, 0, 0, 0, 0, 0]);
    }
    let mut record = Vec::new();
    for word in [
        (time / Timestamp::SECOND) as u32,
        (time % Timestamp::SECOND) as u32,
        frame.len() as u32,
        packet.length,
    ] {
        record.extend(word.to_le_bytes());
    }
    record.extend(frame);
    record
}

/// Where the footer of a sound table begins.
fn footer_of(table: &[u8]) -> usize {
    let end = table.len() - 8;
    let length: [u8; 4] = table[end..end + 4].try_into().expect("four bytes");
    end - u32::from_le_bytes(length) as usize
}

/// Makes the checksums those of the bytes. False where there is none, or where one has more digits
/// than the one before it had.
fn mend(table: &mut [u8]) -> bool {
    let mut place = 0;
    let mut start = 0;
    let mut is_mended = false;
    while let Some(end_at) = find(table, place, b"\"end_byte\":") {
        let Some(checksum_at) = find(table, end_at, b"\"crc32\":") else {
            break;
        };
        let end = number(&table[end_at..]).0;
        let digits = number(&table[checksum_at..]).1;
        if start > end || end > table.len() {
            break;
        }
        let checksum = crc32fast::hash(&table[start..end]).to_string();
        if checksum.len() > digits {
            return false;
        }
        let text = format!("{checksum:digits$}");
        table[checksum_at..checksum_at + digits].copy_from_slice(text.as_bytes());
        (place, start) = (checksum_at, end);
        is_mended = true;
    }
    is_mended
}

/// Behind the next such text.
fn find(bytes: &[u8], place: usize, text: &[u8]) -> Option<usize> {
    let found = bytes[place..]
        .windows(text.len())
        .position(|part| part == text);
    Some(place + found? + text.len())
}

/// The number that the text begins with, and how many digits it has.
fn number(text: &[u8]) -> (usize, usize) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.clone().fold(0_usize, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    });
    (number, digits.count())
}

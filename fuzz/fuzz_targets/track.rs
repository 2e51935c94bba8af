//! Whatever packets come: the tracker counts each once, in connections that are numbered without a
//! gap and end once; what it holds back is told of in full and in time, and changes no connection;
//! a flow that a director has an entry for is not forgotten.
#![no_main]

use std::collections::BTreeMap;

use equipoise_core::{
    Address, FlowId, Packet, Protocol, ServiceKey, Settings, TcpFlags, Timestamp,
};
use equipoise_fuzz::{Step, steps};
use equipoise_replay::track::{Connection, Holding, Observed, Retention, Tracker};
use libfuzzer_sys::fuzz_target;

/// Within reach of the pauses between packets, each unlike the others.
const SHORT: Retention = Retention {
    over_ns: Timestamp::SECOND / 2,
    closing_ns: 6 * Timestamp::SECOND,
    open_ns: 70 * Timestamp::SECOND,
    udp_idle_ns: 2 * Timestamp::SECOND,
};
/// A time of our days, the beginning, and near the end.
const STARTS: [u64; 3] = [
    1_700_000_000 * Timestamp::SECOND,
    0,
    u64::MAX - 1_000 * Timestamp::SECOND,
];

/// Bits of a step.
const NEXT_BATCH: u8 = 1;
const ENTRY_MADE: u8 = 2;
const ENTRY_GONE: u8 = 4;
const ENDLESS: u8 = 8;
const LOOK: u8 = 16;

// The first byte chooses what trackers are made with.
fuzz_target!(|input: &[u8]| {
    let Some((&settings, script)) = input.split_first() else {
        return;
    };
    let choice = |from: u8, of: u8| usize::from(settings / from % of);
    let limits = [
        Settings::default().quiet_limit(),
        Timestamp::SECOND,
        3,
        u64::MAX,
    ];
    let limit_ns = limits[choice(1, 4)];
    let retention = [Retention::default(), SHORT, Retention::FOR_EVER][choice(4, 3)];
    let start = Timestamp(STARTS[choice(12, 3)]);
    let services = vec![service(); choice(36, 2)];
    let tracker = |holding| Tracker::new(retention, holding).with_services(services.clone());
    let mut trackers = Trackers {
        plain: tracker(None),
        holding: tracker(Some(Holding::new(limit_ns))),
        half_ns: limit_ns / 2,
        held: BTreeMap::new(),
        entries: BTreeMap::new(),
        ended: Vec::new(),
        packets: 0,
        bytes: 0,
        begun: 0,
    };
    for step in steps(start, script) {
        trackers.take(step);
    }
    trackers.finish();
});

/// One of the two servers.
fn service() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: Address::v4(0x0a00_0002),
        port: 0,
    }
}

/// Two trackers that are told the same, one of which holds back.
struct Trackers {
    plain: Tracker,
    holding: Tracker,
    half_ns: u64,
    held: BTreeMap<u32, Held>,
    /// How many entries directors have for a flow, and its lower and higher end.
    entries: BTreeMap<u32, (u16, [End; 2])>,
    ended: Vec<Connection>,
    packets: u64,
    bytes: u64,
    begun: u64,
}

type End = (Address, u16);

/// What was held back of a flow and not told of.
struct Held {
    since: Timestamp,
    /// Packets, bytes and the time of the latest, passed ones included, from the lower and from the
    /// higher end.
    sides: [(u64, u64, Timestamp); 2],
}

impl Trackers {
    fn take(&mut self, step: Step) {
        let Step {
            now,
            mut decoded,
            act,
        } = step;
        if act & NEXT_BATCH != 0 {
            self.plain.next_batch();
            self.holding.next_batch();
        }
        if act & ENDLESS != 0 {
            // As a table may claim.
            decoded.packet.length = u32::MAX - 1;
        }
        let packet = &decoded.packet;
        self.packets += 1;
        self.bytes += u64::from(packet.length);
        let seen = self.plain.track(now, &decoded);
        assert!(!self.plain.has_told());
        let passed = self.holding.track(now, &decoded);
        self.take_told();
        for held in self.held.values() {
            assert!(held.since.0.saturating_add(self.half_ns) > now.0);
        }
        match (seen, passed) {
            (Some(seen), None) => self.hold(now, seen, packet),
            (seen, passed) => {
                assert_eq!(seen, passed);
                let held = passed.and_then(|passed| self.held.get_mut(&passed.flow.0));
                if let Some(held) = held {
                    // Only a plain packet comes before what was held back is told.
                    assert!(is_plain(packet));
                    held.sides[side(packet)].2 = now;
                }
            }
        }
        if let Some(seen) = seen {
            self.begun += u64::from(seen.begins);
            let carrier = Some((seen.flow, seen.connection));
            assert_eq!(self.plain.carrier(), carrier);
            assert_eq!(self.holding.carrier(), carrier);
            if act & ENTRY_MADE != 0 {
                self.make_entry(seen.flow, packet);
            }
        }
        if act & ENTRY_GONE != 0 {
            self.remove_entry();
        }
        self.take_ended();
        if act & LOOK != 0 {
            self.look();
        }
    }

    fn hold(&mut self, now: Timestamp, seen: Observed, packet: &Packet) {
        assert!(!seen.begins && seen.first_response_ns.is_none());
        let held = self.held.entry(seen.flow.0).or_insert(Held {
            since: now,
            sides: [(0, 0, Timestamp(0)); 2],
        });
        let (packets, bytes, last) = &mut held.sides[side(packet)];
        *packets += 1;
        *bytes += u64::from(packet.length);
        *last = now;
    }

    fn take_told(&mut self) {
        for told in self.holding.told() {
            let held = self.held.remove(&told.flow.0).expect("it was held");
            for (told, (packets, bytes, last)) in
                [told.quiet.low, told.quiet.high].iter().zip(held.sides)
            {
                assert_eq!((told.packets, told.bytes), (packets, bytes));
                assert!(told.packets == 0 || told.last == last);
            }
        }
        assert!(!self.holding.has_told());
    }

    fn make_entry(&mut self, flow: FlowId, packet: &Packet) {
        self.plain.entry_made(flow);
        self.holding.entry_made(flow);
        let (count, _) = self.entries.entry(flow.0).or_insert((0, ends(packet)));
        *count += 1;
    }

    fn remove_entry(&mut self) {
        let Some(mut first) = self.entries.first_entry() else {
            return;
        };
        let flow = FlowId(*first.key());
        self.plain.entry_gone(flow);
        self.holding.entry_gone(flow);
        first.get_mut().0 -= 1;
        if first.get().0 == 0 {
            first.remove();
        }
    }

    fn take_ended(&mut self) {
        let ended: Vec<Connection> = self.plain.ended().collect();
        assert!(ended.iter().cloned().eq(self.holding.ended()));
        self.ended.extend(ended);
    }

    /// Looks at everything at once.
    fn look(&self) {
        let under_way = self.plain.under_way();
        assert_eq!(under_way, self.holding.under_way());
        for (&flow, (_, ends)) in &self.entries {
            let connection = self.plain.connection(FlowId(flow)).expect("it is known");
            assert!(under_way.contains(&connection));
            let [client, server] = [connection.client, connection.server];
            let mut found = [client, server].map(|end| (end.address, end.port));
            found.sort_unstable();
            assert_eq!(found, *ends);
        }
        self.count(&[&self.ended[..], &under_way].concat());
    }

    /// These are all connections there were.
    fn count(&self, connections: &[Connection]) {
        let mut numbers: Vec<u64> = connections.iter().map(|one| one.number).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=connections.len() as u64));
        let of_tcp = connections
            .iter()
            .filter(|one| one.protocol == Protocol::Tcp);
        let second_legs = connections.iter().filter(|one| one.is_second_leg);
        let (of_tcp, second_legs) = (of_tcp.count() as u64, second_legs.count() as u64);
        for tracker in [&self.plain, &self.holding] {
            assert_eq!(tracker.connections(), connections.len() as u64);
            assert_eq!(tracker.tcp_connections(), of_tcp);
            assert_eq!(tracker.inferred().second_legs, second_legs);
        }
        assert_eq!(self.plain.inferred(), self.holding.inferred());
        // What is a second leg may show after it has begun, and what is none after it was left out.
        let all = connections.len() as u64;
        let left_out = self.plain.inferred().second_leg_packets;
        assert!(self.begun <= all && self.begun + left_out >= all);
        let traffic = connections
            .iter()
            .flat_map(|one| [one.to_server, one.to_client]);
        let (packets, bytes) = traffic.fold((0, 0), |sum, one| {
            assert!(one.payload_bytes <= one.bytes);
            (sum.0 + one.packets, sum.1 + one.bytes)
        });
        assert_eq!((packets, bytes), (self.packets, self.bytes));
        for one in connections {
            assert!(one.first <= one.last && one.to_server.packets + one.to_client.packets > 0);
        }
    }

    fn finish(mut self) {
        self.look();
        self.plain.end_all();
        self.holding.end_all();
        self.take_told();
        assert!(self.held.is_empty());
        self.take_ended();
        self.count(&self.ended);
        // Once.
        self.plain.end_all();
        assert!(self.plain.ended().next().is_none());
    }
}

fn is_plain(packet: &Packet) -> bool {
    let telling = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST | TcpFlags::ACK;
    packet.flags & telling == TcpFlags::ACK
}

/// 0 where the lower end sent it.
fn side(packet: &Packet) -> usize {
    usize::from(ends(packet)[0] != (packet.source, packet.source_port))
}

/// The lower end first.
fn ends(packet: &Packet) -> [End; 2] {
    let mut ends = [
        (packet.source, packet.source_port),
        (packet.destination, packet.destination_port),
    ];
    ends.sort_unstable();
    ends
}

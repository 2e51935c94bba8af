//! A host that holds packets back as `Director::quiet` allows, in as few lines as will do.

use std::collections::BTreeMap;

use equipoise_core::{
    Address, CannotCreate, Director, FlowId, Observer, Outcome, Packet, Protocol, Quiet, QuietSide,
    ServiceIndex, Tag, TcpFlags, Timestamp,
};

type End = (Address, u16);

struct Flow {
    id: FlowId,
    sample: Packet,
    quiet: Quiet,
    first_held: Option<Timestamp>,
    /// Of each end, the latest packet passed or told.
    last: [Option<Timestamp>; 2],
    /// Whether an end has sent a plain packet since the last other one.
    has_passed: [bool; 2],
    /// Connections of it in the director.
    entries: u32,
}

pub(crate) struct Host<O> {
    pub(crate) director: Director<O>,
    flows: BTreeMap<(Protocol, End, End), Flow>,
    /// The key by number, for the flows that have one.
    numbers: BTreeMap<FlowId, (Protocol, End, End)>,
    now: Timestamp,
    limit: u64,
    /// Packets that could not create a connection, by service.
    pub(crate) ignored: BTreeMap<(ServiceIndex, CannotCreate), u64>,
    pub(crate) held: u64,
    pub(crate) made: u64,
}

impl<O: Observer> Host<O> {
    /// Holds nothing back where `limit` is 0.
    pub(crate) fn new(director: Director<O>, limit: u64) -> Self {
        Self {
            director,
            flows: BTreeMap::new(),
            numbers: BTreeMap::new(),
            now: Timestamp::default(),
            limit,
            ignored: BTreeMap::new(),
            held: 0,
            made: 0,
        }
    }

    pub(crate) fn packet(&mut self, now: Timestamp, packet: &Packet, tag: Tag) {
        self.tell_due(now);
        self.now = now;
        let source = (packet.source, packet.source_port);
        let destination = (packet.destination, packet.destination_port);
        let key = (
            packet.protocol,
            source.min(destination),
            source.max(destination),
        );
        let side = usize::from(source > destination);
        let number = (0..u32::MAX)
            .map(FlowId)
            .find(|id| !self.numbers.contains_key(id));
        let flow = self.flows.entry(key).or_insert_with(|| {
            let id = number.unwrap_or(FlowId(0));
            self.numbers.insert(id, key);
            Flow {
                id,
                sample: Packet {
                    source: key.1.0,
                    source_port: key.1.1,
                    destination: key.2.0,
                    destination_port: key.2.1,
                    flags: TcpFlags::ACK,
                    ..*packet
                },
                quiet: Quiet::default(),
                first_held: None,
                last: [None; 2],
                has_passed: [false; 2],
                entries: 0,
            }
        });
        let changing = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        let is_plain = packet.protocol == Protocol::Tcp
            && packet.flags.contains(TcpFlags::ACK)
            && !packet.flags.intersects(changing);
        let is_recent =
            |last: Option<Timestamp>| last.is_none_or(|last| now.0 - last.0 < self.limit / 2);
        let holds = is_plain && flow.has_passed[side] && flow.last.into_iter().all(is_recent);
        if holds {
            self.held += 1;
            flow.first_held.get_or_insert(now);
            let told = if side == 0 {
                &mut flow.quiet.low
            } else {
                &mut flow.quiet.high
            };
            told.packets += 1;
            told.bytes += u64::from(packet.length);
            told.last = now;
            return;
        }
        let id = flow.id;
        if !is_plain {
            self.tell(id);
        }
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.last[side] = Some(now);
            if is_plain {
                flow.has_passed[side] = true;
            } else {
                flow.has_passed = [false; 2];
            }
        }
        let outcome = self.director.packet_of_flow(now, id, packet, tag);
        if let Outcome::CannotCreate { service, why } = outcome {
            *self.ignored.entry((service, why)).or_default() += 1;
        }
        if packet.flags == TcpFlags::SYN | TcpFlags::ACK {
            self.director.first_response_of_flow(id, now.0);
        }
        self.note_changes();
    }

    /// The director as of the latest packet, held back or not.
    pub(crate) fn director_now(&mut self) -> &mut Director<O> {
        self.tell_due(self.now);
        self.director.advance(self.now);
        &mut self.director
    }

    pub(crate) fn finish(&mut self) {
        self.tell_due(Timestamp(u64::MAX));
        self.director.advance(self.now);
        self.director.finish();
        self.note_changes();
        assert!(
            self.flows.values().all(|flow| flow.entries == 0),
            "each flow loses what it was given"
        );
    }

    /// What waits for half the limit is told; flows that are of no use any more are forgotten.
    fn tell_due(&mut self, now: Timestamp) {
        let half = self.limit / 2;
        let old = |since: Timestamp| now.0 - since.0 >= half;
        let due = self
            .flows
            .values()
            .filter(|flow| flow.first_held.is_some_and(old));
        for id in due.map(|flow| flow.id).collect::<Vec<_>>() {
            self.tell(id);
        }
        self.flows.retain(|_, flow| {
            let is_idle = flow.last.into_iter().flatten().all(old);
            let stays = flow.entries > 0 || flow.first_held.is_some() || !is_idle;
            if !stays {
                self.numbers.remove(&flow.id);
            }
            stays
        });
    }

    fn tell(&mut self, id: FlowId) {
        let key = self.numbers.get(&id);
        let Some(flow) = key.and_then(|key| self.flows.get_mut(key)) else {
            return;
        };
        if flow.first_held.take().is_none() {
            return;
        }
        let quiet = std::mem::take(&mut flow.quiet);
        let sides: [QuietSide; 2] = [quiet.low, quiet.high];
        for (last, side) in flow.last.iter_mut().zip(sides) {
            if side.packets > 0 {
                *last = (*last).max(Some(side.last));
            }
        }
        let unserved = self.director.quiet(id, &flow.sample, &quiet);
        for (unserved, side) in unserved.into_iter().zip(sides) {
            if let Some(service) = unserved {
                *self.ignored.entry(service).or_default() += side.packets;
            }
        }
    }

    fn note_changes(&mut self) {
        let (mut created, mut freed) = (Vec::new(), Vec::new());
        self.director.take_flow_changes(&mut created, &mut freed);
        self.made += created.len() as u64;
        for (ids, by) in [(created, 1), (freed, -1)] {
            for id in ids {
                let flow = self
                    .numbers
                    .get(&id)
                    .and_then(|key| self.flows.get_mut(key));
                let Some(flow) = flow else {
                    panic!("a flow that the director holds was forgotten");
                };
                flow.entries = flow.entries.checked_add_signed(by).unwrap_or(u32::MAX);
            }
        }
    }
}

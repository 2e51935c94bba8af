//! What report and inspection say alike: from a trace to the model of both.

use std::collections::BTreeMap;

use equipoise_reports::model::{Capture, Clock, LeftOut, Selection};
use pcap_file::DataLink;

use crate::decode::{Decoder, Tunnels, UdpTunnel};
use crate::trace::{CaptureView, Trace};
use crate::transform::Selector;

/// Each capture, in the order given.
pub(crate) fn captures(trace: &Trace) -> Vec<Capture> {
    trace.captures().map(capture).collect()
}

/// Packets that were not decoded, by reason.
pub(crate) fn skipped_packets(trace: &Trace) -> BTreeMap<String, u64> {
    let skipped = trace.totals().skipped.iter();
    skipped
        .map(|(reason, &count)| (reason.to_string(), count))
        .collect()
}

/// What of the captures was taken, where it was not all: now, or when a table was made of them.
pub(crate) fn selection(trace: &Trace) -> Option<Selection> {
    let now = trace.selector().map(selected);
    let Some(part) = trace.part() else {
        return now;
    };
    let both = |selector: &Selector| part.and(selected(selector), selector.selection().seed);
    Some(trace.selector().map_or(part.taken, both))
}

fn selected(selector: &Selector) -> Selection {
    let (selection, not_taken) = (selector.selection(), selector.not_taken());
    let window = selector.window();
    Selection {
        from_ns: selection.from.and(window).map(|(from, _)| from.0),
        to_ns: selection.to.and(window).map(|(_, to)| to.0),
        outside_packets: not_taken.outside,
        share: selection.share.get(),
        unsampled_packets: not_taken.unsampled,
    }
}

/// What was inferred to be there twice.
pub(crate) fn left_out(trace: &Trace) -> LeftOut {
    let inferred = trace.inferred();
    LeftOut {
        copies: inferred.copies,
        second_legs: inferred.second_legs,
        second_leg_packets: inferred.second_leg_packets,
    }
}

/// What is odd about the times of packets.
pub(crate) fn clock(trace: &Trace) -> Clock {
    let totals = trace.totals();
    Clock {
        steps_back: totals.clock_steps_back,
        retimed_packets: totals.retimed,
        retimed_most_ns: totals.retimed_most_ns,
        timeless_packets: totals.without_time,
    }
}

/// Which packet counted where one is in a tunnel.
pub(crate) fn tunnels(trace: &Trace) -> &'static str {
    match trace.decoder().tunnels {
        Tunnels::Unsaid | Tunnels::Outer => "outer",
        Tunnels::Inner => "inner",
    }
}

/// UDP ports that were taken for those of tunnels.
pub(crate) fn tunnel_ports(trace: &Trace) -> BTreeMap<String, Vec<u16>> {
    let Decoder { tunnels, ports } = trace.decoder();
    let looked = UdpTunnel::ALL
        .into_iter()
        .filter(|_| tunnels == Tunnels::Inner);
    looked
        .map(|tunnel| (tunnel.name().to_owned(), ports.of(tunnel)))
        .collect()
}

fn capture(view: CaptureView<'_>) -> Capture {
    let facts = view.facts;
    let link_types = facts.link_types.iter().copied();
    Capture {
        name: view.name.to_owned(),
        packets: facts.packets,
        bytes: facts.bytes,
        first_ns: facts.first_ns,
        last_ns: facts.last_ns,
        link_types: link_types.map(link_type_name).collect(),
        warnings: view.warning.map(ToString::to_string).into_iter().collect(),
    }
}

/// As libpcap and Wireshark know it, or its number.
fn link_type_name(number: u16) -> String {
    match DataLink::from(u32::from(number)) {
        DataLink::Unknown(_) => number.to_string(),
        known => format!("{known:?}").to_lowercase(),
    }
}

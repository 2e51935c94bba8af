//! What captures hold: times, link types, protocols, and the services that connections show.
//!
//! Reads the trace once; no set-up, no policy, no run. Memory follows the services, the
//! connections under way and a bounded set of clients, never the packets.

mod clients;
mod services;

use equipoise_reports::inspect::{Inspection, SCHEMA, Total};
use equipoise_reports::model::{Capture, LeftOut};
use pcap_file::DataLink;

use crate::capture::{CaptureError, Source};
use crate::decode::Decoder;
use crate::replay::{Phase, Progress, Watcher};
use crate::trace::{CaptureView, Trace};
use crate::track::Tracker;
use services::Services;

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How frames become packets.
    pub decoder: Decoder,
    /// Services that are told one by one; the others are summed up.
    pub top: usize,
}

/// What came out.
pub struct Outcome {
    /// What the captures hold, without a command to replay it.
    pub inspection: Inspection,
    /// Captures that could not be read to their end; what was read before counts.
    pub capture_errors: Vec<CaptureError>,
}

/// Reads the captures to their end, or until `watcher` breaks off.
pub fn inspect(
    sources: &[Source],
    options: Options,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, CaptureError> {
    let mut trace = Trace::open(sources, options.decoder, Tracker::default())?;
    let mut services = Services::default();
    let mut capture_errors = Vec::new();
    let mut batch = Vec::new();
    let mut is_partial = false;
    loop {
        let more = match trace.next_batch(&mut batch) {
            Ok(more) => more,
            Err(error) => {
                capture_errors.push(error);
                continue;
            }
        };
        let start = start_of(&trace);
        trace.ended().for_each(|ended| services.count(&ended, start));
        if !more {
            break;
        }
        if watcher.watch(&progress(&trace)).is_break() {
            is_partial = true;
            for connection in trace.tracker().under_way() {
                services.count(&connection, start);
            }
            break;
        }
    }
    Ok(Outcome {
        inspection: inspection(&trace, services, options.top, is_partial, &capture_errors),
        capture_errors,
    })
}

/// The earliest time so far; packets before the first that has one bear the time 0.
fn start_of(trace: &Trace) -> Option<u64> {
    let captures = trace.captures();
    captures.filter_map(|capture| capture.facts.first_ns).min()
}

fn progress(trace: &Trace) -> Progress {
    let (bytes_read, bytes_total) = trace.bytes();
    Progress {
        phase: Phase::Survey,
        bytes_read,
        bytes_total,
        packets: trace.totals().frames,
        traffic_ns: trace.traffic_ns(),
    }
}

fn inspection(
    trace: &Trace,
    services: Services,
    top: usize,
    is_partial: bool,
    errors: &[CaptureError],
) -> Inspection {
    let captures: Vec<Capture> = trace.captures().map(capture).collect();
    let start = start_of(trace);
    let totals = trace.totals();
    let skipped = totals.skipped.iter();
    let inferred = trace.inferred();
    let protocols = services.protocols();
    let (services_found, services, rest) = services.busiest(top, start);
    Inspection {
        schema: SCHEMA.to_owned(),
        partial: is_partial,
        total: Total {
            packets: totals.frames,
            bytes: captures.iter().map(|capture| capture.bytes).sum(),
            first_ns: start,
            last_ns: captures.iter().filter_map(|capture| capture.last_ns).max(),
        },
        captures,
        protocols,
        skipped_packets: skipped
            .map(|(reason, &count)| (reason.to_string(), count))
            .collect(),
        left_out: LeftOut {
            copies: inferred.copies,
            second_legs: inferred.second_legs,
            second_leg_packets: inferred.second_leg_packets,
        },
        services_found,
        services,
        rest,
        replay: None,
        warnings: warnings(trace, errors),
    }
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

fn warnings(trace: &Trace, errors: &[CaptureError]) -> Vec<String> {
    let totals = trace.totals();
    let mut warnings = Vec::new();
    if totals.clock_steps_back > 0 {
        warnings.push(format!(
            "{} packets bear an earlier time than the one before them and were taken at its time",
            totals.clock_steps_back
        ));
    }
    if totals.without_time > 0 {
        warnings.push(format!(
            "{} packets bear no time and were taken at their predecessor's",
            totals.without_time
        ));
    }
    warnings.extend(trace.seams().iter().map(ToString::to_string));
    warnings.extend(errors.iter().map(ToString::to_string));
    warnings
}

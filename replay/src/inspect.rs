//! What captures hold: times, link types, protocols, and the services that connections show.
//!
//! Reads the trace once; no set-up, no policy, no run. Memory follows the services, the
//! connections under way and a bounded set of clients, never the packets.

mod clients;
mod requests;
mod services;

use equipoise_reports::inspect::{Capture, Inspection, SCHEMA, Total};

use crate::capture::{CaptureError, Source};
use crate::decode::Decoder;
use crate::replay::{Phase, Progress, Watcher};
use crate::request;
use crate::summary;
use crate::trace::Trace;
use crate::track::Tracker;
use crate::transform::Selection;
use requests::Requests;
use services::Services;

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How frames become packets.
    pub decoder: Decoder,
    /// What of the captures is looked at.
    pub selection: Selection,
    /// Whether to read requests out of what connections carry.
    pub requests: bool,
    /// Services that are told one by one; the others are summed up.
    pub top: usize,
}

/// What came out.
pub struct Outcome {
    /// What the captures hold, without a command to replay it.
    pub inspection: Inspection,
    /// The service to replay: the busiest, of those that can be one.
    pub suggested: Option<String>,
    /// Captures that could not be read to their end; what was read before counts.
    pub capture_errors: Vec<CaptureError>,
}

/// Reads the captures to their end, or until `watcher` breaks off.
pub fn inspect(
    sources: &[Source],
    options: Options,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, CaptureError> {
    let trace = Trace::open(sources, options.decoder, Tracker::default())?;
    let mut trace = trace.with_selection(options.selection);
    if options.requests {
        trace = trace.with_requests(request::Requests::default());
    }
    let mut requests = Requests::default();
    let mut services = Services::default();
    let mut capture_errors = Vec::new();
    let mut batch = Vec::new();
    let mut is_partial = sources.iter().any(Source::is_cut);
    loop {
        let more = match trace.next_batch(&mut batch) {
            Ok(more) => more,
            Err(error) => {
                capture_errors.push(error);
                continue;
            }
        };
        if let Some(read) = trace.requests() {
            read.finished(|request| requests.take(request));
        }
        let start = start_of(&trace);
        trace
            .ended()
            .for_each(|ended| services.count(&ended, start));
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
    if let Some(read) = trace.requests() {
        read.end_all();
        read.finished(|request| requests.take(request));
    }
    let counts = trace.requests().map(|read| read.counts().clone());
    let suggested = services.suggested();
    let mut inspection = inspection(&trace, services, options.top, is_partial, &capture_errors);
    inspection.requests = counts.map(|counts| requests.report(&counts, options.top));
    if options.requests && trace.is_table() {
        let text = "a table of connections holds no payload: no requests are read";
        inspection.warnings.push(text.to_owned());
    }
    Ok(Outcome {
        inspection,
        suggested,
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
        phase: Phase::Inspection,
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
    let captures = trace.captures().zip(summary::captures(trace));
    let captures: Vec<Capture> = captures
        .map(|(view, facts)| Capture {
            facts,
            file_type: view.facts.file_type.clone(),
        })
        .collect();
    let of_captures = || captures.iter().map(|capture| &capture.facts);
    let start = start_of(trace);
    let totals = trace.totals();
    let protocols = services.protocols();
    let services_exact = services.are_exact();
    let (services_found, services, rest) = services.busiest(top, start);
    Inspection {
        schema: SCHEMA.to_owned(),
        partial: is_partial,
        total: Total {
            packets: totals.frames,
            bytes: of_captures().map(|capture| capture.bytes).sum(),
            first_ns: start,
            last_ns: of_captures().filter_map(|capture| capture.last_ns).max(),
        },
        captures,
        protocols,
        skipped_packets: summary::skipped_packets(trace),
        selection: summary::selection(trace),
        left_out: summary::left_out(trace),
        clock: summary::clock(trace),
        tunnels: summary::tunnels(trace).to_owned(),
        tunnel_ports: summary::tunnel_ports(trace),
        services_found,
        services_exact,
        services,
        rest,
        requests: None,
        replay: None,
        warnings: warnings(trace, errors),
    }
}

fn warnings(trace: &Trace, errors: &[CaptureError]) -> Vec<String> {
    let mut warnings = trace.remarks();
    warnings.extend(errors.iter().map(ToString::to_string));
    warnings
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    /// Breaks off after so many batches.
    struct Until(u32);

    impl Watcher for Until {
        fn watch(&mut self, _: &Progress) -> ControlFlow<()> {
            self.0 -= 1;
            if self.0 == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }

    /// A pcap of raw IPv4: so many datagrams, each from a client of its own.
    fn datagrams(count: u16) -> Source {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101] {
            bytes.extend(u32::to_le_bytes(word));
        }
        for number in 0..count {
            for word in [1_000 + u32::from(number) / 100, 0, 28, 28] {
                bytes.extend(word.to_le_bytes());
            }
            let [high, low] = number.to_be_bytes();
            bytes.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
            bytes.extend([198, 18, high, low, 10, 0, 0, 1, 4, 1, 0, 53, 0, 8, 0, 0]);
        }
        Source::from_bytes("datagrams", bytes)
    }

    fn read(watcher: &mut dyn Watcher) -> Inspection {
        let options = Options {
            decoder: Decoder::default(),
            selection: Selection::default(),
            requests: false,
            top: 10,
        };
        let sources = [datagrams(10_000)];
        inspect(&sources, options, watcher).unwrap().inspection
    }

    #[test]
    fn all_is_counted_once() {
        let inspection = read(&mut ());
        assert!(!inspection.partial);
        assert_eq!(inspection.total.packets, 10_000);
        assert_eq!(inspection.protocols["udp"].packets, 10_000);
        let service = &inspection.services[0];
        assert_eq!((service.connections, service.clients), (10_000, 10_000));
    }

    #[test]
    fn what_is_under_way_counts_where_the_reading_is_broken_off() {
        let inspection = read(&mut Until(2));
        assert!(inspection.partial);
        let udp = inspection.protocols["udp"];
        assert_eq!(udp.packets, 2 * crate::trace::BATCH as u64);
        assert_eq!(inspection.total.packets, udp.packets);
        let service = &inspection.services[0];
        assert_eq!(service.connections, udp.connections);
        assert_eq!(service.to_server.packets, udp.packets);
    }
}

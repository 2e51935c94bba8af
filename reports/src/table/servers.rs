//! One block for each policy with one row for each real server.

use super::figures::{
    Paint, Unit, bar, by_reason, count, counted, dash, decimal, percent, plain, wrap,
};
use super::grid::{Align, Column, Grid, Line};
use super::summary::fault_of;
use super::{Style, scenario};
use crate::model::{Latency, Report, Run, ServerRun, ServiceRun};

/// What packets that could not create a connection are called.
pub(super) const IGNORED: &str = "packets outside any connection";

/// Cells of a bar.
const BAR: usize = 12;

/// Digits of a digest that are shown.
const DIGEST: usize = 12;

/// What all rows of a service share.
struct Scales {
    share: f64,
    bytes: Unit,
    latency: Unit,
    /// Whether the runs differ in the packets they ignored: then each says its own.
    own_ignored: bool,
    /// When the trace begins, or the part of it that is taken.
    start_ns: u64,
}

pub(super) fn draw(out: &mut String, report: &Report, place: usize, style: Style) {
    let runs: Vec<(&Run, &ServiceRun)> = report
        .runs
        .iter()
        .filter_map(|run| Some((run, run.services.get(place)?)))
        .collect();
    let scales = scales(report, &runs);
    let mut grid = Grid::new(columns(&scales));
    let paint = Paint(style.colour);
    for (at, (run, service)) in runs.iter().enumerate() {
        if at > 0 {
            grid.push(Line::Across(String::new()));
        }
        grid.push(Line::Across(title(run, service, paint)));
        for note in notes(service, &scales) {
            for part in wrap(&note, style.width.saturating_sub(2)) {
                grid.push(Line::Across(format!("  {}", paint.dim(&part))));
            }
        }
        for server in &service.servers {
            grid.push(Line::Cells(cells(server, &scales)));
        }
    }
    grid.draw(out, style.width, paint);
}

fn columns(scales: &Scales) -> Vec<Column> {
    let bytes = scales.bytes.name;
    let latency = format!("observed, {}", scales.latency.name);
    let right = |title: &str, rank| Column::new(title, Align::Right, rank);
    vec![
        Column::new("  server", Align::Left, 0),
        right("weight", 0),
        right("conns", 0),
        right("share %", 0),
        right("promised", 1),
        Column::new("│ = promised", Align::Left, 3),
        right("peak", 0).under("concurrent"),
        right("mean", 2).under("concurrent"),
        right("peak", 9).under("entries"),
        right("mean", 9).under("entries"),
        right("in", 6).under(bytes),
        right("out", 5).under(bytes),
        right("median", 4).under(latency.as_str()),
        right("p95", 4).under(latency.as_str()),
        right("p99", 8).under(latency.as_str()),
    ]
}

fn cells(server: &ServerRun, scales: &Scales) -> Vec<String> {
    let latency = |of: fn(&Latency) -> f64| {
        server
            .observed_first_response
            .as_ref()
            .map_or_else(dash, |latency| scales.latency.show(of(latency)))
    };
    vec![
        format!("  {}", plain(&server.server)),
        server.weight.to_string(),
        count(server.connections),
        percent(server.share),
        percent(server.promised_share),
        bar(
            server.share.unwrap_or(0.0) / scales.share,
            server
                .promised_share
                .map(|promised| promised / scales.share),
            BAR,
        ),
        count(server.concurrent.peak),
        decimal(server.concurrent.mean, 1),
        count(server.entries.peak),
        decimal(server.entries.mean, 1),
        scales.bytes.show(server.bytes_in as f64),
        scales.bytes.show(server.bytes_out as f64),
        latency(|latency| latency.median_us),
        latency(|latency| latency.p95_us),
        latency(|latency| latency.p99_us),
    ]
}

fn title(run: &Run, service: &ServiceRun, paint: Paint) -> String {
    let scheduler = &service.scheduler;
    let mut rest = Vec::new();
    if scheduler.policy != run.policy {
        rest.push(plain(&scheduler.policy));
    }
    rest.push(scheduler.execution.to_string());
    if let Some(digest) = &scheduler.digest {
        rest.push(plain(digest).chars().take(DIGEST).collect());
    }
    rest.push(counted(service.connections, "connection"));
    let name = paint.bold(&plain(&run.policy));
    let fault = fault_of(run, service).map_or_else(String::new, |_| {
        format!("  {}", paint.red("faulted, see above"))
    });
    format!("{name}  {}{fault}", paint.dim(&rest.join(", ")))
}

fn notes(service: &ServiceRun, scales: &Scales) -> Vec<String> {
    let mut notes = Vec::new();
    let refused = service.refused_connections();
    if refused > 0 {
        let reasons = by_reason(&service.refused);
        notes.push(format!(
            "{} refused: {reasons}",
            counted(refused, "connection")
        ));
    }
    if !service.first_requests.is_empty() {
        let requests = by_reason(&service.first_requests);
        notes.push(format!("first requests: {requests}"));
    }
    if service.overloaded_answers > 0 {
        let n = count(service.overloaded_answers);
        notes.push(format!("answered an overloaded server: {n}"));
    }
    if scales.own_ignored && service.ignored_packets.values().any(|&n| n > 0) {
        notes.push(format!(
            "{IGNORED}: {}",
            by_reason(&service.ignored_packets)
        ));
    }
    if service.servers.is_empty() {
        notes.push("no real servers".to_owned());
    }
    notes.extend(scenario::notes(service, scales.start_ns));
    notes
}

fn scales(report: &Report, runs: &[(&Run, &ServiceRun)]) -> Scales {
    let firsts = report
        .trace
        .captures
        .iter()
        .filter_map(|capture| capture.first_ns);
    let from = report
        .trace
        .selection
        .and_then(|selection| selection.from_ns);
    let servers = || runs.iter().flat_map(|(_, service)| &service.servers);
    let shares = servers().flat_map(|server| [server.share, server.promised_share]);
    let bytes = servers().map(|server| server.bytes_in.max(server.bytes_out));
    let latencies = servers().filter_map(|server| Some(server.observed_first_response?.p95_us));
    Scales {
        start_ns: from.or(firsts.min()).unwrap_or(0),
        share: shares.flatten().fold(f64::MIN_POSITIVE, f64::max),
        bytes: Unit::of_bytes(bytes.max().unwrap_or(0)),
        latency: Unit::of_us(latencies.fold(0.0, f64::max)),
        own_ignored: runs
            .windows(2)
            .any(|pair| pair[0].1.ignored_packets != pair[1].1.ignored_packets),
    }
}

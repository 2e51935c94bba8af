//! `runs.csv`: one row for each policy, service and real server.
//!
//! Facts only: what was measured with a clock is not in it.

use std::io;

use crate::model::{Latency, Report, Run, ServerRun, ServiceRun, figure};

/// The columns, in order; described in `docs/report.md`.
pub const COLUMNS: [&str; 34] = [
    "policy",
    "service",
    "server",
    "method",
    "weight",
    "upper_threshold",
    "lower_threshold",
    "connections",
    "share",
    "promised_share",
    "active_peak",
    "active_mean",
    "entries_peak",
    "entries_mean",
    "concurrent_peak",
    "concurrent_mean",
    "bytes_in",
    "bytes_out",
    "packets_in",
    "packets_out",
    "observed_first_response_count",
    "observed_first_response_mean_us",
    "observed_first_response_median_us",
    "observed_first_response_p95_us",
    "observed_first_response_p99_us",
    "service_connections",
    "service_refused",
    "balance_over",
    "max_over_mean",
    "coefficient_of_variation",
    "jain",
    "execution",
    "digest",
    "fault",
];

/// Columns that describe one server.
const SERVER_COLUMNS: usize = 23;

/// Writes the rows of a report. A service without servers has one row without a server.
pub fn write<W: io::Write>(report: &Report, out: W) -> io::Result<W> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for run in &report.runs {
        for service in &run.services {
            let servers: Vec<Vec<String>> = if service.servers.is_empty() {
                vec![vec![String::new(); SERVER_COLUMNS]]
            } else {
                service.servers.iter().map(server_fields).collect()
            };
            let rest = service_fields(run, service);
            for server in servers {
                let names = [&run.policy, &service.service];
                csv.write_record(names.into_iter().chain(&server).chain(&rest))?;
            }
        }
    }
    csv.into_inner().map_err(csv::IntoInnerError::into_error)
}

fn server_fields(server: &ServerRun) -> Vec<String> {
    let latency = |of: fn(&Latency) -> f64| float(server.observed_first_response.as_ref().map(of));
    vec![
        server.server.clone(),
        server.method.to_string(),
        server.weight.to_string(),
        server.upper_threshold.to_string(),
        server.lower_threshold.to_string(),
        server.connections.to_string(),
        float(server.share),
        float(server.promised_share),
        server.active.peak.to_string(),
        float(server.active.mean),
        server.entries.peak.to_string(),
        float(server.entries.mean),
        server.concurrent.peak.to_string(),
        float(server.concurrent.mean),
        server.bytes_in.to_string(),
        server.bytes_out.to_string(),
        server.packets_in.to_string(),
        server.packets_out.to_string(),
        (server.observed_first_response)
            .map_or(0, |latency| latency.count)
            .to_string(),
        latency(|latency| latency.mean_us),
        latency(|latency| latency.median_us),
        latency(|latency| latency.p95_us),
        latency(|latency| latency.p99_us),
    ]
}

fn service_fields(run: &Run, service: &ServiceRun) -> Vec<String> {
    let balance = service.balance;
    vec![
        service.connections.to_string(),
        service.refused_connections().to_string(),
        balance.map_or_else(String::new, |balance| balance.over.to_string()),
        float(balance.map(|balance| balance.max_over_mean)),
        float(balance.map(|balance| balance.coefficient_of_variation)),
        float(balance.map(|balance| balance.jain)),
        service.scheduler.execution.to_string(),
        service.scheduler.digest.clone().unwrap_or_default(),
        (run.fault.as_ref())
            .filter(|fault| fault.service == service.service)
            .map_or_else(String::new, |fault| fault.what.clone()),
    ]
}

fn float(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| figure::round(value).to_string())
}

//! One line for each policy, then what went wrong.

use std::collections::BTreeSet;

use super::figures::{Paint, by_reason, count, dash, decimal, plain, wrap};
use super::grid::{Align, Column, Grid, Line};
use super::{Style, servers};
use crate::model::{BalanceOver, Cost, Costs, Fault, Outcome, Report, Run, ServiceRun};

pub(super) fn draw(out: &mut String, report: &Report, place: usize, style: Style) {
    let paint = Paint(style.colour);
    let costs = match (&report.measured, style.costs) {
        (Some(measured), Costs::Included) => Some(&measured.costs),
        _ => None,
    };

    let mut columns = vec![
        Column::new("policy", Align::Left, 0),
        Column::new("connections", Align::Right, 0),
        Column::new("refused", Align::Right, 0),
        Column::new("max/mean", Align::Right, 0).under("evenness"),
        Column::new("CV", Align::Right, 1).under("evenness"),
        Column::new("Jain", Align::Right, 0).under("evenness"),
        Column::new("highest peak", Align::Right, 2),
    ];
    if costs.is_some() {
        columns.push(Column::new("ns/decision", Align::Right, 3).under("measured"));
    }
    let mut grid = Grid::new(columns);
    let rows = || {
        let runs = report.runs.iter().enumerate();
        runs.filter_map(|(at, run)| Some((at, run, run.services.get(place)?)))
    };
    for (at, run, service) in rows() {
        let mut cells = cells(run, service);
        if let Some(costs) = costs {
            let cost = costs.get(at).and_then(Cost::ns_per_decision);
            cells.push(decimal(cost, 1));
        }
        grid.push(Line::Cells(cells));
    }
    grid.draw(out, style.width, paint);

    for (_, run, service) in rows() {
        if let Some(fault) = &run.fault {
            let text = format!("! {}: {}", plain(&run.policy), fault_line(fault, service));
            for line in wrap(&text, style.width) {
                out.push_str(&paint.red(&line));
                out.push('\n');
            }
        }
    }
    for note in notes(rows().map(|(_, _, service)| service)) {
        for line in wrap(&note, style.width) {
            out.push_str(&paint.dim(&line));
            out.push('\n');
        }
    }
}

/// The run's fault where it befell this service.
pub(super) fn fault_of<'a>(run: &'a Run, service: &ServiceRun) -> Option<&'a Fault> {
    (run.fault.as_ref()).filter(|fault| fault.service == service.service)
}

fn cells(run: &Run, service: &ServiceRun) -> Vec<String> {
    let mark = if run.fault.is_some() { " !" } else { "" };
    let balance = service.balance;
    let over = match balance.map(|balance| balance.over) {
        Some(BalanceOver::Connections) => "*",
        _ => "",
    };
    let jain = balance.map_or_else(dash, |balance| format!("{:.3}", balance.jain));
    vec![
        format!("{}{mark}{over}", plain(&run.policy)),
        count(service.connections),
        count(service.refused_connections()),
        decimal(balance.map(|balance| balance.max_over_mean), 3),
        decimal(balance.map(|balance| balance.coefficient_of_variation), 3),
        jain,
        count(service.highest_peak()),
    ]
}

fn fault_line(fault: &Fault, service: &ServiceRun) -> String {
    let other = if fault.service == service.service {
        String::new()
    } else {
        format!(", deciding for {},", plain(&fault.service))
    };
    let place = match (&fault.capture, fault.packet) {
        (Some(capture), Some(packet)) => format!(" at packet {packet} of {}", plain(capture)),
        _ => String::new(),
    };
    let connection = (fault.connection.as_ref()).map_or_else(String::new, |connection| {
        format!(" ({})", plain(connection))
    });
    let outcome = match fault.outcome {
        Outcome::Ended => "the run ended there",
        Outcome::Fallback => "the fallback went on",
    };
    format!(
        "{}{other}{place}{connection}; {outcome}",
        plain(&fault.what)
    )
}

fn notes<'a>(services: impl Iterator<Item = &'a ServiceRun> + Clone) -> Vec<String> {
    let mut notes = Vec::new();
    if services.clone().any(|service| service.balance.is_some()) {
        notes.push(
            "evenness: of connections per promised share; 1, 0 and 1 are even. \
             highest peak: of concurrent connections at one server"
                .to_owned(),
        );
    }
    let unpromised = |service: &ServiceRun| {
        service
            .balance
            .is_some_and(|balance| balance.over == BalanceOver::Connections)
    };
    if services.clone().any(unpromised) {
        notes.push("* promises no shares: plain connections are compared".to_owned());
    }
    let ignored: BTreeSet<_> = services.map(|service| &service.ignored_packets).collect();
    if let (1, Some(ignored)) = (ignored.len(), ignored.first())
        && ignored.values().any(|&n| n > 0)
    {
        notes.push(format!("{}: {}", servers::IGNORED, by_reason(*ignored)));
    }
    notes
}

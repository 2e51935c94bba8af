//! One row for each service in each of two tables: traffic, and connections.

use super::super::figures::{
    Paint, Unit, bytes, count, counted, dash, decimal, percent, plain, wrap,
};
use super::super::grid::{Align, Column, Grid, Line};
use crate::inspect::{ClosedBy, Inspection, Rest, Service};
use crate::model::Latency;

/// A column with the cell of each service.
type Filled = (Column, Vec<String>);

pub(super) fn draw(out: &mut String, inspection: &Inspection, width: usize, paint: Paint) {
    let services = &inspection.services;
    let mut grid = grid(traffic(services));
    if let Some(rest) = &inspection.rest {
        grid.push(Line::Across(paint.dim(&rest_line(rest))));
    }
    grid.draw(out, width, paint);
    let connections = connections(services);
    // More than their names.
    if connections.len() > 1 {
        out.push('\n');
        self::grid(connections).draw(out, width, paint);
    }
    for note in notes(services) {
        for line in wrap(&note, width) {
            out.push_str(&paint.dim(&line));
            out.push('\n');
        }
    }
}

fn traffic(services: &[Service]) -> Vec<Filled> {
    let ways = services
        .iter()
        .flat_map(|service| [service.to_server, service.to_client]);
    let unit = Unit::of_bytes(ways.map(|way| way.bytes).max().unwrap_or(0));
    let of = |column: Column, cell: &dyn Fn(&Service) -> String| {
        (column, services.iter().map(cell).collect())
    };
    vec![
        of(left("service"), &name),
        of(right("conns", 0), &|service| count(service.connections)),
        of(right("clients", 0), &|service| {
            let more = if service.clients_exact { "" } else { "+" };
            format!("{}{more}", count(service.clients))
        }),
        of(right("in", 2).under("packets"), &|service| {
            count(service.to_server.packets)
        }),
        of(right("out", 2).under("packets"), &|service| {
            count(service.to_client.packets)
        }),
        of(right("in", 0).under(unit.name), &|service| {
            unit.show(service.to_server.bytes as f64)
        }),
        of(right("out", 0).under(unit.name), &|service| {
            unit.show(service.to_client.bytes as f64)
        }),
        of(right("seconds", 1), &|service| {
            let times = service.first_ns.zip(service.last_ns);
            let duration = times.map(|(first, last)| last.saturating_sub(first) as f64 / 1e9);
            decimal(duration, 1)
        }),
    ]
}

/// Without columns that have nothing to say.
fn connections(services: &[Service]) -> Vec<Filled> {
    let latency_of = |service: &Service| service.observed_first_response;
    let p95 = services.iter().filter_map(latency_of).map(|of| of.p95_us);
    let unit = Unit::of_us(p95.fold(0.0, f64::max));
    let of = |column: Column, cell: &dyn Fn(&Service) -> String| {
        (column, services.iter().map(cell).collect())
    };
    let mut columns = vec![of(left("service"), &name)];
    if services.iter().any(|service| service.closed_by.is_some()) {
        columns.push(of(right("established", 0), &|service| {
            service.established.map_or_else(dash, count)
        }));
        let closed = |title, rank, part: fn(ClosedBy) -> u64| {
            of(right(title, rank).under("closed by"), &|service| {
                service
                    .closed_by
                    .map_or_else(dash, |closed| count(part(closed)))
            })
        };
        columns.push(closed("FIN", 1, |closed| closed.fin));
        columns.push(closed("RST", 1, |closed| closed.reset));
        columns.push(closed("neither", 1, |closed| closed.neither));
    }
    if services.iter().any(is_mid_stream) {
        columns.push(of(right("mid-stream %", 2), &|service| {
            let is_tcp = service.closed_by.is_some();
            percent(service.mid_stream_share().filter(|_| is_tcp))
        }));
    }
    if services.iter().any(|service| latency_of(service).is_some()) {
        let group = format!("response, {}", unit.name);
        let shown = |title, part: fn(Latency) -> f64| {
            of(right(title, 0).under(group.as_str()), &|service| {
                latency_of(service).map_or_else(dash, |latency| unit.show(part(latency)))
            })
        };
        columns.push(shown("median", |latency| latency.median_us));
        columns.push(shown("p95", |latency| latency.p95_us));
    }
    columns
}

fn grid(columns: Vec<Filled>) -> Grid {
    let rows = columns
        .iter()
        .map(|(_, cells)| cells.len())
        .max()
        .unwrap_or(0);
    let (columns, cells): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut grid = Grid::new(columns);
    for row in 0..rows {
        let row = cells.iter().map(|cells: &Vec<String>| cells[row].clone());
        grid.push(Line::Cells(row.collect()));
    }
    grid
}

fn rest_line(rest: &Rest) -> String {
    let packets = rest.to_server.packets + rest.to_client.packets;
    format!(
        "{}: {}, {}, {}",
        counted(rest.services, "more service"),
        counted(rest.connections, "connection"),
        counted(packets, "packet"),
        bytes(rest.to_server.bytes + rest.to_client.bytes)
    )
}

fn notes(services: &[Service]) -> Vec<String> {
    let mut notes = Vec::new();
    if !services.is_empty() {
        let is_seen = |service: &Service| service.observed_first_response.is_some();
        let response = if services.iter().any(is_seen) {
            "; response: from a client's first payload to the server's"
        } else {
            ""
        };
        notes.push(format!("in: from clients; bytes: of IP packets{response}"));
    }
    let mid_stream: u64 = services
        .iter()
        .map(|service| service.basis.lower_port)
        .sum();
    if mid_stream > 0 {
        notes.push(format!(
            "mid-stream: of {} neither SYN nor SYN-ACK is there; the end with the lower port is \
             taken for the server",
            counted(mid_stream, "connection")
        ));
    }
    if services.iter().any(|service| !service.clients_exact) {
        notes.push("+ at least: too many clients to tell all of them apart".to_owned());
    }
    notes
}

fn is_mid_stream(service: &Service) -> bool {
    service.basis.lower_port > 0
}

fn name(service: &Service) -> String {
    plain(&service.service)
}

fn left(title: &str) -> Column {
    Column::new(title, Align::Left, 0)
}

fn right(title: &str, rank: u8) -> Column {
    Column::new(title, Align::Right, rank)
}

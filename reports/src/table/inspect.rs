//! What captures hold, as text for a terminal: the captures, what was decoded of them, then the
//! services twice: what they carried, and how their connections went.

mod captures;
mod services;

use std::fmt::Write as _;

use super::figures::{Paint, by_reason, count, counted, plain, selection, wrap};
use super::{Colour, utc};
use crate::inspect::{Asked, Inspection, Requests};

/// Cells of a label.
const LABEL: usize = 9;
/// Warnings that are all shown.
const MOST_WARNINGS: usize = 8;

/// Draws the whole of it, `width` columns wide.
pub fn render(inspection: &Inspection, width: usize, colour: Colour) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    captures::draw(&mut out, inspection, width, paint);
    out.push('\n');
    facts(&mut out, inspection, width, paint);
    if !inspection.services.is_empty() || inspection.rest.is_some() {
        out.push('\n');
        services::draw(&mut out, inspection, width, paint);
    }
    if let Some(command) = &inspection.replay {
        let title = paint.dim("replay the busiest service:");
        let _ = write!(out, "\n{title}\n  {}\n", plain(command));
    }
    out
}

fn facts(out: &mut String, inspection: &Inspection, width: usize, paint: Paint) {
    let mut line = |label: &str, text: &str, is_bad: bool| {
        for (place, part) in wrap(text, width.saturating_sub(LABEL)).iter().enumerate() {
            let label = if place == 0 { label } else { "" };
            out.push_str(&paint.dim(&format!("{label:<LABEL$}")));
            out.push_str(&if is_bad {
                paint.red(part)
            } else {
                part.clone()
            });
            out.push('\n');
        }
    };
    if inspection.partial {
        let text = "the reading was broken off: all figures stand for what was read by then";
        line("partial", text, true);
    }
    if let (Some(first), Some(last)) = (inspection.total.first_ns, inspection.total.last_ns) {
        let seconds = last.saturating_sub(first) as f64 / 1e9;
        let (first, last) = (utc::of_ns(first), utc::of_ns(last));
        line(
            "time",
            &format!("{first} to {last} UTC, {seconds:.3} s"),
            false,
        );
    }
    let protocols = inspection.protocols.iter();
    let decoded: Vec<String> = protocols
        .map(|(protocol, seen)| {
            let name = plain(protocol).to_uppercase();
            match (seen.packets, seen.connections) {
                (0, _) => format!("no {name}"),
                (packets, connections) => {
                    let connections = counted(connections, "connection");
                    format!("{name} {} in {connections}", counted(packets, "packet"))
                }
            }
        })
        .collect();
    line("decoded", &decoded.join(", "), false);
    let skipped: u64 = inspection.skipped_packets.values().sum();
    if skipped > 0 {
        let reasons = by_reason(&inspection.skipped_packets);
        let text = format!("{}: {reasons}", counted(skipped, "packet"));
        line("skipped", &text, false);
    }
    if let Some(selected) = &inspection.selection {
        line("selected", &selection(selected), false);
    }
    let left_out = &inspection.left_out;
    if left_out.copies > 0 {
        let copies = counted(left_out.copies, "packet");
        let text =
            format!("{copies} that a mirror port repeated; counted here, but no replay sees them");
        line("left out", &text, false);
    }
    if left_out.second_legs > 0 {
        let text = format!(
            "{} from the director to real servers, {}",
            counted(left_out.second_legs, "connection"),
            counted(left_out.second_leg_packets, "packet")
        );
        line("left out", &text, false);
    }
    for (label, text) in inspection.requests.iter().flat_map(requests) {
        line(label, &text, false);
    }
    let found = match inspection.services_found {
        0 => "none found".to_owned(),
        found if inspection.services_exact => count(found),
        found => format!("at most {}", count(found)),
    };
    line("services", &found, false);
    let warnings = &inspection.warnings;
    for warning in warnings.iter().take(MOST_WARNINGS) {
        line("warning", &plain(warning), true);
    }
    let untold = warnings.len().saturating_sub(MOST_WARNINGS);
    if untold > 0 {
        line("", &counted(untold as u64, "more warning"), true);
    }
}

/// What was asked for: a label and what to say of it.
fn requests(requests: &Requests) -> Vec<(&'static str, String)> {
    let Requests {
        http,
        responses,
        tls,
        quic,
        ..
    } = *requests;
    let read = [
        (
            http,
            format!(
                "HTTP {}, {} answered",
                counted(http, "request"),
                count(responses)
            ),
        ),
        (tls, format!("TLS {}", counted(tls, "handshake"))),
        (quic, format!("QUIC {}", counted(quic, "handshake"))),
    ];
    let read = read.into_iter().filter(|&(count, _)| count > 0);
    let read: Vec<String> = read.map(|(_, text)| text).collect();
    let read = if read.is_empty() {
        "none found".to_owned()
    } else {
        read.join(", ")
    };
    let statuses = requests.statuses.iter();
    let statuses: Vec<String> = statuses
        .map(|(status, &requests)| match status.as_str() {
            "none" => format!("{} unanswered", count(requests)),
            status => format!("{} {}", plain(status), count(requests)),
        })
        .collect();
    let kinds = [
        ("requests", read),
        ("methods", asked(&requests.methods)),
        ("status", statuses.join(", ")),
        ("hosts", asked(&requests.hosts)),
        ("targets", asked(&requests.targets)),
        ("ALPN", asked(&requests.protocols)),
        ("odd", by_reason(&requests.oddities)),
    ];
    let told = kinds.into_iter().filter(|(_, text)| !text.is_empty());
    told.collect()
}

fn asked(asked: &Asked) -> String {
    let most = asked.most.iter();
    let mut parts: Vec<String> = most
        .map(|named| format!("{} {}", plain(&named.name), count(named.requests)))
        .collect();
    let others = asked.found.saturating_sub(asked.most.len() as u64);
    let more = if asked.beyond > 0 { " or more" } else { "" };
    if others > 0 || asked.beyond > 0 {
        parts.push(format!("{}{more} others", count(others)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{BasisCount, ClosedBy, Rest, Service, Total, Traffic};
    use crate::model::{Capture, Latency};

    fn service(name: &str) -> Service {
        let traffic = Traffic {
            packets: 12_345_678,
            bytes: 12_345_678_901,
            payload_bytes: 12_000_000_000,
        };
        Service {
            service: name.to_owned(),
            connections: 1_234_567,
            clients: 899_000,
            clients_exact: false,
            to_server: traffic,
            to_client: traffic,
            first_ns: Some(0),
            last_ns: Some(86_400_000_000_000),
            established: Some(1_200_000),
            closed_by: Some(ClosedBy {
                fin: 1_000_000,
                reset: 200_000,
                neither: 34_567,
            }),
            basis: BasisCount {
                syn: 1_200_000,
                lower_port: 34_567,
                ..BasisCount::default()
            },
            observed_first_response: Some(Latency {
                count: 1_100_000,
                mean_us: 13_000.0,
                median_us: 12_000.0,
                p95_us: 123_456.0,
                p99_us: 654_321.0,
            }),
        }
    }

    fn inspection() -> Inspection {
        let total = Total {
            packets: 123_456_789,
            bytes: 98_765_432_109,
            first_ns: Some(1_700_000_000_000_000_000),
            last_ns: Some(1_700_086_400_000_000_000),
        };
        let capture = Capture {
            name: "day\u{7}.pcap".to_owned(),
            packets: total.packets,
            bytes: total.bytes,
            first_ns: total.first_ns,
            last_ns: total.last_ns,
            link_types: vec!["ethernet".to_owned(), "linux_sll2".to_owned()],
            warnings: vec!["day.pcap is cut short".to_owned()],
        };
        Inspection {
            schema: crate::inspect::SCHEMA.to_owned(),
            partial: true,
            captures: vec![crate::inspect::Capture {
                facts: capture,
                file_type: "pcap (microseconds, little-endian), gzip".to_owned(),
            }],
            total,
            protocols: std::iter::once("tcp".to_owned())
                .map(|name| (name, crate::inspect::ProtocolCount::default()))
                .collect(),
            skipped_packets: [("not IP".to_owned(), 7)].into(),
            selection: None,
            requests: None,
            left_out: crate::model::LeftOut::default(),
            clock: crate::model::Clock::default(),
            tunnels: "outer".to_owned(),
            tunnel_ports: std::collections::BTreeMap::new(),
            services_found: 12,
            services_exact: true,
            services: vec![
                service("tcp:203.0.113.200:65535"),
                service("udp:[2001:db8::1]:53"),
            ],
            rest: Some(Rest {
                services: 10,
                connections: 1,
                ..Rest::default()
            }),
            replay: Some("equipoise replay x".to_owned()),
            warnings: (0..10).map(|n| format!("warning {n}")).collect(),
        }
    }

    #[test]
    fn large_figures_fit_a_narrow_terminal() {
        let text = render(&inspection(), 80, Colour::Never);
        insta::assert_snapshot!(text, @r"
        capture            packets    GB    seconds  link type
        day\u{7}.pcap  123,456,789  98.8  86400.000  ethernet, linux_sll2
          day.pcap is cut short

        partial  the reading was broken off: all figures stand for what was read by then
        time     2023-11-14 22:13:20.000 to 2023-11-15 22:13:20.000 UTC, 86400.000 s
        decoded  no TCP
        skipped  7 packets: 7 not IP
        services 12
        warning  warning 0
        warning  warning 1
        warning  warning 2
        warning  warning 3
        warning  warning 4
        warning  warning 5
        warning  warning 6
        warning  warning 7
                 2 more warnings

                                                      ─────── GB
        service                      conns   clients    in   out  seconds
        tcp:203.0.113.200:65535  1,234,567  899,000+  12.3  12.3  86400.0
        udp:[2001:db8::1]:53     1,234,567  899,000+  12.3  12.3  86400.0
        10 more services: 1 connection, 0 packets, 0 B

                                              ───────────────── closed by   response, ms
        service                  established        FIN      RST  neither  median    p95
        tcp:203.0.113.200:65535    1,200,000  1,000,000  200,000   34,567    12.0  123.5
        udp:[2001:db8::1]:53       1,200,000  1,000,000  200,000   34,567    12.0  123.5
        in: from clients; bytes: of IP packets; response: from a client's first payload
          to the server's
        mid-stream: of 69,134 connections neither SYN nor SYN-ACK is there; the end with
          the lower port is taken for the server
        + at least: too many clients to tell all of them apart

        replay the busiest service:
          equipoise replay x
        ");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let wide = render(&inspection(), 120, Colour::Never);
        for column in ["12,345,678", "mid-stream %"] {
            assert!(
                wide.contains(column) && !text.contains(column),
                "{column}: {wide}"
            );
        }
    }

    #[test]
    fn colours_change_no_letter() {
        let coloured = render(&inspection(), 100, Colour::Ansi);
        let mut plain = coloured.clone();
        for code in ["[0m", "[1m", "[2m", "[31m"] {
            plain = plain.replace(&format!("\u{1b}{code}"), "");
        }
        assert_ne!(plain, coloured);
        assert_eq!(plain, render(&inspection(), 100, Colour::Never));
    }
}

//! The head of the table: captures, services, settings and warnings.

use super::figures::{Paint, by_reason, bytes, count, counted, plain, selection};
use crate::model::{Capture, Chosen, Report, Service};

/// Runners-up that are named.
const RUNNERS_UP: usize = 3;
/// Captures that are all shown.
const MOST_CAPTURES: usize = 6;

pub(super) fn draw(out: &mut String, report: &Report, paint: Paint) {
    let mut line = |label: &str, text: &str| {
        out.push_str(&paint.dim(&format!("{label:<9}")));
        out.push_str(text);
        out.push('\n');
    };

    if report.partial {
        let text = "the replay was broken off: all figures stand for what was read by then";
        line("partial", &paint.red(text));
    }
    let captures = &report.trace.captures;
    // Of many only the ends, and those with something to say.
    let hidden = captures.len().saturating_sub(MOST_CAPTURES);
    for (place, capture) in captures.iter().enumerate() {
        let is_hidden = hidden > 0 && (2..captures.len() - 1).contains(&place);
        if is_hidden && place == 2 {
            let text = format!("{} more captures", count(captures.len() as u64 - 3));
            line("", &paint.dim(&text));
        }
        if is_hidden && capture.warnings.is_empty() {
            continue;
        }
        line("trace", &capture_line(capture));
        for warning in &capture.warnings {
            line("", &paint.red(&plain(warning)));
        }
    }
    let skipped: u64 = report.trace.skipped_packets.values().sum();
    if skipped > 0 {
        let reasons = by_reason(&report.trace.skipped_packets);
        line(
            "skipped",
            &format!("{}: {reasons}", counted(skipped, "packet")),
        );
    }
    if let Some(selected) = &report.trace.selection {
        line("selected", &selection(selected));
    }
    if report.trace.clients > 1 {
        let text = format!("{} times each", count(report.trace.clients));
        line("clients", &text);
    }
    let left_out = &report.trace.left_out;
    if left_out.copies > 0 {
        let text = format!(
            "{} that a mirror port repeated",
            counted(left_out.copies, "packet")
        );
        line("left out", &text);
    }
    if left_out.second_legs > 0 {
        let text = format!(
            "{} from the director to real servers, {}",
            counted(left_out.second_legs, "connection"),
            counted(left_out.second_leg_packets, "packet")
        );
        line("left out", &text);
    }
    for service in &report.services {
        let name = plain(&service.service);
        line("service", &format!("{name}, {}", service_line(service)));
        if let Chosen::Automatic { runners_up, .. } = &service.chosen {
            let next: Vec<String> = runners_up
                .iter()
                .take(RUNNERS_UP)
                .map(|next| format!("{} ({})", plain(&next.service), count(next.connections)))
                .collect();
            if !next.is_empty() {
                line("", &paint.dim(&format!("next: {}", next.join(", "))));
            }
        }
    }
    line("settings", &settings_line(report));
    for warning in &report.warnings {
        line("warning", &paint.red(&plain(warning)));
    }
}

fn capture_line(capture: &Capture) -> String {
    let mut parts = vec![
        plain(&capture.name),
        counted(capture.packets, "packet"),
        bytes(capture.bytes),
    ];
    if let (Some(first), Some(last)) = (capture.first_ns, capture.last_ns) {
        let seconds = last.saturating_sub(first) as f64 / 1e9;
        parts.push(format!("{seconds:.1} s"));
    }
    if !capture.link_types.is_empty() {
        parts.push(plain(&capture.link_types.join(" and ")));
    }
    parts.join(", ")
}

fn service_line(service: &Service) -> String {
    let observed = counted(service.observed_connections, "connection");
    let chosen = match &service.chosen {
        Chosen::Given => format!("as given, {observed} observed"),
        Chosen::Rules => format!("from the rules, {observed} observed"),
        Chosen::Mark => format!("by its mark, {observed} observed"),
        Chosen::Automatic { connections, .. } => format!(
            "chosen as the endpoint with the most connections ({})",
            count(*connections)
        ),
    };
    let persistence = service
        .persistence
        .as_ref()
        .map_or_else(String::new, |persistence| {
            let netmask = plain(&persistence.netmask);
            format!(", persistent {} s/{netmask}", persistence.timeout_s)
        });
    let one_packet = if service.one_packet {
        ", one packet each"
    } else {
        ""
    };
    format!("{chosen}{persistence}{one_packet}")
}

fn settings_line(report: &Report) -> String {
    let settings = &report.settings;
    let mut parts = vec![
        format!("kernel {}", plain(&settings.kernel)),
        format!("seed {}", settings.seed),
        format!("time scale {}", report.trace.time_scale),
    ];
    if let Some(fallback) = &settings.fallback {
        parts.push(format!("fallback {}", plain(fallback)));
    }
    parts.join(", ")
}

//! What captures hold, as text for a terminal: the captures, what was decoded of them, then the
//! services twice: what they carried, and how their connections went.

mod captures;
mod services;
mod utc;

use super::Colour;
use super::figures::{Paint, by_reason, count, counted, plain, wrap};
use crate::inspect::Inspection;

/// Cells of a label.
const LABEL: usize = 9;

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
        out.push_str(&format!("\n{title}\n  {}\n", plain(command)));
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
    let found = match inspection.services_found {
        0 => "none found".to_owned(),
        found => count(found),
    };
    line("services", &found, false);
    for warning in &inspection.warnings {
        line("warning", &plain(warning), true);
    }
}

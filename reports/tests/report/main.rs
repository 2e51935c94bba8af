//! What people see of a report: whole outputs over made reports.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod files;
mod made;
mod plots;

use equipoise_reports::model::Costs;
use equipoise_reports::table::{self, Colour, Style};
use made::{Clock, POLICIES};

#[test]
fn all_policies() {
    let report = made::report(&POLICIES, 4, Clock::Runs);
    let at = |width| {
        table::render(
            &report,
            Style {
                width,
                ..Style::default()
            },
        )
    };
    insta::assert_snapshot!("table_100", at(100));
    insta::assert_snapshot!("table_80", at(80));
    insta::assert_snapshot!("table_140", at(140));
}

#[test]
fn awkward() {
    insta::assert_snapshot!(
        "table_awkward",
        table::render(&made::awkward(), Style::default())
    );
}

#[test]
fn colour_only_adds_escape_codes() {
    for report in [made::awkward(), made::report(&POLICIES, 4, Clock::Runs)] {
        let plain = table::render(&report, Style::default());
        assert!(!plain.contains('\u{1b}'));
        let coloured = table::render(
            &report,
            Style {
                colour: Colour::Ansi,
                ..Style::default()
            },
        );
        assert_ne!(coloured, plain);
        let stripped = ["1", "2", "31", "0"].iter().fold(coloured, |text, code| {
            text.replace(&format!("\u{1b}[{code}m"), "")
        });
        assert_eq!(stripped, plain);
    }
}

#[test]
fn without_costs_the_table_holds_only_facts() {
    let mut report = made::report(&POLICIES, 4, Clock::Runs);
    let style = Style {
        costs: Costs::Omitted,
        ..Style::default()
    };
    let text = table::render(&report, style);
    report.measured = None;
    assert_eq!(table::render(&report, Style::default()), text);
    assert!(!text.contains("measured"));
}

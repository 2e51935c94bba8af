//! What people see of a report: whole outputs over made reports.

mod files;
mod made;
mod plots;

use equipoise_reports::table::{self, Style};
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

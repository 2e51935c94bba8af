//! Plots: what they hold, and that they are the same each time.

use equipoise_reports::plot;

use crate::made::{self, Clock, POLICIES};

/// Writes a plot beside the test's other output, for people to look at.
fn keep(name: &str, svg: &str) {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(dir.join(name), svg).unwrap();
}

#[test]
fn share_has_a_panel_for_each_policy() {
    for servers in [1, 2, 4, 16, 40] {
        for policies in [1, 2, 14] {
            let report = made::report(&POLICIES[..policies], servers, Clock::Runs);
            let svg = plot::share(&report, 0).unwrap().unwrap();
            for policy in &POLICIES[..policies] {
                assert!(svg.contains(&format!("\n{policy}\n")), "{policy}");
            }
            assert!(svg.contains("weight 3"));
            assert!(svg.contains("promised share"));
            assert_eq!(plot::share(&report, 0).unwrap().unwrap(), svg);
            keep(&format!("share-{policies}-{servers}.svg"), &svg);
        }
    }
}

#[test]
fn concurrency_has_a_line_for_each_server() {
    for (clock, unit) in [
        (Clock::Runs, "time, s"),
        (Clock::StandsStill, "connections arrived"),
    ] {
        for servers in [1, 2, 4, 16, 40] {
            let report = made::report(&["wlc"], servers, clock);
            let run = &report.runs[0];
            let svg = plot::concurrency(run, &run.services[0]).unwrap().unwrap();
            assert!(svg.contains(unit));
            for server in run.services[0].servers.iter().take(32) {
                assert!(svg.contains(&format!("\n{}\n", server.server)));
            }
            let again = plot::concurrency(run, &run.services[0]).unwrap().unwrap();
            assert_eq!(again, svg);
            keep(&format!("concurrency-{unit}-{servers}.svg"), &svg);
        }
    }
}

#[test]
fn odd_names_stay_text() {
    let report = made::awkward();
    let run = &report.runs[1];
    let svg = plot::concurrency(run, &run.services[0]).unwrap().unwrap();
    assert!(svg.contains("&lt;&amp;&gt;.wasm"));
    keep("concurrency-odd.svg", &svg);
    assert_eq!(plot::concurrency(run, &run.services[1]).unwrap(), None);
    assert_eq!(plot::share(&report, 2).unwrap(), None);
    keep("share-odd.svg", &plot::share(&report, 0).unwrap().unwrap());
    keep("share-idle.svg", &plot::share(&report, 1).unwrap().unwrap());
}

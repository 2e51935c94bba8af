//! Models that no capture comes of, and what is said of them.

use std::fmt::Write as _;
use std::io;
use std::ops::ControlFlow;

use equipoise_replay::synth::{self, Model, Preset, Rate, Share, Span, SynthError};

use crate::{error, model};

/// What is wrong in a text, with its place.
fn told(texts: &[&str]) -> String {
    let mut table = String::new();
    for text in texts {
        let error = Model::parse("model.toml", text).unwrap_err();
        assert!(matches!(error, SynthError::Model { .. }));
        let _ = writeln!(table, "{}\n=> {error}\n", text.replace("\n        ", "\n"));
    }
    table
}

#[test]
fn texts_are_refused_with_line_and_column() {
    let table = told(&[
        "duration_s = 10\nrate = 5",
        "duration_s = ",
        "duration_s = 0",
        "duration_s = -1.5",
        "duration_s = nan",
        "duration_s = inf",
        "duration_s = \"10\"",
        "connections = -1",
        "connections = 1.5",
        "seed = 1\nseed = 2",
        "start_s = 5_000_000_000",
        "[arrivals]\nrate = 0",
        "[arrivals]\nrate = -1",
        "[arrivals]\nrate = 1e300",
        "[arrivals]\nprocess = \"poison\"",
        "[arrivals]\nprocess = { bursty = { on_s = 1 } }",
        "[arrivals]\nprocess = { bursty = { on_s = 1, off_s = 0 } }",
        "[arrivals]\nprocess = { diurnal = { period_s = 10, amplitude = 1.1 } }",
        "[arrivals]\nprocess = { diurnal = { period_s = 10, amplitude = 1, peak = 3 } }",
        "[arrivals.flash]\nat_s = 1\nramp_s = 1\nhold_s = 1\ndecay_s = 1\nfactor = 0.5",
        "[clients]\ncount = 0",
        "[clients]\ncount = 4_000_000_000\nnetwork = \"0.0.0.0/0\"",
        "[clients]\nzipf = -0.1",
        "[clients]\n  network = \"10.0.0.1/8\"",
        "[clients]\nnetwork = \"2001:db8::/64\"",
        "[clients]\nnetwork6 = \"10.0.0.0/8\"",
        "seed = 1\n[clients]\ncount = 300\nnetwork = \"192.0.2.0/24\"",
        "[clients]\nipv6_share = 2",
        "[service]\naddress = \"10.0.0.1\"",
        "[service]\naddress6 = \"[::1]:http\"",
        "[http]\nhosts = [\"shop.example\", \"a b\"]",
        "[http]\nhosts = \"shop.example\"",
        "[http]\nhosts = []",
        "[http]\nhosts = [\"a\\r\\nb\"]",
        "connections = 10\nhttp = { hosts = [] }",
        "max_bytes = -1",
        "connections = 10\nmax_bytes = 23",
        "[clients]\nnetwork = \"10.0.0.0/8\\n\"",
        "[service]\naddress = \"10.0.0.1:80\\t\\n\"",
        "[http]\nrequests = -3",
        "[http]\nrequests = \"3\"",
        "[http]\nbody_bytes = { pareto = { shape = 0, min = 1, max = 2 } }",
        "[http]\nbody_bytes = { pareto = { shape = 1, min = 2, max = 2 } }",
        "[http]\nbody_bytes = { pareto = { shape = 1, min = 0, max = 2 } }",
        "[http]\nbody_bytes = { lognormal = { median = 5, sigma = 1, max = 3 } }",
        "[http]\nbody_bytes = { lognormal = { median = 5, sigma = 0, max = 9 } }",
        "[http]\nbody_bytes = { uniform = { min = 5, max = 4 } }",
        "[http]\nbody_bytes = { normal = { mean = 5 } }",
        "[http]\nbody_bytes = { exponential = { mean = 5 }, uniform = { min = 0, max = 1 } }",
        "[http]\nbody_bytes = {}",
        "[http]\nthink_s = { exponential = { mean = -3 } }",
        "[path]\nmss = 20",
        "[path]\nmss = 100_000",
        "# é\n[flood]\nrate = 5\nat_s = 0",
    ]);
    insta::assert_snapshot!(table);
}

/// What no place in the text is to blame for.
#[test]
fn models_that_contradict_themselves() {
    let mut table = String::new();
    for text in [
        "",
        "[arrivals]\nrate = 5",
        "connections = 10\narrivals = { rate = 1e-9 }",
        "duration_s = 1e9\nstart_s = 4_000_000_000",
        "connections = 1_000_000_000_000",
        "duration_s = 1e6\narrivals = { rate = 1e6 }",
        "connections = 10\nhttp = { body_bytes = 1e12 }",
        "connections = 10_000\nhttp = { requests = 1e9 }",
        "connections = 10\nflood = { rate = 1e9, at_s = 0, for_s = 100 }",
        "connections = 10\nflood = { rate = 1, at_s = 1e9, for_s = 1e9 }\nstart_s = 4_000_000_000",
        "connections = 10\narrivals = { rate = 1e-300 }",
        "connections = 10\narrivals = { rate = 1e-323 }",
        "connections = 10\nmax_bytes = 24",
        "connections = 10\nservice = { address = \"198.18.0.1:80\" }",
        "connections = 10\nservice = { address = \"10.0.0.1:0\" }",
        "connections = 10\nservice = { address6 = \"[2001:db8:c::1]:80\" }",
        "connections = 10\nflood = { rate = 1, at_s = 0, for_s = 1, network = \"198.0.0.0/8\" }",
        "duration_s = 1e6\narrivals = { process = { bursty = { on_s = 1e-6, off_s = 1e-6 } } }",
        // Only in the course of it.
        "connections = 10\nmax_bytes = 15_000\nhttp = { body_bytes = { lognormal = { median = 500, sigma = 3, max = 1_000_000 } } }\nseed = 5",
        "connections = 1_000\nhttp = { linger_s = 1e12 }",
        "connections = 30_000\narrivals = { rate = 1e6 }\nclients = { count = 1 }\nhttp = { linger_s = 1e6 }",
    ] {
        let _ = writeln!(table, "{text}\n=> {}\n", error(&model(text)));
    }
    insta::assert_snapshot!(table);
}

/// As no text can.
#[test]
fn a_model_without_hosts_is_refused() {
    let mut model = model("connections = 10");
    model.http.hosts.clear();
    assert_eq!(
        error(&model).to_string(),
        "http.hosts is empty: name at least one host"
    );
}

#[test]
fn presets_are_models_of_their_own() {
    assert!(matches!(
        Preset::find("stedy"),
        Err(SynthError::Preset { .. })
    ));
    for preset in synth::PRESETS {
        preset.model().unwrap().check().unwrap();
        assert!(preset.text.starts_with("# ") && preset.summary().ends_with('.'));
    }
}

#[test]
fn the_model_in_the_documentation_is_one() {
    let page = include_str!("../../../docs/synth.md");
    let (_, text) = page.split_once("```toml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    model(text).check().unwrap();
    for preset in synth::PRESETS {
        assert!(page.contains(&format!("| `{}` |", preset.name)));
    }
}

#[test]
fn options_are_held_to_the_same_ranges() {
    for wrong in ["0", "-1", "nan", "inf", "x", ""] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        assert!(wrong.parse::<Span>().is_err(), "{wrong}");
    }
    assert!("1.01".parse::<Share>().is_err());
    assert_eq!(
        "x".parse::<Share>().unwrap_err().to_string(),
        "a share is a number from 0 to 1, not `x`"
    );
}

#[test]
fn whoever_waits_may_break_it_off() {
    let model = model("connections = 20_000");
    let mut parts = Vec::new();
    let broken = synth::write(&model, io::sink(), &mut |written| {
        parts.push(written.part);
        if parts.len() < 5 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert!(matches!(broken, Err(SynthError::Interrupted)));
    assert!(
        parts.is_sorted() && parts[0] > 0.0 && parts[4] < 0.5,
        "{parts:?}"
    );
}

#[test]
fn a_full_disk_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let Ok(full) = full else {
        println!("skipped: there is no /dev/full here");
        return;
    };
    let failed = synth::write(&model("connections = 5"), full, &mut |_| {
        ControlFlow::Continue(())
    });
    let Err(SynthError::Write(error)) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

//! Captures made from models: their bytes, what our own reader and tshark find in them, and which
//! models are refused. How numbers are drawn is tested beside their source.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "synth/bytes.rs"]
mod bytes;
#[path = "synth/dissected.rs"]
mod dissected;
#[path = "synth/read_back.rs"]
mod read_back;
#[path = "synth/refused.rs"]
mod refused;

use std::ops::ControlFlow;

use equipoise_replay::synth::{self, Model, PRESETS, SynthError, Written};

fn model(text: &str) -> Model {
    Model::parse("model.toml", text).unwrap()
}

/// All presets, so small that each is a matter of a moment.
fn presets() -> impl Iterator<Item = (&'static str, Model)> {
    PRESETS.iter().map(|preset| {
        let mut model = preset.model().unwrap();
        model.connections = Some(100);
        if let Some(flood) = &mut model.flood {
            // Beside the few connections that are left.
            flood.at_s = "1".parse().unwrap();
            flood.for_s = "0.5".parse().unwrap();
        }
        (preset.name, model)
    })
}

/// Models beyond presets: everything that changes how packets look.
fn models() -> impl Iterator<Item = (&'static str, Model)> {
    let unlike = [
        // The texts of requests and responses take several segments.
        (
            "smallest segments",
            "connections = 40
            path = { mss = 88, rtt_s = 0.01 }
            clients = { ipv6_share = 0.5 }
            [http]
            hosts = [\"a-host-with-a-name-that-is-longer-than-a-segment-of-the-smallest-size-that-there-is.example\"]
            requests = 3
            post_share = 0.5
            post_bytes = { uniform = { min = 0, max = 3000 } }
            body_bytes = { uniform = { min = 0, max = 30_000 } }",
        ),
        (
            "largest segments",
            "connections = 20
            path = { mss = 8940 }
            http = { body_bytes = { uniform = { min = 0, max = 2_000_000 } } }",
        ),
        // No time between one packet and the next, and no body.
        (
            "nothing takes time",
            "connections = 300
            arrivals = { rate = 1e9 }
            path = { rtt_s = 0 }
            http = { body_bytes = 0, service_s = 0, requests = 4, think_s = 0 }",
        ),
        // Acknowledgements do not wait for what goes with them.
        (
            "everything takes long",
            "connections = 50
            path = { rtt_s = 2 }
            http = { service_s = 3, requests = 3, think_s = 5, linger_s = 7, body_bytes = { uniform = { min = 0, max = 20_000 } } }",
        ),
    ];
    let unlike = unlike.map(|(name, text)| (name, model(text)));
    presets().chain(unlike)
}

fn write(model: &Model) -> (Vec<u8>, Written) {
    let mut bytes = Vec::new();
    let written = synth::write(model, &mut bytes, &mut |_| ControlFlow::Continue(())).unwrap();
    (bytes, written)
}

fn error(model: &Model) -> SynthError {
    synth::write(model, Vec::new(), &mut |_| ControlFlow::Continue(())).unwrap_err()
}

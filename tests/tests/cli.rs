//! The command as people meet it: what it prints, writes and refuses, and how it ends.
//!
//! Every test runs the binary in a folder of its own. What a policy decides is proved elsewhere.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/captures.rs"]
mod captures;
#[path = "cli/decisions.rs"]
mod decisions;
#[path = "cli/extract.rs"]
mod extract;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/guests.rs"]
mod guests;
#[path = "cli/inputs.rs"]
mod inputs;
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/interrupts.rs"]
mod interrupts;
#[path = "cli/made.rs"]
mod made;
#[path = "cli/options.rs"]
mod options;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/parts.rs"]
mod parts;
#[path = "cli/repeats.rs"]
mod repeats;
#[path = "cli/scenarios.rs"]
mod scenarios;
#[path = "cli/scene.rs"]
mod scene;
#[path = "cli/synth.rs"]
mod synth;

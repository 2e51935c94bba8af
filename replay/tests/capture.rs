//! From bytes to observed connections: formats, decoding, tracking, on captures made by hand.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "capture/compression.rs"]
mod compression;
#[path = "capture/decode.rs"]
mod decode;
#[path = "capture/formats.rs"]
mod formats;
#[path = "capture/frames.rs"]
mod frames;
#[path = "capture/sources.rs"]
mod sources;
#[path = "capture/track.rs"]
mod track;

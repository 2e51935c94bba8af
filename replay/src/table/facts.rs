//! What a table says of the trace as a whole, in the metadata of the file: JSON with a version.

use equipoise_reports::model::Selection;
use serde::{Deserialize, Serialize};

use super::TableError;
use crate::decode::{Decoder, Skipped, TunnelPorts, Tunnels};
use crate::summary;
use crate::trace::{CaptureFacts, Totals, Trace};

/// The version that is written and read.
const SCHEMA: &str = "equipoise.table/1";

/// The facts of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    schema: String,
    tunnels: Looked,
    /// Ports that were given, as texts.
    #[serde(default)]
    tunnel_ports: Vec<String>,
    /// Packets in all segments.
    pub(crate) packets: u64,
    pub(super) segments: Vec<Extent>,
    frames: u64,
    skipped: Vec<(Skipped, u64)>,
    clock_steps_back: u64,
    #[serde(default)]
    retimed: u64,
    #[serde(default)]
    retimed_most_ns: u64,
    without_time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) selection: Option<Part>,
    pub(crate) captures: Vec<Captured>,
    /// Why captures could not be read to their end.
    pub(crate) errors: Vec<String>,
}

/// What of the captures a table holds, where that is not all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    #[serde(flatten)]
    pub(crate) taken: Selection,
    /// Chose the connections.
    seed: u64,
}

/// Where a segment ends in the file, and the checksum of its bytes. It begins where the one before
/// it ends, the first at the beginning of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) end_byte: u64,
    pub(super) crc32: u32,
}

/// One capture of the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Captured {
    pub(crate) name: String,
    file_type: String,
    packets: u64,
    bytes: u64,
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    longest_silence_ns: u64,
    link_types: Vec<u16>,
    pub(crate) warning: Option<String>,
}

/// Which packet a tunnelled frame stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Looked {
    Outer,
    Inner,
}

impl Facts {
    /// Those of a trace that was read to its end: `packets` of it were written into `segments`.
    pub(super) fn of(
        trace: &Trace,
        decoder: Decoder,
        packets: u64,
        segments: Vec<Extent>,
        errors: Vec<String>,
    ) -> Self {
        let totals = trace.totals();
        let captures = trace.captures().map(|capture| {
            let facts = capture.facts;
            Captured {
                name: capture.name.to_owned(),
                file_type: facts.file_type.clone(),
                packets: facts.packets,
                bytes: facts.bytes,
                first_ns: facts.first_ns,
                last_ns: facts.last_ns,
                longest_silence_ns: facts.longest_silence_ns,
                link_types: facts.link_types.clone(),
                warning: capture.warning.map(ToString::to_string),
            }
        });
        Self {
            schema: SCHEMA.to_owned(),
            tunnels: match decoder.tunnels {
                Tunnels::Unsaid | Tunnels::Outer => Looked::Outer,
                Tunnels::Inner => Looked::Inner,
            },
            tunnel_ports: decoder
                .ports
                .given()
                .map(|given| given.to_string())
                .collect(),
            packets,
            segments,
            frames: totals.frames,
            skipped: totals
                .skipped
                .iter()
                .map(|(&reason, &count)| (reason, count))
                .collect(),
            clock_steps_back: totals.clock_steps_back,
            retimed: totals.retimed,
            retimed_most_ns: totals.retimed_most_ns,
            without_time: totals.without_time,
            selection: Part::of(trace),
            captures: captures.collect(),
            errors,
        }
    }

    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads what another run of this program wrote, of any version.
    pub(super) fn from_json(json: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: String,
        }
        let unreadable = |error: serde_json::Error| TableError::Facts { source: error };
        let Versioned { schema } = serde_json::from_str(json).map_err(unreadable)?;
        if schema != SCHEMA {
            return Err(TableError::Version {
                found: schema,
                accepted: SCHEMA,
            });
        }
        serde_json::from_str(json).map_err(unreadable)
    }

    /// How frames became packets.
    pub(crate) fn decoder(&self) -> Decoder {
        Decoder {
            tunnels: match self.tunnels {
                Looked::Outer => Tunnels::Outer,
                Looked::Inner => Tunnels::Inner,
            },
            // Of another version there might be ports of tunnels that are unknown here.
            ports: TunnelPorts::new(
                self.tunnel_ports
                    .iter()
                    .filter_map(|text| text.parse().ok()),
            )
            .unwrap_or_default(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            frames: self.frames,
            skipped: self.skipped.iter().copied().collect(),
            clock_steps_back: self.clock_steps_back,
            retimed: self.retimed,
            retimed_most_ns: self.retimed_most_ns,
            without_time: self.without_time,
        }
    }
}

impl Part {
    fn of(trace: &Trace) -> Option<Self> {
        let seed = match trace.selector() {
            Some(selector) => selector.selection().seed,
            None => trace.part()?.seed,
        };
        Some(Self {
            taken: summary::selection(trace)?,
            seed,
        })
    }

    /// What is left where a part of it was taken.
    pub(crate) fn and(self, further: Selection, seed: u64) -> Selection {
        let taken = self.taken;
        let ends = [taken.to_ns, further.to_ns];
        Selection {
            from_ns: taken.from_ns.max(further.from_ns),
            to_ns: ends.into_iter().flatten().min(),
            outside_packets: taken.outside_packets + further.outside_packets,
            // The same seed chooses the same connections again.
            share: if seed == self.seed {
                taken.share.min(further.share)
            } else {
                taken.share * further.share
            },
            unsampled_packets: taken.unsampled_packets + further.unsampled_packets,
        }
    }
}

impl Captured {
    pub(crate) fn facts(&self) -> CaptureFacts {
        CaptureFacts {
            file_type: self.file_type.clone(),
            packets: self.packets,
            bytes: self.bytes,
            first_ns: self.first_ns,
            last_ns: self.last_ns,
            longest_silence_ns: self.longest_silence_ns,
            link_types: self.link_types.clone(),
        }
    }
}

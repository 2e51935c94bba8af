//! What can be wrong with a table that is to be read as a trace.

use parquet::errors::ParquetError;

/// Why a table cannot be read as a trace, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A Parquet file that another program wrote.
    #[error(
        "it lacks {missing}, so `equipoise extract` did not write it, or another program wrote it anew; extract the captures again"
    )]
    Foreign {
        /// What is not there.
        missing: String,
    },
    /// A table of requests.
    #[error(
        "it is a table of requests (`extract --requests`), which holds no packets: give the captures, or what `extract` writes of them without --requests"
    )]
    Requests,
    /// A table of another version of this program.
    #[error("its version is {found}, read is {accepted}: extract the captures again")]
    Version {
        /// What it says.
        found: String,
        /// What is read.
        accepted: &'static str,
    },
    /// The facts of the trace make no sense.
    #[error(
        "its metadata {} makes no sense: {source}; extract the captures again",
        super::schema::FACTS_KEY
    )]
    Facts {
        /// Why.
        source: serde_json::Error,
    },
    /// It was extracted without looking into tunnels, and inner packets are asked for.
    #[error(
        "it was extracted with --tunnels outer: extract the captures again with --tunnels inner, or leave that option out here"
    )]
    OuterPackets,
    /// It was extracted looking into tunnels, and outer packets are asked for.
    #[error(
        "it was extracted with --tunnels inner: extract the captures again with --tunnels outer, or leave that option out here"
    )]
    InnerPackets,
    /// Tunnels were looked for at other ports than are asked for.
    #[error(
        "it was extracted with other ports of tunnels: extract the captures again with --tunnel-port, or leave that option out here"
    )]
    TunnelPorts,
    /// The footer is not to be read.
    #[error("its end is damaged or missing ({source}): copy or extract it anew")]
    Footer {
        /// Why.
        source: ParquetError,
    },
    /// Something contradicts itself.
    #[error("it is damaged in segment {segment}: {what}; copy or extract it anew")]
    Damaged {
        /// The segment (row group), from 0.
        segment: usize,
        /// What.
        what: String,
    },
}

//! What a client asked for first, as far as it can be read.

use alloc::vec::Vec;

/// The first request of a connection, borrowed from whoever read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A request of HTTP/1.x in clear.
    Http {
        /// As sent: case-sensitive, any token of RFC 9110.
        method: &'a str,
        /// As sent, in whichever form: `/path?query`, `http://host/path`, `host:port`, `*`.
        target: &'a [u8],
        /// The authority of the target where it has one, else the field `Host`.
        host: Option<&'a [u8]>,
    },
    /// A `ClientHello` of TLS.
    Tls {
        /// The name of the server that is wanted (SNI, RFC 6066).
        server_name: Option<&'a [u8]>,
        /// Protocols the client speaks, the one it likes best first (ALPN, RFC 7301).
        protocols: &'a [Vec<u8>],
    },
    /// A first long header of QUIC (RFC 8999).
    Quic {
        /// 1 is RFC 9000.
        version: u32,
        /// Chosen by the client for the server that it does not know yet.
        destination_id: &'a [u8],
    },
}

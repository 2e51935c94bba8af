//! What is told of one request.

use equipoise_core::{self as engine, FlowId, Timestamp};

use super::http::RequestHead;

/// A request: of HTTP each one, of TLS and QUIC what opens the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its connection, as the tracker numbers them.
    pub connection: u64,
    /// Its flow.
    pub flow: FlowId,
    /// Its place among those read of its connection, from 1.
    pub number: u32,
    /// Nothing of the connection lies before it: what a policy that reads requests decides by.
    pub is_first: bool,
    /// When the packet came with which its head was complete.
    pub time: Timestamp,
    /// What was asked for.
    pub content: Content,
}

/// What was asked for, by protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// HTTP/1.x in clear.
    Http(Http),
    /// A TLS handshake.
    Tls(Hello),
    /// A QUIC handshake.
    Quic(Initial),
}

impl Content {
    /// As policies see it.
    pub fn asked(&self) -> engine::Request<'_> {
        match self {
            Self::Http(http) => engine::Request::Http {
                method: http.method(),
                target: http.target(),
                host: http.host(),
            },
            Self::Tls(hello) => engine::Request::Tls {
                server_name: hello.server_name.as_deref(),
                protocols: &hello.protocols,
            },
            Self::Quic(initial) => engine::Request::Quic {
                version: initial.version,
                destination_id: &initial.destination_id,
            },
        }
    }
}

/// A request of HTTP/1.x and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Method, target and host, one behind the other: one allocation instead of three.
    text: Vec<u8>,
    /// Where the method and the target end.
    ends: [u32; 2],
    has_host: bool,
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    pub minor_version: u8,
    /// Bytes of head and body, as far as they were sent.
    pub bytes: u64,
    /// Whether all of it was sent.
    pub is_complete: bool,
    /// The final response, if it was seen.
    pub response: Option<Response>,
}

/// The final response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Three digits.
    pub status: u16,
    /// When the packet came with which its head was complete.
    pub time: Timestamp,
    /// When its last packet came.
    pub last: Timestamp,
    /// Bytes of head and body, as far as they were sent; interim responses are not counted.
    pub bytes: u64,
    /// Whether all of it was sent.
    pub is_complete: bool,
}

/// What a `ClientHello` of TLS says in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name of the server that is wanted (SNI, RFC 6066).
    pub server_name: Option<Vec<u8>>,
    /// Protocols the client speaks, the one it likes best first (ALPN, RFC 7301).
    pub protocols: Vec<Vec<u8>>,
}

/// What the first long header of QUIC says (RFC 8999).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initial {
    /// 1 is RFC 9000, `0x6b3343cf` version 2.
    pub version: u32,
    /// Chosen by the client for the server it does not know yet.
    pub destination_id: Vec<u8>,
    /// Chosen by the client for itself.
    pub source_id: Vec<u8>,
}

impl Http {
    /// Asks for this, of which nothing but the head is known; `text` is memory to use.
    pub(super) fn asking(mut text: Vec<u8>, head: &RequestHead<'_>) -> Self {
        text.clear();
        text.extend_from_slice(head.method.as_bytes());
        text.extend_from_slice(head.target);
        let ends = [head.method.len() as u32, text.len() as u32];
        text.extend_from_slice(head.host.unwrap_or_default());
        Self {
            text,
            ends,
            has_host: head.host.is_some(),
            minor_version: head.minor_version,
            ..Self::default()
        }
    }

    /// As sent: methods are case-sensitive, and may be any token.
    pub fn method(&self) -> &str {
        let method = &self.text[..self.ends[0] as usize];
        std::str::from_utf8(method).unwrap_or_default()
    }

    /// As sent, in whichever form: `/path?query`, `http://host/path`, `host:port`, `*`.
    pub fn target(&self) -> &[u8] {
        &self.text[self.ends[0] as usize..self.ends[1] as usize]
    }

    /// The authority of the target where it has one, else the field `Host`; with the port if that
    /// is said. None where neither says anything.
    pub fn host(&self) -> Option<&[u8]> {
        self.has_host.then(|| &self.text[self.ends[1] as usize..])
    }
}

impl Request {
    /// What is asked for by name: HTTP's host, or TLS's server name.
    pub fn host(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Http(http) => http.host(),
            Content::Tls(hello) => hello.server_name.as_deref(),
            Content::Quic(_) => None,
        }
    }

    /// The request where it is one of HTTP.
    pub fn http(&self) -> Option<&Http> {
        match &self.content {
            Content::Http(http) => Some(http),
            _ => None,
        }
    }

    /// What was asked for is this, of which nothing but the head is known.
    pub(super) fn ask(&mut self, head: &RequestHead<'_>) {
        // What another request asked for, if this was one, leaves its memory.
        let text = match &mut self.content {
            Content::Http(http) => std::mem::take(&mut http.text),
            Content::Tls(_) | Content::Quic(_) => Vec::new(),
        };
        self.content = Content::Http(Http::asking(text, head));
    }

    /// Roughly what it takes in memory.
    pub(super) fn memory(&self) -> usize {
        let more = match &self.content {
            Content::Http(http) => http.text.capacity(),
            Content::Tls(_) | Content::Quic(_) => 0,
        };
        size_of::<Self>() + more
    }
}

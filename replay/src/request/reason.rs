//! Why something was not read as a request or a response, or with a doubt.

use std::collections::BTreeMap;
use std::fmt;

/// What was odd, given up or left out. Most count once a connection and direction: nothing is read
/// after them; the last ones count as often as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The client's first bytes are no request line and no TLS record.
    NotHttp,
    /// HTTP/2 without TLS.
    Http2,
    /// A method and a target, and then no version of HTTP/1.
    RequestLine,
    /// What should answer a request is no response of HTTP/1.
    StatusLine,
    /// A field with a name or a value that may not be.
    HeaderField,
    /// A field of a request folded over lines.
    FoldedHeader,
    /// More fields than [`MOST_HEADERS`](super::MOST_HEADERS).
    TooManyHeaders,
    /// A head, or a handshake message, longer than [`Limits::head`](super::Limits::head).
    HeadTooLong,
    /// A request with both `Content-Length` and `Transfer-Encoding`: told, and the last one read.
    BothLengths,
    /// Lengths that differ: the message is told, and the last one read.
    DifferentLengths,
    /// A length that is no number: the message is told, and the last one read.
    BadLength,
    /// A request in another coding than chunks, or in chunks in HTTP/1.0: told, and the last one.
    TransferCoding,
    /// Chunks that are none.
    Chunk,
    /// A TLS record that holds no sound `ClientHello`.
    Hello,
    /// Another protocol was switched to, by an upgrade or `CONNECT`.
    Switched,
    /// Bytes were lost, and no request begins a packet in the next
    /// [`Limits::search`](super::Limits::search) bytes.
    NotFoundAgain,
    /// All connections together take more than [`Limits::total`](super::Limits::total).
    Memory,
    /// Requests without a response take more than
    /// [`Limits::connection`](super::Limits::connection): responses are read no more.
    Unanswered,
    /// The beginning is not in the capture.
    MidStream,
    /// Bytes that a head or the framing of a body needs were not captured.
    Gap,
    /// Out-of-order data took more than [`Limits::connection`](super::Limits::connection): what was
    /// waited for counts as lost.
    OutOfOrder,
    /// A response to no request that was seen.
    UnmatchedResponse,
    /// A request head with lines that end in LF alone.
    BareLf,
    /// A request with several fields `Host`, of which the first was taken.
    RepeatedHost,
    /// A response with both `Content-Length` and `Transfer-Encoding`, of which the latter counts.
    ResponseBothLengths,
}

impl Reason {
    /// Stable name of the reason, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotHttp => "not_http",
            Self::Http2 => "http2",
            Self::RequestLine => "request_line",
            Self::StatusLine => "status_line",
            Self::HeaderField => "header_field",
            Self::FoldedHeader => "folded_header",
            Self::TooManyHeaders => "too_many_headers",
            Self::HeadTooLong => "head_too_long",
            Self::BothLengths => "both_lengths",
            Self::DifferentLengths => "different_lengths",
            Self::BadLength => "bad_length",
            Self::TransferCoding => "transfer_coding",
            Self::Chunk => "chunk",
            Self::Hello => "hello",
            Self::Switched => "switched",
            Self::NotFoundAgain => "not_found_again",
            Self::Memory => "memory",
            Self::Unanswered => "unanswered",
            Self::MidStream => "mid_stream",
            Self::Gap => "gap",
            Self::OutOfOrder => "out_of_order",
            Self::UnmatchedResponse => "unmatched_response",
            Self::BareLf => "bare_lf",
            Self::RepeatedHost => "repeated_host",
            Self::ResponseBothLengths => "response_both_lengths",
        }
    }
}

/// The reason for people: `head of a request or response too long`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "neither HTTP/1 nor TLS",
            Self::Http2 => "HTTP/2 without TLS",
            Self::RequestLine => "request line without a version of HTTP/1",
            Self::StatusLine => "answer that is no response of HTTP/1",
            Self::HeaderField => "header field that may not be",
            Self::FoldedHeader => "header field of a request folded over lines",
            Self::TooManyHeaders => "too many header fields",
            Self::HeadTooLong => "head of a request or response too long",
            Self::BothLengths => "request with both Content-Length and Transfer-Encoding",
            Self::DifferentLengths => "Content-Length given twice, and different",
            Self::BadLength => "Content-Length that is no number",
            Self::TransferCoding => "request with a transfer coding that is not chunked",
            Self::Chunk => "malformed chunks",
            Self::Hello => "TLS without a sound ClientHello",
            Self::Switched => "switched to another protocol",
            Self::NotFoundAgain => "no request found again after lost bytes",
            Self::Memory => "too many connections at once for the memory allowed",
            Self::Unanswered => "too many requests without a response",
            Self::MidStream => "beginning not in the capture",
            Self::Gap => "bytes not captured",
            Self::OutOfOrder => "too much data out of order",
            Self::UnmatchedResponse => "response to no request seen",
            Self::BareLf => "request with lines that end in LF alone",
            Self::RepeatedHost => "request with several Host fields",
            Self::ResponseBothLengths => "response with both Content-Length and Transfer-Encoding",
        })
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests of HTTP/1.
    pub http: u64,
    /// Responses to them that were found, interim ones not counted.
    pub responses: u64,
    /// Handshakes of TLS.
    pub tls: u64,
    /// Handshakes of QUIC.
    pub quic: u64,
    /// What was odd, given up or left out.
    pub reasons: BTreeMap<Reason, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, reason: Reason) {
        *self.reasons.entry(reason).or_default() += 1;
    }
}

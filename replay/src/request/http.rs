//! Heads of HTTP/1.x messages, as RFC 9112 has them.
//!
//! Where the RFC leaves a choice, nginx's is taken: lines may end in LF alone, and a request that
//! nginx refuses for how it is framed (both lengths, lengths that differ, another coding than
//! chunks) is told, but nothing behind it is read. Only equal lengths twice, which nginx refuses
//! too, are read as the RFC allows. Responses are read as leniently as browsers read them.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Status};

use super::Reason;
use super::body::Body;

/// Fields that a head may have.
pub const MOST_HEADERS: usize = 128;

/// What a request head says.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a [u8],
    /// Of the target where it has one, else of the field.
    pub(super) host: Option<&'a [u8]>,
    pub(super) minor_version: u8,
    /// An error where the body's end cannot be told for sure.
    pub(super) body: Result<Body, Reason>,
    /// It asks for another protocol, with an upgrade or `CONNECT`.
    pub(super) may_switch: bool,
    /// Does not keep it from being read.
    pub(super) oddities: [Option<Reason>; 2],
}

/// What a response head says.
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// As its fields say, whatever was asked for.
    pub(super) body: Result<Body, Reason>,
    pub(super) oddity: Option<Reason>,
}

type Read<T> = Result<Option<(usize, T)>, Reason>;

/// Reads a request head and says how long it is; none where more bytes are needed.
pub(super) fn request(bytes: &[u8]) -> Read<RequestHead<'_>> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let mut as_nginx = ParserConfig::default();
    as_nginx.allow_multiple_spaces_in_request_line_delimiters(true);
    let parsed = as_nginx.parse_request_with_uninit_headers(&mut request, bytes, &mut fields);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::Token) if request.method.is_some() && !is_utf8(line(bytes)) => {
            return raw_target(bytes);
        }
        Err(error) => return Err(request_error(error, &request, bytes)),
    };
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default().as_bytes();
    let minor_version = request.version.unwrap_or_default();
    let fields = Fields::of(request.headers);
    let is_connect = method == "CONNECT";
    let host = authority(target, is_connect).or(fields.host);
    let head = RequestHead {
        method,
        target,
        host,
        minor_version,
        body: fields.request_body(minor_version),
        may_switch: is_connect || fields.upgrades,
        oddities: [
            has_bare_lf(&bytes[..length]).then_some(Reason::BareLf),
            (fields.hosts > 1).then_some(Reason::RepeatedHost),
        ],
    };
    Ok(Some((length, head)))
}

/// Reads a response head and says how long it is; none where more bytes are needed.
pub(super) fn response(bytes: &[u8]) -> Read<ResponseHead> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let mut lenient = ParserConfig::default();
    lenient
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let parsed = lenient.parse_response_with_uninit_headers(&mut response, bytes, &mut fields);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => return Err(Reason::TooManyHeaders),
        Err(_) if response.code.is_some() => return Err(Reason::HeaderField),
        Err(_) => return Err(Reason::StatusLine),
    };
    let fields = Fields::of(response.headers);
    let has_both = fields.coding.is_some() && fields.length.is_some();
    let head = ResponseHead {
        status: response.code.unwrap_or_default(),
        body: fields.response_body(),
        oddity: has_both.then_some(Reason::ResponseBothLengths),
    };
    Ok(Some((length, head)))
}

/// Whether a request may begin with these bytes, where others were lost before: a whole request
/// line, or a method and the beginning of a path.
pub(super) fn looks_like_request(bytes: &[u8]) -> bool {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(_)) => true,
        Ok(Status::Partial) => match (request.method, request.version) {
            (_, Some(_)) => true,
            (Some(method), None) => bytes.get(method.len() + 1) == Some(&b'/'),
            (None, None) => false,
        },
        Err(_) => false,
    }
}

/// Whether a response may begin with these bytes.
pub(super) fn looks_like_response(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.")
}

#[cold]
fn request_error(error: Error, request: &httparse::Request<'_, '_>, bytes: &[u8]) -> Reason {
    match error {
        Error::TooManyHeaders => Reason::TooManyHeaders,
        _ if bytes.starts_with(b"PRI * HTTP/2.0\r\n") => Reason::Http2,
        _ if request.version.is_none() => {
            let has_version = line(bytes).windows(6).any(|part| part == b"HTTP/1");
            if request.path.is_some() || has_version {
                Reason::RequestLine
            } else {
                Reason::NotHttp
            }
        }
        _ => {
            let mut lines = bytes.split(|&byte| byte == b'\n');
            if lines.any(|line| line.starts_with(b" ") || line.starts_with(b"\t")) {
                Reason::FoldedHeader
            } else {
                Reason::HeaderField
            }
        }
    }
}

/// Without its end; all there is where that has not come.
fn line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    &bytes[..end.unwrap_or(bytes.len())]
}

fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Reads a head with a target of any bytes, which nginx takes and the parser does not: others are
/// put in their place while it looks.
#[cold]
fn raw_target(bytes: &[u8]) -> Read<RequestHead<'_>> {
    let mut plain = bytes.to_vec();
    let end = line(bytes).len();
    for byte in plain[..end].iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'x';
    }
    let Some((length, head)) = request(&plain)? else {
        return Ok(None);
    };
    // Parts of the head, where they lie in the bytes themselves.
    let place = |part: &[u8]| {
        let at = (part.as_ptr() as usize).wrapping_sub(plain.as_ptr() as usize);
        bytes
            .get(at..at.wrapping_add(part.len()))
            .unwrap_or_default()
    };
    let head = RequestHead {
        method: std::str::from_utf8(place(head.method.as_bytes())).unwrap_or_default(),
        target: place(head.target),
        host: head.host.map(place),
        minor_version: head.minor_version,
        body: head.body,
        may_switch: head.may_switch,
        oddities: head.oddities,
    };
    Ok(Some((length, head)))
}

/// Of the target, where it has one: of `CONNECT` the target itself, of an absolute URI what is
/// between the slashes, without what may stand before an `@` (RFC 9112 3.2, RFC 3986 3.2).
fn authority(target: &[u8], is_connect: bool) -> Option<&[u8]> {
    if target.starts_with(b"/") {
        return None;
    }
    let authority = if is_connect {
        target
    } else {
        let scheme = target.windows(3).position(|part| part == b"://")?;
        let rest = &target[scheme + 3..];
        let end = rest.iter().position(|byte| b"/?#".contains(byte));
        &rest[..end.unwrap_or(rest.len())]
    };
    let user = authority.iter().rposition(|&byte| byte == b'@');
    let host = &authority[user.map_or(0, |at| at + 1)..];
    (!host.is_empty()).then_some(host)
}

/// Lines end in CR and LF, or else in LF alone, which both RFC 9112 2.2 and nginx let pass.
fn has_bare_lf(head: &[u8]) -> bool {
    let pairs = head.iter().zip(&head[1..]);
    // Without a way out of the loop, many at a time.
    pairs.fold(0, |bare, (&one, &next)| {
        bare | (u8::from(one != b'\r') & u8::from(next == b'\n'))
    }) != 0
}

/// The fields that say where a message ends and for whom it is.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    hosts: u32,
    length: Option<Result<u64, Reason>>,
    coding: Option<&'a [u8]>,
    codings: u32,
    upgrades: bool,
}

impl<'a> Fields<'a> {
    fn of(headers: &[Header<'a>]) -> Self {
        let mut fields = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            // The names are told apart by their lengths.
            match header.name.len() {
                4 if is("host") => {
                    fields.hosts += 1;
                    fields.host = fields.host.or(Some(header.value));
                }
                7 if is("upgrade") => fields.upgrades = true,
                14 if is("content-length") => {
                    let length = length(header.value);
                    fields.length = Some(match fields.length {
                        Some(other) if other != length => Err(Reason::DifferentLengths),
                        _ => length,
                    });
                }
                17 if is("transfer-encoding") => {
                    fields.codings += 1;
                    fields.coding = Some(header.value);
                }
                _ => {}
            }
        }
        fields
    }

    /// RFC 9112 6.3, as nginx does it.
    fn request_body(&self, minor_version: u8) -> Result<Body, Reason> {
        match (self.coding, self.length) {
            (Some(_), Some(_)) => Err(Reason::BothLengths),
            (Some(coding), None) => {
                let is_read = coding.eq_ignore_ascii_case(b"chunked")
                    && self.codings == 1
                    && minor_version == 1;
                if is_read {
                    Ok(Body::CHUNKED)
                } else {
                    Err(Reason::TransferCoding)
                }
            }
            (None, Some(length)) => length.map(Body::Length),
            (None, None) => Ok(Body::Length(0)),
        }
    }

    /// RFC 9112 6.3: the coding counts before the length.
    fn response_body(&self) -> Result<Body, Reason> {
        match (self.coding, self.length) {
            (Some(coding), _) => {
                let last = coding.rsplit(|&byte| byte == b',').next();
                let last = last.unwrap_or_default().trim_ascii();
                if last.eq_ignore_ascii_case(b"chunked") {
                    Ok(Body::CHUNKED)
                } else {
                    Ok(Body::UntilClose)
                }
            }
            (None, Some(length)) => length.map(Body::Length),
            (None, None) => Ok(Body::UntilClose),
        }
    }
}

/// Digits and nothing else.
fn length(value: &[u8]) -> Result<u64, Reason> {
    if value.is_empty() {
        return Err(Reason::BadLength);
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        let length = length.checked_mul(10).zip(digit);
        let length = length.and_then(|(length, digit)| length.checked_add(digit));
        length.ok_or(Reason::BadLength)
    })
}

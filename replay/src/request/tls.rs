//! The `ClientHello` of TLS, over as many records as it takes.
//!
//! Reads what is in clear and judges nothing else: whether the handshake goes on is not looked at.

use tls_parser::{
    SNIType, TlsExtension, TlsMessage, TlsMessageHandshake, parse_tls_extension_alpn_content,
    parse_tls_extension_sni_content, parse_tls_message_handshake,
};

use super::Reason;
use super::record::Hello;

/// The content type of a handshake record, with which a connection begins.
pub(super) const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// Bytes in a record, RFC 8446 5.1, and what RFC 5246 6.2.3 lets a cipher add.
const LONGEST_RECORD: usize = (1 << 14) + 2048;

const SERVER_NAME: u16 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;

/// What the first bytes of a stream hold.
pub(super) enum Found {
    /// All of it.
    Hello(Hello),
    /// A part; there is nothing more to be seen before there are so many bytes.
    Part(usize),
}

/// Reads the first handshake message of a stream.
pub(super) fn client_hello(stream: &[u8]) -> Result<Found, Reason> {
    let mut message = Message::default();
    let mut rest = stream;
    loop {
        let read = stream.len() - rest.len();
        let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return match rest.first() {
                None | Some(&HANDSHAKE) => Ok(Found::Part(read + RECORD_HEADER)),
                Some(_) => Err(Reason::Hello),
            };
        };
        let &[kind, major, _, high, low] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        // Empty records of a handshake are forbidden, and would be read for ever.
        if kind != HANDSHAKE || major != 3 || length == 0 || length > LONGEST_RECORD {
            return Err(Reason::Hello);
        }
        let fragment = &behind[..behind.len().min(length)];
        if let Some(whole) = message.add(fragment)? {
            return parse(whole).map(Found::Hello).ok_or(Reason::Hello);
        }
        if fragment.len() < length {
            let wanted = length.min(fragment.len() + message.missing());
            return Ok(Found::Part(read + RECORD_HEADER + wanted));
        }
        rest = &behind[length..];
    }
}

/// A handshake message in fragments; one that is in a single record stays where it is.
#[derive(Default)]
struct Message<'a> {
    first: &'a [u8],
    joined: Vec<u8>,
}

impl<'a> Message<'a> {
    /// Adds a fragment; the message, if that completes it.
    fn add(&mut self, fragment: &'a [u8]) -> Result<Option<&[u8]>, Reason> {
        if self.first.is_empty() {
            self.first = fragment;
        } else {
            if self.joined.is_empty() {
                self.joined.extend(self.first);
            }
            self.joined.extend(fragment);
        }
        if self
            .bytes()
            .first()
            .is_some_and(|&kind| kind != CLIENT_HELLO)
        {
            return Err(Reason::Hello);
        }
        Ok(self.bytes().get(..self.length()))
    }

    fn bytes(&self) -> &[u8] {
        if self.joined.is_empty() {
            self.first
        } else {
            &self.joined
        }
    }

    /// As its header says; the header's own where that is not whole.
    fn length(&self) -> usize {
        let content = match self.bytes().first_chunk::<MESSAGE_HEADER>() {
            Some(&[_, high, middle, low]) => u32::from_be_bytes([0, high, middle, low]),
            // More than there is.
            None => 0,
        };
        MESSAGE_HEADER + content as usize
    }

    fn missing(&self) -> usize {
        self.length() - self.bytes().len()
    }
}

fn parse(message: &[u8]) -> Option<Hello> {
    let (_, message) = parse_tls_message_handshake(message).ok()?;
    let TlsMessage::Handshake(TlsMessageHandshake::ClientHello(client)) = message else {
        return None;
    };
    let mut hello = Hello::default();
    let mut rest = client.ext.unwrap_or_default();
    // One by one: an extension that the parser does not understand hides no other.
    while let Some((&[kind_high, kind_low, high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (content, behind) = behind.split_at_checked(length)?;
        rest = behind;
        match u16::from_be_bytes([kind_high, kind_low]) {
            SERVER_NAME => {
                if let Ok((_, TlsExtension::SNI(names))) = parse_tls_extension_sni_content(content)
                {
                    let mut names = names.into_iter();
                    let name = names.find(|(kind, _)| *kind == SNIType::HostName);
                    hello.server_name = name.map(|(_, name)| name.to_vec());
                }
            }
            APPLICATION_PROTOCOLS => {
                if let Ok((_, TlsExtension::ALPN(names))) =
                    parse_tls_extension_alpn_content(content)
                {
                    hello.protocols = names.into_iter().map(<[u8]>::to_vec).collect();
                }
            }
            _ => {}
        }
    }
    Some(hello)
}

//! Texts of requests and responses, and the bytes of their bodies.

use super::model::Host;

/// What a message is, but for its body's length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    Get { url: u32 },
    Post { url: u32 },
    Ok,
}

/// Texts of all hosts and the filling of bodies.
pub(super) struct Texts {
    hosts: Vec<Vec<u8>>,
    filling: Vec<u8>,
    /// The text that was built last.
    text: Vec<u8>,
}

/// What bodies are made of, again and again.
const LINE: &[u8; 64] = b"All that is in a body is this line, which comes again and again\n";

impl Texts {
    pub(super) fn new(hosts: &[Host], mss: u16) -> Self {
        let repeats = usize::from(mss) / LINE.len() + 2;
        Self {
            hosts: hosts.iter().map(|host| host.get().into()).collect(),
            filling: LINE.repeat(repeats),
            text: Vec::with_capacity(512),
        }
    }

    /// The text before a body of that length.
    pub(super) fn head(&mut self, head: Head, body: u64) -> &[u8] {
        self.text.clear();
        let text = &mut self.text;
        match head {
            Head::Get { url } => {
                request(text, b"GET", url, &self.hosts);
                text.extend(b"\r\n\r\n");
            }
            Head::Post { url } => {
                request(text, b"POST", url, &self.hosts);
                text.extend(b"\r\nContent-Type: text/plain\r\nContent-Length: ");
                decimal(text, body);
                text.extend(b"\r\n\r\n");
            }
            Head::Ok => {
                text.extend(
                    b"HTTP/1.1 200 OK\r\nServer: equipoise-synth\r\nContent-Type: text/plain\r\nContent-Length: ",
                );
                decimal(text, body);
                text.extend(b"\r\n\r\n");
            }
        }
        &self.text
    }

    /// The text built last, and `length` bytes of a body from `offset` on; at most one segment.
    pub(super) fn parts(&self, offset: u64, length: usize) -> (&[u8], &[u8]) {
        // Below the line's length.
        let begin = (offset % LINE.len() as u64) as usize;
        (&self.text, &self.filling[begin..begin + length])
    }
}

fn request(text: &mut Vec<u8>, method: &[u8], url: u32, hosts: &[Vec<u8>]) {
    text.extend(method);
    text.extend(b" /item/");
    decimal(text, url.into());
    text.extend(b" HTTP/1.1\r\nHost: ");
    text.extend(&hosts[url as usize % hosts.len()]);
    text.extend(b"\r\nUser-Agent: equipoise-synth\r\nAccept: */*");
}

/// `write!` takes several times as long.
fn decimal(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(&digits[first..]);
}

//! What connections draw from: requests, responses, sizes and times.

use super::chance::{Chance, Purpose, whole};
use super::distribution::Distribution;
use super::frames::Side;
use super::http::{Head, Texts};
use super::model::{Http, Path};
use super::zipf::Zipf;

/// What connections draw from, and the texts that they send.
pub(super) struct Scripts {
    http: Http,
    path: Path,
    urls: Zipf,
    pub(super) texts: Texts,
    headers: Chance,
    network: Chance,
    requests: Chance,
    sizes: Chance,
    times: Chance,
}

/// What a connection is to be, from its beginning.
#[derive(Clone, Copy, Default)]
pub(super) struct Plan {
    pub(super) rtt_ns: u64,
    pub(super) requests: u64,
    /// The client ends it by a reset.
    pub(super) is_reset: bool,
}

/// A request or response under way.
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub(super) from: Side,
    pub(super) head: Head,
    pub(super) body: u64,
    /// Known from the first segment on.
    pub(super) head_length: u64,
    pub(super) sent: u64,
    /// Segments of this flight so far.
    pub(super) flown: u32,
    /// Acknowledgements that this flight is still to get.
    pub(super) due: u32,
}

impl Scripts {
    pub(super) fn new(http: Http, path: Path, seed: u64) -> Self {
        let chance = |purpose| Chance::new(seed, purpose);
        Self {
            urls: Zipf::new(http.urls.get(), http.zipf.get()),
            texts: Texts::new(&http.hosts, path.mss.get()),
            http,
            path,
            headers: chance(Purpose::Headers),
            network: chance(Purpose::Network),
            requests: chance(Purpose::Requests),
            sizes: chance(Purpose::Sizes),
            times: chance(Purpose::Times),
        }
    }

    /// What an end begins to count from.
    pub(super) fn numbers(&mut self) -> u64 {
        self.headers.bits()
    }

    pub(super) fn plan(&mut self) -> Plan {
        let requests = self.http.requests.draw(&mut self.requests);
        Plan {
            rtt_ns: nanoseconds(&self.path.rtt_s, &mut self.network),
            requests: whole(requests.round()).max(1),
            is_reset: self.requests.is(self.http.reset_share.get()),
        }
    }

    pub(super) fn request(&mut self) -> Message {
        let url = self.urls.draw(&mut self.requests);
        if self.requests.is(self.http.post_share.get()) {
            let body = whole(self.http.post_bytes.draw(&mut self.sizes));
            Message::new(Side::Client, Head::Post { url }, body)
        } else {
            Message::new(Side::Client, Head::Get { url }, 0)
        }
    }

    pub(super) fn response(&mut self) -> Message {
        let body = whole(self.http.body_bytes.draw(&mut self.sizes));
        Message::new(Side::Server, Head::Ok, body)
    }

    /// From a message of that side to what follows it.
    pub(super) fn pause_ns(&mut self, from: Side, has_more: bool) -> u64 {
        let pause = match from {
            Side::Client => &self.http.service_s,
            Side::Server if has_more => &self.http.think_s,
            Side::Server => &self.http.linger_s,
        };
        nanoseconds(pause, &mut self.times)
    }
}

impl Message {
    pub(super) fn new(from: Side, head: Head, body: u64) -> Self {
        Self {
            from,
            head,
            body,
            head_length: 0,
            sent: 0,
            flown: 0,
            due: 0,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.sent == self.head_length + self.body
    }
}

/// Of seconds; what is too long for a capture is for whoever writes it to say.
fn nanoseconds(seconds: &Distribution, chance: &mut Chance) -> u64 {
    whole(seconds.draw(chance) * 1e9)
}

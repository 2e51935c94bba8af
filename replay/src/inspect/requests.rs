//! What was asked for, in bounded memory.

use std::collections::BTreeMap;

use equipoise_reports::inspect::{Asked, Named, Requests as Model};

use crate::request::{Content, Counts, Request};

/// Memory for names of one kind, in bytes; those that come later are counted together.
const ROOM: usize = 16 << 20;
/// Of a name so much is kept: longer ones that begin alike are taken for one.
const LONGEST: usize = 256;
/// What a name takes besides its bytes.
const OVERHEAD: usize = 64;

/// Requests counted by what they say.
#[derive(Default)]
pub(super) struct Requests {
    methods: Names,
    statuses: BTreeMap<String, u64>,
    hosts: Names,
    targets: Names,
    protocols: Names,
}

#[derive(Default)]
struct Names {
    counts: BTreeMap<Vec<u8>, u64>,
    taken: usize,
    beyond: u64,
}

impl Requests {
    pub(super) fn take(&mut self, request: &Request) {
        if let Some(host) = request.host() {
            self.hosts.see(host);
        }
        match &request.content {
            Content::Http(http) => {
                self.methods.see(http.method().as_bytes());
                self.targets.see(http.target());
                let status = match http.response {
                    Some(response) => response.status.to_string(),
                    None => "none".to_owned(),
                };
                *self.statuses.entry(status).or_default() += 1;
            }
            Content::Tls(hello) => {
                for protocol in &hello.protocols {
                    self.protocols.see(protocol);
                }
            }
            Content::Quic(_) => {}
        }
    }

    /// With the names that came most often, so many of each kind.
    pub(super) fn report(&self, counts: &Counts, top: usize) -> Model {
        let unread = counts.reasons.iter();
        Model {
            http: counts.http,
            responses: counts.responses,
            tls: counts.tls,
            quic: counts.quic,
            methods: self.methods.most(top),
            statuses: self.statuses.clone(),
            hosts: self.hosts.most(top),
            targets: self.targets.most(top),
            protocols: self.protocols.most(top),
            oddities: unread
                .map(|(reason, &count)| (reason.to_string(), count))
                .collect(),
        }
    }
}

impl Names {
    fn see(&mut self, name: &[u8]) {
        let name = &name[..name.len().min(LONGEST)];
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.taken + name.len() + OVERHEAD <= ROOM {
            self.taken += name.len() + OVERHEAD;
            self.counts.insert(name.to_vec(), 1);
        } else {
            self.beyond += 1;
        }
    }

    fn most(&self, top: usize) -> Asked {
        let mut all: Vec<(&[u8], u64)> = self
            .counts
            .iter()
            .map(|(name, &count)| (&name[..], count))
            .collect();
        all.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        Asked {
            found: all.len() as u64,
            beyond: self.beyond,
            most: all
                .iter()
                .take(top)
                .map(|&(name, requests)| Named {
                    name: String::from_utf8_lossy(name).into_owned(),
                    requests,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_room_are_counted_together() {
        let mut names = Names::default();
        for number in 0..300_000_u32 {
            names.see(format!("{number:09}").as_bytes());
        }
        names.see(b"000000007");
        assert!(names.taken <= ROOM);
        let asked = names.most(2);
        assert_eq!(asked.found + asked.beyond, 300_000);
        assert!(asked.beyond > 0);
        let most = |name: &str, requests| Named {
            name: name.to_owned(),
            requests,
        };
        assert_eq!(asked.most, [most("000000007", 2), most("000000000", 1)]);
    }
}

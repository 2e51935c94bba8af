//! What each of several directors decided for one service, and how far they agree.

use std::collections::BTreeMap;

use equipoise_core::{Address, Decision, Reason};

use crate::decisions::Row;

#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    /// By director.
    pub(crate) each: Vec<Decided>,
    /// Clients that connected by several directors between two changes of the service.
    pub(crate) clients: u64,
    /// Those of them that did not get the same server last from each.
    pub(crate) differed: u64,
    /// Since the last change, each client's last server from each director.
    latest: BTreeMap<Address, Vec<(u16, u32)>>,
}

/// What one director decided.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decided {
    /// Connections that got a server.
    pub(crate) connections: u64,
    /// Those of them for which the policy was asked.
    pub(crate) by_policy: u64,
    /// Connections that got none.
    pub(crate) refused: u64,
}

impl Spread {
    pub(super) fn new(directors: usize) -> Self {
        Self {
            each: vec![Decided::default(); directors],
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, row: &Row, decision: &Decision) {
        let Some(decided) = self.each.get_mut(usize::from(row.director)) else {
            return;
        };
        let Some(server) = decision.server else {
            decided.refused += 1;
            return;
        };
        decided.connections += 1;
        decided.by_policy += u64::from(decision.reason != Reason::Template);
        let latest = self.latest.entry(row.client.address).or_default();
        match latest
            .iter_mut()
            .find(|(director, _)| *director == row.director)
        {
            Some((_, latest)) => *latest = server,
            None => latest.push((row.director, server)),
        }
    }

    /// The service has changed: what was decided before compares with nothing after.
    pub(super) fn begin_again(&mut self) {
        for servers in std::mem::take(&mut self.latest).into_values() {
            if servers.len() > 1 {
                self.clients += 1;
                let differs = servers.windows(2).any(|pair| pair[0].1 != pair[1].1);
                self.differed += u64::from(differs);
            }
        }
    }
}

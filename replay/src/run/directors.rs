//! The directors of a run, be it one or several.

use equipoise_core::{ConfigError, Director, ServiceIndex};

use super::ecmp::Ecmp;
use crate::feed::Feed;
use crate::record::Recorder;

/// The one in the feed, and those that wait for their turn.
pub(super) struct Directors<'a> {
    pub(super) feed: &'a mut Feed<Recorder>,
    pub(super) ecmp: Option<&'a mut Ecmp>,
}

impl Directors<'_> {
    /// One of them: all have the same services and servers.
    pub(super) fn one(&self) -> &Director<Recorder> {
        &self.feed.director
    }

    /// Does something with each in the feed.
    pub(super) fn each(&mut self, mut act: impl FnMut(usize, &mut Feed<Recorder>)) {
        match &mut self.ecmp {
            Some(ecmp) => ecmp.each(self.feed, act),
            None => act(0, self.feed),
        }
    }

    /// Changes each; the first error.
    pub(super) fn configure(
        &mut self,
        mut change: impl FnMut(usize, &mut Director<Recorder>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let mut outcome = Ok(());
        self.each(|number, feed| {
            let changed = change(number, &mut feed.director);
            if outcome.is_ok() {
                outcome = changed;
            }
        });
        outcome
    }

    /// Active connections at a server.
    pub(super) fn active(&mut self, service: ServiceIndex, server: u32) -> u64 {
        let mut active = 0;
        self.each(|_, feed| {
            let server = feed.director.server(service, server);
            active += server.map_or(0, |server| u64::from(server.counters.active));
        });
        active
    }
}

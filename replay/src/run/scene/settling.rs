//! How a service settles after an event: whether connections run to one server, and when their
//! shares are again what the weights say.

use std::collections::VecDeque;

use equipoise_core::Timestamp;

/// Connections whose shares are looked at: enough for a share to mean something, and few enough
/// that a herd of seconds shows.
const WINDOW: usize = 100;
/// Connections after the event in which a herd is looked for: what comes later is no herd of its.
const SPAN: u64 = 10 * WINDOW as u64;
/// By how much a share may differ, in standard deviations of as many random draws: a policy that
/// draws by weight keeps to it, one that catches up on a new server does not.
const DEVIATIONS: f64 = 3.0;

/// What follows an event, until the service changes again; all times are the run's.
pub(super) struct Settling {
    pub(super) event: usize,
    at: Timestamp,
    /// The server that the event is about.
    server: Option<u32>,
    /// By server, the share that the weights give.
    fair: Vec<f64>,
    /// By server, how many of a window may be its.
    bounds: Vec<(u32, u32)>,
    /// The latest connections, at most a window: where they went, and when.
    recent: VecDeque<(u32, Timestamp)>,
    counts: Vec<u32>,
    /// By server, what it got of the first window, and of any at most.
    first: Vec<u32>,
    peaks: Vec<u32>,
    connections: u64,
    /// When the connection before the window came, or the event happened.
    before: Timestamp,
    /// Since when all windows have been as the weights say, and how many there are.
    streak: Option<(Timestamp, usize)>,
    settled: Option<Timestamp>,
}

/// What there is to say of it.
pub(super) struct Settled {
    /// Connections that got a server.
    pub(super) connections: u64,
    pub(super) herd: Option<Herd>,
    /// After so many nanoseconds shares were what the weights say.
    pub(super) rebalanced_ns: Option<u64>,
}

/// What one server got, in shares.
pub(super) struct Herd {
    pub(super) server: u32,
    pub(super) fair: f64,
    pub(super) first: f64,
    pub(super) peak: f64,
}

impl Settling {
    pub(super) fn new(event: usize, at: Timestamp, server: Option<u32>, fair: Vec<f64>) -> Self {
        let servers = fair.len();
        Self {
            event,
            at,
            server,
            bounds: fair.iter().copied().map(bounds).collect(),
            fair,
            recent: VecDeque::with_capacity(WINDOW + 1),
            counts: vec![0; servers],
            first: Vec::new(),
            peaks: Vec::new(),
            connections: 0,
            before: at,
            streak: None,
            settled: None,
        }
    }

    /// Takes in a connection that got a server.
    pub(super) fn note(&mut self, server: u32, at: Timestamp) {
        let Some(count) = self.counts.get_mut(server as usize) else {
            return;
        };
        *count += 1;
        self.connections += 1;
        self.recent.push_back((server, at));
        if self.recent.len() > WINDOW
            && let Some((gone, at)) = self.recent.pop_front()
        {
            self.counts[gone as usize] -= 1;
            self.before = at;
        }
        if self.recent.len() < WINDOW {
            return;
        }
        if self.first.is_empty() {
            self.first.clone_from(&self.counts);
            self.peaks.clone_from(&self.counts);
        } else if self.connections <= SPAN {
            let peak = &mut self.peaks[server as usize];
            *peak = (*peak).max(self.counts[server as usize]);
        }
        if self.settled.is_none() {
            self.look();
        }
    }

    fn look(&mut self) {
        let mut counts = self.counts.iter().zip(&self.bounds);
        if !counts.all(|(count, (least, most))| (least..=most).contains(&count)) {
            self.streak = None;
            return;
        }
        let (since, windows) = self.streak.get_or_insert((self.before, 0));
        *windows += 1;
        // And every one that begins within the first.
        if *windows > WINDOW {
            self.settled = Some(*since);
        }
    }

    pub(super) fn outcome(&self) -> Settled {
        let share = |count: u32| f64::from(count) / WINDOW as f64;
        let excess = |&server: &usize| share(self.peaks[server]) - self.fair[server];
        let servers = 0..self.peaks.len();
        let most = servers.max_by(|one, other| excess(one).total_cmp(&excess(other)));
        let server = match (self.server, most) {
            (Some(server), Some(_)) => Some(server as usize),
            (_, most) => most,
        };
        let herd = server.map(|server| Herd {
            server: server as u32,
            fair: self.fair[server],
            first: share(self.first[server]),
            peak: share(self.peaks[server]),
        });
        let settled = self.settled.map(|at| at.0.saturating_sub(self.at.0));
        Settled {
            connections: self.connections,
            herd,
            rebalanced_ns: settled,
        }
    }
}

/// How many connections of a window a server of this share may get, at least and at most.
fn bounds(fair: f64) -> (u32, u32) {
    let mean = fair * WINDOW as f64;
    let most_off = DEVIATIONS * (mean * (1.0 - fair)).max(0.0).sqrt();
    // A share between two connections may be either.
    let least = (mean - most_off).ceil().min(mean.floor()).max(0.0);
    let most = (mean + most_off).floor().max(mean.ceil());
    #[expect(clippy::cast_sign_loss, reason = "neither is negative")]
    let bounds = (least as u32, most as u32);
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(given: impl IntoIterator<Item = u32>, fair: &[f64]) -> Settled {
        let mut settling = Settling::new(0, Timestamp(1_000), Some(0), fair.to_vec());
        for (number, server) in given.into_iter().enumerate() {
            settling.note(server, Timestamp(2_000 + number as u64));
        }
        settling.outcome()
    }

    #[test]
    fn turns_settle_at_once() {
        let settled = settle((0..200).map(|n| n % 4), &[0.25; 4]);
        assert_eq!(settled.rebalanced_ns, Some(0));
        let herd = settled.herd.map(|herd| (herd.first, herd.peak));
        assert_eq!(herd, Some((0.25, 0.25)));
        // One window has to begin within the first for it to have stayed so.
        let settled = settle((0..199).map(|n| n % 4), &[0.25; 4]);
        assert_eq!((settled.connections, settled.rebalanced_ns), (199, None));
    }

    #[test]
    fn a_herd_is_over_when_shares_are_by_weight() {
        let given = std::iter::repeat_n(0, 150).chain((0..400).map(|n| n % 4));
        let settled = settle(given, &[0.25; 4]);
        let herd = settled.herd.map(|herd| (herd.first, herd.peak, herd.fair));
        assert_eq!(herd, Some((1.0, 1.0, 0.25)));
        // 37 of a window are allowed: the last 16 of the herd, and 21 of the 84 that come in turn.
        assert_eq!(settled.rebalanced_ns, Some(1_000 + 150 - 16 - 1));
    }

    #[test]
    fn what_is_too_little_says_nothing() {
        let settled = settle((0..99).map(|n| n % 4), &[0.25; 4]);
        assert!(settled.herd.is_none() && settled.rebalanced_ns.is_none());
    }

    #[test]
    fn chance_keeps_within_the_bounds() {
        assert_eq!(bounds(0.25), (13, 37));
        assert_eq!(bounds(0.0), (0, 0));
        assert_eq!(bounds(1.0), (100, 100));
        assert_eq!(bounds(0.001), (0, 1));
    }
}

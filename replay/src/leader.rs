//! One connection table for several runs: the director that leads takes in the trace, the runs
//! follow what it wrote down (`equipoise_core`'s `Director::leader`).

use equipoise_core::{Director, LeaderTable, Outcome, Script, Tag, Timestamp};

use crate::decisions::Row;
use crate::feed::{Clock, Feed, Ignored};
use crate::trace::Event;

/// Events that are written down before the runs follow: bounds memory where a step of time ends
/// many connections at once.
const SCRIPT_LIMIT: usize = 8_192;

/// What leads runs whose decisions change nothing but servers.
pub(crate) struct Leader {
    pub(crate) feed: Feed<Script>,
    /// Packets whose decisions the runs will take while they follow.
    rows: Vec<Row>,
    /// The tag of the first of them.
    first_tag: u64,
}

impl Leader {
    pub(crate) fn new(director: Director<Script>, clock: Clock) -> Self {
        Self {
            feed: Feed::new(director, clock),
            rows: Vec::new(),
            first_tag: 0,
        }
    }

    /// Takes in what happens next in the trace, as much of it as may be written down at once; what
    /// is left is to be given again, once the runs have followed.
    pub(crate) fn feed<'a>(&mut self, mut events: &'a [Event]) -> &'a [Event] {
        self.clear();
        while let Some((event, rest)) = events.split_first() {
            match event {
                Event::Packet(packet) => {
                    let now = self.feed.time_of(packet);
                    if !self.advance(now) {
                        break;
                    }
                    let tag = Tag(self.first_tag + self.rows.len() as u64);
                    if self.feed.take_packet(packet, tag) == Outcome::Decision {
                        self.rows.push(Row::of(packet));
                    }
                }
                Event::Told(told) => self.feed.take_told(told),
                // Those that follow read none.
                Event::Asked(_) => {}
            }
            events = rest;
        }
        self.feed.note_flows();
        events
    }

    /// Lets the rest of the time pass; false where more is left to do, once the runs have followed.
    pub(crate) fn end(&mut self, end: Timestamp) -> bool {
        self.clear();
        let end = self.feed.at(end);
        self.advance(end)
    }

    fn advance(&mut self, now: Timestamp) -> bool {
        let room = SCRIPT_LIMIT.saturating_sub(self.feed.director.observer.len());
        // A timer that fires writes two events.
        room > 0 && self.feed.director.advance_a_step(now, room.div_ceil(2))
    }

    fn clear(&mut self) {
        self.feed.director.observer.clear();
        self.first_tag += self.rows.len() as u64;
        self.rows.clear();
    }

    /// What is left to the runs when the leader, or their own part, is over.
    pub(crate) fn rest(&self) -> (LeaderTable<'_>, &Ignored) {
        (self.feed.director.leader_table(), &self.feed.ignored)
    }

    /// What the runs are to follow now.
    pub(crate) fn part(&self) -> Part<'_> {
        Part {
            script: &self.feed.director.observer,
            now: self.feed.director.now(),
            rows: &self.rows,
            first_tag: self.first_tag,
        }
    }
}

/// What happened since the runs last followed.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) script: &'a Script,
    pub(crate) now: Timestamp,
    /// Packets to be decided.
    pub(crate) rows: &'a [Row],
    /// The tag of the first of them.
    pub(crate) first_tag: u64,
}

//! A packet's way into a run: what happens before it, whether it comes now, and to which director.

use equipoise_core::{ConfigError, FaultReport, Observer as _, Outcome, Tag, Timestamp};

use super::directors::Directors;
use super::slow::{Held, Late, Slow};
use super::{ROWS, Run, scheduling, seed_at, seed_of};
use crate::decisions::Row;
use crate::policy::Chosen;
use crate::trace::{Asked, Event, TracePacket};

impl Run {
    /// Takes in a packet of the trace.
    #[inline]
    pub(super) fn take_packet(&mut self, event: &Event, packet: &TracePacket) {
        if self.scene.is_some() {
            // The clock begins with the first packet.
            self.feed.time_of(packet);
            self.catch_up(packet.time);
            if self.holds(packet) {
                return;
            }
        }
        self.take_now(event, packet, packet.time);
    }

    /// Lets happen what happens before a packet of this time: events, and packets that come later
    /// than in the trace.
    #[cold]
    fn catch_up(&mut self, time: Timestamp) {
        loop {
            let next = self.slow.as_ref().and_then(Slow::next);
            let until = next.map_or(time, |next| next.min(time));
            if self.play(until) {
                continue;
            }
            let released = self.slow.as_mut();
            let released = released.and_then(|slow| slow.release(time, &mut self.feed.flows));
            match released {
                Some((Late::Packet(mut packet), at)) => {
                    let stands = std::mem::replace(&mut packet.time, at);
                    self.take_now(&Event::Packet(packet), &packet, stands);
                }
                Some((Late::Asked(mut asked), at)) => {
                    let stands = std::mem::replace(&mut asked.time, at);
                    self.take_asked(&asked, stands);
                }
                None => return,
            }
        }
    }

    /// Whether the packet comes later than in the trace.
    #[cold]
    fn holds(&mut self, packet: &TracePacket) -> bool {
        let Some(slow) = &mut self.slow else {
            return false;
        };
        match slow.hold(packet, &mut self.feed.flows) {
            Held::No => false,
            Held::Yes => true,
            Held::Undecided => {
                self.directors().each(|_, feed| feed.director.settle());
                self.take_decisions();
                let slow = self.slow.as_mut();
                let held = slow.map(|slow| slow.hold(packet, &mut self.feed.flows));
                held == Some(Held::Yes)
            }
        }
    }

    /// Whether a request comes later than in the trace, as the packets before it do.
    #[inline]
    pub(super) fn holds_asked(&mut self, asked: &Asked) -> bool {
        let slow = self.slow.as_mut();
        slow.is_some_and(|slow| slow.hold_asked(asked))
    }

    /// A packet as it comes; `stands` is its time in the trace.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "each packet that is passed on goes here"
    )]
    fn take_now(&mut self, event: &Event, packet: &TracePacket, stands: Timestamp) {
        if !self.waiting.is_unused() && self.keeps(self.feed.at(packet.time), event) {
            return;
        }
        let outcome = match self.ecmp {
            None => self.feed.take_packet(packet, Tag(self.next_tag)),
            Some(_) => self.pass(packet),
        };
        match outcome {
            Outcome::Decision => self.note_decision(Row::of(packet), (stands, packet.time)),
            Outcome::AwaitsRequest { service } => self.await_request(service, packet),
            _ => {}
        }
    }

    /// Lets the director have the packet that the router names, and the others know what it would
    /// tell them.
    #[inline(never)]
    pub(super) fn pass(&mut self, packet: &TracePacket) -> Outcome {
        self.route(packet);
        let outcome = self.feed.take_packet(packet, Tag(self.next_tag));
        if let Some(ecmp) = &mut self.ecmp {
            ecmp.tell(&mut self.feed, packet);
        }
        outcome
    }

    /// Lets the director take its turn that the router names for the packet.
    #[inline]
    pub(super) fn route(&mut self, packet: &TracePacket) {
        if let Some(ecmp) = &mut self.ecmp {
            ecmp.route(&mut self.feed, packet);
        }
    }

    /// A decision is there, or will be, for a packet that stands there in the trace and came then.
    #[inline]
    pub(super) fn note_decision(&mut self, mut row: Row, (stands, came): (Timestamp, Timestamp)) {
        self.next_tag += 1;
        if let Some(ecmp) = &self.ecmp {
            row.director = ecmp.turn() as u16;
        }
        if let Some(slow) = &mut self.slow {
            slow.ask(row.flow, stands, came);
        }
        self.rows.push_back(row);
        if self.spool.is_some() || self.scene.is_some() {
            self.decided.push_back(None);
        }
        if self.rows.len() >= ROWS {
            self.directors().each(|_, feed| feed.director.settle());
            self.take_decisions();
            self.rows.clear();
            self.decided.clear();
        }
    }

    /// Lets the scenario's next event happen if it comes before a packet of this time; false where
    /// none does.
    fn play(&mut self, time: Timestamp) -> bool {
        if let Some(scene) = &mut self.scene
            && let Some(due) = scene.due(time, self.next_tag)
        {
            let now = self.feed.at(due.0);
            self.directors().each(|_, feed| {
                feed.director.advance(now);
                feed.director.settle();
            });
            self.take_decisions();
            let Some(scene) = &mut self.scene else {
                return false;
            };
            if let (Some(slow), Some((whose, factor))) = (&mut self.slow, scene.slows(&due.1)) {
                slow.set(whose, due.0, factor);
            }
            let (meter, seed, fallback) = (&self.meter, self.seed, &self.fallback);
            let scheduling = |chosen: &Chosen, service: usize, director: usize| {
                let seed = seed_of(seed_at(seed, director), service as u64);
                scheduling(chosen, meter, seed, fallback.clone())
            };
            let mut directors = Directors {
                feed: &mut self.feed,
                ecmp: self.ecmp.as_deref_mut(),
            };
            // What it asks for was checked: a policy that does not start again has failed.
            let service = scene.service_of(&due.1);
            if let Err(ConfigError::Policy(fault)) =
                scene.play(due, self.next_tag, &mut directors, scheduling)
            {
                self.feed.director.observer.faulted(&FaultReport {
                    fault,
                    service,
                    first: None,
                    last: None,
                    during: "taking over in the scenario",
                });
            }
            return true;
        }
        false
    }

    pub(super) fn directors(&mut self) -> Directors<'_> {
        Directors {
            feed: &mut self.feed,
            ecmp: self.ecmp.as_deref_mut(),
        }
    }

    /// Lets several directors come to the same time, so that what they count can be added up.
    pub(super) fn meet(&mut self) {
        if self.ecmp.is_none() || self.is_stopped() {
            return;
        }
        let now = self.feed.director.now();
        self.directors().each(|_, feed| {
            feed.director.advance(now);
            feed.director.settle();
        });
        self.take_decisions();
        self.feed.director.observer.merge();
    }

    /// Whether a failing policy has ended the run.
    pub(super) fn is_stopped(&mut self) -> bool {
        let mut is_stopped = false;
        self.directors()
            .each(|_, feed| is_stopped |= feed.director.is_stopped());
        is_stopped
    }
}

//! How a scheduler is asked: one call for what is on the wire, or one for each arrival; and whether
//! its answers name servers that may be chosen.

use super::{Arrival, Service, load_of};
use crate::batch::{self, Kind, LOCAL, NO_DESTINATION, PLACE_MASK};
use crate::{Fault, Needs, Request, ServerId};

/// Words that wait for an arrival at most.
const WIRE_LIMIT: usize = 1 << 14;

impl Service {
    pub(super) fn put_arrival_on_wire(&mut self, word: u32, arrival: &Arrival) {
        let now_us = arrival.at.micros();
        if self.needs.contains(Needs::TIME) && self.wire_time_us != Some(now_us) {
            self.wire_time_us = Some(now_us);
            self.wire.push(Kind::Time.word(0));
            self.keys.push(now_us);
        }
        self.wire.push(word);
        self.wire_asked = self.wire.len();
        batch::push_keys(&mut self.keys, self.needs, &arrival.flow);
    }

    /// What stays on the wire may name arrivals of the batch that has just been decided: from now
    /// on by their servers' places. What was named before is not looked at again.
    pub(super) fn name_servers(&mut self, given: &[Option<u32>]) {
        let mut end = self.wire_named;
        for place in self.wire_named..self.wire.len() {
            let word = self.wire[place];
            let named = if word & LOCAL == 0 {
                Some(word)
            } else {
                let server = given.get((word & PLACE_MASK) as usize).copied().flatten();
                server.map(|id| word & !(LOCAL | PLACE_MASK) | self.servers[id as usize].place)
            };
            if let Some(word) = named {
                self.wire[end] = word;
                end += 1;
            }
        }
        self.wire.truncate(end);
        self.wire_named = end;
    }

    /// Tells what has gathered since the last arrival, where that is much: nothing may arrive for
    /// long, as under templates.
    pub(super) fn tell_gathered(&mut self) -> Result<(), Fault> {
        if self.wire.len() < WIRE_LIMIT || self.wire_asked > 0 {
            return Ok(());
        }
        self.wire_asked = self.wire.len();
        self.run_packed(0)
    }

    /// One call for what is on the wire up to the last arrival.
    pub(super) fn run_packed(&mut self, asked: usize) -> Result<(), Fault> {
        let Some(scheduler) = &mut self.scheduler else {
            return Ok(());
        };
        self.answers.clear();
        let asked_words = &self.wire[..self.wire_asked];
        let outcome = scheduler.run(&self.keys, asked_words, &mut self.answers);
        self.keys.clear();
        self.wire.drain(..self.wire_asked);
        self.wire_named = self.wire_named.saturating_sub(self.wire_asked);
        self.wire_asked = 0;
        outcome?;
        if self.answers.len() == asked {
            Ok(())
        } else {
            Err(Fault::WrongAnswerCount {
                asked: asked as u64,
                given: self.answers.len() as u64,
            })
        }
    }

    /// One arrival by itself.
    pub(super) fn ask(
        &mut self,
        word: u32,
        arrival: &Arrival,
        request: Option<&Request<'_>>,
    ) -> Result<Option<u32>, Fault> {
        if self.packed_limit > 0 {
            self.put_arrival_on_wire(word, arrival);
            self.run_packed(1)?;
            return self.checked_place(self.answers[0]);
        }
        self.changed.clear();
        for id in self.dirty.drain(..) {
            let server = &mut self.servers[id as usize];
            server.dirty = false;
            if server.is_listed() {
                self.changed.push(load_of(id, server));
            }
        }
        let changed = (!self.changed.is_empty()).then_some(&self.changed[..]);
        let Some(scheduler) = &mut self.scheduler else {
            return Ok(None);
        };
        match scheduler.schedule_request(arrival.at, &arrival.flow, request, changed)? {
            None => Ok(None),
            Some(ServerId(answer)) => match self.servers.get(answer as usize) {
                Some(server) if server.is_listed() => self.checked_weight(answer, answer),
                _ => Err(Fault::UnknownServer { answer }),
            },
        }
    }

    pub(super) fn checked_place(&self, place: u32) -> Result<Option<u32>, Fault> {
        if place == NO_DESTINATION {
            return Ok(None);
        }
        match self.list.get(place as usize) {
            Some(&id) => self.checked_weight(id, place),
            None => Err(Fault::UnknownServer { answer: place }),
        }
    }

    fn checked_weight(&self, id: u32, answer: u32) -> Result<Option<u32>, Fault> {
        if self.servers[id as usize].config.weight == 0 {
            Err(Fault::QuiescedServer { answer })
        } else {
            Ok(Some(id))
        }
    }
}

//! What directors told each other of connections and templates, until somebody needs it.
//!
//! A message is known to every director that listened when it was sent, at once and for as long as
//! the state that it tells of lives. An entry is made of it when a packet needs one.

use std::collections::BTreeMap;

use equipoise_core::{
    Director, FlowId, Message, ServiceIndex, TemplateKey, TemplateMessage, Timestamp,
};

use crate::record::Recorder;
use crate::trace::TracePacket;

/// Templates from which on those that are over are looked for.
const TEMPLATES: usize = 1_024;

#[derive(Default)]
pub(super) struct Told {
    /// The latest of each flow's connection.
    connections: Vec<Option<Box<Known<Message>>>>,
    templates: BTreeMap<TemplateKey, Known<TemplateMessage>>,
    /// How many templates there may be before those that are over are dropped.
    limit: usize,
}

/// A message, and who sent it when.
#[derive(Clone, Copy)]
struct Known<T> {
    message: T,
    /// By the run's time: what the state that it tells of lives by.
    at: Timestamp,
    /// By the trace's time, in which directors come and go.
    stands: Timestamp,
    sender: usize,
    /// Who needs it least: its sender, or the last director that heard it.
    by: usize,
}

/// A director, and since when it listens by the trace's time.
type Listener = (usize, Timestamp);

impl<T> Known<T> {
    fn new(message: T, (at, stands): (Timestamp, Timestamp), sender: usize) -> Self {
        Self {
            message,
            at,
            stands,
            sender,
            by: sender,
        }
    }

    fn is_news_to(&self, (listener, since): Listener) -> bool {
        self.by != listener && self.stands >= since
    }
}

impl Told {
    /// Before a packet at a director: what it has heard of the connection and the template. Gives
    /// the service of a connection that it now has an entry for.
    pub(super) fn hear(
        &mut self,
        director: &mut Director<Recorder>,
        listener: Listener,
        now: Timestamp,
        packet: &TracePacket,
    ) -> Option<ServiceIndex> {
        let flow = packet.observed.flow;
        let known = self.connections.get_mut(flow.0 as usize);
        if packet.observed.begins
            && let Some(known) = known
        {
            // The number may have been another flow's.
            known.take_if(|known| !known.message.is_about(&packet.packet));
        }
        let known = self.connections.get_mut(flow.0 as usize);
        if let Some(known) = known.and_then(Option::as_mut)
            && known.is_news_to(listener)
        {
            known.by = listener.0;
            // What it said itself it knows better, unless it has forgotten.
            if known.sender == listener.0 && director.knows(flow) {
                return None;
            }
            let said = (&known.message, known.at);
            if director.take_message(now, flow, &packet.packet, said) {
                return Some(known.message.service());
            }
        }
        if !self.templates.is_empty()
            && !director.knows(flow)
            && let Some(key) = director.template_key(&packet.packet)
            && let Some(known) = self.templates.get(&key)
            && known.is_news_to(listener)
        {
            director.take_template(now, &key, (&known.message, known.at));
        }
        None
    }

    /// After a packet at a director: what it tells the others.
    pub(super) fn tell(
        &mut self,
        director: &mut Director<Recorder>,
        by: usize,
        at: Timestamp,
        packet: &TracePacket,
    ) {
        let flow = packet.observed.flow;
        let Some(message) = director.message(flow, &packet.packet) else {
            return;
        };
        let place = flow.0 as usize;
        if place >= self.connections.len() {
            self.connections.resize_with(place + 1, || None);
        }
        let when = (at, packet.time);
        self.connections[place] = Some(Box::new(Known::new(message, when, by)));
        if let Some((key, message)) = message.template {
            self.templates.insert(key, Known::new(message, when, by));
            if self.templates.len() > self.limit.max(TEMPLATES) {
                self.templates
                    .retain(|_, known| !known.message.is_over(known.at, at));
                self.limit = 2 * self.templates.len();
            }
        }
    }

    /// A director lost what it knew, its own messages included.
    pub(super) fn forget(&mut self, director: usize) {
        let connections = self.connections.iter_mut().flatten();
        let by = connections.map(|known| &mut known.by);
        let by = by.chain(self.templates.values_mut().map(|known| &mut known.by));
        by.filter(|by| **by == director)
            .for_each(|by| *by = usize::MAX);
    }

    /// Whether a director would have an entry for the flow's next packet.
    pub(super) fn knows(
        &self,
        director: &Director<Recorder>,
        listener: Listener,
        flow: FlowId,
    ) -> bool {
        let known = self.connections.get(flow.0 as usize);
        known.and_then(Option::as_ref).is_some_and(|known| {
            known.is_news_to(listener) && director.would_take(&known.message, known.at)
        })
    }
}

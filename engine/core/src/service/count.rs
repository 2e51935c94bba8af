//! What an event does to the counters and the overload flag of a server.

use super::{Note, Service, Surroundings};
use crate::batch::Kind;
use crate::observer::Observer;
use crate::server::Flip;
use crate::{Needs, Timestamp};

impl Service {
    /// Applies an event to the counters and the overload flag of a server.
    pub(super) fn count<O: Observer>(
        &mut self,
        id: u32,
        kind: Kind,
        note: Note,
        at: Timestamp,
        around: &mut Surroundings<'_, O>,
    ) {
        let profile = around.profile;
        let server = &mut self.servers[id as usize];
        let counters = &mut server.counters;
        let stateless = u32::from(note == Note::Stateless);
        let flip = match note {
            Note::TemplateBound => server.bound(profile),
            Note::TemplateGone => server.unbound(profile),
            Note::OnePacket => server.pass_one_packet(profile),
            Note::Plain | Note::Stateless => match kind {
                Kind::ArriveActive | Kind::PlacedActive => {
                    counters.active += 1;
                    server.bound(profile)
                }
                Kind::ArriveInactive | Kind::PlacedInactive => {
                    counters.inactive += 1;
                    counters.stateless += stateless;
                    server.bound(profile)
                }
                Kind::ArriveOnePacket => server.pass_one_packet(profile),
                Kind::BecameActive => {
                    counters.inactive -= 1;
                    counters.active += 1;
                    None
                }
                Kind::BecameInactive => {
                    counters.active -= 1;
                    counters.inactive += 1;
                    None
                }
                Kind::GoneActive => {
                    counters.active -= 1;
                    server.unbound(profile)
                }
                Kind::GoneInactive => {
                    counters.inactive -= 1;
                    counters.stateless -= stateless;
                    server.unbound(profile)
                }
                Kind::Overloaded | Kind::Available | Kind::Time => None,
            },
        };
        let loads_changed = self.needs.contains(Needs::LOADS) && kind != Kind::ArriveOnePacket;
        if (flip.is_some() || loads_changed) && !server.dirty {
            server.dirty = true;
            self.dirty.push(id);
        }
        if let (Some(flip), true, true) = (flip, self.packed_limit > 0, server.is_listed()) {
            let kind = match flip {
                Flip::Set => Kind::Overloaded,
                Flip::Cleared => Kind::Available,
            };
            self.wire.push(kind.word(server.place));
        }
        around.observer.counted(at, self.index, id, server.counters);
    }
}

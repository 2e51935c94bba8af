//! The table of real servers as an algorithm sees it, and what a new list changed in it.

use alloc::vec::Vec;

use equipoise_core::{STATUS_OVERLOADED, Server, ServerId};

/// A position in the list of servers, 0 being the newest.
pub type Place = usize;

/// What turned the former list into the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The algorithm was bound to this list.
    Bind,
    /// A server was added, and stands at this place; those behind it moved back by one.
    Add(Place),
    /// Weights may differ, the places do not.
    Edit,
    /// A server was deleted; those behind it moved up by one.
    Delete {
        /// Where it stood; its predecessor is one before, its successor now here.
        place: Place,
        /// What it was.
        server: Server,
    },
}

/// Whether a server takes new connections: weight above 0 and not overloaded.
#[inline]
pub fn is_usable(server: &Server) -> bool {
    server.weight > 0 && server.status & STATUS_OVERLOADED == 0
}

/// The real servers of one service, newest first.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    rows: Vec<Server>,
    /// Place by id, [`ABSENT`] where no listed server has it.
    places: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Servers {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The server at a place.
    #[inline]
    pub fn get(&self, place: Place) -> Option<&Server> {
        self.rows.get(place)
    }

    /// The place of a server, none while it is not listed.
    #[inline]
    pub fn place(&self, id: ServerId) -> Option<Place> {
        match self.places.get(id.0 as usize) {
            None | Some(&ABSENT) => None,
            Some(&place) => Some(place as usize),
        }
    }

    /// All of them, newest first.
    #[inline]
    pub fn rows(&self) -> &[Server] {
        &self.rows
    }

    /// Those that take new connections, newest first.
    #[inline]
    pub fn usable(&self) -> impl Iterator<Item = (Place, &Server)> {
        self.rows
            .iter()
            .enumerate()
            .filter(|(_, server)| is_usable(server))
    }

    /// Whether the server at a place takes new connections.
    #[inline]
    pub fn is_usable(&self, place: Place) -> bool {
        self.rows.get(place).is_some_and(is_usable)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Server> {
        self.rows.get_mut(place)
    }

    /// Takes over a new list and says what is new about it. A list that is not one step from the
    /// former one counts as a bind.
    pub(crate) fn replace(&mut self, rows: Vec<Server>) -> Change {
        let former = core::mem::replace(&mut self.rows, rows);
        for server in &former {
            if let Some(place) = self.places.get_mut(server.id.0 as usize) {
                *place = ABSENT;
            }
        }
        for (place, server) in self.rows.iter().enumerate() {
            let id = server.id.0 as usize;
            if id >= self.places.len() {
                self.places.resize(id + 1, ABSENT);
            }
            self.places[id] = place as u32;
        }
        difference(&former, &self.rows)
    }
}

fn difference(former: &[Server], now: &[Server]) -> Change {
    let same = |a: &[Server], b: &[Server]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.id == b.id)
    };
    let place = former
        .iter()
        .zip(now)
        .take_while(|(a, b)| a.id == b.id)
        .count();
    if same(&former[place..], &now[place..]) {
        return Change::Edit;
    }
    match (former[place..].split_first(), now[place..].split_first()) {
        (_, Some((_, behind))) if same(&former[place..], behind) => Change::Add(place),
        (Some((&server, behind)), _) if same(behind, &now[place..]) => {
            Change::Delete { place, server }
        }
        _ => Change::Bind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use equipoise_core::Address;

    fn list(ids: &[u32]) -> Vec<Server> {
        let server = |&id| Server {
            id: ServerId(id),
            address: Address::v4(id),
            port: 80,
            weight: 1,
            active: 0,
            inactive: 0,
            status: 0,
        };
        ids.iter().map(server).collect()
    }

    fn change(former: &[u32], now: &[u32]) -> Change {
        difference(&list(former), &list(now))
    }

    #[test]
    fn one_step_is_recognised_and_anything_else_is_a_bind() {
        let deleted = |place, id| Change::Delete {
            place,
            server: list(&[id])[0],
        };
        assert_eq!(change(&[], &[]), Change::Edit);
        assert_eq!(change(&[], &[7]), Change::Add(0));
        assert_eq!(change(&[2, 1], &[3, 2, 1]), Change::Add(0));
        assert_eq!(change(&[2, 1], &[2, 3, 1]), Change::Add(1));
        assert_eq!(change(&[2, 1], &[2, 1, 3]), Change::Add(2));
        assert_eq!(change(&[2, 1], &[2, 1]), Change::Edit);
        assert_eq!(change(&[3, 2, 1], &[2, 1]), deleted(0, 3));
        assert_eq!(change(&[3, 2, 1], &[3, 1]), deleted(1, 2));
        assert_eq!(change(&[3, 2, 1], &[3, 2]), deleted(2, 1));
        assert_eq!(change(&[1], &[]), deleted(0, 1));
        assert_eq!(change(&[3, 2, 1], &[1, 2, 3]), Change::Bind);
        assert_eq!(change(&[3, 2, 1], &[3]), Change::Bind);
    }

    #[test]
    fn places_follow_the_list() {
        let mut servers = Servers::default();
        servers.replace(list(&[4, 0]));
        assert_eq!(servers.place(ServerId(4)), Some(0));
        assert_eq!(servers.place(ServerId(2)), None);
        servers.replace(list(&[0]));
        assert_eq!(servers.place(ServerId(0)), Some(0));
        assert_eq!(servers.place(ServerId(4)), None);
        assert_eq!(servers.place(ServerId(u32::MAX)), None);
    }
}

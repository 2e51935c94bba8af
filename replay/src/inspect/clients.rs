//! Distinct clients of each service, in bounded memory.

use equipoise_core::Address;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

/// Clients that are told apart, all services together: the most for which the set takes 22 MB and
/// not twice that.
const MOST: usize = 900_000;

/// The clients seen so far. Never iterated.
pub(super) struct Clients {
    seen: HashSet<(u32, [u8; 16]), FixedState>,
    most: usize,
}

/// What is known of a client of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It had not come before.
    New,
    /// It had.
    Known,
    /// There is no room left to tell.
    Untold,
}

impl Default for Clients {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl Clients {
    fn with_room_for(most: usize) -> Self {
        Self {
            seen: HashSet::default(),
            most,
        }
    }

    /// Notes that a client came to the service of that number.
    pub(super) fn see(&mut self, service: u32, client: Address) -> Client {
        // Bytes, for a pair with an u128 would be padded to 32 of them.
        let pair = (service, client.0.to_ne_bytes());
        if self.seen.len() < self.most {
            if self.seen.insert(pair) {
                Client::New
            } else {
                Client::Known
            }
        } else if self.seen.contains(&pair) {
            Client::Known
        } else {
            Client::Untold
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_room_only_those_seen_before_are_known() {
        let mut clients = Clients::with_room_for(3);
        let mut see = |service, address| clients.see(service, Address(address));
        assert_eq!(see(0, 1), Client::New);
        assert_eq!(see(0, 1), Client::Known);
        assert_eq!(see(1, 1), Client::New);
        assert_eq!(see(0, 2), Client::New);
        assert_eq!(see(0, 3), Client::Untold);
        assert_eq!(see(1, 2), Client::Untold);
        assert_eq!(see(0, 2), Client::Known);
    }

    #[test]
    fn the_set_stays_as_small_as_it_says() {
        let mut clients = Clients::default();
        for address in 0..MOST as u128 + 1_000 {
            clients.see(0, Address(address));
        }
        assert_eq!(clients.seen.len(), MOST);
        let bytes = clients.seen.allocation_size();
        assert!(bytes < 23_000_000, "{bytes}");
    }
}

//! What is known of the connection that a flow carries, in a line of cache.

use equipoise_core::Timestamp;

use super::TELLING;
use super::exchange::Exchange;
use crate::decode::Decoded;
use crate::track::Direction;

/// What is known of the connection that a flow carries.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) connection: u64,
    /// Of the client's and the server's bytes, which ones are passed over unseen.
    pub(super) skips: [Skip; 2],
    /// When the server's were passed over last.
    pub(super) skipped: Timestamp,
    pub(super) state: State,
    /// The client is the end with the lower address, or port.
    pub(super) client_is_lower: bool,
}

/// Bytes within a body that nobody waits for: most packets are done with here, and touch nothing
/// else of their connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skip {
    pub(super) next: u32,
    /// How many, from `next` on.
    pub(super) left: u32,
}

/// How far it is.
#[derive(Debug, Default)]
pub(super) enum State {
    /// The client has sent nothing yet. Where client and server begin.
    Fresh([Option<u32>; 2]),
    Open(Box<Exchange>),
    #[default]
    Over,
}

impl Slot {
    /// Whether the packet lies within what is passed over, or nothing of it is wanted any more.
    #[inline]
    pub(super) fn passes_over(
        &mut self,
        now: Timestamp,
        direction: Direction,
        decoded: &Decoded,
    ) -> bool {
        let from_server = direction == Direction::ToClient;
        let skip = &mut self.skips[usize::from(from_server)];
        let length = decoded.payload_length;
        let is_within = decoded.tcp_sequence == skip.next
            && length < skip.left
            && !decoded.packet.flags.intersects(TELLING);
        if is_within {
            skip.next = skip.next.wrapping_add(length);
            skip.left -= length;
            if from_server {
                self.skipped = now;
            }
        }
        is_within || matches!(self.state, State::Over)
    }

    /// Tells the connection what was passed over.
    #[inline]
    pub(super) fn catch_up(&mut self) {
        if let State::Open(exchange) = &mut self.state
            && self.skips.iter().any(|skip| skip.left > 0)
        {
            exchange.skip_to(self.skips, self.skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millions_of_them_fit_into_memory() {
        assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
    }
}

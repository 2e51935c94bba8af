//! One direction of a connection: its order, and what is being read in it.

use equipoise_core::Timestamp;

use super::super::Skip;
use super::super::body::Body;
use super::super::order::Order;

/// What is known of one direction.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) order: Order,
    pub(super) reading: Reading,
    /// Bytes of the stream so far.
    pub(super) position: u64,
    /// Where the message under way began.
    pub(super) start: u64,
    /// When what was read so far had come.
    pub(super) time: Timestamp,
    /// Of a head, what earlier packets held.
    pub(super) buffer: Vec<u8>,
    /// A line of it has ended, and was looked at: the first one is good.
    pub(super) has_line: bool,
    /// Unless an end shows, the buffer is not looked through before it is so long.
    pub(super) wanted: usize,
    pub(super) searched: u64,
}

/// What a direction is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Head,
    Body(Body),
    /// Somewhere: a head may begin with any packet.
    Search,
    Over,
}

impl Side {
    pub(super) fn new(start: Option<u32>) -> Self {
        Self {
            order: Order::starting(start),
            reading: match start {
                Some(_) => Reading::Head,
                None => Reading::Search,
            },
            position: 0,
            start: 0,
            time: Timestamp::default(),
            buffer: Vec::new(),
            has_line: false,
            wanted: 0,
            searched: 0,
        }
    }

    #[inline]
    pub(super) fn skip(&self) -> Skip {
        let Reading::Body(body) = self.reading else {
            return Skip::default();
        };
        if self.order.has_end() {
            return Skip::default();
        }
        Skip {
            next: self.order.next(),
            left: body.surely_left(),
        }
    }

    /// Whether there was anything to pass over.
    #[inline]
    pub(super) fn skip_to(&mut self, skip: Skip) -> bool {
        let Reading::Body(body) = &mut self.reading else {
            return false;
        };
        let passed = match skip.left {
            0 => 0,
            _ => self.order.pass_to(skip.next),
        };
        self.position += u64::from(passed);
        body.pass(passed);
        passed > 0
    }

    pub(super) fn stop(&mut self) {
        self.reading = Reading::Over;
        self.buffer = Vec::new();
        self.order.clear();
    }
}

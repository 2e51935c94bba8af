//! One direction of a TCP connection in the order of its sequence numbers.
//!
//! Keeps only what comes before its turn. Knows nothing of what the bytes mean.

use equipoise_core::Timestamp;

/// No sender is further ahead of what is acknowledged, or repeats what is further behind (the
/// largest window, RFC 7323 2.3): what is, begins anew after a long loss.
const FARTHEST: u32 = 1 << 30;
/// What a piece that waits takes besides its bytes.
const OVERHEAD: usize = size_of::<Waiting>();

/// What one packet carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Of its first byte.
    pub(super) sequence: u32,
    pub(super) bytes: &'a [u8],
    /// How many follow that were not captured.
    pub(super) missing: u32,
    /// The packet's.
    pub(super) time: Timestamp,
    /// The packet's, where it has one.
    pub(super) acknowledgement: Option<u32>,
}

/// A piece that came before its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    sequence: u32,
    bytes: Vec<u8>,
    missing: u32,
    time: Timestamp,
    acknowledgement: Option<u32>,
}

/// What is to be done with a piece.
pub(super) enum Turn<'a> {
    /// It is next, without what came before.
    Now(Piece<'a>),
    /// It was seen, or waits.
    Later,
    /// It is next, behind so many bytes that will not be seen.
    After(u32),
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The number of the byte that is next.
    next: Option<u32>,
    /// The nearest first.
    waiting: Vec<Waiting>,
    held: usize,
    /// The number behind the last byte.
    end: Option<u32>,
}

impl Order {
    pub(super) fn starting(next: Option<u32>) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// Whose turn it is. What is told to be next is passed: [`Order::next_waiting`] follows.
    #[inline]
    pub(super) fn place<'a>(&mut self, piece: Piece<'a>) -> Turn<'a> {
        let next = *self.next.get_or_insert(piece.sequence);
        let ahead = piece.sequence.wrapping_sub(next);
        if ahead == 0 {
            self.next = Some(next.wrapping_add(piece.length()));
            return Turn::Now(piece);
        }
        self.place_apart(piece, next, ahead)
    }

    #[cold]
    fn place_apart<'a>(&mut self, mut piece: Piece<'a>, next: u32, ahead: u32) -> Turn<'a> {
        let behind = next.wrapping_sub(piece.sequence);
        if behind <= FARTHEST {
            if behind >= piece.length() {
                return Turn::Later;
            }
            piece.pass(behind);
            self.next = Some(next.wrapping_add(piece.length()));
            Turn::Now(piece)
        } else if ahead <= FARTHEST {
            self.wait(&piece, next, ahead);
            Turn::Later
        } else {
            self.waiting.clear();
            self.held = 0;
            // Asked again, it is its turn.
            self.next = Some(piece.sequence);
            Turn::After(ahead)
        }
    }

    fn wait(&mut self, piece: &Piece<'_>, next: u32, ahead: u32) {
        let after = |other: &Waiting| other.sequence.wrapping_sub(next);
        let place = self.waiting.partition_point(|other| after(other) < ahead);
        if let Some(other) = self.waiting.get_mut(place)
            && other.sequence == piece.sequence
            && other.piece().length() >= piece.length()
        {
            return;
        }
        self.held += OVERHEAD + piece.bytes.len();
        let waiting = Waiting {
            sequence: piece.sequence,
            bytes: piece.bytes.to_vec(),
            missing: piece.missing,
            time: piece.time,
            acknowledgement: piece.acknowledgement,
        };
        self.waiting.insert(place, waiting);
    }

    /// The next piece of those that waited, if nothing is missing before it.
    pub(super) fn next_waiting(&mut self) -> Option<(Waiting, u32)> {
        let next = self.next?;
        while let Some(first) = self.waiting.first() {
            let behind = next.wrapping_sub(first.sequence);
            if behind > FARTHEST {
                return None;
            }
            let waited = self.waiting.remove(0);
            self.held -= OVERHEAD + waited.bytes.len();
            let length = waited.piece().length();
            if behind < length {
                self.next = Some(next.wrapping_add(length - behind));
                return Some((waited, behind));
            }
        }
        None
    }

    /// The number of the byte that is next.
    #[inline]
    pub(super) fn next(&self) -> u32 {
        self.next.unwrap_or_default()
    }

    /// What is before that number was seen; how much of it is new.
    #[inline]
    pub(super) fn pass_to(&mut self, number: u32) -> u32 {
        let next = self.next.replace(number);
        next.map_or(0, |next| number.wrapping_sub(next))
    }

    /// Gives up waiting for what is missing before the first piece that waits; how much that is.
    pub(super) fn give_up_waiting(&mut self) -> Option<u32> {
        let first = self.waiting.first()?.sequence;
        let next = self.next.replace(first)?;
        Some(first.wrapping_sub(next))
    }

    /// Whether what is missing was received all the same.
    #[inline]
    pub(super) fn is_acknowledged(&self, number: u32) -> bool {
        self.waiting.first().is_some_and(|first| {
            let behind = number.wrapping_sub(first.sequence);
            behind <= FARTHEST
        })
    }

    /// The last byte is the one before this.
    pub(super) fn end_at(&mut self, number: u32) {
        self.end = self.end.or(Some(number));
    }

    /// Whether it is known which byte is the last.
    pub(super) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Whether all has come.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.end.is_some() && self.end == self.next
    }

    /// Bytes that wait, with what they take to keep.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Nothing is kept from now on.
    pub(super) fn clear(&mut self) {
        self.waiting = Vec::new();
        self.held = 0;
    }
}

impl Piece<'_> {
    #[inline]
    pub(super) fn length(&self) -> u32 {
        self.bytes.len() as u32 + self.missing
    }

    /// Leaves the first bytes behind, at most as many as there are.
    #[inline]
    pub(super) fn pass(&mut self, count: u32) {
        let at_hand = self.bytes.len().min(count as usize);
        self.bytes = &self.bytes[at_hand..];
        self.missing -= count - at_hand as u32;
        self.sequence = self.sequence.wrapping_add(count);
    }
}

impl Waiting {
    pub(super) fn piece(&self) -> Piece<'_> {
        Piece {
            sequence: self.sequence,
            bytes: &self.bytes,
            missing: self.missing,
            time: self.time,
            acknowledgement: self.acknowledgement,
        }
    }
}

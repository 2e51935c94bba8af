//! A real server as the director keeps it: counters and the overload flag.

use crate::observer::Counters;
use crate::{KernelProfile, STATUS_OVERLOADED, Server, ServerConfig, ServerId};

/// Not in the service's list.
pub(crate) const DELETED: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct ServerEntry {
    pub(crate) config: ServerConfig,
    /// Position in the service's list, or [`DELETED`]: then it waits in the trash, counters kept.
    pub(crate) place: u32,
    pub(crate) counters: Counters,
    pub(crate) overloaded: bool,
    /// Something that the policy reads changed since it was last called.
    pub(crate) dirty: bool,
}

/// What a change did to the overload flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flip {
    Set,
    Cleared,
}

impl ServerEntry {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self {
            config,
            place: DELETED,
            counters: Counters::default(),
            overloaded: false,
            dirty: false,
        }
    }

    pub(crate) const fn is_listed(&self) -> bool {
        self.place != DELETED
    }

    pub(crate) fn snapshot(&self, id: u32) -> Server {
        Server {
            id: ServerId(id),
            address: self.config.address,
            port: self.config.port,
            weight: self.config.weight,
            active: self.counters.active,
            inactive: self.counters.inactive,
            status: self.status(),
        }
    }

    pub(crate) const fn status(&self) -> u32 {
        if self.overloaded {
            STATUS_OVERLOADED
        } else {
            0
        }
    }

    /// The count below which the flag is cleared; `ip_vs_dest` of the current profile takes three
    /// quarters of the upper threshold, rounded up, where no lower one is given.
    const fn low(&self) -> u32 {
        match self.config.lower_threshold {
            0 => self.config.upper_threshold - self.config.upper_threshold / 4,
            lower => lower,
        }
    }

    /// After a connection was bound, or (classic) a template.
    pub(crate) fn bound(&mut self, profile: KernelProfile) -> Option<Flip> {
        let upper = self.config.upper_threshold;
        let total = self.counters.total();
        let sets = match profile {
            KernelProfile::Classic => upper != 0 && total >= upper,
            KernelProfile::Current => upper != 0 && total == upper,
        };
        if sets {
            self.set_overloaded(true)
        } else {
            None
        }
    }

    /// After a connection was unbound, or (classic) a template.
    pub(crate) fn unbound(&mut self, profile: KernelProfile) -> Option<Flip> {
        let total = u64::from(self.counters.total());
        let upper = u64::from(self.config.upper_threshold);
        let clears = match profile {
            KernelProfile::Classic => match self.config.lower_threshold {
                0 => upper == 0 || 4 * total < 3 * upper,
                lower => total < u64::from(lower),
            },
            KernelProfile::Current => total < u64::from(self.low()),
        };
        if clears {
            self.set_overloaded(false)
        } else {
            None
        }
    }

    /// A connection that is bound and unbound within its packet: only the flag may remember it.
    pub(crate) fn pass_one_packet(&mut self, profile: KernelProfile) -> Option<Flip> {
        self.counters.inactive += 1;
        let set = self.bound(profile);
        self.counters.inactive -= 1;
        match (set, self.unbound(profile)) {
            (Some(_), Some(_)) => None,
            (one, other) => one.or(other),
        }
    }

    /// After `ipvsadm -e`, or when taken back from the trash, with the new configuration.
    pub(crate) fn reconfigure(&mut self, new: ServerConfig, profile: KernelProfile) {
        let old = core::mem::replace(&mut self.config, new);
        let (upper, total) = (new.upper_threshold, self.counters.total());
        match profile {
            KernelProfile::Classic => {
                if upper == 0 || upper > old.upper_threshold {
                    self.overloaded = false;
                }
            }
            KernelProfile::Current => {
                let same =
                    upper == old.upper_threshold && new.lower_threshold == old.lower_threshold;
                if same {
                    return;
                }
                if upper == 0 || total < self.low() {
                    self.overloaded = false;
                } else if total >= upper {
                    self.overloaded = true;
                }
            }
        }
    }

    fn set_overloaded(&mut self, overloaded: bool) -> Option<Flip> {
        if self.overloaded == overloaded {
            return None;
        }
        self.overloaded = overloaded;
        Some(if overloaded { Flip::Set } else { Flip::Cleared })
    }
}

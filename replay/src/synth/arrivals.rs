//! When connections begin: a Poisson process whose rate changes with time.
//!
//! Candidates come at the highest rate of the piece of time that is at hand, and each is taken with
//! the share that the rate has of it (thinning, Lewis and Shedler 1979): exact for any rate.

use super::chance::{Chance, Purpose};
use super::model::{Arrivals, Flash, Process};

/// Times of arrivals in seconds since the beginning; they never go back, and never end.
pub(super) struct Times {
    rate: Changing,
    chance: Chance,
    now: f64,
}

/// A rate as it changes.
struct Changing {
    usual: f64,
    kind: Kind,
    flash: Option<Flash>,
}

enum Kind {
    Steady,
    Switching {
        on_s: f64,
        off_s: f64,
        is_on: bool,
        until: f64,
    },
    Sine {
        period_s: f64,
        amplitude: f64,
        peak_s: f64,
    },
}

impl Times {
    pub(super) fn new(arrivals: &Arrivals, seed: u64, purpose: Purpose) -> Self {
        let mut chance = Chance::new(seed, purpose);
        let kind = match arrivals.process {
            Process::Poisson => Kind::Steady,
            Process::Bursty { on_s, off_s } => {
                let (on_s, off_s) = (on_s.get(), off_s.get());
                // As it would be met at a moment of nobody's choice.
                let is_on = chance.is(on_s / (on_s + off_s));
                Kind::Switching {
                    on_s,
                    off_s,
                    is_on,
                    until: chance.exponential() * if is_on { on_s } else { off_s },
                }
            }
            Process::Diurnal {
                period_s,
                amplitude,
                peak_s,
            } => Kind::Sine {
                period_s: period_s.get(),
                amplitude: amplitude.get(),
                peak_s: peak_s.get(),
            },
        };
        let rate = Changing {
            usual: arrivals.rate.get(),
            kind,
            flash: arrivals.flash,
        };
        Self {
            rate,
            chance,
            now: 0.0,
        }
    }

    pub(super) fn next(&mut self) -> f64 {
        loop {
            let (bound, until) = self.rate.bound(self.now);
            // Never, at a rate of 0.
            let candidate = self.now + self.chance.exponential() / bound;
            if candidate >= until {
                self.now = until;
                self.rate.switch(until, &mut self.chance);
            } else {
                self.now = candidate;
                if self.chance.unit() * bound < self.rate.at(candidate) {
                    return candidate;
                }
            }
        }
    }
}

impl Changing {
    /// The highest rate from now on until a moment that is later.
    fn bound(&self, now: f64) -> (f64, f64) {
        let (bound, until) = match self.kind {
            Kind::Steady => (self.usual, f64::INFINITY),
            Kind::Switching { is_on, until, .. } => (if is_on { self.burst() } else { 0.0 }, until),
            Kind::Sine { amplitude, .. } => (self.usual * (1.0 + amplitude), f64::INFINITY),
        };
        let (factor, edge) = self.flash.map_or((1.0, f64::INFINITY), |flash| {
            let [at, full, falls, over] = edges(&flash);
            match now {
                _ if now < at => (1.0, at),
                _ if now < full => (flash.factor.get(), full),
                _ if now < falls => (flash.factor.get(), falls),
                // It only falls, and is looked at anew with each candidate.
                _ if now < over => (height(&flash, now), over),
                _ => (1.0, f64::INFINITY),
            }
        });
        (bound * factor, until.min(edge))
    }

    fn at(&self, now: f64) -> f64 {
        let rate = match self.kind {
            Kind::Steady => self.usual,
            Kind::Switching { is_on, .. } => {
                if is_on {
                    self.burst()
                } else {
                    0.0
                }
            }
            Kind::Sine {
                period_s,
                amplitude,
                peak_s,
            } => {
                let turns = (now - peak_s) / period_s;
                self.usual * (1.0 + amplitude * libm::cos(turns * std::f64::consts::TAU))
            }
        };
        rate * self.flash.map_or(1.0, |flash| height(&flash, now))
    }

    /// The rate within a burst, so that the mean is the usual one.
    fn burst(&self) -> f64 {
        match self.kind {
            Kind::Switching { on_s, off_s, .. } => self.usual * (on_s + off_s) / on_s,
            _ => self.usual,
        }
    }

    /// Goes from a burst to a pause and back, where it is time.
    fn switch(&mut self, now: f64, chance: &mut Chance) {
        if let Kind::Switching {
            on_s,
            off_s,
            is_on,
            until,
        } = &mut self.kind
            && *until <= now
        {
            *is_on = !*is_on;
            *until += chance.exponential() * if *is_on { *on_s } else { *off_s };
        }
    }
}

/// When a flash crowd begins, has come, begins to go and is gone.
fn edges(flash: &Flash) -> [f64; 4] {
    let at = flash.at_s.get();
    let full = at + flash.ramp_s.get();
    let falls = full + flash.hold_s.get();
    [at, full, falls, falls + flash.decay_s.get()]
}

/// How many times as many as usual.
fn height(flash: &Flash, now: f64) -> f64 {
    let [at, full, falls, over] = edges(flash);
    let part = match now {
        _ if now < at || now >= over => 0.0,
        _ if now < full => (now - at) / (full - at),
        _ if now < falls => 1.0,
        _ => (over - now) / (over - falls),
    };
    1.0 + (flash.factor.get() - 1.0) * part
}

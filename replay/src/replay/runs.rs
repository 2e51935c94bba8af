//! The runs side by side: those that share a connection table, and those that have their own.

use std::sync::Arc;

use equipoise_core::Timestamp;
use equipoise_schedulers::registry;
use rayon::prelude::*;

use super::{Options, Plan, ReplayError, start_error};
use crate::decisions::Spool;
use crate::leader::Leader;
use crate::run::{Common, Run};
use crate::trace::Event;
use crate::track::Tracker;

/// All runs of one replay, in the order of their policies as given.
#[derive(Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    /// What the runs follow that have no connection table of their own.
    leader: Option<Leader>,
}

impl Runs {
    pub(super) fn start(
        plans: &[Plan],
        common: &Common<'_>,
        captures: &Arc<[String]>,
        options: &Options,
    ) -> Result<Self, ReplayError> {
        let mut runs = Vec::new();
        for Plan { label, chosen } in plans {
            let spool = if options.decisions {
                let spool = Spool::new(label.clone(), Arc::clone(captures));
                Some(spool.map_err(|source| ReplayError::Keep {
                    folder: std::env::temp_dir().display().to_string(),
                    source,
                })?)
            } else {
                None
            };
            let run = Run::start(label.clone(), chosen.clone(), common, spool);
            let mut run =
                run.map_err(|(place, error)| start_error(chosen, common, place, error))?;
            run.follows = always_chooses(&run, options);
            runs.push(run);
        }
        // For one run alone a leader would be a detour.
        let mut following = runs.iter_mut().filter(|run| run.follows);
        let leader = match (following.next(), following.next()) {
            (Some(one), Some(_)) if !options.apart && options.scenario.is_none() => {
                one.feed.director.leader()
            }
            _ => None,
        };
        if leader.is_none() {
            for run in &mut runs {
                run.follows = false;
            }
        }
        Ok(Self {
            runs,
            leader: leader.map(|director| Leader::new(director, common.clock)),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes in what happens next in the trace.
    pub(super) fn feed(&mut self, batch: &[Event]) {
        let Some(leader) = &mut self.leader else {
            self.runs.par_iter_mut().for_each(|run| run.feed(batch));
            return;
        };
        let (mut left, mut is_first) = (batch, true);
        while is_first || !left.is_empty() {
            left = leader.feed(left);
            // The others go with the first part, so that all are at work at the same time.
            follow(&mut self.runs, leader, |run| {
                if is_first {
                    run.feed(batch);
                }
            });
            is_first = false;
        }
    }

    /// Tells the tracker which flows have entries; there are `copies` of each that it knows.
    pub(super) fn tell_flows(&mut self, tracker: &mut Tracker, copies: u32) {
        for run in &mut self.runs {
            run.tell_flows(tracker, copies);
        }
        if let Some(leader) = &mut self.leader {
            leader.feed.flows.tell(tracker, copies);
        }
    }

    /// Ends all runs at the time of the trace's last packet.
    pub(super) fn finish(mut self, end: Timestamp) -> Vec<Run> {
        if let Some(mut leader) = self.leader {
            loop {
                let is_end = leader.end(end);
                follow(&mut self.runs, &leader, |_| {});
                if is_end {
                    break;
                }
            }
            let rest = leader.rest();
            let followers = self.runs.par_iter_mut().filter(|run| run.follows);
            followers.for_each(|run| run.finish_following(rest));
        }
        let own = self.runs.par_iter_mut().filter(|run| !run.follows);
        own.for_each(|run| run.finish(end));
        self.runs
    }
}

/// Lets runs follow what the leader has just written down, and does with others as it is told.
fn follow(runs: &mut [Run], leader: &Leader, other: impl Fn(&mut Run) + Send + Sync) {
    let part = leader.part();
    let (following, others): (Vec<&mut Run>, Vec<&mut Run>) =
        runs.iter_mut().partition(|run| run.follows);
    // Those with tables of their own take longest, and go first.
    rayon::join(
        || others.into_par_iter().for_each(other),
        || following.into_par_iter().for_each(|run| run.follow(part)),
    );
    // One that a failure has ended keeps the leader's connections as they are now.
    let followers = runs.iter_mut().filter(|run| run.follows);
    followers
        .filter(|run| run.feed.director.is_stopped())
        .for_each(|run| run.finish_following(leader.rest()));
}

/// Whether its policies are known to choose a server whenever all are usable.
fn always_chooses(run: &Run, options: &Options) -> bool {
    let fallback = options.fallback.as_deref().map(registry::find);
    run.chosen.iter().all(|chosen| chosen.always_chooses)
        && fallback.is_none_or(|entry| entry.is_some_and(|entry| entry.always_chooses))
}

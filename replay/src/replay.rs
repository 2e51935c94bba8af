//! The whole job: captures, a set-up and policies in; a report and decisions out.
//!
//! Reads the trace once for the runs (and once before, where the service must be found), in
//! bounded batches that all runs take in side by side. Knows no command line and writes no file.

mod clients;
mod facts;
mod progress;
mod reading;
mod runs;
mod services;

pub use clients::MOST_CLIENTS;
pub use progress::{Phase, Progress, Watcher};

use std::sync::Arc;

use equipoise_core::{ConfigError, Fault, KernelProfile, Parameter, Settings, Timestamp};
use equipoise_reports::Report;
use equipoise_reports::model;
use equipoise_schedulers::registry;

use crate::capture::{CaptureError, Source};
use crate::decisions::{Decisions, Spool};
use crate::decode::Decoder;
use crate::feed::Clock;
use crate::policy::{Chosen, Policies, PolicyError, label_of};
use crate::request::Requests;
use crate::run::{Common, Run};
use crate::scenario::{Scenario, ScenarioError};
use crate::setup::{Setup, SetupError};
use crate::trace::{Event, Trace};
use crate::track::{Holding, Retention, Tracker};
use crate::transform::Selection;
use clients::Clients;
use reading::Reading;
use runs::Runs;
use services::{Survey, Watch};

/// What applies to all runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Factor on the time since the first packet; at 0 time stands still.
    pub time_scale: f64,
    /// Every run's seeds derive from it.
    pub seed: u64,
    /// Runs at the same time; 0 for as many as the machine has processors.
    pub threads: usize,
    /// The native policy that decides a connection on which a policy failed.
    pub fallback: Option<String>,
    /// Whether to keep decisions.
    pub decisions: bool,
    /// How frames become packets.
    pub decoder: Decoder,
    /// What happens meanwhile.
    pub scenario: Option<Scenario>,
    /// What of the captures is replayed.
    pub selection: Selection,
    /// Every client, so many times: from 1 to [`MOST_CLIENTS`].
    pub clients: u32,
    /// Every run takes in every packet, also those that can change nothing in it: slower, and the
    /// same result, which is what it is for.
    pub pass_all: bool,
    /// Every run has a connection table of its own, also where several could share one: slower, and
    /// the same result, which is what it is for.
    pub apart: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            seed: 0,
            threads: 0,
            fallback: None,
            decisions: false,
            decoder: Decoder::default(),
            scenario: None,
            selection: Selection::default(),
            clients: 1,
            pass_all: false,
            apart: false,
        }
    }
}

/// What came out.
pub struct Outcome {
    /// The report, with costs in [`Report::measured`].
    pub report: Report,
    /// The decisions, where they were asked for.
    pub decisions: Option<Decisions>,
    /// Captures that could not be read to their end; what was read before counts.
    pub capture_errors: Vec<CaptureError>,
}

impl Outcome {
    /// Whether some policy failed and its run ended there.
    pub fn has_ended_runs(&self) -> bool {
        let mut faults = self.report.runs.iter().filter_map(|run| run.fault.as_ref());
        faults.any(|fault| fault.outcome == model::Outcome::Ended)
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It was broken off before anything was replayed.
    #[error(
        "interrupted before the replay began: nothing is reported; --service saves the reading that looks for a service{busiest}"
    )]
    Interrupted {
        /// What was found of services by then, in words to append.
        busiest: String,
    },
    /// A capture cannot be read at all.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The service that was found cannot be set up as the options ask.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The scenario does not fit the set-up.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A policy did not take its parameters.
    #[error("--policy {policy}: {message}")]
    Parameters {
        /// The policy as given.
        policy: String,
        /// What it said.
        message: String,
    },
    /// A policy reads requests, and a table of connections holds none.
    #[error(
        "--policy {policy} decides by requests, which a table of connections does not hold: replay the captures that it was made of"
    )]
    NoRequests {
        /// The policy as given.
        policy: String,
    },
    /// A service or server could not be added, or its policy failed at once.
    #[error("{policy} for {service}: {source}")]
    Start {
        /// The policy as given.
        policy: String,
        /// The virtual service.
        service: String,
        /// Why.
        source: ConfigError,
    },
    /// There is nothing to replay.
    #[error("{captures}: no TCP or UDP packet to replay ({skipped})")]
    NoPackets {
        /// The captures.
        captures: String,
        /// What was there instead.
        skipped: String,
    },
    /// All connections go where no virtual service can be.
    #[error(
        "{captures}: no connection is to a port of one host, as a virtual service would be; the busiest endpoint is {found}"
    )]
    NoService {
        /// The captures.
        captures: String,
        /// The endpoint with the most connections.
        found: String,
    },
    /// No packet is for any service.
    #[error("no packet is for {services}; the captures' busiest endpoints are {found}")]
    NothingMatched {
        /// The services.
        services: String,
        /// Endpoints with the most connections.
        found: String,
    },
    /// Decisions cannot be kept.
    #[error(
        "cannot keep the decisions in {folder} until they are written: {source}; name another folder in TMPDIR"
    )]
    Keep {
        /// Where.
        folder: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Threads are not to be had.
    #[error("cannot set up the runs: {source}")]
    System {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Replays the captures. `setup` gains the service that the captures suggest, where it has none.
pub fn replay(
    sources: &[Source],
    mut setup: Setup,
    policies: &mut Policies,
    options: &Options,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, ReplayError> {
    let survey = if setup.wants_automatic() {
        let survey = Survey::read(sources, options, watcher)?;
        let chosen = survey.chosen();
        setup.add_automatic(chosen.protocol, chosen.endpoint)?;
        Some(survey)
    } else {
        None
    };
    let plans = plan(&setup, policies)?;
    let scenario = match &options.scenario {
        Some(scenario) => Some(Arc::new(scenario.plan(&setup, policies)?)),
        None => None,
    };
    let fallback = options.fallback.as_ref();
    let fallback = fallback.map(|name| policies.native(name)).transpose()?;

    let watch = Watch::new(&setup);
    let tracker = tracker_for(&setup, options, &watch);
    let trace = Trace::open(sources, options.decoder, tracker)?;
    let trace = with_requests(trace, reader_of_requests(&plans, scenario.as_deref()))?;
    let copies = options.clients.clamp(1, MOST_CLIENTS);
    let mut reading = Reading {
        trace: trace.with_selection(options.selection),
        watch,
        clients: Clients::new(copies),
        errors: Vec::new(),
    };
    let pool = pool(options.threads)?;
    let (mut batch, mut next) = (Vec::new(), Vec::new());
    let mut goes_on = |trace: &Trace| {
        let progress = Progress::of(trace, Phase::Replay);
        watcher.watch(&progress).is_continue()
    };
    let first = reading.first(&mut batch, &mut goes_on);
    let busiest = String::new();
    let mut more = first.ok_or(ReplayError::Interrupted { busiest })?;
    let mut runs = Runs::default();
    if more {
        let start = batch.iter().find_map(start_of).unwrap_or_default();
        let common = Common {
            services: &setup.services,
            settings: settings_of(&setup),
            clock: Clock::new(start, options.time_scale),
            seed: options.seed,
            fallback: fallback.clone(),
            scenario: scenario.clone(),
        };
        let captures = reading.trace.captures();
        let names = captures.map(|capture| capture.name.to_owned()).collect();
        runs = Runs::start(&plans, &common, &names, options)?;
    }
    let mut is_partial = false;
    // Within the pool from here on: handing each batch over to it would wake a thread each time.
    pool.install(|| {
        while more {
            is_partial = !goes_on(&reading.trace);
            // The next batch is read while the runs take in this one.
            (more, ()) = rayon::join(
                || !is_partial && reading.next(&mut next),
                || runs.feed(&batch),
            );
            runs.tell_flows(reading.trace.tracker(), copies);
            std::mem::swap(&mut batch, &mut next);
        }
        if is_partial {
            reading.break_off(&mut batch);
            runs.feed(&batch);
        }
    });
    let Reading {
        mut trace,
        mut watch,
        errors: capture_errors,
        ..
    } = reading;
    trace.ended().for_each(|ended| watch.count(&ended));
    if runs.is_empty() {
        return Err(match capture_errors.into_iter().next() {
            Some(error) => error.into(),
            None => services::no_packets(sources, &trace),
        });
    }
    if !watch.matched_any() {
        return Err(services::nothing_matched(&setup, &watch));
    }
    let end = trace.now();
    let mut runs = pool.install(|| runs.finish(end));
    let spools: Vec<Spool> = runs.iter_mut().filter_map(Run::take_spool).collect();
    let facts = facts::Facts {
        setup: &setup,
        scenario: scenario.as_deref(),
        options,
        trace: &trace,
        survey: survey.as_ref(),
        watch: &watch,
        capture_errors: &capture_errors,
        is_partial: is_partial || sources.iter().any(Source::is_cut),
    };
    Ok(Outcome {
        report: facts.report(runs),
        decisions: options.decisions.then_some(Decisions { spools }),
        capture_errors,
    })
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, ReplayError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| ReplayError::System {
        source: std::io::Error::other(error),
    })
}

/// The time of the first packet that has one.
fn start_of(event: &Event) -> Option<Timestamp> {
    match event {
        Event::Packet(packet) => packet.raw_time_ns.map(|_| packet.time),
        Event::Told(_) | Event::Asked(_) => None,
    }
}

/// Where time is scaled, so is what a kernel's timeouts mean in the capture.
fn tracker_for(setup: &Setup, options: &Options, watch: &Watch) -> Tracker {
    let limit_ns = settings_of(setup).quiet_limit();
    #[expect(clippy::cast_sign_loss, reason = "neither is negative; it saturates")]
    let limit_ns = (limit_ns as f64 / options.time_scale) as u64;
    // A director that is changed must have seen every packet before.
    let passes_all = options.pass_all || options.scenario.is_some();
    let may_hold = watch.may_hold() && !setup.switches.sysctls.sloppy_tcp && !passes_all;
    let holding = may_hold.then(|| Holding::new(limit_ns));
    let services = setup.services.iter().map(|service| service.config.key);
    Tracker::new(Retention::default(), holding).with_services(services.collect())
}

/// A policy that reads requests, if there is one.
fn reader_of_requests<'a>(
    plans: &'a [Plan],
    scenario: Option<&'a crate::scenario::Plan>,
) -> Option<&'a str> {
    let chosen = plans.iter().flat_map(|plan| &plan.chosen);
    let later = scenario
        .into_iter()
        .flat_map(crate::scenario::Plan::policies);
    let mut all = chosen.chain(later);
    let reader = all.find(|chosen| chosen.policy.reads_requests())?;
    Some(&reader.label)
}

/// Reads first requests for a policy of that name, if there is one.
fn with_requests(trace: Trace, policy: Option<&str>) -> Result<Trace, ReplayError> {
    match policy {
        None => Ok(trace),
        Some(policy) if trace.is_table() => Err(ReplayError::NoRequests {
            policy: policy.to_owned(),
        }),
        Some(_) => Ok(trace.with_requests(Requests::default().only_firsts())),
    }
}

/// One run: its name, and what decides for each service.
struct Plan {
    label: String,
    chosen: Vec<Chosen>,
}

/// `--policy` replaces every service's own; without it, rules keep theirs, and without rules
/// everything built in is tried that reads no requests: most traffic has none in clear.
fn plan(setup: &Setup, policies: &mut Policies) -> Result<Vec<Plan>, PolicyError> {
    let services = setup.services.len();
    let all = |chosen: Chosen| Plan {
        label: chosen.label.clone(),
        chosen: vec![chosen; services],
    };
    if !setup.policies.is_empty() {
        return setup
            .policies
            .iter()
            .map(|option| policies.option(option).map(all))
            .collect();
    }
    if setup
        .services
        .iter()
        .all(|service| service.scheduler.is_none())
    {
        return registry::all()
            .iter()
            .filter(|entry| !entry.reads_requests)
            .map(|entry| policies.built_in(entry.name, &[], entry.name).map(all))
            .collect();
    }
    let mut own = Vec::new();
    for service in &setup.services {
        // ipvsadm's default where an option gave the service beside rules.
        let (name, parameters): (&str, &[Parameter]) = match &service.scheduler {
            Some(choice) => (&choice.name, &choice.parameters),
            None => ("wlc", &[]),
        };
        own.push(policies.built_in(name, parameters, &label_of(name, parameters))?);
    }
    Ok(vec![Plan {
        label: "rules".to_owned(),
        chosen: own,
    }])
}

fn settings_of(setup: &Setup) -> Settings {
    Settings {
        profile: setup.kernel,
        sysctls: setup.switches.sysctls,
        timeouts: setup.timeouts,
        batching: true,
    }
}

fn start_error(
    chosen: &[Chosen],
    common: &Common<'_>,
    place: usize,
    error: ConfigError,
) -> ReplayError {
    let policy = chosen
        .get(place)
        .map_or_else(String::new, |chosen| chosen.label.clone());
    match error {
        ConfigError::Policy(Fault::Refused { message }) => {
            ReplayError::Parameters { policy, message }
        }
        source => {
            let service = common.services.get(place);
            let service =
                service.map_or_else(String::new, |service| service.config.key.to_string());
            ReplayError::Start {
                policy,
                service,
                source,
            }
        }
    }
}

/// The report's name of a profile.
pub(crate) fn profile_name(profile: KernelProfile) -> &'static str {
    match profile {
        KernelProfile::Classic => "classic",
        KernelProfile::Current => "current",
    }
}

//! From what the runs kept to the report's model.

use std::collections::BTreeMap;

use equipoise_core::{Endpoint, ForwardingMethod, Persistence, ServerConfig, Timestamp};
use equipoise_reports::Report;
use equipoise_reports::model;
use equipoise_reports::model::{
    Chosen, Cost, Fault, Measured, Method, Outcome, RunnerUp, SCHEMA, Scheduler, ServerRun,
    Service, ServiceRun, Settings, Trace as TraceModel,
};
use equipoise_reports::stats::{Distribution, ServerCount, promised_by_weight};
use equipoise_schedulers::sdk::Promise;

use super::services::{Survey, Watch};
use super::{Options, profile_name};
use crate::capture::CaptureError;
use crate::decisions::Row;
use crate::record::{ServerFacts, ServiceFacts};
use crate::run::{Ecmp, Run, Scene, Spread, axis};
use crate::scenario::{Plan, changes_servers, name_of};
use crate::setup::{Origin, Setup};
use crate::summary;
use crate::trace::Trace;

/// Everything a report is made of, but the runs.
pub(super) struct Facts<'a> {
    pub(super) setup: &'a Setup,
    pub(super) scenario: Option<&'a Plan>,
    pub(super) options: &'a Options,
    pub(super) trace: &'a Trace,
    pub(super) survey: Option<&'a Survey>,
    pub(super) watch: &'a Watch,
    pub(super) capture_errors: &'a [CaptureError],
    pub(super) is_partial: bool,
}

impl Facts<'_> {
    pub(super) fn report(&self, runs: Vec<Run>) -> Report {
        let costs = runs.iter().map(cost_of).collect();
        Report {
            schema: SCHEMA.to_owned(),
            partial: self.is_partial,
            trace: self.trace_model(),
            settings: self.settings(),
            services: (0..self.setup.services.len())
                .map(|place| self.service(place))
                .collect(),
            runs: runs.into_iter().map(|run| self.run(run)).collect(),
            warnings: self.warnings(),
            measured: Some(Measured { costs }),
        }
    }

    fn trace_model(&self) -> TraceModel {
        let totals = self.trace.totals();
        TraceModel {
            captures: summary::captures(self.trace),
            decoded_packets: totals.frames - totals.skipped.values().sum::<u64>(),
            skipped_packets: summary::skipped_packets(self.trace),
            time_scale: self.options.time_scale,
            clients: u64::from(self.options.clients),
            selection: summary::selection(self.trace),
            observed_connections: self.trace.connections().1,
            left_out: summary::left_out(self.trace),
            clock: summary::clock(self.trace),
            tunnels: summary::tunnels(self.trace).to_owned(),
            tunnel_ports: summary::tunnel_ports(self.trace),
        }
    }

    fn settings(&self) -> Settings {
        let timeouts = self.setup.timeouts;
        let switches = &self.setup.switches;
        let sysctls = switches.sysctls;
        let mut named: BTreeMap<String, u64> = BTreeMap::new();
        let mut note = |name: &str, value: u64| named.insert(name.to_owned(), value);
        note("conn_reuse_mode", u64::from(sysctls.conn_reuse_mode));
        note("expire_nodest_conn", u64::from(sysctls.expire_nodest_conn));
        note(
            "expire_quiescent_template",
            u64::from(sysctls.expire_quiescent_template),
        );
        note("sloppy_tcp", u64::from(sysctls.sloppy_tcp));
        note(
            "ip_unprivileged_port_start",
            u64::from(sysctls.unprivileged_port_start),
        );
        if let Some(seconds) = switches.lblc_expiration_s {
            note("lblc_expiration", u64::from(seconds));
        }
        if let Some(seconds) = switches.lblcr_expiration_s {
            note("lblcr_expiration", u64::from(seconds));
        }
        Settings {
            kernel: profile_name(self.setup.kernel).to_owned(),
            timeouts_s: BTreeMap::from([
                ("tcp".to_owned(), timeouts.tcp_s),
                ("tcp_fin".to_owned(), timeouts.tcp_fin_s),
                ("udp".to_owned(), timeouts.udp_s),
            ]),
            sysctls: named,
            marks: self
                .setup
                .marks
                .rules()
                .iter()
                .map(ToString::to_string)
                .collect(),
            seed: self.options.seed,
            fallback: self.options.fallback.clone(),
        }
    }

    fn service(&self, place: usize) -> Service {
        let service = &self.setup.services[place];
        let chosen = match &service.origin {
            Origin::Given(_) => Chosen::Given,
            Origin::Mark(_) => Chosen::Mark,
            Origin::Rule { .. } => Chosen::Rules,
            Origin::Automatic => self.automatic(),
        };
        Service {
            service: service.config.key.to_string(),
            chosen,
            persistence: service
                .config
                .persistence
                .map(|persistence| model::Persistence {
                    timeout_s: persistence.timeout_s,
                    netmask: netmask_text(&persistence, service.config.key.family()),
                }),
            one_packet: service.config.one_packet,
            observed_connections: self.watch.observed(place),
        }
    }

    fn automatic(&self) -> Chosen {
        let Some(survey) = self.survey else {
            return Chosen::Given;
        };
        let runners_up = survey.runners_up().iter().map(|count| RunnerUp {
            service: format!("{}:{}", count.protocol, count.endpoint),
            connections: count.connections,
        });
        Chosen::Automatic {
            connections: survey.chosen().connections,
            runners_up: runners_up.collect(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .setup
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        for (place, service) in self.setup.services.iter().enumerate() {
            if !self.watch.is_matched(place) {
                warnings.push(format!("no packet is for {}", service.config.key));
            }
        }
        warnings.extend(self.trace.remarks());
        warnings.extend(self.capture_errors.iter().map(ToString::to_string));
        warnings
    }

    fn run(&self, run: Run) -> model::Run {
        let Run {
            label,
            chosen,
            feed,
            fault,
            scene,
            ecmp,
            alone,
            ..
        } = run;
        let fault = fault.map(|(report, first, last)| {
            let service = self.setup.services.get(report.service.0 as usize);
            Fault {
                what: what_happened(&report.message(), first, last),
                service: service.map_or_else(String::new, |s| s.config.key.to_string()),
                capture: first.map(|row| self.capture_name(&row)),
                packet: first.map(|row| row.number),
                connection: first.map(|row| row.connection()),
                outcome: if self.options.fallback.is_some() {
                    Outcome::Fallback
                } else {
                    Outcome::Ended
                },
            }
        });
        // The time of the last packet, or of the fault that ended the run.
        let end = feed.director.now();
        let facts = feed.director.observer.services;
        let services = facts.into_iter().enumerate().zip(chosen);
        let alone = alone.map_or_else(Vec::new, |alone| alone.feed.director.observer.services);
        let directors = |place: usize, facts: &ServiceFacts| {
            let spread = scene.as_ref()?.spread(place);
            Some(directors(
                ecmp.as_deref()?,
                &spread,
                place,
                facts,
                alone.get(place)?,
            ))
        };
        model::Run {
            policy: label,
            services: services
                .map(|((place, facts), chosen)| {
                    let directors = directors(place, &facts);
                    let scene = scene.as_ref();
                    let run = self.service_run(place, facts, &chosen, (scene, end));
                    ServiceRun { directors, ..run }
                })
                .collect(),
            fault,
        }
    }

    fn capture_name(&self, row: &Row) -> String {
        let mut captures = self.trace.captures();
        let found = captures.nth(row.capture as usize);
        found.map_or_else(String::new, |capture| capture.name.to_owned())
    }

    fn service_run(
        &self,
        place: usize,
        facts: ServiceFacts,
        chosen: &crate::policy::Chosen,
        (scene, end): (Option<&Scene>, Timestamp),
    ) -> ServiceRun {
        let service = &self.setup.services[place];
        let plan = self.scenario;
        // With those that come later, as they were last.
        let configs = plan.map_or(&service.servers, |plan| &plan.servers[place]);
        // A share that changes underway is none that could be kept.
        let promise = match plan {
            Some(plan) if changes_servers(plan, place) => Promise::None,
            _ => chosen.promise,
        };
        let promised = promised(promise, configs);
        let (events, churn) = scene.map_or_else(Default::default, |scene| {
            let (events, churn) = scene.report(place);
            (events, Some(churn))
        });
        let counts: Vec<ServerCount> = facts
            .servers
            .iter()
            .zip(configs)
            .zip(&promised)
            .map(|((facts, config), &promised_share)| ServerCount {
                connections: facts.connections,
                weight: config.weight,
                promised_share,
            })
            .collect();
        let distribution = Distribution::from_counts(&counts);
        let timeline_end = facts.end(axis(self.options.time_scale), end);
        let (reasons, refused) = (facts.reasons(), facts.refused());
        let (ignored_packets, first_requests) = (facts.ignored(), facts.first_requests());
        let servers = facts.servers.into_iter().zip(configs).enumerate();
        ServiceRun {
            service: service.config.key.to_string(),
            scheduler: Scheduler {
                policy: crate::policy::label_with(chosen),
                digest: chosen.digest.clone(),
                execution: chosen.execution,
            },
            connections: distribution.connections,
            balance: distribution.balance,
            reasons,
            refused,
            ignored_packets,
            first_requests,
            overloaded_answers: facts.overloaded_answers,
            servers: servers
                .map(|(id, (facts, config))| {
                    let shares = (distribution.shares[id], promised[id]);
                    server_run(&facts, config, shares, end.0)
                })
                .collect(),
            timeline: Some(facts.timeline.finish(timeline_end)),
            events,
            churn,
            directors: None,
        }
    }
}

/// What several directors did with the service at `place`, beside what one did alone.
fn directors(
    ecmp: &Ecmp,
    spread: &Spread,
    place: usize,
    together: &ServiceFacts,
    alone: &ServiceFacts,
) -> model::Directors {
    let each = spread.each.iter().enumerate();
    let connections = |facts: &ServiceFacts| -> Vec<u64> {
        let servers = facts.servers.iter();
        servers.map(|server| server.connections).collect()
    };
    model::Directors {
        each: each
            .map(|(number, decided)| model::DirectorRun {
                director: name_of(number),
                connections: decided.connections,
                decisions: decided.by_policy,
                refused: decided.refused,
                taken_over: ecmp.taken_over(number, place),
            })
            .collect(),
        divergence: model::Divergence {
            clients: spread.clients,
            differed: spread.differed,
        },
        alone: model::Alone::new(connections(alone), &connections(together)),
    }
}

/// One server's row; `end_ns` is the end of the run.
fn server_run(
    facts: &ServerFacts,
    config: &ServerConfig,
    (share, promised_share): (Option<f64>, Option<f64>),
    end_ns: u64,
) -> ServerRun {
    let traffic = facts.traffic;
    ServerRun {
        server: Endpoint {
            address: config.address,
            port: config.port,
        }
        .to_string(),
        method: match config.method {
            ForwardingMethod::Masquerading => Method::Nat,
            ForwardingMethod::DirectRouting => Method::Dr,
            ForwardingMethod::Tunneling => Method::Tun,
        },
        weight: config.weight,
        upper_threshold: config.upper_threshold,
        lower_threshold: config.lower_threshold,
        connections: facts.connections,
        share,
        promised_share,
        active: facts.active.finish(end_ns),
        entries: facts.entries.finish(end_ns),
        concurrent: facts.concurrent.finish(end_ns),
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
        packets_in: traffic.packets_in,
        packets_out: traffic.packets_out,
        observed_first_response: facts.first_response.latency_of_ns(),
    }
}

/// The share of each server that the policy means to keep, over servers that take connections.
fn promised(promise: Promise, servers: &[ServerConfig]) -> Vec<Option<f64>> {
    let weights: Vec<u32> = match promise {
        Promise::None => return vec![None; servers.len()],
        Promise::Weights => servers.iter().map(|server| server.weight).collect(),
        Promise::Equal => servers
            .iter()
            .map(|server| u32::from(server.weight > 0))
            .collect(),
    };
    promised_by_weight(&weights).into_iter().map(Some).collect()
}

fn cost_of(run: &Run) -> Cost {
    let (calls, decisions, total_ns) = run.meter.read();
    Cost {
        policy: run.label.clone(),
        calls,
        decisions,
        total_ns,
    }
}

/// A batch that failed names the packets it held: which of them did it cannot be told.
fn what_happened(message: &str, first: Option<Row>, last: Option<Row>) -> String {
    match first.zip(last) {
        Some((first, last)) if first.number != last.number => format!(
            "{message}, in one call for the connections that packets {} to {} begin",
            first.number, last.number
        ),
        _ => message.to_owned(),
    }
}

fn netmask_text(persistence: &Persistence, family: equipoise_core::Family) -> String {
    match family {
        equipoise_core::Family::Ipv4 => {
            std::net::Ipv4Addr::from_bits(persistence.netmask as u32).to_string()
        }
        equipoise_core::Family::Ipv6 => persistence.netmask.leading_ones().to_string(),
    }
}

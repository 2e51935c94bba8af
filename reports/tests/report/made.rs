//! Made reports: a plain one and one with every awkward case.

use std::collections::BTreeMap;

use equipoise_reports::model::{
    self, Capture, Chosen, Cost, Execution, Fault, LeftOut, Measured, Method, Outcome, Persistence,
    Reason, Report, Run, RunnerUp, SCHEMA, Scheduler, ServerRun, Service, ServiceRun, Settings,
    Trace,
};
use equipoise_reports::stats::{Distribution, Gauge, Histogram, ServerCount, promised_by_weight};
use equipoise_reports::timeline::{Axis, Recorder};

/// The built-in policies.
pub(crate) const POLICIES: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "lblc", "lblcr", "fo", "ovf", "twos",
];

const BEGIN: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// Numbers that look like chance and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Whether time passes in a made report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// It does.
    Runs,
    /// Time scale 0.
    StandsStill,
}

/// A report of one service with these policies and this many servers.
pub(crate) fn report(policies: &[&str], servers: usize, clock: Clock) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        partial: false,
        trace: Trace {
            captures: vec![Capture {
                name: "web.pcapng".to_owned(),
                packets: 12_345,
                bytes: 8_123_456,
                first_ns: Some(BEGIN),
                last_ns: Some(BEGIN + 62 * SECOND),
                link_types: vec!["ethernet".to_owned()],
                warnings: Vec::new(),
            }],
            decoded_packets: 12_322,
            skipped_packets: counts(&[("arp", 20), ("fragment", 3)]),
            clients: 1,
            selection: None,
            time_scale: if clock == Clock::Runs { 1.0 } else { 0.0 },
            observed_connections: 650,
            left_out: LeftOut::default(),
            clock: model::Clock::default(),
            tunnels: "outer".to_owned(),
            tunnel_ports: BTreeMap::new(),
        },
        settings: Settings {
            kernel: "current".to_owned(),
            timeouts_s: [("tcp", 900), ("tcp_fin", 120), ("udp", 300)]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            sysctls: counts(&[("conn_reuse_mode", 1), ("sloppy_tcp", 0)]),
            marks: vec!["7=tcp:10.0.0.0/28:80,443".to_owned()],
            seed: 1,
            fallback: None,
        },
        services: vec![Service {
            service: "tcp:10.0.0.1:80".to_owned(),
            chosen: Chosen::Automatic {
                connections: 612,
                runners_up: vec![
                    RunnerUp {
                        service: "tcp:10.0.0.1:443".to_owned(),
                        connections: 26,
                    },
                    RunnerUp {
                        service: "udp:10.0.0.2:53".to_owned(),
                        connections: 12,
                    },
                ],
            },
            persistence: None,
            one_packet: false,
            observed_connections: 612,
        }],
        runs: policies
            .iter()
            .enumerate()
            .map(|(seed, policy)| run(policy, seed as u64, servers, clock))
            .collect(),
        warnings: Vec::new(),
        measured: Some(Measured {
            costs: policies
                .iter()
                .enumerate()
                .map(|(at, policy)| Cost {
                    policy: (*policy).to_owned(),
                    calls: 2,
                    decisions: 612,
                    total_ns: 2_500 + 4_321 * at as u64,
                })
                .collect(),
        }),
    }
}

/// A report with every awkward case that people have.
pub(crate) fn awkward() -> Report {
    let mut report = report(&["wlc"], 2, Clock::StandsStill);
    report.trace.captures.push(Capture {
        name: "empty\u{1b}[31m, \"odd\".pcap".to_owned(),
        warnings: vec!["the last record is cut short: kept 0 packets".to_owned()],
        ..Capture::default()
    });
    report.warnings = vec!["no packet matches tcp:10.0.0.9:80".to_owned()];
    report.settings.fallback = Some("rr".to_owned());

    let ipv6 = "tcp:[2001:db8::1]:443";
    let idle = "udp:10.0.0.2:53";
    report.services.push(Service {
        service: ipv6.to_owned(),
        chosen: Chosen::Given,
        persistence: Some(Persistence {
            timeout_s: 360,
            netmask: "64".to_owned(),
        }),
        one_packet: false,
        observed_connections: 9,
    });
    report.services.push(Service {
        service: idle.to_owned(),
        chosen: Chosen::Mark,
        persistence: None,
        one_packet: true,
        observed_connections: 0,
    });

    let addresses = [
        "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535",
        "[2001:db8::2]:443",
    ];
    for run in &mut report.runs {
        let mut servers = run.services[0].servers.clone();
        for (server, address) in servers.iter_mut().zip(addresses) {
            address.clone_into(&mut server.server);
            server.method = Method::Dr;
            server.weight = 0;
            server.connections = 0;
            server.share = None;
            server.promised_share = Some(0.0);
            server.observed_first_response = None;
        }
        run.services.push(ServiceRun {
            connections: 0,
            balance: None,
            service: ipv6.to_owned(),
            refused: counts(&[("no-destination", 9)]),
            reasons: [(Reason::NoDestination, 9)].into(),
            ignored_packets: BTreeMap::new(),
            servers,
            timeline: None,
            ..run.services[0].clone()
        });
        run.services.push(ServiceRun {
            service: idle.to_owned(),
            servers: Vec::new(),
            ..run.services[1].clone()
        });
        if let Some(last) = run.services.last_mut() {
            last.refused.clear();
            last.reasons.clear();
        }
    }

    let mut faulted = report.runs[0].clone();
    "policies/my \"best\", <&>.wasm:key=välue".clone_into(&mut faulted.policy);
    faulted.fault = Some(Fault {
        what: "answered server 7, which is not listed".to_owned(),
        service: "tcp:10.0.0.1:80".to_owned(),
        capture: Some("web.pcapng".to_owned()),
        packet: Some(4_711),
        connection: Some("tcp 192.0.2.7:40001 -> 10.0.0.1:80".to_owned()),
        outcome: Outcome::Ended,
    });
    for service in &mut faulted.services {
        service.scheduler = Scheduler {
            policy: faulted.policy.clone(),
            digest: Some("c0ffee".repeat(11)[..64].to_owned()),
            execution: Execution::ComponentTyped,
        };
        service.overloaded_answers = 2;
    }
    faulted.services[0].ignored_packets = counts(&[("mid-stream", 4), ("rst", 1)]);
    let mut fell_back = faulted.clone();
    "policies/my-best-wasm:key=v-lue".clone_into(&mut fell_back.policy);
    if let Some(fault) = &mut fell_back.fault {
        fault.outcome = Outcome::Fallback;
    }
    report.runs.extend([faulted, fell_back]);
    report
}

fn run(policy: &str, seed: u64, servers: usize, clock: Clock) -> Run {
    let mut draw = Draw(seed + 1);
    let weights: Vec<u32> = (0..servers).map(|at| [3, 2, 1, 1][at % 4]).collect();
    let promises = matches!(policy, "rr" | "wrr" | "wlc" | "sed" | "sh" | "mh" | "twos");
    let by_weight = promised_by_weight(&weights);
    let axis = match clock {
        Clock::Runs => Axis::Time,
        Clock::StandsStill => Axis::Connections,
    };

    let now = |step: u64| match clock {
        Clock::Runs => BEGIN + step * 100_000_000,
        Clock::StandsStill => BEGIN,
    };
    let mut recorder = Recorder::new(axis, if axis == Axis::Time { BEGIN } else { 0 }, servers);
    let mut gauges = vec![Gauge::new(BEGIN); servers];
    let mut connections = vec![0_u64; servers];
    let mut latencies = vec![Histogram::default(); servers];
    for step in 0..612 {
        let place = draw.below(servers as u64) as usize;
        let rises = draw.below(5) < 3 && policy != "fo" || place == 0;
        if rises {
            connections[place] += 1;
            latencies[place].record(800_000 + draw.below(40_000_000));
        }
        let level = gauges[place].level();
        let next = if rises {
            level + 1
        } else {
            level.saturating_sub(2)
        };
        gauges[place].set(now(step), next);
        let at = if axis == Axis::Time { now(step) } else { step };
        recorder.set(at, place, next);
    }

    let counts_of: Vec<ServerCount> = (0..servers)
        .map(|at| ServerCount {
            connections: connections[at],
            weight: weights[at],
            promised_share: promises.then(|| by_weight[at]),
        })
        .collect();
    let spread = Distribution::from_counts(&counts_of);
    let end = now(620);
    let rows = (0..servers)
        .map(|at| ServerRun {
            server: format!("10.1.0.{}:80", at + 1),
            method: Method::Nat,
            weight: weights[at],
            upper_threshold: 0,
            lower_threshold: 0,
            connections: connections[at],
            share: spread.shares[at],
            promised_share: counts_of[at].promised_share,
            active: gauges[at].finish(end),
            entries: gauges[at].finish(end),
            concurrent: gauges[at].finish(end),
            bytes_in: connections[at] * 812,
            bytes_out: connections[at] * 13_370,
            packets_in: connections[at] * 7,
            packets_out: connections[at] * 12,
            observed_first_response: latencies[at].latency_of_ns(),
        })
        .collect();
    Run {
        policy: policy.to_owned(),
        services: vec![ServiceRun {
            events: Vec::new(),
            churn: None,
            directors: None,
            service: "tcp:10.0.0.1:80".to_owned(),
            scheduler: Scheduler {
                policy: policy.to_owned(),
                digest: Some(
                    format!("{:016x}", (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(4),
                ),
                execution: Execution::ComponentBatch,
            },
            connections: spread.connections,
            balance: spread.balance,
            reasons: [(Reason::Scheduled, spread.connections)].into(),
            refused: BTreeMap::new(),
            ignored_packets: counts(&[("mid-stream", 12), ("rst", 3)]),
            first_requests: BTreeMap::new(),
            overloaded_answers: 0,
            servers: rows,
            timeline: Some(recorder.finish(if axis == Axis::Time { end } else { 612 })),
        }],
        fault: None,
    }
}

fn counts(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    entries
        .iter()
        .map(|&(name, count)| (name.to_owned(), count))
        .collect()
}

//! What can stand on the command line. Values stay texts here: `equipoise_replay::setup` reads
//! them, so that every message about them comes from one place.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of options are help texts, which show no backticks"
)]

use std::fmt::Display;
use std::path::PathBuf;

use clap::{ArgMatches, Parser, Subcommand, ValueEnum};
use equipoise_replay::decode::{Decoder, TunnelPort, TunnelPorts};
use equipoise_replay::replay::MOST_CLIENTS;
use equipoise_replay::setup::Item;
use equipoise_replay::transform::{Bound, Selection, Share};

use crate::commands::synth::Synth;
use crate::failure::{Failure, USAGE};

/// Try load-balancing policies on captured traffic
///
/// Every policy is a WebAssembly component. Those of the Linux kernel's IPVS decide exactly as the
/// kernel would have.
#[derive(Debug, Parser)]
#[command(name = "equipoise", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Their help is that of the types.
    Replay(Box<Replay>),
    Inspect(Inspect),
    Extract(Extract),
    Synth(Box<Synth>),
    /// Policies in the box
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// List the built-in policies with their parameters
    List,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Tunnels {
    /// The tunnel itself
    Outer,
    /// What is in it: IP in IP, GRE, GUE, VXLAN, Geneve
    Inner,
}

/// What `--tunnels` and `--tunnel-port` say of how frames become packets.
pub(crate) fn decoder(tunnels: Option<Tunnels>, ports: &[TunnelPort]) -> Result<Decoder, Failure> {
    use equipoise_replay::decode::Tunnels as Looked;
    let wrong = |what: &dyn Display| Failure(format!("--tunnel-port: {what}"), USAGE);
    let tunnels = match tunnels {
        None => Looked::Unsaid,
        Some(Tunnels::Outer) => Looked::Outer,
        Some(Tunnels::Inner) => Looked::Inner,
    };
    if tunnels != Looked::Inner && !ports.is_empty() {
        return Err(wrong(&"no tunnel is looked into without --tunnels inner"));
    }
    Ok(Decoder {
        tunnels,
        ports: TunnelPorts::new(ports.iter().copied()).map_err(|error| wrong(&error))?,
    })
}

/// Which part of the captures is taken.
#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    /// Take packets from this time on: 2026-11-20T04:00:37Z (without an offset in UTC), or a
    /// duration since the first packet, such as 90s or 1h30m
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<Bound>,

    /// Take packets before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Bound>,

    /// Take this share of the connections, whole: 0.1, 10% or 1/10; which, --seed chooses
    #[arg(long, value_name = "SHARE")]
    pub(crate) sample: Option<Share>,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

impl Part {
    pub(crate) fn selection(&self) -> Result<Selection, Failure> {
        let is_empty = match (self.from, self.to) {
            (Some(Bound::At(from)), Some(Bound::At(to))) => from >= to,
            (Some(Bound::After(from)), Some(Bound::After(to))) => from >= to,
            _ => false,
        };
        if is_empty {
            let line = "--from is not before --to: there is nothing between".to_owned();
            return Err(Failure(line, USAGE));
        }
        Ok(Selection {
            from: self.from,
            to: self.to,
            share: self.sample.unwrap_or(Share::ALL),
            seed: self.seed,
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people; on a terminal with the measured cost of each policy
    Table,
    /// The whole report (docs/report.md), the same bytes on every run
    Json,
    /// One line for each policy, service and server
    Csv,
}

/// Replay captures through policies and compare how connections are spread
///
/// Reads pcap and pcapng, plain or packed by gzip or zstd. Without --service the endpoint with the
/// most client connections is the virtual service; without --server it has four real servers of
/// weight 1; without --policy every built-in policy is tried that reads no requests.
///
/// A policy that reads requests, such as url_hash, decides a connection when its first one is
/// complete, or when it is clear that there is none to be read; who asks for nothing within 60 s is
/// given up.
///
/// A silence between one capture and the next is a warning where it is longer than a second and
/// longer than any within the two, or than half the time that the longer of them lasts: a file of a
/// rotation may be missing.
///
/// An interrupt ends the replay with a report of what was read by then, marked as partial; one that
/// comes while the captures are read for the busiest service, as they are without --service, ends
/// it with no report. While standard input or a pipe is read, which is to its end before anything
/// else, an interrupt ends that input, and what came by then is replayed. A second interrupt ends
/// everything at once.
///
/// Exit codes: 0 done, 1 the input or a policy failed, 2 wrong usage, 130 interrupted (143 by
/// SIGTERM, 129 by SIGHUP).
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Replay {
    /// Captures, folders of captures or patterns, in any order: one trace in the order of time;
    /// `-` is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,

    /// A virtual service: [tcp:|udp:]ADDR:PORT, IPv6 as [2001:db8::1]:80
    #[arg(long, value_name = "SERVICE")]
    service: Vec<String>,

    /// Packets that a firewall rule would mark, and the mark as a virtual service:
    /// N=PROTO:ADDR[/LEN]:PORTS, with PORTS 80, 80,443, 8000-8100 or *
    #[arg(long, value_name = "MARK")]
    mark: Vec<String>,

    /// A real server of the service before it, or of all when it comes first:
    /// ADDR:PORT[,weight=N,method=nat|dr|tun,upper=N,lower=N]
    #[arg(long, value_name = "SERVER")]
    server: Vec<String>,

    /// Services and real servers as `ipvsadm -S -n` prints them
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,

    /// A policy: NAME or FILE.wasm, then optionally :key=value,… (see `equipoise policy list`)
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Vec<String>,

    /// Persistence of the services given here: SECS[/MASK]
    #[arg(long, value_name = "SECS[/MASK]")]
    pub(crate) persistent: Option<String>,

    /// One-packet scheduling for the UDP and mark services given here
    #[arg(long)]
    pub(crate) ops: bool,

    /// Timeouts in seconds as `ipvsadm --set` takes them, 0 keeping the default
    #[arg(long, value_name = "TCP,FIN,UDP")]
    pub(crate) timeouts: Option<String>,

    /// A switch under net.ipv4.vs, such as conn_reuse_mode=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) sysctl: Vec<String>,

    /// Which kernel's counting to follow: classic (before mid 2026) or current
    #[arg(long, value_name = "KERNEL")]
    pub(crate) kernel: Option<String>,

    /// Built-in policy that decides, natively, a connection on which a policy failed; without it
    /// the first failure ends that policy's run
    #[arg(long, value_name = "NAME")]
    pub(crate) fallback: Option<String>,

    /// Runs at the same time; the output does not depend on it [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Factor on the time since the first packet: 0.5 plays twice as fast, at 0 time stands still
    /// and no timer fires
    #[arg(long, value_name = "F", default_value = "1", value_parser = scale, allow_negative_numbers = true)]
    pub(crate) time_scale: f64,

    #[command(flatten)]
    pub(crate) part: Part,

    /// What happens meanwhile: servers that are added, removed, reweighted, drained, that break down,
    /// come back or slow down, policies that are swapped, directors that restart, leave and join, one or
    /// several (TOML, docs/scenario.md)
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,

    /// Put so many clients in place of each, with the same connections at the same times: the
    /// further ones have another first octet, or another network of an IPv6 site
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CLIENTS)))]
    pub(crate) clients: u32,

    /// Which packet counts where one is in a tunnel, as directors of method tun see them
    /// [default: outer, or as a table was made]
    #[arg(long, value_enum)]
    pub(crate) tunnels: Option<Tunnels>,

    /// Another UDP port of a tunnel that --tunnels inner looks into: gue=PORT besides its own 6080,
    /// vxlan=PORT besides 4789 and 8472, geneve=PORT besides 6081
    #[arg(long, value_name = "NAME=PORT")]
    pub(crate) tunnel_port: Vec<TunnelPort>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Write one CSV row for each packet that creates a connection or would
    #[arg(long, value_name = "FILE")]
    pub(crate) decisions: Option<PathBuf>,

    /// Write report.json, measured.json, runs.csv and SVG plots into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum InspectFormat {
    /// For people
    Table,
    /// All of it (docs/inspect.md), the same bytes on every run
    Json,
}

/// Show what captures hold: times, protocols, and the services that clients connect to
///
/// Services are endpoints that clients connect to, those with the most connections first. The last
/// line is a command that replays the busiest one.
///
/// A silence between one capture and the next is a warning where it is longer than a second and
/// longer than any within the two, or than half the time that the longer of them lasts: a file of a
/// rotation may be missing.
///
/// An interrupt ends the reading, also that of standard input, with what was read by then, marked
/// as partial; a second one ends everything at once.
///
/// Exit codes: 0 done, 1 the input failed, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
/// SIGHUP).
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// Captures, folders of captures or patterns, in any order: one trace in the order of time;
    /// `-` is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,

    /// Read what connections ask for: HTTP/1 requests, server names of TLS, QUIC handshakes
    #[arg(long)]
    pub(crate) requests: bool,

    /// Services that are shown one by one, and hosts and targets with --requests; the others are
    /// summed up
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: u32,

    #[command(flatten)]
    pub(crate) part: Part,

    /// Which packet counts where one is in a tunnel, as directors of method tun see them
    /// [default: outer, or as a table was made]
    #[arg(long, value_enum)]
    pub(crate) tunnels: Option<Tunnels>,

    /// Another UDP port of a tunnel that --tunnels inner looks into: gue=PORT besides its own 6080,
    /// vxlan=PORT besides 4789 and 8472, geneve=PORT besides 6081
    #[arg(long, value_name = "NAME=PORT")]
    pub(crate) tunnel_port: Vec<TunnelPort>,

    /// What to print
    #[arg(long, value_enum, default_value_t = InspectFormat::Table)]
    pub(crate) format: InspectFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TableFormat {
    /// Connections with their packets, which `replay` and `inspect` read in place of the captures;
    /// or requests
    Parquet,
    /// One line for each connection, without packets; or for each request
    Csv,
}

/// Write the table of connections or of requests, for other programs and for replays to come
///
/// The columns are described in docs/table.md. A Parquet table of connections stands for its
/// captures: `replay` and `inspect` read it with the same results.
///
/// The file appears whole or not at all: an interrupt leaves none.
///
/// Exit codes: 0 done, 1 the input failed (what was read of it is in the table), 2 wrong usage,
/// 130 interrupted (143 by SIGTERM, 129 by SIGHUP).
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXTRACT_EXAMPLES)]
pub(crate) struct Extract {
    /// Captures, folders of captures or patterns, in any order: one trace in the order of time;
    /// `-` is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub(crate) captures: Vec<PathBuf>,

    /// Write requests instead of connections: of HTTP/1 each one, of TLS and QUIC the handshakes,
    /// with the number of the connection in the other table
    #[arg(long)]
    pub(crate) requests: bool,

    /// The table to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// What to write [default: as the name of the file ends]
    #[arg(long, value_enum)]
    pub(crate) format: Option<TableFormat>,

    #[command(flatten)]
    pub(crate) part: Part,

    /// Which packet counts where one is in a tunnel; a replay of the table takes what is chosen
    /// here [default: outer, or as a table was made]
    #[arg(long, value_enum)]
    pub(crate) tunnels: Option<Tunnels>,

    /// Another UDP port of a tunnel that --tunnels inner looks into: gue=PORT besides its own 6080,
    /// vxlan=PORT besides 4789 and 8472, geneve=PORT besides 6081
    #[arg(long, value_name = "NAME=PORT")]
    pub(crate) tunnel_port: Vec<TunnelPort>,
}

const EXTRACT_EXAMPLES: &str = "\
Examples:
  equipoise extract traffic.pcapng -o traffic.parquet
  equipoise replay traffic.parquet --policy wlc
  equipoise extract --requests traffic.pcapng -o requests.parquet
  duckdb -c \"select server_address, count(*) from 'traffic.parquet' group by 1\"";

const EXAMPLES: &str = "\
Examples:
  equipoise replay traffic.pcapng
  equipoise replay traffic.pcap --policy wlc --policy sh:sh-port --policy ./mine.wasm:k=3
  equipoise replay traffic.pcap --service 10.0.0.1:443 \\
      --server 10.1.0.1:443,weight=3 --server 10.1.0.2:443,method=dr
  ipvsadm -S -n > rules; equipoise replay traffic.pcap --rules rules --decisions decisions.csv";

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 0.0 => Ok(factor),
        _ => Err(String::from("a number of at least 0, such as 0, 0.5 or 10")),
    }
}

/// `--service`, `--mark` and `--server` in the order in which they were written.
pub(crate) fn items(matches: &ArgMatches) -> Vec<Item> {
    let mut items: Vec<(usize, Item)> = Vec::new();
    let mut add = |id: &str, kind: fn(String) -> Item| {
        let places = matches.indices_of(id).into_iter().flatten();
        let texts = matches.get_many::<String>(id).into_iter().flatten();
        items.extend(
            places
                .zip(texts)
                .map(|(place, text)| (place, kind(text.clone()))),
        );
    };
    add("service", Item::Service);
    add("mark", Item::Mark);
    add("server", Item::Server);
    items.sort_by_key(|(place, _)| *place);
    items.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn services_and_servers_keep_their_order() {
        let line = "equipoise replay x --server a --service b --server c --mark d --server e";
        let matches = Args::command().get_matches_from(line.split(' '));
        let items = matches
            .subcommand_matches("replay")
            .map(items)
            .unwrap_or_default();
        let server = |text: &str| Item::Server(text.to_owned());
        assert_eq!(
            items,
            [
                server("a"),
                Item::Service("b".to_owned()),
                server("c"),
                Item::Mark("d".to_owned()),
                server("e"),
            ]
        );
    }
}

//! Rules files: what ipvsadm prints is read back, and what is wrong is said by line.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step fails the test"
)]

use std::fmt::Write as _;

use equipoise_core::{
    Address, Endpoint, Family, ForwardingMethod, Persistence, Protocol, ServerConfig,
    ServiceConfig, ServiceKey,
};
use equipoise_replay::setup::Rules;
use proptest::prelude::*;

fn parse(text: &str) -> Rules {
    Rules::parse("rules", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    let rules = Rules::parse("rules", text.as_bytes());
    rules.expect_err(text).to_string()
}

/// Services as `ipvsadm -S -n` prints them.
fn print(rules: &Rules) -> String {
    let mut text = String::new();
    for service in &rules.services {
        let key = print_key(service.config.key);
        let scheduler = service.scheduler.as_ref().unwrap();
        let parameters = scheduler.parameters.iter();
        let flags: Vec<_> = parameters.map(|parameter| parameter.key.as_str()).collect();
        text += &print_service(&service.config, &scheduler.name, &flags.join(","));
        for server in &service.servers {
            text += &print_server(&key, server);
        }
    }
    text
}

fn print_key(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let letter = if protocol == Protocol::Udp { 'u' } else { 't' };
            format!("-{letter} {}", Endpoint { address, port })
        }
        ServiceKey::Mark {
            family: Family::Ipv4,
            mark,
        } => format!("-f {mark}"),
        ServiceKey::Mark { mark, .. } => format!("-f {mark} -6"),
    }
}

fn print_service(config: &ServiceConfig, scheduler: &str, flags: &str) -> String {
    let mut text = format!("-A {} -s {scheduler}", print_key(config.key));
    if let Some(persistence) = config.persistence {
        write!(text, " -p {}", persistence.timeout_s).unwrap();
        let mask = persistence.netmask;
        if mask != Persistence::EVERY_CLIENT {
            match config.key.family() {
                Family::Ipv4 => write!(text, " -M {}", std::net::Ipv4Addr::from(mask as u32)),
                Family::Ipv6 => write!(text, " -M {}", mask.count_ones()),
            }
            .unwrap();
        }
    }
    if config.one_packet {
        text += " -o";
    }
    if !flags.is_empty() {
        write!(text, " -b {flags}").unwrap();
    }
    text + "\n"
}

fn print_server(key: &str, server: &ServerConfig) -> String {
    let endpoint = Endpoint {
        address: server.address,
        port: server.port,
    };
    let (method, tunnel) = match server.method {
        ForwardingMethod::Masquerading => ('m', ""),
        ForwardingMethod::DirectRouting => ('g', ""),
        ForwardingMethod::Tunneling => ('i', " --tun-type ipip"),
    };
    let weight = server.weight;
    format!("-a {key} -r {endpoint} -{method} -w {weight}{tunnel}\n")
}

/// The lines of the specification's section on saving, sip aside.
const SAVED: &str = "\
-A -t 192.0.2.10:80 -s wlc
-a -t 192.0.2.10:80 -r 10.0.0.11:80 -g -w 1
-A -u 192.0.2.10:53 -s sh -o -b sh-fallback,sh-port
-a -u 192.0.2.10:53 -r 10.0.0.12:53 -i -w 1 --tun-type ipip
-A -u 192.0.2.10:5060 -s wrr -p 600 -o
-A -t [2001:db8::10]:443 -s mh -p 360 -M 64 -b mh-fallback
-A -f 7 -s rr -p 50 -M 255.255.255.0
-A -f 8 -6 -s rr
";

#[test]
fn what_ipvsadm_saves_is_read_and_printed_alike() {
    assert_eq!(print(&parse(SAVED)), SAVED);
}

#[test]
fn every_way_of_writing_an_option() {
    let plain =
        "-A -t 10.0.0.1:80 -s sh -p 360 -b sh-port\n-a -t 10.0.0.1:80 -r 10.9.0.1:8080 -m -w 5\n";
    for text in [
        "--add-service --tcp-service 10.0.0.1:80 --scheduler sh -p -b flag-2\n\
         --add-server --real-server=10.9.0.1:8080 --tcp-service=10.0.0.1:80 --weight=5 --masquerading\n",
        "# kept by hand\n\n-C\nipvsadm -A -p -t10.0.0.1:http -s=sh -b sh-port\r\n\
         /sbin/ipvsadm -a\t-mw5 -r 10.9.0.1:http-alt -t 10.0.0.1:www",
        "-At 10.0.0.1:80 -s sh --sched-flags sh-port,flag-2,flag-3 --persistent=360\n\
         -at 10.0.0.1:80 -w 5 -r 10.9.0.1:8080 -m",
    ] {
        assert_eq!(print(&parse(text)), plain, "{text}");
    }
}

#[test]
fn defaults_are_those_of_ipvsadm() {
    let text = "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.9.0.1\n-A -u 10.0.0.1 -p\n-a -u 10.0.0.1 -r 10.9.0.1 -x 5 -y 2 -m\n-A -f 7\n-a -f 7 -r 10.9.0.1 -i --tun-type gue --tun-port 6080 --tun-csum\n";
    let rules = parse(text);
    insta::assert_snapshot!(print(&rules), @r"
    -A -t 10.0.0.1:80 -s wlc
    -a -t 10.0.0.1:80 -r 10.9.0.1:80 -g -w 1
    -A -u 10.0.0.1:0 -s wlc -p 360
    -a -u 10.0.0.1:0 -r 10.9.0.1:0 -m -w 1
    -A -f 7 -s wlc
    -a -f 7 -r 10.9.0.1:0 -i -w 1 --tun-type ipip
    ");
    let server = rules.services[1].servers[0];
    assert_eq!((server.upper_threshold, server.lower_threshold), (5, 2));
}

#[test]
fn accepted_with_a_word() {
    let rules = parse(
        "-A --sctp-service 10.0.0.1:80\n-a --sctp-service 10.0.0.1:80 -r 10.9.0.1\n\
         -A -u 10.0.0.1:5060 -p 360 --pe sip\n-a -u 10.0.0.1:5060 -r 10.9.0.1\n\
         -A -t 10.0.0.1:8080 -s none\n-a -t 10.0.0.1:8080 -r 10.9.0.1\n\
         -A -M 64 -t [2001:db8::1]:80 -p\n-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.9.0.1:8080 -g\n",
    );
    let warnings: Vec<_> = rules.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    rules:1: sctp is not replayed: service 10.0.0.1:80 and its servers are left out
    rules:3: persistence engine `sip` is not replayed: service 10.0.0.1:5060 and its servers are left out
    rules:5: a service without a scheduler is not replayed: service 10.0.0.1:8080 and its servers are left out
    rules:7: -M before an IPv6 service has no effect in ipvsadm: the netmask is 128
    rules:9: server 10.9.0.1:8080 gets port 80 of the service, as direct routing and tunneling do not change ports
    ");
    insta::assert_snapshot!(print(&rules), @r"
    -A -t [2001:db8::1]:80 -s wlc -p 360
    -A -t 10.0.0.1:80 -s wlc
    -a -t 10.0.0.1:80 -r 10.9.0.1:80 -g -w 1
    ");
}

#[test]
fn timeouts_are_set_where_a_line_sets_them() {
    let timeouts = parse("--set 60 0 30\n-A -t 10.0.0.1:80\n")
        .timeouts
        .unwrap();
    let seconds = [timeouts.tcp_s, timeouts.tcp_fin_s, timeouts.udp_s];
    assert_eq!(seconds, [60, 120, 30]);
    assert_eq!(parse("-A -t 10.0.0.1:80\n").timeouts, None);
}

#[test]
fn malformed_lines() {
    let service = "-A -t 10.0.0.1:80\n";
    let server = "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r ";
    let cases = [
        String::from("-A"),
        String::from("-A -s rr"),
        String::from("-A -t"),
        String::from("-A -t 10.0.0.1:80 -u 10.0.0.1:80"),
        String::from("-A -t www.example.com:80"),
        String::from("-A -t 80"),
        String::from("-A -t 10.0.0.1:nonsense"),
        String::from("-A -u 10.0.0.1:http"),
        String::from("-A -t 10.0.0.1:80000"),
        String::from("-A -t 10.0.0.1:0"),
        String::from("-A -t [2001:db8::1]:80 -p -M 255.255.255.0"),
        String::from("-A -t 10.0.0.1:80 -p -M 24"),
        String::from("-A -t 10.0.0.1:80 -p 0"),
        String::from("-A -t 10.0.0.1:80 -p 2678401"),
        String::from("-A -t 10.0.0.1:80 -s rrr"),
        String::from("-A -t 10.0.0.1:80 -s rr -s rr"),
        String::from("-A -t 10.0.0.1:80 -s rr -b sh-port"),
        String::from("-A -t 10.0.0.1:80 -b nonsense"),
        String::from("-A -t 10.0.0.1:80 -o"),
        String::from("-A -6 -f 7"),
        String::from("-A -f 0"),
        String::from("-A -t 10.0.0.1:80 -w 1"),
        String::from("-A -t 10.0.0.1:80 -n"),
        String::from("-A -t 10.0.0.1:80 --nonsense"),
        String::from("-A -t 10.0.0.1:80 --ops=1"),
        String::from("-A -t 10.0.0.1:80 -z"),
        String::from("-A -t 10.0.0.1:80 rr"),
        String::from("-D -t 10.0.0.1:80"),
        String::from("add service"),
        String::from("ipvsadm"),
        String::from("--set 900 120"),
        format!("{service}-C"),
        format!("{service}{service}"),
        format!("{service}-a -t 10.0.0.1:81 -r 10.9.0.1"),
        format!("{service}-a -t 10.0.0.1:80"),
        format!("{server}10.9.0.1 -g -m"),
        format!("{server}10.9.0.1 -w 65536"),
        format!("{server}10.9.0.1 -x 1 -y 2"),
        format!("{server}[2001:db8::1]:80 -i"),
        format!("{server}255.255.255.255"),
        format!("{server}10.9.0.1:80\n-a -t 10.0.0.1:80 -r 10.9.0.1:81 -w 2"),
        format!("{server}10.9.0.1 --tun-type gre"),
        format!("{server}10.9.0.1 -i --tun-type gue"),
        format!("{server}10.9.0.1 -i --tun-type vxlan"),
    ];
    let text: Vec<_> = cases.iter().map(|case| error(case)).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    rules:1: you need to supply the `service-address` option for the `add-service` command
    rules:1: you need to supply the `service-address` option for the `add-service` command
    rules:1: -t: missing argument
    rules:1: `service-address` is given twice
    rules:1: `www.example.com` is a host name, which is not looked up: save the rules with `ipvsadm -S -n`
    rules:1: `80` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)
    rules:1: `nonsense` is no tcp service known here: save the rules with `ipvsadm -S -n`, which prints numbers
    rules:1: `http` is no udp service known here: save the rules with `ipvsadm -S -n`, which prints numbers
    rules:1: `80000` is no port (0 to 65535)
    rules:1: zero port specified for non-persistent service: port 0 takes every port and needs -p
    rules:1: persistence mask `255.255.255.0` does not fit IPv6 (a prefix length of 1 to 128)
    rules:1: persistence mask `24` does not fit IPv4 (255.255.255.0)
    rules:1: persistent takes 1 to 2678400, not `0`
    rules:1: persistent takes 1 to 2678400, not `2678401`
    rules:1: scheduler is one of rr, wrr, lc, wlc, lblc, lblcr, dh, sh, mh, sed, nq, fo, ovf, twos, not `rrr`
    rules:1: `-s` is given twice
    rules:1: incompatible scheduler flag `sh-port`: the scheduler is rr
    rules:1: scheduler flag is one of flag-1, flag-2, flag-3, sh-fallback, sh-port, mh-fallback, mh-port, not `nonsense`
    rules:1: one-packet scheduling is only for UDP virtual services (-u) and firewall marks (-f)
    rules:1: -6 used before -f
    rules:1: fwmark-service takes 1 to 4294967295, not `0`
    rules:1: illegal `weight` option with the `add-service` command
    rules:1: illegal `numeric` option with the `add-service` command
    rules:1: unknown option `--nonsense`
    rules:1: unknown option `--ops=1`
    rules:1: unknown option `-z`
    rules:1: unexpected argument `rr`
    rules:1: `-D` is not a command that rules may have (-A, -a, --set, and -C before all others): write the final state as `ipvsadm -S -n` does
    rules:1: `add` is not a command that rules may have (-A, -a, --set, and -C before all others): write the final state as `ipvsadm -S -n` does
    rules:1: ipvsadm: missing argument
    rules:1: not of the form --set TCP FIN UDP (--set option requires 3 timeout values)
    rules:2: `-C` would remove the services above it: it may only come first
    rules:2: service already exists: tcp:10.0.0.1:80 is given by rules:1
    rules:2: service not defined: no line before this one adds tcp:10.0.0.1:81
    rules:2: you need to supply the `real-server` option for the `add-server` command
    rules:2: `forwarding-method` is given twice
    rules:2: weight takes 0 to 65535, not `65536`
    rules:2: lower threshold 2 is above upper threshold 1
    rules:2: server 2001:db8::1 and service tcp:10.0.0.1:80 are of different address families, which IPVS allows for tunneling only and replay not at all
    rules:2: 255.255.255.255 is not a unicast address that a real server can have
    rules:3: destination already exists: service tcp:10.0.0.1:80 has server 10.9.0.1:80 from rules:2
    rules:2: tunnel options conflict: they need -i
    rules:2: tunnel options conflict: type gue needs --tun-port
    rules:2: tun-type is one of ipip, gue, gre, not `vxlan`
    ");
}

#[test]
fn what_is_no_text_is_refused_by_line() {
    let long = [b"\n# ", [b'x'; 1024].as_slice()].concat();
    for bytes in [b"# \xff".as_slice(), b"# \x1b[31m", b"\0", &long] {
        let error = Rules::parse("rules", bytes).unwrap_err().to_string();
        assert!(error.ends_with("not a line of text: rules are what `ipvsadm -S -n` prints"));
    }
}

fn addresses(family: Family) -> BoxedStrategy<Address> {
    match family {
        // 1.0.0.0 to 223.255.255.255, and 2000::/4.
        Family::Ipv4 => (0x0100_0000u32..0xe000_0000).prop_map(Address::v4).boxed(),
        Family::Ipv6 => any::<u128>()
            .prop_map(|bits| Address(bits >> 4 | 1 << 125))
            .boxed(),
    }
}

fn keys() -> impl Strategy<Value = ServiceKey> {
    let families = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    families.prop_flat_map(|family| {
        let protocols = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
        prop_oneof![
            (protocols, addresses(family), any::<u16>()).prop_map(|(protocol, address, port)| {
                ServiceKey::Address {
                    protocol,
                    address,
                    port,
                }
            }),
            (1..=u32::MAX).prop_map(move |mark| ServiceKey::Mark { family, mark }),
        ]
    })
}

fn services() -> impl Strategy<Value = (ServiceConfig, Vec<ServerConfig>)> {
    let persistence = prop::option::of((1u32..=2_678_400, any::<u32>(), 1u8..=128));
    keys().prop_flat_map(move |key| {
        let family = key.family();
        let methods = prop_oneof![
            Just(ForwardingMethod::Masquerading),
            Just(ForwardingMethod::DirectRouting),
            Just(ForwardingMethod::Tunneling),
        ];
        let servers = (addresses(family), any::<u16>(), 0u32..=65_535, methods);
        let servers = prop::collection::vec(servers, 0..6);
        (persistence.clone(), any::<bool>(), servers).prop_map(
            move |(persistence, ops, servers)| {
                let udp_or_mark = !matches!(
                    key,
                    ServiceKey::Address {
                        protocol: Protocol::Tcp,
                        ..
                    }
                );
                let zero = matches!(key, ServiceKey::Address { port: 0, .. });
                let persistence = persistence.or(zero.then_some((360, u32::MAX, 128)));
                let config = ServiceConfig {
                    key,
                    persistence: persistence.map(|(timeout_s, mask, prefix)| Persistence {
                        timeout_s,
                        netmask: match family {
                            Family::Ipv4 => Persistence::ipv4_netmask(mask),
                            Family::Ipv6 => Persistence::ipv6_prefix(prefix),
                        },
                    }),
                    one_packet: ops && udp_or_mark,
                };
                let mut list: Vec<ServerConfig> = Vec::new();
                for (address, port, weight, method) in servers {
                    let port = match key {
                        ServiceKey::Address { port, .. }
                            if method != ForwardingMethod::Masquerading =>
                        {
                            port
                        }
                        _ => port,
                    };
                    if list
                        .iter()
                        .any(|server| (server.address, server.port) == (address, port))
                    {
                        continue;
                    }
                    list.push(ServerConfig {
                        address,
                        port,
                        weight,
                        method,
                        upper_threshold: 0,
                        lower_threshold: 0,
                    });
                }
                (config, list)
            },
        )
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        services in prop::collection::vec(services(), 1..5),
        scheduler in prop::sample::select(&["rr", "wlc", "twos"][..]),
    ) {
        let mut text = String::new();
        let mut expected: Vec<(ServiceConfig, Vec<ServerConfig>)> = Vec::new();
        for (config, servers) in services {
            if expected.iter().any(|(known, _)| known.key == config.key) {
                continue;
            }
            text += &print_service(&config, scheduler, "");
            for server in &servers {
                text += &print_server(&print_key(config.key), server);
            }
            expected.push((config, servers));
        }
        let rules = parse(&text);
        let read: Vec<_> = rules
            .services
            .into_iter()
            .map(|service| (service.config, service.servers))
            .collect();
        prop_assert_eq!(read, expected);
        prop_assert!(rules.warnings.is_empty());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "([-a-zA-Z0-9 =:.\\[\\]#,/]{0,20}\n?){0,8}") {
        let _ = Rules::parse("rules", text.as_bytes());
    }
}

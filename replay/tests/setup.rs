//! What options are taken for, and what is said of those that are not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step fails the test"
)]

use equipoise_core::{Address, Endpoint, KernelProfile, Protocol, ServiceKey};
use equipoise_replay::setup::{Item, Options, Setup};
use std::fmt::Write as _;

/// Options from a command line in one string.
fn options(line: &str) -> Options {
    let mut options = Options::default();
    let mut words = line.split(' ');
    while let Some(option) = words.next() {
        let mut value = || words.next().expect("a value").to_owned();
        match option {
            "--service" => options.items.push(Item::Service(value())),
            "--mark" => options.items.push(Item::Mark(value())),
            "--server" => options.items.push(Item::Server(value())),
            "--persistent" => options.persistent = Some(value()),
            "--ops" => options.one_packet = true,
            "--timeouts" => options.timeouts = Some(value()),
            "--sysctl" => options.sysctls.push(value()),
            "--kernel" => options.kernel = Some(value()),
            "--policy" => options.policies.push(value()),
            _ => panic!("unknown option {option}"),
        }
    }
    options
}

fn with_rules(line: &str, rules: &str) -> Options {
    let mut options = if line.is_empty() {
        Options::default()
    } else {
        options(line)
    };
    options.rules = Some(("rules".to_owned(), rules.as_bytes().to_vec()));
    options
}

/// A set-up in a few lines, or the error.
fn show(options: &Options) -> String {
    let setup = match Setup::assemble(options) {
        Ok(setup) => setup,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut text = String::new();
    for service in &setup.services {
        write!(text, "{}", service.config.key).unwrap();
        if let Some(persistence) = service.config.persistence {
            let mask = persistence.netmask.count_zeros();
            write!(text, " persistent {} (-{mask} bits)", persistence.timeout_s).unwrap();
        }
        if service.config.one_packet {
            text.push_str(" ops");
        }
        if let Some(scheduler) = &service.scheduler {
            write!(text, " {}", scheduler.name).unwrap();
            for parameter in &scheduler.parameters {
                write!(text, " {}={}", parameter.key, parameter.value).unwrap();
            }
        }
        writeln!(text, " from {}", service.origin).unwrap();
        for server in &service.servers {
            let endpoint = Endpoint {
                address: server.address,
                port: server.port,
            };
            writeln!(
                text,
                "  {endpoint} {:?} weight {} thresholds {} {}",
                server.method, server.weight, server.upper_threshold, server.lower_threshold
            )
            .unwrap();
        }
    }
    for warning in &setup.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    text
}

fn errors(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let error = Setup::assemble(&options(line)).expect_err(line);
        writeln!(text, "{error}").unwrap();
    }
    text
}

#[test]
fn servers_belong_to_the_service_before_them() {
    insta::assert_snapshot!(show(&options(
        "--server 10.9.0.9:80,weight=2 --service 10.0.0.1:80 --server 10.9.0.1:8080 \
         --server 10.9.0.2,method=masq,upper=10,lower=8 --service udp:10.0.0.1:53 --server 10.9.0.3:53,weight=0"
    )), @r"
    tcp:10.0.0.1:80 from --service 10.0.0.1:80
      10.9.0.9:80 Masquerading weight 2 thresholds 0 0
      10.9.0.1:8080 Masquerading weight 1 thresholds 0 0
      10.9.0.2:80 Masquerading weight 1 thresholds 10 8
    udp:10.0.0.1:53 from --service udp:10.0.0.1:53
      10.9.0.9:80 Masquerading weight 2 thresholds 0 0
      10.9.0.3:53 Masquerading weight 0 thresholds 0 0
    ");
}

#[test]
fn services_without_server_get_four() {
    insta::assert_snapshot!(show(&options(
        "--service 10.0.0.1:80 --service udp:[2001:db8::1]:53 --mark 7=tcp:10.0.0.1:* --mark 0x7=udp:[2001:db8::]/64:1-5"
    )), @r"
    tcp:10.0.0.1:80 from --service 10.0.0.1:80
      10.1.0.1:80 Masquerading weight 1 thresholds 0 0
      10.1.0.2:80 Masquerading weight 1 thresholds 0 0
      10.1.0.3:80 Masquerading weight 1 thresholds 0 0
      10.1.0.4:80 Masquerading weight 1 thresholds 0 0
    udp:[2001:db8::1]:53 from --service udp:[2001:db8::1]:53
      [fd00:1::a01:1]:53 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:2]:53 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:3]:53 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:4]:53 Masquerading weight 1 thresholds 0 0
    mark 7 from --mark 7=tcp:10.0.0.1:*
      10.1.0.1:0 Masquerading weight 1 thresholds 0 0
      10.1.0.2:0 Masquerading weight 1 thresholds 0 0
      10.1.0.3:0 Masquerading weight 1 thresholds 0 0
      10.1.0.4:0 Masquerading weight 1 thresholds 0 0
    mark 7 (ipv6) from --mark 0x7=udp:[2001:db8::]/64:1-5
      [fd00:1::a01:1]:0 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:2]:0 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:3]:0 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:4]:0 Masquerading weight 1 thresholds 0 0
    ");
}

#[test]
fn direct_routing_and_tunneling_keep_the_services_port() {
    insta::assert_snapshot!(show(&options(
        "--service 10.0.0.1:80 --server 10.9.0.1:8080,method=dr --server 10.9.0.2:80,method=tun \
         --server 10.9.0.3,method=gatewaying --mark 1=tcp:10.0.0.9:80 --server 10.9.0.1:8080,method=ipip"
    )), @r"
    tcp:10.0.0.1:80 from --service 10.0.0.1:80
      10.9.0.1:80 DirectRouting weight 1 thresholds 0 0
      10.9.0.2:80 Tunneling weight 1 thresholds 0 0
      10.9.0.3:80 DirectRouting weight 1 thresholds 0 0
    mark 1 from --mark 1=tcp:10.0.0.9:80
      10.9.0.1:8080 Tunneling weight 1 thresholds 0 0
    warning: --server 10.9.0.1:8080,method=dr: server 10.9.0.1:8080 gets port 80 of the service, as direct routing and tunneling do not change ports
    ");
}

#[test]
fn persistence_and_one_packet_apply_to_what_options_give() {
    insta::assert_snapshot!(show(&options(
        "--persistent 300/24 --ops --service 10.0.0.1:0 --service udp:10.0.0.1 --service [2001:db8::1]:80"
    )), @r"
    tcp:10.0.0.1:0 persistent 300 (-8 bits) from --service 10.0.0.1:0
      10.1.0.1:0 Masquerading weight 1 thresholds 0 0
      10.1.0.2:0 Masquerading weight 1 thresholds 0 0
      10.1.0.3:0 Masquerading weight 1 thresholds 0 0
      10.1.0.4:0 Masquerading weight 1 thresholds 0 0
    udp:10.0.0.1:0 persistent 300 (-8 bits) ops from --service udp:10.0.0.1
      10.1.0.1:0 Masquerading weight 1 thresholds 0 0
      10.1.0.2:0 Masquerading weight 1 thresholds 0 0
      10.1.0.3:0 Masquerading weight 1 thresholds 0 0
      10.1.0.4:0 Masquerading weight 1 thresholds 0 0
    tcp:[2001:db8::1]:80 persistent 300 (-104 bits) from --service [2001:db8::1]:80
      [fd00:1::a01:1]:80 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:2]:80 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:3]:80 Masquerading weight 1 thresholds 0 0
      [fd00:1::a01:4]:80 Masquerading weight 1 thresholds 0 0
    ");
    insta::assert_snapshot!(show(&options("--ops --service 10.0.0.1:80 --server 10.9.0.1")), @r"
    tcp:10.0.0.1:80 from --service 10.0.0.1:80
      10.9.0.1:80 Masquerading weight 1 thresholds 0 0
    warning: --ops has no effect: one-packet scheduling is only for UDP and mark services given by options
    ");
}

#[test]
fn the_traces_endpoint_takes_what_options_say_of_all() {
    let endpoint = Endpoint {
        address: Address::v4(0x0a00_0001),
        port: 443,
    };
    let mut setup = Setup::assemble(&options("--server 10.9.0.1:443 --persistent 60")).unwrap();
    assert!(setup.wants_automatic() && setup.services.is_empty());
    setup.add_automatic(Protocol::Tcp, endpoint).unwrap();
    assert!(!setup.wants_automatic());
    let service = &setup.services[0];
    assert_eq!(service.origin.to_string(), "automatic");
    assert_eq!(service.config.persistence.unwrap().timeout_s, 60);
    assert_eq!(service.servers.len(), 1);

    let mut setup = Setup::assemble(&Options::default()).unwrap();
    setup.add_automatic(Protocol::Tcp, endpoint).unwrap();
    let ports: Vec<_> = setup.services[0].servers.iter().map(|s| s.port).collect();
    assert_eq!(ports, [443; 4]);

    let mut setup = Setup::assemble(&options("--server [2001:db8::9]:443")).unwrap();
    let error = setup.add_automatic(Protocol::Tcp, endpoint).unwrap_err();
    insta::assert_snapshot!(error, @r"--server [2001:db8::9]:443: server 2001:db8::9 and service tcp:10.0.0.1:443 are of different address families, which IPVS allows for tunneling only and replay not at all");
}

#[test]
fn malformed_services_and_servers() {
    insta::assert_snapshot!(errors(&[
        "--service www.example.com:80",
        "--service 10.0.0.1:http",
        "--service 10.0.0.1:65536",
        "--service 10.0.0.1:0",
        "--service udp:[2001:db8::1]",
        "--service [::ffff:10.0.0.1]:80",
        "--service sctp:10.0.0.1:80",
        "--service 80",
        "--service [2001:db8::1",
        "--service 10.0.0.1:80 --service tcp:10.0.0.1:80",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,weigth=2",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,weight=65536",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,weight=-1",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,weight",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,weight=1,weight=1",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,method=fullnat",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,upper=2147483648",
        "--service 10.0.0.1:80 --server 10.9.0.1:80,lower=1",
        "--service 10.0.0.1:80 --server 10.9.0.1:80 --server 10.9.0.1,weight=3",
        "--service 10.0.0.1:80 --server 10.9.0.1:8080,method=dr --server 10.9.0.1:81,method=dr",
        "--server 10.9.0.1:80 --service 10.0.0.1:80 --server 10.9.0.1:80",
        "--service 10.0.0.1:80 --server [2001:db8::9]:80,method=tun",
        "--service 10.0.0.1:80 --server 224.0.0.1:80",
        "--service [2001:db8::1]:80 --server [fe80::1]:80",
        "--server nonsense",
    ]), @r"
    --service www.example.com:80: `www.example.com` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)
    --service 10.0.0.1:http: `http` is no port (0 to 65535)
    --service 10.0.0.1:65536: `65536` is no port (0 to 65535)
    --service 10.0.0.1:0: zero port specified for non-persistent service: port 0 takes every port and needs --persistent
    --service udp:[2001:db8::1]: zero port specified for non-persistent service: port 0 takes every port and needs --persistent
    --service [::ffff:10.0.0.1]:80: `::ffff:10.0.0.1` never stands in an IPv6 packet: write 10.0.0.1
    --service sctp:10.0.0.1:80: sctp is not replayed (tcp and udp are)
    --service 80: `80` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)
    --service [2001:db8::1: `[2001:db8::1` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)
    --service tcp:10.0.0.1:80: service already exists: tcp:10.0.0.1:80 is given by --service 10.0.0.1:80
    --server 10.9.0.1:80,weigth=2: unknown key `weigth` (weight, method, upper, lower)
    --server 10.9.0.1:80,weight=65536: weight takes 0 to 65535, not `65536`
    --server 10.9.0.1:80,weight=-1: weight takes 0 to 65535, not `-1`
    --server 10.9.0.1:80,weight: `weight` needs a value, as in weight=1,method=nat,upper=0,lower=0
    --server 10.9.0.1:80,weight=1,weight=1: `weight` is given twice
    --server 10.9.0.1:80,method=fullnat: method is one of nat (masq), dr (gatewaying), tun (ipip), not `fullnat`
    --server 10.9.0.1:80,upper=2147483648: upper takes 0 to 2147483647, not `2147483648`
    --server 10.9.0.1:80,lower=1: lower threshold 1 is above upper threshold 0
    --server 10.9.0.1,weight=3: destination already exists: service tcp:10.0.0.1:80 has server 10.9.0.1:80 from --server 10.9.0.1:80
    --server 10.9.0.1:81,method=dr: destination already exists: service tcp:10.0.0.1:80 has server 10.9.0.1:80 from --server 10.9.0.1:8080,method=dr
    --server 10.9.0.1:80: destination already exists: service tcp:10.0.0.1:80 has server 10.9.0.1:80 from --server 10.9.0.1:80
    --server [2001:db8::9]:80,method=tun: server 2001:db8::9 and service tcp:10.0.0.1:80 are of different address families, which IPVS allows for tunneling only and replay not at all
    --server 224.0.0.1:80: 224.0.0.1 is not a unicast address that a real server can have
    --server [fe80::1]:80: fe80::1 is not a unicast address that a real server can have
    --server nonsense: `nonsense` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)
    ");
}

#[test]
fn malformed_marks() {
    insta::assert_snapshot!(errors(&[
        "--mark 7",
        "--mark 0=tcp:10.0.0.1:80",
        "--mark 0x0=tcp:10.0.0.1:80",
        "--mark 4294967296=tcp:10.0.0.1:80",
        "--mark 7=icmp:10.0.0.1:80",
        "--mark 7=sctp:10.0.0.1:80",
        "--mark 7=tcp:10.0.0.1",
        "--mark 7=tcp:10.0.0.1/33:80",
        "--mark 7=tcp:2001:db8::1:80",
        "--mark 7=tcp:10.0.0.1:80,",
        "--mark 7=tcp:10.0.0.1:90-80",
        "--mark 7=tcp:[10.0.0.1:80",
    ]), @r"
    --mark 7: not of the form N=PROTO:ADDR[/LEN]:PORTS (7=tcp:10.0.0.1:80,443 7=udp:[2001:db8::]/64:8000-8100 8=tcp:10.0.0.0/8:*)
    --mark 0=tcp:10.0.0.1:80: mark takes 1 to 4294967295, not `0`
    --mark 0x0=tcp:10.0.0.1:80: mark takes 1 to 4294967295, not `0x0`
    --mark 4294967296=tcp:10.0.0.1:80: mark takes 1 to 4294967295, not `4294967296`
    --mark 7=icmp:10.0.0.1:80: protocol is one of tcp, udp, not `icmp`
    --mark 7=sctp:10.0.0.1:80: sctp is not replayed (tcp and udp are)
    --mark 7=tcp:10.0.0.1: not of the form N=PROTO:ADDR[/LEN]:PORTS (7=tcp:10.0.0.1:80,443 7=udp:[2001:db8::]/64:8000-8100 8=tcp:10.0.0.0/8:*)
    --mark 7=tcp:10.0.0.1/33:80: prefix length takes 0 to 32, not `33`
    --mark 7=tcp:2001:db8::1:80: not of the form N=PROTO:ADDR[/LEN]:PORTS (7=tcp:10.0.0.1:80,443 7=udp:[2001:db8::]/64:8000-8100 8=tcp:10.0.0.0/8:*)
    --mark 7=tcp:10.0.0.1:80,: `` is no port (0 to 65535)
    --mark 7=tcp:10.0.0.1:90-80: last port of a range takes 90 to 65535, not `80`
    --mark 7=tcp:[10.0.0.1:80: `[10.0.0.1` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)
    ");
}

#[test]
fn malformed_settings() {
    insta::assert_snapshot!(errors(&[
        "--persistent 0 --service 10.0.0.1:80",
        "--persistent 2678401 --service 10.0.0.1:80",
        "--persistent 300/33 --service 10.0.0.1:80",
        "--persistent 300/129 --service 10.0.0.1:80",
        "--persistent 300/255.255.255.0 --service [2001:db8::1]:80",
        "--persistent 300/0 --service [2001:db8::1]:80",
        "--timeouts 900,120",
        "--timeouts 900,120,2678401",
        "--sysctl conn_reuse_mode",
        "--sysctl net.ipv4.vs.sloppy_tcp=yes",
        "--sysctl net.ipv4.vs.drop_entry=1",
        "--sysctl net.ipv4.vs.nonsense=1",
        "--kernel 6.1",
        "--policy rr:",
        "--policy ./rr",
        "--policy rr:a=1,a=2",
        "--policy rr:a/b=1",
        "--policy p.wasm:=1",
    ]), @r"
    --persistent 0: persistence takes 1 to 2678400, not `0`
    --persistent 2678401: persistence takes 1 to 2678400, not `2678401`
    --persistent 300/33: persistence mask `33` does not fit IPv4 (255.255.255.0, or a prefix length of 0 to 32)
    --persistent 300/129: persistence mask `129` does not fit IPv4 (255.255.255.0, or a prefix length of 0 to 32)
    --persistent 300/255.255.255.0: persistence mask `255.255.255.0` does not fit IPv6 (a prefix length of 1 to 128)
    --persistent 300/0: persistence mask `0` does not fit IPv6 (a prefix length of 1 to 128)
    --timeouts 900,120: not of the form TCP,FIN,UDP in seconds (900,120,300; 0 keeps the default)
    --timeouts 900,120,2678401: timeout takes 0 to 2678400, not `2678401`
    --sysctl conn_reuse_mode: not of the form NAME=VALUE (conn_reuse_mode=0)
    --sysctl net.ipv4.vs.sloppy_tcp=yes: sloppy_tcp takes 0 to 2147483647, not `yes`
    --sysctl net.ipv4.vs.drop_entry=1: sysctl drop_entry has no effect in replay; these have: conn_reuse_mode, expire_nodest_conn, expire_quiescent_template, sloppy_tcp, lblc_expiration, lblcr_expiration, ip_unprivileged_port_start
    --sysctl net.ipv4.vs.nonsense=1: unknown sysctl `net.ipv4.vs.nonsense`; these are known: conn_reuse_mode, expire_nodest_conn, expire_quiescent_template, sloppy_tcp, lblc_expiration, lblcr_expiration, ip_unprivileged_port_start
    --kernel 6.1: kernel is one of classic, current, not `6.1`
    --policy `rr:`: not of the form NAME or FILE.wasm, then optionally :key=value,key,…
    --policy ./rr: not of the form NAME or FILE.wasm, then optionally :key=value,key,…
    --policy rr:a=1,a=2: `a` is given twice
    --policy rr:a/b=1: not of the form NAME or FILE.wasm, then optionally :key=value,key,…
    --policy p.wasm:=1: not of the form NAME or FILE.wasm, then optionally :key=value,key,…
    ");
}

#[test]
fn settings() {
    let setup = Setup::assemble(&options(
        "--timeouts 0,60,0 --sysctl net.ipv4.vs.conn_reuse_mode=0 --sysctl sloppy_tcp=2 \
         --sysctl lblc_expiration=60 --sysctl net.ipv4.ip_unprivileged_port_start=80 --kernel classic",
    ))
    .unwrap();
    assert_eq!(setup.kernel, KernelProfile::Classic);
    let timeouts = setup.timeouts;
    let seconds = [timeouts.tcp_s, timeouts.tcp_fin_s, timeouts.udp_s];
    assert_eq!(seconds, [900, 60, 300]);
    let switches = setup.switches;
    assert_eq!(switches.sysctls.conn_reuse_mode, 0);
    assert!(switches.sysctls.sloppy_tcp && !switches.sysctls.expire_nodest_conn);
    assert_eq!(switches.sysctls.unprivileged_port_start, 80);
    assert_eq!(switches.lblc_expiration_s, Some(60));
    assert_eq!(switches.lblcr_expiration_s, None);
}

#[test]
fn policies_by_name_and_by_file() {
    let show = |text: &str| {
        let setup = Setup::assemble(&options(&format!("--policy {text}"))).unwrap();
        let policy = &setup.policies[0];
        let parameters = policy.parameters.iter();
        let parameters: Vec<_> = parameters
            .map(|p| format!("{}={}", p.key, p.value))
            .collect();
        format!("{:?} with [{}]", policy.source, parameters.join(" "))
    };
    let shown: Vec<_> = [
        "rr",
        "sh:sh-port,sh-fallback=false",
        "mh:url=http://10.0.0.1:80/a=b",
        "p.wasm",
        "./a:b/p.wasm:size=251,fast",
        "C:\\p.wasm",
        "x.wasm:/p.wasm:k=v.wasm",
        "p.wasm:k=v.wasm",
    ]
    .into_iter()
    .map(show)
    .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    Name("rr") with []
    Name("sh") with [sh-port=true sh-fallback=false]
    Name("mh") with [url=http://10.0.0.1:80/a=b]
    File("p.wasm") with []
    File("./a:b/p.wasm") with [size=251 fast=true]
    File("C:\\p.wasm") with []
    File("x.wasm:/p.wasm") with [k=v.wasm]
    File("p.wasm") with [k=v.wasm]
    "#);
}

#[test]
fn the_last_mark_rule_that_matches_marks() {
    let setup = Setup::assemble(&options(
        "--mark 1=tcp:10.0.0.0/8:* --mark 2=tcp:10.0.0.1:80,8000-8100 --mark 3=udp:0.0.0.0/0:53 \
         --mark 4=tcp:[::]/0:80 --mark 5=tcp:[2001:db8::ff]/64:443",
    ))
    .unwrap();
    let mark = |protocol, address: &str, port| {
        let address: std::net::IpAddr = address.parse().unwrap();
        setup.marks.mark(protocol, address.into(), port)
    };
    assert_eq!(mark(Protocol::Tcp, "10.0.0.1", 80), 2);
    assert_eq!(mark(Protocol::Tcp, "10.0.0.1", 8100), 2);
    assert_eq!(mark(Protocol::Tcp, "10.0.0.1", 8101), 1);
    assert_eq!(mark(Protocol::Tcp, "10.255.0.1", 80), 1);
    assert_eq!(mark(Protocol::Tcp, "11.0.0.1", 80), 0);
    assert_eq!(mark(Protocol::Udp, "10.0.0.1", 80), 0);
    assert_eq!(mark(Protocol::Udp, "8.8.8.8", 53), 3);
    assert_eq!(mark(Protocol::Udp, "2001:db8::1", 53), 0);
    assert_eq!(mark(Protocol::Tcp, "2001:db9::1", 80), 4);
    assert_eq!(mark(Protocol::Tcp, "2001:db8::1", 443), 5);
    assert_eq!(mark(Protocol::Tcp, "2001:db8:0:1::1", 443), 0);
    assert_eq!(setup.services.len(), 5);
    let family = |service: usize| match setup.services[service].config.key {
        ServiceKey::Mark { family, mark } => format!("{family:?} {mark}"),
        ServiceKey::Address { .. } => "an address".to_owned(),
    };
    assert_eq!([family(2), family(3)], ["Ipv4 3", "Ipv6 4"]);
}

#[test]
fn rules_and_options_together() {
    insta::assert_snapshot!(show(&with_rules(
        "--persistent 60 --service 10.0.0.1:443 --mark 7=tcp:10.0.0.3:*",
        "-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.9.0.1:80 -m\n-A -f 7 -s rr\n-A -f 7 -6 -s rr\n--set 60 0 0\n",
    )), @r"
    tcp:10.0.0.1:80 wrr from rules:1
      10.9.0.1:80 Masquerading weight 1 thresholds 0 0
    mark 7 rr from rules:3
    mark 7 (ipv6) rr from rules:4
    tcp:10.0.0.1:443 persistent 60 (-0 bits) from --service 10.0.0.1:443
      10.1.0.1:443 Masquerading weight 1 thresholds 0 0
      10.1.0.2:443 Masquerading weight 1 thresholds 0 0
      10.1.0.3:443 Masquerading weight 1 thresholds 0 0
      10.1.0.4:443 Masquerading weight 1 thresholds 0 0
    warning: rules:3: service mark 7 has no server: all its connections are refused
    warning: rules:4: service mark 7 (ipv6) has no server: all its connections are refused
    warning: rules:4: no --mark sets mark 7 on IPv6 packets, so none reaches the service
    ");
    let mut text = String::new();
    for line in [
        "--service 10.0.0.1:80",
        "--server 10.9.0.2:80",
        "--mark 7=tcp:10.0.0.3:* --server 10.9.0.2:80",
    ] {
        text += &show(&with_rules(line, "-A -t 10.0.0.1:80\n-A -f 7\n"));
    }
    text += &show(&with_rules("", "# nothing\n"));
    text += &show(&with_rules("--persistent 60 --ops", "-A -t 10.0.0.1:80\n"));
    insta::assert_snapshot!(text, @r"
    error: --service 10.0.0.1:80: service already exists: tcp:10.0.0.1:80 is given by rules:1
    error: --server 10.9.0.2:80: belongs to no service: servers of the services in the rules are added there (-a)
    error: --server 10.9.0.2:80: belongs to no service: servers of the services in the rules are added there (-a)
    error: rules: no service that can be replayed (a service is a line such as `-A -t 10.0.0.1:80 -s wlc`)
    tcp:10.0.0.1:80 wlc from rules:1
    warning: rules:1: service tcp:10.0.0.1:80 has no server: all its connections are refused
    warning: --ops has no effect: one-packet scheduling is only for UDP and mark services given by options
    warning: --persistent has no effect: services in the rules have their persistence there (-p)
    ");
}

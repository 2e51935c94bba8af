//! What can be wrong with what the user wrote, and what is worth a word though it is accepted.

use std::borrow::Cow;

use equipoise_core::{Address, Endpoint, Family, Protocol, ServiceKey};

/// A set-up that cannot be used: where the text stands, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// In the value of an option.
    #[error("{option} {}: {problem}", set_off(text))]
    Option {
        /// The option as on the command line, `--service`.
        option: &'static str,
        /// Its value.
        text: String,
        /// What is wrong.
        #[source]
        problem: Box<Problem>,
    },
    /// In a line of a rules file.
    #[error("{file}:{line}: {problem}")]
    Rule {
        /// The file as the user named it.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        #[source]
        problem: Box<Problem>,
    },
    /// A rules file from which nothing is left to replay.
    #[error(
        "{file}: no service that can be replayed (a service is a line such as `-A -t 10.0.0.1:80 -s wlc`)"
    )]
    NoService {
        /// The file as the user named it.
        file: String,
    },
}

/// What is wrong, without where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Neither IPv4 nor IPv6.
    #[error("`{word}` is no address (10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80)")]
    NotAnAddress {
        /// What stands there.
        word: String,
    },
    /// A host name in a rule.
    #[error("`{word}` is a host name, which is not looked up: save the rules with `ipvsadm -S -n`")]
    HostName {
        /// What stands there.
        word: String,
    },
    /// An IPv4 address in IPv6 clothes.
    #[error("`{word}` never stands in an IPv6 packet: write {address}")]
    MappedAddress {
        /// What stands there.
        word: String,
        /// The IPv4 address in it.
        address: Address,
    },
    /// A port that is neither a number nor a known name.
    #[error("`{word}` is no port (0 to 65535)")]
    NotAPort {
        /// What stands there.
        word: String,
    },
    /// A service name that the table does not have.
    #[error(
        "`{word}` is no {protocol} service known here: save the rules with `ipvsadm -S -n`, which prints numbers"
    )]
    UnknownServiceName {
        /// What stands there.
        word: String,
        /// The service's protocol.
        protocol: Protocol,
    },
    /// A number out of range, or none at all.
    #[error("{what} takes {minimum} to {maximum}, not `{word}`")]
    OutOfRange {
        /// Name of the value.
        what: &'static str,
        /// What stands there.
        word: String,
        /// Least accepted.
        minimum: u64,
        /// Greatest accepted.
        maximum: u64,
    },
    /// SCTP.
    #[error("sctp is not replayed (tcp and udp are)")]
    Sctp,
    /// Port 0 without persistence.
    #[error(
        "zero port specified for non-persistent service: port 0 takes every port and needs {needs}"
    )]
    ZeroPort {
        /// What would make it valid.
        needs: &'static str,
    },
    /// A `key=value` whose key means nothing.
    #[error("unknown key `{word}` ({known})")]
    UnknownKey {
        /// What stands there.
        word: String,
        /// The keys there are.
        known: &'static str,
    },
    /// One of a fixed set of words was expected.
    #[error("{what} is one of {known}, not `{word}`")]
    UnknownWord {
        /// Name of the value.
        what: &'static str,
        /// What stands there.
        word: String,
        /// The words there are.
        known: &'static str,
    },
    /// Something given twice where once is enough.
    #[error("`{word}` is given twice")]
    Twice {
        /// What is repeated.
        word: String,
    },
    /// A key that stands without value.
    #[error("`{word}` needs a value, as in {example}")]
    MissingValue {
        /// What stands there.
        word: String,
        /// How it looks with one.
        example: &'static str,
    },
    /// Not of the form that the option takes.
    #[error("not of the form {form}")]
    Form {
        /// The form.
        form: &'static str,
    },
    /// Thresholds the wrong way round (the kernel's ERANGE).
    #[error("lower threshold {lower} is above upper threshold {upper}")]
    Thresholds {
        /// Lower threshold.
        lower: u32,
        /// Upper threshold.
        upper: u32,
    },
    /// A server of the other family.
    #[error(
        "server {server} and service {service} are of different address families, which IPVS allows for tunneling only and replay not at all"
    )]
    FamilyMismatch {
        /// The server.
        server: Address,
        /// The service.
        service: ServiceKey,
    },
    /// An address that no machine has (the kernel's EINVAL).
    #[error("{address} is not a unicast address that a real server can have")]
    NotUnicast {
        /// The address.
        address: Address,
    },
    /// Two servers alike (the kernel's EEXIST).
    #[error("destination already exists: service {service} has server {server} from {first}")]
    ServersAlike {
        /// The service.
        service: ServiceKey,
        /// The server, with the port that it ends up with.
        server: Endpoint,
        /// Where it was given first.
        first: String,
    },
    /// Two services alike (the kernel's EEXIST).
    #[error("service already exists: {service} is given by {first}")]
    ServicesAlike {
        /// The service.
        service: ServiceKey,
        /// Where it was given first.
        first: String,
    },
    /// A server line for a service that no line defines (the kernel's ESRCH).
    #[error("service not defined: no line before this one adds {service}")]
    NoSuchService {
        /// The service.
        service: ServiceKey,
    },
    /// A `--server` where rules decide.
    #[error("belongs to no service: servers of the services in the rules are added there (-a)")]
    ServerWithoutService,
    /// A persistence mask of the wrong kind.
    #[error("persistence mask `{word}` does not fit {family} ({forms})")]
    Mask {
        /// What stands there.
        word: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What is accepted.
        forms: &'static str,
    },
    /// A kernel switch that changes nothing here.
    #[error("sysctl {name} has no effect in replay; these have: {known}")]
    SysctlWithoutEffect {
        /// Its name without prefix.
        name: String,
        /// Those that have one.
        known: String,
    },
    /// No such kernel switch.
    #[error("unknown sysctl `{name}`; these are known: {known}")]
    UnknownSysctl {
        /// What stands there.
        name: String,
        /// Those that have an effect.
        known: String,
    },
    /// A rule line whose first word is no command.
    #[error(
        "`{word}` is not a command that rules may have (-A, -a, --set, and -C before all others): write the final state as `ipvsadm -S -n` does"
    )]
    Command {
        /// What stands there.
        word: String,
    },
    /// `-C` after something was defined.
    #[error("`{word}` would remove the services above it: it may only come first")]
    ClearTooLate {
        /// What stands there.
        word: String,
    },
    /// An option that ipvsadm does not have.
    #[error("unknown option `{word}`")]
    UnknownOption {
        /// What stands there.
        word: String,
    },
    /// An option that this command does not take.
    #[error("illegal `{option}` option with the `{command}` command")]
    IllegalOption {
        /// The option's long name.
        option: &'static str,
        /// The command's long name.
        command: &'static str,
    },
    /// An option that this command needs.
    #[error("you need to supply the `{option}` option for the `{command}` command")]
    MissingOption {
        /// The option's name.
        option: &'static str,
        /// The command's long name.
        command: &'static str,
    },
    /// An option without the value it needs.
    #[error("{word}: missing argument")]
    MissingArgument {
        /// What stands there.
        word: String,
    },
    /// A word that is neither an option nor a value.
    #[error("unexpected argument `{word}`")]
    UnexpectedArgument {
        /// What stands there.
        word: String,
    },
    /// `-o` on a TCP service.
    #[error("one-packet scheduling is only for UDP virtual services (-u) and firewall marks (-f)")]
    OnePacket,
    /// `-6` without `-f` before it.
    #[error("-6 used before -f")]
    Ipv6BeforeMark,
    /// A scheduler flag of another scheduler.
    #[error("incompatible scheduler flag `{flag}`: the scheduler is {scheduler}")]
    SchedulerFlag {
        /// The flag.
        flag: String,
        /// The service's scheduler.
        scheduler: String,
    },
    /// Tunnel options that contradict each other or the method.
    #[error("tunnel options conflict: {reason}")]
    Tunnel {
        /// What contradicts what.
        reason: &'static str,
    },
    /// Bytes that are no line of text: invalid UTF-8, control characters, or too many.
    #[error("not a line of text: rules are what `ipvsadm -S -n` prints")]
    NotText,
}

/// Accepted, but worth a word to the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A service and its servers left out.
    #[error("{place}: {what} not replayed: service {service} and its servers are left out")]
    ServiceSkipped {
        /// Where it stands.
        place: String,
        /// Its address as written.
        service: String,
        /// What is not, with its verb.
        what: String,
    },
    /// A port changed as ipvsadm changes it.
    #[error(
        "{place}: server {server} gets port {port} of the service, as direct routing and tunneling do not change ports"
    )]
    PortForced {
        /// Where it stands.
        place: String,
        /// The server as given.
        server: Endpoint,
        /// The port it gets.
        port: u16,
    },
    /// A netmask that ipvsadm loses.
    #[error("{place}: -M before an IPv6 service has no effect in ipvsadm: the netmask is 128")]
    NetmaskReset {
        /// Where it stands.
        place: String,
    },
    /// A mark service that no packet can reach.
    #[error("{place}: no --mark sets mark {mark} on {} packets, so none reaches the service", family_name(*family))]
    MarkNeverSet {
        /// Where the service stands.
        place: String,
        /// The mark.
        mark: u32,
        /// Family of the service.
        family: Family,
    },
    /// A service without any server.
    #[error("{place}: service {service} has no server: all its connections are refused")]
    NoServer {
        /// Where it stands.
        place: String,
        /// The service.
        service: ServiceKey,
    },
    /// An option that concerns none of the services.
    #[error("{option} has no effect: {reason}")]
    WithoutEffect {
        /// The option.
        option: &'static str,
        /// Why not.
        reason: &'static str,
    },
}

impl Problem {
    /// The error for the value `text` of `option`.
    pub(crate) fn at_option(self, option: &'static str, text: &str) -> SetupError {
        SetupError::Option {
            option,
            text: text.to_owned(),
            problem: Box::new(self),
        }
    }
}

/// A text that would run into the colon behind it is quoted.
fn set_off(text: &str) -> Cow<'_, str> {
    if text.ends_with(':') {
        format!("`{text}`").into()
    } else {
        text.into()
    }
}

/// `IPv4`, `IPv6`.
pub(crate) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

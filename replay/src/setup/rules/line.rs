//! One line of a rules file into a command and its options, as ipvsadm's command line is read.
//!
//! Values are words here; what they mean is for the commands.

use crate::setup::Problem;

/// What a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    AddService,
    AddServer,
    Clear,
    SetTimeouts,
}

impl Command {
    /// Its long name, as in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddService => "add-service",
            Self::AddServer => "add-server",
            Self::Clear => "clear",
            Self::SetTimeouts => "set",
        }
    }
}

/// An option of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Tcp,
    Udp,
    Sctp,
    Mark,
    Ipv6,
    Scheduler,
    Persistent,
    Netmask,
    Engine,
    SchedulerFlags,
    OnePacket,
    Server,
    Direct,
    Tunnel,
    Masquerade,
    Weight,
    Upper,
    Lower,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    Numeric,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// A value unless the next word begins with a dash.
    Optional,
}

/// Commands that take an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Both,
    Service,
    Server,
    Neither,
}

struct Spec {
    key: Key,
    short: Option<char>,
    long: &'static str,
    takes: Takes,
    command: For,
}

const fn spec(
    key: Key,
    short: Option<char>,
    long: &'static str,
    takes: Takes,
    command: For,
) -> Spec {
    Spec {
        key,
        short,
        long,
        takes,
        command,
    }
}

const OPTIONS: [Spec; 24] = [
    spec(Key::Tcp, Some('t'), "tcp-service", Takes::Value, For::Both),
    spec(Key::Udp, Some('u'), "udp-service", Takes::Value, For::Both),
    spec(Key::Sctp, None, "sctp-service", Takes::Value, For::Both),
    spec(
        Key::Mark,
        Some('f'),
        "fwmark-service",
        Takes::Value,
        For::Both,
    ),
    spec(Key::Ipv6, Some('6'), "ipv6", Takes::Nothing, For::Both),
    spec(
        Key::Scheduler,
        Some('s'),
        "scheduler",
        Takes::Value,
        For::Service,
    ),
    spec(
        Key::Persistent,
        Some('p'),
        "persistent",
        Takes::Optional,
        For::Service,
    ),
    spec(
        Key::Netmask,
        Some('M'),
        "netmask",
        Takes::Value,
        For::Service,
    ),
    spec(Key::Engine, None, "pe", Takes::Value, For::Service),
    spec(
        Key::SchedulerFlags,
        Some('b'),
        "sched-flags",
        Takes::Value,
        For::Service,
    ),
    spec(
        Key::OnePacket,
        Some('o'),
        "ops",
        Takes::Nothing,
        For::Service,
    ),
    spec(
        Key::Server,
        Some('r'),
        "real-server",
        Takes::Value,
        For::Server,
    ),
    spec(
        Key::Direct,
        Some('g'),
        "gatewaying",
        Takes::Nothing,
        For::Server,
    ),
    spec(Key::Tunnel, Some('i'), "ipip", Takes::Nothing, For::Server),
    spec(
        Key::Masquerade,
        Some('m'),
        "masquerading",
        Takes::Nothing,
        For::Server,
    ),
    spec(Key::Weight, Some('w'), "weight", Takes::Value, For::Server),
    spec(
        Key::Upper,
        Some('x'),
        "u-threshold",
        Takes::Value,
        For::Server,
    ),
    spec(
        Key::Lower,
        Some('y'),
        "l-threshold",
        Takes::Value,
        For::Server,
    ),
    spec(Key::TunnelType, None, "tun-type", Takes::Value, For::Server),
    spec(Key::TunnelPort, None, "tun-port", Takes::Value, For::Server),
    spec(
        Key::TunnelNoChecksum,
        None,
        "tun-nocsum",
        Takes::Nothing,
        For::Server,
    ),
    spec(
        Key::TunnelChecksum,
        None,
        "tun-csum",
        Takes::Nothing,
        For::Server,
    ),
    spec(
        Key::TunnelRemoteChecksum,
        None,
        "tun-remcsum",
        Takes::Nothing,
        For::Server,
    ),
    spec(
        Key::Numeric,
        Some('n'),
        "numeric",
        Takes::Nothing,
        For::Neither,
    ),
];

/// A line taken apart.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) command: Command,
    /// In the order of the line; no key twice.
    options: Vec<(Key, Option<&'a str>)>,
    /// Words that are no option's value, `--set` has three.
    pub(super) arguments: Vec<&'a str>,
}

impl<'a> Line<'a> {
    /// Takes a line apart; none if it is empty or a comment. A leading word `ipvsadm` (or a path
    /// to it) is skipped, so that lines of a script pass too.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, Problem> {
        let mut words = text
            .split([' ', '\t', '\r'])
            .filter(|word| !word.is_empty());
        let mut first = match words.next() {
            None => return Ok(None),
            Some(word) if word.starts_with('#') => return Ok(None),
            Some(word) => word,
        };
        if first == "ipvsadm" || first.ends_with("/ipvsadm") {
            first = words.next().ok_or(Problem::MissingArgument {
                word: first.to_owned(),
            })?;
        }
        let (command, cluster) = parse_command(first)?;
        let mut line = Self {
            command,
            options: Vec::new(),
            arguments: Vec::new(),
        };
        if let Some(cluster) = cluster {
            line.take_cluster(first, cluster, &mut words)?;
        }
        while let Some(word) = words.next() {
            line.take_word(word, &mut words)?;
        }
        if command != Command::SetTimeouts
            && let Some(word) = line.arguments.first()
        {
            return Err(Problem::UnexpectedArgument {
                word: (*word).to_owned(),
            });
        }
        Ok(Some(line))
    }

    /// Whether the option is there.
    pub(super) fn has(&self, key: Key) -> bool {
        self.position(key).is_some()
    }

    /// The option's value.
    pub(super) fn value(&self, key: Key) -> Option<&'a str> {
        self.options.iter().find(|(known, _)| *known == key)?.1
    }

    /// Its place among the options.
    pub(super) fn position(&self, key: Key) -> Option<usize> {
        self.options.iter().position(|(known, _)| *known == key)
    }

    fn take_word(
        &mut self,
        word: &'a str,
        words: &mut (impl Iterator<Item = &'a str> + Clone),
    ) -> Result<(), Problem> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, attached) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let spec = OPTIONS.iter().find(|spec| spec.long == name);
            let spec = spec.ok_or_else(|| unknown(word))?;
            return self.take(spec, word, attached, words);
        }
        match word.strip_prefix('-') {
            Some(cluster) if !cluster.is_empty() => self.take_cluster(word, cluster, words),
            _ => {
                self.arguments.push(word);
                Ok(())
            }
        }
    }

    /// Short options in one word: flags, then at most one with a value, which may be attached.
    fn take_cluster(
        &mut self,
        word: &'a str,
        cluster: &'a str,
        words: &mut (impl Iterator<Item = &'a str> + Clone),
    ) -> Result<(), Problem> {
        let mut rest = cluster;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            let spec = OPTIONS.iter().find(|spec| spec.short == Some(letter));
            let spec = spec.ok_or_else(|| unknown(word))?;
            if spec.takes == Takes::Nothing {
                self.take(spec, word, None, words)?;
                continue;
            }
            let attached = rest.strip_prefix('=').unwrap_or(rest);
            let attached = (!rest.is_empty()).then_some(attached);
            return self.take(spec, word, attached, words);
        }
        Ok(())
    }

    fn take(
        &mut self,
        spec: &Spec,
        word: &str,
        attached: Option<&'a str>,
        words: &mut (impl Iterator<Item = &'a str> + Clone),
    ) -> Result<(), Problem> {
        let legal = match self.command {
            Command::AddService => matches!(spec.command, For::Both | For::Service),
            Command::AddServer => matches!(spec.command, For::Both | For::Server),
            Command::Clear | Command::SetTimeouts => false,
        };
        if !legal {
            return Err(Problem::IllegalOption {
                option: spec.long,
                command: self.command.name(),
            });
        }
        if self.has(spec.key) {
            return Err(Problem::Twice {
                word: word.to_owned(),
            });
        }
        let value = match spec.takes {
            Takes::Nothing if attached.is_some() => return Err(unknown(word)),
            Takes::Nothing => None,
            Takes::Optional if attached.is_none() => {
                let next = words.clone().next();
                let value = next.filter(|word| !word.starts_with('-'));
                if value.is_some() {
                    words.next();
                }
                value
            }
            Takes::Value | Takes::Optional => {
                let value = attached.or_else(|| words.next()).filter(|v| !v.is_empty());
                Some(value.ok_or_else(|| Problem::MissingArgument {
                    word: word.to_owned(),
                })?)
            }
        };
        self.options.push((spec.key, value));
        Ok(())
    }
}

/// The command, and short options that stand in the same word after its letter.
fn parse_command(word: &str) -> Result<(Command, Option<&str>), Problem> {
    let command = match word {
        "--add-service" => Command::AddService,
        "--add-server" => Command::AddServer,
        "-C" | "--clear" => Command::Clear,
        "--set" => Command::SetTimeouts,
        _ => {
            if let Some(cluster) = word.strip_prefix("-A") {
                return Ok((Command::AddService, Some(cluster)));
            }
            if let Some(cluster) = word.strip_prefix("-a") {
                return Ok((Command::AddServer, Some(cluster)));
            }
            return Err(Problem::Command {
                word: word.to_owned(),
            });
        }
    };
    Ok((command, None))
}

fn unknown(word: &str) -> Problem {
    Problem::UnknownOption {
        word: word.to_owned(),
    }
}

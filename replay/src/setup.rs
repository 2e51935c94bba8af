//! What the user wrote, turned into what a run uses: services with their servers, marks, kernel
//! switches, policies.
//!
//! Owns the forms of the options and of rules files, their checks and their messages. Does not
//! read files or traces, and does not know which policies exist: the caller reads the rules file
//! and, where no service is given, looks for the busiest endpoint and calls
//! [`Setup::add_automatic`].

mod error;
mod kernel;
mod mark;
mod policy;
mod rules;
mod service;
mod text;

use equipoise_core::{Endpoint, KernelProfile, Protocol, ServiceConfig, ServiceKey, Timeouts};

pub use self::error::{Problem, SetupError, Warning};
pub use self::kernel::Switches;
pub use self::mark::{MarkRule, MarkRules};
pub use self::policy::{PolicyChoice, PolicyOption, PolicySource};
pub use self::rules::Rules;
pub use self::service::{Origin, Service};

use self::service::{PersistentOption, ServerSpec};

/// An option whose place among the others matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `--service`.
    Service(String),
    /// `--mark`.
    Mark(String),
    /// `--server`: belongs to the service or mark before it; before any, to all that options
    /// give, as their first servers.
    Server(String),
}

/// The options of a replay as the user wrote them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--service`, `--mark` and `--server`, in their order.
    pub items: Vec<Item>,
    /// `--rules`: the file's name for messages, and its bytes.
    pub rules: Option<(String, Vec<u8>)>,
    /// `--persistent`, for all services that options give.
    pub persistent: Option<String>,
    /// `--ops`, for the UDP and mark services that options give.
    pub one_packet: bool,
    /// `--timeouts`; goes before a `--set` line of the rules.
    pub timeouts: Option<String>,
    /// `--sysctl`, in their order.
    pub sysctls: Vec<String>,
    /// `--kernel`.
    pub kernel: Option<String>,
    /// `--policy`, in their order.
    pub policies: Vec<String>,
}

/// A validated set-up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Those of the rules, then those of options, each in the order given.
    pub services: Vec<Service>,
    /// Which packets bear a mark.
    pub marks: MarkRules,
    /// Timeouts in force.
    pub timeouts: Timeouts,
    /// Kernel switches in force.
    pub switches: Switches,
    /// Which kernel is followed.
    pub kernel: KernelProfile,
    /// `--policy`; empty where the services' own or all built-in ones are meant.
    pub policies: Vec<PolicyOption>,
    /// What was accepted, but deserves a word to the user.
    pub warnings: Vec<Warning>,
    defaults: Defaults,
    wants_automatic: bool,
}

/// What options say about every service that options give.
#[derive(Clone, Debug)]
struct Defaults {
    persistent: Option<(PersistentOption, String)>,
    one_packet: bool,
    /// With the text of each.
    servers: Vec<(ServerSpec, String)>,
}

impl Setup {
    /// Checks and combines options. Rules come first; a service that both the rules and an
    /// option give is an error, but a `--mark` whose service the rules define only marks.
    /// Services of options without a server get four of weight 1, masquerading.
    pub fn assemble(options: &Options) -> Result<Self, SetupError> {
        let rules = match &options.rules {
            None => Rules::default(),
            Some((file, bytes)) => read_rules(file, bytes)?,
        };
        let mut switches = Switches::default();
        for text in &options.sysctls {
            let applied = switches.apply(text);
            applied.map_err(|problem| problem.at_option("--sysctl", text))?;
        }
        let timeouts = rules.timeouts.unwrap_or_default();
        let policies = options.policies.iter();
        let mut setup = Self {
            services: rules.services,
            marks: MarkRules::default(),
            timeouts: parse_or(options.timeouts.as_ref(), "--timeouts", timeouts, |text| {
                kernel::timeouts(timeouts, text)
            })?,
            switches,
            kernel: parse_or(
                options.kernel.as_ref(),
                "--kernel",
                KernelProfile::default(),
                kernel::profile,
            )?,
            policies: policies
                .map(|text| PolicyOption::parse(text))
                .collect::<Result<_, _>>()?,
            warnings: rules.warnings,
            defaults: Defaults::of(options)?,
            wants_automatic: options.rules.is_none()
                && !options
                    .items
                    .iter()
                    .any(|item| !matches!(item, Item::Server(_))),
        };
        setup.add_items(&options.items)?;
        setup.warn_about_rules();
        setup.warn_about_options();
        Ok(setup)
    }

    /// Whether neither options nor rules give a service, so that [`Setup::add_automatic`] must.
    pub const fn wants_automatic(&self) -> bool {
        self.wants_automatic
    }

    /// Adds the service that the trace suggests, with what the options say of all services.
    pub fn add_automatic(
        &mut self,
        protocol: Protocol,
        endpoint: Endpoint,
    ) -> Result<(), SetupError> {
        let key = ServiceKey::Address {
            protocol,
            address: endpoint.address,
            port: endpoint.port,
        };
        let index = self.add_service(key, Origin::Automatic, "--service", &key.to_string())?;
        self.finish(index)?;
        self.wants_automatic = false;
        self.warn_about_options();
        Ok(())
    }

    fn add_items(&mut self, items: &[Item]) -> Result<(), SetupError> {
        let from_rules = self.services.len();
        let mut marks = Vec::new();
        let mut current = None;
        for item in items {
            match item {
                Item::Service(text) => {
                    let at = |problem: Problem| problem.at_option("--service", text);
                    let key = service::parse_key(text).map_err(at)?;
                    self.check_new(key).map_err(at)?;
                    let origin = Origin::Given(text.clone());
                    current = Some(self.add_service(key, origin, "--service", text)?);
                }
                Item::Mark(text) => {
                    let at = |problem: Problem| problem.at_option("--mark", text);
                    let rule = MarkRule::parse(text).map_err(at)?;
                    let key = ServiceKey::Mark {
                        family: rule.family(),
                        mark: rule.mark,
                    };
                    marks.push(rule);
                    current = Some(match self.position(key) {
                        Some(index) => index,
                        None => {
                            self.add_service(key, Origin::Mark(text.clone()), "--mark", text)?
                        }
                    });
                }
                Item::Server(text) => {
                    let at = |problem: Problem| problem.at_option("--server", text);
                    let Some(index) = current else { continue };
                    if index < from_rules {
                        return Err(at(Problem::ServerWithoutService));
                    }
                    let spec = ServerSpec::parse(text).map_err(at)?;
                    self.add_server(index, &spec, text)?;
                }
            }
        }
        if let (false, Some((_, text)), true) = (
            self.wants_automatic,
            self.defaults.servers.first(),
            self.services.len() == from_rules,
        ) {
            return Err(Problem::ServerWithoutService.at_option("--server", text));
        }
        self.marks = MarkRules::new(marks);
        (from_rules..self.services.len()).try_for_each(|index| self.finish(index))
    }

    fn position(&self, key: ServiceKey) -> Option<usize> {
        let mut services = self.services.iter();
        services.position(|service| service.config.key == key)
    }

    fn check_new(&self, key: ServiceKey) -> Result<(), Problem> {
        match self.position(key) {
            None => Ok(()),
            Some(index) => Err(Problem::ServicesAlike {
                service: key,
                first: self.services[index].origin.to_string(),
            }),
        }
    }

    /// Adds a service with what options say of all; `option` with its value `text` gives it.
    fn add_service(
        &mut self,
        key: ServiceKey,
        origin: Origin,
        option: &'static str,
        text: &str,
    ) -> Result<usize, SetupError> {
        let udp_or_mark = !matches!(
            key,
            ServiceKey::Address {
                protocol: Protocol::Tcp | Protocol::Sctp,
                ..
            }
        );
        let persistence = match &self.defaults.persistent {
            None => None,
            Some((persistent, text)) => Some(
                persistent
                    .for_family(key.family())
                    .map_err(|problem| problem.at_option("--persistent", text))?,
            ),
        };
        let config = ServiceConfig {
            key,
            persistence,
            one_packet: self.defaults.one_packet && udp_or_mark,
        };
        let service = Service::new(config, None, origin, "--persistent")
            .map_err(|problem| problem.at_option(option, text))?;
        self.services.push(service);
        let index = self.services.len() - 1;
        for (spec, text) in self.defaults.servers.clone() {
            self.add_server(index, &spec, &text)?;
        }
        Ok(index)
    }

    fn add_server(
        &mut self,
        index: usize,
        spec: &ServerSpec,
        text: &str,
    ) -> Result<(), SetupError> {
        let place = format!("--server {text}");
        self.services[index]
            .add(spec, &place, &mut self.warnings)
            .map_err(|problem| problem.at_option("--server", text))
    }

    fn finish(&mut self, index: usize) -> Result<(), SetupError> {
        let service = &mut self.services[index];
        if !service.servers.is_empty() {
            return Ok(());
        }
        let key = service.config.key.to_string();
        let added = service.add_default_servers();
        added.map_err(|problem| problem.at_option("--service", &key))
    }

    fn warn_about_rules(&mut self) {
        for service in &self.services {
            if !matches!(service.origin, Origin::Rule { .. }) {
                continue;
            }
            let place = service.origin.to_string();
            if service.servers.is_empty() {
                self.warnings.push(Warning::NoServer {
                    place: place.clone(),
                    service: service.config.key,
                });
            }
            if let ServiceKey::Mark { family, mark } = service.config.key {
                let mut rules = self.marks.rules().iter();
                if !rules.any(|rule| rule.mark == mark && rule.family() == family) {
                    self.warnings.push(Warning::MarkNeverSet {
                        place,
                        mark,
                        family,
                    });
                }
            }
        }
    }

    /// Says which of the options for all services concern none.
    fn warn_about_options(&mut self) {
        if self.wants_automatic {
            return;
        }
        let ours = || {
            let services = self.services.iter();
            services.filter(|service| !matches!(service.origin, Origin::Rule { .. }))
        };
        let mut found = Vec::new();
        if self.defaults.one_packet && !ours().any(|service| service.config.one_packet) {
            found.push(Warning::WithoutEffect {
                option: "--ops",
                reason: "one-packet scheduling is only for UDP and mark services given by options",
            });
        }
        if self.defaults.persistent.is_some() && ours().next().is_none() {
            found.push(Warning::WithoutEffect {
                option: "--persistent",
                reason: "services in the rules have their persistence there (-p)",
            });
        }
        self.warnings.extend(found);
    }
}

impl Defaults {
    fn of(options: &Options) -> Result<Self, SetupError> {
        let mut servers = Vec::new();
        for item in &options.items {
            let Item::Server(text) = item else { break };
            let spec = ServerSpec::parse(text);
            let spec = spec.map_err(|problem| problem.at_option("--server", text))?;
            servers.push((spec, text.clone()));
        }
        let persistent = options.persistent.as_ref().map(|text| {
            PersistentOption::parse(text)
                .map(|parsed| (parsed, text.clone()))
                .map_err(|problem| problem.at_option("--persistent", text))
        });
        Ok(Self {
            persistent: persistent.transpose()?,
            one_packet: options.one_packet,
            servers,
        })
    }
}

fn read_rules(file: &str, bytes: &[u8]) -> Result<Rules, SetupError> {
    let rules = Rules::parse(file, bytes)?;
    if rules.services.is_empty() {
        return Err(SetupError::NoService {
            file: file.to_owned(),
        });
    }
    Ok(rules)
}

fn parse_or<T>(
    text: Option<&String>,
    option: &'static str,
    default: T,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<T, SetupError> {
    match text {
        None => Ok(default),
        Some(text) => parse(text).map_err(|problem| problem.at_option(option, text)),
    }
}

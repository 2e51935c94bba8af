//! From what the user named to a policy that can be started: built-in components, files of one's
//! own, and the native fallback.
//!
//! Does not start schedulers: a run does, once for each virtual service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use equipoise_core::{KernelProfile, Parameter, Policy};
use equipoise_reports::model::Execution;
use equipoise_schedulers::registry::{self, Entry};
use equipoise_schedulers::sdk::Promise;
use equipoise_wasm::{CodeCache, ComponentPolicy, Engine, LoadError};

use crate::setup::{PolicyOption, PolicySource, Switches};

/// A policy with its parameters, ready to start.
#[derive(Clone)]
pub struct Chosen {
    /// As the user named it, parameters included.
    pub label: String,
    /// The policy.
    pub policy: Arc<dyn Policy>,
    /// The user's parameters, then what the kernel's settings say of it.
    pub parameters: Vec<Parameter>,
    /// SHA-256 of the component; none for native code.
    pub digest: Option<String>,
    /// How it runs.
    pub execution: Execution,
    /// What share the weights promise.
    pub promise: Promise,
    /// Whether it is known to choose a server whenever all are usable.
    pub always_chooses: bool,
}

/// Why a policy could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No such name.
    #[error(
        "no policy is called {name}; built in are {}, anything else is given as a file ending in .wasm",
        known()
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// No such fallback.
    #[error(
        "--fallback {name}: takes the name of a built-in policy, without parameters: {}",
        known()
    )]
    Fallback {
        /// The name.
        name: String,
    },
    /// A fallback that could not know what it decides by.
    #[error(
        "--fallback {name}: it decides by requests, which the policy that failed may not have waited for: name another one"
    )]
    FallbackReads {
        /// The name.
        name: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot read the policy: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The component was refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The build lacks the component of a built-in policy.
    #[error(
        "this build has no component of {name}: build it with cargo xtask policies, then build again"
    )]
    NotBuilt {
        /// The policy.
        name: String,
    },
}

fn known() -> String {
    let names: Vec<&str> = registry::all().iter().map(|entry| entry.name).collect();
    names.join(", ")
}

/// Loads each component once.
pub struct Policies {
    engine: Engine,
    cache: Option<CodeCache>,
    loaded: BTreeMap<String, Arc<ComponentPolicy>>,
    profile: KernelProfile,
    switches: Switches,
}

impl Policies {
    /// With the kernel's settings, of which some are parameters of policies; `cache` keeps
    /// compiled code from one run of the program to the next.
    pub fn new(
        engine: Engine,
        cache: Option<CodeCache>,
        profile: KernelProfile,
        switches: Switches,
    ) -> Self {
        Self {
            engine,
            cache,
            loaded: BTreeMap::new(),
            profile,
            switches,
        }
    }

    /// The policy of one `--policy`.
    pub fn option(&mut self, option: &PolicyOption) -> Result<Chosen, PolicyError> {
        match &option.source {
            PolicySource::Name(name) => self.built_in(name, &option.parameters, &option.text),
            PolicySource::File(path) => self.file(path, &option.parameters, &option.text),
        }
    }

    /// A built-in policy's component.
    pub fn built_in(
        &mut self,
        name: &str,
        given: &[Parameter],
        label: &str,
    ) -> Result<Chosen, PolicyError> {
        let entry = find(name)?;
        let bytes = entry.component.ok_or_else(|| PolicyError::NotBuilt {
            name: name.to_owned(),
        })?;
        let component = self.load(name, bytes)?;
        let parameters = self.parameters(entry, given);
        Ok(Chosen {
            label: label.to_owned(),
            digest: Some(component.digest().to_string()),
            execution: execution(&component),
            policy: component,
            parameters,
            promise: entry.promise,
            always_chooses: entry.always_chooses,
        })
    }

    /// The native twin of a built-in policy, which steps in for one that failed.
    pub fn native(&self, name: &str) -> Result<Arc<dyn Policy>, PolicyError> {
        let entry = registry::find(name).ok_or_else(|| PolicyError::Fallback {
            name: name.to_owned(),
        })?;
        if entry.reads_requests {
            return Err(PolicyError::FallbackReads {
                name: name.to_owned(),
            });
        }
        let parameters = self.parameters(entry, &[]);
        Ok(Arc::new(WithParameters {
            policy: entry.native,
            parameters,
        }))
    }

    fn file(
        &mut self,
        path: &Path,
        given: &[Parameter],
        label: &str,
    ) -> Result<Chosen, PolicyError> {
        let bytes = std::fs::read(path).map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?;
        let component = self.load(&path.display().to_string(), &bytes)?;
        Ok(Chosen {
            label: label.to_owned(),
            digest: Some(component.digest().to_string()),
            execution: execution(&component),
            policy: component,
            parameters: given.to_vec(),
            promise: Promise::None,
            always_chooses: false,
        })
    }

    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<Arc<ComponentPolicy>, LoadError> {
        if let Some(component) = self.loaded.get(name) {
            return Ok(Arc::clone(component));
        }
        let component = Arc::new(match &self.cache {
            Some(cache) => ComponentPolicy::load_cached(&self.engine, cache, bytes, name)?,
            None => ComponentPolicy::load(&self.engine, bytes, name)?,
        });
        self.loaded.insert(name.to_owned(), Arc::clone(&component));
        Ok(component)
    }

    /// What the user gave, and what the kernel's settings say where the user did not.
    fn parameters(&self, entry: &Entry, given: &[Parameter]) -> Vec<Parameter> {
        let expiration_s = match entry.name {
            "lblc" => self.switches.lblc_expiration_s,
            "lblcr" => self.switches.lblcr_expiration_s,
            _ => None,
        };
        let kernel = match self.profile {
            KernelProfile::Classic => Some("classic".to_owned()),
            KernelProfile::Current => None,
        };
        let implied = [
            ("kernel", kernel),
            ("expiration", expiration_s.map(|s| s.to_string())),
        ];
        let mut parameters = given.to_vec();
        for (key, value) in implied {
            let takes = entry.parameters.iter().any(|spec| spec.key == key);
            let is_given = given.iter().any(|parameter| parameter.key == key);
            if let (Some(value), true, false) = (value, takes, is_given) {
                parameters.push(Parameter {
                    key: key.to_owned(),
                    value,
                });
            }
        }
        parameters
    }
}

/// `sh:sh-port,table-bits=10`, as `--policy` would take it.
pub(crate) fn label_of(name: &str, parameters: &[Parameter]) -> String {
    let list: Vec<String> = parameters
        .iter()
        .map(|Parameter { key, value }| {
            if value == "true" {
                key.clone()
            } else {
                format!("{key}={value}")
            }
        })
        .collect();
    if list.is_empty() {
        name.to_owned()
    } else {
        format!("{name}:{}", list.join(","))
    }
}

/// The label, and the parameters that the kernel's settings added.
pub(crate) fn label_with(chosen: &Chosen) -> String {
    let name = chosen
        .label
        .split_once(':')
        .map_or(chosen.label.as_str(), |(name, _)| name);
    if chosen.label.contains(".wasm") {
        return chosen.label.clone();
    }
    label_of(name, &chosen.parameters)
}

fn find(name: &str) -> Result<&'static Entry, PolicyError> {
    registry::find(name).ok_or_else(|| PolicyError::Unknown {
        name: name.to_owned(),
    })
}

fn execution(component: &ComponentPolicy) -> Execution {
    if component.has_batch() {
        Execution::ComponentBatch
    } else {
        Execution::ComponentTyped
    }
}

/// A policy that brings its parameters along.
struct WithParameters {
    policy: &'static dyn Policy,
    parameters: Vec<Parameter>,
}

impl Policy for WithParameters {
    fn start(
        &self,
        now: equipoise_core::Timestamp,
        service: &equipoise_core::ServiceIdentity,
        _given: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn equipoise_core::Scheduler>, equipoise_core::Fault> {
        self.policy.start(now, service, &self.parameters, seed)
    }

    fn reads_requests(&self) -> bool {
        self.policy.reads_requests()
    }
}

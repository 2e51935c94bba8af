//! What parameters a policy takes, and those that a user gave: checked here, once, by the same
//! definition that help and documentation are made from.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use equipoise_core::{Parameter, ServiceIdentity};

/// One parameter of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Its key.
    pub key: &'static str,
    /// Its values and which of them holds without it.
    pub accepts: Accepts,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// The values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// `true` or `false`, off by default; the bare key turns it on.
    Switch,
    /// A whole number.
    Number {
        /// The least.
        min: u32,
        /// The greatest.
        max: u32,
        /// Without the parameter.
        default: u32,
    },
    /// One of these words; the first by default.
    OneOf(&'static [&'static str]),
}

impl Accepts {
    /// The value without the parameter, as a user would write it.
    pub fn default_text(&self) -> String {
        match self {
            Self::Switch => "false".to_owned(),
            Self::Number { default, .. } => default.to_string(),
            Self::OneOf(words) => words.first().copied().unwrap_or_default().to_owned(),
        }
    }

    /// The value as a number: 0 or 1 of a switch, the position of a word.
    fn parse(&self, value: &str) -> Option<u32> {
        match self {
            Self::Switch => value.parse::<bool>().ok().map(u32::from),
            Self::Number { min, max, .. } => {
                value.parse().ok().filter(|n| (min..=max).contains(&n))
            }
            Self::OneOf(words) => words
                .iter()
                .position(|word| *word == value)
                .map(|index| index as u32),
        }
    }
}

/// `true or false`, `4 to 20`, `current or classic`.
impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("true or false"),
            Self::Number { min, max, .. } => write!(f, "{min} to {max}"),
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
        }
    }
}

/// What an algorithm is configured with.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The time of the call, in microseconds from an arbitrary origin.
    pub now_us: u64,
    /// The virtual service it will decide for.
    pub service: &'a ServiceIdentity,
    /// The only source of chance.
    pub seed: u64,
    given: Vec<(&'static str, u32)>,
}

impl<'a> Setup<'a> {
    /// Checks what the user gave against what the policy takes.
    pub(super) fn new(
        policy: &str,
        specs: &'static [ParameterSpec],
        now_us: u64,
        service: &'a ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Self, String> {
        let mut given: Vec<(&'static str, u32)> = Vec::new();
        for Parameter { key, value } in parameters {
            let Some(spec) = specs.iter().find(|spec| spec.key == key) else {
                return Err(unknown_key(policy, specs, key));
            };
            let Some(number) = spec.accepts.parse(value) else {
                return Err(format!(
                    "{policy}: parameter `{key}` is {}, not `{value}`",
                    spec.accepts
                ));
            };
            if given.iter().any(|(other, _)| *other == spec.key) {
                return Err(format!("{policy}: parameter `{key}` is given twice"));
            }
            given.push((spec.key, number));
        }
        Ok(Self {
            now_us,
            service,
            seed,
            given,
        })
    }

    #[cfg(test)]
    pub(crate) fn of_defaults(service: &'a ServiceIdentity) -> Self {
        Self {
            now_us: 0,
            service,
            seed: 0,
            given: Vec::new(),
        }
    }

    /// Whether a switch is on.
    pub fn switch(&self, spec: &ParameterSpec) -> bool {
        self.given(spec) == Some(1)
    }

    /// The value of a number, and of a word its position among the accepted ones.
    pub fn number(&self, spec: &ParameterSpec) -> u32 {
        self.given(spec).unwrap_or(match spec.accepts {
            Accepts::Number { default, .. } => default,
            Accepts::Switch | Accepts::OneOf(_) => 0,
        })
    }

    fn given(&self, spec: &ParameterSpec) -> Option<u32> {
        let (_, number) = self.given.iter().find(|(key, _)| *key == spec.key)?;
        Some(*number)
    }
}

fn unknown_key(policy: &str, specs: &[ParameterSpec], key: &str) -> String {
    if specs.is_empty() {
        return format!("{policy}: unknown parameter `{key}`; it takes none");
    }
    let keys: Vec<&str> = specs.iter().map(|spec| spec.key).collect();
    format!(
        "{policy}: unknown parameter `{key}`; it takes {}",
        keys.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use equipoise_core::{Address, Family, Protocol};

    const SERVICE: ServiceIdentity = ServiceIdentity {
        family: Family::Ipv4,
        address: Address::v4(1),
        port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    };
    const SWITCH: ParameterSpec = ParameterSpec {
        key: "sh-port",
        accepts: Accepts::Switch,
        doc: "",
    };
    const BITS: ParameterSpec = ParameterSpec {
        key: "table-bits",
        accepts: Accepts::Number {
            min: 4,
            max: 20,
            default: 8,
        },
        doc: "",
    };
    const KERNEL: ParameterSpec = ParameterSpec {
        key: "kernel",
        accepts: Accepts::OneOf(&["current", "classic"]),
        doc: "",
    };

    fn setup(pairs: &[(&str, &str)]) -> Result<Setup<'static>, String> {
        let parameter = |&(key, value): &(&str, &str)| Parameter {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let parameters: Vec<Parameter> = pairs.iter().map(parameter).collect();
        Setup::new("x", &[SWITCH, BITS, KERNEL], 0, &SERVICE, &parameters, 0)
    }

    #[test]
    fn values_and_defaults() {
        let given = setup(&[("table-bits", "20"), ("sh-port", "true")]);
        let read = |setup: Setup<'_>| {
            let (bits, kernel) = (setup.number(&BITS), setup.number(&KERNEL));
            (setup.switch(&SWITCH), bits, kernel)
        };
        assert_eq!(given.map(read), Ok((true, 20, 0)));
        assert_eq!(setup(&[]).map(read), Ok((false, 8, 0)));
        let given = setup(&[("sh-port", "false"), ("kernel", "classic")]);
        assert_eq!(given.map(read), Ok((false, 8, 1)));
    }

    #[test]
    fn errors_name_what_is_accepted() {
        let error = |pairs| setup(pairs).err().unwrap_or_default();
        assert_eq!(
            error(&[("table-bits", "21")]),
            "x: parameter `table-bits` is 4 to 20, not `21`"
        );
        assert_eq!(
            error(&[("kernel", "true")]),
            "x: parameter `kernel` is current or classic, not `true`"
        );
        assert_eq!(
            error(&[("sh-port", "1")]),
            "x: parameter `sh-port` is true or false, not `1`"
        );
        assert_eq!(
            error(&[("port", "true")]),
            "x: unknown parameter `port`; it takes sh-port, table-bits, kernel"
        );
        assert_eq!(
            error(&[("sh-port", "true"), ("sh-port", "true")]),
            "x: parameter `sh-port` is given twice"
        );
        assert_eq!(
            unknown_key("rr", &[], "a"),
            "rr: unknown parameter `a`; it takes none"
        );
    }
}

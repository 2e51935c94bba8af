//! `--policy NAME|FILE.wasm[:key=value,…]`, and the policy that a rule names.

use std::path::PathBuf;

use equipoise_core::Parameter;

use super::{Problem, SetupError};

const FORM: &str = "NAME or FILE.wasm, then optionally :key=value,key,…";

/// A built-in policy with its parameters, as a rule chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChoice {
    /// Its name, one of ipvsadm's.
    pub name: String,
    /// In the order given.
    pub parameters: Vec<Parameter>,
}

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// Built in, by this name; whether it exists is for the registry to say.
    Name(String),
    /// A component in a file.
    File(PathBuf),
}

/// One `--policy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyOption {
    /// The text as given, which names the run in reports.
    pub text: String,
    /// Where the policy comes from.
    pub source: PolicySource,
    /// In the order given.
    pub parameters: Vec<Parameter>,
}

impl PolicyOption {
    /// Reads one `--policy`. A path may contain colons: it ends at the first `.wasm` that is
    /// followed by nothing, or by a colon and parameters. A text without such an end is a name,
    /// which ends at its first colon. A bare key means `key=true`; a value may contain anything
    /// but commas.
    pub fn parse(text: &str) -> Result<Self, SetupError> {
        parse(text).map_err(|problem| problem.at_option("--policy", text))
    }
}

fn parse(text: &str) -> Result<PolicyOption, Problem> {
    let option = |source, parameters| PolicyOption {
        text: text.to_owned(),
        source,
        parameters,
    };
    let mut refusal = None;
    for (position, suffix) in text.match_indices(".wasm") {
        let (path, rest) = text.split_at(position + suffix.len());
        let parameters = match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok(Vec::new()),
            None => continue,
            Some(list) => parse_parameters(list),
        };
        match parameters {
            Ok(parameters) => return Ok(option(PolicySource::File(path.into()), parameters)),
            Err(problem) => refusal = refusal.or(Some(problem)),
        }
    }
    if let Some(problem) = refusal {
        return Err(problem);
    }
    let (name, parameters) = match text.split_once(':') {
        Some((name, list)) => (name, Some(list)),
        None => (text, None),
    };
    if !is_word(name) {
        return Err(Problem::Form { form: FORM });
    }
    let parameters = parameters.map_or(Ok(Vec::new()), parse_parameters)?;
    Ok(option(PolicySource::Name(name.to_owned()), parameters))
}

fn parse_parameters(list: &str) -> Result<Vec<Parameter>, Problem> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for item in list.split(',') {
        let (key, value) = item.split_once('=').unwrap_or((item, "true"));
        if !is_word(key) {
            return Err(Problem::Form { form: FORM });
        }
        if parameters.iter().any(|known| known.key == key) {
            return Err(Problem::Twice {
                word: key.to_owned(),
            });
        }
        parameters.push(Parameter {
            key: key.to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(parameters)
}

/// Names of policies and keys: letters, digits, `-` and `_`.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

//! One line for the user, and the exit code that goes with it.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use equipoise_replay::policy::PolicyError;
use equipoise_replay::replay::ReplayError;
use equipoise_replay::setup::{PolicyOption, SetupError};
use equipoise_reports::table;

use crate::files::is_stdout;
use crate::interrupts;

/// The input or a policy failed.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage, clap's own code.
pub(crate) const USAGE: u8 = 2;
/// Our own bug (`EX_SOFTWARE` of sysexits.h).
pub(crate) const SOFTWARE: u8 = 70;

/// Why the command did not do what it was asked: one line, and a code.
pub(crate) struct Failure(pub(crate) String, pub(crate) u8);

/// One line on standard error, whether anybody reads it or not. What is in it of names and of
/// captures steers no terminal.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "equipoise: {}", table::plain(line));
}

/// That whoever read our output has gone is no error of theirs or ours.
pub(crate) fn unless_reader_left(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

impl Failure {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that map_err takes it by name"
    )]
    pub(crate) fn input(line: impl ToString) -> Self {
        Self(line.to_string(), FAILED)
    }

    /// Writing to standard output failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        Self::input(format!("cannot write to standard output: {error}"))
    }

    /// Writing a file that the user named failed.
    pub(crate) fn writing(path: &Path, error: &io::Error) -> Self {
        if is_stdout(path) {
            return Self::output(error);
        }
        // Only the kind: the rest may name a temporary file that nobody asked for.
        let what = match error.kind() {
            io::ErrorKind::Other => error.to_string(),
            io::ErrorKind::NotFound => "no such folder".to_owned(),
            kind => kind.to_string(),
        };
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge => {
                "make room there, or name a file elsewhere"
            }
            _ => "name a file in a folder that exists and can be written",
        };
        Self::input(format!("cannot write {}: {what}; {advice}", path.display()))
    }

    /// What was made of an input that an interrupt ended is put down to the interrupt.
    pub(crate) fn report(self) -> ExitCode {
        let Self(line, code) = self;
        say(&line);
        let asked = interrupts::asked().filter(|_| code == FAILED);
        ExitCode::from(asked.unwrap_or(code))
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        let code = if matches!(error, SetupError::Option { .. }) {
            USAGE
        } else {
            FAILED
        };
        Self(error.to_string(), code)
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let code = if matches!(
            error,
            PolicyError::Unknown { .. }
                | PolicyError::Fallback { .. }
                | PolicyError::FallbackReads { .. }
        ) {
            USAGE
        } else {
            FAILED
        };
        Self(error.to_string(), code)
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Setup(error) => error.into(),
            ReplayError::Policy(error) => error.into(),
            ReplayError::Parameters { ref policy, .. } => {
                // Without parameters there is none that the user could have got wrong.
                let is_bare =
                    PolicyOption::parse(policy).is_ok_and(|option| option.parameters.is_empty());
                Self(error.to_string(), if is_bare { FAILED } else { USAGE })
            }
            other => Self::input(other),
        }
    }
}

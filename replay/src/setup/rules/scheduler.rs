//! `-s` and `-b`: a rule's scheduler and what its flags mean to it.

use equipoise_core::Parameter;

use super::line::{Key, Line};
use crate::setup::{PolicyChoice, Problem};

/// The kernel's schedulers, by ipvsadm's names.
const SCHEDULERS: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos",
];
const SCHEDULER_LIST: &str = "rr, wrr, lc, wlc, lblc, lblcr, dh, sh, mh, sed, nq, fo, ovf, twos";

/// The scheduler, wlc without one, with what `-b` means to it as parameters.
pub(super) fn choice(line: &Line<'_>) -> Result<PolicyChoice, Problem> {
    let name = line.value(Key::Scheduler).unwrap_or("wlc");
    if !SCHEDULERS.contains(&name) {
        return Err(Problem::UnknownWord {
            what: "scheduler",
            word: name.to_owned(),
            known: SCHEDULER_LIST,
        });
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    let flags = line.value(Key::SchedulerFlags).into_iter();
    for flag in flags.flat_map(|list| list.split(',')) {
        let Some(key) = flag_parameter(name, flag)? else {
            continue;
        };
        if parameters.iter().all(|known| known.key != key) {
            parameters.push(Parameter {
                key,
                value: "true".to_owned(),
            });
        }
    }
    parameters.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(PolicyChoice {
        name: name.to_owned(),
        parameters,
    })
}

/// The parameter that a flag sets; none where the scheduler does not look at it.
fn flag_parameter(scheduler: &str, flag: &str) -> Result<Option<String>, Problem> {
    let hashing = matches!(scheduler, "sh" | "mh");
    let suffix = match flag {
        "flag-1" => hashing.then_some("fallback"),
        "flag-2" => hashing.then_some("port"),
        "flag-3" => None,
        "sh-fallback" | "sh-port" | "mh-fallback" | "mh-port" => match flag.split_once('-') {
            Some((owner, suffix)) if owner == scheduler => Some(suffix),
            _ => {
                return Err(Problem::SchedulerFlag {
                    flag: flag.to_owned(),
                    scheduler: scheduler.to_owned(),
                });
            }
        },
        _ => {
            return Err(Problem::UnknownWord {
                what: "scheduler flag",
                word: flag.to_owned(),
                known: "flag-1, flag-2, flag-3, sh-fallback, sh-port, mh-fallback, mh-port",
            });
        }
    };
    Ok(suffix.map(|suffix| format!("{scheduler}-{suffix}")))
}

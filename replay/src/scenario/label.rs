//! What reports call events.

use equipoise_core::Table;

use super::{Action, Factor, end_of, name_of};

impl Action {
    pub(super) fn label(&self) -> String {
        let seconds = |ns: u64| format!("{} s", ns as f64 / 1e9);
        match self {
            Self::Add(target) => format!(
                "add {}, weight {}",
                end_of(&target.config),
                target.config.weight
            ),
            Self::Remove(target) => format!("remove {}", end_of(&target.config)),
            Self::Weight(target) => {
                format!(
                    "{} to weight {}",
                    end_of(&target.config),
                    target.config.weight
                )
            }
            Self::Drain(target, None) => format!("drain {}", end_of(&target.config)),
            Self::Drain(target, Some(ns)) => {
                format!(
                    "drain {}, remove it after {}",
                    end_of(&target.config),
                    seconds(*ns)
                )
            }
            Self::Down(target, 0) => format!("{} down", end_of(&target.config)),
            Self::Down(target, ns) => {
                format!(
                    "{} down, noticed after {}",
                    end_of(&target.config),
                    seconds(*ns)
                )
            }
            Self::Up(target) => format!("{} up", end_of(&target.config)),
            Self::Slow(target, factor) if factor.thousandths() == Factor::ONE => {
                format!("{} as fast as in the trace", end_of(&target.config))
            }
            Self::Slow(target, factor) => {
                format!("{} slower by a factor of {factor}", end_of(&target.config))
            }
            Self::Policy(chosen) => format!("policy {}", chosen.label),
            Self::Restart(table, director) => {
                let director = director.map_or_else(|| "director".to_owned(), name_of);
                let table = match table {
                    Table::Kept => "kept",
                    Table::Lost => "lost",
                };
                format!("{director} restarted, connections {table}")
            }
            Self::Leave(director) => format!("{} leaves", name_of(*director)),
            Self::Join(director, 0) => format!("{} joins", name_of(*director)),
            Self::Join(director, ns) => {
                format!(
                    "{} joins, having listened for {}",
                    name_of(*director),
                    seconds(*ns)
                )
            }
        }
    }
}

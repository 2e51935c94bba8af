//! Which keys an action looks at.

use std::ops::Range;

use toml::Spanned;

use super::{Scenario, ScenarioError, Word, Written};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Must,
    May,
    No,
}

impl Word {
    /// Whether it happens to a director and not to a service.
    pub(super) const fn is_of_director(self) -> bool {
        matches!(self, Self::Restart | Self::Leave | Self::Join)
    }

    fn wants(self, key: &str) -> Want {
        match (self, key) {
            (Self::Policy, "policy")
            | (Self::Weight, "weight")
            | (Self::Slow, "factor")
            | (Self::Leave | Self::Join, "director") => Want::Must,
            (Self::Policy, "server") => Want::No,
            (_, "server") if !self.is_of_director() => Want::Must,
            (Self::Drain, "for")
            | (Self::Down, "noticed")
            | (Self::Restart, "connections" | "director")
            | (Self::Join, "listened") => Want::May,
            (_, "service") if !self.is_of_director() => Want::May,
            _ => Want::No,
        }
    }
}

impl Scenario {
    /// Keys that the action does not look at are mistakes.
    pub(super) fn check_keys(&self, written: &Written) -> Result<(), ScenarioError> {
        fn span<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
            value.map(Spanned::span)
        }
        let spans = [
            ("service", span(written.service.as_ref())),
            ("server", span(written.server.as_ref())),
            ("weight", span(written.weight.as_ref())),
            ("for", span(written.lasts.as_ref())),
            ("noticed", span(written.noticed.as_ref())),
            ("policy", span(written.policy.as_ref())),
            ("connections", span(written.connections.as_ref())),
            ("director", span(written.director.as_ref())),
            ("listened", span(written.listened.as_ref())),
            ("factor", span(written.factor.as_ref())),
        ];
        for (key, span) in spans {
            match (span, written.action.get_ref().wants(key)) {
                (Some(span), Want::No) => {
                    let what = format!("`{key}` says nothing of this action");
                    return Err(self.wrong(&span, what));
                }
                (None, Want::Must) => {
                    let what = format!("this action wants `{key}`");
                    return Err(self.wrong(&written.action.span(), what));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

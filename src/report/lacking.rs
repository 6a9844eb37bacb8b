//! What did not come, counted in words that fit it: an app does not come back, a check does not hold, a command fails, a step is
//! left out. One sentence for all of them would be wrong for most.
use super::story::Story;
use crate::action::{ActionKind, ItemId, Subject};
use crate::journal::checkpoint::{How, StepId};

/// What kind of thing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An app of a PM2 place.
    App,
    /// A unit of systemd.
    Unit,
    /// A Redis instance.
    Redis,
    /// A condition of a gate.
    Check,
    /// A command, or what else is no service.
    Work,
    /// A step that somebody, or the runbook, left out.
    LeftOut,
    /// Nobody knows whether it happened.
    Doubt,
}

/// In the order in which they are told.
const ALL: [Kind; 7] = [Kind::App, Kind::Unit, Kind::Redis, Kind::Check, Kind::Work, Kind::LeftOut, Kind::Doubt];

impl Kind {
    /// Its name for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Unit => "unit",
            Self::Redis => "redis",
            Self::Check => "check",
            Self::Work => "work",
            Self::LeftOut => "left_out",
            Self::Doubt => "doubt",
        }
    }

    /// `2 apps did not come back`.
    fn told(self, n: usize) -> String {
        let (one, many, what) = match self {
            Self::App => ("app", "apps", "did not come back"),
            Self::Unit => ("unit", "units", "failed"),
            Self::Redis => ("Redis instance", "Redis instances", "failed"),
            Self::Check => ("check", "checks", "did not hold"),
            Self::Work => ("thing", "things", "failed"),
            Self::LeftOut => ("thing", "things", "left out"),
            Self::Doubt => ("thing", "things", "not known"),
        };
        format!("{n} {} {what}", if n == 1 { one } else { many })
    }
}

/// What kind of thing a loss of this step is.
pub(super) fn kind(story: &Story<'_>, step: &StepId, item: &str) -> Kind {
    let told = story.steps.get(step);
    match told.and_then(|told| told.how()) {
        // Of a step that was left out, what failed before is told as what it is.
        Some(How::Skipped { .. }) if told.is_none_or(|told| !told.has_failed(item)) => return Kind::LeftOut,
        Some(How::Skipped { .. }) => {}
        Some(How::Applied | How::AlreadySo | How::Ruled | How::WithLosses { .. }) => {}
        None if told.is_some_and(|told| told.in_doubt().is_some()) => return Kind::Doubt,
        None => {}
    }
    // PM2's daemon or its list is no app.
    if ItemId::of_key(item).is_chore() {
        return Kind::Work;
    }
    match story.planned(step).map(|planned| &planned.subject) {
        Some(Subject::Apps(_)) => Kind::App,
        Some(Subject::Unit) => Kind::Unit,
        Some(Subject::Redis) => Kind::Redis,
        Some(Subject::Step) if story.action(step) == Some(ActionKind::Healthy) => Kind::Check,
        Some(Subject::Step) | None => Kind::Work,
    }
}

/// All losses, counted by kind: `2 apps did not come back, 1 check did not hold`; empty where there are none.
pub(super) fn counted(story: &Story<'_>) -> String {
    let kinds: Vec<Kind> = story.losses().into_iter().map(|(step, item, ..)| kind(story, step, item)).collect();
    let told = ALL.iter().filter_map(|one| {
        let n = kinds.iter().filter(|kind| *kind == one).count();
        (n > 0).then(|| one.told(n))
    });
    told.collect::<Vec<_>>().join(", ")
}

//! `units_enabled`: the platform units start by themselves after a boot.
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Weight};
use super::item_id::ItemId;
use super::loads;
use crate::host::shell_word::word;
use crate::host::span::{Span, words};
use crate::host::systemd::UnitSeen;
use crate::host::systemd::boot::{AtBoot, Trap, boot_verdict, start_timeout_trap};
use crate::host::{Deed, Host, HostError, Probe};

/// Audit, and if asked repair, that every unit is enabled (or wanted by one that is).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitsEnabled {
    /// Inventory names whose units are meant (see [`super::inventory::Inventory::units_of`]); `None`: all of them.
    pub units: Option<Vec<String>>,
    /// Enable what is not, instead of failing.
    pub fix: bool,
}

/// What `units_enabled` looks at.
pub struct Seen {
    units: Vec<(Box<UnitSeen>, bool, Duration)>,
}

impl Act for UnitsEnabled {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let known = ground.inventory.units_of(self.units.as_deref());
        let looks = known.into_iter().map(|known| async move {
            let load = load_of(known.unit, on, ground).await;
            Ok::<_, HostError>((on.unit(known.unit).await?, known.required, load))
        });
        Ok(Seen { units: try_join_all(looks).await? })
    }

    fn plan(&self, seen: &Seen, _: &Ground<'_>) -> Change {
        let mut change = Change::default();
        for (unit, required, load) in &seen.units {
            let before = change.items.len();
            self.judge_boot(unit, *required, &mut change);
            change.concerns.extend(known_before(unit));
            if let Some(trap) = start_timeout_trap(unit, *load) {
                self.judge_timeout(unit, &trap, &mut change);
            }
            change.already += usize::from(change.items.len() == before);
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, _: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        tell(Tick::say(&item.key, "asking systemd"));
        let deed = match item.id() {
            ItemId::StartTimeout(unit) => Deed::LiftStartTimeout(unit),
            ItemId::Thing(unit) => Deed::EnableUnit(unit),
            ItemId::Chore(_) => return Outcome::failed("no such item"),
        };
        match on.tell(&deed).await {
            Ok(_) => Outcome::applied(),
            Err(error) => error.into(),
        }
    }
}

impl UnitsEnabled {
    /// Whether the unit comes back by itself, and what is to be done if not.
    fn judge_boot(&self, unit: &UnitSeen, required: bool, change: &mut Change) {
        let bad = if required { Weight::Stop } else { Weight::Warn };
        let mut concern = |weight, seen: String, cure: String| {
            change.concerns.push(Concern::new(weight, &unit.asked, seen, cure));
        };
        let verdict = boot_verdict(unit);
        let verdict = match verdict {
            AtBoot::Alias { of, then } => {
                concern(Weight::Note, format!("is an alias of {of}"), format!("name {of} in the runbook"));
                *then
            }
            other => other,
        };
        match verdict {
            AtBoot::Starts | AtBoot::PulledIn { .. } | AtBoot::Alias { .. } => {}
            AtBoot::Generated => concern(Weight::Note, "is generated at each boot".into(), "nothing to enable".into()),
            AtBoot::Disabled { can_enable: true, note } if self.fix => {
                let before = if note.is_empty() { "disabled".to_owned() } else { format!("disabled ({note})") };
                let item =
                    Item::new(&unit.id, Sign::Add, before, "enabled").briefly("disabled").taking(Span::secs(0.3, 2.0));
                change.items.push(item);
            }
            AtBoot::Disabled { note, .. } => {
                let seen = if note.is_empty() {
                    "is disabled: it will not come back".into()
                } else {
                    format!("will not come back: {note}")
                };
                concern(bad, seen, format!("set `fix: true`, or: systemctl enable {}", word(&unit.id)));
            }
            AtBoot::Masked { .. } => {
                concern(
                    bad,
                    "is masked: nothing can start it".into(),
                    format!("if it is meant to run: systemctl unmask {}", word(&unit.id)),
                );
            }
            AtBoot::Static { note } => {
                concern(
                    Weight::Warn,
                    format!("is static: {note}"),
                    "it has no [Install] section; `units_active` starts it".into(),
                );
            }
            AtBoot::Transient => {
                concern(bad, "exists only until the next boot".into(), "give it a unit file".into());
            }
            AtBoot::Template => {
                concern(
                    Weight::Stop,
                    "is a template without an instance".into(),
                    "name an instance, as in name@x.service".into(),
                );
            }
            AtBoot::Missing => concern(bad, "does not exist".into(), "correct the name, or install it".into()),
            AtBoot::Bad { why } => concern(bad, format!("cannot be loaded: {why}"), "correct its unit file".into()),
        }
    }

    /// A notifying unit is killed and started anew, for ever, when its load takes longer than its start time-out.
    fn judge_timeout(&self, unit: &UnitSeen, trap: &Trap, change: &mut Change) {
        let limit = words(trap.timeout);
        if self.fix {
            let before = format!("{limit}; the load may take {}", words(trap.needed / 2));
            let item = Item::new(ItemId::StartTimeout(unit.id.clone()), Sign::Alter, before, "none");
            change.items.push(item.taking(Span::secs(0.3, 2.0)));
            return;
        }
        let seen = format!("is killed after {limit}, and its load may take {}", words(trap.needed / 2));
        let cure = "set TimeoutStartSec=infinity in a drop-in, or `fix: true`";
        change.concerns.push(Concern::new(Weight::Stop, &unit.asked, seen, cure));
    }
}

/// What was so before the run and must not be taken for its work, or surprises on the way down.
fn known_before(unit: &UnitSeen) -> Vec<Concern> {
    let warn = |seen: String, cure: String| Concern::new(Weight::Warn, &unit.asked, seen, cure);
    let mut out = Vec::new();
    if unit.active_state == "failed" {
        let seen = format!("has failed already, before this run (result {})", unit.result);
        out.push(warn(seen, format!("journalctl -u {0}; systemctl reset-failed {0}", word(&unit.id))));
    }
    if unit.need_daemon_reload {
        let seen = "its files are newer than what systemd has read: the boot will use them, a start now does not";
        out.push(warn(seen.into(), format!("systemctl cat {}; systemctl daemon-reload", word(&unit.id))));
    }
    if unit.stop_timeout.is_none() && unit.id.ends_with(".service") && unit.active_state == "active" {
        let seen = "has no stop time-out: a stop that hangs holds up the shutdown for ever".to_owned();
        out.push(warn(seen, "set TimeoutStopSec= in a drop-in".into()));
    }
    out
}

/// The slow estimate of what a unit loads at its start: the files of the Redis instance that it runs.
async fn load_of(unit: &str, on: &dyn Probe, ground: &Ground<'_>) -> Duration {
    let runs_it = |one: &&super::inventory::RedisInstance| one.unit.as_deref() == Some(unit);
    let Some(instance) = ground.inventory.redis.values().find(runs_it) else {
        return Duration::ZERO;
    };
    let Ok(seen) = on.redis(&instance.at()).await else {
        return Duration::ZERO;
    };
    let Some(files) = seen.facts.as_ref().and_then(|facts| facts.files.as_ref()) else {
        return Duration::ZERO;
    };
    let cost = loads::incr_cost(instance, &seen, on, ground).await;
    let sizes = (files.base_bytes(), files.incr_bytes());
    let work = loads::work(instance, sizes, &seen, ground, cost.as_ref());
    loads::span(work.expected()).at_worst()
}

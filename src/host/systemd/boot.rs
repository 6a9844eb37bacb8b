//! Will it come back by itself after the reboot, and will it be given the time it needs? Pure judgement of facts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::unit::UnitSeen;
use crate::host::foreign::Shown;

/// Targets that a normal boot reaches.
const BOOT_TARGETS: [&str; 8] = [
    "multi-user.target",
    "graphical.target",
    "default.target",
    "basic.target",
    "sysinit.target",
    "sockets.target",
    "timers.target",
    "local-fs.target",
];

/// What the next boot does with a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtBoot {
    /// Enabled: it starts.
    Starts,
    /// Not enabled, but a target or a trigger that a boot reaches pulls it in.
    PulledIn {
        /// Who does.
        by: Vec<String>,
    },
    /// It has an `[Install]` section and is not enabled: missing after the boot until somebody enables it.
    Disabled {
        /// Whether enabling can help.
        can_enable: bool,
        /// What makes this one special.
        note: String,
    },
    /// Forbidden to start.
    Masked {
        /// Masked under /run only: the mask itself is gone after the boot.
        runtime: bool,
    },
    /// No `[Install]` section: started by others or by hand; must not be "enabled".
    Static {
        /// Who may start it.
        note: String,
    },
    /// Another name of a unit: act on that one, once.
    Alias {
        /// The canonical name.
        of: String,
        /// What the boot does with it.
        then: Box<AtBoot>,
    },
    /// Written at boot by a generator; comes back if its source does.
    Generated,
    /// Made up at run time (or linked under /run): gone after the boot.
    Transient,
    /// A template without an instance: name the instances.
    Template,
    /// There is no such unit.
    Missing,
    /// Its file cannot be used.
    Bad {
        /// systemd's complaint.
        why: Shown,
    },
}

impl AtBoot {
    /// Whether it is expected to run after the boot without anybody's help.
    #[must_use]
    pub fn starts(&self) -> bool {
        match self {
            Self::Starts | Self::PulledIn { .. } => true,
            Self::Alias { then, .. } => then.starts(),
            _ => false,
        }
    }
}

/// Judges a unit by its load state and its file's state (`systemctl is-enabled` documents the words).
#[must_use]
pub fn boot_verdict(unit: &UnitSeen) -> AtBoot {
    match unit.load_state.as_str() {
        "template" => return AtBoot::Template,
        "not-found" => return AtBoot::Missing,
        "masked" => {
            return AtBoot::Masked { runtime: unit.unit_file_state == "masked-runtime" };
        }
        "bad-setting" | "error" => {
            return AtBoot::Bad { why: unit.load_error.clone() };
        }
        _ => {}
    }
    // The canonical unit is loaded and pulled in by whoever wants it, so an enabled alias shows in `wanted_by`.
    if unit.id != unit.asked {
        let then = if unit.unit_file_state == "alias" {
            pulled_in(unit).unwrap_or_else(|| ask(&unit.id))
        } else {
            by_file(unit)
        };
        return AtBoot::Alias { of: unit.id.clone(), then: Box::new(then) };
    }
    by_file(unit)
}

fn ask(id: &str) -> AtBoot {
    AtBoot::Disabled { can_enable: false, note: format!("ask about {id} itself") }
}

fn by_file(unit: &UnitSeen) -> AtBoot {
    let disabled = |note: &str| AtBoot::Disabled { can_enable: true, note: note.to_owned() };
    match unit.unit_file_state.as_str() {
        "enabled" => AtBoot::Starts,
        "enabled-runtime" => disabled("enabled only until the next boot"),
        "disabled" => pulled_in(unit).unwrap_or_else(|| disabled("")),
        "linked" => pulled_in(unit).unwrap_or_else(|| disabled("linked from outside the unit directories")),
        "masked" => AtBoot::Masked { runtime: false },
        "masked-runtime" => AtBoot::Masked { runtime: true },
        "generated" => AtBoot::Generated,
        "transient" | "linked-runtime" => AtBoot::Transient,
        "bad" => AtBoot::Bad { why: unit.load_error.clone() },
        _ => pulled_in(unit).unwrap_or_else(|| AtBoot::Static { note: starters(unit) }),
    }
}

/// Boot targets want it, or a socket, timer or path stands by to start it.
fn pulled_in(unit: &UnitSeen) -> Option<AtBoot> {
    let by: Vec<_> = unit.wanted_by.iter().filter(|name| BOOT_TARGETS.contains(&name.as_str())).cloned().collect();
    (!by.is_empty()).then_some(AtBoot::PulledIn { by })
}

fn starters(unit: &UnitSeen) -> String {
    let names: Vec<_> = unit.triggered_by.iter().chain(&unit.wanted_by).map(String::as_str).collect();
    if names.is_empty() { "nothing starts it by itself".to_owned() } else { format!("started by {}", names.join(", ")) }
}

/// A start time-out that would kill a loading database over and over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trap {
    /// What systemd allows now.
    pub timeout: Duration,
    /// Twice the slow estimate.
    pub needed: Duration,
}

/// Whether systemd would kill this service before it is loaded. A notify service is ready only when it says so, and
/// Redis says so after the load; the default of 90 s then restarts it for ever without hitting any start limit.
#[must_use]
pub fn start_timeout_trap(unit: &UnitSeen, slow_load: Duration) -> Option<Trap> {
    let notifies = matches!(unit.service_type.as_str(), "notify" | "notify-reload");
    let timeout = unit.start_timeout.filter(|_| notifies)?;
    let needed = slow_load.saturating_mul(2);
    (timeout < needed).then_some(Trap { timeout, needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(load: &str, file: &str) -> UnitSeen {
        UnitSeen { load_state: load.into(), unit_file_state: file.into(), ..UnitSeen::sample("a.service") }
    }

    #[test]
    fn verdicts() {
        let disabled = |note: &str| AtBoot::Disabled { can_enable: true, note: note.into() };
        let alone = || AtBoot::Static { note: "nothing starts it by itself".into() };
        for (load, file, wanted) in [
            ("loaded", "enabled", AtBoot::Starts),
            ("loaded", "enabled-runtime", disabled("enabled only until the next boot")),
            ("loaded", "disabled", disabled("")),
            ("loaded", "linked", disabled("linked from outside the unit directories")),
            ("loaded", "static", alone()),
            ("loaded", "indirect", alone()),
            ("loaded", "", alone()),
            ("loaded", "generated", AtBoot::Generated),
            ("loaded", "transient", AtBoot::Transient),
            ("masked", "masked", AtBoot::Masked { runtime: false }),
            ("masked", "masked-runtime", AtBoot::Masked { runtime: true }),
            ("not-found", "", AtBoot::Missing),
            ("template", "disabled", AtBoot::Template),
        ] {
            let verdict = boot_verdict(&unit(load, file));
            assert_eq!(verdict, wanted, "{load} {file}");
            assert_eq!(verdict.starts(), file == "enabled", "{load} {file}");
        }
        let bad = UnitSeen { load_error: "unknown section".into(), ..unit("bad-setting", "enabled") };
        assert_eq!(boot_verdict(&bad), AtBoot::Bad { why: "unknown section".into() });
    }

    #[test]
    fn wanted_by_a_target_of_the_boot_comes_back_and_a_trigger_is_named() {
        let wanted =
            UnitSeen { wanted_by: vec!["x.service".into(), "multi-user.target".into()], ..unit("loaded", "static") };
        assert_eq!(boot_verdict(&wanted), AtBoot::PulledIn { by: vec!["multi-user.target".into()] });
        let triggered = UnitSeen { triggered_by: vec!["a.socket".into()], ..unit("loaded", "static") };
        assert_eq!(boot_verdict(&triggered), AtBoot::Static { note: "started by a.socket".into() });
    }

    #[test]
    fn an_alias_points_to_the_unit_that_matters() {
        let mut alias = unit("loaded", "alias");
        alias.id = "real.service".into();
        assert!(!boot_verdict(&alias).starts());
        alias.wanted_by = vec!["multi-user.target".into()];
        let verdict = boot_verdict(&alias);
        assert!(verdict.starts());
        assert!(matches!(verdict, AtBoot::Alias { of, .. } if of == "real.service"));
    }

    #[test]
    fn the_ninety_second_trap() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (service_type, timeout, slow, trapped) in [
            ("notify", Some(Duration::from_secs(90)), minutes(33), true),
            ("notify", Some(Duration::from_secs(90)), Duration::from_secs(45), false),
            ("notify", Some(Duration::from_secs(90)), Duration::from_secs(46), true),
            ("notify-reload", Some(minutes(60)), minutes(33), true),
            ("notify", None, minutes(600), false),
            ("simple", Some(Duration::from_secs(90)), minutes(33), false),
        ] {
            let mut unit = unit("loaded", "enabled");
            unit.service_type = service_type.into();
            unit.start_timeout = timeout;
            let trap = start_timeout_trap(&unit, slow);
            assert_eq!(trap.is_some(), trapped, "{service_type} {timeout:?} {slow:?}");
            assert!(trap.is_none_or(|trap| trap.needed == slow * 2));
        }
    }
}

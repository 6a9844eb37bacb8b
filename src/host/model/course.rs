//! What a model is told beforehand: which unit runs which neighbour, and what is to go wrong.

use serde::{Deserialize, Serialize};

use crate::host::redis::RedisAt;
use crate::host::systemd::{Inhibitor, UnitSeen};
use crate::host::{Answer, Ask};

/// Which unit runs which server. (Of PM2 every place names its own.)
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ties {
    /// An instance and the unit that runs it; one without a unit is started by somebody at each boot.
    pub redis: Vec<(RedisAt, String)>,
    /// An instance and the name under which its earlier loads are filed.
    pub names: Vec<(RedisAt, String)>,
}

impl Ties {
    /// The unit behind an instance.
    #[must_use]
    pub fn unit_of(&self, at: &RedisAt) -> Option<&str> {
        self.redis.iter().find(|(known, _)| known == at).map(|(_, unit)| unit.as_str())
    }

    /// The name of an instance.
    pub(super) fn name_of(&self, at: &RedisAt) -> Option<&str> {
        self.names.iter().find(|(known, _)| known == at).map(|(_, name)| name.as_str())
    }

    /// The instance behind a unit.
    #[must_use]
    pub fn instance_of(&self, unit: &str) -> Option<&RedisAt> {
        self.redis.iter().find(|(_, name)| name == unit).map(|(at, _)| at)
    }
}

/// What is to go wrong on a model. Redis instances are named by their URL, apps and units by their name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Every rewrite of these instances ends with a failed child.
    pub rewrite_fails: Vec<String>,
    /// These apps crash over and over once they are started, until the daemon gives up.
    pub lost_apps: Vec<String>,
    /// These instances come back from a start without a key.
    pub empty_after_start: Vec<String>,
    /// These load so many times slower than reckoned.
    pub slow_load: Vec<(String, f64)>,
    /// These units are masked.
    pub masked_units: Vec<String>,
    /// Somebody of this name forbids the shutdown.
    pub inhibitor: Option<String>,
    /// The machine accepts that it should go down and never does.
    pub never_reboots: bool,
    /// Commands with one of these programs (the first word) end with status 1.
    pub commands_fail: Vec<String>,
    /// The machine has so many bytes of memory after the boot: no fault, but the upgrade that the reboot was for.
    pub memory_after_boot: Option<u64>,
}

impl Faults {
    pub(super) fn names(list: &[String], name: &str) -> bool {
        list.iter().any(|one| one == name)
    }

    /// How many times slower an instance loads.
    pub(super) fn slowness(&self, at: &RedisAt) -> f64 {
        let factor = self.slow_load.iter().find(|(url, _)| *url == at.url).map(|(_, factor)| *factor);
        factor.filter(|factor| factor.is_finite() && *factor > 0.0).unwrap_or(1.0)
    }

    /// An answer from below as the faulty machine would have given it.
    pub(super) fn colour(&self, ask: &Ask, mut answer: Answer) -> Answer {
        match (ask, &mut answer) {
            (Ask::Unit(name), Answer::Unit(seen)) if Self::names(&self.masked_units, name) => mask(seen),
            (Ask::Inhibitors, Answer::Inhibitors(held)) => held.extend(self.inhibitor.iter().map(|who| inhibitor(who))),
            _ => {}
        }
        answer
    }
}

fn mask(unit: &mut UnitSeen) {
    unit.load_state = "masked".into();
    unit.unit_file_state = "masked".into();
}

fn inhibitor(who: &str) -> Inhibitor {
    Inhibitor {
        what: "shutdown".into(),
        who: who.to_owned(),
        why: "a fault of the rehearsal".into(),
        mode: "block".into(),
        uid: 0,
        pid: 4_242,
    }
}

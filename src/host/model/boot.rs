//! The machine on the model going down and coming up again: a new boot id, and only what is enabled.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::world::{Happening, World};
use crate::host::redis::RedisAt;
use crate::host::{Answer, Ask, Down, Told};

/// From the request to the new kernel.
pub(super) const REBOOT_TAKES: Duration = Duration::from_secs(60);
/// Until somebody has powered it on again.
pub(super) const BY_HAND_TAKES: Duration = Duration::from_secs(600);

impl World {
    /// The machine was asked to go down, or a person was.
    pub(super) fn go_down(&mut self, how: Down, now: Duration) -> Told {
        if !self.faults.never_reboots && !self.due.iter().any(|due| due.what == Happening::Booted) {
            let takes = if how == Down::Reboot { REBOOT_TAKES } else { BY_HAND_TAKES };
            self.plan(now, takes, Happening::Booted);
        }
        match how {
            Down::Reboot | Down::Poweroff => Told::Done,
            Down::ByHand => Told::Said("take the machine down and up by hand now".into()),
        }
    }

    /// When the machine will be up again; `None` when it is not going down.
    pub(super) fn boots_at(&self) -> Option<Duration> {
        self.due.iter().find(|due| due.what == Happening::Booted).map(|due| due.at)
    }

    /// Moves the boot of a machine that is going down to another time; `false` when it is not going down.
    pub(super) fn boot_at(&mut self, at: Duration) -> bool {
        let due = self.due.iter_mut().find(|due| due.what == Happening::Booted);
        due.map(|due| due.at = at).is_some()
    }

    pub(super) fn booted(&mut self, now: Duration) {
        let (instances, units, places) = (self.instances(), self.units(), self.places());
        for unit in &units {
            self.end_unit(unit);
        }
        for at in &instances {
            self.end_instance(at);
        }
        for at in &places {
            self.end_daemon(at);
        }
        self.booted_at = Some(now);
        self.new_kernel();
        for unit in units.iter().filter(|unit| self.starts_at_boot(unit)).cloned().collect::<Vec<_>>() {
            // What a boot cannot start stays down, and is found so.
            drop(self.start_unit(&unit, now));
        }
        // Whatever no known unit runs is started by somebody else, as it was before.
        let alone = |at: &&RedisAt| {
            self.behind(at) == *at && self.ties.unit_of(at).is_none_or(|unit| !units.iter().any(|known| known == unit))
        };
        for at in instances.iter().filter(alone).cloned().collect::<Vec<_>>() {
            self.start_instance(&at, now);
        }
        let alone = |unit: &Option<String>| unit.as_ref().is_some_and(|unit| !units.contains(unit));
        for at in places.iter().filter(|at| alone(&at.unit)) {
            self.resurrect(at, now);
        }
    }

    fn new_kernel(&mut self) {
        let after = self.faults.memory_after_boot;
        for (ask, answer) in &mut self.facts.answers {
            let (Ask::Machine, Answer::Machine(seen)) = (ask, answer) else {
                continue;
            };
            let old = seen.boot_id.clone().unwrap_or_default();
            seen.boot_id = Some(as_uuid(&made_up_id(&old, "boot", 32)));
            if let (Some(after), Some(total)) = (after, seen.mem_total) {
                seen.mem_available =
                    seen.mem_available.map(|free| free.saturating_add(after.saturating_sub(total)).min(after));
                seen.mem_total = Some(after);
            }
        }
    }
}

/// A made-up identity of `len` hex digits: new, and the same for everybody who makes it up from the same one.
pub(super) fn made_up_id(old: &str, salt: &str, len: usize) -> String {
    let mut id = hex::encode(Sha256::digest(format!("{salt} after {old}")));
    id.truncate(len);
    id
}

fn as_uuid(hex: &str) -> String {
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

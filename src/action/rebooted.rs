//! `rebooted`: the boot id differs from the one in the baseline.
//!
//! Before the machine goes down everything that brings the run back is made sure of, as items of their own: the resume
//! unit, and nobody who inhibits a shutdown (logind of Debian 12 lets root through, so the check is ours). The machine is
//! asked at most once; afterwards only two different boot ids prove that it happened.
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Settled, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Wave, Weight};
use super::item_id::ItemId;
use super::way_back;
use crate::host::disk::DiskKind;
use crate::host::machine::{BootUnknown, MachineSeen, rebooted};
use crate::host::redis::{Obstacle, RedisKind, restart_obstacles, started_with};
use crate::host::span::Span;
use crate::host::systemd::logind::{Inhibitor, blocking};
use crate::host::{Deed, Down, Host, HostError, Probe};

/// The kernel has been started anew since the run began. Takes service away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rebooted {
    /// How the machine goes down.
    pub how: Down,
}

/// The key of the item that goes down.
const MACHINE: &str = "machine";

/// What `rebooted` looks at.
pub struct Seen {
    machine: Box<MachineSeen>,
    changed: Result<bool, BootUnknown>,
    resume: Vec<String>,
    inhibitors: Vec<Inhibitor>,
    state_disk: Option<(DiskKind, bool)>,
    /// Settings without which an instance would not read its data after the boot.
    unread: Vec<(String, Obstacle)>,
}

impl Act for Rebooted {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let machine = on.machine().await?;
        let before = ground.baseline.machine().and_then(|machine| machine.boot_id.as_deref()).unwrap_or_default();
        let changed = rebooted(before, &machine);
        if changed == Ok(true) {
            return Ok(Seen {
                machine,
                changed,
                resume: Vec::new(),
                inhibitors: Vec::new(),
                state_disk: None,
                unread: Vec::new(),
            });
        }
        let disk = on.disk(ground.run_dir).await.ok();
        Ok(Seen {
            machine,
            changed,
            resume: on.resume_unit().await?,
            inhibitors: on.inhibitors().await?,
            state_disk: disk.map(|disk| (disk.kind, disk.read_only)),
            unread: unread(on, ground).await,
        })
    }

    fn plan(&self, seen: &Seen, _: &Ground<'_>) -> Change {
        if seen.changed == Ok(true) {
            return Change { already: 1, ..Change::default() };
        }
        let ready = Wave { name: "ready to go down".into(), ..Wave::default() };
        let down = Wave { name: "down".into(), after: vec![0], ..Wave::default() };
        let mut change = Change { waves: vec![ready, down], concerns: concerns(seen), ..Change::default() };
        change.items.extend(way_back::item(&seen.resume));
        let boot = seen.machine.boot_id.as_deref().unwrap_or("unknown");
        let after = match self.how {
            Down::Reboot => "restarted, with a new boot id",
            Down::Poweroff => "powered off, until somebody powers it on",
            Down::ByHand => "taken down and up by a person",
        };
        let item = Item::new(MACHINE, Sign::Reboot, format!("boot {boot}"), after).in_wave(1);
        change.items.push(item.taking(Span::secs(60.0, 240.0)));
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, _: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        match item.id() {
            ItemId::Chore(_) => on.tell(&Deed::InstallResume).await.map_or_else(Outcome::from, |_| Outcome::applied()),
            ItemId::Thing(_) => self.go_down(on, tell).await,
            ItemId::StartTimeout(_) => Outcome::failed("no such item"),
        }
    }

    async fn settle(&self, item: &str, _: &dyn Host, _: &Ground<'_>) -> Settled {
        // The boot id has been asked before; a machine that was told to go down is never told again.
        if ItemId::of_key(item).is_chore() { Settled::Again } else { Settled::Unknown }
    }

    fn takes_service_away(&self) -> bool {
        true
    }
}

impl Rebooted {
    async fn go_down(&self, on: &dyn Host, tell: Tell<'_>) -> Outcome {
        match on.as_probe().inhibitors().await {
            Err(error) => return error.into(),
            Ok(held) if !blocking(&held).is_empty() => return Outcome::failed(inhibited(&held)),
            Ok(_) => {}
        }
        tell(Tick::say(MACHINE, "going down"));
        match on.tell(&Deed::GoDown(self.how)).await {
            Ok(_) => Outcome::Leaving,
            // The bus often goes down before it has answered. Whether the machine does, only its next boot id tells.
            Err(HostError::Unknown { .. }) => Outcome::Leaving,
            Err(error) => error.into(),
        }
    }
}

fn inhibited(held: &[Inhibitor]) -> String {
    let names: Vec<String> =
        blocking(held).iter().map(|one| format!("{} (pid {}): {}", one.who, one.pid, one.why)).collect();
    format!(
        "a shutdown is inhibited by {}; wait for it or end it, the machine was not asked to go down",
        names.join(", ")
    )
}

/// What a boot would not read: append-only persistence that is on now and off in the file, a directory moved at runtime.
async fn unread(on: &dyn Probe, ground: &Ground<'_>) -> Vec<(String, Obstacle)> {
    let redis = ground.inventory.redis.values().filter(|one| one.kind == RedisKind::Redis && one.required);
    let looks = redis.map(|one| async move {
        let seen = on.redis(&one.at()).await.ok()?;
        let unit = match &one.unit {
            Some(unit) => on.unit(unit).await.ok(),
            None => None,
        };
        let seen = unit.map_or_else(|| *seen.clone(), |unit| started_with(&seen, &unit.redis_settings));
        Some(restart_obstacles(&seen).into_iter().map(|found| (one.name.clone(), found)).collect::<Vec<_>>())
    });
    futures_util::future::join_all(looks).await.into_iter().flatten().flatten().collect()
}

/// What must be in order before a machine may go down under a run.
fn concerns(seen: &Seen) -> Vec<Concern> {
    let unread = seen.unread.iter();
    let mut out: Vec<Concern> =
        unread.map(|(name, found)| Concern::new(Weight::Stop, name, &found.seen, &found.cure)).collect();
    if let Err(why) = &seen.changed {
        let cure = "without boot ids a reboot cannot be proven, so none is asked for";
        out.push(Concern::new(Weight::Stop, MACHINE, why.to_string(), cure));
    }
    if !seen.machine.runs_systemd() {
        let text = format!("process 1 is {}, not systemd", seen.machine.init.as_deref().unwrap_or("unknown"));
        let cure =
            "nobody would resume the run after the boot: run this on the host itself, not in a chroot or a container";
        out.push(Concern::new(Weight::Stop, MACHINE, text, cure));
    } else if !seen.machine.is_root {
        let text = "this is not root: logind would ask for a password, and no resume unit can be installed";
        out.push(Concern::new(Weight::Stop, MACHINE, text, "sudo runbook ..."));
    }
    if let Some((kind, read_only)) = seen.state_disk
        && (matches!(kind, DiskKind::Tmpfs | DiskKind::Network) || read_only)
    {
        let on = match kind {
            DiskKind::Tmpfs => "in memory (tmpfs), which the reboot empties",
            DiskKind::Network => "on another machine's disk, where locks and syncs may mean nothing",
            _ => "on a disk",
        };
        let text = format!("the state directory is {on}{}", if read_only { ", mounted read-only" } else { "" });
        out.push(Concern::new(
            Weight::Stop,
            MACHINE,
            text,
            "the journal would not survive: use a local disk, --state-dir",
        ));
    }
    for one in &seen.inhibitors {
        let weight = if blocking(std::slice::from_ref(one)).is_empty() { Weight::Note } else { Weight::Stop };
        let text = format!("{} inhibits {} ({}): {}", one.who, one.what, one.mode, one.why);
        let cure = "wait until it is gone from `systemd-inhibit --list`, or end it";
        out.push(Concern::new(weight, MACHINE, text, cure));
    }
    out
}

//! What has to be so before `pm2_restored` starts the first app: nothing left over of a former daemon, a daemon that has
//! ended its own resurrect, and every app registered with it.
use std::sync::Arc;
use std::time::Duration;

use super::act::{Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Weight};
use super::inventory::{AtBoot, Pm2Place};
use super::item_id::{Chore, ItemId};
use super::process_list::{self, names};
use crate::host::pm2::{App, Orphan, Pm2At, Pm2Seen, SnapshotRef, Wanted, wanted};
use crate::host::span::Span;
use crate::host::{Deed, Host, HostError, Told};

/// Waves of it: what is left over, the daemon, missing apps.
pub(super) const WAVES: usize = 3;
/// How long PM2 may take for that.
const RESURRECT_WITHIN: Duration = Duration::from_secs(300);
/// How long its list must stay as it is to be called whole.
const RESURRECT_STEADY: Duration = Duration::from_secs(2);

/// What has to be so before the first app starts: nothing left over, a daemon, and every app registered with it.
pub(super) fn plan(name: &str, pm2: &Pm2Seen, saved: &[App], place: &Pm2Place, change: &mut Change) {
    if pm2.up().is_none() {
        let item = Item::new(Chore::Daemon, Sign::Add, "not running", "running as its own user");
        change.items.insert(0, item.in_wave(1).taking(Span::secs(1.0, 10.0)));
    }
    if place.boot == AtBoot::Resurrects {
        change.concerns.push(Concern::new(
            Weight::Note,
            name,
            "PM2 starts its apps at the boot by itself, in its own order (`boot: resurrects`)",
            "this step waits for the end of that, compares with the snapshot and repairs",
        ));
        if !change.items.is_empty() {
            let item = Item::new(
                Chore::Resurrect,
                Sign::Wait,
                "PM2 may still be starting apps",
                "every app of its dump is there",
            );
            change.items.insert(0, item.in_wave(1).taking(Span::secs(2.0, 60.0)));
        }
    }
    let missing = saved.iter().filter(|app| process_list::find(&pm2.apps, &app.key).is_none()).count();
    if missing > 0 {
        let item = Item::new(
            Chore::MissingApps,
            Sign::Add,
            format!("{missing} not listed"),
            "registered as stopped, in their order",
        );
        // What cannot be added is lost by its own name.
        change.items.insert(0, Item { optional: true, ..item.in_wave(2).taking(Span::secs(0.1, 2.0)) });
    }
    for orphan in orphans(pm2, saved) {
        let left = Chore::LeftOver { name: orphan.name.clone(), pid: orphan.pid };
        let mut item = Item::new(left, Sign::Remove, "runs without a daemon", "ended, so that it does not run twice");
        item.handle = Some(orphan.pid);
        change.items.insert(0, item.taking(Span::secs(0.2, 3.5)));
    }
}

/// Carries out one of these items; `None` where it is none of them.
pub(super) async fn apply(
    item: &Item,
    pm2: &Pm2At,
    snapshot: &Arc<SnapshotRef>,
    on: &dyn Host,
    tell: Tell<'_>,
) -> Option<Outcome> {
    let ItemId::Chore(chore) = item.id() else { return None };
    let told = match chore {
        Chore::LeftOver { pid, .. } => on.tell(&Deed::EndOrphan { pm2: pm2.clone(), pid }).await,
        Chore::Daemon => start_daemon(pm2, on).await,
        Chore::Resurrect => return Some(resurrected(&item.key, pm2, on, tell).await),
        Chore::MissingApps => return Some(register(pm2, snapshot, on).await),
        Chore::ResumeUnit | Chore::SavedList | Chore::Steady => return None,
    };
    Some(told.map_or_else(Outcome::from, |_| Outcome::applied()))
}

/// Waits until PM2's own resurrect is over: its unit has come up, and its list grows no more. To start apps beside it would
/// start some of them twice.
async fn resurrected(key: &str, pm2: &Pm2At, on: &dyn Host, tell: Tell<'_>) -> Outcome {
    let on_probe = on.as_probe();
    let began = on_probe.uptime();
    let mut whole: Option<(Duration, usize)> = None;
    while on_probe.uptime().saturating_sub(began) < RESURRECT_WITHIN {
        let starting = match &pm2.unit {
            Some(unit) => on_probe.unit(unit).await.is_ok_and(|seen| seen.active_state == "activating"),
            None => false,
        };
        let count = match on_probe.pm2_list(pm2).await {
            Ok(list) if !starting => Some(list.apps.len()),
            _ => None,
        };
        let now = on_probe.uptime();
        whole = match (whole, count) {
            (Some((since, before)), Some(count)) if before == count => {
                if now.saturating_sub(since) >= RESURRECT_STEADY {
                    return Outcome::noted(format!("{count} apps listed"));
                }
                Some((since, count))
            }
            (_, count) => count.map(|count| (now, count)),
        };
        tell(Tick::say(key, "PM2 is starting apps by itself"));
        on.sleep(Duration::from_secs(1)).await;
    }
    Outcome::failed("PM2 was still starting apps by itself after 5 minutes; see its log, then resume")
}

/// Adds every app that is not listed as stopped, in the order of their numbers: so they keep these, equal ones keep their
/// places, and one that is not started because of what it needs is stopped instead of forgotten.
async fn register(pm2: &Pm2At, snapshot: &Arc<SnapshotRef>, on: &dyn Host) -> Outcome {
    let mut failed = Vec::new();
    for (app, name) in snapshot.apps.iter().zip(names(&snapshot.apps)) {
        let (pm2, snapshot, app) = (pm2.clone(), Arc::clone(snapshot), app.key.clone());
        match on.tell(&Deed::BringApp { pm2, snapshot, app, start: false }).await {
            Ok(_) => {}
            Err(error @ HostError::Unknown { .. }) => return error.into(),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    if failed.is_empty() { Outcome::applied() } else { Outcome::noted(failed.join("; ")) }
}

/// Brings the daemon up in its own place: its unit where it has one, so that it never lives in ours.
async fn start_daemon(pm2: &Pm2At, on: &dyn Host) -> Result<Told, HostError> {
    match &pm2.unit {
        Some(unit) => on.tell(&Deed::StartUnit(unit.clone())).await,
        None => on.tell(&Deed::StartDaemon(pm2.clone())).await,
    }
}

/// Processes of a former daemon that would run beside the apps which are about to be started.
fn orphans<'s>(pm2: &'s Pm2Seen, saved: &'s [App]) -> impl Iterator<Item = &'s Orphan> {
    let wanted = move |orphan: &&Orphan| {
        let same = |app: &&App| app.key.name == orphan.name && wanted(app) == Some(Wanted::Online);
        saved.iter().any(|app| same(&app))
    };
    pm2.orphans.iter().filter(wanted)
}

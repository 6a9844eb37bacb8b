//! `pm2_stopped`: every app of a PM2 place is stopped, in reverse start order, and saved as stopped.
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Wave, Weight};
use super::inventory::AtBoot;
use super::item_id::{Chore, ItemId};
use super::pm2_ghosts;
use super::process_list::{self, names};
use super::way_back;
use crate::host::pm2::{App, Pm2At, Pm2Seen};
use crate::host::span::Span;
use crate::host::{Deed, Host, HostError, Probe};

/// Stop the apps so that the boot only registers them and the start order stays the runbook's. Takes service away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2Stopped {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
}

/// Stops in flight at once: stopping costs the daemon little, and each stop waits at least 100 ms for its process.
const AT_ONCE: usize = 32;

/// Saves of the list, at most: more often no clock of an app strikes while it is saved.
const SAVES: usize = 3;

/// What `pm2_stopped` looks at.
pub struct Seen {
    pm2: Box<Pm2Seen>,
    /// What keeps the resume unit from working; empty as well when the runbook does not reboot.
    resume: Vec<String>,
}

impl Act for Pm2Stopped {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let place = process_list::place(ground, &self.pm2);
        let place = place.ok_or_else(|| HostError::refused(&self.pm2, "no such PM2 place in the runbook"))?;
        let pm2 = on.pm2(&process_list::at(place)).await?;
        let resume = if ground.reboots { on.resume_unit().await? } else { Vec::new() };
        Ok(Seen { pm2, resume })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Change::default();
        };
        let running: Vec<(&App, String)> =
            seen.pm2.apps.iter().zip(names(&seen.pm2.apps)).filter(|(app, _)| !app.module && !app.is_down()).collect();
        let groups = place.groups.len() + 1;
        let mut change = Change { already: seen.pm2.apps.len() - running.len(), ..Change::default() };
        change.waves.push(Wave { name: "resume unit".into(), ..Wave::default() });
        for index in (0..groups).rev() {
            let name = place.groups.get(index).map_or("other apps", |group| group.name.as_str());
            let after = vec![change.waves.len() - 1];
            change.waves.push(Wave { name: name.to_owned(), after, at_once: AT_ONCE, ..Wave::default() });
        }
        change.waves.push(Wave { name: "saved list".into(), after: vec![groups], ..Wave::default() });
        for (app, name) in running {
            let mut item = Item::new(name.clone(), Sign::Remove, app.status.word(), "stopped");
            if ground.kept.contains_key(&clocked_key(ground.step, &item.key)) {
                let seen = "was stopped, and started again by its clock";
                change.concerns.push(Concern::new(Weight::Note, name, seen, "what a boot starts is saved as stopped"));
                change.already += 1;
                continue;
            }
            let group = place.group_of(&app.key.name).unwrap_or(groups - 1);
            item.handle = app.pm_id;
            change.items.push(item.in_wave(groups - group).taking(Span::secs(0.3, 1.8)));
        }
        if change.items.is_empty() && list_is_stopped(&seen.pm2) {
            return Change { already: seen.pm2.apps.len(), ..Change::default() };
        }
        let save = Item::new(Chore::SavedList, Sign::Alter, "as PM2 saved it last", "every app saved as stopped");
        change.items.push(save.in_wave(groups + 1).taking(Span::secs(0.5, 3.0)));
        if let Some(item) = way_back::item(&seen.resume) {
            change.items.insert(0, item);
        }
        self.say_who_starts(place.boot, ground, &mut change);
        if process_list::snapshot(ground, &self.pm2).is_none() {
            change.concerns.push(Concern::new(
                Weight::Stop,
                &self.pm2,
                "its list has not been saved in this run",
                "put `pm2_saved` before this step",
            ));
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Outcome::failed("no such PM2 place");
        };
        let pm2 = process_list::at(place);
        tell(Tick::say(&item.key, "stopping"));
        let deed = match (item.id(), item.handle) {
            (ItemId::Chore(Chore::SavedList), _) => {
                let saved = process_list::snapshot(ground, &self.pm2);
                pm2_ghosts::lay(&item.key, &pm2, saved.as_deref(), on, tell).await;
                return save_stopped(pm2, on).await;
            }
            (ItemId::Chore(Chore::ResumeUnit), _) => Deed::InstallResume,
            (ItemId::Chore(_) | ItemId::StartTimeout(_), _) => return Outcome::failed("no such item"),
            (ItemId::Thing(_), Some(id)) => Deed::StopApp { pm2, id },
            (ItemId::Thing(_), None) => return Outcome::failed("PM2 gives it no number, so it cannot be told to stop"),
        };
        let saved = process_list::saved_app(ground, &self.pm2, &item.key);
        let clocked = saved.is_some_and(|app| app.cron.is_some());
        match stop(&deed, clocked, on).await {
            Ok(()) if clocked => {
                Outcome::Applied { note: None, keep: vec![(clocked_key(ground.step, &item.key), true.into())] }
            }
            Ok(()) => Outcome::applied(),
            Err(error) => error.into(),
        }
    }

    fn takes_service_away(&self) -> bool {
        true
    }
}

impl Pm2Stopped {
    /// Which of the two ways over a boot this is, and why.
    fn say_who_starts(&self, boot: AtBoot, ground: &Ground<'_>, change: &mut Change) {
        let concern = match boot {
            AtBoot::Resurrects => Concern::new(
                Weight::Stop,
                &self.pm2,
                "`boot: resurrects` leaves the apps to PM2's dump, which would say that all of them are stopped",
                "remove `pm2_stopped`, or set `boot: registers`",
            ),
            AtBoot::Registers if ground.reboots => Concern::new(
                Weight::Note,
                &self.pm2,
                "saved as stopped, so that PM2 only registers its apps at the boot and the start order stays this runbook's",
                "`boot: resurrects` leaves the start to PM2",
            ),
            AtBoot::Registers => return,
        };
        change.concerns.push(concern);
    }
}

/// Carries out an order to stop. An app with a clock may have been started again before PM2's list is looked at.
async fn stop(deed: &Deed, clocked: bool, on: &dyn Host) -> Result<(), HostError> {
    let mut told = on.tell(deed).await;
    for _ in 1..SAVES {
        if !clocked || told.is_ok() {
            break;
        }
        told = on.tell(deed).await;
    }
    told.map(drop)
}

/// Saves the list as stopped. PM2's clock starts an app with `cron_restart` again whether it is stopped or not; one that it
/// started since is stopped once more, so that the list on disk, which the boot reads, says that all are down.
async fn save_stopped(pm2: Pm2At, on: &dyn Host) -> Outcome {
    for _ in 0..SAVES {
        let seen = match on.as_probe().pm2(&pm2).await {
            Ok(seen) => seen,
            Err(error) => return error.into(),
        };
        let clocked = seen.apps.iter().filter(|app| !app.module && !app.is_down() && app.cron.is_some());
        for id in clocked.filter_map(|app| app.pm_id) {
            if let Err(error) = stop(&Deed::StopApp { pm2: pm2.clone(), id }, true, on).await {
                return error.into();
            }
        }
        if let Err(error) = on.tell(&Deed::SaveList(pm2.clone())).await {
            return error.into();
        }
        match on.as_probe().pm2(&pm2).await {
            Ok(seen) if list_is_stopped(&seen) => return Outcome::applied(),
            Ok(_) => {}
            Err(error) => return error.into(),
        }
    }
    // What the list says is looked at once more behind this step.
    Outcome::applied()
}

/// The key under which an app with a clock of its own is captured as stopped.
fn clocked_key(step: &str, app: &str) -> String {
    format!("{step}.stopped.{app}")
}

/// PM2's dump holds every app of the list, each as down: a boot will only register them, and try one that is errored once more.
fn list_is_stopped(seen: &Pm2Seen) -> bool {
    let own = seen.apps.iter().filter(|app| !app.module).count();
    let entries = seen.dump.entries();
    entries.len() == own && entries.iter().all(|entry| entry.status.is_down())
}

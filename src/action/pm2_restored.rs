//! `pm2_restored`: the apps that the snapshot has online are online again, group by group.
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Slots, Wave, Weight};
use super::dead_end::{Patience, Way};
use super::inventory::Pm2Place;
use super::item_id::{Chore, ItemId};
use super::needs;
use super::pm2_before;
use super::pm2_ghosts;
use super::pm2_return::Return;
use super::process_list::{self, names};
use crate::host::pm2::{App, Pm2At, Pm2Seen, SnapshotRef, Status, Wanted, wanted};
use crate::host::span::{Span, words};
use crate::host::{Deed, Host, HostError, Probe, Told};

/// Start what was online, each group the moment what it needs holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2Restored {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// How many apps start side by side.
    pub at_once: AtOnce,
}

/// How many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtOnce {
    /// As many as the host bears, decided while running.
    #[default]
    Auto,
    /// Exactly so many; at least one.
    Fixed(u32),
}

/// Most apps that start side by side, whatever the machine bears.
const MOST: usize = 64;

/// What `pm2_restored` looks at.
pub struct Seen {
    pm2: Box<Pm2Seen>,
    saved: Vec<App>,
}

impl Act for Pm2Restored {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let (at, saved) = process_list::saved(&self.pm2, on, ground).await?;
        Ok(Seen { pm2: on.pm2(&at).await?, saved })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Change::default();
        };
        let mut change =
            Change { waves: self.waves(place, ground), slots: Some(self.slots(ground)), ..Change::default() };
        if process_list::snapshot(ground, &self.pm2).is_none() {
            let cure = "put `pm2_saved` before this step";
            change.concerns.push(Concern::new(
                Weight::Stop,
                &self.pm2,
                "nothing was saved in this run to restore",
                cure,
            ));
            return change;
        }
        for (saved, name) in seen.saved.iter().zip(names(&seen.saved)) {
            match item_for(name, saved, process_list::find(&seen.pm2.apps, &saved.key)) {
                Some(item) => {
                    let mut item = item.in_wave(wave_of(place, &saved.key.name));
                    item.optional = place.is_optional(&saved.key.name);
                    change.items.push(item);
                }
                None => change.already += 1,
            }
        }
        if !change.items.is_empty() {
            change.concerns.extend(needed_in_vain(place, &seen.saved));
        }
        pm2_before::plan(&self.pm2, &seen.pm2, &seen.saved, place, &mut change);
        if !change.items.is_empty() || !list_is_saved(&seen.pm2) {
            let save = Item::new(Chore::SavedList, Sign::Alter, "every app saved as stopped", "saved as it runs");
            change.items.push(save.in_wave(change.waves.len() - 1).taking(Span::secs(0.5, 3.0)));
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Outcome::failed("no such PM2 place");
        };
        let Some(snapshot) = process_list::snapshot(ground, &self.pm2) else {
            return Outcome::failed("no snapshot");
        };
        let pm2 = process_list::at(place);
        if let Some(outcome) = pm2_before::apply(item, &pm2, &snapshot, on, tell).await {
            return outcome;
        }
        if item.id() == ItemId::Chore(Chore::SavedList) {
            pm2_ghosts::lay(&item.key, &pm2, Some(&snapshot), on, tell).await;
            return on.tell(&Deed::SaveList(pm2)).await.map_or_else(Outcome::from, |_| Outcome::applied());
        }
        match process_list::saved_app(ground, &self.pm2, &item.key) {
            Some(saved) => bring(item, pm2, &saved, snapshot, on, tell).await,
            None => Outcome::failed("it is not in the snapshot"),
        }
    }

    async fn gate(&self, wave: &Wave, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Result<(), String> {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Ok(());
        };
        let Some(group) = wave.group.and_then(|at| place.groups.get(at)) else {
            return Ok(());
        };
        let began = on.as_probe().uptime();
        let mut patience = Patience::default();
        loop {
            let waited = on.as_probe().uptime().saturating_sub(began);
            let Some(missing) = needs::missing(&group.needs, on, ground, waited).await else {
                return Ok(());
            };
            let what = match patience.judge(missing.end.clone(), &missing.what, on, ground).await {
                Way::Ended(why) => return Err(format!("`{}` needs what does not come: {why}", wave.name)),
                Way::Blocked(why) => why,
                Way::Open => missing.what.clone(),
            };
            tell(Tick::say(&wave.name, format!("waiting {} for {what}", words(waited))));
            missing.wait(on).await;
        }
    }

    fn tolerates_losses(&self, ground: &Ground<'_>) -> usize {
        ground.judged_later.unwrap_or(0) as usize
    }
}

impl Pm2Restored {
    /// What is left over of a former daemon ends, then the daemon comes, then every group as its needs hold, at last the list is saved as it came out.
    fn waves(&self, place: &Pm2Place, ground: &Ground<'_>) -> Vec<Wave> {
        let at_once = self.slots(ground).fixed;
        let daemon = Wave { name: "daemon".into(), after: vec![0], ..Wave::default() };
        let missing = Wave { name: "missing apps".into(), after: vec![1], ..Wave::default() };
        let mut waves = vec![Wave { name: "left over".into(), ..Wave::default() }, daemon, missing];
        let named = named_apps(place);
        let wave = |name: &str, group: usize| {
            let needs = &place.groups[group].needs;
            let of_groups = needs.groups.iter().flat_map(|name| waves_of(place, name));
            let of_apps = needs.apps.iter().filter_map(|app| named.iter().position(|(one, _)| *one == app.as_str()));
            let first_named = pm2_before::WAVES + place.groups.len();
            let needed: Vec<usize> = of_groups.chain(of_apps.map(|at| at + first_named)).collect();
            let after = (0..pm2_before::WAVES).chain(needed.iter().copied()).collect();
            let lost_at_most = needs.lost_at_most as usize;
            let soft = if lost_at_most > 0 { needed } else { Vec::new() };
            Wave {
                name: name.to_owned(),
                after,
                gated: true,
                at_once,
                soft,
                lost_at_most,
                group: Some(group),
                ..Wave::default()
            }
        };
        waves.extend(place.groups.iter().enumerate().map(|(at, group)| wave(&group.name, at)));
        waves.extend(named.iter().map(|(app, group)| wave(app, *group)));
        // Apps that no group names come last: nobody said what they need.
        waves.push(Wave {
            name: "other apps".into(),
            after: (0..waves.len()).collect(),
            at_once,
            regardless: true,
            ..Wave::default()
        });
        let all = (0..waves.len()).collect();
        waves.push(Wave { name: "saved list".into(), after: all, regardless: true, ..Wave::default() });
        waves
    }

    /// Apps in flight at once: a slot is held until the app has booted or says `ready`. Plain apps are bound by their own
    /// boot whatever the number; those that wait for something profit from many.
    fn slots(&self, ground: &Ground<'_>) -> Slots {
        match self.at_once {
            AtOnce::Fixed(n) => {
                let n = n.max(1) as usize;
                Slots { least: n, fixed: n, most: n }
            }
            AtOnce::Auto => {
                let cpus = ground.baseline.machine().and_then(|machine| machine.cpus).unwrap_or(2) as usize;
                Slots { least: (cpus * 4).clamp(4, MOST), fixed: (cpus * 16).clamp(16, MOST), most: MOST }
            }
        }
    }
}

/// Apps that other groups need by name, with their own group. Each has a wave of its own, so that nobody waits for the rest of it.
fn named_apps(place: &Pm2Place) -> Vec<(&str, usize)> {
    let mut named: Vec<(&str, usize)> = Vec::new();
    for app in place.groups.iter().flat_map(|group| &group.needs.apps) {
        if let Some(group) = place.group_of(app)
            && !named.iter().any(|(known, _)| known == app)
        {
            named.push((app, group));
        }
    }
    named
}

/// The wave in which an app starts.
fn wave_of(place: &Pm2Place, app: &str) -> usize {
    let named = named_apps(place);
    let groups = place.groups.len();
    let at = named.iter().position(|(name, _)| *name == app).map(|at| groups + at);
    at.or_else(|| place.group_of(app)).unwrap_or(groups + named.len()) + pm2_before::WAVES
}

/// All waves of a group.
fn waves_of(place: &Pm2Place, group: &str) -> Vec<usize> {
    let Some(at) = place.groups.iter().position(|one| one.name == group) else { return Vec::new() };
    let own = named_apps(place).into_iter().enumerate().filter(|(_, (_, of))| *of == at);
    let named = own.map(|(n, _)| n + place.groups.len());
    std::iter::once(at).chain(named).map(|wave| wave + pm2_before::WAVES).collect()
}

/// Apps that are needed by name and that this restore does not start: nobody waits for them.
fn needed_in_vain(place: &Pm2Place, saved: &[App]) -> Vec<Concern> {
    let of = |name: &str| saved.iter().find(|app| app.key.name == name);
    let told = named_apps(place).into_iter().filter_map(|(name, _)| {
        let seen = match of(name).map(wanted) {
            None => "is needed by other apps, and was not in PM2's list when it was saved",
            Some(Some(Wanted::Online)) => return None,
            Some(_) => "is needed by other apps, and was not running when it was saved",
        };
        Some(Concern::new(
            Weight::Warn,
            name,
            seen,
            "they start without it; start it before the window, or drop the need",
        ))
    });
    told.collect()
}

/// Starts (or registers, or stops) one app and waits for the verdict that it really is so.
async fn bring(
    item: &Item,
    pm2: Pm2At,
    saved: &App,
    snapshot: Arc<SnapshotRef>,
    on: &dyn Host,
    tell: Tell<'_>,
) -> Outcome {
    let start = wanted(saved) == Some(Wanted::Online);
    tell(Tick::say(&item.key, if start { "starting" } else { "registering as stopped" }));
    let deed = match (start, item.sign, item.handle) {
        (false, Sign::Remove, Some(id)) => Deed::StopApp { pm2: pm2.clone(), id },
        _ => Deed::BringApp { pm2: pm2.clone(), snapshot, app: saved.key.clone(), start },
    };
    let started = match on.tell(&deed).await {
        Err(error) => return error.into(),
        Ok(_) if !start => return Outcome::applied(),
        Ok(Told::Started(app)) => Some(*app),
        Ok(_) => None,
    };
    tell(Tick::say(&item.key, "started, being watched").freeing_slot());
    Return { name: &item.key, saved, pm2: &pm2, on, tell }.verdict(started).await
}

/// What is left to do for one app of the snapshot.
fn item_for(key: String, saved: &App, now: Option<&App>) -> Option<Item> {
    if process_list::as_wanted(saved, now) {
        return None;
    }
    let before = now.map_or("not listed", |app| app.status.word());
    let mut item = match wanted(saved)? {
        Wanted::Online => Item::new(key, Sign::Add, before, "online").taking(Span::secs(1.3, 4.0)),
        Wanted::Stopped if now.is_some() => Item::new(key, Sign::Remove, before, "stopped"),
        Wanted::Stopped => Item::new(key, Sign::Add, before, "registered as stopped"),
    };
    item.handle = now.and_then(|app| app.pm_id);
    Some(item)
}

/// PM2's dump says of every listed app whether it runs.
fn list_is_saved(seen: &Pm2Seen) -> bool {
    let running = |status: &Status| matches!(status, Status::Online);
    let own: Vec<&App> = seen.apps.iter().filter(|app| !app.module).collect();
    let entries = seen.dump.entries();
    entries.len() == own.len()
        && entries.iter().filter(|e| running(&e.status)).count() == own.iter().filter(|a| running(&a.status)).count()
}

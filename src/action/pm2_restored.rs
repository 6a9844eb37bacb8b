//! `pm2_restored`: the apps that the snapshot has online are online again, group by group.
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Wave, Weight};
use super::inventory::Pm2Place;
use super::needs;
use super::process_list::{self, label};
use crate::host::pm2::{App, Cause, Exit, Pm2At, Pm2Seen, SnapshotRef, Status, Verdict, Wanted, back, wanted};
use crate::host::span::{Span, words};
use crate::host::{Deed, Host, HostError, Probe};

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

/// The key of the item that brings PM2's daemon up.
const DAEMON: &str = "(daemon)";
/// The key of the item that saves the list as it is then.
const SAVED_LIST: &str = "(saved list)";

/// How long an app may take to come back before it is called lost.
const PATIENCE: Duration = Duration::from_secs(60);

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
        let mut change = Change { waves: self.waves(place, ground), ..Change::default() };
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
        for saved in &seen.saved {
            match item_for(saved, process_list::find(&seen.pm2.apps, &saved.key)) {
                Some(item) => {
                    let group = place.group_of(&saved.key.name).unwrap_or(place.groups.len());
                    let mut item = item.in_wave(group + 1);
                    item.optional = place.is_optional(&saved.key.name);
                    change.items.push(item);
                }
                None => change.already += 1,
            }
        }
        if seen.pm2.up().is_none() {
            let item = Item::new(DAEMON, Sign::Add, "not running", "running as its own user");
            change.items.insert(0, item.taking(Span::secs(1.0, 10.0)));
        }
        let was_saved = ground.kept.contains_key(&saved_key(ground.step));
        if (!was_saved && !change.items.is_empty()) || !list_is_saved(&seen.pm2) {
            let save = Item::new(SAVED_LIST, Sign::Alter, "every app saved as stopped", "saved as it runs");
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
        let told = match item.key.as_str() {
            SAVED_LIST => return save(pm2, on, ground).await,
            DAEMON => start_daemon(pm2, on).await,
            _ => return self.bring(item, pm2, snapshot, on, tell).await,
        };
        told.map_or_else(Outcome::from, |_| Outcome::applied())
    }

    async fn gate(&self, wave: &Wave, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Result<(), String> {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Ok(());
        };
        let Some(group) = place.groups.iter().find(|group| group.name == wave.name) else {
            return Ok(());
        };
        let began = on.as_probe().uptime();
        loop {
            let Some(missing) = needs::missing(&group.needs, on.as_probe(), ground).await else {
                return Ok(());
            };
            let waited = on.as_probe().uptime().saturating_sub(began);
            tell(Tick::say(&wave.name, format!("waiting {} for {missing}", words(waited))));
            on.sleep(Duration::from_secs(1)).await;
        }
    }

    fn tolerates_losses(&self, ground: &Ground<'_>) -> bool {
        ground.judged_later
    }
}

impl Pm2Restored {
    /// The daemon first, then every group as its needs hold, at last the list is saved as it came out.
    fn waves(&self, place: &Pm2Place, ground: &Ground<'_>) -> Vec<Wave> {
        let at_once = self.slots(ground);
        let mut waves = vec![Wave { name: "daemon".into(), ..Wave::default() }];
        for group in &place.groups {
            let before = |name: &String| place.groups.iter().position(|g| g.name == *name).map(|at| at + 1);
            let after = std::iter::once(0).chain(group.needs.groups.iter().filter_map(before)).collect();
            waves.push(Wave { name: group.name.clone(), after, gated: true, at_once, regardless: false });
        }
        let all = (0..=place.groups.len()).collect::<Vec<_>>();
        // Apps that no group names come last: nobody said what they need.
        waves.push(Wave {
            name: "other apps".into(),
            after: all.clone(),
            at_once,
            regardless: true,
            ..Wave::default()
        });
        let all = (0..waves.len()).collect();
        waves.push(Wave { name: "saved list".into(), after: all, regardless: true, ..Wave::default() });
        waves
    }

    /// Apps in flight at once. Plain apps are bound by their own boot whatever the number; those that wait for
    /// something profit from many.
    fn slots(&self, ground: &Ground<'_>) -> usize {
        match self.at_once {
            AtOnce::Fixed(n) => n.max(1) as usize,
            AtOnce::Auto => {
                let cpus = ground.baseline.machine().and_then(|machine| machine.cpus).unwrap_or(2);
                (cpus as usize * 16).clamp(16, 64)
            }
        }
    }

    /// Starts (or registers, or stops) one app and waits for the verdict that it really is so.
    async fn bring(&self, item: &Item, pm2: Pm2At, snapshot: SnapshotRef, on: &dyn Host, tell: Tell<'_>) -> Outcome {
        let Some(saved) = snapshot.apps.iter().find(|app| label(&app.key) == item.key).cloned() else {
            return Outcome::failed("it is not in the snapshot");
        };
        let start = wanted(&saved) == Some(Wanted::Online);
        tell(Tick::say(&item.key, if start { "starting" } else { "registering as stopped" }));
        let deed = match (start, item.sign, item.handle) {
            (false, Sign::Remove, Some(id)) => Deed::StopApp { pm2: pm2.clone(), id },
            _ => Deed::BringApp { pm2: pm2.clone(), snapshot, app: saved.key.clone(), start },
        };
        match on.tell(&deed).await {
            Err(error) => error.into(),
            Ok(_) if !start => Outcome::applied(),
            Ok(_) => self.verdict(&saved, &pm2, on, tell).await,
        }
    }

    /// Waits until the app is back by every sign there is, or is known not to come.
    async fn verdict(&self, saved: &App, pm2: &Pm2At, on: &dyn Host, tell: Tell<'_>) -> Outcome {
        let name = label(&saved.key);
        let began = on.as_probe().uptime();
        let patience = PATIENCE.max(saved.start_deadline());
        let mut first: Option<App> = None;
        let mut steady_since = began;
        loop {
            // A list may be up to a second old, so the first one is read only after that.
            on.sleep(Duration::from_secs(1)).await;
            let list = match on.as_probe().pm2_list(pm2).await {
                Ok(list) => list,
                Err(error) => return Outcome::from(error),
            };
            let now = on.as_probe().uptime();
            let Some(app) = process_list::find(&list.apps, &saved.key) else {
                return Outcome::failed("it vanished from PM2's list");
            };
            let same = first.as_ref().is_some_and(|f| f.pid == app.pid && f.restarts == app.restarts);
            if !same {
                steady_since = now;
            }
            let alive = app.pid.is_some_and(|pid| !list.dead.contains(&pid));
            let verdict = back(app, first.as_ref(), alive, now.saturating_sub(steady_since));
            // The first sight of it is what restarts are counted from.
            if first.is_none() || !same {
                let counted_from = first.as_ref().map_or(app.restarts, |f| f.restarts);
                first = Some(App { restarts: counted_from.min(app.restarts), ..app.clone() });
            }
            match verdict {
                Verdict::Back => return Outcome::applied(),
                Verdict::Gone(cause) => return self.lost(app, Ok(cause), pm2, on).await,
                Verdict::NotYet(why) if now.saturating_sub(began) > patience => {
                    return self.lost(app, Err(format!("not back within {}: {why}", words(patience))), pm2, on).await;
                }
                Verdict::NotYet(why) => tell(Tick::say(&name, why.to_string())),
            }
        }
    }

    /// Cuts a crash loop, so that it eats no more of the machine, and says what its log says.
    async fn lost(&self, app: &App, cause: Result<Cause, String>, pm2: &Pm2At, on: &dyn Host) -> Outcome {
        let mut causes = Vec::new();
        if let (true, Some(id)) = (process_list::runs(app) || app.autorestart, app.pm_id) {
            match on.tell(&Deed::StopApp { pm2: pm2.clone(), id }).await {
                Ok(_) => causes.push("stopped, so that it does not go on crashing".to_owned()),
                Err(error) => causes.push(format!("could not be stopped: {error}")),
            }
        }
        let log = on.as_probe().log_tail(Path::new(&app.err_log)).await.unwrap_or_default();
        let why = match cause {
            Ok(cause) => cause.refine(&log).to_string(),
            Err(why) => why,
        };
        let exit = match &app.exit_code {
            Some(Exit::Code(code)) => format!(", exit status {code}"),
            Some(Exit::Word(word)) => format!(", {word}"),
            None => String::new(),
        };
        causes.extend(log.into_iter().map(|line| format!("log: {line}")));
        Outcome::Failed { why: format!("{why}{exit}"), causes }
    }
}

/// Saves the list as it came out, and remembers that: apps that are lost stay different from the snapshot for ever.
async fn save(pm2: Pm2At, on: &dyn Host, ground: &Ground<'_>) -> Outcome {
    let key = saved_key(ground.step);
    match on.tell(&Deed::SaveList(pm2)).await {
        Err(error) => error.into(),
        Ok(_) if ground.kept.contains_key(&key) => Outcome::applied(),
        Ok(_) => Outcome::Applied { note: None, keep: vec![(key, serde_json::Value::Bool(true))] },
    }
}

/// The key under which a saved list is captured.
fn saved_key(step: &str) -> String {
    format!("{step}.saved")
}

/// Brings the daemon up in its own place: its unit where it has one, so that it never lives in ours.
async fn start_daemon(pm2: Pm2At, on: &dyn Host) -> Result<crate::host::Told, HostError> {
    match &pm2.unit {
        Some(unit) => on.tell(&Deed::StartUnit(unit.clone())).await,
        None => on.tell(&Deed::StartDaemon(pm2)).await,
    }
}

/// What is left to do for one app of the snapshot.
fn item_for(saved: &App, now: Option<&App>) -> Option<Item> {
    if process_list::as_wanted(saved, now) {
        return None;
    }
    let before = now.map_or("not listed", |app| app.status.word());
    let key = label(&saved.key);
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

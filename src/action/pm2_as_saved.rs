//! `pm2_as_saved`: the process list equals the snapshot again and stays so.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Weight};
use super::item_id::{Chore, ItemId};
use super::measure;
use super::process_list::{self, label, names};
use super::restless;
use crate::host::pm2::{App, ListSeen, Pm2At, Wanted, wanted};
use crate::host::span::{Span, words};
use crate::host::{Host, HostError, Probe};

/// A gate: compare with the snapshot, by name and not by counting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2AsSaved {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// How long the list must stay as saved, without a restart; zero looks once.
    #[serde(with = "measure::text")]
    pub steady_for: Duration,
    /// How many apps that are not optional may be missing; they are named in the outcome.
    pub tolerate: u32,
}

/// What `pm2_as_saved` looks at.
pub struct Seen {
    list: ListSeen,
    saved: Vec<App>,
    was_steady: bool,
}

impl Act for Pm2AsSaved {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let (at, saved) = process_list::saved(&self.pm2, on, ground).await?;
        let was_steady = ground.kept.contains_key(&steady_key(ground.step));
        Ok(Seen { list: on.pm2_list(&at).await?, saved, was_steady })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Change::default();
        };
        let mut change = Change::default();
        let mut tolerated = self.tolerate;
        for (saved, name) in seen.saved.iter().zip(names(&seen.saved)) {
            let now = process_list::find(&seen.list.apps, &saved.key);
            let unsteady = ground.kept.contains_key(&unsteady_key(ground.step, &name));
            if process_list::as_wanted(saved, now) && !unsteady {
                change.already += 1;
                continue;
            }
            let after = if wanted(saved) == Some(Wanted::Online) { "online" } else { "stopped" };
            let seen = now.map_or("not listed", |app| app.status.word());
            let before = if unsteady { "restarting again and again" } else { seen };
            let mut item = Item::new(name, Sign::Wait, before, after).taking(Span::secs(1.0, 5.0));
            item.optional = place.is_optional(&saved.key.name);
            if !item.optional && tolerated > 0 {
                tolerated -= 1;
                item.optional = true;
            }
            change.items.push(item);
        }
        let compared = process_list::snapshot(ground, &self.pm2).is_some();
        let is_new = |app: &&App| compared && !app.module && process_list::find(&seen.saved, &app.key).is_none();
        for new in seen.list.apps.iter().filter(is_new) {
            let cure = "look whether it belongs there";
            change.concerns.push(Concern::new(Weight::Note, label(&new.key), "is new since the snapshot", cure));
        }
        if !seen.was_steady && !self.steady_for.is_zero() {
            let secs = self.steady_for.as_secs_f64();
            let item = Item::new(
                Chore::Steady,
                Sign::Wait,
                "not watched yet",
                format!("no app restarts for {}", words(self.steady_for)),
            );
            change.items.push(item.taking(Span::secs(secs, secs + 5.0)));
        }
        if change.items.iter().any(|item| item.id() != ItemId::Chore(Chore::Steady)) {
            change.diff = Some(self.diff(seen));
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Outcome::failed("no such PM2 place");
        };
        let pm2 = process_list::at(place);
        if item.id() == ItemId::Chore(Chore::Steady) {
            return self.watch(&pm2, on, ground, tell).await;
        }
        let Some(saved) = process_list::saved_app(ground, &self.pm2, &item.key) else {
            return Outcome::failed("it is not in the snapshot");
        };
        let began = on.as_probe().uptime();
        loop {
            let list = match on.as_probe().pm2_list(&pm2).await {
                Ok(list) => list,
                Err(error) => return error.into(),
            };
            let now = process_list::find(&list.apps, &saved.key);
            if process_list::as_wanted(&saved, now) {
                return Outcome::applied();
            }
            let word = now.map_or("not listed", |app| app.status.word());
            if on.as_probe().uptime().saturating_sub(began) >= self.steady_for {
                return Outcome::failed(format!("did not come back: {word}, wanted {}", item.after));
            }
            tell(Tick::say(&item.key, format!("still {word}")));
            on.sleep(Duration::from_secs(1)).await;
        }
    }

    fn waits(&self) -> bool {
        true
    }
}

impl Pm2AsSaved {
    /// Watches the whole list: an app that restarts after having looked well is not well. One whose loss is tolerable is
    /// named and does not end the watch.
    async fn watch(&self, pm2: &Pm2At, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let began = on.as_probe().uptime();
        let mut first: Option<ListSeen> = None;
        let snapshot = process_list::snapshot(ground, &self.pm2);
        loop {
            let list = match on.as_probe().pm2_list(pm2).await {
                Ok(list) => list,
                Err(error) => return error.into(),
            };
            let watched = on.as_probe().uptime().saturating_sub(began);
            let restarts =
                restless::seen(first.get_or_insert_with(|| list.clone()), &list, snapshot.as_deref(), watched);
            let unsteady = restarts.unsteady;
            if let Some(app) = self.intolerable(&unsteady, ground) {
                return Outcome::failed(format!("{} restarted while it was watched", label(&app.key)));
            }
            if watched >= self.steady_for {
                let names = self.names_of(&unsteady, ground);
                let mut keys = vec![steady_key(ground.step)];
                keys.extend(names.iter().map(|name| unsteady_key(ground.step, name)));
                let keep = keys.into_iter().map(|key| (key, true.into())).collect();
                let mut but =
                    if names.is_empty() { String::new() } else { format!(", but {} restarted", names.join(", ")) };
                let usual = self.names_of(&restarts.usual, ground);
                if !usual.is_empty() {
                    but.push_str(&format!("; restarted by order or as ever: {}", usual.join(", ")));
                }
                return Outcome::Applied { note: Some(format!("watched for {}{but}", words(watched))), keep };
            }
            tell(Tick {
                part: Some(watched.as_secs_f64() / self.steady_for.as_secs_f64()),
                say: "watching for restarts".into(),
                item: ItemId::from(Chore::Steady).key(),
                ..Tick::default()
            });
            on.sleep(Duration::from_secs(1)).await;
        }
    }

    /// How these apps are called among those of the snapshot.
    fn names_of(&self, some: &[&App], ground: &Ground<'_>) -> Vec<String> {
        let snapshot = process_list::snapshot(ground, &self.pm2);
        let all = snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.apps);
        let known: Vec<(&App, String)> = all.iter().zip(names(all)).collect();
        let of = |app: &&App| {
            let found = known.iter().find(|(saved, _)| saved.key == app.key);
            found.map_or_else(|| label(&app.key), |(_, name)| name.clone())
        };
        some.iter().map(of).collect()
    }

    /// The first unsteady app whose loss is neither declared tolerable nor within what `tolerate` allows.
    fn intolerable<'a>(&self, unsteady: &[&'a App], ground: &Ground<'_>) -> Option<&'a App> {
        let place = process_list::place(ground, &self.pm2)?;
        let required = unsteady.iter().filter(|app| !place.is_optional(&app.key.name));
        required.copied().nth(self.tolerate as usize)
    }

    fn diff(&self, seen: &Seen) -> (String, String) {
        let word = |app: &App| {
            if wanted(app) == Some(Wanted::Online) { "online" } else { "stopped" }
        };
        let before = process_list::lines(seen.saved.iter().map(|app| (&app.key, word(app))));
        let own = seen.list.apps.iter().filter(|app| !app.module);
        let after = process_list::lines(own.map(|app| (&app.key, app.status.word())));
        (before, after)
    }
}

/// The key under which an app is captured as restarting while it was watched.
fn unsteady_key(step: &str, app: &str) -> String {
    format!("{step}.unsteady.{app}")
}

/// The key under which the watch is captured as done.
fn steady_key(step: &str) -> String {
    format!("{step}.steady")
}

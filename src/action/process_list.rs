//! What the three PM2 actions share: which list is meant, how an app is called, and what the snapshot wants of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::act::Ground;
use super::change::{Concern, Weight};
use super::inventory::Pm2Place;
use super::item_id::ItemId;
use crate::host::foreign::tame;
use crate::host::pm2::{App, AppKey, Pm2At, Pm2Seen, SnapshotRef, Status, Wanted, wanted};
use crate::host::{HostError, Probe};

/// A daemon of root's whose programs are not: root would execute what others may change.
pub(super) fn not_roots(name: &str, seen: &Pm2Seen) -> Option<Concern> {
    let found = seen.not_roots.as_ref()?;
    let text = format!("PM2 runs as root, and {} {}", found.path.display(), found.why);
    Some(Concern::new(Weight::Stop, name, tame(&text, 400), &found.cure))
}

/// The place that a step names. The loader guarantees that it exists.
pub(super) fn place<'a>(ground: &Ground<'a>, name: &str) -> Option<&'a Pm2Place> {
    ground.inventory.pm2.get(name)
}

/// Where its daemon is found.
pub(crate) fn at(place: &Pm2Place) -> Pm2At {
    Pm2At { user: place.user.clone(), home: place.home.clone(), unit: place.unit.clone(), cli: place.cli.clone() }
}

/// The key under which a run captures the snapshot of a place.
pub(super) fn snapshot_key(name: &str) -> String {
    format!("snapshot.{name}")
}

/// The snapshot that this run has taken of a place.
pub(super) fn snapshot(ground: &Ground<'_>, name: &str) -> Option<Arc<SnapshotRef>> {
    ground.kept.snapshot(&snapshot_key(name))
}

/// The app of that snapshot which an item's key names.
pub(super) fn saved_app(ground: &Ground<'_>, name: &str, key: &str) -> Option<App> {
    match ItemId::of_key(key) {
        ItemId::Thing(app) => ground.kept.saved_app(&snapshot_key(name), &app),
        ItemId::Chore(_) | ItemId::StartTimeout(_) => None,
    }
}

/// What a step that compares with the snapshot starts from: where the daemon is, and the apps that the snapshot holds.
pub(super) async fn saved(name: &str, on: &dyn Probe, ground: &Ground<'_>) -> Result<(Pm2At, Vec<App>), HostError> {
    let place = place(ground, name).ok_or_else(|| HostError::refused(name, "no such PM2 place in the runbook"))?;
    let apps = match snapshot(ground, name) {
        Some(snapshot) => on.snapshot(&snapshot).await?,
        None => Vec::new(),
    };
    Ok((at(place), apps))
}

/// How an app is called in items and messages: `api`, `api/1` for its further instances, the namespace in front where it is not the
/// default, `#1` behind where everything else is equal.
#[must_use]
pub fn label(key: &AppKey) -> String {
    let mut text = match key.namespace.as_str() {
        // A name in brackets would look like one of our own items: `(daemon)`.
        "default" if !key.name.starts_with('(') => key.name.clone(),
        namespace => format!("{namespace}:{}", key.name),
    };
    if let Some(instance) = key.instance.filter(|instance| *instance > 0) {
        text.push_str(&format!("/{instance}"));
    }
    if key.ordinal > 0 {
        text.push_str(&format!("#{}", key.ordinal));
    }
    text
}

/// [`label`] of every app in its order, with more behind it where another app of the list would be called the same: apps of
/// one name may run different scripts, a first instance may have a number or none, and a colon may belong to a name.
///
/// They are always distinct, whatever the apps are called: a name may hold the very words that tell others apart, so whoever
/// would still be called like one before it bears its number among those.
#[must_use]
pub fn names(apps: &[App]) -> Vec<String> {
    let labels: Vec<String> = apps.iter().map(|app| label(&app.key)).collect();
    // Who bears a label first, whether somebody else does, and whether somebody of another namespace.
    let mut bearers: HashMap<&str, (&AppKey, bool, bool)> = HashMap::with_capacity(apps.len());
    for (app, label) in apps.iter().zip(&labels) {
        let bearer = bearers.entry(label).or_insert((&app.key, false, false));
        bearer.1 |= *bearer.0 != app.key;
        bearer.2 |= bearer.0.namespace != app.key.namespace;
    }
    let named = |(app, label): (&App, &String)| {
        let Some((_, true, elsewhere)) = bearers.get(label.as_str()) else { return label.clone() };
        let number = if app.key.instance.is_some() { ", numbered" } else { "" };
        let namespace = if *elsewhere { format!(", in {}", app.key.namespace) } else { String::new() };
        format!("{label} ({}{number}{namespace})", app.key.script)
    };
    distinct(apps.iter().zip(&labels).map(named))
}

/// The same texts, with ` [2]`, ` [3]` … behind those that another one before them has taken.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut free = |text: String| {
        if taken.insert(text.clone()) {
            return text;
        }
        let number = next.entry(text.clone()).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{text} [{number}]");
            if taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    };
    texts.map(&mut free).collect()
}

/// The app of a list with the given identity.
pub(super) fn find<'a>(apps: &'a [App], key: &AppKey) -> Option<&'a App> {
    apps.iter().find(|app| app.key == *key)
}

/// Whether an app runs, or is on its way to.
pub(super) fn runs(app: &App) -> bool {
    matches!(
        app.status,
        Status::Online | Status::Launching | Status::WaitingRestart | Status::Stopping | Status::OneLaunch
    )
}

/// Whether an app is what the snapshot wants of it. PM2's clock starts an app with `cron_restart` whether it is stopped or not, and
/// takes it down for a moment each time.
pub(super) fn as_wanted(saved: &App, now: Option<&App>) -> bool {
    match (wanted(saved), now) {
        (Some(Wanted::Online), Some(app)) if app.cron.is_some() && app.status == Status::Stopping => true,
        (Some(Wanted::Stopped), Some(app)) if app.cron.is_some() => true,
        (Some(Wanted::Online), Some(app)) => app.status == Status::Online && app.pid.is_some(),
        (Some(Wanted::Stopped), Some(app)) => !runs(app),
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// `133 apps: 120 online, 13 stopped`.
pub(crate) fn census(apps: &[App]) -> String {
    let own: Vec<&App> = apps.iter().filter(|app| !app.module).collect();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for app in &own {
        match counts.iter_mut().find(|(word, _)| *word == app.status.word()) {
            Some((_, count)) => *count += 1,
            None => counts.push((app.status.word(), 1)),
        }
    }
    let parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("{} apps: {}", own.len(), parts.join(", "))
}

/// One line per app, sorted: the two sides of a diff.
pub(super) fn lines<'a>(apps: impl Iterator<Item = (&'a AppKey, &'a str)>) -> String {
    let mut lines: Vec<String> = apps.map(|(key, word)| format!("{} {word}\n", label(key))).collect();
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_distinct() {
        let mut key =
            AppKey { namespace: "default".into(), name: "api".into(), instance: None, script: "/a".into(), ordinal: 0 };
        assert_eq!(label(&key), "api");
        key.instance = Some(2);
        key.namespace = "eu".into();
        key.ordinal = 1;
        assert_eq!(label(&key), "eu:api/2#1");
        let app = |key: AppKey| App { key, ..App::from_pm2_env(&serde_json::json!({})) };
        let other = AppKey { script: "/b".into(), ..key.clone() };
        let apps = [app(key.clone()), app(other)];
        assert_eq!(names(&apps[..1]), ["eu:api/2#1"]);
        assert_eq!(names(&apps), ["eu:api/2#1 (/a, numbered)", "eu:api/2#1 (/b, numbered)"]);
        let of = |namespace: &str, name: &str| {
            app(AppKey {
                namespace: namespace.into(),
                name: name.into(),
                instance: None,
                script: "/a".into(),
                ordinal: 0,
            })
        };
        assert_eq!(
            names(&[of("eu", "api"), of("default", "eu:api")]),
            ["eu:api (/a, in eu)", "eu:api (/a, in default)"]
        );
        assert_eq!(label(&of("default", "(daemon)").key), "default:(daemon)", "no item of our own");
        let first = AppKey { instance: Some(0), ordinal: 0, ..key.clone() };
        let plain = AppKey { instance: None, ..first.clone() };
        assert_eq!(names(&[app(first), app(plain)]), ["eu:api (/a, numbered)", "eu:api (/a)"]);
    }

    #[test]
    fn names_that_spell_what_tells_others_apart_are_distinct_all_the_same() {
        let app = |name: &str, ordinal: u32| {
            let (namespace, name, script) = ("default".to_owned(), name.to_owned(), "/a".to_owned());
            let key = AppKey { namespace, name, instance: None, script, ordinal };
            App { key, ..App::from_pm2_env(&serde_json::json!({})) }
        };
        let crafted = [app("api", 0), app("api", 1), app("api#1", 0), app("api#1 (/a)", 0), app("api#1 (/a) [2]", 0)];
        let told = ["api", "api#1 (/a)", "api#1 (/a) [2]", "api#1 (/a) [3]", "api#1 (/a) [2] [2]"];
        assert_eq!(names(&crafted), told);
    }
}

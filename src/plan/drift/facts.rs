//! Which facts have moved, old and new, each with the first step left to do that works on its subject.

use super::super::{PlannedStep, Rehearsed};
use super::Drift;
use crate::action::check::{Check, RedisTarget};
use crate::action::inventory::{Inventory, RedisInstance};
use crate::action::process_list;
use crate::action::{Action, Change};
use crate::host::Facts;
use crate::host::pm2::{App, DaemonSeen, Pm2Seen, Status};
use crate::host::redis::{AofFiles, Layout, RedisSeen, Role};
use crate::host::systemd::UnitSeen;
use crate::runbook::{Runbook, Step};

/// A list that has changed in more places than these is told by its counts.
const APPS: usize = 12;

/// What a step works on.
#[derive(Default)]
struct Subjects {
    redis: Vec<String>,
    units: Vec<String>,
    pm2: Vec<String>,
}

/// Notes what has moved; `done` are the keys of items that are already so and explain their own facts.
pub(super) fn moved(runbook: &Runbook, saved: &Rehearsed, now: &Rehearsed, done: &[String], out: &mut Vec<Drift>) {
    let left: Vec<(&PlannedStep, Subjects)> = runbook
        .steps()
        .zip(&now.plan.steps)
        .filter(|(_, planned)| !planned.change.is_empty() || planned.unforeseen.is_some())
        .map(|((.., step), planned)| (planned, subjects(step, &runbook.inventory)))
        .collect();
    let inventory = &runbook.inventory;
    for instance in inventory.redis.values() {
        let works = left.iter().find(|(_, on)| on.redis.contains(&instance.name)).map(|(step, _)| *step);
        let rewrites =
            |(step, _): &&(&PlannedStep, Subjects)| step.action.rewrites() && has(&step.change, &instance.name);
        let rewrites = left.iter().find(rewrites).map(|(step, _)| *step);
        redis(instance, &saved.facts, &now.facts, works, rewrites, out);
    }
    for known in inventory.units_of(None).iter().filter(|known| !done.iter().any(|key| key.ends_with(known.unit))) {
        let works = left.iter().find(|(_, on)| on.units.iter().any(|unit| unit == known.unit)).map(|(step, _)| *step);
        if let Some(step) = works {
            unit(step, known.unit, saved.facts.unit(known.unit), now.facts.unit(known.unit), out);
        }
    }
    for (name, place) in &inventory.pm2 {
        let at = process_list::at(place);
        let works = left.iter().find(|(_, on)| on.pm2.contains(name)).map(|(step, _)| *step);
        if let Some(step) = works {
            pm2(step, name, saved.facts.pm2(&at), now.facts.pm2(&at), out);
        }
    }
}

fn has(change: &Change, key: &str) -> bool {
    change.items.iter().any(|item| item.key == key)
}

fn note(step: &PlannedStep, about: &str, fact: &str, before: String, now: String, out: &mut Vec<Drift>) {
    if before != now {
        out.push(Drift { step: Some(step.id.clone()), about: about.into(), fact: fact.into(), before, now });
    }
}

/// What a step works on, by the names of the inventory and of units.
fn subjects(step: &Step, inventory: &Inventory) -> Subjects {
    let mut on = Subjects::default();
    let select = |selector| inventory.select(selector).into_iter().map(|one| one.name.clone());
    let units = |names: Option<&[String]>| inventory.units_of(names).into_iter().map(|one| one.unit.to_owned());
    match &step.action {
        Action::RedisCompacted(wish) => on.redis.extend(select(&wish.instances)),
        Action::RedisLoaded(wish) => on.redis.extend(select(&wish.instances)),
        Action::UnitsEnabled(wish) => on.units.extend(units(wish.units.as_deref())),
        Action::UnitsActive(wish) => on.units.extend(units(wish.units.as_deref())),
        Action::UnitsStopped(wish) => on.units.extend(units(Some(&wish.units))),
        Action::Pm2Saved(wish) => on.pm2.push(wish.pm2.clone()),
        Action::Pm2Stopped(wish) => on.pm2.push(wish.pm2.clone()),
        Action::Pm2Restored(wish) => on.pm2.push(wish.pm2.clone()),
        Action::Pm2AsSaved(wish) => on.pm2.push(wish.pm2.clone()),
        Action::Healthy(wish) => {
            for check in &wish.checks {
                match check {
                    Check::Redis(check) => match &check.target {
                        RedisTarget::Instances(selector) => on.redis.extend(select(selector)),
                        RedisTarget::Address(_) => {}
                    },
                    Check::Unit(check) => on.units.extend(check.units.iter().cloned()),
                    Check::Pm2(check) => on.pm2.push(check.pm2.clone()),
                    Check::Tcp(_) | Check::Http(_) | Check::Host(_) | Check::Command(_) => {}
                }
            }
        }
        Action::Command(_) | Action::Rebooted(_) => {}
    }
    on
}

fn redis(
    instance: &RedisInstance,
    saved: &Facts,
    now: &Facts,
    works: Option<&PlannedStep>,
    rewrites: Option<&PlannedStep>,
    out: &mut Vec<Drift>,
) {
    let (Some(step), name) = (works, &instance.name) else { return };
    let (old, new) = (saved.redis(&instance.at()), now.redis(&instance.at()));
    let door = |seen: Option<&RedisSeen>| seen.map_or("no answer".to_owned(), |seen| seen.door.to_string());
    note(step, name, "answer", door(old), door(new), out);
    let (Some(old), Some(new)) = (old.and_then(|seen| seen.facts.as_ref()), new.and_then(|seen| seen.facts.as_ref()))
    else {
        return;
    };
    note(step, name, "role", role(old.role.as_ref()), role(new.role.as_ref()), out);
    let aof = |on: Option<bool>| on.map_or("none", |on| if on { "on" } else { "off" }).to_owned();
    let enabled = |facts: &crate::host::redis::RedisFacts| aof(facts.aof.as_ref().map(|aof| aof.enabled));
    note(step, name, "append-only file", enabled(old), enabled(new), out);
    let (Some(old), Some(new)) = (&old.files, &new.files) else { return };
    if rewritten(old, new) {
        // By an earlier run of this plan or by Redis itself: what the step is for, and it may do it again.
    } else if base(old) != base(new) {
        if let Some(step) = rewrites {
            note(step, name, "base file", base(old), base(new), out);
        }
    } else if new.bytes() < old.bytes() {
        let size = |files: &AofFiles| format!("{} bytes", files.bytes());
        note(step, name, "files, which never shrink without a rewrite", size(old), size(new), out);
    }
}

/// Whether the base was replaced by a later one, and less is to be read since. A base that moved without that, or back, is
/// another data set.
fn rewritten(old: &AofFiles, new: &AofFiles) -> bool {
    let later = match (&old.layout, &new.layout) {
        (Layout::Manifest, Layout::Manifest) => {
            let seq = |files: &AofFiles| files.base.as_ref().map(|base| base.seq);
            seq(new) > seq(old)
        }
        (Layout::Single { inode: before }, Layout::Single { inode: now }) => before != now,
        _ => false,
    };
    later && new.bytes() < old.bytes()
}

fn role(role: Option<&Role>) -> String {
    match role {
        None => "unknown".into(),
        Some(Role::Master { .. }) => "master".into(),
        Some(Role::Replica { master_host, master_port, .. }) => format!("replica of {master_host}:{master_port}"),
    }
}

/// What only a rewrite changes.
fn base(files: &AofFiles) -> String {
    match (&files.layout, &files.base) {
        (Layout::Manifest, Some(base)) => format!("number {}", base.seq),
        (Layout::Manifest, None) => "none".into(),
        (Layout::Single { inode }, _) => format!("inode {inode}"),
        (Layout::Snapshot, _) => "a snapshot".into(),
    }
}

fn unit(step: &PlannedStep, name: &str, old: Option<&UnitSeen>, new: Option<&UnitSeen>, out: &mut Vec<Drift>) {
    let word = |seen: Option<&UnitSeen>, of: fn(&UnitSeen) -> &str| {
        seen.map_or("no answer".to_owned(), |seen| of(seen).to_owned())
    };
    note(
        step,
        name,
        "unit file",
        word(old, |unit| &unit.unit_file_state),
        word(new, |unit| &unit.unit_file_state),
        out,
    );
    note(step, name, "load state", word(old, |unit| &unit.load_state), word(new, |unit| &unit.load_state), out);
    let up = |seen: Option<&UnitSeen>| {
        seen.is_some_and(|unit| matches!(unit.active_state.as_str(), "active" | "reloading" | "activating"))
    };
    if up(old) != up(new) {
        note(step, name, "state", word(old, |unit| &unit.active_state), word(new, |unit| &unit.active_state), out);
    }
}

fn pm2(step: &PlannedStep, name: &str, old: Option<&Pm2Seen>, new: Option<&Pm2Seen>, out: &mut Vec<Drift>) {
    let up = |seen: Option<&Pm2Seen>| {
        let up = seen.is_some_and(|seen| matches!(seen.daemon, DaemonSeen::Up(_)));
        if up { "answers" } else { "no answer" }.to_owned()
    };
    note(step, name, "daemon", up(old), up(new), out);
    let (Some(old), Some(new)) = (old, new) else { return };
    let mut apps = Vec::new();
    for app in own(old) {
        let now = own(new).find(|one| one.key == app.key);
        let now = now.map_or("is not listed any more", |app| standing(&app.status));
        note(step, &process_list::label(&app.key), "app", standing(&app.status).into(), now.into(), &mut apps);
    }
    for app in own(new).filter(|app| !own(old).any(|one| one.key == app.key)) {
        let now = standing(&app.status).to_owned();
        note(step, &process_list::label(&app.key), "app", "is not listed".into(), now, &mut apps);
    }
    if apps.len() > APPS {
        let fact = format!("list, {} apps of which are different", apps.len());
        let (before, after) = (process_list::census(&old.apps), process_list::census(&new.apps));
        out.push(Drift { step: Some(step.id.clone()), about: name.into(), fact, before, now: after });
    } else {
        out.append(&mut apps);
    }
}

fn own(seen: &Pm2Seen) -> impl Iterator<Item = &App> {
    seen.apps.iter().filter(|app| !app.module)
}

/// An app that the daemon keeps up is up, whatever it is at just this moment: restarts are no drift.
fn standing(status: &Status) -> &str {
    match status {
        Status::Online | Status::Launching | Status::WaitingRestart | Status::OneLaunch => "online",
        other => other.word(),
    }
}

//! What came back differently: the baseline of a run held against the machine as it is at the run's end.
//!
//! Every difference has a path (`redis/bds/maxmemory`, `pm2/services/api/1/status`) and one of four classes. What the run was
//! there to change and what the runbook's `may_differ` allows is told apart from what nobody expected, and what could not be
//! seen on either side is *unknown*, never "the same".

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::action::ActionKind;
use crate::action::inventory::RedisInstance;
use crate::action::may_differ::covers;
use crate::action::needs::KEYS_AT_LEAST;
use crate::action::process_list;
use crate::host::Facts;
use crate::host::pm2::{App, DaemonSeen, Pm2Seen, Status};
use crate::host::redis::{Door, RedisFacts, RedisSeen, Role, alike_settings, same_setting};
use crate::host::span::bytes;
use crate::host::systemd::UnitSeen;
use crate::runbook::Runbook;

/// More differences than these are not kept: then the machine is another one.
const MOST: usize = 2000;
/// What the kernel keeps for itself varies from boot to boot; a smaller part than this is no other size.
const MEMORY_SLACK: f64 = 0.01;

/// How a difference is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nobody has announced it.
    Unexpected,
    /// One side could not be seen.
    Unknown,
    /// `may_differ` or `optional` in the runbook covers it.
    Allowed,
    /// It is what the run was for.
    ByRun,
}

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is about, from the general to the particular.
    pub path: String,
    /// In the baseline.
    pub before: String,
    /// At the end of the run.
    pub after: String,
    /// How to take it.
    pub class: Class,
}

/// Everything that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CameBack {
    /// The differences, unexpected ones first.
    pub differences: Vec<Difference>,
    /// How many facts are as before.
    pub same: usize,
}

impl CameBack {
    /// What nobody has announced, and what nobody could see.
    pub fn surprises(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|one| matches!(one.class, Class::Unexpected | Class::Unknown))
    }
}

/// Holds the machine of now against the baseline.
#[must_use]
pub fn came_back(runbook: &Runbook, plan: &Plan, before: &Facts, after: &Facts) -> CameBack {
    let mut scale = Scale { runbook, plan, found: CameBack::default() };
    scale.machine(before, after);
    for known in runbook.inventory.units_of(None) {
        scale.unit(known.unit, (before, before.unit(known.unit)), (after, after.unit(known.unit)));
    }
    for instance in runbook.inventory.redis.values() {
        scale.redis(instance, before, after);
    }
    for name in runbook.inventory.pm2.keys() {
        scale.pm2(name, before, after);
    }
    let mut found = scale.found;
    found.differences.sort_by_key(|one| one.class);
    found.differences.truncate(MOST);
    found
}

/// The comparison at work.
struct Scale<'a> {
    runbook: &'a Runbook,
    plan: &'a Plan,
    found: CameBack,
}

type Side<'a, T> = (&'a Facts, Option<&'a T>);

impl Scale<'_> {
    /// Two values in words; `by_run`: this is what the run was for.
    fn weigh(&mut self, path: String, before: &str, after: &str, by_run: bool) {
        if before == after {
            self.found.same += 1;
            return;
        }
        let class = if by_run { Class::ByRun } else { Class::Unexpected };
        self.put(path, before.to_owned(), after.to_owned(), class);
    }

    fn put(&mut self, path: String, before: String, after: String, class: Class) {
        let allowed = self.runbook.may_differ.iter().any(|pattern| covers(pattern, &path));
        let class = if allowed && class != Class::ByRun { Class::Allowed } else { class };
        self.found.differences.push(Difference { path, before, after, class });
    }

    /// A side that nobody could see makes the whole subject unknown. Gives both sides when both were seen.
    fn both<'s, T>(&mut self, path: &str, about: &str, one: Side<'s, T>, other: Side<'s, T>) -> Option<(&'s T, &'s T)> {
        if let (Some(before), Some(after)) = (one.1, other.1) {
            return Some((before, after));
        }
        let word = |(facts, seen): &Side<'s, T>| match (seen, facts.unanswered.get(about)) {
            (Some(_), _) => "seen".to_owned(),
            (None, Some(why)) => format!("not seen: {why}"),
            (None, None) => "not seen".to_owned(),
        };
        self.put(path.to_owned(), word(&one), word(&other), Class::Unknown);
        None
    }

    /// Whether an item of such an action was planned.
    fn planned(&self, action: ActionKind, key: &str) -> bool {
        let steps = self.plan.steps.iter().filter(|step| step.action == action);
        steps.flat_map(|step| &step.change.items).any(|item| item.key == key)
    }

    fn machine(&mut self, before: &Facts, after: &Facts) {
        let sides = ((before, before.machine()), (after, after.machine()));
        let Some((old, new)) = self.both("machine", "machine", sides.0, sides.1) else { return };
        let reboots = self.runbook.reboots();
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".into());
        let count = |value: Option<u32>| value.map_or("?".to_owned(), |n| n.to_string());
        self.weigh("machine/kernel".into(), &text(&old.kernel), &text(&new.kernel), false);
        self.weigh("machine/boot".into(), &text(&old.boot_id), &text(&new.boot_id), reboots);
        self.weigh("machine/cpus".into(), &count(old.cpus), &count(new.cpus), false);
        self.weigh("machine/hostname".into(), &text(&old.hostname), &text(&new.hostname), false);
        let sizes = [("memory", old.mem_total, new.mem_total), ("swap", old.swap_total, new.swap_total)];
        for (name, old, new) in sizes {
            let near = |a: u64, b: u64| (a as f64 - b as f64).abs() <= a.max(b) as f64 * MEMORY_SLACK;
            let word = |size: Option<u64>| size.map_or("?".to_owned(), bytes);
            if old.zip(new).is_some_and(|(old, new)| near(old, new)) {
                self.found.same += 1;
            } else {
                self.weigh(format!("machine/{name}"), &word(old), &word(new), false);
            }
        }
    }

    fn unit(&mut self, name: &str, before: Side<'_, UnitSeen>, after: Side<'_, UnitSeen>) {
        let path = format!("units/{name}");
        let Some((old, new)) = self.both(&path, &format!("unit {name}"), before, after) else { return };
        let word = |text: &str| if text.is_empty() { "no unit file".to_owned() } else { text.to_owned() };
        let enabled = self.planned(ActionKind::UnitsEnabled, &old.id) || self.planned(ActionKind::UnitsEnabled, name);
        self.weigh(
            format!("{path}/enabled"),
            &word(&old.unit_file_state),
            &word(&new.unit_file_state),
            enabled && new.unit_file_state == "enabled",
        );
        let asked = if new.active_state == "active" { ActionKind::UnitsActive } else { ActionKind::UnitsStopped };
        let by_run = self.planned(asked, name) || self.planned(asked, &old.id);
        self.weigh(format!("{path}/state"), &old.active_state, &new.active_state, by_run);
    }

    fn redis(&mut self, instance: &RedisInstance, before: &Facts, after: &Facts) {
        let (path, at) = (format!("redis/{}", instance.name), instance.at());
        let about = format!("redis {}", instance.url);
        let sides = ((before, before.redis(&at)), (after, after.redis(&at)));
        let Some((old, new)) = self.both(&path, &about, sides.0, sides.1) else { return };
        let door = |seen: &RedisSeen| if seen.door == Door::Open { "answers".into() } else { seen.door.to_string() };
        self.weigh(format!("{path}/answer"), &door(old), &door(new), false);
        let (Some(old), Some(new)) = (&old.facts, &new.facts) else {
            if old.facts.is_some() || new.facts.is_some() {
                let word = |seen: &RedisSeen| if seen.facts.is_some() { "seen" } else { "not seen" }.to_owned();
                self.put(format!("{path}/data"), word(old), word(new), Class::Unknown);
            }
            return;
        };
        self.weigh(format!("{path}/version"), &old.server.version, &new.server.version, false);
        self.weigh(format!("{path}/role"), role(old.role.as_ref()), role(new.role.as_ref()), false);
        self.weigh(format!("{path}/link"), link(old.role.as_ref()), link(new.role.as_ref()), false);
        self.weigh(format!("{path}/replicas"), &replicas(old.role.as_ref()), &replicas(new.role.as_ref()), false);
        self.keys(&path, old, new);
        let aof = |facts: &RedisFacts| match facts.aof.as_ref().map(|aof| aof.enabled) {
            // While it loads, Redis calls its own append-only file off.
            _ if facts.loading.is_some() => "loading",
            Some(true) => "on",
            Some(false) => "off",
            None => "none",
        };
        self.weigh(format!("{path}/aof"), aof(old), aof(new), false);
        self.settings(&path, old, new);
    }

    /// Keys come and go with the traffic; a data set is called smaller when a tenth of it is missing.
    fn keys(&mut self, path: &str, old: &RedisFacts, new: &RedisFacts) {
        let sum = |facts: &RedisFacts| facts.keys.values().sum::<u64>();
        let (before, after) = (sum(old), sum(new));
        if (after as f64) < before as f64 * KEYS_AT_LEAST {
            self.put(format!("{path}/keys"), before.to_string(), after.to_string(), Class::Unexpected);
        } else {
            self.found.same += 1;
        }
    }

    fn settings(&mut self, path: &str, old: &RedisFacts, new: &RedisFacts) {
        match (&old.config, &new.config) {
            (Some(old), Some(new)) => {
                for (key, before) in old {
                    match new.get(key) {
                        Some(after) if same_setting(key, before, after) => self.found.same += 1,
                        Some(after) => {
                            let (before, after) = alike_settings(key, before, after);
                            self.put(format!("{path}/{key}"), shown(&before), shown(&after), Class::Unexpected)
                        }
                        None => self.put(format!("{path}/{key}"), shown(before), "not told".into(), Class::Unknown),
                    }
                }
            }
            (None, None) => {}
            (old, _) => {
                let word = |seen: bool| if seen { "seen" } else { "not seen" }.to_owned();
                self.put(format!("{path}/settings"), word(old.is_some()), word(old.is_none()), Class::Unknown);
            }
        }
    }

    fn pm2(&mut self, name: &str, before: &Facts, after: &Facts) {
        let Some(place) = self.runbook.inventory.pm2.get(name) else { return };
        let (path, at) = (format!("pm2/{name}"), process_list::at(place));
        let about = format!("pm2 of {}", at.whose());
        let sides = ((before, before.pm2(&at)), (after, after.pm2(&at)));
        let Some((old, new)) = self.both(&path, &about, sides.0, sides.1) else { return };
        let up = |seen: &Pm2Seen| match &seen.daemon {
            DaemonSeen::Up(up) => format!("PM2 {}", up.version),
            DaemonSeen::Absent { .. } => "no daemon".to_owned(),
            DaemonSeen::Denied { why } | DaemonSeen::Foreign { why } | DaemonSeen::Dying { why } => why.clone(),
        };
        self.weigh(format!("{path}/daemon"), &up(old), &up(new), false);
        let (saved_before, saved_after) = (saved(old), saved(new));
        let mended = saved_after == AS_IT_RUNS;
        self.weigh(format!("{path}/saved-list"), &saved_before, &saved_after, mended);
        if new.up().is_none() {
            return;
        }
        for app in own(old) {
            let label = process_list::label(&app.key);
            let now = own(new).find(|one| one.key == app.key);
            let (was, is) = (standing(app), now.map_or("not listed", standing));
            // Its clock starts an app whether it is stopped or not.
            let is = if app.cron.is_some() && app.is_down() && is == "online" { was } else { is };
            // What was given up before is registered as stopped, and that is the run's doing.
            let by_run = was == "errored" && is == "stopped";
            let optional = place.is_optional(&app.key.name) && was != is && !by_run;
            if optional {
                self.put(format!("{path}/{label}/status"), was.into(), is.into(), Class::Allowed);
            } else {
                self.weigh(format!("{path}/{label}/status"), was, is, by_run);
            }
            if let Some(now) = now {
                self.weigh(format!("{path}/{label}/mode"), &app.exec_mode, &now.exec_mode, false);
                self.seen_by_others(&format!("{path}/{label}"), app, now);
            }
        }
        for app in own(new).filter(|app| !own(old).any(|one| one.key == app.key)) {
            let label = process_list::label(&app.key);
            self.put(format!("{path}/{label}/status"), "not listed".into(), standing(app).into(), Class::Unexpected);
        }
    }
}

impl Scale<'_> {
    /// What scripts and log shippers know an app by: its number in PM2, its logs, the file with its process number. PM2 gives numbers
    /// anew and puts them into names of files, so each can move where nothing else does.
    fn seen_by_others(&mut self, path: &str, old: &App, new: &App) {
        if let (Some(before), Some(after)) = (old.pm_id, new.pm_id) {
            self.weigh(format!("{path}/id"), &before.to_string(), &after.to_string(), false);
        }
        let files = [
            ("log", &old.out_log, &new.out_log),
            ("error-log", &old.err_log, &new.err_log),
            ("pid-file", &old.pid_file, &new.pid_file),
        ];
        for (name, before, after) in files {
            // Facts of an older version do not hold every path.
            if !before.is_empty() && !after.is_empty() {
                self.weigh(format!("{path}/{name}"), before, after, false);
            }
        }
    }
}

/// What PM2 would bring back by itself is what runs.
const AS_IT_RUNS: &str = "as it runs";

/// PM2's dump against its live list, by what is up and what is down: finer states change between a save and a look.
fn saved(seen: &Pm2Seen) -> String {
    let mut dump: Vec<(String, bool)> =
        seen.dump.entries().iter().map(|one| (one.name.clone(), one.status.is_down())).collect();
    let mut live: Vec<(String, bool)> = own(seen).map(|one| (one.key.name.clone(), one.is_down())).collect();
    dump.sort();
    live.sort();
    if dump == live {
        return AS_IT_RUNS.to_owned();
    }
    let missing = live.iter().filter(|one| dump.binary_search(one).is_err()).count();
    let stale = dump.iter().filter(|one| live.binary_search(one).is_err()).count();
    format!("{} of {} apps saved otherwise", missing.max(stale), live.len().max(dump.len()))
}

fn own(seen: &Pm2Seen) -> impl Iterator<Item = &App> {
    seen.apps.iter().filter(|app| !app.module)
}

/// An app on its way up is up, and so is one that its clock is just restarting.
fn standing(app: &App) -> &str {
    match &app.status {
        Status::Online | Status::Launching | Status::OneLaunch => "online",
        Status::Stopping if app.cron.is_some() => "online",
        other => other.word(),
    }
}

fn shown(value: &str) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { value.to_owned() }
}

fn role(role: Option<&Role>) -> &'static str {
    match role {
        Some(Role::Master { .. }) => "master",
        Some(Role::Replica { .. }) => "replica",
        None => "not told",
    }
}

fn link(role: Option<&Role>) -> &'static str {
    match role {
        Some(Role::Replica { link_up: true, .. }) => "up",
        Some(Role::Replica { .. }) => "down",
        _ => "none",
    }
}

fn replicas(role: Option<&Role>) -> String {
    match role {
        Some(Role::Master { replicas }) => replicas.len().to_string(),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests;

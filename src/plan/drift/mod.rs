//! What has moved since a plan was saved, as far as it matters to a step that still has something to do.
//!
//! Two rehearsals of the same runbook are held against each other. An item that is new, or of another kind, is drift; one
//! that is gone is drift unless its step found it *already so*: then somebody, or an earlier run of this plan, has done it,
//! and the plan is as good as before. Sizes only grow while services write, so growth is none.
mod facts;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Plan, PlannedStep, Rehearsed};
use crate::action::Change;
use crate::action::change::{Item, Weight};
use crate::host::span::words;
use crate::runbook::{Runbook, StepId};

/// How old a saved plan may be unless the operator says otherwise.
pub const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The first step left to do that it matters to; `None`: to all of them.
    pub step: Option<StepId>,
    /// Whom it is about: an instance, a unit, an app, the machine.
    pub about: String,
    /// Which fact of it.
    pub fact: String,
    /// When the plan was saved.
    pub before: String,
    /// Now.
    pub now: String,
}

impl Drift {
    /// Something that matters to the whole plan.
    #[must_use]
    pub fn of_all(about: &str, fact: &str, before: impl Into<String>, now: impl Into<String>) -> Self {
        Self { step: None, about: about.into(), fact: fact.into(), before: before.into(), now: now.into() }
    }
}

/// Everything that has moved between two rehearsals of a runbook; empty: the saved plan still holds.
#[must_use]
pub fn drift(runbook: &Runbook, saved: &Rehearsed, now: &Rehearsed, max_age: Duration) -> Vec<Drift> {
    let mut out = whole(saved, now, max_age);
    if saved.plan.sha256 != now.plan.sha256 {
        // Steps of two runbooks cannot be told apart by their names.
        return out;
    }
    let done = done(&saved.plan, &now.plan);
    facts::moved(runbook, saved, now, &done, &mut out);
    for (old, new) in saved.plan.steps.iter().zip(&now.plan.steps) {
        let mut found = step(old, new);
        let told = |one: &Drift| out.iter().any(|fact| fact.step == one.step && fact.about == one.about);
        found.retain(|one| !told(one));
        out.append(&mut found);
    }
    out
}

/// The plan to carry out: the saved one, where it still has to be done as it was saved; elsewhere what is left of it.
#[must_use]
pub fn carried(saved: Plan, now: Plan) -> Plan {
    let same = |old: &Change, new: &Change| keys(old).keys().eq(keys(new).keys());
    let steps = saved.steps.into_iter().zip(now.steps);
    let steps = steps.map(|(old, new)| if same(&old.change, &new.change) { old } else { new }).collect();
    Plan { steps, made_at: saved.made_at, ..now }
}

fn whole(saved: &Rehearsed, now: &Rehearsed, max_age: Duration) -> Vec<Drift> {
    let mut out = Vec::new();
    let mut held = |about: &str, fact: &str, before: Option<&str>, after: Option<&str>| {
        if before != after {
            out.push(Drift::of_all(about, fact, before.unwrap_or("unknown"), after.unwrap_or("unknown")));
        }
    };
    let machines = (saved.facts.machine(), now.facts.machine());
    held("runbook", "sha256", Some(&saved.plan.sha256), Some(&now.plan.sha256));
    held("machine", "hostname", Some(&saved.plan.hostname), Some(&now.plan.hostname));
    let machine_id = |one: Option<&'_ crate::host::machine::MachineSeen>| one.and_then(|one| one.machine_id.clone());
    let boot_id = |one: Option<&'_ crate::host::machine::MachineSeen>| one.and_then(|one| one.boot_id.clone());
    held("machine", "machine id", machine_id(machines.0).as_deref(), machine_id(machines.1).as_deref());
    held("machine", "boot id", boot_id(machines.0).as_deref(), boot_id(machines.1).as_deref());
    match Duration::try_from(now.plan.made_at.duration_since(saved.plan.made_at)) {
        Ok(age) if age <= max_age => {}
        Ok(age) => {
            let limit = format!("at most {}", words(max_age));
            out.push(Drift::of_all("plan", "age", limit, words(age)));
        }
        Err(_) => {
            let (before, after) = (saved.plan.made_at.to_string(), now.plan.made_at.to_string());
            out.push(Drift::of_all("machine", "clock, which was set back", before, after));
        }
    }
    out
}

/// The items of a change by their keys.
fn keys(change: &Change) -> BTreeMap<&str, &Item> {
    change.items.iter().map(|item| (item.key.as_str(), item)).collect()
}

/// Keys that were to be done and are already so.
fn done(saved: &Plan, now: &Plan) -> Vec<String> {
    let pairs = saved.steps.iter().zip(&now.steps).filter(|(old, new)| excused(&old.change, &new.change));
    pairs.flat_map(|(old, new)| gone(&old.change, &new.change)).map(|item| item.key.clone()).collect()
}

/// Items that a step no longer has. Its own housekeeping, in parentheses, comes and goes with the rest.
fn gone<'a>(old: &'a Change, new: &Change) -> Vec<&'a Item> {
    let left = keys(new);
    old.items.iter().filter(|item| !left.contains_key(item.key.as_str()) && !item.is_chore()).collect()
}

/// Whether as many things more are already so as items are gone.
fn excused(old: &Change, new: &Change) -> bool {
    new.already.saturating_sub(old.already) >= gone(old, new).len()
}

/// What is different in one step.
fn step(old: &PlannedStep, new: &PlannedStep) -> Vec<Drift> {
    let drift = |about: &str, fact: &str, before: String, now: String| Drift {
        step: Some(new.id.clone()),
        about: about.to_owned(),
        fact: fact.to_owned(),
        before,
        now,
    };
    let mut out = Vec::new();
    if let (None, Some(why)) = (&old.unforeseen, &new.unforeseen) {
        out.push(drift(&new.title, "answer", "could be looked at".into(), why.clone()));
        return out;
    }
    let before = keys(&old.change);
    for item in &new.change.items {
        let was = match before.get(item.key.as_str()) {
            Some(was) if was.sign == item.sign => continue,
            Some(was) => change(was),
            None => "nothing to do".to_owned(),
        };
        out.push(drift(&item.key, "change", was, change(item)));
    }
    if !excused(&old.change, &new.change) {
        let lost = gone(&old.change, &new.change).into_iter();
        out.extend(lost.map(|item| drift(&item.key, "change", change(item), "is not there any more".into())));
    }
    for stop in new.change.concerns.iter().filter(|one| one.weight == Weight::Stop) {
        if !old.change.concerns.iter().any(|one| one.weight == Weight::Stop && one.about == stop.about) {
            out.push(drift(&stop.about, "obstacle", "none".into(), stop.seen.clone()));
        }
    }
    out
}

/// An item in a few words.
fn change(item: &Item) -> String {
    format!("{} {} -> {}", item.sign.mark(), item.before, item.after)
}

#[cfg(test)]
mod tests;

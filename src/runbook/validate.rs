//! What only shows when the whole runbook has been read: circles, order, and what the reboot does to both.
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::diagnostic::Findings;
use super::read::Written;
use super::source::Span;
use super::{OnFailure, OnUnknown, Step, codes};
use crate::action::inventory::Pm2Place;
use crate::action::may_differ::{covers, dangling};
use crate::action::{Action, ActionKind};

/// Notes everything that does not fit together.
pub(super) fn runbook(written: &Written, out: &mut Findings<'_>) {
    replicas(written, out);
    for (name, place) in &written.runbook.inventory.pm2 {
        group_circles(name, place, written, out);
        unreachable_groups(name, place, written, out);
    }
    place_circles(written, out);
    one_home_each(written, out);
    limits(written, out);
    may_differ(written, out);
    if written.complete {
        reboot(written, out);
        snapshots(written, out);
        way_back(written, out);
    }
}

/// A pattern that can cover nothing, and one that an earlier one covers already.
fn may_differ(written: &Written, out: &mut Findings<'_>) {
    let patterns = &written.runbook.may_differ;
    for (at, (pattern, span)) in patterns.iter().zip(&written.places.may_differ).enumerate() {
        if let Some(why) = dangling(pattern, &written.runbook.inventory) {
            out.warning(codes::COVERS_NOTHING, span, "this pattern of `may_differ` covers nothing").label(why);
        } else if patterns[..at].iter().any(|earlier| covers(earlier, pattern)) {
            let found = out.warning(codes::COVERS_NOTHING, span, "an earlier pattern of `may_differ` covers this one");
            found.label("never needed");
        }
    }
}

/// Follows `next` from every name; the names of the first circle found, in its order.
fn circle<'a>(names: &[&'a str], next: impl Fn(&'a str) -> Vec<&'a str>) -> Option<Vec<&'a str>> {
    // Depth first with an own stack: a name is open while it is on the path, closed when all behind it is known.
    let mut closed: HashMap<&str, bool> = HashMap::new();
    for &start in names {
        let mut path = vec![(start, next(start).into_iter())];
        if closed.contains_key(start) {
            continue;
        }
        closed.insert(start, false);
        while let Some((at, rest)) = path.last_mut() {
            match rest.next() {
                Some(to) => match closed.get(to) {
                    Some(false) => {
                        let from = path.iter().position(|(name, _)| *name == to).unwrap_or(0);
                        return Some(path[from..].iter().map(|(name, _)| *name).collect());
                    }
                    Some(true) => {}
                    None => {
                        closed.insert(to, false);
                        path.push((to, next(to).into_iter()));
                    }
                },
                None => {
                    closed.insert(at, true);
                    path.pop();
                }
            }
        }
    }
    None
}

fn arrows(names: &[&str]) -> String {
    format!("`{}` -> `{}`", names.join("` -> `"), names.first().copied().unwrap_or_default())
}

/// A replica may follow a replica, but in the end there must be a master or nothing.
fn replicas(written: &Written, out: &mut Findings<'_>) {
    let redis = &written.runbook.inventory.redis;
    let names: Vec<&str> = redis.keys().map(String::as_str).collect();
    let next = |name: &str| redis.get(name).and_then(|one| one.of.as_deref()).into_iter().collect();
    if let Some(found) = circle(&names, next)
        && let Some(span) = found.first().and_then(|name| written.places.inventory.of.get(*name))
    {
        let message = format!("replicas follow each other in a circle: {}", arrows(&found));
        out.error(codes::REPLICA_OF, span, message).label("part of the circle");
    }
}

fn group_circles(name: &str, place: &Pm2Place, written: &Written, out: &mut Findings<'_>) {
    let names: Vec<&str> = place.groups.iter().map(|group| group.name.as_str()).collect();
    let group = |name: &str| place.groups.iter().find(|group| group.name == name);
    // Whoever needs an app waits for the group that has it, or for a part of that one.
    let of_app =
        |app: &String| place.group_of(app).and_then(|at| place.groups.get(at)).map(|group| group.name.as_str());
    let next = |name: &str| {
        let needs = group(name).map(|group| &group.needs);
        let groups = needs.iter().flat_map(|needs| needs.groups.iter().map(String::as_str));
        groups.chain(needs.iter().flat_map(|needs| needs.apps.iter().filter_map(of_app))).collect()
    };
    for one in &place.groups {
        for app in one.needs.apps.iter().filter(|app| of_app(app).is_none()) {
            let Some(span) = group_span(written, name, &one.name) else { continue };
            let message = format!("`{}` needs the app `{}`, which no group of `{name}` has", one.name, app);
            let found = out.error(codes::UNKNOWN_GROUP, span, message).label("would wait for an app that starts last");
            found.help("add the app to a group of its own");
        }
    }
    if let Some(found) = circle(&names, next)
        && let Some(span) = found.first().and_then(|group| group_span(written, name, group))
    {
        let message = format!("groups of `{name}` wait for each other: {}", arrows(&found));
        out.error(codes::CIRCLE, span, message).label("this group could never start").help("remove one of the `needs`");
    }
}

fn group_span<'w>(written: &'w Written, place: &str, group: &str) -> Option<&'w Span> {
    written.places.inventory.groups.get(&(place.to_owned(), group.to_owned()))
}

fn place_circles(written: &Written, out: &mut Findings<'_>) {
    let pm2 = &written.runbook.inventory.pm2;
    let names: Vec<&str> = pm2.keys().map(String::as_str).collect();
    let next = |name: &str| {
        let groups = pm2.get(name).map(|place| place.groups.as_slice()).unwrap_or_default();
        groups.iter().flat_map(|group| group.needs.pm2.iter().map(String::as_str)).collect()
    };
    if let Some(found) = circle(&names, next)
        && let Some(span) = found.first().and_then(|name| written.places.inventory.pm2.get(*name))
    {
        let message = format!("PM2 places wait for each other: {}", arrows(&found));
        out.error(codes::CIRCLE, span, message)
            .label("its apps could never all start")
            .help("remove one of the `needs`");
    }
}

/// Two places of one home would record, stop and start the same apps, each without the other's knowledge. Links are seen on the
/// host only, and looked for there before a run.
fn one_home_each(written: &Written, out: &mut Findings<'_>) {
    let mut seen: HashMap<PathBuf, &str> = HashMap::new();
    for (name, place) in &written.runbook.inventory.pm2 {
        let Some(first) = seen.get(&plain(&place.home)) else {
            seen.insert(plain(&place.home), name);
            continue;
        };
        let homes = &written.places.inventory.homes;
        let (Some(span), earlier) = (homes.get(name), homes.get(*first)) else { continue };
        let message = format!("`{first}` and `{name}` are the same PM2 home");
        out.error(codes::SAME_HOME, span, message)
            .label("the same directory")
            .help("remove one of the two; `groups` divide the apps of one home");
        if let Some(earlier) = earlier {
            out.related(earlier, "first named here");
        }
    }
}

/// A path without what does not change where it leads; `..` is taken as written, without links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    plain
}

/// A group behind one that takes every app.
fn unreachable_groups(name: &str, place: &Pm2Place, written: &Written, out: &mut Findings<'_>) {
    let Some(all) = place.groups.iter().position(|group| group.apps.iter().any(|pattern| pattern == "*")) else {
        return;
    };
    for group in &place.groups[all + 1..] {
        let Some(span) = group_span(written, name, &group.name) else {
            continue;
        };
        let message = format!("group `{}` gets no app", group.name);
        out.warning(codes::NEVER_MATCHES, span, message)
            .label("never reached")
            .help("move it before the group with `*`");
        if let Some(first) = group_span(written, name, &place.groups[all].name) {
            out.related(first, "takes every app that is left");
        }
    }
}

/// Every step that could be read, with the places of its parts.
fn steps(written: &Written) -> impl Iterator<Item = (&str, &Step, &super::read::StepPlaces)> {
    let phases = written.runbook.phases.iter().zip(&written.places.steps);
    phases.flat_map(|(phase, places)| {
        phase.steps.iter().zip(places).map(|(step, place)| (phase.name.as_str(), step, place))
    })
}

fn limits(written: &Written, out: &mut Findings<'_>) {
    for (_, step, places) in steps(written) {
        if let (Some(within), Some(window), Some(span)) = (step.within, &written.runbook.window, &places.within)
            && within > window.length
        {
            let message = "`within` is longer than the whole window";
            out.error(codes::LONGER_THAN_WINDOW, span, message).label("longer than the window");
            out.related(&written.places.length, "the length of the window");
        }
        if runs_once(&step.action) {
            let rerun = places.on_unknown.as_ref().filter(|_| step.on_unknown == Some(OnUnknown::Rerun));
            for span in places.retry.iter().chain(rerun) {
                let message = "a command that is not repeatable cannot be run again";
                let found = out.error(codes::RETRY_ONCE, span, message).label("runs it again");
                found.help("add `repeatable: true` if running it twice does no harm");
            }
        }
        if step.action.goes_down() {
            let goes_on = places.on_failure.as_ref().filter(|_| step.on_failure == OnFailure::Continue);
            let guesses = places.on_unknown.as_ref().filter(|_| step.on_unknown != Some(OnUnknown::Stop));
            for span in goes_on.into_iter().chain(guesses).chain(&places.retry) {
                let message = "a reboot is neither repeated nor passed over";
                out.error(codes::REBOOT_FAILURE, span, message).label("not beside `rebooted`").help("remove it");
            }
        }
    }
}

/// A program that must not run twice.
fn runs_once(action: &Action) -> bool {
    match action {
        Action::Command(command) => !command.repeatable,
        Action::RedisCompacted(_) | Action::RedisLoaded(_) | Action::UnitsEnabled(_) | Action::UnitsActive(_) => false,
        Action::Pm2Saved(_) | Action::Pm2Stopped(_) | Action::Pm2Restored(_) | Action::Pm2AsSaved(_) => false,
        Action::UnitsStopped(_) | Action::Rebooted(_) | Action::Healthy(_) => false,
    }
}

/// Whether it sees that services are there again after a boot.
fn sees_services(action: ActionKind) -> bool {
    match action {
        ActionKind::RedisLoaded | ActionKind::UnitsActive | ActionKind::Healthy => true,
        ActionKind::RedisCompacted | ActionKind::UnitsEnabled | ActionKind::UnitsStopped => false,
        ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2Restored | ActionKind::Pm2AsSaved => false,
        ActionKind::Command | ActionKind::Rebooted => false,
    }
}

/// What a reboot asks of the rest.
fn reboot(written: &Written, out: &mut Findings<'_>) {
    let all: Vec<_> = steps(written).collect();
    let Some(at) = all.iter().position(|(_, step, _)| step.action.goes_down()) else {
        return;
    };
    let (_, step, first) = all[at];
    for (_, _, again) in all[at + 1..].iter().filter(|(_, step, _)| step.action.goes_down()) {
        let found = out.error(codes::TWO_REBOOTS, &again.action, "a second reboot in one runbook");
        found.label("would look done at once").help("make it a runbook of its own");
        out.related(&first.action, "the first");
    }
    if step.confirm.is_none() {
        let found = out.warning(codes::UNCONFIRMED, &first.action, "the reboot is not confirmed");
        found.label("nobody is asked").help("add `confirm: { type: name, because: ... }`");
    }
    if !all[at + 1..].iter().any(|(_, step, _)| sees_services(step.action.kind())) {
        let found = out.warning(codes::REBOOT_UNCHECKED, &first.action, "nothing is checked after the reboot");
        found
            .label("the machine is back before its services")
            .help("add `redis_loaded`, `units_active` or `healthy` behind it");
    }
    let later = all[at + 1..].iter().flat_map(|(_, _, places)| &places.env_secrets);
    for span in written.places.inventory.env_secrets.iter().chain(later) {
        let message = "a secret from the environment is gone after the reboot";
        let found = out.error(codes::ENV_SECRET, span, message).label("systemd resumes the run without it");
        found.help("use `{ file: ... }` or `{ credential: ... }`");
        out.related(&first.action, "the reboot");
    }
}

/// Whatever works from a snapshot comes after the step that takes it.
fn snapshots(written: &Written, out: &mut Findings<'_>) {
    let mut saved: Vec<&str> = Vec::new();
    for (_, step, places) in steps(written) {
        let needs = match &step.action {
            Action::Pm2Saved(wish) => {
                saved.push(&wish.pm2);
                continue;
            }
            Action::Pm2Stopped(wish) => &wish.pm2,
            Action::Pm2Restored(wish) => &wish.pm2,
            Action::Pm2AsSaved(wish) => &wish.pm2,
            Action::RedisCompacted(_)
            | Action::RedisLoaded(_)
            | Action::UnitsEnabled(_)
            | Action::UnitsActive(_)
            | Action::UnitsStopped(_)
            | Action::Command(_)
            | Action::Rebooted(_)
            | Action::Healthy(_) => continue,
        };
        if !saved.contains(&needs.as_str()) {
            let message = format!("`{}` of `{needs}` without an earlier `pm2_saved`", step.action.key());
            let found = out.error(codes::NOT_SAVED, &places.action, message).label("works from a snapshot");
            found.help(format!("add `- pm2_saved: {{ pm2: {needs} }}` before it"));
        }
    }
}

fn way_back(written: &Written, out: &mut Findings<'_>) {
    let back_out = &written.runbook.back_out;
    for (phase, step, places) in steps(written) {
        if step.action.takes_service_away() && back_out.iter().any(|name| name == phase) {
            let message = format!("`{}` in the phase `{phase}`, which is a way back", step.action.key());
            out.error(codes::BACK_OUT_ACTION, &places.action, message).label("takes service away");
            if let Some(span) = written.places.back_out.get(phase) {
                out.related(span, "listed here");
            }
        }
    }
    let stops = |action: &Action| action.takes_service_away() && !action.goes_down();
    if back_out.is_empty()
        && let Some((_, _, places)) = steps(written).find(|(_, step, _)| stops(&step.action))
    {
        let found = out.warning(codes::NO_BACK_OUT, &places.action, "service is taken away and there is no way back");
        found.label("from here on users notice").help("add `back_out: [...]` with the phases that bring service back");
    }
}

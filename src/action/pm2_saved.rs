//! `pm2_saved`: the exact process list of a PM2 place is captured, once, before anything is stopped.
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell};
use super::change::{Change, Concern, Item, Sign, Weight};
use super::inventory::{AtBoot, Pm2Place};
use super::process_list::{self, label};
use crate::host::json_text::JsonText;
use crate::host::pm2::{DaemonSeen, DumpSeen, Pm2Seen, Support};
use crate::host::shell_word::word;
use crate::host::span::Span;
use crate::host::{Deed, Host, HostError, Probe, Told};

/// Take and keep an own snapshot of the process list; what was online comes back online, what was stopped stays so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2Saved {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// Accept a list with fewer online apps than PM2's own last dump; otherwise that is refused as a likely mishap.
    pub allow_fewer: bool,
}

/// How many apps a message names.
const NAMED: usize = 10;

/// What `pm2_saved` looks at.
pub struct Seen {
    pm2: Box<Pm2Seen>,
}

impl Act for Pm2Saved {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let place = process_list::place(ground, &self.pm2);
        let place = place.ok_or_else(|| HostError::refused(&self.pm2, "no such PM2 place in the runbook"))?;
        Ok(Seen { pm2: on.pm2(&process_list::at(place)).await? })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        if process_list::snapshot(ground, &self.pm2).is_some() {
            return Change { already: 1, ..Change::default() };
        }
        let before = process_list::census(&seen.pm2.apps);
        let item = Item::new(&self.pm2, Sign::Add, before, "in a snapshot of this run").taking(Span::secs(1.0, 4.0));
        Change {
            items: vec![item],
            concerns: self.concerns(&seen.pm2, process_list::place(ground, &self.pm2)),
            diff: dump_diff(&seen.pm2),
            ..Change::default()
        }
    }

    async fn apply(&self, _: &Item, on: &dyn Host, ground: &Ground<'_>, _: Tell<'_>) -> Outcome {
        let Some(place) = process_list::place(ground, &self.pm2) else {
            return Outcome::failed("no such PM2 place");
        };
        let dir = ground.run_dir.join("snapshot").join(&self.pm2);
        let deed = Deed::TakeSnapshot { pm2: process_list::at(place), dir, allow_fewer: self.allow_fewer };
        match on.tell(&deed).await {
            Ok(Told::Snapshot(snapshot)) => Outcome::Applied {
                note: Some(format!("{} saved, sha256 {:.12}", process_list::census(&snapshot.apps), snapshot.sha256)),
                keep: match JsonText::of(&snapshot) {
                    Ok(value) => vec![(process_list::snapshot_key(&self.pm2), value)],
                    Err(error) => return Outcome::failed(error.to_string()),
                },
            },
            Ok(_) => Outcome::failed("the answer to it was not that of a snapshot: nothing was kept"),
            Err(error) => error.into(),
        }
    }
}

impl Pm2Saved {
    /// Reasons not to trust the list, or not to touch this daemon.
    fn concerns(&self, seen: &Pm2Seen, place: Option<&Pm2Place>) -> Vec<Concern> {
        let mut out = Vec::new();
        let mut stop = |seen: String, cure: &str| out.push(Concern::new(Weight::Stop, &self.pm2, seen, cure));
        daemon_stops(&seen.daemon, place, &mut stop);
        if !seen.twins.is_empty() {
            stop(
                format!("{} more daemon(s) on the same PM2_HOME", seen.twins.len()),
                "its list may be partial; end the extra daemon first",
            );
        }
        let own = || seen.apps.iter().filter(|app| !app.module);
        if seen.up().is_some() && own().next().is_none() {
            stop("the list is empty".into(), "an empty list is never saved");
        }
        let ghosts: Vec<String> = own().filter(|app| app.is_ghost()).map(|app| label(&app.key)).collect();
        if !ghosts.is_empty() {
            stop(
                format!("listed as online without a process: {}", ghosts.join(", ")),
                "delete or repair them, so that the list tells the truth",
            );
        }
        let missing = missing_from_live(seen);
        if !missing.is_empty() && !self.allow_fewer {
            let text = format!("in dump.pm2 and not running or listed, so a save would drop {}", some(&missing));
            stop(text, "restore them first, or set `allow_fewer: true`");
        }
        if !seen.orphans.is_empty() {
            let text = format!("{} process(es) of an earlier daemon still run", seen.orphans.len());
            out.push(Concern::new(Weight::Warn, &self.pm2, text, "they would run beside the restored ones; end them"));
        }
        out.extend(self.dump_concern(&seen.dump));
        out.extend(process_list::not_roots(&self.pm2, seen));
        if place.is_some_and(|place| place.boot == AtBoot::Resurrects) && dump_diff(seen).is_some() {
            let text = "`boot: resurrects` brings back PM2's dump, and that is not the list of now";
            out.push(Concern::new(Weight::Warn, &self.pm2, text, "`pm2 save` as the daemon's user"));
        }
        out.extend(seen.advice.iter().map(|one| Concern::new(Weight::Warn, &self.pm2, &one.seen, &one.cure)));
        out
    }

    /// A damaged list is no reason to stop: the run restores from its own snapshot of the live one, and copies the dump aside.
    fn dump_concern(&self, dump: &DumpSeen) -> Option<Concern> {
        if let DumpSeen::Unreadable { why } = dump {
            // The snapshot copies it aside first, and would fail there: after the compaction, in the middle of the window.
            let seen = format!("dump.pm2 cannot be read safely: {why}");
            let cure = "correct `user` and `home`: the home, the dump and the daemon must be the user's own";
            return Some(Concern::new(Weight::Stop, &self.pm2, seen, cure));
        }
        let text = format!("dump.pm2 {}", bad_dump(dump)?);
        let cure = "the run saves its own list from the daemon; until then: pm2 save";
        Some(Concern::new(Weight::Warn, &self.pm2, text, cure))
    }
}

/// Daemons that cannot be saved from, or must not be touched.
fn daemon_stops(daemon: &DaemonSeen, place: Option<&Pm2Place>, stop: &mut dyn FnMut(String, &str)) {
    match daemon {
        DaemonSeen::Up(up) => {
            if up.is_runtime() {
                stop("pm2-runtime: stopping its last app ends its container".into(), "restart its container instead");
            }
            if let Support::ReadOnly(why) = up.support() {
                stop(why, "update PM2 before the window");
            }
        }
        DaemonSeen::Absent { .. } => stop(
            "no PM2 daemon is running, so nothing can be saved; none was started".into(),
            &match place.and_then(|place| place.unit.as_deref()) {
                Some(unit) => {
                    // The command itself would start an empty daemon for whoever calls it.
                    format!("by its unit, not by `pm2`: systemctl start {}", word(unit))
                }
                None => "start it as its own user; check `user`, `home` and `unit`".to_owned(),
            },
        ),
        DaemonSeen::Denied { why } => stop(why.clone(), "run as root, or as the daemon's user"),
        DaemonSeen::Foreign { why } => {
            stop(why.clone(), "whoever owns the home can put anything there: settle it with them")
        }
        DaemonSeen::Dying { why } => {
            stop(why.clone(), "an interrupted `pm2 kill` leaves such a daemon: restart it before the window")
        }
    }
}

/// What is wrong with PM2's own list; a missing one is nothing unusual.
fn bad_dump(dump: &DumpSeen) -> Option<String> {
    match dump {
        DumpSeen::Unparsable { why, may_be_read: true, .. } => Some(format!(
            "is no JSON ({why}); PM2 reads it as JavaScript and may understand it: what a boot now would bring back is not known"
        )),
        DumpSeen::Unparsable { why, backup: n @ 1.., .. } => Some(format!(
            "is damaged ({why}): a boot now would bring back the {n} app(s) of dump.pm2.bak, as they were saved before that (and \
             `pm2 resurrect` would delete the damaged file)"
        )),
        DumpSeen::Unparsable { why, .. } => Some(format!(
            "is damaged ({why}): a boot now would bring back nothing (and `pm2 resurrect` would delete the file)"
        )),
        DumpSeen::Read { entries } if entries.is_empty() => {
            Some("is empty: a boot now would bring back nothing".to_owned())
        }
        DumpSeen::Read { .. } | DumpSeen::Missing | DumpSeen::Unreadable { .. } => None,
    }
}

/// How many, and the first of them by name.
fn some(names: &[String]) -> String {
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    format!("{}: {}{more}", names.len(), names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}

/// Apps that PM2's own dump knows and the list does not: what a save would forget.
fn missing_from_live(seen: &Pm2Seen) -> Vec<String> {
    let mut live: Vec<(&str, &str)> = seen.apps.iter().map(|app| (&*app.key.namespace, &*app.key.name)).collect();
    let mut missing = Vec::new();
    for entry in seen.dump.entries() {
        match live.iter().position(|known| *known == (&*entry.namespace, &*entry.name)) {
            Some(at) => drop(live.swap_remove(at)),
            None => missing.push(entry.name.clone()),
        }
    }
    missing
}

/// PM2's dump against the live list: what a plain reboot would have brought back instead.
fn dump_diff(seen: &Pm2Seen) -> Option<(String, String)> {
    let DumpSeen::Read { entries } = &seen.dump else {
        return None;
    };
    let line = |namespace: &str, name: &str, word: &str| match namespace {
        "default" => format!("{name} {word}\n"),
        other => format!("{other}:{name} {word}\n"),
    };
    let mut dump: Vec<String> = entries.iter().map(|e| line(&e.namespace, &e.name, e.status.word())).collect();
    let own = seen.apps.iter().filter(|app| !app.module);
    let mut live: Vec<String> = own.map(|a| line(&a.key.namespace, &a.key.name, a.status.word())).collect();
    dump.sort();
    live.sort();
    (dump != live).then(|| (dump.concat(), live.concat()))
}

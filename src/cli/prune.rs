//! `runbook history prune`: removes past runs and saved plans beyond a limit; and the bound that holds by itself when a run
//! ends.
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::run::hold;
use super::site::identity;
use super::{Desk, Exit, Failure};
use crate::host::clock;
use crate::host::span::{bytes, count};
use crate::journal::prune::{Beyond, Doomed, Limits, Pruned};
use crate::journal::store::Store;

/// What may go.
#[derive(Debug, Args)]
#[command(
    long_about = "Remove past runs and saved plans beyond a limit; what the runs taught about durations is kept.\n\n\
Each limit takes effect by itself, as with `journalctl --vacuum-files --vacuum-time`: with both, a run goes if it is not \
among the newest N, and it goes if it ended longer ago than AGE, even when it is among them. The same limits hold for saved \
plans. Without any limit, those that hold by themselves whenever a run ends: the newest 200 runs, no more than 1 GiB in all, \
and the newest 50 saved plans.\n\n\
Never removed: the unfinished run, a run whose journal cannot be read, and for 30 days a run that was abandoned or set aside. \
What a process that died left half made or half removed goes, too.\n\n\
Exit codes: 0 when everything that was to go is gone (or nothing was to go), 8 while a run is at work, 31 when something \
could not be removed; it is named, and the rest is gone."
)]
pub(super) struct Prune {
    /// Remove all but the newest N runs, and all but the newest N saved plans
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove runs that ended, and plans that were saved, longer ago than this: 90d, 26w, 6mo, 1y
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Span>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
}

impl Prune {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let now = clock::now();
        let limits = self.limits(now)?;
        let Some(store) = desk.site.look()? else {
            desk.screen.talk(&format!("no runs in {}\n", desk.site.state_dir.display()));
            return Ok(Exit::Done);
        };
        if self.dry_run {
            show(desk, &store.would_prune(&limits, now)?, true);
            return Ok(Exit::Done);
        }
        let _lock = hold(&desk.site, &identity()?, "-")?;
        let pruned = store.prune(&limits, now)?;
        show(desk, &pruned, false);
        if pruned.trouble.is_empty() {
            return Ok(Exit::Done);
        }
        let text = format!("not everything could be removed: {}", pruned.trouble.join("; "));
        Err(Failure::say(Exit::Storage, text).hint("the same command goes on where this one stopped"))
    }

    fn limits(&self, now: Timestamp) -> Result<Limits, Failure> {
        let Some(age) = self.older_than else {
            let keep = self.keep.map(|keep| Limits { keep: Some(keep), plans: Some(keep), ..Limits::default() });
            return Ok(keep.unwrap_or(Limits::DEFAULT));
        };
        // Months and years are counted on the calendar.
        let before = now.to_zoned(TimeZone::UTC).checked_sub(age).map(|before| before.timestamp());
        let before = before.map_err(|_| Failure::say(Exit::Usage, "--older-than reaches back beyond all time"))?;
        Ok(Limits { keep: self.keep, plans: self.keep, before: Some(before), ..Limits::default() })
    }
}

/// Reads an age.
fn age(text: &str) -> Result<Span, String> {
    let span = text.trim().parse::<Span>().ok().filter(|span| span.is_positive());
    span.ok_or_else(|| "not an age, write it like `90d`, `26w`, `6mo` or `1y`".to_owned())
}

/// Writes down what runs that are over have taught, where a process died before it could. Whoever begins a run reads no more
/// journals afterwards than the first of all runs.
pub(super) fn learn(desk: &Desk, store: &Store) {
    if let Err(error) = store.learn() {
        desk.screen.alert(&format!("what earlier runs taught is not written down: {error}\n"));
    }
}

/// The bound that holds by itself. The run is over and what it says does not change: what fails here is said and no more.
pub(super) fn by_itself(desk: &Desk, store: &Store) {
    match store.prune(&Limits::DEFAULT, clock::now()) {
        Ok(pruned) => {
            if !pruned.runs.is_empty() {
                let (runs, room) = (count(pruned.runs.len(), "old run"), bytes(pruned.bytes()));
                desk.screen.talk(&format!("{runs} pruned, {room}: the newest 200 stay, up to 1 GiB\n"));
            }
            let trouble = pruned.trouble.iter().map(|why| format!("an old run stays: {why}\n"));
            trouble.for_each(|line| desk.screen.alert(&line));
        }
        Err(error) => desk.screen.alert(&format!("old runs stay: {error}\n")),
    }
}

fn show(desk: &Desk, pruned: &Pruned, dry: bool) {
    if desk.screen.json {
        return desk.screen.lines(lines(pruned, dry));
    }
    let mut text = String::new();
    for Doomed { run, bytes: size, beyond } in &pruned.runs {
        text.push_str(&format!("{run}  {:>9}  {}\n", bytes(*size), words(*beyond)));
    }
    for (name, size) in pruned.plans.iter().chain(&pruned.leftovers) {
        let what = if name.starts_with('.') { "left by a process that died" } else { "saved plan" };
        text.push_str(&format!("{name}  {:>9}  {what}\n", bytes(*size)));
    }
    for (run, why) in &pruned.spared {
        text.push_str(&format!("{run}  stays: {why}\n"));
    }
    let (would, runs) = (if dry { "Would remove" } else { "Removed" }, count(pruned.runs.len(), "run"));
    let plans = match pruned.plans.len() {
        0 => String::new(),
        n => format!(" and {}", count(n, "saved plan")),
    };
    let room = bytes(pruned.bytes());
    text.push_str(&format!("{would} {runs}{plans}, {room}; {}.\n", stays(pruned.left)));
    desk.screen.result(&text);
}

fn stays(runs: usize) -> String {
    if runs == 1 { "1 run stays".to_owned() } else { format!("{runs} runs stay") }
}

fn words(beyond: Beyond) -> &'static str {
    match beyond {
        Beyond::Keep => "not among the newest",
        Beyond::Age => "too old",
        Beyond::Size => "the newer ones take all the room",
    }
}

/// A line for each thing that goes or stays, and the sum.
fn lines(pruned: &Pruned, dry: bool) -> Vec<String> {
    let json = |value: serde_json::Value| value.to_string();
    let mut lines = Vec::new();
    for Doomed { run, bytes, beyond } in &pruned.runs {
        lines.push(json(
            serde_json::json!({ "type": "pruned_run", "run": run.as_str(), "bytes": bytes, "beyond": beyond }),
        ));
    }
    for (plan, bytes) in &pruned.plans {
        lines.push(json(serde_json::json!({ "type": "pruned_plan", "plan": plan, "bytes": bytes })));
    }
    for (name, bytes) in &pruned.leftovers {
        lines.push(json(serde_json::json!({ "type": "pruned_leftover", "name": name, "bytes": bytes })));
    }
    for (run, why) in &pruned.spared {
        lines.push(json(serde_json::json!({ "type": "spared_run", "run": run.as_str(), "why": why })));
    }
    lines.push(json(serde_json::json!({
        "type": "pruned",
        "dry_run": dry,
        "runs": pruned.runs.len(),
        "plans": pruned.plans.len(),
        "bytes": pruned.bytes(),
        "left": pruned.left,
        "trouble": pruned.trouble,
    })));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit_and_a_direction() {
        for good in ["1y", "90d", "26w", "6mo", "36h", "1 year", "1y 2mo"] {
            assert!(age(good).is_ok(), "{good}");
        }
        for bad in ["", "1", "90", "-1y", "1y ago", "0d", "y", "forever", "99999999999y"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }
}

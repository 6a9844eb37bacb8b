//! `runbook history`: past runs, oldest first, one line each; or how right their estimates were. `prune` is in
//! [`prune`](super::prune).
use clap::{Args, Subcommand};

use super::prune::Prune;
use super::{Desk, Exit, Failure};
use crate::host::span::count;
use crate::journal::aside::Aside;
use crate::journal::store::{Listed, Store, by_age};
use crate::report::{PastRun, estimate_lines, estimate_table, past_run, past_run_line, unreadable_run_line};

/// Which runs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct History {
    #[command(subcommand)]
    what: Option<What>,
    /// Only those of this runbook
    name: Option<String>,
    /// How right the estimates of the newest runs were: what was expected, what it took, and whether the interval held
    #[arg(long)]
    estimates: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Remove past runs and saved plans beyond a limit; what they taught about durations is kept
    Prune(Prune),
}

impl History {
    /// Whether the standard output is for programs.
    pub(super) fn json(&self) -> bool {
        match &self.what {
            Some(What::Prune(prune)) => prune.json,
            None => self.json,
        }
    }

    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        if let Some(What::Prune(prune)) = &self.what {
            return prune.call(desk);
        }
        if self.estimates {
            return self.estimates(desk);
        }
        let store = desk.site.look()?;
        let runs = match &store {
            Some(store) => by_age(store.list()?),
            None => Vec::new(),
        };
        let pruned = store.as_ref().map_or(0, Store::pruned);
        if pruned > 0 {
            pruned_before(desk, pruned);
        }
        let mut shown = 0;
        for listed in runs.iter().filter(|listed| self.wants(listed)) {
            shown += 1;
            if desk.screen.json {
                let aside = store.as_ref().and_then(|store| store.aside(&listed.id));
                desk.screen.lines([json(listed, aside.as_ref())]);
            } else {
                let reading = listed.reading.as_ref().map_err(ToString::to_string);
                let run = PastRun {
                    id: listed.id.as_str(),
                    reading: reading.map(|reading| (reading.entries.as_slice(), &reading.state)),
                    aside: store.as_ref().and_then(|store| store.aside(&listed.id)),
                };
                desk.screen.result(&past_run(&run, &desk.screen.streams.result.style));
            }
        }
        if shown == 0 {
            desk.screen.talk(&format!("no runs in {}\n", desk.site.state_dir.display()));
        }
        Ok(Exit::Done)
    }

    /// Each estimate of the newest runs beside what happened, and both kinds in two figures.
    fn estimates(&self, desk: &Desk) -> Result<Exit, Failure> {
        let judged = match desk.site.look()? {
            Some(store) => store.estimates(self.name.as_deref())?,
            None => Vec::new(),
        };
        if desk.screen.json {
            desk.screen.lines(estimate_lines(&judged));
        } else if judged.is_empty() {
            desk.screen.talk(&format!("no estimates to judge in {}\n", desk.site.state_dir.display()));
        } else {
            desk.screen.result(&estimate_table(&judged, &desk.screen.streams.result.style));
        }
        Ok(Exit::Done)
    }

    fn wants(&self, listed: &Listed) -> bool {
        let opened = listed.reading.as_ref().ok().and_then(|reading| reading.state.opened());
        self.name.as_ref().is_none_or(|name| opened.is_some_and(|opened| opened.runbook_name == *name))
    }
}

/// Says that the list is not the whole story.
fn pruned_before(desk: &Desk, runs: u64) {
    if desk.screen.json {
        desk.screen.lines([serde_json::json!({ "type": "pruned_before", "runs": runs }).to_string()]);
    } else {
        let runs = count(usize::try_from(runs).unwrap_or(usize::MAX), "older run");
        desk.screen.talk(&format!("{runs} pruned; what they taught about durations is kept\n"));
    }
}

fn json(listed: &Listed, aside: Option<&Aside>) -> String {
    match &listed.reading {
        Ok(reading) => past_run_line(&reading.entries, &reading.state, aside),
        Err(error) => unreadable_run_line(listed.id.as_str(), &error.to_string(), aside),
    }
}

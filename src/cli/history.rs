//! `runbook history`: past runs, oldest first, one line each; or how right their estimates were.
use std::time::Duration;

use clap::Args;

use super::site::by_age;
use super::{Desk, Exit, Failure};
use crate::host::span::words;
use crate::journal::checkpoint::End;
use crate::journal::store::Listed;
use crate::report::{estimate_lines, estimate_table, past_run_line, unreadable_run_line};

/// Which runs.
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only those of this runbook
    name: Option<String>,
    /// How right the estimates of the newest runs were: what was expected, what it took, and whether the interval held
    #[arg(long)]
    estimates: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
}

impl History {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        if self.estimates {
            return self.estimates(desk);
        }
        let runs = match desk.site.look()? {
            Some(store) => by_age(store.list()?),
            None => Vec::new(),
        };
        let mut shown = 0;
        for listed in runs.iter().filter(|listed| self.wants(listed)) {
            shown += 1;
            if desk.screen.json {
                desk.screen.lines([json(listed)]);
            } else {
                desk.screen.result(&line(listed));
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
            desk.screen.result(&estimate_table(&judged));
        }
        Ok(Exit::Done)
    }

    fn wants(&self, listed: &Listed) -> bool {
        let opened = listed.reading.as_ref().ok().and_then(|reading| reading.state.opened());
        self.name.as_ref().is_none_or(|name| opened.is_some_and(|opened| opened.runbook_name == *name))
    }
}

fn json(listed: &Listed) -> String {
    match &listed.reading {
        Ok(reading) => past_run_line(&reading.entries, &reading.state),
        Err(error) => unreadable_run_line(listed.id.as_str(), &error.to_string()),
    }
}

fn line(listed: &Listed) -> String {
    let reading = match &listed.reading {
        Ok(reading) => reading,
        Err(error) => return format!("{}  unreadable: {error}\n", listed.id),
    };
    let name = reading.state.opened().map(|opened| opened.runbook_name.as_str()).unwrap_or_default();
    let (first, last) = (reading.entries.first(), reading.entries.last());
    let took =
        first.zip(last).and_then(|(first, last)| Duration::try_from(last.wall - first.wall).ok()).unwrap_or_default();
    let began = first.map(|entry| entry.wall.strftime("%F %H:%M:%SZ").to_string()).unwrap_or_default();
    let end = match reading.state.ended() {
        Some(End::Done) => "done",
        Some(End::DoneWithLosses) => "done, with losses",
        Some(End::BackedOut) => "backed out",
        Some(End::Failed) => "given up",
        Some(End::Abandoned) => "abandoned",
        None => "unfinished",
    };
    format!("{}  {name:<24} {began}  {:>8}  {end}\n", listed.id, words(took))
}

//! `runbook status`: where a run stands, read-only; its exit code says the same to scripts.
use clap::Args;

use super::around;
use super::ask_to_stop::at_work;
use super::site::zone;
use super::{Desk, Exit, Failure};
use crate::host::clock;
use crate::journal::RunState;
use crate::journal::checkpoint::{End, PauseReason};
use crate::journal::store::RunId;
use crate::report::{self, call};

/// Which run.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The run; without it the unfinished one, else the latest
    run: Option<String>,
    /// Exit 11 when it ended with tolerated losses
    #[arg(long)]
    detailed_exitcode: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
}

impl Status {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let Some(listed) = desk.site.pick(self.run.as_deref())? else {
            desk.screen.alert(&format!("there are no runs in {}\n", desk.site.state_dir.display()));
            return Ok(Exit::Done);
        };
        let id = listed.id;
        let reading = match listed.reading {
            Ok(reading) => reading,
            Err(error) => return aside(desk, &id).ok_or_else(|| error.into()),
        };
        let store = desk.site.store()?;
        let at_work = at_work(&desk.site, &id);
        if !at_work
            && reading.state.ended().is_none()
            && store.unfinished().is_ok_and(|owner| owner.is_none_or(|owner| owner.id != id))
            && let Some(exit) = aside(desk, &id)
        {
            return Ok(exit);
        }
        let around = around::look(desk, &store, &id, &reading, at_work).await;
        let exit = match &around.refused {
            Some(_) if !at_work => Exit::Damaged,
            _ => exit(&reading.state, at_work, self.detailed_exitcode),
        };
        if desk.screen.json {
            desk.screen.lines(report::status_lines(&reading.entries, &reading.state, &around, clock::now()));
            return Ok(exit);
        }
        let zone = zone(&store, &id);
        let style = desk.screen.streams.result.style;
        desk.screen.result(&report::status_in(&reading.entries, &reading.state, &around, clock::now(), &zone, &style));
        if at_work {
            desk.screen.result("A process is at work on it.\n");
        } else if reading.state.ended().is_none() {
            desk.screen.result("NO process is at work on it.\n");
        }
        Ok(exit)
    }
}

/// What became of a run that nobody could go on with.
fn aside(desk: &Desk, id: &RunId) -> Option<Exit> {
    let note = desk.site.store().ok()?.aside(id)?;
    if desk.screen.json {
        desk.screen.lines([report::aside_line(id.as_str(), &note)]);
        return Some(Exit::Failed);
    }
    desk.screen.result(&report::set_aside(id.as_str(), &note, &desk.screen.streams.result.style));
    desk.screen.alert(&format!("  {}\n", call(&format!("journal show {id}"))));
    Some(Exit::Failed)
}

/// The state of a run as an exit code.
pub(super) fn exit(state: &RunState, at_work: bool, detailed: bool) -> Exit {
    match state.ended() {
        Some(End::Done) => Exit::Done,
        Some(End::DoneWithLosses) if detailed => Exit::Losses,
        Some(End::DoneWithLosses) => Exit::Done,
        Some(End::BackedOut) => Exit::BackedOut,
        Some(End::BackedOutWithLosses) => Exit::BackedOutLosses,
        Some(End::Failed | End::Abandoned) => Exit::Failed,
        None if at_work => Exit::Done,
        None => match state.paused() {
            Some(PauseReason::Asked | PauseReason::Signal) => Exit::Paused,
            Some(PauseReason::Failed) if state.backing_out() => Exit::NotBack,
            Some(PauseReason::Failed) => Exit::Failed,
            // A sitting that died says nothing; somebody has to resume it.
            Some(PauseReason::Reboot | PauseReason::Operator) | None => Exit::Waiting,
        },
    }
}

//! `runbook journal show` and `verify`: the journal of a run for people, read-only, damaged or not.
use clap::{Args, Subcommand};

use super::site::{identity, zone};
use super::{Desk, Exit, Failure};
use crate::action::inventory::Pm2Place;
use crate::host::foreign::tame;
use crate::journal::inspect::Inspection;
use crate::journal::store::{RunId, Store, StoreError};
use crate::report::{self, call, word};
use crate::runbook::load_bytes;

/// What to do with it.
#[derive(Debug, Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every record of a run with its time, as far as it can be read
    Show(Which),
    /// Walk along checksums, chain, head and legal order, and say what is wrong where; exit 30 on damage
    Verify(Which),
}

/// Which run.
#[derive(Debug, Args)]
struct Which {
    /// The run; without it the unfinished one, else the latest
    run: Option<String>,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    json: bool,
}

impl Journal {
    /// Whether the standard output is for programs.
    pub(super) fn json(&self) -> bool {
        let (What::Show(which) | What::Verify(which)) = &self.what;
        which.json
    }

    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let (What::Show(which) | What::Verify(which)) = &self.what;
        let none = || Failure::say(Exit::Usage, format!("there are no runs in {}", desk.site.state_dir.display()));
        let store = desk.site.store()?;
        let id = desk.site.pick(which.run.as_deref())?.ok_or_else(none)?.id;
        let inspection = store.inspect(&id)?;
        match self.what {
            What::Show(_) => Ok(show(desk, &store, &id, &inspection)),
            What::Verify(_) => Ok(verify(desk, &store, &id, &inspection)),
        }
    }
}

fn show(desk: &Desk, store: &Store, id: &RunId, inspection: &Inspection) -> Exit {
    if desk.screen.json {
        desk.screen.lines(report::record_lines(inspection));
    } else {
        let style = desk.screen.streams.result.style;
        desk.screen.result(&report::timeline(inspection, &zone(store, id), &style));
    }
    if inspection.damage.is_some() {
        desk.screen.alert(&format!("  {}\n", call(&format!("journal verify {id}"))));
    }
    Exit::Done
}

fn verify(desk: &Desk, store: &Store, id: &RunId, inspection: &Inspection) -> Exit {
    // A look must not fail because this machine has no boot id to compare with.
    let boot_id = identity().map(|identity| identity.boot_id).unwrap_or_default();
    let spoilt = spoilt(store, id, inspection);
    if desk.screen.json {
        desk.screen.lines([report::verdict_line(id.as_str(), inspection, spoilt.as_deref(), &boot_id)]);
    } else {
        let style = desk.screen.streams.result.style;
        desk.screen.result(&report::journal_verdict(id.as_str(), inspection, spoilt.as_deref(), &boot_id, &style));
    }
    if inspection.damage.is_none() && spoilt.is_none() {
        return Exit::Done;
    }
    match store.aside(id) {
        Some(note) => desk.screen.alert(&report::set_aside(id.as_str(), &note, desk.screen.style())),
        None => desk.screen.alert(&way_out(id)),
    }
    Exit::Damaged
}

/// What is wrong with a run whose journal is sound: its frozen runbook, or the machine.
fn spoilt(store: &Store, id: &RunId, inspection: &Inspection) -> Option<String> {
    let opened = inspection.state.opened().filter(|_| inspection.damage.is_none())?;
    if let Err(error @ (StoreError::RunbookChanged { .. } | StoreError::File(_))) = store.runbook(id) {
        return Some(error.to_string());
    }
    let here = identity().ok()?.machine_id;
    let other = opened.machine_id != here;
    other.then(|| format!("this run belongs to machine {}, and this is {here}", opened.machine_id))
}

/// The exact commands that lead out of a damaged journal.
pub(super) fn way_out(id: &RunId) -> String {
    format!(
        "  See        {}\n  If down    {}\n             (starts what the snapshot \
         wants online, without any check)\n  Way out    {}\n             (sets the run aside and \
         frees the host; nothing is deleted)\n",
        call(&format!("journal show {id}")),
        call(&format!("resume {id} --fail-open")),
        call(&format!("abort {id} --abandon --reason TEXT")),
    )
}

/// For each PM2 place of a run's frozen runbook the command that lists its apps; a runbook that cannot be read names none.
pub(super) fn at_pm2(store: &Store, id: &RunId) -> Vec<String> {
    let Some(bytes) = store.dir(id).ok().and_then(|dir| dir.read("runbook.yaml").ok()) else { return Vec::new() };
    let Ok(loaded) = load_bytes(&bytes, "runbook.yaml") else { return Vec::new() };
    let places = loaded.runbook.inventory.pm2.values();
    let command = |place: &Pm2Place| {
        format!("runuser -u {} -- env PM2_HOME={} pm2 list", word(&place.user), word(&place.home.to_string_lossy()))
    };
    places.map(|place| tame(&command(place), 300)).collect()
}

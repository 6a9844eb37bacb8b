//! A full disk: whatever ends something still fits into the journal, whatever begins something is refused, and the program
//! says so with its own exit code.
use std::io::Write;
use std::path::Path;

use runbook::journal::checkpoint::{Checkpoint, Opened, Outcome, Owner, PauseReason, StepId};
use runbook::journal::record::FORMAT;
use runbook::journal::store::{NewRun, Store};
use runbook::journal::{Journal, JournalError, Stamp};
use serde_json::Value;

use crate::campaign::{Reference, Story, Trouble};
use crate::rig::{Rig, Said, must};
use crate::tier::{figures, tier};
use crate::worker::{Job, Report, work};

const SMALL: &str = "/mnt/small";
/// Items that are in flight when the disk turns out to be full, as in a fan-out.
const FLYING: usize = 8;

fn owner() -> Owner {
    Owner { pid: 1, uid: 0, user: "root".to_owned(), sudo_user: None, tty: None, started: 1 }
}

fn stamp() -> Stamp {
    let wall = "2026-11-28T09:15:00Z".parse().unwrap();
    Stamp { boot_id: "boot-1".to_owned(), mono_ms: 1, wall }
}

fn opened() -> Opened {
    Opened {
        format: FORMAT,
        tool_version: "0".to_owned(),
        runbook_name: "full".to_owned(),
        runbook_sha256: String::new(),
        machine_id: "machine".to_owned(),
        hostname: "host".to_owned(),
        owner: owner(),
        steps: vec![step()],
        no_return: None,
        plan: Value::Null.into(),
        baseline: Value::Null.into(),
    }
}

fn step() -> StepId {
    StepId::new("stop/1")
}

fn item(n: usize) -> String {
    format!("item-{n}")
}

fn ended(n: usize) -> Checkpoint {
    let note = Some("what a command said before it ended ".repeat(40));
    Checkpoint::ItemDone { step: step(), item: item(n), outcome: Outcome::Applied, took_ms: 1, note }
}

/// Takes every block that is left.
fn fill(dir: &str) {
    let mut file = std::fs::File::create(Path::new(dir).join("filler")).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    let _full_as_well = file.sync_all();
}

fn free(dir: &str) {
    std::fs::remove_file(Path::new(dir).join("filler")).unwrap();
}

/// A journal on a full tmpfs: outcomes and the stop record fit, new intents do not, and with room it goes on.
fn journal(report: &mut Report) -> Result<(), JournalError> {
    must("mkdir", &[SMALL]);
    must("mount", &["-t", "tmpfs", "-o", "size=6m,mode=700", "small", SMALL]);
    let store = Store::prepare(&Path::new(SMALL).join("state")).unwrap();
    let new = NewRun { runbook: b"version: 1\n", plan: b"{}", opened: opened(), reboots: false };
    let (id, mut journal) = store.create(new, Box::new(stamp)).unwrap();
    fill(SMALL);
    let items: Vec<String> = (0..4000).map(item).collect();
    let title = "items".to_owned();
    journal.append(&[Checkpoint::StepStarted { step: step(), attempt: 1, title, items, repeatable: true }])?;
    let full = until_full(&mut journal, report)?;
    for n in full.saturating_sub(FLYING)..full {
        journal.append(&[ended(n)])?;
        report.add("outcomes written when nothing new could begin", 1);
    }
    let error = "no room".to_owned();
    journal.append(&[Checkpoint::StepFailed { step: step(), error }])?;
    journal.append(&[Checkpoint::Paused { why: PauseReason::Operator, note: None }])?;
    report.add("stop records written on a full disk", 1);
    drop(journal);
    free(SMALL);
    let mut journal = store.resume(&id, "machine", Box::new(stamp)).unwrap();
    let boot_id = "boot-1".to_owned();
    journal.append(&[Checkpoint::Resumed { owner: owner(), boot_id, unattended: false }])?;
    report.add("runs that went on when there was room", 1);
    Ok(())
}

/// Begins and ends items until no more may begin; gives the number of the first that could not.
fn until_full(journal: &mut Journal, report: &mut Report) -> Result<usize, JournalError> {
    for n in 0.. {
        match journal.append(&[Checkpoint::ItemIntent { step: step(), item: item(n) }]) {
            Err(JournalError::Full { .. }) => {
                report.add("records written after the disk was full", journal.seq() - 1);
                return Ok(n);
            }
            written => drop(written?),
        }
        if n >= FLYING {
            journal.append(&[ended(n - FLYING)])?;
        }
    }
    Ok(0)
}

/// The disk is full during one sitting.
struct Filled(usize);

impl Trouble for Filled {
    fn inject(&mut self, sitting: usize) -> Vec<String> {
        if sitting == self.0 {
            fill("/mnt/disk");
        }
        Vec::new()
    }

    fn after(&mut self, sitting: usize, said: &Said, rig: &Rig, _: &mut Story) -> Result<(), String> {
        if sitting != self.0 {
            return Ok(());
        }
        free("/mnt/disk");
        let words = format!("exit {:?}, `{}`", said.code, said.err.trim());
        let right = said.code == Some(31) || (said.code == Some(0) && rig.is_over()?);
        if right && !said.err.contains("panicked") { Ok(()) } else { Err(words) }
    }

    fn excuses(&self, sitting: usize) -> bool {
        sitting == self.0
    }
}

/// See the module.
pub(crate) fn run(rig: &Rig, report: &mut Report) {
    if let Err(error) = journal(report) {
        report.bad.push(format!("a journal on a full tmpfs: {error}"));
    }
    let reference = Reference::of(rig);
    for sitting in [0, 1] {
        reference.before(rig, sitting);
        match reference.same(rig.to_the_end(sitting, &mut Filled(sitting))) {
            Ok(_) => report.add("runs on a full disk that ended as ever once there was room", 1),
            Err(why) => report.bad.push(format!("sitting {sitting}: {why}")),
        }
    }
}

#[test]
fn on_a_full_disk_outcomes_and_the_stop_record_still_fit() {
    if tier("full disk").is_none() {
        return;
    }
    let found = work(&Job::FullDisk, &[], 0, 1);
    let figures = figures("full disk");
    for (what, count) in &found.counts {
        figures.say(what, count);
    }
    figures.say("violations", found.bad.len());
    assert!(found.bad.is_empty(), "{:#?}", found.bad);
    assert_eq!(found.count("outcomes written when nothing new could begin"), FLYING as u64);
    assert_eq!(found.count("runs on a full disk that ended as ever once there was room"), 2);
}

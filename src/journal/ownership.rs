//! Whose run is it: may this process, on this machine and at this moment, go on with what it found?
//!
//! A journal can be whole and still be the wrong one to act on: a copy of the disk on another machine, a state directory put
//! back from a backup, a pending run that nobody thought of for weeks, a machine that goes down whenever it is resumed. Each
//! is refused with its reason and the way out, and nothing is done. Pure: the caller says where and when it is.
//!
//! [`Journal::open`](super::Journal::open) has compared the machine id; a copy of a machine keeps that, so more is asked here.
use std::time::Duration;

use jiff::Timestamp;

use super::Reading;
use super::checkpoint::Checkpoint;
use crate::host::foreign::tame;
use crate::host::planted::{Bug, planted};
use crate::host::span::words;

/// A pending run older than this is not taken up without a person: whoever began it has long brought the host into order.
pub const STALE: Duration = Duration::from_secs(3 * 24 * 3600);
/// So many boots in a row may be resumed without a person and without a step done. One more is a loop.
pub const BOOTS_IN_VAIN: usize = 3;
/// Length of a [`Witness`] on disk.
const LINE: usize = 256;

/// Where and when somebody wants to go on.
#[derive(Debug, Clone)]
pub struct Here<'a> {
    /// The name of this host.
    pub hostname: &'a str,
    /// This boot.
    pub boot_id: &'a str,
    /// CLOCK_BOOTTIME in milliseconds.
    pub mono_ms: u64,
    /// The wall clock.
    pub now: Timestamp,
    /// Nobody is there: the resume unit asks.
    pub unattended: bool,
    /// What was last told outside the state directory in this boot, if anything was.
    pub witness: Option<Witness>,
}

/// How far a run was, noted outside its state directory and in memory only: a state directory that is put back from a
/// backup does not put this back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The run.
    pub run: String,
    /// Its last record.
    pub seq: u64,
    /// What that record names as its predecessor.
    pub prev: String,
}

impl Witness {
    /// As one line of a fixed length, so that writing over an older one leaves nothing of it.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = format!("{} {} {}", self.run, self.seq, self.prev).into_bytes();
        line.resize(LINE - 1, b' ');
        line.push(b'\n');
        line
    }

    /// Reads it back; a line cut short by a crash is none.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok().filter(|text| text.len() == LINE)?;
        let mut words = text.split_whitespace();
        let (run, seq, prev) = (words.next()?.to_owned(), words.next()?.parse().ok()?, words.next()?.to_owned());
        Some(Self { run, seq, prev })
    }
}

/// Why a whole journal is not gone on with. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// Another host of the same machine id: a clone, or a host that was renamed.
    #[error(
        "the run belongs to host {journal}, and this is {here}: a clone must not go on with the run of its original. \
         A host that was only renamed gets its old name back for the run"
    )]
    OtherName {
        /// In the journal.
        journal: String,
        /// Of this machine.
        here: String,
    },
    /// Nobody has gone on with it for too long.
    #[error(
        "the run stands still since {since} ({}), too long to be taken up without a person; nothing was done",
        words(*.idle)
    )]
    Stale {
        /// Its last record.
        since: Timestamp,
        /// How long ago.
        idle: Duration,
    },
    /// The state directory is older than what this boot has already seen of the run.
    #[error(
        "the state went back in time: record {seen} of the run was written in this boot, and the journal {has}. \
         The state directory was put back from a copy. With the newer one the run goes on; without it a person brings the \
         host into order"
    )]
    WentBack {
        /// Last record that was told.
        seen: u64,
        /// What the journal has instead.
        has: String,
    },
    /// The last record was written later in this very boot than it is now.
    #[error(
        "the machine went back in time: the last record was written {} after the start of this boot, which was {} ago. \
         The machine was put back from a snapshot and its disk was not: look at the host",
        words(Duration::from_millis(*.written_ms)), words(Duration::from_millis(*.now_ms))
    )]
    Future {
        /// CLOCK_BOOTTIME of the record.
        written_ms: u64,
        /// CLOCK_BOOTTIME now.
        now_ms: u64,
    },
    /// Boot after boot it is resumed and achieves nothing.
    #[error(
        "the run was resumed by itself in {boots} boots in a row without finishing a step: it seems to bring the machine \
         down. Nothing was done; the previous boot's log (journalctl -b -1) may tell why"
    )]
    BootLoop {
        /// How many.
        boots: usize,
    },
}

/// Judges whether to go on from here.
///
/// # Errors
/// [`NotOurs`].
pub fn may_go_on(reading: &Reading, here: &Here<'_>) -> Result<(), NotOurs> {
    same_host(reading, here)?;
    not_back_in_time(reading, here)?;
    if here.unattended {
        not_stale(reading, here)?;
        no_boot_loop(reading, here)?;
    }
    Ok(())
}

fn same_host(reading: &Reading, here: &Here<'_>) -> Result<(), NotOurs> {
    let journal = reading.state.opened().map(|opened| opened.hostname.as_str()).unwrap_or_default();
    if journal == here.hostname || planted(Bug::MachineUnchecked) {
        return Ok(());
    }
    Err(NotOurs::OtherName { journal: tame(journal, 64), here: tame(here.hostname, 64) })
}

fn not_back_in_time(reading: &Reading, here: &Here<'_>) -> Result<(), NotOurs> {
    let Some(last) = reading.entries.last() else { return Ok(()) };
    if *last.boot_id == *here.boot_id && last.mono_ms > here.mono_ms {
        return Err(NotOurs::Future { written_ms: last.mono_ms, now_ms: here.mono_ms });
    }
    let Some(witness) = here.witness.as_ref().filter(|witness| *witness.run == *last.run) else { return Ok(()) };
    let index = usize::try_from(witness.seq).unwrap_or(usize::MAX).saturating_sub(1);
    let has = match reading.entries.get(index) {
        Some(entry) if entry.prev.to_string() == witness.prev => return Ok(()),
        Some(_) => "has another one there".to_owned(),
        None => format!("ends with record {}", last.seq),
    };
    if planted(Bug::RollbackBelieved) { Ok(()) } else { Err(NotOurs::WentBack { seen: witness.seq, has }) }
}

/// A clock that was set back makes no run older; then its age is not known, and the way is forward.
fn not_stale(reading: &Reading, here: &Here<'_>) -> Result<(), NotOurs> {
    let Some(since) = reading.state.latest_wall() else { return Ok(()) };
    let idle = Duration::try_from(here.now.duration_since(since)).unwrap_or_default();
    if idle <= STALE || planted(Bug::StaleResumed) { Ok(()) } else { Err(NotOurs::Stale { since, idle }) }
}

/// Counts the boots since the last thing that was achieved or that a person did.
fn no_boot_loop(reading: &Reading, here: &Here<'_>) -> Result<(), NotOurs> {
    let mut boots: Vec<&str> = Vec::new();
    for entry in reading.entries.iter().rev() {
        match &entry.checkpoint {
            Checkpoint::Resumed { boot_id, unattended: true, .. }
                if boot_id == here.boot_id || boots.contains(&boot_id.as_str()) => {}
            Checkpoint::Resumed { boot_id, unattended: true, .. } => boots.push(boot_id),
            Checkpoint::Opened(_)
            | Checkpoint::Resumed { .. }
            | Checkpoint::StepDone { .. }
            | Checkpoint::Rebooted { .. }
            | Checkpoint::Decision { .. } => break,
            _ => {}
        }
    }
    if boots.len() < BOOTS_IN_VAIN || planted(Bug::BootLoopUnseen) {
        return Ok(());
    }
    Err(NotOurs::BootLoop { boots: boots.len() })
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;

//! Appending: legal, then one write, one sync, the head, and only then the fold. Also opening what a crash has left.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{Checkpoint, Opened};
use super::disk::{Disk, Files, Part};
use super::files::{Directory, FileError};
use super::head::{self, Mark};
use super::keep::Landmarks;
use super::reading::Reading;
use super::record::{self, Entry, FORMAT, LineHash};
use super::recover::Tail;
use super::state::RunState;
use super::{Clock, JournalError, Stamp};
use crate::host::planted::{Bug, planted};

/// Room that only outcomes and stop records may use, so that they fit on a full disk.
pub(super) const RESERVE: u64 = 64 << 10;
/// The journal's room grows in pieces of this size.
const PIECE: u64 = 1 << 20;

/// An open journal: the only way to make a checkpoint durable.
pub struct Journal {
    run: String,
    path: PathBuf,
    pub(super) disk: Box<dyn Disk>,
    pub(super) clock: Box<dyn Clock>,
    pub(super) state: RunState,
    seq: u64,
    hash: LineHash,
    /// Length of the acknowledged part.
    pub(super) good: u64,
    /// Length that the disk has promised; `None` if it cannot promise.
    pub(super) promised: Option<u64>,
    free_slot: usize,
    poison: Option<String>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("run", &self.run).field("seq", &self.seq).field("poison", &self.poison).finish()
    }
}

impl Journal {
    /// Begins the journal of `run` in its directory and makes the first record durable, directory entries included.
    ///
    /// # Errors
    /// [`JournalError`]; an existing journal is not touched.
    pub fn create(dir: &Directory, run: &str, opened: Opened, clock: Box<dyn Clock>) -> Result<Self, JournalError> {
        let files = Files { journal: dir.create("journal")?, head: dir.create("head")? };
        let path = dir.path().join("journal");
        hold(&files, &path)?;
        let mut journal = Self::begin(run, path, Box::new(files), clock);
        journal.append(&[Checkpoint::Opened(Arc::new(opened))])?;
        dir.sync()?;
        Ok(journal)
    }

    pub(super) fn begin(run: &str, path: PathBuf, disk: Box<dyn Disk>, clock: Box<dyn Clock>) -> Self {
        Self {
            run: run.to_owned(),
            path,
            disk,
            clock,
            state: RunState::default(),
            seq: 0,
            hash: LineHash::of(run.as_bytes()),
            good: 0,
            promised: Some(0),
            free_slot: 0,
            poison: None,
        }
    }

    /// Opens the journal of `run` to go on with it, if what it says `fits` what else is there. A torn tail is copied to
    /// `journal.broken-N`, cut off and noted in a `recovered` record; every other damage is refused.
    ///
    /// # Errors
    /// [`JournalError`], and what `fits` says; on every error but `Storage` the files are as before.
    pub fn open<E: From<JournalError>>(
        dir: &Directory,
        run: &str,
        machine_id: &str,
        clock: Box<dyn Clock>,
        fits: impl FnOnce(&RunState) -> Result<(), E>,
    ) -> Result<Self, E> {
        let file = |name| dir.file(name, true).map_err(JournalError::from);
        let files = Files { journal: file("journal")?, head: file("head")? };
        let path = dir.path().join("journal");
        hold(&files, &path)?;
        let reading = Self::fold(dir, run)?;
        fits(&reading.state)?;
        Ok(Self::begin(run, path, Box::new(files), clock).go_on(dir, machine_id, reading)?)
    }

    fn go_on(mut self, dir: &Directory, machine_id: &str, from: Reading<Landmarks>) -> Result<Self, JournalError> {
        of_this_machine(&from.state, machine_id)?;
        let copied = self.take_over(dir, from)?;
        if let (Some((dropped_bytes, copy)), None) = (copied, self.state.ended()) {
            self.append(&[Checkpoint::Recovered { dropped_bytes, copy }])?;
        }
        Ok(self)
    }

    /// Stands where the reading ended. What was read may sit in the page cache only, so it is synced before it counts.
    fn take_over(
        &mut self,
        dir: &Directory,
        reading: Reading<Landmarks>,
    ) -> Result<Option<(u64, String)>, JournalError> {
        self.state = reading.state;
        self.state.rest();
        (self.seq, self.hash) = (reading.seq, reading.hash);
        (self.good, self.free_slot) = (reading.good, reading.free_slot);
        let copied = match reading.tail {
            Tail::Clean => None,
            Tail::Torn { bytes } => {
                let copy = copy_of(dir)?;
                let journal = dir.read("journal")?;
                dir.write_new(&copy, &journal)?;
                dir.sync()?;
                self.disk.cut(self.good).map_err(|source| self.poisoned("cut", source))?;
                Some((bytes, copy))
            }
        };
        self.disk.sync(Part::Journal).map_err(|source| self.poisoned("sync", source))?;
        if reading.acknowledged < self.seq {
            self.acknowledge()?;
        }
        Ok(copied)
    }

    /// Makes checkpoints durable, in one write and one sync, and returns them in their envelopes. Only then may anybody be
    /// told. If one of them is illegal, none is written.
    ///
    /// # Errors
    /// `Illegal`, `Record` and `Full` leave the journal usable; after `Storage` every append fails.
    pub fn append(&mut self, checkpoints: &[Checkpoint]) -> Result<Vec<Entry>, JournalError> {
        if let Some(first) = &self.poison {
            return Err(JournalError::Poisoned { first: first.clone() });
        }
        if checkpoints.is_empty() {
            return Ok(Vec::new());
        }
        // The state is taken forward while the lines are drafted, and put back if they come to nothing.
        let before = self.state.before(checkpoints);
        let drafted = self.draft(checkpoints).and_then(|draft| self.make_durable(draft, checkpoints));
        if drafted.is_err() {
            self.state.put_back(before);
        }
        let entries = drafted?;
        self.acknowledge()?;
        Ok(entries)
    }

    /// One write and one sync; the head comes after.
    fn make_durable(&mut self, draft: Draft, checkpoints: &[Checkpoint]) -> Result<Vec<Entry>, JournalError> {
        self.make_room(draft.bytes.len() as u64, checkpoints.iter().any(Checkpoint::begins_something))?;
        self.write(&draft.bytes)?;
        self.good += draft.bytes.len() as u64;
        self.seq += draft.entries.len() as u64;
        self.hash = draft.hash;
        Ok(draft.entries)
    }

    /// Envelopes and lines, with nothing written; the state has taken them in.
    fn draft(&mut self, checkpoints: &[Checkpoint]) -> Result<Draft, JournalError> {
        let mut draft = Draft { entries: Vec::new(), bytes: Vec::new(), hash: self.hash };
        let Stamp { boot_id, mono_ms, wall } = self.clock.stamp();
        let (run, boot_id): (Arc<str>, Arc<str>) = (self.run.as_str().into(), boot_id.into());
        for (checkpoint, seq) in checkpoints.iter().zip(self.seq + 1..) {
            let entry = Entry {
                v: FORMAT,
                run: Arc::clone(&run),
                seq,
                prev: draft.hash,
                boot_id: Arc::clone(&boot_id),
                mono_ms,
                wall,
                // As it is: what a run is found again by must never be another word because an app keeps that word, too.
                checkpoint: checkpoint.clone(),
            };
            self.state.after(&entry)?;
            let line = record::encode(&entry)?;
            draft.hash = LineHash::of(&line);
            draft.bytes.extend_from_slice(&line);
            draft.entries.push(entry);
        }
        Ok(draft)
    }

    /// Whatever begins something must leave the reserve free; whatever ends something may use it.
    fn make_room(&mut self, more: u64, begins: bool) -> Result<(), JournalError> {
        let Some(promised) = self.promised else { return Ok(()) };
        let wanted = self.good + more + RESERVE;
        if wanted <= promised {
            return Ok(());
        }
        match self.disk.reserve(wanted.next_multiple_of(PIECE)) {
            Ok(true) => self.promised = Some(wanted.next_multiple_of(PIECE)),
            Ok(false) => self.promised = None,
            Err(source) if begins => return Err(JournalError::Full { source }),
            Err(_) => {}
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let written = match self.disk.write_at(Part::Journal, bytes, self.good) {
            Ok(n) if n == bytes.len() => return self.sync_or_cut(),
            // A short write is the first sign of a full disk; the half record must not stay in front of anything.
            Ok(_) => std::io::Error::from(std::io::ErrorKind::WriteZero),
            Err(error) => error,
        };
        // The cut is synced: unlike after a failed sync, the pages are still the kernel's to write.
        let _ = self.disk.cut(self.good).and_then(|()| self.disk.sync(Part::Journal));
        Err(self.poisoned("write", written))
    }

    /// After a failed sync the pages count as clean whatever is on disk, so the file is cut in the hope that this sticks, and
    /// left. If it does not, the next reader finds a record that nobody acted on: an intent in doubt, which is safe.
    fn sync_or_cut(&mut self) -> Result<(), JournalError> {
        let synced = if planted(Bug::NoDataSync) { Ok(()) } else { self.disk.sync(Part::Journal) };
        let Err(source) = synced else {
            return Ok(());
        };
        if planted(Bug::SyncFailureIgnored) {
            return Ok(());
        }
        let _ = self.disk.cut(self.good);
        Err(self.poisoned("sync", source))
    }

    /// Writes the head. If that fails the journal is *not* cut: the head may have reached the disk, and a head ahead of its
    /// journal reads as lost data.
    fn acknowledge(&mut self) -> Result<(), JournalError> {
        let slot = Mark { seq: self.seq, hash: self.hash }.encode();
        let offset = (self.free_slot * head::SLOT) as u64;
        match self.disk.write_at(Part::Head, &slot, offset) {
            Ok(n) if n == slot.len() => {}
            Ok(_) => return Err(self.poisoned("write the head of", std::io::ErrorKind::WriteZero.into())),
            Err(source) => return Err(self.poisoned("write the head of", source)),
        }
        let synced = if planted(Bug::NoHeadSync) { Ok(()) } else { self.disk.sync(Part::Head) };
        synced.map_err(|source| self.poisoned("sync the head of", source))?;
        self.free_slot = 1 - self.free_slot;
        Ok(())
    }

    fn poisoned(&mut self, what: &'static str, source: std::io::Error) -> JournalError {
        self.poison = Some(format!("cannot {what} the journal: {source}"));
        JournalError::Storage { what, source }
    }

    /// The fold so far.
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Id of the run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Path of the journal, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says where the run's directory has been moved to.
    pub(super) fn moved_to(&mut self, dir: &Path) {
        self.path = dir.join("journal");
    }

    /// Number of the last record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// Whether the run began on this machine: a journal is never gone on with elsewhere.
///
/// # Errors
/// [`JournalError::OtherMachine`].
pub fn of_this_machine(state: &RunState, machine_id: &str) -> Result<(), JournalError> {
    let home = state.opened().map(|opened| opened.machine_id.clone()).unwrap_or_default();
    if home == machine_id || planted(Bug::MachineUnchecked) {
        return Ok(());
    }
    Err(JournalError::OtherMachine { journal: home, here: machine_id.to_owned() })
}

/// Checkpoints on their way to the disk.
struct Draft {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    hash: LineHash,
}

/// One writer per journal, whatever lock file the processes believe in.
fn hold(files: &Files, path: &Path) -> Result<(), JournalError> {
    use rustix::fs::{FlockOperation, flock};
    match flock(&files.journal, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse { path: path.to_owned() }),
        Err(errno) => Err(FileError::io("lock", path)(errno).into()),
    }
}

/// The first free name `journal.broken-N`.
fn copy_of(dir: &Directory) -> Result<String, JournalError> {
    let names = dir.names()?;
    let free = |n: &u32| !names.contains(&format!("journal.broken-{n}"));
    let n = (1..=u32::MAX).find(free).unwrap_or(u32::MAX);
    Ok(format!("journal.broken-{n}"))
}

//! The state directory: which runs there are, which one is unfinished, and what belongs to each.
//!
//! ```text
//! pending              names the unfinished run; the resume unit's condition
//! runs/<id>/journal    what happened
//! runs/<id>/head       how far that was acknowledged
//! runs/<id>/runbook.yaml, plan.json, snapshot/
//! plans/<id>/            saved plans; see [`plans`](super::plans)
//! ```
//! A run comes into being by one rename, after `pending` names it: a crash before leaves nothing that anybody acted on.
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::checkpoint::Opened;
use super::files::{Directory, FileError};
use super::place::{Place, place_of, safe_above};
use super::record::sha256_hex;
pub use super::run_id::RunId;
use super::{Clock, Journal, JournalError, Reading, Stamp};
use crate::host::planted::{Bug, planted};

/// The state directory refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// The journal of a run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The directory is no place for a journal.
    #[error("state directory {path} is refused: {why}")]
    Place {
        /// Its path.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// A run owns the host.
    #[error(
        "run {run} is unfinished and owns this host; `runbook resume`, `runbook status` or `runbook abort --abandon`"
    )]
    Unfinished {
        /// That run.
        run: RunId,
    },
    /// `pending` names nothing.
    #[error("{path} names run {run}, which is not there: somebody removed it, and what it had done cannot be known")]
    Dangling {
        /// The run.
        run: String,
        /// Path of `pending`.
        path: PathBuf,
    },
    /// The frozen runbook is not the one that the run began with.
    #[error("the frozen runbook of run {run} was changed: its SHA-256 is {found}, the journal says {expected}")]
    RunbookChanged {
        /// The run.
        run: RunId,
        /// In the journal.
        expected: String,
        /// Of the file.
        found: String,
    },
}

/// What a new run is made of. The hash of the runbook is filled in by the store.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// The runbook's bytes as loaded; kept beside the journal.
    pub runbook: &'a [u8],
    /// The plan as JSON text; kept beside the journal.
    pub plan: &'a [u8],
    /// First record.
    pub opened: Opened,
    /// Whether it must survive a reboot.
    pub reboots: bool,
}

/// A run on the list.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: RunId,
    /// Its journal read back, or why it cannot be.
    pub reading: Result<Reading, JournalError>,
}

/// An open state directory.
#[derive(Debug)]
pub struct Store {
    pub(super) root: Directory,
}

pub(super) const PENDING: &str = "pending";

impl Store {
    /// Opens a state directory and creates nothing; for commands that only look.
    ///
    /// # Errors
    /// [`StoreError::File`]; see [`FileError::is_missing`] for a directory that is not there yet.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // A checkout's `state/` is readable by others; what is made inside is not.
        let root = Directory::open(path, 0o022)?;
        if rustix::process::geteuid().is_root() {
            safe_above(path)?.map_err(|why| StoreError::Place { path: path.to_owned(), why })?;
        }
        Ok(Self { root })
    }

    /// Opens a state directory, creating it (its parent must exist) and `runs` if they are missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prepare(path: &Path) -> Result<Self, StoreError> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(FileError::Io { what: "create", path: path.to_owned(), source }.into());
            }
            _ => {}
        }
        let store = Self::open(path)?;
        match store.root.make_sub("runs") {
            Ok(_) => store.root.sync()?,
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        Ok(store)
    }

    /// What the place of this directory promises.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn place(&self) -> Result<Place, StoreError> {
        Ok(place_of(&self.root)?)
    }

    /// Creates a run: directory, frozen runbook, plan, journal with its first record. The caller holds the host lock.
    ///
    /// # Errors
    /// [`StoreError::Unfinished`] if a run owns the host, [`StoreError::Place`] if the journal would not survive.
    pub fn create(&self, new: NewRun<'_>, clock: Box<dyn Clock>) -> Result<(RunId, Journal), StoreError> {
        let place = self.place()?;
        place.fits(new.reboots).map_err(|why| StoreError::Place { path: self.root.path().to_owned(), why })?;
        if let Some(listed) = self.unfinished()? {
            return Err(StoreError::Unfinished { run: listed.id });
        }
        let runs = self.root.sub("runs")?;
        let (id, draft, dir) = fresh(&runs, &clock.stamp())?;
        dir.write_new("runbook.yaml", new.runbook)?;
        dir.write_new("plan.json", new.plan)?;
        dir.make_sub("snapshot")?;
        let opened = Opened { runbook_sha256: sha256_hex(new.runbook), ..new.opened };
        let mut journal = Journal::create(&dir, id.as_str(), opened, clock)?;
        // Before anything names the run: after a power cut `pending` must not name a directory that was never made.
        runs.sync()?;
        self.root.replace(PENDING, format!("{id}\n").as_bytes())?;
        rustix::fs::renameat(runs.fd(), &draft, runs.fd(), id.as_str())
            .map_err(FileError::io("rename to", &runs.path().join(id.as_str())))?;
        runs.sync()?;
        journal.moved_to(&runs.path().join(id.as_str()));
        Ok((id, journal))
    }

    /// Opens the journal of a run to go on with it. The caller holds the host lock.
    ///
    /// # Errors
    /// [`StoreError::Journal`] or [`StoreError::RunbookChanged`].
    pub fn resume(&self, id: &RunId, machine_id: &str, clock: Box<dyn Clock>) -> Result<Journal, StoreError> {
        self.runbook(id)?;
        Ok(Journal::open(&self.dir(id)?, id.as_str(), machine_id, clock)?)
    }

    /// Reads a run without changing anything.
    ///
    /// # Errors
    /// [`StoreError::Journal`].
    pub fn read(&self, id: &RunId) -> Result<Reading, StoreError> {
        Ok(Journal::read(&self.dir(id)?, id.as_str())?)
    }

    /// The frozen runbook, proven to be the one that the run began with.
    ///
    /// # Errors
    /// [`StoreError::RunbookChanged`].
    pub fn runbook(&self, id: &RunId) -> Result<Vec<u8>, StoreError> {
        let bytes = self.dir(id)?.read("runbook.yaml")?;
        let reading = self.read(id)?;
        let expected = reading.state.opened().map(|opened| opened.runbook_sha256.clone()).unwrap_or_default();
        let found = sha256_hex(&bytes);
        if found == expected || planted(Bug::FrozenUnchecked) {
            Ok(bytes)
        } else {
            Err(StoreError::RunbookChanged { run: id.clone(), expected, found })
        }
    }

    /// The directory of a run.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn dir(&self, id: &RunId) -> Result<Directory, StoreError> {
        Ok(self.root.sub("runs")?.sub(id.as_str())?)
    }

    /// The directory of a run for copies of what it is going to change.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn snapshot(&self, id: &RunId) -> Result<Directory, StoreError> {
        Ok(self.dir(id)?.sub("snapshot")?)
    }

    /// Every run, oldest first by name. Runs that cannot be read are listed with the reason.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be listed.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let runs = match self.root.sub("runs") {
            Ok(runs) => runs,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let ids = runs.names()?.into_iter().filter_map(|name| RunId::parse(&name));
        Ok(ids.map(|id| read_one(&runs, id)).collect())
    }

    /// The newest runs, oldest first, and no more than so many: what the older ones say of this host is worth little.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be listed.
    pub(super) fn newest(&self, most: usize) -> Result<Vec<Listed>, StoreError> {
        let runs = match self.root.sub("runs") {
            Ok(runs) => runs,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut ids: Vec<RunId> = runs.names()?.into_iter().filter_map(|name| RunId::parse(&name)).collect();
        ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let older = ids.len().saturating_sub(most);
        Ok(ids.split_off(older).into_iter().map(|id| read_one(&runs, id)).collect())
    }

    /// The run that owns the host, even if its journal cannot be read. Found through `pending`; without that file every
    /// readable journal is asked, because removing a file must not free a host.
    ///
    /// # Errors
    /// [`StoreError::Dangling`] if `pending` names a run that somebody removed.
    pub fn unfinished(&self) -> Result<Option<Listed>, StoreError> {
        let owns = |listed: &Listed| listed.reading.as_ref().is_ok_and(|reading| reading.state.ended().is_none());
        let Some(name) = self.pending()? else {
            return Ok(self.list()?.into_iter().rev().find(owns));
        };
        let dangling = || StoreError::Dangling { run: name.clone(), path: self.root.path().join(PENDING) };
        let id = RunId::parse(&name).ok_or_else(dangling)?;
        let runs = self.root.sub("runs")?;
        let names = runs.names()?;
        if names.iter().any(|found| found == id.as_str()) {
            let listed = read_one(&runs, id);
            return Ok(Some(listed).filter(|listed| listed.reading.is_err() || owns(listed)));
        }
        // Named, never renamed into place: the run had not begun.
        if names.contains(&draft_of(&id)) { Ok(None) } else { Err(dangling()) }
    }

    fn pending(&self) -> Result<Option<String>, StoreError> {
        match self.root.read(PENDING) {
            Ok(bytes) => Ok(Some(crate::host::foreign::tame_bytes(bytes.trim_ascii(), 80))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes `pending` away after the end of the run is durable.
    ///
    /// # Errors
    /// [`StoreError::Unfinished`] if the run has not ended.
    pub fn release(&self, journal: &Journal) -> Result<(), StoreError> {
        let ours = self.pending()?.as_deref() == Some(journal.run());
        match RunId::parse(journal.run()) {
            Some(run) if journal.state().ended().is_none() => Err(StoreError::Unfinished { run }),
            _ if !ours => Ok(()),
            _ => {
                self.root.remove(PENDING)?;
                Ok(self.root.sync()?)
            }
        }
    }

    /// The run that `pending` still names although it has ended: its process died between the last record and
    /// [`release`](Self::release), and what belongs to the end is left to whoever comes next.
    ///
    /// # Errors
    /// [`StoreError::File`] or [`StoreError::Journal`].
    pub fn left_over(&self) -> Result<Option<RunId>, StoreError> {
        let Some(id) = self.pending()?.as_deref().and_then(RunId::parse) else { return Ok(None) };
        match self.read(&id) {
            Ok(reading) => Ok(reading.state.ended().is_some().then_some(id)),
            // Named and never renamed into place: that run did not begin, and the next one takes its name away.
            Err(StoreError::File(error)) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes `pending` away if it is [`left_over`](Self::left_over). The caller holds the host lock.
    ///
    /// # Errors
    /// As [`left_over`](Self::left_over).
    pub fn sweep(&self) -> Result<(), StoreError> {
        if self.left_over()?.is_some() {
            self.root.remove(PENDING)?;
            self.root.sync()?;
        }
        Ok(())
    }
}

fn read_one(runs: &Directory, id: RunId) -> Listed {
    let dir = runs.sub(id.as_str()).map_err(JournalError::from);
    let reading = dir.and_then(|dir| Journal::read(&dir, id.as_str()));
    Listed { id, reading }
}

fn draft_of(id: &RunId) -> String {
    format!(".new-{id}")
}

/// A name that is free and the directory in which the run is put together.
fn fresh(runs: &Directory, stamp: &Stamp) -> Result<(RunId, String, Directory), StoreError> {
    let names = runs.names()?;
    let taken = |id: &RunId| names.iter().any(|name| *name == id.as_str() || *name == draft_of(id));
    let id = (0..).map(|nth| RunId::of(stamp, nth)).find(|id| !taken(id)).unwrap_or_else(|| RunId::of(stamp, 0));
    let draft = draft_of(&id);
    let dir = runs.make_sub(&draft)?;
    Ok((id, draft, dir))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

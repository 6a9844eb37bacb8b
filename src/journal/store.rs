//! The state directory: which runs there are, which one is unfinished, and what belongs to each. Listing them is `listing`'s, the
//! unfinished one `pending`'s.
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
pub use super::listing::Listed;
use super::pending::PENDING;
use super::place::{Place, place_of, safe_above};
use super::record::sha256_hex;
pub use super::run_id::RunId;
use super::{Clock, Journal, JournalError, Landmarks, Reading, RunState, Stamp};
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
    #[error("run {run} is unfinished and owns this host")]
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
    #[error(
        "the frozen runbook of run {run} was changed: its SHA-256 is {found}, the journal says {expected}. A run follows the \
         text that it began with: with that file put back as it was it goes on"
    )]
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

/// An open state directory.
#[derive(Debug)]
pub struct Store {
    pub(super) root: Directory,
}

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
        let dir = self.dir(id)?;
        let frozen = dir.read("runbook.yaml")?;
        Journal::open(&dir, id.as_str(), machine_id, clock, |state| is_frozen(id, &frozen, state))
    }

    /// Reads a run without changing anything.
    ///
    /// # Errors
    /// [`StoreError::Journal`].
    pub fn read(&self, id: &RunId) -> Result<Reading, StoreError> {
        Ok(Journal::read(&self.dir(id)?, id.as_str())?)
    }

    /// Like [`read`](Self::read), for who needs no records: see [`Journal::fold`].
    ///
    /// # Errors
    /// [`StoreError::Journal`].
    pub fn fold(&self, id: &RunId) -> Result<Reading<Landmarks>, StoreError> {
        Ok(Journal::fold(&self.dir(id)?, id.as_str())?)
    }

    /// The frozen runbook, proven to be the one that the run began with, and the fold that proves it.
    ///
    /// # Errors
    /// [`StoreError::RunbookChanged`].
    pub fn runbook(&self, id: &RunId) -> Result<(Vec<u8>, RunState), StoreError> {
        let bytes = self.dir(id)?.read("runbook.yaml")?;
        let state = self.fold(id)?.state;
        is_frozen(id, &bytes, &state)?;
        Ok((bytes, state))
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
}

/// Whether these bytes are the runbook that the run began with.
fn is_frozen(id: &RunId, runbook: &[u8], state: &RunState) -> Result<(), StoreError> {
    let expected = state.opened().map(|opened| opened.runbook_sha256.clone()).unwrap_or_default();
    let found = sha256_hex(runbook);
    if found == expected || planted(Bug::FrozenUnchecked) {
        Ok(())
    } else {
        Err(StoreError::RunbookChanged { run: id.clone(), expected, found })
    }
}

/// The name of a run that is still being put together.
pub(super) fn draft_of(id: &RunId) -> String {
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

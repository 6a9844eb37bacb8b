//! The runs on the shelf: all of them, the newest of them, or one.

use super::files::{Directory, FileError};
use super::run_id::RunId;
use super::store::{Store, StoreError};
use super::{Journal, JournalError, Reading};

/// A run on the list.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: RunId,
    /// Its journal read back, or why it cannot be.
    pub reading: Result<Reading, JournalError>,
}

impl Listed {
    fn began(&self) -> Option<jiff::Timestamp> {
        self.reading.as_ref().ok().and_then(|reading| reading.entries.first()).map(|entry| entry.wall)
    }

    /// Whether it is unfinished, so that nothing else may begin.
    pub(super) fn is_unfinished(&self) -> bool {
        self.reading.as_ref().is_ok_and(|reading| reading.state.ended().is_none())
    }
}

/// Runs, oldest first by their first record: names tell runs of the same second apart and do not order them.
#[must_use]
pub fn by_age(mut runs: Vec<Listed>) -> Vec<Listed> {
    runs.sort_by(|a, b| a.began().cmp(&b.began()).then_with(|| a.id.cmp(&b.id)));
    runs
}

impl Store {
    /// Every run, oldest first by name. Runs that cannot be read are listed with the reason.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be listed.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        self.newest(usize::MAX)
    }

    /// The newest runs, oldest first, and no more than so many: what the older ones say of this host is worth little.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be listed.
    pub(super) fn newest(&self, most: usize) -> Result<Vec<Listed>, StoreError> {
        let mut ids = self.ids()?;
        let older = ids.len().saturating_sub(most);
        self.read_all(ids.split_off(older))
    }

    /// Names of all runs, oldest first.
    pub(super) fn ids(&self) -> Result<Vec<RunId>, StoreError> {
        // `names` sorts.
        Ok(self.names()?.iter().filter_map(|name| RunId::parse(name)).collect())
    }

    /// Names of whatever lies in `runs/`, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        match self.root.sub("runs").and_then(|runs| runs.names()) {
            Err(error) if error.is_missing() => Ok(Vec::new()),
            names => Ok(names?),
        }
    }

    /// Reads runs; one that was removed since it was named is left out.
    fn read_all(&self, ids: Vec<RunId>) -> Result<Vec<Listed>, StoreError> {
        let runs = match self.root.sub("runs") {
            Ok(runs) => runs,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let gone = |listed: &Listed| listed.reading.is_err() && is_missing(runs.sub(listed.id.as_str()));
        Ok(ids.into_iter().map(|id| read_one(&runs, id)).filter(|listed| !gone(listed)).collect())
    }

    /// One run by its name; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory of runs cannot be opened.
    pub fn listed(&self, id: &RunId) -> Result<Option<Listed>, StoreError> {
        Ok(self.read_all(vec![id.clone()])?.pop())
    }

    /// The latest run that can be read, else the latest. Names begin with the second in which a run began, so only those of
    /// the last second are opened.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be listed.
    pub fn latest(&self) -> Result<Option<Listed>, StoreError> {
        let mut ids = self.ids()?;
        let mut unreadable = None;
        while let Some(last) = ids.last() {
            let second = last.second().to_owned();
            let from = ids.iter().rposition(|id| id.second() != second).map_or(0, |earlier| earlier + 1);
            let latest = by_age(self.read_all(ids.split_off(from))?).pop();
            match latest {
                Some(listed) if listed.reading.is_ok() => return Ok(Some(listed)),
                latest => unreadable = unreadable.or(latest),
            }
        }
        Ok(unreadable)
    }

    /// The runs that are not known to be over, oldest first: the unfinished one, and those that nobody learned from yet.
    pub(super) fn not_known_over(&self) -> Result<Vec<Listed>, StoreError> {
        let learned = self.learned();
        let mut ids = self.ids()?;
        ids.retain(|id| !learned.over.contains_key(id.as_str()));
        self.read_all(ids)
    }
}

fn is_missing<T>(opened: Result<T, FileError>) -> bool {
    opened.is_err_and(|error| error.is_missing())
}

/// One run, read back or with the reason why not.
pub(super) fn read_one(runs: &Directory, id: RunId) -> Listed {
    let dir = runs.sub(id.as_str()).map_err(JournalError::from);
    let reading = dir.and_then(|dir| Journal::read(&dir, id.as_str()));
    Listed { id, reading }
}

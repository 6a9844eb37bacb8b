//! The runs on the shelf: all of them, and the newest of them.

use super::files::Directory;
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
}

/// One run, read back or with the reason why not.
pub(super) fn read_one(runs: &Directory, id: RunId) -> Listed {
    let dir = runs.sub(id.as_str()).map_err(JournalError::from);
    let reading = dir.and_then(|dir| Journal::read(&dir, id.as_str()));
    Listed { id, reading }
}

//! The runs on the shelf: all of them, the newest of them, and how long their steps took.

use std::collections::BTreeMap;

use super::checkpoint::{End, How, StepId};
use super::files::Directory;
use super::run_id::RunId;
use super::step::StepStatus;
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

    /// How long each step of a runbook took in its runs that came to a good end, in milliseconds, oldest first. Steps that
    /// had nothing to do are left out: they say nothing about the next time.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn durations(&self, runbook: &str) -> Result<BTreeMap<StepId, Vec<u64>>, StoreError> {
        let mut durations = BTreeMap::<StepId, Vec<u64>>::new();
        for reading in self.list()?.into_iter().filter_map(|listed| listed.reading.ok()) {
            let same = reading.state.opened().is_some_and(|opened| opened.runbook_name == runbook);
            if !same || !matches!(reading.state.ended(), Some(End::Done | End::DoneWithLosses)) {
                continue;
            }
            for (step, state) in reading.state.steps() {
                if let StepStatus::Done { how: How::Applied | How::WithLosses { .. }, took_ms } = &state.status {
                    durations.entry(step.clone()).or_default().push(*took_ms);
                }
            }
        }
        Ok(durations)
    }
}

/// One run, read back or with the reason why not.
pub(super) fn read_one(runs: &Directory, id: RunId) -> Listed {
    let dir = runs.sub(id.as_str()).map_err(JournalError::from);
    let reading = dir.and_then(|dir| Journal::read(&dir, id.as_str()));
    Listed { id, reading }
}

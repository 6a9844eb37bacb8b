//! `pending`: the file that names the unfinished run, and thereby who owns the host across a reboot.

use super::Journal;
use super::listing::{Listed, read_one};
use super::run_id::RunId;
use super::store::{Store, StoreError, draft_of};

/// Its name in the state directory; the resume unit's condition.
pub(super) const PENDING: &str = "pending";

impl Store {
    /// The run that owns the host, even if its journal cannot be read. Found through `pending`; without that file, or where it
    /// names a run that has ended, every readable journal is asked, because removing a file must not free a host. What
    /// somebody has set aside owns nothing once `pending` does not name it.
    ///
    /// # Errors
    /// [`StoreError::Dangling`] if `pending` names a run that somebody removed.
    pub fn unfinished(&self) -> Result<Option<Listed>, StoreError> {
        let owns = |listed: &Listed| listed.reading.as_ref().is_ok_and(|reading| reading.state.ended().is_none());
        let others = || -> Result<Option<Listed>, StoreError> {
            let mut all = self.list()?.into_iter().rev();
            Ok(all.find(|listed| owns(listed) && self.aside(&listed.id).is_none()))
        };
        let Some(name) = self.pending()? else { return others() };
        let dangling = || StoreError::Dangling { run: name.clone(), path: self.root.path().join(PENDING) };
        let id = RunId::parse(&name).ok_or_else(dangling)?;
        let runs = match self.root.sub("runs") {
            Err(error) if error.is_missing() => return Err(dangling()),
            runs => runs?,
        };
        let names = runs.names()?;
        if names.iter().any(|found| found == id.as_str()) {
            let listed = read_one(&runs, id);
            if listed.reading.is_err() || owns(&listed) {
                return Ok(Some(listed));
            }
            return others();
        }
        // Named, never renamed into place: the run had not begun.
        if names.contains(&draft_of(&id)) { Ok(None) } else { Err(dangling()) }
    }

    /// Takes `pending` away if it still says this, and makes that durable. The caller holds the host lock, and has written down
    /// why the host is free.
    ///
    /// # Errors
    /// [`StoreError::File`]; the host is then still owned.
    pub fn free(&self, run: &str) -> Result<(), StoreError> {
        if self.pending()?.as_deref() == Some(run) {
            self.root.remove(PENDING)?;
            self.root.sync()?;
        }
        Ok(())
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
        match self.fold(&id) {
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

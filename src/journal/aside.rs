//! Setting a run aside that nobody can go on with: a damaged journal, or one of another machine. Nothing is moved and nothing
//! is deleted; a note in the run's directory says who did it and why, and then the host is free again.
//!
//! The note is durable before `pending` goes. A crash between the two leaves a host that is still owned, and the same command
//! finishes what it began.
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::files::FileError;
use super::pending::PENDING;
use super::store::{RunId, Store, StoreError};

/// Name of the note in the run's directory.
const NOTE: &str = "set-aside";

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// Why, in that person's words.
    pub reason: String,
    /// What was wrong with the run.
    pub found: String,
    /// What was and was not known at that moment, for whoever looks at it later.
    pub known: Vec<String>,
}

impl StoreError {
    /// Whether the run itself is what is wrong, so that no retry and no repair of ours can go on with it.
    #[must_use]
    pub fn spoils_the_run(&self) -> bool {
        match self {
            Self::Journal(JournalError::Damaged { .. } | JournalError::OtherMachine { .. })
            | Self::RunbookChanged { .. } => true,
            Self::File(error) | Self::Journal(JournalError::File(error)) => error.is_missing(),
            _ => false,
        }
    }
}

impl Store {
    /// Sets a run aside: the note, then `pending`. The caller holds the host lock and has made sure that the run cannot go on.
    ///
    /// # Errors
    /// [`StoreError::File`]; the host is then still owned.
    pub fn set_aside(&self, id: &RunId, note: &Aside) -> Result<(), StoreError> {
        // Of a note that cannot be written down, nothing is lost but its text.
        let text = serde_json::to_vec_pretty(note).unwrap_or_default();
        self.dir(id)?.replace(NOTE, &text)?;
        self.free(id.as_str())
    }

    /// Frees a host whose `pending` names a run that somebody removed. The note stays in the state directory.
    ///
    /// # Errors
    /// [`StoreError::File`]; the host is then still owned.
    pub fn forget_dangling(&self, note: &Aside) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(note).unwrap_or_default();
        self.root.replace(NOTE, &text)?;
        self.root.remove(PENDING)?;
        Ok(self.root.sync()?)
    }

    /// The note of a run that was set aside; `None` for every other run, and for a note that cannot be read.
    #[must_use]
    pub fn aside(&self, id: &RunId) -> Option<Aside> {
        serde_json::from_slice(&self.dir(id).ok()?.read(NOTE).ok()?).ok()
    }

    fn free(&self, run: &str) -> Result<(), StoreError> {
        let names = match self.root.read(PENDING) {
            Ok(bytes) => bytes.trim_ascii() == run.as_bytes(),
            Err(error) if error.is_missing() => false,
            Err(error) => return Err(FileError::into(error)),
        };
        if names {
            self.root.remove(PENDING)?;
            self.root.sync()?;
        }
        Ok(())
    }
}

//! Setting a run aside that nobody can go on with: a damaged journal, or one of another machine. Nothing is moved and nothing
//! is deleted; a note in the run's directory says who did it and why, and then the host is free again.
//!
//! The note is durable before `pending` goes. A crash between the two leaves a host that is still owned, and the same command
//! finishes what it began.
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::JournalError;
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
            Self::File(error) | Self::Journal(JournalError::File(error)) => error.is_of_the_file(),
            _ => false,
        }
    }
}

impl Store {
    /// Writes the note, in the run's directory where it can be opened, else beside `pending`. The host is still owned:
    /// [`free`](Self::free) comes last. The caller holds the host lock and has made sure that the run cannot go on.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn note_aside(&self, run: &str, note: &Aside) -> Result<(), StoreError> {
        // Of a note that cannot be written down, nothing is lost but its text.
        let text = serde_json::to_vec_pretty(note).unwrap_or_default();
        let id = RunId::parse(run);
        if let Some(Ok(dir)) = id.as_ref().map(|id| self.dir(id)) {
            return Ok(dir.replace(NOTE, &text)?);
        }
        let name = id.map_or_else(|| NOTE.to_owned(), |id| beside(&id));
        Ok(self.root.replace(&name, &text)?)
    }

    /// The note of a run that was set aside; `None` for every other run, and for a note that cannot be read.
    #[must_use]
    pub fn aside(&self, id: &RunId) -> Option<Aside> {
        let inside = self.dir(id).and_then(|dir| Ok(dir.read(NOTE)?));
        let text = inside.or_else(|_| self.root.read(&beside(id)));
        serde_json::from_slice(&text.ok()?).ok()
    }
}

/// The note of a run whose directory cannot be opened, in the state directory.
fn beside(id: &RunId) -> String {
    format!("{NOTE}.{id}")
}

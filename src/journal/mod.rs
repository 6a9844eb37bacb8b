//! Floor 5: what did happen. The journal is a file of checkpoints, each legal, then durable, then told.
//!
//! A run's directory holds `journal` (one line per checkpoint, [`record`]) and `head` (how far it was acknowledged).
//! [`RunState`] is the fold of the checkpoints; appending and replaying go through the same table of
//! [`legal`] transitions. A journal that cannot be written stops the run at once, and damage is refused, never guessed away.
mod ahead;
mod append;
pub mod aside;
mod bytes;
pub mod checkpoint;
mod disk;
pub mod durations;
mod envelope;
pub mod estimates;
mod facts;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod head;
pub mod inspect;
mod keep;
pub mod legal;
mod listing;
pub mod lock;
mod minute;
pub mod ownership;
mod pending;
pub mod place;
pub mod plans;
mod reading;
pub mod record;
pub mod recover;
mod run_id;
mod spelled;
pub mod state;
pub mod step;
pub mod store;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod legal_tests;
#[cfg(test)]
mod promise_tests;

use std::path::PathBuf;

use jiff::Timestamp;

pub use self::append::{Journal, of_this_machine};
pub use self::files::{Directory, FileError};
pub use self::keep::{All, Landmarks};
use self::legal::Illegal;
pub use self::reading::Reading;
use self::record::Refusal;
pub use self::recover::{Damage, Tail};
pub use self::state::RunState;

/// Boot and time of a record, read from the machine by whoever may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// CLOCK_BOOTTIME in milliseconds.
    pub mono_ms: u64,
    /// Wall clock.
    pub wall: Timestamp,
}

/// Gives the stamp of each record. The journal reads no clock itself.
pub trait Clock: Send {
    /// Now.
    fn stamp(&self) -> Stamp;
}

impl<F: Fn() -> Stamp + Send> Clock for F {
    fn stamp(&self) -> Stamp {
        self()
    }
}

/// A journal that cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Refused as damaged; nothing was changed.
    #[error("journal {path} is refused {damage}; nothing was changed: see `runbook explain journal`")]
    Damaged {
        /// Its path.
        path: PathBuf,
        /// Where and why.
        damage: Damage,
    },
    /// The run belongs to another machine.
    #[error(
        "this run belongs to machine {journal}, and this is {here}: a journal is never resumed on a copy of its host, and that \
         host goes on with it"
    )]
    OtherMachine {
        /// Machine id in the journal.
        journal: String,
        /// Machine id here.
        here: String,
    },
    /// Another process has the journal open for writing.
    #[error("journal {path} is being written by another process")]
    InUse {
        /// Its path.
        path: PathBuf,
    },
    /// The checkpoint must not follow. Nothing was written.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The checkpoint cannot be a record. Nothing was written.
    #[error("cannot record this: {0}")]
    Record(#[from] Refusal),
    /// No room for something new. Nothing was written; outcomes and a stop record still fit.
    #[error("no room left for the journal, so nothing new may begin: {source}; free space, then resume")]
    Full {
        /// The error.
        source: std::io::Error,
    },
    /// The disk failed. The checkpoint is not acknowledged, and this journal takes no more.
    #[error("cannot {what} the journal: {source}; the run must stop, a failed write is never tried again")]
    Storage {
        /// Operation.
        what: &'static str,
        /// The error.
        source: std::io::Error,
    },
    /// After a failure of the disk.
    #[error("the journal is closed since an earlier failure ({first})")]
    Poisoned {
        /// That failure.
        first: String,
    },
    /// A file could not be opened or is refused.
    #[error(transparent)]
    File(#[from] FileError),
}

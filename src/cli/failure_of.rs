//! Errors of the floors below as failures of a command: the exit code of each, and the way out of it.
use super::{Exit, Failure};
use crate::execute::ExecuteError;
use crate::execute::dress::DressError;
use crate::host::facts::FactsError;
use crate::journal::lock::LockError;
use crate::journal::ownership::NotOurs;
use crate::journal::store::StoreError;
use crate::journal::{FileError, JournalError};
use crate::report::{call, offer, word};

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::new(Exit::Held, error).hint(call("status")),
            LockError::AtWork { ref path, ref pids, .. } => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                let end = if pids.is_empty() { String::new() } else { format!("\n  kill {}", pids.join(" ")) };
                let hint = format!(
                    "wait for it, or end it:{end}\n  if it is a daemon that is meant to stay:\n  rm {}",
                    word(&path.to_string_lossy())
                );
                Self::new(Exit::Held, error).hint(hint)
            }
            LockError::Refused { ref path, .. } => {
                let hint = format!("look who made it, then take it away:\n  rm {}", word(&path.to_string_lossy()));
                Self::new(Exit::Storage, error).hint(hint)
            }
            LockError::Io { .. } => Self::new(Exit::Storage, error),
        }
    }
}

/// The way out of a run that nobody can go on with, and what it does.
pub(super) fn abandon(what: &str) -> String {
    offer("abort --abandon --reason TEXT", what)
}

impl From<NotOurs> for Failure {
    fn from(error: NotOurs) -> Self {
        let status = offer("status", "shows it, and how it is given up");
        let hint = match &error {
            NotOurs::OtherName { .. } => abandon("on a clone: frees it"),
            NotOurs::WentBack { .. } | NotOurs::Future { .. } => abandon("frees the host"),
            NotOurs::Stale { .. } => format!(
                "{status}\n  {}\n  {}",
                offer("resume", "goes on with it, with a person there"),
                abandon("frees the host")
            ),
            NotOurs::BootLoop { .. } => {
                format!("{status}\n  {}", offer("resume", "goes on with it, with a person there"))
            }
        };
        Self::new(Exit::Damaged, error).hint(hint)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let doctor = offer("doctor", "looks at the place where runs are kept");
        let hint = match error.read_only_at() {
            Some(path) => {
                let place = word(&path.to_string_lossy());
                format!("mount -o remount,rw \"$(findmnt -n -o TARGET -T {place})\"\n  {doctor}")
            }
            None => doctor,
        };
        Self::new(Exit::Storage, error).hint(hint)
    }
}

/// The commands that look at a damaged run, and lead out.
fn out_of_damage() -> String {
    let verify = offer("journal verify", "says what is wrong where; exit 30 is its answer");
    format!("{verify}\n  {}", abandon("sets the run aside and frees the host"))
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let error = match error {
            JournalError::File(error) if error.is_of_the_file() => return Self::spoilt(error),
            JournalError::File(error) => return error.into(),
            other => other,
        };
        let exit = match &error {
            JournalError::InUse { .. } => Exit::Held,
            JournalError::Full { .. }
            | JournalError::Storage { .. }
            | JournalError::Poisoned { .. }
            | JournalError::File(_) => Exit::Storage,
            _ => Exit::Damaged,
        };
        let hint = match &error {
            JournalError::OtherMachine { .. } => Some(abandon("on a copy of that machine")),
            JournalError::InUse { .. } => Some(call("status")),
            JournalError::Full { .. } => Some(offer("doctor", "says how much is free there")),
            _ if exit == Exit::Damaged => Some(out_of_damage()),
            _ => None,
        };
        Self { hint, ..Self::new(exit, error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::File(error) => error.into(),
            StoreError::Journal(error) => error.into(),
            StoreError::Place { .. } => Self::new(Exit::Refused, error),
            StoreError::Unfinished { ref run } => {
                let hint = call(&format!("status {run}"));
                Self::new(Exit::Held, error).hint(hint)
            }
            StoreError::RunbookChanged { .. } => {
                Self::new(Exit::Damaged, error).hint(abandon("sets the run aside and frees the host"))
            }
            StoreError::Dangling { .. } => {
                Self::new(Exit::Damaged, error).hint(abandon("forgets it and frees the host"))
            }
        }
    }
}

impl From<DressError> for Failure {
    fn from(error: DressError) -> Self {
        match error {
            DressError::NoMachine => Self::new(Exit::Unforeseen, error),
            DressError::Value(_) => Self::new(Exit::Bug, error),
            DressError::Store(error) => error.into(),
            DressError::Execute(error) => error.into(),
        }
    }
}

impl From<FactsError> for Failure {
    fn from(error: FactsError) -> Self {
        Self::new(Exit::Invalid, error)
    }
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Journal(error) => error.into(),
        }
    }
}

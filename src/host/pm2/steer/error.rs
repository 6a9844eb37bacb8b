//! Why an order to PM2 failed, or is not known to have been carried out.
use std::path::PathBuf;

use thiserror::Error;

use crate::host::pm2::place::AccountError;
use crate::host::pm2::rpc::RpcError;
use crate::host::root_owned::NotRoots;

/// Why an effect did not happen, or is not known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SteerError {
    /// The daemon did not answer, refused, or was not reached.
    #[error(transparent)]
    Rpc(RpcError),
    /// Sent, and neither an answer nor the list tells whether it happened.
    #[error("{what}: {why}; whether it happened is unknown, look at the list before repeating it")]
    Unknown {
        /// What was asked.
        what: String,
        /// Reason.
        why: String,
    },
    /// It ran, and the list does not show it.
    #[error("{what}: not done, {saw}")]
    NotDone {
        /// What was asked.
        what: String,
        /// What the list shows.
        saw: String,
    },
    /// The number belongs to another app by now, or to none.
    #[error("app `{0}` is not at its number any more; look again")]
    Moved(String),
    /// The daemon is going down and restarts nothing.
    #[error("the PM2 daemon was told to end and starts nothing any more; restart the daemon")]
    Dying,
    /// A `pm2-runtime`.
    #[error("pm2-runtime ends with its last app; restart its container or unit instead")]
    Runtime,
    /// A version that must not be steered.
    #[error("{0}")]
    Unsupported(String),
    /// The socket's owner is not the owner of the home.
    #[error("the PM2 daemon at {home} runs as uid {uid}, its home belongs to another user")]
    Impostor {
        /// `PM2_HOME`.
        home: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// The daemon is root's, and what would be executed for it is not.
    #[error("root executes only what others cannot change: {0}")]
    NotRoots(#[from] NotRoots),
    /// Something must exist first.
    #[error("app `{app}`: its {what} {missing} does not exist; nothing was started")]
    Missing {
        /// The app.
        app: String,
        /// What of it: its script, its working directory, …
        what: &'static str,
        /// Where it should be.
        missing: PathBuf,
    },
    /// The user of the daemon is not clear.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// We are neither root nor that user.
    #[error("acting for user {user} needs that user or root")]
    Denied {
        /// The user.
        user: String,
    },
    /// No script or no node.
    #[error("cannot find `{0}`; name it with `cli:` or put it on the PATH")]
    NoCli(&'static str),
    /// The script could not be run to its end.
    #[error("`pm2 {word}`: {why}")]
    Cli {
        /// Sub-command.
        word: &'static str,
        /// Reason.
        why: String,
    },
    /// A daemon with a unit is started by its unit, so that it is in the right control group.
    #[error("start unit {0} instead: a daemon started by hand is in the wrong control group")]
    UseUnit(String),
    /// `pm2 save` does not write an empty list.
    #[error("there is nothing to save, and PM2 does not write an empty list")]
    NothingToSave,
}

impl From<RpcError> for SteerError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::GoingDown { .. } => Self::Dying,
            RpcError::Unknown { method, why } => Self::Unknown { what: method.to_owned(), why },
            other => Self::Rpc(other),
        }
    }
}

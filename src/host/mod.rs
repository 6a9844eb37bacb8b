//! Floor 1: the machine and its neighbours.
//!
//! [`Probe`] asks, [`Host`] also acts. The planner is handed a `Probe` and therefore cannot change anything; only the
//! executor is ever given a `Host`. Both speak closed sets of plain values ([`Ask`], [`Answer`], [`Deed`], [`Told`]),
//! so that this machine ([`local::LocalHost`]), recorded [`facts`] and the [`model::Model`] are interchangeable.

pub(crate) mod access_list;
pub mod ask;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod canned;
pub mod clock;
pub mod command;
pub mod deed;
pub mod disk;
pub mod effect;
pub mod facts;
pub mod foreign;
pub(crate) mod holders;
pub mod http;
pub mod json_path;
pub mod json_text;
pub mod local;
pub mod machine;
pub mod model;
pub mod notice;
pub mod off_thread;
pub mod own_process;
pub mod passwd;
pub(crate) mod planted;
pub mod pm2;
pub mod pressure;
pub mod programs;
pub mod questions;
pub mod recorder;
pub mod redact;
pub mod redis;
pub mod root_owned;
pub mod safe_file;
pub mod secret;
pub(crate) mod shared_text;
pub mod shell_word;
pub mod shown;
pub mod signals;
pub mod small_file;
pub mod span;
pub mod systemd;
pub mod tcp;
pub mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

pub use ask::{Answer, Ask};
pub use deed::{Deed, Down, Told};
pub use facts::Facts;

/// A future of one question or deed. Not `Send`: one task drives a run, so nothing has to cross threads.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Why a question or a deed came to nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HostError {
    /// It was refused and had no effect.
    #[error("{about}: {why}")]
    Refused {
        /// Whom it concerned.
        about: String,
        /// The reason and the cure.
        why: String,
    },
    /// It could not be reached or is not there; there was no effect.
    #[error("{about}: {why}")]
    Unreachable {
        /// Whom it concerned.
        about: String,
        /// The reason and the cure.
        why: String,
    },
    /// It was sent and nobody can say whether it happened. Find out; never repeat it blindly.
    #[error("{about}: unknown whether it happened: {why}")]
    Unknown {
        /// Whom it concerned.
        about: String,
        /// What was lost: an answer, a deadline.
        why: String,
    },
    /// Recorded facts do not hold the answer, and there is no machine to ask.
    #[error("{about}: not in the recorded facts")]
    NotRecorded {
        /// Whom it concerned.
        about: String,
    },
}

impl HostError {
    /// A refusal without effect.
    pub fn refused(about: impl Into<String>, why: impl ToString) -> Self {
        Self::Refused { about: about.into(), why: why.to_string() }
    }

    /// Something that is not there; without effect.
    pub fn unreachable(about: impl Into<String>, why: impl ToString) -> Self {
        Self::Unreachable { about: about.into(), why: why.to_string() }
    }

    /// An effect that may or may not have happened.
    pub fn unknown(about: impl Into<String>, why: impl ToString) -> Self {
        Self::Unknown { about: about.into(), why: why.to_string() }
    }
}

/// Questions to the machine. Nothing here changes it or starts a process on it.
pub trait Probe {
    /// Asks one question.
    ///
    /// # Errors
    /// [`HostError`] when there is no answer. A server that answers "no" is an answer.
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>>;

    /// The wall clock: for windows and for display, never for lengths of time.
    fn now(&self) -> Timestamp;

    /// CLOCK_BOOTTIME: for lengths of time within one boot.
    fn uptime(&self) -> Duration;
}

/// Questions and hands.
pub trait Host: Probe {
    /// Does one thing. Returns when it is proven done, refused, or unknown.
    ///
    /// # Errors
    /// [`HostError::Unknown`] when it may have happened; any other error means that it did not.
    fn tell<'a>(&'a self, deed: &'a Deed) -> Pending<'a, Result<Told, HostError>>;

    /// Lets time pass.
    fn sleep(&self, length: Duration) -> Pending<'_, ()>;

    /// Lets time pass, but not beyond the moment at which a Redis instance stops saying that it loads. Where nobody can
    /// tell that moment, the whole time passes.
    fn sleep_while_loading<'a>(&'a self, at: &'a redis::RedisAt, length: Duration) -> Pending<'a, ()> {
        let _ = at;
        self.sleep(length)
    }

    /// Waits until an app that has just come up after its start has lived for as long as it must to be called stable; `true`
    /// when its process is proven to be the same and alive. Where nobody can tell, or it has ended, `false`: the list
    /// then has to be asked.
    fn outlives<'a>(&'a self, at: &'a pm2::Pm2At, started: &'a pm2::App) -> Pending<'a, bool> {
        let _ = at;
        Box::pin(async move {
            self.sleep(pm2::steady_for(started)).await;
            false
        })
    }

    /// The last line in which what a unit runs has complained, as the system's journal has it. Nothing is changed, but a process
    /// is started for it, so a plan cannot ask. `None` where there is no such line, or no journal.
    fn last_words<'a>(&'a self, unit: &'a str) -> Pending<'a, Option<shown::Shown>> {
        let _ = unit;
        Box::pin(async { None })
    }

    /// The same machine, to be asked only.
    fn as_probe(&self) -> &dyn Probe;
}

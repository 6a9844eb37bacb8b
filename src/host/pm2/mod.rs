//! PM2 daemons: seeing them without waking them, recording their apps exactly, stopping and restoring those apps.
//!
//! Everything is said over the daemon's own socket (`amp`, `request`, `answer`, `rpc`); the `pm2` command is run for the three
//! things only it can do (start a daemon with its modules, save, kill), and never believed. `app` is the vocabulary,
//! `daemon` the read-only look, `snapshot` and `record` the record, `steer` and `life` the hands, `back` the verdict whether an app came back.

pub mod advice;
pub mod amp;
mod answer;
pub mod app;
pub mod back;
pub mod bus;
mod cli;
mod cutter;
pub mod daemon;
mod door;
pub mod dump;
#[cfg(test)]
mod fake;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod hearing;
#[cfg(test)]
mod lab;
pub mod life;
pub mod listed;
mod listing;
mod look;
pub mod place;
pub mod procs;
pub mod recipe;
pub mod record;
pub mod request;
pub mod rpc;
pub mod sighted;
pub mod snapshot;
pub mod steer;
#[cfg(test)]
pub(crate) mod testbed;
mod trimmed;

use std::time::Duration;

use crate::host::clock::{self, sleep as pause};

pub use advice::Advice;
pub use app::{App, AppKey, Exit, Status, Wanted, wanted};
pub use back::{Cause, Verdict, back, log_tail, looping, steady_for};
pub use bus::{Bus, BusEvent};
pub use cli::RunBy;
pub use daemon::{AbsentWhy, DaemonSeen, DaemonUp, Support};
pub use dump::{DumpEntry, DumpSeen};
pub use hearing::{Heard, Hearing};
pub use life::{Saved, end_orphan, ensure_daemon, kill_daemon, save};
pub use look::{Answered, Pm2Seen, look};
pub use place::{Account, AccountError, Pm2At};
pub use procs::{Orphan, RunningDaemon, every_daemon};
pub use recipe::{Recipe, RecipeError};
pub use record::Snapshot;
pub use request::{PmId, Request};
pub use rpc::{Rpc, RpcError};
pub use sighted::ListSeen;
pub use snapshot::{SnapshotError, SnapshotRef, Terms};
pub use steer::{Steer, SteerError};

/// Whoever watches a process looks at these moments, all of them at the same: what a hundred apps come to in one of them
/// costs one wake-up and one sync of the journal, not one for each app.
const BEAT: Duration = Duration::from_millis(50);

/// Waits at least so long, and on to the next beat.
async fn beat(at_least: Duration) {
    let now = clock::boottime().as_millis();
    let due = (now + at_least.as_millis()).next_multiple_of(BEAT.as_millis());
    pause(Duration::from_millis(u64::try_from(due - now).unwrap_or(u64::MAX))).await;
}

//! The closed set of things `runbook` can do to a machine. Only the executor is ever given a [`Host`](super::Host).

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{CommandAsked, CommandSeen};
use super::effect::Effect;
use super::pm2::{App, AppKey, Pm2At, SnapshotRef};
use super::redis::{RedisAt, RewriteReply};

/// How the machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// logind's `Reboot`.
    #[default]
    Reboot,
    /// logind's `PowerOff`; somebody powers it on again.
    Poweroff,
    /// A person does it, for instance after resizing the machine.
    ByHand,
}

/// One effect. Every one of them is either proven afterwards or reported as unknown.
#[derive(Debug, Clone)]
pub enum Deed {
    /// BGREWRITEAOF; the answer says only that it was accepted.
    RewriteAof(RedisAt),
    /// EnableUnitFiles and Reload.
    EnableUnit(String),
    /// A drop-in that lifts the unit's start time-out, and Reload.
    LiftStartTimeout(String),
    /// StartUnit, until its job is done.
    StartUnit(String),
    /// StopUnit, until its job is done.
    StopUnit(String),
    /// Writes PM2's list, environments included, into a write-once file of the run.
    TakeSnapshot {
        /// Whose list.
        pm2: Pm2At,
        /// The run's own directory.
        dir: PathBuf,
        /// The list may be shorter than PM2's own dump.
        allow_fewer: bool,
    },
    /// Stops one app and waits until its process is gone.
    StopApp {
        /// Whose app.
        pm2: Pm2At,
        /// PM2's number of it, from a list read just before.
        id: u32,
    },
    /// Brings one app of the snapshot into the list: started, or registered as stopped.
    BringApp {
        /// Whose app.
        pm2: Pm2At,
        /// The snapshot that knows its environment.
        snapshot: Arc<SnapshotRef>,
        /// Which app.
        app: AppKey,
        /// Start it; otherwise it is only registered.
        start: bool,
    },
    /// Ends one process that a former daemon of this home left behind, and sees it gone.
    EndOrphan {
        /// Whose home.
        pm2: Pm2At,
        /// The process; nothing is done unless a new look shows it as an orphan of that home.
        pid: u32,
    },
    /// `pm2 save`, verified by reading the dump back.
    SaveList(Pm2At),
    /// Starts PM2's daemon as its own user where no unit does it.
    StartDaemon(Pm2At),
    /// Runs a command.
    Run(CommandAsked),
    /// Asks what became of a command that an earlier process was about to begin, and takes back an order that nobody has
    /// taken. Unknown when nobody can say.
    Recall {
        /// Which one.
        effect: Effect,
        /// It could not begin without an order: where there is none, there never was one.
        by_order: bool,
    },
    /// Installs and enables the unit that resumes the run after the boot.
    InstallResume,
    /// Disables and removes it again.
    RemoveResume,
    /// Asks logind to take the machine down.
    GoDown(Down),
    /// Forgotten everywhere on purpose: see `tests/forgotten.sh`.
    #[cfg(feature = "forgotten-kinds")]
    Forgotten,
}

/// What a deed answers when it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Done, and verified as far as the deed itself can.
    Done,
    /// Done, with something to say: a job's result, a file's name.
    Said(String),
    /// The app runs as far as PM2 says, and needs no slot any more; whether it is back is still to be seen.
    Started(Box<App>),
    /// The server's reply to BGREWRITEAOF.
    Rewrite(RewriteReply),
    /// The snapshot that was written.
    Snapshot(SnapshotRef),
    /// How the command ended.
    Ran(CommandSeen),
    /// The command of an earlier process is at work: who that is.
    AtWork(String),
}

//! A command of a step that outlives whoever asked for it: run by PID 1 as a unit of its own, or by a process of our own
//! where PID 1 is no systemd, and its end kept in a file.
//!
//! Either way it is this program (`runbook effect ORDER`) that runs the command, free of the sandbox, the log-outs and the
//! death of whoever ordered it. Where it stands is told by the name of one file, which only ever goes forward:
//!
//! | file | what it proves once nobody works on it any more |
//! |---|---|
//! | `NAME.order` | nothing was begun; whoever takes this file away first (one rename or removal) has the word |
//! | `NAME.taken` | the same as long as the boot is the same: the name is made durable before anything is executed |
//! | `NAME.begun` | it was begun |
//! | `NAME.end` | how it ended, also over a reboot |
//!
//! Whoever works on an order holds a lock on its file, and so does everything it has started (flock(2), inherited): a run
//! that comes later waits for it instead of guessing. A name has run, step and attempt in it, so that no evidence is ever
//! read as that of another attempt.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::command::{CommandAsked, CommandSeen};
use super::holders::{self, holders_of};
use super::machine;
use super::planted::{Bug, planted};
use super::small_file::{read, write_whole};

/// An order or an end: some thousand words at most.
const MAX: u64 = 8 << 20;
/// What of a name may be taken from the step: a unit's name has at most 255 bytes (systemd.unit(5)).
const READABLE: usize = 120;

/// Which effect of which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Private directory of its files, below the run's own.
    dir: PathBuf,
    /// `RUN-STEP`, and the attempt if it is not the first.
    name: String,
}

/// What is written into an order.
#[derive(Serialize, Deserialize)]
struct Order {
    effect: Effect,
    /// The boot in which it was laid down.
    boot_id: Option<String>,
    /// A lock that is shared for as long as anything of it works: where a new run would look.
    held: Option<PathBuf>,
    asked: CommandAsked,
}

/// What is known of an effect that somebody ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum Trace {
    /// It ended so.
    Ended(CommandSeen),
    /// It is at work: its processes, as far as they can be looked at.
    AtWork(String),
    /// It was ordered and never begun; from now on it cannot begin any more.
    NotBegun,
    /// It was begun, nothing of it works any more, and nobody has written how it ended.
    Cut,
    /// There is no order, and none was ever taken.
    Nothing,
}

impl Effect {
    /// The effect of one attempt at a step of the run that is kept in `run_dir`.
    #[must_use]
    pub fn of(run_dir: &Path, step: &str, attempt: u32) -> Self {
        let run = run_dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What a unit name may have (systemd.unit(5)); a slash becomes a colon.
        let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { ':' };
        let mut name: String = format!("{run}-{step}").chars().map(fine).collect();
        let odd = step.chars().any(|c| c == ':' || (c != '/' && fine(c) != c)) || name.len() > READABLE;
        if odd || attempt > 1 {
            // Two steps whose names look the same in a unit's name must not be taken for each other.
            name.truncate(READABLE);
            let digest = Sha256::digest(format!("{step}\n{attempt}"));
            name.push_str(&format!(":{}.{attempt}", hex::encode(&digest[..4])));
        }
        Self { dir: run_dir.join("effects"), name }
    }

    /// `runbook-RUN-STEP.service`.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("{}{}.service", super::systemd::transient::PREFIX, self.name)
    }

    fn file(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{}.{what}", self.name))
    }

    /// Where the order lies until it is taken.
    #[must_use]
    pub fn order(&self) -> PathBuf {
        self.file("order")
    }

    /// Lays the order down. It need not be durable: what is not there after a power cut was never taken, because taking is.
    ///
    /// # Errors
    /// The system's, and where an order of this name was there before; then nothing will be begun.
    pub fn lay_down(&self, asked: &CommandAsked, held: Option<&Path>) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if [self.file("taken"), self.file("begun"), self.file("end")].iter().any(|path| path.exists()) {
            return Err(Error::new(ErrorKind::AlreadyExists, "this attempt was begun before"));
        }
        let (boot_id, held) = (machine::look().boot_id, held.map(Path::to_owned));
        let order = Order { effect: self.clone(), boot_id, held, asked: asked.clone() };
        // Not filtered for secrets: what is run must be what was asked for.
        let text = serde_json::to_vec(&order).map_err(Error::other)?;
        // Half an order is no order: it is read by whom we start afterwards.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.order())?.write_all(&text)
    }

    /// Takes back an order that nobody has taken: from now on it cannot be begun. `false` where there is none.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        std::fs::remove_file(self.order()).is_ok()
    }

    /// How it ended, if that is known. Whoever carried it out knew none of the run's secrets: what its output holds of them is
    /// taken out of the file here, where they are known.
    #[must_use]
    pub fn ended(&self) -> Option<CommandSeen> {
        let text = read(&self.file("end"), MAX).ok()?;
        let seen = serde_json::from_slice(&text).ok()?;
        if serde_json::to_vec(&seen).is_ok_and(|shown| shown != text) {
            // It stays as it was where the disk is full: 0600 in 0700, as everything of a run.
            let _kept_as_it_was = self.keep(&seen);
        }
        Some(seen)
    }

    /// Whether its command was, or may have been, executed.
    #[must_use]
    pub fn was_begun(&self) -> bool {
        self.file("begun").exists()
    }

    /// Keeps how it ended.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, seen: &CommandSeen) -> io::Result<()> {
        write_whole(&self.file("end"), &serde_json::to_vec(seen).map_err(Error::other)?, 0o600)
    }

    /// What is known of it. An order that still lies there is taken away, so that what is said stays true.
    #[must_use]
    pub fn trace(&self) -> Trace {
        if let Some(seen) = self.ended() {
            return Trace::Ended(seen);
        }
        if self.withdraw() {
            return Trace::NotBegun;
        }
        if self.order().symlink_metadata().is_ok() {
            // It cannot be taken away (a read-only disk), so somebody may still take it.
            return Trace::Cut;
        }
        // The name goes forward only: what is no order any more is found by one of its later names.
        let (taken, begun) = (self.file("taken"), self.file("begun"));
        let Some(file) = open(&taken, OFlags::CLOEXEC).or_else(|_| open(&begun, OFlags::CLOEXEC)).ok() else {
            return Trace::Nothing;
        };
        let worked_on = flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
        if worked_on && !planted(Bug::OrderUnlocked) {
            return Trace::AtWork(holders::named(&holders_of(&file)));
        }
        // Nobody works on it: from here on its files stay as they are.
        match self.ended() {
            Some(seen) => Trace::Ended(seen),
            None if !begun.exists() && same_boot(&taken) && std::fs::remove_file(&taken).is_ok() => Trace::NotBegun,
            None => Trace::Cut,
        }
    }

    /// Whether anything that the run in this directory has ordered is at work.
    #[must_use]
    pub fn any_at_work(run_dir: &Path) -> bool {
        let entries = std::fs::read_dir(run_dir.join("effects")).into_iter().flatten().flatten();
        let worked_on = |path: &Path| path.extension().is_some_and(|what| what == "taken" || what == "begun");
        let mut files = entries.map(|entry| entry.path()).filter(|path| worked_on(path));
        files.any(|path| {
            let file = open(&path, OFlags::CLOEXEC);
            file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK))
        })
    }
}

/// An order in the hands of whoever carries it out.
#[derive(Debug)]
pub struct Taken {
    effect: Effect,
    /// The locks, inherited by whatever is started.
    locks: Vec<File>,
}

impl Taken {
    /// Takes an order; nobody else can take it any more, nor take it back.
    ///
    /// # Errors
    /// There is none, or it cannot be read; then it must not be run.
    pub fn take(order: &Path) -> io::Result<(Self, CommandAsked)> {
        let file = open(order, OFlags::empty())?;
        // Before the name says so: whoever finds it taken finds it locked.
        flock(&file, FlockOperation::LockExclusive)?;
        let Order { effect, held, asked, .. } = serde_json::from_slice(&read(order, MAX)?).map_err(Error::other)?;
        if effect.order() != order {
            return Err(Error::new(ErrorKind::InvalidData, "the order of another place"));
        }
        let mut locks = vec![file];
        if let Some(held) = held {
            let file = open(&held, OFlags::empty())?;
            flock(&file, FlockOperation::LockShared)?;
            locks.push(file);
        }
        std::fs::rename(order, effect.file("taken"))?;
        File::open(&effect.dir)?.sync_all()?;
        Ok((Self { effect, locks }, asked))
    }

    /// The last word before the command is executed.
    ///
    /// # Errors
    /// The system's; then it must not be executed.
    pub fn begin(&self) -> io::Result<()> {
        // No sync: what was made durable for the name before this one says as much after a power cut.
        std::fs::rename(self.effect.file("taken"), self.effect.file("begun"))
    }

    /// Keeps how it ended, and lets go of what it has left behind on purpose: a daemon is no work that anybody waits for.
    ///
    /// # Errors
    /// The system's.
    pub fn end(&self, seen: &CommandSeen) -> io::Result<()> {
        let kept = self.effect.keep(seen);
        for lock in &self.locks {
            // The lock belongs to the open file, which everything that inherited it shares (flock(2)).
            let _gone_with_the_last_of_them = flock(lock, FlockOperation::Unlock);
        }
        kept
    }
}

/// Whether an order was laid down in this boot.
fn same_boot(path: &Path) -> bool {
    let order = read(path, MAX).ok().and_then(|text| serde_json::from_slice::<Order>(&text).ok());
    let boots = (order.and_then(|order| order.boot_id), machine::look().boot_id);
    matches!(boots, (Some(then), Some(now)) if !now.is_empty() && then == now)
}

fn open(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(test)]
#[path = "effect_tests.rs"]
mod tests;

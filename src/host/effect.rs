//! A command of a step that outlives whoever asked for it: run by PID 1 as a unit of its own, its end kept in a file.
//!
//! The unit is named after run and step (`runbook-RUN-STEP.service`). It runs this program (`runbook effect`), free of the
//! resume unit's sandbox, log-outs and the executor's death; that program runs the command as [`super::command`] always does
//! and leaves how it ended beside the journal. So there is evidence for every case: the order still lies there (it was never
//! begun), the unit works, the end is written (also over a reboot), or the unit says how it was cut short.

use std::fs::{DirBuilder, File};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::command::{CommandAsked, CommandSeen};
use super::small_file::{read, write_whole};

/// An order or an end: some thousand words at most.
const MAX: u64 = 8 << 20;

/// Which effect of which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Private directory of its files, below the run's own.
    dir: PathBuf,
    /// `RUN-STEP`.
    name: String,
}

impl Effect {
    /// The effect of one step of the run that is kept in `run_dir`.
    #[must_use]
    pub fn of(run_dir: &Path, step: &str) -> Self {
        let run = run_dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What a unit name may have (systemd.unit(5)); a slash becomes a colon, which no step has.
        let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { ':' };
        Self { dir: run_dir.join("effects"), name: format!("{run}-{step}").chars().map(fine).collect() }
    }

    /// `runbook-RUN-STEP.service`.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("{}{}.service", super::systemd::transient::PREFIX, self.name)
    }

    /// Where the order lies until it is begun.
    #[must_use]
    pub fn order(&self) -> PathBuf {
        self.dir.join(format!("{}.order", self.name))
    }

    fn end(&self) -> PathBuf {
        self.dir.join(format!("{}.end", self.name))
    }

    /// Lays the order down, durably, and takes away what is left of an earlier attempt.
    ///
    /// # Errors
    /// The system's; then nothing will be begun.
    pub fn lay_down(&self, asked: &CommandAsked) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        remove(&self.end())?;
        // Not filtered for secrets: what is run must be what was asked for.
        let text = serde_json::to_vec(&(self, asked)).map_err(Error::other)?;
        write_whole(&self.order(), &text, 0o600)
    }

    /// Takes an order: from here on it counts as begun, also after a power cut.
    ///
    /// # Errors
    /// There is none, or it cannot be read; then it must not be run.
    pub fn take(order: &Path) -> io::Result<(Self, CommandAsked)> {
        let (effect, asked): (Self, CommandAsked) = serde_json::from_slice(&read(order, MAX)?).map_err(Error::other)?;
        if effect.order() != order {
            return Err(Error::new(ErrorKind::InvalidData, "the order of another place"));
        }
        std::fs::remove_file(order)?;
        File::open(&effect.dir)?.sync_all()?;
        Ok((effect, asked))
    }

    /// Takes back an order that was refused.
    pub fn withdraw(&self) {
        // One that stays says that nothing was begun, which is true.
        let _gone = remove(&self.order());
    }

    /// Whether the order still lies there: it was never begun.
    #[must_use]
    pub fn not_begun(&self) -> bool {
        self.order().exists()
    }

    /// Keeps how it ended.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, seen: &CommandSeen) -> io::Result<()> {
        write_whole(&self.end(), &serde_json::to_vec(seen).map_err(Error::other)?, 0o600)
    }

    /// How it ended, if that is known.
    #[must_use]
    pub fn ended(&self) -> Option<CommandSeen> {
        serde_json::from_slice(&read(&self.end(), MAX).ok()?).ok()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::command::{self, CommandEnd};

    #[tokio::test]
    async fn an_order_is_taken_once_and_its_end_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("r-1");
        std::fs::create_dir(&run).unwrap();
        let effect = Effect::of(&run, "stop/drain queue");
        assert_eq!(effect.unit(), "runbook-r-1-stop:drain:queue.service");
        let asked = CommandAsked::new(&["/bin/sh", "-c", "echo $0; exit 7", "a\n'b"], Duration::from_secs(60));
        effect.lay_down(&asked).unwrap();
        assert!(effect.not_begun() && effect.ended().is_none());
        let (taken, order) = Effect::take(&effect.order()).unwrap();
        assert_eq!((taken, &order.argv), (effect.clone(), &asked.argv));
        assert!(!effect.not_begun());
        assert!(Effect::take(&effect.order()).is_err(), "nobody takes it twice");
        effect.keep(&command::run(order).await).unwrap();
        assert_eq!(effect.ended().unwrap().end, CommandEnd::Exited { code: 7 });
        effect.lay_down(&asked).unwrap();
        assert!(effect.ended().is_none(), "the end of an earlier attempt says nothing about this one");
        let moved = dir.path().join("moved.order");
        std::fs::rename(effect.order(), &moved).unwrap();
        assert!(Effect::take(&moved).is_err());
    }
}

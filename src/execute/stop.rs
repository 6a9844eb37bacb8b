//! How a run is asked to stop: Ctrl-C once and twice, SIGTERM, or a request from a second terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::Signal;
use tokio::sync::Notify;

use crate::host::signals::{self, Heed};

/// How urgently to stop. Later ones outrank earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Urge {
    /// Go on.
    #[default]
    None = 0,
    /// Start nothing new, let what runs finish, pause.
    Pause = 1,
    /// The same, and then give up: back out where that is possible, end the run.
    Abort = 2,
    /// As a pause, asked by SIGTERM: the machine or its owner wants the process gone.
    Terminate = 3,
    /// Leave now; what is in flight becomes unknown.
    Now = 4,
}

/// The shared wish to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    level: Arc<AtomicU8>,
    changed: Arc<Notify>,
}

impl Stop {
    /// Raises the urge; a lower one than is asked already changes nothing.
    pub fn ask(&self, urge: Urge) {
        self.level.fetch_max(urge as u8, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Takes a pause or an abort back once it has been heeded; the hard ones stay.
    pub fn forget(&self) {
        if self.urge() <= Urge::Abort {
            self.level.store(Urge::None as u8, Ordering::SeqCst);
        }
    }

    /// What is asked at the moment.
    #[must_use]
    pub fn urge(&self) -> Urge {
        match self.level.load(Ordering::SeqCst) {
            0 => Urge::None,
            1 => Urge::Pause,
            2 => Urge::Abort,
            3 => Urge::Terminate,
            _ => Urge::Now,
        }
    }

    /// Returns once more is asked than `seen`.
    pub async fn more_than(&self, seen: Urge) -> Urge {
        loop {
            let notified = self.changed.notified();
            if self.urge() > seen {
                return self.urge();
            }
            notified.await;
        }
    }

    /// Listens to signals: the first SIGINT pauses, the second leaves at once, SIGTERM terminates after a checkpoint.
    /// SIGHUP is swallowed: a lost SSH line must not stop a run. Ctrl-Z (SIGTSTP) pauses, too: a stopped process would hold
    /// the host while the window passes, with services down.
    ///
    /// `stuck` ends the process where the run does not even come to hear of a request to leave.
    ///
    /// # Errors
    /// When the signals cannot be taken over.
    pub fn listen(&self, stuck: impl Fn(Urge) + Send + 'static) -> std::io::Result<()> {
        let (stop, asked) = (self.clone(), self.clone());
        let heed = move |heard: Signal| {
            let urge = match heard {
                Signal::INT if stop.urge() == Urge::None => Urge::Pause,
                Signal::INT => Urge::Now,
                Signal::TERM => Urge::Terminate,
                Signal::TSTP => Urge::Pause,
                _ => return Heed::Noted,
            };
            stop.ask(urge);
            if urge >= Urge::Terminate { Heed::Leave } else { Heed::Noted }
        };
        signals::listen(heed, move || stuck(asked.urge()))
    }
}

/// Where a second terminal leaves its request: a file in the run's directory, so that no signal can hit a stranger.
#[must_use]
pub fn request_path(run_dir: &Path) -> PathBuf {
    run_dir.join("request")
}

/// Reads a request of `runbook pause` or `runbook abort`, if there is one.
#[must_use]
pub fn requested(run_dir: &Path) -> Urge {
    match std::fs::read_to_string(request_path(run_dir)).as_deref().map(str::trim) {
        Ok("pause") => Urge::Pause,
        Ok("abort") => Urge::Abort,
        _ => Urge::None,
    }
}

/// Takes a request back once it has been heeded, or when its run begins a new sitting.
pub fn withdraw(run_dir: &Path) {
    // Fine when there is none; one that cannot be removed is heeded again, which errs on the safe side.
    let _gone = std::fs::remove_file(request_path(run_dir));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_urge_wins() {
        let stop = Stop::default();
        stop.ask(Urge::Terminate);
        stop.ask(Urge::Pause);
        assert_eq!(stop.urge(), Urge::Terminate);
        stop.ask(Urge::Now);
        assert_eq!(stop.urge(), Urge::Now);
    }

    #[test]
    fn only_known_requests_count() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(requested(dir.path()), Urge::None);
        std::fs::write(request_path(dir.path()), "abort\n").unwrap();
        assert_eq!(requested(dir.path()), Urge::Abort);
        std::fs::write(request_path(dir.path()), "explode").unwrap();
        assert_eq!(requested(dir.path()), Urge::None);
    }
}

//! What a PM2 daemon answered a moment ago and may be given again.
//!
//! A restore ends in three looks at the same list within a tenth of a second: the proof of the saved list, the look whether
//! the step is done, the look back at the run. Each would cost the daemon as much as starting an app does. An answer counts
//! for a moment, and only while this process has told nobody to do anything since it was asked for.
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::host::clock;
use crate::host::pm2::{Answered, Pm2At};

/// How long an answer counts.
const MOMENT: Duration = Duration::from_millis(250);

/// The latest answer of each home.
#[derive(Default)]
pub(super) struct Fresh(Mutex<State>);

#[derive(Default)]
struct State {
    /// Deeds under way.
    deeds: usize,
    /// Grows with every deed that begins or ends.
    era: u64,
    answers: HashMap<PathBuf, (Duration, Answered)>,
}

impl State {
    fn turn(&mut self) {
        self.era += 1;
        self.answers.clear();
    }
}

/// A deed under way: what is answered meanwhile may be from before it.
pub(super) struct AtWork<'a> {
    fresh: &'a Fresh,
    era: u64,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut state = self.fresh.lock();
        state.deeds -= 1;
        state.turn();
    }
}

impl Fresh {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A deed begins; it ends when what is given is dropped.
    pub(super) fn deed(&self) -> AtWork<'_> {
        let mut state = self.lock();
        state.deeds += 1;
        state.turn();
        AtWork { fresh: self, era: state.era }
    }

    /// What the daemon answers: just now, or a moment ago.
    pub(super) async fn answer(&self, at: &Pm2At) -> Answered {
        let (asked, era) = {
            let state = self.lock();
            let asked = clock::boottime();
            if let Some((then, answer)) = state.answers.get(&at.home)
                && asked.saturating_sub(*then) < MOMENT
            {
                return answer.clone();
            }
            (asked, state.era)
        };
        let answer = Answered::at(at).await;
        let mut state = self.lock();
        if state.deeds == 0 && state.era == era {
            state.answers.insert(at.home.clone(), (asked, answer.clone()));
        }
        answer
    }

    /// Ends a deed whose last act was to ask the daemon. What that answered counts if no other deed was under way meanwhile.
    pub(super) fn keep(&self, deed: AtWork<'_>, at: &Pm2At, answer: Answered) {
        let alone = deed.era + 1;
        drop(deed);
        let mut state = self.lock();
        if state.deeds == 0 && state.era == alone {
            state.answers.insert(at.home.clone(), (clock::boottime(), answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::UnixListener;

    use super::*;

    /// A home whose daemon hangs up on everybody, and how many have asked.
    fn home() -> (tempfile::TempDir, Pm2At, Arc<AtomicUsize>) {
        let dir = tempfile::Builder::new().prefix("rbf-").tempdir_in("/tmp").unwrap();
        let at = Pm2At { user: "no-such-user".into(), home: dir.path().into(), unit: None, cli: None };
        let listener = UnixListener::bind(at.rpc_socket()).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        (dir, at, asked)
    }

    #[tokio::test]
    async fn a_daemon_is_asked_again_after_every_deed_and_every_moment() {
        let (_dir, at, asked) = home();
        let times = || asked.load(Ordering::Relaxed);
        let fresh = Fresh::default();
        fresh.answer(&at).await;
        fresh.answer(&at).await;
        assert_eq!(times(), 1, "a moment ago");
        drop(fresh.deed());
        fresh.answer(&at).await;
        assert_eq!(times(), 2, "something was done since");
        let deed = fresh.deed();
        fresh.answer(&at).await;
        fresh.answer(&at).await;
        assert_eq!(times(), 4, "something is being done");
        drop(deed);
        fresh.answer(&at).await;
        assert_eq!(times(), 5, "what was answered during a deed is not given after it");
        clock::sleep(MOMENT).await;
        fresh.answer(&at).await;
        assert_eq!(times(), 6, "a moment is over");
    }

    #[tokio::test]
    async fn what_a_deed_asked_at_its_end_counts_if_it_was_alone() {
        let (_dir, at, asked) = home();
        let times = || asked.load(Ordering::Relaxed);
        let fresh = Fresh::default();
        let deed = fresh.deed();
        fresh.keep(deed, &at, Answered::at(&at).await);
        fresh.answer(&at).await;
        assert_eq!(times(), 1);
        let (deed, other) = (fresh.deed(), fresh.deed());
        let answer = Answered::at(&at).await;
        drop(other);
        fresh.keep(deed, &at, answer);
        fresh.answer(&at).await;
        assert_eq!(times(), 3, "the other one may have come between");
        let (deed, begun) = (fresh.deed(), Answered::at(&at).await);
        let other = fresh.deed();
        fresh.keep(deed, &at, begun);
        drop(other);
        fresh.answer(&at).await;
        assert_eq!(times(), 5, "and so may one that is still under way");
    }
}

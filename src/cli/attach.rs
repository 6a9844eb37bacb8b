//! `runbook attach`: the run in progress on a second terminal, read from its journal and nothing else, until its process has
//! left it; then this command ends with the exit code of the run.
//!
//! Whether a process is at work is asked of the kernel: it holds the journal itself. So a run is followed across a change of
//! process, and a rehearsal as well as a real run. What was told before is told again first, as it looked then.
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::around;
use super::ask_to_stop::held;
use super::resume::Frozen;
use super::site::identity;
use super::status::exit;
use super::{Desk, Exit, Failure};
use crate::event::{Event, Reporter};
use crate::host::local::LocalHost;
use crate::host::{Host, clock};
use crate::journal::RunState;
use crate::journal::record::Entry;
use crate::journal::store::{RunId, Store};
use crate::report::{self, Clock, Wall};

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// A run that nobody holds for so long has been left; a process that takes over is quicker.
const LEFT: Duration = Duration::from_secs(2);

/// Which run.
#[derive(Debug, Args)]
pub(super) struct Attach {
    /// The run; without it the unfinished one, else the latest
    run: Option<String>,
    /// Exit 11 when it ended with tolerated losses
    #[arg(long)]
    detailed_exitcode: bool,
}

/// The time of the run: that of the record that is told, and from the last one on it goes by.
#[derive(Clone)]
struct Hand(Arc<Mutex<(Timestamp, Option<Duration>)>>);

impl Hand {
    fn at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new((start, None))))
    }

    /// Stands at a record.
    fn stand(&self, at: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (at, None);
    }

    /// Goes on from where it stands.
    fn go_on(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.get_or_insert_with(clock::boottime);
    }

    fn now(&self) -> Timestamp {
        let (at, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = since.map_or(Duration::ZERO, |since| clock::boottime().saturating_sub(since));
        at.checked_add(passed).unwrap_or(at)
    }

    fn clocks(&self, start: Timestamp) -> (Clock, Wall) {
        let (length, wall) = (self.clone(), self.clone());
        let since = move || Duration::try_from(length.now().duration_since(start)).unwrap_or_default();
        (Arc::new(since), Arc::new(move || wall.now()))
    }
}

/// What has been read and told so far.
struct Followed {
    head: Vec<u8>,
    told: usize,
    state: RunState,
    entries: Vec<Entry>,
}

impl Attach {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let none = || Failure::say(Exit::Usage, format!("there are no runs in {}", desk.site.state_dir.display()));
        let store = desk.site.store()?;
        let listed = desk.site.pick(self.run.as_deref())?.ok_or_else(none)?;
        let (id, start) = (listed.id, listed.reading?.entries.first().map(|entry| entry.wall));
        let frozen = Frozen::read(&store, &id)?;
        let start = start.unwrap_or(Timestamp::UNIX_EPOCH);
        let hand = Hand::at(start);
        let (clock, wall) = hand.clocks(start);
        let (live, mut reporters) = desk.screen.followers(clock, wall, &frozen.runbook, &frozen.plan);
        let followed = self.follow(&store, &id, &hand, &mut reporters).await;
        drop(reporters);
        if let Some(live) = live {
            live.close();
        }
        let followed = followed?;
        let around = match store.read(&id) {
            Ok(reading) => around::look(desk, &store, &id, &reading, false).await,
            Err(_) => report::Around::default(),
        };
        desk.screen.alert(&report::ending(&followed.entries, &followed.state, &around, desk.screen.style()));
        Ok(exit(&followed.state, false, self.detailed_exitcode))
    }

    /// Tells every record as it becomes durable, until the run is over or nobody is at work on it.
    async fn follow(
        &self,
        store: &Store,
        id: &RunId,
        hand: &Hand,
        reporters: &mut Vec<Box<dyn Reporter>>,
    ) -> Result<Followed, Failure> {
        let journal: PathBuf = store.dir(id)?.path().join("journal");
        let here = identity().map(|identity| identity.boot_id).unwrap_or_default();
        let mut followed = Followed { head: Vec::new(), told: 0, state: RunState::default(), entries: Vec::new() };
        let mut alone = Duration::ZERO;
        let host = LocalHost::new(None);
        loop {
            // Before the look at the journal: what a process wrote before it left is then read in the same round.
            let at_work = held(&journal);
            followed.read_on(store, id, hand, reporters)?;
            if let Some(last) = followed.entries.last().filter(|last| *last.boot_id == *here) {
                // A real run of this boot: what has passed since its last record is known. A rehearsal has its own time.
                hand.stand(clock::now().max(last.wall));
            }
            hand.go_on();
            alone = if at_work { Duration::ZERO } else { alone + LOOK };
            if followed.state.ended().is_some() || alone >= LEFT {
                return Ok(followed);
            }
            host.sleep(LOOK).await;
        }
    }
}

impl Followed {
    fn read_on(
        &mut self,
        store: &Store,
        id: &RunId,
        hand: &Hand,
        reporters: &mut Vec<Box<dyn Reporter>>,
    ) -> Result<(), Failure> {
        let head = store.dir(id)?.read("head")?;
        if head == self.head {
            return Ok(());
        }
        self.head = head;
        self.entries = store.read(id)?.entries;
        for entry in self.entries.iter().skip(self.told) {
            // The reading was legal as a whole, so each of its records is.
            if self.state.after(entry).is_err() {
                break;
            }
            hand.stand(entry.wall);
            for reporter in reporters.iter_mut() {
                reporter.on(&Event::Durable(entry), &self.state);
            }
            self.told += 1;
        }
        Ok(())
    }
}

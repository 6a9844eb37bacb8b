//! The fan-out inside one step: waves open, items start as slots free up, each outcome is journaled as it comes.
//!
//! Everything runs on the run's own task. That is enough for hundreds of waits and keeps the journal the single point
//! that orders events: an intent is durable before its effect begins (P1), an outcome before the next intent (P4).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::lanes::Lanes;
use super::stop::{Stop, Urge, requested};
use super::{Book, ExecuteError};
use crate::action::{Action, Change, Ground, Item, Outcome, Sign, Tick};
use crate::host::Host;
use crate::host::planted::{Bug, planted};
use crate::host::span::words;
use crate::journal::checkpoint::{Checkpoint, Outcome as Verdict, StepId};

/// How long actions that are in flight may take to finish after the first Ctrl-C.
const GRACE: Duration = Duration::from_secs(60);

/// One item that did not come about.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    pub(super) key: String,
    pub(super) why: String,
    pub(super) optional: bool,
}

/// How the items of a step ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Items that failed, or were never begun because what they need did not come.
    pub(super) lost: Vec<Loss>,
    /// Items whose outcome nobody knows: key and reason.
    pub(super) unknown: Vec<(String, String)>,
    /// The machine is going down.
    pub(super) leaving: bool,
    /// The step was cut short by a wish to stop.
    pub(super) stopped: Urge,
}

/// One step in work.
pub(super) struct Fan<'a> {
    pub(super) action: &'a Action,
    pub(super) ground: Ground<'a>,
    pub(super) host: &'a dyn Host,
    pub(super) step: &'a StepId,
    pub(super) change: &'a Change,
    pub(super) within: Option<Duration>,
    pub(super) stop: &'a Stop,
    /// The boot that a reboot item ends.
    pub(super) boot_id: Option<String>,
}

/// What a future of the fan-out comes back with.
enum Happened {
    Opened(usize, Result<(), String>),
    Ended(Box<Item>, Outcome, Duration),
    /// `within` or the grace after Ctrl-C has passed.
    TooLate(String),
    /// Time to look for a request of a second terminal.
    Look,
}

type Flying<'f> = FuturesUnordered<LocalBoxFuture<'f, Happened>>;

impl<'a> Fan<'a> {
    /// Applies every item, journaling as it goes.
    pub(super) async fn out(&self, book: &mut Book<'_>) -> Result<Tally, ExecuteError> {
        let (send, mut ticks) = mpsc::unbounded_channel();
        let tell = move |tick: Tick| {
            // The receiver lives as long as this function; a failed send would only lose a moment's display.
            let _ = send.send(tick);
        };
        let mut work = Work { lanes: Lanes::new(self.change), tally: Tally::default(), said: BTreeMap::new() };
        let mut flying: Flying<'_> = FuturesUnordered::new();
        flying.push(self.look());
        if let Some(within) = self.within {
            flying.push(self.timer(within, format!("not within {}", words(within))));
        }
        loop {
            self.launch(&mut work, &mut flying, &tell, book)?;
            if work.over() {
                return Ok(work.tally);
            }
            tokio::select! {
                biased;
                urge = self.stop.more_than(work.tally.stopped) => {
                    if self.asked(urge, &mut work, &flying, book)? {
                        return Ok(work.tally);
                    }
                }
                Some(tick) = ticks.recv() => {
                    book.tick(self.step, &tick);
                    work.said.insert(tick.item, tick.say);
                }
                Some(happened) = flying.next() => match happened {
                    Happened::Ended(item, outcome, took) => self.ended(*item, outcome, took, &mut work, book)?,
                    Happened::Opened(index, Ok(())) => work.lanes.open(index),
                    Happened::Opened(index, Err(why)) => self.closed(index, &why, &mut work, book)?,
                    Happened::Look => {
                        self.stop.ask(requested(self.ground.run_dir));
                        flying.push(self.look());
                    }
                    Happened::TooLate(why) => {
                        self.give_up(&why, &mut work, book)?;
                        return Ok(work.tally);
                    }
                },
            }
        }
    }

    /// Asks gates that may be asked and starts every item that has a slot; their intents share one sync.
    fn launch<'f>(
        &'f self,
        work: &mut Work,
        flying: &mut Flying<'f>,
        tell: &'f (dyn Fn(Tick) + 'f),
        book: &mut Book<'_>,
    ) -> Result<(), ExecuteError> {
        if work.tally.stopped != Urge::None || work.tally.leaving {
            return Ok(());
        }
        for (index, why) in work.lanes.unreachable() {
            self.closed(index, &why, work, book)?;
        }
        for index in work.lanes.ask_next() {
            let wave = self.change.wave(index);
            flying.push(Box::pin(async move {
                Happened::Opened(index, self.action.gate(&wave, self.host, &self.ground, tell).await)
            }));
        }
        let ready = work.lanes.take_ready();
        if ready.is_empty() {
            return Ok(());
        }
        if !planted(Bug::EffectFirst) {
            book.write(&ready.iter().flat_map(|item| self.intents(item)).collect::<Vec<_>>())?;
        }
        for item in ready {
            flying.push(Box::pin(async move {
                let began = self.host.as_probe().uptime();
                let outcome = self.action.apply(&item, self.host, &self.ground, tell).await;
                Happened::Ended(Box::new(item), outcome, self.host.as_probe().uptime().saturating_sub(began))
            }));
        }
        Ok(())
    }

    /// What must be durable before an item begins; a reboot also names the boot that it ends (P8).
    fn intents(&self, item: &Item) -> Vec<Checkpoint> {
        let mut intents = vec![Checkpoint::ItemIntent { step: self.step.clone(), item: item.key.clone() }];
        if item.sign == Sign::Reboot {
            let boot_id = self.boot_id.clone().unwrap_or_default();
            intents.push(Checkpoint::RebootIntent { step: self.step.clone(), boot_id });
        }
        intents
    }

    /// Journals one outcome, with what it wants to keep, in one sync.
    fn ended(
        &self,
        item: Item,
        outcome: Outcome,
        took: Duration,
        work: &mut Work,
        book: &mut Book<'_>,
    ) -> Result<(), ExecuteError> {
        work.said.remove(&item.key);
        if planted(Bug::EffectFirst) {
            book.write(&self.intents(&item))?;
        }
        let failed = matches!(outcome, Outcome::Failed { .. } | Outcome::Unknown { .. }) && !item.optional;
        work.lanes.land(&item, failed);
        let mut facts = Vec::new();
        let mut note = None;
        let told = match outcome {
            Outcome::Leaving => {
                // No outcome yet: only the boot id after the boot can tell it.
                work.tally.leaving = true;
                return Ok(());
            }
            Outcome::Applied { note: said, keep } => {
                note = said;
                // Write-once: what an earlier attempt has captured stays as it was.
                facts.extend(keep.into_iter().filter(|(key, _)| book.state().captured(key).is_none()));
                Verdict::Applied
            }
            Outcome::Failed { why, causes } => {
                work.tally.lost.push(Loss { key: item.key.clone(), why: why.clone(), optional: item.optional });
                Verdict::Failed { why, causes }
            }
            Outcome::Unknown { .. } if planted(Bug::UnknownIsDone) => Verdict::Applied,
            Outcome::Unknown { why } => {
                work.tally.unknown.push((item.key.clone(), why.clone()));
                Verdict::Unknown { why }
            }
        };
        let mut batch: Vec<_> = facts.into_iter().map(|(key, value)| self.captured(key, value)).collect();
        batch.push(self.done(&item.key, told, took, note));
        book.write(&batch)
    }

    fn captured(&self, key: String, value: serde_json::Value) -> Checkpoint {
        Checkpoint::Captured { step: self.step.clone(), key, value }
    }

    fn done(&self, item: &str, outcome: Verdict, took: Duration, note: Option<String>) -> Checkpoint {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Checkpoint::ItemDone { step: self.step.clone(), item: item.to_owned(), outcome, took_ms, note, facts: None }
    }

    /// A wave that will never open: its items are lost by name, with the reason, and never silently left out.
    fn closed(&self, index: usize, why: &str, work: &mut Work, book: &mut Book<'_>) -> Result<(), ExecuteError> {
        let mut batch = Vec::new();
        for item in work.lanes.close(index) {
            batch.push(Checkpoint::ItemIntent { step: self.step.clone(), item: item.key.clone() });
            let outcome = Verdict::Failed { why: format!("not begun: {why}"), causes: Vec::new() };
            batch.push(self.done(&item.key, outcome, Duration::ZERO, None));
            work.tally.lost.push(Loss { key: item.key, why: format!("not begun: {why}"), optional: item.optional });
        }
        if batch.is_empty() { Ok(()) } else { book.write(&batch) }
    }

    /// Reacts to a wish to stop; `true` when the step is left at once.
    fn asked<'f>(
        &'f self,
        urge: Urge,
        work: &mut Work,
        flying: &Flying<'f>,
        book: &mut Book<'_>,
    ) -> Result<bool, ExecuteError> {
        work.tally.stopped = urge;
        if self.action.waits() {
            // A wait has no effect: cutting it short leaves nothing in doubt.
            return Ok(true);
        }
        if urge == Urge::Now {
            self.give_up("left at the second Ctrl-C", work, book)?;
            return Ok(true);
        }
        let names: Vec<String> = work.lanes.flying().map(|item| item.key.clone()).collect();
        book.talk(&format!(
            "Stopping: letting {} running action(s) finish (limit {}): {}. Nothing new starts. Ctrl-C again: leave them now.",
            names.len(),
            words(GRACE),
            names.join(", "),
        ));
        flying.push(self.timer(GRACE, "still running when the grace after Ctrl-C ended".into()));
        Ok(false)
    }

    /// Journals what is still in flight: a wait has failed, an effect is unknown.
    fn give_up(&self, why: &str, work: &mut Work, book: &mut Book<'_>) -> Result<(), ExecuteError> {
        let flying: Vec<Item> = work.lanes.flying().cloned().collect();
        let mut batch = Vec::new();
        for item in flying {
            let why = match work.said.get(&item.key) {
                Some(seen) if !seen.is_empty() => format!("{why}; last seen: {seen}"),
                _ => why.to_owned(),
            };
            if self.action.waits() {
                work.tally.lost.push(Loss { key: item.key.clone(), why: why.clone(), optional: item.optional });
                batch.push(self.done(&item.key, Verdict::Failed { why, causes: Vec::new() }, Duration::ZERO, None));
            } else {
                work.tally.unknown.push((item.key.clone(), why.clone()));
                batch.push(self.done(&item.key, Verdict::Unknown { why }, Duration::ZERO, None));
            }
        }
        let waiting: Vec<usize> = work.lanes.with_waiting();
        if !batch.is_empty() {
            book.write(&batch)?;
        }
        if work.tally.stopped == Urge::None {
            for index in waiting {
                let gate = self.change.wave(index).name;
                let seen = work.said.get(&gate).cloned().unwrap_or_default();
                self.closed(index, &format!("{why}; {seen}"), work, book)?;
            }
        }
        Ok(())
    }

    fn timer(&self, length: Duration, why: String) -> LocalBoxFuture<'_, Happened> {
        Box::pin(async move {
            self.host.sleep(length).await;
            Happened::TooLate(why)
        })
    }

    /// A second terminal's request is looked for once a second.
    fn look(&self) -> LocalBoxFuture<'_, Happened> {
        Box::pin(async {
            self.host.sleep(Duration::from_secs(1)).await;
            Happened::Look
        })
    }
}

/// What changes while the fan is out.
struct Work {
    lanes: Lanes,
    tally: Tally,
    /// The last word on each item: shown when it has to be given up.
    said: BTreeMap<String, String>,
}

impl Work {
    /// Nothing is in flight, and nothing will start any more.
    fn over(&self) -> bool {
        let idle = self.lanes.flying().next().is_none();
        idle && (self.lanes.empty() || self.tally.leaving || self.tally.stopped != Urge::None)
    }
}

//! The fan-out inside one step: waves open, items start as slots free up, each outcome is journaled as it comes.
//!
//! Everything runs on the run's own task. That is enough for hundreds of waits and keeps the journal the single point
//! that orders events: an intent is durable before its effect begins (P1), an outcome no later than the next intent, and
//! in front of it (P4).

mod outcomes;
mod work;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use self::outcomes::begin;
use self::work::Work;
use super::slots::{LOOK_EVERY, Throttle};
use super::stop::{Stop, Urge, requested};
use super::{Book, ExecuteError};
use crate::action::{Action, Change, Ground, Item, Outcome, Tick};
use crate::host::Host;
use crate::host::planted::{Bug, planted};
use crate::host::pressure::PressureSeen;
use crate::host::span::words;
use crate::journal::checkpoint::{Checkpoint, StepId};

/// How long actions that are in flight may take to finish after the first Ctrl-C.
const GRACE: Duration = Duration::from_secs(60);

/// How long the others are still waited for when one has failed the step: what fails for the same reason is told with it.
const GATHER: Duration = Duration::from_secs(3);

/// How long outcomes wait for the next intents. Until they are written they are in doubt, which a crash settles by a look.
const HELD_FOR: Duration = Duration::from_millis(100);

/// One item that did not come about.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    pub(super) key: String,
    pub(super) why: String,
    pub(super) optional: bool,
    /// One of our own chores: no app that could be missed.
    pub(super) chore: bool,
    /// It was given up only because another one had failed the step.
    pub(super) cut: bool,
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
    /// The machine's pressure was looked at.
    Felt(Duration, Option<PressureSeen>),
    /// Outcomes have been held back for long enough.
    Due,
    /// One has failed the step, and those that fail with it have had their time.
    Vain,
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
        let mut work = Work::new(self.change);
        let mut flying: Flying<'_> = FuturesUnordered::new();
        flying.push(self.look());
        if work.throttle.as_ref().is_some_and(Throttle::adapts) {
            flying.push(self.feel(Duration::ZERO));
        }
        if let Some(within) = self.within {
            flying.push(self.timer(within, format!("not within {}", words(within))));
        }
        loop {
            self.launch(&mut work, &mut flying, &tell, book)?;
            if work.over() {
                return work.full.map_or(Ok(work.tally), Err);
            }
            tokio::select! {
                biased;
                urge = self.stop.more_than(work.tally.stopped) => {
                    if self.asked(urge, &mut work, &flying, book)? {
                        return Ok(work.tally);
                    }
                }
                Some(tick) = ticks.recv() => {
                    // All that were told by now: slots that become free together are filled with one sync.
                    let more = std::iter::from_fn(|| ticks.try_recv().ok());
                    std::iter::once(tick).chain(more).for_each(|tick| self.told(tick, &mut work, book));
                }
                Some(happened) = flying.next() => {
                    let all = std::iter::once(happened).chain(at_hand(&mut flying)).collect();
                    if self.happened(all, &mut work, &flying, book)? {
                        return Ok(work.tally);
                    }
                }
            }
        }
    }

    fn told(&self, tick: Tick, work: &mut Work, book: &mut Book<'_>) {
        if tick.frees_slot {
            work.lanes.free_slot(&tick.item);
        }
        book.tick(self.step, &tick);
        work.said.insert(tick.item, tick.say);
    }

    /// Draws the conclusions from what happened at the same time; `true` when the step is left. Outcomes share one sync:
    /// where many items wait for the same sign, each of them alone would hold up the others. In a wide fan they wait for a
    /// moment, and share the sync of the next intents, too.
    fn happened<'f>(
        &'f self,
        all: Vec<Happened>,
        work: &mut Work,
        flying: &Flying<'f>,
        book: &mut Book<'_>,
    ) -> Result<bool, ExecuteError> {
        // Apart from the outcomes: on a full disk those are written and these are not.
        let mut never: Vec<Checkpoint> = Vec::new();
        let (mut too_late, mut due) = (None, false);
        for one in all {
            match one {
                Happened::Ended(item, outcome, took) => {
                    let batch = self.ended(*item, outcome, took, work, book);
                    work.held.extend(batch);
                }
                Happened::Opened(index, Ok(())) => work.lanes.open(index),
                Happened::Opened(index, Err(why)) => never.extend(self.closed(index, &why, work)),
                Happened::Look => {
                    self.stop.ask(requested(self.ground.run_dir));
                    flying.push(self.look());
                }
                Happened::Felt(at, seen) => {
                    work.felt(at, seen);
                    flying.push(self.feel(LOOK_EVERY));
                }
                Happened::Due => (due, work.timed) = (true, false),
                Happened::Vain => too_late = too_late.or_else(|| work.in_vain()),
                Happened::TooLate(why) => too_late = Some(why),
            }
        }
        if due || !work.may_hold() {
            book.write(&work.release())?;
        } else if !work.held.is_empty() && !std::mem::replace(&mut work.timed, true) {
            flying.push(self.due());
        }
        begin(&never, work, book)?;
        if too_late.is_none() && self.action.all_or_nothing() && work.gathers() {
            flying.push(self.gather());
        }
        if let Some(why) = &too_late {
            self.give_up(why, work, book)?;
        }
        Ok(too_late.is_some())
    }

    /// Asks gates that may be asked and starts every item that has a slot; their intents share one sync.
    fn launch<'f>(
        &'f self,
        work: &mut Work,
        flying: &mut Flying<'f>,
        tell: &'f (dyn Fn(Tick) + 'f),
        book: &mut Book<'_>,
    ) -> Result<(), ExecuteError> {
        if work.tally.stopped != Urge::None || work.tally.leaving || work.full.is_some() {
            return Ok(());
        }
        for (index, why) in work.lanes.unreachable() {
            let batch = self.closed(index, &why, work);
            begin(&batch, work, book)?;
        }
        for index in work.lanes.ask_next() {
            let wave = self.change.wave(index);
            flying.push(Box::pin(async move {
                Happened::Opened(index, self.action.gate(&wave, self.host, &self.ground, tell).await)
            }));
        }
        let ready = work.lanes.take_ready(work.throttle.as_ref().map(Throttle::now));
        if ready.is_empty() {
            return Ok(());
        }
        let none = planted(Bug::EffectFirst);
        let intents: Vec<_> = ready.iter().filter(|_| !none).flat_map(|item| self.intents(item)).collect();
        begin(&intents, work, book)?;
        if work.full.is_some() {
            ready.iter().for_each(|item| work.lanes.land(item, true));
            return Ok(());
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

    /// Reacts to a wish to stop; `true` when the step is left at once.
    fn asked<'f>(
        &'f self,
        urge: Urge,
        work: &mut Work,
        flying: &Flying<'f>,
        book: &mut Book<'_>,
    ) -> Result<bool, ExecuteError> {
        work.tally.stopped = urge;
        book.write(&work.release())?;
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

    fn timer(&self, length: Duration, why: String) -> LocalBoxFuture<'_, Happened> {
        Box::pin(async move {
            self.host.sleep(length).await;
            Happened::TooLate(why)
        })
    }

    /// The pressure of the machine, after a while.
    fn feel(&self, after: Duration) -> LocalBoxFuture<'_, Happened> {
        Box::pin(async move {
            self.host.sleep(after).await;
            let seen = self.host.as_probe().pressure().await.ok().flatten();
            Happened::Felt(self.host.as_probe().uptime(), seen)
        })
    }

    /// The end of the moment for which outcomes are held back.
    fn due(&self) -> LocalBoxFuture<'_, Happened> {
        Box::pin(async {
            self.host.sleep(HELD_FOR).await;
            Happened::Due
        })
    }

    /// The end of the time for those that fail together.
    fn gather(&self) -> LocalBoxFuture<'_, Happened> {
        Box::pin(async {
            self.host.sleep(GATHER).await;
            Happened::Vain
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

/// What else has happened already: everything that can be had without waiting.
fn at_hand<'f>(flying: &mut Flying<'f>) -> Vec<Happened> {
    let next = || flying.next().now_or_never().flatten();
    std::iter::from_fn(next).collect()
}

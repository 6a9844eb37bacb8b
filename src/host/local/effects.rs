//! Commands of steps on this machine: by PID 1 where it is systemd and we are told to, else by a child of ours. Either way it
//! is `runbook effect` that runs the command, so that evidence of it outlives us: [`crate::host::effect`].

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::LocalHost;
use crate::host::HostError;
use crate::host::command::{self, Captured, CommandAsked, CommandEnd, CommandSeen, Patience, Stops};
use crate::host::deed::Told;
use crate::host::effect::{Effect, Trace};
use crate::host::pm2::RunBy;
use crate::host::programs;
use crate::host::systemd::bus::Bus;
use crate::host::systemd::transient::{TransientAsked, TransientOutcome};

/// What ending a group may take beyond its deadline and grace, before systemd ends the whole unit.
const SLACK: Duration = Duration::from_secs(30);
/// How long the rest of a finished unit may take to go away.
const FORGET: Duration = Duration::from_secs(30);

impl LocalHost {
    /// Runs a command to its end.
    pub(super) async fn run(&self, asked: &CommandAsked) -> Result<Told, HostError> {
        let Some(effect) = &asked.effect else {
            // A question dies with whoever asks it.
            return Ok(Told::Ran(command::run(asked.clone()).await));
        };
        if let Some(program) = &self.program
            && let Ok(bus) = self.bus().await
        {
            return self.by_systemd(&bus, asked, effect, program).await.map(Told::Ran);
        }
        self.by_child(asked, effect).await.map(Told::Ran)
    }

    /// Lays an order down for somebody else to carry out.
    fn order(&self, asked: &CommandAsked, effect: &Effect) -> Result<(), HostError> {
        let held = self.children.as_ref().and_then(|children| children.path());
        effect
            .lay_down(asked, held)
            .map_err(|why| HostError::refused(effect.unit(), format!("cannot be ordered: {why}")))
    }

    /// By a process of our own that lives on without us. Given up, it ends its command and says so.
    async fn by_child(&self, asked: &CommandAsked, effect: &Effect) -> Result<CommandSeen, HostError> {
        self.order(asked, effect)?;
        let order = effect.order().to_string_lossy().into_owned();
        let within = asked.grace.saturating_add(SLACK);
        let wrapped =
            CommandAsked::new(&[programs::OURSELVES, "effect", &order], asked.deadline.saturating_add(within));
        let patience = Patience { within, stops: Arc::clone(&self.stops) };
        let seen = command::run_with_patience(wrapped, patience).await;
        if let Some(ended) = effect.ended() {
            return Ok(ended);
        }
        let end = match seen.end {
            _ if !effect.was_begun() => {
                let _nobody_can_take_it_now = effect.withdraw();
                let why = seen.stderr.lines().next().unwrap_or_default();
                CommandEnd::NotBegun {
                    why: format!("its order was not taken: {} {why}", seen.end).trim_end().to_owned(),
                }
            }
            // Its end could not be written; the status is the command's.
            CommandEnd::Exited { code } => CommandEnd::Exited { code },
            end => CommandEnd::Unknown { why: format!("whoever carried it out did not end well: {end}") },
        };
        Ok(CommandSeen { end, ..seen })
    }

    async fn by_systemd(
        &self,
        bus: &Arc<Bus>,
        asked: &CommandAsked,
        effect: &Effect,
        program: &Path,
    ) -> Result<CommandSeen, HostError> {
        let unit = effect.unit();
        if matches!(bus.outcome_of(&unit).await, Ok(TransientOutcome::Running)) {
            let why = format!("an earlier attempt of it is still at work; wait for it, or systemctl stop {unit}");
            return Err(HostError::refused(&unit, why));
        }
        drop(bus.forget_transient(&unit, FORGET).await);
        self.order(asked, effect)?;
        let order = effect.order().to_string_lossy().into_owned();
        let transient = TransientAsked {
            argv: vec![program.to_string_lossy().into_owned(), "effect".to_owned(), order],
            ..TransientAsked::watched(unit.clone(), asked.deadline.saturating_add(asked.grace).saturating_add(SLACK))
        };
        let guard = StopUnit { bus: Some(Arc::clone(bus)), unit: unit.clone(), stops: Arc::clone(&self.stops) };
        let outcome = bus.start_transient(&transient).await;
        guard.disarm();
        match outcome {
            Err(error) => {
                let _nobody_can_take_it_now = effect.withdraw();
                Err(self.bus_error(&unit, error).await)
            }
            Ok(outcome) => {
                let seen = conclude(effect, outcome);
                if !matches!(seen.end, CommandEnd::Unknown { .. }) {
                    // The end is kept in a file: systemd need not remember it.
                    drop(bus.forget_transient(&unit, FORGET).await);
                }
                Ok(seen)
            }
        }
    }

    /// Who runs the `pm2` script, as for commands of steps.
    pub(super) async fn run_by(&self) -> RunBy {
        match self.program {
            Some(_) => self.bus().await.map_or_else(|_| self.as_child(), RunBy::systemd),
            None => self.as_child(),
        }
    }

    fn as_child(&self) -> RunBy {
        RunBy::child_with(self.children.clone())
    }

    /// Waits until every unit that was given up has really been ended. Call it before the process leaves.
    pub async fn finish_stops(&self) {
        let stops = std::mem::take(&mut *self.stops.lock().unwrap_or_else(PoisonError::into_inner));
        for stop in stops {
            // Each has its own deadline, and a task that failed has nothing to stop any more.
            drop(stop.await);
        }
    }

    /// What became of an effect that a process before this one has ordered. `by_order`: without an order nothing was begun.
    pub(super) async fn recall(&self, effect: &Effect, by_order: bool) -> Result<Told, HostError> {
        let bus = match self.program {
            Some(_) => self.bus().await.ok(),
            None => None,
        };
        let (seen, trace) = match effect.trace() {
            Trace::AtWork(who) => return Ok(Told::AtWork(who)),
            Trace::Ended(seen) => (Some(seen), Trace::Nothing),
            Trace::NotBegun => (Some(nothing_seen(not_begun("nobody had taken its order"))), Trace::NotBegun),
            Trace::Nothing if by_order => (Some(nothing_seen(not_begun("it was not ordered yet"))), Trace::NotBegun),
            trace @ (Trace::Cut | Trace::Nothing) => (None, trace),
        };
        let Some(bus) = bus else {
            return seen.map(Told::Ran).ok_or_else(|| unknown(effect, &trace));
        };
        let seen = match seen {
            Some(seen) => seen,
            // Whoever carried it out could not say so; its unit may.
            None => match bus.outcome_of(&effect.unit()).await {
                Ok(TransientOutcome::Running) => return Ok(Told::AtWork(effect.unit())),
                Ok(TransientOutcome::Unknown { .. }) => return Err(unknown(effect, &trace)),
                Ok(outcome) => conclude(effect, outcome),
                Err(error) => return Err(HostError::unknown(effect.unit(), error.to_string())),
            },
        };
        // Kept before systemd may forget it.
        if trace == Trace::NotBegun || effect.ended().is_some() || effect.keep(&seen).is_ok() {
            drop(bus.forget_transient(&effect.unit(), FORGET).await);
        }
        Ok(Told::Ran(seen))
    }
}

fn unknown(effect: &Effect, trace: &Trace) -> HostError {
    let why = match trace {
        Trace::Cut => "it was begun, and whoever carried it out is gone without a word",
        _ => "nothing is known of it",
    };
    HostError::unknown(effect.unit(), why)
}

fn not_begun(why: &str) -> CommandEnd {
    CommandEnd::NotBegun { why: why.to_owned() }
}

fn nothing_seen(end: CommandEnd) -> CommandSeen {
    let nothing = Captured::default();
    CommandSeen { end, stdout: nothing.clone(), stderr: nothing, took: Duration::ZERO, left_behind: 0 }
}

/// The command's own end if it is known, else what the end of its unit proves.
fn conclude(effect: &Effect, outcome: TransientOutcome) -> CommandSeen {
    if let Some(seen) = effect.ended() {
        return seen;
    }
    nothing_seen(match outcome {
        _ if effect.withdraw() => not_begun("its unit never took the order"),
        TransientOutcome::NotBegun { result } => not_begun(&format!("systemd could not start it: {result}")),
        TransientOutcome::Exited { hint, .. } if !hint.is_empty() => not_begun(&hint),
        // Its end could not be written; the unit's status is the command's.
        TransientOutcome::Exited { code, .. } => CommandEnd::Exited { code },
        TransientOutcome::Killed { signal } => CommandEnd::Killed { signal },
        TransientOutcome::TimedOut => CommandEnd::TimedOut { forced: true },
        TransientOutcome::Running => CommandEnd::Unknown { why: format!("{} is still running", effect.unit()) },
        TransientOutcome::Unknown { why } => CommandEnd::Unknown { why },
    })
}

/// Has systemd end the unit when nobody waits for it any more: its step's time is over, or the step is cancelled.
struct StopUnit {
    bus: Option<Arc<Bus>>,
    unit: String,
    stops: Stops,
}

impl StopUnit {
    fn disarm(mut self) {
        self.bus = None;
    }
}

impl Drop for StopUnit {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.take() {
            let unit = std::mem::take(&mut self.unit);
            let stop = tokio::spawn(async move { drop(bus.stop(&unit, FORGET).await) });
            self.stops.lock().unwrap_or_else(PoisonError::into_inner).push(stop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_still_lies_there_was_never_begun() {
        let dir = tempfile::tempdir().unwrap();
        let effect = Effect::of(dir.path(), "a/1", 1);
        let killed = || TransientOutcome::Killed { signal: 9 };
        assert_eq!(conclude(&effect, killed()).end, CommandEnd::Killed { signal: 9 });
        effect.lay_down(&CommandAsked::new(&["true"], SLACK), None).unwrap();
        assert!(matches!(conclude(&effect, killed()).end, CommandEnd::NotBegun { .. }));
        effect.lay_down(&CommandAsked::new(&["true"], SLACK), None).unwrap();
        let gone = TransientOutcome::Unknown { why: "forgotten".into() };
        assert!(matches!(conclude(&effect, gone).end, CommandEnd::NotBegun { .. }));
    }

    #[tokio::test]
    async fn what_was_never_ordered_is_known_only_where_orders_are_the_rule() {
        let dir = tempfile::tempdir().unwrap();
        let effect = Effect::of(dir.path(), "a/1", 1);
        let host = LocalHost::new(None);
        assert!(matches!(host.recall(&effect, false).await, Err(HostError::Unknown { .. })));
        let Ok(Told::Ran(seen)) = host.recall(&effect, true).await else { panic!("known") };
        assert!(matches!(seen.end, CommandEnd::NotBegun { .. }));
    }
}

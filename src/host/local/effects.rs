//! Commands of steps on this machine: by PID 1 where it is systemd and we are told to, else as our own children.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::LocalHost;
use crate::host::command::{self, Captured, CommandAsked, CommandEnd, CommandSeen};
use crate::host::deed::Told;
use crate::host::effect::Effect;
use crate::host::pm2::RunBy;
use crate::host::systemd::bus::Bus;
use crate::host::systemd::transient::{TransientAsked, TransientOutcome};
use crate::host::{HostError, clock};

/// What ending a group may take beyond its deadline and grace, before systemd ends the whole unit.
const SLACK: Duration = Duration::from_secs(30);
/// How long the rest of a finished unit may take to go away.
const FORGET: Duration = Duration::from_secs(30);
/// How often a unit of a dead predecessor is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl LocalHost {
    /// Runs a command to its end.
    pub(super) async fn run(&self, asked: &CommandAsked) -> Result<Told, HostError> {
        if let (Some(effect), Some(program)) = (&asked.effect, &self.program)
            && let Ok(bus) = self.bus().await
        {
            return self.by_systemd(&bus, asked, effect, program).await.map(Told::Ran);
        }
        // A question dies with whoever asks it; only an effect is to be seen by a later run.
        let gift = self.children.clone().filter(|_| asked.effect.is_some());
        Ok(Told::Ran(command::run_with(asked.clone(), gift).await))
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
        effect.lay_down(asked).map_err(|error| HostError::refused(&unit, format!("cannot be ordered: {error}")))?;
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
                effect.withdraw();
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

    /// What became of an effect that a process before this one has begun; waits for one that is still at work.
    pub(super) async fn recall(&self, effect: &Effect) -> Result<Told, HostError> {
        let unknown = |why: String| HostError::unknown(effect.unit(), why);
        if self.program.is_none() {
            return Err(unknown("it was no unit of systemd".to_owned()));
        }
        loop {
            let bus = self.bus().await?;
            if let Some(seen) = effect.ended() {
                drop(bus.forget_transient(&effect.unit(), FORGET).await);
                return Ok(Told::Ran(seen));
            }
            match bus.outcome_of(&effect.unit()).await {
                Ok(TransientOutcome::Running) => clock::sleep(LOOK).await,
                Ok(outcome) => {
                    let seen = conclude(effect, outcome);
                    if let CommandEnd::Unknown { why } = seen.end {
                        return Err(unknown(why));
                    }
                    // Kept before systemd may forget it.
                    if effect.keep(&seen).is_ok() {
                        drop(bus.forget_transient(&effect.unit(), FORGET).await);
                    }
                    return Ok(Told::Ran(seen));
                }
                Err(error) => return Err(unknown(error.to_string())),
            }
        }
    }
}

/// Units that are being ended.
pub(super) type Stops = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// The command's own end if it is known, else what the end of its unit proves.
fn conclude(effect: &Effect, outcome: TransientOutcome) -> CommandSeen {
    if let Some(seen) = effect.ended() {
        return seen;
    }
    let not_begun = |why: String| CommandEnd::NotBegun { why };
    let end = match outcome {
        _ if effect.not_begun() => not_begun("its unit never took the order".to_owned()),
        TransientOutcome::NotBegun { result } => not_begun(format!("systemd could not start it: {result}")),
        TransientOutcome::Exited { hint, .. } if !hint.is_empty() => not_begun(hint),
        // Its end could not be written; the unit's status is the command's.
        TransientOutcome::Exited { code, .. } => CommandEnd::Exited { code },
        TransientOutcome::Killed { signal } => CommandEnd::Killed { signal },
        TransientOutcome::TimedOut => CommandEnd::TimedOut { forced: true },
        TransientOutcome::Running => CommandEnd::Unknown { why: format!("{} is still running", effect.unit()) },
        TransientOutcome::Unknown { why } => CommandEnd::Unknown { why },
    };
    let nothing = Captured::default();
    CommandSeen { end, stdout: nothing.clone(), stderr: nothing, took: Duration::ZERO, left_behind: 0 }
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
        let effect = Effect::of(dir.path(), "a/1");
        let killed = || TransientOutcome::Killed { signal: 9 };
        assert_eq!(conclude(&effect, killed()).end, CommandEnd::Killed { signal: 9 });
        effect.lay_down(&CommandAsked::new(&["true"], LOOK)).unwrap();
        assert!(matches!(conclude(&effect, killed()).end, CommandEnd::NotBegun { .. }));
        let gone = TransientOutcome::Unknown { why: "forgotten".into() };
        assert!(matches!(conclude(&effect, gone).end, CommandEnd::NotBegun { .. }));
    }
}

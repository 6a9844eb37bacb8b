//! Deeds on the model: each takes the time that it usually takes, and what it changes is asked for below before it is changed.

use std::time::Duration;

use super::world::World;
use super::{Faults, Model};
use crate::host::command::{Captured, CommandAsked, CommandEnd, CommandSeen};
use crate::host::{Answer, Ask, Deed, HostError, Told};

impl Model<'_> {
    /// Does one deed: its time, its effect, its answer.
    pub(super) async fn act(&self, deed: &Deed) -> Result<Told, HostError> {
        self.clock.stir();
        let (before, after) = effort(deed);
        self.clock.sleep(before).await;
        self.prepare(deed).await?;
        let (told, more) = self.effect(deed)?;
        self.clock.sleep(after + more).await;
        if let Deed::StartUnit(unit) = deed {
            // Others that began to load meanwhile take their share, so it may be loading still.
            while let Some(rest) = self.still_loads(unit) {
                self.clock.sleep(rest).await;
            }
            return self.started(unit);
        }
        Ok(told)
    }

    /// Asks below for everything that the deed changes.
    async fn prepare(&self, deed: &Deed) -> Result<(), HostError> {
        match deed {
            Deed::RewriteAof(at) => self.learn(vec![Ask::Redis(at.clone())]).await,
            Deed::EnableUnit(unit) | Deed::LiftStartTimeout(unit) => self.learn(vec![Ask::Unit(unit.clone())]).await,
            Deed::StartUnit(unit) | Deed::StopUnit(unit) => {
                let instance = self.world.borrow().ties.instance_of(unit).cloned();
                let asks = std::iter::once(Ask::Unit(unit.clone())).chain(instance.map(Ask::Redis));
                self.learn(asks.collect()).await
            }
            Deed::TakeSnapshot { pm2, .. }
            | Deed::StopApp { pm2, .. }
            | Deed::BringApp { pm2, .. }
            | Deed::EndOrphan { pm2, .. } => self.learn(vec![Ask::Pm2(pm2.clone())]).await,
            Deed::SaveList(pm2) | Deed::StartDaemon(pm2) => self.learn(vec![Ask::Pm2(pm2.clone())]).await,
            Deed::GoDown(_) => {
                // What nobody has asked about cannot be shown as changed by the boot; but that is no reason not to boot.
                let ties = self.world.borrow().ties.clone();
                for (at, unit) in ties.redis {
                    drop(self.learn(vec![Ask::Redis(at), Ask::Unit(unit)]).await);
                }
                let units: Vec<String> = self.world.borrow().places().into_iter().filter_map(|at| at.unit).collect();
                for unit in units {
                    drop(self.learn(vec![Ask::Unit(unit)]).await);
                }
                self.learn(vec![Ask::Machine]).await
            }
            Deed::Run(_) | Deed::Recall { .. } | Deed::InstallResume | Deed::RemoveResume => Ok(()),
        }
    }

    /// The effect itself, and how much longer it takes than its kind usually does.
    fn effect(&self, deed: &Deed) -> Result<(Told, Duration), HostError> {
        let now = self.elapsed();
        let mut world = self.world.borrow_mut();
        world.catch_up(now);
        let told = match deed {
            Deed::RewriteAof(at) => world.rewrite(at, now)?,
            Deed::EnableUnit(unit) => world.enable_unit(unit).map(|()| Told::Done)?,
            Deed::LiftStartTimeout(unit) => world.lift_start_timeout(unit).map(|()| Told::Done)?,
            Deed::StartUnit(unit) => return world.start_unit(unit, now).map(|takes| (Told::Done, takes)),
            Deed::StopUnit(unit) => world.stop_unit(unit).map(|()| Told::Done)?,
            Deed::TakeSnapshot { pm2, dir, .. } => world.take_snapshot(pm2, dir)?,
            Deed::StopApp { pm2, id } => world.stop_app(pm2, *id)?,
            Deed::BringApp { pm2, snapshot, app, start } => world.bring_app(pm2, snapshot, app, *start, now)?,
            Deed::EndOrphan { pm2, pid } => world.end_orphan(pm2, *pid),
            Deed::SaveList(pm2) => world.save_list(pm2)?,
            Deed::StartDaemon(pm2) => world.start_daemon(pm2, now)?,
            Deed::Run(asked) => Told::Ran(ran(asked, &world.faults)),
            Deed::Recall { effect, .. } => return Err(HostError::unknown(effect.unit(), "a model keeps no evidence")),
            Deed::InstallResume => resume_faults(&mut world, Vec::new()),
            Deed::RemoveResume => resume_faults(&mut world, vec!["the resume unit is not installed".to_owned()]),
            Deed::GoDown(how) => world.go_down(*how, now),
        };
        Ok((told, Duration::ZERO))
    }

    /// How long the instance of a unit goes on loading; `None` when it does not load.
    fn still_loads(&self, unit: &str) -> Option<Duration> {
        let now = self.elapsed();
        let mut world = self.world.borrow_mut();
        world.catch_up(now);
        let at = world.ties.instance_of(unit)?;
        world
            .loads
            .iter()
            .find(|load| load.at == *at)
            .map(|load| load.ends.saturating_sub(now))
            .filter(|d| !d.is_zero())
    }

    /// A start job is done when the unit is active; one that notifies may have been followed for less than it takes.
    fn started(&self, unit: &str) -> Result<Told, HostError> {
        self.world.borrow_mut().catch_up(self.elapsed());
        match self.world.borrow().facts.unit(unit) {
            Some(seen) if seen.active_state == "active" => Ok(Told::Done),
            seen => Err(HostError::unknown(
                format!("start {unit}"),
                format!("still {}", seen.map_or("unseen", |s| &s.active_state)),
            )),
        }
    }
}

/// How long a deed takes before its effect and after it.
fn effort(deed: &Deed) -> (Duration, Duration) {
    let millis = |before, after| (Duration::from_millis(before), Duration::from_millis(after));
    match deed {
        Deed::RewriteAof(_) | Deed::GoDown(_) => millis(0, 0),
        Deed::StopApp { .. } => millis(200, 100),
        Deed::BringApp { .. } => millis(100, 300),
        Deed::TakeSnapshot { .. } => millis(500, 500),
        Deed::Run(_) => millis(500, 0),
        Deed::EnableUnit(_)
        | Deed::LiftStartTimeout(_)
        | Deed::StartUnit(_)
        | Deed::StopUnit(_)
        | Deed::EndOrphan { .. }
        | Deed::SaveList(_)
        | Deed::StartDaemon(_)
        | Deed::Recall { .. }
        | Deed::InstallResume
        | Deed::RemoveResume => millis(200, 100),
    }
}

fn resume_faults(world: &mut World, faults: Vec<String>) -> Told {
    world.facts.put(Ask::ResumeUnit, Answer::ResumeUnit(faults));
    Told::Done
}

fn ran(asked: &CommandAsked, faults: &Faults) -> CommandSeen {
    let fails = asked.argv.first().is_some_and(|program| faults.commands_fail.contains(program));
    CommandSeen {
        end: CommandEnd::Exited { code: i32::from(fails) },
        stdout: Captured::default(),
        stderr: Captured::default(),
        took: Duration::from_millis(500),
        left_behind: 0,
    }
}

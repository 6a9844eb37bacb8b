//! Another boot than the one in which the run was last at work: by the run's own reboot, or by somebody's hand.
//!
//! What the boot still brings is waited for before anything is judged. What an earlier boot had shown (loads, gates) is shown no
//! more: before the next step it is looked at again. Nothing of this is an effect, so nothing of it is in the journal; a gate that
//! does not hold any more fails the step behind it.
use std::time::Duration;

use super::step::StepEnd;
use super::stop::{Urge, requested};
use super::{ExecuteError, Executor, kept};
use crate::action::{Item, Outcome, Sign};
use crate::host::span::words;
use crate::host::{HostError, Probe};
use crate::journal::checkpoint::StepId;
use crate::runbook::{Runbook, Step};

/// How long a boot may take to bring what belongs to it.
const BOOT_WITHIN: Duration = Duration::from_secs(300);
/// How long a gate of an earlier boot is waited for where its step sets no limit.
const GATE_WITHIN: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// What a boot reaches by mounts and sockets.
const OF_THE_BOOT: [&str; 3] = ["local-fs.target", "remote-fs.target", "sockets.target"];

impl Executor<'_> {
    /// Nobody has to know boot ids by heart: a boot that the run did not ask for is told as that.
    pub(super) fn tell_of_the_boot(&mut self) {
        if self.book.state().waiting_for_reboot().is_none() {
            let text = "The machine was restarted since this run was last at work, and not by the run: what it had waited for \
                        before is looked at again.";
            self.book.talk(text);
        }
    }

    /// Waits until systemd has brought what the boot is about to bring: PM2's daemons, mounts, sockets, platform units. Redis units
    /// load for as long as they load: of them only the start is waited for. What does not come in time is judged by the steps.
    pub(super) async fn wait_for_the_boot(&mut self) {
        let until = self.host.as_probe().uptime() + BOOT_WITHIN;
        let mut told = Vec::new();
        loop {
            let coming = still_coming(self.runbook, self.host.as_probe()).await;
            if coming.is_empty() {
                return;
            }
            let names = coming.join(", ");
            if self.host.as_probe().uptime() >= until {
                self.book.talk(&format!("The boot has not brought {names} within {}; going on.", words(BOOT_WITHIN)));
                return;
            }
            if told != coming {
                self.book.talk(&format!("Waiting for what the boot still brings: {names}."));
                told = coming;
            }
            if self.must_stop().await {
                return;
            }
        }
    }

    /// Lets a moment pass; whether somebody wants the run to stop.
    async fn must_stop(&mut self) -> bool {
        self.stop.ask(requested(&self.run_dir));
        tokio::select! {
            () = self.host.sleep(LOOK) => self.stop.urge() != Urge::None,
            _ = self.stop.more_than(Urge::None) => true,
        }
    }

    /// Loads and gates behind the reboot (or behind the point of no return) that were done in a boot that is over, before a step
    /// that builds on them. `None`: they hold.
    pub(super) async fn gates_of_earlier_boots(
        &mut self,
        step: &Step,
        id: &StepId,
    ) -> Result<Option<StepEnd>, ExecuteError> {
        if self.book.state().boots() < 2 || step.action.waits() {
            return Ok(None);
        }
        let runbook = self.runbook;
        let before = runbook.steps().take_while(|(other, ..)| other != id);
        let from = self.gates_count_from();
        let stale = before.skip(from).filter(|(other, _, gate)| {
            gate.action.kind().is_gate() && self.book.state().done_in_an_earlier_boot(other)
        });
        let stale: Vec<(StepId, &Step)> = stale.map(|(other, _, gate)| (other, gate)).collect();
        self.hold_again(stale, step, id).await
    }

    /// On the way back after another boot, data that are still loading are waited for: the services of the snapshot need them as
    /// on the way forward.
    pub(super) async fn loads_on_the_way_back(
        &mut self,
        step: &Step,
        id: &StepId,
    ) -> Result<Option<StepEnd>, ExecuteError> {
        if self.book.state().boots() < 2 || step.action.restores().is_none() {
            return Ok(None);
        }
        let loads = self.runbook.steps().filter(|(_, _, load)| load.action.kind().awaits_data());
        let loads = loads.map(|(other, _, load)| (other, load)).collect();
        self.hold_again(loads, step, id).await
    }

    /// How many steps lie before those whose gates are of the present time: up to the last reboot, else to the point of no return.
    fn gates_count_from(&self) -> usize {
        let done = |id: &StepId| self.book.state().steps().get(id).is_some_and(|state| state.is_done());
        let reboot = self.runbook.steps().enumerate().filter(|(_, (id, _, step))| step.action.goes_down() && done(id));
        let no_return = self.book.state().opened().and_then(|opened| opened.no_return.clone());
        let point = || self.runbook.steps().position(|(id, ..)| Some(&id) == no_return.as_ref());
        reboot.last().map(|(at, _)| at).or_else(point).unwrap_or(0)
    }

    /// Waits until each holds again; the first that does not fails the step that is next.
    async fn hold_again(
        &mut self,
        gates: Vec<(StepId, &Step)>,
        step: &Step,
        id: &StepId,
    ) -> Result<Option<StepEnd>, ExecuteError> {
        for (other, gate) in gates {
            match self.holds_again(gate, &other).await {
                Again::Holds => {}
                Again::Stopped => return Ok(Some(StepEnd::Stopped)),
                Again::Not(why) => {
                    let why = format!("{other} held before the machine was restarted, and does not now: {why}");
                    return self.open_and_fail(step, id, &why).map(Some);
                }
            }
        }
        Ok(None)
    }

    async fn holds_again(&mut self, gate: &Step, id: &StepId) -> Again {
        let until = self.host.as_probe().uptime() + self.within(gate, id).unwrap_or(GATE_WITHIN);
        let mut told = false;
        // What has held once is not kept as that, because the journal is not told.
        let mut held: Vec<String> = Vec::new();
        loop {
            let item = match self.lacks(gate, id, &held).await {
                Ok(None) => return Again::Holds,
                Ok(Some(item)) => item,
                Err(why) => return Again::Not(why.to_string()),
            };
            let lacks = format!("{}: {}", item.key, item.before);
            if !std::mem::replace(&mut told, true) {
                self.book.talk(&format!("{id} is waited for again, in this boot: {lacks}"));
            }
            let left = until.saturating_sub(self.host.as_probe().uptime());
            if left.is_zero() {
                return Again::Not(lacks);
            }
            if !gate.action.waits() {
                // Its effect is on record: it is not repeated, and the boot may bring the same.
                if self.must_stop().await {
                    return Again::Stopped;
                }
                continue;
            }
            match self.wait_for(gate, id, &item, left).await {
                Some(Outcome::Applied { .. } | Outcome::Leaving) => held.push(item.key),
                Some(Outcome::Failed { why, .. } | Outcome::Unknown { why }) => {
                    return Again::Not(format!("{}: {why}", item.key));
                }
                None if self.stop.urge() != Urge::None => return Again::Stopped,
                None => return Again::Not(lacks),
            }
        }
    }

    /// One item of a wait, which has no effect; `None` when the time is over or somebody wants to stop.
    async fn wait_for(&mut self, gate: &Step, id: &StepId, item: &Item, left: Duration) -> Option<Outcome> {
        let kept = kept(&self.book, id);
        let ground = self.ground(&kept, gate, id);
        let (host, run_dir) = (self.host, &self.run_dir);
        let wait = gate.action.apply(item, host, &ground, &|_| {});
        let asked = async {
            while requested(run_dir) == Urge::None {
                host.sleep(LOOK).await;
            }
        };
        let stop = &self.stop;
        tokio::select! {
            outcome = wait => Some(outcome),
            () = host.sleep(left) => None,
            () = asked => { stop.ask(requested(run_dir)); None }
            _ = stop.more_than(Urge::None) => None,
        }
    }

    /// The first thing that a gate lacks now; what only a process could tell has been asked once.
    async fn lacks(&self, gate: &Step, id: &StepId, held: &[String]) -> Result<Option<Item>, HostError> {
        let left = self.look(gate, id).await?.change.items;
        let counts = |item: &Item| !item.optional && item.sign != Sign::Unknown && !held.contains(&item.key);
        Ok(left.into_iter().find(counts))
    }
}

/// Whether a gate of an earlier boot holds in this one.
enum Again {
    Holds,
    Stopped,
    Not(String),
}

/// The units that systemd is about to bring.
async fn still_coming(runbook: &Runbook, on: &dyn Probe) -> Vec<String> {
    let redis: Vec<&str> = runbook.inventory.redis.values().filter_map(|one| one.unit.as_deref()).collect();
    let declared = runbook.inventory.units_of(None).into_iter().map(|known| known.unit.to_owned());
    let mut coming = Vec::new();
    for unit in OF_THE_BOOT.iter().map(|&unit| unit.to_owned()).chain(declared) {
        let Ok(seen) = on.unit(&unit).await else { continue };
        let begun = seen.active_state == "activating";
        if seen.is_on_its_way() && !(begun && redis.contains(&unit.as_str())) {
            coming.push(unit);
        }
    }
    coming
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::model::{Model, sample};
    use crate::host::{Answer, Ask};
    use crate::runbook::load;

    #[tokio::test]
    async fn a_boot_still_brings_what_has_a_job_and_a_redis_that_loads_is_not_waited_for() {
        let yaml = "version: 1\nname: b\nhosts: [h]\nredis:\n  a: { url: \"redis://127.0.0.1:1\", unit: a.service }\n\
                    \x20 b: { url: \"redis://127.0.0.1:2\", unit: b.service }\nunits:\n  u: { units: [up.service, gone.service] }\n\
                    pm2:\n  p: { user: x, home: /h, unit: pm2.service }\n\
                    phases:\n  - name: s\n    steps:\n      - units_active: {}\n        within: 1m\n";
        let runbook = load(yaml, "b.yaml").unwrap_or_else(|found| panic!("{found:#?}")).runbook;
        let mut facts = sample::small();
        for (name, state, job) in [
            ("local-fs.target", "active", 0),
            ("remote-fs.target", "inactive", 4),
            ("a.service", "activating", 5),
            ("b.service", "inactive", 6),
            ("pm2.service", "activating", 7),
            ("up.service", "active", 0),
            ("gone.service", "failed", 0),
        ] {
            let mut unit = sample::unit(name, true, true);
            (unit.active_state, unit.job) = (state.into(), job);
            facts.put(Ask::Unit(name.into()), Answer::Unit(Box::new(unit)));
        }
        let coming = still_coming(&runbook, &Model::of(facts)).await;
        assert_eq!(coming, ["remote-fs.target", "b.service", "pm2.service"]);
    }
}

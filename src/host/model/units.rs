//! systemd on the model: enabling, starting and stopping, with the neighbour that a unit runs.

use std::time::Duration;

use super::world::World;
use crate::host::HostError;
use crate::host::systemd::boot::boot_verdict;

/// How long a unit that only starts a program is in starting.
const USUAL: Duration = Duration::from_millis(300);

impl World {
    pub(super) fn enable_unit(&mut self, name: &str) -> Result<(), HostError> {
        let unit = self.loaded_unit(name)?;
        unit.unit_file_state = "enabled".into();
        Ok(())
    }

    pub(super) fn lift_start_timeout(&mut self, name: &str) -> Result<(), HostError> {
        let unit = self.loaded_unit(name)?;
        unit.start_timeout = None;
        let drop_in = format!("/etc/systemd/system/{name}.d/50-runbook.conf");
        if !unit.drop_in_paths.contains(&drop_in) {
            unit.drop_in_paths.push(drop_in);
        }
        Ok(())
    }

    fn loaded_unit(&mut self, name: &str) -> Result<&mut crate::host::systemd::UnitSeen, HostError> {
        let Some(unit) = self.unit_mut(name) else {
            return Err(HostError::unreachable(name, "not known to the model"));
        };
        match unit.load_state.as_str() {
            "loaded" => Ok(unit),
            state => Err(HostError::refused(name, format!("the unit is {state}"))),
        }
    }

    /// Starts a unit and says how long it will be in starting.
    pub(super) fn start_unit(&mut self, name: &str, now: Duration) -> Result<Duration, HostError> {
        let (pid, wall) = (self.new_pid(), self.wall(now));
        let unit = self.loaded_unit(name)?;
        if unit.active_state == "active" {
            return Ok(Duration::ZERO);
        }
        let notifies = unit.service_type.starts_with("notify");
        unit.result = "success".into();
        unit.main_pid = pid;
        unit.active_enter = Some(wall);
        unit.main_started = Some(wall);
        unit.invocation_id = super::boot::made_up_id(&unit.invocation_id, &pid.to_string(), 32);
        let instance = self.ties.instance_of(name).cloned();
        let mut takes = USUAL;
        if let Some(at) = &instance {
            let load = self.start_instance(at, now);
            let pid =
                self.facts.redis(at).and_then(|seen| seen.facts.as_ref()).and_then(|facts| facts.server.process_id);
            if let (Some(pid), Some(unit)) = (pid, self.unit_mut(name)) {
                unit.main_pid = pid;
            }
            if notifies && !load.is_zero() {
                takes = load;
                self.set_active(name, "activating", "start");
                return Ok(takes);
            }
        }
        for at in self.places().into_iter().filter(|at| at.unit.as_deref() == Some(name)) {
            self.resurrect(&at, now);
        }
        self.set_active(name, "active", "running");
        Ok(takes)
    }

    pub(super) fn stop_unit(&mut self, name: &str) -> Result<(), HostError> {
        if self.unit_mut(name).is_none() {
            return Err(HostError::unreachable(name, "not known to the model"));
        }
        self.end_unit(name);
        Ok(())
    }

    /// The unit and what it runs are gone.
    pub(super) fn end_unit(&mut self, name: &str) {
        if let Some(at) = self.ties.instance_of(name).cloned() {
            self.end_instance(&at);
        }
        for at in self.places().into_iter().filter(|at| at.unit.as_deref() == Some(name)) {
            self.end_daemon(&at);
        }
        self.set_active(name, "inactive", "dead");
    }

    pub(super) fn set_active(&mut self, name: &str, state: &str, sub: &str) {
        let Some(unit) = self.unit_mut(name) else { return };
        unit.active_state = state.into();
        unit.sub_state = sub.into();
        if state == "inactive" {
            unit.main_pid = 0;
            unit.n_restarts = 0;
        }
    }

    /// Whether a boot starts a unit; one that is not known is taken to come back.
    pub(super) fn starts_at_boot(&self, name: &str) -> bool {
        self.facts.unit(name).is_none_or(|unit| boot_verdict(unit).starts())
    }
}

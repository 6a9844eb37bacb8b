//! One unit as systemd sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bus::{Bus, SystemdError};
use super::properties::Bag;
use super::proxies::PropertiesProxy;
use super::unit_name::{self, NameKind};
use crate::host::foreign::Shown;
use crate::host::redis::of_arguments;

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// One look at a unit: properties of org.freedesktop.systemd1.Unit and .Service under the names of the manual.
/// Empty texts mean what they mean there: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSeen {
    /// The name that was asked for.
    pub asked: String,
    /// The canonical name; differs from `asked` for an alias.
    pub id: String,
    /// `Description=`, foreign text.
    pub description: Shown,
    /// loaded, not-found, bad-setting, error, masked; `template` (our word) for a bare template.
    pub load_state: String,
    /// What `load_state` complains about.
    pub load_error: Shown,
    /// enabled, disabled, static, masked, alias, generated...: of `asked`, not of `id`.
    pub unit_file_state: String,
    /// active, reloading, inactive, failed, activating, deactivating.
    pub active_state: String,
    /// The finer state, as `auto-restart`.
    pub sub_state: String,
    /// success, or how the last run failed: exit-code, timeout, start-limit-hit...
    pub result: String,
    /// `Type=` of a service.
    pub service_type: String,
    /// Main process, 0 when none.
    pub main_pid: u32,
    /// Automatic restarts since it was started by hand.
    pub n_restarts: u32,
    /// `TimeoutStartSec=`; `None` is infinity (and for units that are no services).
    pub start_timeout: Option<Duration>,
    /// `TimeoutStopSec=`; `None` is infinity: such a unit can hold up a shutdown for ever.
    pub stop_timeout: Option<Duration>,
    /// `Restart=`.
    pub restart: String,
    /// The number of the job that systemd has queued or works on for it; 0 when none.
    #[serde(default, skip_serializing_if = "no_job")]
    pub job: u32,
    /// The unit file.
    pub fragment_path: String,
    /// Drop-ins on top of it.
    pub drop_in_paths: Vec<String>,
    /// The files on disk are newer than what systemd has read.
    pub need_daemon_reload: bool,
    /// Sockets, timers and paths that start it again after a stop.
    pub triggered_by: Vec<String>,
    /// Units that want or require it, as far as they are loaded.
    pub wanted_by: Vec<String>,
    /// New with every start.
    pub invocation_id: String,
    /// When it last became active (wall clock).
    pub active_enter: Option<Timestamp>,
    /// When the main process was last started; with `active_enter` it is the load time of a notifying server.
    #[serde(default)]
    pub main_started: Option<Timestamp>,
    /// Programs of `ExecStart=`, without arguments: those may hold secrets.
    pub exec_start: Vec<String>,
    /// Settings that the arguments of a Redis server give; of a password only that there is one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redis_settings: BTreeMap<String, String>,
}

fn no_job(job: &u32) -> bool {
    *job == 0
}

impl UnitSeen {
    /// It does not run and nobody is about to start it: no job is queued for it, systemd does not wait to restart it, and no
    /// socket, timer or path stands by to do so.
    #[must_use]
    pub fn is_left_down(&self) -> bool {
        let down = matches!(self.active_state.as_str(), "failed" | "inactive");
        // A pause before `Restart=` is called activating; newer versions have states beside it that are not.
        let restarts = self.sub_state.contains("auto-restart");
        down && self.job == 0 && !restarts && self.triggered_by.is_empty()
    }

    /// systemd works on its start, or has it in its queue.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        self.active_state == "activating" || (self.job != 0 && self.active_state != "active")
    }
}

impl Bus {
    /// Looks at a unit. A unit that does not exist is an answer (`load_state` not-found), not an error. systemd loads
    /// the unit's file for this if it has not; nothing is started.
    ///
    /// # Errors
    /// [`SystemdError`]: bad name, no bus, no permission, no reply.
    pub async fn unit(&self, asked: &str) -> Result<UnitSeen, SystemdError> {
        let what = format!("look at {asked}");
        let name_kind = unit_name::kind(asked)?;
        let file_state = self.unit_file_state(asked).await?;
        if name_kind == NameKind::Template {
            let load_state = if file_state.is_empty() { "not-found" } else { "template" };
            return Ok(seen(asked, load_state.to_owned(), file_state, &Bag::default(), &Bag::default()));
        }
        let systemd = self.systemd().await?;
        let path = self.call(&what, systemd.load_unit(asked)).await?;
        let properties = PropertiesProxy::builder(&self.connection).path(path).build();
        let properties = self.call(&what, properties).await?;
        let unit = Bag(self.call(&what, properties.get_all(UNIT)).await?);
        let service = if asked.ends_with(".service") {
            Bag(self.call(&what, properties.get_all(SERVICE)).await?)
        } else {
            Bag::default()
        };
        let file_state = if file_state.is_empty() { unit.text("UnitFileState") } else { file_state };
        Ok(seen(asked, unit.text("LoadState"), file_state, &unit, &service))
    }

    /// The state of the unit file itself, "" when there is none. Of an alias this is `alias`, while the property of
    /// the loaded unit speaks of the canonical name.
    pub(super) async fn unit_file_state(&self, name: &str) -> Result<String, SystemdError> {
        let systemd = self.systemd().await?;
        match self.call(&format!("look at {name}"), systemd.get_unit_file_state(name)).await {
            Ok(state) => Ok(crate::host::foreign::named(&state, 64)),
            // Scopes, devices and generated oddities have no file; old versions say so in several ways.
            Err(SystemdError::NoSuchUnit { .. } | SystemdError::Refused { .. }) => Ok(String::new()),
            Err(other) => Err(other),
        }
    }
}

fn seen(asked: &str, load_state: String, unit_file_state: String, unit: &Bag, service: &Bag) -> UnitSeen {
    let id = unit.text("Id");
    let wanted_by = ["WantedBy", "RequiredBy", "UpheldBy"].iter().flat_map(|key| unit.list(key)).collect();
    UnitSeen {
        asked: asked.to_owned(),
        id: if id.is_empty() { asked.to_owned() } else { id },
        description: unit.said("Description"),
        load_state,
        load_error: unit.last_text("LoadError"),
        unit_file_state,
        active_state: unit.text("ActiveState"),
        sub_state: unit.text("SubState"),
        result: service.text("Result"),
        service_type: service.text("Type"),
        main_pid: service.small("MainPID").unwrap_or(0),
        n_restarts: service.small("NRestarts").unwrap_or(0),
        start_timeout: service.span("TimeoutStartUSec"),
        stop_timeout: service.span("TimeoutStopUSec"),
        restart: service.text("Restart"),
        job: unit.first_number("Job"),
        fragment_path: unit.text("FragmentPath"),
        drop_in_paths: unit.list("DropInPaths"),
        need_daemon_reload: unit.flag("NeedDaemonReload"),
        triggered_by: unit.list("TriggeredBy"),
        wanted_by,
        invocation_id: unit.hex("InvocationID"),
        active_enter: unit.wall("ActiveEnterTimestamp"),
        main_started: service.wall("ExecMainStartTimestamp"),
        exec_start: service.first_texts("ExecStart"),
        redis_settings: redis_settings(&service.arguments("ExecStart")),
    }
}

/// What the arguments of the unit's Redis server say; nothing for every other program.
fn redis_settings(programs: &[Vec<String>]) -> BTreeMap<String, String> {
    let serves = |argv: &&Vec<String>| {
        let name = argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or_default());
        ["redis", "valkey", "keydb"].iter().any(|known| name.contains(known))
    };
    programs.iter().find(serves).map(|argv| of_arguments(argv)).unwrap_or_default()
}

#[cfg(test)]
impl UnitSeen {
    /// A loaded, enabled, running service, for tables of tests.
    pub(super) fn sample(asked: &str) -> Self {
        let mut unit = seen(asked, "loaded".into(), "enabled".into(), &Bag::default(), &Bag::default());
        unit.active_state = "active".into();
        unit
    }
}

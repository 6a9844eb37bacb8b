//! PM2 on the model: apps that stop, start, crash over and over, and the dump that a boot resurrects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::course::Faults;
use super::world::{Happening, World};
use crate::host::pm2::{
    AbsentWhy, App, AppKey, DaemonSeen, DaemonUp, DumpEntry, DumpSeen, Exit, Pm2At, Pm2Seen, SnapshotRef, Status,
    snapshot,
};
use crate::host::{HostError, Told};

/// From one crash to the next.
const CRASHES_EVERY: Duration = Duration::from_millis(400);
/// Restarts after which PM2 gives up (its `max_restarts`).
const GIVES_UP_AFTER: u32 = 16;

impl World {
    /// The daemon's list of `at`, or why there is none.
    fn listing(&mut self, at: &Pm2At) -> Result<&mut Pm2Seen, HostError> {
        let about = format!("pm2 of {}", at.whose());
        match self.pm2_mut(at) {
            Some(seen) if seen.up().is_some() => Ok(seen),
            Some(_) => Err(HostError::unreachable(about, "no daemon is running")),
            None => Err(HostError::unreachable(about, "not known to the model")),
        }
    }

    pub(super) fn take_snapshot(&mut self, at: &Pm2At, dir: &Path) -> Result<Told, HostError> {
        let seen = self.listing(at)?;
        let version = seen.up().map(|up| up.version.clone()).unwrap_or_default();
        let dump_copied = matches!(seen.dump, DumpSeen::Read { .. });
        let apps: Vec<App> = seen.apps.iter().filter(|app| !app.module).cloned().collect();
        if apps.is_empty() {
            return Err(HostError::refused(format!("snapshot of {}", at.whose()), "the list is empty"));
        }
        // Made up, but the same for the same list: a hash of what the file would say.
        let sha256 = hex::encode(Sha256::digest(serde_json::to_vec(&apps).unwrap_or_default()));
        let path = dir.join(snapshot::FILE);
        let shared = Arc::new(apps.clone());
        self.know(at, Arc::clone(&shared));
        self.snapshots.push((path.clone(), sha256.clone(), shared));
        let (warnings, taken_ms) = (Vec::new(), None);
        Ok(Told::Snapshot(SnapshotRef { path, sha256, apps, version, dump_copied, warnings, taken_ms }))
    }

    pub(super) fn stop_app(&mut self, at: &Pm2At, id: u32) -> Result<Told, HostError> {
        let Some(app) = self.listing(at)?.apps.iter_mut().find(|app| app.pm_id == Some(id)) else {
            return Ok(Told::Done);
        };
        app.status = Status::Stopped;
        app.pid = None;
        app.backoff = None;
        app.exit_code = Some(Exit::Code(0));
        let key = app.key.clone();
        self.due.retain(|due| !matches!(&due.what, Happening::Crashed { pm2, app, .. } if pm2 == at && *app == key));
        Ok(Told::Done)
    }

    pub(super) fn bring_app(
        &mut self,
        at: &Pm2At,
        snapshot: &SnapshotRef,
        key: &AppKey,
        start: bool,
        now: Duration,
    ) -> Result<Told, HostError> {
        let about = format!("pm2 app {}", key.name);
        let Some(saved) = snapshot.apps.iter().find(|app| app.key == *key).cloned() else {
            return Err(HostError::refused(about, "it is not in the snapshot"));
        };
        let wall = self.wall(now).as_millisecond();
        let pid = self.new_pid();
        let seen = self.listing(at)?;
        if !seen.apps.iter().any(|app| app.key == *key) {
            let id = seen.apps.iter().filter_map(|app| app.pm_id).max().map_or(0, |id| id + 1);
            let fresh = App {
                pm_id: Some(id),
                status: Status::Stopped,
                pid: None,
                restarts: 0,
                unstable: 0,
                exit_code: None,
                ..saved
            };
            seen.apps.push(App { created_at: Some(wall), ..fresh });
        }
        let Some(app) = seen.apps.iter_mut().find(|app| app.key == *key).filter(|_| start) else {
            return Ok(Told::Done);
        };
        app.status = Status::Online;
        app.pid = Some(pid);
        app.uptime_started = Some(wall);
        if Faults::names(&self.faults.lost_apps, &key.name) {
            let crash = Happening::Crashed { pm2: at.clone(), app: key.clone(), more: GIVES_UP_AFTER };
            self.plan(now, CRASHES_EVERY, crash);
        }
        Ok(Told::Done)
    }

    pub(super) fn end_orphan(&mut self, at: &Pm2At, pid: u32) -> Told {
        if let Some(seen) = self.pm2_mut(at) {
            seen.orphans.retain(|orphan| orphan.pid != pid);
        }
        Told::Done
    }

    /// The app ended; the daemon starts it anew until it has had enough.
    pub(super) fn crashed(&mut self, at: &Pm2At, key: &AppKey, more: u32, now: Duration) {
        let pid = self.new_pid();
        let Ok(seen) = self.listing(at) else { return };
        let Some(app) = seen.apps.iter_mut().find(|app| app.key == *key) else {
            return;
        };
        app.exit_code = Some(Exit::Code(1));
        if more == 0 {
            (app.status, app.pid) = (Status::Errored, None);
            return;
        }
        app.restarts += 1;
        app.unstable += 1;
        app.pid = Some(pid);
        self.plan(now, CRASHES_EVERY, Happening::Crashed { pm2: at.clone(), app: key.clone(), more: more - 1 });
    }

    pub(super) fn save_list(&mut self, at: &Pm2At) -> Result<Told, HostError> {
        let seen = self.listing(at)?;
        let apps: Vec<App> = seen.apps.iter().filter(|app| !app.module).cloned().collect();
        let entry = |app: &App| DumpEntry {
            namespace: app.key.namespace.clone(),
            name: app.key.name.clone(),
            status: app.status.clone(),
        };
        seen.dump = DumpSeen::Read { entries: apps.iter().map(entry).collect() };
        self.know(at, Arc::new(apps));
        Ok(Told::Done)
    }

    pub(super) fn start_daemon(&mut self, at: &Pm2At, now: Duration) -> Result<Told, HostError> {
        if self.listing(at).is_err() {
            self.resurrect(at, now);
            // Unlike a unit's `resurrect`, a bare daemon begins with an empty list.
            self.listing(at)?.apps.clear();
        }
        Ok(Told::Done)
    }

    /// Remembers what the apps of a place are, for the time when only names are left.
    fn know(&mut self, at: &Pm2At, apps: Arc<Vec<App>>) {
        self.recipes.retain(|(known, _)| known != at);
        self.recipes.push((at.clone(), apps));
    }

    /// The daemon and its apps are gone.
    pub(super) fn end_daemon(&mut self, at: &Pm2At) {
        self.due.retain(|due| !matches!(&due.what, Happening::Crashed { pm2, .. } if pm2 == at));
        let Some(seen) = self.pm2_mut(at) else { return };
        let apps: Vec<App> = std::mem::take(&mut seen.apps);
        seen.twins.clear();
        seen.orphans.clear();
        let was = std::mem::replace(&mut seen.daemon, DaemonSeen::Absent { why: AbsentWhy::NoSocket });
        if let DaemonSeen::Up(up) = was {
            self.daemons.retain(|(known, _)| known != at);
            self.daemons.push((at.clone(), *up));
            let known = self.recipes.iter().any(|(place, known)| place == at && known.len() >= apps.len());
            if !known {
                self.know(at, Arc::new(apps));
            }
        }
    }

    /// The daemon comes up with the apps of its dump, each as it was saved.
    pub(super) fn resurrect(&mut self, at: &Pm2At, now: Duration) {
        if self.listing(at).is_ok() {
            return;
        }
        let Some(entries) = self.pm2_mut(at).map(|seen| seen.dump.entries().to_vec()) else {
            return;
        };
        let mut known =
            self.recipes.iter().find(|(place, _)| place == at).map(|(_, apps)| apps.to_vec()).unwrap_or_default();
        let wall = self.wall(now).as_millisecond();
        let mut apps: Vec<App> = known.extract_if(.., |app| app.module).collect();
        for entry in entries {
            let Some(index) =
                known.iter().position(|app| app.key.name == entry.name && app.key.namespace == entry.namespace)
            else {
                continue;
            };
            let runs =
                matches!(entry.status, Status::Online | Status::Launching | Status::OneLaunch | Status::WaitingRestart);
            apps.push(App { status: if runs { Status::Online } else { Status::Stopped }, ..known.remove(index) });
        }
        for (id, app) in (0..).zip(&mut apps) {
            app.pm_id = Some(id);
            (app.restarts, app.unstable, app.exit_code) = (0, 0, None);
            app.pid = (app.status == Status::Online).then(|| self.new_pid());
            (app.created_at, app.uptime_started) = (Some(wall), app.pid.map(|_| wall));
        }
        let daemon = DaemonUp { pid: Some(self.new_pid()), ..self.daemon_of(at) };
        if let Some(seen) = self.pm2_mut(at) {
            (seen.daemon, seen.apps) = (DaemonSeen::Up(Box::new(daemon)), apps);
        }
    }

    fn daemon_of(&self, at: &Pm2At) -> DaemonUp {
        let known = self.daemons.iter().find(|(place, _)| place == at).map(|(_, up)| up.clone());
        known.unwrap_or_else(|| DaemonUp {
            version: "6.0.8".into(),
            pid: None,
            uid: 1_000,
            node: "v20.0.0".into(),
            node_path: None,
            cli: at.cli.clone(),
            argv1: "/usr/lib/node_modules/pm2/lib/Daemon.js".into(),
            cgroup: at.unit.as_ref().map(|unit| format!("/system.slice/{unit}")),
            probed: false,
        })
    }
}

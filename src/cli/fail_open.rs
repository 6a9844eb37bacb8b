//! `runbook resume --fail-open`: the last resort after the boot, when the run itself cannot go on. A host that is down is worse
//! than one restored without checks: everything that the snapshots want online is started, and people are told.
//!
//! It trusts as little as possible: the journal may be damaged, so snapshots are looked for as files. Units come first, then
//! apps; whatever fails is named and left behind.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;

use super::resume::tell_people;
use super::run::hold;
use super::site::identity;
use super::{Desk, Exit, Failure};
use crate::action::process_list::{self, label};
use crate::host::foreign::named;
use crate::host::local::LocalHost;
use crate::host::pm2::snapshot::FILE;
use crate::host::pm2::{AppKey, Pm2At, SnapshotRef, Wanted, snapshot, wanted};
use crate::host::systemd::resume_unit::sha256_of;
use crate::host::{Deed, Host, HostError};
use crate::journal::store::{RunId, Store};
use crate::report;
use crate::runbook::{Runbook, load_bytes};

/// Apps that start side by side: enough to be quick, few enough for a host that has just booted.
const AT_ONCE: usize = 4;

/// Between two looks at a daemon that does not answer.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// What was tried and what came of it.
#[derive(Debug, Default)]
struct Tally {
    apps: usize,
    /// Units, and daemons without one.
    units: usize,
    trouble: Vec<String>,
}

pub(super) async fn call(desk: &Desk, run: Option<&str>) -> Result<Exit, Failure> {
    let store = desk.site.store()?;
    let Some(id) = meant(desk, &store, run)? else {
        desk.screen.alert("no run is unfinished; nothing is opened\n");
        return Ok(Exit::Done);
    };
    // Whoever holds the host is working on it: then nothing is opened behind its back.
    let _lock = hold(&desk.site, &identity()?, id.as_str())?;
    let dir = store.dir(&id)?.path().to_owned();
    let runbook = frozen(&store, &id);
    let host = LocalHost::new(None).with_effects(desk.site.effects());
    let mut tally = Tally::default();
    if let Some(runbook) = &runbook {
        start_units(&host, runbook, &mut tally).await;
    }
    // Side by side: a place whose daemon hangs keeps nobody else's apps down.
    let paths = snapshots(&dir);
    for one in join_all(paths.iter().map(|path| restore(&host, runbook.as_ref(), path))).await {
        tally.apps += one.apps;
        tally.units += one.units;
        tally.trouble.extend(one.trouble);
    }
    let (fate, next) = match store.aside(&id) {
        Some(note) => {
            let who = named(&note.who, 64);
            (format!("run {id} was set aside by {who}, and somebody asked to open it"), format!("journal show {id}"))
        }
        None => (format!("run {id} did not go on"), "status".to_owned()),
    };
    let exit = if tally.trouble.is_empty() { Exit::Done } else { Exit::Failed };
    let text = format!(
        "{fate}: everything that was online was started WITHOUT any check: {} apps, {} units and daemons; {} not.\n{}\n\
         Check data and roles now. Next:\n  {}\n  {}",
        tally.apps,
        tally.units,
        tally.trouble.len(),
        tally.trouble.iter().take(10).cloned().collect::<Vec<_>>().join("\n"),
        report::call(&next),
        report::call("doctor"),
    );
    desk.screen.alert(&format!("{text}\n"));
    tell_people(desk, &text).await;
    Ok(exit)
}

/// The unfinished run, or one that was set aside and is named: its snapshot is as good as it was.
fn meant(desk: &Desk, store: &Store, named: Option<&str>) -> Result<Option<RunId>, Failure> {
    let aside = named.and_then(RunId::parse).filter(|id| store.aside(id).is_some());
    if aside.is_some() { Ok(aside) } else { desk.site.unfinished(store, named) }
}

/// The runbook of the run, as far as it can still be read: a hash that does not match is no reason to stay down.
fn frozen(store: &Store, id: &RunId) -> Option<Runbook> {
    let bytes = store.dir(id).ok()?.read("runbook.yaml").ok()?;
    load_bytes(&bytes, "runbook.yaml").ok().map(|loaded| loaded.runbook)
}

/// Snapshot files of the run, one per PM2 place.
fn snapshots(run_dir: &Path) -> Vec<PathBuf> {
    let Ok(places) = std::fs::read_dir(run_dir.join("snapshot")) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = places.filter_map(Result::ok).map(|place| place.path().join(FILE)).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

async fn start_units(host: &LocalHost, runbook: &Runbook, tally: &mut Tally) {
    let units = runbook.inventory.units_of(None);
    let deeds: Vec<Deed> = units.iter().map(|known| Deed::StartUnit(known.unit.to_owned())).collect();
    for (known, told) in units.iter().zip(join_all(deeds.iter().map(|deed| host.tell(deed))).await) {
        let came = tally.came(known.unit, told.map(drop));
        tally.units += came;
    }
}

async fn restore(host: &LocalHost, runbook: Option<&Runbook>, path: &Path) -> Tally {
    let mut tally = Tally::default();
    let about = path.display().to_string();
    let opened = sha256_of(path).map_err(|error| error.to_string()).and_then(|sha256| {
        let saved = snapshot::open(path, &sha256).map_err(|error| error.to_string())?;
        Ok((saved, sha256))
    });
    let (saved, sha256) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            tally.trouble.push(format!("{about}: {why}"));
            return tally;
        }
    };
    let at = place(runbook, path).unwrap_or_else(|| saved.at());
    let reference = Arc::new(SnapshotRef {
        path: path.to_owned(),
        sha256,
        apps: saved.apps().to_vec(),
        version: saved.version().to_owned(),
        dump_copied: false,
        warnings: Vec::new(),
        taken_ms: None,
    });
    let daemon = at.unit.clone().map_or_else(|| Deed::StartDaemon(at.clone()), Deed::StartUnit);
    let came = tally.came("PM2", host.tell(&daemon).await.map(drop));
    tally.units += came;
    if let Err(error) = answers(host, &at).await {
        let wanted = saved.apps().iter().filter(|app| wanted(app) == Some(Wanted::Online)).count();
        tally.trouble.push(format!("{wanted} apps are down, their daemon does not answer: {error}"));
        return tally;
    }
    let online = saved.apps().iter().filter(|app| wanted(app) == Some(Wanted::Online)).map(|app| app.key.clone());
    let (at, reference) = (&at, &reference);
    let brought = futures_util::stream::iter(online.map(|app| bring(host, at, reference, app)));
    let brought: Vec<_> = brought.buffer_unordered(AT_ONCE).collect().await;
    for (app, told) in brought {
        let came = tally.came(&label(&app), told);
        tally.apps += came;
    }
    // PM2's own list still says that everything is stopped; the next boot must not believe it.
    if let Err(error) = host.tell(&Deed::SaveList(at.clone())).await {
        tally.trouble.push(format!("pm2 save of {}: {error}", at.whose()));
    }
    tally
}

/// Whether a daemon lists its apps. One that has just come up may take a moment.
async fn answers(host: &LocalHost, at: &Pm2At) -> Result<(), HostError> {
    let mut last = host.as_probe().pm2_list(at).await.map(drop);
    for _ in 0..2 {
        if last.is_ok() {
            break;
        }
        host.sleep(BETWEEN_LOOKS).await;
        last = host.as_probe().pm2_list(at).await.map(drop);
    }
    last
}

async fn bring(
    host: &LocalHost,
    at: &Pm2At,
    snapshot: &Arc<SnapshotRef>,
    app: AppKey,
) -> (AppKey, Result<(), HostError>) {
    let deed = Deed::BringApp { pm2: at.clone(), snapshot: Arc::clone(snapshot), app: app.clone(), start: true };
    let told = host.tell(&deed).await.map(drop);
    (app, told)
}

/// The place as the runbook declares it; its snapshot lies in a directory of its name.
fn place(runbook: Option<&Runbook>, path: &Path) -> Option<Pm2At> {
    let name = path.parent()?.file_name()?.to_str()?;
    runbook?.inventory.pm2.get(name).map(process_list::at)
}

impl Tally {
    /// One if it did, and why not otherwise.
    fn came(&mut self, about: &str, told: Result<(), HostError>) -> usize {
        if let Err(error) = &told {
            self.trouble.push(format!("{about}: {error}"));
        }
        usize::from(told.is_ok())
    }
}

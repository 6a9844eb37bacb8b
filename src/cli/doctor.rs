//! `runbook doctor`: what a run would find missing on this host, said beforehand. Read-only.
use clap::Args;
use futures_util::future::join_all;

use super::ask_to_stop::at_work;
use super::source::read;
use super::{Desk, Exit, Failure, check};
use crate::action::process_list;
use crate::host::disk::{DiskKind, disk};
use crate::host::local::LocalHost;
use crate::host::machine::{self, MachineSeen};
use crate::host::pm2::{DaemonSeen, Pm2Seen, RunningDaemon, Support, every_daemon};
use crate::host::redis::RedisSeen;
use crate::host::span::{count, listed};
use crate::host::{Answer, Ask, HostError, Probe, clock};
use crate::report::{Diagnosed, Typed, call, commands_are_of, diagnosis};
use crate::runbook::Runbook;

/// What to look at besides the host itself.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Also ask everything that this runbook names
    name: Option<String>,
}

impl Doctor {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let host = LocalHost::new(None);
        let seen = machine::look();
        let mut all = machine_findings(&seen);
        all.push(bus(&host).await);
        all.push(state_place(desk));
        all.extend(runs(desk));
        if let Some(name) = &self.name {
            commands_are_of(Typed { runbook: name.clone(), ..Typed::default() });
            let loaded = check::load(desk, &read(&desk.site, name, true)?)?;
            all.extend(named(&host, &loaded.runbook).await);
            all.extend(other_daemons(Some(&loaded.runbook)));
        } else {
            all.extend(other_daemons(None));
        }
        desk.screen.result(&diagnosis(&all, &desk.screen.streams.result.style));
        Ok(if all.iter().all(|one| one.cure.is_none() || one.advice) { Exit::Done } else { Exit::Refused })
    }
}

fn finding(about: &str, fine: bool, seen: impl Into<String>, cure: &str) -> Diagnosed {
    Diagnosed { about: about.to_owned(), cure: (!fine).then(|| cure.to_owned()), seen: seen.into(), advice: false }
}

fn note(about: &str, seen: impl Into<String>, cure: &str) -> Diagnosed {
    Diagnosed { about: about.to_owned(), cure: Some(cure.to_owned()), seen: seen.into(), advice: true }
}

fn machine_findings(seen: &MachineSeen) -> Vec<Diagnosed> {
    let init = seen.init.clone().unwrap_or_else(|| "unknown".into());
    let known = seen.boot_id.is_some() && seen.machine_id.is_some();
    let text = format!(
        "machine {:.8}, boot {:.8}",
        seen.machine_id.as_deref().unwrap_or("?"),
        seen.boot_id.as_deref().unwrap_or("?")
    );
    // 2024: a machine without a clock of its own wakes up in 1970 or at the build of its kernel.
    let now = clock::now();
    vec![
        finding(
            "root",
            seen.is_root,
            if seen.is_root { "yes" } else { "no" },
            "runs that touch units or other users' PM2 need root",
        ),
        finding(
            "systemd",
            seen.runs_systemd(),
            format!("process 1 is {init}"),
            "units and reboots need a host that systemd runs",
        ),
        finding("identity", known, text, "a run cannot be resumed without /etc/machine-id and a boot id"),
        finding(
            "clock",
            now.as_second() > 1_704_067_200,
            now.strftime("%F %T UTC").to_string(),
            "set the clock: windows are judged by it",
        ),
    ]
}

async fn bus(host: &LocalHost) -> Diagnosed {
    match host.ask(&Ask::Inhibitors).await {
        Ok(Answer::Inhibitors(held)) => {
            finding("system bus", true, format!("logind answers, {}", count(held.len(), "inhibitor")), "")
        }
        Ok(_) => finding("system bus", true, "answers", ""),
        Err(error) => finding(
            "system bus",
            false,
            error.to_string(),
            "dbus and systemd-logind must run for a reboot to be asked for",
        ),
    }
}

fn state_place(desk: &Desk) -> Diagnosed {
    let dir = desk.site.nearest();
    let shown = desk.site.state_dir.display();
    match disk(dir) {
        Ok(seen) => {
            let durable = matches!(seen.kind, DiskKind::Disk | DiskKind::Overlay | DiskKind::Other) && !seen.read_only;
            let roomy = seen.bytes_free >= 64 << 20;
            let text = format!("{shown} on {}, {} free", seen.fs_type, crate::host::span::bytes(seen.bytes_free));
            finding(
                "state directory",
                durable && roomy,
                text,
                "a journal needs a local disk that survives the reboot, with 64 MiB free",
            )
        }
        Err(error) => finding("state directory", false, format!("{shown}: {error}"), "--state-dir"),
    }
}

fn runs(desk: &Desk) -> Vec<Diagnosed> {
    let store = match desk.site.look() {
        Ok(Some(store)) => store,
        Ok(None) => return vec![finding("runs", true, "none yet", "")],
        Err(failure) => {
            return vec![finding("runs", false, failure.reason(), "bring the state directory into order")];
        }
    };
    match store.unfinished() {
        Ok(None) => vec![finding("runs", true, "none is unfinished", "")],
        Ok(Some(listed)) => {
            let word = if at_work(&desk.site, &listed.id) { "is at work" } else { "is unfinished and owns this host" };
            vec![finding("runs", false, format!("{} {word}", listed.id), &call("status"))]
        }
        Err(error) => vec![finding("runs", false, error.to_string(), &call("explain journal"))],
    }
}

async fn ask(host: &LocalHost, what: Ask) -> Result<Answer, HostError> {
    host.ask(&what).await
}

async fn named(host: &LocalHost, runbook: &Runbook) -> Vec<Diagnosed> {
    let mut all = Vec::new();
    let (redis, pm2) = (&runbook.inventory.redis, &runbook.inventory.pm2);
    // All at once: one that is silent costs its own patience, and no other's.
    let servers = join_all(redis.values().map(|one| ask(host, Ask::Redis(one.at()))));
    let daemons = join_all(pm2.values().map(|one| ask(host, Ask::Pm2(process_list::at(one)))));
    let (servers, daemons) = tokio::join!(servers, daemons);
    for ((name, instance), answer) in redis.iter().zip(servers) {
        all.push(asked(name, &instance.url, answer, instance.required));
    }
    for ((name, place), answer) in pm2.iter().zip(daemons) {
        let more = match &answer {
            Ok(Answer::Pm2(seen)) => pm2_findings(name, seen),
            _ => Vec::new(),
        };
        all.push(asked(name, &place.home.display().to_string(), answer, true));
        all.extend(more);
    }
    all
}

/// What a run would refuse or be surprised by, and what is worth knowing of the apps.
fn pm2_findings(name: &str, seen: &Pm2Seen) -> Vec<Diagnosed> {
    let mut all = Vec::new();
    let mut miss = |seen: String, cure: &str| all.push(finding(name, false, seen, cure));
    if let Some(up) = seen.up() {
        if up.is_runtime() {
            miss("a pm2-runtime: it ends with its last app".into(), "restart its container or unit instead");
        }
        if let Support::ReadOnly(why) = up.support() {
            miss(why, "update PM2 before the window");
        }
    }
    if !seen.twins.is_empty() {
        let twins = listed(&seen.twins);
        let text = format!("processes {twins} are further daemons of the same home; the list is only a part");
        miss(text, "end the extra daemons, then bring their apps back with `pm2 resurrect`");
    }
    let ghosts: Vec<String> =
        seen.apps.iter().filter(|app| app.is_ghost()).map(|app| process_list::label(&app.key)).collect();
    if !ghosts.is_empty() {
        let text = format!("listed as online without a process: {}", ghosts.join(", "));
        miss(text, "repair or delete them: nothing is saved while the list does not tell the truth");
    }
    if !seen.orphans.is_empty() {
        let names: Vec<String> = seen.orphans.iter().map(|one| format!("{} ({})", one.name, one.pid)).collect();
        miss(
            format!("left over from a former daemon: {}", names.join(", ")),
            "end them, or a restore will, so that they do not run twice",
        );
    }
    all.extend(seen.advice.iter().map(|one| note(name, &one.seen, &one.cure)));
    all
}

/// Daemons that the runbook does not name: a reboot takes them down as well.
fn other_daemons(runbook: Option<&Runbook>) -> Vec<Diagnosed> {
    let named = |home: &str| {
        let mut places = runbook.into_iter().flat_map(|runbook| runbook.inventory.pm2.values());
        places.any(|place| place.home.as_os_str() == home)
    };
    let others = every_daemon().into_iter().filter(|daemon| !named(&daemon.home));
    let line = |one: RunningDaemon| {
        let text = format!("process {} of uid {}, PM2_HOME {}", one.pid, one.uid, one.home);
        note("pm2 daemon", text, "a reboot takes it down, too; name it in the runbook's `pm2:` if its apps matter")
    };
    others.map(line).collect()
}

/// What a neighbour answered, in a few words.
fn asked(name: &str, place: &str, answer: Result<Answer, HostError>, required: bool) -> Diagnosed {
    let (fine, seen) = match answer {
        Ok(Answer::Pm2(seen)) => match seen.up() {
            Some(up) => (true, format!("PM2 {}, {} apps", up.version, seen.apps.len())),
            None => (false, silent(&seen.daemon)),
        },
        Ok(Answer::Redis(seen)) => redis_words(&seen),
        Ok(_) => (true, "answers".into()),
        Err(error) => (false, error.to_string()),
    };
    finding(name, fine || !required, format!("{place}: {seen}"), "a plan would be incomplete without it")
}

/// Why no daemon was heard, in words.
fn silent(daemon: &DaemonSeen) -> String {
    match daemon {
        DaemonSeen::Absent { why } => format!("no daemon: {why}"),
        DaemonSeen::Denied { why } | DaemonSeen::Foreign { why } | DaemonSeen::Dying { why } => why.clone(),
        DaemonSeen::Up(up) => format!("PM2 {}", up.version),
    }
}

fn redis_words(seen: &RedisSeen) -> (bool, String) {
    let text = match &seen.facts {
        Some(facts) => format!("{} {}, {} keys", seen.door, facts.server.version, facts.keys.values().sum::<u64>()),
        None => seen.door.to_string(),
    };
    (seen.facts.is_some(), text)
}

//! Whole runs of the sample plan, as they are told; every record is checked against the journal's own law.

mod trouble;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

pub(in crate::report) use self::trouble::{backed_out, backing_out, failed, resumed};
use super::{NEW_BOOT, OLD_BOOT, RUN, apps, plan};
use crate::action::Tick;
use crate::host::span::Span;
use crate::journal::checkpoint::{
    Checkpoint as C, End, How, Loss, Opened, Outcome, Owner, PauseReason, Ruling, StepId,
};
use crate::journal::record::Entry;
use crate::journal::state::RunState;

/// A moment of a run: what is told, and when by the boot clock.
pub(in crate::report) enum Moment {
    Fact(Entry),
    Word(StepId, Tick),
}

/// A run as it is told; every entry is legal.
pub(in crate::report) struct Run {
    pub(in crate::report) moments: Vec<(Duration, Moment)>,
    pub(in crate::report) entries: Vec<Entry>,
    pub(in crate::report) state: RunState,
    at: Duration,
    boot: &'static str,
}

impl Run {
    fn new() -> Self {
        Self {
            moments: Vec::new(),
            entries: Vec::new(),
            state: RunState::default(),
            at: Duration::from_secs(100),
            boot: OLD_BOOT,
        }
    }

    fn pass(&mut self, secs: f64) -> &mut Self {
        self.at += Duration::from_secs_f64(secs);
        self
    }

    fn fact(&mut self, checkpoint: C) -> &mut Self {
        let start: Timestamp = "2026-11-28T09:15:00Z".parse().unwrap();
        let entry = Entry {
            v: 1,
            run: RUN.into(),
            seq: self.entries.len() as u64 + 1,
            prev: crate::journal::record::LineHash::default(),
            boot_id: self.boot.into(),
            mono_ms: u64::try_from(self.at.as_millis()).unwrap(),
            wall: start.checked_add(self.at - Duration::from_secs(100)).unwrap(),
            checkpoint,
        };
        self.state.after(&entry).unwrap();
        self.entries.push(entry.clone());
        self.moments.push((self.at, Moment::Fact(entry)));
        self
    }

    fn word(&mut self, step: &str, tick: Tick) -> &mut Self {
        self.moments.push((self.at, Moment::Word(step.into(), tick)));
        self
    }

    fn start(&mut self, step: &str, title: &str, items: &[String]) -> &mut Self {
        let attempt = self.state.steps()[&StepId::from(step)].attempts + 1;
        self.fact(C::StepStarted {
            step: step.into(),
            attempt,
            title: title.into(),
            items: items.to_vec(),
            repeatable: true,
        })
    }

    fn intent(&mut self, step: &str, item: &str) -> &mut Self {
        self.fact(C::ItemIntent { step: step.into(), item: item.into() })
    }

    fn item(&mut self, step: &str, item: &str, outcome: Outcome, took: f64, note: Option<&str>) -> &mut Self {
        let note = note.map(str::to_owned);
        self.fact(C::ItemDone { step: step.into(), item: item.into(), outcome, took_ms: (took * 1000.0) as u64, note })
    }

    fn done(&mut self, step: &str, how: How, took: f64) -> &mut Self {
        self.fact(C::StepDone { step: step.into(), how, took_ms: (took * 1000.0) as u64 })
    }

    fn owner() -> Owner {
        Owner {
            pid: 4242,
            uid: 0,
            user: "root".into(),
            sudo_user: Some("ann".into()),
            tty: Some("pts/3".into()),
            started: 99,
        }
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A run that has just been begun.
fn begun() -> Run {
    let mut run = Run::new();
    let plan = plan();
    run.fact(C::Opened(std::sync::Arc::new(Opened {
        format: 1,
        tool_version: "0.1.0".into(),
        runbook_name: "restart-staging".into(),
        runbook_sha256: plan.sha256.clone(),
        machine_id: "m-1".into(),
        hostname: "stg-1".into(),
        owner: Run::owner(),
        steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
        no_return: Some("stop/1".into()),
        plan: crate::host::json_text::JsonText::of(&plan).unwrap(),
        baseline: json!({}).into(),
    })));
    run
}

/// From the opening to the last app that is stopped.
fn until_the_stop() -> Run {
    let mut run = begun();
    let units = names(&["redis-server@bull01.service", "redis-server@bull02.service", "tile38@staging.service"]);
    run.pass(0.2).start("preflight/1", "units_enabled", &units);
    for unit in &units {
        run.intent("preflight/1", unit).pass(0.4).item("preflight/1", unit, Outcome::Applied, 0.4, None);
    }
    run.done("preflight/1", How::Applied, 1.2).done("preflight/2", How::AlreadySo, 0.0);
    run.start("compact/1", "redis_compacted", &names(&["bds", "bull00"])).intent("compact/1", "bds");
    for n in 1..14 {
        let part = f64::from(n) / 14.0;
        let left = 140.0 * (1.0 - part);
        run.pass(10.0).word(
            "compact/1",
            Tick {
                item: "bds".into(),
                part: Some(part),
                left: Some(Span::secs(left, left * 1.5)),
                say: "rewriting".into(),
                ..Tick::default()
            },
        );
    }
    run.pass(9.0).item("compact/1", "bds", Outcome::Applied, 139.0, Some("9.8 GB -> 2.4 GB in 2m19s (base 12)"));
    run.intent("compact/1", "bull00").pass(51.0);
    run.item("compact/1", "bull00", Outcome::Applied, 51.0, Some("3.1 GB -> 1.1 GB in 51s (base 7)")).done(
        "compact/1",
        How::Applied,
        190.0,
    );
    run.start("save/1", "pm2_saved", &names(&["services"])).intent("save/1", "services").pass(1.1);
    run.item(
        "save/1",
        "services",
        Outcome::Applied,
        1.1,
        Some("246 apps: 133 online, 113 stopped saved, sha256 0d9be1f20c11"),
    )
    .done("save/1", How::Applied, 1.1);
    let mut stopping = names(&["(resume unit)"]);
    stopping.extend(apps());
    stopping.push("(saved list)".into());
    run.start("stop/1", "pm2_stopped", &stopping);
    for app in &stopping {
        run.intent("stop/1", app).pass(0.1).item("stop/1", app, Outcome::Applied, 0.1, None);
    }
    run.done("stop/1", How::Applied, 13.5).done("stop/compact-again", How::AlreadySo, 0.0);
    run
}

/// To the last item before the machine goes down.
pub(in crate::report) fn until_the_reboot() -> Run {
    let mut run = until_the_stop();
    run.fact(C::Decision {
        who: "ann".into(),
        what: Ruling::Confirmed { step: "reboot/1".into() },
        reason: "confirmed before the step".into(),
    });
    run.start("reboot/1", "rebooted", &names(&["machine"])).intent("reboot/1", "machine");
    run.fact(C::RebootIntent { step: "reboot/1".into(), boot_id: OLD_BOOT.into() });
    run.word("reboot/1", Tick::say("machine", "going down")).pass(1.0);
    run.fact(C::Paused { why: PauseReason::Reboot, note: Some("the machine was asked to go down".into()) });
    run
}

/// Behind the reboot, in the middle of the load.
pub(in crate::report) fn until_the_load() -> Run {
    let mut run = until_the_reboot();
    run.boot = NEW_BOOT;
    run.pass(128.0).fact(C::Resumed { owner: Run::owner(), boot_id: NEW_BOOT.into(), unattended: true });
    run.fact(C::Rebooted { step: "reboot/1".into(), old: OLD_BOOT.into(), new: NEW_BOOT.into(), took_ms: 129_000 });
    run.item("reboot/1", "machine", Outcome::Applied, 0.0, Some("another boot id")).done("reboot/1", How::Applied, 0.0);
    let instances = names(&["bds", "bds-r", "bull00", "geo"]);
    run.start("load/1", "redis_loaded", &instances);
    for instance in &instances {
        run.intent("load/1", instance);
    }
    run.pass(9.0).item(
        "load/1",
        "geo",
        Outcome::Applied,
        9.0,
        Some("41.2 MB, ready after 9.0s (estimated 12s), 88012 keys"),
    );
    for n in 1..=60 {
        let part = f64::from(n) / 120.0;
        for (name, whole) in [("bds", 1560.0), ("bull00", 800.0)] {
            let part = (part * 1560.0 / whole).min(0.99);
            let left = whole * (1.0 - part);
            let say = "loading, 1.6 MB/s".to_owned();
            run.word(
                "load/1",
                Tick {
                    item: name.into(),
                    part: Some(part),
                    left: Some(Span::secs(left, left * 1.4)),
                    say,
                    ..Tick::default()
                },
            );
        }
        run.word("load/1", Tick::say("bds-r", "waiting for its master's copy")).pass(10.0);
    }
    run
}

/// Up to the restore.
fn until_the_restore() -> Run {
    let mut run = until_the_load();
    run.item(
        "load/1",
        "bull00",
        Outcome::Applied,
        609.0,
        Some("1.1 GB, ready after 10m09s (estimated 11m40s), 812044 keys"),
    );
    run.pass(820.0).item(
        "load/1",
        "bds",
        Outcome::Applied,
        1429.0,
        Some("2.4 GB, ready after 23m49s (estimated 26m00s), 3120455 keys"),
    );
    run.pass(31.0).item(
        "load/1",
        "bds-r",
        Outcome::Applied,
        1460.0,
        Some("2.4 GB, ready after 24m20s (estimated 26m00s), 3120455 keys"),
    );
    run.done("load/1", How::Applied, 1460.0).done("load/2", How::AlreadySo, 0.0);
    let checks = names(&["redis bds role master", "redis router role master"]);
    run.start("gate/1", "healthy", &checks);
    for check in &checks {
        run.intent("gate/1", check).pass(5.2).item("gate/1", check, Outcome::Applied, 5.2, None);
    }
    run.done("gate/1", How::Applied, 10.4);
    run
}

/// In the middle of the restore: many at once, one lost, one group still held back.
pub(in crate::report) fn in_the_restore() -> Run {
    let mut run = until_the_restore();
    let all = apps();
    run.start("restore/1", "pm2_restored", &all);
    for app in &all[..40] {
        run.intent("restore/1", app);
    }
    for (n, app) in all[..30].iter().enumerate() {
        run.pass(0.4);
        match n {
            9 => run.item(
                "restore/1",
                app,
                Outcome::Failed {
                    why: "exited at once, exit status 1, 0 restart(s)".into(),
                    causes: names(&["log: Error: listen EADDRINUSE"]),
                },
                2.0,
                None,
            ),
            _ => run.item("restore/1", app, Outcome::Applied, 1.8, None),
        };
    }
    run.word("restore/1", Tick::say(&all[31], "online for 2.1s of 5.0s"))
        .word("restore/1", Tick::say("workers", "waiting 12s for bull02 (unit activating)"));
    run
}

/// All of it, with an app that crashes and an organisation that is not there any more.
pub(in crate::report) fn whole() -> Run {
    let mut run = until_the_restore();
    restore(&mut run);
    run.start("verify/1", "pm2_as_saved", &names(&["search", "org-3x", "(steady)"]));
    run.intent("verify/1", "search").intent("verify/1", "org-3x").intent("verify/1", "(steady)").pass(30.0);
    run.item(
        "verify/1",
        "search",
        Outcome::Failed { why: "did not come back: errored, wanted online".into(), causes: Vec::new() },
        30.0,
        None,
    );
    run.item(
        "verify/1",
        "org-3x",
        Outcome::Failed { why: "did not come back: stopped, wanted online".into(), causes: Vec::new() },
        30.0,
        None,
    );
    run.item("verify/1", "(steady)", Outcome::Applied, 30.0, Some("no restart for 30s"));
    run.done(
        "verify/1",
        How::WithLosses {
            losses: vec![
                lost("search", "did not come back: errored, wanted online"),
                lost("org-3x", "did not come back: stopped, wanted online"),
            ],
        },
        30.2,
    );
    run.done("verify/2", How::AlreadySo, 0.0);
    let one = |class: &str, path: &str, before: &str, after: &str| json!({ "class": class, "path": path, "before": before, "after": after });
    let differences = [
        one("unexpected", "redis/bull00/maxmemory", "8gb", "4gb"),
        one("unexpected", "pm2/services/search/status", "online", "errored"),
        one("allowed", "machine/memory", "125.0 GB", "250.0 GB"),
        one("allowed", "pm2/services/org-3x/status", "online", "stopped"),
        one("by_run", "machine/boot", OLD_BOOT, NEW_BOOT),
        one("by_run", "units/tile38@staging.service/enabled", "disabled", "enabled"),
    ];
    let came_back = json!({ "differences": differences, "same": 486 });
    let summary = json!({ "words": "search; org-3x", "came_back": came_back });
    run.fact(C::Finished { outcome: End::DoneWithLosses, summary });
    run
}

fn lost(item: &str, why: &str) -> Loss {
    Loss { item: item.into(), why: why.into() }
}

fn restore(run: &mut Run) {
    run.start("restore/1", "pm2_restored", &apps());
    for (n, app) in apps().iter().enumerate() {
        run.intent("restore/1", app);
        if n % 16 == 0 {
            run.word("restore/1", Tick::say(app, "starting"));
        }
        run.pass(0.2);
        match app.as_str() {
            "search" => {
                let causes = names(&[
                    "stopped, so that it does not go on crashing",
                    "log: Error: connect ECONNREFUSED 127.0.0.1:9200",
                    "log: \u{1b}[31m  at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)\u{1b}[0m",
                ]);
                let why = "it restarted 3 times in 6.0s, exit status 1, 3 restart(s)".into();
                run.item("restore/1", app, Outcome::Failed { why, causes }, 7.1, None)
            }
            "org-3x" => {
                let why = "its script /srv/org/3x/index.js is not there".into();
                run.item("restore/1", app, Outcome::Failed { why, causes: Vec::new() }, 0.2, None)
            }
            _ => run.item("restore/1", app, Outcome::Applied, 1.8, None),
        };
    }
    let losses = vec![
        lost("search", "it restarted 3 times in 6.0s, exit status 1, 3 restart(s)"),
        lost("org-3x", "its script /srv/org/3x/index.js is not there"),
    ];
    run.done("restore/1", How::WithLosses { losses }, 26.8);
}

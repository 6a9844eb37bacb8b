//! For tests: a plan of the shipped runbook, and below it whole runs of that plan.

mod runs;

use jiff::Timestamp;

pub(super) use self::runs::{
    Moment, Run, backed_out, backing_out, failed, in_the_restore, resumed, until_the_load, until_the_reboot, whole,
};
use crate::action::ActionKind;
use crate::action::Chore;
use crate::action::Subject;
use crate::action::change::{Change, Concern, Item, Sign, Wave, Weight};
use crate::host::span::Span;
use crate::plan::drift::Drift;
use crate::plan::{Estimate, FORMAT, Plan, PlannedStep, Source};
use crate::runbook::{self, Runbook, StepId};

pub(super) const RUN: &str = "r-20261128-091500-ab12";
const OLD_BOOT: &str = "5b1f0c9e-6f0e-4f6d-9a51-1c6f0a8f2d11";
const NEW_BOOT: &str = "9d2e41aa-0c57-4c39-8e0b-77d1f2e0c3b4";

pub(super) fn runbook() -> Runbook {
    let text = include_str!("../../../runbooks/restart-staging.yaml");
    runbook::load(text, "restart-staging.yaml").unwrap().runbook
}

/// 133 apps as the field has them: shards, workers, organisations, and a few that stand alone.
pub(super) fn apps() -> Vec<String> {
    let mut apps: Vec<String> = (0..8).map(|n| format!("api/{n}")).collect();
    apps.extend((0..4).map(|n| format!("billing/{n}")));
    apps.extend(
        ["mail", "pdf", "log", "report", "import", "export", "geo", "sync", "push", "audit"]
            .map(|w| format!("{w}-worker")),
    );
    apps.extend(
        (0..96).map(|n| format!("tenant-{}", char::from(b'a' + (n / 4) as u8).to_string() + &"xyzw"[n % 4..=n % 4])),
    );
    apps.extend(
        ["id-manager", "mailer", "router-ui", "search", "gateway", "cron", "socket-hub", "thumbs"].map(str::to_owned),
    );
    apps.extend((0..7).map(|n| format!("org-{n}x")));
    apps
}

fn planned(id: &str, action: ActionKind, change: Change, takes: Span, source: Source) -> PlannedStep {
    PlannedStep {
        id: id.into(),
        phase: id.split('/').next().unwrap().to_owned(),
        title: action.key().to_owned(),
        action,
        subject: match action {
            ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2Restored | ActionKind::Pm2AsSaved => {
                Subject::Apps("services".into())
            }
            _ => Subject::Step,
        },
        takes: Estimate { span: if change.is_empty() { Span::ZERO } else { takes }, source },
        unforeseen: None,
        takes_away: matches!(action, ActionKind::Pm2Stopped | ActionKind::Rebooted),
        brings_back: action.brings_back(),
        reboots: action.goes_down(),
        waits: matches!(
            action,
            ActionKind::RedisLoaded | ActionKind::Healthy | ActionKind::Pm2AsSaved | ActionKind::UnitsActive
        ),
        gives_up_after: None,
        change,
    }
}

fn items(items: Vec<Item>, already: usize) -> Change {
    Change { items, already, ..Change::default() }
}

/// The plan of a good Saturday.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn plan() -> Plan {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let load = |name: &str, typical: f64| {
        Item::new(name, Sign::Wait, "not reachable: connection refused", "loaded and ready")
            .taking(Span::secs(typical, typical * 1.6))
    };
    let check = |key: &str| Item::new(key, Sign::Wait, "holds", "holds for 5.0s").taking(Span::secs(6.0, 25.0));
    let each = |sign, before: &str, after: &str| {
        apps().iter().map(|app| Item::new(app, sign, before, after)).collect::<Vec<_>>()
    };
    let mut enabled = items(
        ["redis-server@bull01.service", "redis-server@bull02.service", "tile38@staging.service"]
            .map(|unit| Item::new(unit, Sign::Add, "disabled", "enabled"))
            .into(),
        6,
    );
    enabled.concerns.push(Concern::new(
        Weight::Warn,
        "redis-router.service",
        "is static: nothing wants it",
        "it has no [Install] section; `units_active` starts it",
    ));
    let mut compact = items(
        vec![
            Item::new(
                "bds",
                Sign::Alter,
                "AOF 9.8 GB (base 2.1 GB, increments 7.7 GB)",
                "about 2.4 GB; loads 1h21m sooner",
            )
            .briefly("AOF 9.8 GB")
            .taking(Span::secs(150.0, 300.0)),
            Item::new(
                "bull00",
                Sign::Alter,
                "AOF 3.1 GB (base 1.0 GB, increments 2.1 GB)",
                "about 1.1 GB; loads 22m10s sooner",
            )
            .briefly("AOF 3.1 GB")
            .taking(Span::secs(60.0, 120.0)),
        ],
        0,
    );
    compact.waves.push(Wave { at_once: 1, ..Wave::default() });
    compact.concerns.push(Concern::new(
        Weight::Note,
        "geo",
        "is Tile38, which has no BGREWRITEAOF",
        "compact it with its own AOFSHRINK if it needs that",
    ));
    let mut saved = items(
        vec![Item::new("services", Sign::Add, "246 apps: 133 online, 113 stopped", "in a snapshot of this run")],
        0,
    );
    let dump = |mailer: &str| format!("api online\nlegacy-sync online\nmailer {mailer}\nsearch online\n");
    saved.diff = Some((dump("stopped"), dump("online").replace("legacy-sync online\n", "")));
    let mut stopped = items(each(Sign::Remove, "online", "stopped"), 113);
    stopped.items.insert(0, Item::new(Chore::ResumeUnit, Sign::Add, "not installed", "installed and enabled"));
    stopped.items.push(Item::new(Chore::SavedList, Sign::Alter, "saved as running", "every app saved as stopped"));
    let mut restored = items(each(Sign::Add, "stopped", "online"), 113);
    for item in restored.items.iter_mut().filter(|item| item.key.starts_with("org-")) {
        item.optional = true;
    }
    restored.items.push(Item::new(Chore::SavedList, Sign::Alter, "every app saved as stopped", "saved as it runs"));
    let runs = Source::PastRuns(4);
    let steps = vec![
        planned("preflight/1", ActionKind::UnitsEnabled, enabled, Span::secs(1.0, 6.0), Source::Reckoned),
        planned("preflight/2", ActionKind::Healthy, items(Vec::new(), 6), Span::ZERO, Source::Nothing),
        planned("compact/1", ActionKind::RedisCompacted, compact, Span::secs(210.0, 420.0), Source::Reckoned),
        planned("save/1", ActionKind::Pm2Saved, saved, Span::secs(1.0, 4.0), runs),
        planned("stop/1", ActionKind::Pm2Stopped, stopped, Span::secs(14.0, 40.0), runs),
        planned(
            "stop/compact-again",
            ActionKind::RedisCompacted,
            Change { already: 2, ..Change::default() },
            Span::ZERO,
            Source::Nothing,
        ),
        planned(
            "reboot/1",
            ActionKind::Rebooted,
            items(
                vec![Item::new("machine", Sign::Reboot, format!("boot {OLD_BOOT}"), "restarted, with a new boot id")],
                0,
            ),
            Span::secs(132.0, 240.0),
            runs,
        ),
        planned(
            "load/1",
            ActionKind::RedisLoaded,
            items(vec![load("bds", 1560.0), load("bds-r", 1560.0), load("bull00", 700.0), load("geo", 12.0)], 0),
            Span::secs(1561.0, 2500.0),
            Source::Reckoned,
        ),
        planned("load/2", ActionKind::UnitsActive, items(Vec::new(), 9), Span::ZERO, Source::Nothing),
        planned(
            "gate/1",
            ActionKind::Healthy,
            items(
                [
                    "redis bds role master",
                    "redis bull00 role master",
                    "redis bds-r link up",
                    "redis router role master",
                    "host memory 128 GiB",
                ]
                .map(check)
                .into(),
                0,
            ),
            Span::secs(7.0, 35.0),
            Source::Usual,
        ),
        planned("restore/1", ActionKind::Pm2Restored, restored, Span::secs(24.0, 70.0), runs),
        planned(
            "verify/1",
            ActionKind::Pm2AsSaved,
            items(vec![Item::new(Chore::Steady, Sign::Wait, "not watched yet", "no app restarts for 30s")], 246),
            Span::secs(31.0, 50.0),
            Source::Usual,
        ),
        planned(
            "verify/2",
            ActionKind::Healthy,
            items(vec![Item::new("http 127.0.0.1:3005/health", Sign::Wait, "connection refused", "holds")], 0),
            Span::secs(2.0, 20.0),
            Source::Usual,
        ),
    ];
    Plan {
        format: FORMAT,
        runbook: "restart-staging".into(),
        sha256: "3f9c1a2b".repeat(8),
        hostname: "stg-1".into(),
        made_at: at("2026-11-28T09:14:40Z"),
        starts_at: at("2026-11-28T09:15:00Z"),
        steps,
        back_out: vec!["restore".into(), "verify".into()],
        probed_in: 1.84,
        unsaved: Vec::new(),
    }
}

/// What has moved since a plan was saved: with the plan, and in three of its steps.
pub(super) fn drift() -> Vec<Drift> {
    let at = |step: &str, about: &str, fact: &str, before: &str, now: &str| Drift {
        step: Some(StepId::new(step)),
        ..Drift::of_all(about, fact, before, now)
    };
    vec![
        Drift::of_all("plan", "age", "at most 30m", "47m"),
        at("preflight/1", "redis-router.service", "unit file", "enabled", "disabled"),
        at("compact/1", "bds", "base file", "number 3", "number 4"),
        at("compact/1", "bull00", "role", "master", "replica of 10.0.0.9:6379"),
        at(
            "save/1",
            "services",
            "list, 40 apps of which are different",
            "233 apps: 133 online, 100 stopped",
            "233 apps: 93 online, 140 stopped",
        ),
    ]
}

//! Everything around a run: what is there, what would be missing, what was recorded, drawn, asked and done before.

use super::super::*;
use super::{keep, sample};
use crate::execute::Question;
use crate::host::redis::eta::Expected;
use crate::journal::aside::Aside;
use crate::journal::estimates::{Judged, Made};
use crate::plan::chance::draw;
use crate::runbook::StepId;

fn found(about: &str, seen: &str, cure: Option<&str>, advice: bool) -> Diagnosed {
    Diagnosed { about: about.into(), seen: seen.into(), cure: cure.map(str::to_owned), advice }
}

#[test]
fn doctor() {
    let long =
        "redis://127.0.0.1:6381: connection refused (os error 111), twice, and nothing listens on its socket either";
    let outside = "process 812 of uid 1001, PM2_HOME /home/deploy-two/.pm2\u{1b}[2J";
    let all = [
        found("root", "yes", None, false),
        found("systemd", "process 1 is systemd", None, false),
        found("system bus", "logind answers, 1 inhibitor", None, false),
        found("state directory", "/var/lib/runbook on ext4, 41.2 GB free", None, false),
        found(
            "runs",
            "r-20261128-091500-ab12 is unfinished and owns this host",
            Some("runbook status; runbook resume"),
            false,
        ),
        found("bds-r", long, Some("a plan would be incomplete without it"), false),
        found("a-name-that-is-longer", "PM2 6.0.8, 1 app", None, false),
        found(
            "pm2 daemon",
            outside,
            Some("a reboot takes it down, too; name it in the runbook's `pm2:` if its apps matter"),
            true,
        ),
    ];
    keep("doctor", |style| diagnosis(&all, &style));
}

#[test]
fn the_shelf_and_one_runbook() {
    let invalid = "(invalid: runbook check compact-only names 3 findings)";
    let unreadable =
        "(unreadable: /etc/runbook/old-window.yaml: permission denied (os error 13); only root may read it)";
    let all = [
        ("restart-staging", sample::runbook().doc),
        ("compact-only", invalid.to_owned()),
        ("bare", String::new()),
        ("old-window", unreadable.to_owned()),
    ];
    let all = all.map(|(name, doc)| (name.to_owned(), doc));
    keep("list", |style| shelf(&all, &style));
    let (file, sha256) = ("/etc/runbook/restart-staging.yaml", "3f9c1a2b".repeat(8));
    keep("show", |style| script(&sample::runbook(), file, &sha256, &style));
}

#[test]
fn facts() {
    let missing = [
        ("redis redis://127.0.0.1:6381", "connection refused (os error 111)"),
        (
            "unit tile38@staging.service",
            "org.freedesktop.DBus.Error.NoReply: Did not receive a reply within 25 s; is the bus alive?",
        ),
    ];
    let missing = missing.map(|(about, why)| (about.to_owned(), why.to_owned())).into();
    keep("facts", |style| format!("{}{}{}", recorded(31), recorded(1), unanswered(&missing, &style)));
}

#[test]
fn chances() {
    let (plan, window) = (sample::plan(), sample::runbook().window);
    keep("chance", |style| chance(&draw(&plan, window.as_ref(), 7, 200), &plan, window.as_ref(), &style));
    let mut late = sample::plan();
    late.starts_at = "2026-11-28T11:20:00Z".parse().unwrap();
    keep("chance_late", |style| chance(&draw(&late, window.as_ref(), 7, 1), &late, window.as_ref(), &style));
    late.starts_at = "2026-11-26T11:20:00Z".parse().unwrap();
    keep("chance_closed", |style| chance(&draw(&late, window.as_ref(), 7, 200), &late, window.as_ref(), &style));
    keep("chance_no_window", |style| chance(&draw(&plan, None, 7, 200), &plan, None, &style));
}

#[test]
fn history() {
    let note = Aside {
        at: "2026-11-28T11:15:00Z".parse().unwrap(),
        who: "ann".into(),
        reason: "the disk was replaced; everything was looked at by hand, and the services had been up for an hour"
            .into(),
        found: "refused at byte 61002".into(),
        known: Vec::new(),
    };
    let refused = "/var/lib/runbook/runs/r-20261123-091500-0007/journal is refused at byte 61002: a record is not what was written, \
                   and later ones follow it (checksum c3cb8ff5, found 6f20dbbe)";
    let runs = [sample::whole(), sample::backed_out(), sample::failed(), sample::until_the_reboot()];
    keep("history", |style| {
        let readable = runs.iter().zip([
            "r-20261101-091500-0001",
            "r-20261108-091500-0002",
            "r-20261115-091500-0003",
            "r-20261122-091500-0004",
        ]);
        let mut text: String = readable
            .map(|(run, id)| {
                past_run(&PastRun { id, reading: Ok((run.entries.as_slice(), &run.state)), aside: None }, &style)
            })
            .collect();
        for (id, aside) in [("r-20261123-091500-0006", Some(note.clone())), ("r-20261123-091500-0007", None)] {
            text.push_str(&past_run(&PastRun { id, reading: Err(refused.into()), aside }, &style));
        }
        text
    });
}

#[test]
fn estimates() {
    let one = |run: &str, step: &str, item: Option<&str>, made, typical: f64, actual_secs| Judged {
        run: run.into(),
        at: "2026-11-28T09:15:00Z".parse().unwrap(),
        step: step.into(),
        item: item.map(str::to_owned),
        made,
        expected: Expected { typical, low: typical / 2.0, high: typical * 2.0 },
        actual_secs,
    };
    let (first, second) = ("r-20261121-091500-0001", "r-20261128-091500-0002");
    let long = "sessions-of-the-european-region";
    let judged = [
        one(first, "compact/1", None, Made::Plan, 190.0, 210.0),
        one(first, "load/1", None, Made::Plan, 1980.0, 2200.0),
        one(first, "load/1", Some("bds"), Made::Plan, 1980.0, 660.0),
        one(second, "load/1", Some("bds"), Made::Start, 1500.0, 1560.0),
        one(second, "load/1", Some(long), Made::Start, 3.0, 2.5),
        one(second, "restore/1", None, Made::Plan, 24.0, 9000.0),
    ];
    keep("estimates", |style| estimate_table(&judged, &style));
}

#[test]
fn drift() {
    let all = sample::drift();
    keep("drift", |style| drifted(&all, &style));
}

#[test]
fn prompts() {
    let because =
        "Users are cut off until the services are back, and from here on there is no way but forward.".to_owned();
    let confirm = |type_name: Option<&str>| Question::Confirm {
        step: StepId::new("reboot/1"),
        type_name: type_name.map(str::to_owned),
        because: because.clone(),
        services_down: type_name.is_some(),
    };
    let error =
        "bds: redis-server@bds.service was restarted 2 times while loading (result timeout): see its log".to_owned();
    let all = [
        confirm(Some("restart-staging")),
        confirm(None),
        Question::GoOnWithout { step: StepId::new("load/1"), error },
        Question::NextPhase { phase: "stop".into() },
    ];
    keep("prompts", |style| {
        let one = |question: &Question| {
            let Asked { about, line, wanted, elsewhere } = asked(question, &style);
            format!("{about}{line}: {wanted}\n(without a terminal: {elsewhere})\n\n")
        };
        all.iter().map(one).collect()
    });
}

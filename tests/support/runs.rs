//! Runs inside a lab host, seen from outside: started, watched through their journal, and judged by what the host is like.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a lab that cannot be read fails the test")]
#![expect(clippy::disallowed_methods, reason = "tests wait and tell the time by themselves")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{Lab, told};

/// The flags of an unattended run.
pub(crate) const UNATTENDED: [&str; 7] =
    ["--yes", "--confirm", "restart-staging", "--ignore-window", "lab", "--progress", "plain"];

/// The checkpoints of the host's newest run, each as its kind and its content.
pub(crate) fn journal(lab: &Lab) -> Vec<(String, Value)> {
    newest_journal(lab).map(|path| checkpoints(&path)).unwrap_or_default()
}

/// The checkpoints of a journal file, each as its kind and its content.
pub(crate) fn checkpoints(path: &Path) -> Vec<(String, Value)> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.splitn(4, ' ').nth(3)?).ok());
    entries
        .filter_map(|entry| {
            let checkpoint = entry.get("checkpoint")?.as_object()?;
            checkpoint.iter().next().map(|(kind, content)| (kind.clone(), content.clone()))
        })
        .collect()
}

/// Where the newest run keeps its journal, as seen from outside.
pub(crate) fn newest_journal(lab: &Lab) -> Option<PathBuf> {
    let runs = std::fs::read_dir(lab.path("/var/lib/runbook/runs")).ok()?;
    let mut all: Vec<PathBuf> = runs.filter_map(|entry| Some(entry.ok()?.path().join("journal"))).collect();
    all.retain(|path| path.exists());
    all.sort();
    all.pop()
}

/// Waits until a checkpoint satisfies `wanted`; panics with the journal's end after `secs`.
pub(crate) fn wait_for(lab: &Lab, secs: u64, what: &str, wanted: impl Fn(&str, &Value) -> bool) {
    let until = Instant::now() + Duration::from_secs(secs);
    loop {
        let seen = journal(lab);
        if seen.iter().any(|(kind, content)| wanted(kind, content)) {
            return;
        }
        if Instant::now() > until {
            let tail: Vec<_> = seen.iter().rev().take(12).collect();
            let unit = lab.run(&[
                "journalctl",
                "-b",
                "--no-pager",
                "-n",
                "40",
                "-u",
                "runbook-resume",
                "-u",
                "runbook-fail-open",
            ]);
            panic!("no {what} within {secs} s; the journal ends with {tail:#?}\n{}", told(&unit));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a step of the phase has begun.
pub(crate) fn wait_for_phase(lab: &Lab, secs: u64, phase: &str) {
    wait_for_starts(lab, secs, phase, 1);
}

/// Waits until steps of the phase have begun so many times.
pub(crate) fn wait_for_starts(lab: &Lab, secs: u64, phase: &str, times: usize) {
    let prefix = format!("{phase}/");
    let of_phase = |kind: &str, content: &Value| {
        kind == "step_started" && content["step"].as_str().is_some_and(|step| step.starts_with(&prefix))
    };
    let until = Instant::now() + Duration::from_secs(secs);
    while journal(lab).iter().filter(|(kind, content)| of_phase(kind, content)).count() < times {
        let tail = || journal(lab).into_iter().rev().take(6).collect::<Vec<_>>();
        assert!(Instant::now() < until, "phase {phase} has not begun {times} times within {secs} s: {:#?}", tail());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How the newest run ended.
pub(crate) fn outcome(lab: &Lab) -> Option<String> {
    let last = journal(lab).into_iter().rev().find(|(kind, _)| kind == "finished")?;
    last.1["outcome"].as_str().map(str::to_owned)
}

/// Waits for the end of the run.
pub(crate) fn wait_for_end(lab: &Lab, secs: u64) -> String {
    wait_for(lab, secs, "end of the run", |kind, _| kind == "finished");
    outcome(lab).unwrap()
}

/// Starts `runbook run restart-staging` unattended.
pub(crate) fn start(lab: &Lab) -> Child {
    let mut words = vec!["runbook", "run", "restart-staging"];
    words.extend(UNATTENDED);
    lab.spawn(&words)
}

/// Starts a run and waits until its own journal is the newest one, so that nothing of an earlier run is taken for it.
pub(crate) fn start_anew(lab: &Lab, words: &[&str]) -> Child {
    let before = newest_journal(lab);
    let child = lab.spawn(words);
    let until = Instant::now() + Duration::from_secs(60);
    while newest_journal(lab) == before {
        assert!(Instant::now() < until, "no new run within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Runs `runbook` inside with these words.
pub(crate) fn runbook(lab: &Lab, words: &[&str]) -> Output {
    let mut all = vec!["runbook"];
    all.extend(words);
    lab.run_within(300, &all)
}

/// Every PM2 app and its status, as PM2's own command tells it.
pub(crate) fn apps(lab: &Lab) -> BTreeMap<String, String> {
    let list = lab.shell(
        "runuser -u deploy -- env -i HOME=/var/www/app PM2_HOME=/var/www/app/.pm2 PM2_SILENT=true \
         PATH=/usr/local/bin:/usr/bin:/bin pm2 jlist",
    );
    let list: Value = serde_json::from_str(&list).expect("jlist is JSON");
    let app = |app: &Value| {
        let env = &app["pm2_env"];
        let name = app["name"].as_str()?.to_owned();
        let key = env["NODE_APP_INSTANCE"].as_u64().map_or(name.clone(), |n| format!("{name}/{n}"));
        Some((key, env["status"].as_str()?.to_owned()))
    };
    list.as_array().expect("a list").iter().filter_map(app).collect()
}

/// How many apps are online.
pub(crate) fn online(apps: &BTreeMap<String, String>) -> usize {
    apps.values().filter(|status| *status == "online").count()
}

/// Kills every `runbook` of the host at once, as the OOM killer would.
pub(crate) fn kill(lab: &Lab) {
    lab.run(&["pkill", "-KILL", "-x", "runbook"]);
}

/// The output of a child that has ended, or is ended after `secs`.
pub(crate) fn finish(mut child: Child, secs: u64) -> Output {
    let until = Instant::now() + Duration::from_secs(secs);
    while child.try_wait().expect("a child of ours").is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let output = child.wait_with_output().expect("its output");
            panic!("not ended within {secs} s\n{}", told(&output));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.wait_with_output().expect("its output")
}

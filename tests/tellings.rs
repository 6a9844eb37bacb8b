//! Real runs over a real daemon, one for each way to end: what every form of telling says is held against a look at the daemon that knows
//! nothing of the run. The same is done on the model with anything that can happen to a run (`cli/tellings.rs`).
#![expect(clippy::disallowed_methods, reason = "a test waits for another process")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::collections::BTreeSet;
use std::path::Path;

use runbook::host::pm2::Status;
use serde_json::{Value, json};

use crate::support::pm2::{Bed, skipped};
use crate::support::program::{Place, hostname};

const APPS: [&str; 3] = ["cart", "mail", "search"];

/// Down and up again, with a command in between that fails as long as there is a file `stuck`.
fn window(place: &Place, bed: &Bed, way: &Way) -> String {
    let stuck = place.path("stuck");
    let goes_on = if way.goes_on { "\n        on_failure: continue" } else { "" };
    let command =
        format!("command: {{ argv: [/usr/bin/test, '!', -e, {}], repeatable: true }}{goes_on}", stuck.display());
    let back_out = if way.back_out { "back_out: [restore]\n" } else { "" };
    let book = bed.window(&hostname(), back_out, &command, &format!(", tolerate: {}", way.tolerate));
    place.file("window.yaml", &book)
}

/// Everything that is said of the latest run.
struct Forms {
    status: Value,
    report: Value,
    history: Value,
    code: i32,
    /// For people, by name.
    texts: Vec<(&'static str, String)>,
    junit: String,
}

impl Forms {
    fn of(place: &Place) -> Self {
        let line = |args: &[&str], kind: &str| {
            let out = place.runbook(args).out;
            let mut all = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            all.rfind(|value| value["type"] == kind).unwrap()
        };
        let status = place.runbook(&["status", "--detailed-exitcode"]);
        let report = |format: &str| place.runbook(&["report", "--format", format]).out;
        Self {
            status: line(&["status", "--json"], "status"),
            report: line(&["report", "--format", "json"], "report"),
            history: line(&["history", "--json"], "run"),
            code: status.code,
            junit: report("junit"),
            texts: vec![
                ("status", status.out),
                ("md", report("md")),
                ("html", report("html")),
                ("history", place.runbook(&["history"]).out),
            ],
        }
    }
}

/// One way to end: what is wrong, what is typed behind the run, and what must be said.
#[derive(Default)]
struct Way {
    back_out: bool,
    tolerate: u32,
    goes_on: bool,
    /// The command in between fails.
    stuck: bool,
    /// An app does not come back.
    broken: bool,
    then: Vec<&'static str>,
    code: i32,
    ended: Value,
    /// Words of `status`.
    says: &'static str,
}

fn ways() -> Vec<(&'static str, Way)> {
    let way = |code, ended: &str, says| {
        let ended = if ended.is_empty() { Value::Null } else { json!(ended) };
        Way { code, ended, says, ..Way::default() }
    };
    let skip = || vec!["resolve", "RUN", "between/1", "--skip", "--reason", "seen by hand"];
    vec![
        ("clean", way(0, "done", "done")),
        ("lost", Way { broken: true, tolerate: 1, ..way(11, "done_with_losses", "losses") }),
        ("gone on without", Way { stuck: true, goes_on: true, ..way(11, "done_with_losses", "losses") }),
        ("failed", Way { stuck: true, ..way(1, "", "FAILED") }),
        ("left out", Way { stuck: true, then: skip(), ..way(11, "done_with_losses", "losses") }),
        ("turned back", Way { stuck: true, back_out: true, ..way(12, "backed_out", "were brought back") }),
        (
            "turned back without one",
            Way {
                stuck: true,
                back_out: true,
                broken: true,
                tolerate: 1,
                ..way(13, "backed_out_with_losses", "did not")
            },
        ),
        ("not back", Way { stuck: true, back_out: true, broken: true, ..way(14, "", "NOT BROUGHT BACK") }),
        (
            "abandoned",
            Way {
                stuck: true,
                then: vec!["abort", "RUN", "--abandon", "--reason", "by hand"],
                ..way(1, "abandoned", "abandoned")
            },
        ),
    ]
}

/// The apps that run, as the daemon tells.
fn up(bed: &Bed) -> BTreeSet<String> {
    bed.list().into_iter().filter(|app| app.status == Status::Online).map(|app| app.key.name).collect()
}

/// All apps up again, whatever the way before has left.
fn whole(bed: &Bed) {
    bed.steer(async |steer| {
        for app in steer.list().await.unwrap().iter().filter(|app| app.status != Status::Online) {
            steer.start_registered(app).await.unwrap();
        }
    });
    for _ in 0..100 {
        // PM2 calls an app online before its program has begun to look around.
        let begun = |app: &&str| bed.ledger(app).last().is_some_and(|line| line.starts_with("up "));
        if up(bed).len() == APPS.len() && APPS.iter().all(begun) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{:?}", bed.list());
}

fn set(path: &Path, there: bool) {
    if there {
        std::fs::write(path, "").unwrap();
    } else {
        let _not_there = std::fs::remove_file(path);
    }
}

#[test]
fn every_ending_of_a_real_run_is_told_as_the_daemon_shows_it() {
    let Some(bed) = Bed::new("6.0.14") else { return skipped("endings of real runs need PM2 6.0.14") };
    bed.steer(async |steer| {
        for name in APPS {
            let settings = json!({ "env": { "LEDGER_KEY": name }, "max_restarts": 2, "min_uptime": 5_000 });
            steer.start_new(&bed.recipe(name, &settings)).await.unwrap();
        }
    });
    for (what, way) in ways() {
        set(&bed.path().join("fault/cart"), false);
        whole(&bed);
        let place = Place::new();
        set(&place.path("stuck"), way.stuck);
        set(&bed.path().join("fault/cart"), way.broken);
        let book = window(&place, &bed, &way);
        let said = place.runbook(&["run", &book, "--yes", "--detailed-exitcode"]);
        let run = Forms::of(&place).status["run"].as_str().unwrap().to_owned();
        let mut code = said.code;
        if !way.then.is_empty() {
            let words: Vec<&str> =
                way.then.iter().map(|word| if *word == "RUN" { run.as_str() } else { word }).collect();
            place.runbook(&words).exits(0);
            if words[0] == "resolve" {
                code = place.runbook(&["resume", "--yes", "--detailed-exitcode"]).code;
            }
        }
        agrees(what, &way, code, &Forms::of(&place), &up(&bed));
    }
}

fn agrees(what: &str, way: &Way, code: i32, told: &Forms, up: &BTreeSet<String>) {
    let down: Vec<&str> = APPS.into_iter().filter(|app| !up.contains(*app)).collect();
    assert_eq!((code, told.code), (way.code, way.code), "{what}: {}", told.texts[0].1);
    for form in [&told.status, &told.report, &told.history] {
        assert_eq!(form["ended"], way.ended, "{what}: {form}");
    }
    assert!(told.texts[0].1.contains(way.says), "{what}: {}", told.texts[0].1);
    let failures = told.junit.matches("<failure").count() + told.junit.matches("<error").count();
    assert_eq!(failures == 0, way.code == 0, "{what}: {}", told.junit);
    // Only an end that says so is clean, and then nothing is down.
    if matches!(way.code, 0 | 12) {
        assert_eq!(down, Vec::<&str>::new(), "{what}");
    }
    // A loss, or whatever is down at an end, is named wherever losses are.
    for app in down.iter().filter(|_| !way.ended.is_null()) {
        for (form, text) in told.texts.iter().filter(|(form, _)| ["md", "html"].contains(form)) {
            assert!(text.contains(app), "{what}: {form} does not name {app}: {text}");
        }
        assert!(told.report.to_string().contains(app), "{what}: {}", told.report);
    }
    let losses = told.report["losses"].as_array().unwrap();
    for loss in losses.iter().filter(|loss| loss["step"].as_str().is_some_and(|step| step.starts_with("restore/"))) {
        assert!(down.contains(&loss["item"].as_str().unwrap()), "{what}: {loss} is up");
    }
    let clean = ["DONE.**", "Done:", "nothing is missing"];
    for (form, text) in &told.texts {
        assert!(way.code == 0 || !clean.iter().any(|word| text.contains(word)), "{what}: {form}: {text}");
        assert!(
            ["done", "backed_out", "backed_out_with_losses"].contains(&way.ended.as_str().unwrap_or_default())
                || !text.contains("were brought back"),
            "{what}: {form}: {text}"
        );
    }
}

//! Every exit code of the table is the end of a real run or command, and every word that is printed about one is explained.
#![expect(clippy::disallowed_methods, reason = "a test signals and limits programs of its own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use runbook::cli::Exit;
use runbook::report::StateWord;
use serde_json::Value;

use crate::support::pm2::Bed;
use crate::support::program::{Place, Said, hostname};

fn book(place: &Place, top: &str, steps: &str) -> String {
    let text =
        format!("version: 1\nname: tiny\nhosts: [{}]\n{top}phases:\n  - name: a\n    steps:\n{steps}", hostname());
    place.file("tiny.yaml", &text)
}

const TRUE: &str = "      - command: { argv: [\"true\"] }\n";
const FALSE: &str = "      - command: { argv: [\"false\"], repeatable: true }\n";

/// A server that nobody has started.
const REDIS: &str = "redis:\n  a: { url: \"redis://127.0.0.1:1\", role: master }\n";

/// A run of two steps, the second of which fails.
fn failed(place: &Place) -> Said {
    place.runbook(&["run", &book(place, "", &format!("{TRUE}{FALSE}")), "--yes"])
}

/// Starts a run whose only command takes long, and waits until it has begun.
fn at_work(place: &Place) -> std::process::Child {
    let begun = place.path("begun");
    let step = format!(
        "      - command: {{ argv: [/bin/sh, -c, \"touch {}; sleep 3\"], repeatable: true }}\n{TRUE}",
        begun.display()
    );
    let child = place.start(&["run", &book(place, "", &step), "--yes"]);
    let there = |_| {
        std::thread::sleep(Duration::from_millis(50));
        begun.exists()
    };
    assert!((0..200).any(there), "the command was never begun");
    child
}

fn signalled(how: &[&str]) -> Said {
    let place = Place::new();
    let child = at_work(&place);
    for name in how {
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        std::thread::sleep(Duration::from_millis(500));
    }
    child.wait_with_output().unwrap().into()
}

fn window(minutes: i64) -> String {
    let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let opens = (now + jiff::SignedDuration::from_mins(minutes)).strftime("%H:%M").to_string();
    format!("window: {{ opens: \"{opens}\", length: 1h, timezone: UTC }}\n")
}

/// Runs that take the apps of a real daemon down and turn back: whole, with a loss, and with something still down.
fn turned_back(more: &str, breaks: bool) -> Option<Said> {
    let bed = Bed::new("7")?;
    std::fs::create_dir_all(bed.path().join("fault")).unwrap();
    bed.steer(async |steer| {
        for name in ["bad", "good"] {
            let settings = serde_json::json!({ "env": { "LEDGER_KEY": name }, "max_restarts": 2, "min_uptime": 5_000 });
            steer.start_new(&bed.recipe(name, &settings)).await.unwrap();
        }
    });
    let (place, cli) = (Place::new(), bed.at.cli.as_ref().unwrap().display().to_string());
    let fault = if breaks { format!("touch {}; ", bed.path().join("fault/bad").display()) } else { String::new() };
    let phase = |name: &str, step: &str| format!("  - name: {name}\n    steps:\n      - {step}\n");
    let text = format!(
        "version: 1\nname: tiny\nhosts: [{}]\nback_out: [restore]\npm2:\n  services: {{ user: {}, home: {}, cli: {cli}{more} }}\nphases:\n{}{}{}{}",
        hostname(),
        bed.at.user,
        bed.at.home.display(),
        phase("save", "pm2_saved: { pm2: services }"),
        phase("stop", "pm2_stopped: { pm2: services }"),
        phase("between", &format!("command: {{ argv: [/bin/sh, -c, \"{fault}false\"] }}")),
        phase("restore", "pm2_restored: { pm2: services }"),
    );
    let file = place.file("tiny.yaml", &text);
    Some(place.runbook(&["run", &file, "--yes"]))
}

/// Facts that were recorded for less than the runbook asks for.
fn unseen() -> Said {
    let place = Place::new();
    place.runbook(&["facts", &book(&place, "", TRUE), "-o", "facts.json"]).exits(0);
    place.runbook(&["plan", &book(&place, REDIS, "      - redis_compacted: {}\n"), "--offline", "facts.json"])
}

fn held() -> Said {
    let place = Place::new();
    let mut child = at_work(&place);
    let said = place.runbook(&["run", &book(&place, "", TRUE), "--yes"]);
    child.wait().unwrap();
    said
}

fn stale() -> Said {
    let place = Place::new();
    let file = book(&place, "", TRUE);
    let saved = place.runbook(&["plan", &file, "--save", "--json"]);
    let id = saved.out.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["type"] == "saved").then(|| line["plan"].as_str().unwrap().to_owned())
    });
    book(&place, "", FALSE);
    place.runbook(&["run", "--plan", &id.unwrap(), "--yes"])
}

fn damaged() -> Said {
    let place = Place::new();
    failed(&place);
    let run = std::fs::read_dir(place.path("state/runs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(run.join("journal")).unwrap();
    bytes[60] ^= 4;
    std::fs::write(run.join("journal"), bytes).unwrap();
    place.runbook(&["resume"])
}

/// A process that is given no descriptors cannot even begin.
fn starved() -> Said {
    let place = Place::new();
    let line = format!("ulimit -n 4; exec {} list", env!("CARGO_BIN_EXE_runbook"));
    Command::new("sh").args(["-c", &line]).current_dir(place.path("")).stdin(Stdio::null()).output().unwrap().into()
}

fn waiting() -> Said {
    let place = Place::new();
    failed(&place);
    place.runbook(&["resume"]);
    let confirmed = format!("{TRUE}        confirm: {{ type: yes, because: look }}\n");
    let other = Place::new();
    other.runbook(&["run", &book(&other, "", &format!("{TRUE}{confirmed}")), "--yes", "--detailed-exitcode"]).exits(0);
    // A person is waited for: nobody was there to answer.
    let asked = Place::new();
    let gate = "      - command: { argv: [\"true\"] }\n        confirm: { type: name, because: look }\n";
    let file = book(&asked, "", &format!("{TRUE}{gate}"));
    asked.runbook(&["run", &file, "--yes"]).exits(9);
    let cut = Place::new();
    let begun = cut.path("begun");
    let step = format!("      - command: {{ argv: [/bin/sh, -c, \"touch {}; sleep 5\"] }}\n", begun.display());
    let child = cut.start(&["run", &book(&cut, "", &step), "--yes"]);
    while !begun.exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    for _ in 0..2 {
        Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    child.wait_with_output().unwrap();
    cut.runbook(&["resume", "--yes"])
}

#[test]
fn every_exit_code_of_the_table_is_the_end_of_a_real_command() {
    let one = |words: &[&str], top: &str, steps: &str| {
        let place = Place::new();
        let file = book(&place, top, steps);
        let words: Vec<&str> = words.iter().map(|word| if *word == "BOOK" { file.as_str() } else { word }).collect();
        place.runbook(&words)
    };
    let lossy = format!("{TRUE}{FALSE}        on_failure: continue\n");
    let paused = || {
        let place = Place::new();
        let child = at_work(&place);
        place.runbook(&["pause"]).exits(0);
        Said::from(child.wait_with_output().unwrap())
    };
    let full = || {
        let place = Place::new();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        Said::from(place.command(&["schema"]).stdout(full).output().unwrap())
    };
    let mut seen: BTreeMap<u8, Option<Said>> = [
        (0, one(&["run", "BOOK", "--yes"], "", TRUE)),
        (1, failed(&Place::new())),
        (2, one(&["run", "--no-such-flag"], "", TRUE)),
        (3, one(&["check", "BOOK"], "nonsense: 1\n", TRUE)),
        (4, unseen()),
        (5, one(&["run", "BOOK", "--yes"], REDIS, "      - redis_compacted: {}\n")),
        (6, one(&["run", "BOOK", "--yes"], &window(600), TRUE)),
        (7, stale()),
        (8, held()),
        (9, one(&["run", "BOOK"], "", TRUE)),
        (10, one(&["plan", "BOOK", "--detailed-exitcode"], "", TRUE)),
        (11, one(&["run", "BOOK", "--yes", "--detailed-exitcode"], "", &lossy)),
        (20, paused()),
        (21, waiting()),
        (30, damaged()),
        (31, full()),
        (70, starved()),
        (130, signalled(&["INT", "INT"])),
        (143, signalled(&["TERM"])),
    ]
    .map(|(code, said)| (code, Some(said)))
    .into();
    let optional = ", groups: [ { name: all, apps: [\"*\"], optional: [bad] } ]";
    seen.insert(12, turned_back("", false));
    seen.insert(13, turned_back(optional, true));
    seen.insert(14, turned_back("", true));
    for (exit, meaning) in Exit::TABLE {
        let said = seen.remove(&exit.code()).unwrap_or_else(|| panic!("{}: {meaning}: no run", exit.code()));
        // Where PM2 is not installed the three of the way back are not seen here.
        if let Some(said) = said {
            assert_eq!(said.code, i32::from(exit.code()), "{meaning}: {}", said.all());
        }
    }
    assert!(seen.is_empty(), "{:?}", seen.keys());
}

/// Without any run: who only looks has seen that there is none; who names one, or cannot do without, has made a mistake.
#[test]
fn without_a_run_looking_is_fine_and_acting_on_one_is_a_mistake() {
    let fresh = Place::new();
    let gone = Place::new();
    std::fs::remove_dir(gone.path("state")).unwrap();
    for place in [&fresh, &gone] {
        for words in [&["status"][..], &["history"], &["resume"], &["status", "--json"]] {
            place.runbook(words).exits(0);
        }
        for words in [
            &["report"][..],
            &["report", "r-20200101-000000-0000"],
            &["status", "r-20200101-000000-0000"],
            &["pause"],
            &["abort"],
            &["abort", "--abandon", "--reason", "x"],
            &["attach"],
            &["resolve", "r-20200101-000000-0000", "a/1", "--skip", "--reason", "x"],
            &["journal", "show"],
        ] {
            let said = place.runbook(words);
            assert_eq!(said.code, 2, "{words:?}: {}", said.all());
        }
    }
}

/// Every word in capitals that tells how a run or a plan stands, and every word of the history.
#[test]
fn every_word_that_tells_how_things_stand_is_explained() {
    let place = Place::new();
    let states = StateWord::ALL.iter().map(|state| state.word());
    let verdicts = [
        "FITS",
        "DOES NOT FIT",
        "CLOSED",
        "REFUSED",
        "INCOMPLETE",
        "BACKING OUT",
        "GIVEN UP",
        "DONE",
        "DONE, WITH LOSSES",
    ];
    let history =
        ["done", "done, losses", "backed out", "backed out, losses", "backed out, in doubt", "NOT brought back"];
    let more = [
        "on its way back",
        "given up",
        "abandoned",
        "unfinished",
        "set aside",
        "unreadable",
        "skipped",
        "already so",
        "FAILED",
    ];
    for word in states.chain(verdicts).chain(history).chain(more) {
        let said = place.runbook(&["explain", word]);
        assert_eq!(said.code, 0, "{word}: {}", said.all());
    }
    for (exit, meaning) in Exit::TABLE {
        place.runbook(&["explain", &exit.code().to_string()]).exits(0).says(meaning);
    }
}

/// A run that was set aside is told as that in every form.
#[test]
fn a_run_that_was_set_aside_is_told_as_that_in_every_form() {
    let place = Place::new();
    failed(&place);
    let run = std::fs::read_dir(place.path("state/runs")).unwrap().next().unwrap().unwrap().path();
    let id = run.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = std::fs::read(run.join("journal")).unwrap();
    let mut bytes = whole.clone();
    bytes[60] ^= 4;
    std::fs::write(run.join("journal"), bytes).unwrap();
    place.runbook(&["abort", "--abandon", "--reason", "bad-disk"]).exits(0);
    // Once with a journal that nobody can read, and once with one that somebody has put right afterwards.
    for readable in [false, true] {
        if readable {
            std::fs::write(run.join("journal"), &whole).unwrap();
        }
        place.runbook(&["status", &id]).exits(1).says("SET ASIDE").says("bad-disk");
        place.runbook(&["history"]).exits(0).says("set aside");
        for words in [&["status", &id, "--json"][..], &["history", "--json"], &["report", &id, "--format", "json"]] {
            let said = place.runbook(words);
            let told = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let notes: Vec<Value> = told.filter_map(|line| line.get("set_aside").cloned()).collect();
            assert!(notes.iter().any(|note| note["reason"] == "bad-disk"), "{words:?}: {}", said.out);
        }
        let junit = place.runbook(&["report", &id, "--format", "junit"]);
        junit.exits(0).says("set aside").says("bad-disk").says("<error");
        for format in ["md", "html"] {
            place.runbook(&["report", &id, "--format", format]).exits(0).says("SET ASIDE").says("bad-disk");
        }
    }
}

//! What programs read: NDJSON whose first line names the format, and annotations for GitHub.
#![expect(clippy::disallowed_methods, reason = "a test opens a terminal of its own, and waits")]
#![expect(clippy::unwrap_used, reason = "a line that is no JSON fails the test")]
use std::process::Stdio;

use serde_json::Value;

use crate::support::program::{Place, Said, hostname};

/// A runbook for this machine with these steps in one phase.
fn book(steps: &str) -> String {
    format!("version: 1\nname: tiny\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n{steps}", hostname())
}

const TRUE: &str = "      - command: { argv: [\"true\"], repeatable: true }\n";
const FALSE: &str = "      - command: { argv: [\"false\"], repeatable: true }\n";

/// Every line as JSON; the first one must be the version.
#[track_caller]
fn lines(said: &Said) -> Vec<Value> {
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kind(&lines[0]), "version", "{said:?}");
    assert_eq!(lines[0]["format"], "1.0");
    assert_eq!(lines.iter().filter(|line| kind(line) == "version").count(), 1, "{said:?}");
    lines
}

fn kind(line: &Value) -> &str {
    line["type"].as_str().unwrap()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(kind).collect()
}

#[test]
fn check_tells_findings_with_their_places() {
    let place = Place::new();
    place.file("bad.yaml", &book("      - comand: { argv: [\"true\"] }\n"));
    place.file("fine.yaml", &book(TRUE));
    let said = place.runbook(&["check", "--json", "./fine.yaml", "./bad.yaml", "./none.yaml"]);
    said.exits(3);
    let lines = lines(&said);
    assert_eq!(kinds(&lines), ["version", "checked", "finding", "checked", "failure", "exit"]);
    let finding = &lines[2];
    assert_eq!((finding["code"].as_str(), finding["severity"].as_str()), (Some("RB110"), Some("error")));
    assert_eq!(finding["file"], "./bad.yaml");
    assert_eq!((&finding["line"], &finding["col"], &finding["end_col"]), (&7.into(), &9.into(), &15.into()));
    assert!(finding["message"].as_str().unwrap().contains("comand"));
    assert!(finding.get("help").is_some());
    assert_eq!((&lines[1]["ok"], &lines[1]["steps"], &lines[3]["errors"]), (&true.into(), &1.into(), &1.into()));
    assert_eq!(lines[5]["code"], 3);
    assert!(!said.err.contains("comand"), "told once: {}", said.err);
}

#[test]
fn a_plan_its_run_and_its_history_are_told_in_lines() {
    let place = Place::new();
    let fine = place.file("fine.yaml", &book(TRUE));
    let said = place.runbook(&["plan", &fine, "--json"]);
    said.exits(0);
    assert_eq!(kinds(&lines(&said)), ["version", "plan", "plan_step", "verdict", "exit"]);
    assert_eq!(said.err, "");

    let said = place.runbook(&["run", &fine, "--yes", "--json"]);
    said.exits(0);
    let told = lines(&said);
    let all = kinds(&told);
    for wanted in ["plan", "step_started", "item_intent", "item_done", "step_done", "finished"] {
        assert!(all.contains(&wanted), "{wanted} is not in {all:?}");
    }
    assert_eq!(told.last().unwrap()["code"], 0);
    let run = told.iter().find(|line| kind(line) == "step_started").unwrap()["run"].clone();

    let said = place.runbook(&["status", "--json"]);
    let told = lines(said.exits(0));
    assert_eq!(kinds(&told), ["version", "status", "step", "exit"]);
    assert_eq!((&told[1]["run"], &told[1]["state"], &told[1]["ended"]), (&run, &"over".into(), &"done".into()));
    assert_eq!((&told[2]["step"], &told[2]["status"]), (&"a/1".into(), &"done".into()));

    let said = place.runbook(&["history", "--json"]);
    let told = lines(said.exits(0));
    assert_eq!(kinds(&told), ["version", "run", "exit"]);
    assert_eq!((&told[1]["run"], &told[1]["runbook"]), (&run, &"tiny".into()));
}

#[test]
fn a_resumed_run_and_failures_are_told_in_lines() {
    let place = Place::new();
    let fails = place.file("fails.yaml", &book(&format!("{TRUE}{FALSE}")));
    let said = place.runbook(&["run", &fails, "--yes", "--progress", "json"]);
    assert!(kinds(&lines(said.exits(1))).contains(&"step_failed"));
    let said = place.runbook(&["run", &fails, "--yes", "--json"]);
    let told = lines(said.exits(8));
    let failure = told.last().unwrap();
    assert_eq!((kind(failure), &failure["code"]), ("failure", &8.into()));
    assert!(failure["hint"].as_str().unwrap().contains("runbook resume r-"));
    let said = place.runbook(&["status", "--json"]);
    let told = lines(said.exits(1));
    assert_eq!((&told[1]["state"], &told[1]["paused"]), (&"failed".into(), &"failed".into()));
    let said = place.runbook(&["resume", "--json"]);
    let told = lines(said.exits(1));
    assert!(kinds(&told).starts_with(&["version", "resumed"]), "{:?}", kinds(&told));
}

#[test]
fn github_reads_annotations_and_people_the_log() {
    let place = Place::new();
    place.file("bad.yaml", &book("      - comand: { argv: [\"true\"] }\n"));
    place.file("fine.yaml", &book(TRUE));
    let said = place.runbook(&["check", "--github", "./fine.yaml", "./bad.yaml"]);
    said.exits(3);
    assert_eq!(
        said.out,
        "::error file=bad.yaml,line=7,endLine=7,col=9,endColumn=14,title=RB110%3A an unknown action or check::\
         there is no action `comand`%0Adid you mean `command`?\n"
    );
    assert!(said.err.contains("bad.yaml:7:9") && said.err.contains("fine.yaml: ok"), "{}", said.err);
    let steps: String = (0..12).map(|n| format!("      - nothing-like-it-{n}: {{}}\n")).collect();
    place.file("worse.yaml", &book(&steps));
    let said = place.runbook(&["check", "--github", "./worse.yaml"]);
    assert_eq!(said.out.lines().count(), 10);
    assert!(said.out.ends_with("::error title=runbook check::3 more findings, see the log of this step\n"));
    place.runbook(&["check", "--github", "--json", "./fine.yaml"]).exits(2);
}

#[test]
fn a_plan_is_written_for_ci_even_when_it_is_refused() {
    let place = Place::new();
    let fine = place.file("fine.yaml", &book(TRUE));
    let xml = place.path("plan.xml");
    place.runbook(&["plan", &fine, "--junit", xml.to_str().unwrap()]).exits(0);
    let text = std::fs::read_to_string(&xml).unwrap();
    assert!(text.contains("<testsuite name=\"a\" tests=\"1\"") && text.contains("<testcase name=\"a/1\""), "{text}");
    let nobody = "redis:\n  a: { url: \"redis://127.0.0.1:1\", role: master }\nphases:";
    let dead = book("      - redis_compacted: {}\n").replace("phases:", nobody);
    let dead = place.file("dead.yaml", &dead);
    let said = place.runbook(&["plan", &dead, "--junit", xml.to_str().unwrap()]);
    assert!([4, 5].contains(&said.code), "{said:?}");
    assert!(std::fs::read_to_string(&xml).unwrap().contains("<failure"), "{said:?}");
    place.runbook(&["plan", &fine, "--junit", "/nowhere/plan.xml"]).exits(31).says("cannot write /nowhere/plan.xml");
}

/// Everything that prints a result, onto a disk without room and into a pipe that nobody reads.
#[test]
fn a_result_that_is_cut_short_is_an_error_and_a_reader_that_left_is_none() {
    let place = Place::new();
    let book = place.file("tiny.yaml", &format!("version: 1\nname: tiny\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [\"true\"] }}\n", hostname()));
    place.runbook(&["run", &book, "--yes"]).exits(0);
    let asked: [&[&str]; 18] = [
        &["show", &book],
        &["check", &book],
        &["check", &book, "--json"],
        &["plan", &book],
        &["plan", &book, "--json"],
        &["plan", &book, "--by-hand"],
        &["facts", &book],
        &["history"],
        &["history", "--json"],
        &["report", "--format", "md"],
        &["report", "--format", "junit"],
        &["explain"],
        &["schema"],
        &["completions", "bash"],
        &["--version"],
        &["help"],
        &["plan", "--help"],
        &["install-resume-unit", "--print"],
    ];
    for words in asked {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let said = place.command(words).stdout(full).stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(31), "{words:?}: {told}");
        assert!(told.contains("cut short") && told.contains("No space left"), "{words:?}: {told}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = place.command(words).stdout(writer).stdin(Stdio::null()).output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
    // What a run has done stays done, and is told with its own exit code.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let said = place.command(&["run", &book, "--yes", "--json"]).stdout(full).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(0) && told.contains("cut short"), "{:?} {told}", said.status);
}

/// A bad disk and a descriptor that cannot be written to are no readers that have left: what was printed there is not whole.
#[test]
fn a_result_that_a_bad_stream_did_not_take_is_an_error() {
    let place = Place::new();
    let book = place.file("tiny.yaml", &book(TRUE));
    for words in [&["show", &book][..], &["plan", &book, "--json"], &["schema"], &["explain"]] {
        // The memory of this process where nothing is mapped: every write ends with EIO, as on a disk that is dying.
        let dying = std::fs::OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
        let said = Said::from(place.command(words).stdout(dying).output().unwrap());
        said.exits(31).says("cut short").says("Input/output error");
        let only_to_read = std::fs::File::open("/dev/null").unwrap();
        let said = Said::from(place.command(words).stdout(only_to_read).output().unwrap());
        said.exits(31).says("cut short").says("Bad file descriptor");
    }
}

/// The line to the server is gone: its terminal answers with EIO, and there is nobody who could miss anything.
#[test]
fn a_terminal_that_hung_up_has_no_reader() {
    let place = Place::new();
    let (begun, code) = (place.path("begun"), place.path("code"));
    let program = env!("CARGO_BIN_EXE_runbook");
    let inner = format!(
        "trap '' HUP; : > {}; while kill -0 $PPID 2>&-; do sleep 0.05; done; {program} explain; echo $? > {}",
        begun.display(),
        code.display()
    );
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &inner, "/dev/null"]).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    let Ok(mut terminal) = script.stdout(Stdio::null()).spawn() else { return };
    let waited = |path: &std::path::Path| {
        (0..400).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::fs::read(path).is_ok_and(|seen| path == begun || !seen.is_empty())
        })
    };
    assert!(waited(&begun), "nothing was started");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert!(waited(&code), "it hangs on the dead terminal");
    assert_eq!(std::fs::read_to_string(&code).unwrap().trim(), "0");
}

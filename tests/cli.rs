//! The command line: what it says and how it exits, where no service is needed.
#![expect(clippy::print_stdout, reason = "a skipped test says why")]
use crate::support::program::{Place, hostname};

const BAD: &str =
    "version: 1\nname: bad\nhosts: [x]\nphases:\n  - name: a\n    steps:\n      - comand: { argv: [\"true\"] }\n";

/// A runbook for this machine with one command in it.
fn good(extra: &str, steps: &str) -> String {
    format!(
        "version: 1\nname: tiny\ndoc: A tiny one.\nhosts: [{}]\n{extra}phases:\n  - name: a\n    steps:\n{steps}",
        hostname()
    )
}

const TRUE: &str = "      - command: { argv: [\"true\"], repeatable: true }\n";

#[test]
fn check_finds_everything_and_exits_3() {
    let place = Place::new();
    let bad = place.file("bad.yaml", BAD);
    let said = place.runbook(&["check", &bad]);
    said.exits(3).says("bad.yaml:7:").says("comand").says("did you mean `command`?").says("runbook explain RB");
    assert_eq!(said.out, "", "findings are talk, not a result");
    let fine = place.file("fine.yaml", &good("", TRUE));
    place.runbook(&["check", &fine]).exits(0).says("fine.yaml: ok (1 phases, 1 steps)");
    place.runbook(&["check", &fine, &bad]).exits(3).says("fine.yaml: ok");
    place.runbook(&["check", "./none.yaml"]).exits(3).says("there is no runbook ./none.yaml");
    place.runbook(&["check", "../etc"]).exits(3);
    place.runbook(&["check", ".hidden"]).exits(3).says("is no name of a runbook");
}

#[test]
fn the_shipped_runbook_is_valid_and_shown() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/restart-staging.yaml");
    place.runbook(&["check", shipped]).exits(0);
    place
        .runbook(&["show", shipped])
        .exits(0)
        .says("point of no return")
        .says("reboot/1")
        .says("asks for the typed name");
}

#[test]
fn links_are_not_followed() {
    let place = Place::new();
    let fine = place.file("fine.yaml", &good("", TRUE));
    std::os::unix::fs::symlink(&fine, place.path("link.yaml")).unwrap();
    place.runbook(&["check", "./link.yaml"]).exits(3).says("symbolic link");
}

#[test]
fn root_acts_only_on_what_root_alone_can_change() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let place = Place::new();
    let fine = place.file("fine.yaml", &good("", TRUE));
    std::fs::set_permissions(&fine, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    place.runbook(&["check", &fine]).exits(0);
    place.runbook(&["plan", &fine]).exits(5).says("can be changed by others than root").says("chmod go-w");
}

#[test]
fn explain_help_completions_and_man() {
    let place = Place::new();
    place.runbook(&["explain", "rb101"]).exits(0).says("RB101: an unknown key");
    place.runbook(&["explain", "journal"]).exits(0).says("refused");
    place.runbook(&["explain", "RB999"]).exits(2);
    place.runbook(&["--help"]).exits(0).says("Exit codes:").says("143  terminated after a checkpoint");
    place.runbook(&["completions", "bash"]).exits(0).says("install-resume-unit");
    std::fs::create_dir(place.path("man")).unwrap();
    place.runbook(&["man", place.path("man").to_str().unwrap()]).exits(0);
    assert!(place.path("man/runbook-resume.1").is_file() && place.path("man/runbook.1").is_file());
    place.runbook(&["frobnicate"]).exits(2);
    place.runbook(&["resume", "--fail-open", "--unattended"]).exits(2);
}

#[test]
fn a_plan_for_another_host_says_whose_it_is() {
    let place = Place::new();
    let other =
        place.file("other.yaml", &good("", TRUE).replace(&format!("hosts: [{}]", hostname()), "hosts: [stg-9]"));
    let said = place.runbook(&["plan", &other]);
    said.exits(5).says("tiny is for stg-9, and this host is");
    place.runbook(&["run", &other, "--yes"]).exits(5);
}

#[test]
fn a_plan_changes_nothing_and_its_exit_code_says_whether_a_run_would() {
    let place = Place::new();
    std::fs::remove_dir(place.path("state")).unwrap();
    let fine = place.file("fine.yaml", &good("", TRUE));
    let args = ["plan", &fine];
    place.runbook(&args).exits(0);
    place.runbook(&["plan", &fine, "--detailed-exitcode"]).exits(10);
    place.runbook(&["run", &fine, "--dry-run"]).exits(0);
    assert!(!place.path("state").exists() && !place.path("lock").exists(), "nothing was created");
    let nobody = place.file("nobody.yaml", &good("redis:\n  a: { url: \"redis://127.0.0.1:1\", role: master }\n", "      - healthy: { checks: [ { redis: { instances: all } } ] }\n      - redis_compacted: { instances: all }\n"));
    let said = place.runbook(&["plan", &nobody]);
    assert!([4, 5].contains(&said.code), "{said:?}");
    place.runbook(&["plan", &fine, "--at", "soon"]).exits(2).says("not a time");
}

#[test]
fn a_closed_window_is_exit_6_unless_ignored_with_a_reason() {
    let place = Place::new();
    let window = "window: { days: [sat], opens: \"10:00\", length: 3h, timezone: UTC }\n";
    let fine = place.file("fine.yaml", &good(window, TRUE));
    place.runbook(&["plan", &fine, "--at", "2026-11-28T10:05"]).exits(0);
    place.runbook(&["plan", &fine, "--at", "2026-11-28T13:05"]).exits(6).says("the window is closed");
    place.runbook(&["run", &fine, "--yes", "--ignore-window", " "]).exits(2).says("needs a reason");
    place.runbook(&["run", &fine, "--yes", "--ignore-window", "a test"]).exits(0);
}

#[test]
fn without_a_terminal_the_missing_flag_is_named_before_anything_is_done() {
    let place = Place::new();
    let plain = place.file("plain.yaml", &good("", TRUE));
    place.runbook(&["run", &plain]).exits(9).says("plain.yaml --yes");
    let named = place.file(
        "named.yaml",
        &good(
            "",
            &TRUE.replace(
                "repeatable: true }\n",
                "repeatable: true }\n        confirm: { type: name, because: \"It matters.\" }\n",
            ),
        ),
    );
    place.runbook(&["run", &named, "--yes"]).exits(9).says("named.yaml --yes --confirm tiny");
    place.runbook(&["run", &named, "--yes", "--confirm", "other"]).exits(2).says("is not the name of this runbook");
    place.runbook(&["run", &plain, "--yes", "--step"]).exits(9);
    assert_eq!(place.state(), Vec::new(), "nothing was begun");
    place.runbook(&["run", &named, "--yes", "--confirm", "tiny"]).exits(0);
}

#[test]
fn a_failed_step_leaves_a_run_that_owns_the_host_until_it_is_given_up() {
    let place = Place::new();
    let flag = place.path("flag");
    let steps = format!(
        "      - command: {{ argv: [\"true\"], repeatable: true }}\n      - command: {{ argv: [test, -e, \"{}\"], repeatable: true }}\n",
        flag.display()
    );
    let fails = place.file("fails.yaml", &good("", &steps));
    let said = place.runbook(&["run", &fails, "--yes"]);
    said.exits(1).says("a/2").says("runbook resume r-");
    let before = place.state();
    place.runbook(&["run", &fails, "--yes"]).exits(8).says("is unfinished").says("runbook abort r-");
    place.runbook(&["status"]).exits(1).says("a/2");
    place.runbook(&["history"]).exits(0).says("unfinished");
    place.runbook(&["report"]).exits(0);
    place.runbook(&["doctor"]).exits(5).says("owns this host");
    place.runbook(&["pause"]).exits(0).says("stands still already");
    assert_eq!(place.state(), before, "looking changes nothing");
    std::fs::write(&flag, "").unwrap();
    place.runbook(&["resume"]).exits(0);
    place.runbook(&["status"]).exits(0);
    place.runbook(&["resume"]).exits(0).says("no run is unfinished");

    std::fs::remove_file(&flag).unwrap();
    place.runbook(&["run", &fails, "--yes"]).exits(1);
    place.runbook(&["abort", "--abandon"]).exits(2);
    place.runbook(&["abort"]).exits(0).says("given up");
    place.runbook(&["history"]).exits(0).says("given up");
    place.runbook(&["run", &fails, "--yes"]).exits(1);
    place.runbook(&["abort", "--abandon", "--reason", "by hand"]).exits(0).says("The host is free");
    place.runbook(&["status"]).exits(1);
}

#[test]
fn a_damaged_journal_is_refused_with_its_own_code() {
    let place = Place::new();
    let fails = place.file("fails.yaml", &good("", "      - command: { argv: [\"false\"], repeatable: true }\n"));
    place.runbook(&["run", &fails, "--yes"]).exits(1);
    let (journal, mut bytes) =
        place.state().into_iter().find(|(path, _)| path.file_name().is_some_and(|name| name == "journal")).unwrap();
    bytes[100] ^= 1;
    std::fs::write(journal, bytes).unwrap();
    place.runbook(&["resume"]).exits(30).says("is refused");
    place.runbook(&["status"]).exits(30);
    place.runbook(&["run", &fails, "--yes"]).exits(8);
}

#[test]
fn the_resume_unit_is_shown_with_this_program_and_this_state_directory() {
    let place = Place::new();
    let said = place.runbook(&["install-resume-unit", "--print"]);
    let state = place.path("state").canonicalize().unwrap();
    said.exits(0).says(&format!("--state-dir {} resume --unattended", state.display())).says("resume --fail-open");
}

/// Whatever `resume` answers is an answer, and systemd does not ask again at once; only a crash is tried again.
#[test]
fn the_resume_unit_repeats_no_answer() {
    let place = Place::new();
    let unit = place.runbook(&["install-resume-unit", "--print"]).out;
    let listed = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    let listed: Vec<u8> = listed.split(' ').map(|code| code.parse().unwrap()).collect();
    let help = place.runbook(&["--help"]).out;
    let (_, table) = help.split_once("Exit codes:\n").unwrap();
    let codes = table
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok());
    let answers: Vec<u8> = codes.filter(|code| ![0, 70].contains(code)).collect();
    assert_eq!(listed, answers);
}

//! Faults of operators, state directories, signals and commands, produced with the program itself on this machine: a place of its
//! own for each, private mounts where a disk must fail, nothing of the machine touched.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::seen::Seen;
use crate::support::program::{Place, Said, hostname};

const TRUE: &str = "      - command: { argv: [\"true\"], repeatable: true }\n";

/// A runbook for this machine.
fn book(extra: &str, steps: &str) -> String {
    format!("version: 1\nname: tiny\nhosts: [{}]\n{extra}phases:\n  - name: a\n    steps:\n{steps}", hostname())
}

/// One command, once.
fn once(words: &str) -> String {
    format!("      - command: {{ argv: [{words}], repeatable: true }}\n")
}

/// Waits until the journal of the only run holds the words.
fn until_journaled(place: &Place, words: &str) {
    until(words, || {
        let state = place.state();
        let journal = state.iter().find(|(path, _)| path.ends_with("journal"));
        journal.is_some_and(|(_, bytes)| String::from_utf8_lossy(bytes).contains(words))
    });
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "waited a minute in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The place's own path, which no reader can know, out of the words.
fn seen(said: &Said, place: &Place) -> Seen {
    let dir = place.path("");
    let dir = dir.to_str().unwrap().trim_end_matches('/');
    Seen::err(said).with(dir, "/srv")
}

#[test]
fn operators_are_refused_before_anything_is_done() {
    let place = Place::new();
    let fine = place.file("tiny.yaml", &book("", TRUE));

    let other = place.file("other.yaml", &book("", TRUE).replace(&hostname(), "stg-9"));
    seen(place.runbook(&["run", &other, "--yes"]).exits(5).says("is for stg-9"), &place).from("runbook:").is("O5");

    let unanswered = place.runbook(&["run", &fine]);
    seen(unanswered.exits(9).says(" --yes"), &place).from("runbook:").is("O9");

    let window = "window: { days: [sat], opens: \"10:00\", length: 1m, timezone: UTC }\n";
    let slow = "      - command: { argv: [\"true\"], repeatable: true }\n        takes: 5m\n";
    let late = place.file("late.yaml", &book(window, slow));
    let said = place.runbook(&["plan", &late, "--at", "2026-11-28T10:00"]);
    seen(said.exits(6).says("it does not fit the window"), &place).from("runbook:").is("O6");

    let lost = "redis:\n  a: { url: \"redis://127.0.0.1:1\", role: master, password: { env: REDIS_PASS } }\n";
    let steps = "      - rebooted: { how: reboot }\n      - redis_loaded: { instances: all }\n";
    let secret = place.file("secret.yaml", &book(lost, steps));
    let said = place.runbook(&["check", &secret]);
    seen(said.exits(3).says("REDIS_PASS"), &place).from("error").is("B15");

    let soft = place.file("soft.yaml", &book("", "      - rebooted: { how: soft-reboot }\n"));
    seen(place.runbook(&["check", &soft]).exits(3), &place).from("error").is("B4");

    let template = place.file("template.yaml", &book("units:\n  a: { unit: redis-server@.service }\n", TRUE));
    seen(place.runbook(&["check", &template]).exits(3), &place).from("error").is("S5");

    assert_eq!(place.state(), Vec::new(), "nothing was begun");
}

#[test]
fn a_plan_that_is_out_of_date_is_refused() {
    let place = Place::new();
    let fine = place.file("tiny.yaml", &book("", TRUE));
    let saved = place.runbook(&["plan", &fine, "--save"]);
    let id = saved
        .exits(0)
        .out
        .split_whitespace()
        .find(|word| word.starts_with("p-"))
        .unwrap()
        .trim_end_matches(',')
        .to_owned();
    place.file("tiny.yaml", &book("", &TRUE.repeat(2)));
    let said = place.runbook(&["run", "--plan", &id, "--yes"]);
    let sha = |said: &Said| {
        said.err.split_whitespace().filter(|word| word.len() == 64).map(str::to_owned).collect::<Vec<_>>()
    };
    let hashes = sha(said.exits(7));
    let kept = hashes.iter().fold(seen(&said, &place).with(&id, "p-ID"), |kept, hash| kept.with(hash, "…"));
    kept.from("runbook:").is("O7");
}

#[test]
fn a_second_operator_is_told_who_holds_the_host_and_ctrl_c_pauses() {
    let place = Place::new();
    let sleeps = place.file("tiny.yaml", &book("", &format!("{}{TRUE}", once("sleep, \"5\""))));
    let child = place.start(&["run", &sleeps, "--yes", "--progress", "plain"]);
    let pid = child.id().to_string();
    until_journaled(&place, "item_intent");
    let second = place.runbook(&["run", &sleeps, "--yes"]);
    seen(second.exits(8), &place).with(&pid, "PID").from("runbook:").tidy_holder().is("O3");

    signal(&child, Signal::INT);
    let ended: Said = child.wait_with_output().unwrap().into();
    seen(ended.exits(20), &place).from("paused").is("O1");
    place.runbook(&["resume"]).exits(0);
}

#[test]
fn a_closed_terminal_does_not_end_a_run() {
    let place = Place::new();
    let sleeps = place.file("tiny.yaml", &book("", &format!("{}{TRUE}", once("sleep, \"1\""))));
    let mut child = place.start(&["run", &sleeps, "--yes", "--progress", "plain"]);
    until_journaled(&place, "item_intent");
    // The laptop is closed: the terminal's end of both streams goes away, and SIGHUP comes.
    drop((child.stdout.take(), child.stderr.take()));
    signal(&child, Signal::HUP);
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "it went on");
    let said = place.runbook(&["status"]);
    Seen::all(said.exits(0)).only(&["OVER", "Report"]).number_after("done, ").is("O2");
}

#[test]
fn a_runbook_that_was_edited_meanwhile_changes_nothing_of_a_run() {
    let place = Place::new();
    let flag = place.path("flag");
    let steps = format!("{TRUE}{}", once(&format!("test, -e, \"{}\"", flag.display())));
    let path = place.file("tiny.yaml", &book("", &steps));
    place.runbook(&["run", &path, "--yes"]).exits(1);
    std::fs::write(&flag, "").unwrap();
    place.file("tiny.yaml", &book("", &steps.replace("true", "false")));
    // The run has its own copy; whoever changes that is refused.
    let copy = place.state().into_iter().find(|(path, _)| path.ends_with("runbook.yaml")).unwrap();
    std::fs::write(&copy.0, book("", &steps.replace("true", "false"))).unwrap();
    let said = place.runbook(&["resume"]);
    let hashed = |word: &&str| word.trim_matches(|c: char| !c.is_ascii_hexdigit()).len() == 64;
    let hashes: Vec<&str> = said.err.split_whitespace().filter(hashed).collect();
    let kept = hashes
        .iter()
        .fold(seen(&said, &place), |kept, hash| kept.with(hash.trim_matches(|c: char| !c.is_ascii_hexdigit()), "…"));
    said.exits(30);
    kept.from("runbook:").is("O4");
    std::fs::write(&copy.0, &copy.1).unwrap();
    place.runbook(&["resume"]).exits(0);
}

#[test]
fn commands_that_do_not_end_well_are_told_apart() {
    let noise = "sh, -c, \"printf 'caf\\\\351 \\\\033[31mred\\\\n'; exit 3\"";
    let flood = "sh, -c, \"yes flood | head -c 50000000; exit 4\"";
    for (id, words, extra) in [
        ("T5", "/nonexistent/program".to_owned(), ""),
        ("T7", "sh, -c, \"trap '' TERM; sleep 30\"".to_owned(), "        within: 1s\n"),
        ("T8", flood.to_owned(), ""),
        ("T9", "sh, -c, \"setsid sleep 2 & exit 5\"".to_owned(), ""),
        ("T12", noise.to_owned(), ""),
    ] {
        let place = Place::new();
        let path = place.file("tiny.yaml", &book("", &(once(&words) + extra)));
        let began = Instant::now();
        let said = place.runbook(&["run", &path, "--yes", "--progress", "plain"]);
        assert!(began.elapsed() < Duration::from_secs(60), "{id} hung");
        assert!(!said.all().contains('\x1b') && said.all().len() < 20_000, "{id}: tame and bounded");
        let report = place.runbook(&["report"]);
        assert!(!report.all().contains('\x1b') && report.all().len() < 100_000, "{id}: tame and bounded");
        let from = if id == "T7" { "  UNKNOWN" } else { "Stopped by" };
        seen(&said, &place).from(from).number_after("not within ").is(id);
    }
}

#[test]
fn a_port_that_nobody_opens_is_waited_for_no_longer_than_allowed() {
    let place = Place::new();
    let steps = "      - healthy: { checks: [ { tcp: { addr: \"127.0.0.1:1\" } } ] }\n        within: 5s\n";
    let path = place.file("tiny.yaml", &book("", steps));
    let said = place.runbook(&["run", &path, "--yes", "--progress", "plain"]);
    seen(&said, &place).from("Stopped by").is("B18");
}

#[test]
fn a_state_directory_that_is_not_there_yet_is_not_made_by_a_resume() {
    let place = Place::new();
    let none = place.path("not-mounted");
    let said = place.runbook(&["--state-dir", none.to_str().unwrap(), "resume", "--unattended"]);
    assert!(!none.exists(), "nothing was created where the disk belongs");
    seen(&said, &place).is("B7");
}

#[test]
fn a_damaged_journal_is_refused_with_its_place() {
    let place = Place::new();
    let path = place.file("tiny.yaml", &book("", &once("\"false\"")));
    place.runbook(&["run", &path, "--yes"]).exits(1);
    let (journal, mut bytes) = place.state().into_iter().find(|(path, _)| path.ends_with("journal")).unwrap();
    bytes[100] ^= 1;
    std::fs::write(journal, bytes).unwrap();
    seen(place.runbook(&["resume"]).exits(30), &place)
        .from("runbook:")
        .word_after("checksum ")
        .word_after("match ")
        .number_after("byte ")
        .is("T11");
}

/// Runs a shell line in mounts of its own: what it mounts, nobody else sees. `None` where that is not possible.
fn in_own_mounts(place: &Place, line: &str) -> Option<Said> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounts of one's own need root");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_runbook");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", line]).env_clear().current_dir(place.path(""));
    command.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", Path::new(program).parent().unwrap().display()));
    command.env("RUNBOOK_STATE_DIR", place.path("state")).env("RUNBOOK_LOCK", place.path("lock")).stdin(Stdio::null());
    Some(command.output().unwrap().into())
}

#[test]
fn a_disk_that_is_full_or_read_only_stops_before_the_first_change() {
    let place = Place::new();
    let path = place.file("tiny.yaml", &book("", TRUE));
    let full =
        format!("mount -t tmpfs -o size=128k,mode=700 none state; exec runbook run {path} --yes --progress plain");
    let Some(said) = in_own_mounts(&place, &full) else { return };
    seen(said.exits(31), &place).from("runbook:").is("T1");
    let frozen = format!("mount -t tmpfs -o ro,mode=700 none state; exec runbook run {path} --yes --progress plain");
    let said = in_own_mounts(&place, &frozen).unwrap();
    seen(said.exits(31), &place).from("runbook:").is("B17");
}

#[test]
fn a_clone_of_the_machine_is_refused() {
    let place = Place::new();
    let path = place.file("tiny.yaml", &book("", &once("\"false\"")));
    place.runbook(&["run", &path, "--yes"]).exits(1);
    let other = place.file("machine-id", "0123456789abcdef0123456789abcdef\n");
    let line = format!("mount --bind {other} /etc/machine-id; exec runbook resume");
    let Some(said) = in_own_mounts(&place, &line) else { return };
    let here = std::fs::read_to_string("/etc/machine-id").unwrap();
    seen(said.exits(30), &place).with(here.trim(), "5d0c1e2f3a4b4c5d8e9f0a1b2c3d4e5f").from("runbook:").is("B13");
}

/// Runs the program where no thread can be started any more.
fn without_threads(place: &Place, words: &[&str]) -> Option<Said> {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: no strace");
        return None;
    }
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=clone3,clone",
        "-e",
        "inject=clone3,clone:error=EAGAIN",
        "-o",
        "/dev/null",
    ]);
    command.arg(env!("CARGO_BIN_EXE_runbook")).args(words).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("RUNBOOK_STATE_DIR", place.path("state")).env("RUNBOOK_LOCK", place.path("lock")).stdin(Stdio::null());
    Some(command.output().unwrap().into())
}

#[test]
fn a_bug_has_an_exit_code_of_its_own_and_want_of_threads_is_no_bug() {
    let place = Place::new();
    let path = place.file("tiny.yaml", &book("", &once("\"true\"")));
    let Some(said) = without_threads(&place, &["run", &path, "--yes"]) else { return };
    said.exits(70).says("the system gives this process too little");
    // The look at PM2 takes a thread of the runtime, which panics when there is none.
    let home = place.path("pm2");
    std::fs::create_dir(&home).unwrap();
    let pm2 = format!("pm2:\n  a: {{ user: root, home: \"{}\" }}\n", home.display());
    let path = place.file("apps.yaml", &book(&pm2, "      - pm2_saved: { pm2: a }\n"));
    let said = without_threads(&place, &["plan", &path]).unwrap();
    let line = said.err.split(" at ").nth(1).and_then(|rest| rest.split(": ").next()).unwrap_or_default().to_owned();
    seen(said.exits(70), &place).from("a bug of this program").with(&line, "FILE:LINE").is("O11");
}

#[test]
fn a_killed_run_is_told_and_a_command_in_doubt_is_not_run_again() {
    let place = Place::new();
    let begun = place.path("begun");
    let script = format!("sh, -c, \"echo $$ >{0}.new; mv {0}.new {0}; exec sleep 30\"", begun.display());
    let path = place.file("tiny.yaml", &book("", &format!("      - command: {{ argv: [{script}] }}\n")));
    let mut child = place.start(&["run", &path, "--yes", "--progress", "plain"]);
    until("the command has begun", || begun.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // With the process that carries it out, and in the middle: no evidence is left.
    let command: i32 = std::fs::read_to_string(&begun).unwrap().trim().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{command}/stat")).unwrap();
    let carrier: i32 = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    for pid in [carrier, command] {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
    let said = place.runbook(&["resume", "--progress", "plain"]);
    seen(said.exits(21).says("runbook resolve"), &place).from("nobody knows").is("T6");
    place.runbook(&["run", &path, "--yes"]).exits(8);
}

#[test]
fn a_command_that_outlives_its_run_is_waited_for_by_name() {
    let place = Place::new();
    let begun = place.path("begun");
    let script = format!("sh, -c, \"echo >{}; exec sleep 6\"", begun.display());
    let path = place.file("tiny.yaml", &book("", &format!("      - command: {{ argv: [{script}] }}\n")));
    let mut child = place.start(&["run", &path, "--yes", "--progress", "plain"]);
    until("the command has begun", || begun.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let said = place.runbook(&["resume", "--progress", "plain"]);
    let asked = said.exits(0).err.lines().find(|line| line.contains("still at work")).unwrap_or_default();
    let is_pid = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_digit());
    let pids: Vec<&str> = asked.split(['(', ' ', ',']).filter(is_pid).collect();
    let seen =
        seen(&said, &place).with(&format!("{} exe", pids[0]), "4711 exe").with(&format!("{} s", pids[1]), "4712 s");
    // Between the fork and its own name the shell may still be seen.
    seen.with("4712 sh)", "4712 sleep)").only(&["still at work", "settled"]).is("T14");
}

#[test]
fn want_of_descriptors_is_told() {
    let place = Place::new();
    let path = place.file("tiny.yaml", &book("", TRUE));
    let (mut codes, mut told) = (Vec::new(), false);
    for most in 4..16 {
        let line = format!("ulimit -n {most}; exec runbook run {path} --yes");
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_runbook");
        command.args(["-ec", &line]).env_clear().current_dir(place.path("")).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/bin:/bin", Path::new(program).parent().unwrap().display()));
        command.env("RUNBOOK_STATE_DIR", place.path("state")).env("RUNBOOK_LOCK", place.path("lock"));
        let said: Said = command.output().unwrap().into();
        assert!(!said.all().contains("a bug of this program") || said.code == 70, "{most}: {said:?}");
        // How many are needed before the program can say so is the business of its libraries.
        if said.code == 70 && said.all().contains("gives this process too little") && !told {
            seen(&said, &place).from("runbook:").is("T4");
            told = true;
        }
        codes.push(said.code);
        place.runbook(&["abort", "--abandon", "--reason", "the next limit"]);
    }
    println!("{codes:?}");
    assert!(told && !codes.contains(&-1), "{codes:?}");
}

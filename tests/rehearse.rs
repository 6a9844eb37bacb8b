//! Rehearsals and plans without a machine, through the program: what they say, how they end, and that nothing is left.
#![expect(clippy::disallowed_methods, reason = "a rehearsal is timed, and one is started as somebody else")]
use std::time::{Duration, Instant};

use runbook::host::Facts;
use runbook::journal::store::Store;
use serde_json::Value;

use crate::support::program::{Place, Said, hostname};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/restart-staging.yaml");
const FACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/staging.facts.json");
const ANSWERED: [&str; 3] = ["--yes", "--confirm", "restart-staging"];

/// Rehearses the shipped runbook, much faster than it is watched.
fn rehearse(place: &Place, more: &[&str]) -> Said {
    let mut words = vec!["rehearse", "restart-staging", "--speed", "100000"];
    words.extend(ANSWERED);
    words.extend(more);
    place.runbook(&words)
}

#[test]
fn the_shipped_runbook_is_rehearsed_by_its_name_alone_within_20_seconds() {
    let place = Place::new();
    let began = Instant::now();
    let said = place.runbook(&["rehearse", "restart-staging", "--yes", "--confirm", "restart-staging"]);
    let took = began.elapsed();
    said.exits(0).says("REHEARSAL on recorded facts of stg-1").says("nothing is touched");
    said.says("the machine is down, and up again").says("is over: done").says("back after 1m00s");
    // Twenty seconds of a machine that has nothing else to do.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let busy = load.split(' ').next().unwrap().parse::<f64>().unwrap()
        / std::thread::available_parallelism().unwrap().get() as f64;
    assert!(took < Duration::from_secs(20).mul_f64(busy.max(1.0)), "{took:?} at a load of {busy} per core");
    assert_eq!(place.state(), Vec::new(), "the journal was elsewhere, and is gone");
}

/// As anybody, with nothing in the environment, in an empty directory: nothing is installed and nothing is left.
#[test]
fn nobody_can_rehearse_with_nothing_installed() {
    let place = Place::new();
    std::fs::set_permissions(place.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let copy = place.path("runbook");
    std::fs::copy(env!("CARGO_BIN_EXE_runbook"), &copy).unwrap();
    let mut command = std::process::Command::new(&copy);
    if rustix::process::geteuid().is_root() {
        command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]).arg(&copy);
    }
    command.args(["rehearse", "restart-staging", "--yes", "--confirm", "restart-staging", "--speed", "100000"]);
    let said: Said =
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(place.path(".")).output().unwrap().into();
    said.exits(0).says("is over: done").says("Nothing was touched");
    let names: Vec<_> = std::fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the copy of the program and the state directory of the test: {names:?}");
}

/// The demonstration says why there is no real host, and rehearses: as nobody, and on what calls itself another system.
#[test]
fn the_demonstration_rehearses_where_there_is_no_root_and_no_linux() {
    let place = Place::new();
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap()
    };
    let copied = |from: &str, to: &str| {
        let to = place.path(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        open(to.parent().unwrap());
        std::fs::copy(from, &to).unwrap();
        open(&to);
    };
    open(&place.path("."));
    copied(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/real-host.sh"), "examples/real-host.sh");
    copied(env!("CARGO_BIN_EXE_runbook"), "target/debug/runbook");
    copied(&place.file("uname", "#!/bin/sh\necho Darwin\n"), "elsewhere/uname");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let start = |who: &[&str], path: &str| {
        let script = place.path("examples/real-host.sh");
        let words: Vec<&str> = who.iter().copied().chain(["bash", script.to_str().unwrap()]).collect();
        let mut command = std::process::Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", path)
            .env("RUNBOOK_PROGRESS", "none")
            .stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let who = if rustix::process::geteuid().is_root() { &nobody[..] } else { &[] };
    let unprivileged = start(who, "/usr/bin:/bin");
    let elsewhere = start(&[], &format!("{}:/usr/bin:/bin", place.path("elsewhere").display()));
    for (child, why) in [(unprivileged, "this is not root"), (elsewhere, "this is not Linux")] {
        let said: Said = child.wait_with_output().unwrap().into();
        said.exits(0).says(&format!("No real host: {why}")).says("nothing is touched").says("Done:");
    }
}

#[test]
fn without_a_terminal_and_flags_a_rehearsal_answers_for_itself() {
    let place = Place::new();
    place.runbook(&["rehearse", "restart-staging", "--speed", "100000", "--progress", "none"]).exits(0);
    place.runbook(&["rehearse", SHIPPED, "--confirm", "other"]).exits(2).says("is not the name of this runbook");
}

#[test]
fn a_lost_app_is_named() {
    let place = Place::new();
    let said = rehearse(&place, &["--lose-app", "service-07"]);
    said.exits(1).says("service-07: crash loop").says("resume");
    rehearse(&place, &["--lose-app", "service-007"]).exits(2).says("did you mean service-0");
}

#[test]
fn a_step_that_fails_between_the_stop_and_the_reboot_backs_out() {
    let place = Place::new();
    let said = rehearse(&place, &["--fail", "stop/compact-again"]);
    said.exits(12).says("backed out, services were brought back").says("made to fail");
    let said = rehearse(&place, &["--fail", "compact/1"]);
    said.exits(1).says("FAILED bds").says("Stopped by a failure");
    assert!(!said.all().contains("pm2_stopped: 133"), "{said:?}");
    rehearse(&place, &["--fail", "stop/2"]).exits(2).says("there is no step `stop/2`");
}

#[test]
fn a_crash_is_gone_on_from_and_ends_the_same() {
    let place = Place::new();
    for step in ["stop/1", "restore/1"] {
        let said = rehearse(&place, &["--crash-after", step]);
        said.exits(0).says("the process dies here").says("is over: done");
    }
}

#[test]
fn a_slow_instance_shows_in_the_length_and_a_kept_journal_can_be_reported() {
    let place = Place::new();
    let said = rehearse(&place, &["--slow", "bds=4x", "--keep"]);
    said.exits(0).says("planned 1:10");
    let kept = said.err.lines().find_map(|line| line.split("--state-dir ").nth(1)).unwrap().to_owned();
    place.runbook(&["--state-dir", &kept, "report"]).exits(0).says("restart-staging");
    std::fs::remove_dir_all(std::path::Path::new(&kept).parent().unwrap()).unwrap();
    rehearse(&place, &["--slow", "bds"]).exits(2).says("write bds=4x");
}

/// A rehearsal in one process, followed from another: everything is told, and both end alike.
#[test]
fn a_run_is_followed_from_a_second_terminal_to_its_exit_code() {
    for (fault, code, word) in [(&[][..], 0, "is over: done"), (&["--fail", "stop/compact-again"], 12, "backed out")] {
        let place = Place::new();
        let program = env!("CARGO_BIN_EXE_runbook");
        let mut first = std::process::Command::new(program);
        first.args(["rehearse", "restart-staging", "--speed", "200", "--keep"]).args(ANSWERED).args(fault);
        first.env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", place.path("state"));
        let mut first = first.stderr(std::process::Stdio::null()).stdin(std::process::Stdio::null()).spawn().unwrap();
        let state = (0..600).find_map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            let dir = std::fs::read_dir(place.path("state")).unwrap().next()?.unwrap().path().join("state");
            let named = |run: &std::fs::DirEntry| run.file_name().to_string_lossy().starts_with("r-");
            std::fs::read_dir(dir.join("runs")).ok()?.find(|run| run.as_ref().is_ok_and(named))?.ok()?;
            Some(dir.to_str().unwrap().to_owned())
        });
        let state = state.expect("the rehearsal has begun");
        let said = place.runbook(&["--state-dir", &state, "attach"]);
        assert_eq!(first.wait().unwrap().code(), Some(code));
        said.exits(code).says("[1/9 preflight]").says("[8/9 restore]").says(word).says(" report r-");
        // One that is over is told once more, with the same code.
        place.runbook(&["--state-dir", &state, "attach", "--progress", "none"]).exits(code);
    }
}

#[test]
fn drawn_runs_give_the_chance_and_a_seed_gives_the_same_again() {
    let place = Place::new();
    let draw = |seed| place.runbook(&["rehearse", "restart-staging", "--runs", "200", "--seed", seed]);
    let first = draw("7");
    first.exits(0).says("inside the window  100.0 %").says("9 in 10 end by");
    assert_eq!(draw("7").out, first.out);
    assert_ne!(draw("8").out, first.out);
    assert_eq!(place.state(), Vec::new());
}

#[test]
fn a_gate_that_could_wait_for_ever_ends_by_itself() {
    let place = Place::new();
    let never = std::fs::read_to_string(SHIPPED).unwrap().replace(
        "- redis: { instances: all }\n            - host: { memory_free: 20% }",
        "- host: { memory_free: 99% }",
    );
    let file = place.file("never.yaml", &never);
    let said = place.runbook(&["rehearse", &file, "--speed", "1000000", "--progress", "none"]);
    said.exits(1).says("preflight/2").says("not within 5m");
}

#[test]
fn a_plan_on_recorded_facts_needs_no_machine() {
    let place = Place::new();
    let said = place.runbook(&["plan", SHIPPED, "--offline", FACTS]);
    said.exits(0);
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        let anywhere = said.out.replace(env!("CARGO_MANIFEST_DIR"), "[HERE]");
        insta::assert_snapshot!("plan_offline_of_restart_staging", anywhere);
    });
    place.runbook(&["plan", "restart-staging", "--offline", FACTS, "--detailed-exitcode"]).exits(10);
    place.runbook(&["plan", SHIPPED, "--offline", FACTS, "--at", "2026-11-28T12:50"]).exits(6);
    let text = std::fs::read_to_string(SHIPPED).unwrap().replace("hosts: [stg-1] ", "hosts: [stg-9] ");
    let other = place.file("other.yaml", &text);
    place.runbook(&["plan", &other, "--offline", FACTS]).exits(5).says("these facts are of stg-1");
}

#[test]
fn what_facts_do_not_hold_is_a_question_mark_and_a_newer_file_is_refused() {
    let place = Place::new();
    let text = std::fs::read_to_string(SHIPPED).unwrap().replace("127.0.0.1:3005/health", "127.0.0.1:3006/health");
    let unasked = place.file("unasked.yaml", &text);
    let said = place.runbook(&["plan", &unasked, "--offline", FACTS, "-v"]);
    said.exits(0).says("? known only when the run gets there: http http://127.0.0.1:3006/health").says("1 unknown");
    place.runbook(&["rehearse", &unasked, "--offline", FACTS, "--speed", "100000"]).exits(0).says("taken to hold");
    let newer = place.file("newer.json", "{\"format\":99}");
    place.runbook(&["plan", SHIPPED, "--offline", &newer]).exits(3).says("format 99").says("update runbook");
    let broken = place.file("broken.json", "{\"format\":1,");
    place.runbook(&["plan", SHIPPED, "--offline", &broken]).exits(3).says("no recorded facts");
    place.runbook(&["plan", SHIPPED, "--offline", "/dev/zero"]).exits(2).says("not a regular file");
}

#[test]
fn facts_of_this_machine_are_recorded_and_planned_on() {
    let place = Place::new();
    let book = format!(
        "version: 1\nname: here\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - healthy: {{ checks: [ {{ host: {{ memory_free: 0%, disk_free: {{ path: /tmp, at_least: 0% }} }} }} ] }}\n      - command: {{ argv: [\"true\"], repeatable: true }}\n",
        hostname()
    );
    let file = place.file("here.yaml", &book);
    let facts = place.path("here.json");
    let facts = facts.to_str().unwrap();
    place.runbook(&["facts", &file, "-o", facts]).exits(0).says("2 answers recorded");
    let told = place.runbook(&["facts", &file]).exits(0).out.clone();
    assert!(told.starts_with("{\"format\":1,"), "{told}");
    place.runbook(&["plan", &file, "--offline", facts]).exits(0);
    place.runbook(&["rehearse", &file, "--offline", facts]).exits(0).says("is over: done");
    place.runbook(&["rehearse", &file]).exits(0).says("is over: done");
    place.runbook(&["facts"]).exits(2).says("name one");
}

/// Seconds of the step in which Redis loads, and where they come from.
#[expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
fn planned_load(place: &Place, facts: &str) -> (f64, Value) {
    let said = place.runbook(&["plan", "restart-staging", "--offline", facts, "--json"]);
    let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let step = lines.into_iter().find(|line| line["type"] == "plan_step" && line["id"] == "load/1").unwrap();
    (step["takes"]["span"]["typical"].as_f64().unwrap(), step["takes"]["source"].clone())
}

#[test]
fn what_one_run_measures_the_next_one_is_planned_with() {
    let place = Place::new();
    let said = rehearse(&place, &["--slow", "bds=4x", "--keep"]);
    let kept = said.err.lines().find_map(|line| line.split("--state-dir ").nth(1)).unwrap().to_owned();

    let loads = Store::open(std::path::Path::new(&kept)).unwrap().loads().unwrap();
    let [load] = loads.all("bds") else { panic!("{loads:?}") };
    assert!(load.wall_secs() > 3.0 * load.expected.unwrap().typical, "{load:?}");
    let mut facts = Facts::read(&std::fs::read(FACTS).unwrap()).unwrap();
    facts.loads = loads;
    let learned = place.file("learned.json", &facts.write().unwrap());
    let ((prior, rumour), (typical, source)) = (planned_load(&place, FACTS), planned_load(&place, &learned));
    assert_eq!((rumour, source), ("reckoned".into(), serde_json::json!({ "loads": 1 })));
    assert!((3.0..5.0).contains(&(typical / prior)), "{prior} {typical}");
    let said = place.runbook(&["plan", "restart-staging", "--offline", &learned]);
    said.says("1 step from 1");

    let said = place.runbook(&["--state-dir", &kept, "history", "--estimates"]);
    said.exits(0).says("load/1 bds").says("outside").says("instances, as planned: off by");
    let said = place.runbook(&["--state-dir", &kept, "history", "--estimates", "--json"]);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bds = lines.iter().find(|line| line["item"] == "bds" && line["step"] == "load/1").unwrap();
    assert_eq!((&bds["inside"], &bds["made"]), (&Value::Bool(false), &"plan".into()));
    assert!(bds["error_percent"].as_f64().unwrap() < -60.0, "{bds}");
    assert!(lines.iter().any(|line| line["type"] == "estimates" && line["mape"].as_f64().unwrap() > 0.0), "{lines:?}");
    std::fs::remove_dir_all(std::path::Path::new(&kept).parent().unwrap()).unwrap();
}

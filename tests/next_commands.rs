//! Every next command that is printed is typed as it stands there: after each ending and each plan, in a world whose state
//! directory and runbook have blanks and quotes in their paths.
#![expect(clippy::disallowed_methods, reason = "a test pastes commands into a shell")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::pm2::{Bed, skipped};
use crate::support::program::{Place, Said, hostname, offered};

const STATE: &str = "st ate's";
const BOOK: &str = "my books/it's.yaml";

/// A place in which nothing can be typed without quoting it.
fn place(steps: &str) -> Place {
    let place = Place::new();
    std::fs::remove_dir(place.path("state")).unwrap();
    for dir in [STATE, "my books", "bin"] {
        std::fs::create_dir(place.path(dir)).unwrap();
        std::fs::set_permissions(place.path(dir), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_runbook"), place.path("bin/runbook")).unwrap();
    write(&place, "", steps);
    place
}

/// The name inside is another one than the file's: only the path leads to it.
fn write(place: &Place, top: &str, phases: &str) {
    place.file(BOOK, &format!("version: 1\nname: tiny\nhosts: [{}]\n{top}phases:\n{phases}", hostname()));
}

fn phase(name: &str, step: &str) -> String {
    format!("  - name: {name}\n    steps:\n      - {step}\n")
}

fn shell(place: &Place, line: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env_clear().env("PATH", format!("{}:/usr/bin:/bin", place.path("bin").display()));
    shell.env("RUNBOOK_LOCK", place.path("lock")).current_dir(place.path("")).stdin(Stdio::null());
    shell
}

/// Types a line as it was printed.
fn typed(place: &Place, line: &str) -> Said {
    shell(place, line).output().unwrap().into()
}

/// Types a line on a terminal at which somebody answers.
fn answered(place: &Place, line: &str, answer: &str) -> Option<Said> {
    let mut script = shell(place, "exec script -qec \"$LINE\" /dev/null");
    let mut child = script.env("LINE", line).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    std::thread::sleep(Duration::from_millis(1500));
    std::io::Write::write_all(&mut child.stdin.take()?, format!("{answer}\n").as_bytes()).ok()?;
    Some(child.wait_with_output().ok()?.into())
}

/// The program with the state directory as somebody types it, from the directory above.
fn runbook(place: &Place, words: &str) -> Said {
    typed(place, &format!("runbook --state-dir \"{STATE}\" {words}"))
}

fn run(place: &Place, flags: &str) -> Said {
    runbook(place, &format!("run \"{BOOK}\" --yes {flags}"))
}

fn start(place: &Place) -> Child {
    let line = format!("exec runbook --state-dir \"{STATE}\" run \"{BOOK}\" --yes");
    let child = shell(place, &line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = |_| {
        std::thread::sleep(Duration::from_millis(50));
        place.path("begun").exists()
    };
    assert!((0..200).any(begun), "the command was never begun");
    child
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// A command that says that it has begun, and waits to be let go.
fn long(place: &Place, repeatable: bool) -> String {
    let (begun, done) = (place.path("begun"), place.path("done"));
    let line = format!("touch {}; until test -e {}; do sleep 0.1; done", begun.display(), done.display());
    phase("b", &format!("command: {{ argv: [/bin/sh, -c, \"{line}\"], repeatable: {repeatable} }}"))
}

fn copied(place: &Place) -> Place {
    let copy = Place::new();
    let all = format!("cp -a {}/. {}", place.path("").display(), copy.path("").display());
    assert!(typed(place, &all).code == 0);
    copy
}

/// Everything that is offered now, by what was just said and by whoever is asked where the run stands; each typed in a world of
/// its own. `good`: the exit codes that a command may have, by its words.
fn all_work(
    what: &str,
    place: &Place,
    said: &Said,
    repair: fn(&Place),
    good: impl Fn(&str) -> Vec<i32>,
) -> Vec<String> {
    let status = runbook(place, "status");
    let mut offers = offered(said);
    offers.extend(offered(&status));
    offers.extend(in_backticks(&runbook(place, "report --format md")));
    offers.sort();
    offers.dedup();
    assert!(!offers.is_empty(), "{what}: nothing is offered\n{}\n{}", said.all(), status.all());
    for command in &offers {
        let copy = copied(place);
        repair(&copy);
        let there = command.replace(place.path("").to_str().unwrap(), copy.path("").to_str().unwrap());
        assert!(command.contains("--state-dir '") || !command.starts_with("runbook"), "{what}: {command}");
        let done = typed(&copy, &there);
        let wanted = good(command);
        assert!(
            wanted.contains(&done.code),
            "{what}: `{command}` exits {} and not {wanted:?}: {}",
            done.code,
            done.all()
        );
    }
    offers
}

fn in_backticks(said: &Said) -> Vec<String> {
    let parts = said.out.split('`').skip(1).step_by(2);
    parts.filter(|part| part.starts_with("runbook ")).map(str::to_owned).collect()
}

/// The codes of a command that does what it is for.
fn fine(command: &str) -> Vec<i32> {
    if command.contains(" status") { vec![0, 1, 20, 21] } else { vec![0] }
}

#[test]
fn after_every_ending_of_commands_what_is_printed_can_be_typed() {
    let nothing: fn(&Place) = |_| {};
    let make: fn(&Place) = |place| std::fs::write(place.path("done"), "").unwrap();
    let first = phase("a", "command: { argv: [\"true\"] }");
    // Done.
    let done = place(&first);
    let said = run(&done, "");
    all_work("done", &done, said.exits(0), nothing, fine);
    // Done, with losses.
    let lossy =
        place(&format!("{first}{}        on_failure: continue\n", phase("b", "command: { argv: [\"false\"] }")));
    let said = run(&lossy, "--detailed-exitcode");
    all_work("losses", &lossy, said.exits(11), nothing, fine);
    // Failed; repaired, it is tried again, left out or given up.
    let failed = place(&first);
    let flag = failed.path("done");
    let step = phase("b", &format!("command: {{ argv: [test, -e, {}], repeatable: true }}", flag.display()));
    write(&failed, "", &format!("{first}{step}"));
    let said = run(&failed, "");
    std::fs::write(&flag, "").unwrap();
    let offers = all_work("failed", &failed, said.exits(1), nothing, fine);
    for way in [" resume ", " --skip ", " abort "] {
        assert!(offers.iter().any(|offer| offer.contains(way)), "{way}: {offers:?}");
    }
    // Left out, and gone on with.
    let skip = offers.iter().find(|offer| offer.contains("--skip")).unwrap();
    typed(&failed, skip).exits(0);
    let said = runbook(&failed, "resume --detailed-exitcode");
    all_work("set aside by hand", &failed, said.exits(11), nothing, fine);
    // Given up, and set aside.
    let given_up = place(&format!("{first}{}", phase("b", "command: { argv: [\"false\"] }")));
    run(&given_up, "").exits(1);
    let said = runbook(&given_up, "abort");
    all_work("given up", &given_up, said.exits(0), nothing, fine);
    let aside = place(&format!("{first}{}", phase("b", "command: { argv: [\"false\"] }")));
    run(&aside, "").exits(1);
    let said = runbook(&aside, "abort --abandon --reason 'it is over'");
    all_work("abandoned", &aside, said.exits(0), nothing, fine);
    // A person is asked, and there is none.
    let asked = place(&format!(
        "{first}{}        confirm: {{ type: yes, because: look }}\n",
        phase("b", "command: { argv: [\"true\"] }")
    ));
    let said = runbook(&asked, &format!("run \"{BOOK}\""));
    let again = offered(said.exits(9)).pop().unwrap();
    assert!(again.contains("--yes"), "{again}");
    typed(&asked, &again).exits(0);
    // Nobody knows whether it has happened.
    let killed = place(&first);
    write(&killed, "", &format!("{first}{}", long(&killed, false)));
    let mut child = start(&killed);
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(700));
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let said = runbook(&killed, "resume");
    let offers = all_work("in doubt", &killed, said.exits(21), make, fine);
    for way in ["--done", "--rerun", "--skip", "--abandon"] {
        assert!(offers.iter().any(|offer| offer.contains(way)), "{way}: {offers:?}");
    }
}

/// Ends what a killed program has left at work in its place.
fn end_sleepers(place: &Place) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let pid = entry.file_name().into_string().unwrap_or_default();
        let ours = line.contains(place.path("begun").to_str().unwrap());
        if ours && pid.parse::<u32>().is_ok_and(|pid| pid != std::process::id()) {
            let group = Command::new("ps").args(["-o", "pgid=", "-p", &pid]).output().unwrap();
            let group = String::from_utf8_lossy(&group.stdout).trim().to_owned();
            let _gone = Command::new("kill").args(["-s", "KILL", "--", &format!("-{group}")]).status();
        }
    }
}

/// Whatever may be done twice needs nobody's word: after an interruption in its middle the next command is `resume`.
#[test]
fn after_an_interruption_of_something_repeatable_the_next_command_is_resume() {
    let first = phase("a", "command: { argv: [\"true\"] }");
    for (how, code) in [("INT", 130), ("TERM", 143), ("KILL", -1)] {
        let cut = place(&first);
        let last = phase("c", "command: { argv: [\"true\"] }");
        write(&cut, "", &format!("{first}{}{last}", long(&cut, true)));
        let mut child = start(&cut);
        signal(&child, how);
        if how == "INT" {
            std::thread::sleep(Duration::from_millis(700));
            signal(&child, how);
        }
        if how == "TERM" {
            // What is running is let finish first.
            std::thread::sleep(Duration::from_millis(300));
            std::fs::write(cut.path("done"), "").unwrap();
        }
        let ended = child.wait().unwrap();
        assert_eq!(ended.code().unwrap_or(-1), code, "{how}");
        end_sleepers(&cut);
        std::fs::write(cut.path("done"), "").unwrap();
        let status = runbook(&cut, "status");
        let offers = offered(&status);
        assert!(offers[0].contains(" resume "), "{how}: {}", status.all());
        assert!(!status.all().contains("--rerun"), "{how}: {}", status.all());
        typed(&cut, &offers[0]).exits(0);
    }
}

/// A run that takes the apps of a real daemon down: what each of its ends offers leads on.
#[test]
fn after_a_way_back_what_is_printed_can_be_typed() {
    let Some(bed) = Bed::new("7") else { return skipped("PM2 is not installed (tests/lab/pm2.sh)") };
    std::fs::create_dir_all(bed.path().join("fault")).unwrap();
    bed.steer(async |steer| {
        for name in ["good", "bad"] {
            let settings = serde_json::json!({ "env": { "LEDGER_KEY": name }, "max_restarts": 2, "min_uptime": 5_000 });
            steer.start_new(&bed.recipe(name, &settings)).await.unwrap();
        }
    });
    let fault = bed.path().join("fault/bad");
    let cli = bed.at.cli.as_ref().unwrap().display().to_string();
    let top = format!(
        "back_out: [restore]\npm2:\n  services: {{ user: {}, home: {}, cli: {cli} }}\n",
        bed.at.user,
        bed.at.home.display()
    );
    let phases = |between: &str| {
        ["pm2_saved: { pm2: services }", "pm2_stopped: { pm2: services }", between, "pm2_restored: { pm2: services }"]
            .iter()
            .zip(["save", "stop", "between", "restore"])
            .map(|(step, name)| phase(name, step))
            .collect::<String>()
    };
    // Everything is brought back.
    let back = place("");
    write(&back, &top, &phases("command: { argv: [\"false\"] }"));
    let said = run(&back, "");
    for command in offered(said.exits(12).says("Backed out")) {
        typed(&back, &command).exits(0);
    }
    // One app is not: the run is not over, and after the repair a resume ends it.
    let not_back = place("");
    let breaks = format!("command: {{ argv: [/bin/sh, -c, \"touch {}; false\"] }}", fault.display());
    write(&not_back, &top, &phases(&breaks));
    let said = run(&not_back, "");
    let offers = offered(said.exits(14).says("NOT brought back"));
    std::fs::remove_file(&fault).unwrap();
    let resume = offers.iter().find(|offer| offer.contains(" resume ")).unwrap();
    let said = typed(&not_back, resume);
    for command in offered(said.exits(12)) {
        typed(&not_back, &command).exits(0);
    }
}

/// What a plan offers last, for each verdict.
#[test]
#[expect(clippy::too_many_lines, reason = "one verdict after the other, each in a few lines")]
fn the_next_command_of_every_plan_can_be_typed() {
    let first = phase("a", "command: { argv: [\"true\"] }");
    let zone = jiff::tz::TimeZone::UTC;
    let now = jiff::Zoned::now().with_time_zone(zone);
    let window = |opens: i64, length: &str| {
        let opens = (&now + jiff::SignedDuration::from_mins(opens)).strftime("%H:%M").to_string();
        format!("window: {{ opens: \"{opens}\", length: {length}, timezone: UTC }}\n")
    };
    let plan = |place: &Place, flags: &str| runbook(place, &format!("plan \"{BOOK}\" {flags}"));
    let next = |said: &Said| {
        let next = offered(said).into_iter().next().unwrap_or_else(|| panic!("no next command: {}", said.all()));
        assert!(next.contains("'my books/it'\\''s.yaml'") && next.contains("--state-dir '"), "{next}");
        next
    };
    // It fits: a person types the run and agrees.
    for top in [String::new(), window(-60, "3h")] {
        let fits = place(&first);
        write(&fits, &top, &first);
        let command = next(plan(&fits, "").exits(0));
        assert!(command.contains(" run "), "{command}");
        if let Some(said) = answered(&fits, &command, "yes") {
            said.exits(0).says("Done:");
        }
    }
    // The window is closed: the plan for when it opens fits.
    let closed = place(&first);
    write(&closed, &window(600, "2h"), &first);
    let said = plan(&closed, "");
    let command = next(said.exits(6));
    assert!(command.contains(" plan ") && command.contains(" --at "), "{command}");
    let later = typed(&closed, &command);
    later.exits(0).says("FITS").says("To be typed ").says(" run ");
    assert!(offered(&said).iter().all(|one| *one == command), "the screen and the reason say the same: {}", said.all());
    // It is too long for what is left of the window: the next one is long enough, and the plan for it says so.
    let long = "command: { argv: [\"true\"] }\n        takes: 40m";
    let late = place(&first);
    write(&late, &window(-100, "2h"), &phase("a", long));
    let command = next(plan(&late, "").exits(6).says("DOES NOT FIT"));
    assert!(command.contains(" --at "), "{command}");
    typed(&late, &command).exits(0).says("FITS");
    // It is too long for any: nothing leads round in a circle.
    for opens in [-10, 600] {
        let never = place(&first);
        write(&never, &window(opens, "30m"), &phase("a", long));
        let said = plan(&never, "");
        let command = next(said.exits(6).says("No window is long enough"));
        assert!(!command.contains("--at"), "{command}");
        write(&never, &window(-10, "3h"), &phase("a", long));
        typed(&never, &command).exits(0).says("FITS");
    }
    // Refused, and incomplete: once it is mended the same command is the plan.
    let dead = "redis:\n  a: { url: \"redis://127.0.0.1:1\", role: master, required: true }\n";
    let refused = place(&first);
    write(&refused, dead, &phase("a", "redis_compacted: {}"));
    let said = plan(&refused, "");
    assert!([4, 5].contains(&said.code), "{}", said.all());
    let commands = offered(&said);
    next(&said);
    write(&refused, "", &first);
    for command in commands {
        let done = typed(&refused, &command);
        let wanted: &[i32] = if command.contains(" doctor ") { &[0, 5] } else { &[0] };
        assert!(wanted.contains(&done.code), "{command}: {}", done.all());
    }
    // Kept, and carried out.
    let saved = place(&first);
    let said = plan(&saved, "--save");
    let kept = offered(said.exits(0)).pop().unwrap();
    typed(&saved, &format!("{kept} --yes")).exits(0);
    // On recorded facts: the same in a rehearsal.
    let facts = place(&first);
    runbook(&facts, &format!("facts \"{BOOK}\" -o 'the facts.json'")).exits(0);
    let command = next(plan(&facts, "--offline 'the facts.json'").exits(0));
    assert!(command.contains(" rehearse ") && command.contains("--offline 'the facts.json'"), "{command}");
    let rehearsed = typed(&facts, &command);
    rehearsed.exits(0).says("Nothing was touched");
    // A rehearsed run is known to nobody: nothing is offered for it, except where its journal is kept.
    assert_eq!(offered(&rehearsed), Vec::<String>::new(), "{}", rehearsed.all());
    let kept = typed(&facts, &format!("{command} --keep"));
    let report = offered(&kept).pop().unwrap();
    typed(&facts, &report).exits(0).says("session report");
    let dir = Path::new(report.split("--state-dir ").nth(1).unwrap());
    std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
}

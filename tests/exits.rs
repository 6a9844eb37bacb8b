//! The ways out of a run: in every state in which one can be refused, what is printed can be typed, works, and says what is so.
#![expect(clippy::disallowed_methods, reason = "a test pastes commands into a shell")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use runbook::journal::checkpoint::{Checkpoint, How, Opened, Outcome, PauseReason, StepId};
use runbook::journal::ownership::Witness;
use runbook::journal::store::{NewRun, RunId, Store};
use runbook::journal::{Journal, Stamp};
use serde_json::Value;

use crate::support::program::{Place, Said, hostname, offered};

/// A run that waits for a file: its second step has failed and is tried again by a resume.
fn waiting(place: &Place) -> PathBuf {
    let flag = place.path("flag");
    let book = format!(
        "version: 1\nname: tiny\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [\"true\"] }}\n\
         \x20 - name: b\n    steps:\n      - command: {{ argv: [test, -e, {}], repeatable: true }}\n",
        hostname(),
        flag.display()
    );
    let file = place.file("tiny.yaml", &book);
    let _left_by_an_earlier_run = std::fs::remove_file(&flag);
    place.runbook(&["run", &file, "--yes"]).exits(1);
    std::fs::write(&flag, "").unwrap();
    only_run(place)
}

fn only_run(place: &Place) -> PathBuf {
    let runs = std::fs::read_dir(place.path("state/runs")).unwrap();
    runs.map(|entry| entry.unwrap().path()).max().unwrap()
}

fn id_of(run: &Path) -> String {
    run.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The same run as if it had been begun elsewhere, or at another time.
fn forged(place: &Place, change: impl FnOnce(&mut Opened, &mut Stamp)) -> PathBuf {
    forged_with(place, |text| text, change);
    only_run(place)
}

/// The same with another runbook, and with its journal still open.
fn forged_with(
    place: &Place,
    text: impl FnOnce(String) -> String,
    change: impl FnOnce(&mut Opened, &mut Stamp),
) -> Journal {
    let run = waiting(place);
    let store = Store::open(&place.path("state")).unwrap();
    let first = store.read(&RunId::parse(&id_of(&run)).unwrap()).unwrap().entries.remove(0);
    let Checkpoint::Opened(opened) = first.checkpoint else { panic!("no first record") };
    let bytes = text(std::fs::read_to_string(run.join("runbook.yaml")).unwrap());
    let plan = std::fs::read(run.join("plan.json")).unwrap();
    std::fs::remove_dir_all(place.path("state/runs")).unwrap();
    std::fs::remove_file(place.path("state/pending")).unwrap();
    let _none_on_some_hosts = std::fs::remove_file(place.path("witness"));
    let store = Store::prepare(&place.path("state")).unwrap();
    let mut stamp = Stamp { boot_id: first.boot_id.to_string(), mono_ms: first.mono_ms, wall: first.wall };
    let mut opened = Opened::clone(&opened);
    change(&mut opened, &mut stamp);
    let new = NewRun { runbook: bytes.as_bytes(), plan: &plan, opened, reboots: false };
    store.create(new, Box::new(move || stamp.clone())).unwrap().1
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A whole record of a version that this program does not know.
fn newer(run: &Path) {
    let text = std::fs::read_to_string(run.join("journal")).unwrap();
    let first = text.trim_end_matches('\0').lines().next().unwrap().to_owned();
    let json = first.splitn(4, ' ').nth(3).unwrap().replacen("\"v\":1", "\"v\":9", 1);
    let line = format!("RB1 {} {:08x} {json}\n", json.len(), crc32c::crc32c(json.as_bytes()));
    std::fs::write(run.join("journal"), text.replacen(&format!("{first}\n"), &line, 1)).unwrap();
}

fn flip(run: &Path) {
    let mut bytes = std::fs::read(run.join("journal")).unwrap();
    let at: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum();
    bytes[at + 40] ^= 4;
    std::fs::write(run.join("journal"), bytes).unwrap();
}

type Spoil = fn(&Place);

fn in_run(place: &Place, spoil: impl FnOnce(&Path)) {
    spoil(&waiting(place));
}

/// Every state in which somebody can find a run that is not at work.
const STATES: [(&str, Spoil); 27] = [
    ("as it was left", |place| in_run(place, |_| {})),
    ("of another machine", |place| drop(forged(place, |opened, _| opened.machine_id = "f".repeat(32)))),
    ("of another name", |place| drop(forged(place, |opened, _| opened.hostname = "the-original".into()))),
    ("of the future", |place| drop(forged(place, |_, stamp| stamp.mono_ms += 86_400_000_000))),
    ("of another version's plan", |place| drop(forged(place, |opened, _| opened.plan = Value::Null.into()))),
    ("of another version's baseline", |place| drop(forged(place, |opened, _| opened.baseline = Value::Null.into()))),
    ("put back from a copy", |place| {
        in_run(place, |run| {
            let witness = Witness { run: id_of(run), seq: 999, prev: "0".repeat(64) };
            std::fs::write(place.path("witness"), witness.line()).unwrap();
        });
    }),
    ("runbook changed", |place| in_run(place, |run| std::fs::write(run.join("runbook.yaml"), "version: 1\n").unwrap())),
    ("runbook missing", |place| in_run(place, |run| std::fs::remove_file(run.join("runbook.yaml")).unwrap())),
    ("runbook readable by all", |place| in_run(place, |run| mode(&run.join("runbook.yaml"), 0o644))),
    ("journal damaged", |place| in_run(place, flip)),
    ("journal of a newer version", |place| in_run(place, newer)),
    ("journal empty", |place| in_run(place, |run| std::fs::write(run.join("journal"), "").unwrap())),
    ("journal missing", |place| in_run(place, |run| std::fs::remove_file(run.join("journal")).unwrap())),
    ("journal writable by all", |place| in_run(place, |run| mode(&run.join("journal"), 0o666))),
    ("journal a link", |place| {
        in_run(place, |run| {
            std::fs::rename(run.join("journal"), place.path("journal")).unwrap();
            symlink(place.path("journal"), run.join("journal")).unwrap();
        });
    }),
    ("journal of two names", |place| {
        in_run(place, |run| std::fs::hard_link(run.join("journal"), run.join("twin")).unwrap());
    }),
    ("head missing", |place| in_run(place, |run| std::fs::remove_file(run.join("head")).unwrap())),
    ("torn", |place| {
        in_run(place, |run| {
            let text = std::fs::read(run.join("journal")).unwrap();
            let end = text.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
            std::fs::write(run.join("journal"), [&text[..end], b"RB1 900 0badcafe {\"v\":1"].concat()).unwrap();
        });
    }),
    ("directory open to all", |place| in_run(place, |run| mode(run, 0o755))),
    ("directory a link", |place| {
        in_run(place, |run| {
            std::fs::rename(run, place.path("elsewhere")).unwrap();
            symlink(place.path("elsewhere"), run).unwrap();
        });
    }),
    ("directory missing", |place| in_run(place, |run| std::fs::remove_dir_all(run).unwrap())),
    ("all runs missing", |place| {
        in_run(place, |_| std::fs::remove_dir_all(place.path("state/runs")).unwrap());
    }),
    ("pending without sense", |place| {
        in_run(place, |run| {
            std::fs::remove_dir_all(run).unwrap();
            place.file("state/pending", "../../etc; $(id)\n");
        });
    }),
    ("pending empty", |place| {
        in_run(place, |run| {
            std::fs::remove_dir_all(run).unwrap();
            place.file("state/pending", "");
        });
    }),
    ("pending removed", |place| in_run(place, |_| std::fs::remove_file(place.path("state/pending")).unwrap())),
    ("set aside by half", |place| {
        in_run(place, |run| {
            std::fs::write(run.join("runbook.yaml"), "version: 1\n").unwrap();
            let pending = std::fs::read(place.path("state/pending")).unwrap();
            place.runbook(&["abort", "--abandon", "--reason", "first"]).exits(0);
            place.file("state/pending", std::str::from_utf8(&pending).unwrap());
        });
    }),
];

/// A copy of the place, for a command that must not spoil what the others find.
fn copied(place: &Place) -> Place {
    let copy = Place::new();
    std::fs::remove_dir(copy.path("state")).unwrap();
    for name in ["state", "witness", "lock", "children.lock", "tiny.yaml", "elsewhere", "journal"] {
        let args = [PathBuf::from("-a"), place.path(name), copy.path(name)];
        let _some_are_not_there = Command::new("cp").args(args).stderr(Stdio::null()).status();
    }
    copy
}

/// Types a command as it was printed.
fn pasted(place: &Place, command: &str) -> Said {
    let bin = place.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let _there_already = symlink(env!("CARGO_BIN_EXE_runbook"), bin.join("runbook"));
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env_clear().env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    shell.env("RUNBOOK_STATE_DIR", place.path("state")).env("RUNBOOK_LOCK", place.path("lock"));
    shell.current_dir(place.path("")).stdin(Stdio::null()).output().unwrap().into()
}

/// The exit codes with which a command has done what it is for.
fn good(command: &str) -> &'static [i32] {
    match command.split_whitespace().find(|word| *word != "runbook").unwrap_or_default() {
        "status" => &[0, 1, 20, 21, 30],
        "journal" => &[0, 30],
        "doctor" => &[0, 1, 4, 5],
        _ => &[0],
    }
}

fn a_new_run_begins(place: &Place, what: &str) {
    let book = format!(
        "version: 1\nname: next\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [\"true\"] }}\n",
        hostname()
    );
    let file = place.file("next.yaml", &book);
    let said = place.runbook(&["run", &file, "--yes"]);
    assert_eq!(said.code, 0, "{what}: a new run did not begin: {}", said.all());
}

#[test]
fn abandoning_frees_the_host_in_every_state_or_says_what_is_left_to_do() {
    for (what, spoil) in STATES {
        let place = Place::new();
        spoil(&place);
        let said = place.runbook(&["abort", "--abandon", "--reason", "it's over; $(really)"]);
        assert_eq!(said.code, 0, "{what}: {}", said.all());
        assert!(said.all().contains("The host is free: a new run can begin."), "{what}: {}", said.all());
        assert!(!place.path("state/pending").exists(), "{what}");
        let resumed = place.runbook(&["resume"]);
        assert!(resumed.code == 0 && resumed.all().contains("no run is unfinished"), "{what}: {}", resumed.all());
        a_new_run_begins(&place, what);
    }
}

#[test]
fn what_is_offered_in_every_state_can_be_typed_and_works() {
    let mut tried = 0;
    for (what, spoil) in STATES {
        let place = Place::new();
        spoil(&place);
        let resumed = copied(&place).runbook(&["resume"]);
        let again = place.file("next.yaml", "version: 1\nname: next\n");
        let begun = place.runbook(&["run", &again, "--yes"]);
        let status = place.runbook(&["status"]);
        let refused = resumed.code != 0;
        for said in
            [Some(&status), refused.then_some(&resumed), (begun.code == 8).then_some(&begun)].into_iter().flatten()
        {
            let offers = offered(said);
            assert!(!offers.is_empty(), "{what}: {}", said.all());
            for command in offers {
                let typed = pasted(&copied(&place), &command);
                assert!(
                    good(&command).contains(&typed.code),
                    "{what}: `{command}` exits {}: {}",
                    typed.code,
                    typed.all()
                );
                tried += 1;
            }
        }
        if refused {
            let ways =
                |said: &Said| offered(said).into_iter().filter(|one| !one.contains(" status")).collect::<Vec<_>>();
            assert_eq!(
                ways(&status),
                ways(&resumed),
                "{what}: status and resume offer the same\n{}\n{}",
                status.all(),
                resumed.all()
            );
            assert!(!ways(&status).iter().any(|way| way.starts_with("runbook resume")), "{what}: {}", status.all());
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn a_second_unfinished_run_is_told_and_given_up_as_well() {
    let place = Place::new();
    let run = waiting(&place);
    place.file("state/pending", "r-20200101-000000-0000\n");
    let said = place.runbook(&["abort", "--abandon", "--reason", "gone"]);
    said.exits(8).says("It is forgotten").says(&format!("NOT free yet: run {} is unfinished", id_of(&run)));
    let abandon = offered(&said).into_iter().find(|one| one.contains("--abandon")).unwrap();
    let done = pasted(&place, &abandon);
    done.exits(0).says("The host is free");
    a_new_run_begins(&place, "two runs");
}

#[test]
fn pending_that_names_an_ended_run_does_not_free_the_host_of_another() {
    let place = Place::new();
    let run = waiting(&place);
    place.runbook(&["abort", "--abandon", "--reason", "first"]).exits(0);
    waiting(&place);
    let mut runs = std::fs::read_dir(place.path("state/runs")).unwrap().map(|entry| entry.unwrap().path());
    let second = runs.find(|found| *found != run).unwrap();
    place.file("state/pending", &format!("{}\n", id_of(&run)));
    place.runbook(&["status"]).exits(1).says(&id_of(&second));
    place.runbook(&["abort", "--abandon", "--reason", "second"]).exits(0).says("The host is free");
    place.runbook(&["abort", "--abandon", "--reason", "third"]).exits(2).says("no run is unfinished");
    a_new_run_begins(&place, "left over");
}

/// A process of ours, ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_command_that_outlives_its_run_is_told_and_can_be_ended() {
    let place = Place::new();
    waiting(&place);
    let lock = place.path("children.lock");
    let Ok(child) = Command::new("flock").args(["-s", "-o", lock.to_str().unwrap(), "sleep", "60"]).spawn() else {
        return;
    };
    let _ended_with_the_test = Process(child);
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        if std::fs::read_to_string("/proc/locks").unwrap_or_default().contains(&inode(&lock)) {
            break;
        }
    }
    let said = place.runbook(&["abort", "--abandon", "--reason", "over"]);
    said.exits(8).says("is abandoned").says("NOT free yet: a command of an earlier sitting is still at work");
    let kill = offered(&said).into_iter().find(|one| one.starts_with("kill ")).expect("a command that ends it");
    pasted(&place, &kill).exits(0);
    a_new_run_begins(&place, "a child at work");
}

fn inode(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(":{} ", std::fs::metadata(path).unwrap().ino())
}

#[test]
fn a_run_at_work_is_not_abandoned_and_asked_first() {
    let place = Place::new();
    let book = format!(
        "version: 1\nname: tiny\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [sleep, \"8\"] }}\n",
        hostname()
    );
    let file = place.file("tiny.yaml", &book);
    let mut child = Process(place.start(&["run", &file, "--yes"]));
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        if place.runbook(&["status"]).all().contains("A process is at work on it") {
            break;
        }
    }
    let said = place.runbook(&["abort", "--abandon", "--reason", "over"]);
    said.exits(8).says("another run holds this host").says("nothing was freed");
    let offers = offered(&said);
    assert!(offers.iter().any(|one| one.starts_with("runbook abort r-")), "{offers:?}");
    for command in &offers[..offers.len() - 1] {
        let typed = pasted(&place, command);
        assert_eq!(typed.code, 0, "{command}: {}", typed.all());
    }
    child.0.wait().unwrap();
    a_new_run_begins(&place, "asked first");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_with_the_command_that_makes_it_so() {
    let place = Place::new();
    waiting(&place);
    let state = place.path("state");
    let inside = |command: &str| {
        let state = state.display();
        let script = format!("mount --bind {state} {state} && mount -o remount,bind,ro {state} && {command}");
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "sh", "-c", &script]).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        unshare.env("RUNBOOK_STATE_DIR", place.path("state")).env("RUNBOOK_LOCK", place.path("lock"));
        Said::from(unshare.stdin(Stdio::null()).output().unwrap())
    };
    if inside("true").code != 0 {
        return;
    }
    let program = env!("CARGO_BIN_EXE_runbook").to_owned();
    let said = inside(&format!("{program} abort --abandon --reason over"));
    said.exits(31).says("Read-only file system").says("nothing was freed");
    assert!(place.path("state/pending").exists());
    let remount = offered(&said).into_iter().find(|one| one.starts_with("mount ")).expect("a command that helps");
    let bind = remount.replace("remount,rw", "remount,bind,rw");
    let again = inside(&format!("{bind} && {program} abort --abandon --reason over"));
    again.exits(0).says("The host is free");
    a_new_run_begins(&place, "read-only");
}

#[test]
fn a_state_directory_that_was_named_is_named_in_every_command() {
    let place = Place::new();
    waiting(&place);
    let odd = place.path("odd 'dir'");
    std::fs::rename(place.path("state"), &odd).unwrap();
    std::fs::create_dir(place.path("state")).unwrap();
    mode(&place.path("state"), 0o700);
    let said = place.runbook(&["--state-dir", odd.to_str().unwrap(), "status"]);
    let offers = offered(&said.exits(1).says("--state-dir").clone());
    assert!(offers.len() > 1 && offers.iter().all(|one| one.contains(r"odd '\''dir'\''")), "{offers:?}");
    let resume = offers.iter().find(|one| one.contains(" resume ")).unwrap();
    pasted(&place, resume).exits(0);
}

#[test]
fn a_one_shot_command_hours_late_is_not_begun_and_the_way_on_is_printed() {
    let place = Place::new();
    let late = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC) + jiff::SignedDuration::from_hours(12);
    let window = format!("window: {{ opens: \"{}\", length: 1h, timezone: UTC }}\nphases:", late.strftime("%H:%M"));
    drop(forged_with(&place, |text| text.replacen("phases:", &window, 1), |_, _| {}));
    let resumed = place.runbook(&["resume"]);
    resumed.exits(6).says("the window is closed; it opens ");
    let journal = std::fs::read(only_run(&place).join("journal")).unwrap();
    let journal = String::from_utf8_lossy(&journal).into_owned();
    assert!(!journal.contains("item_intent") && journal.contains("the window is closed"), "{journal}");
    let status = place.runbook(&["status"]);
    status.exits(21).says("PAUSED").says("the window is closed");
    let offers = offered(&status);
    assert_eq!(offers, offered(&resumed), "{}\n{}", status.all(), resumed.all());
    assert!(offers[0].contains("--ignore-window REASON"), "{offers:?}");
    for command in offers {
        let typed = pasted(&copied(&place), &command);
        assert_eq!(typed.code, 0, "{command}: {}", typed.all());
    }
}

/// A run that has asked for a reboot in an earlier boot. It is only looked at: nothing may go on with it on this machine.
#[test]
fn a_machine_that_is_back_is_never_waited_for() {
    let place = Place::new();
    let mut journal = forged_with(&place, |text| text, |_, stamp| stamp.boot_id = "an-earlier-boot".into());
    let (a, b) = (StepId::new("a/1"), StepId::new("b/1"));
    let started = |step: &StepId, item: &str| Checkpoint::StepStarted {
        step: step.clone(),
        attempt: 1,
        title: "step".into(),
        items: vec![item.into()],
        repeatable: false,
    };
    let intent = |step: &StepId, item: &str| Checkpoint::ItemIntent { step: step.clone(), item: item.into() };
    let outcome = Outcome::Applied;
    let records = [
        started(&a, "run"),
        intent(&a, "run"),
        Checkpoint::ItemDone { step: a.clone(), item: "run".into(), outcome, took_ms: 1, note: None },
        Checkpoint::StepDone { step: a, how: How::Applied, took_ms: 1 },
        started(&b, "machine"),
        intent(&b, "machine"),
        Checkpoint::RebootIntent { step: b, boot_id: "an-earlier-boot".into() },
        Checkpoint::Paused { why: PauseReason::Reboot, note: None },
    ];
    journal.append(&records).unwrap();
    drop(journal);
    let status = place.runbook(&["status"]);
    status.exits(21).says("BACK").says("the machine is back since").says("and the run has not gone");
    assert!(!status.all().contains("for the machine to come back"), "{}", status.all());
    let offers = offered(&status);
    assert!(offers[0].starts_with("runbook resume r-") && offers[1].contains("--abandon"), "{offers:?}");
    let json = place.runbook(&["status", "--json"]);
    json.exits(21).says("\"state\":\"back\"").says("\"back_since\":\"20");
    pasted(&place, &offers[1]).exits(0).says("The host is free");
}

//! Files that are no files, in the hands of the real program: it names them, ends in time and with a documented code, and
//! leaves when it is told to even where a call to the system does not come back.
#![expect(clippy::disallowed_methods, reason = "a test waits for another process and tells the time by itself")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::program::{Place, hostname};
use crate::support::redis::Redis;

/// What the slowest look at such a file may take, on a machine that is busy with other tests.
const IN_TIME: Duration = Duration::from_secs(10);

fn compacting(port: u16) -> String {
    format!(
        "version: 1\nname: tiny\nhosts: [{}]\nredis:\n  a: {{ url: \"redis://127.0.0.1:{port}\", role: master }}\nphases:\n\
         \x20 - name: compact\n    steps:\n      - redis_compacted: {{ instances: masters, min_saving: 0s }}\n",
        hostname()
    )
}

/// Puts something in the place of a file.
type Make<'a> = &'a dyn Fn(&Path);

fn fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

/// The exit code, if it ends in time; killed otherwise.
fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + within;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn a_manifest_that_is_no_file_is_named_and_refused_in_time() {
    let Some(redis) = Redis::start() else { return };
    let manifest = redis.dir().join("appendonlydir/appendonly.aof.manifest");
    let place = Place::new();
    let book = place.file("tiny.yaml", &compacting(redis.port));
    place.runbook(&["plan", &book]).exits(0);
    let makes: [(&str, Make<'_>); 5] = [
        ("it is a FIFO, not a regular file", &fifo),
        ("it is a device, not a regular file", &|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
        ("it is a directory, not a regular file", &|path| std::fs::create_dir(path).unwrap()),
        ("too many symbolic links", &|path| std::os::unix::fs::symlink(path, path).unwrap()),
        ("larger than 1048576 bytes", &|path| std::fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ];
    for (why, make) in makes {
        std::fs::remove_file(&manifest).or_else(|_| std::fs::remove_dir(&manifest)).unwrap();
        make(&manifest);
        for command in [vec!["plan", &book], vec!["run", &book, "--yes"]] {
            let mut child = place.start(&command);
            let status = ended(&mut child, IN_TIME);
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(status.and_then(|status| status.code()), Some(5), "{command:?} {why}: {said}");
            let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("appendonly.aof.manifest: ") && words.contains(why), "{why}: {said}");
        }
        assert!(!place.state().iter().any(|(path, _)| path.ends_with("journal")), "{why}: nothing was begun");
    }
}

/// Two names of one directory: `check` sees what is written, `plan` and `run` where it leads on this host.
#[test]
fn two_places_of_one_home_are_refused_also_through_a_link() {
    let place = Place::new();
    std::fs::create_dir(place.path("home")).unwrap();
    std::os::unix::fs::symlink("home", place.path("link")).unwrap();
    let book = |second: &str| {
        let text = format!(
            "version: 1\nname: twice\nhosts: [{}]\npm2:\n  a: {{ user: root, home: {} }}\n  b: {{ user: root, home: {} }}\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [sleep, \"0\"], repeatable: true }}\n",
            hostname(),
            place.path("home").display(),
            place.path(second).display()
        );
        place.file("twice.yaml", &text)
    };
    place.runbook(&["check", &book("./x/../home/")]).exits(3).says("RB212");
    let linked = book("link");
    place.runbook(&["check", &linked]).exits(0);
    place.runbook(&["plan", &linked]).exits(5).says("`a` and `b` of `pm2:` lead to the same directory");
    place.runbook(&["run", &linked, "--yes"]).exits(5).says("lead to the same directory");
    place.runbook(&["plan", &book("elsewhere")]).exits(0);
}

/// A terminal that is stopped (Ctrl-S), a pipe that nobody empties: the thread that works is held inside write(2).
#[test]
fn a_run_that_is_held_inside_a_call_leaves_when_it_is_told_to() {
    let place = Place::new();
    let text = format!(
        "version: 1\nname: held\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [sleep, \"2\"], repeatable: true }}\n",
        hostname()
    );
    let book = place.file("held.yaml", &text);
    let (read, write) = std::io::pipe().unwrap();
    let (out, err) = (Stdio::from(write.try_clone().unwrap()), Stdio::from(write.try_clone().unwrap()));
    let mut command = place.command(&["run", &book, "--yes", "--progress", "plain"]);
    let mut child = command.stdout(out).stderr(err).spawn().unwrap();
    drop(command);
    let journaled = |words: &str| {
        let state = place.state();
        let journal = state.iter().find(|(path, _)| path.ends_with("journal"));
        journal.is_some_and(|(_, bytes)| String::from_utf8_lossy(bytes).contains(words))
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !journaled("item_intent") {
        assert!(Instant::now() < until, "it never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A description of its own, so that only this end does not wait.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let by_number = format!("/proc/self/fd/{}", write.as_raw_fd());
    let mut filler = std::fs::OpenOptions::new().write(true).custom_flags(nonblock).open(by_number).unwrap();
    while filler.write(&[b'x'; 4096]).is_ok() {}
    while filler.write(b"x").is_ok() {}
    std::thread::sleep(Duration::from_secs(4));
    assert!(child.try_wait().unwrap().is_none(), "it is held by what it wants to say");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = ended(&mut child, Duration::from_secs(30));
    assert_eq!(status.and_then(|status| status.code()), Some(143));
    drop((read, write, filler));
    place.runbook(&["status"]).exits(21);
    place.runbook(&["resume", "--unattended"]).exits(0);
}

//! The lock of the host under siege: many processes want it, holders are killed, and never do two have it.
//!
//! The witness is a file with the holder's pid. Whoever wins finds a nought there, or the pid of somebody who is dead or about
//! to be; and at the end of its time still its own.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runbook::journal::checkpoint::Owner;
use runbook::journal::lock::{HostLock, LockError};

use crate::random::Random;
use crate::tier::{Tier, figures, tier_anywhere};

const DIR: &str = "RUNBOOK_RELIABILITY_LOCK";
const PROCESSES: usize = 64;
/// For the control: each besieger has a lock of its own, which is as good as none.
const OWN_LOCK: &str = "RUNBOOK_RELIABILITY_OWN_LOCK";

fn owner() -> Owner {
    Owner { pid: std::process::id(), uid: 0, user: "siege".to_owned(), sudo_user: None, tty: None, started: 0 }
}

fn take(dir: &Path) -> Result<HostLock, LockError> {
    HostLock::take(&dir.join("run/host.lock"), &owner(), "boot", None)
}

/// Not a test: one of the besiegers.
#[test]
fn besieger() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let mut log = OpenOptions::new().append(true).open(dir.join("log")).unwrap();
    let witness = OpenOptions::new().read(true).write(true).open(dir.join("witness")).unwrap();
    let me = std::process::id();
    let own = std::env::var_os(OWN_LOCK).is_some();
    let lock = if own { dir.join(me.to_string()) } else { dir.clone() };
    std::fs::create_dir_all(&lock).unwrap();
    let mut random = Random::new(u64::from(me));
    while !dir.join("stop").exists() {
        log.write_all(b"A").unwrap();
        match take(&lock) {
            Ok(_lock) => {
                let alone = alone(&witness);
                write(&witness, me);
                std::thread::sleep(Duration::from_micros(random.next() % 3000));
                let still = read(&witness) == me;
                log.write_all(if alone && still { b"W" } else { b"X" }).unwrap();
                write(&witness, 0);
            }
            Err(LockError::Held { .. }) => log.write_all(b"h").unwrap(),
            Err(_) => log.write_all(b"E").unwrap(),
        }
        std::thread::sleep(Duration::from_micros(random.next() % 20_000));
    }
}

/// Whether the one before us is gone for good: killed, not at work.
fn alone(witness: &File) -> bool {
    let before = read(witness);
    let began = Instant::now();
    while before != 0 && alive(before) {
        // Somebody who lets go while we hold the lock was holding it with us.
        if read(witness) != before || began.elapsed() > Duration::from_secs(20) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    read(witness) == before
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn read(witness: &File) -> u32 {
    let mut bytes = [0; 4];
    witness.read_exact_at(&mut bytes, 0).unwrap();
    u32::from_le_bytes(bytes)
}

fn write(witness: &File, pid: u32) {
    witness.write_all_at(&pid.to_le_bytes(), 0).unwrap();
}

fn start(dir: &Path, own_lock: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if own_lock {
        command.env(OWN_LOCK, "1");
    }
    command.args(["--exact", "locks::besieger", "--test-threads=1"]).env(DIR, dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn field() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("witness"), 0_u32.to_le_bytes()).unwrap();
    std::fs::write(dir.path().join("log"), "").unwrap();
    dir
}

fn stop(dir: &Path, besiegers: Vec<Child>) {
    std::fs::write(dir.join("stop"), "").unwrap();
    for mut one in besiegers {
        assert!(one.wait().unwrap().success());
    }
}

/// How often two held it at once among a few for whom the lock means nothing.
fn control() -> usize {
    let dir = field();
    let besiegers: Vec<Child> = (0..8).map(|_| start(dir.path(), true)).collect();
    let log = || std::fs::read(dir.path().join("log")).unwrap();
    while log().len() < 400 {
        std::thread::sleep(Duration::from_millis(10));
    }
    stop(dir.path(), besiegers);
    log().iter().filter(|byte| **byte == b'X').count()
}

#[test]
fn of_many_processes_exactly_one_holds_the_host_and_no_lock_goes_stale() {
    let Some(tier) = tier_anywhere("lock") else { return };
    let (attempts, kills) = if tier == Tier::Full { (10_000, 1000) } else { (3000, 60) };
    let dir = field();
    let witness = File::open(dir.path().join("witness")).unwrap();
    let mut besiegers: Vec<Child> = (0..PROCESSES).map(|_| start(dir.path(), false)).collect();
    let (mut holders, mut bystanders) = (0, 0);
    let mut random = Random::new(64);
    let made = || std::fs::metadata(dir.path().join("log")).unwrap().len() / 2;
    while holders < kills || made() < attempts {
        std::thread::sleep(Duration::from_micros(random.next() % 8000));
        let holder = read(&witness);
        let found = besiegers.iter().position(|one| one.id() == holder);
        // Mostly the holder; now and then whoever comes first, to hit the moments between.
        let victim = found.filter(|_| random.below(8) > 0).unwrap_or_else(|| random.below(besiegers.len()));
        if besiegers[victim].id() == holder {
            holders += 1
        } else {
            bystanders += 1
        }
        besiegers[victim].kill().unwrap();
        besiegers[victim].wait().unwrap();
        besiegers[victim] = start(dir.path(), false);
    }
    stop(dir.path(), besiegers);
    let stale = usize::from(take(dir.path()).is_err());
    let log = std::fs::read(dir.path().join("log")).unwrap();
    let count = |what: u8| log.iter().filter(|byte| **byte == what).count();
    let control = control();
    let figures = figures("lock");
    figures.say("processes at a time", PROCESSES);
    figures.say("attempts", count(b'A'));
    figures.say("holders killed", holders);
    figures.say("others killed", bystanders);
    figures.say("wins that were alone from beginning to end", count(b'W'));
    figures.say("wins that were not", count(b'X'));
    figures.say("errors", count(b'E'));
    figures.say("stale locks afterwards", stale);
    figures.say("control, every process with a lock of its own: not alone", control);
    assert!(control > 0, "the witness sees nothing");
    assert_eq!((count(b'X'), count(b'E'), stale), (0, 0, 0));
    assert!(count(b'A') as u64 >= attempts && holders >= kills && count(b'W') > kills);
}

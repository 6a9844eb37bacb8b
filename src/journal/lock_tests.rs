//! The lock between real processes: this test binary starts itself again.
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn owner(pid: u32) -> Owner {
    Owner { pid, uid: 0, user: "root".into(), sudo_user: Some("ann".into()), tty: None, started: 77 }
}

#[expect(clippy::disallowed_methods, reason = "a lock between processes needs a second process")]
fn command(program: &str) -> Command {
    Command::new(program)
}

#[expect(clippy::disallowed_methods, reason = "the second process learns its task from the environment")]
fn task() -> Option<String> {
    std::env::var("RUNBOOK_TEST_LOCK").ok()
}

/// This test binary once more, running only `second_process`.
fn again(path: &Path) -> Command {
    let mut again = command(std::env::current_exe().unwrap().to_str().unwrap());
    again.args(["--exact", "journal::lock::tests::second_process", "--nocapture", "-q"]);
    again.env("RUNBOOK_TEST_LOCK", path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    again
}

/// The other process: tries once, says how it went, and keeps the lock until its input ends.
#[test]
fn second_process() {
    let Some(path) = task() else { return };
    let lock = HostLock::take(Path::new(&path), &owner(std::process::id()), "boot", Some("r-2"));
    match &lock {
        Ok(_) => writeln!(io::stdout(), "\nhave it").unwrap(),
        Err(error) => writeln!(io::stdout(), "\n{error}").unwrap(),
    }
    io::stdout().flush().unwrap();
    let _ = io::stdin().read_to_end(&mut Vec::new());
    drop(lock);
}

fn verdict(child: &mut std::process::Child) -> String {
    use std::io::BufRead;
    let out = io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = out.lines().map_while(Result::ok);
    lines.find(|line| line.contains("have it") || line.contains("holds")).unwrap_or_default()
}

#[test]
fn one_process_at_a_time_and_a_killed_holder_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut first = again(&path).spawn().unwrap();
    assert_eq!(verdict(&mut first), "have it");
    let pid = first.id();
    let error = HostLock::take(&path, &owner(1), "boot", None).unwrap_err().to_string();
    assert!(
        error.contains(&format!("pid {pid} started 77 boot boot user root (sudo by ann) tty - run r-2")),
        "{error}"
    );
    let mut second = again(&path).spawn().unwrap();
    assert!(verdict(&mut second).starts_with("another run holds this host: pid"));
    first.kill().unwrap();
    first.wait().unwrap();
    let mine = HostLock::take(&path, &owner(1), "boot", None).unwrap();
    assert!(mine.is_still_ours());
    drop(second.stdin.take());
    second.wait().unwrap();
}

#[test]
fn of_many_processes_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut crowd: Vec<_> = (0..16).map(|_| again(&path).spawn().unwrap()).collect();
    let verdicts: Vec<_> = crowd.iter_mut().map(verdict).collect();
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "have it").count(), 1, "{verdicts:?}");
    for mut child in crowd {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

#[test]
fn contended_descriptors_never_win_falsely() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let _held = HostLock::take(&path, &owner(1), "boot", None).unwrap();
    let won = (0..10_000).filter(|_| HostLock::take(&path, &owner(2), "boot", None).is_ok()).count();
    assert_eq!(won, 0);
}

#[test]
fn a_removed_or_foreign_lock_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = HostLock::take(&path, &owner(1), "boot", None).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(!held.is_still_ours());
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(HostLock::take(&path, &owner(1), "boot", None), Err(LockError::Io { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "\x1b[2Jforged").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&path, open).unwrap();
    assert!(matches!(HostLock::take(&path, &owner(1), "boot", None), Err(LockError::Refused { .. })));
    assert_eq!(holder_line(&path).unwrap(), "\\u{1b}[2Jforged");
}

#[test]
fn an_orphan_keeps_the_children_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("children.lock");
    let lock = ChildrenLock::take(&path).unwrap();
    let mut sleeper = command("sleep");
    sleeper.arg("60").stdin(Stdio::null()).stdout(Stdio::null());
    let mut orphan = lock.lend(|| sleeper.spawn().unwrap()).unwrap();
    let mut stranger = sleeper.spawn().unwrap();
    drop(lock);
    let error = ChildrenLock::take(&path).unwrap_err().to_string();
    assert!(error.contains(&format!("still at work ({} sleep)", orphan.id())), "{error}");
    orphan.kill().unwrap();
    orphan.wait().unwrap();
    // Only the process to which it was lent had it; but another test may have forked at that very moment.
    assert!(ChildrenLock::take(&path).is_ok());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_daemon_that_was_left_on_purpose_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("children.lock");
    let lock = ChildrenLock::take(&path).unwrap();
    let mut daemon = command("sleep");
    daemon.arg("60").stdin(Stdio::null()).stdout(Stdio::null());
    let mut daemon = lock.lend(|| daemon.spawn().unwrap()).unwrap();
    lock.release();
    drop(lock);
    assert!(ChildrenLock::take(&path).is_ok());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

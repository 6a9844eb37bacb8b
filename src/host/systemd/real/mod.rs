//! The same conversation with a real systemd in a container of the lab.
//!
//! Runs only when `RUNBOOK_TEST_CONTAINER` names the host's pid of the container's process 1: its bus and its files are
//! reached below /proc/PID/root. Nothing of the machine that runs the test is asked or changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bus::Bus;
use super::logind::{Down, blocking};
use super::transient::{TransientAsked, TransientOutcome};
use crate::host::clock;

mod resume;
mod units;

const LONG: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "the lab tells its container by the environment")]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
async fn container() -> Option<(Bus, PathBuf)> {
    let Ok(pid) = std::env::var("RUNBOOK_TEST_CONTAINER") else {
        eprintln!("skipped: RUNBOOK_TEST_CONTAINER names no container");
        return None;
    };
    assert_ne!(pid.parse::<u32>().unwrap(), 1, "that is this machine");
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let address = format!("unix:path={}", root.join("run/dbus/system_bus_socket").display());
    Some((Bus::at(&address, LONG).await.unwrap(), root))
}

fn put(root: &Path, name: &str, text: &str) {
    std::fs::write(root.join("etc/systemd/system").join(name), text).unwrap();
}

/// Takes away what an earlier run left in the same container.
async fn sweep(bus: &Bus, root: &Path, what: &str) {
    let units = root.join("etc/systemd/system");
    for dir in [units.clone(), units.join("multi-user.target.wants")] {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(what) {
                let _dir_or_file =
                    std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
            }
        }
    }
    bus.reload().await.unwrap();
}

fn transient(name: &str, argv: &[&str]) -> TransientAsked {
    TransientAsked {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        cwd: Some("/tmp".into()),
        env: vec![("A".into(), "1 $HOME %n \"q\"".into())],
        stdout: Some("/root/rbt.out".into()),
        stderr: Some("/root/rbt.err".into()),
        file_size: Some(4096),
        memory: Some(256 * 1024 * 1024),
        ..TransientAsked::watched(name.into(), Duration::from_secs(3))
    }
}

#[tokio::test]
async fn transient_units() {
    let Some((bus, root)) = container().await else { return };
    let name = "runbook-rbt-1.service";
    let out = || std::fs::read_to_string(root.join("root/rbt.out")).unwrap();
    let run = async |asked: TransientAsked| {
        let end = bus.start_transient(&asked).await.unwrap();
        bus.forget_transient(&asked.name, LONG).await.unwrap();
        end
    };
    let exited = |code| TransientOutcome::Exited { code, hint: String::new() };
    let literal = ["/usr/bin/printf", "%s|", "$HOME", "${A}", "%n", "a b", "'\"\\", ";"];
    assert_eq!(run(transient(name, &literal)).await, exited(0));
    assert_eq!(out(), "$HOME|${A}|%n|a b|'\"\\|;|");
    let env =
        TransientAsked { user: Some("nobody".into()), ..transient(name, &["/bin/sh", "-c", "echo $A; id -un; pwd"]) };
    assert_eq!(run(env).await, exited(0));
    assert_eq!(out(), "1 $HOME %n \"q\"\nnobody\n/tmp\n");
    assert_eq!(run(transient(name, &["/bin/sh", "-c", "exit 7"])).await, exited(7));
    assert_eq!(run(transient(name, &["/bin/sh", "-c", "kill -9 $$"])).await, TransientOutcome::Killed { signal: 9 });
    assert_eq!(run(transient(name, &["/bin/sleep", "600"])).await, TransientOutcome::TimedOut);
    assert!(matches!(run(transient(name, &["/no/such"])).await, TransientOutcome::Exited { code: 203, .. }));
    assert_eq!(run(transient(name, &["/usr/bin/yes"])).await, TransientOutcome::Killed { signal: 25 });
    assert_eq!(root.join("root/rbt.out").metadata().unwrap().len(), 4096);

    // The result outlives whoever started it.
    let kept = transient("runbook-rbt-2.service", &["/bin/true"]);
    bus.start_transient(&kept).await.unwrap();
    let (other, _) = container().await.unwrap();
    assert_eq!(other.outcome_of(&kept.name).await.unwrap(), exited(0));
    assert!(other.start_transient(&kept).await.unwrap_err().nothing_happened(), "a name is used once");
    other.forget_transient(&kept.name, LONG).await.unwrap();
    assert!(matches!(other.outcome_of(&kept.name).await.unwrap(), TransientOutcome::Unknown { .. }));
}

#[tokio::test]
async fn locks_of_others_stop_a_reboot() {
    let Some((bus, root)) = container().await else { return };
    let lock = |mode: &str| {
        let holds = "/usr/bin/systemd-inhibit --what=shutdown --who=rbt --why=dump";
        put(&root, "rbt-lock.service", &format!("[Service]\nType=exec\nExecStart={holds} --mode={mode} sleep 60\n"));
    };
    let held = async |count: usize| {
        for _ in 0..50 {
            if bus.inhibitors().await.unwrap().iter().filter(|one| one.who == "rbt").count() == count {
                return;
            }
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?}", bus.inhibitors().await.unwrap());
    };
    for (mode, blocks) in [("delay", 0), ("block", 1)] {
        lock(mode);
        bus.reload().await.unwrap();
        assert!(bus.start("rbt-lock.service", LONG).await.unwrap().started());
        held(1).await;
        let all = bus.inhibitors().await.unwrap();
        assert_eq!(blocking(&all).len(), blocks, "{mode} {all:?}");
        if blocks > 0 {
            let said = bus.go_down(Down::Reboot, &[]).await.unwrap_err();
            assert!(said.to_string().contains("rbt (pid ") && said.to_string().contains("dump"), "{said}");
        }
        assert!(bus.stop("rbt-lock.service", LONG).await.unwrap().stopped());
        held(0).await;
    }
}

/// Ends the container, so it wants a permission of its own and must be the only test of its run.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the lab gives its permission by the environment")]
async fn a_reboot_is_accepted() {
    if std::env::var("RUNBOOK_TEST_CONTAINER_MAY_REBOOT").is_err() {
        return;
    }
    let Some((bus, _)) = container().await else { return };
    bus.go_down(Down::Reboot, &[]).await.unwrap();
    tokio::time::timeout(LONG, bus.connection.closed()).await.unwrap();
}

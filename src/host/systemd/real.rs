//! The same conversation with a real systemd in a container of the lab.
//!
//! Runs only when `RUNBOOK_TEST_CONTAINER` names the host's pid of the container's process 1: its bus and its files are
//! reached below /proc/PID/root. Nothing of the machine that runs the test is asked or changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::boot::{AtBoot, boot_verdict};
use super::bus::Bus;
use super::jobs::JobOutcome;
use super::logind::Down;
use super::resume_unit::{ResumeUnit, audit, install, remove, sha256_of};
use super::transient::{TransientAsked, TransientOutcome};
use super::unit::UnitSeen;
use crate::host::clock;

const LONG: Duration = Duration::from_secs(60);

#[expect(
    clippy::disallowed_methods,
    reason = "the lab tells its container by the environment"
)]
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

const WANTED: &str = "\n[Install]\nWantedBy=multi-user.target\n";

#[tokio::test]
async fn units_jobs_and_files() {
    let Some((bus, root)) = container().await else { return };
    sweep(&bus, &root, "rbt").await;
    put(
        &root,
        "rbt@.service",
        &format!("[Service]\nType=notify\nExecStart=/bin/sleep 600\n{WANTED}"),
    );
    put(
        &root,
        "rbt-good.service",
        &format!("[Service]\nType=exec\nExecStart=/bin/sleep 600\n{WANTED}"),
    );
    put(&root, "rbt-static.service", "[Service]\nExecStart=/bin/sleep 600\n");
    put(
        &root,
        "rbt-fails.service",
        "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    );
    put(
        &root,
        "rbt-cond.service",
        "[Unit]\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/sleep 600\n",
    );
    put(&root, "rbt-bad.service", "[Service]\nType=nonsense\n");
    put(
        &root,
        "rbt-alias0.service",
        &format!("[Service]\nExecStart=/bin/sleep 1\n{WANTED}Alias=rbt-alias.service\n"),
    );
    let link = |name: &str, to: &str| {
        let path = root.join("etc/systemd/system").join(name);
        let _absent = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(to, path).unwrap();
    };
    link("rbt-masked.service", "/dev/null");
    bus.reload().await.unwrap();
    let verdict = async |name: &str| boot_verdict(&bus.unit(name).await.unwrap());
    assert_eq!(verdict("rbt@.service").await, AtBoot::Template);
    assert!(matches!(
        verdict("rbt@one.service").await,
        AtBoot::Disabled { can_enable: true, .. }
    ));
    assert!(matches!(
        verdict("rbt-good.service").await,
        AtBoot::Disabled { can_enable: true, .. }
    ));
    assert!(matches!(verdict("rbt-static.service").await, AtBoot::Static { .. }));
    assert_eq!(verdict("rbt-masked.service").await, AtBoot::Masked { runtime: false });
    assert!(
        matches!(verdict("rbt-bad.service").await, AtBoot::Bad { .. }),
        "{:?}",
        verdict("rbt-bad.service").await
    );
    assert_eq!(verdict("rbt-missing.service").await, AtBoot::Missing);
    assert_eq!(verdict("rbt-missing@x.service").await, AtBoot::Missing);

    let enabled = bus
        .enable(&["rbt-good.service", "rbt@one.service", "rbt-alias0.service"])
        .await
        .unwrap();
    assert_eq!((enabled.changes.len(), enabled.still_not), (4, vec![]));
    assert_eq!(verdict("rbt-good.service").await, AtBoot::Starts);
    assert_eq!(verdict("rbt@one.service").await, AtBoot::Starts);
    assert!(matches!(verdict("rbt@two.service").await, AtBoot::Disabled { .. }));
    let alias = verdict("rbt-alias.service").await;
    assert!(
        matches!(&alias, AtBoot::Alias { of, .. } if of == "rbt-alias0.service") && alias.starts(),
        "{alias:?}"
    );

    assert!(bus.start("rbt-good.service", LONG).await.unwrap().started());
    let good = bus.unit("rbt-good.service").await.unwrap();
    assert!(
        good.main_pid > 0 && good.invocation_id.len() == 32 && good.exec_start == ["/bin/sleep"],
        "{good:?}"
    );
    assert!(bus.stop("rbt-good.service", LONG).await.unwrap().stopped());
    let failed = bus.start("rbt-fails.service", LONG).await.unwrap();
    assert!(
        matches!(&failed, JobOutcome::Ended { result, after } if result == "failed" && after.result == "exit-code")
    );
    bus.reset_failed("rbt-fails.service").await.unwrap();
    assert!(
        !bus.start("rbt-cond.service", LONG).await.unwrap().started(),
        "skipped is not started"
    );
    let masked = bus.start("rbt-masked.service", LONG).await.unwrap_err();
    assert!(
        masked.to_string().contains("masked") && masked.nothing_happened(),
        "{masked}"
    );
    let missing = bus.start("rbt-missing.service", LONG).await.unwrap_err();
    assert!(missing.to_string().contains("no such unit"), "{missing}");

    let never_ready = bus.start("rbt@one.service", Duration::from_secs(2)).await.unwrap();
    assert!(matches!(never_ready, JobOutcome::Unknown { seen: Some(seen), .. } if seen.active_state == "activating"));
    assert!(bus.stop("rbt@one.service", LONG).await.unwrap().stopped());
    let before: UnitSeen = bus.unit("rbt@one.service").await.unwrap();
    assert_eq!(before.start_timeout, Some(Duration::from_secs(90)));
    bus.lift_start_timeout("rbt@one.service", &root.join("etc/systemd/system"))
        .await
        .unwrap();
}

fn transient(name: &str, argv: &[&str]) -> TransientAsked {
    TransientAsked {
        name: name.into(),
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        user: None,
        cwd: Some("/tmp".into()),
        env: vec![("A".into(), "1 $HOME %n \"q\"".into())],
        stdout: "/root/rbt.out".into(),
        stderr: "/root/rbt.err".into(),
        file_size: Some(4096),
        memory: Some(256 * 1024 * 1024),
        deadline: Duration::from_secs(3),
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
    let exited = |code| TransientOutcome::Exited {
        code,
        hint: String::new(),
    };
    let literal = ["/usr/bin/printf", "%s|", "$HOME", "${A}", "%n", "a b", "'\"\\", ";"];
    assert_eq!(run(transient(name, &literal)).await, exited(0));
    assert_eq!(out(), "$HOME|${A}|%n|a b|'\"\\|;|");
    let env = TransientAsked {
        user: Some("nobody".into()),
        ..transient(name, &["/bin/sh", "-c", "echo $A; id -un; pwd"])
    };
    assert_eq!(run(env).await, exited(0));
    assert_eq!(out(), "1 $HOME %n \"q\"\nnobody\n/tmp\n");
    assert_eq!(run(transient(name, &["/bin/sh", "-c", "exit 7"])).await, exited(7));
    assert_eq!(
        run(transient(name, &["/bin/sh", "-c", "kill -9 $$"])).await,
        TransientOutcome::Killed { signal: 9 }
    );
    assert_eq!(
        run(transient(name, &["/bin/sleep", "600"])).await,
        TransientOutcome::TimedOut
    );
    assert!(matches!(
        run(transient(name, &["/no/such"])).await,
        TransientOutcome::Exited { code: 203, .. }
    ));
    assert_eq!(
        run(transient(name, &["/usr/bin/yes"])).await,
        TransientOutcome::Killed { signal: 25 }
    );
    assert_eq!(root.join("root/rbt.out").metadata().unwrap().len(), 4096);

    // The result outlives whoever started it.
    let kept = transient("runbook-rbt-2.service", &["/bin/true"]);
    bus.start_transient(&kept).await.unwrap();
    let (other, _) = container().await.unwrap();
    assert_eq!(other.outcome_of(&kept.name).await.unwrap(), exited(0));
    assert!(
        other.start_transient(&kept).await.unwrap_err().nothing_happened(),
        "a name is used once"
    );
    other.forget_transient(&kept.name, LONG).await.unwrap();
    assert!(matches!(
        other.outcome_of(&kept.name).await.unwrap(),
        TransientOutcome::Unknown { .. }
    ));
}

#[tokio::test]
async fn the_resume_unit_runs_in_its_sandbox() {
    let Some((bus, root)) = container().await else { return };
    sweep(&bus, &root, "runbook-").await;
    for name in [super::resume_unit::RESUME, super::resume_unit::FAIL_OPEN] {
        let _not_loaded = bus.reset_failed(name).await;
    }
    assert_eq!(bus.may_go_down(Down::Reboot).await.unwrap(), "yes");
    assert!(super::logind::blocking(&bus.inhibitors().await.unwrap()).is_empty());
    // Inside and outside, paths must be the same for the audit: a directory that both see under one name.
    let inside = Path::new("/var/lib/rbt");
    let state = root.join("var/lib/rbt");
    let _none_yet = std::fs::remove_dir_all(&state);
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("pending"), "").unwrap();
    let script = "#!/bin/sh\nexec >>/var/lib/rbt/said 2>&1\necho \"$@\"\n\
                  busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnit s dbus.service\n\
                  cat /proc/1/comm; touch /etc/x && echo etc-is-writable; touch /run/runbook/lock && echo lock\n\
                  case \"$*\" in *unattended*) exit 1;; esac\n";
    std::fs::write(state.join("runbook"), script).unwrap();
    std::fs::set_permissions(
        state.join("runbook"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let unit = ResumeUnit {
        binary: inside.join("runbook"),
        binary_sha256: sha256_of(&state.join("runbook")).unwrap(),
        state_dir: inside.to_owned(),
        writable: vec!["/home/nobody-here".into()],
        credentials: Vec::new(),
        loopback_only: true,
    };
    let texts = unit.render().unwrap();
    put(&root, super::resume_unit::RESUME, &texts.resume);
    put(&root, super::resume_unit::FAIL_OPEN, &texts.fail_open);
    bus.reload().await.unwrap();
    bus.enable(&[super::resume_unit::RESUME]).await.unwrap();
    assert_eq!(
        boot_verdict(&bus.unit(super::resume_unit::RESUME).await.unwrap()),
        AtBoot::Starts
    );
    let _asked = bus.start(super::resume_unit::RESUME, LONG).await.unwrap();
    let mut said = String::new();
    for _ in 0..100 {
        said = std::fs::read_to_string(state.join("said")).unwrap_or_default();
        if said.contains("--fail-open") && said.matches("lock").count() >= 2 {
            break;
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        said.contains("--state-dir /var/lib/rbt resume --unattended\n"),
        "{said}"
    );
    assert!(
        said.contains("resume --fail-open"),
        "exit 1 is an answer, so systemd fails open: {said}"
    );
    assert_eq!(
        said.matches("unattended").count(),
        1,
        "an answer is not tried again: {said}"
    );
    assert!(
        said.contains("/org/freedesktop/systemd1/unit/dbus_2eservice"),
        "the bus answers in the sandbox: {said}"
    );
    assert!(
        said.contains("systemd\n") && said.contains("lock") && !said.contains("etc-is-writable"),
        "{said}"
    );

    // The audit reads files of this machine's view; here it must find that they are not where systemd says.
    let unit_dir = root.join("etc/systemd/system");
    assert!(!audit(&bus, &unit, &unit_dir).await.unwrap().is_empty());
    assert!(install(&bus, &unit, &unit_dir).await.is_err());
    remove(&bus, &unit_dir).await.unwrap();
    assert_eq!(
        boot_verdict(&bus.unit(super::resume_unit::RESUME).await.unwrap()),
        AtBoot::Missing
    );
}

#[tokio::test]
async fn locks_of_others_stop_a_reboot() {
    let Some((bus, root)) = container().await else { return };
    let lock = |mode: &str| {
        let holds = "/usr/bin/systemd-inhibit --what=shutdown --who=rbt --why=dump";
        put(
            &root,
            "rbt-lock.service",
            &format!("[Service]\nType=exec\nExecStart={holds} --mode={mode} sleep 60\n"),
        );
    };
    let held = async |count: usize| {
        for _ in 0..50 {
            if bus
                .inhibitors()
                .await
                .unwrap()
                .iter()
                .filter(|one| one.who == "rbt")
                .count()
                == count
            {
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
        assert_eq!(super::logind::blocking(&all).len(), blocks, "{mode} {all:?}");
        if blocks > 0 {
            let said = bus.go_down(Down::Reboot, &[]).await.unwrap_err();
            assert!(
                said.to_string().contains("rbt (pid ") && said.to_string().contains("dump"),
                "{said}"
            );
        }
        assert!(bus.stop("rbt-lock.service", LONG).await.unwrap().stopped());
        held(0).await;
    }
}

/// Ends the container, so it wants a permission of its own and must be the only test of its run.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the lab gives its permission by the environment"
)]
async fn a_reboot_is_accepted() {
    if std::env::var("RUNBOOK_TEST_CONTAINER_MAY_REBOOT").is_err() {
        return;
    }
    let Some((bus, _)) = container().await else { return };
    bus.go_down(Down::Reboot, &[]).await.unwrap();
    tokio::time::timeout(LONG, bus.connection.closed()).await.unwrap();
}

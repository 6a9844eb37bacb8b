//! The resume unit in its sandbox: what it can reach, what it cannot, and that systemd fails open after an answer of 1.

use std::path::Path;
use std::time::Duration;

use super::{LONG, container, put, sweep};
use crate::host::clock;
use crate::host::systemd::boot::{AtBoot, boot_verdict};
use crate::host::systemd::logind::Down;
use crate::host::systemd::resume_unit::{FAIL_OPEN, RESUME, ResumeUnit, audit, install, remove, sha256_of};

const SCRIPT: &str = "#!/bin/sh\nexec >>/var/lib/rbt/said 2>&1\necho \"$@\"\n\
                  busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnit s dbus.service\n\
                  cat /proc/1/comm; touch /etc/x && echo etc-is-writable; touch /run/runbook/lock && echo lock\n\
                  case \"$*\" in *unattended*) exit 1;; esac\n";

fn unit(inside: &Path, state: &Path) -> ResumeUnit {
    ResumeUnit {
        binary: inside.join("runbook"),
        binary_sha256: sha256_of(&state.join("runbook")).unwrap(),
        state_dir: inside.to_owned(),
        writable: vec!["/home/nobody-here".into()],
        credentials: Vec::new(),
        loopback_only: true,
    }
}

/// Waits until both units have had their say.
async fn what_they_said(state: &Path) -> String {
    let mut said = String::new();
    for _ in 0..100 {
        said = std::fs::read_to_string(state.join("said")).unwrap_or_default();
        if said.contains("--fail-open") && said.matches("lock").count() >= 2 {
            break;
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    said
}

#[tokio::test]
async fn the_resume_unit_runs_in_its_sandbox() {
    let Some((bus, root)) = container().await else { return };
    sweep(&bus, &root, "runbook-").await;
    for name in [RESUME, FAIL_OPEN] {
        let _not_loaded = bus.reset_failed(name).await;
    }
    assert_eq!(bus.may_go_down(Down::Reboot).await.unwrap(), "yes");
    // Inside and outside, paths must be the same for the audit: a directory that both see under one name.
    let inside = Path::new("/var/lib/rbt");
    let state = root.join("var/lib/rbt");
    let _none_yet = std::fs::remove_dir_all(&state);
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("pending"), "").unwrap();
    std::fs::write(state.join("runbook"), SCRIPT).unwrap();
    std::fs::set_permissions(state.join("runbook"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let unit = unit(inside, &state);
    let texts = unit.render().unwrap();
    put(&root, RESUME, &texts.resume);
    put(&root, FAIL_OPEN, &texts.fail_open);
    bus.reload().await.unwrap();
    bus.enable(&[RESUME]).await.unwrap();
    assert_eq!(boot_verdict(&bus.unit(RESUME).await.unwrap()), AtBoot::Starts);
    let _asked = bus.start(RESUME, LONG).await.unwrap();
    let said = what_they_said(&state).await;
    assert!(said.contains("--state-dir /var/lib/rbt resume --unattended\n"), "{said}");
    assert!(said.contains("resume --fail-open"), "exit 1 is an answer, so systemd fails open: {said}");
    assert_eq!(said.matches("unattended").count(), 1, "an answer is not tried again: {said}");
    assert!(said.contains("/org/freedesktop/systemd1/unit/dbus_2eservice"), "the bus answers in the sandbox: {said}");
    assert!(said.contains("systemd\n") && said.contains("lock") && !said.contains("etc-is-writable"), "{said}");

    // The audit reads files of this machine's view; here it must find that they are not where systemd says.
    let unit_dir = root.join("etc/systemd/system");
    assert!(!audit(&bus, &unit, &unit_dir).await.unwrap().is_empty());
    assert!(install(&bus, &unit, &unit_dir).await.is_err());
    remove(&bus, &unit_dir).await.unwrap();
    assert_eq!(boot_verdict(&bus.unit(RESUME).await.unwrap()), AtBoot::Missing);
}

//! The conversation with systemd and logind, held with a fake on a private bus.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::boot::{AtBoot, boot_verdict, start_timeout_trap};
use super::bus::SystemdError;
use super::fake::Fake;
use super::jobs::JobOutcome;
use super::logind::{Down, blocking};
use super::resume_unit::{FAIL_OPEN, Fault, RESUME, ResumeUnit, audit, install, remove, sha256_of};
use super::transient::{TransientAsked, TransientOutcome};

const SOON: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn reading_starts_nothing_and_tames_what_it_reads() {
    let Some(fake) = Fake::start().await else { return };
    let unit = fake.bus().await.unit("redis-server@bull00.service").await.unwrap();
    assert_eq!((unit.load_state.as_str(), unit.unit_file_state.as_str()), ("loaded", "disabled"));
    assert_eq!((unit.main_pid, unit.n_restarts, unit.stop_timeout), (42, 3, None));
    assert_eq!(unit.start_timeout, Some(Duration::from_secs(90)));
    assert_eq!(unit.description, "text\\u{1b}[2J");
    assert_eq!(unit.invocation_id, "01ab");
    assert_eq!(unit.triggered_by, ["a.socket"]);
    assert_eq!(unit.exec_start, ["/usr/bin/redis-server"]);
    assert!(unit.active_enter.is_some());
    assert!(!serde_json::to_string(&unit).unwrap().contains("s3cret"), "arguments stay out");
    assert_eq!(start_timeout_trap(&unit, Duration::from_secs(1980)).unwrap().needed, Duration::from_secs(3960));
    for call in fake.calls() {
        assert!(call.starts_with('~'), "{call} may start a service");
    }
}

#[tokio::test]
async fn names_of_every_kind_get_a_verdict() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    let verdict = async |name: &str| boot_verdict(&bus.unit(name).await.unwrap());
    assert_eq!(verdict("missing.service").await, AtBoot::Missing);
    assert_eq!(verdict("tile38@.service").await, AtBoot::Template);
    assert_eq!(verdict("static.service").await, AtBoot::Static { note: "started by a.socket".into() });
    assert!(matches!(verdict("alias.service").await, AtBoot::Alias { of, .. } if of == "real.service"));
    assert!(matches!(verdict("tile38@staging.service").await, AtBoot::Disabled { can_enable: true, .. }));
    assert!(matches!(bus.unit("../x.service").await, Err(SystemdError::BadName { .. })));
    assert!(!fake.calls().iter().any(|call| call == "~LoadUnit tile38@.service"), "a template cannot be loaded");
}

#[tokio::test]
async fn nobody_on_the_bus_is_absent_and_no_reply_is_a_time_out() {
    let Some(empty) = Fake::empty().await else { return };
    let said = empty.bus().await.unit("a.service").await.unwrap_err();
    assert!(matches!(said, SystemdError::Absent { .. }), "{said}");
    let Some(fake) = Fake::start().await else { return };
    let said = fake.bus().await.unit("mute-read.service").await.unwrap_err();
    assert!(matches!(said, SystemdError::TimedOut { .. }) && !said.nothing_happened(), "{said}");
}

#[tokio::test]
async fn a_job_is_watched_before_it_is_asked_for() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    assert!(bus.start("good.service", LONG).await.unwrap().started());
    let calls = fake.calls();
    let at = |wanted: &str| calls.iter().position(|call| call.contains(wanted)).unwrap();
    assert!(at("Subscribe") < at("StartUnit good.service") && at("StartUnit good.service") < at("GetAll"), "{calls:?}");
    assert!(bus.stop("good.service", LONG).await.unwrap().stopped());
    assert!(bus.start("race.service", LONG).await.unwrap().started(), "its end came before the reply");
}

#[tokio::test]
async fn ends_of_jobs_are_told_apart() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    let failed = bus.start("fails.service", LONG).await.unwrap();
    assert!(
        matches!(&failed, JobOutcome::Ended { result, after } if result == "failed" && after.active_state == "failed")
    );
    assert!(!failed.started());
    let skipped = bus.start("skipped.service", LONG).await.unwrap();
    assert!(matches!(&skipped, JobOutcome::Ended { result, .. } if result == "done"));
    assert!(!skipped.started(), "done, but a condition kept it down");
    let hangs = bus.start("hang.service", SOON).await.unwrap();
    assert!(matches!(hangs, JobOutcome::Unknown { seen: Some(seen), .. } if seen.active_state == "activating"));
    let mute = bus.start("mute.service", LONG).await.unwrap();
    assert!(matches!(mute, JobOutcome::Unknown { .. }), "{mute:?}");
}

#[tokio::test]
async fn refusals_prove_that_nothing_happened() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    let refused = async |name: &str| bus.start(name, LONG).await.unwrap_err();
    assert!(matches!(refused("masked.service").await, SystemdError::Masked { .. }));
    for name in ["denied.service", "password.service"] {
        let said = refused(name).await;
        assert!(matches!(said, SystemdError::Denied { .. }) && said.nothing_happened(), "{said}");
        assert!(said.to_string().contains("run as root"), "{said}");
    }
}

#[tokio::test]
async fn enabling_is_verified() {
    let Some(fake) = Fake::start().await else { return };
    let done = fake.bus().await.enable(&["a.service", "static.service"]).await.unwrap();
    assert_eq!(done.changes.len(), 2);
    assert_eq!(done.still_not, [("static.service".to_owned(), "static".to_owned())]);
    assert!(fake.calls().contains(&"Reload".to_owned()));
}

#[tokio::test]
async fn lifting_the_start_time_out_is_verified() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    let path = bus.lift_start_timeout("redis-server@a.service", fake.dir.path()).await.unwrap();
    assert!(path.ends_with("redis-server@a.service.d/50-runbook-start-timeout.conf"));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with("[Service]\nTimeoutStartSec=infinity\n"), "{text}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    let said = bus.lift_start_timeout("stubborn.service", fake.dir.path()).await.unwrap_err();
    assert!(matches!(said, SystemdError::NotVerified { .. }), "{said}");
}

fn transient(name: &str) -> TransientAsked {
    TransientAsked {
        argv: vec!["/bin/echo".into(), "$HOME %n".into()],
        user: Some("deploy".into()),
        env: vec![("A".into(), "1 2".into())],
        stdout: Some("/var/lib/runbook/out".into()),
        stderr: Some("/var/lib/runbook/err".into()),
        file_size: Some(1024),
        ..TransientAsked::watched(name.into(), SOON)
    }
}

#[tokio::test]
async fn a_transient_unit_says_everything_and_its_end_is_read() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    let seven = bus.start_transient(&transient("runbook-r1-seven.service")).await.unwrap();
    assert_eq!(seven, TransientOutcome::Exited { code: 7, hint: String::new() });
    let settings = fake.memory.lock().unwrap().settings.clone();
    assert_eq!(settings["Type"], "\"oneshot\"");
    assert_eq!(settings["StandardOutputFileToTruncate"], "\"/var/lib/runbook/out\"");
    assert_eq!(settings["User"], "\"deploy\"");
    assert_eq!(settings["TimeoutStartUSec"], "uint64 500000");
    assert!(settings["ExecStartEx"].contains("\"$HOME %n\"") && settings["ExecStartEx"].contains("no-env-expand"));
    assert!(!settings.contains_key("MemoryMax"));
    let gone = bus.outcome_of("runbook-gone.service").await.unwrap();
    assert!(matches!(gone, TransientOutcome::Unknown { .. }));
    bus.forget_transient("runbook-r1-seven.service", LONG).await.unwrap();
    assert!(bus.forget_transient("redis-server.service", LONG).await.is_err(), "not ours");
}

#[tokio::test]
async fn a_blocked_reboot_is_never_asked_for() {
    let Some(fake) = Fake::start().await else { return };
    let bus = fake.bus().await;
    let lock = ("shutdown".into(), "backup".into(), "dump runs".into(), "block".into(), 0, 77);
    fake.memory.lock().unwrap().inhibitors = vec![lock];
    assert_eq!(blocking(&bus.inhibitors().await.unwrap()).len(), 1);
    assert_eq!(bus.may_go_down(Down::Reboot).await.unwrap(), "yes");
    let said = bus.go_down(Down::Reboot, &[]).await.unwrap_err();
    assert!(said.to_string().contains("backup (pid 77, uid 0): dump runs"), "{said}");
    assert!(!fake.calls().contains(&"Reboot".to_owned()));
    bus.go_down(Down::Reboot, &["backup".to_owned()]).await.unwrap();
    assert!(fake.calls().iter().any(|call| call.starts_with("Reboot")));
    let said = bus.go_down(Down::PowerOff, &["backup".to_owned()]).await.unwrap_err();
    assert!(matches!(said, SystemdError::UnderWay { .. }), "{said}");
}

fn resume_unit(dir: &Path) -> ResumeUnit {
    let binary = dir.join("runbook");
    std::fs::write(&binary, "one").unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    ResumeUnit {
        binary_sha256: sha256_of(&binary).unwrap(),
        binary,
        state_dir: "/var/lib/runbook".into(),
        writable: Vec::new(),
        credentials: Vec::new(),
        loopback_only: true,
    }
}

#[tokio::test]
async fn the_resume_unit_is_installed_audited_and_removed() {
    let Some(fake) = Fake::start().await else { return };
    let (bus, dir) = (fake.bus().await, fake.dir.path());
    let unit = resume_unit(dir);
    let missing = |name: &str| Fault::Missing { unit: name.into() };
    assert_eq!(audit(&bus, &unit, dir).await.unwrap(), [missing(RESUME), missing(FAIL_OPEN)]);
    install(&bus, &unit, dir).await.unwrap();
    assert_eq!(audit(&bus, &unit, dir).await.unwrap(), []);

    let elsewhere = ResumeUnit { state_dir: "/srv/runbook".into(), ..unit.clone() };
    let faults = audit(&bus, &elsewhere, dir).await.unwrap();
    assert_eq!(faults, [Fault::Differs { file: dir.join(RESUME) }, Fault::Differs { file: dir.join(FAIL_OPEN) }]);

    std::fs::write(&unit.binary, "two").unwrap();
    assert_eq!(audit(&bus, &unit, dir).await.unwrap(), [Fault::BinaryChanged { path: unit.binary.clone() }]);
    std::fs::remove_file(&unit.binary).unwrap();
    assert!(matches!(audit(&bus, &unit, dir).await.unwrap()[..], [Fault::NoBinary { .. }]));
    assert!(install(&bus, &unit, dir).await.is_err());

    remove(&bus, dir).await.unwrap();
    remove(&bus, dir).await.unwrap();
    assert!(!dir.join(RESUME).exists() && !dir.join(FAIL_OPEN).exists());
}

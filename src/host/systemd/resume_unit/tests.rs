//! What the units say, judged by systemd's own tools where they are installed.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::host::command::{CommandAsked, CommandSeen, run};

fn unit(dir: &Path) -> ResumeUnit {
    ResumeUnit {
        binary: dir.join("runbook"),
        binary_sha256: "00".into(),
        state_dir: dir.join("state"),
        writable: vec!["/home/deploy/.pm2".into()],
        credentials: vec![("bds".into(), "/etc/runbook/bds.pass".into())],
        loopback_only: false,
    }
}

#[test]
fn the_text_has_what_a_resume_needs() {
    let texts = unit(Path::new("/opt")).render().unwrap();
    for line in [
        "ExecStart=/opt/runbook --state-dir /opt/state resume --unattended",
        "RequiresMountsFor=/opt/state",
        "ConditionPathExists=/opt/state/pending",
        "StartLimitBurst=3",
        "TimeoutStartSec=infinity",
        "OnFailure=runbook-fail-open.service",
        "WantedBy=multi-user.target",
        "ReadWritePaths=-/home/deploy/.pm2",
        "LoadCredential=bds:/etc/runbook/bds.pass",
        "BinarySha256=00",
        "LimitCORE=0",
    ] {
        assert!(texts.resume.lines().any(|seen| seen == line), "{line} is not in\n{}", texts.resume);
    }
    for limit in ["MemoryHigh=192M", "MemoryMax=256M", "TasksMax=640"] {
        for text in [&texts.resume, &texts.fail_open] {
            assert!(text.lines().any(|seen| seen == limit), "{limit} is not in\n{text}");
        }
    }
    assert!(texts.fail_open.contains("ExecStart=/opt/runbook --state-dir /opt/state resume --fail-open\n"));
    assert!(!texts.fail_open.contains("[Install]"), "only a failure starts it");
    let after = texts.resume.lines().find(|line| line.starts_with("After=")).unwrap();
    assert!(!after.contains("redis") && !after.contains("pm2"), "{after}");
}

#[test]
fn paths_that_need_quoting_are_refused() {
    for bad in ["relative", "/a b", "/a\"b", "/a%n", "/a$b", "/a\nExecStart=/bin/sh", "/a/../b", "/ä"] {
        let unit = ResumeUnit { state_dir: bad.into(), ..unit(Path::new("/opt")) };
        assert!(unit.render().is_err(), "{bad:?}");
    }
    let unit = ResumeUnit { credentials: vec![("a:b".into(), "/x".into())], ..unit(Path::new("/opt")) };
    assert!(unit.render().is_err());
}

/// Writes both units into a directory with a program that exists.
fn written() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("resume").tempdir().unwrap();
    let unit = unit(dir.path());
    std::fs::write(&unit.binary, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&unit.binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let texts = unit.render().unwrap();
    std::fs::write(dir.path().join(RESUME), texts.resume).unwrap();
    std::fs::write(dir.path().join(FAIL_OPEN), texts.fail_open).unwrap();
    dir
}

async fn analyze(words: &[&str], dir: &Path) -> Option<CommandSeen> {
    let argv: Vec<_> = ["systemd-analyze"].iter().chain(words).copied().collect();
    let mut asked = CommandAsked::new(&argv, Duration::from_secs(60));
    asked.cwd = Some(dir.to_owned());
    asked.env = vec![("SYSTEMD_PAGER".into(), String::new()), ("SYSTEMD_LOG_LEVEL".into(), "warning".into())];
    let seen = run(asked).await;
    if matches!(seen.end, crate::host::command::CommandEnd::NotBegun { .. }) {
        skipped("systemd-analyze is not installed");
        return None;
    }
    Some(seen)
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

#[tokio::test]
async fn systemd_finds_nothing_wrong() {
    let dir = written();
    let resume = dir.path().join(RESUME);
    let words = ["verify", "--man=no", "--recursive-errors=no", resume.to_str().unwrap()];
    let Some(seen) = analyze(&words, dir.path()).await else {
        return;
    };
    let said: Vec<_> = seen.stderr.lines().filter(|line| line.contains("runbook-")).collect();
    assert!(seen.succeeded() && said.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn the_exposure_is_at_most_four() {
    let dir = written();
    for name in [RESUME, FAIL_OPEN] {
        let file = dir.path().join(name);
        let words = ["security", "--offline=true", "--no-pager", "--threshold=40", file.to_str().unwrap()];
        let Some(seen) = analyze(&words, dir.path()).await else {
            return;
        };
        assert!(seen.succeeded(), "{seen:?}");
    }
}

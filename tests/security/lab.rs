//! Effects on a real host: a command outlives the run that asked for it, its end is learnt, it runs once, free of the sandbox.
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use super::bench::told;
use super::figure;
use super::host::Lab;

/// A run of one command that writes down when it begins and when it ends.
fn put(lab: &Lab, name: &str, script: &str, more: &str) {
    let script = serde_json::to_string(&format!("echo begun >>/root/{name}; {script}")).unwrap();
    let text = format!(
        "version: 1\nname: {name}\nhosts: [stg-1]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [/bin/sh, -c, {script}] }}\n{more}"
    );
    std::fs::write(lab.path(&format!("/etc/runbook/{name}.yaml")), text).unwrap();
}

fn ledger(lab: &Lab, name: &str) -> String {
    std::fs::read_to_string(lab.path(&format!("/root/{name}")))
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Starts the run and kills its process as soon as the command has begun; what the command's unit runs goes on.
fn start_and_kill(lab: &Lab, name: &str) {
    let mut child = start(lab, name);
    lab.shell("pkill -KILL -o -x runbook");
    let _ = child.wait();
}

fn start(lab: &Lab, name: &str) -> Child {
    let child = lab.spawn(&["runbook", "run", name, "--yes", "--progress", "plain"]);
    let until = Instant::now() + Duration::from_secs(60);
    while ledger(lab, name) != "begun" {
        assert!(Instant::now() < until, "{name} has not begun");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

fn resume(lab: &Lab, code: i32, words: &str) -> Output {
    let output = lab.run_within(120, &["runbook", "resume", "--yes", "--progress", "plain"]);
    assert_eq!(output.status.code(), Some(code), "{}", told(&output));
    assert!(told(&output).contains(words), "`{words}` is not in {}", told(&output));
    output
}

#[test]
fn lab_effects_outlive_their_run() {
    let Some(lab) = Lab::up("security_effects") else { return };
    lab.shell("mkdir -p /etc/runbook && chmod 755 /etc/runbook");

    put(&lab, "succeeds", "sleep 6; echo ended >>/root/succeeds", "");
    start_and_kill(&lab, "succeeds");
    resume(&lab, 0, "done");
    assert_eq!(ledger(&lab, "succeeds"), "begun ended", "it ran once, to its end");

    put(&lab, "fails", "sleep 4; echo ended >>/root/fails; exit 3", "");
    start_and_kill(&lab, "fails");
    std::thread::sleep(Duration::from_secs(5));
    resume(&lab, 1, "exit status 3");
    assert_eq!(
        ledger(&lab, "fails"),
        "begun ended",
        "a failure that is known is not an unknown, and not run again by itself"
    );
    lab.run(&["runbook", "abort"]);

    put(&lab, "killed", "sleep 600", "");
    start_and_kill(&lab, "killed");
    lab.shell("systemctl kill -s KILL 'runbook-r-*.service'");
    resume(&lab, 1, "ended by signal 9");
    assert_eq!(
        (ledger(&lab, "killed"), lab.shell("pgrep -x sleep | wc -l")),
        ("begun".into(), "0".into()),
        "the whole group is gone"
    );
    lab.run(&["runbook", "abort"]);

    put(&lab, "late", "sleep 600", "        within: 3s\n");
    let late = super::bench::ended(start(&lab, "late"), Duration::from_secs(60));
    assert!(matches!(late.status.code(), Some(1 | 21 | 9)), "{}", told(&late));
    lab.shell("for n in $(seq 100); do pgrep -x sleep >/dev/null || exit 0; sleep 0.2; done; exit 1");
    lab.run(&["runbook", "abort", "--abandon", "--reason", "seen"]);

    sandbox(&lab);
    exposure(&lab);
    let left = lab.shell("systemctl list-units --all --no-legend --plain 'runbook-r-*' | wc -l");
    figure(&format!("lab: 4 effects cut off from their run: each learnt, each begun once; {left} units left"));

    put(&lab, "power", "sync; sleep 600", "");
    let mut cut_off = start(&lab, "power");
    lab.power_cycle();
    let _ = cut_off.wait();
    let output = lab.run_within(60, &["runbook", "resume", "--yes", "--progress", "plain"]);
    assert!(
        told(&output).contains("nobody knows whether a/1 happened") && output.status.code() == Some(21),
        "{}",
        told(&output)
    );
    assert_eq!(ledger(&lab, "power"), "begun", "after a power cut nobody knows, and nothing is run again");
    figure("lab: after a power cut the effect is unknown and not run again");
}

/// The command of a run in a sandbox like the resume unit's may do what the runbook's author may.
fn sandbox(lab: &Lab) {
    put(
        lab,
        "free",
        "touch /usr/local/written && umask >>/root/free && id -un >>/root/free && grep CapEff /proc/self/status >>/root/free; ls -a /proc/self/fd | wc -l >/root/fds",
        "",
    );
    let words = "systemd-run --wait --pipe -q -p ProtectSystem=strict -p UMask=0077 -p NoNewPrivileges=yes -p RestrictSUIDSGID=yes \
                 -p 'CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN' \
                 -p 'ReadWritePaths=/var/lib/runbook /run/runbook' runbook run free --yes --progress plain";
    let output = lab.run_within(
        60,
        &["bash", "-c", &format!("mkdir -p /var/lib/runbook /run/runbook; chmod 700 /var/lib/runbook; {words}")],
    );
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let seen = ledger(lab, "free");
    assert!(seen.starts_with("begun 0022 root CapEff: 0000"), "{seen}");
    assert!(!seen.ends_with("00000000000000eb"), "all capabilities of the host, not those of the sandbox: {seen}");
    put(lab, "deploy", "touch /home/x 2>/dev/null; exit 0", "");
    let text = std::fs::read_to_string(lab.path("/etc/runbook/deploy.yaml")).unwrap();
    let text = text
        .replace(
            "echo begun >>/root/deploy; touch /home/x 2>/dev/null; exit 0",
            "id -un >/tmp/who; id -G >>/tmp/who; pwd >>/tmp/who; echo $HOME >>/tmp/who",
        )
        .replace("\"] }", "\"], user: deploy, cwd: /var/www }");
    std::fs::write(lab.path("/etc/runbook/deploy.yaml"), text).unwrap();
    let output = lab.run_within(60, &["runbook", "run", "deploy", "--yes", "--progress", "plain"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let wanted = lab.shell("echo deploy; id -G deploy; echo /var/www; getent passwd deploy | cut -d: -f6");
    assert_eq!(lab.shell("cat /tmp/who"), wanted);
    figure(
        "lab: an effect is free of the run's sandbox, with umask 0022, and has user, groups, home and directory as asked",
    );
}

/// `systemd-analyze security` of the resume unit.
fn exposure(lab: &Lab) {
    lab.shell("runbook install-resume-unit");
    let said = lab.shell("systemd-analyze security --no-pager runbook-resume.service runbook-fail-open.service | grep -i 'overall exposure'");
    let level = said.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
    figure(&format!("lab: exposure of the resume unit {level}"));
    assert!(level <= 4.0, "{said}");
}

//! What goes wrong on a real host, and that the services are never left down for it.

use crate::support::lab::{Lab, told};
use crate::support::runs::{
    UNATTENDED, apps, finish, journal, newest_journal, online, runbook, start, start_anew, wait_for, wait_for_end,
    wait_for_phase,
};

/// Refusals before the first change, and failures between the stop and the reboot, on one host that never reboots.
#[test]
fn lab_refusals_change_nothing_and_failures_back_out() {
    let Some(lab) = Lab::up("trouble") else { return };
    let (before, boot) = (apps(&lab), lab.boot_id());

    masked_unit_is_refused(&lab);
    inhibitor_is_refused(&lab);
    assert!(journal(&lab).is_empty(), "nothing was begun: {:?}", journal(&lab));
    assert_eq!(apps(&lab), before);

    inhibitor_after_the_stop_backs_out(&lab);
    assert_eq!(apps(&lab), before, "backed out: every app as it was");

    failing_rewrite_backs_out(&lab);
    assert_eq!(apps(&lab), before, "backed out: every app as it was");

    second_run_is_refused(&lab);
    assert_eq!((lab.boot_id(), lab.boots()), (boot, 1), "no reboot happened");
}

fn masked_unit_is_refused(lab: &Lab) {
    lab.shell("systemctl mask redis-server@bull02.service");
    let refused = finish(start(lab), 120);
    assert_eq!(refused.status.code(), Some(5), "{}", told(&refused));
    assert!(told(&refused).contains("masked"), "{}", told(&refused));
    lab.shell("systemctl unmask redis-server@bull02.service");
}

fn inhibitor_is_refused(lab: &Lab) {
    let mut lock = inhibit(lab);
    let refused = finish(start(lab), 120);
    assert_eq!(refused.status.code(), Some(5), "{}", told(&refused));
    assert!(told(&refused).contains("lab-lock"), "{}", told(&refused));
    release(lab, &mut lock);
}

fn inhibitor_after_the_stop_backs_out(lab: &Lab) {
    let child = start_anew(lab, &staging());
    wait_for_phase(lab, 120, "stop");
    let mut lock = inhibit(lab);
    let ended = finish(child, 300);
    assert_eq!(ended.status.code(), Some(12), "{}", told(&ended));
    assert_eq!(wait_for_end(lab, 10), "backed_out");
    assert!(!journal(lab).iter().any(|(kind, _)| kind == "reboot_intent"), "the machine was not asked to go down");
    release(lab, &mut lock);
}

/// The rewrite child is killed, as the OOM killer would, once the services are stopped.
fn failing_rewrite_backs_out(lab: &Lab) {
    lab.shell(
        "sed 's/min_saving: 1m/min_saving: 0s/' /etc/runbook/restart-staging.yaml >/etc/runbook/rewrite-twice.yaml",
    );
    lab.shell("sed -i 's/^name: restart-staging/name: rewrite-twice/' /etc/runbook/rewrite-twice.yaml");
    let child = start_anew(
        lab,
        &[
            "runbook",
            "run",
            "rewrite-twice",
            "--yes",
            "--confirm",
            "rewrite-twice",
            "--ignore-window",
            "lab",
            "--progress",
            "plain",
        ],
    );
    wait_for_phase(lab, 180, "stop");
    let mut killer = lab.spawn(&["bash", "-c", "while :; do pkill -KILL -f ^redis-aof-rewrite; done"]);
    let ended = finish(child, 300);
    lab.run(&["pkill", "-f", "pkill -KILL"]);
    let _ = killer.kill();
    let _ = killer.wait();
    assert_eq!(ended.status.code(), Some(12), "{}", told(&ended));
    assert_eq!(wait_for_end(lab, 10), "backed_out");
    assert!(told(&ended).contains("rewrite child failed"), "{}", told(&ended));
}

/// One run waits for a port that nobody opens; meanwhile, and after it was terminated, no other may begin.
fn second_run_is_refused(lab: &Lab) {
    lab.shell(
        "printf '%s\\n' 'version: 1' 'name: waits' 'hosts: [stg-1]' 'phases:' '  - name: wait' '    steps:' \
         '      - healthy: { checks: [ { tcp: { addr: \"127.0.0.1:1\" } } ] }' >/etc/runbook/waits.yaml",
    );
    let child = start_anew(lab, &["runbook", "run", "waits", "--yes", "--progress", "plain"]);
    wait_for_phase(lab, 60, "wait");
    let second = runbook(lab, &staging()[1..]);
    assert_eq!(second.status.code(), Some(8), "while it lives: {}", told(&second));
    lab.run(&["pkill", "-TERM", "-x", "runbook"]);
    let first = finish(child, 60);
    assert_eq!(first.status.code(), Some(143), "{}", told(&first));
    let second = runbook(lab, &staging()[1..]);
    assert_eq!(second.status.code(), Some(8), "while it is unfinished: {}", told(&second));
    let aborted = runbook(lab, &["abort"]);
    assert!(aborted.status.code().is_some_and(|code| code < 2), "{}", told(&aborted));
    assert_eq!(wait_for_end(lab, 10), "failed");
}

/// The words of the usual run.
fn staging() -> Vec<&'static str> {
    let mut words = vec!["runbook", "run", "restart-staging"];
    words.extend(UNATTENDED);
    words
}

fn inhibit(lab: &Lab) -> std::process::Child {
    let lock = lab.spawn(&[
        "systemd-inhibit",
        "--what=shutdown",
        "--mode=block",
        "--who=lab-lock",
        "--why=test",
        "sleep",
        "600",
    ]);
    lab.shell("until systemd-inhibit --list --no-legend | grep -q lab-lock; do sleep 0.1; done");
    lock
}

fn release(lab: &Lab, lock: &mut std::process::Child) {
    lab.run(&["pkill", "-f", "sleep 600"]);
    let _ = lock.wait();
}

/// An instance comes up empty: seen at once, nothing is started, people are told, and after the repair the run goes on.
#[test]
fn lab_empty_data_set_stops_the_unattended_resume() {
    let Some(lab) = Lab::up("empty") else { return };
    let before = apps(&lab);
    // While the machine is off: what is missing before the reboot is refused there, and backed out of.
    lab.shell("sed -i 's/rebooted: { how: reboot }/rebooted: { how: poweroff }/' /etc/runbook/restart-staging.yaml");
    finish(start(&lab), 180);
    wait_until_off(&lab);
    let data = lab.path("/var/lib/redis/bull00");
    // Across the layers of the host's disk a directory cannot be renamed.
    #[expect(clippy::disallowed_methods, reason = "a test starts what it needs")]
    let moved =
        std::process::Command::new("mv").args([data.join("appendonlydir"), data.join("away")]).status().unwrap();
    assert!(moved.success());
    lab.power_on();
    wait_for(&lab, 240, "failure of the load", |kind, content| kind == "step_failed" && content["step"] == "load/1");
    wait_for(&lab, 60, "pause", |kind, content| kind == "paused" && content["why"] == "failed");
    assert_eq!(online(&apps(&lab)), 0, "nothing is started on an empty Redis");
    let failed = journal(&lab).into_iter().rev().find(|(kind, _)| kind == "step_failed").unwrap();
    assert!(failed.1["error"].as_str().unwrap().contains("0 keys"), "{failed:?}");
    lab.shell(
        "until systemctl show -p ActiveState --value runbook-resume.service | grep -qx inactive; do sleep 0.2; done",
    );
    let told_people = lab.shell("cat /run/motd.d/*");
    assert!(told_people.contains("runbook"), "{told_people}");
    assert_eq!(online(&apps(&lab)), 0, "a closed gate does not open itself: the fail-open unit stays quiet");

    lab.shell(
        "systemctl stop redis-server@bull00.service && rm -rf /var/lib/redis/bull00/appendonlydir && \
         mv /var/lib/redis/bull00/away /var/lib/redis/bull00/appendonlydir && systemctl start redis-server@bull00.service",
    );
    let resumed = runbook(&lab, &["resume", "--yes", "--progress", "plain"]);
    assert!(resumed.status.success(), "{}", told(&resumed));
    assert_eq!(wait_for_end(&lab, 10), "done");
    assert_eq!(apps(&lab), before);
}

fn wait_until_off(lab: &Lab) {
    while lab.state() == "running" {
        #[expect(clippy::disallowed_methods, reason = "a test waits by itself")]
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(lab.state(), "off");
}

/// The journal is damaged while the machine is off: `runbook` refuses to guess, and the fail-open unit starts the services.
#[test]
fn lab_damaged_journal_fails_open() {
    let Some(lab) = Lab::up("damage") else { return };
    let before = apps(&lab);
    lab.shell("sed -i 's/rebooted: { how: reboot }/rebooted: { how: poweroff }/' /etc/runbook/restart-staging.yaml");
    finish(start(&lab), 180);
    wait_until_off(&lab);
    let path = newest_journal(&lab).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    lab.power_on();
    lab.shell(
        "for n in {1..900}; do systemctl show -p ActiveState --value runbook-fail-open.service | grep -qx inactive && \
               journalctl -b --no-pager -u runbook-fail-open | grep -q . && break; sleep 0.2; done",
    );
    assert_eq!(
        online(&apps(&lab)),
        online(&before),
        "{}",
        lab.shell("journalctl -b --no-pager -u runbook-resume -u runbook-fail-open")
    );
}

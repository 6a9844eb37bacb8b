//! Faults of a real host: systemd as PID 1, D-Bus, logind, Redis, PM2 and a reboot, in a few long tests, because each host takes
//! seconds to boot. A fault is produced, seen by the program, written down, and taken back before the next.
#![expect(clippy::unwrap_used, reason = "a lab that cannot be read fails the test")]
#![expect(clippy::disallowed_methods, reason = "a test waits by itself")]
use std::process::Output;
use std::time::{Duration, Instant};

use crate::seen::Seen;
use crate::support::lab::{Lab, told};
use crate::support::program::Said;
use crate::support::runs::{UNATTENDED, apps, finish, online, runbook, start, wait_for, wait_for_end, wait_for_phase};

/// What a command inside said.
fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Plans the staging runbook, which is refused for this.
fn refused(lab: &Lab, id: &str, words: &str) {
    let plan = said(&runbook(lab, &["plan", "restart-staging"]));
    plan.exits(5).says(words).says("nothing was changed");
    Seen::err(&plan).from("runbook:").is(id);
}

/// A unit of the lab's own.
fn unit(lab: &Lab, name: &str, text: &str) {
    std::fs::write(lab.path(&format!("/etc/systemd/system/{name}")), text).unwrap();
}

/// A runbook of the lab's own, with units and steps.
fn book(lab: &Lab, name: &str, sections: &str, steps: &str) {
    let text = format!("version: 1\nname: {name}\nhosts: [stg-1]\n{sections}phases:\n  - name: a\n    steps:\n{steps}");
    std::fs::write(lab.path(&format!("/etc/runbook/{name}.yaml")), text).unwrap();
}

/// Runs a runbook of the lab's own, and gives up what it leaves unfinished.
fn run(lab: &Lab, name: &str) -> Said {
    let ended = said(&runbook(lab, &["run", name, "--yes", "--progress", "plain"]));
    runbook(lab, &["abort", "--abandon", "--reason", "the next fault"]);
    ended
}

/// What systemd shows: five units that are odd in five ways are told by one plan, and none of them stops it.
fn odd_units_are_told(lab: &Lab) {
    let sleeps = "[Service]\nExecStart=/bin/sleep infinity\n";
    let install = "[Install]\nWantedBy=multi-user.target\n";
    unit(lab, "odd-static.service", sleeps);
    unit(lab, "odd-real.service", &format!("{sleeps}{install}Alias=odd-alias.service\n"));
    unit(lab, "odd-failed.service", &format!("[Service]\nExecStart=/bin/false\n{install}"));
    unit(lab, "odd-stale.service", &format!("{sleeps}{install}"));
    unit(lab, "odd-endless.service", &format!("{sleeps}TimeoutStopSec=infinity\n{install}"));
    lab.shell(
        "systemctl daemon-reload; systemctl enable -q odd-real odd-failed odd-stale odd-endless; \
         systemctl start odd-static odd-alias odd-stale odd-endless; systemctl start odd-failed || true; \
         until systemctl is-failed -q odd-failed; do sleep 0.1; done",
    );
    unit(lab, "odd-stale.service", &format!("{sleeps}Nice=5\n{install}"));
    lab.shell("touch -d '+1 minute' /etc/systemd/system/odd-stale.service");
    let units = "units:\n  odd: { units: \"odd-{static,alias,failed,stale,endless}.service\" }\n";
    book(lab, "odd", units, "      - units_enabled: {}\n");
    let plan = said(&runbook(lab, &["plan", "odd", "-v"]));
    for (id, words) in [
        ("S2", "odd-static.service (a/1): is static"),
        ("S4", "odd-alias.service (a/1): is an alias of odd-real.service"),
        ("S7", "odd-failed.service (a/1): has failed already"),
        ("S12", "odd-stale.service (a/1): its files are newer"),
        ("B16", "odd-endless.service (a/1): has no stop time-out"),
    ] {
        Seen::all(plan.exits(0)).from(words).while_indented().is(&format!("{id}-host"));
    }
    lab.shell("systemctl stop 'odd-*'; systemctl disable -q odd-real odd-failed odd-stale odd-endless; rm /etc/systemd/system/odd-*; systemctl daemon-reload; systemctl reset-failed");
}

/// Units that do not come up: one that dies right after its start, one that systemd no longer starts, one that never gets ready.
fn units_that_do_not_come_up(lab: &Lab) {
    unit(lab, "bad-dies.service", "[Service]\nExecStart=/bin/sh -c 'sleep 0.5; exit 3'\n");
    unit(
        lab,
        "bad-limit.service",
        "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n[Service]\nExecStart=/bin/false\n",
    );
    unit(
        lab,
        "bad-loops.service",
        "[Service]\nExecStart=/bin/sh -c 'sleep 0.2; exit 3'\nRestart=always\nRestartSec=100ms\nStartLimitIntervalSec=0\n[Unit]\nStartLimitIntervalSec=0\n",
    );
    unit(lab, "bad-hangs.service", "[Service]\nType=notify\nExecStart=/bin/sleep infinity\nTimeoutStartSec=infinity\n");
    lab.shell(
        "systemctl daemon-reload; systemctl start bad-limit; \
         until systemctl is-failed -q bad-limit; do sleep 0.1; done; systemctl start bad-limit || true",
    );
    let one = |name: &str| format!("units:\n  bad: {{ unit: {name}.service }}\n");
    for (id, name, within, words) in [
        ("S13", "bad-dies", "30s", "was started, and is failed"),
        ("S9", "bad-limit", "30s", "reset-failed"),
        ("S14", "bad-loops", "60s", "again and again"),
        ("S8", "bad-hangs", "4s", "not within"),
    ] {
        book(lab, name, &one(name), &format!("      - units_active: {{}}\n        within: {within}\n"));
        let ended = run(lab, name);
        ended.says(words);
        let kept = Seen::err(&ended).only(&[
            "Stopped",
            "FAILED",
            "UNKNOWN",
            "means",
            "Continue",
            "Give up",
            "Decide",
            "           ",
        ]);
        let mark = if id == "S8" { "  UNKNOWN" } else { "  FAILED" };
        kept.from(mark).number_after("again (").word_after("result ").is(id);
    }
    lab.shell("systemctl stop 'bad-*'; rm /etc/systemd/system/bad-*; systemctl daemon-reload; systemctl reset-failed");
}

/// No bus, no right to use it, no place that survives.
fn the_way_to_systemd_is_barred(lab: &Lab) {
    let cut = "mount -t tmpfs none /run/dbus && exec runbook run restart-staging --yes --confirm restart-staging --ignore-window lab";
    let cut = said(&lab.run(&["unshare", "--mount", "sh", "-c", cut]));
    assert!([4, 5].contains(&cut.code), "{cut:?}");
    Seen::err(&cut).from("runbook:").is("S10");

    book(lab, "down", "", "      - rebooted: { how: reboot }\n");
    let path = "/etc/runbook/down.yaml";
    let user = said(&lab.run(&[
        "runuser",
        "-u",
        "deploy",
        "--",
        "runbook",
        "--state-dir",
        "/var/www/app/state",
        "plan",
        path,
    ]));
    user.exits(5).says("this is not root");
    Seen::err(&user).from("runbook:").is("S11-host");

    lab.shell("install -d -m 700 /run/gone");
    let gone = said(&runbook(lab, &["--state-dir", "/run/gone", "run", "down", "--yes"]));
    gone.exits(5).says("nothing was changed");
    Seen::err(&gone).from("runbook:").is("B8");
}

/// The resume unit cannot be installed: the run must not take service away.
fn the_way_back_is_barred(lab: &Lab) {
    let before = apps(lab);
    let units = "/etc/systemd/system";
    let line = format!(
        "mount --bind {units} {units} && mount -o remount,ro,bind {units} && exec runbook run restart-staging {}",
        UNATTENDED.join(" ")
    );
    let ended = said(&lab.run(&["unshare", "--mount", "sh", "-c", &line]));
    assert_eq!(apps(lab), before, "nothing was stopped: {ended:?}");
    assert_ne!(ended.code, 0, "{ended:?}");
    Seen::err(&ended).only(&["backed out, services were brought back"]).word_after(".runbook-").is("B6");
    runbook(lab, &["abort", "--abandon", "--reason", "the next fault"]);
    assert_eq!(apps(lab), before);
}

/// Redis as it must not be before a restart.
fn redis_before_the_run(lab: &Lab) {
    lab.shell("redis-cli -p 6377 replicaof 127.0.0.1 1");
    refused(lab, "R13-host", "is a replica of 127.0.0.1:1 now");
    lab.shell("redis-cli -p 6377 replicaof no one");

    lab.shell("cp -p /etc/runbook/bds.pass /root/kept && printf 'wrong\\n' >/etc/runbook/bds.pass");
    refused(lab, "R10-host", "refused the user or password");
    lab.shell("cp -p /root/kept /etc/runbook/bds.pass");

    lab.shell("sed -i 's/^appendonly yes/appendonly no/' /etc/redis/redis-bull00.conf");
    refused(lab, "R9-host", "appendonly is \"yes\" now, but \"no\" in");
    lab.shell("sed -i 's/^appendonly no/appendonly yes/' /etc/redis/redis-bull00.conf");
}

/// PM2 as it must not be before a restart. The last of these leaves the daemon dead.
fn pm2_before_the_run(lab: &Lab) {
    let dump = "/var/www/app/.pm2/dump.pm2";
    lab.shell(&format!("cp -p {dump} /root/dump && head -c 4096 /dev/zero >/root/nul && cat /root/nul >{dump}"));
    let plan = said(&runbook(lab, &["plan", "restart-staging", "-v"]));
    Seen::all(&plan).from("dump.pm2 ").while_indented().is("P4");
    lab.shell(&format!("cp -p /root/dump {dump}"));

    lab.shell(
        "runuser -u deploy -- env -i HOME=/var/www/app PM2_HOME=/var/www/app/.pm2 PATH=/usr/local/bin:/usr/bin:/bin pm2 delete --silent org-001",
    );
    refused(lab, "P3-host", "a save would drop 1: org-001");

    lab.shell("sed 's/user: deploy/user: www-data/' /etc/runbook/restart-staging.yaml >/etc/runbook/other-user.yaml; sed -i 's/^name: .*/name: other-user/' /etc/runbook/other-user.yaml");
    let other = said(&runbook(lab, &["plan", "other-user"]));
    Seen::err(other.exits(5).says("cannot be read safely")).from("runbook:").is("P8-host");

    let daemons = "pgrep -fc '[G]od Daemon' || true";
    lab.shell("systemctl stop pm2-deploy.service");
    assert_eq!(lab.shell(daemons), "0");
    refused(lab, "P1-host", "no PM2 daemon is running");
    assert_eq!(lab.shell(daemons), "0", "a plan starts no daemon, for nobody");
    lab.shell("test ! -e /root/.pm2");
}

#[test]
fn lab_faults_before_the_first_change() {
    let Some(lab) = Lab::up("faults-before") else { return };
    let boot = lab.boot_id();
    odd_units_are_told(&lab);
    units_that_do_not_come_up(&lab);
    the_way_to_systemd_is_barred(&lab);
    redis_before_the_run(&lab);
    the_way_back_is_barred(&lab);
    pm2_before_the_run(&lab);
    assert_eq!((lab.boot_id(), lab.boots()), (boot, 1), "no reboot happened");
}

/// A reboot that is put off, a boot that ends elsewhere, a damaged file, a wrong role: the services stay down until each is cured,
/// and come back all.
#[test]
fn lab_faults_around_the_reboot() {
    let Some(lab) = Lab::up("faults-reboot") else { return };
    let (before, boot) = (apps(&lab), lab.boot_id());
    // Whoever asks for a delay is given five seconds by logind: the machine was told, and is still up.
    let mut delay = lab.spawn(&[
        "systemd-inhibit",
        "--what=shutdown",
        "--mode=delay",
        "--who=lab-delay",
        "--why=test",
        "sleep",
        "600",
    ]);
    lab.shell("until systemd-inhibit --list --no-legend | grep -q lab-delay; do sleep 0.1; done");
    let child = start(&lab);
    wait_for_phase(&lab, 120, "stop");
    // The boot will end before multi-user, as an emergency does; and two servers will not come up as they were.
    lab.shell("systemctl set-default -q basic.target; echo 'replicaof 127.0.0.1 1' >>/etc/redis/redis-bull01.conf");
    wait_for(&lab, 120, "reboot intent", |kind, _| kind == "reboot_intent");
    let ended = said(&finish(child, 60));
    Seen::err(ended.exits(21)).from("waiting for the reboot").with(&boot, "BOOT").is("B2");
    let again = said(&runbook(&lab, &["resume", "--progress", "plain"]));
    if lab.boots() == 1 && again.code == 21 {
        Seen::err(&again).from("the boot id is still").with(&boot, "BOOT").is("B3");
    }
    lab.shell("head -c 64 /dev/zero >>\"$(ls /var/lib/redis/bull00/appendonlydir/*.incr.aof | tail -n 1)\"");
    let _ = delay.wait();

    let end = Instant::now() + Duration::from_secs(120);
    while lab.boots() == 1 || !lab.run(&["systemctl", "is-active", "-q", "basic.target"]).status.success() {
        assert!(Instant::now() < end, "it never came back");
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(lab.shell("systemctl is-active runbook-resume.service multi-user.target || true"), "inactive\ninactive");
    assert_eq!(lab.shell("pgrep -fc '[G]od Daemon' || true"), "0", "nothing was started");
    let status = said(&runbook(&lab, &["status"]));
    Seen::all(&status)
        .only(&["PAUSED", "paused", "BACK", "rebooted", "Next", "Continue", "Go on"])
        .with(&boot, "BOOT")
        .word_after("is back since ")
        .word_after("another boot id than ")
        .is("B5");
    lab.shell("systemctl set-default -q multi-user.target; systemctl start --no-block multi-user.target");

    wait_for(&lab, 120, "pause", |kind, content| kind == "paused" && content["why"] == "failed");
    assert_eq!(online(&apps(&lab)), 0, "nothing is started on a damaged Redis");
    let note = lab.shell("until cat /run/motd.d/* 2>/dev/null | grep -q .; do sleep 0.2; done; cat /run/motd.d/*");
    Seen::words(Some(21), &note).number_after("was restarted ").word_after("(result ").number_after("(and ").is("R7");
    delay.kill().ok();

    lab.shell(
        "cd /var/lib/redis/bull00/appendonlydir && f=$(ls *.incr.aof | tail -n 1) && systemctl stop redis-server@bull00 && \
         truncate -s -64 $f && systemctl reset-failed redis-server@bull00; systemctl start redis-server@bull00",
    );
    let mut words = vec!["resume"];
    words.extend(UNATTENDED);
    let role = said(&runbook(&lab, &words));
    role.says("wanted master");
    assert_eq!(online(&apps(&lab)), 0, "nothing is started on a wrong role");
    Seen::err(&role).from("Stopped by").is("R8-host");

    lab.shell("sed -i '/^replicaof/d' /etc/redis/redis-bull01.conf; redis-cli -p 6376 replicaof no one");
    let last = runbook(&lab, &words);
    assert!(last.status.success(), "{}", told(&last));
    assert_eq!(wait_for_end(&lab, 10), "done");
    assert_eq!(apps(&lab), before, "all are back, and who was stopped is stopped");
    assert_eq!(lab.boots(), 2, "exactly one reboot");
    let copy = lab.shell("ls /var/lib/runbook/runs/*/snapshot/services/dump.pm2.orig");
    assert_eq!(copy.lines().count(), 1, "PM2's own dump was copied aside before anything was stopped");
    // PM2 lives in its own unit's place, whoever asked for it.
    let cgroup = lab.shell("cat /proc/$(cat /var/www/app/.pm2/pm2.pid)/cgroup");
    assert!(cgroup.contains("pm2-deploy.service") && !cgroup.contains("runbook"), "{cgroup}");
}

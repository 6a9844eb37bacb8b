//! PM2's daemon on a real host, started by the run itself because no unit of PM2's does: it has a unit and a control group of its
//! own, the environment of its user and no other, and outlives the resume unit.
use crate::support::lab::{Lab, told};
use crate::support::runs::{UNATTENDED, apps, finish, runbook, start, wait_for_end, wait_for_phase};

/// The daemon's process, as it wrote it down.
const DAEMON: &str = "cat /var/www/app/.pm2/pm2.pid";
const UNIT: &str = "runbook-pm2-daemon-var-www-app--pm2.service";

#[test]
fn lab_a_daemon_outlives_the_resume_unit() {
    let Some(lab) = Lab::up("daemon") else { return };
    // A PM2 that nobody starts at the boot: the run has to.
    lab.shell("sed -i '/unit: pm2-deploy.service/d' /etc/runbook/restart-staging.yaml; systemctl disable -q pm2-deploy.service");
    let (before, boot) = (apps(&lab), lab.boot_id());
    finish(start(&lab), 300);
    lab.wait_until_reachable(&boot);
    wait_for_phase(&lab, 300, "verify");
    let daemon = lab.shell(DAEMON);
    lab.shell("systemctl stop runbook-resume.service");

    assert_eq!(lab.shell(DAEMON), daemon, "the daemon is still the same");
    let group = lab.shell(&format!("cat /proc/{daemon}/cgroup"));
    assert!(group.contains(UNIT) && !group.contains("resume"), "{group}");
    assert_eq!(apps(&lab), before, "all of its apps still run");
    assert_eq!(lab.shell(&format!("systemctl show -P MainPID {UNIT}")), daemon);
    assert_eq!(lab.shell(&format!("ps -o user= -p {daemon}")).trim(), "deploy");
    let names = lab.shell(&format!("tr '\\0' '\\n' </proc/{daemon}/environ | cut -d= -f1 | sort | xargs"));
    let expected = ["HOME", "PATH", "PM2_HOME"].iter().all(|name| names.split(' ').any(|seen| seen == *name));
    let foreign = ["INVOCATION_ID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "RUNBOOK", "NOTIFY_SOCKET"];
    assert!(expected && !foreign.iter().any(|name| names.contains(name)), "{names}");
    let groups =
        lab.shell("systemctl list-units --all --no-legend --plain 'runbook-pm2-*' | awk '{ print $1, $3, $4 }'");
    assert_eq!(groups, format!("{UNIT} active running"), "a save leaves no unit behind");

    let mut words = vec!["resume"];
    words.extend(UNATTENDED);
    let last = runbook(&lab, &words);
    assert!(last.status.success(), "{}", told(&last));
    assert_eq!(wait_for_end(&lab, 10), "done");
    assert_eq!((apps(&lab), lab.shell(DAEMON)), (before, daemon), "and the resumed run found it as it was");
    lab.shell(&format!("systemctl stop {UNIT}"));
    let left = lab.shell("pgrep -u deploy -fc 'God Daemon|/var/www/app' || true");
    assert_eq!(left, "0", "whoever stops its unit stops it with all it has started");
}

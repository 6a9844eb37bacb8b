//! The sheet of paper on a real host: every command that `plan --by-hand` prints is carried out by a plain shell, through a
//! real reboot, and afterwards everything is as it was.

use crate::support::lab::{Dress, Lab, told};
use crate::support::runs::{apps, runbook};

const SHEET: &str = "/root/sheet.sh";

#[test]
fn lab_by_hand_the_sheet_alone_restarts_the_host() {
    let Some(lab) = Lab::dressed("byhand", &Dress::default()) else { return };
    let (before, boot) = (apps(&lab), lab.boot_id());
    let plan = runbook(&lab, &["plan", "restart-staging", "--by-hand"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(text.contains("# ==== part 1 of 2"), "{}", told(&plan));
    let password = lab.shell("cat /etc/runbook/bds.pass");
    assert!(!text.contains(&password), "the sheet holds a password");
    std::fs::write(lab.path(SHEET), &text).expect("the sheet is laid on the host");

    // The host goes down under the first part, so its end is told by the boot and not by its exit status.
    let part =
        |n: &str| format!("sed -n '/^# ==== part {n}/,/^# ==== part 2/p' {SHEET} | sh -eu > /root/part{n}.out 2>&1");
    lab.run(&["bash", "-c", &part("1")]);
    for _ in 0..150 {
        if lab.boots() > 1 || lab.state() != "running" {
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "a test waits by itself")]
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let said = || std::fs::read_to_string(lab.path("/root/part1.out")).unwrap_or_default();
    assert!(lab.boots() > 1 || lab.state() != "running", "part 1 did not get to its reboot:\n{}", said());
    lab.wait_until_reachable(&boot);

    let second = format!("sed -n '/^# ==== part 2/,$p' {SHEET} | sh -eu");
    let second = lab.run(&["bash", "-c", &second]);
    assert!(second.status.success(), "{}", told(&second));
    assert_eq!(apps(&lab), before, "names and statuses are those of before");
    assert_eq!(lab.boots(), 2, "exactly one reboot");
    for unit in ["redis-server@bull00", "redis-server@bull01", "redis-server@bull02", "tile38@staging"] {
        assert_eq!(lab.shell(&format!("systemctl is-enabled {unit}.service")), "enabled", "{unit}");
        assert_eq!(lab.shell(&format!("systemctl is-active {unit}.service")), "active", "{unit}");
    }
    assert_eq!(lab.shell("redis-cli -p 6377 INFO persistence | tr -d '\\r' | grep ^loading:"), "loading:0");
    let dump = "node -p 'JSON.parse(require(\"fs\").readFileSync(\"/var/www/app/.pm2/dump.pm2\")).filter(a => a.status === \"online\").length'";
    let online = before.values().filter(|status| *status == "online").count();
    assert_eq!(lab.shell(dump), online.to_string(), "PM2 would bring the same back by itself");
}

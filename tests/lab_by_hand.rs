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

/// The owner of an app puts another program where its daemon's node lay, after the sheet was printed, and links in place of
/// PM2's files. Root types the sheet, and runs, reads and writes none of it but as that user.
#[test]
fn lab_by_hand_root_executes_nothing_of_the_apps_user() {
    let Some(lab) = Lab::dressed("byhandexec", &Dress::default()) else { return };
    lab.shell("useradd -m ann && install -d -o ann -g ann /home/ann/bin /home/ann/.pm2");
    lab.shell("install -o ann -g ann -m 755 $(readlink -f $(command -v node)) /home/ann/bin/node");
    let pm2 = "cd / && runuser -u ann -- env -i HOME=/home/ann PM2_HOME=/home/ann/.pm2 PATH=/usr/bin:/bin /home/ann/bin/node $(readlink -f $(command -v pm2))";
    lab.shell("echo 'setInterval(() => {}, 1000)' > /home/ann/a.js; chmod 644 /home/ann/a.js");
    lab.shell(&format!("{pm2} start /home/ann/a.js --name a >/dev/null && {pm2} save >/dev/null"));
    let steps =
        ["pm2_saved: { pm2: ann, allow_fewer: true }", "pm2_stopped: { pm2: ann }", "pm2_restored: { pm2: ann }"];
    let steps: String = steps.iter().map(|step| format!("      - {step}\n")).collect();
    let text = |user: &str, home: &str| {
        format!(
            "version: 1\nname: exec\nhosts: [$(hostname)]\npm2:\n  ann: {{ user: {user}, home: {home} }}\nphases:\n  - name: p\n    steps:\n{steps}"
        )
    };
    lab.shell(&format!("umask 077; cat > /root/exec.yaml <<END\n{}END", text("ann", "/home/ann/.pm2")));
    let plan = runbook(&lab, &["plan", "/root/exec.yaml", "--by-hand"]);
    assert_eq!(plan.status.code(), Some(0), "{}", told(&plan));
    std::fs::write(lab.path(SHEET), &plan.stdout).expect("the sheet is laid on the host");

    // From here on everything of the user's is hostile: its node tells who runs it, its dump is a link to root's secret.
    lab.shell("install -d -m 777 /srv/marks; echo secret > /root/secret; chmod 600 /root/secret");
    lab.shell("printf '#!/bin/sh\\nid -u >> /srv/marks/who\\necho \"[\\033]0;x $(id)\\$(id)/*\"; cat >/dev/null\\n' > /home/ann/bin/n; chmod 755 /home/ann/bin/n; mv /home/ann/bin/n /home/ann/bin/node");
    lab.shell("ln -sf /root/secret /home/ann/.pm2/dump.pm2");
    lab.run(&["bash", "-c", &format!("sh -u < {SHEET} > /root/typed.out 2>&1")]);
    let said = std::fs::read(lab.path("/root/typed.out")).expect("what the terminal showed");
    let odd = said.iter().find(|byte| **byte != b'\n' && !(b' '..=b'~').contains(byte));
    assert_eq!(odd, None, "{}", String::from_utf8_lossy(&said));
    let who = lab.shell("sort -u /srv/marks/who");
    assert_eq!(who, lab.shell("id -u ann"), "whoever ran the user's node:\n{}", String::from_utf8_lossy(&said));
    assert_eq!(lab.shell("grep -rl secret /root/by-hand-exec | wc -l"), "0", "root read through the user's link");
    assert_eq!(lab.shell("cat /root/secret"), "secret", "root wrote through the user's link");

    // A daemon of root's own under a node that is somebody else's is refused before anything is done.
    lab.shell("install -o ann -m 755 $(readlink -f $(command -v node)) /home/ann/bin/node");
    lab.shell("cd / && env -i HOME=/root PM2_HOME=/root/.pm2x PATH=/usr/bin:/bin /home/ann/bin/node $(readlink -f $(command -v pm2)) start /home/ann/a.js --name a >/dev/null");
    lab.shell(&format!("umask 077; cat > /root/exec.yaml <<END\n{}END", text("root", "/root/.pm2x")));
    let plan = runbook(&lab, &["plan", "/root/exec.yaml"]);
    assert_eq!(plan.status.code(), Some(5), "{}", told(&plan));
    assert!(told(&plan).contains("PM2 runs as root, and /home/ann belongs to user ann"), "{}", told(&plan));
    let sheet = runbook(&lab, &["plan", "/root/exec.yaml", "--by-hand"]);
    assert!(!String::from_utf8_lossy(&sheet.stdout).contains("runuser -u root"), "{}", told(&sheet));
}

//! That a plan only reads, on a host with everything a plan asks; shown by the kernel, not by our own word.

use crate::support::lab::{Lab, told};
use crate::support::runs::{apps, runbook};

/// System calls by which a plan could change something, with what strace is asked to record of them.
const WATCHED: &str = "execve,execveat,open,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,\
                       link,linkat,symlink,symlinkat,truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,lchown,\
                       fchownat,utimensat,setxattr,kill,tkill,reboot,mount,umount2";

#[test]
fn lab_plan_reads_only() {
    let Some(lab) = Lab::up("plan") else { return };
    // Something to keep as it is: a state directory with a finished run in it.
    let first = runbook(&lab, &["run", "restart-staging", "--dry-run"]);
    assert!(first.status.code().is_some(), "{}", told(&first));
    lab.shell("install -d -m 700 /var/lib/runbook /var/lib/runbook/runs");
    let before = (apps(&lab), fingerprint(&lab));

    let traced = lab.run(&[
        "strace",
        "-f",
        "-qq",
        "-e",
        &format!("trace={WATCHED}"),
        "-o",
        "/root/trace",
        "runbook",
        "plan",
        "restart-staging",
        "-v",
    ]);
    assert_eq!(traced.status.code(), Some(6), "the window is closed, nothing else: {}", told(&traced));
    let trace = lab.shell("cat /root/trace");
    let calls: Vec<&str> = trace.lines().filter(|line| changes(line)).collect();
    assert!(calls.is_empty(), "a plan made calls that change something:\n{}", calls.join("\n"));
    let executed = trace.lines().filter(|line| line.contains("execve")).count();
    assert_eq!(executed, 1, "only runbook itself is executed:\n{trace}");
    assert!(trace.lines().count() > 100, "strace has seen the program at work");

    assert_eq!((apps(&lab), fingerprint(&lab)), before);
}

/// Whether a recorded call changes something: every watched one, but opening for reading and the one execve of strace.
fn changes(line: &str) -> bool {
    let call = line.split_whitespace().nth(1).unwrap_or_default();
    if call.starts_with("execve(") || line.contains("+++") || line.contains("---") || line.contains(" resumed>") {
        return false;
    }
    let opens = ["open(", "openat(", "openat2("].iter().any(|name| call.starts_with(name));
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"].iter().any(|flag| line.contains(flag));
    !opens || writes
}

/// What must be the same before and after: files, the names on the bus (an activated service would appear), PM2's daemons,
/// the units that run.
fn fingerprint(lab: &Lab) -> String {
    lab.shell(
        "find /var/lib/runbook /etc/runbook /etc/systemd /root/.pm2 /var/www/app/.pm2/dump.pm2 /run/runbook -printf '%p %m %s %T@\\n' \
         2>/dev/null | sort | sha256sum; \
         busctl list --no-legend | awk '$1 !~ /^:/ && $3 != \"-\" { print $1 }' | sort; \
         pgrep -c -f 'God Daemon'; \
         systemctl list-units --no-legend --plain --state=active --type=service | awk '{ print $1 }' | grep -v '^run-' | sort",
    )
}

/// The small commands on a real host: they work, and they change nothing either.
#[test]
fn lab_commands_that_only_look() {
    let Some(lab) = Lab::up("look") else { return };
    let before = fingerprint(&lab);
    for (words, wanted) in [
        (vec!["check", "restart-staging"], ""),
        (vec!["list"], "restart-staging"),
        (vec!["show", "restart-staging"], "pm2_restored"),
        (vec!["doctor", "restart-staging"], ""),
        (vec!["install-resume-unit", "--print"], "resume --unattended"),
        (vec!["completions", "bash"], "runbook"),
        (vec!["history"], ""),
    ] {
        let output = runbook(&lab, &words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        assert!(told(&output).contains(wanted), "{words:?}: {}", told(&output));
    }
    assert_eq!(fingerprint(&lab), before);
}

//! The lab itself keeps its word: a reboot is a new boot on the same disk, a power cut too, hosts do not see each other.
use std::os::unix::process::ExitStatusExt as _;

use crate::support::lab::Lab;

#[test]
fn a_reboot_asked_of_logind_is_a_new_boot_on_the_same_disk() {
    let Some(lab) = Lab::up("a_reboot_asked_of_logind") else {
        return;
    };
    let before = lab.boot_id();
    let online = "runuser -u deploy -- env -i HOME=/var/www/app PATH=/usr/local/bin:/usr/bin:/bin pm2 jlist --silent | grep -o '\"status\":\"online\"' | wc -l";
    assert_eq!(lab.shell(online), "40", "apps online before");
    assert_eq!(lab.shell("systemctl is-enabled redis-server@bull00.service || true"), "disabled");
    assert_eq!(lab.shell("systemctl is-active redis-server@bull00.service"), "active");
    lab.shell("date > /var/lib/survives && sync");
    let mut cut_short = lab.spawn(&["sleep", "600"]);
    // The bus may go down before its answer is out: the new boot below is the proof.
    let reboot =
        "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager Reboot b false";
    let _answer = lab.run(&["bash", "-c", reboot]);
    lab.wait_for_boot(&before);

    assert_ne!(lab.boot_id(), before);
    assert_eq!(lab.boots(), 2);
    let end = cut_short.wait().expect("collected");
    assert!(end.signal().is_some(), "what ran inside died with the host and was collected, not left: {end}");
    assert_eq!(lab.shell("cat /proc/sys/kernel/random/boot_id"), lab.boot_id(), "inside and outside agree");
    lab.shell("test -s /var/lib/survives");
    assert_eq!(lab.shell("systemctl is-active redis-server@bull00.service || true"), "inactive", "nobody enabled it");
    assert_eq!(lab.shell(online), "38", "PM2 brought back what was saved, not what ran");
}

#[test]
fn two_hosts_run_side_by_side_and_a_power_cut_hits_one() {
    let Some(one) = Lab::up("side_by_side_one") else { return };
    let Some(two) = Lab::up("side_by_side_two") else { return };
    assert_ne!(one.boot_id(), two.boot_id());
    assert_ne!(one.shell("cat /etc/machine-id"), two.shell("cat /etc/machine-id"));
    one.shell("touch /var/lib/only-here");
    two.shell("test ! -e /var/lib/only-here");

    let (first, second) = (one.boot_id(), two.boot_id());
    one.power_cycle();
    assert_ne!(one.boot_id(), first);
    assert_eq!(two.boot_id(), second, "the other one never noticed");
    one.shell("test -e /var/lib/only-here");

    one.shell("systemctl poweroff");
    let until = one.path("/var/lib/only-here");
    for _ in 0..200 {
        if one.state() == "off" {
            break;
        }
        two.shell("sleep 0.2");
    }
    assert_eq!(one.state(), "off");
    assert!(until.exists(), "its disk can be read while it is off");
    one.power_on();
    assert_eq!(one.boots(), 3);
}

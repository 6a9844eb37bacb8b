//! The main job on a real host: plan, run, a real reboot, the unattended resume, the services back.

use crate::lab_model;
use crate::support::lab::{Dress, Lab, told};
use crate::support::runs::{
    UNATTENDED, apps, finish, journal, kill, online, outcome, runbook, start, wait_for, wait_for_end, wait_for_phase,
    wait_for_starts,
};

/// The story of the field notes, with two apps that crash at their next start.
#[test]
fn lab_restart_brings_everything_back_and_names_what_it_could_not() {
    let Some(lab) = Lab::dressed("restart", &Dress { crash: 2, ..Dress::default() }) else { return };
    let (before, boot) = (apps(&lab), lab.boot_id());
    let plan = runbook(&lab, &["plan", "restart-staging", "-v"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(text.contains("4 disabled -> enabled (redis-server@bull[00-02],"), "{}", told(&plan));

    let foreseen = lab_model::rehearsed(&lab, &["legacy-import", "legacy-report"]);

    finish(start(&lab), 300);
    lab.wait_until_reachable(&boot);
    assert_eq!(wait_for_end(&lab, 300), "done_with_losses");
    lab_model::came_true(&lab, &foreseen);

    let after = apps(&lab);
    let lost: Vec<&str> =
        before.iter().filter(|(app, was)| after.get(*app) != Some(was)).map(|(app, _)| app.as_str()).collect();
    assert!(lost.iter().all(|app| app.starts_with("legacy-")), "everything else is as it was: {lost:?}");
    for app in ["legacy-import", "legacy-report"] {
        assert!(named_as_lost(&lab, app), "{app} crashes at its start and is not named: {:#?}", journal(&lab));
    }
    for unit in ["redis-server@bull00", "redis-server@bull01", "redis-server@bull02", "tile38@staging"] {
        assert_eq!(lab.shell(&format!("systemctl is-enabled {unit}.service")), "enabled", "{unit}");
    }
    assert_eq!(lab.boots(), 2, "exactly one reboot");
    let report = String::from_utf8(runbook(&lab, &["report", "--format", "md"]).stdout).unwrap();
    for word in ["legacy-import", "legacy-report", boot.as_str(), lab.boot_id().as_str(), "bds"] {
        assert!(report.contains(word), "the report does not name {word}:\n{report}");
    }
    assert!(!report.contains(&lab.shell("cat /etc/runbook/bds.pass")), "the report holds a password");
    let units = lab.run(&["systemctl", "is-enabled", "runbook-resume.service"]);
    assert!(!units.status.success(), "the resume unit has removed itself: {}", told(&units));
    let status = runbook(&lab, &["status"]);
    assert!(status.status.success(), "{}", told(&status));
}

/// Whether a step was done without the app and says so.
fn named_as_lost(lab: &Lab, app: &str) -> bool {
    let names = |losses: &serde_json::Value| losses.to_string().contains(app);
    journal(lab).iter().any(|(kind, content)| kind == "step_done" && names(&content["how"]["with_losses"]["losses"]))
}

/// SIGKILL in every phase. Before the reboot a person resumes, after it systemd does, and a person again where a third death
/// would be taken for a crash loop.
#[test]
fn lab_killed_in_each_phase_and_resumed() {
    let Some(lab) = Lab::up("kill") else { return };
    let (before, boot) = (apps(&lab), lab.boot_id());
    let mut child = start(&lab);
    for phase in ["preflight", "compact", "save", "stop"] {
        wait_for_phase(&lab, 120, phase);
        kill(&lab);
        finish(child, 60);
        child = resume(&lab);
    }
    wait_for(&lab, 180, "reboot intent", |kind, _| kind == "reboot_intent");
    kill(&lab);
    finish(child, 120);
    goes_down(&lab);
    lab.wait_until_reachable(&boot);
    for phase in ["load", "gate"] {
        wait_for_phase(&lab, 180, phase);
        kill(&lab);
    }
    wait_for_phase(&lab, 180, "restore");
    lab.shell("systemctl stop runbook-resume.service");
    for (phase, times) in [("restore", 2), ("verify", 1)] {
        child = resume(&lab);
        wait_for_starts(&lab, 180, phase, times);
        kill(&lab);
        finish(child, 60);
    }
    let last = finish(resume(&lab), 180);
    assert!(last.status.success(), "{}", told(&last));

    assert_eq!(outcome(&lab).as_deref(), Some("done"));
    assert_eq!(apps(&lab), before);
    let all = journal(&lab);
    let count = |kind: &str| all.iter().filter(|(one, _)| one == kind).count();
    assert_eq!((count("reboot_intent"), count("rebooted"), lab.boots()), (1, 1, 2));
    let snapshots =
        all.iter().filter(|(kind, content)| kind == "captured" && content["key"] == "snapshot.services").count();
    assert_eq!(snapshots, 1, "the list is captured once, before anything was stopped");
    assert!(count("resumed") >= 9, "{} resumes", count("resumed"));
}

/// A person resumes.
fn resume(lab: &Lab) -> std::process::Child {
    let mut words = vec!["runbook", "resume"];
    words.extend(UNATTENDED);
    lab.spawn(&words)
}

/// The machine is on its way down, or was never told: a run that died right before it is never asked twice, so the
/// operator does what the screen says.
fn goes_down(lab: &Lab) {
    for _ in 0..100 {
        if lab.boots() > 1 || lab.state() != "running" {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a test waits by itself")]
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    lab.run(&["systemctl", "reboot"]);
}

/// A reboot that nobody asked for, with the services down: the run finds its way back all the same.
#[test]
fn lab_power_cut_while_the_services_are_down() {
    let Some(lab) = Lab::up("cut") else { return };
    let before = apps(&lab);
    let child = start(&lab);
    wait_for(&lab, 180, "end of the stop", |kind, content| kind == "step_done" && content["step"] == "stop/1");
    lab.power_cycle();
    finish(child, 60);
    let end = wait_for_end(&lab, 300);
    assert!(end == "done" || end == "backed_out", "{end}");
    assert_eq!(online(&apps(&lab)), online(&before), "every service is back");
}

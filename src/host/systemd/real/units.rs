//! Verdicts, enabling, jobs and the drop-in, on units written for the purpose.

use std::path::Path;
use std::time::Duration;

use super::{LONG, container, put, sweep};
use crate::host::systemd::boot::{AtBoot, boot_verdict};
use crate::host::systemd::jobs::JobOutcome;

const WANTED: &str = "\n[Install]\nWantedBy=multi-user.target\n";

fn lay_out(root: &Path) {
    put(root, "rbt@.service", &format!("[Service]\nType=notify\nExecStart=/bin/sleep 600\n{WANTED}"));
    put(root, "rbt-good.service", &format!("[Service]\nType=exec\nExecStart=/bin/sleep 600\n{WANTED}"));
    put(root, "rbt-static.service", "[Service]\nExecStart=/bin/sleep 600\n");
    put(root, "rbt-fails.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n");
    put(root, "rbt-cond.service", "[Unit]\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/sleep 600\n");
    put(root, "rbt-bad.service", "[Service]\nType=nonsense\n");
    put(root, "rbt-alias0.service", &format!("[Service]\nExecStart=/bin/sleep 1\n{WANTED}Alias=rbt-alias.service\n"));
    let link = |name: &str, to: &str| {
        let path = root.join("etc/systemd/system").join(name);
        let _absent = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(to, path).unwrap();
    };
    link("rbt-masked.service", "/dev/null");
}

#[tokio::test]
async fn verdicts_and_enabling() {
    let Some((bus, root)) = container().await else { return };
    sweep(&bus, &root, "rbt").await;
    lay_out(&root);
    bus.reload().await.unwrap();
    let verdict = async |name: &str| boot_verdict(&bus.unit(name).await.unwrap());
    assert_eq!(verdict("rbt@.service").await, AtBoot::Template);
    assert!(matches!(verdict("rbt@one.service").await, AtBoot::Disabled { can_enable: true, .. }));
    assert!(matches!(verdict("rbt-good.service").await, AtBoot::Disabled { can_enable: true, .. }));
    assert!(matches!(verdict("rbt-static.service").await, AtBoot::Static { .. }));
    assert_eq!(verdict("rbt-masked.service").await, AtBoot::Masked { runtime: false });
    assert!(matches!(verdict("rbt-bad.service").await, AtBoot::Bad { .. }), "{:?}", verdict("rbt-bad.service").await);
    assert_eq!(verdict("rbt-missing.service").await, AtBoot::Missing);
    assert_eq!(verdict("rbt-missing@x.service").await, AtBoot::Missing);

    let enabled = bus.enable(&["rbt-good.service", "rbt@one.service", "rbt-alias0.service"]).await.unwrap();
    assert_eq!((enabled.changes.len(), enabled.still_not), (4, vec![]));
    assert_eq!(verdict("rbt-good.service").await, AtBoot::Starts);
    assert_eq!(verdict("rbt@one.service").await, AtBoot::Starts);
    assert!(matches!(verdict("rbt@two.service").await, AtBoot::Disabled { .. }));
    let alias = verdict("rbt-alias.service").await;
    assert!(matches!(&alias, AtBoot::Alias { of, .. } if of == "rbt-alias0.service") && alias.starts(), "{alias:?}");
}

#[tokio::test]
async fn jobs() {
    let Some((bus, root)) = container().await else { return };
    lay_out(&root);
    bus.reload().await.unwrap();
    assert!(bus.start("rbt-good.service", LONG).await.unwrap().started());
    let good = bus.unit("rbt-good.service").await.unwrap();
    assert!(good.main_pid > 0 && good.invocation_id.len() == 32 && good.exec_start == ["/bin/sleep"], "{good:?}");
    assert!(bus.stop("rbt-good.service", LONG).await.unwrap().stopped());
    let failed = bus.start("rbt-fails.service", LONG).await.unwrap();
    assert!(
        matches!(&failed, JobOutcome::Ended { result, after } if result == "failed" && after.result == "exit-code")
    );
    bus.reset_failed("rbt-fails.service").await.unwrap();
    assert!(!bus.start("rbt-cond.service", LONG).await.unwrap().started(), "skipped is not started");
    let masked = bus.start("rbt-masked.service", LONG).await.unwrap_err();
    assert!(masked.to_string().contains("masked") && masked.nothing_happened(), "{masked}");
    let missing = bus.start("rbt-missing.service", LONG).await.unwrap_err();
    assert!(missing.to_string().contains("no such unit"), "{missing}");
}

#[tokio::test]
async fn a_start_that_never_gets_ready() {
    let Some((bus, root)) = container().await else { return };
    sweep(&bus, &root, "rbt@").await;
    lay_out(&root);
    bus.reload().await.unwrap();
    let never_ready = bus.start("rbt@one.service", Duration::from_secs(2)).await.unwrap();
    assert!(matches!(never_ready, JobOutcome::Unknown { seen: Some(seen), .. } if seen.active_state == "activating"));
    assert!(bus.stop("rbt@one.service", LONG).await.unwrap().stopped());
    let before = bus.unit("rbt@one.service").await.unwrap();
    assert_eq!(before.start_timeout, Some(Duration::from_secs(90)));
    bus.lift_start_timeout("rbt@one.service", &root.join("etc/systemd/system")).await.unwrap();
}

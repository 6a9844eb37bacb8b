//! Whole runs of the real executor, with a real journal, on the model of a small host.

pub(crate) mod bed;
mod boots;
mod crashes;
mod dead_ends;
mod decisions;
mod ends;
mod full;
mod hostile_lists;
mod laws;
mod others;
mod soft_needs;
pub(crate) mod windows;
mod written;

use crate::execute::Ending;
use crate::host::Facts;
use crate::host::model::{Faults, Pace, sample};
use crate::journal::checkpoint::End;

use bed::{Bed, small_yaml};

/// The small runbook in which compaction comes only after the stop.
fn compacts_late() -> String {
    let yaml = small_yaml();
    let (from, to) = (yaml.find("  - name: compact\n").unwrap(), yaml.find("  - name: save\n").unwrap());
    format!("{}{}", &yaml[..from], &yaml[to..])
}

#[tokio::test]
async fn a_restart_waits_for_its_reboot_and_a_second_sitting_ends_it() {
    let mut bed = Bed::new(&small_yaml(), Faults::default()).await;
    assert_eq!(bed.online().await, 34);
    let first = bed.sit(None).await.unwrap();
    assert!(matches!(first, Ending::WaitingForReboot { .. }), "{first:?}");
    assert_eq!(bed.online().await, 0, "stopped before the machine goes down");
    assert!(bed.model.come_back());
    let second = bed.sit(None).await.unwrap();
    assert_eq!(second, Ending::Done { losses: vec![] });
    assert_eq!(bed.online().await, 34);
    let state = bed.state();
    assert_eq!(state.ended(), Some(End::Done));
    assert!(state.rebooted() && state.steps().values().all(|step| step.is_done()));
}

#[tokio::test]
async fn the_shipped_runbook_runs_to_its_end_on_the_recorded_host() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let facts: Facts = serde_json::from_str(&read("tests/recorded/staging.facts.json")).unwrap();
    let upgrade = Faults { memory_after_boot: Some(256 << 30), ..Faults::default() };
    let mut bed = Bed::on(facts, &read("runbooks/restart-staging.yaml"), upgrade).await;
    let first = bed.sit(None).await.unwrap();
    assert!(matches!(first, Ending::WaitingForReboot { .. }), "{first:?}");
    bed.model.come_back();
    assert_eq!(bed.sit(None).await.unwrap(), Ending::Done { losses: vec![] });
    assert_eq!(bed.online().await, 133);
    let (took, planned) = (bed.model.elapsed().as_secs_f64(), bed.rehearsed.plan.takes());
    assert!(took > planned.typical * 0.7 && took < planned.slow, "took {took} s, planned {planned:?}");
}

#[tokio::test]
async fn a_rehearsal_in_compressed_time_ends_the_same() {
    let mut bed = Bed::new(&small_yaml(), Faults::default()).await.at_pace(Pace::Times(300.0));
    let first = bed.sit(None).await.unwrap();
    assert!(matches!(first, Ending::WaitingForReboot { .. }), "{first:?}");
    bed.model.come_back();
    assert_eq!(bed.sit(None).await.unwrap(), Ending::Done { losses: vec![] });
    assert_eq!(bed.online().await, 34);
}

#[tokio::test]
async fn a_machine_that_never_goes_down_is_never_asked_twice() {
    let mut bed = Bed::new(&small_yaml(), Faults { never_reboots: true, ..Faults::default() }).await;
    for _ in 0..3 {
        let ending = bed.sit(None).await.unwrap();
        assert!(matches!(ending, Ending::WaitingForReboot { .. }), "{ending:?}");
        bed.model.pass(std::time::Duration::from_secs(600));
    }
    let intents = bed.ear.told.borrow().iter().filter(|told| told.starts_with("reboot_intent")).count();
    assert_eq!(intents, 1);
}

#[tokio::test]
async fn a_rewrite_that_fails_after_the_stop_backs_out_and_the_apps_run_again() {
    let faults = Faults { rewrite_fails: vec![sample::at(6379).url], ..Faults::default() };
    let mut bed = Bed::new(&compacts_late(), faults).await;
    let ending = bed.sit(None).await.unwrap();
    let Ending::BackedOut { reason, trouble } = ending else { panic!("{ending:?}") };
    assert!(reason.contains("stop/compact-again failed: bds: the rewrite child failed"), "{reason}");
    assert_eq!((trouble, bed.online().await), (vec![], 34));
    assert_eq!(bed.state().ended(), Some(End::BackedOut));
}

#[tokio::test]
async fn a_rewrite_that_fails_before_the_stop_leaves_everything_running() {
    let faults = Faults { rewrite_fails: vec![sample::at(6379).url], ..Faults::default() };
    let mut bed = Bed::new(&small_yaml(), faults).await;
    let ending = bed.sit(None).await.unwrap();
    assert!(matches!(&ending, Ending::Failed { step, .. } if step.as_str() == "compact/1"), "{ending:?}");
    assert_eq!(bed.online().await, 34);
}

#[tokio::test]
async fn apps_that_do_not_come_back_fail_the_restore_beyond_what_is_tolerated() {
    let faults = Faults { lost_apps: vec!["api-3".into()], ..Faults::default() };
    let mut bed = Bed::new(&small_yaml(), faults.clone()).await;
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    let ending = bed.sit(None).await.unwrap();
    let Ending::Failed { step, error, .. } = ending else { panic!("{ending:?}") };
    assert!(step.as_str() == "restore/1" && error.starts_with("api-3: crash loop"), "{step} {error}");
    assert_eq!(bed.online().await, 33);

    let tolerant = small_yaml().replace("tolerate: 0", "tolerate: 1");
    let mut bed = Bed::new(&tolerant, faults).await;
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    let ending = bed.sit(None).await.unwrap();
    let Ending::Done { losses } = ending else { panic!("{ending:?}") };
    assert!(losses.len() == 1 && losses[0].item == "api-3" && losses[0].why.starts_with("crash loop"), "{losses:?}");
    assert_eq!(bed.state().ended(), Some(End::DoneWithLosses));
}

#[tokio::test]
async fn a_data_set_that_comes_back_empty_holds_the_run_before_the_apps() {
    let faults = Faults { empty_after_start: vec![sample::at(6379).url], ..Faults::default() };
    let mut bed = Bed::new(&small_yaml(), faults).await;
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    let ending = bed.sit(None).await.unwrap();
    let Ending::Failed { step, error, .. } = ending else { panic!("{ending:?}") };
    assert!(step.as_str() == "load/1" && error.contains("db0 has 0 keys"), "{step} {error}");
    assert_eq!(bed.online().await, 0);
}

#[tokio::test]
async fn a_masked_unit_and_an_inhibitor_refuse_before_anything_is_changed() {
    let unit = "redis-server@bds.service".to_owned();
    let mut bed = Bed::new(
        &small_yaml().replace("role: replica, of: bds", "role: replica, of: bds, required: true"),
        Faults { masked_units: vec![unit], ..Faults::default() },
    )
    .await;
    assert!(bed.rehearsed.plan.refused().count() > 0);
    let ending = bed.sit(None).await.unwrap();
    assert!(matches!(&ending, Ending::Failed { untouched: true, error, .. } if error.contains("masked")), "{ending:?}");
    let inhibited = Bed::new(&small_yaml(), Faults { inhibitor: Some("apt".into()), ..Faults::default() }).await;
    let refused: Vec<_> = inhibited.rehearsed.plan.refused().map(|step| step.id.to_string()).collect();
    assert_eq!(refused, ["reboot/1"]);
}

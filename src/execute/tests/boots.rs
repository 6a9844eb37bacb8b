//! Boots that the run has not asked for: they are told, and what an earlier boot had shown is not taken for granted.

use std::time::Duration;

use super::bed::{Bed, Ear, small_yaml};
use crate::execute::Ending;
use crate::host::model::Faults;
use crate::host::{Deed, Down, Host};
use crate::journal::checkpoint::{End, How};
use crate::journal::step::StepStatus;

/// A run whose process died behind the nth entry of this text; boots of its own are gone through.
async fn died_after(yaml: &str, faults: &Faults, entry: &str) -> Bed {
    let mut bed = Bed::new(yaml, faults.clone()).await;
    while !matches!(bed.sit(None).await, Some(Ending::Done { .. } | Ending::Failed { .. })) {
        bed.model.come_back();
    }
    let place = bed.ear.told.borrow().iter().position(|one| one == entry);
    let place = place.unwrap_or_else(|| panic!("no {entry} in {:#?}", bed.ear.told.borrow())) + 1;
    let mut bed = Bed::new(yaml, faults.clone()).await;
    bed.ear = Ear { crash_at: Some(place), ..Ear::default() };
    while bed.sit(None).await.is_some() {
        bed.model.come_back();
    }
    bed.ear = Ear::default();
    bed
}

/// Somebody restarts the machine.
async fn restart(bed: &Bed) {
    let host: &dyn Host = &bed.model;
    host.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
    assert!(bed.model.come_back());
}

fn says_so_everywhere(bed: &Bed) {
    let (entries, state, style) = (bed.entries(), bed.state(), crate::report::Style::PLAIN);
    let around = crate::report::Around::default();
    let now = entries.last().unwrap().wall;
    for (form, screen) in [
        ("ending", crate::report::ending(&entries, &state, &around, &style)),
        ("status", crate::report::status(&entries, &state, now, &style)),
        ("markdown", crate::report::markdown(&entries)),
    ] {
        let one_line = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains("not by th"), "{form}: {screen}");
    }
    assert!(!crate::report::markdown(&entries).contains("without a reboot"));
    let boots = state.boots() - 1;
    for line in [
        crate::report::status_lines(&entries, &state, &around, now).join("\n"),
        crate::report::past_run_line(&entries, &state, None),
    ] {
        assert!(line.contains(&format!("\"boots\":{boots}")), "{line}");
    }
    assert!(crate::report::report_lines(&entries, None).join("\n").contains("\"by_run\":false"));
}

#[tokio::test]
async fn a_restart_by_hand_after_the_stop_skips_no_load_and_no_gate_and_is_told() {
    let mut bed = died_after(&small_yaml(), &Faults::default(), "step_done stop/1").await;
    restart(&bed).await;
    assert_eq!(bed.sit(None).await, Some(Ending::Done { losses: vec![] }));
    let state = bed.state();
    let how = |id: &str| match state.status(&id.into()) {
        Some(StepStatus::Done { how, .. }) => how.clone(),
        other => panic!("{id}: {other:?}"),
    };
    assert_eq!(how("reboot/1"), How::AlreadySo, "the boot is another one already");
    for id in ["load/1", "gate/1"] {
        assert!(matches!(how(id), How::Applied), "{id} is waited for, whoever restarted the machine: {:?}", how(id));
    }
    assert_eq!((bed.online().await, state.ended(), state.boots()), (34, Some(End::Done), 2));
    says_so_everywhere(&bed);
}

/// The same runbook in which no group says what it needs.
fn without_needs(yaml: &str) -> String {
    let lines = yaml.lines().map(|line| match line.split_once(", needs:") {
        Some((group, _)) => format!("{group} }}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[tokio::test]
async fn what_an_earlier_boot_had_loaded_is_waited_for_again_before_services_start() {
    // No group says what it needs: nothing else would hold the services back.
    let yaml = without_needs(&small_yaml());
    let slow = Faults { slow_load: vec![("redis://127.0.0.1:6379".into(), 200.0)], ..Faults::default() };
    let mut bed = died_after(&yaml, &slow, "step_done gate/1").await;
    restart(&bed).await;
    let began = bed.model.elapsed();
    let ending = bed.sit(None).await;
    assert!(matches!(ending, Some(Ending::Done { .. })), "{ending:?}");
    let took = bed.model.elapsed().saturating_sub(began);
    assert!(took > Duration::from_secs(120), "the services were started beside a load: {took:?}");
    assert_eq!(bed.state().boots(), 3);
    says_so_everywhere(&bed);
}

#[tokio::test]
async fn a_way_back_after_a_restart_waits_for_the_loads_that_the_way_forward_would_have_waited_for() {
    let yaml = without_needs(&super::windows::with_commands());
    let slow = Faults { slow_load: vec![("redis://127.0.0.1:6379".into(), 200.0)], ..Faults::default() };
    let mut bed = died_after(&yaml, &slow, "item_intent stop/away").await;
    restart(&bed).await;
    let began = bed.model.elapsed();
    let ending = bed.sit(None).await;
    assert!(matches!(ending, Some(Ending::BackedOut { .. })), "{ending:?}");
    let took = bed.model.elapsed().saturating_sub(began);
    assert!(took > Duration::from_secs(120) && bed.online().await == 34, "started beside a load: {took:?}");
    says_so_everywhere(&bed);
}

#[tokio::test]
async fn a_restart_of_its_own_is_no_other_boot() {
    let mut bed = Bed::new(&small_yaml(), Faults::default()).await;
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    assert_eq!(bed.sit(None).await, Some(Ending::Done { losses: vec![] }));
    let (entries, style) = (bed.entries(), crate::report::Style::PLAIN);
    let told = crate::report::status(&entries, &bed.state(), entries.last().unwrap().wall, &style);
    assert!(!told.contains("not by the run") && !crate::report::markdown(&entries).contains("Other boot"), "{told}");
    assert_eq!(bed.state().boots(), 2);
}

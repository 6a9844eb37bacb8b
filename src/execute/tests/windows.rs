//! The window is asked again before service is taken away and before the machine goes down, and never after that.

use std::time::Duration;

use super::bed::{Bed, Ear, small_yaml};
use crate::execute::Ending;
use crate::host::model::{Faults, Model, sample};
use crate::journal::checkpoint::{End, PauseReason};

/// The small runbook in a window that has been open for five minutes on the model's machine (Saturday, 10:05 in Berlin).
fn windowed(length: &str) -> String {
    let window = format!("window: {{ days: [sat], opens: \"10:00\", length: {length}, timezone: Europe/Berlin }}\n");
    small_yaml().replacen("back_out:", &format!("{window}back_out:"), 1)
}

/// The place of an entry in the journal of a run that goes well, counted from one.
async fn place_of(entry: &str) -> usize {
    let mut bed = Bed::new(&windowed("3h"), Faults::default()).await;
    bed.sit(None).await;
    let told = bed.ear.told.borrow();
    told.iter().position(|one| one == entry).unwrap_or_else(|| panic!("no {entry} in {told:#?}")) + 1
}

/// A run whose process dies after an entry, and is gone on with hours later.
async fn late_after(entry: &str, late: Duration) -> (Bed, Ending) {
    let mut bed = Bed::new(&windowed("3h"), Faults::default()).await;
    bed.ear = Ear { crash_at: Some(place_of(entry).await), ..Ear::default() };
    assert_eq!(bed.sit(None).await, None, "it dies after {entry}");
    bed.model.pass(late);
    bed.ear = Ear::default();
    let ending = bed.sit(None).await.unwrap();
    (bed, ending)
}

const LATE: Duration = Duration::from_secs(4 * 3600);

#[tokio::test]
async fn a_window_that_has_closed_before_the_stop_leaves_everything_running() {
    let (bed, ending) = late_after("step_done save/1", LATE).await;
    let Ending::OutsideWindow { why, backed_out: None } = ending else { panic!("{ending:?}") };
    assert!(why.starts_with("the window is closed; it opens at 2026-12-05T10:00:00"), "{why}");
    assert_eq!((bed.online().await, bed.state().ended()), (34, None));
    assert_eq!(bed.state().paused(), Some(PauseReason::Operator));
}

#[tokio::test]
async fn a_window_that_is_too_short_for_what_is_left_is_as_good_as_closed() {
    // Some minutes before it closes: no time for a boot and a load any more.
    let (bed, ending) = late_after("step_done save/1", Duration::from_secs(170 * 60)).await;
    let Ending::OutsideWindow { why, backed_out: None } = ending else { panic!("{ending:?}") };
    assert!(why.starts_with("the window closes in") && why.contains("on a slow night"), "{why}");
    assert_eq!(bed.online().await, 34);
}

#[tokio::test]
async fn a_window_that_has_closed_before_the_reboot_brings_the_services_back() {
    let (bed, ending) = late_after("step_done stop/1", LATE).await;
    let Ending::OutsideWindow { why, backed_out } = ending else { panic!("{ending:?}") };
    assert!(why.contains("window is closed"), "{why}");
    assert_eq!((backed_out, bed.online().await), (Some(Vec::new()), 34), "nobody is left without service for a week");
    let state = bed.state();
    assert_eq!((state.ended(), state.rebooted()), (Some(End::BackedOut), false));
}

#[tokio::test]
async fn a_confirmation_that_comes_after_the_window_has_closed_is_too_late() {
    let mut bed = Bed::new(&windowed("3h"), Faults::default()).await;
    bed.thinks = LATE;
    let ending = bed.sit(None).await.unwrap();
    let Ending::OutsideWindow { why, backed_out: Some(_) } = ending else { panic!("{ending:?}") };
    assert!(why.contains("window is closed"), "{why}");
    assert_eq!(
        (bed.online().await, bed.state().rebooted()),
        (34, false),
        "the services are back, and nothing rebooted"
    );
}

#[tokio::test]
async fn after_the_reboot_the_way_is_forward_whatever_the_clock_says() {
    let mut bed = Bed::new(&windowed("3h"), Faults::default()).await;
    let first = bed.sit(None).await.unwrap();
    assert!(matches!(first, Ending::WaitingForReboot { .. }), "{first:?}");
    bed.model.come_back();
    bed.model.pass(LATE);
    assert_eq!(bed.sit(None).await.unwrap(), Ending::Done { losses: Vec::new() });
    assert_eq!(bed.online().await, 34);
}

#[tokio::test]
async fn a_window_that_runs_out_stops_before_the_stop_and_never_after_it() {
    let mut late = Bed::new(&windowed("3h"), Faults::default()).await;
    late.model.pass(Duration::from_secs(3600 * 3 - 360));
    let Some(Ending::OutsideWindow { why, .. }) = late.sit(None).await else { panic!("it began to stop apps") };
    assert!(why.contains("the window closes in"), "{why}");
    assert_eq!(late.online().await, 34, "nothing was stopped");

    let mut gone = Bed::new(&windowed("3h"), Faults::default()).await;
    let first = gone.sit(None).await.unwrap();
    assert!(matches!(first, Ending::WaitingForReboot { .. }), "{first:?}");
    gone.model.pass(Duration::from_secs(3600 * 5));
    assert!(gone.model.come_back());
    assert_eq!(gone.sit(None).await.unwrap(), Ending::Done { losses: vec![] }, "whatever the clock says now");
    assert_eq!(gone.online().await, 34);
}

#[tokio::test]
async fn a_clock_that_went_backwards_stops_before_service_is_taken_away() {
    let mut bed = Bed::new(&windowed("3h"), Faults::default()).await;
    bed.model.pass(Duration::from_secs(3600 * 3 - 360));
    assert!(matches!(bed.sit(None).await, Some(Ending::OutsideWindow { .. })));
    // The same boot, later, with the wall clock of the morning: it would look as if there were time.
    let mut facts = sample::small();
    facts.uptime += 20_000.0;
    bed.model = Model::of(facts).with_ties(bed.loaded.runbook.inventory.ties());
    let Some(Ending::OutsideWindow { why, .. }) = bed.sit(None).await else { panic!("it trusted the clock") };
    assert!(why.contains("earlier time than the journal"), "{why}");
}

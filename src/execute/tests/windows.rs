//! The window while a run is at work: it keeps service from being taken away too late, and nothing from being given back.

use std::time::Duration;

use crate::execute::Ending;
use crate::host::model::{Faults, Model, sample};

use super::bed::{Bed, small_yaml};

/// The small runbook in the three hours from ten o'clock on; its facts are of five past ten.
fn windowed() -> String {
    let window = "window: { days: [sat], opens: \"10:00\", length: 3h, timezone: Europe/Berlin }\nphases:\n";
    small_yaml().replacen("phases:\n", window, 1)
}

#[tokio::test]
async fn a_window_that_runs_out_stops_before_the_stop_and_never_after_it() {
    let mut late = Bed::new(&windowed(), Faults::default()).await;
    late.model.pass(Duration::from_secs(3600 * 3 - 360));
    let Some(Ending::OutsideWindow { why }) = late.sit(None).await else { panic!("it began to stop apps") };
    assert!(why.contains("the window closes in"), "{why}");
    assert_eq!(late.online().await, 34, "nothing was stopped");

    let mut gone = Bed::new(&windowed(), Faults::default()).await;
    let first = gone.sit(None).await.unwrap();
    assert!(matches!(first, Ending::WaitingForReboot { .. }), "{first:?}");
    gone.model.pass(Duration::from_secs(3600 * 5));
    assert!(gone.model.come_back());
    assert_eq!(gone.sit(None).await.unwrap(), Ending::Done { losses: vec![] }, "whatever the clock says now");
    assert_eq!(gone.online().await, 34);
}

#[tokio::test]
async fn a_clock_that_went_backwards_stops_before_service_is_taken_away() {
    let mut bed = Bed::new(&windowed(), Faults::default()).await;
    bed.model.pass(Duration::from_secs(3600 * 3 - 360));
    assert!(matches!(bed.sit(None).await, Some(Ending::OutsideWindow { .. })));
    // The same boot, later, with the wall clock of the morning: it would look as if there were time.
    let mut facts = sample::small();
    facts.uptime += 20_000.0;
    bed.model = Model::of(facts).with_ties(bed.loaded.runbook.inventory.ties());
    let Some(Ending::OutsideWindow { why }) = bed.sit(None).await else { panic!("it trusted the clock") };
    assert!(why.contains("earlier time than the journal"), "{why}");
    assert_eq!(bed.online().await, 34);
}

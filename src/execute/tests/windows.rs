//! The window is asked of every step that changes something, at the moment of acting, and never after the machine was down.

use std::time::Duration;

use super::bed::{Bed, Ear, small_yaml};
use crate::execute::Ending;
use crate::host::model::{Faults, Model, sample};
use crate::host::{Deed, Down, Host};
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
    assert!(why.starts_with("the window is closed; it opens Sat 2026-12-05 10:00 CET"), "{why}");
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

/// One-shot commands in every part of the small runbook, in a window of three hours.
pub(crate) fn with_commands() -> String {
    let once = |name: &str| format!("      - name: {name}\n        command: {{ argv: [/bin/true, {name}] }}\n");
    let before = |text: String, anchor: &str, name: &str| text.replacen(anchor, &format!("{}{anchor}", once(name)), 1);
    let text = before(windowed("3h"), "  - name: compact\n", "early");
    let text = before(text, "  - name: stop\n", "last");
    let text = before(text, "  - name: reboot\n", "away");
    let text = before(text, "  - name: gate\n", "up");
    format!("{text}  - name: cleanup\n    steps:\n{}", once("late"))
}

/// The intents after the crash, by step, waits left out.
fn begun_later(bed: &Bed) -> Vec<String> {
    let told = bed.ear.told.borrow();
    let changes = told.iter().filter(|one| one.starts_with("item_intent"));
    let waits = ["preflight/2", "load/1", "gate/1", "verify/1"];
    changes.filter(|one| !waits.iter().any(|step| one.ends_with(step))).cloned().collect()
}

#[tokio::test]
async fn hours_late_nothing_is_changed_but_what_brings_service_back() {
    let whole = {
        let mut bed = Bed::new(&with_commands(), Faults::default()).await;
        bed.sit(None).await;
        bed.model.come_back();
        assert_eq!(bed.sit(None).await.unwrap(), Ending::Done { losses: vec![] });
        bed.ear.told.borrow().clone()
    };
    let stop = whole.iter().position(|one| one == "step_done stop/1").unwrap();
    let gone = whole.iter().position(|one| one.starts_with("reboot_intent")).unwrap();
    let after = ["step_done load/2", "step_done restore/1"];
    let places = whole.iter().enumerate().filter(|(_, one)| one.starts_with("step_done"));
    for (nth, entry) in places.filter(|(nth, one)| *nth < gone || after.contains(&one.as_str())) {
        let mut bed = Bed::new(&with_commands(), Faults::default()).await;
        bed.ear = Ear { crash_at: Some(nth + 1), ..Ear::default() };
        let mut ended = bed.sit(None).await;
        if matches!(ended, Some(Ending::WaitingForReboot { .. })) {
            // The ear counts every sitting: the crash comes after the boot.
            assert!(bed.model.come_back());
            ended = bed.sit(None).await;
        }
        assert_eq!(ended, None, "it dies after {entry}");
        bed.model.pass(LATE);
        bed.ear = Ear::default();
        let ended = bed.sit(None).await.unwrap();
        let online = bed.online().await;
        match nth {
            _ if nth < stop => {
                assert!(matches!(ended, Ending::OutsideWindow { backed_out: None, .. }), "{entry}: {ended:?}");
                assert_eq!((begun_later(&bed), online), (vec![], 34), "{entry}");
                assert_eq!(bed.state().paused(), Some(PauseReason::Operator), "{entry}");
            }
            _ if nth < gone => {
                assert!(matches!(ended, Ending::OutsideWindow { backed_out: Some(_), .. }), "{entry}: {ended:?}");
                let begun = begun_later(&bed);
                assert!(begun.iter().all(|one| one.ends_with("restore/1")), "{entry}: {begun:?}");
                assert_eq!((online, bed.state().ended()), (34, Some(End::BackedOut)), "{entry}");
            }
            _ => {
                assert_eq!(ended, Ending::Done { losses: vec![] }, "{entry}");
                assert_eq!(online, 34, "{entry}");
            }
        }
    }
}

#[tokio::test]
async fn a_step_that_would_cross_the_end_of_the_window_does_not_begin() {
    let long = "command: { argv: [/bin/true, early] }\n        takes: 10m\n        within: 1h";
    let text = with_commands().replacen("command: { argv: [/bin/true, early] }", long, 1);
    let mut bed = Bed::new(&text, Faults::default()).await;
    // Five minutes are left.
    bed.model.pass(Duration::from_secs(3 * 3600 - 600));
    let Some(Ending::OutsideWindow { why, backed_out: None }) = bed.sit(None).await else { panic!("it began") };
    assert!(why.contains("takes 10m"), "{why}");
    assert!(!begun_later(&bed).iter().any(|one| one.ends_with("/early")));
}

/// Apps stopped for the sake of a command, and nothing rebooted.
pub(crate) fn without_reboot() -> String {
    let text = with_commands();
    let (from, to) = (text.find("  - name: reboot\n").unwrap(), text.find("  - name: load\n").unwrap());
    let (gate, restore) = (text.find("  - name: gate\n").unwrap(), text.find("  - name: restore\n").unwrap());
    format!("{}{}{}", &text[..from], &text[to..gate], &text[restore..])
}

#[tokio::test]
async fn once_service_is_back_the_window_binds_again_and_nothing_is_told_as_backed_out() {
    for (entry, backs_out) in [("step_done stop/1", true), ("step_done verify/1", false)] {
        let mut bed = Bed::new(&without_reboot(), Faults::default()).await;
        assert_eq!(bed.sit(None).await.unwrap(), Ending::Done { losses: vec![] });
        let place = bed.ear.told.borrow().iter().position(|one| one == entry).unwrap() + 1;
        let mut bed = Bed::new(&without_reboot(), Faults::default()).await;
        bed.ear = Ear { crash_at: Some(place), ..Ear::default() };
        assert_eq!(bed.sit(None).await, None);
        bed.model.pass(LATE);
        bed.ear = Ear::default();
        let Some(Ending::OutsideWindow { backed_out, .. }) = bed.sit(None).await else { panic!("{entry}") };
        assert_eq!((backed_out.is_some(), bed.state().ended().is_some()), (backs_out, backs_out), "{entry}");
        assert_eq!(bed.online().await, 34, "{entry}");
        assert!(!begun_later(&bed).iter().any(|one| one.ends_with("/late") || one.ends_with("/away")), "{entry}");
    }
}

#[tokio::test]
async fn a_machine_that_somebody_else_took_down_goes_forward_too() {
    let (mut bed, entry) = (Bed::new(&with_commands(), Faults::default()).await, "step_done stop/away");
    bed.sit(None).await;
    let place = bed.ear.told.borrow().iter().position(|one| one == entry).unwrap() + 1;
    bed = Bed::new(&with_commands(), Faults::default()).await;
    bed.ear = Ear { crash_at: Some(place), ..Ear::default() };
    assert_eq!(bed.sit(None).await, None);
    bed.model.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
    assert!(bed.model.come_back());
    bed.model.pass(LATE);
    bed.ear = Ear::default();
    assert_eq!(bed.sit(None).await.unwrap(), Ending::Done { losses: vec![] }, "the reboot is another boot id");
    assert_eq!((bed.online().await, bed.state().ended()), (34, Some(End::Done)));
}

#[tokio::test]
async fn whoever_sets_the_window_aside_is_not_asked_again() {
    let mut bed = Bed::new(&with_commands(), Faults::default()).await;
    bed.model.pass(LATE);
    assert!(matches!(bed.sit(None).await, Some(Ending::OutsideWindow { backed_out: None, .. })));
    bed.orders.ignore_window = Some("the night shift agreed".into());
    assert!(matches!(bed.sit(None).await, Some(Ending::WaitingForReboot { .. })));
}

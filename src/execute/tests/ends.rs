//! How a run that is given up or backs out ends: what has happened stays done, what nobody knows is named.

use super::bed::{Bed, Ear};
use super::windows::{with_commands, without_reboot};
use crate::execute::{Ending, Urge};
use crate::host::model::Faults;
use crate::journal::checkpoint::End;
use crate::journal::step::StepStatus;

/// A run whose process died behind the last entry of this text.
async fn died_after(yaml: &str, entry: &str) -> Bed {
    let mut bed = Bed::new(yaml, Faults::default()).await;
    bed.sit(None).await;
    let place = bed.ear.told.borrow().iter().rposition(|one| one == entry);
    let place = place.unwrap_or_else(|| panic!("no {entry} in {:#?}", bed.ear.told.borrow())) + 1;
    let mut bed = Bed::new(yaml, Faults::default()).await;
    bed.ear = Ear { crash_at: Some(place), ..Ear::default() };
    assert_eq!(bed.sit(None).await, None, "it dies after {entry}");
    bed.ear = Ear::default();
    bed
}

#[tokio::test]
async fn a_doubt_while_service_is_away_is_backed_out_of_and_named_everywhere() {
    let mut bed = died_after(&with_commands(), "item_intent stop/away").await;
    let Some(Ending::BackedOut { reason, trouble }) = bed.sit(None).await else { panic!("it asked") };
    assert!(reason.starts_with("stop/away is unknown"), "{reason}");
    assert_eq!(trouble.len(), 1, "{trouble:?}");
    assert!(trouble[0].starts_with("whether stop/away happened is not known"), "{trouble:?}");
    let state = bed.state();
    assert_eq!((bed.online().await, state.ended()), (34, Some(End::BackedOutWithLosses)));
    let (entries, style) = (bed.entries(), crate::report::Style::PLAIN);
    let around = crate::report::Around::default();
    let now = entries.last().unwrap().wall;
    for screen in [
        crate::report::ending(&entries, &state, &around, &style),
        crate::report::status(&entries, &state, now, &style),
        crate::report::markdown(&entries),
        crate::report::past_run_line(&entries, &state, None),
        crate::report::status_lines(&entries, &state, &around, now).join("\n"),
        crate::report::report_lines(&entries, None).join("\n"),
        crate::report::report_junit(&entries, None).unwrap(),
    ] {
        assert!(screen.contains("stop/away"), "{screen}");
    }
    let ending = crate::report::ending(&entries, &state, &around, &style);
    assert!(
        ending.contains("NOT known: whether stop/away happened") && ending.contains("UNKNOWN  stop/away"),
        "{ending}"
    );
}

#[tokio::test]
async fn a_step_that_has_happened_is_never_told_as_cut_short() {
    for (yaml, entry, step) in [
        (with_commands(), "item_done preflight/early", "preflight/early"),
        (with_commands(), "item_done stop/1", "stop/1"),
        (with_commands(), "item_done stop/away", "stop/away"),
    ] {
        let mut bed = died_after(&yaml, entry).await;
        bed.urge = Urge::Abort;
        let ended = bed.sit(None).await.unwrap();
        assert!(matches!(ended, Ending::GivenUp { .. } | Ending::BackedOut { .. }), "{entry}: {ended:?}");
        let state = bed.state();
        let status = state.status(&step.into()).cloned();
        assert!(matches!(status, Some(StepStatus::Done { .. })), "{entry}: {status:?}");
        assert_eq!(bed.online().await, 34, "{entry}");
        let told = crate::report::ending(
            &bed.entries(),
            &state,
            &crate::report::Around::default(),
            &crate::report::Style::PLAIN,
        );
        assert!(!told.contains("cut short") && !told.contains("FAILED"), "{entry}: {told}");
    }
}

#[tokio::test]
async fn a_run_whose_last_step_has_happened_is_done_and_not_given_up() {
    let mut bed = died_after(&without_reboot(), "item_done cleanup/late").await;
    bed.urge = Urge::Abort;
    assert_eq!(bed.sit(None).await, Some(Ending::Done { losses: vec![] }));
    assert_eq!(bed.state().ended(), Some(End::Done));
}

/// A run that was aborted behind the stop of the apps, on a machine on which one of them does not come back.
async fn turned_back(yaml: &str) -> (Bed, Ending) {
    let faults = Faults { lost_apps: vec!["api-3".into()], ..Faults::default() };
    let mut bed = Bed::new(yaml, faults.clone()).await;
    bed.sit(None).await;
    let place = bed.ear.told.borrow().iter().position(|one| one == "step_done stop/1").unwrap() + 1;
    let mut bed = Bed::new(yaml, faults).await;
    bed.ear = Ear { crash_at: Some(place), ..Ear::default() };
    bed.sit(None).await;
    (bed.ear, bed.urge) = (Ear::default(), Urge::Abort);
    let ended = bed.sit(None).await.unwrap();
    bed.urge = Urge::None;
    (bed, ended)
}

#[tokio::test]
async fn a_way_back_that_fails_is_not_over_and_is_gone_on_with() {
    let (mut bed, ended) = turned_back(&with_commands()).await;
    for ended in [ended, bed.sit(None).await.unwrap()] {
        let Ending::NotBack { trouble, .. } = ended else { panic!("{ended:?}") };
        assert!(trouble.iter().any(|one| one.contains("api-3")), "{trouble:?}");
        let (entries, state, style) = (bed.entries(), bed.state(), crate::report::Style::PLAIN);
        assert_eq!((state.ended(), state.backing_out()), (None, true));
        let (around, now) = (crate::report::Around::default(), entries.last().unwrap().wall);
        for screen in [
            crate::report::status(&entries, &state, now, &style),
            crate::report::ending(&entries, &state, &around, &style),
            crate::report::markdown(&entries),
        ] {
            let upper = screen.to_uppercase();
            assert!(upper.contains("NOT BROUGHT BACK") && !screen.contains("services were brought back"), "{screen}");
        }
        let ending = crate::report::ending(&entries, &state, &around, &style);
        assert!(ending.contains("api-3") && ending.contains("runbook resume"), "{ending}");
        assert!(!crate::report::past_run_line(&entries, &state, None).contains("\"not_back\":0"));
    }
}

#[tokio::test]
async fn a_way_back_with_tolerated_losses_is_over_and_names_them() {
    let (bed, ended) = turned_back(&with_commands().replace("tolerate: 0", "tolerate: 1")).await;
    let Ending::BackedOut { trouble, .. } = ended else { panic!("{ended:?}") };
    assert!(trouble.iter().any(|one| one.contains("api-3")), "{trouble:?}");
    let (entries, state, style) = (bed.entries(), bed.state(), crate::report::Style::PLAIN);
    assert_eq!(state.ended(), Some(End::BackedOutWithLosses));
    let status = crate::report::status(&entries, &state, entries.last().unwrap().wall, &style);
    assert!(!status.contains("services were brought back") && status.contains("api-3"), "{status}");
    assert!(crate::report::markdown(&entries).contains("**Not everything came back**"));
}

/// Aborted behind the stop of the apps, and asked something more in the middle of bringing them back.
async fn turning_back_and_asked(urge: Urge) -> (Bed, Ending) {
    let mut bed = died_after(&with_commands(), "step_done stop/1").await;
    bed.urge = Urge::Abort;
    bed.ear = Ear { asks_at: Some(("item_intent restore/1", urge)), ..Ear::default() };
    let ended = bed.sit(None).await.unwrap();
    (bed.ear, bed.urge) = (Ear::default(), Urge::None);
    (bed, ended)
}

#[tokio::test]
async fn a_signal_in_the_middle_of_a_way_back_pauses_it_and_a_resume_goes_on() {
    for urge in [Urge::Pause, Urge::Terminate, Urge::Now] {
        let (mut bed, ended) = turning_back_and_asked(urge).await;
        assert_eq!(ended, Ending::Paused(urge));
        let (entries, state, style) = (bed.entries(), bed.state(), crate::report::Style::PLAIN);
        assert_eq!((state.ended(), state.backing_out()), (None, true), "{urge:?}");
        let status = crate::report::status(&entries, &state, entries.last().unwrap().wall, &style);
        assert!(status.contains("runbook resume") && !status.contains("were brought back"), "{urge:?}: {status}");
        let Some(Ending::BackedOut { trouble, .. }) = bed.sit(None).await else { panic!("{urge:?}: it did not go on") };
        assert_eq!((trouble, bed.online().await), (vec![], 34), "{urge:?}");
        assert_eq!(bed.state().ended(), Some(End::BackedOut), "{urge:?}");
    }
}

#[tokio::test]
async fn what_a_second_terminal_has_asked_is_told_until_it_is_heeded() {
    let bed = died_after(&with_commands(), "step_done stop/1").await;
    let (entries, state, style) = (bed.entries(), bed.state(), crate::report::Style::PLAIN);
    let told = |asked| {
        let around = crate::report::Around { at_work: Some(true), asked, ..crate::report::Around::default() };
        let now = entries.last().unwrap().wall;
        crate::report::status_in(&entries, &state, &around, now, &jiff::tz::TimeZone::UTC, &style)
    };
    assert!(told(Some(Urge::Abort)).contains("Asked          to give up"));
    assert!(told(Some(Urge::Pause)).contains("Asked          to pause"));
    assert!(!told(Some(Urge::None)).contains("Asked") && !told(None).contains("Asked"));
}

#[tokio::test]
async fn an_abort_in_the_middle_of_a_way_back_leaves_nothing_down() {
    let (bed, ended) = turning_back_and_asked(Urge::Abort).await;
    let Ending::BackedOut { trouble, .. } = ended else { panic!("{ended:?}") };
    assert_eq!((trouble, bed.online().await), (vec![], 34));
    assert_eq!(bed.state().ended(), Some(End::BackedOut));
}

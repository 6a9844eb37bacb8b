//! The process dies at every place in the journal, and between any two polls; what is resumed ends in the same state.

use std::time::Duration;

use super::bed::{Bed, Ear, small_yaml};
use super::compacts_late;
use crate::execute::Ending;
use crate::host::model::{Faults, sample};
use crate::host::{Deed, Down, Host};
use crate::journal::checkpoint::End;

/// Goes on as an operator would until the run is over.
async fn to_the_end(bed: &mut Bed, at: &str) {
    bed.ear = Ear::default();
    for _ in 0..6 {
        let ending = bed.sit(None).await.unwrap();
        match ending {
            Ending::Done { losses } => return assert_eq!(losses, vec![], "{at}"),
            Ending::WaitingForReboot { .. } => {
                if !bed.model.come_back() {
                    // It had not been asked; nobody asks twice, so the operator takes it down.
                    bed.model.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
                    bed.model.come_back();
                }
            }
            other => panic!("{at}: {other:?}"),
        }
    }
    panic!("{at}: no end");
}

async fn check_end(bed: &Bed, at: &str) {
    let state = bed.state();
    assert_eq!(state.ended(), Some(End::Done), "{at}");
    assert!(state.rebooted(), "{at}");
    assert_eq!(bed.online().await, 34, "{at}");
    assert!(state.steps().values().all(|step| step.items.values().all(|item| !item.open)), "{at}");
}

#[tokio::test]
async fn a_crash_after_every_durable_entry_ends_the_same() {
    let mut whole = Bed::new(&small_yaml(), Faults::default()).await;
    to_the_end(&mut whole, "no crash").await;
    let entries = { whole.state().steps().values().map(|step| 3 + 2 * step.items.len()).sum::<usize>() };
    let mut crashed = 0;
    // Every place of the short steps; the items of the long ones are alike, so some of them are enough.
    for at in (1..26).chain((26..entries).step_by(23)) {
        let mut bed = Bed::new(&small_yaml(), Faults::default()).await;
        bed.ear = Ear { crash_at: Some(at), ..Ear::default() };
        let mut place = String::new();
        for _ in 0..2 {
            let ending = bed.sit(None).await;
            place = format!("entry {at}: {}", bed.ear.told.borrow().last().cloned().unwrap_or_default());
            match ending {
                None => {
                    crashed += 1;
                    break;
                }
                Some(Ending::WaitingForReboot { .. }) => drop(bed.model.come_back()),
                Some(_) => break,
            }
        }
        if bed.state().ended().is_none() {
            // Long enough for what was under way to end by itself.
            bed.model.pass(Duration::from_secs(2));
            to_the_end(&mut bed, &place).await;
        }
        check_end(&bed, &place).await;
    }
    assert!(crashed > 25, "{crashed}");
}

#[tokio::test]
async fn a_crash_between_any_two_polls_ends_the_same() {
    for polls in (0..30).step_by(3).chain((30..400).step_by(37)) {
        let mut bed = Bed::new(&small_yaml(), Faults::default()).await;
        let place = format!("poll {polls}");
        match bed.sit(Some(polls)).await {
            None => {}
            Some(Ending::WaitingForReboot { .. }) => {
                bed.model.come_back();
            }
            Some(other) => panic!("{place}: {other:?}"),
        }
        to_the_end(&mut bed, &place).await;
        check_end(&bed, &place).await;
    }
}

#[tokio::test]
async fn a_crash_while_backing_out_still_brings_the_apps_back() {
    let faults = Faults { rewrite_fails: vec![sample::at(6379).url], ..Faults::default() };
    let mut at = 15;
    loop {
        let mut bed = Bed::new(&compacts_late(), faults.clone()).await;
        bed.ear = Ear { crash_at: Some(at), ..Ear::default() };
        if bed.sit(None).await.is_some() {
            break;
        }
        let place = format!("entry {at}: {}", bed.ear.told.borrow().last().cloned().unwrap_or_default());
        bed.ear = Ear::default();
        if bed.state().ended().is_none() {
            let ending = bed.sit(None).await.unwrap();
            assert!(matches!(&ending, Ending::BackedOut { trouble, .. } if trouble.is_empty()), "{place}: {ending:?}");
        }
        assert_eq!((bed.state().ended(), bed.online().await), (Some(End::BackedOut), 34), "{place}");
        at += if at > 70 { 13 } else { 9 };
    }
    assert!(at > 120, "{at}");
}

#[tokio::test]
async fn a_command_that_is_proven_done_after_a_crash_is_not_begun_again() {
    let yaml = "version: 1\nname: once\nhosts: [stg-1]\nphases:\n  - name: do\n    steps:\n      - command: { argv: [/usr/bin/true], repeatable: false, done_if: [/usr/bin/true] }\n";
    let mut settled = 0;
    for at in 1..6 {
        let mut bed = Bed::new(yaml, Faults::default()).await;
        bed.ear = Ear { crash_at: Some(at), ..Ear::default() };
        let crashed = bed.sit(None).await.is_none();
        bed.ear = Ear::default();
        if crashed && bed.state().ended().is_none() {
            assert_eq!(bed.sit(None).await, Some(Ending::Done { losses: vec![] }), "entry {at}");
        }
        let state = bed.state();
        let intents: u32 = state.steps().values().flat_map(|step| step.items.values()).map(|item| item.intents).sum();
        assert_eq!((state.ended(), intents), (Some(End::Done), 1), "entry {at}");
        settled += usize::from(crashed);
    }
    assert!(settled >= 2, "{settled}");
}

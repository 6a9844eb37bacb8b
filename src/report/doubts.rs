//! What is and what is not known of a run whose journal is damaged: was a reboot asked for, are services down, what was in
//! hand. Said before somebody sets such a run aside, and kept with it.

use super::layout::{clean, patterns};
use super::story::Story;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::inspect::Inspection;

/// The answers, one sentence each; `boot_id` is that of the machine now.
#[must_use]
pub fn doubts(inspection: &Inspection, boot_id: &str) -> Vec<String> {
    let mut out = vec![lost(inspection), reboot(inspection, boot_id), services(inspection)];
    out.extend(in_hand(inspection));
    out
}

fn lost(inspection: &Inspection) -> String {
    let last = inspection.entries.len();
    match inspection.lost() {
        None => format!("how much was acted upon after record {last} cannot be known: the head is unreadable"),
        Some(0) => format!("no acknowledged record is missing up to record {last}"),
        Some(1) => format!("record {} was acted upon and is not proven any more", last + 1),
        Some(lost) => {
            format!("records {} to {} were acted upon and are not proven any more", last + 1, last as u64 + lost)
        }
    }
}

/// Whether the proven part is all that there was.
fn complete(inspection: &Inspection) -> bool {
    inspection.lost() == Some(0) && inspection.later.is_empty()
}

fn later(inspection: &Inspection, wanted: impl Fn(&Checkpoint) -> bool) -> bool {
    inspection.later.iter().any(|(_, entry)| wanted(&entry.checkpoint))
}

fn reboot(inspection: &Inspection, boot_id: &str) -> String {
    let state = &inspection.state;
    let booted = match inspection.entries.last() {
        Some(last) if *last.boot_id == *boot_id => "; this machine has not been booted since the last proven record",
        Some(_) => "; this machine has been booted since the last proven record",
        None => "",
    };
    let text = if state.rebooted() {
        "the reboot of this run is proven".to_owned()
    } else if let Some((step, _)) = state.waiting_for_reboot() {
        format!("{step} had asked for the reboot")
    } else if later(inspection, |one| matches!(one, Checkpoint::RebootIntent { .. } | Checkpoint::Rebooted { .. })) {
        "a reboot was asked for, going by a record that is not proven".to_owned()
    } else if complete(inspection) {
        "no reboot had been asked for".to_owned()
    } else {
        "whether a reboot was asked for is NOT known".to_owned()
    };
    format!("{text}{booted}")
}

fn services(inspection: &Inspection) -> String {
    let story = Story::of(&inspection.entries);
    let taker = story.opened.and_then(|opened| opened.no_return.clone());
    let Some(taker) = taker else {
        return if story.opened.is_some() {
            "this run takes no service away".to_owned()
        } else {
            "whether services were taken away is NOT known".to_owned()
        };
    };
    let touched = |one: &Checkpoint| matches!(one, Checkpoint::ItemIntent { step, .. } if *step == taker);
    match story.cut_off() {
        Some((_, Some(_))) => "services were taken away and brought back".to_owned(),
        Some((_, None)) => {
            format!("services were taken away by {taker} and are not proven to be back: they may be DOWN")
        }
        None if later(inspection, touched) => {
            format!("services were taken away by {taker}, going by a record that is not proven: they may be DOWN")
        }
        None if complete(inspection) => "no service had been taken away".to_owned(),
        None => format!("whether {taker} took services away is NOT known"),
    }
}

/// What had begun and has no outcome on record.
fn in_hand(inspection: &Inspection) -> Option<String> {
    let doubts = inspection.state.in_doubt();
    let (step, _) = doubts.first()?;
    let names: Vec<&str> = doubts.iter().map(|(_, item)| *item).collect();
    Some(format!("begun, and the outcome is not known: {step} {}", clean(&patterns(&names, 120))))
}

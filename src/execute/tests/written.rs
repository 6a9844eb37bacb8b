//! The durable format has no part that nobody writes: what runs of the real executor leave in their journals, kind by kind, against
//! the list of all there is. What is left over is written by somebody else, who is named.

use std::collections::BTreeSet;

use super::bed::{Bed, Ear, small_yaml};
use super::windows::with_commands;
use crate::execute::Urge;
use crate::host::model::Faults;
use crate::journal::checkpoint::{Checkpoint, End, How, Outcome, PauseReason, Resolution, Ruling};

/// Every part of the format, and who writes those that no run writes by itself.
const PARTS: [(&str, &str); 38] = [
    ("opened", ""),
    ("resumed", ""),
    ("step_started", ""),
    ("item_intent", ""),
    ("item applied", ""),
    ("item failed", ""),
    ("item failed, causes", ""),
    ("item unknown", ""),
    ("item not_begun", "execute/doubt, of a command that waited for its order"),
    ("item, note", ""),
    ("captured", ""),
    ("done applied", ""),
    ("done already_so", ""),
    ("done skipped", ""),
    ("done with_losses", ""),
    ("done ruled", "nobody: it is what a ruling makes of a step, and the table refuses it as a record"),
    ("step_failed", ""),
    ("step_unknown", ""),
    ("reboot_intent", ""),
    ("rebooted", ""),
    ("back_out", ""),
    ("paused asked", ""),
    ("paused reboot", ""),
    ("paused operator", ""),
    ("paused failed", ""),
    ("paused signal", ""),
    ("paused, note", ""),
    ("decision confirmed", ""),
    ("decision ignore_window", "cli/run and cli/resume"),
    ("decision resolve", "cli/resolve, and execute/doubt by a declared policy"),
    ("recovered", "journal/append, when it opens a torn one"),
    ("finished done", ""),
    ("finished done_with_losses", ""),
    ("finished backed_out", ""),
    ("finished backed_out_with_losses", ""),
    ("finished failed", ""),
    ("finished abandoned", "nobody: it is what `abandoned` means, and the table refuses it as a record"),
    ("abandoned", "cli/abandon"),
];

fn parts(one: &Checkpoint) -> Vec<String> {
    let kind = one.kind();
    let (part, more) = match one {
        Checkpoint::ItemDone { outcome, note, .. } => {
            let (word, causes) = match outcome {
                Outcome::Applied => ("item applied", None),
                Outcome::Failed { causes, .. } => ("item failed", causes.first().map(|_| "item failed, causes")),
                Outcome::Unknown { .. } => ("item unknown", None),
                Outcome::NotBegun => ("item not_begun", None),
            };
            (word.to_owned(), [causes, note.as_ref().map(|_| "item, note")])
        }
        Checkpoint::StepDone { how, .. } => {
            let word = match how {
                How::Applied => "applied",
                How::AlreadySo => "already_so",
                How::Skipped { .. } => "skipped",
                How::WithLosses { .. } => "with_losses",
                How::Ruled => "ruled",
            };
            (format!("done {word}"), [None, None])
        }
        Checkpoint::Paused { why, note } => {
            let word = match why {
                PauseReason::Asked => "asked",
                PauseReason::Reboot => "reboot",
                PauseReason::Operator => "operator",
                PauseReason::Failed => "failed",
                PauseReason::Signal => "signal",
            };
            (format!("paused {word}"), [note.as_ref().map(|_| "paused, note"), None])
        }
        Checkpoint::Decision { what, .. } => {
            let word = match what {
                Ruling::Confirmed { .. } => "confirmed",
                Ruling::IgnoreWindow => "ignore_window",
                Ruling::Resolve { how: Resolution::Done | Resolution::Rerun | Resolution::Skip, .. } => "resolve",
            };
            (format!("decision {word}"), [None, None])
        }
        Checkpoint::Finished { outcome, .. } => (format!("finished {}", ended(*outcome)), [None, None]),
        Checkpoint::Opened(_)
        | Checkpoint::Resumed { .. }
        | Checkpoint::StepStarted { .. }
        | Checkpoint::ItemIntent { .. }
        | Checkpoint::Captured { .. }
        | Checkpoint::StepFailed { .. }
        | Checkpoint::StepUnknown { .. }
        | Checkpoint::RebootIntent { .. }
        | Checkpoint::Rebooted { .. }
        | Checkpoint::BackOut { .. }
        | Checkpoint::Recovered { .. }
        | Checkpoint::Abandoned { .. } => (kind.to_owned(), [None, None]),
    };
    std::iter::once(part).chain(more.into_iter().flatten().map(str::to_owned)).collect()
}

fn ended(how: End) -> &'static str {
    match how {
        End::Done => "done",
        End::DoneWithLosses => "done_with_losses",
        End::BackedOut => "backed_out",
        End::BackedOutWithLosses => "backed_out_with_losses",
        End::Failed => "failed",
        End::Abandoned => "abandoned",
    }
}

/// One run to where nothing goes on by itself; `crash` behind an entry, and what is asked of the next sitting.
async fn run(yaml: &str, faults: Faults, crash: Option<&'static str>, urge: Urge) -> BTreeSet<String> {
    let mut bed = Bed::new(yaml, faults.clone()).await;
    if let (Some(entry), Urge::Now) = (crash, urge) {
        bed.ear.asks_at = Some((entry, urge));
        bed.sit(None).await;
    } else if let Some(entry) = crash {
        bed.sit(None).await;
        let place = bed.ear.told.borrow().iter().rposition(|one| one == entry).unwrap() + 1;
        bed = Bed::new(yaml, faults).await;
        bed.ear = Ear { crash_at: Some(place), ..Ear::default() };
        bed.sit(None).await;
        bed.ear = Ear::default();
    }
    bed.ear = Ear::default();
    bed.urge = if urge == Urge::Now { Urge::None } else { urge };
    for _ in 0..3 {
        bed.sit(None).await;
        if bed.state().ended().is_some() {
            break;
        }
        bed.model.come_back();
    }
    bed.entries().iter().flat_map(|entry| parts(&entry.checkpoint)).collect()
}

#[tokio::test]
async fn every_part_of_the_format_is_written_by_somebody() {
    let none = Faults::default;
    let lost = || Faults { lost_apps: vec!["api-3".into()], ..none() };
    let optional = small_yaml().replace("\"org-*\"", "\"api-3\"");
    let fails = || Faults { commands_fail: vec!["/bin/false".into()], ..none() };
    let passed_over = "{ argv: [/bin/false, early] }\n        on_failure: continue\n";
    let skipped = with_commands().replace("{ argv: [/bin/true, early] }\n", passed_over);
    let commands = with_commands();
    let mut written = BTreeSet::new();
    for (yaml, faults, crash, urge) in [
        (small_yaml(), none(), None, Urge::None),
        (optional, lost(), None, Urge::None),
        (small_yaml(), lost(), None, Urge::None),
        (commands.clone(), none(), Some("item_intent stop/away"), Urge::None),
        (commands.clone(), none(), Some("item_done stop/1"), Urge::Abort),
        (commands.clone(), none(), Some("item_intent preflight/early"), Urge::None),
        (commands, none(), Some("item_intent preflight/early"), Urge::Now),
        (small_yaml(), none(), Some("item_done compact/1"), Urge::Abort),
        (small_yaml(), none(), None, Urge::Pause),
        (small_yaml(), none(), None, Urge::Terminate),
        (skipped, fails(), None, Urge::None),
    ] {
        written.extend(run(&yaml, faults, crash, urge).await);
    }
    let all: BTreeSet<String> = PARTS.iter().map(|(part, _)| (*part).to_owned()).collect();
    assert!(written.is_subset(&all), "{:?}", written.difference(&all));
    let by_others = PARTS.iter().filter(|(_, who)| !who.is_empty()).map(|(part, _)| (*part).to_owned());
    let missing: Vec<&String> = all.difference(&written).collect();
    let expected: BTreeSet<String> = by_others.collect();
    let expected: Vec<&String> = expected.iter().filter(|part| !written.contains(*part)).collect();
    assert_eq!(missing, expected, "nobody writes these");
}

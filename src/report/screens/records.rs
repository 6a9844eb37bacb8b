//! What is left of a run: its journal, sound or damaged, and the session report.

use super::super::*;
use super::{keep, keep_text, sample, zone};
use crate::journal::state::RunState;

/// A journal as it is when a bit of it was flipped in the middle of the stop.
#[test]
fn journal_screens() {
    use crate::journal::inspect::Inspection;
    use crate::journal::record::Refusal;
    use crate::journal::recover::{Damage, Reason};
    let whole = sample::whole();
    let last = whole.entries.len() as u64;
    let sound = Inspection {
        entries: whole.entries.clone(),
        state: whole.state.clone(),
        bytes: 92_114,
        good: 92_114,
        acknowledged: Some(last),
        damage: None,
        later: Vec::new(),
    };
    keep("journal_sound", |style| journal_verdict(sample::RUN, &sound, None, "b", &style));
    let spoilt = "the frozen runbook was changed\u{1b}[2J";
    keep("journal_refused", |style| journal_verdict(sample::RUN, &sound, Some(spoilt), "b", &style));

    let at = whole.entries.iter().position(|entry| entry.checkpoint.kind() == "reboot_intent").unwrap() - 3;
    let mut state = RunState::default();
    whole.entries[..at].iter().for_each(|entry| state.after(entry).unwrap());
    let refusal = Refusal::Checksum { written: 0xc3cb_8ff5, found: 0x6f20_dbbe };
    let why = Reason::Inside { refusal, later: at as u64 + 2, later_offset: 61_377 };
    let damaged = Inspection {
        entries: whole.entries[..at].to_vec(),
        state,
        good: 61_002,
        damage: Some(Damage { offset: 61_002, seq: at as u64, why }),
        later: whole.entries[at + 1..at + 6].iter().map(|entry| (61_377, entry.clone())).collect(),
        acknowledged: Some(at as u64 + 6),
        ..sound.clone()
    };
    let boot = "another boot";
    keep("journal_damaged", |style| journal_verdict(sample::RUN, &damaged, None, boot, &style));
    keep("journal_shown", |style| {
        let text = timeline(&damaged, &zone(), &style);
        // The many alike in the middle are left out.
        let lines: Vec<&str> = text.lines().collect();
        [&lines[..24], &["(...)"], &lines[lines.len() - 24..]].concat().join("\n")
    });
    let after: Inspection = Inspection { entries: whole.entries[at + 4..].to_vec(), ..sound.clone() };
    keep("journal_shown_after_the_boot", |style| {
        timeline(&after, &zone(), &style).lines().take(24).collect::<Vec<_>>().join("\n")
    });
    let note = crate::journal::aside::Aside {
        at: "2026-11-28T11:15:00Z".parse().unwrap(),
        who: "ann".into(),
        reason: "the disk was replaced; everything was looked at by hand".into(),
        found: "journal /var/lib/runbook/runs/r-1/journal is refused at byte 61002\u{1b}[2J".into(),
        known: doubts(&damaged, boot),
    };
    keep("set_aside", |style| set_aside(sample::RUN, &note, &style));
    let lines = [verdict_line(sample::RUN, &damaged, None, boot), record_lines(&damaged).swap_remove(3)];
    keep_text("json_journal", &lines.join("\n"));
    assert_eq!(record_lines(&damaged).len(), at + 5);
}

#[test]
fn session_reports() {
    let whole = sample::whole();
    let text = markdown_in(&whole.entries, sample::runbook().window.as_ref(), None);
    for must in [
        "9.8 GB -> 2.4 GB",
        "estimated 26m00s",
        "**search**",
        "ECONNREFUSED",
        "redis-server@bull01.service",
        "9d2e41aa",
    ] {
        assert!(text.contains(must), "{must} is missing");
    }
    assert!(!text.contains('\u{1b}'));
    keep_text("report_whole", &text);
    for (name, run) in [("report_failed", sample::failed()), ("report_backed_out", sample::backed_out())] {
        keep_text(name, &markdown_in(&run.entries, sample::runbook().window.as_ref(), None));
    }
    assert!(markdown(&[]).contains("NOT OVER"), "an empty journal is survived");
}

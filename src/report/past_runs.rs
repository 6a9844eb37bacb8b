//! `runbook history`: a line for each past run.

use std::time::Duration;

use super::layout::{clean, labelled, pad, right};
use super::out::{Style, Tone};
use super::story::Story;
use crate::host::span::words;
use crate::journal::aside::Aside;
use crate::journal::checkpoint::{End, PauseReason};
use crate::journal::record::Entry;
use crate::journal::state::RunState;

/// A run as it is found in the state directory.
pub struct PastRun<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its records and their fold, or why they cannot be read.
    pub reading: Result<(&'a [Entry], &'a RunState), String>,
    /// The note of one that was set aside.
    pub aside: Option<Aside>,
}

/// Its line; more of them only where it cannot be read.
#[must_use]
pub fn past_run(run: &PastRun<'_>, style: &Style) -> String {
    let lead = format!("{}  ", clean(run.id));
    match (&run.aside, &run.reading) {
        (Some(note), _) => {
            let at = note.at.strftime("%F %H:%MZ");
            let text = format!("set aside {at} by {}: {}", clean(&note.who), clean(&note.reason));
            told(&lead, &text, "set aside", style)
        }
        (None, Err(why)) => told(&lead, &format!("unreadable: {}", clean(why)), "unreadable", style),
        (None, Ok((entries, state))) => line(&lead, entries, state, style),
    }
}

/// A sentence beside the name, with its first words coloured.
fn told(lead: &str, text: &str, word: &str, style: &Style) -> String {
    let mut out = String::new();
    labelled(&mut out, lead, word, Tone::Warn, text, style);
    out
}

fn line(lead: &str, entries: &[Entry], state: &RunState, style: &Style) -> String {
    let name = state.opened().map(|opened| clean(&opened.runbook_name)).unwrap_or_default();
    let (first, last) = (entries.first(), entries.last());
    let took = first.zip(last).and_then(|(first, last)| Duration::try_from(last.wall - first.wall).ok());
    let began = first.map(|entry| entry.wall.strftime("%m-%d %H:%MZ").to_string()).unwrap_or_default();
    let (tone, end) = match state.ended() {
        Some(End::Done) => (Tone::Good, "done"),
        Some(End::DoneWithLosses) => (Tone::Warn, "done, losses"),
        Some(End::BackedOut | End::BackedOutWithLosses) => backed_out(entries),
        None if state.backing_out() && state.paused() == Some(PauseReason::Failed) => (Tone::Bad, "NOT brought back"),
        None if state.backing_out() => (Tone::Bad, "on its way back"),
        Some(End::Failed) => (Tone::Bad, "given up"),
        Some(End::Abandoned) => (Tone::Bad, "abandoned"),
        None => (Tone::Warn, "unfinished"),
    };
    let took = right(&words(took.unwrap_or_default()), 9);
    format!("{lead}{}  {began} {took}  {}\n", pad(&name, 16), style.paint(tone, end))
}

/// Whether all came back, and whether anything before it is not known.
fn backed_out(entries: &[Entry]) -> (Tone, &'static str) {
    let story = Story::of(entries);
    match (story.not_back().is_empty(), story.doubts().is_empty()) {
        (true, true) => (Tone::Warn, "backed out"),
        (true, false) => (Tone::Bad, "backed out, in doubt"),
        (false, true) => (Tone::Bad, "backed out, losses"),
        (false, false) => (Tone::Bad, "backed out, losses, in doubt"),
    }
}

//! Runs for programs: where one stands, step by step, and past ones in a line each. The version line is written by whoever
//! opens the output; see [`json`](super::json).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::around::Around;
use super::label::label;
use super::layout::clean;
use super::offers::ways;
use super::state_word::StateWord;
use super::status::{between, words_for};
use super::story::Story;
use crate::journal::aside::Aside;
use crate::journal::checkpoint::StepId;
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::step::{StepState, StepStatus};

/// Where a run stands at `now`: one line for the run, then one for each step.
#[must_use]
pub fn status_lines(entries: &[Entry], state: &RunState, around: &Around, now: Timestamp) -> Vec<String> {
    let story = Story::of(entries);
    let (_, word, text) = words_for(&story, state, around, now);
    let opened = story.opened;
    let doubts = state.in_doubt();
    let run = json!({
        "type": "status",
        "ts": now,
        "run": story.run,
        "runbook": opened.map(|opened| clean(&opened.runbook_name)),
        "sha256": opened.map(|opened| opened.runbook_sha256.as_str()),
        "hostname": opened.map(|opened| clean(&opened.hostname)),
        "user": opened.map(|opened| clean(&opened.owner.user)),
        "began": story.began,
        "latest": story.latest,
        "state": word.word().to_lowercase(),
        "text": text,
        "at_work": around.at_work.unwrap_or(false),
        "ended": state.ended(),
        "paused": state.paused(),
        "step": state.running().map(|(id, _)| id),
        "in_doubt": doubts.iter().map(|(step, item)| json!({ "step": step, "item": item })).collect::<Vec<_>>(),
        "past_no_return": state.past_no_return(),
        "rebooted": state.rebooted(),
        "boots": story.boots.len(),
        "backing_out": state.backing_out(),
        "back_since": around.back_since(state),
        "refused": around.refused.as_ref().map(|refused| clean(&refused.why)),
        "window": around.window.as_deref().map(clean),
        "next": ways(entries, state, around).iter().map(|way| clean(way)).collect::<Vec<_>>(),
        "not_known": doubts_of(&story),
        "losses": story.losses().iter().map(|(_, item, ..)| clean(&label(item))).collect::<Vec<_>>(),
        "left_down": story.left_down().into_iter().map(clean).collect::<Vec<_>>(),
        "not_back": story.not_back().iter().map(|one| clean(one)).collect::<Vec<_>>(),
    });
    let steps = state.steps().iter().map(|(id, step)| step_line(story.run, id, step));
    std::iter::once(run.to_string()).chain(steps).collect()
}

/// A run that was set aside: who did it, when and why, and what was wrong with it.
#[must_use]
pub fn aside_line(run: &str, note: &Aside) -> String {
    let word = StateWord::SetAside.word().to_lowercase();
    json!({ "type": "status", "run": run, "state": word, "at_work": false, "set_aside": aside_value(note) }).to_string()
}

/// The note as an object.
pub(super) fn aside_value(note: &Aside) -> Value {
    json!({
        "at": note.at, "who": clean(&note.who), "reason": clean(&note.reason), "found": clean(&note.found),
        "known": note.known.iter().map(|one| clean(one)).collect::<Vec<_>>(),
    })
}

/// Steps of which nobody knows whether they happened.
pub(super) fn doubts_of(story: &Story<'_>) -> Vec<Value> {
    story.doubts().into_iter().map(|(id, why)| json!({ "step": id, "why": clean(why) })).collect()
}

/// One step: its status in a word, and what belongs to that word.
fn step_line(run: &str, id: &StepId, step: &StepState) -> String {
    let (status, how, took_ms, why) = match &step.status {
        StepStatus::NotStarted => ("not_started", None, None, None),
        StepStatus::Running { .. } => ("running", None, None, None),
        StepStatus::Done { how, took_ms } => ("done", Some(how), Some(*took_ms), None),
        StepStatus::Failed { error } => ("failed", None, None, Some(error)),
        StepStatus::Unknown { why } => ("unknown", None, None, Some(why)),
    };
    let ended = step.items.values().filter(|item| item.outcome.is_some()).count();
    json!({
        "type": "step",
        "run": run,
        "step": id,
        "phase": id.phase(),
        "status": status,
        "how": how,
        "ms": took_ms,
        "why": why.map(|why| clean(why)),
        "attempts": step.attempts,
        "items_ended": ended,
        "items": step.listed.len(),
    })
    .to_string()
}

/// A past or present run in one line.
#[must_use]
pub fn past_run_line(entries: &[Entry], state: &RunState, aside: Option<&Aside>) -> String {
    let story = Story::of(entries);
    let took = story.began.zip(story.latest).map(|(from, to)| between(from, to));
    let cut_off = story.cut_off().and_then(|(from, to)| to.map(|to| between(from, to)));
    let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
    json!({
        "type": "run",
        "run": story.run,
        "runbook": story.opened.map(|opened| clean(&opened.runbook_name)),
        "sha256": story.opened.map(|opened| opened.runbook_sha256.as_str()),
        "hostname": story.opened.map(|opened| clean(&opened.hostname)),
        "user": story.opened.map(|opened| clean(&opened.owner.user)),
        "began": story.began,
        "latest": story.latest,
        "took_s": seconds(took),
        "cut_off_s": seconds(cut_off),
        "ended": state.ended(),
        "reboots": story.reboots.len(),
        "boots": story.boots.len(),
        "failures": story.failures.len(),
        "not_known": doubts_of(&story),
        "losses": story.losses().len(),
        "not_back": story.not_back().len(),
        "unreadable": Value::Null,
        "set_aside": aside.map(aside_value),
    })
    .to_string()
}

/// A run whose journal cannot be read, with the reason.
#[must_use]
pub fn unreadable_run_line(run: &str, why: &str, aside: Option<&Aside>) -> String {
    json!({ "type": "run", "run": run, "unreadable": clean(why), "set_aside": aside.map(aside_value) }).to_string()
}

//! One screen on where a run stands, for whoever comes to it from outside.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::around::Around;
use super::layout::{clean, columns, fit, labelled, pad, paragraph, patterns, right};
use super::offers::next;
use super::out::{Style, Tone};
use super::state_word::StateWord;
use super::story::{StepTold, Story};
use super::telling::{pause, person};
use crate::action::ActionKind;
use crate::execute::Urge;
use crate::host::span::{clock, words};
use crate::journal::checkpoint::{How, Outcome, PauseReason, StepId};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;

/// Where the run stands at `now`, with times of day in UTC and nothing known of what is around it. Ends with a newline.
#[must_use]
pub fn status(entries: &[Entry], state: &RunState, now: Timestamp, style: &Style) -> String {
    status_in(entries, state, &Around::default(), now, &TimeZone::UTC, style)
}

/// [`status`] with what is around the run, and times of day in a zone.
#[must_use]
pub fn status_in(
    entries: &[Entry],
    state: &RunState,
    around: &Around,
    now: Timestamp,
    zone: &TimeZone,
    style: &Style,
) -> String {
    let story = Story::of(entries);
    let mut out = String::new();
    header(&mut out, &story, now, zone, style);
    let (tone, word, text) = words_for(&story, state, around, now);
    labelled(&mut out, &format!("{}  ", word.word()), word.word(), tone, &text, style);
    out.push('\n');
    out.push_str(&phases(&story, state, style));
    out.push('\n');
    cut_off(&mut out, &story, now, zone, style);
    other_boots(&mut out, &story, zone, style);
    in_work(&mut out, state, around, style);
    failed_so_far(&mut out, state, style);
    asked(&mut out, state, around, style);
    at_the_end(&mut out, &story, style);
    if let Some(why) = around.window.as_ref().filter(|_| state.ended().is_none() && around.refused.is_none()) {
        paragraph(&mut out, "Window         ", &clean(why), style);
    }
    out.push_str(&next(&story, state, around, style));
    out
}

fn header(out: &mut String, story: &Story<'_>, now: Timestamp, zone: &TimeZone, style: &Style) {
    let Some(opened) = story.opened else { return };
    let name = clean(&opened.runbook_name);
    let since = story.began.map(|began| {
        let at = began.to_zoned(zone.clone());
        format!(
            "began {} {}, {} ago, by {}",
            at.strftime("%a %H:%M"),
            name_of(zone),
            words(between(began, now)),
            person(&opened.owner)
        )
    });
    let rest = format!("   {}   on {}", story.run, clean(&opened.hostname));
    let rest = fit(&rest, style.columns().saturating_sub(columns(&name)), style);
    out.push_str(&format!("{}{rest}\n", style.paint(Tone::Strong, &name)));
    out.push_str(&format!("{}\n", fit(&since.unwrap_or_default(), style.columns(), style)));
}

/// The state in capitals, and what it means.
pub(super) fn words_for(
    story: &Story<'_>,
    state: &RunState,
    around: &Around,
    now: Timestamp,
) -> (Tone, StateWord, String) {
    if let Some(outcome) = state.ended() {
        let (tone, word) = story.ended_in_words(outcome);
        let ago = story.ended.map_or(String::new(), |(at, _)| format!(", {} ago", words(between(at, now))));
        return (tone, StateWord::Over, format!("{word}{ago}"));
    }
    let at_work = around.at_work == Some(true);
    if let Some(refused) = around.refused.as_ref().filter(|_| !at_work) {
        return (Tone::Bad, StateWord::Refused, clean(&refused.why));
    }
    if let Some((step, old)) = state.waiting_for_reboot() {
        return waiting(state, around, now, (step, old));
    }
    let trouble = state.steps().iter().find_map(|(id, step)| match &step.status {
        StepStatus::Failed { error } => Some((Tone::Bad, StateWord::Failed, format!("{id}: {}", clean(error)))),
        StepStatus::Unknown { why } => {
            Some((Tone::Bad, StateWord::Unknown, format!("whether {id} happened: {}", clean(why))))
        }
        _ => None,
    });
    if let Some(trouble) = trouble.filter(|_| !state.backing_out()) {
        return trouble;
    }
    if state.backing_out() && state.paused() == Some(PauseReason::Failed) {
        let lacks = story.paused_for.map(clean).unwrap_or_default();
        return (Tone::Bad, StateWord::NotBroughtBack, lacks);
    }
    if let Some(why) = state.paused() {
        let more = story.paused_for.filter(|_| why != PauseReason::Failed).map(|note| format!(": {}", clean(note)));
        return (Tone::Warn, StateWord::Paused, format!("{}{}", pause(why), more.unwrap_or_default()));
    }
    let back = if state.backing_out() { "backing out; " } else { "" };
    let text = match (state.running(), story.latest) {
        (Some((id, _)), Some(at)) => format!("{back}{id}; the last fact is {} old", words(between(at, now))),
        _ => format!("{back}between two steps"),
    };
    if around.at_work == Some(false) {
        return (
            Tone::Bad,
            StateWord::Died,
            format!("its process is gone, and nothing happens until somebody resumes it; {text}"),
        );
    }
    (Tone::Good, StateWord::Running, text)
}

/// The machine was asked to go down. Whether it has been, only a look at this boot tells.
fn waiting(
    state: &RunState,
    around: &Around,
    now: Timestamp,
    (step, old): (&StepId, &str),
) -> (Tone, StateWord, String) {
    let Some(since) = around.back_since(state) else {
        let text = format!("for the machine to come back ({step}, boot {:.8})", clean(old));
        return (Tone::Warn, StateWord::Waiting, text);
    };
    let ago = words(between(since, now));
    let back = format!("the machine is back since {} UTC ({ago})", since.strftime("%a %H:%M"));
    if around.at_work == Some(true) {
        return (Tone::Good, StateWord::Running, format!("{back}, and the run goes on"));
    }
    let unit = around.resume_unit.as_ref().map(|unit| format!(": {}", clean(unit))).unwrap_or_default();
    (Tone::Bad, StateWord::Back, format!("{back}, and the run has not gone on{unit}"))
}

/// A row per phase with planned and actual times.
pub(super) fn phases(story: &Story<'_>, state: &RunState, style: &Style) -> String {
    let phases = story.phases();
    let width = phases.keys().map(|name| columns(name)).max().unwrap_or(5).clamp(7, 18);
    let room = style.columns().saturating_sub(8 + 4 + width + 2 + 18);
    let mut out = String::new();
    let head = format!("{} #  {}  {}  planned    taken", " ".repeat(8), pad("phase", width), " ".repeat(room));
    out.push_str(&style.paint(Tone::Faint, head.trim_end()));
    out.push('\n');
    for (n, (name, steps)) in phases.iter().enumerate() {
        let (tone, word) = mark(steps, state);
        let planned: f64 =
            steps.iter().filter_map(|(id, _)| story.planned(id)).map(|step| step.takes.span.typical).sum();
        let taken: Duration = steps.iter().map(|(_, step)| step.took).sum();
        let planned = clock(Duration::from_secs_f64(planned.clamp(0.0, 1e9)));
        let taken = if steps.iter().all(|(_, step)| step.ended.is_none()) { String::new() } else { clock(taken) };
        let text = fit(&seen(story, steps), room, style);
        let word = style.paint(tone, &pad(word, 8));
        let row = format!(
            "{word}{:>2}  {}  {}{}{}",
            n + 1,
            pad(&fit(name, width, style), width),
            pad(&text, room),
            right(&planned, 9),
            right(&taken, 9)
        );
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// The word in front of a phase.
fn mark(steps: &[(&StepId, &StepTold<'_>)], state: &RunState) -> (Tone, &'static str) {
    let status = |id: &StepId| state.status(id).cloned().unwrap_or(StepStatus::NotStarted);
    let all: Vec<StepStatus> = steps.iter().map(|(id, _)| status(id)).collect();
    let lossy = |status: &StepStatus| matches!(status, StepStatus::Done { how: How::WithLosses { .. }, .. });
    let skipped = |status: &StepStatus| matches!(status, StepStatus::Done { how: How::Skipped { .. }, .. });
    if all.iter().any(|status| matches!(status, StepStatus::Failed { .. })) {
        (Tone::Bad, "FAILED")
    } else if all.iter().any(|status| matches!(status, StepStatus::Unknown { .. })) {
        (Tone::Bad, "UNKNOWN")
    } else if all.iter().any(|status| matches!(status, StepStatus::Running { .. })) {
        (Tone::Strong, ">>")
    } else if all.iter().all(|status| matches!(status, StepStatus::Done { .. })) {
        match (all.iter().any(lossy), all.iter().any(skipped)) {
            (true, _) => (Tone::Warn, "warn"),
            (_, true) => (Tone::Warn, "skipped"),
            _ => (Tone::Good, "ok"),
        }
    } else {
        (Tone::Plain, "")
    }
}

/// What is to be said of a phase in a few words.
fn seen(story: &Story<'_>, steps: &[(&StepId, &StepTold<'_>)]) -> String {
    let parts = steps.iter().filter(|(_, step)| step.began.is_some() || step.how().is_some()).map(|(id, step)| {
        let title = if step.title.is_empty() { story.action(id).map_or("", ActionKind::key) } else { step.title };
        match step.how() {
            Some(_) if step.rebooted => clean(title),
            Some(How::AlreadySo) => format!("{}: already so", clean(title)),
            Some(How::Skipped { .. }) => format!("{}: skipped", clean(title)),
            _ if step.of > 1 => format!("{} {}/{}", clean(title), step.good(), step.of),
            _ => clean(title),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Items that have begun and not ended: in work while the process lives, in doubt once it is gone.
fn in_work(out: &mut String, state: &RunState, around: &Around, style: &Style) {
    let doubts = state.in_doubt();
    let Some((step, _)) = doubts.first().filter(|_| state.waiting_for_reboot().is_none() && state.ended().is_none())
    else {
        return;
    };
    let names: Vec<&str> = doubts.iter().map(|(_, item)| *item).collect();
    let (label, note) = match state.running() {
        Some(_) if around.at_work != Some(false) => ("In work        ", "begun and not ended"),
        _ => ("In doubt  ?    ", "begun, and the outcome is not on record"),
    };
    paragraph(out, label, &format!("{step}: {} ({note})", clean(&patterns(&names, 120))), style);
}

/// What has failed in a step that goes on with the others: whoever can repair it need not wait for the end.
fn failed_so_far(out: &mut String, state: &RunState, style: &Style) {
    let Some((_, step)) = state.running().filter(|_| state.ended().is_none()) else { return };
    let now = step.items.iter().filter(|(_, item)| item.attempt == step.attempts);
    let failed: Vec<(&String, &String)> = now
        .filter_map(|(name, item)| match &item.outcome {
            Some(Outcome::Failed { why, .. }) => Some((name, why)),
            Some(Outcome::Applied | Outcome::Unknown { .. } | Outcome::NotBegun) | None => None,
        })
        .collect();
    for (item, why) in failed.iter().take(FAILED_SO_FAR) {
        paragraph(out, "Failed         ", &format!("{}: {}", clean(item), clean(why)), style);
    }
    if failed.len() > FAILED_SO_FAR {
        paragraph(out, "               ", &format!("and {} more", failed.len() - FAILED_SO_FAR), style);
    }
}

/// Failures of a step at work that are named.
const FAILED_SO_FAR: usize = 6;

/// What a second terminal has asked of the process at work, until it is heeded.
fn asked(out: &mut String, state: &RunState, around: &Around, style: &Style) {
    let text = match around.asked {
        Some(Urge::Abort) if state.backing_out() => "to give up; it turns back already",
        Some(Urge::Abort) => "to give up; what is running now is let finish first",
        Some(Urge::Pause) => "to pause; what is running now is let finish first",
        Some(Urge::None | Urge::Terminate | Urge::Now) | None => return,
    };
    paragraph(out, "Asked          ", text, style);
}

/// What a run that backed out has left open, by name.
/// As many are named one by one.
const NOT_BACK: usize = 12;

fn at_the_end(out: &mut String, story: &Story<'_>, style: &Style) {
    if story.ended.is_none() {
        return;
    }
    let lacks = story.not_back();
    for lacking in lacks.iter().take(NOT_BACK) {
        paragraph(out, "Not back       ", &clean(lacking), style);
    }
    if lacks.len() > NOT_BACK {
        paragraph(
            out,
            "               ",
            &format!("and {} more; the report names them", lacks.len() - NOT_BACK),
            style,
        );
    }
    if let Some(left) = story.left_down_in_words() {
        paragraph(out, "Left down      ", &left, style);
    }
    for (id, why) in story.doubts() {
        paragraph(out, "Not known  ?   ", &format!("whether {id} happened: {}", clean(why)), style);
    }
}

/// The machine was restarted by somebody else.
fn other_boots(out: &mut String, story: &Story<'_>, zone: &TimeZone, style: &Style) {
    let Some(last) = story.foreign_boots().last() else { return };
    let at = last.found.to_zoned(zone.clone()).strftime("%H:%M");
    let times = match story.foreign_boots().count() {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let text = format!("{times} since the run began, and not by the run; found at {at} {}", name_of(zone));
    paragraph(out, "Restarted      ", &text, style);
}

fn cut_off(out: &mut String, story: &Story<'_>, now: Timestamp, zone: &TimeZone, style: &Style) {
    let Some((from, to)) = story.cut_off() else { return };
    let at = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let text = match to {
        Some(to) => format!("for {}, {} to {} {}", words(between(from, to)), at(from), at(to), name_of(zone)),
        None if story.ended.is_some() => {
            format!("since {} {}; no look has found all of it back", at(from), name_of(zone))
        }
        None => format!("since {} {}, {} by now", at(from), name_of(zone), words(between(from, now))),
    };
    paragraph(out, "Users cut off  ", &text, style);
}

pub(super) fn name_of(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

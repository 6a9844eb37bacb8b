//! One screen on where a run stands, for whoever comes to it from outside.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::layout::{clean, columns, fit, labelled, pad, paragraph, patterns, right};
use super::out::{Style, Tone};
use super::story::{StepTold, Story};
use super::telling::{end, pause, person};
use crate::host::span::{clock, words};
use crate::journal::checkpoint::{How, PauseReason, StepId};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;

/// Where the run stands at `now`, with times of day in UTC. Ends with a newline.
#[must_use]
pub fn status(entries: &[Entry], state: &RunState, now: Timestamp, style: &Style) -> String {
    status_in(entries, state, now, &TimeZone::UTC, style)
}

/// [`status`] with times of day in a zone.
#[must_use]
pub fn status_in(entries: &[Entry], state: &RunState, now: Timestamp, zone: &TimeZone, style: &Style) -> String {
    let story = Story::of(entries);
    let mut out = String::new();
    header(&mut out, &story, now, zone, style);
    verdict(&mut out, &story, state, now, style);
    out.push('\n');
    out.push_str(&phases(&story, state, style));
    out.push('\n');
    cut_off(&mut out, &story, now, zone, style);
    in_work(&mut out, state, style);
    out.push_str(&next(&story, state, style));
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
fn verdict(out: &mut String, story: &Story<'_>, state: &RunState, now: Timestamp, style: &Style) {
    let (tone, word, text) = words_for(story, state, now);
    labelled(out, &format!("{word}  "), word, tone, &text, style);
}

pub(super) fn words_for(story: &Story<'_>, state: &RunState, now: Timestamp) -> (Tone, &'static str, String) {
    if let Some(outcome) = state.ended() {
        let (tone, word) = end(outcome);
        let ago = story.ended.map_or(String::new(), |(at, _)| format!(", {} ago", words(between(at, now))));
        return (tone, "OVER", format!("{word}{ago}"));
    }
    let trouble = state.steps().iter().find_map(|(id, step)| match &step.status {
        StepStatus::Failed { error } => Some((Tone::Bad, "FAILED", format!("{id}: {}", clean(error)))),
        StepStatus::Unknown { why } => Some((Tone::Bad, "UNKNOWN", format!("whether {id} happened: {}", clean(why)))),
        _ => None,
    });
    if let Some((step, old)) = state.waiting_for_reboot() {
        return (Tone::Warn, "WAITING", format!("for the machine to come back ({step}, boot {:.8})", clean(old)));
    }
    if let Some(trouble) = trouble {
        return trouble;
    }
    if let Some(why) = state.paused() {
        return (Tone::Warn, "PAUSED", pause(why).to_owned());
    }
    let back = if state.backing_out() { "backing out; " } else { "" };
    let text = match (state.running(), story.latest) {
        (Some((id, _)), Some(at)) => format!("{back}{id}; the last fact is {} old", words(between(at, now))),
        _ => format!("{back}between two steps"),
    };
    (Tone::Good, "RUNNING", text)
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
    let parts = steps.iter().filter(|(_, step)| step.began.is_some() || step.how.is_some()).map(|(id, step)| {
        let title = if step.title.is_empty() { story.action(id) } else { step.title };
        match step.how {
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
fn in_work(out: &mut String, state: &RunState, style: &Style) {
    let doubts = state.in_doubt();
    let Some((step, _)) = doubts.first().filter(|_| state.waiting_for_reboot().is_none()) else {
        return;
    };
    let names: Vec<&str> = doubts.iter().map(|(_, item)| *item).collect();
    let (label, note) = match state.running() {
        Some(_) => ("In work        ", "begun and not ended"),
        None => ("In doubt  ?    ", "begun, and the outcome is not on record"),
    };
    paragraph(out, label, &format!("{step}: {} ({note})", clean(&patterns(&names, 120))), style);
}

fn cut_off(out: &mut String, story: &Story<'_>, now: Timestamp, zone: &TimeZone, style: &Style) {
    let Some((from, to)) = story.cut_off() else { return };
    let at = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let text = match to {
        Some(to) => format!("for {}, {} to {} {}", words(between(from, to)), at(from), at(to), name_of(zone)),
        None => format!("since {} {}, {} by now", at(from), name_of(zone), words(between(from, now))),
    };
    paragraph(out, "Users cut off  ", &text, style);
}

/// The exact command that comes next.
pub(super) fn next(story: &Story<'_>, state: &RunState, style: &Style) -> String {
    let run = story.run;
    let mut commands: Vec<(&str, String, String)> = Vec::new();
    if state.ended().is_some() {
        commands.push(("Report", format!("runbook report {run} --format md"), String::new()));
    } else if state.waiting_for_reboot().is_some() {
        commands.push((
            "Then",
            format!("runbook resume {run}"),
            "after the boot; the resume unit does it by itself".to_owned(),
        ));
        commands.push(give_up(story, state));
    } else if let Some(step) = unknown_step(state) {
        commands.push((
            "Decide",
            format!("runbook resolve {run} {step} --done|--rerun|--skip --reason TEXT"),
            "after a look at the machine".to_owned(),
        ));
    } else if state.paused().is_some() {
        let failed = state.paused() == Some(PauseReason::Failed);
        let what = if failed { "tries the step again" } else { "looks again first" };
        commands.push(("Continue", format!("runbook resume {run}"), what.to_owned()));
        commands.push(give_up(story, state));
    } else {
        commands.push(("Watch", format!("runbook attach {run}"), "from here, as it goes on".to_owned()));
        // Of a process that goes forward nothing more can be asked than to pause.
        commands.extend(Some(give_up(story, state)).filter(|(_, command, _)| !command.contains("--abandon")));
        commands.push(("Pause", format!("runbook pause {run}"), "at the next checkpoint".to_owned()));
        commands.push(("Dead?", format!("runbook resume {run}"), "only if its process is gone".to_owned()));
    }
    let width = commands.iter().map(|(_, command, _)| command.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (label, command, note) in &commands {
        let gap = " ".repeat(width - command.len() + 3);
        let note = if note.is_empty() { String::new() } else { format!("{gap}({note})") };
        let note = if 12 + command.len() + columns(&note) <= style.columns() { note } else { String::new() };
        out.push_str(&format!("  {}{}{note}\n", pad(label, 10), style.paint(Tone::Strong, command)));
    }
    out
}

/// How a run is given up at this point, and what that means. Once the machine was asked to go down, and where the runbook
/// names no way back, there is nothing that the program could bring back: a person takes over, and says why.
fn give_up(story: &Story<'_>, state: &RunState) -> (&'static str, String, String) {
    let run = story.run;
    let no_way_back = story.plan.as_ref().is_some_and(|plan| plan.back_out.is_empty());
    let forward = state.rebooted() || state.waiting_for_reboot().is_some() || no_way_back;
    match (state.past_no_return(), forward) {
        (false, _) => ("Give up", format!("runbook abort {run}"), "nothing was taken away yet".to_owned()),
        (true, false) => ("Give up", format!("runbook abort {run}"), "brings the services back".to_owned()),
        (true, true) => {
            ("Give up", format!("runbook abort {run} --abandon --reason TEXT"), "leaves all as it is".to_owned())
        }
    }
}

fn unknown_step(state: &RunState) -> Option<&StepId> {
    state.steps().iter().find(|(_, step)| matches!(step.status, StepStatus::Unknown { .. })).map(|(id, _)| id)
}

pub(super) fn name_of(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

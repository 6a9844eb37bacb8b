//! The closing screen of a sitting: short, what did not come by name, the next command last.

use std::collections::HashMap;
use std::time::Duration;

use super::around::Around;
use super::came_back_view;
use super::fold::shared;
use super::label;
use super::lacking;
use super::layout::{clean, labelled, paragraph, patterns};
use super::offers::next;
use super::out::{Style, Tone};
use super::status::between;
use super::story::Story;
use crate::host::span::{clock, words};
use crate::journal::checkpoint::{End, Outcome, PauseReason, StepId};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;

/// As many losses for one reason are named one by one.
const FEW: usize = 3;

/// The closing screen of a sitting: how it ended, what did not come, what to type next. Ends with a newline.
#[must_use]
pub fn ending(entries: &[Entry], state: &RunState, around: &Around, style: &Style) -> String {
    let story = Story::of(entries);
    let mut out = String::from("\n");
    let (tone, word, text) = outcome(&story, state);
    labelled(&mut out, &format!("{word}  "), &word, tone, &text, style);
    figures(&mut out, &story, style);
    if let n @ 1.. = story.foreign_boots().count() {
        let times = if n == 1 { "once".to_owned() } else { format!("{n} times") };
        paragraph(
            &mut out,
            "  boots    ",
            &format!("the machine was restarted {times} meanwhile, and not by this run"),
            style,
        );
    }
    losses(&mut out, &story, state, style);
    troubles(&mut out, &story, state, around, style);
    if let Some(left) = story.left_down_in_words() {
        labelled(&mut out, "  DOWN     ", "DOWN", Tone::Bad, &left, style);
    }
    if let Some(found) = &story.came_back {
        came_back_view::lines(&mut out, found, story.run, style);
    }
    out.push_str(&next(&story, state, around, style));
    out
}

/// Whether the machine is, at the end of a run, in something other than it was and than anybody has announced.
#[must_use]
pub fn surprised(entries: &[Entry]) -> bool {
    Story::of(entries).came_back.is_some_and(|found| found.surprises().next().is_some())
}

fn outcome(story: &Story<'_>, state: &RunState) -> (Tone, String, String) {
    let name = story.opened.map_or(String::new(), |opened| clean(&opened.runbook_name));
    let whole = story.began.zip(story.latest).map_or(Duration::ZERO, |(from, to)| between(from, to));
    if let Some(ended) = state.ended() {
        let (tone, told) = story.ended_in_words(ended);
        let planned = story.plan.as_ref().map(|plan| {
            format!(" (plan {} typical, {} slow)", words(plan.takes().typically()), words(plan.takes().at_worst()))
        });
        let head = match ended {
            End::Done => "Done:".to_owned(),
            End::DoneWithLosses => "Done, with losses:".to_owned(),
            End::BackedOut | End::BackedOutWithLosses if tone == Tone::Bad => {
                let why = story.backed_out.map(|why| format!(" ({})", clean(why))).unwrap_or_default();
                return (tone, "Backed out:".to_owned(), format!("{name} {} {told}{why}", story.run));
            }
            End::BackedOut | End::BackedOutWithLosses => "Backed out:".to_owned(),
            End::Failed => "Given up:".to_owned(),
            End::Abandoned => "Abandoned:".to_owned(),
        };
        let why = story.backed_out.map(|why| format!("; {}", clean(why))).unwrap_or_default();
        return (tone, head, format!("{name} {} in {}{}{why}", story.run, words(whole), planned.unwrap_or_default()));
    }
    let done = state.steps().values().filter(|step| step.is_done()).count();
    let at = state.steps().iter().find(|(_, step)| !step.is_done()).map_or(String::new(), |(id, _)| id.to_string());
    let text = format!(
        "{name} {} at {at}, {done} of {} steps done. Everything so far is on record.",
        story.run,
        state.steps().len()
    );
    if state.backing_out() && state.paused() == Some(PauseReason::Failed) {
        let text = format!("{name} {} turned back, and services may be down: {}", story.run, why_not_back(story));
        return (Tone::Bad, "NOT brought back:".to_owned(), text);
    }
    match (state.waiting_for_reboot().is_some(), state.paused()) {
        (true, _) => (Tone::Warn, "Waiting for the reboot:".to_owned(), text),
        (false, Some(PauseReason::Failed)) => (Tone::Bad, "Stopped by a failure:".to_owned(), text),
        (false, Some(PauseReason::Signal)) => (Tone::Warn, "Stopped by a signal:".to_owned(), text),
        (false, Some(PauseReason::Operator)) => (Tone::Warn, "Waiting for a person:".to_owned(), text),
        (false, Some(PauseReason::Asked | PauseReason::Reboot)) => (Tone::Warn, "Paused:".to_owned(), text),
        (false, None) => (Tone::Warn, "Left:".to_owned(), text),
    }
}

/// What the latest sitting found missing on the way back.
fn why_not_back(story: &Story<'_>) -> String {
    story.paused_for.map_or_else(|| "it is not over".to_owned(), clean)
}

/// Counts, the longest steps and the cut-off.
fn figures(out: &mut String, story: &Story<'_>, style: &Style) {
    let (mut ok, mut again) = (0, 0);
    for told in story.steps.values().flat_map(|step| step.items.values()) {
        match told.outcome {
            Outcome::Applied if told.tries > 1 => again += 1,
            Outcome::Applied => ok += 1,
            _ => {}
        }
    }
    let good = [(ok, "ok"), (again, "ok after a retry")];
    let mut named: Vec<String> = good.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    named.extend(Some(lacking::counted(story)).filter(|lacking| !lacking.is_empty()));
    if !named.is_empty() {
        paragraph(out, "  items    ", &named.join(", "), style);
    }
    let mut longest: Vec<_> = story.steps.iter().filter(|(_, step)| step.took.as_secs() > 0).collect();
    longest.sort_by_key(|(_, step)| std::cmp::Reverse(step.took));
    let named: Vec<String> = longest
        .iter()
        .take(3)
        .map(|(id, step)| {
            let planned = story.planned(id).map(|p| format!(" (planned {})", clock(p.takes.span.typically())));
            format!("{id} {}{}", clock(step.took), planned.unwrap_or_default())
        })
        .collect();
    if !named.is_empty() {
        paragraph(out, "  longest  ", &named.join(", "), style);
    }
    if let Some((from, Some(to))) = story.cut_off() {
        let planned = story.plan.as_ref().and_then(crate::plan::Plan::cut_off);
        let planned = planned.map(|span| format!(" (planned {})", words(span.typically()))).unwrap_or_default();
        paragraph(out, "  users    ", &format!("cut off for {}{planned}", words(between(from, to))), style);
    }
}

/// Losses of one step for one reason, with the evidence of the first.
struct Group<'a> {
    id: &'a StepId,
    /// The reason as the first one has it, and without that one's name.
    why: &'a str,
    shared: String,
    items: Vec<&'a str>,
    causes: Vec<&'a str>,
}

/// A few are told each with its own evidence; of many for one reason that of the first has to do.
fn groups<'a>(story: &'a Story<'_>) -> Vec<Group<'a>> {
    let losses = story.shortfalls();
    let mut counts: HashMap<(&StepId, String), usize> = HashMap::new();
    for (id, item, why, _) in &losses {
        *counts.entry((id, shared(item, why))).or_default() += 1;
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (id, item, why, causes) in &losses {
        let key = (*id, shared(item, why));
        let many = counts.get(&key).is_some_and(|count| *count > FEW);
        let (id, key) = key;
        let same = |group: &&mut Group<'_>| {
            (group.id, &group.shared) == (id, &key) && (group.causes == *causes && group.why == *why || many)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.items.push(item),
            None => groups.push(Group { id, why, shared: key, items: vec![item], causes: causes.clone() }),
        }
    }
    groups
}

/// By name: what was seen, and the evidence. Many of one step for the same reason are one line, with what their names share.
fn losses(out: &mut String, story: &Story<'_>, state: &RunState, style: &Style) {
    for Group { id, why, items, causes, .. } in groups(story) {
        let (tone, label) = match state.steps().get(id) {
            Some(step) if step.is_done() => (Tone::Warn, "  lost     "),
            Some(step) if matches!(step.status, StepStatus::Unknown { .. }) => (Tone::Bad, "  UNKNOWN  "),
            _ => (Tone::Bad, "  FAILED   "),
        };
        let names: Vec<String> = items.iter().map(|item| label::label(item)).collect();
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        let named = if words.len() > FEW { vec![patterns(&words, 100)] } else { names };
        for name in named {
            labelled(out, label, label.trim(), tone, &format!("{id} {name}: {}", clean(why)), style);
        }
        for cause in causes.iter().take(5) {
            paragraph(out, "             ", &clean(cause), style);
        }
    }
}

/// A step that stands in the way: what was seen, what it means, what was not done.
fn troubles(out: &mut String, story: &Story<'_>, state: &RunState, around: &Around, style: &Style) {
    if state.ended().is_some() {
        return;
    }
    let after: Vec<String> =
        state.steps().iter().filter(|(_, step)| !step.is_done()).skip(1).map(|(id, _)| id.to_string()).collect();
    for (id, step) in state.steps() {
        let (label, seen, means) = match &step.status {
            StepStatus::Failed { error } => ("FAILED", error, "every outcome is known, so the step can be tried again"),
            StepStatus::Unknown { why } if around.settles => {
                ("UNKNOWN", why, "it may or may not have happened, and doing it twice does no harm")
            }
            StepStatus::Unknown { why } => ("UNKNOWN", why, "it may or may not have happened; look, then decide"),
            _ => continue,
        };
        // Told above by its item, whatever the step says beside it (how many more, which sitting).
        let told = |item: &str, why: &str| seen.starts_with(&format!("{item}: {why}"));
        let named = story.shortfalls().iter().any(|(of, item, why, _)| *of == id && told(item, why));
        let lead = format!("  {label:<9}");
        if !named {
            labelled(out, &lead, label, Tone::Bad, &format!("{id}: {}", clean(seen)), style);
        }
        paragraph(out, "  means    ", means, style);
        if !after.is_empty() {
            paragraph(out, "  not done ", &after.join(", "), style);
        }
    }
}

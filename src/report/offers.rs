//! What can be typed next for a run: exact commands, none that could not succeed where and when they are printed.

use super::around::Around;
use super::calls::{call, offer};
use super::layout::{columns, pad};
use super::out::{Style, Tone};
use super::story::Story;
use crate::host::shell_word::word;
use crate::journal::checkpoint::{PauseReason, StepId};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;

/// A command, in front of it what it is for, behind it what it does.
type Offer = (&'static str, String, String);

/// The exact commands that come next; none that could not succeed.
pub(super) fn next(story: &Story<'_>, state: &RunState, around: &Around, style: &Style) -> String {
    if around.rehearsed {
        return String::new();
    }
    if let Some(refused) = around.refused.as_ref().filter(|_| state.ended().is_none() && around.at_work != Some(true)) {
        return refused.ways.iter().map(|way| format!("  {way}\n")).collect();
    }
    let commands: Vec<Offer> =
        offers(story, state, around).into_iter().map(|(label, words, note)| (label, call(&words), note)).collect();
    // A long command does not push the notes of the others off the screen.
    let fits = |command: &String, note: &String| 17 + command.len() + columns(note) <= style.columns();
    let short = commands.iter().filter(|(_, command, note)| fits(command, note));
    let width = short.map(|(_, command, _)| command.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (label, command, note) in &commands {
        // One that would be broken by its label stands on a line of its own; one that is longer than any line cannot be helped.
        if 12 + command.len() > style.columns() {
            let heading = if label.is_empty() { String::new() } else { format!("  {label}\n") };
            out.push_str(&format!("{heading}  {}\n", style.paint(Tone::Strong, command)));
            continue;
        }
        let gap = " ".repeat(width.saturating_sub(command.len()) + 3);
        let note = if note.is_empty() { String::new() } else { format!("{gap}({note})") };
        let note = if 12 + command.len() + columns(&note) <= style.columns() { note } else { String::new() };
        out.push_str(&format!("  {}{}{note}\n", pad(label, 10), style.paint(Tone::Strong, command)));
    }
    out
}

/// What can be typed for a run that nobody works on, one command with its meaning a line.
#[must_use]
pub fn ways(entries: &[Entry], state: &RunState, around: &Around) -> Vec<String> {
    if let Some(refused) = &around.refused {
        return refused.ways.clone();
    }
    offers(&Story::of(entries), state, around).into_iter().map(|(_, words, note)| offer(&words, &note)).collect()
}

fn offers(story: &Story<'_>, state: &RunState, around: &Around) -> Vec<Offer> {
    let (run, resume) = (story.run, around.resume(story.run));
    if state.ended().is_some() {
        return vec![("Report", format!("report {run} --format md"), String::new())];
    }
    let alive = around.at_work.unwrap_or_else(|| maybe_alive(state));
    if alive {
        return at_work(story, state, around);
    }
    let mut offers: Vec<Offer> = Vec::new();
    if state.waiting_for_reboot().is_some() {
        let note = match (around.back_since(state), &around.resume_unit) {
            (Some(_), _) => "goes forward, window or no window",
            (None, Some(_)) | (None, None) if around.at_work.is_none() => {
                "after the boot; the resume unit does it by itself"
            }
            (None, Some(_)) => "after the boot; the resume unit does it by itself",
            (None, None) => "after the boot; there is no resume unit",
        };
        offers.push((if around.back_since(state).is_some() { "Go on" } else { "Then" }, resume, note.to_owned()));
    } else if state.backing_out() || (unknown_step(state).is_some() && around.brings_back(story, state)) {
        let doubt = if unknown_step(state).is_some() { "; the doubt stays on record" } else { "" };
        offers.push(("Back out", resume, format!("brings the services back{doubt}")));
        // Of the way back itself somebody has to say what has happened: the run is not over before that.
        if let Some(step) = unknown_step(state).filter(|step| state.backing_out() && on_the_way_back(story, step)) {
            offers.extend(rulings(run, step));
        }
    } else if let Some(step) = unknown_step(state).filter(|_| !around.settles) {
        offers.extend(rulings(run, step));
        let note = "leaves all as it is".to_owned();
        offers.push(("Give up", format!("abort {run} --abandon --reason TEXT"), note));
        return offers;
    } else {
        let failed = state.paused() == Some(PauseReason::Failed);
        let note = match (&around.window, failed) {
            (Some(_), _) => "outside the window, with a reason",
            (None, _) if around.settles => "looks what has happened, and goes on from there",
            (None, true) => "tries the step again",
            (None, false) => "looks again first",
        };
        offers.push(("Continue", resume, note.to_owned()));
    }
    offers.extend(failed_step(story, state).map(|step| without(run, step)));
    offers.push(give_up(story, state, around));
    offers
}

/// Going by the journal alone: its last word is none that a process leaves behind.
fn maybe_alive(state: &RunState) -> bool {
    state.paused().is_none() && state.waiting_for_reboot().is_none() && unknown_step(state).is_none()
}

/// While its process lives; where nobody knows whether it does, with the way on for the case that it does not.
fn at_work(story: &Story<'_>, state: &RunState, around: &Around) -> Vec<Offer> {
    let run = story.run;
    let mut offers = vec![("Watch", format!("attach {run}"), "from here, as it goes on".to_owned())];
    // Of a process that goes forward nothing more can be asked than to pause.
    offers.extend(Some(give_up(story, state, around)).filter(|(_, command, _)| !command.contains("--abandon")));
    if !state.backing_out() {
        offers.push(("Pause", format!("pause {run}"), "at the next checkpoint".to_owned()));
    }
    if around.at_work.is_none() {
        offers.push(("Dead?", format!("resume {run}"), "only if its process is gone".to_owned()));
    }
    offers
}

/// The three rulings that a step in doubt can be given, each as a command of its own.
fn rulings(run: &str, step: &StepId) -> [Offer; 3] {
    let step = word(step.as_str());
    [("Decide", "done", "it has happened"), ("", "rerun", "do it once more"), ("", "skip", "go on without it")]
        .map(|(label, how, note)| (label, format!("resolve {run} {step} --{how} --reason TEXT"), note.to_owned()))
}

/// How a run is given up at this point, and what that means. Once the machine was asked to go down, and where the runbook
/// names no way back, there is nothing that the program could bring back: a person takes over, and says why.
fn give_up(story: &Story<'_>, state: &RunState, around: &Around) -> Offer {
    let run = story.run;
    let abandon = || format!("abort {run} --abandon --reason TEXT");
    if state.backing_out() {
        return ("Give up", abandon(), "leaves all as it is".to_owned());
    }
    match (state.past_no_return(), around.brings_back(story, state)) {
        (false, _) if state.waiting_for_reboot().is_none() => {
            ("Give up", format!("abort {run}"), "nothing was taken away yet".to_owned())
        }
        (_, true) => ("Give up", format!("abort {run}"), "brings the services back".to_owned()),
        _ => ("Give up", abandon(), "leaves all as it is".to_owned()),
    }
}

/// The orderly way on where a step cannot succeed any more: it is left out, which is a loss with a name and a reason.
fn without(run: &str, step: &StepId) -> Offer {
    let words = format!("resolve {run} {} --skip --reason TEXT", word(step.as_str()));
    ("Skip it", words, "a loss; then resume".to_owned())
}

/// A failed step that stands in the way: while the run turns back, one of the way back.
fn failed_step<'a>(story: &Story<'_>, state: &'a RunState) -> Option<&'a StepId> {
    let on_the_way = |id: &StepId| !state.backing_out() || on_the_way_back(story, id);
    let failed = |(id, step): &(&StepId, &crate::journal::step::StepState)| {
        matches!(step.status, StepStatus::Failed { .. }) && on_the_way(id)
    };
    state.steps().iter().find(failed).map(|(id, _)| id)
}

fn on_the_way_back(story: &Story<'_>, id: &StepId) -> bool {
    story.plan.as_ref().is_some_and(|plan| plan.back_out.iter().any(|phase| phase == id.phase()))
}

fn unknown_step(state: &RunState) -> Option<&StepId> {
    state.steps().iter().find(|(_, step)| matches!(step.status, StepStatus::Unknown { .. })).map(|(id, _)| id)
}

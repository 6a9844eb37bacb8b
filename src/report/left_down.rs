//! What a run that is over has stopped and not brought back. A run that was abandoned, or given up, ends without a look at the host, so this
//! is told from what the run itself has done since; somebody else may have brought it back.

use super::label::label;
use super::layout::patterns;
use super::progress::is_chore;
use super::story::{StepTold, Story};
use crate::journal::checkpoint::{End, How, StepId};

impl Story<'_> {
    /// By key, in the order in which it was stopped. Empty while the run is not over, and for what the runbook of a run that is done never
    /// meant to bring back.
    pub(super) fn left_down(&self) -> Vec<&str> {
        let Some((_, end)) = self.ended else { return Vec::new() };
        let stops = self.steps.iter().filter(|(id, _)| self.action(id).is_some_and(|kind| kind.takes_away()));
        let stopped = stops.flat_map(|(id, step)| {
            let brings = self.bring_back(id);
            let meant = matches!(end, End::Done | End::DoneWithLosses) && brings.is_empty();
            let gone = step.items.iter().filter(move |(item, told)| !meant && told.is_good() && !is_chore(item));
            gone.map(|(item, _)| *item).filter(move |item| !brings.iter().any(|step| has_it(step, item)))
        });
        stopped.collect()
    }

    /// The same for people: many that are alike in few words.
    pub(super) fn left_down_in_words(&self) -> Option<String> {
        let names: Vec<String> = self.left_down().into_iter().map(label).collect();
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        let named = match words.len() {
            0 => return None,
            1..=5 => words.join(", "),
            _ => patterns(&words, 200),
        };
        Some(format!("{} that the run has stopped and not brought back: {named}", words.len()))
    }

    /// The steps that bring back, or compare, what this one has stopped.
    fn bring_back(&self, stop: &StepId) -> Vec<&StepTold<'_>> {
        let Some(stop) = self.planned(stop) else { return Vec::new() };
        let brings = |id: &StepId| {
            let step = self.planned(id).filter(|step| step.subject == stop.subject);
            step.is_some_and(|step| step.action.brings_back() || step.action.brings_apps())
        };
        self.steps.iter().filter(|(id, _)| brings(id)).map(|(_, step)| step).collect()
    }
}

/// Whether a step that brings back has this one.
fn has_it(step: &StepTold<'_>, item: &str) -> bool {
    match step.how() {
        Some(How::Applied | How::AlreadySo | How::Ruled) => true,
        // Named as a loss already.
        Some(How::WithLosses { .. }) => true,
        Some(How::Skipped { .. }) | None => step.items.get(item).is_some_and(|told| told.is_good()),
    }
}

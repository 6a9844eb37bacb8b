//! What a run that is over has stopped and not brought back. A run that was abandoned, or given up, ends without a look at the host, so this
//! is told from what the run itself has done since; somebody else may have brought it back.

use super::label::label;
use super::layout::patterns;
use super::progress::is_chore;
use super::story::{StepTold, Story};
use crate::journal::checkpoint::{How, StepId};

impl Story<'_> {
    /// By key, in the order in which it was stopped. Empty while the run is not over.
    pub(super) fn left_down(&self) -> Vec<&str> {
        let stops = self
            .steps
            .iter()
            .filter(|(id, _)| self.ended.is_some() && self.action(id).is_some_and(|kind| kind.takes_away()));
        let stopped = stops.flat_map(|(id, step)| {
            let gone = step.items.iter().filter(|(item, told)| told.is_good() && !is_chore(item));
            gone.map(move |(item, _)| (id, *item))
        });
        stopped.filter(|(id, item)| !self.brought_back(id, item)).map(|(_, item)| item).collect()
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

    fn brought_back(&self, stopped_by: &StepId, item: &str) -> bool {
        let subject = self.planned(stopped_by).map(|step| &step.subject);
        self.steps.iter().any(|(id, step)| {
            let same = self.planned(id).map(|step| &step.subject) == subject;
            same && self.action(id).is_some_and(|kind| kind.brings_back()) && has_it(step, item)
        })
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

//! What is missing of a run, by name: what did not come on the way forward, and what the way back has not brought back. An app that two
//! steps miss (the restore, and the comparison behind it) is one thing, and is told with the first reason.
use std::collections::HashSet;

use super::story::{ItemTold, StepTold, Story};
use crate::action::Subject;
use crate::journal::checkpoint::{How, Outcome, StepId};

/// Step, item, why, evidence.
pub(super) type Missing<'s> = (&'s StepId, &'s str, &'s str, Vec<&'s str>);

/// What an item is an item of: equal names of equal ones are one thing.
#[derive(PartialEq, Eq, Hash)]
enum Of<'s> {
    Subject(&'s Subject),
    Step(&'s StepId),
}

/// The things that were named already.
struct Known<'s> {
    story: &'s Story<'s>,
    all: HashSet<(Of<'s>, &'s str)>,
}

impl<'s> Known<'s> {
    fn of(story: &'s Story<'s>) -> Self {
        Self { story, all: HashSet::new() }
    }

    /// Whether it is named for the first time.
    fn is_new(&mut self, id: &'s StepId, item: &'s str) -> bool {
        let of = match self.story.planned(id).map(|step| &step.subject) {
            Some(Subject::Step) | None => Of::Step(id),
            Some(subject) => Of::Subject(subject),
        };
        self.all.insert((of, item))
    }
}

impl Story<'_> {
    /// What is missing at the end. A run that turned back has lost nothing by what it did not get done on the way forward, but what
    /// nobody knows of it.
    pub(super) fn losses(&self) -> Vec<Missing<'_>> {
        let mut losses = self.shortfalls();
        if self.backed_out.is_some() {
            let in_doubt = |id: &StepId| self.steps.get(id).is_some_and(|step| step.in_doubt().is_some());
            losses.retain(|(id, ..)| self.way_back(id) || in_doubt(id));
        }
        losses
    }

    /// Items that did not come, of all steps.
    pub(super) fn shortfalls(&self) -> Vec<Missing<'_>> {
        let mut known = Known::of(self);
        let mut missing = Vec::new();
        for (id, step) in &self.steps {
            // Somebody has seen that it is done, or a later look has found everything: what an earlier attempt lacked was repaired.
            if matches!(step.how(), Some(How::Ruled | How::AlreadySo)) {
                continue;
            }
            let new = failed(step).chain(tolerated(step)).filter(|(item, ..)| known.is_new(id, item));
            missing.extend(new.map(|(item, why, causes)| (id, item, why, causes)));
            // Left out before anything of it was begun: the step itself is what is missing.
            if let Some(why) = ruling(step).filter(|_| step.items.values().all(ItemTold::is_good)) {
                missing.push((id, if step.title.is_empty() { "the step" } else { step.title }, why, Vec::new()));
            }
            // Once the run is over nobody will settle it any more.
            if let Some(why) = step.in_doubt().filter(|_| self.ended.is_some()) {
                let open = step.open.iter().filter(|item| step.items.get(*item).is_none_or(|told| told.is_good()));
                missing.extend(open.map(|item| (id, *item, why, Vec::new())));
            }
        }
        missing
    }

    /// Of a run that backed out: what the way back did not bring back, step by step.
    pub(super) fn not_back(&self) -> Vec<String> {
        if self.backed_out.is_none() || !(self.ended.is_some() || self.paused_now()) {
            return Vec::new();
        }
        let mut known = Known::of(self);
        let mut lacks = Vec::new();
        for (id, step) in self.steps.iter().filter(|(id, _)| self.way_back(id)) {
            match step.how() {
                Some(How::WithLosses { losses }) => {
                    lacks.extend(losses.iter().filter(|loss| known.is_new(id, &loss.item)).map(ToString::to_string));
                }
                Some(How::Skipped { why }) => lacks.push(format!("{id}: {why}")),
                Some(How::Applied | How::AlreadySo | How::Ruled) => {}
                None => lacks.push(format!("{id}: {}", step.unknown.or(step.error).unwrap_or("not done"))),
            }
        }
        lacks
    }

    /// Whether a step belongs to the way back.
    fn way_back(&self, id: &StepId) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.back_out.iter().any(|phase| phase == id.phase()))
    }
}

/// Why a step was left out.
fn ruling<'s>(step: &'s StepTold<'_>) -> Option<&'s str> {
    match step.how()? {
        How::Skipped { why } => Some(why),
        How::Applied | How::AlreadySo | How::Ruled | How::WithLosses { .. } => None,
    }
}

/// Items that did not come. Of a step that was left out, the ruling and its reason stand behind what failed in it.
fn failed<'s>(step: &'s StepTold<'_>) -> impl Iterator<Item = (&'s str, &'s str, Vec<&'s str>)> {
    step.items.iter().filter_map(|(item, told)| {
        let (why, causes): (&str, &[String]) = match told.outcome {
            Outcome::Failed { why, causes } => (why, causes),
            Outcome::Unknown { why } => (why, &[]),
            Outcome::Applied | Outcome::NotBegun => return None,
        };
        Some((*item, why, causes.iter().map(String::as_str).chain(ruling(step)).collect()))
    })
}

/// A step that only looks has lost things that are no items of it.
fn tolerated<'s>(step: &'s StepTold<'_>) -> impl Iterator<Item = (&'s str, &'s str, Vec<&'s str>)> {
    let losses = match step.how() {
        Some(How::WithLosses { losses }) => losses.as_slice(),
        Some(How::Applied | How::AlreadySo | How::Ruled | How::Skipped { .. }) | None => &[],
    };
    losses.iter().map(|loss| (loss.item.as_str(), loss.why.as_str(), Vec::new()))
}

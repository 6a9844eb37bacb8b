//! The session report's end: what went wrong, who decided what, and what to do before the next time.

use std::time::Duration;

use super::{Page, cell, of_apps};
use crate::host::span::words;
use crate::journal::checkpoint::{Checkpoint, How};
use crate::report::calls::call;
use crate::report::label::label;
use crate::report::lacking::{Kind, kind};
use crate::report::telling::{decision, pause, person};

impl Page<'_> {
    /// Failures, retries and doubts.
    pub(super) fn trouble(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        for (at, id, error) in &self.story.failures {
            lines.push(format!("- {} **FAILED** {id}: {}", self.at(*at), cell(error)));
        }
        for (id, step) in &self.story.steps {
            if step.attempts > 1 {
                lines.push(format!("- {id} took {} attempts", step.attempts));
            }
            for (item, told) in step.items.iter().filter(|(_, told)| told.tries > 1) {
                lines.push(format!("- {id}: {} was begun {} times", cell(&label(item)), told.tries));
            }
            if let (Some(why), None) = (step.unknown, step.how()) {
                lines.push(format!("- **UNKNOWN** {id}: {}", cell(why)));
            }
            if let Some(How::Skipped { why }) = step.how() {
                lines.push(format!("- {id} was skipped: {}", cell(why)));
            }
        }
        let told = |item: &str, why: &str| {
            self.story.failures.iter().any(|(.., error)| error.starts_with(&format!("{item}: {why}")))
        };
        for (id, item, why, _) in self.story.shortfalls().into_iter().filter(|(id, ..)| !of_apps(self.story.action(id)))
        {
            let left_out = matches!(self.story.steps.get(id).and_then(|step| step.how()), Some(How::Skipped { why: of }) if of == why);
            if told(item, why) || left_out {
                continue;
            }
            lines.push(format!("- {id} {}: {}", cell(&label(item)), cell(why)));
        }
        for (step, concern) in self.warnings() {
            lines.push(format!("- warned beforehand, {step}: {concern}"));
        }
        self.chapter("Retries, failures, warnings", &lines);
    }

    fn warnings(&self) -> Vec<(String, String)> {
        let steps = self.story.plan.iter().flat_map(|plan| &plan.steps);
        let concerns = steps.flat_map(|step| step.change.concerns.iter().map(move |concern| (step, concern)));
        let bad = concerns.filter(|(_, concern)| concern.weight >= crate::action::change::Weight::Warn);
        bad.map(|(step, c)| (step.id.to_string(), format!("{}: {}", cell(&c.about), cell(&c.seen)))).collect()
    }

    /// Decisions, pauses and resumes.
    pub(super) fn people(&mut self) {
        let mut lines = Vec::new();
        for entry in &self.story.asides {
            let text = match &entry.checkpoint {
                Checkpoint::Decision { who, what, reason } => cell(&decision(who, what, reason)),
                Checkpoint::Paused { why, note } => {
                    format!(
                        "paused, {}{}",
                        pause(*why),
                        note.as_deref().map(|note| format!(": {}", cell(note))).unwrap_or_default()
                    )
                }
                Checkpoint::Resumed { owner, unattended, .. } => {
                    let who = if *unattended { "the resume unit".to_owned() } else { cell(&person(owner)) };
                    format!("resumed by {who}")
                }
                Checkpoint::Recovered { dropped_bytes, copy } => {
                    format!("{dropped_bytes} torn bytes at the journal's end were dropped, copy in `{}`", cell(copy))
                }
                _ => continue,
            };
            lines.push(format!("- {} {text}", self.at(entry.wall)));
        }
        self.chapter("Decisions, pauses, resumes", &lines);
    }

    /// What to do before the next time.
    pub(super) fn follow_ups(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        let lost = self.story.losses();
        for (id, item, ..) in &lost {
            match kind(&self.story, id, item) {
                Kind::App => lines.push(format!("- [ ] repair `{}`, or declare it `optional`", cell(&label(item)))),
                Kind::LeftOut => {
                    lines.push(format!("- [ ] {id} was left out: do what it was for, `{}`", cell(&label(item))))
                }
                Kind::Unit | Kind::Redis | Kind::Check | Kind::Work => {
                    lines.push(format!("- [ ] {id}: look after `{}`", cell(&label(item))));
                }
                // Told below.
                Kind::Doubt => {}
            }
        }
        lines.extend(
            self.surprises
                .iter()
                .map(|what| format!("- [ ] {what} is not as it was: look, or list it in `may_differ`")),
        );
        for (id, step) in &self.story.steps {
            let Some(planned) = self.story.planned(id) else {
                continue;
            };
            let slow = planned.takes.span.slow;
            if step.took.as_secs_f64() > slow * 1.2 && step.took.as_secs() > 10 {
                let (took, slow) = (words(step.took), words(Duration::from_secs_f64(slow.clamp(0.0, 1e9))));
                lines.push(format!("- [ ] {id} took {took}, the slow estimate was {slow}: book more next time"));
            }
            if let Some(How::Ruled) = step.how() {
                lines.push(format!("- [ ] {id} was ruled done by a person: check it"));
            }
        }
        if self.story.ended.is_none() {
            lines.push(format!("- [ ] the run is not over: `{}`", call(&format!("status {}", self.story.run))));
        }
        let left = self.story.left_down();
        lines.extend(
            left.iter()
                .map(|item| format!("- [ ] bring back `{}`: the run stopped it and did not", cell(&label(item)))),
        );
        if self.story.ended.is_some() {
            let doubts = self.story.doubts();
            lines.extend(doubts.iter().map(|(id, _)| format!("- [ ] look whether {id} happened: nobody knows")));
        }
        if lines.is_empty() {
            lines.push("- none".to_owned());
        }
        self.chapter("Follow-ups", &lines);
    }
}

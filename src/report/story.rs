//! What happened, read back from the checkpoints of a run: the common ground of status, ending and session report.

use std::collections::HashMap;
use std::time::Duration;

use indexmap::{IndexMap, IndexSet};
use jiff::Timestamp;

use super::lacking;
use super::out::Tone;
use super::progress::is_chore;
use super::telling::end;
use crate::action::{ActionKind, Subject};
use crate::journal::checkpoint::{
    Checkpoint, End, How, Opened, Outcome, Owner, PauseReason, Resolution, Ruling, StepId,
};
use crate::journal::record::Entry;
use crate::plan::{CameBack, Plan, PlannedStep};

/// One item as it ended last.
#[derive(Debug, Clone)]
pub(super) struct ItemTold<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) note: Option<&'a str>,
    pub(super) took: Duration,
    /// How often it was begun.
    pub(super) tries: u32,
}

/// One step over all attempts.
#[derive(Debug, Clone, Default)]
pub(super) struct StepTold<'a> {
    pub(super) title: &'a str,
    pub(super) began: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) took: Duration,
    pub(super) attempts: u32,
    pub(super) of: usize,
    /// See [`Self::how`].
    done: Option<How>,
    pub(super) error: Option<&'a str>,
    pub(super) unknown: Option<&'a str>,
    pub(super) items: IndexMap<&'a str, ItemTold<'a>>,
    intents: IndexMap<&'a str, u32>,
    /// Begun, and no outcome since.
    pub(super) open: IndexSet<&'a str>,
    only_chores: bool,
    /// The first moment at which it may have had an effect.
    pub(super) touched: Option<Timestamp>,
    /// It took the machine down, and another boot id has proven it.
    pub(super) rebooted: bool,
}

/// A proven reboot.
#[derive(Debug, Clone)]
pub(super) struct RebootTold<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
    pub(super) took: Duration,
}

/// A boot in which the run was found again.
#[derive(Debug, Clone)]
pub(super) struct BootTold<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
    /// The first record in it.
    pub(super) found: Timestamp,
    /// The run's own reboot has proven it; otherwise somebody, or something, else restarted the machine.
    pub(super) by_run: bool,
}

/// A whole run.
pub(super) struct Story<'a> {
    pub(super) run: &'a str,
    pub(super) opened: Option<&'a Opened>,
    pub(super) plan: Option<Plan>,
    /// Where a step stands in that plan.
    planned_at: HashMap<StepId, usize>,
    pub(super) began: Option<Timestamp>,
    pub(super) latest: Option<Timestamp>,
    pub(super) steps: IndexMap<StepId, StepTold<'a>>,
    pub(super) reboots: Vec<RebootTold<'a>>,
    /// Every boot after the one in which it began.
    pub(super) boots: Vec<BootTold<'a>>,
    /// Failed attempts, in order: step, reason.
    pub(super) failures: Vec<(Timestamp, StepId, &'a str)>,
    /// Everything else that a person should read: pauses, resumes, decisions.
    pub(super) asides: Vec<&'a Entry>,
    /// What the latest pause says besides its reason.
    pub(super) paused_for: Option<&'a str>,
    /// And that reason.
    pub(super) paused_why: Option<PauseReason>,
    pub(super) backed_out: Option<&'a str>,
    pub(super) ended: Option<(Timestamp, End)>,
    pub(super) abandoned: Option<(&'a str, &'a str)>,
    pub(super) owner: Option<&'a Owner>,
    /// What is not as it was when the run began; `None` before the end, and in journals of older versions.
    pub(super) came_back: Option<CameBack>,
}

impl<'a> Story<'a> {
    /// Reads entries in order. A journal that is cut short gives a story that is cut short.
    pub(super) fn of(entries: &'a [Entry]) -> Self {
        let mut story = Self {
            run: entries.first().map_or("", |entry| &*entry.run),
            opened: None,
            plan: None,
            planned_at: HashMap::new(),
            began: entries.first().map(|entry| entry.wall),
            latest: entries.last().map(|entry| entry.wall),
            steps: IndexMap::new(),
            reboots: Vec::new(),
            boots: Vec::new(),
            failures: Vec::new(),
            asides: Vec::new(),
            paused_for: None,
            paused_why: None,
            backed_out: None,
            ended: None,
            abandoned: None,
            owner: None,
            came_back: None,
        };
        let mut boot = entries.first().map_or("", |entry| &*entry.boot_id);
        for entry in entries {
            if *entry.boot_id != *boot {
                let (old, new) = (boot, &*entry.boot_id);
                story.boots.push(BootTold { old, new, found: entry.wall, by_run: false });
                boot = new;
            }
            story.take_in(entry);
        }
        story
    }

    fn take_in(&mut self, entry: &'a Entry) {
        match &entry.checkpoint {
            Checkpoint::Opened(opened) => {
                self.opened = Some(opened);
                self.owner = Some(&opened.owner);
                self.plan = opened.plan.read().ok();
                let steps = self.plan.iter().flat_map(|plan| plan.steps.iter().enumerate());
                self.planned_at = steps.map(|(at, step)| (step.id.clone(), at)).collect();
                self.steps = opened.steps.iter().map(|step| (step.clone(), StepTold::default())).collect();
            }
            Checkpoint::BackOut { reason } => self.backed_out = Some(reason),
            Checkpoint::Finished { outcome, summary } => {
                self.ended = Some((entry.wall, *outcome));
                self.came_back = summary.get("came_back").and_then(|value| serde_json::from_value(value.clone()).ok());
            }
            Checkpoint::Abandoned { who, reason } => {
                self.ended = Some((entry.wall, End::Abandoned));
                self.abandoned = Some((who, reason));
            }
            Checkpoint::Resumed { .. }
            | Checkpoint::Paused { .. }
            | Checkpoint::Decision { .. }
            | Checkpoint::Recovered { .. } => {
                if let Checkpoint::Decision { who, what: Ruling::Resolve { step, how }, reason } = &entry.checkpoint {
                    self.ruled(step, *how, || format!("set aside by {who}: {reason}"));
                }
                if let Checkpoint::Paused { why, note } = &entry.checkpoint {
                    self.paused_for = note.as_deref();
                    self.paused_why = Some(*why);
                }
                self.asides.push(entry);
            }
            of_a_step => {
                if let Some(id) = of_a_step.step() {
                    let step = self.steps.entry(id.clone()).or_default();
                    step.take_in(of_a_step, entry.wall);
                    match of_a_step {
                        Checkpoint::StepFailed { error, .. } => self.failures.push((entry.wall, id.clone(), error)),
                        Checkpoint::Rebooted { old, new, took_ms, .. } => {
                            self.reboots.push(RebootTold { old, new, took: Duration::from_millis(*took_ms) });
                            if let Some(boot) = self.boots.last_mut().filter(|boot| boot.old == old && boot.new == new)
                            {
                                boot.by_run = true;
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// A person's word settles a step without a record of its own.
    fn ruled(&mut self, step: &StepId, how: Resolution, why: impl FnOnce() -> String) {
        let step = self.steps.entry(step.clone()).or_default();
        step.done = match how {
            Resolution::Done => Some(How::Ruled),
            Resolution::Skip => Some(How::Skipped { why: why() }),
            Resolution::Rerun => None,
        };
    }

    /// Boots that the run had not asked for.
    pub(super) fn foreign_boots(&self) -> impl Iterator<Item = &BootTold<'a>> {
        self.boots.iter().filter(|boot| !boot.by_run)
    }

    /// The step as planned.
    pub(super) fn planned(&self, id: &StepId) -> Option<&PlannedStep> {
        self.plan.as_ref()?.steps.get(*self.planned_at.get(id)?)
    }

    /// The action behind a step.
    pub(super) fn action(&self, id: &StepId) -> Option<ActionKind> {
        self.planned(id).map(|step| step.action)
    }

    /// The phases with their steps, in order.
    pub(super) fn phases(&self) -> IndexMap<&str, Vec<(&StepId, &StepTold<'a>)>> {
        let mut phases: IndexMap<&str, Vec<(&StepId, &StepTold<'a>)>> = IndexMap::new();
        for (id, step) in &self.steps {
            phases.entry(id.phase()).or_default().push((id, step));
        }
        phases
    }

    /// When users were cut off: the first effect of the point of no return, and the end of the last step that brings
    /// service back, if that has come.
    pub(super) fn cut_off(&self) -> Option<(Timestamp, Option<Timestamp>)> {
        let from = self.steps.get(self.opened?.no_return.as_ref()?)?.touched?;
        let plan = self.plan.as_ref()?;
        let no_return = self.opened?.no_return.as_ref();
        let behind = plan.steps.iter().skip_while(|step| Some(&step.id) != no_return);
        let mut back = behind.filter(|step| step.brings_back).peekable();
        back.peek()?;
        // Turned back and not over: whatever a step has brought back, something else is still missing.
        if self.backed_out.is_some() && self.ended.is_none() {
            return Some((from, None));
        }
        let way_back = |step: &PlannedStep| plan.back_out.contains(&step.phase);
        let mut counts = back.filter(|step| self.backed_out.is_none() || way_back(step));
        let all = counts.try_fold(from, |latest, step| Some(latest.max(self.seen_back(step)?)));
        Some((from, all.filter(|at| *at > from)))
    }

    /// When a look has found back what a step was to bring: at its own end, or at the end of a comparison behind it. A step that
    /// was left out, or ruled done, was looked at by nobody.
    fn seen_back(&self, step: &PlannedStep) -> Option<Timestamp> {
        let looked = |step: &PlannedStep| {
            let told = self.steps.get(&step.id)?;
            match told.how()? {
                How::Applied | How::AlreadySo | How::WithLosses { .. } => told.ended,
                How::Skipped { .. } | How::Ruled => None,
            }
        };
        let plan = self.plan.as_ref()?;
        let behind = plan.steps.iter().skip_while(|other| other.id != step.id).skip(1);
        let mut same = behind.filter(|other| {
            other.subject == step.subject && step.subject != Subject::Step && (other.waits || other.brings_back)
        });
        looked(step).or_else(|| same.find_map(looked))
    }

    /// Whether the last thing on record is that it stands still.
    pub(super) fn paused_now(&self) -> bool {
        self.asides
            .last()
            .is_some_and(|last| matches!(last.checkpoint, Checkpoint::Paused { .. }) && Some(last.wall) == self.latest)
    }

    /// Steps of which nobody knows whether they happened, with what was seen last.
    pub(super) fn doubts(&self) -> Vec<(&StepId, &'a str)> {
        self.steps.iter().filter_map(|(id, step)| Some((id, step.in_doubt()?))).collect()
    }

    /// How the run ended, in words: those of backing out come from what the way back has brought about.
    pub(super) fn ended_in_words(&self, outcome: End) -> (Tone, String) {
        let (tone, word) = end(outcome);
        if outcome == End::DoneWithLosses {
            let counted = lacking::counted(self);
            return (tone, if counted.is_empty() { word.to_owned() } else { format!("{word}: {counted}") });
        }
        if !matches!(outcome, End::BackedOut | End::BackedOutWithLosses) {
            return (tone, word.to_owned());
        }
        let doubts: Vec<String> = self.doubts().into_iter().map(|(id, _)| id.to_string()).collect();
        let (tone, word) = match self.not_back().len() {
            0 => (tone, "backed out; services were brought back".to_owned()),
            1 => (Tone::Bad, "backed out; ONE thing did not come back".to_owned()),
            n => (Tone::Bad, format!("backed out; {n} things did NOT come back")),
        };
        if doubts.is_empty() {
            (tone, word)
        } else {
            (Tone::Bad, format!("{word}; NOT known: whether {} happened", doubts.join(", ")))
        }
    }
}

impl ItemTold<'_> {
    pub(super) fn is_good(&self) -> bool {
        matches!(self.outcome, Outcome::Applied)
    }
}

impl<'a> StepTold<'a> {
    fn take_in(&mut self, checkpoint: &'a Checkpoint, at: Timestamp) {
        match checkpoint {
            Checkpoint::StepStarted { title, attempt, items, .. } => {
                self.began = self.began.or(Some(at));
                (self.title, self.attempts) = (title, *attempt);
                self.only_chores = items.iter().all(|item| is_chore(item));
                self.of = items.iter().filter(|item| self.counts(item)).count();
                (self.error, self.unknown) = (None, None);
                self.open.clear();
                // What an earlier attempt lacked is listed anew, or has been repaired since.
                self.items.retain(|_, told| told.is_good());
            }
            Checkpoint::ItemIntent { item, .. } => {
                self.touched = self.touched.or(Some(at));
                *self.intents.entry(item).or_default() += 1;
                self.open.insert(item);
            }
            Checkpoint::ItemDone { item, outcome, took_ms, note, .. } => {
                self.open.shift_remove(item.as_str());
                let tries = self.intents.get(item.as_str()).copied().unwrap_or(0);
                let took = Duration::from_millis(*took_ms);
                self.items.insert(item, ItemTold { outcome, note: note.as_deref(), took, tries });
            }
            Checkpoint::StepDone { how, took_ms, .. } => {
                self.done = Some(how.clone());
                self.ended = Some(at);
                self.took += Duration::from_millis(*took_ms);
            }
            // The later one holds: evidence settles what was in doubt.
            Checkpoint::StepFailed { error, .. } => (self.error, self.unknown) = (Some(error.as_str()), None),
            Checkpoint::StepUnknown { why, .. } => (self.error, self.unknown) = (None, Some(why.as_str())),
            Checkpoint::Rebooted { took_ms, .. } => {
                self.rebooted = true;
                self.took += Duration::from_millis(*took_ms);
            }
            _ => {}
        }
    }

    /// How it came to be done: by its own record, or by a person's word.
    pub(super) fn how(&self) -> Option<&How> {
        self.done.as_ref()
    }

    /// What was seen last, if nobody knows whether the step happened.
    pub(super) fn in_doubt(&self) -> Option<&'a str> {
        self.unknown.filter(|_| self.done.is_none())
    }

    /// Whether the latest outcome of an item is a failure.
    pub(super) fn has_failed(&self, item: &str) -> bool {
        self.items.get(item).is_some_and(|told| matches!(told.outcome, Outcome::Failed { .. }))
    }

    /// Whether an item is one of those that people count.
    fn counts(&self, item: &str) -> bool {
        self.only_chores || !is_chore(item)
    }

    /// Those of them whose latest outcome is a success.
    pub(super) fn good(&self) -> usize {
        self.items.iter().filter(|(item, told)| self.counts(item) && told.is_good()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// The whole run with steps of these phases left out by somebody.
    fn cut_off(left_out: &[&str]) -> (Option<Timestamp>, Vec<Entry>) {
        let mut entries = sample::whole().entries;
        for entry in &mut entries {
            if let Checkpoint::StepDone { step, how, .. } = &mut entry.checkpoint
                && left_out.contains(&step.phase())
            {
                *how = How::Skipped { why: "set aside".into() };
            }
        }
        let to = Story::of(&entries).cut_off().unwrap().1;
        (to, entries)
    }

    #[test]
    fn users_are_cut_off_until_a_look_has_found_back_what_they_miss() {
        let ended = |entries: &[Entry], phase: &str| {
            let done = |entry: &&Entry| matches!(&entry.checkpoint, Checkpoint::StepDone { step, .. } if step.phase() == phase);
            entries.iter().rev().find(done).map(|entry| entry.wall)
        };
        let (to, entries) = cut_off(&[]);
        assert_eq!(to, ended(&entries, "restore"), "the restore looks again at its end");
        let (to, entries) = cut_off(&["restore"]);
        assert!(to > ended(&entries, "restore"), "left out: only the comparison behind it has looked");
        let (to, entries) = cut_off(&["restore", "verify"]);
        assert_eq!(to, None, "nobody has looked");
        let style = crate::report::Style::PLAIN;
        let mut state = crate::journal::state::RunState::default();
        entries.iter().for_each(|entry| drop(state.after(entry)));
        let told = crate::report::status(&entries, &state, entries.last().unwrap().wall, &style);
        assert!(told.contains("no look has found all of it back"), "{told}");
        assert!(crate::report::markdown(&entries).contains("no look has found all of it back"));
    }
}

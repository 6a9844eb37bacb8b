//! Failures for one and the same reason: the first is told, the others are counted and named by what their names share. A gate that
//! closes over 190 apps is one fact and not 190 lines, also where two such reasons take turns, and where items come well between.
use super::label::label;
use super::layout::{clean, patterns};
use super::out::Tone;
use super::progress::Progress;
use super::telling::Said;
use crate::journal::checkpoint::{Checkpoint, Outcome, StepId};

/// Columns for the names of those that are folded.
const NAMES: usize = 60;
/// So many failures for one reason are told with evidence of their own.
const WITH_EVIDENCE: usize = 3;

/// A reason without the name of the item that has it: what it shares with others.
pub(super) fn shared(item: &str, why: &str) -> String {
    why.replace(item, "")
}

/// Failures of one step for one reason.
#[derive(Debug)]
struct Reason {
    step: StepId,
    /// Without the item's own name.
    why: String,
    /// The item that was told first, as its step names it: with its reason.
    first: String,
    /// Its evidence.
    causes: Vec<String>,
    told: usize,
    /// Held back.
    more: Vec<String>,
}

/// What stands behind the failures that were told.
#[derive(Debug, Default)]
pub(super) struct Fold {
    reasons: Vec<Reason>,
    /// Why the latest step failed.
    failed: Option<String>,
}

impl Fold {
    /// Takes a failure in; `true` when it is to be told with others instead of by itself.
    pub(super) fn takes(&mut self, checkpoint: &Checkpoint) -> bool {
        let Checkpoint::ItemDone { step, item, outcome: Outcome::Failed { why, causes }, .. } = checkpoint else {
            return false;
        };
        let shared = shared(item, why);
        let Some(known) = self.reasons.iter_mut().find(|one| one.step == *step && one.why == shared) else {
            let (step, causes, first) = (step.clone(), causes.clone(), format!("{item}: {why}"));
            self.reasons.push(Reason { step, why: shared, first, causes, told: 1, more: Vec::new() });
            return false;
        };
        if !causes.is_empty() && *causes != known.causes && known.told < WITH_EVIDENCE {
            known.told += 1;
            return false;
        }
        known.more.push(item.clone());
        true
    }

    /// A failure is told once: the end of its step, and the pause because of it, do not repeat a reason that was told a line above.
    /// To be asked before [`Self::release`].
    pub(super) fn shortened(&mut self, next: &Checkpoint, said: Said) -> Said {
        let (text, rest) = match next {
            Checkpoint::StepFailed { step, error, .. } => {
                self.failed = Some(error.clone());
                let of_it = self.reasons.iter().filter(|reason| reason.step == *step);
                let Some(rest) = of_it.filter_map(|reason| error.strip_prefix(&reason.first)).min_by_key(|it| it.len())
                else {
                    return said;
                };
                (error, rest)
            }
            Checkpoint::Paused { note: Some(note), .. } if self.failed.as_ref() == Some(note) => (note, ""),
            _ => return said,
        };
        Said { text: said.text.replace(&format!(": {}", clean(text)), &clean(rest)), ..said }
    }

    /// Those that were held back, before what comes next is told: the end of their step, or of the run. Items that go well in
    /// between release nothing.
    pub(super) fn release(&mut self, next: &Checkpoint, progress: &Progress) -> Vec<Said> {
        if matches!(next, Checkpoint::ItemDone { .. } | Checkpoint::ItemIntent { .. }) {
            return Vec::new();
        }
        let held = self.reasons.drain(..).filter(|reason| !reason.more.is_empty());
        held.map(|reason| said(&reason, progress)).collect()
    }
}

/// `FAILED for the same reason (the gate stayed closed): 12 more (org-[1-12])`.
fn said(reason: &Reason, progress: &Progress) -> Said {
    let names: Vec<String> = reason.more.iter().map(|name| label(name)).collect();
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    let place = progress.place(&reason.step);
    let why = clean(reason.why.trim_matches([' ', ':', '`']));
    let text =
        format!("[{place}] FAILED for the same reason ({why}): {} more ({})", words.len(), patterns(&words, NAMES));
    Said { tone: Tone::Bad, text, more: Vec::new(), routine: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn failed(step: &str, item: &str, why: &str, causes: &[&str]) -> Checkpoint {
        Checkpoint::ItemDone {
            step: step.into(),
            item: item.to_owned(),
            outcome: Outcome::Failed {
                why: why.to_owned(),
                causes: causes.iter().map(|cause| (*cause).to_owned()).collect(),
            },
            took_ms: 0,
            note: None,
        }
    }

    fn released(fold: &mut Fold) -> Vec<String> {
        let progress = Progress::new(&sample::runbook(), &sample::plan(), crate::report::progress::machine_clock());
        let end = Checkpoint::StepFailed { step: "restore/1".into(), error: "no".into() };
        fold.release(&end, &progress).into_iter().map(|said| said.text).collect()
    }

    #[test]
    fn equal_reasons_of_one_step_are_told_once_and_everything_else_by_itself() {
        let mut fold = Fold::default();
        let closed = "not begun: the gate stayed closed";
        let taken: Vec<bool> = [
            failed("restore/1", "org-1", closed, &[]),
            failed("restore/1", "org-2", closed, &[]),
            failed("restore/1", "search", "crash loop", &[]),
            failed("restore/1", "api-worker", closed, &[]),
            failed("restore/1", "cart", "crash loop", &[]),
            failed("restore/2", "org-2", closed, &[]),
        ]
        .iter()
        .map(|checkpoint| fold.takes(checkpoint))
        .collect();
        assert_eq!(taken, [false, true, false, true, true, false]);
        let told = released(&mut fold);
        assert!(
            told.len() == 2 && told[0].ends_with("(not begun: the gate stayed closed): 2 more (api-worker, org-2)"),
            "{told:?}"
        );
        assert!(told[1].ends_with("(crash loop): 1 more (cart)"), "{told:?}");
        assert_eq!(released(&mut fold), Vec::<String>::new());
    }

    #[test]
    fn a_reason_is_not_repeated_by_the_end_of_its_step_and_by_the_pause() {
        let mut fold = Fold::default();
        fold.takes(&failed("b/1", "run", "exit status 1", &[]));
        let say = |text: &str| Said { tone: Tone::Bad, text: text.to_owned(), more: Vec::new(), routine: false };
        let error = "run: exit status 1 (and 2 more)".to_owned();
        let end = Checkpoint::StepFailed { step: "b/1".into(), error: error.clone() };
        let said = fold.shortened(&end, say(&format!("[2/2 b] FAILED: {error}")));
        assert_eq!(said.text, "[2/2 b] FAILED (and 2 more)");
        let pause =
            Checkpoint::Paused { why: crate::journal::checkpoint::PauseReason::Failed, note: Some(error.clone()) };
        let said = fold.shortened(&pause, say(&format!("run r-1 paused, because a step failed: {error}")));
        assert_eq!(said.text, "run r-1 paused, because a step failed");
        let other = Checkpoint::StepFailed { step: "c/1".into(), error: "it is gone".into() };
        assert_eq!(fold.shortened(&other, say("[3/3 c] FAILED: it is gone")).text, "[3/3 c] FAILED: it is gone");
    }

    /// A reason that names its item is still the same reason; evidence of its own is shown a few times and not 190 times.
    #[test]
    fn reasons_that_name_their_item_and_evidence_are_folded_too() {
        let mut fold = Fold::default();
        let names: Vec<String> = (1..=40).map(|n| format!("org-{n}")).collect();
        let mut told = 0;
        for (n, name) in names.iter().enumerate() {
            let (why, log) = (format!("{name}: its port is taken"), format!("line {n}"));
            told += usize::from(!fold.takes(&failed("restore/1", name, &why, &[&log])));
            let good = Checkpoint::ItemIntent { step: "restore/1".into(), item: "next".into() };
            let progress = Progress::new(&sample::runbook(), &sample::plan(), crate::report::progress::machine_clock());
            assert_eq!(fold.release(&good, &progress), []);
        }
        assert_eq!(told, WITH_EVIDENCE);
        let more = released(&mut fold);
        assert!(more.len() == 1 && more[0].ends_with("(its port is taken): 37 more (org-[4-40])"), "{more:?}");
    }
}

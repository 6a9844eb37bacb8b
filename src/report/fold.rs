//! Failures for one and the same reason: the first is told, the others are counted and named by what their names share. A gate that
//! closes over 190 apps is one fact and not 190 lines.
use super::layout::{clean, patterns};
use super::out::Tone;
use super::progress::Progress;
use super::telling::Said;
use crate::journal::checkpoint::{Checkpoint, Outcome, StepId};

/// Columns for the names of those that are folded.
const NAMES: usize = 60;

/// What stands behind the failure that was told last.
#[derive(Debug, Default)]
pub(super) struct Fold {
    told: Option<(StepId, String)>,
    /// Held back, with the step that they are of.
    more: Option<(StepId, Vec<String>)>,
}

impl Fold {
    /// Takes a failure in; `true` when it is to be told with others instead of by itself.
    pub(super) fn takes(&mut self, checkpoint: &Checkpoint) -> bool {
        let Checkpoint::ItemDone { step, item, outcome: Outcome::Failed { why, causes }, .. } = checkpoint else {
            return false;
        };
        let same = self.told.as_ref().is_some_and(|(of, reason)| of == step && reason == why);
        if same && causes.is_empty() {
            self.more.get_or_insert_with(|| (step.clone(), Vec::new())).1.push(item.clone());
            return true;
        }
        self.told = Some((step.clone(), why.clone()));
        false
    }

    /// Those that were held back, before something else is told.
    pub(super) fn release(&mut self, progress: &Progress) -> Option<Said> {
        let (step, names) = self.more.take()?;
        let names: Vec<String> = names.iter().map(|name| clean(name)).collect();
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        let place = progress.place(&step);
        let text = format!("[{place}] FAILED for the same reason: {} more ({})", words.len(), patterns(&words, NAMES));
        Some(Said { tone: Tone::Bad, text, more: Vec::new(), routine: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_of_one_step_are_told_once_and_everything_else_by_itself() {
        let failed = |step: &str, item: &str, why: &str| Checkpoint::ItemDone {
            step: step.into(),
            item: item.to_owned(),
            outcome: Outcome::Failed { why: why.to_owned(), causes: Vec::new() },
            took_ms: 0,
            note: None,
            facts: None,
        };
        let mut fold = Fold::default();
        let closed = "not begun: the gate stayed closed";
        let taken: Vec<bool> = [
            failed("restore/1", "org-1", closed),
            failed("restore/1", "org-2", closed),
            failed("restore/1", "api-worker", closed),
            failed("restore/1", "search", "crash loop"),
            failed("restore/2", "org-2", closed),
        ]
        .iter()
        .map(|checkpoint| fold.takes(checkpoint))
        .collect();
        assert_eq!(taken, [false, true, true, false, false]);
        let (step, names) = fold.more.take().unwrap();
        assert_eq!(
            (step.as_str(), names.as_slice()),
            ("restore/1", &["org-2".to_owned(), "api-worker".to_owned()][..])
        );
    }
}

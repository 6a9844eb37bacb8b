//! What is around a run when somebody asks where it stands: the process, the boot, the resume unit, the window, and whether
//! anybody may go on with it here. The journal knows none of it; whoever looks at the machine brings it.

use jiff::Timestamp;

use super::story::Story;
use crate::execute::Urge;
use crate::journal::state::RunState;

/// See the module. The default knows nothing, and then only the journal is told.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// It is a rehearsal's: the run is known to nobody, and nothing can be typed for it.
    pub rehearsed: bool,
    /// Whether a process is at work on it.
    pub at_work: Option<bool>,
    /// What a second terminal has asked of that process, and what it has not heeded yet.
    pub asked: Option<Urge>,
    /// This boot, and since when.
    pub boot: Option<(String, Timestamp)>,
    /// The resume unit, in a few words.
    pub resume_unit: Option<String>,
    /// Why nobody can go on with it here.
    pub refused: Option<Refused>,
    /// The step in doubt may be done twice, or the runbook says what then: a resume needs nobody's word.
    pub settles: bool,
    /// Why the window does not allow the next step.
    pub window: Option<String>,
    /// Flags that a resume needs besides.
    pub answers: Vec<String>,
    /// Whether giving it up brings services back; `None`: going by the plan.
    pub backs_out: Option<bool>,
}

/// A run that cannot be gone on with.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why.
    pub why: String,
    /// What can be typed, line by line.
    pub ways: Vec<String>,
}

impl Around {
    /// Since when the machine is back, for a run that waits for that.
    pub(super) fn back_since(&self, state: &RunState) -> Option<Timestamp> {
        let (_, old) = state.waiting_for_reboot()?;
        let (now, since) = self.boot.as_ref()?;
        (!now.is_empty() && now.trim() != old.trim()).then_some(*since)
    }

    /// Whether giving the run up at this point brings services back.
    pub(super) fn brings_back(&self, story: &Story<'_>, state: &RunState) -> bool {
        let planned = || {
            let way_back = story.plan.as_ref().is_none_or(|plan| !plan.back_out.is_empty());
            way_back && !state.rebooted() && state.waiting_for_reboot().is_none()
        };
        state.past_no_return() && self.backs_out.unwrap_or_else(planned)
    }

    /// The command that goes on with the run here and now.
    pub(super) fn resume(&self, run: &str) -> String {
        let window = self.window.iter().map(|_| "--ignore-window REASON");
        let flags = self.answers.iter().map(String::as_str).chain(window);
        std::iter::once(format!("resume {run}")).chain(flags.map(str::to_owned)).collect::<Vec<_>>().join(" ")
    }
}

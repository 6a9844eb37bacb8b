//! What the window binds, asked of each step at the moment of acting: a run may have stood still for hours, or have taken
//! longer than anybody thought.
//!
//! | where the run stands | step | the window |
//! |---|---|---|
//! | backing out, or the machine has been down | any | is not asked: what is away must come back |
//! | anywhere | only waits, or brings apps back from the snapshot | is not asked |
//! | anywhere before | takes service away, or the machine | must be open for all that is left |
//! | nothing is away | changes anything else | must be open, for as long as that step takes |
//! | service is away, with a way back | changes anything else | the same; a refusal backs out |
//! | service is away, without a way back | changes anything else | is not asked: only forward brings service back |

use jiff::Timestamp;

use crate::action::ActionKind;
use crate::host::planted::{Bug, planted};
use crate::host::span::words;
use crate::journal::checkpoint::{How, Ruling, StepId};
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;
use crate::plan::Plan;
use crate::runbook::window::{Opening, Window};
use crate::runbook::{Runbook, Step};

/// A run as it is judged here: by what is on record, and by nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The frozen runbook.
    pub runbook: &'a Runbook,
    /// What was expected.
    pub plan: &'a Plan,
    /// The fold of the journal.
    pub state: &'a RunState,
}

impl Standing<'_> {
    /// Whether the machine has been down: proven by the run itself, or seen where somebody else took it down before the run
    /// could. From there on only forward brings service back.
    #[must_use]
    pub fn went_down(&self) -> bool {
        let down = |id: &StepId| {
            let status = self.state.status(id);
            matches!(status, Some(StepStatus::Done { how: How::Applied | How::AlreadySo | How::Ruled, .. }))
        };
        let mut reboots = self.runbook.steps().filter(|(.., step)| step.action.goes_down());
        self.state.rebooted() || reboots.any(|(id, ..)| down(&id))
    }

    /// Whether a failure or an abort is followed by backing out: service was taken away, the machine has not gone down, and
    /// the runbook names a way back of which something is left to do.
    #[must_use]
    pub fn backs_out(&self) -> bool {
        let back = |phase: &str| self.runbook.back_out.iter().any(|name| name == phase);
        let open = |id: &StepId| !self.state.steps().get(id).is_some_and(|state| state.is_done());
        self.state.past_no_return()
            && !self.went_down()
            && self.state.waiting_for_reboot().is_none()
            && self.runbook.steps().any(|(id, phase, _)| back(&phase.name) && open(&id))
    }

    /// Whether service was taken away and nothing on record has brought it back.
    fn service_is_away(&self) -> bool {
        let brings = |step: &Step| starts_services(step.action.kind());
        let open = |id: &StepId| !self.state.steps().get(id).is_some_and(|state| state.is_done());
        let no_return = self.state.opened().and_then(|opened| opened.no_return.as_ref());
        let after = self.runbook.steps().skip_while(|(id, ..)| Some(id) != no_return);
        let mut back = after.filter(|(.., step)| brings(step)).peekable();
        self.state.past_no_return() && (back.peek().is_none() || back.any(|(id, ..)| open(&id)))
    }

    /// The next step that is not done.
    #[must_use]
    pub fn next_step(&self) -> Option<(StepId, &Step)> {
        let open = |id: &StepId| !self.state.steps().get(id).is_some_and(|state| state.is_done());
        self.runbook.steps().find(|(id, ..)| open(id)).map(|(id, _, step)| (id, step))
    }

    /// Why the window does not allow this step at `now`; nobody has set it aside, unless the journal says so.
    #[must_use]
    pub fn forbids(&self, step: &Step, id: &StepId, now: Timestamp) -> Option<String> {
        let window = self.runbook.window.as_ref()?;
        let decisive = step.action.takes_service_away();
        let set_aside = self.state.decisions().iter().any(|ruling| matches!(ruling, Ruling::IgnoreWindow));
        if set_aside || self.state.backing_out() || self.went_down() {
            return None;
        }
        if !decisive && !self.binds(step) {
            return None;
        }
        if self.state.latest_wall().is_some_and(|latest| now < latest) && !planted(Bug::ClockBack) {
            return Some(
                "the clock shows an earlier time than the journal: the window cannot be judged. Set the clock right"
                    .into(),
            );
        }
        let opening = window.current_or_next(now)?;
        if !opening.contains(now) {
            return Some(closed(&opening, window));
        }
        if decisive { self.too_short(id, &opening, now) } else { self.crosses(id, &opening, now) }
    }

    /// Whether the window is asked for a step that takes nothing away.
    fn binds(&self, step: &Step) -> bool {
        let while_nothing_is_away = || !self.service_is_away() || self.backs_out();
        if step.action.waits() {
            return false;
        }
        match step.action.kind() {
            ActionKind::Pm2Restored => false,
            ActionKind::UnitsActive => !self.service_is_away(),
            ActionKind::RedisCompacted | ActionKind::RedisLoaded | ActionKind::UnitsEnabled => while_nothing_is_away(),
            ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2AsSaved => while_nothing_is_away(),
            ActionKind::UnitsStopped | ActionKind::Command => while_nothing_is_away(),
            ActionKind::Rebooted | ActionKind::Healthy => while_nothing_is_away(),
        }
    }

    /// Whoever is cut off must be served again before the window closes.
    fn too_short(&self, id: &StepId, opening: &Opening, now: Timestamp) -> Option<String> {
        let (left, open) = (self.plan.left_from(id), opening.left(now));
        (open < left.at_worst()).then(|| {
            let (typical, slow) = (words(left.typically()), words(left.at_worst()));
            format!(
                "the window closes in {}, and from here it takes {typical} typically, {slow} on a slow night",
                words(open)
            )
        })
    }

    /// A step that usually takes longer than the window stays open would change things behind its end.
    fn crosses(&self, id: &StepId, opening: &Opening, now: Timestamp) -> Option<String> {
        let takes = self.plan.steps.iter().find(|step| step.id == *id)?.takes.span.typically();
        let open = opening.left(now);
        (open < takes)
            .then(|| format!("the window closes in {}, and {id} takes {} typically", words(open), words(takes)))
    }
}

fn closed(opening: &Opening, window: &Window) -> String {
    let opens = opening.opens.to_zoned(window.timezone.clone()).strftime("%a %F %H:%M %Z");
    format!("the window is closed; it opens {opens}")
}
/// Whether it starts what serves users.
fn starts_services(action: ActionKind) -> bool {
    match action {
        ActionKind::Pm2Restored | ActionKind::UnitsActive => true,
        ActionKind::RedisCompacted | ActionKind::RedisLoaded | ActionKind::UnitsEnabled => false,
        ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2AsSaved => false,
        ActionKind::UnitsStopped | ActionKind::Command | ActionKind::Rebooted | ActionKind::Healthy => false,
    }
}

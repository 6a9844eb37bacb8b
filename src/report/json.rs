//! Progress and plans for programs: one JSON object per line, the first one naming the format.
//!
//! `format` is `major.minor`: a new minor adds keys or types, a new major changes what is there. Values come from plans
//! and checkpoints, which hold no secrets.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::out::Out;
use super::progress::{Clock, Progress, Wall, machine_clock, machine_wall};
use crate::event::{Event, Reporter};
use crate::journal::checkpoint::{Checkpoint, Outcome};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::plan::{Plan, Verdict};
use crate::runbook::Runbook;

/// The version of the lines' format.
pub const FORMAT: &str = "1.0";
/// Estimates are told at most so often, in seconds.
const EVERY: u64 = 5;

/// The first line of every output.
#[must_use]
pub fn version_line() -> String {
    json!({ "type": "version", "format": FORMAT, "runbook": env!("CARGO_PKG_VERSION") }).to_string()
}

/// A plan in lines: the version, then [`plan_lines`].
#[must_use]
pub fn plan_json(plan: &Plan, verdict: &Verdict) -> Vec<String> {
    std::iter::once(version_line()).chain(plan_lines(plan, verdict)).collect()
}

/// A plan below a version line that is written already: the plan, a line per step, one per instance that
/// would lose settings or could not be compared, the verdict.
#[must_use]
pub fn plan_lines(plan: &Plan, verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    let takes = plan.takes();
    lines.push(
        json!({
            "type": "plan",
            "runbook": plan.runbook,
            "sha256": plan.sha256,
            "hostname": plan.hostname,
            "made_at": plan.made_at,
            "starts_at": plan.starts_at,
            "typical_s": takes.typical,
            "slow_s": takes.slow,
            "cut_off_s": plan.cut_off().map(|span| span.typical),
            "cut_off_slow_s": plan.cut_off().map(|span| span.slow),
            "no_return": plan.no_return().and_then(|at| plan.steps.get(at)).map(|step| step.id.to_string()),
            "back_out_s": plan.back_out_takes().map(|span| span.typical),
            "back_out_slow_s": plan.back_out_takes().map(|span| span.slow),
            "changes": plan.changes_anything(),
            "refused": plan.refused().count(),
            "unforeseen": plan.unforeseen().count(),
        })
        .to_string(),
    );
    for step in &plan.steps {
        let mut line = json!({ "type": "plan_step" });
        if let (Some(line), Ok(Value::Object(step))) = (line.as_object_mut(), serde_json::to_value(step)) {
            line.extend(step);
        }
        lines.push(line.to_string());
    }
    for at in &plan.unsaved {
        let unsaved = &at.unsaved;
        lines.push(
            json!({
                "type": "plan_unsaved",
                "instance": at.instance,
                "file": unsaved.file,
                "lost": unsaved.lost,
                "same": unsaved.same,
                "unknown": unsaved.unknown,
            })
            .to_string(),
        );
    }
    lines.push(json!({ "type": "verdict", "allows": verdict.allows(), "verdict": verdict }).to_string());
    lines
}

/// Tells a run in NDJSON.
pub struct Json {
    out: Out,
    progress: Progress,
    estimated: Option<u64>,
    wall: Wall,
}

impl Json {
    /// Writes the first line at once.
    #[must_use]
    pub fn new(out: Out, runbook: &Runbook, plan: &Plan) -> Self {
        Self::with_clock(out, runbook, plan, machine_clock(), machine_wall())
    }

    /// The same below a version line that is written already.
    #[must_use]
    pub fn going_on(out: Out, runbook: &Runbook, plan: &Plan) -> Self {
        let progress = Progress::new(runbook, plan, machine_clock());
        Self { out, progress, estimated: None, wall: machine_wall() }
    }

    pub(super) fn with_clock(out: Out, runbook: &Runbook, plan: &Plan, clock: Clock, wall: Wall) -> Self {
        out.line(&version_line());
        Self { out, progress: Progress::new(runbook, plan, clock), estimated: None, wall }
    }

    fn estimate(&mut self, at: Timestamp) {
        let second = self.progress.now().as_secs();
        if self.estimated.is_some_and(|told| second < told + EVERY) {
            return;
        }
        self.estimated = Some(second);
        let left = self.progress.left();
        let spare = self.progress.closes().map(|closes| (closes - at).get_seconds() as f64 - left.slow);
        let line = json!({
            "type": "estimate",
            "ts": at,
            "run": self.progress.run,
            "left_s": left.typical.round(),
            "left_slow_s": left.slow.round(),
            "window_spare_s": spare.map(f64::round),
        });
        self.out.line(&line.to_string());
    }
}

impl Reporter for Json {
    fn on(&mut self, event: &Event<'_>, state: &RunState) {
        self.progress.take_in(event, state);
        match event {
            Event::Durable(entry) => {
                self.out.line(&line(entry, &self.progress).to_string());
                let estimates =
                    matches!(entry.checkpoint, Checkpoint::StepStarted { .. } | Checkpoint::StepDone { .. });
                if estimates {
                    self.estimated = None;
                    self.estimate(entry.wall);
                }
            }
            Event::Tick { step, tick } => {
                let line = json!({
                    "type": "tick",
                    "ts": (self.wall)(),
                    "run": self.progress.run,
                    "step": step.as_str(),
                    "item": tick.item,
                    "part": tick.part,
                    "left_s": tick.left.map(|left| left.typical),
                    "left_slow_s": tick.left.map(|left| left.slow),
                    "say": tick.say,
                });
                self.out.line(&line.to_string());
                let at = (self.wall)();
                self.estimate(at);
            }
            Event::Talk(text) => {
                self.out.line(&json!({ "type": "talk", "ts": (self.wall)(), "text": text }).to_string())
            }
        }
    }
}

/// One durable fact. What a run captures for itself, its plan and its baseline are left out: they are large and inside.
fn line(entry: &Entry, progress: &Progress) -> Value {
    let mut line = json!({ "type": entry.checkpoint.kind(), "ts": entry.wall, "run": &*entry.run, "seq": entry.seq });
    let more = match &entry.checkpoint {
        Checkpoint::Opened(opened) => json!({
            "runbook": opened.runbook_name,
            "sha256": opened.runbook_sha256,
            "hostname": opened.hostname,
            "user": opened.owner.user,
            "sudo_user": opened.owner.sudo_user,
            "steps": opened.steps,
            "no_return": opened.no_return,
        }),
        Checkpoint::Captured { step, key, .. } => json!({ "step": step, "key": key }),
        Checkpoint::ItemDone { step, item, outcome, took_ms, note, .. } => {
            let current = progress.current.as_ref();
            json!({
                "step": step,
                "phase": step.phase(),
                "item": item,
                "result": result(outcome),
                "outcome": outcome,
                "ms": took_ms,
                "note": note,
                "done": current.map(|current| current.done),
                "of": current.map(|current| current.of),
            })
        }
        other => match serde_json::to_value(other) {
            Ok(Value::Object(tagged)) => tagged.into_iter().next().map(|(_, value)| value).unwrap_or_default(),
            _ => Value::Null,
        },
    };
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line
}

/// The outcome in a word.
fn result(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "ok",
        Outcome::Failed { .. } => "failed",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotBegun => "not_begun",
    }
}

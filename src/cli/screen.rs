//! What commands print through: results on the standard output, talk on the standard error output.
use std::io::{IsTerminal, Write};

use super::{Failure, Global};
use crate::event::{Event, Reporter};
use crate::host::span::words;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::state::RunState;

/// The two streams and what they can show.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    pub(super) color: bool,
}

impl Screen {
    pub(super) fn new(global: &Global) -> Self {
        let color = match global.color.as_str() {
            "always" => true,
            "never" => false,
            _ => std::io::stderr().is_terminal() && super::site::variable("NO_COLOR").is_none(),
        };
        Self { quiet: global.quiet, verbose: global.verbose, color }
    }

    /// A part of the result.
    pub(super) fn result(&self, text: &str) {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    /// Talk; not with `-q`.
    pub(super) fn talk(&self, text: &str) {
        if !self.quiet {
            self.alert(text);
        }
    }

    /// Talk that `-q` does not keep back.
    pub(super) fn alert(&self, text: &str) {
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Why a command failed, and what to do.
    pub(super) fn failure(&self, failure: &Failure) {
        self.alert(&format!("runbook: {}\n", failure.reason()));
        if let Some(hint) = &failure.hint {
            self.alert(&format!("  {hint}\n"));
        }
    }

    /// Columns of a line.
    pub(super) fn width(&self) -> usize {
        100
    }

    /// Whoever shows the progress of a run.
    pub(super) fn reporter(&self) -> Box<dyn Reporter> {
        Box::new(Plain(self.clone()))
    }
}

struct Plain(Screen);

impl Reporter for Plain {
    fn on(&mut self, event: &Event<'_>, _: &RunState) {
        let line = match event {
            Event::Durable(entry) => match &entry.checkpoint {
                Checkpoint::StepStarted { step, title, items, .. } => format!("[{step}] {title}: {} item(s)", items.len()),
                Checkpoint::ItemDone { step, item, outcome, note, .. } => format!("[{step}] {item}: {outcome:?} {}", note.clone().unwrap_or_default()),
                Checkpoint::StepDone { step, how, took_ms } => {
                    format!("[{step}] done {how:?} in {}", words(std::time::Duration::from_millis(*took_ms)))
                }
                Checkpoint::StepFailed { step, error, .. } => format!("[{step}] FAILED {error}"),
                Checkpoint::StepUnknown { step, why } => format!("[{step}] UNKNOWN {why}"),
                other => other.kind().to_owned(),
            },
            Event::Tick { .. } => return,
            Event::Talk(text) => (*text).to_owned(),
        };
        self.0.talk(&format!("{line}\n"));
    }
}

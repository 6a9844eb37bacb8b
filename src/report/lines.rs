//! Progress as plain lines: for logs, CI, the resume unit and screen readers. One line per fact, never a frame per tick.

use std::time::Duration;

use super::fold::Fold;
use super::layout::{clean, columns, wrap};
use super::out::{Out, Tone};
use super::progress::{Clock, Progress, Running, Wall, machine_clock, machine_wall};
use super::telling::{Said, tell};
use crate::event::{Event, Reporter};
use crate::host::span::words;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::state::RunState;
use crate::plan::Plan;
use crate::runbook::Runbook;

/// Silence is never longer than this while something is waited for.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Steps with more items are summed up.
const MANY: usize = 20;
/// Lines of evidence under a failure.
pub(super) const EVIDENCE: usize = 8;

/// Tells a run in lines.
pub struct Lines {
    out: Out,
    progress: Progress,
    /// When anything was last told.
    spoke: Duration,
    /// Items done when the last sum was told.
    summed: usize,
    /// The time of day, for what has none of its own.
    wall: Wall,
    fold: Fold,
}

impl Lines {
    /// For a run of `plan`; times of day are those of the runbook's window.
    #[must_use]
    pub fn new(out: Out, runbook: &Runbook, plan: &Plan) -> Self {
        Self::with_clock(out, runbook, plan, machine_clock(), machine_wall())
    }

    /// [`new`](Self::new) with the time of a rehearsal.
    #[must_use]
    pub fn with_clock(out: Out, runbook: &Runbook, plan: &Plan, clock: Clock, wall: Wall) -> Self {
        let spoke = clock();
        Self { out, progress: Progress::new(runbook, plan, clock), spoke, summed: 0, wall, fold: Fold::default() }
    }

    fn say(&mut self, time: &str, said: &Said) {
        let style = self.out.style;
        // A log keeps its lines whole; only a terminal is worth wrapping for.
        self.out.line(&format!("{} {}", style.paint(Tone::Faint, time), style.paint(said.tone, &said.text)));
        for more in said.more.iter().take(EVIDENCE) {
            for line in wrap(more, style.columns().saturating_sub(columns(time) + 5), 0) {
                self.out.line(&format!("{}     {line}", " ".repeat(columns(time))));
            }
        }
        if said.more.len() > EVIDENCE {
            self.out.line(&format!("{}     ... {} more lines", " ".repeat(columns(time)), said.more.len() - EVIDENCE));
        }
        self.spoke = self.progress.now();
    }

    /// Whether one of many successes is worth a line: each tenth part, and after half a minute of silence.
    fn sums_up(&mut self, time: &str) {
        let Some(current) = &self.progress.current else { return };
        let (done, of, failed, began) = (current.done, current.of, current.failed, current.began);
        let silent = self.progress.now().saturating_sub(self.spoke) >= HEARTBEAT;
        let tenth = (done - self.summed.min(done)) * 10 >= of;
        if !silent && !tenth && (done != of || done == self.summed) {
            return;
        }
        let elapsed = words(self.progress.now().saturating_sub(began));
        let left = words(self.progress.left_of_step().typically());
        let failed = if failed == 0 { String::new() } else { format!(", {failed} FAILED") };
        let left = if done == of { String::new() } else { format!(", about {left} left") };
        let text = format!("[{}] {done}/{of}, {elapsed} elapsed{failed}{left}", self.progress.place(&current.step));
        self.summed = done;
        self.say(time, &Said { tone: Tone::Plain, text, more: Vec::new(), routine: false });
    }

    /// What is waited for, what was last seen, how long already and how much longer.
    fn heartbeat(&mut self) {
        let at = self.progress.now();
        if at.saturating_sub(self.spoke) < HEARTBEAT {
            return;
        }
        let Some(current) = &self.progress.current else { return };
        let slowest = self.progress.slowest();
        let named: Vec<String> = slowest.iter().take(2).map(|(key, one)| waiting(key, one, at)).collect();
        let more = if slowest.len() > 2 { format!("; {} more", slowest.len() - 2) } else { String::new() };
        let count = if current.of > 1 { format!("{}/{}, ", current.done, current.of) } else { String::new() };
        let text = format!("[{}] {count}{}{more}", self.progress.place(&current.step), named.join("; "));
        let time = self.progress.clock_time((self.wall)());
        self.say(&time, &Said { tone: Tone::Faint, text, more: Vec::new(), routine: false });
    }
}

/// `bds: loading, 80 MB/s (45%, 12m elapsed, about 20m left)`.
fn waiting(key: &str, one: &Running, at: Duration) -> String {
    let mut figures = Vec::new();
    if let Some(part) = one.tick.part {
        figures.push(format!("{:.0}%", part * 100.0));
    }
    let elapsed = at.saturating_sub(one.began);
    figures.push(format!("{} elapsed", words(elapsed)));
    match one.tick.left {
        Some(left) => figures.push(format!("about {} left", words(left.typically()))),
        None if one.usually.typical >= 1.0 => figures.push(format!("usually {}", words(one.usually.typically()))),
        None => {}
    }
    let say = if one.tick.say.is_empty() { "in work".to_owned() } else { clean(&one.tick.say) };
    format!("{}: {say} ({})", clean(key), figures.join(", "))
}

impl Reporter for Lines {
    fn on(&mut self, event: &Event<'_>, state: &RunState) {
        match event {
            Event::Durable(entry) => {
                let said = tell(entry, &self.progress).map(|said| self.fold.shortened(&entry.checkpoint, said));
                self.progress.take_in(event, state);
                if matches!(entry.checkpoint, Checkpoint::StepStarted { .. }) {
                    self.summed = 0;
                }
                let time = self.progress.clock_time(entry.wall);
                let many = self.progress.current.as_ref().is_some_and(|current| current.of > MANY);
                if said.is_none() || self.fold.takes(&entry.checkpoint) {
                    return;
                }
                for folded in self.fold.release(&entry.checkpoint, &self.progress) {
                    self.say(&time, &folded);
                }
                match said {
                    Some(said) if said.routine && many => self.sums_up(&time),
                    Some(said) => self.say(&time, &said),
                    None => {}
                }
            }
            Event::Tick { .. } => {
                self.progress.take_in(event, state);
                self.heartbeat();
            }
            Event::Talk(text) => {
                let time = self.progress.clock_time((self.wall)());
                self.say(&time, &Said { tone: Tone::Warn, text: clean(text), more: Vec::new(), routine: false });
            }
        }
    }
}

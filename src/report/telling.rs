//! One durable fact in one sentence, the same on every screen.

use std::time::Duration;

use super::label::label;
use super::layout::{clean, patterns};
use super::out::Tone;
use super::progress::{Progress, is_chore};
use crate::host::span::{Span, words};
use crate::journal::checkpoint::{Checkpoint, End, How, Outcome, Owner, PauseReason, Resolution, Ruling};
use crate::journal::record::Entry;

/// A sentence with its meaning and its evidence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// Evidence: log lines, underlying errors.
    pub(super) more: Vec<String>,
    /// An ordinary success of an item: may be summed up when there are many.
    pub(super) routine: bool,
}

impl Said {
    fn new(tone: Tone, text: impl Into<String>) -> Option<Self> {
        Some(Self { tone, text: text.into(), more: Vec::new(), routine: false })
    }
}

/// What is worth telling of an entry; `None` for bookkeeping. Call it before `progress` takes the entry in.
pub(super) fn tell(entry: &Entry, progress: &Progress) -> Option<Said> {
    match &entry.checkpoint {
        Checkpoint::Opened(opened) => {
            let who = person(&opened.owner);
            let (run, name) = (&entry.run, clean(&opened.runbook_name));
            Said::new(Tone::Strong, format!("run {run} of {name} begins on {}, by {who}", clean(&opened.hostname)))
        }
        Checkpoint::Resumed { owner, boot_id, unattended } => {
            let who = if *unattended { "the resume unit".to_owned() } else { person(owner) };
            Said::new(Tone::Strong, format!("run {} resumed by {who} (boot {:.8})", entry.run, clean(boot_id)))
        }
        Checkpoint::Paused { why, note } => {
            let note = note.as_deref().map(|note| format!(": {}", clean(note))).unwrap_or_default();
            Said::new(Tone::Warn, format!("run {} paused, {}{note}", entry.run, pause(*why)))
        }
        Checkpoint::BackOut { reason } => {
            Said::new(Tone::Bad, format!("BACKING OUT: {}; services are brought back", clean(reason)))
        }
        Checkpoint::Decision { who, what, reason } => Said::new(Tone::Warn, decision(who, what, reason)),
        Checkpoint::Recovered { dropped_bytes, copy } => {
            let text = format!("journal: a torn end of {dropped_bytes} bytes was dropped, copy in {}", clean(copy));
            Said::new(Tone::Warn, text)
        }
        Checkpoint::Finished { outcome, .. } => {
            let (tone, word) = end(*outcome);
            Said::new(tone, format!("run {} is over: {word}", entry.run))
        }
        Checkpoint::Abandoned { who, reason } => {
            Said::new(Tone::Bad, format!("run {} abandoned by {}: {}", entry.run, clean(who), clean(reason)))
        }
        of_a_step => step(of_a_step, progress),
    }
}

fn step(checkpoint: &Checkpoint, progress: &Progress) -> Option<Said> {
    let place = progress.place(checkpoint.step()?);
    let say = |tone, text: String| Said::new(tone, format!("[{place}] {text}"));
    match checkpoint {
        Checkpoint::StepStarted { step, attempt, title, items, .. } => {
            let takes = progress.planned(step).map(|planned| planned.takes).unwrap_or_default();
            say(Tone::Strong, started(title, *attempt, items, takes))
        }
        Checkpoint::ItemDone { item, outcome, took_ms, note, .. } => {
            let mut said = say(Tone::Plain, String::new())?;
            (said.tone, said.text, said.more) = item_done(item, outcome, *took_ms, note.as_deref(), progress);
            said.routine = matches!(outcome, Outcome::Applied);
            said.text = format!("[{place}] {}", said.text);
            Some(said)
        }
        Checkpoint::StepDone { step, how, took_ms } => {
            let title = progress.planned(step).map_or(step.as_str(), |planned| planned.title.as_str());
            let (tone, text, more) = step_done(&clean(title), how, *took_ms);
            let mut said = say(tone, text)?;
            said.more = more;
            Some(said)
        }
        Checkpoint::StepFailed { error, .. } => say(Tone::Bad, format!("FAILED: {}", clean(error))),
        Checkpoint::StepUnknown { why, .. } => say(Tone::Bad, format!("UNKNOWN whether it happened: {}", clean(why))),
        Checkpoint::RebootIntent { boot_id, .. } => {
            say(Tone::Strong, format!("the machine is asked to go down (boot {:.8})", clean(boot_id)))
        }
        Checkpoint::Rebooted { old, new, took_ms, .. } => {
            let took = words(Duration::from_millis(*took_ms));
            say(Tone::Good, format!("ok, back after {took}: boot {:.8} -> {:.8}", clean(old), clean(new)))
        }
        _ => None,
    }
}

/// `start redis_compacted: 2 items (bds, bull00), about 3m30s`.
fn started(title: &str, attempt: u32, items: &[String], takes: Span) -> String {
    let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
    let about = if takes.typical < 1.0 { String::new() } else { format!(", about {}", words(takes.typically())) };
    let named = items.iter().filter(|item| !is_chore(item));
    let names: Vec<&str> = named.map(|item| item.trim_end_matches(".service")).collect();
    let names = match names.as_slice() {
        [] => String::new(),
        [one] => format!(": {one}"),
        many => format!(": {} items ({})", many.len(), patterns(many, 48)),
    };
    format!("start {}{}{again}{about}", clean(title), clean(&names))
}

fn step_done(title: &str, how: &How, took_ms: u64) -> ItemSaid {
    let took = words(Duration::from_millis(took_ms));
    let (tone, text) = match how {
        How::Applied if took_ms < 100 => (Tone::Good, format!("ok {title}: done")),
        How::Applied => (Tone::Good, format!("ok {title}: done in {took}")),
        How::AlreadySo => (Tone::Faint, format!("ok {title}: already so")),
        How::Skipped { why } => (Tone::Warn, format!("skipped {title}: {}", clean(why))),
        How::Ruled => (Tone::Warn, format!("{title}: done by decision")),
        How::WithLosses { losses } => {
            let text = format!("warn {title}: done in {took}, without {}:", losses.len());
            return (Tone::Warn, text, losses.iter().map(|loss| clean(&loss.to_string())).collect());
        }
    };
    (tone, text, Vec::new())
}

type ItemSaid = (Tone, String, Vec<String>);

fn item_done(item: &str, outcome: &Outcome, took_ms: u64, note: Option<&str>, progress: &Progress) -> ItemSaid {
    let count = progress.current.as_ref().filter(|current| current.of > 1 && current.counts(item));
    let count = count.map_or(String::new(), |current| format!("{}/{} ", current.done + 1, current.of));
    let item = label(item);
    match outcome {
        Outcome::Applied => {
            let note = match note {
                Some(note) => clean(note),
                None => format!("in {}", words(Duration::from_millis(took_ms))),
            };
            (Tone::Plain, format!("{count}ok {item}: {note}"), Vec::new())
        }
        Outcome::Failed { why, causes } => (
            Tone::Bad,
            format!("{count}FAILED {item}: {}", clean(why)),
            causes.iter().map(|cause| clean(cause)).collect(),
        ),
        Outcome::Unknown { why } => (Tone::Bad, format!("{count}UNKNOWN {item}: {}", clean(why)), Vec::new()),
        Outcome::NotBegun => (Tone::Plain, format!("{item}: was not begun, by evidence"), Vec::new()),
    }
}

/// Who acted: the person behind sudo, if any.
pub(super) fn person(owner: &Owner) -> String {
    match &owner.sudo_user {
        Some(user) => format!("{} (as {})", clean(user), clean(&owner.user)),
        None => clean(&owner.user),
    }
}

/// Why a run stands still.
pub(super) fn pause(why: PauseReason) -> &'static str {
    match why {
        PauseReason::Asked => "as asked",
        PauseReason::Reboot => "waiting for the reboot",
        PauseReason::Operator => "waiting for a person",
        PauseReason::Failed => "because a step failed",
        PauseReason::Signal => "because the process was told to end",
    }
}

/// A ruling in words.
pub(super) fn decision(who: &str, what: &Ruling, reason: &str) -> String {
    let what = match what {
        Ruling::Confirmed { step } => format!("confirmed {step}"),
        Ruling::IgnoreWindow => "set the window aside".to_owned(),
        Ruling::Resolve { step, how } => match how {
            Resolution::Done => format!("ruled that {step} is done"),
            Resolution::Rerun => format!("ruled that {step} is done again"),
            Resolution::Skip => format!("ruled that {step} is left out"),
        },
    };
    format!("{} {what}: {}", clean(who), clean(reason))
}

/// How a run ended, in a word.
pub(super) fn end(outcome: End) -> (Tone, &'static str) {
    match outcome {
        End::Done => (Tone::Good, "done"),
        End::DoneWithLosses => (Tone::Warn, "done, with losses"),
        End::BackedOut => (Tone::Warn, "backed out"),
        End::BackedOutWithLosses => (Tone::Bad, "backed out, with losses"),
        End::Failed => (Tone::Bad, "given up"),
        End::Abandoned => (Tone::Bad, "abandoned"),
    }
}

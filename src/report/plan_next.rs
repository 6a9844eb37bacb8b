//! What can be typed once a plan has been seen: the one command that leads on from here, and why no other does.
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::calls::{call_on, typed};
use super::out::Tone;
use crate::host::span::count;
use crate::plan::{Plan, Verdict};
use crate::runbook::{Opening, Runbook};

/// The way on from a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onward {
    /// What stands in the way, or when the command is for.
    pub note: Option<(Tone, String)>,
    /// The command, ready to be typed.
    pub command: String,
}

/// The next command. None that would be refused where it is printed: a plan on recorded facts leads to a rehearsal on them, and
/// a start that no window allows to another look, once somebody has made the window or the work another one.
#[must_use]
pub fn onward(plan: &Plan, runbook: &Runbook, verdict: &Verdict) -> Onward {
    let name = &plan.runbook;
    let again = |flags: &str| call_on("plan", name, flags);
    let (refused, unforeseen) = (plan.refused().count(), plan.unforeseen().count());
    if refused > 0 {
        let steps = format!("{} {} refused", count(refused, "step"), if refused == 1 { "is" } else { "are" });
        let note = format!("REFUSED: {steps}; see above for the cure. Nothing was changed.");
        return Onward { note: Some((Tone::Bad, note)), command: again("") };
    }
    if unforeseen > 0 {
        let note = format!("INCOMPLETE: {} could not be looked at; see `?` above.", count(unforeseen, "step"));
        return Onward { note: Some((Tone::Warn, note)), command: again("") };
    }
    let zone = runbook.window.as_ref().map_or(TimeZone::UTC, |window| window.timezone.clone());
    let at = |opening: &Opening| {
        let local = opening.opens.to_zoned(zone.clone());
        // An hour that comes twice would be asked back.
        match zone.to_ambiguous_timestamp(local.datetime()).is_ambiguous() {
            true => format!("--at {}", opening.opens),
            false => local.strftime("--at %Y-%m-%dT%H:%M").to_string(),
        }
    };
    let another = |from: Timestamp| match fitting(plan, runbook, from) {
        Some(opening) => Onward { note: None, command: again(&at(&opening)) },
        None => {
            let note = "No window is long enough: make it longer or the work less, then plan again.".to_owned();
            Onward { note: Some((Tone::Bad, note)), command: again("") }
        }
    };
    match verdict {
        Verdict::Closed { opens } => another(*opens),
        Verdict::TooLong { closes, .. } => another(*closes),
        Verdict::NoWindow | Verdict::Fits { .. } => begin(plan, &zone),
    }
}

/// The run itself, where the plan is of this machine; else the same run on the facts.
fn begin(plan: &Plan, zone: &TimeZone) -> Onward {
    let typed = typed();
    if typed.is_some_and(|typed| typed.facts.is_some()) {
        let note =
            Some((Tone::Plain, "A plan on recorded facts: it can be rehearsed here, and run on its host.".to_owned()));
        return Onward { note, command: call_on("rehearse", &plan.runbook, "") };
    }
    let later = typed.is_some_and(|typed| typed.later).then(|| {
        let at = plan.starts_at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string();
        format!("To be typed {at} {}, not before.", zone.iana_name().unwrap_or("UTC"))
    });
    let checks = || (!plan.changes_anything()).then(|| "Nothing is to change: a run only waits and checks.".to_owned());
    Onward { note: later.or_else(checks).map(|note| (Tone::Plain, note)), command: call_on("run", &plan.runbook, "") }
}

/// The first window from then on into which the slow end fits.
fn fitting(plan: &Plan, runbook: &Runbook, from: Timestamp) -> Option<Opening> {
    /// Windows differ by an hour at most, twice a year; a year of daily ones is enough to know.
    const LOOKED_AT: usize = 400;
    let window = runbook.window.as_ref()?;
    let mut at = from;
    for _ in 0..LOOKED_AT {
        let opening = window.current_or_next(at)?;
        let opens = opening.opens.max(at);
        if opens.checked_add(plan.takes().at_worst()).is_ok_and(|ends| ends <= opening.closes) {
            return Some(Opening { opens, ..opening });
        }
        at = opening.closes;
    }
    None
}

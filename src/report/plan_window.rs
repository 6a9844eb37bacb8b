//! The end of the plan screen: the ways back, the window as a bar, the verdict, and the next command.

use std::time::Duration;

use jiff::Timestamp;

use super::layout::{clean, columns, fit, pad};
use super::out::Tone;
use super::plan_next::{Onward, onward};
use super::plan_view::Sheet;
use crate::host::span::{clock, words};
use crate::plan::{Verdict, WayBack};

/// The point of no return with its time of day, and what giving up means in each phase.
pub(super) fn no_return(sheet: &mut Sheet<'_>, at: usize, id: &str) {
    let before = sheet.plan.before(at);
    let (early, late) =
        (after(sheet.plan.starts_at, before.typically()), after(sheet.plan.starts_at, before.at_worst()));
    let (early, late) = (sheet.time(early), sheet.time(late));
    sheet.labelled(Tone::Strong, "No return          ", &format!("{id}, at {early} typically, {late} on a slow night"));
    let rows = ways(sheet);
    let width = rows.iter().map(|(phases, _)| columns(phases)).max().unwrap_or_default();
    for (n, (phases, way)) in rows.iter().enumerate() {
        let label = if n == 0 { sheet.style.paint(Tone::Strong, "Giving up") } else { " ".repeat(9) };
        let room = sheet.style.columns().saturating_sub(19);
        let text = fit(&format!("{}   {way}", pad(phases, width)), room, sheet.style);
        sheet.line(&format!("{label}          {text}"));
    }
}

/// Phases in a row with the same way back are told together.
fn ways(sheet: &Sheet<'_>) -> Vec<(String, String)> {
    let mut groups: Vec<(Vec<&str>, WayBack)> = Vec::new();
    for (phase, way) in sheet.plan.ways_back() {
        match groups.last_mut() {
            Some((phases, known)) if *known == way => phases.push(phase),
            _ => groups.push((vec![phase], way)),
        }
    }
    let told = groups.iter().map(|(phases, way)| {
        let phases = match phases.as_slice() {
            [first, .., last] => format!("{} to {}", clean(first), clean(last)),
            one => clean(&one.concat()),
        };
        let way = match way {
            WayBack::Stops => "a run just stops".to_owned(),
            WayBack::BacksOut(takes) => {
                let (typical, slow) = (words(takes.typically()), words(takes.at_worst()));
                format!("backs out: {typical} typically, {slow} at worst")
            }
            WayBack::None => "NO WAY BACK, services stay down: name phases in `back_out`".to_owned(),
            WayBack::Forward => "not any more: only forward".to_owned(),
        };
        (phases, way)
    });
    told.collect()
}

/// The window and the verdict.
pub(super) fn window(sheet: &mut Sheet<'_>) {
    let takes = sheet.plan.takes();
    let start = sheet.plan.starts_at;
    match sheet.verdict.clone() {
        Verdict::NoWindow => {
            let (typical, slow) = (words(takes.typically()), words(takes.at_worst()));
            sheet.line("Window: none, the runbook names none.");
            sheet.tone(Tone::Plain, &format!("  Takes {typical} typically, {slow} at worst."));
        }
        Verdict::Closed { opens } => closed(sheet, opens),
        Verdict::Fits { opens, closes, latest_start } => {
            bar(sheet, opens, closes);
            let (typical, slow) = (after(start, takes.typically()), after(start, takes.at_worst()));
            let but = if sheet.plan.unforeseen().count() > 0 { " The steps marked `?` are not counted." } else { "" };
            let verdict = format!(
                "ends {} typical, {} slow; {} spare. Latest safe start {}.{but}",
                sheet.time(typical),
                sheet.time(slow),
                words(between(slow, closes)),
                sheet.time(latest_start),
            );
            sheet.labelled(Tone::Good, "  FITS: ", &verdict);
        }
        Verdict::TooLong { opens, closes, late, longest } => {
            bar(sheet, opens, closes);
            let late = Duration::from_secs_f64(late.clamp(0.0, 1e9));
            let verdict = format!(
                "slow end {}, {} late ({} is {} of it).",
                sheet.time(after(start, takes.at_worst())),
                words(late),
                longest.0,
                clock(Duration::from_secs_f64(longest.1.clamp(0.0, 1e9))),
            );
            sheet.labelled(Tone::Bad, "  DOES NOT FIT: ", &verdict);
            let options = options(sheet, opens, closes, &longest.0);
            sheet.labelled(Tone::Plain, "  Options: ", &options.join("; "));
        }
    }
    sheet.line("");
}

fn closed(sheet: &mut Sheet<'_>, opens: Timestamp) {
    let wait = words(between(sheet.plan.starts_at, opens));
    let zone = sheet.zone.iana_name().unwrap_or("UTC").to_owned();
    let shown = opens.to_zoned(sheet.zone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string();
    sheet.tone(Tone::Plain, &format!("Window opens {shown} {zone}, {wait} after the planned start"));
    sheet.tone(Tone::Bad, "  CLOSED: a run at the planned start is refused.");
    let Some(closes) = sheet.runbook.window.as_ref().and_then(|window| window.closes(opens)) else { return };
    let takes = sheet.plan.takes();
    let (typical, slow) = (after(opens, takes.typically()), after(opens, takes.at_worst()));
    let clock = |at: Timestamp| at.to_zoned(sheet.zone.clone()).strftime("%H:%M").to_string();
    let text = if slow <= closes {
        let latest = closes.checked_sub(takes.at_worst()).unwrap_or(opens);
        format!("ends {} typical, {} slow. Latest safe start {}.", clock(typical), clock(slow), clock(latest))
    } else {
        format!("DOES NOT FIT either: slow end {}, the window closes {}.", clock(slow), clock(closes))
    };
    sheet.labelled(Tone::Plain, "  Started then: ", &text);
}

/// What can be done about a plan that is too long.
fn options(sheet: &Sheet<'_>, opens: Timestamp, closes: Timestamp, longest: &str) -> Vec<String> {
    let slow = sheet.plan.takes().at_worst();
    let mut options = Vec::new();
    if slow <= between(opens, closes) {
        let latest = closes.checked_sub(slow).unwrap_or(opens);
        options.push(format!(
            "start by {} in a window like this (--at)",
            latest.to_zoned(sheet.zone.clone()).strftime("%H:%M")
        ));
    } else {
        let hours = slow.as_secs().div_ceil(1800) as f64 / 2.0;
        options.push(format!("a window of {hours}h (`length:`)"));
    }
    let compacts = sheet.plan.steps.iter().any(|step| step.action.rewrites());
    let loads = sheet.plan.steps.iter().any(|step| step.action.awaits_data() && step.phase == longest);
    if loads && !compacts {
        options.push("a `redis_compacted` step before the reboot shortens the load".to_owned());
    }
    if loads && compacts {
        options.push("compact in an earlier window, so that the load starts small".to_owned());
    }
    options.push("--ignore-window REASON, which goes into the report".to_owned());
    options
}

/// `10:15 |===typical===:::slow:::......| 12:00`, from the start to the end of the window.
fn bar(sheet: &mut Sheet<'_>, opens: Timestamp, closes: Timestamp) {
    let start = sheet.plan.starts_at;
    let (from, to) = (sheet.time(opens), sheet.time(closes));
    let zone = sheet.zone.iana_name().unwrap_or("UTC").to_owned();
    sheet.tone(
        Tone::Plain,
        &format!("Window {from}-{to} {zone}, closes {} after the start", words(between(start, closes))),
    );
    let (from, to) = (sheet.time(start), to);
    let cells = sheet.style.columns().saturating_sub(8 + from.len() + to.len()).clamp(10, 100);
    let takes = sheet.plan.takes();
    let whole = between(start, closes).as_secs_f64().max(1.0);
    let at = |secs: f64| ((secs / whole * cells as f64).ceil().max(0.0) as usize).min(cells);
    let (typical, slow) = (at(takes.typical), at(takes.slow));
    let part = |len: usize, fill: &str, name: &str| {
        if len >= name.len() + 2 {
            let left = (len - name.len()) / 2;
            format!("{}{name}{}", fill.repeat(left), fill.repeat(len - name.len() - left))
        } else {
            fill.repeat(len)
        }
    };
    let over = takes.slow > whole;
    let tone = if over { Tone::Bad } else { Tone::Good };
    let typical_part = sheet.style.paint(tone, &part(typical, "=", "typical"));
    let slow_part = sheet.style.paint(Tone::Warn, &part(slow - typical, ":", "slow"));
    let rest = ".".repeat(cells - slow);
    let edge = if over { ">" } else { "|" };
    sheet.line(&format!("  {from} |{typical_part}{slow_part}{rest}{edge} {to}"));
}

/// What to type now; where somebody is asked next, only what stands in the way.
pub(super) fn next(sheet: &mut Sheet<'_>) {
    let Onward { note, command } = onward(sheet.plan, sheet.runbook, sheet.verdict);
    if let Some((tone, note)) = note.filter(|(tone, _)| sheet.leads_on || *tone != Tone::Plain) {
        sheet.tone(tone, &note);
    }
    if sheet.leads_on {
        let command = sheet.style.paint(Tone::Strong, &command);
        sheet.line(&format!("Next:  {command}"));
    }
}

fn after(at: Timestamp, length: Duration) -> Timestamp {
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

//! A journal for people: the timeline of its records, and the verdict on its files. Every value in it may come from a machine
//! or from a damaged disk, so each goes through the last door, [`clean`].

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::doubts::doubts;
use super::layout::{clean, columns, labelled, pad, paragraph, patterns, wrap};
use super::out::{Style, Tone};
use super::status::name_of;
use super::telling::{decision, end, pause, person};
use crate::host::foreign::named;
use crate::host::span::words;
use crate::journal::checkpoint::{Checkpoint, How, Outcome};
use crate::journal::inspect::Inspection;
use crate::journal::record::Entry;

/// The longest text of a record that a program is given.
const LONGEST: usize = 64 << 10;

/// The records of a run, one line each, with times of day in a zone. Ends with a newline.
#[must_use]
pub fn timeline(inspection: &Inspection, zone: &TimeZone, style: &Style) -> String {
    let mut out = String::new();
    let (mut boot, mut day) = (None, None);
    for entry in &inspection.entries {
        let at = entry.wall.to_zoned(zone.clone());
        if day.replace(at.date()).is_none_or(|known| known != at.date()) {
            out.push_str(&style.paint(Tone::Faint, &format!("--- {} {}", at.strftime("%a %F"), name_of(zone))));
            out.push('\n');
        }
        if boot.replace(&entry.boot_id).is_some_and(|known| *known != entry.boot_id) {
            out.push_str(&style.paint(Tone::Strong, &format!("--- another boot: {:.8}", clean(&entry.boot_id))));
            out.push('\n');
        }
        line(&mut out, &format!("{:>5}  {}", entry.seq, at.strftime("%H:%M:%S")), &entry.checkpoint, style);
    }
    if let Some(damage) = &inspection.damage {
        let text = format!(
            "--- DAMAGED at byte {}, after record {}: {}",
            damage.offset,
            damage.seq,
            clean(&damage.why.to_string())
        );
        for text in wrap(&text, style.columns(), 4) {
            out.push_str(&style.paint(Tone::Bad, &text));
            out.push('\n');
        }
        if !inspection.later.is_empty() {
            out.push_str("--- what can be read behind it; nothing proves that it is all, or in order\n");
        }
        for (_, entry) in &inspection.later {
            let time = entry.wall.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string();
            line(&mut out, &format!("?{:>4}  {time}", entry.seq), &entry.checkpoint, style);
        }
    }
    if inspection.torn() > 0 {
        out.push_str(&format!("--- and {} bytes of a record that never became one\n", inspection.torn()));
    }
    out
}

fn line(out: &mut String, lead: &str, checkpoint: &Checkpoint, style: &Style) {
    let (tone, text) = sentence(checkpoint);
    let room = style.columns().saturating_sub(columns(lead) + 2).max(20);
    for (n, part) in wrap(&clean(&text), room, 4).into_iter().enumerate() {
        let lead = if n == 0 { style.paint(Tone::Faint, lead) } else { " ".repeat(columns(lead)) };
        out.push_str(&format!("{lead}  {}\n", style.paint(tone, &part)));
    }
}

/// A record in a sentence; unlike on the screens of a run, none is left out.
fn sentence(checkpoint: &Checkpoint) -> (Tone, String) {
    match checkpoint {
        Checkpoint::Opened(one) => {
            let (name, host, who) = (&one.runbook_name, &one.hostname, person(&one.owner));
            let text =
                format!("opened {name} on {host}, by {who}, {} steps, runbook {}", one.steps.len(), one.tool_version);
            (Tone::Strong, text)
        }
        Checkpoint::Resumed { owner, boot_id, unattended } => {
            let who = if *unattended { "the resume unit".to_owned() } else { person(owner) };
            (Tone::Strong, format!("resumed by {who} (boot {boot_id:.8})"))
        }
        Checkpoint::Captured { step, key, value } => {
            (Tone::Faint, format!("{step} keeps {key} ({} bytes)", value.as_str().len()))
        }
        Checkpoint::BackOut { reason } => (Tone::Bad, format!("BACKING OUT: {reason}")),
        Checkpoint::Paused { why, note } => {
            let note = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            (Tone::Warn, format!("paused, {}{note}", pause(*why)))
        }
        Checkpoint::Decision { who, what, reason } => (Tone::Warn, decision(who, what, reason)),
        Checkpoint::Recovered { dropped_bytes, copy } => {
            (Tone::Warn, format!("a torn end of {dropped_bytes} bytes was dropped, copy in {copy}"))
        }
        Checkpoint::Finished { outcome, .. } => {
            let (tone, word) = end(*outcome);
            (tone, format!("over: {word}"))
        }
        Checkpoint::Abandoned { who, reason } => (Tone::Bad, format!("abandoned by {who}: {reason}")),
        of_a_step => of_step(of_a_step),
    }
}

fn of_step(checkpoint: &Checkpoint) -> (Tone, String) {
    match checkpoint {
        Checkpoint::StepStarted { step, attempt, title, items, repeatable } => {
            let names: Vec<&str> = items.iter().map(String::as_str).collect();
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let once = if *repeatable { "" } else { ", once only" };
            let items =
                if names.is_empty() { String::new() } else { format!(": {} ({})", names.len(), patterns(&names, 60)) };
            (Tone::Strong, format!("{step} begins, {title}{again}{once}{items}"))
        }
        Checkpoint::ItemIntent { step, item } => (Tone::Faint, format!("{step} {item}: is about to be done")),
        Checkpoint::ItemDone { step, item, outcome, took_ms, note, .. } => {
            let took = words(Duration::from_millis(*took_ms));
            let note = note.as_deref().map(|note| format!(", {note}")).unwrap_or_default();
            let (tone, what) = match outcome {
                Outcome::Applied => (Tone::Plain, format!("done in {took}{note}")),
                Outcome::Failed { why, .. } => (Tone::Bad, format!("FAILED: {why}")),
                Outcome::Unknown { why } => (Tone::Bad, format!("UNKNOWN: {why}")),
                Outcome::NotBegun => (Tone::Plain, format!("was not begun{note}")),
            };
            (tone, format!("{step} {item}: {what}"))
        }
        Checkpoint::StepDone { step, how, took_ms } => {
            let took = words(Duration::from_millis(*took_ms));
            match how {
                How::Applied => (Tone::Good, format!("{step} is done, in {took}")),
                How::AlreadySo => (Tone::Good, format!("{step} is so already")),
                How::Skipped { why } => (Tone::Warn, format!("{step} is skipped: {why}")),
                How::Ruled => (Tone::Warn, format!("{step} is done by decision")),
                How::WithLosses { losses } => (
                    Tone::Warn,
                    format!(
                        "{step} is done, in {took}, without {}",
                        clean(&losses.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
                    ),
                ),
            }
        }
        Checkpoint::StepFailed { step, error, .. } => (Tone::Bad, format!("{step} FAILED: {error}")),
        Checkpoint::StepUnknown { step, why } => (Tone::Bad, format!("{step} is UNKNOWN: {why}")),
        Checkpoint::RebootIntent { step, boot_id } => {
            (Tone::Strong, format!("{step} asks the machine to go down (boot {boot_id:.8})"))
        }
        Checkpoint::Rebooted { step, old, new, took_ms } => {
            let took = words(Duration::from_millis(*took_ms));
            (Tone::Good, format!("{step}: rebooted, proven after {took}: boot {old:.8} -> {new:.8}"))
        }
        other => (Tone::Plain, other.kind().to_owned()),
    }
}

/// The records for programs, one line each; those behind a damage are marked as unproven.
#[must_use]
pub fn record_lines(inspection: &Inspection) -> Vec<String> {
    let line = |entry: &Entry, proven: bool| {
        let mut value = json!({ "type": "record", "proven": proven });
        if let (Some(line), Ok(Value::Object(entry))) = (value.as_object_mut(), serde_json::to_value(entry)) {
            line.extend(entry.into_iter().map(|(key, value)| (key, tamed(value))));
        }
        value.to_string()
    };
    let proven = inspection.entries.iter().map(|entry| line(entry, true));
    proven.chain(inspection.later.iter().map(|(_, entry)| line(entry, false))).collect()
}

/// A value with all its texts tamed.
fn tamed(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(named(&text, LONGEST)),
        Value::Array(list) => Value::Array(list.into_iter().map(tamed).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (named(&key, LONGEST), tamed(value))).collect())
        }
        other => other,
    }
}

/// What a walk along a journal has found, `boot_id` being this machine's. `spoilt`: what is wrong beside the journal itself.
#[must_use]
pub fn journal_verdict(
    run: &str,
    inspection: &Inspection,
    spoilt: Option<&str>,
    boot_id: &str,
    style: &Style,
) -> String {
    let mut out = format!("journal of {}\n", style.paint(Tone::Strong, &clean(run)));
    let mut row = |tone: Tone, label: &str, text: &str| {
        labelled(&mut out, &format!("  {}  ", pad(label, 12)), label, tone, text, style);
    };
    let count = inspection.entries.len();
    let whole = format!(
        "{count} fit: checksum, number, chain and legal order; {} of {} bytes",
        inspection.good, inspection.bytes
    );
    row(Tone::Plain, "records", &whole);
    match inspection.acknowledged {
        Some(seq) => row(Tone::Plain, "head", &format!("acknowledged up to record {seq}")),
        None => row(Tone::Bad, "head", "cannot be read"),
    }
    if inspection.torn() > 0 {
        let text = format!(
            "{} bytes of an append that was cut short or goes on right now; never acknowledged, so a resume drops them, after a copy",
            inspection.torn()
        );
        row(Tone::Warn, "torn end", &text);
    }
    if let Some(damage) = &inspection.damage {
        let text =
            format!("at byte {}, after record {}: {}", damage.offset, damage.seq, clean(&damage.why.to_string()));
        row(Tone::Bad, "DAMAGED", &text);
        if let (Some((_, first)), Some((_, last))) = (inspection.later.first(), inspection.later.last()) {
            let text = format!(
                "{} records can still be read, {} to {}; nothing proves that they are all",
                inspection.later.len(),
                first.seq,
                last.seq
            );
            row(Tone::Warn, "behind it", &text);
        }
    }
    if let Some(why) = spoilt {
        row(Tone::Bad, "REFUSED", &clean(why));
    }
    if inspection.damage.is_none() && spoilt.is_none() {
        row(Tone::Good, "ok", "nothing is wrong with it");
        return out;
    }
    for (n, text) in doubts(inspection, boot_id).iter().enumerate() {
        row(Tone::Plain, if n == 0 { "known" } else { "" }, text);
    }
    out.push_str("Nothing was changed.\n");
    out
}

/// The verdict for programs.
#[must_use]
pub fn verdict_line(run: &str, inspection: &Inspection, spoilt: Option<&str>, boot_id: &str) -> String {
    let damage = inspection.damage.as_ref().map(
        |damage| json!({ "offset": damage.offset, "after_record": damage.seq, "why": clean(&damage.why.to_string()) }),
    );
    let sound = damage.is_none() && spoilt.is_none();
    json!({
        "type": "journal",
        "run": clean(run),
        "ok": sound,
        "records": inspection.entries.len(),
        "bytes": inspection.bytes,
        "good_bytes": inspection.good,
        "torn_bytes": inspection.torn(),
        "acknowledged": inspection.acknowledged,
        "damage": damage,
        "refused": spoilt.map(clean),
        "unproven_records": inspection.later.len(),
        "known": if sound { Vec::new() } else { doubts(inspection, boot_id) },
    })
    .to_string()
}

/// A run that was set aside: who, when, why, and what was wrong with it.
#[must_use]
pub fn set_aside(run: &str, note: &crate::journal::aside::Aside, style: &Style) -> String {
    let at = note.at.strftime("%F %H:%M UTC");
    let mut out = String::new();
    let text = format!("{} by {}, {at}: {}", clean(run), clean(&note.who), clean(&note.reason));
    labelled(&mut out, "SET ASIDE  ", "SET ASIDE", Tone::Warn, &text, style);
    paragraph(&mut out, "  found    ", &clean(&note.found), style);
    for (n, known) in note.known.iter().take(16).enumerate() {
        paragraph(&mut out, if n == 0 { "  known    " } else { "           " }, &clean(known), style);
    }
    out
}

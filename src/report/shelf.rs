//! Runbooks as they stand on the shelf: which there are, and what one of them does, without looking at a machine.

use super::layout::{clean, columns, pad, paragraph};
use super::out::{Style, Tone};
use crate::host::span::{count, words};
use crate::runbook::{ConfirmKind, Runbook, Step};

/// A line for each runbook: its name and what it is for. Ends with a newline unless there are none.
#[must_use]
pub fn shelf(all: &[(String, String)], style: &Style) -> String {
    let width = all.iter().map(|(name, _)| columns(name)).max().unwrap_or(0).min(32);
    let mut out = String::new();
    for (name, doc) in all {
        let lead = format!("{}  ", pad(&clean(name), width));
        let mut text = String::new();
        paragraph(&mut text, &lead, &clean(doc), style);
        out.push_str(&text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>());
    }
    out
}

/// What a runbook does, in the order in which it does it.
#[must_use]
pub fn script(runbook: &Runbook, file: &str, sha256: &str, style: &Style) -> String {
    let mut out = format!("{}   ", style.paint(Tone::Strong, &clean(&runbook.name)));
    let indent = columns(&out);
    let head = format!("{}   sha256 {sha256:.12}", clean(file));
    if indent + columns(&head) > style.columns() {
        out = format!("{}\n", out.trim_end());
        paragraph(&mut out, "  ", &head, style);
    } else {
        out.push_str(&format!("{head}\n"));
    }
    if !runbook.doc.is_empty() {
        paragraph(&mut out, "", &clean(&runbook.doc), style);
    }
    known(&mut out, runbook, style);
    steps(&mut out, runbook, style);
    out
}

/// Where, when and about what.
fn known(out: &mut String, runbook: &Runbook, style: &Style) {
    paragraph(out, "hosts     ", &runbook.hosts.join(", "), style);
    if let Some(window) = &runbook.window {
        let days: Vec<&str> = window.days.iter().map(|day| day.name()).collect();
        let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
        let zone = window.timezone.iana_name().unwrap_or("its time zone");
        let opens = window.opens.strftime("%H:%M");
        paragraph(out, "window    ", &format!("{days} {opens} for {}, {zone}", words(window.length)), style);
    }
    if !runbook.back_out.is_empty() {
        paragraph(out, "back out  ", &runbook.back_out.join(", "), style);
    }
    let inventory = &runbook.inventory;
    let text = format!(
        "{}, {}, {}",
        count(inventory.redis.len(), "Redis instance"),
        count(inventory.units_of(None).len(), "unit"),
        count(inventory.pm2.len(), "PM2 place")
    );
    paragraph(out, "knows     ", &text, style);
}

fn steps(out: &mut String, runbook: &Runbook, style: &Style) {
    let first_taker = runbook.steps().find(|(.., step)| step.action.takes_service_away()).map(|(id, ..)| id);
    let width = runbook.steps().map(|(id, ..)| columns(id.as_str())).max().unwrap_or(0).clamp(12, 28);
    let mut phase_before = "";
    for (id, phase, step) in runbook.steps() {
        if phase.name != phase_before {
            out.push_str(&format!("\n{}\n", style.paint(Tone::Strong, &clean(&phase.name))));
            phase_before = &phase.name;
        }
        if Some(&id) == first_taker.as_ref() {
            let line = "  ---- point of no return: from here on users notice ----";
            out.push_str(&format!("{}\n", style.paint(Tone::Warn, line)));
        }
        paragraph(out, &format!("  {}  ", pad(id.as_str(), width)), &described(step), style);
    }
}

/// The action and the limits around it.
fn described(step: &Step) -> String {
    let mut parts = vec![step.action.key().to_owned()];
    parts.extend(step.within.map(|within| format!("within {}", words(within))));
    parts.extend(step.retry.map(|retry| match retry.times {
        1 => "1 retry".to_owned(),
        n => format!("{n} retries"),
    }));
    parts.extend(step.confirm.as_ref().map(|confirm| match confirm.kind {
        ConfirmKind::Name => "asks for the typed name".to_owned(),
        ConfirmKind::Yes => "asks".to_owned(),
    }));
    parts.join(", ")
}

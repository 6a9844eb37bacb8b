//! The plan screen: what would happen, how long it takes, whether it fits, and what to type next.
//!
//! The most important comes last, where the eye and the prompt are. Nothing scrolls off: hundreds of apps are grouped,
//! what is as it should be is only counted, and `?` keeps "nobody knows" apart from "no change".

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::layout::{clean, columns, fit, pad, paragraph, right};
use super::out::{Style, Tone};
use super::{plan_changes, plan_window};
use crate::action::change::{HeldBack, Weight};
use crate::action::{Item, Sign};
use crate::host::span::{Span, clock, words};
use crate::plan::{Plan, PlannedStep, Source, Verdict};
use crate::runbook::Runbook;

/// How much of a plan is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// One screen.
    #[default]
    Short,
    /// Every change, every difference, every note.
    Full,
}

/// What the parts of the screen share.
pub(super) struct Sheet<'a> {
    pub(super) plan: &'a Plan,
    pub(super) runbook: &'a Runbook,
    pub(super) verdict: &'a Verdict,
    pub(super) detail: Detail,
    pub(super) style: &'a Style,
    pub(super) zone: TimeZone,
    /// It ends with the next command.
    pub(super) leads_on: bool,
    pub(super) text: String,
}

/// The screen of a plan. Ends with a newline.
#[must_use]
pub fn plan(plan: &Plan, runbook: &Runbook, verdict: &Verdict, detail: Detail, style: &Style) -> String {
    screen(plan, runbook, verdict, detail, style, true)
}

/// [`plan()`] in front of the question whether to carry it out: the answer is what comes next, and no command.
#[must_use]
pub fn plan_to_agree(plan: &Plan, runbook: &Runbook, verdict: &Verdict, detail: Detail, style: &Style) -> String {
    screen(plan, runbook, verdict, detail, style, false)
}

fn screen(plan: &Plan, runbook: &Runbook, verdict: &Verdict, detail: Detail, style: &Style, leads_on: bool) -> String {
    let zone = runbook.window.as_ref().map_or(TimeZone::UTC, |window| window.timezone.clone());
    let mut sheet = Sheet { plan, runbook, verdict, detail, style, zone, leads_on, text: String::new() };
    sheet.header();
    sheet.probed();
    sheet.table();
    plan_changes::changes(&mut sheet);
    sheet.concerns();
    sheet.durations();
    plan_window::window(&mut sheet);
    plan_window::next(&mut sheet);
    sheet.text
}

impl Sheet<'_> {
    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// A line in the colour of its meaning, cut to the width.
    pub(super) fn tone(&mut self, tone: Tone, text: &str) {
        let text = self.style.paint(tone, &fit(text.trim_end(), self.style.columns(), self.style));
        self.line(&text);
    }

    /// A label in its colour and a text wrapped beside it.
    pub(super) fn labelled(&mut self, tone: Tone, label: &str, text: &str) {
        let mut lines = String::new();
        paragraph(&mut lines, label, text, self.style);
        let painted = self.style.paint(tone, label.trim_end());
        self.text.push_str(&painted);
        self.text.push_str(lines.get(label.trim_end().len()..).unwrap_or_default());
    }

    /// `10:15`, with the day when it is another one than that of the start.
    pub(super) fn time(&self, at: Timestamp) -> String {
        let (start, at) = (self.plan.starts_at.to_zoned(self.zone.clone()), at.to_zoned(self.zone.clone()));
        let form = if start.date() == at.date() { "%H:%M" } else { "%a %H:%M" };
        at.strftime(form).to_string()
    }

    fn header(&mut self) {
        let start = self.plan.starts_at.to_zoned(self.zone.clone());
        let zone = self.zone.iana_name().unwrap_or("UTC").to_owned();
        let name = clean(&self.plan.runbook);
        let rest = format!(
            "   {:.7}   on {}   {} {zone}",
            self.plan.sha256,
            clean(&self.plan.hostname),
            start.strftime("%a %Y-%m-%d %H:%M")
        );
        let title = self.style.paint(Tone::Strong, &name);
        self.line(&format!("{title}{}", fit(&rest, self.style.columns().saturating_sub(columns(&name)), self.style)));
        self.line("Read-only: a plan changes nothing.");
        self.line("");
    }

    fn probed(&mut self) {
        let inventory = &self.runbook.inventory;
        let counts =
            [(inventory.redis.len(), "redis"), (inventory.units_of(None).len(), "units"), (inventory.pm2.len(), "pm2")];
        let parts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{what} {n}")).collect();
        let checks = self.plan.steps.iter().filter(|step| step.action.checks());
        let checks: usize = checks.map(|step| step.change.items.len() + step.change.already).sum();
        let checks = if checks == 0 { String::new() } else { format!("    checks {checks}") };
        let took = words(Duration::from_secs_f64(self.plan.probed_in.clamp(0.0, 1e6)));
        self.tone(Tone::Plain, &format!("Probed in {took}    {}{checks}", parts.join("    ")));
        let unforeseen: Vec<(String, String)> = self
            .plan
            .unforeseen()
            .map(|step| (step.id.to_string(), clean(step.unforeseen.as_deref().unwrap_or_default())))
            .collect();
        for (id, why) in unforeseen {
            self.labelled(Tone::Warn, &format!("  ? {id}  "), &format!("could not be looked at: {why}"));
        }
        let not_asked = self.plan.steps.iter().filter(|step| step.action.checks());
        let not_asked: Vec<&str> = not_asked
            .flat_map(|s| &s.change.items)
            .filter(|i| i.sign == Sign::Unknown)
            .map(|i| i.key.as_str())
            .collect();
        if !not_asked.is_empty() {
            let names = clean(&not_asked.join(", "));
            self.labelled(Tone::Warn, "  ? ", &format!("known only when the run gets there: {names}"));
        }
        self.line("");
    }

    /// Phases with their signs and times.
    fn table(&mut self) {
        let phases = phases(self.plan);
        let name_width = phases.iter().map(|(name, _)| columns(name)).max().unwrap_or(0).clamp(7, 18);
        let narrow = self.style.columns() < 64;
        let times = if narrow { 18 } else { 28 };
        let room = self.style.columns().saturating_sub(4 + name_width + 2 + times);
        let head = format!(" #  {}  {}", pad("phase", name_width), pad("what happens", room));
        let tail = if narrow { "  typical     slow" } else { "  typical     slow  slow end" };
        self.tone(Tone::Faint, &format!("{head}{tail}"));
        let mut passed = Span::ZERO;
        for (n, (name, steps)) in phases.iter().enumerate() {
            let takes = steps.iter().fold(Span::ZERO, |sum, step| sum.then(step.takes.span));
            passed = passed.then(takes);
            let end = self.plan.starts_at.checked_add(passed.at_worst()).unwrap_or(self.plan.starts_at);
            let (tone, parts) = plan_changes::phase(steps);
            let mut rows = pack(&parts, room, self.style).into_iter();
            let first = pad(&rows.next().unwrap_or_default(), room);
            let (typical, slow) = times_of(takes, steps);
            let mut row = format!("{:>2}  {}  ", n + 1, pad(&fit(name, name_width, self.style), name_width));
            row.push_str(&self.style.paint(tone, &first));
            row.push_str(&format!("{}{}", right(&typical, 9), right(&slow, 9)));
            if !narrow {
                row.push_str(&right(&self.time(end), 10));
            }
            self.line(&row);
            for more in rows {
                let more = self.style.paint(tone, &more);
                self.line(&format!("{}{more}", " ".repeat(4 + name_width + 2)));
            }
        }
        let total = self.plan.takes();
        let mut row = format!("    {}  {}", pad("all", name_width), " ".repeat(room));
        row.push_str(&format!("{}{}", right(&clock(total.typically()), 9), right(&clock(total.at_worst()), 9)));
        self.tone(Tone::Strong, &row);
        self.line("");
    }

    fn concerns(&mut self) {
        let all = self.plan.steps.iter().flat_map(|step| step.change.concerns.iter().map(move |c| (&step.id, c)));
        let mut all: Vec<_> = all.map(|(id, concern)| (id.to_string(), concern.clone())).collect();
        // The same thing seen by two steps is one thing.
        let mut known = Vec::new();
        all.retain(|(_, concern)| {
            let new = !known.contains(concern);
            known.push(concern.clone());
            new
        });
        all.sort_by_key(|(_, concern)| std::cmp::Reverse(concern.weight));
        let notes = all.iter().filter(|(_, concern)| concern.weight == Weight::Note).count();
        for (id, concern) in &all {
            let (tone, word) = match concern.weight {
                Weight::Stop => (Tone::Bad, "REFUSED"),
                Weight::Warn => (Tone::Warn, "warn"),
                Weight::Note if self.detail == Detail::Full => (Tone::Faint, "note"),
                Weight::Note => continue,
            };
            let seen = format!("{} ({id}): {}", clean(&concern.about), clean(&concern.seen));
            self.labelled(tone, &format!("{word:<7}  "), &seen);
            if !concern.cure.is_empty() {
                self.labelled(Tone::Plain, "         cure: ", &clean(&concern.cure));
            }
        }
        if notes > 0 && self.detail == Detail::Short {
            self.tone(Tone::Faint, &format!("{notes} note{}; shown with -v", if notes == 1 { "" } else { "s" }));
        }
        if !all.is_empty() {
            self.line("");
        }
    }

    /// Cut-off, point of no return, way back, and where the numbers come from.
    fn durations(&mut self) {
        let span = |span: Span| format!("{} typically, {} at worst", words(span.typically()), words(span.at_worst()));
        if let (Some(at), Some(cut)) = (self.plan.no_return(), self.plan.cut_off()) {
            let id = self.plan.steps.get(at).map_or(String::new(), |step| step.id.to_string());
            self.labelled(Tone::Strong, "Users are cut off  ", &format!("{}, from {id} on", span(cut)));
            plan_window::no_return(self, at, &id);
        }
        let sources = self.sources();
        if !sources.is_empty() {
            self.labelled(Tone::Strong, "Estimates          ", &sources);
        }
        let limits = self.limits();
        if !limits.is_empty() {
            self.labelled(Tone::Strong, "Waits end          ", &limits);
        }
        let held = self.held_back();
        if !held.is_empty() {
            self.labelled(Tone::Strong, "Holds back         ", &held);
        }
        self.line("");
    }

    /// What one lost app would keep from starting, the worst first.
    fn held_back(&self) -> String {
        let mut all: Vec<HeldBack> = self.plan.steps.iter().flat_map(|step| step.change.held_back()).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.waiting));
        let shown = if matches!(self.detail, Detail::Short) { HELD } else { usize::MAX };
        let mut told: Vec<String> = all.iter().take(shown).map(held_words).collect();
        if all.len() > shown {
            told.push(format!("{} more with -v", all.len() - shown));
        }
        told.join("; ")
    }

    /// Waits to which the runbook has set no limit, with the one that they have.
    fn limits(&self) -> String {
        let of = |step: &PlannedStep| {
            let secs = step.gives_up_after.filter(|_| !step.change.is_empty() || step.unforeseen.is_some())?;
            Some(format!("{} after {}", step.id, words(Duration::from_secs(secs))))
        };
        let all: Vec<String> = self.plan.steps.iter().filter_map(of).collect();
        if all.is_empty() { String::new() } else { format!("{} (no `within` in the runbook)", all.join(", ")) }
    }

    fn sources(&self) -> String {
        let count = |wanted: fn(&Source) -> bool| self.plan.steps.iter().filter(|s| wanted(&s.takes.source)).count();
        let runs = self.plan.steps.iter().filter_map(|step| match step.takes.source {
            Source::PastRuns(runs) => Some(runs),
            _ => None,
        });
        let loads = self.plan.steps.iter().filter_map(|step| match step.takes.source {
            Source::Loads(loads) => Some(loads),
            _ => None,
        });
        let loads = loads.min().unwrap_or(0);
        let (fewest, most) = runs.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
        let runs = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        let parts = [
            (count(|s| *s == Source::Reckoned), "from sizes and counts on this host".to_owned()),
            (
                count(|s| matches!(s, Source::PastRuns(_))),
                format!("from {runs} past run{}", if most == 1 { "" } else { "s" }),
            ),
            (
                count(|s| matches!(s, Source::Loads(_))),
                format!("from {loads} earlier load{} on this host", if loads == 1 { "" } else { "s" }),
            ),
            (count(|s| *s == Source::Declared), "as declared".to_owned()),
            (count(|s| *s == Source::Usual), "by rule of thumb".to_owned()),
        ];
        let named: Vec<String> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, from)| format!("{n} step{} {from}", if *n == 1 { "" } else { "s" }))
            .collect();
        named.join(", ")
    }
}

/// Losses that are told on one screen.
const HELD: usize = 3;

/// What a loss holds back, in words.
fn held_words(held: &HeldBack) -> String {
    let wave = clean(&held.wave);
    let who = match (held.of, held.lost) {
        (1, _) => format!("`{wave}` fails"),
        (of, 1) => format!("one of {of} in `{wave}` fails"),
        (of, lost) => format!("{lost} of {of} in `{wave}` fail"),
    };
    format!("if {who}, {} wait{}", held.waiting, if held.waiting == 1 { "s" } else { "" })
}

/// The steps by phase, in order.
pub(super) fn phases(plan: &Plan) -> Vec<(&str, Vec<&PlannedStep>)> {
    let mut phases: Vec<(&str, Vec<&PlannedStep>)> = Vec::new();
    for step in &plan.steps {
        match phases.last_mut() {
            Some((name, steps)) if *name == step.phase => steps.push(step),
            _ => phases.push((&step.phase, vec![step])),
        }
    }
    phases
}

/// The two times of a phase; what nobody could look at has none.
fn times_of(takes: Span, steps: &[&PlannedStep]) -> (String, String) {
    if steps.iter().any(|step| step.unforeseen.is_some()) {
        return ("?".to_owned(), "?".to_owned());
    }
    if steps.iter().all(|step| step.takes.source == Source::Nothing) {
        return ("-".to_owned(), "-".to_owned());
    }
    (clock(takes.typically()), clock(takes.at_worst()))
}

/// Puts as many parts on a line as fit.
fn pack(parts: &[String], width: usize, style: &Style) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if columns(line) + 2 + columns(part) <= width => line.push_str(&format!("  {part}")),
            _ => lines.push(fit(part, width, style)),
        }
    }
    lines
}

/// Items with a key in brackets belong to the tool's own housekeeping: a saved list, a resume unit.
pub(super) fn is_chore(item: &Item) -> bool {
    item.is_chore()
}

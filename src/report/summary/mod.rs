//! The session report that operators used to write by hand.

mod people;
mod services;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use super::ending::ending;
use super::lacking;
use super::layout::clean;
use super::status::{between, name_of};
use super::story::Story;
use super::telling::person;
use crate::action::ActionKind;
use crate::host::span::{Span, clock, words};
use crate::journal::aside::Aside;
use crate::journal::checkpoint::{End, How, PauseReason};
use crate::journal::record::Entry;
use crate::runbook::Window;

/// The session report as Markdown, verdict first, times of day in UTC.
#[must_use]
pub fn markdown(entries: &[Entry]) -> String {
    markdown_in(entries, None, None)
}

/// [`markdown`] with the runbook's window: how much of it was used, and times of day in its zone; and with the note of a run
/// that was set aside.
#[must_use]
pub fn markdown_in(entries: &[Entry], window: Option<&Window>, aside: Option<&Aside>) -> String {
    let story = Story::of(entries);
    let zone = window.map_or(TimeZone::UTC, |window| window.timezone.clone());
    let mut page = Page { story, zone: &zone, window, aside, surprises: Vec::new(), text: String::new() };
    page.verdict();
    page.facts();
    page.timeline();
    page.redis();
    page.units();
    page.apps();
    page.came_back();
    page.trouble();
    page.people();
    page.follow_ups();
    page.text
}

struct Page<'a> {
    story: Story<'a>,
    zone: &'a TimeZone,
    window: Option<&'a Window>,
    aside: Option<&'a Aside>,
    /// What is not as it was, for the follow-ups.
    surprises: Vec<String>,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn head(&mut self, title: &str) {
        self.line(&format!("\n## {title}\n"));
    }

    /// A chapter of lines, where there are any.
    fn chapter(&mut self, title: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.head(title);
            for line in lines {
                self.line(line);
            }
        }
    }

    fn at(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    fn verdict(&mut self) {
        let (name, run) = match self.story.opened {
            Some(opened) => (cell(&opened.runbook_name), self.story.run.to_owned()),
            None => ("run".to_owned(), self.story.run.to_owned()),
        };
        self.line(&format!("# {name}: session report\n"));
        let verdict = match self.story.ended {
            Some((_, End::Done)) => "**DONE.** Every step is done and nothing is missing.".to_owned(),
            Some((_, End::DoneWithLosses)) => {
                format!("**DONE, WITH LOSSES.** {}: named below.", lacking::counted(&self.story))
            }
            Some((_, End::BackedOut | End::BackedOutWithLosses)) => self.backed_out(),
            Some((_, End::Failed)) => "**GIVEN UP** before anything was taken away.".to_owned(),
            Some((_, End::Abandoned)) => match self.story.abandoned {
                Some((who, why)) => {
                    format!("**ABANDONED** by {}: {}. What is in doubt stays so.", cell(who), cell(why))
                }
                None => "**ABANDONED.**".to_owned(),
            },
            None if self.aside.is_some() => self.set_aside(),
            None if self.story.backed_out.is_some() && self.story.paused_now() => {
                let word = if self.story.paused_why == Some(PauseReason::Failed) {
                    "**NOT BROUGHT BACK.**"
                } else {
                    "**PAUSED ON THE WAY BACK.**"
                };
                format!("{word} The run turned back, services may be down, and it is not over.")
            }
            None => "**NOT OVER YET.** This is the state so far.".to_owned(),
        };
        self.line(&verdict);
        self.line(&format!("\nRun `{run}`."));
    }

    /// Nobody can go on with it, and what is in doubt stays so.
    fn set_aside(&self) -> String {
        let note = self.aside.map(|note| {
            let at = note.at.strftime("%F %H:%M UTC");
            format!(
                " by {}, {at}: {}. It could not be gone on with: {}.",
                cell(&note.who),
                cell(&note.reason),
                cell(&note.found)
            )
        });
        format!("**SET ASIDE**{} Nobody goes on with it; what is in doubt stays so.", note.unwrap_or_default())
    }

    /// In the words of what the way back brought about.
    fn backed_out(&self) -> String {
        let reason = self.story.backed_out.map(cell).unwrap_or_default();
        let lacking = self.story.not_back();
        let back = if lacking.is_empty() {
            let restarted = match self.story.boots.len() {
                0 => "without a reboot".to_owned(),
                1 => "; the machine was restarted meanwhile, and not by this run".to_owned(),
                n => format!("; the machine was restarted {n} times meanwhile, and not by this run"),
            };
            format!("Services were brought back {restarted}.").replace(" ;", ";")
        } else {
            let named: Vec<String> = lacking.iter().map(|one| cell(one)).collect();
            format!("**Not everything came back**: {}.", named.join("; "))
        };
        let doubts: Vec<String> =
            self.story.doubts().into_iter().map(|(id, _)| format!("`{}`", cell(id.as_str()))).collect();
        let doubt = if doubts.is_empty() {
            String::new()
        } else {
            let first = "Services came first, so nobody was asked";
            format!(" {first}: **whether {} happened is not known**.", doubts.join(", "))
        };
        format!("**BACKED OUT.** {reason}. {back}{doubt}")
    }

    fn facts(&mut self) {
        self.line("\n| | |\n|---|---|");
        let mut rows: Vec<(&str, String)> = Vec::new();
        if let Some(opened) = self.story.opened {
            rows.push(("Host", cell(&opened.hostname)));
            rows.push(("By", cell(&person(&opened.owner))));
            let (name, tool) = (cell(&opened.runbook_name), cell(&opened.tool_version));
            rows.push(("Runbook", format!("{name} (`{:.12}`), runbook {tool}", opened.runbook_sha256)));
        }
        rows.extend(self.when().map(|text| ("When", text)));
        rows.extend(self.window_used().map(|text| ("Window", text)));
        if let Some(plan) = &self.story.plan {
            rows.push(("Planned", both(plan.takes())));
        }
        rows.extend(self.cut_off().map(|text| ("Users cut off", text)));
        for reboot in &self.story.reboots {
            let took = words(reboot.took);
            rows.push(("Boot", format!("`{}` -> `{}` in {took}", cell(reboot.old), cell(reboot.new))));
        }
        for boot in self.story.foreign_boots() {
            let (old, new, at) = (cell(boot.old), cell(boot.new), self.at(boot.found));
            rows.push(("Other boot", format!("`{old}` -> `{new}`, **not by this run**; found at {at}")));
        }
        for (name, value) in rows {
            self.line(&format!("| {name} | {value} |"));
        }
    }

    fn when(&self) -> Option<String> {
        let (began, latest) = (self.story.began?, self.story.latest?);
        let to = self.story.ended.map_or(latest, |(at, _)| at);
        let day = began.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d").to_string();
        let (from, until, zone) = (self.at(began), self.at(to), name_of(self.zone));
        Some(format!("{day}, {from} to {until} {zone} ({})", words(between(began, to))))
    }

    /// From the first effect of the point of no return to the end of the restore.
    fn cut_off(&self) -> Option<String> {
        let (from, to) = self.story.cut_off()?;
        let text = match to {
            Some(to) => format!("{} to {}: **{}**", self.at(from), self.at(to), words(between(from, to))),
            None if self.story.ended.is_some() => {
                format!("since {}; **no look has found all of it back**", self.at(from))
            }
            None => format!("since {}, not over when this was written", self.at(from)),
        };
        let planned = self.story.plan.as_ref().and_then(crate::plan::Plan::cut_off);
        Some(text + &planned.map(|span| format!(" (planned {})", both(span))).unwrap_or_default())
    }

    /// The window that was open at the start, and whether the run ended within it.
    fn window_used(&self) -> Option<String> {
        let (began, latest) = (self.story.began?, self.story.latest?);
        let opening = self.window?.current_or_next(began)?;
        let (from, to) = (self.at(opening.opens), self.at(opening.closes));
        if !opening.contains(began) {
            return Some(format!("**outside**: the next one was {from} to {to}"));
        }
        let end = self.story.ended.map_or(latest, |(at, _)| at);
        Some(if end > opening.closes {
            format!("{from} to {to}, **overrun by {}**", words(between(opening.closes, end)))
        } else {
            format!("{from} to {to}, {} left at the end", words(between(end, opening.closes)))
        })
    }

    /// Plan against reality, phase by phase.
    fn timeline(&mut self) {
        self.head("Timeline");
        self.line("| phase | from | to | typical | slow | actual | |\n|---|---|---|---:|---:|---:|---|");
        let mut rows = Vec::new();
        for (phase, steps) in self.story.phases() {
            let planned: Vec<_> = steps.iter().filter_map(|(id, _)| self.story.planned(id)).collect();
            let typical: f64 = planned.iter().map(|step| step.takes.span.typical).sum();
            let slow: f64 = planned.iter().map(|step| step.takes.span.slow).sum();
            let took: Duration = steps.iter().map(|(_, step)| step.took).sum();
            let began = steps.iter().filter_map(|(_, step)| step.began).min();
            let ended = steps.iter().filter_map(|(_, step)| step.ended).max();
            let word = match () {
                () if steps.iter().any(|(_, step)| step.error.is_some() && step.how().is_none()) => "FAILED",
                () if steps.iter().any(|(_, step)| step.unknown.is_some() && step.how().is_none()) => "UNKNOWN",
                () if steps.iter().all(|(_, step)| step.how().is_none()) => "not reached",
                () if steps.iter().any(|(_, step)| step.how().is_none()) => "cut short",
                () if steps
                    .iter()
                    .any(|(_, step)| matches!(step.how(), Some(How::WithLosses { .. } | How::Skipped { .. }))) =>
                {
                    "with losses"
                }
                () if steps.iter().all(|(_, step)| matches!(step.how(), Some(How::AlreadySo)) && !step.rebooted) => {
                    "already so"
                }
                () if took.as_secs_f64() > slow && took.as_secs() > 5 => "ok, slower than the slow estimate",
                () => "ok",
            };
            let time = |at: Option<Timestamp>| at.map_or(String::new(), |at| self.at(at));
            let secs = |secs: f64| clock(Duration::from_secs_f64(secs.clamp(0.0, 1e9)));
            let actual = if ended.is_none() { String::new() } else { clock(took) };
            let (from, to) = (time(began), time(ended));
            rows.push(format!(
                "| {} | {from} | {to} | {} | {} | {actual} | {word} |",
                cell(phase),
                secs(typical),
                secs(slow)
            ));
        }
        for row in rows {
            self.line(&row);
        }
    }

    /// The items of all steps with one of the actions.
    fn items_of(
        &self,
        actions: &[ActionKind],
    ) -> Vec<(&crate::journal::checkpoint::StepId, &str, &super::story::ItemTold<'_>)> {
        let steps = self
            .story
            .steps
            .iter()
            .filter(|(id, _)| self.story.action(id).is_some_and(|action| actions.contains(&action)));
        steps.flat_map(|(id, step)| step.items.iter().map(move |(item, told)| (id, *item, told))).collect()
    }
}

/// Items of these actions are apps, which have a chapter of their own.
fn of_apps(action: Option<ActionKind>) -> bool {
    action.is_some_and(ActionKind::brings_apps)
}

/// Both ends of an estimate.
fn both(span: Span) -> String {
    format!("{} typical, {} slow", words(span.typically()), words(span.at_worst()))
}

/// A value inside Markdown: harmless, on one line, without breaking out of a table.
fn cell(text: &str) -> String {
    clean(text).replace('|', "\\|").replace('<', "&lt;")
}

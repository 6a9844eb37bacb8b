//! The session report that operators used to write by hand.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::came_back_view;
pub use super::ending::ending;
use super::layout::clean;
use super::status::{between, name_of};
use super::story::Story;
use super::telling::{decision, pause, person};
use crate::host::span::{Span, clock, words};
use crate::journal::checkpoint::{Checkpoint, End, How, Outcome};
use crate::journal::record::Entry;
use crate::plan::came_back::Class;
use crate::runbook::Window;

/// The session report as Markdown, verdict first, times of day in UTC.
#[must_use]
pub fn markdown(entries: &[Entry]) -> String {
    markdown_in(entries, None)
}

/// [`markdown`] with the runbook's window: how much of it was used, and times of day in its zone.
#[must_use]
pub fn markdown_in(entries: &[Entry], window: Option<&Window>) -> String {
    let story = Story::of(entries);
    let zone = window.map_or(TimeZone::UTC, |window| window.timezone.clone());
    let mut page = Page { story, zone: &zone, window, surprises: Vec::new(), text: String::new() };
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

    fn at(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    fn verdict(&mut self) {
        let (name, run) = match self.story.opened {
            Some(opened) => (cell(&opened.runbook_name), self.story.run.to_owned()),
            None => ("run".to_owned(), self.story.run.to_owned()),
        };
        self.line(&format!("# {name}: session report\n"));
        let losses = self.story.losses().len();
        let verdict = match self.story.ended {
            Some((_, End::Done)) => "**DONE.** Every step is done and nothing is missing.".to_owned(),
            Some((_, End::DoneWithLosses)) => {
                format!("**DONE, WITH LOSSES.** {losses} did not come back; they are named below.")
            }
            Some((_, End::BackedOut)) => format!(
                "**BACKED OUT.** {}. Services were brought back without a reboot.",
                self.story.backed_out.map(cell).unwrap_or_default()
            ),
            Some((_, End::Failed)) => "**GIVEN UP** before anything was taken away.".to_owned(),
            Some((_, End::Abandoned)) => match self.story.abandoned {
                Some((who, why)) => {
                    format!("**ABANDONED** by {}: {}. What is in doubt stays so.", cell(who), cell(why))
                }
                None => "**ABANDONED.**".to_owned(),
            },
            None => "**NOT OVER YET.** This is the state so far.".to_owned(),
        };
        self.line(&verdict);
        self.line(&format!("\nRun `{run}`."));
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
                () if steps.iter().any(|(_, step)| step.error.is_some() && step.how.is_none()) => "FAILED",
                () if steps.iter().any(|(_, step)| step.unknown.is_some() && step.how.is_none()) => "UNKNOWN",
                () if steps.iter().all(|(_, step)| step.how.is_none()) => "not reached",
                () if steps.iter().any(|(_, step)| step.how.is_none()) => "cut short",
                () if steps.iter().any(|(_, step)| matches!(step.how, Some(How::WithLosses { .. }))) => "with losses",
                () if steps.iter().all(|(_, step)| matches!(step.how, Some(How::AlreadySo)) && !step.rebooted) => {
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

    /// Sizes before and after a rewrite, load times against the estimate.
    fn redis(&mut self) {
        let rows: Vec<String> = self
            .items_of(&["redis_compacted", "redis_loaded"])
            .into_iter()
            .map(|(id, item, told)| {
                let what = if self.story.action(id) == "redis_compacted" { "compacted" } else { "loaded" };
                let said = match told.outcome {
                    Outcome::Applied | Outcome::AlreadySo => told.note.map_or_else(|| "ok".to_owned(), cell),
                    Outcome::Failed { why, .. } | Outcome::Tolerated { why } => format!("**FAILED**: {}", cell(why)),
                    Outcome::Unknown { why } => format!("**UNKNOWN**: {}", cell(why)),
                };
                format!("| {} | {what} | {said} | {} |", cell(item), clock(told.took))
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        self.head("Redis");
        self.line("| instance | | | took |\n|---|---|---|---:|");
        for row in rows {
            self.line(&row);
        }
    }

    fn units(&mut self) {
        for (action, title) in
            [("units_enabled", "Units enabled"), ("units_active", "Units started"), ("units_stopped", "Units stopped")]
        {
            let names: Vec<String> = self
                .items_of(&[action])
                .iter()
                .filter(|(.., told)| *told.outcome == Outcome::Applied)
                .map(|(_, item, _)| format!("`{}`", cell(item)))
                .collect();
            if !names.is_empty() {
                self.head(title);
                self.line(&names.join(", "));
            }
        }
    }

    /// What was saved, what came back, and by name what did not.
    fn apps(&mut self) {
        let saved: Vec<String> = self
            .items_of(&["pm2_saved"])
            .iter()
            .map(|(_, item, told)| format!("- saved `{}`: {}", cell(item), told.note.map(cell).unwrap_or_default()))
            .collect();
        let count = |actions: &[&str]| {
            let items = self.items_of(actions);
            let apps: Vec<_> = items.iter().filter(|(_, item, _)| !item.starts_with('(')).collect();
            let good = apps.iter().filter(|(.., told)| *told.outcome == Outcome::Applied).count();
            (good, apps.len())
        };
        let (stopped, to_stop) = count(&["pm2_stopped"]);
        let (restored, to_restore) = count(&["pm2_restored"]);
        let lost: Vec<String> = self.lost_apps();
        if saved.is_empty() && to_stop + to_restore == 0 && lost.is_empty() {
            return;
        }
        self.head("Apps");
        for line in saved {
            self.line(&line);
        }
        if to_stop > 0 {
            self.line(&format!("- stopped: {stopped} of {to_stop}"));
        }
        if to_restore > 0 {
            self.line(&format!("- restored: {restored} of {to_restore}"));
        }
        if !lost.is_empty() {
            self.line("\nDid not come back:\n");
            for line in lost {
                self.line(&line);
            }
        }
    }

    fn lost_apps(&self) -> Vec<String> {
        let of_apps = |action: &str| matches!(action, "pm2_restored" | "pm2_as_saved");
        let losses = self.story.losses().into_iter().filter(|(id, ..)| of_apps(self.story.action(id)));
        losses
            .map(|(_, item, why, causes)| {
                let mut text = format!("- **{}**: {}", cell(item), cell(why));
                for cause in causes {
                    text.push_str(&format!("\n  - `{}`", cell(cause).replace('`', "'")));
                }
                text
            })
            .collect()
    }

    /// The machine against the baseline: surprises first, each by name.
    fn came_back(&mut self) {
        let Some(found) = self.story.came_back.take() else { return };
        self.head("What came back differently");
        self.line(&format!("{}.", came_back_view::counted(&found)));
        let rows = came_back_view::rows(&found);
        if rows.is_empty() {
            return;
        }
        self.line("\n| | what | before | after |\n|---|---|---|---|");
        for row in rows {
            let word = came_back_view::word(row.class);
            let class = if matches!(row.class, Class::Unexpected | Class::Unknown) {
                format!("**{word}**")
            } else {
                word.into()
            };
            if row.class == Class::Unexpected {
                self.surprises.push(cell(&row.subject));
            }
            let names = if row.names.is_empty() { String::new() } else { format!(": {}", cell(&row.names.join(", "))) };
            let (before, after) = (cell(&row.before), cell(&row.after));
            self.line(&format!("| {class} | {}{names} | {before} | {after} |", cell(&row.subject)));
        }
    }

    /// Failures, retries and doubts.
    fn trouble(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        for (at, id, error) in &self.story.failures {
            lines.push(format!("- {} **FAILED** {id}: {}", self.at(*at), cell(error)));
        }
        for (id, step) in &self.story.steps {
            if step.attempts > 1 {
                lines.push(format!("- {id} took {} attempts", step.attempts));
            }
            for (item, told) in step.items.iter().filter(|(_, told)| told.tries > 1) {
                lines.push(format!("- {id}: {} was begun {} times", cell(item), told.tries));
            }
            if let (Some(why), None) = (step.unknown, step.how) {
                lines.push(format!("- **UNKNOWN** {id}: {}", cell(why)));
            }
            if let Some(How::Skipped { why }) = step.how {
                lines.push(format!("- {id} was skipped: {}", cell(why)));
            }
        }
        let apps = |action: &str| matches!(action, "pm2_restored" | "pm2_as_saved");
        let told =
            |item: &str, why: &str| self.story.failures.iter().any(|(.., error)| *error == format!("{item}: {why}"));
        for (id, item, why, _) in self.story.losses().into_iter().filter(|(id, ..)| !apps(self.story.action(id))) {
            if told(item, why) {
                continue;
            }
            lines.push(format!("- {id} {}: {}", cell(item), cell(why)));
        }
        for (step, concern) in self.warnings() {
            lines.push(format!("- warned beforehand, {step}: {concern}"));
        }
        if !lines.is_empty() {
            self.head("Retries, failures, warnings");
            for line in lines {
                self.line(&line);
            }
        }
    }

    fn warnings(&self) -> Vec<(String, String)> {
        let steps = self.story.plan.iter().flat_map(|plan| &plan.steps);
        let concerns = steps.flat_map(|step| step.change.concerns.iter().map(move |concern| (step, concern)));
        let bad = concerns.filter(|(_, concern)| concern.weight >= crate::action::change::Weight::Warn);
        bad.map(|(step, c)| (step.id.to_string(), format!("{}: {}", cell(&c.about), cell(&c.seen)))).collect()
    }

    /// Decisions, pauses and resumes.
    fn people(&mut self) {
        let mut lines = Vec::new();
        for entry in &self.story.asides {
            let text = match &entry.checkpoint {
                Checkpoint::Decision { who, what, reason } => cell(&decision(who, what, reason)),
                Checkpoint::Paused { why, note } => {
                    format!(
                        "paused, {}{}",
                        pause(*why),
                        note.as_deref().map(|note| format!(": {}", cell(note))).unwrap_or_default()
                    )
                }
                Checkpoint::Resumed { owner, unattended, .. } => {
                    let who = if *unattended { "the resume unit".to_owned() } else { cell(&person(owner)) };
                    format!("resumed by {who}")
                }
                Checkpoint::Recovered { dropped_bytes, copy } => {
                    format!("{dropped_bytes} torn bytes at the journal's end were dropped, copy in `{}`", cell(copy))
                }
                _ => continue,
            };
            lines.push(format!("- {} {text}", self.at(entry.wall)));
        }
        if !lines.is_empty() {
            self.head("Decisions, pauses, resumes");
            for line in lines {
                self.line(&line);
            }
        }
    }

    /// What to do before the next time.
    fn follow_ups(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        let lost = self.story.losses();
        for (_, item, ..) in
            lost.iter().filter(|(id, ..)| matches!(self.story.action(id), "pm2_restored" | "pm2_as_saved"))
        {
            lines.push(format!("- [ ] repair `{}`, or declare it `optional`", cell(item)));
        }
        lines.extend(
            self.surprises
                .iter()
                .map(|what| format!("- [ ] {what} is not as it was: look, or list it in `may_differ`")),
        );
        for (id, step) in &self.story.steps {
            let Some(planned) = self.story.planned(id) else {
                continue;
            };
            let slow = planned.takes.span.slow;
            if step.took.as_secs_f64() > slow * 1.2 && step.took.as_secs() > 10 {
                let (took, slow) = (words(step.took), words(Duration::from_secs_f64(slow.clamp(0.0, 1e9))));
                lines.push(format!("- [ ] {id} took {took}, the slow estimate was {slow}: book more next time"));
            }
            if let Some(How::Ruled) = step.how {
                lines.push(format!("- [ ] {id} was ruled done by a person: check it"));
            }
        }
        if self.story.ended.is_none() {
            lines.push(format!("- [ ] the run is not over: `runbook status {}`", self.story.run));
        }
        if lines.is_empty() {
            lines.push("- none".to_owned());
        }
        self.head("Follow-ups");
        for line in lines {
            self.line(&line);
        }
    }

    /// The items of all steps with one of the actions.
    fn items_of(
        &self,
        actions: &[&str],
    ) -> Vec<(&crate::journal::checkpoint::StepId, &str, &super::story::ItemTold<'_>)> {
        let steps = self.story.steps.iter().filter(|(id, _)| actions.contains(&self.story.action(id)));
        steps.flat_map(|(id, step)| step.items.iter().map(move |(item, told)| (id, *item, told))).collect()
    }
}

/// Both ends of an estimate.
fn both(span: Span) -> String {
    format!("{} typical, {} slow", words(span.typically()), words(span.at_worst()))
}

/// A value inside Markdown: harmless, on one line, without breaking out of a table.
fn cell(text: &str) -> String {
    clean(text).replace('|', "\\|").replace('<', "&lt;")
}

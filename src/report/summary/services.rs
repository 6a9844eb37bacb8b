//! The session report's middle: the services, instance by instance, unit by unit and app by app, and the machine against the
//! baseline.

use super::{Page, cell, of_apps};
use crate::action::ActionKind;
use crate::host::span::clock;
use crate::journal::checkpoint::Outcome;
use crate::plan::came_back::Class;
use crate::report::came_back_view;
use crate::report::label::label;
use crate::report::progress::is_chore;

impl Page<'_> {
    /// Sizes before and after a rewrite, load times against the estimate.
    pub(super) fn redis(&mut self) {
        let rows: Vec<String> = self
            .items_of(&[ActionKind::RedisCompacted, ActionKind::RedisLoaded])
            .into_iter()
            .map(|(id, item, told)| {
                let what =
                    if self.story.action(id) == Some(ActionKind::RedisCompacted) { "compacted" } else { "loaded" };
                let said = match told.outcome {
                    Outcome::Applied => told.note.map_or_else(|| "ok".to_owned(), cell),
                    Outcome::Failed { why, .. } => format!("**FAILED**: {}", cell(why)),
                    Outcome::Unknown { why } => format!("**UNKNOWN**: {}", cell(why)),
                    Outcome::NotBegun => "not begun".to_owned(),
                };
                format!("| {} | {what} | {said} | {} |", cell(&label(item)), clock(told.took))
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

    pub(super) fn units(&mut self) {
        for (action, title) in [
            (ActionKind::UnitsEnabled, "Units enabled"),
            (ActionKind::UnitsActive, "Units started"),
            (ActionKind::UnitsStopped, "Units stopped"),
        ] {
            let names: Vec<String> = self
                .items_of(&[action])
                .iter()
                .filter(|(.., told)| *told.outcome == Outcome::Applied)
                .map(|(_, item, _)| format!("`{}`", cell(&label(item))))
                .collect();
            if !names.is_empty() {
                self.head(title);
                self.line(&names.join(", "));
            }
        }
    }

    /// What was saved, what came back, and by name what did not.
    pub(super) fn apps(&mut self) {
        let saved: Vec<String> = self
            .items_of(&[ActionKind::Pm2Saved])
            .iter()
            .map(|(_, item, told)| {
                format!("- saved `{}`: {}", cell(&label(item)), told.note.map(cell).unwrap_or_default())
            })
            .collect();
        let count = |actions: &[ActionKind]| {
            let items = self.items_of(actions);
            let apps: Vec<_> = items.iter().filter(|(_, item, _)| !is_chore(item)).collect();
            let good = apps.iter().filter(|(.., told)| *told.outcome == Outcome::Applied).count();
            (good, apps.len())
        };
        let (stopped, to_stop) = count(&[ActionKind::Pm2Stopped]);
        let (restored, to_restore) = count(&[ActionKind::Pm2Restored]);
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
        let losses = self.story.losses().into_iter().filter(|(id, ..)| of_apps(self.story.action(id)));
        losses
            .map(|(_, item, why, causes)| {
                let mut text = format!("- **{}**: {}", cell(&label(item)), cell(why));
                for cause in causes {
                    text.push_str(&format!("\n  - `{}`", cell(cause).replace('`', "'")));
                }
                text
            })
            .collect()
    }

    /// The machine against the baseline: surprises first, each by name.
    pub(super) fn came_back(&mut self) {
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
}

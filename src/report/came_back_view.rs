//! What came back differently, for the closing screen and the session report: surprises by name, the rest counted.

use std::collections::HashMap;

use super::calls::call;
use super::layout::{clean, labelled, paragraph, patterns};
use super::out::{Style, Tone};
use crate::plan::CameBack;
use crate::plan::came_back::{Class, Difference};

/// Surprises that a closing screen has room for; the report has them all.
const SHORT: usize = 8;
/// As many changes of one kind are told one by one.
const FEW: usize = 3;

/// Differences that are told in one line: one alone, or apps that changed in the same way.
pub(super) struct Row {
    pub(super) class: Class,
    /// `redis bull00 maxmemory`, `pm2 services status of 3 apps`.
    pub(super) subject: String,
    pub(super) before: String,
    pub(super) after: String,
    /// The apps, where there are several.
    pub(super) names: Vec<String>,
}

/// Place and fact of apps, and the differences that are told together.
type Group<'a> = (Option<(String, String)>, Vec<&'a Difference>);

/// Place, fact and class: what differences have in common that are told in one line.
type Kind = ((String, String), Class);

/// The differences in as few lines as keep every name that matters.
pub(super) fn rows(found: &CameBack) -> Vec<Row> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for one in &found.differences {
        let app = app_of(&one.path).map(|(place, _, fact)| (place.to_owned(), fact.to_owned()));
        let same = |(known, group): &&mut Group<'_>| {
            let first = group[0];
            app.is_some()
                && *known == app
                && (first.class, &first.before, &first.after) == (one.class, &one.before, &one.after)
        };
        match groups.iter_mut().find(same) {
            Some((_, group)) => group.push(one),
            None => groups.push((app, vec![one])),
        }
    }
    alike(groups).into_iter().map(|(app, group)| row(app, &group)).collect()
}

/// Many apps of a place of which each has another value than before, as numbers after a gap have, are one line as well.
fn alike(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let kind = |(app, group): &Group<'_>| app.clone().map(|app| (app, group[0].class));
    let mut counts: HashMap<Kind, usize> = HashMap::new();
    groups.iter().filter_map(kind).for_each(|kind| *counts.entry(kind).or_default() += 1);
    let mut merged: Vec<(Option<Kind>, Group<'_>)> = Vec::new();
    for group in groups {
        let kind = kind(&group).filter(|kind| counts[kind] > FEW);
        match merged.iter_mut().find(|(known, _)| kind.is_some() && *known == kind) {
            Some((_, (_, known))) => known.extend(group.1),
            None => merged.push((kind, group)),
        }
    }
    merged.into_iter().map(|(_, group)| group).collect()
}

fn row(app: Option<(String, String)>, group: &[&Difference]) -> Row {
    let first = group[0];
    let names: Vec<String> = match group {
        [_] => Vec::new(),
        many => many.iter().filter_map(|one| Some(clean(app_of(&one.path)?.1))).collect(),
    };
    let subject = match app {
        Some((place, fact)) if !names.is_empty() => format!("pm2 {} {fact} of {} apps", clean(&place), names.len()),
        _ => clean(&first.path).replacen("units/", "unit/", 1).replace('/', " "),
    };
    let side = |of: fn(&Difference) -> &str| values(group.iter().map(|one| of(one)));
    Row { class: first.class, subject, before: side(|one| &one.before), after: side(|one| &one.after), names }
}

/// The one value of all, or the first of them.
fn values<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let mut told = all.clone();
    told.dedup();
    if told.len() == 1 {
        return clean(told[0]);
    }
    let first: Vec<String> = all.iter().take(FEW).map(|one| clean(one)).collect();
    format!("{}{}", first.join(", "), if all.len() > FEW { ", ..." } else { "" })
}

/// Place, app and fact of a path below `pm2/`.
fn app_of(path: &str) -> Option<(&str, &str, &str)> {
    let (place, rest) = path.strip_prefix("pm2/")?.split_once('/')?;
    let (app, fact) = rest.rsplit_once('/')?;
    Some((place, app, fact))
}

/// Appends the lines of the closing screen; nothing where everything is as before.
pub(super) fn lines(out: &mut String, found: &CameBack, run: &str, style: &Style) {
    let rows = rows(found);
    let told: Vec<&Row> = rows.iter().filter(|row| matches!(row.class, Class::Unexpected | Class::Unknown)).collect();
    for row in told.iter().take(SHORT) {
        let (label, tone) =
            if row.class == Class::Unknown { ("  ?        ", Tone::Warn) } else { ("  differs  ", Tone::Bad) };
        let room = style.columns().saturating_sub(30);
        let names: Vec<&str> = row.names.iter().map(String::as_str).collect();
        let names = if names.is_empty() { String::new() } else { format!("  ({})", patterns(&names, room)) };
        let text = format!("{}: {} -> {}{names}", row.subject, row.before, row.after);
        labelled(out, label, label.trim(), tone, &text, style);
    }
    if told.len() > SHORT {
        let more = told.len() - SHORT;
        paragraph(out, "           ", &format!("{more} more: {}", call(&format!("report {run} --format md"))), style);
    }
    paragraph(out, "  since    ", &counted(found), style);
}

/// `2 came back differently, 1 unknown, 12 by the run, 3 as may_differ allows, 486 as before`.
pub(super) fn counted(found: &CameBack) -> String {
    let of = |class: Class| found.differences.iter().filter(|one| one.class == class).count();
    let parts = [
        (of(Class::Unexpected), "came back differently"),
        (of(Class::Unknown), "unknown"),
        (of(Class::ByRun), "changed by the run"),
        (of(Class::Allowed), "allowed by the runbook"),
        (found.same, "as before"),
    ];
    let named: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    named.join(", ")
}

/// The class in words, for tables.
pub(super) fn word(class: Class) -> &'static str {
    match class {
        Class::Unexpected => "unexpected",
        Class::Unknown => "?",
        Class::Allowed => "allowed",
        Class::ByRun => "by the run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> CameBack {
        let one = |class, path: &str, before: &str, after: &str| Difference {
            path: path.into(),
            before: before.into(),
            after: after.into(),
            class,
        };
        let mut differences = vec![
            one(Class::Unexpected, "redis/bull00/maxmemory", "8gb", "4gb"),
            one(Class::Unexpected, "units/redis-router.service/state", "active", "failed"),
            one(Class::Unexpected, "pm2/services/api/1/status", "online", "stop\u{1b}[2Jped"),
        ];
        let apps = ["mail-worker", "log-worker", "pdf-worker", "search", "cron"];
        let lost = |app: &&str| one(Class::Unexpected, &format!("pm2/services/{app}/status"), "online", "errored");
        differences.extend(apps.iter().map(lost));
        differences.push(one(Class::Unknown, "redis/bds-r", "seen", "not seen: connection refused"));
        differences.push(one(Class::Allowed, "machine/memory", "125.0 GB", "250.0 GB"));
        differences.push(one(Class::ByRun, "machine/boot", "5b1f0c9e", "9d2e41aa"));
        CameBack { differences, same: 486 }
    }

    #[test]
    fn numbers_that_moved_by_one_are_one_line() {
        let moved = |n: usize| Difference {
            path: format!("pm2/services/api-{n}/id"),
            before: (n + 1).to_string(),
            after: n.to_string(),
            class: Class::Unexpected,
        };
        let found = CameBack { differences: (0..9).map(moved).collect(), same: 3 };
        let rows = rows(&found);
        let [row] = rows.as_slice() else { panic!("{} rows", rows.len()) };
        assert_eq!((row.subject.as_str(), row.names.len()), ("pm2 services id of 9 apps", 9));
        assert_eq!((row.before.as_str(), row.after.as_str()), ("1, 2, 3, ...", "0, 1, 2, ..."));
        let few = CameBack { differences: (0..3).map(moved).collect(), same: 9 };
        assert_eq!(super::rows(&few).len(), 3);
    }

    fn screen(style: Style) -> String {
        let mut out = String::new();
        lines(&mut out, &found(), "r1", &style);
        for line in out.lines() {
            assert!(super::super::layout::columns(line) <= style.columns(), "too wide: {line:?}");
        }
        out
    }

    #[test]
    fn surprises_are_named_and_the_rest_is_counted() {
        insta::assert_snapshot!("came_back_80", screen(Style::PLAIN));
        insta::assert_snapshot!("came_back_120", screen(Style { width: 120, ..Style::PLAIN }));
        let colour = screen(Style { color: true, ..Style::PLAIN });
        insta::assert_snapshot!("came_back_80_colour", colour.replace('\u{1b}', "^"));
    }
}

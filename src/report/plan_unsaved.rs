//! What a restart would lose of each Redis instance: settings made at runtime and never written into its file.

use super::layout::{clean, columns, fit, pad};
use super::out::Tone;
use super::plan_changes::difference;
use super::plan_view::{Detail, Sheet};
use crate::host::redis::{Setting, Unsaved};
use crate::plan::UnsavedAt;

/// Lines that a short screen has room for.
const SHORT: usize = 5;

/// The block, where there is something to tell. Full: the difference between now and after the restart, per instance.
pub(super) fn unsaved(sheet: &mut Sheet<'_>) {
    let all = &sheet.plan.unsaved;
    if all.is_empty() {
        return;
    }
    if !sheet.text.ends_with("\n\n") {
        sheet.line("");
    }
    sheet.line("Redis settings that the restart would lose (set at runtime, not in the file)");
    if sheet.detail == Detail::Full {
        for at in all {
            whole(sheet, at);
        }
        return;
    }
    let rows = rows(all);
    let width = rows.iter().map(|(_, subject, _)| columns(subject)).max().unwrap_or(0).min(24);
    for (mark, subject, text) in rows.iter().take(SHORT) {
        let lead = format!("  {mark} {}  ", pad(&fit(subject, width, sheet.style), width));
        let tone = if *mark == '?' { Tone::Warn } else { Tone::Alter };
        sheet.tone(tone, &format!("{lead}{text}"));
    }
    if rows.len() > SHORT {
        sheet.tone(Tone::Faint, &format!("  {} more; all with -v", rows.len() - SHORT));
    }
    sheet.line("");
}

/// Sign, subject and text of each line; instances that nobody could compare for the same reason share one.
fn rows(all: &[UnsavedAt]) -> Vec<(char, String, String)> {
    let mut rows: Vec<(char, String, String)> = Vec::new();
    for at in all {
        let subject = format!("redis {}", clean(&at.instance));
        rows.extend(at.unsaved.lost.iter().map(|one| (mark(one), subject.clone(), changed(one))));
    }
    let mut blind: Vec<(String, Vec<String>)> = Vec::new();
    for at in all {
        let Some(why) = at.unsaved.unknown.as_deref().map(clean) else { continue };
        match blind.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(clean(&at.instance)),
            None => blind.push((why, vec![clean(&at.instance)])),
        }
    }
    rows.extend(blind.into_iter().map(|(why, names)| match names.as_slice() {
        [one] => ('?', format!("redis {one}"), why),
        many => ('?', format!("{} redis", many.len()), format!("{why}  ({})", names.join(", "))),
    }));
    rows
}

fn mark(one: &Setting) -> char {
    if one.then.is_some() { '~' } else { '?' }
}

/// `maxmemory 8gb -> 4gb`.
fn changed(one: &Setting) -> String {
    let then = one.then.as_deref().map_or("nobody can tell".to_owned(), value);
    format!("{} {} -> {then}", clean(&one.key), value(&one.now))
}

fn value(text: &str) -> String {
    if text.is_empty() { "\"\"".to_owned() } else { clean(text) }
}

fn whole(sheet: &mut Sheet<'_>, at: &UnsavedAt) {
    let Unsaved { file, lost, same, unknown } = &at.unsaved;
    let name = clean(&at.instance);
    if let Some(why) = unknown {
        sheet.labelled(Tone::Warn, &format!("  ? redis {name}  "), &clean(why));
        return;
    }
    sheet.labelled(
        Tone::Strong,
        &format!("  redis {name}  "),
        &format!("against {}; {same} are the same", clean(file)),
    );
    let side = |pick: fn(&Setting) -> Option<String>| {
        let line = |one: &Setting| pick(one).map(|text| format!("{} {text}\n", clean(&one.key)));
        lost.iter().filter(|one| one.then.is_some()).filter_map(line).collect::<String>()
    };
    difference(sheet, &side(|one| Some(value(&one.now))), &side(|one| one.then.as_deref().map(value)));
    for one in lost.iter().filter(|one| one.then.is_none()) {
        sheet.labelled(Tone::Warn, "  ? ", &changed(one));
    }
}

#[cfg(test)]
mod tests {
    use super::super::out::Style;
    use super::super::{layout, plan, sample};
    use super::*;
    use crate::plan::verdict::judge;

    fn at(instance: &str, lost: &[(&str, &str, Option<&str>)], unknown: Option<&str>) -> UnsavedAt {
        let setting = |(key, now, then): &(&str, &str, Option<&str>)| Setting {
            key: (*key).into(),
            now: (*now).into(),
            then: then.map(str::to_owned),
        };
        let file = format!("/etc/redis/redis-{instance}.conf");
        let unsaved =
            Unsaved { file, lost: lost.iter().map(setting).collect(), same: 38, unknown: unknown.map(str::to_owned) };
        UnsavedAt { instance: instance.into(), unsaved }
    }

    fn screen(empty: bool, detail: Detail, style: Style) -> String {
        let mut planned = sample::plan();
        if empty {
            planned.steps.iter_mut().for_each(|step| step.change.items.clear());
        }
        let denied = "/etc/redis/redis-bull01.conf: Permission denied (os error 13)";
        planned.unsaved = vec![
            at("bds", &[("maxmemory", "8gb", Some("4gb")), ("requirepass", "(set)", Some(""))], None),
            at("bds-r", &[("dir", "/srv/a\u{1b}[2J", None)], None),
            at("bull00", &[], Some("CONFIG GET: NOPERM no permission")),
            at("bull01", &[], Some(denied)),
            at("bull02", &[], Some(denied)),
        ];
        let runbook = sample::runbook();
        let text = plan(&planned, &runbook, &judge(&planned, runbook.window.as_ref()), detail, &style);
        for line in text.lines() {
            assert!(layout::columns(line) <= style.columns(), "too wide: {line:?}");
        }
        let from = text.find(if empty { "No changes" } else { "Redis settings" }).unwrap();
        let end = text[from..].find("\nUsers").or(text[from..].find("\nEstimates")).map_or(text.len(), |n| from + n);
        text[from..end].to_owned()
    }

    #[test]
    fn settings_that_are_lost_and_those_that_nobody_can_tell_are_apart() {
        let plain = Style::PLAIN;
        insta::assert_snapshot!("unsaved_80", screen(false, Detail::Short, plain));
        insta::assert_snapshot!("unsaved_120", screen(false, Detail::Short, Style { width: 120, ..plain }));
        insta::assert_snapshot!("unsaved_full_80", screen(false, Detail::Full, plain));
        let colour = screen(false, Detail::Short, Style { color: true, ..plain });
        insta::assert_snapshot!("unsaved_80_colour", colour.replace('\u{1b}', "^"));
        insta::assert_snapshot!("unsaved_and_no_changes_80", screen(true, Detail::Short, plain));
    }
}

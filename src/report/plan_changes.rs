//! What a plan would change, in few lines: signs and counts per phase, then the changes grouped by what they have in common.

use similar::TextDiff;

use super::label::label;
use super::layout::{clean, columns, fit, pad, patterns};
use super::out::Tone;
use super::plan_view::{Detail, Sheet, is_chore};
use crate::action::{ActionKind, Item, Sign, Subject};
use crate::plan::PlannedStep;

/// Groups of changes that a short screen has room for.
const SHORT: usize = 6;
/// Lines of a difference that a full screen shows.
const LONGEST_DIFF: usize = 200;

/// What happens in a phase, as `- 120 stop`.
pub(super) fn phase(steps: &[&PlannedStep]) -> (Tone, Vec<String>) {
    let mut parts = Vec::new();
    let mut tone = Tone::Plain;
    for step in steps {
        if step.unforeseen.is_some() {
            parts.push(format!("? {} (could not look)", step.action));
            tone = Tone::Warn;
            continue;
        }
        if step.change.refused() {
            parts.push(format!("REFUSED {}", step.action));
            tone = Tone::Bad;
        }
        parts.extend(counted(step));
    }
    if parts.is_empty() {
        let already: usize = steps.iter().map(|step| step.change.already).sum();
        return (Tone::Faint, vec![format!("nothing to do ({already} already so)")]);
    }
    (tone, parts)
}

/// Items of one step by sign.
fn counted(step: &PlannedStep) -> Vec<String> {
    let items = &step.change.items;
    let signs = [Sign::Remove, Sign::Add, Sign::Alter, Sign::Reboot, Sign::Wait, Sign::Unknown];
    if step.action == ActionKind::Pm2AsSaved && !items.is_empty() {
        return vec![". compare by name".to_owned()];
    }
    if step.action.checks() {
        let all = items.len() + step.change.already;
        return vec![format!(". {all} check{}", if all == 1 { "" } else { "s" })];
    }
    signs
        .into_iter()
        .filter_map(|sign| {
            let of_sign = || items.iter().filter(move |item| item.sign == sign);
            let real = of_sign().filter(|item| !is_chore(item)).count();
            if real == 0 {
                return None;
            }
            Some(format!("{} {}", sign.mark(), verb(step, sign, real)))
        })
        .collect()
}

/// What is done to so many things.
fn verb(step: &PlannedStep, sign: Sign, n: usize) -> String {
    use ActionKind as K;
    match step.action {
        K::Pm2Saved => "save the process list".to_owned(),
        K::Rebooted => "reboot, then resume".to_owned(),
        K::RedisLoaded => format!("{n} redis load"),
        K::RedisCompacted => format!("{n} redis compact"),
        K::UnitsEnabled if sign == Sign::Alter => format!("{n} start time-out{}", if n == 1 { "" } else { "s" }),
        K::UnitsEnabled => format!("{n} enable"),
        K::Command => format!("run {}", clean(&step.title)),
        K::Pm2Stopped | K::Pm2Restored | K::Pm2AsSaved | K::UnitsActive | K::UnitsStopped | K::Healthy => match sign {
            Sign::Remove => format!("{n} stop"),
            Sign::Add => format!("{n} start"),
            Sign::Alter | Sign::Reboot | Sign::Wait | Sign::Unknown => format!("{n} {}", step.action),
        },
    }
}

/// Items of one step that change in the same way.
struct Group<'a> {
    subject: String,
    sign: Sign,
    items: Vec<&'a Item>,
}

/// The block "Changes against live state", its sums, and with [`Detail::Full`] every difference.
pub(super) fn changes(sheet: &mut Sheet<'_>) {
    let groups = groups(sheet);
    if groups.is_empty() {
        let unknown = unknown(sheet);
        let waits = waits(sheet);
        let (refused, unforeseen) = (sheet.plan.refused().count(), sheet.plan.unforeseen().count());
        sheet.line(&match unknown {
            // What is refused or could not be looked at is as nobody wants it.
            0 if refused + unforeseen > 0 => "No changes are foreseen, and not everything is as it must be:".to_owned(),
            0 if waits.is_empty() => "No changes: everything is as the runbook wants it.".to_owned(),
            0 => "No changes. What is not as the runbook wants it is waited for:".to_owned(),
            n => format!("No changes that can be seen, and {n} unknown: those are marked `?`."),
        });
        for wait in waits {
            sheet.labelled(Tone::Warn, "  . ", &wait);
        }
        sheet.line("");
        super::plan_unsaved::unsaved(sheet);
        return;
    }
    let full = sheet.detail == Detail::Full;
    let main: Vec<&Group<'_>> = groups.iter().filter(|group| full || !is_chore(group.items[0])).collect();
    let shown = if full { main.len() } else { main.len().min(SHORT) };
    let hidden = groups.len() - shown;
    let note = if hidden == 0 { String::new() } else { format!(" ({shown} of {} shown; all with -v)", groups.len()) };
    sheet.line(&format!("Changes against live state{note}"));
    let width =
        main.iter().take(shown).map(|group| columns(&group.subject)).max().unwrap_or(0).min(if full { 30 } else { 24 });
    let lines: Vec<(Tone, String)> =
        main.iter().take(shown).map(|group| (tone(group.sign), row(group, width, sheet))).collect();
    for (tone, line) in lines {
        if full {
            let (lead, rest) = line.split_at(line.char_indices().nth(width + 6).map_or(line.len(), |(at, _)| at));
            sheet.labelled(tone, lead, rest);
        } else {
            sheet.tone(tone, &line);
        }
    }
    super::plan_unsaved::unsaved(sheet);
    if full {
        differences(sheet);
    }
    sums(sheet);
}

/// Checks and other waits that are not over yet, with what they see now.
fn waits(sheet: &Sheet<'_>) -> Vec<String> {
    let steps = sheet.plan.steps.iter().flat_map(|step| step.change.items.iter().map(move |item| (step, item)));
    let waits = steps.filter(|(_, item)| item.sign == Sign::Wait);
    waits.map(|(step, item)| format!("{} {}: {}", step.id, label(&item.key), clean(&item.before))).collect()
}

/// Items, steps and instances of which nobody can say whether they would change.
fn unknown(sheet: &Sheet<'_>) -> usize {
    let items = sheet.plan.steps.iter().flat_map(|step| &step.change.items);
    let blind = sheet.plan.unsaved.iter().filter(|at| at.unsaved.unknown.is_some());
    items.filter(|item| item.sign == Sign::Unknown).count() + sheet.plan.unforeseen().count() + blind.count()
}

fn tone(sign: Sign) -> Tone {
    match sign {
        Sign::Add => Tone::Good,
        Sign::Alter => Tone::Alter,
        Sign::Remove => Tone::Warn,
        Sign::Reboot => Tone::Bad,
        Sign::Wait => Tone::Faint,
        Sign::Unknown => Tone::Warn,
    }
}

fn row(group: &Group<'_>, width: usize, sheet: &Sheet<'_>) -> String {
    let first = group.items[0];
    let (before, after) = (clean(&first.before), clean(&first.after));
    let mut change = if group.sign == Sign::Reboot { after.clone() } else { format!("{before} -> {after}") };
    let lead = format!("  {} {}  ", group.sign.mark(), pad(&fit(&group.subject, width, sheet.style), width));
    if let [_] = group.items.as_slice() {
        // What it will be is worth more than how it came to be so.
        let narrow = sheet.detail == Detail::Short && columns(&lead) + columns(&change) > sheet.style.columns();
        if let Some(brief) = first.in_brief.as_deref().filter(|_| narrow) {
            change = format!("{} -> {after}", clean(brief));
        }
        return format!("{lead}{change}");
    }
    let start = format!("{lead}{} {change}", group.items.len());
    let names: Vec<String> = group.items.iter().map(|item| clean(item.key.trim_end_matches(".service"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let room = match sheet.detail {
        Detail::Full => usize::MAX / 2,
        Detail::Short => sheet.style.columns().saturating_sub(columns(&start) + 4),
    };
    if room < 8 { start } else { format!("{start}  ({})", patterns(&names, room)) }
}

/// Changes, not waits; each group is one step's items with the same before and after.
fn groups<'a>(sheet: &Sheet<'a>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for step in sheet.plan.steps.iter() {
        let start = groups.len();
        for item in step.change.items.iter().filter(|item| item.sign != Sign::Wait) {
            if step.action.checks() {
                continue;
            }
            let same = |group: &&mut Group<'_>| {
                let first = group.items[0];
                group.sign == item.sign && first.before == item.before && first.after == item.after && !is_chore(first)
            };
            match groups[start..].iter_mut().find(same).filter(|_| !is_chore(item)) {
                Some(group) => group.items.push(item),
                None => groups.push(Group { subject: String::new(), sign: item.sign, items: vec![item] }),
            }
        }
        for group in &mut groups[start..] {
            group.subject = subject(sheet, step, group);
        }
    }
    groups
}

/// Whom a group is about: `pm2 services`, `redis bds`, `unit x.service`.
fn subject(sheet: &Sheet<'_>, step: &PlannedStep, group: &Group<'_>) -> String {
    use ActionKind as K;
    let first = label(&group.items[0].key);
    let one = group.items.len() == 1;
    let apps = match &step.subject {
        Subject::Apps(place) => format!("pm2 {}", clean(place)),
        Subject::Redis | Subject::Unit | Subject::Step => String::new(),
    };
    match step.action {
        K::Pm2Saved => apps,
        K::Pm2Stopped | K::Pm2Restored if one => format!("{apps} {first}"),
        K::Pm2Stopped | K::Pm2Restored => apps,
        K::RedisCompacted if one => format!("redis {first}"),
        K::RedisCompacted => "redis".to_owned(),
        K::Rebooted if group.sign == Sign::Reboot => format!("host {}", clean(&sheet.plan.hostname)),
        K::UnitsEnabled | K::UnitsActive | K::UnitsStopped if one => first,
        K::UnitsEnabled | K::UnitsActive | K::UnitsStopped => "units".to_owned(),
        K::Command => format!("command {}", clean(&step.title)),
        K::Rebooted | K::RedisLoaded | K::Pm2AsSaved | K::Healthy => first,
    }
}

fn sums(sheet: &mut Sheet<'_>) {
    let steps = &sheet.plan.steps;
    let items = |sign: Sign| {
        let all = steps.iter().filter(|step| !step.action.checks()).flat_map(|step| &step.change.items);
        all.filter(|item| item.sign == sign && !is_chore(item)).count()
    };
    let unknown = unknown(sheet);
    // Waits, and a restore after a stop, look at the same things once more.
    let first = steps.iter().filter(|step| !step.waits && step.action != ActionKind::Pm2Restored);
    let already: usize = first.map(|step| step.change.already).sum();
    let reboots = items(Sign::Reboot);
    let lost: usize = sheet.plan.unsaved.iter().map(|at| at.unsaved.lost.len()).sum();
    let parts = [
        (items(Sign::Remove), "to stop"),
        (items(Sign::Add), "to add"),
        (items(Sign::Alter), "to change"),
        (reboots, if reboots == 1 { "reboot" } else { "reboots" }),
        (already, "already so"),
        (lost, if lost == 1 { "setting lost" } else { "settings lost" }),
        (unknown, "unknown"),
    ];
    let named: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    sheet.labelled(Tone::Strong, "Plan: ", &format!("{}.", named.join(", ")));
    sheet.line("");
}

/// The unified differences of the steps that have one.
fn differences(sheet: &mut Sheet<'_>) {
    let diffs: Vec<(String, &(String, String))> =
        sheet.plan.steps.iter().filter_map(|step| Some((step.id.to_string(), step.change.diff.as_ref()?))).collect();
    for (id, (before, after)) in diffs {
        sheet.line("");
        sheet.tone(Tone::Strong, &format!("Difference seen by {id}"));
        difference(sheet, before, after);
    }
    sheet.line("");
}

/// One unified difference, cut with a count when it is long.
pub(super) fn difference(sheet: &mut Sheet<'_>, before: &str, after: &str) {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(2).to_string();
    let all = text.lines().count();
    for line in text.lines().take(LONGEST_DIFF) {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Warn,
            Some('@') => Tone::Faint,
            _ => Tone::Plain,
        };
        sheet.tone(tone, &format!("  {}", clean(line)));
    }
    if all > LONGEST_DIFF {
        sheet.tone(Tone::Faint, &format!("  ... {} more lines", all - LONGEST_DIFF));
    }
}

//! The session report for programs: one JSON object below the version line, and JUnit XML for servers that show results.

use std::time::Duration;

use serde_json::{Value, json};

use super::came_back_view;
use super::json::version_line;
use super::json_runs::{aside_value, doubts_of};
use super::junit_xml::{Case, Document, Suite, Trouble, Verdict};
use super::lacking;
use super::layout::clean;
use super::status::between;
use super::story::{StepTold, Story};
use crate::action::ActionKind;
use crate::journal::aside::Aside;
use crate::journal::checkpoint::{Checkpoint, How, Outcome, StepId};
use crate::journal::record::Entry;

/// The report in two lines: the version of the format, then the whole run as an object of type `report`.
#[must_use]
pub fn report_lines(entries: &[Entry], aside: Option<&Aside>) -> Vec<String> {
    let story = Story::of(entries);
    let took = story.began.zip(story.latest).map(|(from, to)| between(from, to).as_secs_f64());
    let opened = story.opened;
    let report = json!({
        "type": "report",
        "run": story.run,
        "runbook": opened.map(|one| clean(&one.runbook_name)),
        "sha256": opened.map(|one| one.runbook_sha256.as_str()),
        "tool_version": opened.map(|one| clean(&one.tool_version)),
        "hostname": opened.map(|one| clean(&one.hostname)),
        "user": opened.map(|one| clean(&one.owner.user)),
        "sudo_user": opened.and_then(|one| one.owner.sudo_user.as_deref().map(clean)),
        "began": story.began,
        "latest": story.latest,
        "took_s": took,
        "planned_s": story.plan.as_ref().map(|plan| plan.takes().typical),
        "planned_slow_s": story.plan.as_ref().map(|plan| plan.takes().slow),
        "cut_off_s": story.cut_off().and_then(|(from, to)| to.map(|to| between(from, to).as_secs_f64())),
        "ended": story.ended.map(|(_, end)| end),
        "backed_out": story.backed_out.map(clean),
        "set_aside": aside.map(aside_value),
        "reboots": story.reboots.iter().map(|one| json!({
            "old": clean(one.old), "new": clean(one.new), "took_s": one.took.as_secs_f64(),
        })).collect::<Vec<_>>(),
        "boots": story.boots.iter().map(|one| json!({
            "old": clean(one.old), "new": clean(one.new), "found": one.found, "by_run": one.by_run,
        })).collect::<Vec<_>>(),
        "steps": story.steps.iter().map(|(id, step)| step_value(&story, id, step)).collect::<Vec<_>>(),
        "losses": story.losses().into_iter().map(|(id, item, why, causes)| json!({
            "step": id, "kind": lacking::kind(&story, id, item).name(), "item": clean(item), "why": clean(why),
            "causes": causes.iter().map(|cause| clean(cause)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "failures": story.failures.iter().map(|(at, id, error)| json!({
            "ts": at, "step": id, "error": clean(error),
        })).collect::<Vec<_>>(),
        "decisions": story.asides.iter().filter_map(|entry| decision(entry)).collect::<Vec<_>>(),
        "not_known": doubts_of(&story),
        "left_down": story.left_down().into_iter().map(clean).collect::<Vec<_>>(),
        "not_back": story.not_back().iter().map(|one| clean(one)).collect::<Vec<_>>(),
        "came_back": story.came_back,
    });
    vec![version_line(), report.to_string()]
}

fn decision(entry: &Entry) -> Option<Value> {
    let Checkpoint::Decision { who, what, reason } = &entry.checkpoint else { return None };
    Some(json!({ "ts": entry.wall, "who": clean(who), "what": what, "reason": clean(reason) }))
}

fn step_value(story: &Story<'_>, id: &StepId, step: &StepTold<'_>) -> Value {
    let planned = story.planned(id);
    let items = step.items.iter().map(|(item, told)| {
        json!({
            "item": clean(item),
            "outcome": told.outcome,
            "took_s": told.took.as_secs_f64(),
            "tries": told.tries,
            "note": told.note.map(clean),
        })
    });
    json!({
        "step": id,
        "phase": id.phase(),
        "action": story.action(id).map_or("", ActionKind::key),
        "how": step.how(),
        "attempts": step.attempts,
        "began": step.began,
        "ended": step.ended,
        "took_s": step.took.as_secs_f64(),
        "planned_s": planned.map(|planned| planned.takes.span.typical),
        "planned_slow_s": planned.map(|planned| planned.takes.span.slow),
        "error": step.error.map(clean),
        "unknown": step.unknown.map(clean),
        "items": items.collect::<Vec<_>>(),
    })
}

/// The run as JUnit: a suite per phase, a case per step, and a last suite for what came back differently.
///
/// # Errors
/// [`std::io::Error`], which no run is known to cause.
pub fn report_junit(entries: &[Entry], aside: Option<&Aside>) -> std::io::Result<String> {
    let story = Story::of(entries);
    let name = story.opened.map_or(String::new(), |opened| clean(&opened.runbook_name));
    let suites = story.phases().into_iter().map(|(phase, steps)| Suite {
        name: clean(phase),
        time: Some(steps.iter().map(|(_, step)| step.took).sum()),
        cases: steps.into_iter().map(|(id, step)| case(&story, &name, id, step)).collect(),
    });
    let mut suites: Vec<Suite> = suites.collect();
    if let Some(found) = &story.came_back {
        let surprises: Vec<String> = found
            .surprises()
            .map(|one| format!("{}: {} -> {}", clean(&one.path), clean(&one.before), clean(&one.after)))
            .collect();
        let verdict = match surprises.first() {
            None => Verdict::Passed,
            Some(first) => Verdict::Failure(trouble("came back differently", first.clone(), surprises.join("\n"))),
        };
        let (class, said) = (format!("{name}.baseline"), came_back_view::counted(found));
        let case = Case { name: "as before".into(), class, time: None, action: None, verdict, said };
        suites.push(Suite { name: "baseline".into(), time: None, cases: vec![case] });
    }
    // Nobody has ended it and nobody will: that is no success, whatever its steps say.
    suites.extend(aside.map(|note| {
        let said = format!("by {}, {}: {}", clean(&note.who), note.at.strftime("%F %H:%M UTC"), clean(&note.reason));
        let verdict = Verdict::Error(trouble("set aside", said, clean(&note.found)));
        let class = format!("{name}.run");
        let case = Case { name: "gone on with".into(), class, time: None, action: None, verdict, said: String::new() };
        Suite { name: "run".into(), time: None, cases: vec![case] }
    }));
    let time = story.began.zip(story.latest).map_or(Duration::ZERO, |(from, to)| between(from, to));
    Document { name: format!("runbook run {name} {}", clean(story.run)), time, suites }.written()
}

/// What became of an item that has nothing else to say.
fn outcome_in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied => "ok".to_owned(),
        Outcome::Failed { why, .. } => format!("FAILED: {}", clean(why)),
        Outcome::Unknown { why } => format!("UNKNOWN: {}", clean(why)),
        Outcome::NotBegun => "was not begun".to_owned(),
    }
}

fn trouble(kind: &'static str, message: String, more: String) -> Trouble {
    Trouble { kind, message, more }
}

fn case(story: &Story<'_>, name: &str, id: &StepId, step: &StepTold<'_>) -> Case {
    let line = |(item, told): (&&str, &super::story::ItemTold<'_>)| {
        format!("{}: {}\n", clean(item), told.note.map_or_else(|| outcome_in_words(told.outcome), clean))
    };
    Case {
        name: clean(id.as_str()),
        class: format!("{name}.{}", clean(id.phase())),
        time: Some(step.took),
        action: Some(story.action(id).map_or("", ActionKind::key).to_owned()),
        verdict: verdict(story, id, step),
        said: step.items.iter().map(line).collect(),
    }
}

/// Done is a success; what was so already or was never reached is skipped; a loss, or a step that was left out, is a failure although
/// the run went on, because a server shows nothing else.
fn verdict(story: &Story<'_>, id: &StepId, step: &StepTold<'_>) -> Verdict {
    match (step.how(), step.error, step.unknown) {
        (Some(How::Applied | How::Ruled), ..) => Verdict::Passed,
        (Some(How::AlreadySo), ..) if step.rebooted => Verdict::Passed,
        (Some(How::AlreadySo), ..) => Verdict::Skipped("already so".into()),
        (Some(How::Skipped { why }), ..) => Verdict::Failure(trouble("left out", clean(why), String::new())),
        (Some(How::WithLosses { losses }), ..) => {
            let all: Vec<String> = losses.iter().map(|loss| clean(&loss.to_string())).collect();
            Verdict::Failure(trouble("losses", format!("done without {}", all.len()), all.join("\n")))
        }
        (None, _, Some(why)) => {
            Verdict::Error(trouble("unknown", clean(why), "nobody knows whether it happened".into()))
        }
        (None, Some(error), _) => {
            let causes = story.shortfalls().into_iter().filter(|(of, ..)| *of == id);
            let more: Vec<String> =
                causes.map(|(_, item, why, _)| format!("{}: {}", clean(item), clean(why))).collect();
            Verdict::Failure(trouble("failed", clean(error), more.join("\n")))
        }
        (None, None, None) => Verdict::Skipped("not reached".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_whole_run_for_programs() {
        let entries = sample::whole().entries;
        let lines = report_lines(&entries, None);
        assert_eq!(lines.len(), 2);
        let value: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&value["type"], &value["ended"]), (&json!("report"), &json!("done_with_losses")));
        assert_eq!(value["came_back"]["differences"].as_array().unwrap().len(), 6);
        assert_eq!(value["steps"].as_array().unwrap().len(), sample::plan().steps.len());
        let xml = report_junit(&entries, None).unwrap();
        let short: String = xml.lines().filter(|line| !line.ends_with("Applied")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!("junit_whole", short);
    }

    #[test]
    fn hostile_text_stays_text_in_xml_and_json() {
        let mut entries = sample::failed().entries;
        let evil = "]]><testcase name=\"x\"/>&\u{1b}[2J\u{0}\"";
        for entry in &mut entries {
            match &mut entry.checkpoint {
                Checkpoint::StepFailed { error, .. } => *error = evil.into(),
                Checkpoint::Opened(opened) => std::sync::Arc::make_mut(opened).runbook_name = evil.into(),
                _ => {}
            }
        }
        let xml = report_junit(&entries, None).unwrap();
        let steps = entries.iter().find_map(|entry| match &entry.checkpoint {
            Checkpoint::Opened(opened) => Some(opened.steps.len()),
            _ => None,
        });
        assert_eq!(Some(xml.matches("<testcase").count()), steps, "{xml}");
        assert!(!xml.contains('\u{1b}') && xml.contains("&lt;testcase"));
        for line in report_lines(&entries, None) {
            assert!(serde_json::from_str::<Value>(&line).is_ok() && !line.contains('\n'));
        }
    }
}

//! Why a saved plan is out of date: each fact that has moved, before and after, below the step that it matters to first.

use serde_json::{Value, json};

use super::layout::{clean, paragraph};
use super::out::{Style, Tone};
use crate::plan::drift::Drift;
use crate::runbook::StepId;

/// What has moved, for people. Ends with a newline unless there is nothing to say.
#[must_use]
pub fn drifted(all: &[Drift], style: &Style) -> String {
    let mut out = String::new();
    let mut last: Option<&Option<StepId>> = None;
    for one in all {
        if last != Some(&one.step) {
            let place = one.step.as_ref().map_or("the whole plan", StepId::as_str);
            out.push_str(&format!("{}\n", style.paint(Tone::Strong, &clean(place))));
            last = Some(&one.step);
        }
        let text = format!("{}: {} -> {}", clean(&one.fact), clean(&one.before), clean(&one.now));
        paragraph(&mut out, &format!("  {}  ", clean(&one.about)), &text, style);
    }
    out
}

/// The same for programs, a line each.
#[must_use]
pub fn drift_lines(plan: &str, all: &[Drift]) -> Vec<String> {
    let line = |one: &Drift| {
        let mut line = json!({ "type": "drift", "plan": plan });
        if let (Some(line), Ok(Value::Object(one))) = (line.as_object_mut(), serde_json::to_value(one)) {
            line.extend(one);
        }
        line.to_string()
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_told_step_by_step() {
        let at = |step: &str, about: &str, fact: &str, before: &str, now: &str| Drift {
            step: Some(StepId::new(step)),
            ..Drift::of_all(about, fact, before, now)
        };
        let all = [
            Drift::of_all("plan", "age", "at most 30m", "47m"),
            at("preflight/1", "redis-router.service", "unit file", "enabled", "disabled"),
            at("compact/1", "bds", "base file", "number 3", "number 4"),
            at("compact/1", "bull00", "role", "master", "replica of 10.0.0.9:6379"),
            at(
                "save/1",
                "services",
                "list, 40 apps of which are different",
                "233 apps: 133 online, 100 stopped",
                "233 apps: 93 online, 140 stopped",
            ),
        ];
        insta::assert_snapshot!("drift_80", drifted(&all, &Style::PLAIN));
        insta::assert_snapshot!("drift_json", drift_lines("p-ab12", &all[2..3]).join("\n"));
    }
}

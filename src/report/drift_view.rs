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
    use crate::report::sample;

    #[test]
    fn what_has_moved_is_told_step_by_step() {
        let all = sample::drift();
        insta::assert_snapshot!("drift_80", drifted(&all, &Style::PLAIN));
        insta::assert_snapshot!("drift_json", drift_lines("p-ab12", &all[2..3]).join("\n"));
    }
}

//! A plan as JUnit XML, the form in which CI servers show results: a suite per phase, a case per step.
//!
//! A step with nothing to do is *skipped*; one that is refused, or that could not be looked at, is a *failure*. The time of
//! a case is its typical estimate: nothing was run.

use super::junit_xml::{Case, Document, Suite, Trouble, Verdict};
use super::layout::clean;
use crate::action::change::{Concern, Weight};
use crate::plan::{Plan, PlannedStep};

/// More items of a step than these are counted only.
const ITEMS: usize = 200;

/// The plan as an XML document.
///
/// # Errors
/// [`std::io::Error`], which no plan is known to cause: what XML cannot hold is left out of texts.
pub fn junit(plan: &Plan) -> std::io::Result<String> {
    let mut phases: Vec<(&str, Vec<&PlannedStep>)> = Vec::new();
    for step in &plan.steps {
        match phases.last_mut().filter(|(name, _)| *name == step.phase) {
            Some((_, steps)) => steps.push(step),
            None => phases.push((&step.phase, vec![step])),
        }
    }
    let suites = phases.into_iter().map(|(name, steps)| Suite {
        name: clean(name),
        time: Some(steps.iter().map(|step| step.takes.span.typically()).sum()),
        cases: steps.into_iter().map(|step| case(plan, step)).collect(),
    });
    let name = format!("runbook plan {}", clean(&plan.runbook));
    Document { name, time: plan.takes().typically(), suites: suites.collect() }.written()
}

fn case(plan: &Plan, step: &PlannedStep) -> Case {
    Case {
        name: clean(step.id.as_str()),
        class: format!("{}.{}", clean(&plan.runbook), clean(&step.phase)),
        time: Some(step.takes.span.typically()),
        action: Some(step.action.key().to_owned()),
        verdict: verdict(step),
        said: said(step),
    }
}

fn verdict(step: &PlannedStep) -> Verdict {
    let failure = |kind, message, more| Verdict::Failure(Trouble { kind, message, more });
    if let Some(why) = &step.unforeseen {
        return failure("unforeseen", clean(why), "a probe failed, so nobody knows what this step would do".into());
    }
    let stops: Vec<&Concern> = step.change.concerns.iter().filter(|one| one.weight == Weight::Stop).collect();
    if let Some(first) = stops.first() {
        let cures: Vec<String> = stops.iter().map(|one| tell(one)).collect();
        return failure("refused", format!("{}: {}", clean(&first.about), clean(&first.seen)), cures.join("\n"));
    }
    if step.change.is_empty() {
        return Verdict::Skipped(format!("nothing to do: {} already so", step.change.already));
    }
    Verdict::Passed
}

/// The items with their signs, and what an operator must know besides.
fn said(step: &PlannedStep) -> String {
    let items = &step.change.items;
    let item = |one: &crate::action::Item| {
        format!("{} {}: {} -> {}\n", one.sign.mark(), clean(&one.key), clean(&one.before), clean(&one.after))
    };
    let mut text: String = items.iter().take(ITEMS).map(item).collect();
    if items.len() > ITEMS {
        text.push_str(&format!("and {} more\n", items.len() - ITEMS));
    }
    let known = step.change.concerns.iter().filter(|one| one.weight != Weight::Stop);
    known.for_each(|one| text.push_str(&format!("{}\n", tell(one))));
    text
}

fn tell(concern: &Concern) -> String {
    format!("{}: {} ({})", clean(&concern.about), clean(&concern.seen), clean(&concern.cure))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_plan_is_a_suite_per_phase_and_a_case_per_step() {
        let mut plan = sample::plan();
        let at = |plan: &Plan, id: &str| plan.steps.iter().position(|step| step.id.as_str() == id).unwrap();
        let (stop, load) = (at(&plan, "stop/1"), at(&plan, "load/1"));
        plan.steps[stop].change.items.truncate(3);
        let masked = Concern::new(Weight::Stop, "bds <&\u{1b}>", "is masked", "unmask it");
        plan.steps[0].change.concerns.push(masked);
        plan.steps[load].unforeseen = Some("redis://127.0.0.1:6379: no answer".into());
        plan.steps.truncate(load + 1);
        let xml = junit(&plan).unwrap();
        assert_eq!(xml.matches("<testcase").count(), plan.steps.len());
        insta::assert_snapshot!("junit", xml);
    }
}

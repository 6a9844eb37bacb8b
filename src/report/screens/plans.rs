//! The plan: good, late, refused, empty, and as lines for programs.

use super::super::*;
use super::{NARROW, WIDE, keep, keep_text, sample};
use crate::action::change::{Concern, Item, Sign, Weight};
use crate::plan::verdict::judge;
use crate::plan::{Plan, Verdict};

fn verdict_of(plan: &Plan) -> Verdict {
    judge(plan, sample::runbook().window.as_ref())
}

fn screen(plan_: &Plan, detail: Detail, style: Style) -> String {
    let text = plan(plan_, &sample::runbook(), &verdict_of(plan_), detail, &style);
    for line in text.lines() {
        assert!(layout::columns(line) <= style.columns(), "too wide: {line:?}");
    }
    text
}

#[test]
fn plan_screens() {
    let plan = sample::plan();
    let short = screen(&plan, Detail::Short, NARROW);
    assert!(short.lines().count() <= 44, "{} lines", short.lines().count());
    keep("plan", |style| screen(&plan, Detail::Short, style));
    keep("plan_full", |style| screen(&plan, Detail::Full, style));
}

#[test]
fn plan_verdicts() {
    let mut late = sample::plan();
    late.starts_at = "2026-11-28T11:20:00Z".parse().unwrap();
    keep("plan_too_long", |style| screen(&late, Detail::Short, style));
    let mut closed = sample::plan();
    closed.starts_at = "2026-11-26T11:20:00Z".parse().unwrap();
    keep("plan_closed", |style| screen(&closed, Detail::Short, style));
    let mut refused = sample::plan();
    let cure = "free space on /var/lib/redis, or compact the instances one by one";
    let seen = "the rewrite needs 3.1 GB and 1.2 GB are free on /var/lib/redis\u{1b}[2J";
    refused.steps[2].change.concerns.push(Concern::new(Weight::Stop, "bds", seen, cure));
    refused.steps[9].unforeseen = Some("redis 127.0.0.1:6390: connection refused".into());
    refused.steps[9].change = Default::default();
    refused.steps[12].change.items = vec![Item::new("command ping", Sign::Unknown, "not asked by a plan", "holds")];
    keep("plan_refused", |style| screen(&refused, Detail::Short, style));
    for style in [NARROW, WIDE, Style { width: 40, ..NARROW }] {
        screen(&refused, Detail::Full, style);
    }
}

#[test]
fn an_empty_plan() {
    let mut plan = sample::plan();
    for step in &mut plan.steps {
        step.change.already += step.change.items.len();
        step.change.items.clear();
        step.change.concerns.clear();
        step.takes.span = Default::default();
        step.takes.source = crate::plan::Source::Nothing;
    }
    keep("plan_empty", |style| screen(&plan, Detail::Short, style));
}

#[test]
fn plan_in_json() {
    let plan = sample::plan();
    let lines = plan_json(&plan, &verdict_of(&plan));
    assert_eq!(lines.len(), 2 + plan.steps.len() + 1);
    for line in &lines {
        assert!(serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].is_string());
    }
    keep_text("plan_json_head", &[&lines[0], &lines[1], &lines[lines.len() - 1]].map(String::as_str).join("\n"));
}

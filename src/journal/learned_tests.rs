//! What is kept of many runs is bounded.
use super::*;
use crate::host::redis::eta::{Curve, PartRecord, Regime};

fn lesson(runbook: &str, items: usize) -> Lesson {
    let all = (0..items).map(|n| (format!("app-{n}"), 1_200)).collect();
    let step = StepId::from("a/1");
    Lesson { runbook: runbook.into(), steps: [(step.clone(), 7)].into(), items: [(step, all)].into() }
}

fn load(instance: &str, server: &str, wall_secs: f64) -> LoadRecord {
    let base = PartRecord { bytes: 1, cpu_secs: 1.0, wall_secs, curve: Curve::default() };
    let incr = PartRecord::default();
    let (wall_per_cpu, disk_rate, expected) = (None, None, None);
    let (instance, server) = (instance.to_owned(), server.to_owned());
    LoadRecord { instance, server, base, incr, wall_per_cpu, regime: Regime::Cpu, disk_rate, expected }
}

#[test]
fn lessons_are_kept_by_runbook_and_the_newest_of_each() {
    let mut learned = Learned::default();
    learned.lessons.push(lesson("rare", 1));
    (0..300).for_each(|_| learned.lessons.push(lesson("often", 1)));
    learned.trim();
    assert_eq!(learned.durations("often").steps[&"a/1".into()].len(), PER_RUNBOOK);
    assert_eq!(learned.durations("rare").steps[&"a/1".into()].len(), 1, "others do not push it out");
}

#[test]
fn loads_are_kept_as_the_estimate_uses_them() {
    let mut learned = Learned::default();
    for n in 0..50 {
        learned.loads.push(load("a", "redis 6", f64::from(n)));
        learned.loads.push(load("a", "redis 7", f64::from(n)));
    }
    learned.loads.push(load("b", "redis 7", 1.0));
    let before = learned.loads();
    learned.trim();
    assert_eq!(learned.loads.len(), 7);
    assert_eq!(learned.loads(), before);
    (0..2000).for_each(|n| learned.loads.push(load(&format!("i-{n}"), "redis 7", 1.0)));
    learned.trim();
    assert_eq!(learned.loads.len(), MOST_LOADS);
    assert_eq!(learned.loads().all("i-1999").len(), 1, "the newest stay");
}

#[test]
fn the_file_is_bounded_and_is_read_back_as_it_was_written() {
    let mut learned = Learned { pruned: 7, ..Learned::default() };
    for n in 0..200 {
        learned.lessons.push(lesson(&format!("book-{n}"), 2_000));
    }
    learned.trim();
    let bytes = learned.written();
    assert!(bytes.len() <= MOST_BYTES + 1024, "{}", bytes.len());
    assert_eq!(Learned::read(&bytes), Some(learned.clone()));
    assert!(learned.durations("book-199").steps.contains_key(&"a/1".into()), "the newest stay");
}

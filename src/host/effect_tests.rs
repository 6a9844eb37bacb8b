//! An order goes forward by its names, and what each proves.
use std::time::Duration;

use super::*;
use crate::host::command::{self, CommandEnd};

fn run_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("r-1");
    std::fs::create_dir(&run).unwrap();
    (dir, run)
}

fn asked() -> CommandAsked {
    CommandAsked::new(&["/bin/sh", "-c", "echo $0; exit 7", "a\n'b"], Duration::from_secs(60))
}

#[tokio::test]
async fn an_order_is_taken_once_and_its_end_is_kept() {
    let (dir, run) = run_dir();
    let effect = Effect::of(&run, "stop/drain", 1);
    assert_eq!(effect.unit(), "runbook-r-1-stop:drain.service");
    assert_eq!(effect.trace(), Trace::Nothing);
    effect.lay_down(&asked(), None).unwrap();
    let (taken, order) = Taken::take(&effect.order()).unwrap();
    assert_eq!((&taken.effect, &order.argv), (&effect, &asked().argv));
    assert!(Taken::take(&effect.order()).is_err(), "nobody takes it twice");
    assert!(!effect.withdraw(), "and nobody takes it back");
    taken.begin().unwrap();
    assert!(matches!(effect.trace(), Trace::AtWork(_)), "as long as somebody works on it");
    taken.end(&command::run(order).await).unwrap();
    let Trace::Ended(seen) = effect.trace() else { panic!("{:?}", effect.trace()) };
    assert_eq!(seen.end, CommandEnd::Exited { code: 7 });
    assert!(effect.lay_down(&asked(), None).is_err(), "an attempt is ordered once");
    let again = Effect::of(&run, "stop/drain", 2);
    again.lay_down(&asked(), None).unwrap();
    let moved = dir.path().join("moved.order");
    std::fs::rename(again.order(), &moved).unwrap();
    assert!(Taken::take(&moved).is_err());
}

#[test]
fn an_order_that_still_lies_there_is_taken_away_and_never_begins() {
    let (_dir, run) = run_dir();
    let effect = Effect::of(&run, "a/1", 1);
    effect.lay_down(&asked(), None).unwrap();
    assert_eq!(effect.trace(), Trace::NotBegun);
    assert!(Taken::take(&effect.order()).is_err());
    assert_eq!(effect.trace(), Trace::Nothing);
}

#[test]
fn whoever_dies_before_the_command_has_begun_nothing() {
    let (_dir, run) = run_dir();
    let effect = Effect::of(&run, "a/1", 1);
    effect.lay_down(&asked(), None).unwrap();
    let (taken, _) = Taken::take(&effect.order()).unwrap();
    assert!(matches!(effect.trace(), Trace::AtWork(_)));
    drop(taken);
    assert_eq!(effect.trace(), Trace::NotBegun);
    let other = Effect::of(&run, "a/2", 1);
    other.lay_down(&asked(), None).unwrap();
    let (taken, _) = Taken::take(&other.order()).unwrap();
    drop(taken);
    let path = other.file("taken");
    let of_this_boot = std::fs::read_to_string(&path).unwrap();
    let boot_id = machine::look().boot_id.unwrap();
    std::fs::write(&path, of_this_boot.replace(&boot_id, "another")).unwrap();
    assert_eq!(other.trace(), Trace::Cut, "a power cut may have taken away the last name");
}

#[test]
fn whoever_dies_with_the_command_leaves_a_doubt() {
    let (_dir, run) = run_dir();
    let effect = Effect::of(&run, "a/1", 1);
    effect.lay_down(&asked(), None).unwrap();
    let (taken, _) = Taken::take(&effect.order()).unwrap();
    taken.begin().unwrap();
    assert!(Effect::any_at_work(&run));
    drop(taken);
    assert!(!Effect::any_at_work(&run));
    assert_eq!(effect.trace(), Trace::Cut);
}

#[test]
fn no_two_attempts_share_a_name() {
    let run = Path::new("/x/r-1");
    let long = format!("p/{}", "x".repeat(300));
    let steps = ["p/a b", "p/a:b", "p/a/b", "p/\u{e4}", "p/\u{f6}", long.as_str(), "p/1", "p/12"];
    let names = steps.iter().flat_map(|step| [1, 2, 12].map(|attempt| Effect::of(run, step, attempt).unit()));
    let names: Vec<String> = names.collect();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:#?}");
    assert!(names.iter().all(|name| name.len() < 200 && name.is_ascii()));
}

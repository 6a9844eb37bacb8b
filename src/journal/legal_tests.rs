//! The table of legal transitions as a picture: states by checkpoints, judged by eye. See `promise_tests` for the other way.
use serde_json::json;

use super::checkpoint::{Checkpoint as C, End, How, Loss, Outcome, PauseReason, Resolution, Ruling, StepId};
use super::fixture::{RUN, done, intent, opened, outcome, resumed, stamp, started};
use super::record::{Entry, FORMAT, LineHash};
use super::state::RunState;
use super::step::StepStatus;

/// An entry; the boot is read off the checkpoint, as a real clock would show it.
pub(super) fn entry(checkpoint: &C, boot: &str) -> Entry {
    let boot = match checkpoint {
        C::Resumed { boot_id, .. } => boot_id,
        _ => boot,
    };
    let super::Stamp { boot_id, mono_ms, wall } = stamp(boot);
    Entry {
        v: FORMAT,
        run: RUN.into(),
        seq: 1,
        prev: LineHash::default(),
        boot_id: boot_id.into(),
        mono_ms,
        wall,
        checkpoint: checkpoint.clone(),
    }
}

/// Folds a history; the boot is that of the last resume.
fn fold(history: &[C]) -> (RunState, String) {
    let (mut state, mut boot) = (RunState::default(), "boot-1".to_owned());
    for checkpoint in history {
        if let C::Resumed { boot_id, .. } = checkpoint {
            boot.clone_from(boot_id);
        }
        state.after(&entry(checkpoint, &boot)).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    (state, boot)
}

fn open() -> C {
    C::Opened(std::sync::Arc::new(opened(&["a", "b"])))
}

fn unknown(step: &str) -> C {
    C::StepUnknown { step: step.into(), why: "no answer".into() }
}

fn failed(step: &str) -> C {
    C::StepFailed { step: step.into(), error: "no".into() }
}

fn reboot_intent() -> C {
    C::RebootIntent { step: "a".into(), boot_id: "boot-1".into() }
}

fn rebooted() -> C {
    C::Rebooted { step: "a".into(), old: "boot-1".into(), new: "boot-2".into(), took_ms: 1 }
}

fn back_out() -> C {
    C::BackOut { reason: "asked".into() }
}

fn paused() -> C {
    C::Paused { why: PauseReason::Asked, note: None }
}

fn resolve(how: Resolution) -> C {
    C::Decision { who: "ann".into(), what: Ruling::Resolve { step: "a".into(), how }, reason: "looked".into() }
}

fn finished(outcome: End) -> C {
    C::Finished { outcome, summary: json!(null) }
}

fn unsure() -> Outcome {
    Outcome::Unknown { why: "timed out".into() }
}

/// Whatever may be written next, with a short name; attempts are numbered to fit `state`.
pub(super) fn alphabet(state: &RunState) -> Vec<(&'static str, C)> {
    let next = |step: &str| state.steps().get(&StepId::from(step)).map_or(0, |state| state.attempts) + 1;
    let repeatable = state.steps().get(&StepId::from("a")).and_then(|state| state.repeatable).unwrap_or(false);
    let skip = How::Skipped { why: "not wanted".into() };
    let ignore = C::Decision { who: "ann".into(), what: Ruling::IgnoreWindow, reason: "agreed".into() };
    vec![
        ("opened", open()),
        ("resumed in boot-1", resumed("boot-1")),
        ("resumed in boot-2", resumed("boot-2")),
        ("start a", started("a", next("a"), &["x", "y"], repeatable)),
        ("start b", started("b", next("b"), &["z"], false)),
        ("intent x", intent("a", "x")),
        ("intent y", intent("a", "y")),
        ("x applied", outcome("a", "x", Outcome::Applied)),
        ("x failed", outcome("a", "x", Outcome::Failed { why: "no".into(), causes: vec![] })),
        ("x unknown", outcome("a", "x", unsure())),
        ("x not begun", outcome("a", "x", Outcome::NotBegun)),
        ("capture k", C::Captured { step: "a".into(), key: "k".into(), value: json!(1).into() }),
        ("a applied", done("a", How::Applied)),
        ("a already so", done("a", How::AlreadySo)),
        ("a skipped", done("a", skip)),
        ("a with losses", done("a", How::WithLosses { losses: vec![Loss { item: "x".into(), why: "gone".into() }] })),
        ("b already so", done("b", How::AlreadySo)),
        ("a failed", failed("a")),
        ("a unknown", unknown("a")),
        ("reboot intent", reboot_intent()),
        ("rebooted", rebooted()),
        ("back out", back_out()),
        ("paused", paused()),
        ("ignore window", ignore),
        ("rule a done", resolve(Resolution::Done)),
        ("rule a rerun", resolve(Resolution::Rerun)),
        ("rule a skip", resolve(Resolution::Skip)),
        ("recovered", C::Recovered { dropped_bytes: 7, copy: "journal.broken-1".into() }),
        ("finished done", finished(End::Done)),
        ("finished with losses", finished(End::DoneWithLosses)),
        ("finished backed out", finished(End::BackedOut)),
        ("finished backed out with losses", finished(End::BackedOutWithLosses)),
        ("finished failed", finished(End::Failed)),
        ("abandoned", C::Abandoned { who: "ann".into(), reason: "by hand".into() }),
    ]
}

/// Interesting states by the shortest history that leads there.
fn states() -> Vec<(&'static str, Vec<C>)> {
    let run = |repeatable| vec![open(), started("a", 1, &["x", "y"], repeatable)];
    let and = |mut history: Vec<C>, more: &[C]| {
        history.extend_from_slice(more);
        history
    };
    let in_doubt = and(run(false), &[intent("a", "x")]);
    let waiting = and(run(false), &[reboot_intent()]);
    vec![
        ("nothing", vec![]),
        ("open", vec![open()]),
        ("running", run(false)),
        ("intent x", in_doubt.clone()),
        ("x applied", and(in_doubt.clone(), &[outcome("a", "x", Outcome::Applied)])),
        ("x unknown", and(in_doubt.clone(), &[outcome("a", "x", unsure())])),
        ("died before an intent", and(run(false), &[resumed("boot-1")])),
        ("died with intent x", and(in_doubt.clone(), &[resumed("boot-1")])),
        ("died, repeatable", and(run(true), &[intent("a", "x"), resumed("boot-1")])),
        ("at rest with intent x", and(in_doubt.clone(), &[paused()])),
        ("a failed", and(run(false), &[failed("a")])),
        ("a unknown", and(in_doubt.clone(), &[unknown("a")])),
        ("died, x not begun", and(in_doubt.clone(), &[resumed("boot-1"), outcome("a", "x", Outcome::NotBegun)])),
        ("a unknown, x not begun", and(in_doubt.clone(), &[unknown("a"), outcome("a", "x", Outcome::NotBegun)])),
        ("a unknown, x applied", and(in_doubt.clone(), &[unknown("a"), outcome("a", "x", Outcome::Applied)])),
        ("a unknown, rerun ruled", and(in_doubt, &[unknown("a"), resolve(Resolution::Rerun)])),
        ("a done", and(run(false), &[done("a", How::Applied)])),
        ("reboot intended", waiting.clone()),
        ("same boot after intent", and(waiting.clone(), &[resumed("boot-1")])),
        ("other boot after intent", and(waiting.clone(), &[resumed("boot-2")])),
        ("rebooted", and(waiting, &[resumed("boot-2"), rebooted()])),
        ("backing out", vec![open(), back_out()]),
        ("all done", vec![open(), done("a", How::AlreadySo), done("b", How::AlreadySo)]),
        ("ended", vec![open(), finished(End::Failed)]),
    ]
}

#[test]
fn the_table() {
    let mut picture = String::new();
    for (name, history) in states() {
        let (state, boot) = fold(&history);
        let legal = alphabet(&state).into_iter().filter(|(_, next)| state.judge(&entry(next, &boot)).is_ok());
        let names: Vec<_> = legal.map(|(name, _)| name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        picture.push_str(&format!("{name}:\n    {names}\n"));
    }
    insta::assert_snapshot!(picture, @r"
    nothing:
        opened
    open:
        resumed in boot-1, resumed in boot-2, start a, a already so, a skipped, back out, paused, ignore window, recovered, finished failed, abandoned
    running:
        resumed in boot-1, resumed in boot-2, intent x, intent y, capture k, a applied, a already so, a with losses, a failed, a unknown, reboot intent, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    intent x:
        resumed in boot-1, resumed in boot-2, intent y, x applied, x failed, x unknown, x not begun, capture k, a unknown, reboot intent, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    x applied:
        resumed in boot-1, resumed in boot-2, intent y, capture k, a applied, a already so, a with losses, a failed, a unknown, reboot intent, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    x unknown:
        resumed in boot-1, resumed in boot-2, intent y, x applied, x failed, x not begun, capture k, a unknown, reboot intent, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    died before an intent:
        resumed in boot-1, resumed in boot-2, start a, a already so, a failed, a unknown, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    died with intent x:
        resumed in boot-1, resumed in boot-2, x applied, x failed, x unknown, x not begun, a unknown, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    died, repeatable:
        resumed in boot-1, resumed in boot-2, start a, x applied, x failed, x unknown, x not begun, a unknown, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    at rest with intent x:
        resumed in boot-1, resumed in boot-2, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    a failed:
        resumed in boot-1, resumed in boot-2, start a, a already so, a skipped, a with losses, back out, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, finished failed, abandoned
    a unknown:
        resumed in boot-1, resumed in boot-2, x applied, x failed, x unknown, x not begun, back out, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    died, x not begun:
        resumed in boot-1, resumed in boot-2, start a, a already so, a failed, a unknown, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    a unknown, x not begun:
        resumed in boot-1, resumed in boot-2, start a, a already so, a failed, back out, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    a unknown, x applied:
        resumed in boot-1, resumed in boot-2, start a, a already so, a failed, back out, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    a unknown, rerun ruled:
        resumed in boot-1, resumed in boot-2, start a, x applied, x failed, x unknown, x not begun, back out, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    a done:
        resumed in boot-1, resumed in boot-2, start b, b already so, back out, paused, ignore window, recovered, finished failed, abandoned
    reboot intended:
        resumed in boot-1, resumed in boot-2, a failed, a unknown, paused, ignore window, rule a skip, recovered, abandoned
    same boot after intent:
        resumed in boot-1, resumed in boot-2, a failed, a unknown, paused, ignore window, rule a skip, recovered, abandoned
    other boot after intent:
        resumed in boot-1, resumed in boot-2, a unknown, rebooted, paused, ignore window, rule a skip, recovered, abandoned
    rebooted:
        resumed in boot-1, resumed in boot-2, start a, a applied, a already so, a failed, a unknown, paused, ignore window, rule a done, rule a rerun, rule a skip, recovered, abandoned
    backing out:
        resumed in boot-1, resumed in boot-2, start a, start b, a already so, a skipped, b already so, paused, ignore window, recovered, finished backed out, finished backed out with losses, finished failed, abandoned
    all done:
        resumed in boot-1, resumed in boot-2, back out, paused, ignore window, recovered, finished done, abandoned
    ended:
        none
    ");
}

#[test]
fn refusals_name_the_rule() {
    let say = |history: &[C], next: C| {
        let (state, boot) = fold(history);
        state.judge(&entry(&next, &boot)).unwrap_err().to_string()
    };
    let done_a = [open(), done("a", How::AlreadySo)];
    assert_eq!(
        say(&done_a, started("a", 1, &[], true)),
        "step_started of step `a` is not allowed here: the step is done and is never applied again in this run"
    );
    assert_eq!(
        say(&[open()], done("zzz", How::AlreadySo)),
        "step_done of step `zzz` is not allowed here: the plan has no such step"
    );
    assert_eq!(say(&[], paused()), "paused is not allowed here: the run is not open yet");
    let twins = C::Opened(std::sync::Arc::new(opened(&["a", "a"])));
    assert!(say(&[], twins).contains("named twice"));
    let other = C::Opened(std::sync::Arc::new(super::checkpoint::Opened { format: 2, ..opened(&[]) }));
    assert!(say(&[], other).contains("another format"));
    let speechless = C::Abandoned { who: "ann".into(), reason: " ".into() };
    assert!(say(&[open()], speechless).contains("a reason is required"));
}

#[test]
fn accessors_tell_the_story() {
    let (state, _) = fold(&[open(), started("a", 1, &["x", "y"], false), intent("a", "x")]);
    let (a, b) = (StepId::from("a"), StepId::from("b"));
    assert_eq!(state.status(&a), Some(&StepStatus::Running { attempt: 1 }));
    assert_eq!(state.status(&b), Some(&StepStatus::NotStarted));
    assert_eq!(state.status(&"c".into()), None);
    assert_eq!(state.in_doubt(), [(&a, "x")]);
    assert!(!state.past_no_return() && state.waiting_for_reboot().is_none() && state.ended().is_none());
    let (state, _) = fold(&[open(), started("a", 1, &[], false), reboot_intent(), paused()]);
    assert_eq!(state.waiting_for_reboot(), Some((&a, "boot-1")));
    assert_eq!(state.paused(), Some(PauseReason::Asked));
}

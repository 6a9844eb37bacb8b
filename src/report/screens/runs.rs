//! A run while it goes on: plain lines, lines for programs, and where it stands.

use std::time::Duration;

use jiff::Timestamp;

use super::super::*;
use super::sample::{Moment, Run};
use super::{LOOKS, NARROW, Tape, after, after_the_last, hand, keep, keep_text, play, play_from, sample, wall, zone};
use crate::journal::state::RunState;

#[test]
fn a_run_in_json() {
    let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
    let fold = |run: &Run| {
        let mut state = RunState::default();
        let facts = run.moments.iter().filter_map(|(_, moment)| match moment {
            Moment::Fact(entry) => Some(entry.clone()),
            Moment::Word(..) => None,
        });
        let entries: Vec<_> = facts.collect();
        entries.iter().for_each(|entry| state.after(entry).unwrap());
        (entries, state)
    };
    for (name, run) in [("json_status_failed", sample::failed()), ("json_status_reboot", sample::until_the_reboot())] {
        let (entries, state) = fold(&run);
        keep_text(name, &status_lines(&entries, &state, &Around::default(), now).join("\n"));
    }
    let (entries, state) = fold(&sample::whole());
    keep_text("json_history", &past_run_line(&entries, &state, None));
    let odd: serde_json::Value = serde_json::from_str(&unreadable_run_line("r-1", "torn\u{1b}[2J", None)).unwrap();
    assert!(!odd["unreadable"].as_str().unwrap().contains('\u{1b}'));
}

#[test]
fn plain_lines() {
    let told = |run: &Run, from: usize, style: Style| {
        let (hand, clock) = hand();
        let tape = Tape::default();
        let out = Out::to(tape.clone(), style);
        let mut lines = Lines::with_clock(out, &sample::runbook(), &sample::plan(), clock, wall(&hand));
        play_from(from, run, &hand, &mut lines);
        tape.text()
    };
    for (name, run, from) in [
        ("lines", sample::whole(), 0),
        ("lines_backed_out", sample::backed_out(), after(&sample::backed_out(), "back_out")),
        ("lines_resumed", sample::resumed(), after_the_last(&sample::resumed(), "resumed")),
    ] {
        for (look, style) in LOOKS {
            let text = told(&run, from, style);
            assert!(text.lines().count() < 120, "{} lines", text.lines().count());
            keep_text(&format!("{name}_{look}"), &text.replace('\u{1b}', "^"));
        }
    }
}

#[test]
fn ndjson_of_a_whole_run() {
    let (hand, clock) = hand();
    let tape = Tape::default();
    let mut json =
        Json::with_clock(Out::to(tape.clone(), NARROW), &sample::runbook(), &sample::plan(), clock, wall(&hand));
    play(&sample::whole(), &hand, &mut json);
    let text = tape.text();
    let mut kinds: Vec<String> = Vec::new();
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        kinds.push(value["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds[0], "version");
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    assert!(has("opened") && has("item_done") && has("estimate") && has("tick") && has("finished"));
    assert!(!text.contains('\u{1b}'));
    let done: Vec<&str> = text.lines().filter(|line| line.contains("\"item\":\"search\"")).collect();
    keep_text("json_item", &done.join("\n"));
}

#[test]
fn status_screens() {
    let zone = zone();
    let reboot = sample::until_the_reboot();
    let load = sample::until_the_load();
    let failed = sample::failed();
    let whole = sample::whole();
    let restore = sample::in_the_restore();
    for (name, run) in [
        ("reboot", &reboot),
        ("load", &load),
        ("restore", &restore),
        ("failed", &failed),
        ("whole", &whole),
        ("backing_out", &sample::backing_out()),
        ("backed_out", &sample::backed_out()),
        ("resumed", &sample::resumed()),
    ] {
        let now = run.entries.last().unwrap().wall.checked_add(Duration::from_secs(95)).unwrap();
        keep(&format!("status_{name}"), |style| {
            status_in(&run.entries, &run.state, &Around::default(), now, &zone, &style)
        });
    }
}

/// What a look around a run adds: the process, the boot, the window, a refusal.
#[test]
fn status_screens_with_what_is_around() {
    let dead = || Around { at_work: Some(false), ..Around::default() };
    let since = "2026-11-28T09:21:00Z".parse().unwrap();
    let unit = "runbook-resume.service has failed (start-limit-hit); journalctl -b -u runbook-resume.service tells why";
    let back = Around { boot: Some(("another".into(), since)), resume_unit: Some(unit.into()), ..dead() };
    let closed = "the window is closed; it opens Sat 2026-12-05 10:00 CET";
    let window = Around { window: Some(closed.into()), backs_out: Some(false), ..dead() };
    let refused = Refused {
        why: "this run belongs to machine 0123456789abcdef0123456789abcdef, and this is \
              fedcba9876543210fedcba9876543210: a journal is never resumed on a copy of its host, and that host goes on with it"
            .into(),
        ways: vec![offer("abort --abandon --reason TEXT", "on a copy of that machine")],
    };
    let refused = Around { refused: Some(refused), ..dead() };
    for (name, run, around) in [
        ("back", sample::until_the_reboot(), back),
        ("died", sample::in_the_restore(), dead()),
        ("died_backing_out", sample::backing_out(), dead()),
        ("window", sample::failed(), window),
        ("refused", sample::failed(), refused),
    ] {
        let now = run.entries.last().unwrap().wall.checked_add(Duration::from_secs(1_095)).unwrap();
        keep(&format!("status_{name}"), |style| status_in(&run.entries, &run.state, &around, now, &zone(), &style));
    }
}

#[test]
fn endings() {
    for (name, run) in [
        ("reboot", sample::until_the_reboot()),
        ("failed", sample::failed()),
        ("whole", sample::whole()),
        ("backed_out", sample::backed_out()),
    ] {
        keep(&format!("ending_{name}"), |style| ending(&run.entries, &run.state, &Around::default(), &style));
    }
}

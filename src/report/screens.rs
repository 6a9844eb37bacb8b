//! Tests: every screen as an operator sees it, kept as snapshots. They were looked at one by one.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::sample::{self, Moment, Run};
use super::*;
use crate::action::change::{Concern, Item, Sign, Weight};
use crate::event::{Event, Reporter};
use crate::journal::state::RunState;
use crate::plan::verdict::judge;
use crate::plan::{Plan, Verdict};

const NARROW: Style = Style::PLAIN;
const WIDE: Style = Style { width: 120, ..Style::PLAIN };
const COLOUR: Style = Style { color: true, ..Style::PLAIN };

fn zone() -> TimeZone {
    sample::runbook().window.unwrap().timezone
}

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

/// A buffer that can be read while it is written.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Tape {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
    fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }
}

type Hand = Arc<Mutex<Duration>>;

fn hand() -> (Hand, progress::Clock) {
    let hand: Hand = Arc::new(Mutex::new(Duration::from_secs(100)));
    let read = Arc::clone(&hand);
    (hand, Arc::new(move || *read.lock().unwrap()))
}

/// The time of day that belongs to the boot clock of the sample.
fn wall(hand: &Hand) -> progress::Wall {
    let read = Arc::clone(hand);
    let start: Timestamp = "2026-11-28T09:15:00Z".parse().unwrap();
    Arc::new(move || start.checked_add(read.lock().unwrap().saturating_sub(Duration::from_secs(100))).unwrap())
}

/// Tells a run to a reporter, with the boot clock of the sample.
fn play(run: &Run, hand: &Hand, reporter: &mut dyn Reporter) {
    play_from(0, run, hand, reporter);
}

/// The same from a moment on: what a later sitting tells.
fn play_from(from: usize, run: &Run, hand: &Hand, reporter: &mut dyn Reporter) {
    let mut state = RunState::default();
    for (n, (at, moment)) in run.moments.iter().enumerate() {
        *hand.lock().unwrap() = *at;
        match moment {
            Moment::Fact(entry) => {
                state.after(entry).unwrap();
                if n >= from {
                    reporter.on(&Event::Durable(entry), &state);
                }
            }
            Moment::Word(step, tick) if n >= from => reporter.on(&Event::Tick { step, tick }, &state),
            Moment::Word(..) => {}
        }
    }
}

fn after_the_reboot(run: &Run) -> usize {
    let resumed = |(_, moment): &(Duration, Moment)| matches!(moment, Moment::Fact(entry) if entry.checkpoint.kind() == "resumed");
    run.moments.iter().position(resumed).unwrap()
}

/// Every way in which a screen is looked at: two widths, with colour and without.
const LOOKS: [(&str, Style); 4] = [
    ("80", NARROW),
    ("120", WIDE),
    ("80_colour", COLOUR),
    ("120_colour", Style { color: true, width: 120, ..Style::PLAIN }),
];

/// Keeps a screen in each of its looks, none wider than it may be, with colours made visible.
fn keep(name: &str, draw: impl Fn(Style) -> String) {
    for (look, style) in LOOKS {
        let text = draw(style);
        let wide: Vec<&str> = text.lines().filter(|line| layout::columns(line) > style.columns()).collect();
        assert!(wide.is_empty(), "{name} at {look} is too wide: {wide:#?}");
        let plain = draw(Style { color: false, ..style });
        assert!(!plain.contains('\u{1b}'), "{name} at {look}: an escape sequence without colour");
        insta::assert_snapshot!(format!("{name}_{look}"), text.replace('\u{1b}', "^"));
    }
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
    insta::assert_snapshot!(
        "plan_json_head",
        [&lines[0], &lines[1], &lines[lines.len() - 1]].map(String::as_str).join("\n")
    );
}

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
        insta::assert_snapshot!(name, status_lines(&entries, &state, now, false).join("\n"));
    }
    let (entries, state) = fold(&sample::whole());
    insta::assert_snapshot!("json_history", past_run_line(&entries, &state));
    let odd: serde_json::Value = serde_json::from_str(&unreadable_run_line("r-1", "torn\u{1b}[2J")).unwrap();
    assert!(!odd["unreadable"].as_str().unwrap().contains('\u{1b}'));
}

#[test]
fn plain_lines_of_a_whole_run() {
    for (look, style) in LOOKS {
        let name = format!("lines_{look}");
        let (hand, clock) = hand();
        let tape = Tape::default();
        let mut lines =
            Lines::with_clock(Out::to(tape.clone(), style), &sample::runbook(), &sample::plan(), clock, wall(&hand));
        play(&sample::whole(), &hand, &mut lines);
        let text = tape.text();
        assert!(text.lines().count() < 120, "{} lines", text.lines().count());
        insta::assert_snapshot!(name, text.replace('\u{1b}', "^"));
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
    insta::assert_snapshot!("json_item", done.join("\n"));
}

/// The screen as it is seen, without trailing blanks.
fn rows(terminal: &vt100::Parser, width: u16) -> String {
    terminal.screen().rows(0, width).map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn live_block_in_a_terminal() {
    for (name, run, width, style) in [
        ("live_load_80", sample::until_the_load(), 80, NARROW),
        ("live_load_120", sample::until_the_load(), 120, WIDE),
        ("live_restore_80", sample::in_the_restore(), 80, NARROW),
        ("live_restore_120", sample::in_the_restore(), 120, WIDE),
        ("live_restore_80_colour", sample::in_the_restore(), 80, COLOUR),
    ] {
        let (hand, clock) = hand();
        let tape = Tape::default();
        let wall = wall(&hand);
        let mut live = Live::with_clock(Out::to(tape.clone(), style), &sample::runbook(), &sample::plan(), clock, wall);
        play_from(after_the_reboot(&run), &run, &hand, &mut live);
        live.redraw();
        let mut terminal = vt100::Parser::new(24, width, 0);
        terminal.process(&tape.bytes());
        let screen = rows(&terminal, width);
        insta::assert_snapshot!(name, screen);
        live.close();
        terminal = vt100::Parser::new(24, width, 0);
        terminal.process(&tape.bytes());
        assert!(!terminal.screen().hide_cursor());
        assert!(!terminal.screen().contents().contains("window closes"), "the block is taken away");
    }
}

#[test]
fn a_prompt_has_the_terminal_to_itself() {
    let (hand, clock) = hand();
    let tape = Tape::default();
    let wall = wall(&hand);
    let out = Out::to(tape.clone(), NARROW);
    let mut live = Live::with_clock(out.clone(), &sample::runbook(), &sample::plan(), clock, wall);
    let run = sample::until_the_load();
    play_from(after_the_reboot(&run), &run, &hand, &mut live);
    live.redraw();
    let seen = live.suspend(|| {
        let mut terminal = vt100::Parser::new(24, 80, 0);
        terminal.process(&tape.bytes());
        out.line("Type restart-staging:");
        terminal.screen().contents()
    });
    assert!(!seen.contains("window closes") && seen.contains("redis_loaded"), "{seen}");
}

#[test]
fn a_dead_terminal_does_not_stop_the_live_block() {
    struct Dead;
    impl Write for Dead {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::Error::from_raw_os_error(32))
        }
    }
    let (hand, _) = hand();
    let mut live = Live::new(Out::to(Dead, NARROW), &sample::runbook(), &sample::plan());
    play(&sample::whole(), &hand, &mut live);
    assert_eq!(live.suspend(|| 7), 7);
}

#[test]
fn status_screens() {
    let zone = zone();
    let reboot = sample::until_the_reboot();
    let load = sample::until_the_load();
    let failed = sample::failed();
    let whole = sample::whole();
    let restore = sample::in_the_restore();
    for (name, run) in
        [("reboot", &reboot), ("load", &load), ("restore", &restore), ("failed", &failed), ("whole", &whole)]
    {
        let now = run.entries.last().unwrap().wall.checked_add(Duration::from_secs(95)).unwrap();
        keep(&format!("status_{name}"), |style| status_in(&run.entries, &run.state, now, &zone, &style));
    }
}

#[test]
fn endings() {
    for (name, run) in
        [("reboot", sample::until_the_reboot()), ("failed", sample::failed()), ("whole", sample::whole())]
    {
        keep(&format!("ending_{name}"), |style| ending(&run.entries, &run.state, &style));
    }
}

/// A journal as it is when a bit of it was flipped in the middle of the stop.
#[test]
fn journal_screens() {
    use crate::journal::inspect::Inspection;
    use crate::journal::record::Refusal;
    use crate::journal::recover::{Damage, Reason};
    let whole = sample::whole();
    let last = whole.entries.len() as u64;
    let sound = Inspection {
        entries: whole.entries.clone(),
        state: whole.state.clone(),
        bytes: 92_114,
        good: 92_114,
        acknowledged: Some(last),
        damage: None,
        later: Vec::new(),
    };
    keep("journal_sound", |style| journal_verdict(sample::RUN, &sound, None, "b", &style));
    let spoilt = "the frozen runbook was changed\u{1b}[2J";
    keep("journal_refused", |style| journal_verdict(sample::RUN, &sound, Some(spoilt), "b", &style));

    let at = whole.entries.iter().position(|entry| entry.checkpoint.kind() == "reboot_intent").unwrap() - 3;
    let mut state = RunState::default();
    whole.entries[..at].iter().for_each(|entry| state.after(entry).unwrap());
    let refusal = Refusal::Checksum { written: 0xc3cb_8ff5, found: 0x6f20_dbbe };
    let why = Reason::Inside { refusal, later: at as u64 + 2, later_offset: 61_377 };
    let damaged = Inspection {
        entries: whole.entries[..at].to_vec(),
        state,
        good: 61_002,
        damage: Some(Damage { offset: 61_002, seq: at as u64, why }),
        later: whole.entries[at + 1..at + 6].iter().map(|entry| (61_377, entry.clone())).collect(),
        acknowledged: Some(at as u64 + 6),
        ..sound.clone()
    };
    let boot = "another boot";
    keep("journal_damaged", |style| journal_verdict(sample::RUN, &damaged, None, boot, &style));
    keep("journal_shown", |style| {
        let text = timeline(&damaged, &zone(), &style);
        // The many alike in the middle are left out.
        let lines: Vec<&str> = text.lines().collect();
        [&lines[..24], &["(...)"], &lines[lines.len() - 24..]].concat().join("\n")
    });
    let after: Inspection = Inspection { entries: whole.entries[at + 4..].to_vec(), ..sound.clone() };
    keep("journal_shown_after_the_boot", |style| {
        timeline(&after, &zone(), &style).lines().take(24).collect::<Vec<_>>().join("\n")
    });
    let note = crate::journal::aside::Aside {
        at: "2026-11-28T11:15:00Z".parse().unwrap(),
        who: "ann".into(),
        reason: "the disk was replaced; everything was looked at by hand".into(),
        found: "journal /var/lib/runbook/runs/r-1/journal is refused at byte 61002\u{1b}[2J".into(),
        known: doubts(&damaged, boot),
    };
    keep("set_aside", |style| set_aside(sample::RUN, &note, &style));
    let lines = [verdict_line(sample::RUN, &damaged, None, boot), record_lines(&damaged).swap_remove(3)];
    insta::assert_snapshot!("json_journal", lines.join("\n"));
    assert_eq!(record_lines(&damaged).len(), at + 5);
}

#[test]
fn session_reports() {
    let whole = sample::whole();
    let text = markdown_in(&whole.entries, sample::runbook().window.as_ref());
    for must in [
        "9.8 GB -> 2.4 GB",
        "estimated 26m00s",
        "**search**",
        "ECONNREFUSED",
        "redis-server@bull01.service",
        "9d2e41aa",
    ] {
        assert!(text.contains(must), "{must} is missing");
    }
    assert!(!text.contains('\u{1b}'));
    insta::assert_snapshot!("report_whole", text);
    insta::assert_snapshot!("report_failed", markdown_in(&sample::failed().entries, sample::runbook().window.as_ref()));
    assert!(markdown(&[]).contains("NOT OVER"), "an empty journal is survived");
}

//! Tests: every screen as an operator sees it, kept as snapshots. They were looked at one by one.

mod commands;
mod live_block;
mod plans;
mod records;
mod runs;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::sample::{self, Moment, Run};
use super::{Style, layout, progress};
use crate::event::{Event, Reporter};
use crate::journal::state::RunState;

const NARROW: Style = Style::PLAIN;
const WIDE: Style = Style { width: 120, ..Style::PLAIN };

fn zone() -> TimeZone {
    sample::runbook().window.unwrap().timezone
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

/// Where in a run a kind of record stands first.
fn after(run: &Run, kind: &str) -> usize {
    run.moments.iter().position(|(_, moment)| is(moment, kind)).unwrap()
}

/// Where it stands last.
fn after_the_last(run: &Run, kind: &str) -> usize {
    run.moments.iter().rposition(|(_, moment)| is(moment, kind)).unwrap()
}

fn is(moment: &Moment, kind: &str) -> bool {
    matches!(moment, Moment::Fact(entry) if entry.checkpoint.kind() == kind)
}

/// Every way in which a screen is looked at: two widths, with colour and without.
const LOOKS: [(&str, Style); 4] = [
    ("80", NARROW),
    ("120", WIDE),
    ("80_colour", Style { color: true, ..NARROW }),
    ("120_colour", Style { color: true, ..WIDE }),
];

/// Keeps a screen in each of its looks, none wider than it may be, with colours made visible.
fn keep(name: &str, draw: impl Fn(Style) -> String) {
    for (look, style) in LOOKS {
        let text = draw(style);
        let wide: Vec<&str> = text.lines().filter(|line| layout::columns(line) > style.columns()).collect();
        assert!(wide.is_empty(), "{name} at {look} is too wide: {wide:#?}");
        let plain = draw(Style { color: false, ..style });
        assert!(!plain.contains('\u{1b}'), "{name} at {look}: an escape sequence without colour");
        keep_text(&format!("{name}_{look}"), &text.replace('\u{1b}', "^"));
    }
}

/// Keeps a text as it is.
fn keep_text(name: &str, text: &str) {
    insta::assert_snapshot!(name, text);
}

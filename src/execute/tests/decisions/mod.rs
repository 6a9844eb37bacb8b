//! Model-based test: a small reference, and beside it the real journal and executor on a machine that fails, dies, goes
//! down, is cloned, set back and edited as drawn by lot. After every transition both must have decided the same: what was
//! done how often, how the sitting ended, where each step stands.
//!
//! A few thousand transitions by default; `RUNBOOK_HARD=full` draws more than 100,000.

mod harness;
mod puppet;
mod reference;

use std::sync::Mutex;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

use crate::journal::checkpoint::Resolution;
use harness::{Harness, Stage};
use puppet::Word;
use reference::Wish;

/// One thing that happens to a run.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Somebody, or the resume unit, goes on with it.
    Sit { unattended: bool, wish: Wish, words: Vec<Word> },
    /// The machine comes back if it was going down.
    ComeBack,
    /// The machine goes down and up for somebody else's reasons.
    ForeignReboot,
    /// The same without warning, in the middle of an append: a torn tail of so many bytes.
    PowerCut { torn: u8, nul: bool },
    /// The wall clock is set.
    Clock { days: i16 },
    /// Nobody looks for weeks, then the resume unit fires.
    Weeks { words: Vec<Word> },
    /// A person rules.
    Resolve { step: usize, how: Resolution },
    /// Somebody edits the frozen runbook.
    Edit,
    /// Another run is begun, and another process takes up this one.
    SecondOperator,
    /// The disk is found in another machine, which has another id or only another name.
    Clone { id: bool },
    /// The state directory is put back from a copy of some records ago.
    Restore,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        6 => Just(Word::Ok),
        1 => Just(Word::Fails),
        1 => Just(Word::TimesOut),
        1 => any::<bool>().prop_map(|happened| Word::Unknown { happened }),
        2 => any::<bool>().prop_map(|happened| Word::Crash { happened }),
        1 => any::<bool>().prop_map(|happened| Word::Traced { happened }),
        1 => Just(Word::CrashAfterOutcome),
    ]
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    prop::collection::vec(word(), 0..5)
}

fn op() -> impl Strategy<Value = Op> {
    let wish = prop_oneof![14 => Just(Wish::Nothing), 1 => Just(Wish::Pause), 1 => Just(Wish::Abort)];
    let how = prop_oneof![Just(Resolution::Done), Just(Resolution::Rerun), Just(Resolution::Skip)];
    prop_oneof![
        8 => (any::<bool>(), wish, words()).prop_map(|(unattended, wish, words)| Op::Sit { unattended, wish, words }),
        4 => Just(Op::ComeBack),
        1 => Just(Op::ForeignReboot),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(torn, nul)| Op::PowerCut { torn, nul }),
        1 => (-400_i16..400).prop_map(|days| Op::Clock { days }),
        1 => words().prop_map(|words| Op::Weeks { words }),
        3 => (0_usize..8, how).prop_map(|(step, how)| Op::Resolve { step, how }),
        1 => Just(Op::Edit),
        1 => Just(Op::SecondOperator),
        1 => any::<bool>().prop_map(|id| Op::Clone { id }),
        1 => Just(Op::Restore),
    ]
}

#[expect(clippy::disallowed_methods, reason = "how hard to try is the caller's wish")]
fn full() -> bool {
    std::env::var("RUNBOOK_HARD").as_deref() == Ok("full")
}

#[expect(clippy::print_stdout, reason = "figures are for whoever runs the test")]
fn figure(text: &str) {
    println!("{text}");
}

/// Draws runs until `count` of what happened is `wanted`, on both cores when all of it is wanted.
fn draw<S>(what: &str, wanted: u32, count: fn(&Counts) -> u32, story: impl Fn() -> S + Sync) -> Counts
where
    S: Strategy<Value = Vec<Op>>,
{
    let hands = if full() { 2 } else { 1 };
    let all = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for hand in 0..hands {
            let (all, story) = (&all, &story);
            scope
                .spawn(move || draw_alone(what, (hand..).step_by(hands), all, &|made| count(made) >= wanted, &story()));
        }
    });
    all.into_inner().unwrap()
}

fn draw_alone(
    what: &str,
    seeds: impl Iterator<Item = usize>,
    all: &Mutex<Counts>,
    enough: &dyn Fn(&Counts) -> bool,
    story: &impl Strategy<Value = Vec<Op>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let stage = runtime.block_on(Stage::set());
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    for seed in seeds {
        if enough(&all.lock().unwrap()) {
            break;
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        let ran = runner.run(story, |ops| {
            let mut made = Counts::default();
            let ended = runtime.block_on(Harness::play(&stage, &ops, &mut made));
            ended.map_err(|wrong| TestCaseError::fail(format!("{wrong}\nafter {made:?}")))?;
            let mut all = all.lock().unwrap();
            all.add(made);
            if all.runs.is_multiple_of(500) {
                figure(&format!(
                    "{what}: {} transitions in {} runs so far, 0 wrong decisions",
                    all.transitions, all.runs
                ));
            }
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{what}, seed {seed}: {error}"));
    }
}

/// What was drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) runs: u32,
    pub(super) transitions: u32,
    pub(super) sittings: u32,
    pub(super) crashes: u32,
    pub(super) reboots: u32,
    pub(super) unplanned: u32,
    pub(super) refusals: u32,
    pub(super) set_back: u32,
    pub(super) ended: u32,
}

impl Counts {
    fn add(&mut self, more: Self) {
        self.runs += 1;
        self.transitions += more.transitions;
        self.sittings += more.sittings;
        self.crashes += more.crashes;
        self.reboots += more.reboots;
        self.unplanned += more.unplanned;
        self.refusals += more.refusals;
        self.set_back += more.set_back;
        self.ended += more.ended;
    }
}

#[test]
fn the_executor_decides_as_the_reference() {
    let wanted = if full() { 100_000 } else { 2_000 };
    let made = draw("decisions", wanted, |counts| counts.transitions, || prop::collection::vec(op(), 4..40));
    assert!(made.ended > 0 && made.crashes > 0 && made.refusals > 0, "{made:?}");
    figure(&format!(
        "{} transitions in {} runs ({} sittings, {} crashes, {} reboots, {} refusals, {} ended): 0 wrong decisions",
        made.transitions, made.runs, made.sittings, made.crashes, made.reboots, made.refusals, made.ended
    ));
}

/// A run to its reboot, then boots of every kind, each followed by the resume unit.
fn boots() -> impl Strategy<Value = Vec<Op>> {
    let sit = |words| Op::Sit { unattended: true, wish: Wish::Nothing, words };
    let boot = prop_oneof![
        3 => Just(Op::ComeBack),
        2 => Just(Op::ForeignReboot),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(torn, nul)| Op::PowerCut { torn, nul }),
    ];
    let between = prop_oneof![
        6 => Just(None),
        2 => Just(Some(Op::Clock { days: -365 })),
        1 => (-400_i16..400).prop_map(|days| Some(Op::Clock { days })),
        1 => words().prop_map(|words| Some(Op::Weeks { words })),
        1 => any::<bool>().prop_map(|id| Some(Op::Clone { id })),
        1 => Just(Some(Op::Restore)),
    ];
    // Often the same word again and again: a machine that goes down whenever it is resumed.
    let after = prop_oneof![3 => words(), 1 => Just(vec![Word::Crash { happened: false }])];
    let first = prop_oneof![2 => Just(vec![]), 1 => words()];
    let turns = prop::collection::vec((boot, between, after), 2..10);
    (first, turns).prop_map(move |(first, turns)| {
        let turns = turns.into_iter().flat_map(|(boot, between, after)| {
            std::iter::once(boot).chain(between).chain(std::iter::once(sit(after))).collect::<Vec<_>>()
        });
        std::iter::once(sit(first)).chain(turns).collect()
    })
}

#[test]
fn simulated_reboots_are_never_decided_wrong() {
    let wanted = if full() { 2_000 } else { 500 };
    let made = draw("reboots", wanted, |counts| counts.reboots, boots);
    assert!(made.unplanned > 50 && made.refusals > 50 && made.set_back > 20, "{made:?}");
    figure(&format!(
        "{} simulated reboots in {} runs ({} unplanned, {} sittings, {} crashes, {} refusals of clones, copies, stale \
         and looping runs, {} with the clock set back): 0 wrong decisions",
        made.reboots, made.runs, made.unplanned, made.sittings, made.crashes, made.refusals, made.set_back
    ));
}

/// Kept from what the reference has found, so that it stays found.
#[tokio::test]
async fn a_ruling_to_run_again_holds_once() {
    let stage = Stage::set().await;
    let sit = |words: &[Word]| Op::Sit { unattended: false, wish: Wish::Nothing, words: words.to_vec() };
    let crash = Word::Crash { happened: true };
    let ops = [
        sit(&[]),
        Op::ComeBack,
        sit(&[crash]),
        sit(&[crash]),
        Op::Resolve { step: reference::D, how: Resolution::Rerun },
        sit(&[crash]),
        sit(&[]),
    ];
    Harness::play(&stage, &ops, &mut Counts::default()).await.unwrap();
}

#[tokio::test]
async fn an_unknown_outcome_stays_unknown() {
    let stage = Stage::set().await;
    let sit = |words: &[Word]| Op::Sit { unattended: false, wish: Wish::Nothing, words: words.to_vec() };
    let unknown = Word::Unknown { happened: true };
    let ops = [
        sit(&[Word::Ok, unknown]),
        sit(&[]),
        Op::Resolve { step: 1, how: Resolution::Rerun },
        sit(&[unknown]),
        sit(&[]),
    ];
    Harness::play(&stage, &ops, &mut Counts::default()).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_was_set_back_opens_no_window() {
    let window = "window: { timezone: Europe/Berlin, opens: \"00:00\", length: 24h }\nunits:\n";
    let stage = Stage::of(&harness::TEXT.replacen("units:\n", window, 1)).await;
    let sit = |words: &[Word]| Op::Sit { unattended: false, wish: Wish::Nothing, words: words.to_vec() };
    let ops = [sit(&[Word::Crash { happened: false }]), Op::Clock { days: -2 }, sit(&[])];
    let wrong = Harness::play(&stage, &ops, &mut Counts::default()).await.unwrap_err();
    assert!(wrong.contains("the clock shows an earlier time than the journal"), "{wrong}");
}

pub(super) fn days(count: i16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
}

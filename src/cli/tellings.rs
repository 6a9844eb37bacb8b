//! Whatever happens to a run on the model, every form of telling agrees with a look at the machine: services that are down, by
//! name, and whether the run is over. The look knows nothing of the journal.
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::{closing, status};
use crate::execute::tests::bed::{Bed, Ear, small_yaml};
use crate::execute::tests::windows::{with_commands, without_reboot};
use crate::execute::{Ending, Urge};
use crate::host::model::{Faults, sample};
use crate::journal::checkpoint::{End, Resolution, Ruling};
use crate::journal::step::StepStatus;
use crate::report::{self, Around, PastRun, Style};

/// What is done to a run, one sitting after the other.
#[derive(Debug, Clone)]
enum Move {
    Sit,
    CrashAt(usize),
    AskAt(usize, Urge),
    Begin(Urge),
    HoursLater,
    LeaveOut,
}

fn urge() -> impl Strategy<Value = Urge> {
    prop_oneof![Just(Urge::Pause), Just(Urge::Terminate), Just(Urge::Now), Just(Urge::Abort)]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => Just(Move::Sit),
        2 => (1..160_usize).prop_map(Move::CrashAt),
        2 => ((1..160_usize), urge()).prop_map(|(at, urge)| Move::AskAt(at, urge)),
        1 => urge().prop_map(Move::Begin),
        1 => Just(Move::HoursLater),
        1 => Just(Move::LeaveOut),
    ];
    prop::collection::vec(one, 1..6)
}

fn yaml() -> impl Strategy<Value = String> {
    let lenient = || with_commands().replace("tolerate: 0", "tolerate: 2");
    let goes_on = || with_commands().replace("[/bin/true, up] }", "[/bin/true, up] }\n        on_failure: continue");
    prop::sample::select(vec![small_yaml(), with_commands(), without_reboot(), lenient(), goes_on()])
}

fn faults() -> impl Strategy<Value = Faults> {
    let lost = prop::sample::subsequence(vec!["api-3", "api-11", "mail4-worker", "id-manager-1"], 0..=2);
    (lost, prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.1)).prop_map(
        |(lost, rewrite, command, empty)| {
            let bds = || vec![sample::at(6379).url];
            Faults {
                lost_apps: lost.into_iter().map(str::to_owned).collect(),
                rewrite_fails: if rewrite { bds() } else { Vec::new() },
                commands_fail: if command { vec!["/bin/true".into()] } else { Vec::new() },
                empty_after_start: if empty { bds() } else { Vec::new() },
                ..Faults::default()
            }
        },
    )
}

/// Every form in which a run is told.
struct Told {
    texts: Vec<(&'static str, String)>,
    status: Value,
    report: Value,
    history: Value,
    junit: String,
}

impl Told {
    fn of(bed: &Bed) -> Self {
        let (entries, state, style) = (bed.entries(), bed.state(), Style::PLAIN);
        let (around, now) = (Around::default(), entries.last().unwrap().wall);
        let past = PastRun { id: "r", reading: Ok((&entries, &state)), aside: None };
        let json = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        Self {
            texts: vec![
                ("status", report::status(&entries, &state, now, &style)),
                ("ending", report::ending(&entries, &state, &around, &style)),
                ("md", report::markdown(&entries)),
                ("html", report::html(&entries, None, None, now)),
                ("history", report::past_run(&past, &style)),
            ],
            status: json(&report::status_lines(&entries, &state, &around, now)[0]),
            report: json(&report::report_lines(&entries, None)[1]),
            history: json(&report::past_run_line(&entries, &state, None)),
            junit: report::report_junit(&entries, None).unwrap(),
        }
    }

    fn text(&self, form: &str) -> &str {
        &self.texts.iter().find(|(name, _)| *name == form).unwrap().1
    }

    /// The forms that name losses one by one; the closing screen folds many that are alike.
    fn names(&self, lost: &str, folded: bool) {
        for form in ["ending", "md", "html"].into_iter().skip(usize::from(folded)) {
            assert!(self.text(form).contains(lost), "{form} does not name {lost}: {}", self.text(form));
        }
        for (form, text) in [("json", self.report.to_string()), ("junit", self.junit.clone())] {
            assert!(text.contains(lost), "{form} does not name {lost}: {text}");
        }
    }

    /// None of the words anywhere that people read.
    fn never(&self, words: &[&str]) {
        for (form, text) in &self.texts {
            let upper = text.to_uppercase();
            let found = words.iter().find(|word| upper.contains(&word.to_uppercase()));
            assert_eq!(found, None, "{form}: {text}");
        }
    }

    fn failures(&self) -> usize {
        self.junit.matches("<failure").count() + self.junit.matches("<error").count()
    }
}

/// All of it, after a sitting. `down`: apps that ran before the run and do not now.
fn agrees(bed: &Bed, ending: Option<&Ending>, down: &BTreeSet<String>) {
    let (state, told) = (bed.state(), Told::of(bed));
    let ended = state.ended();
    for form in [&told.status, &told.report, &told.history] {
        assert_eq!(form["ended"].is_null(), ended.is_none(), "{form}");
    }
    assert_eq!(told.status["state"] == "over", ended.is_some(), "{}", told.status);
    let code = status::exit(&state, false, true).code();
    let sat = ending.map(|ending| closing::exit(ending, true).code());
    // Three answers of a sitting are none of a run: refused before any change, outside of the window, nobody to answer.
    if let Some(sat) = sat.filter(|sat| ![5, 6, 9, 130, 143].contains(sat)) {
        assert_eq!(sat, code, "{ending:?}: {}", told.text("status"));
    }
    match ended {
        Some(End::Done) => {
            assert_eq!((code, down.len(), told.failures()), (0, 0, 0), "{down:?} {}", told.junit);
            told.never(&["lost  ", "with losses", "not back", "not brought back", "did not come back", "FAILED  "]);
        }
        Some(End::DoneWithLosses) => {
            assert_eq!(code, 11);
            assert!(told.failures() > 0 && told.text("status").contains("losses"), "{}", told.text("status"));
            assert_ne!(told.report["losses"].as_array().map_or(0, Vec::len), 0, "{}", told.report["steps"]);
        }
        Some(End::BackedOut) => {
            assert_eq!((code, down.len()), (12, 0), "{down:?}");
            told.never(&["not brought back", "did not come back", "is over: done", "Done:"]);
        }
        Some(End::BackedOutWithLosses) => {
            assert_eq!(code, 13);
            told.never(&["Done:"]);
            let named = |key: &str| told.status[key].as_array().is_some_and(|all| !all.is_empty());
            assert!(named("not_back") || named("not_known"), "{}", told.status);
        }
        Some(End::Failed | End::Abandoned) => {
            assert_eq!(code, 1);
            told.never(&["Done:", "were brought back"]);
        }
        None => unfinished(&told, code),
    }
    // Whatever is down at the end of a run is named, and nothing that is up is called lost.
    if ended.is_some() {
        down.iter().for_each(|lost| told.names(lost, down.len() > 3));
        // A stop that was left out, or that nobody knows of, is no app that is down.
        let missing = told.report["losses"].as_array().into_iter().flatten();
        let missing = missing.filter(|loss| ["restore/1", "verify/1"].iter().any(|step| loss["step"] == *step));
        let ran: BTreeSet<&str> = missing.filter_map(|loss| loss["item"].as_str()).collect();
        let up = ran.iter().find(|name| name.contains("-") && bed.is_app(name) && !down.contains(**name));
        assert_eq!(up, None, "called lost, and it runs: {}", told.report);
    }
}

fn unfinished(told: &Told, code: u8) {
    assert_ne!(code, 0, "{}", told.text("status"));
    assert_ne!(told.status["next"].as_array().map_or(0, Vec::len), 0, "{}", told.status);
    told.never(&["Done:", "were brought back"]);
    for form in ["status", "ending"] {
        assert!(told.text(form).contains("runbook "), "no next command, {form}: {}", told.text(form));
    }
    assert!(
        ["unfinished", "NOT brought back", "on its way back"].iter().any(|word| told.text("history").contains(word)),
        "{}",
        told.text("history")
    );
}

async fn play(yaml: &str, faults: Faults, moves: &[Move]) {
    let mut bed = Bed::new(yaml, faults).await;
    let before = BTreeSet::from_iter(bed.running().await);
    for one in moves.iter().chain([&Move::Sit, &Move::Sit]) {
        (bed.ear, bed.urge) = (Ear::default(), Urge::None);
        match one {
            Move::Sit => {}
            Move::CrashAt(at) => bed.ear.crash_at = Some(*at),
            Move::AskAt(at, urge) => bed.ear.asks_nth = Some((*at, *urge)),
            Move::Begin(urge) => bed.urge = *urge,
            Move::HoursLater => bed.model.pass(std::time::Duration::from_secs(4 * 3600)),
            Move::LeaveOut => {
                if !bed.has_begun() {
                    continue;
                }
                let steps = bed.state();
                let failed = steps
                    .steps()
                    .iter()
                    .find(|(_, step)| matches!(step.status, StepStatus::Failed { .. } | StepStatus::Unknown { .. }));
                let Some((step, _)) = failed else { continue };
                bed.rule(Ruling::Resolve { step: step.clone(), how: Resolution::Skip }).await;
            }
        }
        let ending = bed.sit(None).await;
        let now = BTreeSet::from_iter(bed.running().await);
        agrees(&bed, ending.as_ref(), &before.difference(&now).cloned().collect());
        if bed.state().ended().is_some() {
            return;
        }
        bed.model.come_back();
    }
}

/// More in the full tier.
#[expect(clippy::disallowed_methods, reason = "how hard to try is the caller's wish")]
fn cases() -> u32 {
    let hard = std::env::var("RUNBOOK_HARD").is_ok_and(|hard| hard == "full");
    if hard { 600 } else { 48 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_of_telling_agrees_with_the_machine(yaml in yaml(), faults in faults(), moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&yaml, faults, &moves));
    }
}

/// The way back failed at its first step and died in a later one: the first comes again, and the later one is closed before it.
#[tokio::test]
async fn a_way_back_that_died_in_a_later_step_is_gone_on_with() {
    let faults = Faults { lost_apps: vec!["id-manager-1".into()], ..Faults::default() };
    for at in [44, 47, 50, 53] {
        play(&without_reboot(), faults.clone(), &[Move::Sit, Move::CrashAt(at)]).await;
    }
}

/// A runbook may stop apps and mean it.
#[tokio::test]
async fn what_was_never_meant_to_come_back_is_not_told_as_left_down() {
    let yaml = small_yaml();
    let to = yaml.find("  - name: reboot\n").unwrap();
    let mut bed = Bed::new(&yaml[..to].replace("back_out: [restore, verify]\n", ""), Faults::default()).await;
    assert_eq!(bed.sit(None).await, Some(Ending::Done { losses: vec![] }));
    assert_eq!(bed.online().await, 0);
    let told = Told::of(&bed);
    assert_eq!(told.report["left_down"], serde_json::json!([]));
    told.never(&["left down", "  DOWN  ", "bring back"]);
}

//! One-shot commands: the program is killed at each of its first sixty syncs and at random, stopped and paused, and is taken
//! up again at once, while what it has begun may still be at work. Nothing happens twice, nothing is missing, and nobody is
//! asked where there is evidence.
use std::time::Duration;

use runbook::journal::checkpoint::End;
use rustix::process::{Pid, Signal, kill_process};

use crate::points::{Point, calls, sample};
use crate::random::Random;
use crate::rig::{PROGRAM, Rig, Said};
use crate::shots::{RUNBOOK, Scenario};
use crate::tier::{Tier, figures, tier};
use crate::worker::{Job, Report, Tickets, work, workers};
use crate::world::{Ledger, OUT, STATE};

const RUN: [&str; 6] = ["run", RUNBOOK, "--yes", "--confirm", "shots", "--json"];
const RESUME: [&str; 5] = ["resume", "--yes", "--confirm", "shots", "--json"];
const SYNCS: [&str; 2] = ["fsync", "fdatasync"];
/// How many of them a run is killed at.
const FIRST: usize = 60;
/// More sittings than any of this can need.
const ENOUGH: usize = 14;

/// What is done to one sitting.
enum Trouble {
    None,
    Inject(Vec<String>),
    /// Signals to the program, and how long after its start.
    Signals(Vec<(Duration, Signal)>),
    /// `runbook pause` from a second terminal.
    Pause(Duration),
}

/// How a run came to its end.
#[derive(Default)]
struct Story {
    kills: usize,
    sittings: usize,
    /// A command was ended in the middle by whoever left the run at once: what it had done a person must say.
    asked: usize,
    left_at_once: bool,
}

/// One run to its end.
fn play(rig: &Rig, scenario: Scenario, trouble: &mut dyn FnMut(usize) -> Trouble) -> Result<Story, String> {
    let mut story = Story::default();
    for nth in 0..ENOUGH {
        let begun = !rig.runs()?.is_empty();
        let args: &[&str] = if begun { &RESUME } else { &RUN };
        let said = sit(rig, args, trouble(nth), &mut story);
        story.sittings += 1;
        story.kills += usize::from(said.killed);
        if said.hung {
            return Err(format!("sitting {nth} hung: {}", said.err));
        }
        if rig.is_over()? {
            rig.calm();
            judge(rig, scenario, &story).map_err(|why| format!("{why}; the last sitting said {}", said.err))?;
            return Ok(story);
        }
        react(rig, &said, &mut story).map_err(|why| format!("sitting {nth}: {why}"))?;
    }
    Err(format!("not over after {ENOUGH} sittings"))
}

fn sit(rig: &Rig, args: &[&str], trouble: Trouble, story: &mut Story) -> Said {
    let inject = if let Trouble::Inject(inject) = &trouble { inject.clone() } else { Vec::new() };
    let mut signals = if let Trouble::Signals(signals) = &trouble { signals.clone() } else { Vec::new() };
    story.left_at_once |= signals.iter().filter(|(_, signal)| *signal == Signal::INT).count() > 1;
    let mut pause = if let Trouble::Pause(after) = trouble { Some(after) } else { None };
    rig.sit_beside(args, &inject, None, &mut |pid, at| {
        if signals.first().is_some_and(|(after, _)| at >= *after) {
            let (_, signal) = signals.remove(0);
            let _gone_already = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
        }
        if pause.take_if(|after| at >= *after).is_some() {
            // There may be no run yet, or none any more.
            let mut command = std::process::Command::new(PROGRAM);
            let _refused =
                command.args(["--state-dir", STATE, "pause"]).env("RUNBOOK_LOCK", "/run/runbook/sandbox.lock").output();
        }
    })
}

/// What happens outside after a sitting that has not ended the run.
fn react(rig: &Rig, said: &Said, story: &mut Story) -> Result<(), String> {
    let runs = rig.runs()?;
    let state = runs.last().and_then(|run| run.reading.as_ref().ok()).map(|reading| &reading.state);
    if !said.killed && said.code == Some(21) && state.is_some_and(|state| state.waiting_for_reboot().is_some()) {
        rig.calm();
        rig.systemd.world().boot();
        return Ok(());
    }
    match said.code {
        // Killed, or ended by a signal before it had anything to end in order.
        _ if said.killed => Ok(()),
        None => Ok(()),
        // Paused, left at once, or ended by TERM.
        Some(20 | 130 | 143) => Ok(()),
        Some(21) if story.left_at_once => ask(rig, story),
        // On the way back it is not asked about before the services are up, and the run is not over without an answer.
        Some(14) if story.left_at_once => ask(rig, story),
        code => Err(format!("exit {code:?}, somebody is asked: {}{}", said.out, said.err)),
    }
}

/// A person looks into the ledger.
fn ask(rig: &Rig, story: &mut Story) -> Result<(), String> {
    story.asked += 1;
    let runs = rig.runs()?;
    let reading = runs.last().and_then(|run| run.reading.as_ref().ok()).ok_or("exit 21 and no run")?;
    let in_doubt = reading.state.in_doubt();
    let (step, _) = in_doubt.first().ok_or("exit 21, and nothing is in doubt")?;
    let token = format!("shot-{}", step.as_str().replace("/shot", ""));
    let how = if Ledger::read().count(&token) > 0 { "--done" } else { "--rerun" };
    let run = runs.last().map(|run| run.id.to_string()).unwrap_or_default();
    let ruled = rig.sit(&["resolve", &run, step.as_str(), how, "--reason", "seen in the ledger"], &[], None);
    if ruled.code == Some(0) { Ok(()) } else { Err(format!("resolve {step} {how}: {}", ruled.err)) }
}

/// The ledger and the end of the run.
fn judge(rig: &Rig, scenario: Scenario, story: &Story) -> Result<(), String> {
    let runs = rig.runs()?;
    let [run] = runs.as_slice() else { return Err(format!("{} runs", runs.len())) };
    let state = &run.reading.as_ref().map_err(ToString::to_string)?.state;
    let ended: &[End] = match scenario {
        // With a doubt where a command was ended in the middle.
        Scenario::BackOut if story.left_at_once => &[End::BackedOut, End::BackedOutWithLosses],
        Scenario::BackOut => &[End::BackedOut],
        // What the runbook goes on without is lost.
        Scenario::Continue => &[End::DoneWithLosses],
        _ => &[End::Done],
    };
    if !state.ended().is_some_and(|end| ended.contains(&end)) {
        return Err(format!("ended {:?}", state.ended()));
    }
    let ledger = Ledger::read();
    if !ledger.unannounced.is_empty() {
        return Err(format!("effects without an acknowledged intent: {:?}", ledger.unannounced));
    }
    let mut shots = ledger.counts.clone();
    shots.retain(|token, _| token.contains("shot-"));
    let wanted = scenario.ledger();
    let wrong: Vec<String> = wanted
        .keys()
        .chain(shots.keys().filter(|token| !wanted.contains_key(*token)))
        .map(|token| (token, shots.get(token).copied().unwrap_or(0), wanted.get(token).copied().unwrap_or(0)))
        .filter(|(_, seen, wanted)| seen != wanted)
        .filter(|(token, seen, wanted)| !(story.left_at_once && scenario.may_repeat(token) && seen > wanted))
        // Ended in the middle while services were down: the run has turned back instead of asking.
        .filter(|(token, seen, wanted)| !(story.left_at_once && scenario.may_turn_back(token) && seen < wanted))
        .map(|(token, seen, wanted)| format!("{token} {seen} times instead of {wanted}"))
        .collect();
    if !wrong.is_empty() {
        return Err(wrong.join(", "));
    }
    if rig.systemd.world().up.len() != 12 {
        return Err(format!("up in the end: {:?}", rig.systemd.world().up));
    }
    Ok(())
}

fn fresh(rig: &Rig, scenario: Scenario) {
    rig.calm();
    rig.fresh();
    scenario.lay();
}

/// The first syncs of an undisturbed run.
pub(crate) fn survey(rig: &Rig, scenario: Scenario) -> Vec<Point> {
    fresh(rig, scenario);
    let mut points = Vec::new();
    for sitting in 0..ENOUGH {
        let args: &[&str] = if rig.runs().unwrap().is_empty() { &RUN } else { &RESUME };
        let path = format!("{OUT}/trace");
        let said = rig.sit(args, &[], Some(&path));
        let found = calls(sitting, &std::fs::read_to_string(&path).unwrap());
        points.extend(
            found
                .into_iter()
                .filter(|point| matches!(point, Point::Call { name, .. } if SYNCS.contains(&name.as_str()))),
        );
        if rig.is_over().unwrap() {
            judge(rig, scenario, &Story::default()).unwrap();
            points.truncate(FIRST);
            return points;
        }
        react(rig, &said, &mut Story::default()).unwrap();
    }
    panic!("{scenario:?} is not over after {ENOUGH} sittings");
}

/// Kills at each point.
pub(crate) fn kill<'p>(rig: &Rig, scenario: Scenario, points: impl Iterator<Item = &'p Point>, report: &mut Report) {
    for point in points {
        fresh(rig, scenario);
        let mut trouble = |sitting| match point.kill(sitting) {
            inject if inject.is_empty() => Trouble::None,
            inject => Trouble::Inject(inject),
        };
        report.add("points", 1);
        match play(rig, scenario, &mut trouble) {
            Ok(story) => {
                report.add("kills", story.kills as u64);
                report.add("sittings", story.sittings as u64);
            }
            Err(bad) => report.bad.push(format!("{scenario:?}, {point}: {bad}")),
        }
    }
}

/// Kills and stops at random, up to four times in a run. Everything depends on nothing but seed and ticket.
pub(crate) fn stop(rig: &Rig, tickets: Tickets, seed: u64, report: &mut Report) {
    for ticket in tickets {
        let mut random = Random::new(seed + ticket as u64);
        let scenario = Scenario::ALL[ticket % Scenario::ALL.len()];
        fresh(rig, scenario);
        let mut told = Vec::new();
        let mut trouble = |sitting| {
            let after = Duration::from_millis(random.below(2_500) as u64);
            let soon = after + Duration::from_millis(5 + random.below(60) as u64);
            if sitting >= 4 {
                return Trouble::None;
            }
            let (word, trouble) = match random.below(8) {
                0..=2 => ("kill", Trouble::Signals(vec![(after, Signal::KILL)])),
                3 => ("term", Trouble::Signals(vec![(after, Signal::TERM)])),
                4 => ("int", Trouble::Signals(vec![(after, Signal::INT)])),
                5 => ("int and kill", Trouble::Signals(vec![(after, Signal::INT), (soon, Signal::KILL)])),
                6 => ("int twice", Trouble::Signals(vec![(after, Signal::INT), (soon, Signal::INT)])),
                _ => ("pause", Trouble::Pause(after)),
            };
            report.add("disturbances", 1);
            report.add(word, 1);
            told.push(format!("{word} after {after:?}"));
            trouble
        };
        let ended = play(rig, scenario, &mut trouble);
        match ended {
            Ok(story) => {
                report.add("kills", story.kills as u64);
                report.add("sittings", story.sittings as u64);
                report.add("asked", story.asked as u64);
            }
            Err(bad) => report.bad.push(format!("seed {seed}, ticket {ticket}, {scenario:?}, {told:?}: {bad}")),
        }
    }
}

#[test]
fn one_shots_killed_at_each_sync_happen_once_and_nobody_is_asked() {
    let Some(tier) = tier("one-shots") else { return };
    let (mut all, mut bad) = (Report::default(), Vec::new());
    for scenario in Scenario::ALL {
        let points = work(&Job::ShotSurvey { scenario }, &[], 0, 1).points;
        assert_eq!(points.len(), FIRST, "{scenario:?}");
        let every = if tier == Tier::Full || scenario == Scenario::Plain { 1 } else { 12 };
        let points = sample(&points, every);
        let found = work(&Job::Shots { scenario }, &points, points.len(), workers(tier));
        for key in ["points", "kills", "sittings"] {
            all.add(key, found.count(key));
        }
        bad.extend(found.bad);
    }
    let figures = figures("one-shots");
    figures.say("syncs killed at, of the first 60 of each of 6 runbooks", all.count("points"));
    figures.say("kills", all.count("kills"));
    figures.say("sittings until done", all.count("sittings"));
    figures.say("runs with a one-shot twice or missing, or somebody asked", bad.len());
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(all.count("kills") * 100 >= all.count("points") * 95, "{:?}", all.counts);
}

#[test]
fn one_shots_killed_and_stopped_at_random_happen_once() {
    let Some(tier) = tier("one-shot stops") else { return };
    let (rounds, seed) = (if tier == Tier::Full { 400 } else { 18 }, 0x51_07);
    let found = work(&Job::ShotStops { seed }, &[], rounds, workers(tier));
    let figures = figures("one-shot stops");
    figures.say("runs", rounds);
    figures.say("kills, stops and pauses", found.count("disturbances"));
    figures.say("kills among them that hit", found.count("kills"));
    figures.say("sittings until done", found.count("sittings"));
    figures.say("asked about a command that was ended in the middle", found.count("asked"));
    figures.say("seed", seed);
    figures.say("runs with a one-shot twice or missing, or somebody asked", found.bad.len());
    assert!(found.bad.is_empty(), "{:#?}", found.bad);
}

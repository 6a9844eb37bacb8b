//! Power cuts: the program dies and the disk forgets what was not synced, at every boundary of a sync. What was told to
//! anybody, or acted upon, must be in the journal afterwards. With syncs that do nothing it must not be: the control.
use std::path::Path;

use runbook::journal::checkpoint::StepId;
use runbook::journal::step::StepState;
use serde_json::Value;

use crate::campaign::{AGAIN_TOKENS, ONCE, Reference, Story, Trouble};
use crate::points::{Place, Point, sample};
use crate::rig::{Rig, Said};
use crate::tier::{Tier, figures, tier};
use crate::worker::{Job, Report, points, work, workers};
use crate::world::{Ledger, STATE, marks, services};

struct Cutter<'a> {
    at: &'a Point,
    syncs: bool,
    /// Highest record that was told, or acknowledged in the head.
    told: u64,
    cut: bool,
    lost: Option<String>,
    /// What was on the disk for certain before the sitting that is cut.
    before: u64,
}

impl Trouble for Cutter<'_> {
    fn inject(&mut self, sitting: usize) -> Vec<String> {
        if self.cut {
            return Vec::new();
        }
        let mut inject = if self.syncs { Vec::new() } else { vec!["fsync,fdatasync:retval=0".to_owned()] };
        inject.extend(self.at.kill(sitting));
        inject
    }

    fn after(&mut self, _: usize, said: &Said, rig: &Rig, story: &mut Story) -> Result<(), String> {
        self.told = said.out.lines().filter_map(told).chain([self.told]).max().unwrap_or(0);
        if !said.killed || self.cut {
            return Ok(());
        }
        self.told = self.told.max(head());
        self.cut = true;
        rig.cut_power();
        rig.systemd.world().boot();
        story.cuts += 1;
        self.lost = lost(rig, self.told);
        // A boot takes down what was restored already. No journal can prevent that; whoever cut the power starts it again.
        let restored = |(id, step): (&StepId, &StepState)| id.as_str() == "after/services" && step.is_done();
        let runs = rig.runs().unwrap_or_default();
        if runs.iter().filter_map(|run| run.reading.as_ref().ok()).any(|r| r.state.steps().iter().any(restored)) {
            rig.systemd.world().up = services().collect();
        }
        self.lost.clone().map_or(Ok(()), Err)
    }
}

/// The number of the record that a line of progress tells.
fn told(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?.get("seq")?.as_u64()
}

/// What the head on the disk (not yet cut) surely acknowledges. The program may have died between writing a mark and its
/// sync, so it is the older of the two.
fn head() -> u64 {
    let state = Path::new(STATE);
    let run = std::fs::read_to_string(state.join("pending")).unwrap_or_default();
    let marks = marks(&std::fs::read(state.join("runs").join(run.trim()).join("head")).unwrap_or_default());
    if marks.len() == 2 { marks.into_iter().min().unwrap_or(0) } else { 0 }
}

/// What is missing of what was told or done.
fn lost(rig: &Rig, told: u64) -> Option<String> {
    let runs = match rig.runs() {
        Ok(runs) => runs,
        Err(why) => return Some(format!("the state directory: {why}")),
    };
    let reading = match runs.last().map(|run| run.reading.as_ref()) {
        None if told == 0 => return None,
        None => return Some(format!("the run; {told} records were told")),
        Some(Err(why)) => return Some(format!("the journal: {why}")),
        Some(Ok(reading)) => reading,
    };
    let kept = reading.entries.len() as u64;
    if kept < told {
        return Some(format!("records {} to {told}", kept + 1));
    }
    let ledger = Ledger::read();
    let steps = reading.state.steps();
    let commands = ONCE.iter().copied().chain(AGAIN_TOKENS.map(|t| (t, step_of(t))));
    commands.filter(|(token, _)| ledger.count(token) > 0).find_map(|(token, step)| {
        let state = steps.iter().find(|(id, _)| id.as_str() == step);
        let intents: u32 = state.map_or(0, |(_, state)| state.items.values().map(|item| item.intents).sum());
        (intents == 0).then(|| format!("the intent of {token}, which happened"))
    })
}

fn step_of(token: &str) -> &'static str {
    if token == "again-before" { "before/again" } else { "after/again" }
}

/// Cuts at each point, and goes on to the end where the syncs work.
pub(crate) fn cut<'p>(rig: &Rig, points: impl Iterator<Item = &'p Point>, syncs: bool, report: &mut Report) {
    let reference = Reference::of(rig);
    for at in points {
        reference.before(rig, at.sitting());
        rig.sync_disk();
        let before = head();
        let mut cutter = Cutter { at, syncs, told: 0, cut: false, lost: None, before };
        let ended = rig.to_the_end(at.sitting(), &mut cutter);
        report.add(if cutter.cut { "cuts" } else { "not reached" }, 1);
        report.add("told", cutter.told);
        if cutter.cut && cutter.told > cutter.before {
            report.add("cuts with something to lose", 1);
        }
        if cutter.lost.is_some() {
            report.add("cuts that lost something", 1);
        }
        match reference.same(ended) {
            Ok(_) => report.add("ended", 1),
            Err(why) => report.bad.push(format!("{at}: {why}")),
        }
    }
}

fn is_sync(point: &Point) -> bool {
    matches!(point, Point::Call { name, .. } if name == "fsync" || name == "fdatasync")
}

#[test]
fn after_a_power_cut_at_any_sync_nothing_that_was_acknowledged_is_lost() {
    let Some(tier) = tier("power cuts") else { return };
    let all = points();
    let syncs = all.iter().filter(|point| is_sync(point)).count();
    // Before each sync, and before the next call behind it: nothing else has happened in between.
    let next = |i: usize| i > 0 && is_sync(&all[i - 1]);
    let at: Vec<Point> =
        all.iter().enumerate().filter(|(i, p)| is_sync(p) || next(*i)).map(|(_, p)| p.clone()).collect();
    let step = if tier == Tier::Full { 1 } else { 15 };
    let points = sample(&at, step);
    let found = work(&Job::Cuts { syncs: true }, &points, points.len(), workers(tier));

    let writes = |p: &&Point| matches!(p, Point::Call { name, place: Place::Journal, .. } if name == "pwrite64");
    let control: Vec<Point> =
        all.iter().filter(writes).step_by(if tier == Tier::Full { 8 } else { 20 }).cloned().collect();
    // Anybody's sync(2) on this machine, and the file system's own commits, may save what nobody has synced: then once more.
    let (mut lossy, mut could, mut without) = (0, 0, Vec::new());
    for _ in 0..4 {
        let round = work(&Job::Cuts { syncs: false }, &control, control.len(), workers(tier));
        lossy += round.count("cuts that lost something");
        could += round.count("cuts with something to lose");
        without.push(round.counts);
        if lossy > 0 && lossy * 2 >= could {
            break;
        }
    }

    let figures = figures("power cuts");
    figures.say("syncs of the reference run", syncs);
    figures.say("power cuts at their boundaries", format!("{} of {}", found.count("cuts"), points.len()));
    figures.say("acknowledged records before the cuts", found.count("told"));
    figures.say("cuts that lost something acknowledged", found.count("cuts that lost something"));
    figures.say("runs that did not end in the same world", found.bad.len());
    figures.say("control, syncs that do nothing: cuts that lost something", format!("{lossy} of {could}"));
    assert!(found.bad.is_empty(), "{:#?}", found.bad);
    // Of a sample, one that was not reached is many of a hundred.
    let reached = if tier == Tier::Full { 95 } else { 80 };
    assert!(found.count("cuts") * 100 >= points.len() as u64 * reached, "{:?}", found.counts);
    assert!(lossy > 0, "the control must lose: {without:?}");
}

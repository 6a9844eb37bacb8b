//! The kill matrix: the program is killed at every one of its state-relevant system calls and by each of its effects, and
//! every run still ends in the same world.
use crate::campaign::{Reference, Story, Trouble};
use crate::points::{Point, sample};
use crate::random::Random;
use crate::rig::{Rig, Said};
use crate::tier::{Tier, figures, tier};
use crate::worker::{Job, Report, Tickets, points, work, workers};

/// Kills at one point, and perhaps at a second one in the sitting after that.
struct Killer<'a> {
    first: &'a Point,
    /// Name and count of a call in the next sitting.
    second: Option<(String, usize)>,
    killed: usize,
    second_hit: bool,
}

impl Trouble for Killer<'_> {
    fn inject(&mut self, sitting: usize) -> Vec<String> {
        match &self.second {
            Some((name, nth)) if self.killed == 1 && !self.second_hit => {
                vec![format!("{name}:signal=KILL:when={nth}")]
            }
            _ if self.killed == 0 => self.first.kill(sitting),
            _ => Vec::new(),
        }
    }

    fn after(&mut self, _: usize, said: &Said, _: &Rig, _: &mut Story) -> Result<(), String> {
        if self.killed == 1 && self.second.is_some() {
            // One try only: a call that this sitting never made is no second kill.
            self.second_hit = said.killed;
            self.second = None;
        }
        self.killed += usize::from(said.killed);
        Ok(())
    }
}

fn once(rig: &Rig, killer: &mut Killer<'_>, reference: &Reference, report: &mut Report) -> Result<(), String> {
    let first = killer.first;
    reference.before(rig, first.sitting());
    if let Some(bomb) = first.bomb() {
        rig.lay(&bomb);
    }
    let story = reference.same(rig.to_the_end(first.sitting(), killer)).map_err(|bad| format!("{first}: {bad}"))?;
    report.add("sittings", story.sittings as u64);
    report.add("kills", story.kills as u64);
    report.add("asked", story.asked as u64);
    report.add("by hand", story.by_hand as u64);
    report.add("effects", story.ledger.counts.values().sum::<usize>() as u64);
    Ok(())
}

/// Kills once at each point.
pub(crate) fn single<'p>(rig: &Rig, points: impl Iterator<Item = &'p Point>, report: &mut Report) {
    let end = Reference::of(rig);
    for first in points {
        let mut killer = Killer { first, second: None, killed: 0, second_hit: false };
        // How often progress is shown differs a little from run to run, and with it the count of the last writes.
        for _ in 0..3 {
            if killer.killed == 0
                && let Err(bad) = once(rig, &mut killer, &end, report)
            {
                report.bad.push(bad);
            }
        }
        report.add("points", 1);
        report.add(if killer.killed > 0 { "hit" } else { "not reached" }, 1);
        if killer.killed == 0 {
            report.add(&format!("not reached: {first}"), 1);
        }
    }
}

/// How often another pair of points is drawn until the run was killed at both.
const DRAWS: u64 = 20;

/// Kills twice for each ticket: at a point, and in the sitting that takes the run up again. The pairs depend on nothing but
/// seed and ticket.
pub(crate) fn double(rig: &Rig, points: &[Point], tickets: Tickets, seed: u64, report: &mut Report) {
    let end = Reference::of(rig);
    for ticket in tickets {
        let mut random = Random::new(seed + ticket as u64);
        for _ in 0..DRAWS {
            match pair(rig, (points, &end), &mut random, report) {
                Ok(true) => break,
                Ok(false) => {}
                Err(bad) => {
                    report.bad.push(format!("seed {seed}, ticket {ticket}, {bad}"));
                    break;
                }
            }
        }
    }
}

/// One pair; `false` where the second call was never made.
fn pair(
    rig: &Rig,
    (points, end): (&[Point], &Reference),
    random: &mut Random,
    report: &mut Report,
) -> Result<bool, String> {
    let calls = ["pwrite64", "fdatasync", "openat", "fsync", "write", "sendmsg", "flock", "clone3", "unlinkat"];
    let first = &points[random.below(points.len())];
    let name = calls[random.below(calls.len())];
    let most = match name {
        "pwrite64" | "fdatasync" => 12,
        "openat" => 60,
        "write" | "sendmsg" => 8,
        _ => 2,
    };
    let second = Some((name.to_owned(), 1 + random.below(most)));
    let said = format!("then {second:?}");
    let mut killer = Killer { first, second, killed: 0, second_hit: false };
    let ended = once(rig, &mut killer, end, report);
    report.add(if killer.second_hit { "double kills" } else { "single only" }, 1);
    ended.map(|()| killer.second_hit).map_err(|bad| format!("{said}: {bad}"))
}

#[test]
fn killed_at_every_system_call_every_run_ends_in_the_same_world() {
    let Some(tier) = tier("kill matrix") else { return };
    let all = points();
    let (calls, effects): (Vec<_>, Vec<_>) = all.iter().partition(|point| matches!(point, Point::Call { .. }));
    assert!(calls.len() >= 300, "only {} state-relevant calls", calls.len());
    assert_eq!(effects.len(), 60);
    let step = if tier == Tier::Full { 1 } else { 24 };
    let points = sample(all, step);
    let found = work(&Job::Kills, &points, points.len(), workers(tier));
    let figures = figures("kill matrix");
    figures.say("state-relevant system calls of the reference run", calls.len());
    figures.say("points inside effects", effects.len());
    figures.say("points killed at", format!("{} of {}", found.count("hit"), found.count("points")));
    figures.say("sittings until done", found.count("sittings"));
    figures.say("doubts that a person settled from the ledger", found.count("asked"));
    figures.say("reboots that a person had to do", found.count("by hand"));
    figures.say("effects noted in the ledger", found.count("effects"));
    figures.say("runs that ended otherwise, effects twice or unannounced", found.bad.len());
    for (key, _) in found.counts.iter().filter(|(key, _)| key.starts_with("not reached:")) {
        figures.say("note", key);
    }
    assert!(found.bad.is_empty(), "{:#?}", found.bad);
    // Whoever carries an effect out lives on, so that there is evidence for each.
    assert_eq!(found.count("asked"), 0, "{:?}", found.counts);
    // Of a sample, one that was not reached is four of a hundred.
    let reached = if tier == Tier::Full { 97 } else { 85 };
    assert!(found.count("hit") * 100 >= found.count("points") * reached, "{:?}", found.counts);
}

#[test]
fn killed_twice_every_run_ends_in_the_same_world() {
    let Some(tier) = tier("double kills") else { return };
    let (rounds, seed) = (if tier == Tier::Full { 1000 } else { 16 }, 0x5eed);
    let found = work(&Job::DoubleKills { seed }, points(), rounds, workers(tier));
    let figures = figures("double kills");
    figures.say("runs killed twice", found.count("double kills"));
    figures.say("runs in which the second call was never made", found.count("single only"));
    figures.say("kills", found.count("kills"));
    figures.say("seed", seed);
    figures.say("runs that ended otherwise, effects twice or unannounced", found.bad.len());
    assert!(found.bad.is_empty(), "{:#?}", found.bad);
    assert!(found.count("double kills") >= rounds as u64, "{:?}", found.counts);
}

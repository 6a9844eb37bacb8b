//! Calls that fail: each call on the state directory and the lock, with each of eight errnos and a short write. The program
//! must stop loudly or get on rightly; it never says yes for nothing, never hangs, never panics.
use std::time::Duration;

use crate::campaign::{Reference, Story, Trouble};
use crate::points::{Place, Point, sample};
use crate::rig::{Rig, Said};
use crate::tier::{Tier, figures, tier};
use crate::worker::{Job, Report, Tickets, points, work, workers};

/// What a disk, a quota, a signal or a table of descriptors can answer.
const ERRNOS: [&str; 8] = ["EIO", "ENOSPC", "EROFS", "EDQUOT", "EINTR", "EMFILE", "EAGAIN", "ENOMEM"];
/// Not an errno: seven bytes were taken, the rest was not.
const SHORT: &str = "a short write";
const HANG: Duration = Duration::from_secs(5);

struct Failing<'a> {
    at: &'a Point,
    fault: &'a str,
    said: Option<Said>,
    over: bool,
}

impl Trouble for Failing<'_> {
    fn inject(&mut self, here: usize) -> Vec<String> {
        match self.at {
            Point::Call { sitting, name, nth, .. } if *sitting == here && self.fault == SHORT => {
                vec![format!("{name}:retval=7:when={nth}")]
            }
            Point::Call { sitting, name, nth, .. } if *sitting == here => {
                vec![format!("{name}:error={}:when={nth}", self.fault)]
            }
            _ => Vec::new(),
        }
    }

    fn after(&mut self, nth: usize, said: &Said, rig: &Rig, _: &mut Story) -> Result<(), String> {
        if nth == self.at.sitting() {
            self.over = rig.is_over().unwrap_or(false);
            self.said = Some(said.clone());
            return self.judge(said);
        }
        Ok(())
    }

    fn excuses(&self, nth: usize) -> bool {
        nth == self.at.sitting()
    }
}

impl Failing<'_> {
    /// What the sitting in which it happened may say.
    fn judge(&self, said: &Said) -> Result<(), String> {
        // Calls are counted over all threads, so one of the runtime's may come to stand where ours was. Waking itself by an
        // eventfd cannot fail in these ways (eventfd(2)).
        if said.injected.as_deref().is_some_and(|line| line.contains("[eventfd]")) {
            return Ok(());
        }
        let words = format!("exit {:?}, `{}`", said.code, said.err.trim());
        if said.err.contains("panicked") || matches!(said.code, Some(70 | 101) | None) {
            return Err(format!("a panic: {words}"));
        }
        if said.code == Some(0) && !self.over {
            return Err("a false success".to_owned());
        }
        if said.code != Some(0) && said.err.trim().is_empty() {
            return Err(format!("silence: {words}"));
        }
        let hit = said.injected.as_deref().is_some_and(|line| line.contains("/journal>") || line.contains("/head>"));
        if self.must_stop() && hit && said.code != Some(31) {
            return Err(format!("a failure of the journal that is not exit 31: {words}"));
        }
        Ok(())
    }

    /// A record or its acknowledgement could not be written or synced. An interrupted write is written again, and only that.
    fn must_stop(&self) -> bool {
        let Point::Call { name, place, .. } = self.at else { return false };
        match (name.as_str(), place) {
            ("fdatasync", Place::Journal | Place::Head) => true,
            ("pwrite64", Place::Journal | Place::Head) => self.fault != "EINTR",
            _ => false,
        }
    }
}

/// Injects one of `names` at one point for each ticket; every ninth run is then taken to its end.
pub(crate) fn inject(rig: &Rig, points: &[Point], names: &[String], tickets: Tickets, report: &mut Report) {
    let reference = Reference::of(rig);
    for ticket in tickets {
        let (row, column) = (ticket / names.len(), ticket % names.len());
        let (at, fault) = (&points[row], &names[column]);
        let is_write = matches!(at, Point::Call { name, .. } if name == "pwrite64");
        if fault == SHORT && !is_write {
            continue;
        }
        reference.before(rig, at.sitting());
        let mut failing = Failing { at, fault, said: None, over: false };
        report.add("injections", 1);
        if (row + column) % names.len() == 0 {
            match reference.same(rig.to_the_end(at.sitting(), &mut failing)) {
                Ok(_) => report.add("taken to the end", 1),
                Err(why) => report.bad.push(format!("{at}, {fault}: {why}")),
            }
        } else if let Err(why) = rig.one(at.sitting(), &mut failing) {
            report.bad.push(format!("{at}, {fault}: {why}"));
        }
        tally(rig, &failing, &reference, report);
    }
}

fn tally(rig: &Rig, failing: &Failing<'_>, reference: &Reference, report: &mut Report) {
    let Some(said) = &failing.said else { return };
    report.add(&format!("exit {}", said.code.map_or("by signal".to_owned(), |code| code.to_string())), 1);
    report.peak("longest sitting, ms", u64::try_from(said.took.as_millis()).unwrap_or(u64::MAX));
    if said.took <= HANG {
        return;
    }
    // On a machine that does other things everything takes long. It hangs if it does so again, and only with the fault: an
    // undisturbed sitting at the same time says what is usual.
    let sitting = failing.at.sitting();
    reference.before(rig, sitting);
    let usual = rig.one_undisturbed().took;
    reference.before(rig, sitting);
    let mut again = Failing { said: None, over: false, ..*failing };
    let _judged_before = rig.one(sitting, &mut again);
    let took = again.said.map(|said| said.took).unwrap_or_default();
    report.add("sittings over 5 s on a busy machine, looked at again", 1);
    if took > HANG + usual * 3 {
        report.bad.push(format!("{}, {}: hangs: {took:?}, usual {usual:?}", failing.at, failing.fault));
    }
}

#[test]
fn calls_that_fail_stop_the_run_loudly_or_not_at_all() {
    let Some(tier) = tier("errnos") else { return };
    let all = points();
    let ours = |p: &&Point| matches!(p, Point::Call { place, .. } if *place != Place::Elsewhere);
    let step = if tier == Tier::Full { 1 } else { 37 };
    let points = sample(&all.iter().filter(ours).cloned().collect::<Vec<_>>(), step);
    let names: Vec<String> = ERRNOS.iter().chain([&SHORT]).map(|name| (*name).to_owned()).collect();
    let count = points.len() * names.len();
    let found = work(&Job::Errnos { names }, &points, count, workers(tier));
    let figures = figures("errnos");
    figures.say("calls on state directory and lock", points.len());
    figures.say("errnos, and a short write", ERRNOS.len());
    figures.say("injections", found.count("injections"));
    for (exit, count) in found.counts.iter().filter(|(key, _)| key.starts_with("exit ")) {
        figures.say(&format!("  sittings with {exit}"), count);
    }
    figures.say("runs taken to their end afterwards, the same as ever", found.count("taken to the end"));
    let slow = "sittings over 5 s on a busy machine, looked at again";
    figures.say(slow, found.count(slow));
    figures.say("longest sitting in ms", found.peaks.values().max().copied().unwrap_or(0));
    figures.say("panics, hangs over 5 s, false successes, silences", found.bad.len());
    assert!(found.bad.is_empty(), "{:#?}", found.bad);
}

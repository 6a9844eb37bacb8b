//! `healthy`: a gate of checks, all of which must hold for a while.
//!
//! Each check is an item of its own: it waits, says what it last saw, and a check that is not required only warns. What a
//! check means is in `verdict`.
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Weight};
use super::check::{Check, CommandCheck};
use super::dead_end::{Patience, Way};
use super::measure;
use super::programs;
use super::verdict::{No, ask, questions};
use crate::host::json_text::JsonText;
use crate::host::programs::ProgramAsked;
use crate::host::span::{Span, words};
use crate::host::{Host, HostError, Probe};

/// All checks hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Healthy {
    /// What must hold; never empty.
    pub checks: Vec<Check>,
    /// How long it must hold without a break; zero: once is enough.
    #[serde(with = "measure::text")]
    pub steady_for: Duration,
}

/// The longest pause between two looks at a check that does not hold.
const SLOWEST: Duration = Duration::from_secs(5);

/// What `healthy` looks at.
pub struct Seen {
    /// Key, whether it is required, and why it does not hold (`None`: it holds).
    checks: Vec<(String, bool, Option<No>)>,
    /// Programs of command checks that must not be run, or are not there.
    programs: Vec<Concern>,
}

impl Act for Healthy {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let asked = questions(&self.checks, ground).into_iter().map(|question| async move {
            (question.key().to_owned(), question.required(), question.holds(on, ground).await.err())
        });
        let checks = join_all(asked).await;
        Ok(Seen { checks, programs: programs::concerns(on, self.programs()).await })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let mut change = Change::default();
        for (key, required, doubt) in &seen.checks {
            let was_steady = self.steady_for.is_zero() || ground.kept.contains_key(&steady_key(ground.step, key));
            let (sign, before) = match doubt {
                None if was_steady => {
                    change.already += 1;
                    continue;
                }
                None => (Sign::Wait, "holds".to_owned()),
                Some(No::Because(why)) => (Sign::Wait, why.clone()),
                Some(No::NotAsked | No::NotRecorded) if ground.kept.contains_key(&passed_key(ground.step, key)) => {
                    change.already += 1;
                    continue;
                }
                Some(No::NotAsked) => (Sign::Unknown, "not asked by a plan".to_owned()),
                Some(No::NotRecorded) => (Sign::Unknown, "not in the recorded facts".to_owned()),
            };
            let after = match self.steady_for {
                Duration::ZERO => "holds".to_owned(),
                length => format!("holds for {}", words(length)),
            };
            let secs = self.steady_for.as_secs_f64();
            let mut item = Item::new(key, sign, before, after).taking(Span::secs(secs + 1.0, secs + 20.0));
            item.optional = !required;
            change.items.push(item);
        }
        if !change.items.is_empty() {
            change.concerns.clone_from(&seen.programs);
            change.concerns.extend(seen.checks.iter().filter_map(failing));
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let all = questions(&self.checks, ground);
        let Some(question) = all.iter().find(|question| question.key() == item.key) else {
            return Outcome::failed("no such check");
        };
        // A check that is not required gets a fair chance, not the whole time of the gate.
        let patience = if item.optional { Some(Duration::from_secs(20).max(self.steady_for * 2)) } else { None };
        let began = on.as_probe().uptime();
        let mut since = None;
        let mut pause = Duration::from_millis(500);
        let mut hopes = Patience::default();
        loop {
            let now = on.as_probe().uptime();
            match ask(question, on, ground).await {
                Ok(note) => {
                    let held = now.saturating_sub(*since.get_or_insert(now));
                    if held >= self.steady_for {
                        return Outcome::Applied { note, keep: self.keep(ground.step, &item.key) };
                    }
                    pause = Duration::from_millis(500);
                    tell(Tick::say(&item.key, format!("holds for {} of {}", words(held), words(self.steady_for))));
                }
                Err(why) if patience.is_some_and(|patience| now.saturating_sub(began) > patience) => {
                    return Outcome::failed(why);
                }
                Err(why) => {
                    since = None;
                    let end = question.dead_end(on.as_probe(), ground).await;
                    // What may be at its end is looked at closely.
                    pause = if end.is_some() { Duration::from_secs(1) } else { (pause * 2).min(SLOWEST) };
                    match hopes.judge(end, &why, on, ground).await {
                        Way::Ended(why) => return Outcome::failed(why),
                        Way::Blocked(why) => tell(Tick::say(&item.key, why)),
                        Way::Open => tell(Tick::say(&item.key, why)),
                    }
                }
            }
            on.sleep(pause).await;
        }
    }

    fn waits(&self) -> bool {
        true
    }

    fn all_or_nothing(&self) -> bool {
        true
    }
}

impl Healthy {
    /// What its command checks would execute.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramAsked> {
        let of = |check: &Check| match check {
            Check::Command(CommandCheck { argv, user, cwd, .. }) => {
                Some(ProgramAsked { argv: argv.clone(), user: user.clone(), cwd: cwd.clone() })
            }
            _ => None,
        };
        self.checks.iter().filter_map(of).collect()
    }

    fn keep(&self, step: &str, key: &str) -> Vec<(String, JsonText)> {
        let mut keep = vec![(passed_key(step, key), true.into())];
        if !self.steady_for.is_zero() {
            keep.push((steady_key(step, key), true.into()));
        }
        keep
    }
}

/// A check of which it is known that it does not hold now: the gate waits for it, and a plan says so.
fn failing((key, required, doubt): &(String, bool, Option<No>)) -> Option<Concern> {
    let Some(No::Because(why)) = doubt else { return None };
    let (weight, cure) = match required {
        true => (Weight::Warn, "mend it; until then the gate waits for it, and fails in the end"),
        false => (Weight::Note, "it is not required: the gate only names it"),
    };
    Some(Concern::new(weight, key, format!("does not hold now: {why}"), cure))
}

fn steady_key(step: &str, check: &str) -> String {
    format!("{step}.{check}.steady")
}

fn passed_key(step: &str, check: &str) -> String {
    format!("{step}.{check}.passed")
}

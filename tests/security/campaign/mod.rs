//! A campaign of hostile neighbours: generators of variants, each played against the real program, each held to the same bounds.
//!
//! A variant is a number: the first of a generator try one trick each, the rest mix them. `RUNBOOK_CAMPAIGN=NAME:NUMBER` plays
//! one alone and shows what was said. The quick tier plays the first forty, `RUNBOOK_HARD=full` all.
mod amp;
mod books;
mod child;
mod dice;
mod http_server;
mod pm2_home;
mod pm2_list;
mod redis_directory;
mod redis_server;
mod resp;
mod server;
mod site;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use child::{Ended, run};
use dice::Dice;
use site::{CANARIES, Site};

use crate::figure;

/// What a generator made of a number.
pub(crate) struct Trap {
    /// The tricks in it, for a person.
    kind: String,
    /// What the program is told to do there, one after the other.
    calls: Vec<Vec<String>>,
    /// How long the steps of its runbook may wait, in all.
    waits: Duration,
    /// What lives as long as the variant: servers, processes.
    alive: Vec<Box<dyn Any>>,
}

type Generator = fn(usize, &mut Dice, &mut Site) -> Trap;

/// What came of a campaign.
#[derive(Default)]
struct Tally {
    variants: usize,
    calls: usize,
    codes: BTreeMap<String, usize>,
    longest: (Duration, String),
    largest: (u64, String),
    broken: Vec<String>,
}

/// How many at a time: most of them wait for somebody who says nothing.
const LANES: usize = 4;

fn campaign(name: &'static str, quick: usize, all: usize, generator: Generator) {
    let one = std::env::var("RUNBOOK_CAMPAIGN").ok();
    if let Some(number) = one.as_deref().map(|one| one.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'))) {
        let Some(number) = number else { return };
        let tally = Mutex::new(Tally::default());
        play(name, number.parse().unwrap(), generator, &tally, true);
        return judge(name, tally.into_inner().unwrap());
    }
    let count = if std::env::var("RUNBOOK_HARD").is_ok_and(|hard| hard == "full") { all } else { quick };
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|lanes| {
        for _ in 0..LANES {
            lanes.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    play(name, number, generator, &tally, false);
                }
            });
        }
    });
    judge(name, tally.into_inner().unwrap());
}

fn play(name: &str, number: usize, generator: Generator, tally: &Mutex<Tally>, aloud: bool) {
    let mut site = Site::new();
    let trap = generator(number, &mut Dice::new(name, number), &mut site);
    let before = site.listing();
    let (mut broken, mut ends) = (Vec::new(), Vec::new());
    for words in &trap.calls {
        let told = if words[0] == "run" { trap.waits } else { Duration::ZERO };
        let ended = run(site.command(words), told);
        if aloud {
            figure(&format!("{name}:{number} {}: {}\n{}", trap.kind, words.join(" "), ended.told()));
        }
        broken.extend(ended.broken().into_iter().map(|what| format!("{}: {what}", words[0])));
        for canary in CANARIES {
            let told = [&ended.out, &ended.err].into_iter().any(|said| String::from_utf8_lossy(said).contains(canary));
            broken.extend(told.then(|| format!("{}: `{canary}` is told", words[0])));
        }
        ends.push((words[0].clone(), ended));
    }
    broken.extend(site.changed(&before).into_iter().map(|what| format!("changed {what}")));
    broken.extend(site.harmed());
    drop(trap.alive);
    tally.lock().unwrap().add(&format!("{name}:{number} {}", trap.kind), &ends, broken);
}

impl Tally {
    fn add(&mut self, who: &str, ends: &[(String, Ended)], broken: Vec<String>) {
        self.variants += 1;
        self.calls += ends.len();
        for (verb, ended) in ends {
            *self.codes.entry(ended.how.clone()).or_default() += 1;
            if ended.took > self.longest.0 {
                self.longest = (ended.took, format!("{verb} in {who}"));
            }
            if ended.peak_kib > self.largest.0 {
                self.largest = (ended.peak_kib, format!("{verb} in {who}"));
            }
        }
        self.broken.extend(broken.into_iter().map(|what| format!("{who}: {what}")));
    }
}

fn judge(name: &str, mut tally: Tally) {
    let codes: Vec<String> = tally.codes.iter().map(|(how, count)| format!("{how}: {count}")).collect();
    figure(&format!(
        "campaign {name}: {} variants, {} calls; longest {:.1} s ({}), largest {} MiB ({}); {}; {} broken",
        tally.variants,
        tally.calls,
        tally.longest.0.as_secs_f64(),
        tally.longest.1,
        tally.largest.0 >> 10,
        tally.largest.1,
        codes.join(", "),
        tally.broken.len()
    ));
    tally.broken.sort();
    for one in &tally.broken {
        figure(&format!("broken {one}"));
    }
    assert!(tally.broken.is_empty(), "{} promises broken, listed above", tally.broken.len());
}

/// The words of a call.
fn call(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_hostile_pm2_home_harms_nobody() {
    campaign("pm2-home", 48, 240, pm2_home::trap);
}

#[test]
fn a_hostile_pm2_list_harms_nobody() {
    campaign("pm2-list", 48, 220, pm2_list::trap);
}

#[test]
fn a_hostile_redis_directory_harms_nobody() {
    campaign("redis-directory", 44, 220, redis_directory::trap);
}

#[test]
fn a_hostile_redis_server_harms_nobody() {
    campaign("redis-server", 48, 240, redis_server::trap);
}

#[test]
fn a_hostile_http_server_harms_nobody() {
    campaign("http-server", 44, 220, http_server::trap);
}

#[test]
fn a_hostile_runbook_harms_nobody() {
    campaign("runbook", 48, 240, books::trap);
}

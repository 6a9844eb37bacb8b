//! What the plan says of a command before it is run: whether root may execute it, and whether it is there.

use super::change::{Concern, Weight};
use crate::host::Probe;
use crate::host::foreign::{named, tame};
use crate::host::programs::{ProgramAsked, ProgramSeen, ourselves};
use crate::host::root_owned::NotRoots;

/// Asks the machine about commands. Where nobody answers (recorded facts), nothing is known against them.
pub(super) async fn concerns(on: &dyn Probe, all: Vec<ProgramAsked>) -> Vec<Concern> {
    let mut found = Vec::new();
    for asked in all {
        let seen = on.program(asked.clone()).await.map(|seen| *seen).unwrap_or_default();
        found.extend(told(&asked, &seen));
    }
    found.dedup();
    found
}

/// What to say of one command that was looked at.
#[must_use]
pub fn told(asked: &ProgramAsked, seen: &ProgramSeen) -> Vec<Concern> {
    let about = &named(asked.argv.first().map_or("command", String::as_str), 100);
    let ProgramSeen { refused, passed_over } = seen;
    let passed_over = passed_over.iter().map(|one| {
        let text = format!("no program is looked up in {}, because it {}", one.path.display(), one.why);
        Concern::new(Weight::Warn, about, tame(&text, 400), &one.cure)
    });
    refused.iter().map(|why| concern(about, why)).chain(passed_over).collect()
}

fn concern(about: &str, why: &NotRoots) -> Concern {
    let NotRoots { path, why, cure, missing } = why;
    let seen = |text: String| tame(&text, 400);
    if *missing {
        // An earlier step may be what puts it there.
        return Concern::new(Weight::Warn, about, seen(format!("{} {why}", path.display())), cure);
    }
    let text = format!("{} would execute what others may change: {} {why}", ourselves(), path.display());
    // What can be typed comes last: behind a command nothing may stand.
    let cure = format!("name its owner as `user:`, and it runs as that user; or: {cure}");
    Concern::new(Weight::Stop, about, seen(text), seen(cure))
}

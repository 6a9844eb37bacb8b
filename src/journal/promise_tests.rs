//! Thousands of legal histories, judged by the promises of the journal, which are stated here without the table.
use std::collections::{BTreeMap, HashSet};

use super::checkpoint::{Checkpoint as C, Outcome, Resolution, Ruling};
use super::fixture::figure;
use super::legal_tests::{alphabet, entry};
use super::state::RunState;

/// The promises, read off a history without the table. `Err` names the one that is broken.
#[expect(clippy::too_many_lines, reason = "one arm per promise")]
fn promises(history: &[C]) -> Result<(), String> {
    let (mut done, mut captured, mut reboots) = (HashSet::new(), HashSet::new(), 0);
    let (mut applied, mut open, mut ended, mut repeatable) = (HashSet::new(), BTreeMap::new(), false, BTreeMap::new());
    let (mut ruled, mut resting) = (HashSet::new(), false);
    let broken = |what: &str| Err(what.to_owned());
    for checkpoint in history {
        if ended {
            return broken("something after the end");
        }
        match checkpoint {
            C::StepStarted { step, repeatable: declared, .. } => {
                if done.contains(step) {
                    return broken("P2: a done step was started");
                }
                repeatable.insert(step.clone(), *declared);
                let settled = *declared || ruled.remove(step);
                if !settled && open.keys().any(|(of, _)| of == step) {
                    return broken("P5: started over an open intent");
                }
                if settled {
                    open.retain(|(of, _), ()| of != step);
                }
            }
            C::ItemIntent { step, item } => {
                let key = (step.clone(), item.clone());
                if resting || done.contains(step) || open.contains_key(&key) {
                    return broken("P1: an intent out of place");
                }
                if !repeatable[step] && applied.contains(&key) {
                    return broken("P2: an applied item intended again");
                }
                open.insert(key, ());
            }
            C::ItemDone { step, item, outcome, .. } => {
                let key = (step.clone(), item.clone());
                if open.remove(&key).is_none() {
                    return broken("an outcome without intent");
                }
                match outcome {
                    Outcome::Applied => drop(applied.insert(key)),
                    Outcome::Unknown { .. } => drop(open.insert(key, ())),
                    _ => {}
                }
            }
            C::StepDone { step, .. } if !done.insert(step.clone()) || open.keys().any(|(of, _)| of == step) => {
                return broken("P4: done twice or over an open intent");
            }
            C::Captured { key, .. } if !captured.insert(key.clone()) => return broken("captured twice"),
            C::RebootIntent { .. } => {
                reboots += 1;
                if reboots > 1 {
                    return broken("P8: a second reboot");
                }
            }
            C::Decision { what: Ruling::Resolve { step, how }, .. } => {
                match how {
                    Resolution::Rerun => drop(ruled.insert(step.clone())),
                    _ => drop(done.insert(step.clone())),
                }
                if *how != Resolution::Rerun {
                    open.retain(|(of, _), ()| of != step);
                }
            }
            C::Paused { .. } => resting = true,
            C::Resumed { .. } => resting = false,
            C::Finished { .. } | C::Abandoned { .. } => ended = true,
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn thousands_of_legal_histories_keep_the_promises() {
    // Breadth first over distinct states; the path to each is one history.
    let mut seen = HashSet::new();
    let mut frontier = vec![(Vec::new(), RunState::default(), "boot-1".to_owned())];
    let (mut legal, mut judged) = (0_u32, 0_u32);
    for _depth in 0..9 {
        let mut next_frontier = Vec::new();
        for (history, state, boot) in frontier {
            for (_, next) in alphabet(&state) {
                judged += 1;
                let mut after = state.clone();
                let now = if let C::Resumed { boot_id, .. } = &next { boot_id.clone() } else { boot.clone() };
                if after.after(&entry(&next, &now)).is_err() {
                    assert_eq!(after, state, "a refused checkpoint changed the state");
                    continue;
                }
                legal += 1;
                let mut longer: Vec<C> = history.clone();
                longer.push(next);
                promises(&longer).unwrap_or_else(|broken| panic!("{broken}: {longer:#?}"));
                if seen.len() < 2_500 && seen.insert(format!("{after:?}{now}")) {
                    next_frontier.push((longer, after, now));
                }
            }
        }
        frontier = next_frontier;
    }
    figure(&format!("{judged} transitions judged, {legal} legal, {} distinct states: every promise kept", seen.len()));
}

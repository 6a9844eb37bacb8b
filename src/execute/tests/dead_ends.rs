//! A wait that can no longer come true ends, whatever else is still waited for; a resume after the repair goes on.

use super::bed::Bed;
use crate::execute::Ending;
use crate::host::model::{Faults, sample};
use crate::host::redis::{Door, Loading};
use crate::host::{Answer, Ask, Facts};
use crate::journal::checkpoint::Outcome;

const UNIT: &str = "redis-server@bds.service";

fn book(within: &str) -> String {
    let top = super::bed::small_yaml();
    let (top, _) = top.split_once("units:\n").unwrap();
    format!(
        "{}phases:\n  - name: load\n    steps:\n      - redis_loaded: {{}}\n        within: {within}\n",
        top.replace("back_out: [restore, verify]\n", "")
    )
}

/// `bds` does not answer and its unit has failed; `bull00` loads for as long as one looks.
fn facts() -> Facts {
    let mut facts = sample::small();
    let mut unit = sample::unit(UNIT, true, true);
    (unit.active_state, unit.sub_state, unit.result) = ("failed".into(), "failed".into(), "exit-code".into());
    facts.put(Ask::Unit(UNIT.into()), Answer::Unit(Box::new(unit)));
    let mut dead = facts.redis(&sample::at(6379)).unwrap().clone();
    (dead.door, dead.facts) = (Door::Refused, None);
    facts.put(Ask::Redis(sample::at(6379)), Answer::Redis(Box::new(dead)));
    let mut loads = facts.redis(&sample::at(6377)).unwrap().clone();
    loads.door = Door::Loading;
    loads.facts.as_mut().unwrap().loading =
        Some(Loading { started: 1_800_000_000, total_bytes: 1 << 40, loaded_bytes: 7, eta_seconds: 9_999 });
    facts.put(Ask::Redis(sample::at(6377)), Answer::Redis(Box::new(loads)));
    facts
}

#[tokio::test]
async fn one_that_cannot_come_ends_the_wait_and_is_named_before_those_that_only_were_not_waited_for() {
    let mut bed = Bed::on(facts(), &book("2h"), Faults::default()).await;
    let began = bed.model.elapsed();
    let ending = bed.sit(None).await.unwrap();
    let Ending::Failed { error, .. } = ending else { panic!("{ending:?}") };
    assert!(error.starts_with("bds: redis-server@bds.service is failed (exit-code)"), "{error}");
    assert!(!error.contains("more)"), "what was only cut short is no failure of its own: {error}");
    let took = bed.model.elapsed().saturating_sub(began).as_secs();
    assert!(took <= 10, "{took} s");
    let state = bed.state();
    let items = &state.steps().values().next().unwrap().items;
    let why = |name: &str| match &items[name].outcome {
        Some(Outcome::Failed { why, .. }) => why.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert!(why("bull00").contains("no longer waited for, because bds cannot come"), "{}", why("bull00"));
    assert_eq!(items["bds-r"].outcome, Some(Outcome::Applied), "what is ready is ready");
}

//! Tests: the shipped runbook over the recorded facts, saved, and then one fact moves.

use std::path::Path;

use jiff::ToSpan;

use super::*;
use crate::host::model::Model;
use crate::host::pm2::Status;
use crate::host::redis::Role;
use crate::host::{Answer, Ask, Facts};
use crate::plan::{History, rehearse};
use crate::runbook::{Loaded, load};

fn shipped() -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/restart-staging.yaml");
    load(&std::fs::read_to_string(path).unwrap(), "restart-staging.yaml").unwrap()
}

fn recorded() -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/staging.facts.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

async fn of(loaded: &Loaded, facts: Facts) -> Rehearsed {
    let starts_at = facts.at;
    let model = Model::of(facts);
    rehearse(loaded, &model, Path::new("/nowhere"), &History::default(), starts_at).await
}

/// The plan that every test has saved; a rehearsal of 233 apps takes its time.
async fn saved() -> &'static Rehearsed {
    static SAVED: tokio::sync::OnceCell<Rehearsed> = tokio::sync::OnceCell::const_new();
    SAVED.get_or_init(|| async { of(&shipped(), recorded()).await }).await
}

/// What has moved after `change` was made to the facts.
async fn after(change: impl FnOnce(&mut Facts)) -> Vec<Drift> {
    let loaded = shipped();
    let mut facts = recorded();
    change(&mut facts);
    let now = of(&loaded, facts).await;
    drift(&loaded.runbook, saved().await, &now, MAX_AGE)
}

/// Each drift as `step about fact: before => now`.
fn told(all: &[Drift]) -> Vec<String> {
    let step = |one: &Drift| one.step.as_ref().map_or("-".to_owned(), ToString::to_string);
    all.iter().map(|one| format!("{} {} {}: {} => {}", step(one), one.about, one.fact, one.before, one.now)).collect()
}

fn redis<'a>(facts: &'a mut Facts, port: &str) -> &'a mut crate::host::redis::RedisFacts {
    facts
        .answers
        .iter_mut()
        .find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Redis(at), Answer::Redis(seen)) if at.url.ends_with(port) => seen.facts.as_mut(),
            _ => None,
        })
        .unwrap()
}

fn unit<'a>(facts: &'a mut Facts, part: &str) -> &'a mut crate::host::systemd::UnitSeen {
    let found = facts.answers.iter_mut().find_map(|(ask, answer)| match (ask, answer) {
        (Ask::Unit(name), Answer::Unit(seen)) if name.contains(part) => Some(seen),
        _ => None,
    });
    found.unwrap()
}

fn pm2(facts: &mut Facts) -> &mut crate::host::pm2::Pm2Seen {
    let found = facts.answers.iter_mut().find_map(|(_, answer)| match answer {
        Answer::Pm2(seen) => Some(seen),
        _ => None,
    });
    found.unwrap()
}

fn machine(facts: &mut Facts) -> &mut crate::host::machine::MachineSeen {
    let found = facts.answers.iter_mut().find_map(|(_, answer)| match answer {
        Answer::Machine(seen) => Some(seen),
        _ => None,
    });
    found.unwrap()
}

#[tokio::test]
async fn the_same_facts_and_mere_growth_are_no_drift() {
    assert_eq!(told(&after(|_| {}).await), Vec::<String>::new());
    let grown = after(|facts| {
        for port in ["6379", "6377"] {
            let facts = redis(facts, port);
            facts.files.as_mut().unwrap().incrs[0].bytes += 300_000_000;
            facts.keys.insert(0, 4_000_000);
        }
        machine(facts).mem_available = machine(facts).mem_available.map(|bytes| bytes - 1_000_000_000);
        pm2(facts).apps[0].restarts += 1;
        pm2(facts).apps[0].status = Status::WaitingRestart;
    });
    assert_eq!(told(&grown.await), Vec::<String>::new());
}

#[tokio::test]
async fn another_boot_an_old_plan_and_a_clock_set_back_are_drift() {
    let boot = after(|facts| machine(facts).boot_id = Some("11111111-2222".into())).await;
    assert_eq!((boot.len(), boot[0].fact.as_str(), boot[0].now.as_str()), (1, "boot id", "11111111-2222"));
    let old = after(|facts| facts.at += 31.minutes()).await;
    assert_eq!(told(&old), ["- plan age: at most 30m00s => 31m00s"]);
    let back = after(|facts| facts.at -= 1.hour()).await;
    assert_eq!(back.len(), 1);
    assert!(back[0].fact.contains("set back"));
}

#[tokio::test]
async fn a_role_that_moved_is_told_at_the_first_step_that_works_on_it() {
    let role = Role::Replica {
        master_host: "10.0.0.9".into(),
        master_port: 6379,
        link_up: true,
        sync_in_progress: false,
        master_sync_perc: None,
    };
    let found = after(|facts| redis(facts, "6377").role = Some(role)).await;
    let told = told(&found);
    assert!(told.iter().any(|one| one.contains("bull00 role: master => replica of 10.0.0.9:6379")), "{told:?}");
}

#[tokio::test]
async fn a_rewrite_that_somebody_else_made_is_no_drift_and_a_base_that_moved_under_one_to_come_is() {
    let rewritten = after(|facts| {
        let files = redis(facts, "6379").files.as_mut().unwrap();
        files.base.as_mut().unwrap().seq += 1;
        files.incrs.iter_mut().for_each(|file| file.bytes = 0);
    });
    assert_eq!(told(&rewritten.await), Vec::<String>::new());
    let moved = after(|facts| redis(facts, "6379").files.as_mut().unwrap().base.as_mut().unwrap().seq += 1).await;
    assert_eq!(moved.len(), 1, "{:?}", told(&moved));
    assert_eq!((moved[0].fact.as_str(), moved[0].about.as_str()), ("base file", "bds"));
    let shrunk = after(|facts| redis(facts, "6379").files.as_mut().unwrap().incrs[0].bytes -= 1_000_000).await;
    assert!(shrunk[0].fact.starts_with("files, which never shrink"), "{:?}", told(&shrunk));
}

#[tokio::test]
async fn a_unit_enabled_meanwhile_is_half_the_plan_done_and_one_disabled_is_drift() {
    let done = after(|facts| {
        let unit = unit(facts, "bull01");
        unit.unit_file_state = "enabled".into();
        unit.wanted_by = vec!["multi-user.target".into()];
    });
    let done = done.await;
    assert_eq!(told(&done), Vec::<String>::new());
    let off = after(|facts| {
        let unit = unit(facts, "redis-router");
        unit.unit_file_state = "disabled".into();
        unit.wanted_by.clear();
    });
    assert_eq!(told(&off.await), ["preflight/1 redis-router.service unit file: enabled => disabled"]);
    let down = after(|facts| unit(facts, "redis-router").active_state = "failed".into()).await;
    assert_eq!(down.len(), 1, "{:?}", told(&down));
    assert_eq!((down[0].fact.as_str(), down[0].now.as_str()), ("state", "failed"));
}

#[tokio::test]
async fn a_list_that_changed_is_drift_app_by_app() {
    let gone = after(|facts| drop(pm2(facts).apps.remove(0))).await;
    let told_gone = told(&gone);
    assert!(told_gone.iter().any(|one| one.contains("online => is not listed any more")), "{told_gone:?}");
    let stopped = after(|facts| pm2(facts).apps[1].status = Status::Stopped).await;
    assert!(stopped.iter().any(|one| one.before == "online" && one.now == "stopped"), "{:?}", told(&stopped));
    let all = after(|facts| pm2(facts).apps.iter_mut().for_each(|app| app.status = Status::Stopped)).await;
    assert!(all.iter().any(|one| one.fact.starts_with("list, ")), "{:?}", told(&all));
}

#[tokio::test]
async fn what_is_done_is_left_out_of_the_plan_that_is_carried_out() {
    let loaded = shipped();
    let saved = saved().await;
    let mut facts = recorded();
    let files = redis(&mut facts, "6379").files.as_mut().unwrap();
    files.base.as_mut().unwrap().seq += 1;
    files.incrs.iter_mut().for_each(|file| file.bytes = 0);
    let now = of(&loaded, facts).await;
    let carried = carried(saved.plan.clone(), now.plan.clone());
    let items =
        |plan: &Plan, id: &str| plan.steps.iter().find(|step| step.id.as_str() == id).unwrap().change.items.len();
    assert_eq!(items(&carried, "compact/1") + 1, items(&saved.plan, "compact/1"));
    assert_eq!(items(&carried, "stop/1"), items(&saved.plan, "stop/1"));
    assert_eq!(carried.made_at, saved.plan.made_at);
}

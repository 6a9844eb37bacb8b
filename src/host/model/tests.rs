//! Effects on the sample machine, one neighbour at a time.

use std::sync::Arc;
use std::time::Duration;

use super::sample::{at, place, small, small_ties};
use super::{Faults, Model};
use crate::host::machine::rebooted;
use crate::host::pm2::Status;
use crate::host::redis::{Door, Rewrite, Role, RoleWanted, Wanted, judge, ready};
use crate::host::{Deed, Down, Host, Probe};

const BULL: &str = "redis-server@bull00.service";

fn model(faults: Faults) -> Model<'static> {
    Model::of(small()).with_ties(small_ties()).with_faults(faults)
}

fn probe<'p>(model: &'p Model<'_>) -> &'p (dyn Probe + 'p) {
    model
}

#[tokio::test]
async fn a_rewrite_takes_its_time_shows_its_progress_and_proves_itself() {
    let model = model(Faults::default());
    let before = probe(&model).redis(&at(6377)).await.unwrap();
    model.tell(&Deed::RewriteAof(at(6377))).await.unwrap();
    let again = model.tell(&Deed::RewriteAof(at(6377))).await.unwrap();
    assert!(format!("{again:?}").contains("AlreadyRunning"));
    model.pass(Duration::from_millis(1200));
    let half = judge(&before, &probe(&model).redis(&at(6377)).await.unwrap());
    assert!(matches!(half, Rewrite::Running { done: Some(part), .. } if (0.4..0.6).contains(&part)), "{half:?}");
    model.pass(Duration::from_secs(2));
    let now = probe(&model).redis(&at(6377)).await.unwrap();
    let proven = judge(&before, &now);
    let wanted = Rewrite::Proven { bytes_before: 430_000_000, bytes_after: 33_333_333, seq: 4 };
    assert_eq!(proven, wanted);
    let files = now.facts.unwrap().files.unwrap();
    assert_eq!((files.base.unwrap().name, files.incrs.len()), ("appendonly.aof.4.base.rdb".into(), 1));
}

#[tokio::test]
async fn a_rewrite_that_is_to_fail_is_judged_as_failed() {
    let url = at(6377).url;
    let model = model(Faults { rewrite_fails: vec![url], ..Faults::default() });
    let before = probe(&model).redis(&at(6377)).await.unwrap();
    model.tell(&Deed::RewriteAof(at(6377))).await.unwrap();
    model.pass(Duration::from_secs(60));
    let verdict = judge(&before, &probe(&model).redis(&at(6377)).await.unwrap());
    assert!(matches!(verdict, Rewrite::Failed { .. }), "{verdict:?}");
}

#[tokio::test]
async fn a_boot_brings_back_what_is_enabled_and_loads_it() {
    let model = model(Faults::default());
    let before = probe(&model).machine().await.unwrap().boot_id.unwrap();
    model.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
    assert_eq!(rebooted(&before, &probe(&model).machine().await.unwrap()), Ok(false), "not yet");
    assert!(model.come_back());
    let machine = probe(&model).machine().await.unwrap();
    assert_eq!(rebooted(&before, &machine), Ok(true));
    assert!(machine.uptime_seconds.unwrap() < 1.0 && model.uptime() < Duration::from_secs(1));

    let bull = probe(&model).redis(&at(6377)).await.unwrap();
    assert_eq!((bull.door, bull.facts.is_none()), (Door::Refused, true), "its unit is not enabled");
    assert_eq!(probe(&model).unit(BULL).await.unwrap().active_state, "inactive");
    let bds = probe(&model).redis(&at(6379)).await.unwrap();
    assert_eq!(bds.door, Door::Loading);
    assert_eq!(probe(&model).unit("redis-server@bds.service").await.unwrap().active_state, "activating");

    // 80 MB of base and 220 MB of increments by the default rates: 9 s.
    model.pass(Duration::from_secs(5));
    let facts = probe(&model).redis(&at(6379)).await.unwrap().facts.unwrap();
    let loading = facts.loading.clone().unwrap();
    let part = loading.loaded_bytes as f64 / loading.total_bytes as f64;
    assert!((0.4..0.7).contains(&part), "{part}");
    let pid = facts.server.process_id.unwrap();
    let progress = probe(&model).load_progress(pid, &facts.files.unwrap()).await.unwrap().unwrap();
    assert_eq!(progress.bytes_read_total, Some(loading.loaded_bytes));

    model.pass(Duration::from_secs(5));
    assert_eq!(probe(&model).unit("redis-server@bds.service").await.unwrap().active_state, "active");
    let replica = probe(&model).redis(&at(6381)).await.unwrap();
    let wanted = Wanted { role: Some(RoleWanted::Replica), keys_before: None, keys_at_least: 0.0, aof: Some(true) };
    assert_eq!(ready(&replica, &wanted), Ok(()));
    assert!(matches!(replica.facts.unwrap().role, Some(Role::Replica { link_up: true, .. })));

    model.tell(&Deed::StartUnit(BULL.into())).await.unwrap();
    assert_eq!(
        probe(&model).redis(&at(6377)).await.unwrap().door,
        Door::Open,
        "started, and loaded when the job was done"
    );
}

#[tokio::test]
async fn apps_stop_are_saved_and_come_back_as_saved() {
    let model = model(Faults { lost_apps: vec!["api-3".into()], ..Faults::default() });
    let list = probe(&model).pm2_list(&place()).await.unwrap().apps;
    let told =
        model.tell(&Deed::TakeSnapshot { pm2: place(), dir: "/run/x".into(), allow_fewer: false }).await.unwrap();
    let crate::host::Told::Snapshot(snapshot) = told else { panic!("{told:?}") };
    assert_eq!(probe(&model).snapshot(&snapshot).await.unwrap().len(), 40);
    for app in list.iter().filter(|app| app.status == Status::Online) {
        model.tell(&Deed::StopApp { pm2: place(), id: app.pm_id.unwrap() }).await.unwrap();
    }
    model.tell(&Deed::SaveList(place())).await.unwrap();
    model.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
    assert!(model.come_back());
    let after = probe(&model).pm2_list(&place()).await.unwrap().apps;
    assert_eq!(after.len(), 40);
    assert!(after.iter().all(|app| app.status == Status::Stopped && app.pid.is_none() && app.restarts == 0));
    for key in [after[2].key.clone(), after.iter().find(|app| app.key.name == "api-3").unwrap().key.clone()] {
        model
            .tell(&Deed::BringApp { pm2: place(), snapshot: Arc::new(snapshot.clone()), app: key, start: true })
            .await
            .unwrap();
    }
    let status = |apps: &[crate::host::pm2::App], name: &str| {
        let app = apps.iter().find(|app| app.key.name == name).unwrap();
        (app.status.clone(), app.pid.is_some(), app.restarts)
    };
    model.pass(Duration::from_secs(20));
    let after = probe(&model).pm2_list(&place()).await.unwrap().apps;
    assert_eq!(status(&after, "mail0-worker"), (Status::Online, true, 0));
    assert_eq!(status(&after, "api-3"), (Status::Errored, false, 16));
}

#[tokio::test]
async fn faults_of_the_machine() {
    let faults = Faults {
        empty_after_start: vec![at(6379).url],
        slow_load: vec![(at(6381).url, 10.0)],
        masked_units: vec![BULL.into()],
        inhibitor: Some("apt".into()),
        ..Faults::default()
    };
    let model = model(faults);
    assert!(model.tell(&Deed::EnableUnit(BULL.into())).await.is_err());
    assert_eq!(probe(&model).inhibitors().await.unwrap().len(), 1);
    model.tell(&Deed::GoDown(Down::ByHand)).await.unwrap();
    model.come_back();
    model.pass(Duration::from_secs(12));
    assert!(probe(&model).redis(&at(6379)).await.unwrap().facts.unwrap().keys.is_empty());
    assert_eq!(probe(&model).redis(&at(6381)).await.unwrap().door, Door::Loading);

    let stuck = self::model(Faults { never_reboots: true, ..Faults::default() });
    stuck.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
    assert!(!stuck.come_back());
}

#[tokio::test]
async fn a_router_in_front_of_an_instance_follows_it_over_a_boot() {
    let mut facts = small();
    let seen = facts.redis(&at(6379)).unwrap().clone();
    facts.put(crate::host::Ask::Redis(at(6390)), crate::host::Answer::Redis(Box::new(seen)));
    let model = Model::of(facts).with_ties(small_ties());
    model.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
    assert!(model.come_back());
    for length in [5, 10] {
        model.pass(Duration::from_secs(length));
        let (own, routed) = (probe(&model).redis(&at(6379)).await, probe(&model).redis(&at(6390)).await);
        assert_eq!(own, routed);
    }
    let unit = probe(&model).unit("redis-server@bds.service").await.unwrap();
    let took = unit.active_enter.unwrap().duration_since(unit.main_started.unwrap());
    assert!(took.as_secs() > 5, "the unit knows how long it was in loading: {took}");
}

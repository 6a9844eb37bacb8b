//! Tests: one change at a time, each with its class.

use std::path::Path;

use super::*;
use crate::host::model::{Model, sample};
use crate::host::pm2::DumpSeen;
use crate::host::{Answer, Ask};
use crate::plan::{History, Rehearsed, rehearse};
use crate::runbook::load;

async fn ground(may_differ: &str) -> (Runbook, Rehearsed) {
    let text = include_str!("../../../runbooks/restart-staging.yaml");
    let text = text.replace("[machine/memory, machine/cpus, machine/swap]", may_differ);
    let loaded = load(&text, "x.yaml").unwrap();
    let recorded = Facts::read(include_bytes!("../../../tests/recorded/staging.facts.json")).unwrap();
    let host = Model::of(recorded);
    let rehearsed = rehearse(&loaded, &host, Path::new("/x"), &History::default(), host_now()).await;
    (loaded.runbook, rehearsed)
}

fn host_now() -> jiff::Timestamp {
    sample::SATURDAY.parse().unwrap()
}

fn redis(facts: &mut Facts, name: &str, change: impl FnOnce(&mut RedisSeen)) {
    let seen = facts.answers.iter_mut().find_map(|(ask, answer)| match (ask, answer) {
        (Ask::Redis(at), Answer::Redis(seen)) if at.url.ends_with(name) => Some(seen),
        _ => None,
    });
    change(seen.unwrap());
}

fn told(found: &CameBack) -> Vec<String> {
    let line = |one: &Difference| format!("{:?} {}: {} -> {}", one.class, one.path, one.before, one.after);
    found.differences.iter().map(line).collect()
}

#[tokio::test]
async fn nothing_moved_and_nothing_is_told() {
    let (runbook, rehearsed) = ground("[machine/memory]").await;
    let found = came_back(&runbook, &rehearsed.plan, &rehearsed.facts, &rehearsed.facts);
    assert_eq!(told(&found), Vec::<String>::new());
    assert!(found.same > 480, "{} facts", found.same);
}

#[tokio::test]
async fn each_difference_has_its_class() {
    let (runbook, rehearsed) = ground("[machine/memory, \"pm2/services/service-1*\", redis/bull00/maxmemory]").await;
    let before = &rehearsed.facts;
    let mut after = before.clone();
    for (ask, answer) in &mut after.answers {
        match (ask, answer) {
            (Ask::Machine, Answer::Machine(seen)) => {
                (seen.boot_id, seen.kernel) = (Some("new".into()), Some("6.1.0-29-amd64".into()));
                seen.mem_total = seen.mem_total.map(|total| total * 2);
            }
            (Ask::Unit(name), Answer::Unit(seen)) if name.contains("bull01") => seen.unit_file_state = "enabled".into(),
            (Ask::Unit(name), Answer::Unit(seen)) if name.contains("router") => seen.active_state = "failed".into(),
            (Ask::Pm2(_), Answer::Pm2(seen)) => {
                for app in &mut seen.apps {
                    match app.key.name.as_str() {
                        "service-10" | "service-20" | "org-001" => app.status = Status::Errored,
                        _ => {}
                    }
                }
                seen.apps.retain(|app| app.key.name != "service-30");
                let DumpSeen::Read { entries } = &mut seen.dump else { panic!("a dump") };
                entries.retain(|entry| entry.name != "service-30");
            }
            _ => {}
        }
    }
    redis(&mut after, ":6377", |seen| sample::set_at_runtime(seen, "maxmemory", "4294967296", "4gb"));
    redis(&mut after, ":6379", |seen| {
        let facts = seen.facts.as_mut().unwrap();
        facts.keys.values_mut().for_each(|keys| *keys /= 2);
        facts.aof.as_mut().unwrap().enabled = false;
        facts.config = None;
    });
    after.answers.retain(|(ask, _)| !matches!(ask, Ask::Redis(at) if at.url.ends_with(":6381")));
    after.unanswered.insert("redis redis://127.0.0.1:6381".into(), "refused".into());
    insta::assert_snapshot!(told(&came_back(&runbook, &rehearsed.plan, before, &after)).join("\n"));
}

#[tokio::test]
async fn what_scripts_and_log_shippers_see_is_compared() {
    let (runbook, rehearsed) = ground("[\"pm2/services/*/error-log\"]").await;
    let before = &rehearsed.facts;
    let mut after = before.clone();
    for (ask, answer) in &mut after.answers {
        let (Ask::Pm2(_), Answer::Pm2(seen)) = (ask, answer) else { continue };
        let app = seen.apps.iter_mut().find(|app| app.key.name == "service-10").unwrap();
        app.pm_id = app.pm_id.map(|id| id + 900);
        app.out_log = "/elsewhere/out-1.log".into();
        app.err_log = "/elsewhere/error-1.log".into();
    }
    let found = came_back(&runbook, &rehearsed.plan, before, &after);
    let paths: Vec<(&str, Class)> = found.differences.iter().map(|one| (one.path.as_str(), one.class)).collect();
    let at = |fact: &str| format!("pm2/services/service-10/{fact}");
    let wanted = [(at("id"), Class::Unexpected), (at("log"), Class::Unexpected), (at("error-log"), Class::Allowed)];
    for (path, class) in wanted {
        assert!(paths.contains(&(path.as_str(), class)), "{path} in {paths:?}");
    }
    assert_eq!(paths.len(), 3, "{paths:?}");
}

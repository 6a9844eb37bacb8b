//! The shipped runbook, rehearsed over recorded facts of a host of the size in the field: what each step would do, and how long it takes.

use std::fmt::Write;
use std::path::Path;

use super::{History, Plan, rehearse};
use crate::action::inventory::{Inventory, Role};
use crate::host::ask::HttpAsk;
use crate::host::model::{Model, sample};
use crate::host::redis::{RedisAt, RedisKind};
use crate::host::span::clock;
use crate::host::{Answer, Ask, Facts, Probe};
use crate::runbook::{Loaded, load};
use sample::{Data, GB, MB};

fn shipped() -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/restart-staging.yaml");
    load(&std::fs::read_to_string(path).unwrap(), "restart-staging.yaml").unwrap()
}

fn recorded() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/staging.facts.json")
}

/// Sizes of the field: 2 to 12 GB of append-only files per instance.
fn data(name: &str) -> Data {
    let data = |base: u64, incr: u64, used: u64, keys| Data { base: base * MB, incr: incr * MB, used: used * MB, keys };
    match name {
        "bds" => data(2_600, 8_900, 14_130, 3_180_000),
        "bds-r" => data(2_800, 900, 14_130, 3_180_000),
        "bull00" => data(450, 7_600, 1_900, 240_000),
        "bull01" => data(300, 3_800, 1_100, 90_000),
        "bull02" => data(250, 1_900, 800, 60_000),
        _ => data(0, 0, 0, 0),
    }
}

/// Facts of a staging host as the field notes describe it, for the inventory of a runbook.
fn staging(inventory: &Inventory) -> Facts {
    let mut facts = sample::host(125 * GB);
    for (name, one) in &inventory.redis {
        let master = one.of.as_ref().and_then(|of| inventory.redis.get(of));
        let port =
            master.and_then(|master| master.url.rsplit(':').next()?.parse().ok()).filter(|_| one.role == Role::Replica);
        let mut seen = sample::redis(name, one.kind, port, data(name));
        if name == "bull00" {
            sample::set_at_runtime(&mut seen, "maxmemory", "8589934592", "4gb");
        }
        if let Some(files) = seen.facts.as_ref().and_then(|facts| facts.files.as_ref()) {
            facts.put(Ask::Disk(files.dir.clone().into()), Answer::Disk(sample::disk(400 * GB)));
        }
        facts.put(Ask::Redis(one.at()), Answer::Redis(Box::new(seen)));
    }
    // Two more queues and the router answer, too, though no entry of their own names them.
    for (name, port) in [("bull01", 6378), ("bull02", 6380), ("bds", 6390)] {
        let at = RedisAt {
            url: format!("redis://127.0.0.1:{port}"),
            user: None,
            password: None,
            kind: RedisKind::Redis,
            tls: None,
        };
        facts.put(Ask::Redis(at), Answer::Redis(Box::new(sample::redis(name, RedisKind::Redis, None, data(name)))));
    }
    for known in inventory.units_of(None) {
        let enabled = !["bull00", "bull01", "bull02", "tile38"].iter().any(|part| known.unit.contains(part));
        let notifies = known.unit.starts_with("redis-server@");
        facts.put(Ask::Unit(known.unit.into()), Answer::Unit(Box::new(sample::unit(known.unit, enabled, notifies))));
    }
    for place in inventory.pm2.values() {
        let at = crate::action::process_list::at(place);
        facts.put(Ask::Pm2(at.clone()), Answer::Pm2(Box::new(sample::pm2(&at, &apps()))));
    }
    facts.put(Ask::Disk("/var/lib/redis".into()), Answer::Disk(sample::disk(400 * GB)));
    let health = HttpAsk { url: "http://127.0.0.1:3005/health".into(), headers: Vec::new(), tls: None, within: None };
    facts.put(Ask::Http(health), Answer::Http(sample::http_ok(r#"{"status":"healthy"}"#)));
    facts
}

/// 133 apps that run and 100 that are stopped on purpose.
fn apps() -> Vec<(String, bool)> {
    let ids = (0..3).map(|n| (format!("id-manager-{n}"), true));
    let workers = (0..40).map(|n| (format!("queue-{n:02}-worker"), true));
    let rest = (0..90).map(|n| (format!("service-{n:02}"), true));
    let stopped = (0..100).map(|n| (format!("org-{n:03}"), false));
    ids.chain(workers).chain(rest).chain(stopped).collect()
}

fn table(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let (typical, slow) = (clock(step.takes.span.typically()), clock(step.takes.span.at_worst()));
        let more = match (&step.unforeseen, step.change.refused()) {
            (Some(why), _) => format!("  unforeseen: {why}"),
            (_, true) => format!("  refused: {:?}", step.change.concerns),
            _ => String::new(),
        };
        writeln!(
            text,
            "{:<20}{:<16}{:>4} items{:>4} so  {typical:>8}{slow:>9}{more}",
            step.id.as_str(),
            step.action,
            step.change.items.len(),
            step.change.already
        )
        .unwrap();
    }
    let takes = plan.takes();
    writeln!(text, "{:<53}{:>8}{:>9}", "all", clock(takes.typically()), clock(takes.at_worst())).unwrap();
    text
}

/// `cargo test --lib regenerates_the_recorded_facts -- --ignored`
#[test]
#[ignore = "writes tests/recorded/staging.facts.json anew"]
fn regenerates_the_recorded_facts() {
    let facts = staging(&shipped().runbook.inventory);
    std::fs::write(recorded(), facts.write().unwrap()).unwrap();
}

#[test]
fn the_recorded_facts_are_those_of_the_generator() {
    let text = std::fs::read_to_string(recorded()).unwrap();
    let facts: Facts = serde_json::from_str(&text).unwrap();
    assert_eq!(facts, staging(&shipped().runbook.inventory), "run the ignored generator");
}

#[tokio::test]
async fn the_shipped_runbook_is_foreseen_in_every_step() {
    let loaded = shipped();
    let host = Model::of(staging(&loaded.runbook.inventory));
    let rehearsed =
        rehearse(&loaded, &host, Path::new("/var/lib/runbook/runs/x"), &History::default(), host.now()).await;
    assert_eq!(host.elapsed(), std::time::Duration::ZERO, "planning plays on a model of its own");
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("plan_of_restart_staging", table(&rehearsed.plan));
    });
    let again = rehearse(&loaded, &host, Path::new("/var/lib/runbook/runs/x"), &History::default(), host.now()).await;
    assert_eq!(table(&again.plan), table(&rehearsed.plan), "the same facts, the same plan");
}

/// A plan of bare steps: phase, takes service away, reboots; each takes a minute.
fn bare(steps: &[(&str, bool, bool)], back_out: &[&str]) -> Plan {
    use crate::action::{Change, Item, Sign};
    let change = Change { items: vec![Item::new("x", Sign::Alter, "a", "b")], ..Change::default() };
    let step = |(n, (phase, takes_away, reboots)): (usize, &(&str, bool, bool))| super::PlannedStep {
        id: format!("{phase}/{n}").as_str().into(),
        phase: (*phase).into(),
        title: String::new(),
        action: crate::action::ActionKind::Command,
        subject: Default::default(),
        change: change.clone(),
        takes: super::Estimate { span: crate::host::span::Span::secs(60.0, 120.0), source: super::Source::Usual },
        unforeseen: None,
        takes_away: *takes_away,
        brings_back: false,
        reboots: *reboots,
        waits: false,
        gives_up_after: None,
    };
    let at: jiff::Timestamp = "2026-11-28T09:00:00Z".parse().unwrap();
    Plan {
        format: super::FORMAT,
        runbook: "x".into(),
        sha256: String::new(),
        hostname: "stg-1".into(),
        made_at: at,
        starts_at: at,
        steps: steps.iter().enumerate().map(step).collect(),
        back_out: back_out.iter().map(|name| (*name).to_owned()).collect(),
        probed_in: 0.0,
        unsaved: Vec::new(),
    }
}

#[test]
fn each_phase_has_its_way_back() {
    use super::WayBack::{BacksOut, Forward, None, Stops};
    let two = crate::host::span::Span::secs(120.0, 240.0);
    let phases = [
        ("save", false, false),
        ("stop", true, false),
        ("stop", false, false),
        ("reboot", true, true),
        ("load", false, false),
        ("restore", false, false),
        ("verify", false, false),
    ];
    let back = BacksOut(two);
    let ways = |plan: &Plan| plan.ways_back().into_iter().map(|(_, way)| way).collect::<Vec<_>>();
    assert_eq!(ways(&bare(&phases, &["restore", "verify"])), [Stops, back, back, Forward, Forward, Forward]);
    assert_eq!(ways(&bare(&phases, &[])), [Stops, None, None, Forward, Forward, Forward]);
    // A reboot and what follows it in one phase; and a runbook that takes nothing away.
    let one = [("all", true, false), ("all", true, true), ("all", false, false), ("restore", false, false)];
    assert_eq!(ways(&bare(&one, &["restore"])), [BacksOut(crate::host::span::Span::secs(60.0, 120.0)), Forward]);
    assert_eq!(ways(&bare(&[("a", false, false), ("b", false, false)], &[])), [Stops, Stops]);
    assert_eq!(bare(&phases, &[]).before(1).typical, 60.0);
}

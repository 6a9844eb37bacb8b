//! Faults that a plan sees before anything is begun, on the recorded host of the field notes with one thing changed in it: the
//! same looks, judgements and words as on a live host, and no machine needed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use serde_json::{Value, json};

use crate::seen::Seen;
use crate::support::program::{Place, Said};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/restart-staging.yaml");
const FACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/staging.facts.json");

/// The recorded answers, to be changed.
struct Facts(Value);

impl Facts {
    fn recorded() -> Self {
        Self(serde_json::from_str(&std::fs::read_to_string(FACTS).unwrap()).unwrap())
    }

    /// The answer to the question of this kind that names `about`.
    fn answer(&mut self, kind: &str, about: &str) -> &mut Value {
        let asked = |entry: &Value| {
            let question = entry[0].get(kind).map(ToString::to_string);
            entry[0] == kind || question.is_some_and(|question| question.contains(about))
        };
        let entry = self.0["answers"].as_array_mut().unwrap().iter_mut().find(|entry| asked(entry));
        &mut entry.unwrap_or_else(|| panic!("no {kind} about {about}"))[1][kind]
    }

    fn redis(&mut self, port: u16) -> &mut Value {
        self.answer("redis", &format!("127.0.0.1:{port}"))
    }

    fn unit(&mut self, name: &str) -> &mut Value {
        self.answer("unit", name)
    }

    fn pm2(&mut self) -> &mut Value {
        self.answer("pm2", "deploy")
    }

    fn machine(&mut self) -> &mut Value {
        self.answer("machine", "")
    }
}

/// Plans the runbook on the changed facts.
fn plan(change: impl FnOnce(&mut Facts), runbook: impl FnOnce(String) -> String) -> (Place, Said) {
    let place = Place::new();
    let mut facts = Facts::recorded();
    change(&mut facts);
    let facts = place.file("facts.json", &facts.0.to_string());
    let book = place.file("restart-staging.yaml", &runbook(std::fs::read_to_string(SHIPPED).unwrap()));
    let said = place.runbook(&["plan", &book, "--offline", &facts, "-v"]);
    assert_eq!(place.state(), Vec::new(), "a plan changes nothing");
    (place, said)
}

/// One fault that is refused: which, what its message must hold, and what is wrong.
type Refused = (&'static str, &'static str, fn(&mut Facts));

fn refuses(cases: &[Refused]) {
    for (id, words, change) in cases {
        let (place, said) = plan(change, |book| book);
        said.exits(5).says(words).says("nothing was changed").says("runbook plan ").says("restart-staging.yaml");
        let dir = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        Seen::err(&said).with(&dir, "/srv").from("runbook: ").is(id);
    }
}

/// One fault that is told and does not stop a plan.
fn warns(cases: &[Refused]) {
    for (id, words, change) in cases {
        let (_place, said) = plan(change, |book| book);
        said.exits(0).says(words);
        Seen::all(&said).concern(words).is(id);
    }
}

impl Seen {
    /// The concern of a plan that holds these words, with its cure: whole lines, up to the next one that begins anew.
    fn concern(self, words: &str) -> Self {
        let seen = self.from(words);
        seen.while_indented()
    }
}

fn set(at: &mut Value, changes: Value) {
    for (key, value) in changes.as_object().unwrap() {
        at[key] = value.clone();
    }
}

#[test]
fn what_redis_says_before_the_run_refuses_it() {
    refuses(&[
        ("R2", "vm.overcommit_memory=2 leaves", |facts| {
            set(
                facts.machine(),
                json!({ "overcommit_memory": 2, "commit_limit": 60_000_000_000_u64, "committed_as": 59_000_000_000_u64 }),
            );
        }),
        ("R3", "free on the disk of the append-only files", |facts| {
            facts.answer("disk", "/var/lib/redis/bds/")["bytes_free"] = json!(900_000_000);
        }),
        ("R9", "appendonly is \"yes\" now, but \"no\" in", |facts| {
            let redis = &mut facts.redis(6379)["facts"];
            redis["config"] = json!({ "appendonly": "yes", "dir": "/var/lib/redis/bds" });
            redis["written"] = json!({ "appendonly": "no", "dir": "/var/lib/redis/bds" });
        }),
        ("R13", "is a replica of 10.0.0.9:6379 now", |facts| {
            facts.redis(6379)["facts"]["role"] = json!({ "replica": {
                "master_host": "10.0.0.9", "master_port": 6379, "link_up": true, "sync_in_progress": false, "master_sync_perc": null,
            } });
        }),
        ("R17", "a tunnel leads to another host", |facts| {
            let redis = facts.redis(6379);
            redis["facts"]["files"] = Value::Null;
            let why = "process 1313 is not on this host: a tunnel leads to another host, or it runs in a container";
            redis["unseen"] = json!([{ "what": "files", "why": why }]);
        }),
    ]);
}

#[test]
fn what_pm2_shows_before_the_run_refuses_it() {
    refuses(&[
        ("P1", "no PM2 daemon is running", |facts| {
            set(facts.pm2(), json!({ "daemon": { "Absent": { "why": "NoSocket" } }, "apps": [] }));
        }),
        ("P2", "3.5.1", |facts| facts.pm2()["daemon"]["Up"]["version"] = json!("3.5.1")),
        ("P3", "a save would drop", |facts| {
            facts.pm2()["apps"].as_array_mut().unwrap().retain(|app| !app["key"]["name"].to_string().contains("-0"));
        }),
        ("P8", "run as root, or as the daemon's user", |facts| {
            let why = "/var/www/app/.pm2/rpc.sock: Permission denied";
            set(facts.pm2(), json!({ "daemon": { "Denied": { "why": why } }, "apps": [] }));
        }),
        ("P9", "more daemon(s) on the same PM2_HOME", |facts| facts.pm2()["twins"] = json!([4711])),
        ("P15", "no answer within 10s", |facts| {
            let why = "getMonitorData: no answer within 10s";
            set(facts.pm2(), json!({ "daemon": { "Dying": { "why": why } }, "apps": [] }));
        }),
    ]);
}

#[test]
fn what_systemd_and_the_machine_show_before_the_run_refuses_it() {
    refuses(&[
        ("S1", "is masked: nothing can start it", |facts| {
            set(facts.unit("redis-server@bds.service"), json!({ "load_state": "masked", "unit_file_state": "masked" }));
        }),
        ("S11", "this is not root", |facts| facts.machine()["is_root"] = json!(false)),
        ("B1", "unattended-upgrades inhibits shutdown (block)", |facts| {
            *facts.answer("inhibitors", "") = json!([{
                "what": "shutdown", "who": "unattended-upgrades", "why": "installing packages", "mode": "block", "uid": 0, "pid": 4711,
            }]);
        }),
        ("O10", "process 1 is bash, not systemd", |facts| {
            set(facts.machine(), json!({ "init": "bash", "container": "docker" }));
        }),
    ]);
}

#[test]
fn what_would_not_come_back_by_itself_refuses_unless_it_may_be_mended() {
    let (place, said) = plan(|_| {}, |book| book.replace("units_enabled: { fix: true }", "units_enabled: {}"));
    said.exits(5).says("is disabled: it will not come back").says("nothing was changed");
    let dir = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    Seen::err(&said).with(&dir, "/srv").from("runbook: ").is("S6");
}

#[test]
fn what_would_start_again_what_was_stopped_is_told() {
    let socket =
        |facts: &mut Facts| facts.unit("redis-router.service")["triggered_by"] = json!(["redis-router.socket"]);
    let stop = "      - units_stopped: { units: [router] }\n      - pm2_stopped: { pm2: services }";
    let (_place, said) = plan(socket, |book| book.replacen("      - pm2_stopped: { pm2: services }", stop, 1));
    said.says("may be started again");
    Seen::all(&said).concern("may be started again").is("S15");
}

#[test]
fn what_is_only_told_before_the_run() {
    warns(&[
        ("S2", "is static", |facts| {
            set(facts.unit("redis-router.service"), json!({ "unit_file_state": "static", "wanted_by": [] }));
        }),
        ("S4", "is an alias of", |facts| {
            set(facts.unit("redis-router.service"), json!({ "unit_file_state": "alias", "id": "router.service" }));
        }),
        ("S7", "has failed already", |facts| {
            set(
                facts.unit("tile38@staging.service"),
                json!({ "active_state": "failed", "sub_state": "failed", "result": "exit-code" }),
            );
        }),
        ("S12", "its files are newer", |facts| facts.unit("redis-router.service")["need_daemon_reload"] = json!(true)),
        ("B16", "has no stop time-out", |facts| facts.unit("redis-router.service")["stop_timeout"] = Value::Null),
    ]);
}

#[test]
fn an_app_that_does_not_come_back_is_named() {
    let place = Place::new();
    let words = ["rehearse", "restart-staging", "--speed", "100000", "--lose-app", "service-07", "--progress", "plain"];
    let said = place.runbook(&words);
    said.exits(1).says("service-07").says("crash loop");
    Seen::err(&said).from("Stopped by").until("Rehearsed:").is("P6");
}

#[test]
fn a_list_that_differs_from_the_dump_is_shown() {
    let differs = |facts: &mut Facts| {
        let entries = facts.pm2()["dump"]["Read"]["entries"].as_array_mut().unwrap();
        entries.retain(|entry| entry["name"] != "service-07");
        entries[0]["status"] = json!("Stopped");
    };
    let (_place, said) = plan(differs, |book| book);
    said.exits(0).says("service-07");
    Seen::all(&said).only(&["service-07", "id-manager-0 "]).is("P10");
}

//! What a run says at its end, and what a plan lets through: gates with twins, steps that were left out, waits that nobody limited. Each
//! is run by the real program on this machine; nothing but a temporary directory is touched.
#![expect(clippy::disallowed_methods, reason = "a test waits for another process")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use runbook::host::pm2::Status;
use serde_json::{Value, json};

use crate::support::pm2::{Bed, skipped};
use crate::support::program::{Place, hostname};

fn book(place: &Place, top: &str, steps: &str) -> String {
    let text =
        format!("version: 1\nname: tiny\nhosts: [{}]\n{top}phases:\n  - name: a\n    steps:\n{steps}", hostname());
    place.file("tiny.yaml", &text)
}

/// A page that answers every request in the same way, for as long as the test lives.
fn page(body: &'static str) -> u16 {
    slow_page(body, Duration::ZERO)
}

/// The same after so long.
fn slow_page(body: &'static str, after: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let _whatever_it_asks = stream.read(&mut asked);
            std::thread::sleep(after);
            let length = body.len();
            let _it_may_be_gone = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    port
}

fn report(place: &Place) -> Value {
    let said = place.runbook(&["report", "--format", "json"]);
    said.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["type"] == "report")
        .unwrap()
}

/// Checks of one gate about the same page or instance are as many checks, and a failure behind an effect repeats nothing.
#[test]
fn checks_about_the_same_thing_are_told_apart() {
    let place = Place::new();
    let port = page("{\"status\":\"healthy\",\"mode\":\"multi\"}");
    let (url, touched) = (format!("http://127.0.0.1:{port}/health"), place.path("touched"));
    let steps = format!(
        "      - command: {{ argv: [/bin/sh, -c, \"echo x >> {}\"] }}\n      - healthy:\n          checks:\n\
         \x20           - http: {{ url: \"{url}\", json: {{ $.status: {{ eq: NEVER }} }} }}\n\
         \x20           - http: {{ url: \"{url}\", json: {{ $.mode: {{ eq: multi }} }} }}\n\
         \x20           - http: {{ url: \"{url}\", json: {{ $.status: {{ eq: NEVER2 }} }}, required: false }}\n\
         \x20           - tcp: {{ addr: \"127.0.0.1:1\", required: false }}\n\
         \x20           - tcp: {{ addr: \"127.0.0.1:2\", required: false }}\n        within: 3s\n",
        touched.display()
    );
    let book = book(&place, "", &steps);
    place.runbook(&["run", &book, "--yes"]).exits(1).says("[check 1]").says("NEVER");
    place.runbook(&["resume", "--yes"]).exits(1).says("[check 1]");
    assert_eq!(std::fs::read_to_string(&touched).unwrap(), "x\n", "an effect that was repeated");
    let losses = report(&place)["losses"].clone();
    let named: Vec<&str> = losses.as_array().unwrap().iter().map(|loss| loss["item"].as_str().unwrap()).collect();
    for item in [format!("http {url} [check 1]"), "tcp 127.0.0.1:1".to_owned(), "tcp 127.0.0.1:2".to_owned()] {
        assert_eq!(named.iter().filter(|one| **one == item).count(), 1, "{item} in {named:?}");
    }
    assert!(!named.iter().any(|one| one.contains("[check 2]")), "{named:?}");
}

/// The same server by two names, behind an effect.
#[test]
fn two_checks_of_one_server_end_a_run_in_order() {
    let place = Place::new();
    let touched = place.path("touched");
    let steps = format!(
        "      - command: {{ argv: [/bin/sh, -c, \"echo x >> {}\"] }}\n      - healthy:\n          checks:\n\
         \x20           - redis: {{ instances: all }}\n\
         \x20           - redis: {{ instances: all, keys_at_least: 90% }}\n        within: 3s\n",
        touched.display()
    );
    let book = book(&place, "redis:\n  dead: { url: \"redis://127.0.0.1:1\" }\n", &steps);
    let said = place.runbook(&["run", &book, "--yes"]);
    assert!([1, 4, 5].contains(&said.code), "{}", said.all());
    let again = place.runbook(&["resume", "--yes"]);
    assert_ne!(again.code, 30, "{}", again.all());
    assert!(std::fs::read_to_string(&touched).unwrap_or_default().len() <= 2, "an effect that was repeated");
}

/// A failure that the runbook goes on without is a loss in every form.
#[test]
fn a_step_that_failed_and_was_gone_on_without_is_a_loss() {
    let place = Place::new();
    let steps = "      - healthy: { checks: [ { tcp: { addr: \"127.0.0.1:1\" } } ] }\n        within: 2s\n        on_failure: continue\n\
                 \x20     - command: { argv: [\"true\"] }\n";
    let book = book(&place, "", steps);
    let plan = place.runbook(&["plan", &book]);
    assert!(!plan.all().contains("everything is as the runbook wants it"), "{}", plan.all());
    plan.says("does not hold now");
    place.runbook(&["run", &book, "--yes", "--detailed-exitcode"]).exits(11).says("with losses").says("127.0.0.1:1");
    is_lossy(&place, "127.0.0.1:1", "on_failure: continue");
}

/// A step that a person has set aside is a loss too, with who has said so and why.
#[test]
fn a_step_that_was_set_aside_is_a_loss_with_its_reason() {
    let place = Place::new();
    let steps = "      - command: { argv: [\"false\"], repeatable: true }\n      - command: { argv: [\"true\"] }\n";
    let book = book(&place, "", steps);
    let said = place.runbook(&["run", &book, "--yes"]);
    said.exits(1);
    // The way out is printed where it works, and works.
    let printed = said.err.lines().find(|line| line.contains("--skip")).unwrap_or_else(|| panic!("{}", said.err));
    let words: Vec<&str> = printed.split_whitespace().skip_while(|word| *word != "resolve").collect();
    let until = words.iter().position(|word| *word == "TEXT").unwrap();
    let mut words = words[..until].to_vec();
    words.push("the disk is gone");
    place.runbook(&words).exits(0);
    place.runbook(&["resume", "--yes", "--detailed-exitcode"]).exits(11);
    is_lossy(&place, "a/1", "the disk is gone");
}

/// Every form of telling agrees on the loss.
fn is_lossy(place: &Place, name: &str, ruling: &str) {
    let status = place.runbook(&["status", "--detailed-exitcode"]);
    status.exits(11);
    let history = place.runbook(&["history"]);
    assert!(history.out.contains("losses"), "{}", history.out);
    let report_json = report(place);
    assert_eq!(report_json["ended"], "done_with_losses");
    let losses = report_json["losses"].to_string() + &report_json["steps"].to_string();
    assert!(losses.contains(name) && losses.contains(ruling), "{report_json}");
    assert!(!report_json["losses"].as_array().unwrap().is_empty(), "{report_json}");
    let junit = place.runbook(&["report", "--format", "junit"]).out;
    assert!(junit.contains("<failure") && junit.contains(ruling), "{junit}");
    let markdown = place.runbook(&["report", "--format", "md"]).out;
    assert!(markdown.contains("DONE, WITH LOSSES") && markdown.contains(ruling), "{markdown}");
    assert!(!markdown.contains("WITH LOSSES.** 0"), "{markdown}");
}

/// A wait that the runbook does not limit has a limit, which the plan shows.
#[test]
fn a_wait_without_a_limit_has_one_that_the_plan_shows() {
    let place = Place::new();
    let book = book(&place, "", "      - healthy: { checks: [ { host: { memory_free: 99.9% } } ] }\n");
    let plan = place.runbook(&["plan", &book]);
    plan.says("Waits end").says("a/1 after 5m");
    let json = place.runbook(&["plan", &book, "--json"]);
    assert!(json.out.contains("\"gives_up_after\":300"), "{}", json.out);
}

/// A page that is slower than any one request may be is told as slow, and ends with the gate.
#[test]
fn a_page_that_never_answers_is_told_with_its_limit() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let steps = format!(
        "      - healthy: {{ checks: [ {{ http: {{ url: \"http://127.0.0.1:{port}/health\" }} }} ] }}\n        within: 3s\n"
    );
    let book = book(&place, "", &steps);
    let mut command = place.command(&["run", &book, "--yes"]);
    let said = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(1) || said.status.code() == Some(5), "{told}");
    assert!(told.contains("not within 3.0s"), "{told}");
    drop(listener);
}

/// A page that is only slow is healthy: a request of a gate may take half of what the gate may.
#[test]
fn a_slow_page_is_waited_for_as_long_as_its_gate_allows() {
    let place = Place::new();
    let url = format!("http://127.0.0.1:{}/health", slow_page("{\"shards\":[1,2,3]}", Duration::from_secs(6)));
    let gate = |more: &str| {
        let json = "json: { \"$.shards.length()\": { eq: 3 } }";
        format!(
            "      - healthy: {{ checks: [ {{ http: {{ url: \"{url}\", {json}{more} }} }} ] }}\n        within: 40s\n"
        )
    };
    let book = book(&place, "", &gate(""));
    place.runbook(&["run", &book, "--yes"]).exits(0);
    // A plan waits as for any other look, and says in plain words what it saw; unless the check says how slow its page is.
    place.runbook(&["plan", &book]).says("gave no complete answer within 5.0s");
    let patient = self::book(&place, "", &gate(", answers_within: 10s"));
    let plan = place.runbook(&["plan", &patient]);
    assert!(!plan.all().contains("does not hold"), "{}", plan.all());
}

/// What only the gate could have found out is found before anything begins, with its place and a cure.
#[test]
fn a_json_path_that_no_gate_could_read_is_refused_with_its_place() {
    let place = Place::new();
    let steps = "      - healthy: { checks: [ { http: { url: \"http://127.0.0.1:1/\", json: { \"$.a.size()\": { eq: 3 } } } } ] }\n";
    let book = book(&place, "", steps);
    place
        .runbook(&["run", &book, "--yes"])
        .exits(3)
        .says("tiny.yaml:7:")
        .says("at character 4")
        .says("$.shards.length()");
}

/// A runbook that takes the apps of a real daemon down and up, with a command in between.
fn window(place: &Place, bed: &Bed, between: &str) -> String {
    let command = format!("command: {{ argv: [/bin/sh, -c, \"{between}\"], repeatable: true }}");
    place.file("window.yaml", &bed.window(&hostname(), "", &command, ""))
}

/// Starts apps of a real daemon, and waits until each has the status it is to have.
fn start(bed: &Bed, apps: &[(&str, Status)]) {
    bed.steer(async |steer| {
        for (name, _) in apps {
            let settings = json!({ "env": { "LEDGER_KEY": name }, "max_restarts": 2, "min_uptime": 5_000 });
            steer.start_new(&bed.recipe(name, &settings)).await.unwrap();
        }
    });
    for _ in 0..100 {
        if statuses(bed) == apps.iter().map(|(name, status)| ((*name).to_owned(), status.clone())).collect::<Vec<_>>() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{:?}", statuses(bed));
}

fn statuses(bed: &Bed) -> Vec<(String, Status)> {
    let mut all: Vec<_> = bed.list().into_iter().map(|app| (app.key.name, app.status)).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// An app that is errored is down: nothing is stopped, nothing is waited for, and it is as before in the end.
#[test]
fn an_errored_app_is_as_down_as_a_stopped_one() {
    for version in ["6.0.14", "7"] {
        let Some(bed) = Bed::new(version) else { return skipped("PM2 is not installed (tests/lab/pm2.sh)") };
        std::fs::create_dir_all(bed.path().join("fault")).unwrap();
        std::fs::write(bed.path().join("fault/bad"), "").unwrap();
        start(&bed, &[("bad", Status::Errored), ("good", Status::Online)]);
        let place = Place::new();
        let book = window(&place, &bed, "true");
        let said = place.runbook(&["run", &book, "--yes", "--detailed-exitcode"]);
        said.exits(0).says("as before");
        assert!(!said.all().contains("NOT") && !said.all().contains("FAILED"), "{}", said.all());
        assert_eq!(statuses(&bed), [("bad".to_owned(), Status::Errored), ("good".to_owned(), Status::Online)]);
    }
}

/// A restore that lost an app is gone on with after the repair, for as long as the run is unfinished.
#[test]
fn a_resume_after_the_repair_restores_what_is_not_back() {
    let Some(bed) = Bed::new("7") else { return skipped("PM2 is not installed (tests/lab/pm2.sh)") };
    std::fs::create_dir_all(bed.path().join("fault")).unwrap();
    start(&bed, &[("bad", Status::Online), ("good", Status::Online)]);
    let place = Place::new();
    let fault = bed.path().join("fault/bad");
    let book = window(&place, &bed, &format!("touch {}", fault.display()));
    place.runbook(&["run", &book, "--yes"]).exits(1).says("bad").says("resume");
    place.runbook(&["status"]).exits(1).says("FAILED").says("restore/1");
    std::fs::remove_file(&fault).unwrap();
    place.runbook(&["resume", "--yes", "--detailed-exitcode"]).exits(0);
    assert_eq!(statuses(&bed), [("bad".to_owned(), Status::Online), ("good".to_owned(), Status::Online)]);
    // What the first attempt had lacked is no loss any more, in any form.
    assert_eq!(report(&place)["losses"], json!([]));
    let told = place.runbook(&["report"]).out;
    assert!(!told.contains("id not come back") && !told.contains("repair `bad`"), "{told}");
}

/// PM2's clock starts an app again while it is to be down: no stop fails for it, and in the end everything is as it was.
#[test]
fn an_app_that_its_clock_starts_in_the_outage_fails_nothing() {
    let Some(bed) = Bed::new("7") else { return skipped("PM2 is not installed (tests/lab/pm2.sh)") };
    start(&bed, &[("good", Status::Online)]);
    let clock = json!({ "env": { "LEDGER_KEY": "clock" }, "cron_restart": "*/5 * * * * *" });
    bed.steer(async |steer| {
        steer.start_new(&bed.recipe("clock", &clock)).await.unwrap();
    });
    let place = Place::new();
    let book = window(&place, &bed, "sleep 6");
    let said = place.runbook(&["run", &book, "--yes", "--detailed-exitcode"]);
    said.exits(0).says("`cron_restart` starts it by the clock");
    assert!(!said.all().contains("NOT") && !said.all().contains("FAILED"), "{}", said.all());
    let names: Vec<_> = statuses(&bed).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["clock", "good"]);
}

/// Copies are told by how they were started: the processes of one start are none, whatever their mode and variables.
#[test]
fn processes_of_one_start_are_no_copies_and_a_second_start_is() {
    for version in ["6.0.14", "7"] {
        let Some(bed) = Bed::new(version) else { return };
        let place = Place::new();
        bed.script("idle.js", "setInterval(() => {}, 1e6)");
        let app = |name: &str, more: &str| format!("{{ name: '{name}', script: './idle.js'{more} }}");
        let apps = [
            app("forks", ", exec_mode: 'fork', instances: 2"),
            app(
                "api",
                ", exec_mode: 'cluster', instances: 3, instance_var: 'INSTANCE_ID', increment_var: 'PORT', env: { PORT: 4000 }",
            ),
        ];
        let config = bed.script("e.config.js", &format!("module.exports = {{ apps: [{}] }}", apps.join(", ")));
        let cli = |args: &[&str]| {
            let mut command = std::process::Command::new("/usr/bin/node");
            command.arg(bed.at.cli.as_ref().unwrap()).args(args).env_clear().env("PATH", "/usr/bin:/bin");
            command.env("HOME", bed.path()).env("PM2_HOME", &bed.at.home).current_dir(bed.path());
            assert!(command.stdin(Stdio::null()).output().unwrap().status.success(), "{args:?}");
        };
        cli(&["start", config.to_str().unwrap()]);
        for name in ["cart", "cart"] {
            cli(&["start", "idle.js", "--name", name, "-f"]);
        }
        cli(&["restart", "api"]);
        let book = window(&place, &bed, "true");
        let plan = place.runbook(&["plan", &book, "-v"]);
        let told = plan.all().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("cart: started more than once"), "{version}: {}", plan.all());
        assert!(!told.contains("forks: started") && !told.contains("api: started"), "{version}: {}", plan.all());
        // What PM2 may read is not called lost, and what it falls back to is named.
        let dump = bed.at.home.join("dump.pm2");
        let list = "[{ name: 'cart', pm_exec_path: '/x' }]";
        for (text, says) in [(list, "may understand it"), ("[{", "would bring back nothing")] {
            std::fs::write(&dump, text).unwrap();
            let plan = place.runbook(&["plan", &book, "-v"]);
            let told = plan.all().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(told.contains(says), "{version}: {text}: {}", plan.all());
        }
    }
}

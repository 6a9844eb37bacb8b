//! Nothing that an app keeps in a variable changes what this program says, writes or decides. Everything that identifies a run, and
//! words of the program itself, are planted as variables with telling names; the whole run, its journal, its screens and its
//! reports are then the same as without them, but for times and numbers. Also when it is killed on the way and resumed.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::bench::{Bench, ended, hostname, told};
use super::{fakes, figure};

/// Names that the program takes for those of secrets.
const NAMES: [&str; 4] = ["AUTH_HOST", "MACHINE_ID_KEY", "A_TOKEN", "X_SECRET"];

fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// A place with a PM2 of two apps that stop and start as they are told, and a runbook over it.
struct Place {
    bench: Bench,
    book: String,
    digest: String,
}

impl Place {
    /// `planted` is asked for what every app keeps in its variables.
    fn new(planted: impl Fn(&Self) -> Vec<String>) -> Self {
        let bench = Bench::new();
        let home = bench.path("pm2");
        std::fs::create_dir(&home).unwrap();
        let user = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let text = format!(
            "version: 1\nname: keeps-its-words\nhosts: [{}]\npm2:\n  svc: {{ user: {}, home: {}, cli: {} }}\nphases:\n  \
             - name: save-apps\n    steps:\n      - pm2_saved: {{ pm2: svc }}\n  \
             - name: stop-apps\n    steps:\n      - pm2_stopped: {{ pm2: svc }}\n  \
             - name: hold-still\n    steps:\n      - command: {{ argv: [/bin/sh, -c, \"echo held; sleep 0.4\"], repeatable: true }}\n      \
             - command: {{ argv: [/bin/false], repeatable: true }}\n        on_failure: continue\n  \
             - name: restore-apps\n    steps:\n      - pm2_restored: {{ pm2: svc }}\n        within: 60s\n      \
             - pm2_as_saved: {{ pm2: svc, steady_for: 1s }}\n        within: 30s\n",
            hostname(),
            user.trim(),
            home.display(),
            // Run by the "node" of the daemon, which is this test program: it knows no test of such a name. The list is kept by
            // the daemon below.
            bench.file("pm2-cli", ""),
        );
        let book = bench.file("keeps-its-words.yaml", &text);
        let sum = std::process::Command::new("sha256sum").arg(&book).output().unwrap().stdout;
        let digest = String::from_utf8_lossy(&sum).split_whitespace().next().unwrap().to_owned();
        let place = Self { bench, book, digest };
        let values = planted(&place);
        let variables: Map<String, Value> = values
            .iter()
            .enumerate()
            .flat_map(|(n, value)| NAMES.map(|name| (format!("{name}_{n}"), json!(value))))
            .chain([("NODE_ENV".to_owned(), json!("production"))])
            .collect();
        let log = place.bench.file("app.log", "listening\n");
        let script = place.bench.file("index.js", "");
        let apps: Vec<Value> = (0..2).map(|n| fakes::app(&format!("billing-{n}"), n, &log, json!(variables))).collect();
        let place_of = |mut app: Value| {
            (app["pm2_env"]["pm_exec_path"], app["pm2_env"]["pm_cwd"]) = (json!(script), json!("/"));
            app["pm2_env"]["pm_pid_path"] = json!(format!("{log}.pid"));
            app
        };
        let apps = apps.into_iter().map(place_of).collect::<Vec<_>>();
        let apps = Arc::new(Mutex::new(apps));
        let dump = home.join("dump.pm2");
        let keep = move |apps: &[Value]| {
            let saved: Vec<_> = apps.iter().map(|app| app["pm2_env"].clone()).collect();
            std::fs::write(&dump, json!(saved).to_string()).unwrap();
        };
        keep(&apps.lock().unwrap());
        fakes::pm2(
            &home,
            Box::new(move |method, args| {
                let mut apps = apps.lock().unwrap();
                let answer = obey(&mut apps, method, args);
                if method.ends_with("ProcessId") {
                    keep(&apps);
                }
                answer
            }),
        );
        place
    }

    fn runbook(&mut self, words: &[&str]) -> String {
        let output = self.bench.runbook(words);
        self.same(&format!("{words:?} {}", told(&output)))
    }

    /// A text without what differs from run to run. What identifies the run by its value stands for itself.
    fn same(&self, text: &str) -> String {
        let dir = self.bench.path("");
        let mut text = text.replace(dir.to_str().unwrap().trim_end_matches('/'), "<BENCH>");
        for (value, token) in [
            (self.digest.as_str(), "<DIGEST>"),
            (&line("/etc/machine-id"), "<MACHINE>"),
            (&line("/proc/sys/kernel/random/boot_id"), "<BOOT>"),
        ] {
            text = text.replace(value, token);
        }
        while let Some(at) = text.find("r-20") {
            let end =
                text[at + 2..].find(|c: char| !(c.is_ascii_hexdigit() || c == '-')).map_or(text.len(), |n| at + 2 + n);
            text.replace_range(at..end, "<RUN>");
        }
        text.lines().map(|line| counted(line) + "\n").collect()
    }
}

/// A daemon that does what it is told.
fn obey(apps: &mut [Value], method: &str, args: &Value) -> Result<Value, Value> {
    let id = args[0].as_u64().or_else(|| args[0]["id"].as_u64());
    let one = id.and_then(|id| apps.iter_mut().find(|app| app["pm_id"] == json!(id)));
    match (method, one) {
        ("stopProcessId", Some(app)) => {
            (app["pid"], app["pm2_env"]["status"]) = (json!(0), json!("stopped"));
            Ok(json!([app.clone()]))
        }
        ("restartProcessId" | "startProcessId", Some(app)) => {
            (app["pid"], app["pm2_env"]["status"]) = (json!(std::process::id()), json!("online"));
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            app["pm2_env"]["pm_uptime"] = json!(u64::try_from(now.as_millis()).unwrap());
            Ok(json!([app.clone()]))
        }
        ("stopWatch", _) => Ok(json!([])),
        _ => fakes::daemon(method, &json!(apps), "not understood"),
    }
}

/// Numbers, lengths of time and what is made of them are `#`; blanks do not count, because columns follow numbers.
fn counted(text: &str) -> String {
    let word = |word: &str| {
        let mut out = String::new();
        for c in word.chars() {
            // Digits of hexadecimal numbers go with the number that they are in.
            if c.is_ascii_digit() || (matches!(c, 'a'..='f' | '.' | ':') && out.ends_with('#')) {
                if !out.ends_with('#') {
                    while out.ends_with(['a', 'b', 'c', 'd', 'e', 'f']) {
                        out.pop();
                    }
                    out.push('#');
                }
            } else {
                out.push(c);
            }
        }
        out
    };
    let units = ["ms", "s", "m", "min", "h", "us"];
    let mut out: Vec<String> = Vec::new();
    for one in text.split_whitespace().map(word) {
        let unit = units.contains(&one.trim_end_matches([',', ';', ')', '.', '"']));
        match out.last_mut() {
            Some(last) if unit && last.ends_with('#') => {}
            _ => out.push(units.iter().fold(one, |one, unit| match one.strip_suffix(unit) {
                Some(number) if number.ends_with('#') => number.to_owned(),
                _ => one,
            })),
        }
    }
    // A time that rounds to nothing is not told.
    out.join(" ").replace(" in #", "")
}

/// What the records of the last run say, each on its line.
fn journal(place: &Place) -> Vec<String> {
    let text = place.bench.journal();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.splitn(4, ' ').nth(3)?).ok());
    // The baseline and the plan hold sizes of this machine; what their texts are is what counts here.
    records.map(|record| place.same(&record["checkpoint"].to_string())).collect()
}

/// Every place that something was written to, with the pieces of what was.
type Told = Vec<(String, BTreeSet<String>)>;

/// Everything that a run and the looks at it say and leave behind.
fn told_by(place: &mut Place, progress: &str, killed: bool) -> Told {
    let book = place.book.clone();
    let run = ["run", &book, "--yes", "--progress", progress];
    let mut all: Vec<(String, String)> = vec![("plan".into(), place.runbook(&["plan", &book, "--json"]))];
    if killed {
        let mut child = place.bench.start(&run);
        place.bench.until_journaled("\"item_intent\":{\"step\":\"hold-still/1\"");
        child.kill().unwrap();
        drop(ended(child, Duration::from_secs(10)));
        all.push(("status".into(), place.runbook(&["status"])));
        all.push(("resume".into(), place.runbook(&["resume", "--yes", "--progress", progress])));
    } else {
        all.push(("run".into(), place.runbook(&run)));
    }
    if progress == "json" {
        for (what, bytes) in place.bench.said.iter().filter(|(what, _)| what.contains("progress json (stdout)")) {
            let text = String::from_utf8_lossy(bytes);
            let broken = text.lines().find(|line| serde_json::from_str::<Value>(line).is_err());
            assert_eq!(broken, None, "{what}: a line that is no JSON");
        }
    }
    for words in [
        &["status", "--json"][..],
        &["history", "--json"],
        &["report", "--format", "json"],
        &["report", "--format", "md"],
        &["report", "--format", "html"],
        &["report", "--format", "junit"],
        &["journal", "show"],
        &["facts", &book],
    ] {
        all.push((words.join(" "), place.runbook(words)));
    }
    let end = place.bench.journal();
    // One of its commands fails, and the runbook goes on: a loss.
    assert!(end.contains("{\"finished\":{\"outcome\":\"done_with_losses\""), "no end: {:#?}", all[1]);
    assert_eq!(end.contains("\"resumed\""), killed, "{end}");
    let mut all: Vec<_> = all.into_iter().map(|(what, text)| (what, pieces(&text))).collect();
    all.push(("journal".into(), journal(place).into_iter().collect()));
    let rest = place.bench.state_files().into_iter().filter(|path| !path.to_string_lossy().contains("/snapshot/"));
    let rest = rest.filter(|path| !path.ends_with("journal") && !path.ends_with("head"));
    let rest: Vec<_> =
        rest.map(|path| pieces(&place.same(&String::from_utf8_lossy(&std::fs::read(path).unwrap())))).collect();
    all.push(("other files".into(), rest.into_iter().flatten().collect()));
    all
}

/// A text as the set of its pieces: how often a line of progress comes depends on the time that things take.
fn pieces(text: &str) -> BTreeSet<String> {
    text.split(['{', '}', '|', '<', '\n']).map(|piece| piece.trim().to_owned()).collect()
}

/// What is different with the values planted: pieces that no run without them has, and such as all of those have. What takes
/// its time is told or not as long as it takes, so a difference counts that comes back.
fn compare(what: &str, plain: &[Told], planted: impl Fn() -> Told) {
    let mut always: Option<BTreeSet<String>> = None;
    for _ in 0..3 {
        let mut found = BTreeSet::new();
        for (n, (sink, with)) in planted().iter().enumerate() {
            let marked: Vec<_> = with.iter().filter(|piece| piece.contains("[redacted]")).collect();
            assert!(marked.is_empty(), "{what}: {sink}: {marked:#?}");
            let without: Vec<&BTreeSet<String>> = plain.iter().map(|told| &told[n].1).collect();
            let more = with.iter().filter(|piece| !without.iter().any(|one| one.contains(*piece)));
            let less = without[0]
                .iter()
                .filter(|piece| without.iter().all(|one| one.contains(*piece)) && !with.contains(*piece));
            found.extend(more.map(|piece| format!("{sink}: only with it: {piece}")));
            found.extend(less.map(|piece| format!("{sink}: only without it: {piece}")));
        }
        let left: BTreeSet<String> = always.take().map_or(found.clone(), |before| &before & &found);
        if left.is_empty() {
            return;
        }
        always = Some(left);
    }
    panic!("{what}: {always:#?}");
}

/// Everything by which a run and what it works on are known, and words that this program itself says.
fn structural(place: &Place) -> Vec<String> {
    let path = |name: &str| place.bench.path(name).to_str().unwrap().to_owned();
    let mut all = vec![
        line("/etc/machine-id"),
        line("/proc/sys/kernel/random/boot_id"),
        line("/proc/sys/kernel/osrelease"),
        hostname(),
        place.digest.clone(),
        path("state"),
        path("state/runs"),
        path("pm2"),
        place.book.clone(),
        "/usr/bin/touch".to_owned(),
    ];
    let words = [
        "keeps-its-words",
        "save-apps/1",
        "stop-apps",
        "hold-still/1",
        "restore-apps",
        "billing-0",
        "default/billing-1",
        "/srv/a/index.js",
        "\"type\":",
        "\"checkpoint\":",
        "\"step_done\"",
        "step_started",
        "item_intent",
        "item_done",
        "FAILED",
        "applied",
        "already_so",
        "tolerated",
        "rebooted",
        "running",
        "Report    runbook report",
        "resume with",
        "nothing was begun",
        "runbook resume",
        "pm2_restored",
        "pm2_as_saved",
        "/bin/false",
        "exit status 1",
        "hostname",
        "machine_id",
        "runbook_sha256",
        "\",\"",
        "\":{\"",
        "00000000",
        "succeeded",
    ];
    all.extend(words.map(str::to_owned));
    all
}

#[test]
fn no_variable_of_an_app_changes_what_is_said_or_written() {
    let without = || told_by(&mut Place::new(|_| Vec::new()), "json", false);
    let plain = [without(), without()];
    assert!(plain[0].iter().any(|(_, pieces)| pieces.iter().any(|piece| piece.contains("<MACHINE>"))));
    let count = structural(&Place::new(|_| Vec::new())).len();
    // Some at a time, then all of them.
    let some = (0..count).step_by(12).map(|from| from..(from + 12).min(count));
    for range in some.chain(std::iter::once(0..count)) {
        let with = || told_by(&mut Place::new(|place| structural(place)[range.clone()].to_vec()), "json", false);
        compare(&format!("values {range:?}"), &plain, with);
    }
    figure(&format!(
        "structure: {count} values planted under {} names each: every file and output as without them",
        NAMES.len()
    ));
}

#[test]
fn nor_what_a_resume_finds_and_a_screen_shows() {
    for (progress, killed) in [("plain", false), ("json", true)] {
        let told = |values: &dyn Fn(&Place) -> Vec<String>| told_by(&mut Place::new(values), progress, killed);
        let plain = [told(&|_| Vec::new()), told(&|_| Vec::new())];
        compare(&format!("{progress}, killed: {killed}"), &plain, || told(&structural));
    }
}

/// One secret in each form of arguments, and a short one that only its key gives away: none comes back out of a command's output.
#[test]
fn what_a_key_stands_beside_is_hidden_in_what_services_say() {
    let mut bench = Bench::new();
    let said = "PASSWORD=zq-1 --token yq-2 redis://u:xq-3@h Authorization: Bearer wq-4 then kept-word";
    let text = format!(
        "version: 1\nname: says\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [/bin/sh, -c, 'cat said; exit 3'], repeatable: true }}\n",
        hostname()
    );
    let book = bench.file("says.yaml", &text.replace("cat said", &format!("cat {}", bench.file("said", said))));
    let output = bench.runbook(&["run", &book, "--yes", "--progress", "plain"]);
    let all = told(&output) + &bench.journal();
    assert!(all.contains("kept-word") && all.contains("PASSWORD=[redacted]"), "{all}");
    for secret in ["zq-1", "yq-2", "xq-3", "wq-4"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

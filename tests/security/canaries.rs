//! Planted secrets, each unique, in every place where secrets come in, repeated by services in five encodings; then every byte
//! that left the program is searched for them. Only the run's snapshot may hold any, and must.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, hostname, told, walk};
use super::{fakes, figure};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// One planted secret: a core that every textual encoding leaves alone, and characters that each of them changes.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    core: String,
    pub(crate) value: String,
}

impl Canary {
    pub(crate) fn new(n: usize) -> Self {
        // Well mixed, so that no core is a part of another and none looks like a word.
        let mixed = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let core = format!("Cnry{n:03}x{:010x}", mixed >> 24);
        let odd = ["'", "\"", "$x", "&", "%41", "/", "+=", "\\", "<>", "`"];
        Self { value: format!("{}{core}{}!", odd[n % 10], odd[(n / 10) % 10]), core }
    }

    /// As it is, in base64, percent-encoded, inside JSON, quoted for a shell.
    pub(crate) fn encodings(&self) -> [String; 5] {
        let value = &self.value;
        let percent = value.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() {
                out.push(byte.into())
            } else {
                write!(out, "%{byte:02X}").unwrap()
            }
            out
        });
        [
            value.clone(),
            base64(value.as_bytes()),
            percent,
            serde_json::to_string(value).unwrap(),
            format!("'{}'", value.replace('\'', "'\\''")),
        ]
    }

    /// What none of the encodings can hide: the core, and the core inside base64 at each offset.
    fn needles(&self) -> Vec<Vec<u8>> {
        let mut all = vec![self.core.clone().into_bytes()];
        for offset in 0..3 {
            let text = base64(format!("{}{}", "\0".repeat(offset), self.core).as_bytes());
            let (from, to) = ((offset * 8usize).div_ceil(6), (offset + self.core.len()) * 8 / 6);
            all.push(text.as_bytes()[from..to].to_vec());
        }
        all
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let sum = (0..3).fold(0u32, |sum, n| sum << 8 | u32::from(group.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let digit = char::from(DIGITS[usize::try_from(sum >> (18 - 6 * n) & 63).unwrap()]);
            out.push(if n <= group.len() { digit } else { '=' });
        }
    }
    out
}

/// All five encodings of some canaries, an encoding on a line, as a careless service prints them.
fn gossip(canaries: &[Canary]) -> String {
    (0..5).fold(String::new(), |mut out, n| {
        let line: Vec<String> = canaries.iter().map(|canary| canary.encodings()[n].clone()).collect();
        writeln!(out, "{}", line.join(" ")).unwrap();
        out
    })
}

/// A real Redis, or none on this machine.
struct Redis(Child, u16, #[expect(dead_code, reason = "deleted when dropped")] tempfile::TempDir);

impl Redis {
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--appendonly",
            "yes",
            "--save",
            "",
            "--dir",
        ]);
        command.arg(dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self(child, port, dir));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("redis-server does not listen on {port}");
    }

    fn user(&self, name: &str, password: &str) {
        let password = format!(">{password}");
        let words = ["ACL", "SETUSER", name, "on", &password, "~*", "+@all"];
        let mut ask = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| write!(ask, "${}\r\n{word}\r\n", word.len()).unwrap());
        let mut stream = TcpStream::connect(("127.0.0.1", self.1)).unwrap();
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = [0; 5];
        std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
        assert_eq!(&answer, b"+OK\r\n");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const REDIS: usize = 90;
const HEADERS: usize = 20;
const APPS: usize = 60;
const URLS: usize = 40;

/// Where a secret is kept, in turn: file, credential, environment.
fn keep(bench: &mut Bench, n: usize, canary: &Canary) -> String {
    match n % 3 {
        0 => format!("{{ file: {} }}", bench.file(&format!("secrets/{n}"), &canary.value)),
        1 => {
            bench.file(&format!("credentials/c{n}"), &canary.value);
            format!("{{ credential: c{n} }}")
        }
        _ => {
            bench.env.push((format!("PLANTED_{n}"), canary.value.clone()));
            format!("{{ env: PLANTED_{n} }}")
        }
    }
}

/// The environment of an app: a password, a token, a whole address; which of them the canary is goes by its number.
fn environment(n: usize, canary: &Canary) -> serde_json::Value {
    match n % 3 {
        0 => json!({ "DB_PASSWORD": canary.value, "NODE_ENV": "production" }),
        1 => json!({ "API_TOKEN": canary.value, "PORT": "3005" }),
        _ => {
            json!({ "DATABASE_URL": format!("postgres://app:{}@db:5432/x", canary.encodings()[2]), "SMTP_KEY": canary.value })
        }
    }
}

struct Planted {
    bench: Bench,
    canaries: Vec<Canary>,
    book: String,
    gossiping: String,
    refused: String,
    _redis: Redis,
}

fn plant() -> Option<Planted> {
    let Some(redis) = Redis::start() else {
        figure("skipped: canaries: no redis-server");
        return None;
    };
    let mut bench = Bench::new();
    let canaries: Vec<Canary> = (0..REDIS + HEADERS + APPS + URLS).map(Canary::new).collect();
    let (passwords, rest) = canaries.split_at(REDIS);
    let (headers, rest) = rest.split_at(HEADERS);
    let (apps, urls) = rest.split_at(APPS);
    let known = [passwords, headers, apps].concat();

    // Whoever talks, talks about every secret that the program may know by then.
    let all = known.clone();
    let tattling = move |words: &[Vec<u8>]| match words[0].to_ascii_uppercase().as_slice() {
        b"PING" => b"+PONG\r\n".to_vec(),
        _ => {
            let said = words.last().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
            let known = all.iter().find(|canary| canary.value == said);
            let said = known.map_or(said, |canary| canary.encodings().join(" "));
            format!("-ERR what is {said}\r\n").into_bytes()
        }
    };
    let (gossip_port, _) = fakes::redis(tattling);
    let body = serde_json::to_string(&json!({ "said": gossip(headers) })).unwrap();
    let http = fakes::http(move |_| body.clone());

    let home = bench.path("pm2");
    std::fs::create_dir(&home).unwrap();
    let flag = bench.path("flag");
    let list: Vec<_> = apps
        .iter()
        .enumerate()
        .map(|(n, canary)| {
            let log = bench.file(&format!("logs/{n}.log"), &gossip(std::slice::from_ref(canary)));
            fakes::app(&format!("app-{n:02}"), u32::try_from(n).unwrap(), &log, environment(n, canary))
        })
        .collect();
    let (flagged, refusal) = (flag.clone(), gossip(apps).replace('\n', " | "));
    fakes::pm2(
        &home,
        Box::new(move |method, args| {
            let mut now = json!(list);
            if flagged.exists() {
                // Half of the apps refuse to start, the others start and are given up at once.
                for (n, app) in now.as_array_mut().unwrap().iter_mut().enumerate() {
                    app["pid"] = json!(0);
                    app["pm2_env"]["status"] = json!(if n % 2 == 0 { "stopped" } else { "errored" });
                    app["pm2_env"]["pm_uptime"] = json!(9 + method.len());
                }
            }
            if method == "restartProcessId" && args[0]["id"].as_u64().is_some_and(|id| id % 2 == 1) {
                return Ok(json!([]));
            }
            let about = args[0]["id"]
                .as_u64()
                .and_then(|id| list.get(usize::try_from(id).ok()?))
                .map(|app| app["pm2_env"]["env"].to_string());
            fakes::daemon(method, &now, &format!("cannot: {} {refusal}", about.unwrap_or_default()))
        }),
    );

    let mut inventory = String::new();
    for (n, canary) in passwords.iter().enumerate() {
        redis.user(&format!("u{n}"), &canary.value);
        let place = keep(&mut bench, n, canary);
        writeln!(
            inventory,
            "  r{n}: {{ url: \"redis://127.0.0.1:{}\", user: u{n}, role: master, password: {place} }}",
            redis.1
        )
        .unwrap();
    }
    bench.env.push(("CREDENTIALS_DIRECTORY".into(), bench.path("credentials").to_str().unwrap().into()));
    let mut checks = String::new();
    for (n, canary) in headers.iter().enumerate() {
        let place = keep(&mut bench, 1000 + n, canary);
        writeln!(checks, "            - http: {{ url: \"http://127.0.0.1:{http}/{n}\", headers: {{ Authorization: {place} }}, json: {{ \"$.said\": {{ eq: ok }} }}, required: false }}").unwrap();
    }
    let mut noise = String::new();
    for (n, some) in known.chunks(8).enumerate() {
        let text = bench.file(&format!("noise/{n}"), &gossip(some));
        writeln!(noise, "      - command: {{ argv: [/bin/sh, -c, \"cat {text} {text} >&2; cat {text}; sleep 0.02; exit 3\"] }}\n        on_failure: continue").unwrap();
    }
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let head = |name: &str| format!("version: 1\nname: {name}\nhosts: [{}]\n", hostname());
    let text = format!(
        "{}redis:\n{inventory}pm2:\n  svc: {{ user: {}, home: {} }}\nphases:\n  - name: save\n    steps:\n      - pm2_saved: {{ pm2: svc }}\n  \
         - name: gate\n    steps:\n      - healthy:\n          checks:\n            - redis: {{ instances: all, role: master }}\n{checks}\
         \x20 - name: noise\n    steps:\n{noise}      - command: {{ argv: [/usr/bin/touch, {}], repeatable: true }}\n  \
         - name: restore\n    steps:\n      - pm2_restored: {{ pm2: svc }}\n        within: 60s\n        on_failure: continue\n  \
         - name: last\n    steps:\n      - healthy:\n          checks:\n            - http: {{ url: \"http://127.0.0.1:{http}/last\", status: 200 }}\n        within: 2s\n",
        head("planted"),
        user.trim(),
        home.display(),
        flag.display(),
    );
    let book = bench.file("planted.yaml", &text);
    let redirected = inventory.replace(&format!(":{}\"", redis.1), &format!(":{gossip_port}\""));
    let gossiping = format!(
        "{}redis:\n{redirected}phases:\n  - name: gate\n    steps:\n      - healthy: {{ checks: [ {{ redis: {{ instances: all, role: master }} }} ] }}\n        within: 3s\n",
        head("gossiping")
    );
    let gossiping = bench.file("gossiping.yaml", &gossiping);
    let mut refused =
        format!("{}phases:\n  - name: gate\n    steps:\n      - healthy:\n          checks:\n", head("refused"));
    for canary in urls {
        for form in canary.encodings() {
            let (user, query) = (format!("http://app:{form}@127.0.0.1/"), format!("https://127.0.0.1/x?token={form}"));
            writeln!(
                refused,
                "            - http: {{ url: {} }}\n            - http: {{ url: {} }}",
                json!(user),
                json!(query)
            )
            .unwrap();
        }
    }
    let refused = bench.file("refused.yaml", &refused);
    Some(Planted { bench, canaries, book, gossiping, refused, _redis: redis })
}

/// Looks at the arguments and environments of the program and of everything below it, until told to stop. A variable that the
/// operator gave the program is in its own environment by the operator's will, and must be in no other.
fn watch(
    pid: u32,
    needles: Vec<(usize, Vec<u8>)>,
    over: Arc<AtomicBool>,
) -> std::thread::JoinHandle<(usize, Vec<String>)> {
    let read = |pid: u32, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    std::thread::spawn(move || {
        let (mut looks, mut found) = (0, Vec::new());
        while !over.load(Ordering::Relaxed) {
            let parents: BTreeMap<u32, u32> = std::fs::read_dir("/proc")
                .unwrap()
                .flatten()
                .filter_map(|entry| {
                    let pid = entry.file_name().to_str()?.parse().ok()?;
                    let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
                    Some((pid, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
                })
                .collect();
            let below = |mut one: u32| {
                (0..20).any(|_| {
                    let hit = one == pid;
                    one = parents.get(&one).copied().unwrap_or(0);
                    hit
                })
            };
            let own = read(pid, "cmdline");
            for &one in parents.keys().filter(|one| below(**one)) {
                let mut looked = vec![("cmdline", read(one, "cmdline"))];
                // A child that has not become another program yet is a copy of this one, arguments and all. Looked at in this
                // order, a child that is another program by its arguments is one by its environment, too.
                if one != pid && looked[0].1 != own {
                    looked.push(("environ", read(one, "environ")));
                }
                for (file, bytes) in looked {
                    looks += usize::from(!bytes.is_empty());
                    found.extend(hits(&bytes, &needles).map(|n| format!("canary {n} in /proc/{one}/{file}")));
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        (looks, found)
    })
}

fn hits<'a>(bytes: &'a [u8], needles: &'a [(usize, Vec<u8>)]) -> impl Iterator<Item = usize> + 'a {
    // A map by the first bytes: a thousand needles in some megabytes would take minutes otherwise.
    let mut starts: BTreeMap<&[u8], Vec<&(usize, Vec<u8>)>> = BTreeMap::new();
    needles.iter().for_each(|needle| starts.entry(&needle.1[..6]).or_default().push(needle));
    let mut found = Vec::new();
    for at in 0..bytes.len().saturating_sub(6) {
        for (n, needle) in starts.get(&bytes[at..at + 6]).into_iter().flatten() {
            if bytes[at..].starts_with(needle) {
                found.push(*n);
            }
        }
    }
    found.into_iter()
}

#[test]
fn no_planted_secret_leaves_the_program() {
    let Some(mut planted) = plant() else { return };
    let needles: Vec<(usize, Vec<u8>)> = planted
        .canaries
        .iter()
        .enumerate()
        .flat_map(|(n, canary)| canary.needles().into_iter().map(move |needle| (n, needle)))
        .collect();
    let bench = &mut planted.bench;
    let (book, facts) = (planted.book.as_str(), bench.path("facts.json"));
    let facts = facts.to_str().unwrap().to_owned();
    let junit = bench.path("plan.xml");
    let junit = junit.to_str().unwrap().to_owned();

    for words in [&["check"][..], &["show"], &["plan"], &["run", "--yes"], &["facts"]] {
        let (verb, more) = words.split_first().unwrap();
        let output = bench.runbook(&[&[*verb, planted.refused.as_str()], more].concat());
        assert_eq!(output.status.code(), Some(3), "{verb}: {}", told(&output));
    }
    for words in [
        &["check", "--json"][..],
        &["plan", "-v"],
        &["plan", "--json"],
        &["facts"],
        &["run", "--yes"],
        &["plan", "--save"],
    ] {
        let (verb, more) = words.split_first().unwrap();
        bench.runbook(&[&[*verb, planted.gossiping.as_str()], more].concat());
    }
    // What was begun there must not own the host.
    bench.runbook(&["abort"]);
    for words in [
        &["show"][..],
        &["plan", "-v"],
        &["plan", "--json"],
        &["plan", "--save"],
        &["plan", "--junit", &junit],
        &["facts"],
        &["facts", "-o", &facts],
    ] {
        let (verb, more) = words.split_first().unwrap();
        bench.runbook(&[&[*verb, book], more].concat());
    }
    bench.runbook(&["rehearse", book, "--offline", &facts, "--speed", "100000", "--yes"]);
    bench.runbook(&["rehearse", book, "--offline", &facts, "--speed", "100000", "--yes", "--progress", "live"]);

    let (looks, mut leaks) = watched_run(bench, &["run", book, "--yes", "--progress", "plain", "-v"], &needles);
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["history"],
        &["history", "--json"],
        &["report"],
        &["resume", "--progress", "json"],
        &["resume", "--progress", "live"],
        &["report", "--format", "md"],
        &["report", "--format", "html"],
        &["report", "--format", "json"],
        &["report", "--format", "junit"],
        &["abort"],
        &["report", "-v"],
    ] {
        bench.runbook(words);
    }
    side_paths(bench, &planted.canaries);

    let mut sinks: Vec<(String, Vec<u8>)> = std::mem::take(&mut bench.said);
    let mut snapshots = Vec::new();
    for path in bench.state_files().into_iter().chain([PathBuf::from(&facts), PathBuf::from(&junit)]) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if path.to_string_lossy().contains("/snapshot/") {
            snapshots.extend(bytes)
        } else {
            sinks.push((path.display().to_string(), bytes))
        }
    }
    let total: usize = sinks.iter().map(|(_, bytes)| bytes.len()).sum();
    for (sink, bytes) in &sinks {
        leaks.extend(hits(bytes, &needles).map(|n| format!("canary {n} in {sink}")));
    }
    let marks: usize =
        sinks.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).matches("[redacted]").count()).sum();
    let kept: std::collections::BTreeSet<usize> = hits(&snapshots, &needles).collect();
    figure(&format!(
        "canaries: {} planted x 5 encodings, {} sinks ({total} bytes, {marks} places redacted), {looks} looks into /proc: {} found; the snapshot keeps {}",
        planted.canaries.len(),
        sinks.len() + 1,
        leaks.len(),
        kept.len()
    ));
    leaks.sort();
    leaks.dedup();
    assert!(leaks.is_empty(), "{} leaks: {:#?}", leaks.len(), &leaks[..leaks.len().min(30)]);
    assert!(planted.canaries.len() >= 200 && looks > 50 && marks > 500, "the services did tell");
    assert_eq!(kept.len(), APPS, "the restore needs every environment");
}

fn watched_run(bench: &mut Bench, words: &[&str], needles: &[(usize, Vec<u8>)]) -> (usize, Vec<String>) {
    let child = bench.start(words);
    let over = Arc::new(AtomicBool::new(false));
    let watcher = watch(child.id(), needles.to_vec(), Arc::clone(&over));
    let output = child.wait_with_output().unwrap();
    over.store(true, Ordering::Relaxed);
    bench.keep("run", &output);
    let said = told(&output);
    assert!(said.contains("last/1") && output.status.code() == Some(1), "the run got to its last gate: {said}");
    assert!(bench.journal().contains("restore/1"), "{said}");
    watcher.join().unwrap()
}

/// Sinks that are not asked by any command here: notices, panics, a wrapped screen, formatted errors.
fn side_paths(bench: &mut Bench, canaries: &[Canary]) {
    use runbook::host::{notice, secret::SecretRef};
    let known = &canaries[..REDIS + HEADERS + APPS];
    for (n, canary) in known.iter().enumerate() {
        let file = bench.file(&format!("again/{n}"), &canary.value);
        assert!(SecretRef::File(file.into()).read().is_ok());
    }
    let motd = bench.path("motd.d");
    let socket = bench.path("log");
    let syslog = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let mut heard = Vec::new();
    for canary in known {
        for form in canary.encodings() {
            // Notices are our sentences: what somebody else said comes into them through the door.
            let form = runbook::host::foreign::tame(&form, 400);
            let text = format!("it said {form}\nand Next: {form}");
            notice::put_login_note(&motd, &text).unwrap();
            notice::syslog(&socket, notice::Severity::Error, &text).unwrap();
            let mut line = [0; 2048];
            let count = syslog.recv(&mut line).unwrap();
            heard.extend_from_slice(&line[..count]);
            heard.extend(std::fs::read(motd.join("50-runbook")).unwrap());
        }
    }
    bench.said.push(("syslog and login note".into(), heard));
    bench.said.push(("panic".into(), panics(bench, known)));
}

/// A panic whose message has every secret, in a process of its own.
fn panics(bench: &Bench, canaries: &[Canary]) -> Vec<u8> {
    let mut all = Vec::new();
    for (n, canary) in canaries.iter().enumerate().step_by(10) {
        let file = bench.file(&format!("again/{n}"), &canary.value);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "canaries::the_child_that_panics", "--nocapture", "--test-threads=1"]);
        let output = command.env("RUNBOOK_TEST_PANIC", file).env("RUST_BACKTRACE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("a bug of this program") && said.matches("[redacted]").count() >= 5, "{said}");
        all.extend(output.stderr);
        all.extend(output.stdout);
    }
    all
}

#[test]
fn the_child_that_panics() {
    let Some(file) = std::env::var_os("RUNBOOK_TEST_PANIC") else { return };
    runbook::cli::guard_secrets();
    let secret = runbook::host::secret::SecretRef::File(file.into()).read().ok().unwrap();
    let canary = Canary { core: String::new(), value: secret.reveal().to_owned() };
    panic!("it was {}", canary.encodings().join(" and "));
}

/// A signal that would leave a core file leaves none, although the shell allows it.
#[test]
fn there_is_no_core_to_look_into() {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let bench = Bench::new();
    let text = format!(
        "version: 1\nname: core\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [sleep, \"30\"], repeatable: true }}\n",
        hostname()
    );
    let book = bench.file("core.yaml", &text);
    let dumped = |program: &str, words: &[&str]| {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let dir = bench.path(&format!("cwd-{turn}"));
        std::fs::create_dir(&dir).unwrap();
        let script = format!("ulimit -c unlimited && cd {} && exec \"$0\" \"$@\"", dir.display());
        let mut command = bench.command(&[]);
        let mut child = Command::new("bash")
            .arg("-c")
            .arg(script)
            .arg(program)
            .args(words)
            .envs(command.env("X", "1").get_envs().filter_map(|(k, v)| Some((k, v?))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if words.first() == Some(&"run") {
            bench.until_journaled("item_intent")
        } else {
            std::thread::sleep(Duration::from_millis(300))
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::SEGV).unwrap();
        let status = child.wait().unwrap();
        let mut files = Vec::new();
        walk(&dir, &mut files);
        (std::os::unix::process::ExitStatusExt::core_dumped(&status), files)
    };
    let (control, _) = dumped("sleep", &["30"]);
    let (ours, files) = dumped(env!("CARGO_BIN_EXE_runbook"), &["run", &book, "--yes"]);
    assert!(!ours && files.is_empty(), "{files:?}");
    figure(&format!(
        "core: runbook killed by SIGSEGV with `ulimit -c unlimited`: no core; a control that may: {}",
        if control { "has one" } else { "has none either, on this machine" }
    ));
}

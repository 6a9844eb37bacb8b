//! Neighbours that say more than anybody has to say, or say it too slowly: a daemon, a Redis, a web server, a runbook. Each is looked at by
//! the real program, which must end in time, in 64 MiB, with an exit code of its own, and still see the neighbours beside it.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Bench, hostname, told};
use super::{fakes, figure};

/// What a bounded look takes at most. A busy machine adds to it, which is nothing that the program could help.
const WITHIN: Duration = Duration::from_secs(10);
const BUSY: Duration = Duration::from_secs(30);
/// The most memory, in KiB.
const PEAK: u64 = 64 << 10;

/// Something that is written to whoever asked.
pub(super) type Flood = fn(&mut dyn Write, &[u8]) -> std::io::Result<()>;

/// A daemon that is civil until it is asked for its list.
pub(super) fn daemon(home: &Path, flood: Flood) {
    std::fs::create_dir_all(home).unwrap();
    let listener = UnixListener::bind(home.join("rpc.sock")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                while let Some(args) = fakes::frame(&mut stream) {
                    let call: serde_json::Value = serde_json::from_slice(&args[0][2..]).unwrap();
                    let method = call["method"].as_str().unwrap_or_default();
                    let done = if method == "getMonitorData" {
                        flood(&mut stream, &args[1])
                    } else {
                        let body = fakes::daemon(method, &json!([]), "no")
                            .map_or_else(|error| json!({ "error": error }), |value| json!({ "args": [value] }));
                        answer(&mut stream, format!("j:{body}").as_bytes(), &args[1])
                    };
                    if done.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn answer(to: &mut dyn Write, body: &[u8], id: &[u8]) -> std::io::Result<()> {
    let mut out = vec![0x12];
    for arg in [body, id] {
        out.extend_from_slice(&u32::try_from(arg.len()).unwrap().to_be_bytes());
        out.extend_from_slice(arg);
    }
    to.write_all(&out)
}

/// A list of `bytes` bytes, `unit` over and over.
fn list(to: &mut dyn Write, id: &[u8], unit: &str, count: usize) -> std::io::Result<()> {
    let body = format!("j:{{\"args\":[[{}{}]]}}", unit.repeat(count), unit.trim_end_matches(','));
    answer(to, body.as_bytes(), id)
}

/// A list of apps that differ in their numbers, each with `more` in it.
fn apps(to: &mut dyn Write, id: &[u8], count: usize, more: &str) -> std::io::Result<()> {
    let one = |n: usize| {
        format!(
            "{{\"pid\":1,\"pm_id\":{n},\"pm2_env\":{{\"name\":\"a{n}\",\"pm_id\":{n},\"status\":\"online\",\"env\":{{}},\"pm_cwd\":\"/\",{more}}}}}"
        )
    };
    let all: Vec<String> = (0..count).map(one).collect();
    answer(to, format!("j:{{\"args\":[[{}]]}}", all.join(",")).as_bytes(), id)
}

fn drip(to: &mut dyn Write, head: &[u8]) -> std::io::Result<()> {
    to.write_all(head)?;
    loop {
        to.write_all(b" ")?;
        std::thread::sleep(Duration::from_millis(500));
    }
}

pub(super) const DAEMONS: [(&str, i32, Flood); 14] = [
    ("400 KB of numbers", 5, |to, id| list(to, id, "0,", 200_000)),
    ("60 MB of numbers", 5, |to, id| list(to, id, "0,", 30_000_000)),
    ("60 MB of empty apps", 5, |to, id| list(to, id, "{},", 20_000_000)),
    ("60 MB of lists", 5, |to, id| list(to, id, "[],", 20_000_000)),
    ("60 MB of nothing", 5, |to, id| list(to, id, "null,", 12_000_000)),
    ("one app of 60 MB", 5, |to, id| apps(to, id, 1, &format!("\"x\":\"{}\"", "y".repeat(60 << 20)))),
    ("one app of a million values", 5, |to, id| apps(to, id, 1, &format!("\"x\":[{}0]", "0,".repeat(1_000_000)))),
    ("a deep app", 5, |to, id| apps(to, id, 1, &format!("\"x\":{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000)))),
    ("brackets", 5, |to, id| answer(to, &[b"j:", "[".repeat(60 << 20).as_bytes()].concat(), id)),
    ("names of 3,000 apps", 5, |to, id| apps(to, id, 3_000, &format!("\"pm_exec_path\":\"{}\"", "y".repeat(1_024)))),
    ("secrets of 1,000 apps", 0, |to, id| {
        let secrets: String = (0..200).map(|n| format!(",\"S{n}_TOKEN\":\"SECRET\"")).collect();
        let one = |n: usize| {
            let own = secrets.replace("SECRET", &format!("s3cret-{n}-{}", "k".repeat(100)));
            format!(
                "{{\"pid\":1,\"pm_id\":{n},\"pm2_env\":{{\"name\":\"a{n}\",\"pm_id\":{n},\"status\":\"online\",\"env\":{{\"A\":\"\"{own}}}}}}}"
            )
        };
        let all: Vec<String> = (0..1_000).map(one).collect();
        answer(to, format!("j:{{\"args\":[[{}]]}}", all.join(",")).as_bytes(), id)
    }),
    ("a frame that is announced and never ends", 5, |to, _| drip(to, b"\x12\x03\xff\xff\xff")),
    ("a list that never ends", 5, |to, _| drip(to, b"\x12\x03\xff\xff\x00j:{\"args\":[[")),
    ("frames of nothing", 5, |to, _| {
        loop {
            to.write_all(&[0x10; 4096])?;
        }
    }),
];

/// A server that is asked once, and floods.
fn server(flood: fn(&mut dyn Write) -> std::io::Result<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let _asked = stream.read(&mut [0; 4096]);
                drop(flood(&mut stream));
            });
        }
    });
    port
}

fn over_and_over(to: &mut dyn Write, head: &[u8], unit: &[u8]) -> std::io::Result<()> {
    to.write_all(head)?;
    let many = unit.repeat(1 + 8192 / unit.len());
    loop {
        to.write_all(&many)?;
    }
}

type Server = (&'static str, fn(&mut dyn Write) -> std::io::Result<()>);

const REDISES: [Server; 8] = [
    ("an endless line", |to| over_and_over(to, b"+", b"x")),
    ("512 MiB in one text", |to| over_and_over(to, b"$536870912\r\n", b"x")),
    ("two thousand million numbers", |to| over_and_over(to, b"*2147483647\r\n", b":0\r\n")),
    ("lists in lists", |to| over_and_over(to, b"", b"*1\r\n")),
    ("pushes", |to| over_and_over(to, b"", b">2\r\n+a\r\n+b\r\n")),
    ("attributes", |to| over_and_over(to, b"", b"|1\r\n+a\r\n+b\r\n")),
    ("a byte at a time", |to| drip(to, b"+PO")),
    ("silence", |_| {
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    }),
];

const PAGES: [Server; 6] = [
    ("endless headers", |to| over_and_over(to, b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")),
    ("an endless header", |to| over_and_over(to, b"HTTP/1.1 200 OK\r\nX-A: ", b"b")),
    ("an endless body", |to| over_and_over(to, b"HTTP/1.1 200 OK\r\n\r\n", b"[0,")),
    ("endless pieces", |to| over_and_over(to, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n0\r\n")),
    ("a body byte by byte", |to| drip(to, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")),
    ("a redirect", |to| to.write_all(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")),
];

/// Runs the program to its end; the largest resident set that was seen of it, and how long it took.
fn measured(bench: &Bench, words: &[&str]) -> (Output, u64, Duration) {
    let began = Instant::now();
    let (out, err) = (bench.path("out"), bench.path("err"));
    let file = |path: &PathBuf| Stdio::from(std::fs::File::create(path).unwrap());
    let mut child = bench.command(words).stdout(file(&out)).stderr(file(&err)).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let size = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak = peak.max(size.unwrap_or(0));
        if began.elapsed() > 4 * BUSY {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let status = child.wait().unwrap();
    let took = began.elapsed();
    let read = |path| std::fs::read(path).unwrap();
    (Output { status, stdout: read(&out), stderr: read(&err) }, peak, took)
}

/// Whatever was said must have been said in bounds.
fn judge(what: &str, code: i32, (output, peak, took): (Output, u64, Duration)) -> Output {
    figure(&format!("bounds: {what}: exit {:?}, {} ms, {} MiB", output.status.code(), took.as_millis(), peak >> 10));
    assert_eq!(output.status.code(), Some(code), "{what}: {}", told(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(peak < PEAK, "{what}: {peak} KiB");
    assert!(took < BUSY, "{what}: {took:?}, {WITHIN:?} are promised on a machine that is not busy");
    output
}

pub(super) fn me() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// Two users' daemons, one of which is hostile: the other's list is planned for all the same.
#[test]
fn a_hostile_daemon_costs_a_bounded_look_and_hides_nobody() {
    for (what, code, flood) in DAEMONS {
        let bench = Bench::new();
        daemon(&bench.path("bad"), flood);
        let good = bench.path("good");
        std::fs::create_dir_all(&good).unwrap();
        let listed = json!([fakes::app("healthy-one", 0, "/dev/null", json!({ "NODE_ENV": "production" }))]);
        fakes::pm2(&good, Box::new(move |method, _| fakes::daemon(method, &listed, "no")));
        let (bad, user) = (bench.path("bad"), me());
        let book = bench.file(
            "two.yaml",
            &format!(
                "version: 1\nname: two\nhosts: [{}]\npm2:\n  bad: {{ user: {user}, home: {} }}\n  good: {{ user: {user}, home: {} }}\n\
                 phases:\n  - name: save\n    steps:\n      - pm2_saved: {{ pm2: bad, allow_fewer: true }}\n      - pm2_saved: {{ pm2: good }}\n",
                hostname(),
                bad.display(),
                good.display()
            ),
        );
        let output = judge(what, code, measured(&bench, &["plan", &book]));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 apps: 1 online"), "{what}: {}", told(&output));
    }
}

#[test]
fn hostile_servers_are_heard_in_bounds() {
    for (what, flood) in REDISES {
        let bench = Bench::new();
        let text = format!(
            "version: 1\nname: redis\nhosts: [{}]\nredis:\n  a: {{ url: \"redis://127.0.0.1:{}\", unit: redis-server@a.service, role: master }}\n\
             phases:\n  - name: a\n    steps:\n      - redis_compacted: {{}}\n",
            hostname(),
            server(flood)
        );
        let book = bench.file("redis.yaml", &text);
        let (output, peak, took) = measured(&bench, &["plan", &book]);
        let code = output.status.code().unwrap_or(-1);
        assert!([4, 5].contains(&code), "{what}: {}", told(&output));
        judge(&format!("redis: {what}"), code, (output, peak, took));
    }
    for (what, flood) in PAGES {
        let bench = Bench::new();
        let text = format!(
            "version: 1\nname: http\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - healthy: {{ checks: [ {{ http: {{ url: \"http://127.0.0.1:{}/\", status: 200, json: {{ \"$.a\": {{ eq: b }} }} }} }} ] }}\n",
            hostname(),
            server(flood)
        );
        let book = bench.file("http.yaml", &text);
        let (output, peak, took) = measured(&bench, &["plan", &book]);
        let code = output.status.code().unwrap_or(-1);
        assert!([0, 4, 5].contains(&code), "{what}: {}", told(&output));
        judge(&format!("http: {what}"), code, (output, peak, took));
    }
}

/// Runbooks that unfold, nest or repeat: refused, and in the memory that a small one takes.
#[test]
fn a_runbook_cannot_unfold() {
    let mut laughs = "version: 1\nname: x\na: &a [l,l,l,l,l,l,l,l,l]\n".to_owned();
    for (last, next) in ('a'..='h').zip('b'..='i') {
        laughs += &format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(","));
    }
    let long =
        format!("version: 1\nname: x\ndoc: &d \"{}\"\nphases: [{}]\n", "y".repeat(500_000), vec!["*d"; 999].join(","));
    let many = format!("version: 1\nx: &x [{}1]\nphases:\n{}", "1,".repeat(2_000), "- *x\n".repeat(990));
    let cases = [
        ("a billion laughs", laughs),
        ("a long text again and again", long),
        ("a list again and again", many),
        ("an anchor inside of itself", "version: 1\nname: x\nphases: &p [*p]\n".to_owned()),
        ("a megabyte of brackets", "[".repeat(1_000_000)),
        ("a megabyte of maps", "{a: ".repeat(250_000)),
        ("a megabyte of dashes", "- ".repeat(500_000)),
        ("a hundred thousand anchors", format!("version: 1\nphases:\n{}", "- &a 1\n".repeat(100_000))),
        ("two hundred thousand mistakes", format!("version: 1\nphases:\n{}", "- a\n".repeat(200_000))),
        ("as many in one line", format!("{{version: 1, phases: [{}]}}\n", "a,".repeat(200_000))),
        ("unknown keys", format!("version: 1\n{}", (0..90_000).map(|n| format!("k{n}: 1\n")).collect::<String>())),
        ("equal keys", format!("version: 1\n{}", "doc: x\n".repeat(120_000))),
        ("passwords in one line", format!("version: 1\ndoc: \"{}\"\n", "password: {".repeat(90_000))),
        ("a text of a megabyte", format!("version: 1\nname: \"{}\"\n", "x".repeat(1_000_000))),
        ("comments", format!("version: 1\n{}", "# x\n".repeat(1_000_000))),
    ];
    for (what, text) in cases {
        let bench = Bench::new();
        let book = bench.file("bomb.yaml", &text);
        let (output, peak, took) = measured(&bench, &["check", &book]);
        assert!(took < WITHIN, "{what}: {took:?}");
        judge(&format!("yaml: {what}"), 3, (output, peak, took));
    }
}

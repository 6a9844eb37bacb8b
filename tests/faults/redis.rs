//! Faults of a real Redis, met by the program itself: a private server on a socket or a free port of the loopback, made to fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::seen::Seen;
use crate::support::program::{Place, Said, hostname};

/// A server of our own on a socket in the place of a test; only its own process is ever ended.
struct Server {
    child: Child,
    socket: String,
}

impl Server {
    /// Starts one with these arguments after the usual ones; `None` (said) where there is no redis-server.
    fn start(place: &Place, name: &str, args: &[&str]) -> Option<Self> {
        let dir = place.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("s").to_str().unwrap().to_owned();
        let mut command = Command::new("redis-server");
        command.current_dir(&dir).args(["--port", "0", "--unixsocket", &socket, "--dir", dir.to_str().unwrap()]);
        command.args(["--appendonly", "yes", "--save", "", "--logfile", dir.join("log").to_str().unwrap()]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: no redis-server");
            return None;
        };
        let server = Self { child, socket };
        until("the server listens", || UnixStream::connect(&server.socket).is_ok());
        Some(server)
    }

    /// Says one inline command and gives the answer.
    fn tell(&self, words: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap_or_default();
        text
    }

    /// Asks for something that forks: the child keeps the connection open, so only the first line of the answer is read.
    fn fork(&self, words: &str) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
    }

    fn url(&self) -> String {
        format!("unix://{}", self.socket)
    }

    /// Keys that a rewrite takes a while for: a millisecond each.
    fn slow(&self, keys: u32) {
        self.tell(&format!("EVAL \"for i=1,{keys} do redis.call('SET','key:'..i,'v') end\" 0"));
        self.tell("CONFIG SET rdb-key-save-delay 1000");
    }

    /// The child that it forked.
    fn forked(&self) -> Pid {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let mut found = None;
        until("a forked child", || {
            found = std::fs::read_to_string(&path).ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
            found.is_some()
        });
        Pid::from_raw(found.unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "waited a minute in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A runbook with one instance `a` at this address and these steps.
fn book(url: &str, more: &str, steps: &str) -> String {
    format!(
        "version: 1\nname: tiny\nhosts: [{}]\nredis:\n  a: {{ url: \"{url}\", role: master{more} }}\nphases:\n  - name: a\n    steps:\n{steps}",
        hostname()
    )
}

const COMPACT: &str = "      - redis_compacted: { instances: all }\n";

/// What is said, without the place's own path.
fn seen(said: &Said, place: &Place) -> Seen {
    let dir = place.path("");
    Seen::err(said).with(dir.to_str().unwrap().trim_end_matches('/'), "/srv")
}

/// Plans a compaction of the server, which is refused.
fn refused(id: &str, words: &str, place: &Place, url: &str, more: &str) {
    let path = place.file("tiny.yaml", &book(url, more, COMPACT));
    let said = place.runbook(&["run", &path, "--yes"]);
    said.exits(5).says(words).says("nothing was changed");
    assert_eq!(place.state().iter().filter(|(path, _)| path.ends_with("journal")).count(), 0, "no run was begun");
    seen(&said, place).from("runbook:").is(id);
}

#[test]
fn doors_that_do_not_open_refuse_the_run() {
    let place = Place::new();
    let Some(server) = Server::start(&place, "locked", &["--requirepass", "hunter2"]) else { return };
    let wrong = place.file("wrong.pass", "hunter3\n");
    let password = |path: &str| format!(", password: {{ file: \"{path}\" }}");
    refused("R10", "refused the user or password", &place, &server.url(), &password(&wrong));
    for said in place.state() {
        assert!(!String::from_utf8_lossy(&said.1).contains("hunter"));
    }

    let Some(server) = Server::start(&place, "acl", &[]) else { return };
    server.tell("ACL SETUSER ops on >hunter2 ~* +@all -config -bgrewriteaof");
    let right = place.file("right.pass", "hunter2\n");
    refused("R11", "NOPERM", &place, &server.url(), &format!(", user: ops{}", password(&right)));

    let Some(server) = Server::start(&place, "renamed", &["--rename-command", "BGREWRITEAOF", "hidden"]) else {
        return;
    };
    refused("R14", "knows no command BGREWRITEAOF", &place, &server.url(), "");

    let Some(server) = Server::start(&place, "full", &["--maxclients", "1"]) else { return };
    let mut only = None;
    until("the only place is taken", || {
        let mut stream = UnixStream::connect(&server.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut answer = [0; 5];
        let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
        only = Some(stream);
        asked.is_ok() && &answer == b"+PONG"
    });
    refused("R15", "a: redis", &place, &server.url(), "");
}

#[test]
fn a_hostile_reply_is_cut_and_refused() {
    let place = Place::new();
    let socket = place.path("hostile");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(Result::ok) {
            // An array of a thousand million elements, and a bulk that never ends.
            let _ = stream.write_all(b"*1000000000\r\n$2000000000\r\n");
            let chunk = [b'x'; 65536];
            while stream.write_all(&chunk).is_ok() {}
        }
    });
    let began = Instant::now();
    refused("R16", "redis", &place, &format!("unix://{}", socket.display()), "");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_rewrite_that_fails_stops_the_run_and_is_made_again_by_a_resume() {
    let place = Place::new();
    let Some(server) = Server::start(&place, "a", &[]) else { return };
    server.slow(20_000);
    let path = place.file("tiny.yaml", &book(&server.url(), "", COMPACT));
    let child = place.start(&["run", &path, "--yes", "--progress", "plain"]);
    kill_process(server.forked(), Signal::KILL).unwrap();
    let said: Said = child.wait_with_output().unwrap().into();
    said.exits(5).says("the rewrite child failed");
    seen(&said, &place).from("Stopped by").is("R1");
    server.tell("CONFIG SET rdb-key-save-delay 0");
    place.runbook(&["resume", "--progress", "plain"]).exits(0);
}

#[test]
fn a_rewrite_behind_a_snapshot_is_waited_for() {
    let place = Place::new();
    let Some(server) = Server::start(&place, "a", &[]) else { return };
    server.slow(15_000);
    server.fork("BGSAVE");
    // The child goes on slowly; the rewrite behind it shall not.
    server.tell("CONFIG SET rdb-key-save-delay 0");
    let path = place.file("tiny.yaml", &book(&server.url(), "", COMPACT));
    let said = place.runbook(&["run", &path, "--yes", "--progress", "plain"]);
    said.exits(0).says("a BGSAVE is running, so a rewrite would only be scheduled");
    Seen::err(&said).from("a BGSAVE is running").while_indented().is("R4");
}

#[test]
fn a_failover_in_the_middle_of_a_run_stops_it_before_the_next_rewrite() {
    let place = Place::new();
    let Some(server) = Server::start(&place, "a", &[]) else { return };
    let flag = place.path("flag");
    let waits = format!("      - command: {{ argv: [test, -e, \"{}\"], repeatable: true }}\n", flag.display());
    let path = place.file("tiny.yaml", &book(&server.url(), "", &format!("{COMPACT}{waits}{COMPACT}")));
    place.runbook(&["run", &path, "--yes"]).exits(1);
    std::fs::write(&flag, "").unwrap();
    server.tell("REPLICAOF 127.0.0.1 1");
    let said = place.runbook(&["resume", "--progress", "plain"]);
    said.exits(1).says("is a replica of 127.0.0.1:1 now");
    seen(&said, &place).from("Stopped by").is("O8");
    server.tell("REPLICAOF NO ONE");
    place.runbook(&["resume", "--progress", "plain"]).exits(0);
}

/// A server that has begun to read a file that takes it long.
fn loading(place: &Place) -> Option<Server> {
    let dir = place.path("slow/appendonlydir");
    std::fs::create_dir_all(&dir).unwrap();
    write_increment(&dir, 400_000);
    Server::start(place, "slow", &["--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024"])
}

/// Commands as Redis 7 keeps them: no base, one increment.
fn write_increment(dir: &Path, sets: usize) {
    let mut text = String::from("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
    for n in 0..sets {
        let key = format!("key:{}", n % 1000);
        text.push_str(&format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\nv\r\n", key.len()));
    }
    std::fs::write(dir.join("appendonly.aof.1.incr.aof"), text).unwrap();
    std::fs::write(dir.join("appendonly.aof.manifest"), "file appendonly.aof.1.incr.aof seq 1 type i\n").unwrap();
}

#[test]
fn a_load_is_waited_for_with_its_progress_until_the_limit() {
    let place = Place::new();
    let Some(server) = loading(&place) else { return };
    let steps = "      - redis_loaded: { instances: all }\n        within: 3s\n";
    let path = place.file("tiny.yaml", &book(&server.url(), "", steps));
    let said = place.runbook(&["run", &path, "--yes", "--progress", "plain"]);
    assert_ne!(said.code, 0, "{said:?}");
    said.says("loading");
    let kept = seen(&said, &place).from("Stopped by").number_after("loading ");
    kept.only(&["Stopped", "Everything", "items", "FAILED", "means", "Continue", "Give up"])
        .cut_after("loading #")
        .is("R5");
}

#[test]
fn a_replica_whose_link_is_down_does_not_pass_the_gate() {
    let place = Place::new();
    let Some(server) = Server::start(&place, "a", &["--replicaof", "127.0.0.1 1"]) else { return };
    let gate = "      - healthy: { checks: [ { redis: { instances: all, link: up } } ] }\n        within: 5s\n";
    let text = book(&server.url(), "", gate).replace("role: master", "role: replica");
    let path = place.file("tiny.yaml", &text);
    let said = place.runbook(&["run", &path, "--yes", "--progress", "plain"]);
    assert_ne!(said.code, 0, "{said:?}");
    seen(&said, &place).from("Stopped by").is("R18");
}

#[test]
fn another_role_than_planned_does_not_pass_the_gate() {
    let place = Place::new();
    let Some(server) = Server::start(&place, "a", &["--replicaof", "127.0.0.1 1"]) else { return };
    let gate = "      - healthy: { checks: [ { redis: { instances: all, role: master } } ] }\n        within: 5s\n";
    let path = place.file("tiny.yaml", &book(&server.url(), "", gate));
    let said = place.runbook(&["run", &path, "--yes", "--progress", "plain"]);
    assert_ne!(said.code, 0, "{said:?}");
    seen(&said, &place).from("Stopped by").is("R8");
}

#[test]
fn tls_is_wanted_and_cannot_be_had() {
    let place = Place::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let Some(_server) = Server::start(&place, "a", &["--port", &port]) else { return };
    let plain = place.file("tls.yaml", &book(&format!("rediss://127.0.0.1:{port}"), "", COMPACT));
    let said = place.runbook(&["plan", &plain]);
    seen(said.exits(5).says("is this the plain port?"), &place).from("runbook:").is("R12");
}

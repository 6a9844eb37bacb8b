//! The protocol of Redis, and a server whose every answer is a choice.
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::server::{Say, Talk, play};
use super::site::{HOSTILE, Site};
use crate::bench::{hostname, is_root};

/// What a server does with a command, given as its words in capitals.
pub(super) type Script = dyn Fn(&[String]) -> Say + Send + Sync;

/// A conversation after this script.
pub(super) fn talk(script: Arc<Script>) -> Arc<Talk> {
    Arc::new(move |stream| {
        while let Some(words) = command(stream) {
            if !play(stream, &script(&words)) {
                return;
            }
        }
    })
}

fn command(from: &mut (impl Read + ?Sized)) -> Option<Vec<String>> {
    let count: usize = line(from)?.strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length: usize = line(from)?.strip_prefix('$')?.parse().ok()?;
        let mut word = vec![0; length + 2];
        from.read_exact(&mut word).ok()?;
        word.truncate(length);
        words.push(String::from_utf8_lossy(&word).to_uppercase());
    }
    Some(words)
}

fn line(from: &mut (impl Read + ?Sized)) -> Option<String> {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while all.len() < 64 && from.read_exact(&mut byte).is_ok() {
        match byte[0] {
            b'\n' => return String::from_utf8(all).ok(),
            b'\r' => {}
            other => all.push(other),
        }
    }
    None
}

pub(super) fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(super) fn array(items: &[&[u8]]) -> Vec<u8> {
    items.iter().fold(format!("*{}\r\n", items.len()).into_bytes(), |mut all, item| {
        all.extend(bulk(item));
        all
    })
}

/// A server in all its answers: what INFO says and what the settings are.
#[derive(Clone)]
pub(super) struct Facade {
    pub(super) info: String,
    pub(super) settings: Vec<(String, Vec<u8>)>,
}

impl Facade {
    /// A master with an append-only file, process `pid`, working in the hostile directory.
    pub(super) fn new(site: &Site, pid: u32) -> Self {
        let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/redis-7.0.15-idle.txt");
        let info = std::fs::read_to_string(recorded).unwrap();
        let dir = site.path("redis").display().to_string();
        let info = info.replace("process_id:1098", &format!("process_id:{pid}"));
        let info = info.replace("/etc/redis/redis.conf", &format!("{dir}/redis.conf"));
        let settings = [
            ("APPENDONLY", "yes"),
            ("DIR", dir.as_str()),
            ("APPENDFILENAME", "appendonly.aof"),
            ("APPENDDIRNAME", "appendonlydir"),
            ("DBFILENAME", "dump.rdb"),
            ("SAVE", ""),
            ("MAXMEMORY", "0"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        Self { info, settings }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.into()));
    }

    /// The answer of a server without tricks.
    pub(super) fn answer(&self, words: &[String]) -> Say {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Say::Bytes(match words.as_slice() {
            ["PING", ..] => b"+PONG\r\n".to_vec(),
            ["INFO", ..] => bulk(self.info.as_bytes()),
            ["ROLE"] => b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_vec(),
            ["COMMAND", ..] => b"*1\r\n*1\r\n$12\r\nbgrewriteaof\r\n".to_vec(),
            ["CONFIG", "GET", name] => match self.settings.iter().find(|(known, _)| known == name) {
                Some((_, value)) => array(&[name.to_lowercase().as_bytes(), value]),
                None => b"*0\r\n".to_vec(),
            },
            _ => b"+OK\r\n".to_vec(),
        })
    }
}

/// A process of the hostile owner that works in this directory and does nothing.
pub(super) struct Idle(Child);

impl Idle {
    pub(super) fn new(site: &Site) -> Self {
        let mut command = Command::new("sleep");
        command.arg("600").current_dir(site.path("redis"));
        if is_root() {
            std::os::unix::process::CommandExt::uid(&mut command, HOSTILE);
        }
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

/// The runbooks for a server at this address, and the calls of a variant.
pub(super) fn calls(number: usize, site: &Site, url: &str) -> Vec<Vec<String>> {
    let head = format!(
        "version: 1\nname: red\nhosts: [{}]\nredis:\n  a: {{ url: \"{url}\", role: master, required: true }}\nphases:\n",
        hostname()
    );
    let gate = "  - name: gate\n    steps:\n      - healthy: { checks: [ { redis: { instances: all, role: master, keys_at_least: 90% } } ] }\n        within: 2s\n";
    let work = "  - name: compact\n    steps:\n      - redis_compacted: { instances: [a], min_saving: 0s }\n        within: 3s\n  - name: load\n    steps:\n      - redis_loaded: { instances: [a] }\n        within: 3s\n";
    let look = site.bench.file("books/look.yaml", &format!("{head}{gate}"));
    let all = site.bench.file("books/all.yaml", &format!("{head}{work}{gate}"));
    let words = |words: &[&str]| super::call(words);
    match number % 7 {
        0 | 3 => vec![words(&["plan", &all])],
        1 => vec![words(&["plan", &all, "--json"]), words(&["status"])],
        2 => vec![words(&["facts", &look]), words(&["doctor", &look])],
        4 => vec![words(&["run", &look, "--yes", "--progress", "plain"]), words(&["report"])],
        5 => vec![words(&["run", &all, "--yes", "--progress", "json"])],
        _ => vec![words(&["plan", &all, "-v"]), words(&["plan", &all, "--by-hand"])],
    }
}

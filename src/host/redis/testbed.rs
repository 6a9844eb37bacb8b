//! Test support: a private Redis in a temporary directory, and recorded INFO texts. Never the machine's own server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::facts;
use super::info::Fields;
use super::seen::{RedisFacts, RedisSeen};
use super::{RedisAt, RedisKind, look};

/// The text of a recorded INFO of Redis 7.0.15.
pub(crate) fn recording(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/redis-7.0.15-{name}.txt"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The facts of a recorded INFO.
pub(crate) fn recorded(name: &str) -> RedisFacts {
    facts::facts(&Fields::parse(&recording(name))).expect("a recorded INFO has all fields")
}

/// A private server on a Unix socket (and a port, if asked for); its process is killed when dropped.
pub(crate) struct Testbed {
    pub(crate) dir: tempfile::TempDir,
    child: Option<Child>,
    args: Vec<String>,
}

impl Testbed {
    /// Starts a server and waits until it listens; `None`, with a word, where there is no redis-server.
    pub(crate) async fn start(args: &[&str]) -> Option<Self> {
        let Some(_) = binary() else {
            skipped();
            return None;
        };
        let dir = tempfile::Builder::new().prefix("runbook-redis-").tempdir().unwrap();
        let mut bed = Self { dir, child: None, args: args.iter().map(|arg| (*arg).to_owned()).collect() };
        bed.boot(&[]).await;
        Some(bed)
    }

    /// Starts the server (again), with these arguments after the usual ones, and with the file `conf` if there is one.
    pub(crate) async fn boot(&mut self, more: &[&str]) {
        self.kill();
        let log = std::fs::File::create(self.path("log")).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a private server for tests")]
        let mut command = Command::new(binary().unwrap());
        if self.path("conf").exists() {
            command.arg(self.path("conf"));
        }
        command
            .current_dir(self.dir.path())
            .args(["--port", "0", "--unixsocket", self.path("s").to_str().unwrap()])
            .args(["--dir", self.dir.path().to_str().unwrap(), "--appendonly", "yes", "--save", ""])
            .args(&self.args)
            .args(more)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null());
        let _ = std::fs::remove_file(self.path("s"));
        self.child = Some(command.spawn().unwrap());
        until("the server listens", async || tokio::net::UnixStream::connect(self.path("s")).await.ok()).await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn at(&self) -> RedisAt {
        let url = format!("unix://{}", self.path("s").display());
        RedisAt { url, user: None, password: None, kind: RedisKind::Redis, tls: None }
    }

    /// Looks, and insists on facts.
    pub(crate) async fn seen(&self) -> RedisSeen {
        let seen = look(&self.at()).await;
        assert!(seen.facts.is_some(), "{seen:?}");
        seen
    }

    /// One command, as the default user without a password.
    pub(crate) async fn tell(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.at().url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut connection).await
    }

    /// Writes this many keys of 50 bytes.
    pub(crate) async fn fill(&self, keys: u32) {
        let script = "for i = 1, ARGV[1] do redis.call('SET', 'key:' .. i, string.rep('v', 50)) end";
        self.tell(&["EVAL", script, "0", &keys.to_string()]).await.unwrap();
    }

    /// The child that redis forked, by the kernel's word.
    pub(crate) async fn forked(&self) -> u32 {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        until("a child was forked", async || {
            std::fs::read_to_string(&path).ok()?.split_whitespace().next()?.parse().ok()
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // A forked child outlives its server and would go on writing into the directory that is being removed.
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        let forked = std::fs::read_to_string(path).unwrap_or_default();
        let _ = child.kill();
        let _ = child.wait();
        for pid in forked.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to one process that we (or our server) started.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Tries every 20 ms, for at most 30 s.
pub(crate) async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1500 {
        if let Some(value) = holds().await {
            return value;
        }
        pause(20).await;
    }
    panic!("waited 30 s in vain until {what}");
}

#[expect(clippy::disallowed_methods, reason = "tests against a real server wait in real time")]
pub(crate) async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Writes a data set by hand as Redis 7 keeps it: no base, one increment of `sets` commands of `value` bytes each, over `keys` keys.
pub(crate) fn write_increment(dir: &Path, sets: usize, keys: usize, value: usize) -> u64 {
    let dir = dir.join("appendonlydir");
    std::fs::create_dir_all(&dir).unwrap();
    let mut text = String::from("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
    let filler = "v".repeat(value);
    for n in 0..sets {
        let key = format!("key:{}", n % keys);
        write!(text, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${value}\r\n{filler}\r\n", key.len()).unwrap();
    }
    std::fs::write(dir.join("appendonly.aof.1.incr.aof"), &text).unwrap();
    std::fs::write(dir.join("appendonly.aof.manifest"), "file appendonly.aof.1.incr.aof seq 1 type i\n").unwrap();
    text.len() as u64
}

/// The server under test: the installed one, or the one that `RUNBOOK_TEST_REDIS` named when the tests were built (another
/// version, or Valkey).
fn binary() -> Option<PathBuf> {
    let named = option_env!("RUNBOOK_TEST_REDIS").map(PathBuf::from);
    let usual = ["/usr/bin", "/usr/local/bin", "/bin"].map(|dir| Path::new(dir).join("redis-server"));
    named.into_iter().chain(usual).find(|path| path.exists())
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn skipped() {
    println!("skipped: no redis-server on this machine");
}

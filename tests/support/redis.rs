//! A Redis of our own on a free port of the loopback, ended with the test. Only its own process is ever ended.
#![expect(clippy::print_stdout, reason = "a skipped test says why")]
#![expect(clippy::disallowed_methods, reason = "tests start programs of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A running server.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
    dir: TempDir,
}

impl Redis {
    /// Starts one with an append-only file; `None` (said) where there is no redis-server.
    pub(crate) fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // Free at this moment; a clash would show as a server that does not answer.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""])
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            println!("skipped: no redis-server");
            return None;
        };
        let redis = Self { child, port, dir };
        for _ in 0..100 {
            if redis.ask("PING").is_some_and(|answer| answer.starts_with("+PONG")) {
                return Some(redis);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("redis-server does not answer on {port}");
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Sends inline commands and gives what came back within a moment.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes the same keys over and over, so that the append-only file grows far beyond the data.
    pub(crate) fn bloat(&self) {
        let value = "x".repeat(1000);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let batch: String = (0..10_000).map(|n| format!("SET k{} {value}\r\n", n % 10)).collect();
        let reader = {
            let mut stream = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all);
            })
        };
        stream.write_all(format!("{batch}QUIT\r\n").as_bytes()).unwrap();
        reader.join().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

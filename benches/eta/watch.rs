//! One real load, recorded: what was seen at each look, what the server said of itself in the same breath, when it was ready.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use runbook::host::redis::{AofFile, AofFiles, Layout, load_progress};

use crate::real_loads::{Server, ask, field};
use crate::replay::Load;

/// Between two looks. A run looks once a second, at loads of minutes.
const EVERY: Duration = Duration::from_millis(200);

/// Starts a server on the data in `dir` and watches it until it is ready.
pub fn watch(binary: &Path, dir: &Path, name: &str) -> io::Result<Load> {
    let files = files(dir);
    let server = Server::start(binary, dir)?;
    let mut connection = server.connect()?;
    let since = |at: Timestamp| (at - server.started).total(jiff::Unit::Second).unwrap_or(f64::NAN);
    let mut pts = Vec::new();
    let version = loop {
        let asked = Timestamp::now();
        let info = ask(&mut connection, "INFO")?;
        if field(&info, "loading") == Some("0") {
            break field(&info, "redis_version").unwrap_or_default().to_owned();
        }
        let said = field(&info, "loading_eta_seconds").and_then(|text| text.parse().ok());
        if let (Some(seen), Some(said)) = (load_progress(server.pid(), &files), said)
            && let (Some(bytes), Some(cpu)) = (seen.bytes_read_total, seen.cpu_secs)
        {
            pts.push((since(Timestamp::now()), bytes, cpu, said, seen.runqueue_secs.unwrap_or(-1.0)));
        }
        std::thread::sleep(EVERY.saturating_sub(Duration::try_from(Timestamp::now() - asked).unwrap_or_default()));
    };
    let cpu = load_progress(server.pid(), &files).and_then(|seen| seen.cpu_secs).unwrap_or(f64::NAN);
    let ready = server.ready_at().map_or(f64::NAN, since);
    Ok(Load {
        run: String::new(),
        name: name.to_owned(),
        tag: format!("rd{version}"),
        base: files.base_bytes(),
        incr: files.incr_bytes(),
        ready,
        cpu,
        pts,
        counted: None,
    })
}

/// The files of a data set that was written here.
pub fn files(dir: &Path) -> AofFiles {
    let dir = dir.join("appendonlydir");
    let file = |name: &str| {
        let bytes = std::fs::metadata(dir.join(name)).ok()?.len();
        Some(AofFile { name: name.to_owned(), seq: 1, bytes })
    };
    AofFiles {
        dir: dir.display().to_string(),
        layout: Layout::Manifest,
        base: file("appendonly.aof.1.base.rdb"),
        incrs: file("appendonly.aof.1.incr.aof").into_iter().collect(),
        missing: Vec::new(),
    }
}

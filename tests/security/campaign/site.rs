//! Where a variant happens: a hostile owner's place, a neighbour who must not notice, and a tree that must not change.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::amp;
use super::server::Server;
use crate::bench::{Bench, is_root, mode, walk};
use crate::fakes;

/// The hostile owner, the neighbour and a third: ids that nobody has.
pub(super) const HOSTILE: u32 = 61_001;
pub(super) const NEIGHBOUR: u32 = 61_002;
pub(super) const STRANGER: u32 = 61_003;
/// Secrets of the neighbour and of root. In no output, and in no file of ours.
pub(super) const CANARIES: [&str; 2] = ["neighbour-Secret-7741", "root-Secret-9b1c"];

/// The place of one variant.
pub(super) struct Site {
    pub(super) bench: Bench,
    called: Arc<Mutex<Vec<String>>>,
    /// The neighbour is named by the runbook, too.
    pub(super) invited: bool,
    _neighbour: Server,
}

impl Site {
    pub(super) fn new() -> Self {
        let bench = Bench::new();
        mode(&bench.path(""), 0o755);
        for (dir, owner) in [
            ("mallory", HOSTILE),
            ("mallory/.pm2", HOSTILE),
            ("redis", HOSTILE),
            ("neighbour", NEIGHBOUR),
            ("root", 0),
            ("bin", 0),
        ] {
            fs::create_dir(bench.path(dir)).unwrap();
            give(&bench.path(dir), owner);
        }
        mode(&bench.path("neighbour"), 0o700);
        bench.file("root/shadow", CANARIES[1]);
        fs::create_dir(bench.path("root/cron.d")).unwrap();
        bench.file("bin/pm2", "#!/usr/bin/env node\n");
        mode(&bench.path("bin/pm2"), 0o755);
        let app = fakes::app("victim", 0, "/srv/log", json!({ "DB_PASSWORD": CANARIES[0] }));
        let list = json!([app]).to_string();
        let script = move |method: &str, _: &_, id: &[u8]| amp::usual(method, id, list.as_bytes());
        let socket = bench.path("neighbour/rpc.sock");
        give_before_listening(&bench.path("neighbour"));
        let (neighbour, called) = amp::daemon(&socket, NEIGHBOUR, Arc::new(script));
        Self { bench, called, invited: false, _neighbour: neighbour }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.bench.path(name)
    }

    /// The hostile owner's PM2 home, in a directory that is also theirs.
    pub(super) fn home(&self, name: &str) -> PathBuf {
        self.path("mallory/.pm2").join(name)
    }

    /// Writes a file of the hostile owner.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        give(&path, HOSTILE);
        path
    }

    pub(super) fn command(&self, words: &[String]) -> Command {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.bench.command(&words)
    }

    /// Everything that is not ours to change: kind, mode, owner, size and content of each file.
    pub(super) fn listing(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        for dir in ["mallory", "redis", "neighbour", "root", "bin"] {
            look(&self.path(dir), &mut all);
        }
        all
    }

    /// What differs from `before`.
    pub(super) fn changed(&self, before: &BTreeMap<PathBuf, String>) -> Vec<String> {
        let after = self.listing();
        let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
        let differ = paths.filter(|path| before.get(*path) != after.get(*path));
        differ.map(|path| format!("{}: {:?} became {:?}", path.display(), before.get(path), after.get(path))).collect()
    }

    /// Harm that was done to the neighbour and to root's secrets.
    pub(super) fn harmed(&self) -> Vec<String> {
        let mut harm = Vec::new();
        // Without root all of them are one user, who may look at everything here.
        if !is_root() {
            return harm;
        }
        let called = self.called.lock().unwrap();
        for method in called.iter() {
            let looks = ["ping", "getVersion", "getReport", "getMonitorData", "methods"].contains(&method.as_str());
            if !(self.invited && looks) {
                harm.push(format!("the neighbour's daemon was called: {method}"));
            }
        }
        let mut files = Vec::new();
        walk(&self.path("state"), &mut files);
        for file in files {
            let bytes = fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            for canary in CANARIES {
                // The snapshot of a place that the runbook names keeps its environment on purpose.
                let kept = self.invited && file.to_string_lossy().contains("/snapshot/neighbour");
                if text.contains(canary) && !kept {
                    harm.push(format!("`{canary}` is in {}", file.display()));
                }
            }
        }
        harm
    }
}

/// The neighbour's thread is not root and must be able to bind in its home.
fn give_before_listening(dir: &Path) {
    give(dir, NEIGHBOUR);
}

pub(super) fn give(path: &Path, uid: u32) {
    if is_root() {
        lchown(path, Some(uid), Some(uid)).unwrap();
    }
}

fn look(path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let content = if meta.is_file() && meta.len() < 1 << 20 {
        fs::read(path).map(|bytes| crc(&bytes)).unwrap_or_default()
    } else {
        0
    };
    // A directory's size and times change with what is in it, which is told anyway.
    let size = if meta.is_dir() { 0 } else { meta.len() };
    all.insert(path.to_owned(), format!("mode {:o}, uid {}, {size} bytes, {content:x}", meta.mode(), meta.uid()));
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            look(&entry.path(), all);
        }
    }
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(17_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

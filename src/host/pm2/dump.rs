//! PM2's own saved list, `dump.pm2`: what a boot would bring back. Read with suspicion, never written here: PM2 writes it
//! in place without a sync, rewrites it when it is told to end, and deletes it when it does not parse.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::Status;
use super::place::read_owned;
use crate::host::foreign::{Shown, named, tame};

/// Largest saved list accepted, in bytes.
pub const DUMP_MAX: u64 = 64 << 20;

/// One entry, without its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpEntry {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Status at the time of the save.
    pub status: Status,
}

/// What the saved list looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DumpSeen {
    /// There is none.
    Missing,
    /// It cannot be read safely: a link, another owner, too large, no access.
    Unreadable {
        /// Reason.
        why: Shown,
    },
    /// It is not a JSON list; a resurrect would delete it.
    Unparsable {
        /// Reason.
        why: String,
    },
    /// It parses.
    Read {
        /// Its entries in file order.
        entries: Vec<DumpEntry>,
    },
}

impl DumpSeen {
    /// The entries, none when there is no readable list.
    #[must_use]
    pub fn entries(&self) -> &[DumpEntry] {
        if let Self::Read { entries } = self { entries } else { &[] }
    }

    /// How many entries have which status, by PM2's words.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries() {
            *counts.entry(entry.status.word().to_owned()).or_insert(0) += 1;
        }
        counts
    }
}

/// Reads a saved list of user `uid`. Blocking.
#[must_use]
pub fn read_dump(path: &Path, uid: u32) -> DumpSeen {
    match read_owned(path, uid, DUMP_MAX) {
        Ok(bytes) => parse_dump(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => DumpSeen::Missing,
        Err(error) => DumpSeen::Unreadable { why: tame(&error.to_string(), 200) },
    }
}

/// The entries inside the bytes of a saved list.
#[must_use]
pub fn parse_dump(bytes: &[u8]) -> DumpSeen {
    match serde_json::from_slice::<Vec<Option<Saved>>>(bytes) {
        Err(error) => DumpSeen::Unparsable { why: format!("line {}, column {}", error.line(), error.column()) },
        Ok(all) => DumpSeen::Read { entries: all.into_iter().map(|saved| saved.unwrap_or_default().entry()).collect() },
    }
}

/// One entry as it is read: a list holds every environment twice, and of all that three texts are kept.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Saved {
    namespace: Value,
    name: Value,
    status: Value,
}

impl Saved {
    fn entry(&self) -> DumpEntry {
        let text = |value: &Value, unset: &str| named(value.as_str().unwrap_or(unset), 200);
        DumpEntry {
            namespace: text(&self.namespace, "default"),
            name: text(&self.name, ""),
            status: Status::read(&text(&self.status, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_counted_and_broken_ones_named() {
        let dump = parse_dump(br#"[{"name":"a","status":"online","env":{}},{"name":"b","status":"stopped"},{"name":"c","status":"stopped"}]"#);
        assert_eq!(dump.counts(), BTreeMap::from([("online".into(), 1), ("stopped".into(), 2)]));
        assert_eq!(dump.entries()[1].name, "b");
        assert!(matches!(parse_dump(b"[{\"name\":"), DumpSeen::Unparsable { .. }));
        assert!(matches!(parse_dump(b"{}"), DumpSeen::Unparsable { .. }));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_dump(&dir.path().join("dump.pm2"), 0), DumpSeen::Missing);
    }
}

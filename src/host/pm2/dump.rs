//! PM2's own saved list, `dump.pm2`: what a boot would bring back. Read with suspicion, never written here: PM2 writes it
//! in place without a sync, rewrites it when it is told to end, and deletes it when it does not parse.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::Status;
use super::cutter::{Cutter, Place, Refusal};
use super::place::open_owned;
use super::trimmed::Small;
use crate::host::foreign::{Shown, named, tame};

/// Largest saved list accepted, in bytes.
pub const DUMP_MAX: u64 = 64 << 20;
/// All names that are kept of one list, in bytes.
const TEXTS_MAX: usize = 2 << 20;

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
    /// It is not a JSON list.
    Unparsable {
        /// Reason.
        why: String,
        /// PM2 may read it all the same: it takes the file for JavaScript, where commas, comments and other quotes are fine. If not,
        /// a resurrect deletes it.
        #[serde(default)]
        may_be_read: bool,
        /// How many apps the list before it holds (`dump.pm2.bak`), which PM2 turns to then.
        #[serde(default)]
        backup: usize,
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
    let read = open_owned(path, uid).and_then(|file| match file.metadata()?.len() {
        ..=DUMP_MAX => parse_from(file.take(DUMP_MAX)),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {DUMP_MAX} bytes"))),
    });
    match read {
        Ok(DumpSeen::Unparsable { why, .. }) => second_look(path, uid, why),
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::NotFound => DumpSeen::Missing,
        Err(error) => DumpSeen::Unreadable { why: tame(&error.to_string(), 200) },
    }
}

/// Whether PM2 may read what is no JSON, and what it has instead.
fn second_look(path: &Path, uid: u32, why: String) -> DumpSeen {
    let may_be_read = open_owned(path, uid).is_ok_and(|file| closes(file.take(DUMP_MAX)).unwrap_or(true));
    let backup = open_owned(&path.with_extension("pm2.bak"), uid).and_then(|file| parse_from(file.take(DUMP_MAX)));
    let backup = backup.map_or(0, |seen| seen.entries().len());
    DumpSeen::Unparsable { why, may_be_read, backup }
}

/// Whether every bracket, quote and comment of a text of JavaScript is closed: a list that broke off is read by nobody.
fn closes(mut file: impl Read) -> io::Result<bool> {
    let (mut open, mut inside, mut last, mut any) = (Vec::new(), Inside::Code, 0, false);
    let mut room = vec![0; 64 << 10];
    loop {
        let count = match file.read(&mut room) {
            Ok(0) => return Ok(any && open.is_empty() && matches!(inside, Inside::Code | Inside::Line)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &room[..count] {
            any |= !byte.is_ascii_whitespace();
            inside = match (inside, byte) {
                (Inside::Code, b'"' | b'\'' | b'`') => Inside::Text(byte),
                (Inside::Code, b'/') if last == b'/' => Inside::Line,
                (Inside::Code, b'*') if last == b'/' => Inside::Comment,
                (Inside::Code, b'(' | b'[' | b'{') if open.len() < DEEPEST => {
                    open.push(byte);
                    Inside::Code
                }
                (Inside::Code, b')' | b']' | b'}') => match (open.pop(), byte) {
                    (Some(b'('), b')') | (Some(b'['), b']') | (Some(b'{'), b'}') => Inside::Code,
                    _ => return Ok(false),
                },
                (Inside::Text(_), _) if last == b'\\' => {
                    // What is behind a backslash ends nothing, nor does it escape anything itself.
                    last = 0;
                    continue;
                }
                (Inside::Text(quote), _) if quote == byte => Inside::Code,
                (Inside::Line, b'\n') | (Inside::Comment, b'/') if byte == b'\n' || last == b'*' => Inside::Code,
                (same, _) => same,
            };
            last = byte;
        }
    }
}

/// Brackets inside each other of which is kept count.
const DEEPEST: usize = 10_000;

/// Where in a text of JavaScript one is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Inside {
    Code,
    /// With the quote that ends it.
    Text(u8),
    /// A comment up to the end of the line.
    Line,
    Comment,
}

/// The entries inside the bytes of a saved list.
#[cfg(any(test, feature = "fuzzing"))]
#[must_use]
pub fn parse_dump(bytes: &[u8]) -> DumpSeen {
    parse_from(bytes).unwrap_or(DumpSeen::Missing)
}

/// Entry by entry: a list of many apps is never held as a whole.
fn parse_from(mut file: impl Read) -> io::Result<DumpSeen> {
    let (mut cutter, mut entries, mut texts) = (Cutter::new(Place::Whole), Vec::new(), 0);
    let mut room = vec![0; 64 << 10];
    loop {
        let count = match file.read(&mut room) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let cut = cutter.push(&room[..count], |_, entry| {
            let saved = serde_json::from_slice::<Saved>(entry)
                .map_err(|error| Refusal::Unwanted(format!("app {}, column {}", entries.len() + 1, error.column())))?;
            let entry = saved.entry();
            texts += entry.namespace.len() + entry.name.len();
            if texts > TEXTS_MAX {
                return Err(Refusal::Unwanted(format!("more than {} MiB of names", TEXTS_MAX >> 20)));
            }
            entries.push(entry);
            Ok(())
        });
        if let Err(refusal) = cut {
            return Ok(broken(refusal.to_string()));
        }
    }
    let (rest, whole) = cutter.finish();
    Ok(match serde_json::from_slice::<[(); 0]>(&rest) {
        Ok([]) if whole => DumpSeen::Read { entries },
        _ => broken(format!("it breaks off, or goes on, behind app {}", entries.len())),
    })
}

/// No list, by its first look.
fn broken(why: String) -> DumpSeen {
    DumpSeen::Unparsable { why, may_be_read: false, backup: 0 }
}

/// One entry as it is read: a list holds every environment twice, and of all that three texts are kept.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Saved {
    namespace: Small,
    name: Small,
    status: Small,
}

impl Saved {
    fn entry(&self) -> DumpEntry {
        let text = |value: &Value, unset: &str| named(value.as_str().unwrap_or(unset), 200);
        DumpEntry {
            namespace: text(&self.namespace.0, "default"),
            name: text(&self.name.0, ""),
            status: Status::read(&text(&self.status.0, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pm2_itself_may_read_is_told_from_what_broke_off() {
        let dir = tempfile::tempdir().unwrap();
        let (path, uid) = (dir.path().join("dump.pm2"), rustix::process::getuid().as_raw());
        let look = |text: &str| {
            std::fs::write(&path, text).unwrap();
            match read_dump(&path, uid) {
                DumpSeen::Unparsable { may_be_read, backup, .. } => (may_be_read, backup),
                other => panic!("{text}: {other:?}"),
            }
        };
        for text in [
            "[{name: 'a'}]",
            "// by hand\n[{\"name\": \"a\" /* { */}]",
            "\u{feff}[{\"name\": \"a\"}]",
            "[{\"name\": \"a\\\"]\", x: '\\\\'}]",
        ] {
            assert_eq!(look(text), (true, 0), "{text}");
        }
        for text in
            ["", "  ", "[{\"name\": \"a\"", "[{\"name\": \"a", "[{\"name\": \"a\"}}]", "[/* ]", "[{name: 'a\\'}]"]
        {
            assert_eq!(look(text), (false, 0), "{text}");
        }
        std::fs::write(dir.path().join("dump.pm2.bak"), "[{\"name\":\"a\"},{\"name\":\"b\"}]").unwrap();
        assert_eq!(look("[{"), (false, 2), "PM2 turns to the list before it");
    }

    #[test]
    fn dumps_are_counted_and_broken_ones_named() {
        let dump = parse_dump(br#"[{"name":"a","status":"online","env":{}},{"name":"b","status":"stopped"},{"name":"c","status":"stopped"}]"#);
        assert_eq!(dump.counts(), BTreeMap::from([("online".into(), 1), ("stopped".into(), 2)]));
        assert_eq!(dump.entries()[1].name, "b");
        assert!(matches!(parse_dump(b"[{\"name\":"), DumpSeen::Unparsable { .. }));
        for broken in [&b"{}"[..], b"", b"[", b"[{}", b"[{}]]", b"[]0", b"[null]", b"[{]", b"[0,0]", b"[[]]"] {
            let seen = parse_dump(broken);
            assert!(matches!(seen, DumpSeen::Unparsable { .. }), "{seen:?}");
        }
        assert_eq!(parse_dump(b" [ ] "), DumpSeen::Read { entries: Vec::new() });
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_dump(&dir.path().join("dump.pm2"), 0), DumpSeen::Missing);
    }
}

//! The files that a start reads, as they lie on the disk.
//!
//! Redis 7 keeps a directory with a manifest (aof.c, `aofLoadManifestFromFile`): one base, then increments in order. Before,
//! it was one file. With the AOF off it is the snapshot. The sizes decide the load time, and the base's sequence number is
//! the only proof that a rewrite really replaced anything.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::safe_file::{self, Reader, Trust};

/// Redis itself refuses manifest lines over 1024 bytes; a thousand failed rewrites stay below this.
const MAX_MANIFEST: u64 = 1 << 20;
const MAX_INCRS: usize = 4096;

/// What the next start reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AofFiles {
    /// The directory that holds the files, absolute.
    pub dir: String,
    /// How they are kept.
    pub layout: Layout,
    /// The base: compacted, read first. In the other layouts the one file.
    pub base: Option<AofFile>,
    /// The increments, in order of reading.
    pub incrs: Vec<AofFile>,
    /// Listed, but not there. A start with one of these missing fails at once.
    pub missing: Vec<String>,
}

/// How the data are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Redis 7 and later: manifest, base, increments.
    Manifest,
    /// Before Redis 7: one append-only file, replaced by rename at the end of a rewrite.
    Single {
        /// Its inode; another one means another file.
        inode: u64,
    },
    /// AOF off: only the snapshot counts.
    Snapshot,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AofFile {
    /// Its name inside the directory.
    pub name: String,
    /// Its sequence number in the manifest; 0 in the other layouts.
    pub seq: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl AofFiles {
    /// Size of the base, in bytes.
    #[must_use]
    pub fn base_bytes(&self) -> u64 {
        self.base.as_ref().map_or(0, |file| file.bytes)
    }

    /// Size of all increments, in bytes.
    #[must_use]
    pub fn incr_bytes(&self) -> u64 {
        self.incrs.iter().map(|file| file.bytes).sum()
    }

    /// All that a start reads, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.base_bytes() + self.incr_bytes()
    }
}

/// The settings that name the files; owned by the caller.
pub(super) struct Names<'a> {
    pub(super) aof: bool,
    pub(super) dir: &'a str,
    pub(super) appenddirname: Option<&'a str>,
    pub(super) appendfilename: &'a str,
    pub(super) dbfilename: &'a str,
}

/// Reads what lies there, of a server that runs as `server`: its own files, and what it may read at its next start. `Err` says
/// why it cannot be told from here. Blocks on the file system.
pub(super) fn read(names: &Names<'_>, server: &Reader) -> Result<AofFiles, String> {
    for name in [names.dir, names.appendfilename, names.dbfilename] {
        // Taming shows odd characters as `\u{..}`, so such a name would lead elsewhere.
        if name.contains('\\') {
            return Err(format!("the name {name} is not plain text"));
        }
    }
    // Redis refuses a path in each of these; what claims to be Redis may not.
    for name in [names.appendfilename, names.dbfilename].into_iter().chain(names.appenddirname) {
        if !plain(name) {
            return Err(format!("the name {name} is a path"));
        }
    }
    let trust = Trust::ReadableBy(server);
    let dir = Path::new(names.dir);
    if !dir.is_absolute() {
        return Err(format!("dir {} is not absolute", names.dir));
    }
    if !names.aof {
        return one_file(dir, names.dbfilename, trust, |_| Layout::Snapshot);
    }
    match names.appenddirname {
        Some(sub) => manifest(&dir.join(sub), names.appendfilename, trust),
        None => one_file(dir, names.appendfilename, trust, |inode| Layout::Single { inode }),
    }
}

/// A name of one file or directory. `.` and `..` are directories, whose size would count as data.
fn plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/') && !name.chars().any(char::is_control)
}

fn one_file(dir: &Path, name: &str, trust: Trust<'_>, layout: impl Fn(u64) -> Layout) -> Result<AofFiles, String> {
    let mut files = AofFiles {
        dir: dir.display().to_string(),
        layout: layout(0),
        base: None,
        incrs: Vec::new(),
        missing: Vec::new(),
    };
    match safe_file::stat(&dir.join(name), trust) {
        Ok(stat) => {
            files.layout = layout(stat.st_ino);
            files.base = Some(AofFile { name: name.to_owned(), seq: 0, bytes: bytes(&stat) });
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => files.missing.push(name.to_owned()),
        Err(e) => return Err(format!("{}: {e}", dir.join(name).display())),
    }
    Ok(files)
}

fn bytes(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn manifest(dir: &Path, appendfilename: &str, trust: Trust<'_>) -> Result<AofFiles, String> {
    let path = dir.join(format!("{appendfilename}.manifest"));
    let at = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let read = safe_file::read(&path, trust, MAX_MANIFEST).map_err(|e| at(&e))?;
    let text = String::from_utf8(read).map_err(|_| at(&"not UTF-8 text"))?;
    let (base, incrs) = parse(&text).map_err(|e| at(&e))?;
    let mut missing = Vec::new();
    let mut weigh = |listed: Listed| match safe_file::stat(&dir.join(&listed.name), trust) {
        Ok(stat) => Ok(Some(AofFile { name: listed.name, seq: listed.seq, bytes: bytes(&stat) })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            missing.push(listed.name);
            Ok(None)
        }
        Err(e) => Err(format!("{}: {e}", dir.join(&listed.name).display())),
    };
    let base = base.map(&mut weigh).transpose()?.flatten();
    let incrs = incrs.into_iter().filter_map(|listed| weigh(listed).transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(AofFiles { dir: dir.display().to_string(), layout: Layout::Manifest, base, incrs, missing })
}

/// One line of a manifest.
#[derive(Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) seq: u64,
}

/// Lines of `file NAME seq N type b|h|i`; `h` (history) is being deleted and never read. Comments begin with `#`.
pub(super) fn parse(text: &str) -> Result<(Option<Listed>, Vec<Listed>), String> {
    let (mut base, mut incrs) = (None, Vec::new());
    for (n, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: &str| format!("line {}: {why}", n + 1);
        let mut words = words(line).ok_or_else(|| bad("unbalanced quotes"))?.into_iter();
        let (mut name, mut seq, mut kind) = (None, None, None);
        while let Some(key) = words.next() {
            let value = words.next().ok_or_else(|| bad("a key without a value"))?;
            match key.as_str() {
                "file" => name = Some(value),
                "seq" => seq = value.parse::<u64>().ok(),
                "type" => kind = Some(value),
                _ => {} // newer versions add keys (startoffset, endoffset)
            }
        }
        let (Some(name), Some(seq), Some(kind)) = (name, seq, kind) else {
            return Err(bad("file, seq or type is missing"));
        };
        if !plain(&name) {
            return Err(bad("a file name with a path"));
        }
        match kind.as_str() {
            "b" if base.is_none() => base = Some(Listed { name, seq }),
            "b" => return Err(bad("a second base")),
            "i" if incrs.len() < MAX_INCRS => incrs.push(Listed { name, seq }),
            "i" => return Err(bad("too many increments")),
            "h" => {}
            _ => return Err(bad("an unknown type")),
        }
    }
    Ok((base, incrs))
}

/// Words of a line; Redis quotes names with blanks (sds.c, `sdscatrepr`).
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = chars.next() else { return Some(words) };
        let mut word = String::new();
        if first == '"' {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            }
        } else {
            word.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(dir: &'a str, aof: bool, sub: Option<&'a str>) -> Names<'a> {
        Names { aof, dir, appenddirname: sub, appendfilename: "a.aof", dbfilename: "dump.rdb" }
    }

    fn me() -> Reader {
        Reader::of(std::process::id()).unwrap()
    }

    #[test]
    fn what_is_no_file_is_named_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        let sub = dir.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        let manifest = sub.join("a.aof.manifest");
        let told = || read(&names(at, true, Some("sub")), &me()).unwrap_err();
        rustix::fs::mknodat(rustix::fs::CWD, &manifest, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(told(), format!("{}: it is a FIFO, not a regular file", manifest.display()));
        std::fs::remove_file(&manifest).unwrap();
        std::fs::File::create(&manifest).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(told(), format!("{}: larger than {MAX_MANIFEST} bytes", manifest.display()));
        std::fs::write(&manifest, [0xff]).unwrap();
        assert!(told().ends_with("not UTF-8 text"));
        std::fs::write(&manifest, "file b seq 1 type b\n").unwrap();
        std::os::unix::fs::symlink("/dev/zero", sub.join("b")).unwrap();
        assert_eq!(told(), format!("{}/b: it is a device, not a regular file", sub.display()));
        for name in ["../x", "/etc/passwd", "a/b", "..", "", "a\nb"] {
            let by = Names { appendfilename: name, ..names(at, true, None) };
            assert!(read(&by, &me()).unwrap_err().contains("is a path"), "{name:?}");
            assert!(read(&names(at, true, Some(name)), &me()).unwrap_err().contains("is a path"), "{name:?}");
            let by = Names { dbfilename: name, ..names(at, false, None) };
            assert!(read(&by, &me()).unwrap_err().contains("is a path"), "{name:?}");
        }
    }

    #[test]
    fn manifests() {
        let listed = |name: &str, seq| Listed { name: name.into(), seq };
        let good = "# comment\nfile a.1.base.rdb seq 3 type b\nfile a.2.incr seq 2 type h\nfile \"a b.3.incr\" seq 3 type i startoffset 9\nfile a.4.incr seq 4 type i\n";
        assert_eq!(
            parse(good).unwrap(),
            (Some(listed("a.1.base.rdb", 3)), vec![listed("a b.3.incr", 3), listed("a.4.incr", 4)])
        );
        for (bad, why) in [
            ("file ../../etc/passwd seq 1 type b\n", "with a path"),
            ("file a seq x type b\n", "missing"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", "line 2: a second base"),
            ("file a seq 1 type\n", "without a value"),
            ("file \"a seq 1\n", "quotes"),
            ("file a seq 1 type q\n", "unknown type"),
        ] {
            assert!(parse(bad).unwrap_err().contains(why), "{bad}");
        }
    }

    #[test]
    fn sizes_and_missing_files() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        let sub = dir.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        assert!(read(&names(at, true, Some("sub")), &me()).unwrap_err().contains("No such file"));
        std::fs::write(sub.join("a.aof.manifest"), "file b seq 2 type b\nfile i1 seq 1 type i\nfile i2 seq 2 type i\n")
            .unwrap();
        std::fs::write(sub.join("b"), [0; 10]).unwrap();
        std::fs::write(sub.join("i2"), [0; 5]).unwrap();
        let files = read(&names(at, true, Some("sub")), &me()).unwrap();
        assert_eq!((files.base_bytes(), files.incr_bytes(), files.bytes()), (10, 5, 15));
        assert_eq!(files.missing, ["i1"]);
        assert_eq!(files.incrs.len(), 1);
    }

    #[test]
    fn one_file_layouts() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        assert_eq!(read(&names(at, false, None), &me()).unwrap().missing, ["dump.rdb"]);
        std::fs::write(dir.path().join("a.aof"), [0; 7]).unwrap();
        let files = read(&names(at, true, None), &me()).unwrap();
        assert!(matches!(files.layout, Layout::Single { inode } if inode > 0));
        assert_eq!(files.bytes(), 7);
        assert!(read(&names("data", true, None), &me()).unwrap_err().contains("not absolute"));
        assert!(read(&names("/a\\u{1b}", true, None), &me()).unwrap_err().contains("not plain"));
    }
}

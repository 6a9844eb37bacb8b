//! The configuration file: what the *next* start will do, as against CONFIG GET, which says what this one does.
//!
//! `CONFIG SET appendonly yes` without `CONFIG REWRITE` looks perfect until the reboot loads an old snapshot instead.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::facts::SETTINGS;
use super::files::words;
use crate::host::foreign::tame;

const MAX_BYTES: u64 = 1 << 20;
const MAX_DEPTH: u8 = 8;
const MAX_FILES: u32 = 64;

/// Defaults of config.c for a setting that no file names. `dir` and `save` are left out: the first depends on where the
/// server is started, the second on the version.
const DEFAULTS: [(&str, &str); 6] = [
    ("appendonly", "no"),
    ("appendfilename", "appendonly.aof"),
    ("appenddirname", "appendonlydir"),
    ("dbfilename", "dump.rdb"),
    ("aof-use-rdb-preamble", "yes"),
    ("aof-load-truncated", "yes"),
];

/// The settings as the file (and what it includes) gives them. `Err` says what could not be read. Blocks on the file system.
pub(super) fn read(config_file: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found: BTreeMap<String, String> =
        DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut files = 0;
    include(Path::new(config_file), &mut found, 0, &mut files)?;
    if let Some(dir) = found.get_mut("dir") {
        // CONFIG GET answers with the working directory, where links are resolved.
        match std::fs::canonicalize(&*dir) {
            Ok(real) if Path::new(dir).is_absolute() => *dir = tame(&real.to_string_lossy(), 4096),
            _ => drop(found.remove("dir")),
        }
    }
    Ok(found)
}

fn include(path: &Path, found: &mut BTreeMap<String, String>, depth: u8, files: &mut u32) -> Result<(), String> {
    let at = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    *files += 1;
    if depth > MAX_DEPTH || *files > MAX_FILES {
        return Err(at(&"too many files included"));
    }
    let file = std::fs::File::open(path).map_err(|e| at(&e))?;
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err(at(&"not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| at(&e))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(at(&"larger than 1 MiB"));
    }
    for line in String::from_utf8_lossy(&bytes).lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(words) = words(line) else { continue };
        let Some((key, values)) = words.split_first() else {
            continue;
        };
        match (key.to_ascii_lowercase().as_str(), values) {
            ("include", [pattern]) if pattern.contains(['*', '?', '[']) => {
                return Err(at(&"includes by pattern are not followed"));
            }
            ("include", [other]) => include(Path::new(other), found, depth + 1, files)?,
            ("save", values) => save(found, values),
            (key, [value]) if SETTINGS.contains(&key) => {
                found.insert(key.to_owned(), tame(value, 4096));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `save` lines add up; `save ""` forgets those before it.
fn save(found: &mut BTreeMap<String, String>, values: &[String]) {
    let points = found.entry("save".to_owned()).or_default();
    if values.iter().all(String::is_empty) {
        points.clear();
        return;
    }
    for value in values.iter().take(64) {
        if !points.is_empty() {
            points.push(' ');
        }
        points.push_str(&tame(value, 40));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_lines_and_includes_win_and_defaults_fill_in() {
        let dir = tempfile::tempdir().unwrap();
        let (main, common) = (dir.path().join("main.conf"), dir.path().join("common.conf"));
        std::fs::write(&common, "appendonly yes\nsave 900 1\nsave 60 10000\nrequirepass hunter2\n").unwrap();
        let text =
            format!("# x\ninclude {}\nAppendFilename \"a b.aof\"\ndir {}/\n", common.display(), dir.path().display());
        std::fs::write(&main, text).unwrap();
        let found = read(main.to_str().unwrap()).unwrap();
        assert_eq!(found["appendonly"], "yes");
        assert_eq!(found["appendfilename"], "a b.aof");
        assert_eq!(found["save"], "900 1 60 10000");
        assert_eq!(found["appenddirname"], "appendonlydir");
        assert_eq!(found["dir"], dir.path().canonicalize().unwrap().to_str().unwrap());
        assert!(!found.contains_key("requirepass"));
        std::fs::write(&main, format!("include {}\nsave \"\"\n", common.display())).unwrap();
        assert_eq!(read(main.to_str().unwrap()).unwrap()["save"], "");
    }

    #[test]
    fn circles_and_patterns_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.conf");
        std::fs::write(&main, format!("include {}\n", main.display())).unwrap();
        assert!(read(main.to_str().unwrap()).unwrap_err().contains("too many"));
        std::fs::write(&main, "include /etc/redis/*.conf\n").unwrap();
        assert!(read(main.to_str().unwrap()).unwrap_err().contains("pattern"));
    }
}

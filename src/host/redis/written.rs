//! The configuration file: what the *next* start will do, as against CONFIG GET, which says what this one does.
//!
//! `CONFIG SET appendonly yes` without `CONFIG REWRITE` looks perfect until the reboot loads an old snapshot instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config_line::words;
use super::settings;
use crate::host::foreign::named;
use crate::host::safe_file::{self, Reader, Trust};

const MAX_BYTES: u64 = 1 << 20;
const MAX_DEPTH: u8 = 8;
const MAX_FILES: u32 = 64;
const MAX_ENTRIES: usize = 4096;

/// The settings as the file (and what it includes) gives them. Its name is the server's word, so nothing is read that `server`
/// could not have read itself. `Err` says what could not be read. Blocks on the file system.
pub(super) fn read(config_file: &str, server: &Reader) -> Result<BTreeMap<String, String>, String> {
    let mut found: BTreeMap<String, String> =
        settings::defaults().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut reading = Reading { files: 0, save_seen: false, by: Some(server) };
    include(Path::new(config_file), &mut found, 0, &mut reading)?;
    if let Some(dir) = found.get_mut("dir") {
        // CONFIG GET answers with the working directory, where links are resolved.
        match std::fs::canonicalize(&*dir) {
            Ok(real) if Path::new(dir).is_absolute() => *dir = named(&real.to_string_lossy(), 4096),
            _ => drop(found.remove("dir")),
        }
    }
    Ok(found)
}

/// What one reading has come across.
struct Reading<'r> {
    files: u32,
    /// Who names the files.
    by: Option<&'r Reader>,
    /// The first `save` line replaces the default, the later ones add to it (config.c, `setConfigSaveOption`).
    save_seen: bool,
}

type Found = BTreeMap<String, String>;

fn include(path: &Path, found: &mut Found, depth: u8, reading: &mut Reading<'_>) -> Result<(), String> {
    let at = |why: &dyn std::fmt::Display| named(&format!("{}: {why}", path.display()), 300);
    reading.files += 1;
    if depth > MAX_DEPTH || reading.files > MAX_FILES {
        return Err(at(&"too many files included"));
    }
    // Redis looks such a name up in the directory that it happens to be in at that line.
    if !path.is_absolute() {
        return Err(at(&"a relative name leads elsewhere with each start; write the whole path"));
    }
    let trust = reading.by.map_or(Trust::Counted, Trust::ReadableBy);
    let bytes = safe_file::read(path, trust, MAX_BYTES).map_err(|e| at(&e))?;
    for (n, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = || at(&format!("line {}: unbalanced quotes, and redis refuses to start with it", n + 1));
        let words = words(line).ok_or_else(bad)?;
        let Some((key, values)) = words.split_first() else {
            continue;
        };
        match (key.to_ascii_lowercase().as_str(), values) {
            ("include", [pattern]) if pattern.contains(['*', '?', '[']) => {
                for path in globbed(Path::new(pattern), trust).map_err(|why| at(&why))? {
                    include(&path, found, depth + 1, reading)?;
                }
            }
            ("include", [other]) => include(Path::new(other), found, depth + 1, reading)?,
            ("save", values) => save(found, values, reading),
            (key, values) => {
                if let Some(name) = settings::known(key) {
                    found.insert(name.to_owned(), value_of(name, values));
                }
            }
        }
    }
    Ok(())
}

/// The settings that a server's arguments give: `--name value ...`, read like lines behind those of the file, of which they
/// take the place (server.c, `main`).
pub(crate) fn of_arguments(argv: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut reading = Reading { files: 0, save_seen: false, by: None };
    let begins = |word: &String| word.starts_with("--");
    let options = argv.iter().position(begins).map_or(&[][..], |at| &argv[at..]);
    for option in options.chunk_by(|_, next| !begins(next)) {
        let Some((name, values)) = option.split_first() else { continue };
        match settings::known(name.trim_start_matches('-')) {
            Some("save") => save(&mut found, values, &mut reading),
            Some(name) => drop(found.insert(name.to_owned(), value_of(name, values))),
            None => {}
        }
    }
    found
}

/// A value as CONFIG GET would show it.
fn value_of(name: &str, values: &[String]) -> String {
    let joined = values.join(" ");
    let nobody = name == "replicaof" && joined.eq_ignore_ascii_case("no one");
    if nobody { String::new() } else { settings::kept(name, named(&joined, 4096)) }
}

/// The files behind `/dir/*.conf`, in the order of their names as glob(3) gives them. Redis follows such since 7.0.
fn globbed(pattern: &Path, trust: Trust<'_>) -> Result<Vec<PathBuf>, String> {
    let wild = |text: &str| text.contains(['*', '?', '[']);
    let parts = pattern.parent().zip(pattern.file_name().and_then(|name| name.to_str()));
    let Some((dir, name)) = parts.filter(|(dir, name)| !wild(&dir.to_string_lossy()) && !name.contains('[')) else {
        return Err("includes by such a pattern are not followed".into());
    };
    let mut found = Vec::new();
    for entry in safe_file::names(dir, trust, MAX_ENTRIES).map_err(|error| error.to_string())? {
        let Some(text) = entry.to_str().filter(|text| !text.starts_with('.') || name.starts_with('.')) else {
            continue;
        };
        if matches(name.as_bytes(), text.as_bytes()) {
            found.push(dir.join(text));
        }
    }
    found.sort();
    Ok(found)
}

/// `*` and `?` as a shell reads them; the last star alone is thought over again, so it is never exponential.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// `save` lines add up; `save ""` forgets those before it.
fn save(found: &mut Found, values: &[String], reading: &mut Reading<'_>) {
    let points = found.entry("save".to_owned()).or_default();
    if !std::mem::replace(&mut reading.save_seen, true) || values.iter().all(String::is_empty) {
        points.clear();
    }
    for value in values.iter().filter(|value| !value.is_empty()).take(64) {
        if !points.is_empty() {
            points.push(' ');
        }
        points.push_str(&named(value, 40));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_like_lines_and_no_password_is_kept() {
        let words =
            "/etc/redis/a.conf --maxmemory 4gb --SAVE 900 1 --save 60 10 --supervised systemd --requirepass x y";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let wanted = [("maxmemory", "4gb"), ("requirepass", "(set)"), ("save", "900 1 60 10")];
        let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(of_arguments(&words), wanted.into());
        assert!(of_arguments(&words[..1]).is_empty() && of_arguments(&[]).is_empty());
    }

    #[test]
    fn later_lines_and_includes_win_and_defaults_fill_in() {
        let dir = tempfile::tempdir().unwrap();
        let (main, common) = (dir.path().join("main.conf"), dir.path().join("common.conf"));
        std::fs::write(&common, "appendonly yes\nsave 900 1\nsave 60 10000\nrequirepass hunter2\n").unwrap();
        let text =
            format!("# x\ninclude {}\nAppendFilename \"a b.aof\"\ndir {}/\n", common.display(), dir.path().display());
        std::fs::write(&main, text).unwrap();
        let found = read(main.to_str().unwrap(), &me()).unwrap();
        assert_eq!(found["appendonly"], "yes");
        assert_eq!(found["appendfilename"], "a b.aof");
        assert_eq!(found["save"], "900 1 60 10000");
        assert_eq!(found["appenddirname"], "appendonlydir");
        assert_eq!(found["dir"], dir.path().canonicalize().unwrap().to_str().unwrap());
        assert_eq!(found["requirepass"], "(set)");
        assert!(!format!("{found:?}").contains("hunter2"));
        std::fs::write(&main, format!("include {}\nsave \"\"\n", common.display())).unwrap();
        assert_eq!(read(main.to_str().unwrap(), &me()).unwrap()["save"], "");
    }

    fn me() -> Reader {
        Reader::of(std::process::id()).unwrap()
    }

    #[test]
    fn what_is_no_file_and_what_the_server_may_not_read_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let main = dir.path().join("main.conf");
        for (include, why) in [
            (fifo.to_str().unwrap(), "it is a FIFO, not a regular file"),
            ("/dev/zero", "it is a device, not a regular file"),
            ("other.conf", "a relative name"),
        ] {
            std::fs::write(&main, format!("port 1\ninclude {include}\n")).unwrap();
            let told = read(main.to_str().unwrap(), &me()).unwrap_err();
            assert!(told.starts_with(include) && told.contains(why), "{told}");
        }
        std::fs::set_permissions(&main, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let stranger = Reader { uid: 54_321, gids: vec![54_321] };
        let told = read(main.to_str().unwrap(), &stranger).unwrap_err();
        assert!(told.contains("uid 54321, which names this file, may not read it"), "{told}");
        std::fs::write(&main, format!("include {}/*.x\n", dir.path().display())).unwrap();
        for n in 0..=MAX_ENTRIES {
            std::fs::write(dir.path().join(format!("{n}.x")), "").unwrap();
        }
        let told = read(main.to_str().unwrap(), &me()).unwrap_err();
        assert!(told.contains("more than 4096 entries"), "{told}");
    }

    #[test]
    fn circles_and_patterns_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.conf");
        std::fs::write(&main, format!("include {}\n", main.display())).unwrap();
        assert!(read(main.to_str().unwrap(), &me()).unwrap_err().contains("too many"));
        std::fs::write(&main, "include /etc/re*/x.conf\n").unwrap();
        assert!(read(main.to_str().unwrap(), &me()).unwrap_err().contains("pattern"));
        std::fs::write(&main, "# x\ndir \"/a\n").unwrap();
        assert!(read(main.to_str().unwrap(), &me()).unwrap_err().contains("line 2: unbalanced"));
    }

    #[test]
    fn fragments_by_pattern_are_read_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("20.conf", "maxmemory 2gb\nslaveof 10.0.0.1 6379\nbind 127.0.0.1 -::1\n");
        write("10.conf", "maxmemory 1gb\n");
        write("30.conf.off", "maxmemory 3gb\n");
        write("main", &format!("save 1 1\ninclude {}/*.conf\nreplicaof no one\n", dir.path().display()));
        let found = read(dir.path().join("main").to_str().unwrap(), &me()).unwrap();
        assert_eq!((&*found["maxmemory"], &*found["replicaof"]), ("2gb", ""));
        assert_eq!((&*found["bind"], &*found["save"]), ("127.0.0.1 -::1", "1 1"));
    }
}

//! Finding and reading runbooks. What is hashed, parsed and frozen are the same bytes, read once through one descriptor.
//!
//! A runbook that is acted on must be in nobody else's hands: the file, every directory above it, in which somebody could
//! put another file under its name, and every link on the way ([`root_owned`]; sudo and sshd refuse such files, too). What
//! nobody else can change cannot be swapped between the look and the use either.
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rustix::fs::{CWD, Mode, OFlags};

use super::site::Site;
use super::{Exit, Failure};
use crate::host::foreign::named;
use crate::host::{clock, root_owned};
use crate::report::call;
use crate::runbook::{Diagnostic, Loaded, MAX_BYTES, load_bytes};

/// A runbook's file, read.
pub(super) struct Source {
    /// As it is shown.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Where a name or path leads: a path has a slash in it.
pub(super) fn path_of(site: &Site, name: &str) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fine) {
        let text = format!("`{}` is no name of a runbook", named(name, 80));
        return Err(
            Failure::say(Exit::Usage, text).hint("letters, digits, - _ and . only; a path needs a slash: ./NAME.yaml")
        );
    }
    Ok(site.runbooks.join(format!("{name}.yaml")))
}

/// Names of the runbooks where plain names are looked for, sorted.
pub(super) fn names(site: &Site) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(&site.runbooks) else {
        return Vec::new();
    };
    let name = |entry: std::fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".yaml")?.to_owned());
    let mut names: Vec<String> = entries.take(1000).filter_map(Result::ok).filter_map(name).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// Reads the file behind a name. `trusted`: it is going to be acted on, so nobody but root and the user may be able to change it.
pub(super) fn read(site: &Site, name: &str, trusted: bool) -> Result<Source, Failure> {
    let path = path_of(site, name)?;
    let shown = named(&path.display().to_string(), 300);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let judged = if trusted { in_good_hands(&path, &shown)? } else { None };
    let opened = rustix::fs::openat(CWD, judged.as_ref().unwrap_or(&path), flags, Mode::empty());
    let fd = opened.map_err(|errno| not_opened(site, name, &shown, errno))?;
    if trusted && judged.is_none() {
        let text = format!("{shown} was put there while it was looked at");
        return Err(Failure::say(Exit::Refused, text).hint("look who did it"));
    }
    let file = File::from(fd);
    let broken =
        |error: std::io::Error| Failure::new(Exit::Invalid, anyhow!(error).context(format!("cannot read {shown}")));
    let meta = file.metadata().map_err(broken)?;
    if !meta.is_file() {
        let failure = Failure::say(Exit::Invalid, format!("{shown} is not a regular file"));
        return Err(failure
            .hint("name the file itself: what is a pipe, a device or a directory can say something else each time"));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the loader sees that it is too long.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
    Ok(Source { name: shown, bytes })
}

/// Where the file really lies, if it is root's or ours and for nobody else to write. A path that ends in a link, or at
/// nothing, is left to whoever opens it.
fn in_good_hands(path: &Path, shown: &str) -> Result<Option<PathBuf>, Failure> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !path.symlink_metadata().is_ok_and(|seen| !seen.is_symlink()) {
        let missing = |error: std::io::Error| {
            Failure::new(Exit::Invalid, anyhow!(error).context(format!("cannot open the directory of {shown}")))
                .hint(call("list"))
        };
        return parent.metadata().map(|_| None).map_err(missing);
    }
    root_owned::judge(path).map(|owned| Some(owned.resolved)).map_err(|why| {
        let me = rustix::process::geteuid();
        let who = if me.is_root() { "root" } else { "you and root" };
        let changed = named(&why.path.display().to_string(), 300);
        let text = format!("{changed} can be changed by others than {who}: it {}", why.why);
        Failure::say(Exit::Refused, text).hint(format!("look who changed it last, then: {}", why.cure))
    })
}

fn not_opened(site: &Site, name: &str, shown: &str, errno: rustix::io::Errno) -> Failure {
    use rustix::io::Errno;
    match errno {
        Errno::LOOP => Failure::say(Exit::Invalid, format!("{shown} is a symbolic link, which is not followed"))
            .hint("name the file itself"),
        Errno::NOENT => {
            let failure = Failure::say(Exit::Invalid, format!("there is no runbook {shown}"));
            let near = names(site).into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
            match near {
                Some(near) if strsim::damerau_levenshtein(&near, name) <= 3 => {
                    failure.hint(format!("did you mean {near}?"))
                }
                _ => failure.hint(call("list")),
            }
        }
        other => Failure::new(Exit::Invalid, anyhow!(other).context(format!("cannot open {shown}"))),
    }
}

impl Source {
    /// The text, for showing findings.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Loads it; the warnings of the calendar are among the others.
    pub(super) fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let mut loaded = load_bytes(&self.bytes, &self.name)?;
        let nights = loaded.clock_warnings(&self.text(), clock::now());
        loaded.warnings.extend(nights);
        Ok(loaded)
    }
}

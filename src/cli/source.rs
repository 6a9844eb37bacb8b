//! Finding and reading runbooks. What is hashed, parsed and frozen are the same bytes, read once through one descriptor.
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::anyhow;
use rustix::fs::{Mode, OFlags};

use super::site::Site;
use super::{Exit, Failure};
use crate::host::clock;
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
        let text = format!("`{}` is no name of a runbook", crate::host::foreign::tame(name, 80));
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

/// Reads the file behind a name. `trusted`: what is acted on as root must be root's alone, or whoever may write the file is root.
pub(super) fn read(site: &Site, name: &str, trusted: bool) -> Result<Source, Failure> {
    let path = path_of(site, name)?;
    let shown = path.display().to_string();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| not_opened(site, name, &shown, errno))?;
    let file = File::from(fd);
    let broken =
        |error: std::io::Error| Failure::new(Exit::Invalid, anyhow!(error).context(format!("cannot read {shown}")));
    let meta = file.metadata().map_err(broken)?;
    if !meta.is_file() {
        return Err(Failure::say(Exit::Invalid, format!("{shown} is not a regular file")));
    }
    if trusted && site.root && (meta.uid() != 0 || meta.mode() & 0o022 != 0) {
        let text = format!(
            "{shown} can be changed by others than root (owner {}, mode {:04o})",
            meta.uid(),
            meta.mode() & 0o7777
        );
        return Err(Failure::say(Exit::Refused, text).hint(format!("chown root {shown} && chmod go-w {shown}")));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the loader sees that it is too long.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
    Ok(Source { name: shown, bytes })
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
                _ => failure.hint("runbook list"),
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

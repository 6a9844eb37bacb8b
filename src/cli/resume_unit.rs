//! The resume unit as it has to be for this program, this state directory and one runbook.
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::site::Site;
use super::{Exit, Failure};
use crate::host::root_owned;
use crate::host::secret::SecretRef;
use crate::host::systemd::resume_unit::{FAIL_OPEN, RESUME, ResumeUnit, sha256_of};
use crate::host::systemd::unit_files::UNIT_DIR;
use crate::report::path_word;
use crate::runbook::Runbook;

/// Where systemd looks for a credential by its plain name (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "/etc/credstore";

/// The unit for a runbook that reboots; `None` for one that does not.
pub(super) fn of(site: &Site, runbook: &Runbook) -> Result<Option<ResumeUnit>, Failure> {
    if runbook.reboots() { build(site, Some(runbook)).map(Some) } else { Ok(None) }
}

/// Root executes this program again, from its file: in the transient unit of a step, and after the boot. So the file must be
/// root's through the whole path. Asked before anything is begun; a run that is under way is not left down for it.
pub(super) fn own_file_is_roots(site: &Site, reboots: bool) -> Result<(), Failure> {
    if !site.root || !(reboots || site.is_hosts()) {
        return Ok(());
    }
    let Ok(binary) = std::env::current_exe() else { return Ok(()) };
    root_owned::judge(&binary).map(drop).map_err(|why| {
        let text = format!("root would execute this program again from a file that others may change: {why}");
        Failure::say(Exit::Refused, text)
            .hint(format!("install -m 755 {} /usr/local/bin/runbook    and run that one", path_word(&binary)))
    })
}

/// The unit; without a runbook it may write what every run needs and nothing else.
pub(super) fn build(site: &Site, runbook: Option<&Runbook>) -> Result<ResumeUnit, Failure> {
    let refuse = |error: anyhow::Error| Failure::new(Exit::Refused, error);
    let binary = std::env::current_exe().and_then(|path| path.canonicalize());
    let binary =
        binary.context("this program's own file cannot be found (was it replaced while it ran?)").map_err(refuse)?;
    let hash = sha256_of(&binary).with_context(|| format!("cannot read {}", binary.display())).map_err(refuse)?;
    Ok(ResumeUnit {
        binary,
        binary_sha256: hash,
        state_dir: site.state_dir.clone(),
        writable: writable(site, runbook),
        credentials: runbook.map(credentials).unwrap_or_default(),
        loopback_only: false,
    })
}

/// Besides the state directory: the lock's directory (the login note lies below it), systemd's unit directory (the run
/// takes its own unit away at its end), and the homes of the PM2 daemons whose lists it saves.
fn writable(site: &Site, runbook: Option<&Runbook>) -> Vec<PathBuf> {
    let mut paths = vec![UNIT_DIR.into()];
    paths.extend(site.lock.parent().map(Path::to_owned));
    paths.extend(runbook.into_iter().flat_map(|book| book.inventory.pm2.values()).map(|place| place.home.clone()));
    let mut unique: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

fn credentials(runbook: &Runbook) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for one in runbook.inventory.redis.values() {
        if let Some(SecretRef::Credential(name)) = &one.password {
            let credential = (name.clone(), Path::new(CREDENTIALS).join(name));
            if !found.contains(&credential) {
                found.push(credential);
            }
        }
    }
    found
}

/// Whether a resume unit for this state directory is installed here, or half of it: a process may have died between its two
/// files. A look at them is enough: what is not there, or is another's, must not be removed.
pub(super) fn installed(site: &Site) -> bool {
    let ours = format!("--state-dir {} ", site.state_dir.display());
    let text = |name| std::fs::read_to_string(Path::new(UNIT_DIR).join(name)).unwrap_or_default();
    [RESUME, FAIL_OPEN].into_iter().any(|name| text(name).contains(&ours))
}

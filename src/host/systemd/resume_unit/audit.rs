//! Writing the resume units, taking them away, and finding out before a reboot what would keep them from working.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FAIL_OPEN, RESUME, ResumeUnit};
use crate::host::foreign::{Shown, named};
use crate::host::root_owned;
use crate::host::small_file::{read_text, write_whole};
use crate::host::systemd::bus::{Bus, RELOAD_DEADLINE, SystemdError};

const UNIT_MAX: u64 = 64 * 1024;

/// One thing that would keep the run from resuming; a reboot must not be asked for with any of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Not installed.
    Missing {
        /// Which unit.
        unit: String,
    },
    /// Installed, but the boot does not start it.
    NotEnabled {
        /// The state of its file.
        state: String,
    },
    /// Forbidden.
    Masked {
        /// Which unit.
        unit: String,
    },
    /// systemd cannot read it.
    Broken {
        /// Which unit.
        unit: String,
        /// Its complaint.
        why: Shown,
    },
    /// Another program, state directory or sandbox than now wanted, or edited by hand.
    Differs {
        /// Which file.
        file: PathBuf,
    },
    /// Overridden: what runs is not what the file says.
    Overridden {
        /// Which unit.
        unit: String,
        /// The drop-ins.
        by: Vec<String>,
    },
    /// systemd has not read the files as they are now.
    NotReloaded {
        /// Which unit.
        unit: String,
    },
    /// The program is not there or cannot be executed.
    NoBinary {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Others than root may change the program.
    NotRoots {
        /// Which part of its path, why, and the cure.
        why: String,
    },
    /// The program was replaced since the unit was installed.
    BinaryChanged {
        /// Where it is.
        path: PathBuf,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { unit } => write!(out, "{unit} is not installed"),
            Self::NotEnabled { state } => write!(out, "{RESUME} is {state}, not enabled"),
            Self::Masked { unit } => write!(out, "{unit} is masked (systemctl unmask {unit})"),
            Self::Broken { unit, why } => write!(out, "{unit} cannot be loaded: {why}"),
            Self::Differs { file } => write!(out, "{} is not what this program would write", file.display()),
            Self::Overridden { unit, by } => write!(out, "{unit} is overridden by {}", by.join(", ")),
            Self::NotReloaded { unit } => write!(out, "systemd has not read {unit} again (systemctl daemon-reload)"),
            Self::NoBinary { path, why } => write!(out, "{} cannot be executed: {why}", path.display()),
            Self::NotRoots { why } => write!(out, "root would execute what others may change: {why}"),
            Self::BinaryChanged { path } => write!(out, "{} was replaced since the unit was written", path.display()),
        }
    }
}

/// Writes both units into `unit_dir`, makes systemd read them, enables the first, and audits the result.
///
/// # Errors
/// [`SystemdError`], with [`SystemdError::NotVerified`] naming every fault that is left.
pub async fn install(bus: &Bus, unit: &ResumeUnit, unit_dir: &Path) -> Result<(), SystemdError> {
    let what = "install the resume unit".to_owned();
    let texts = match unit.render() {
        Ok(texts) => texts,
        Err(bad) => {
            return Err(SystemdError::NotVerified { what, why: bad.to_string() });
        }
    };
    for (name, text) in [(FAIL_OPEN, &texts.fail_open), (RESUME, &texts.resume)] {
        let path = unit_dir.join(name);
        let written = write_whole(&path, text.as_bytes(), 0o644);
        written.map_err(|source| SystemdError::File { path, source })?;
    }
    bus.reload().await?;
    bus.enable(&[RESUME]).await?;
    let faults = audit(bus, unit, unit_dir).await?;
    if faults.is_empty() {
        return Ok(());
    }
    let why = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(SystemdError::NotVerified { what, why })
}

/// Everything that would keep the installed units from doing what `unit` describes.
///
/// # Errors
/// [`SystemdError`]: systemd could not be asked.
pub async fn audit(bus: &Bus, unit: &ResumeUnit, unit_dir: &Path) -> Result<Vec<Fault>, SystemdError> {
    let mut faults = binary_faults(unit);
    let texts = unit.render().ok();
    for (name, text) in [(RESUME, texts.as_ref().map(|t| &t.resume)), (FAIL_OPEN, texts.as_ref().map(|t| &t.fail_open))]
    {
        let file = unit_dir.join(name);
        let seen = bus.unit(name).await?;
        match seen.load_state.as_str() {
            "not-found" => faults.push(Fault::Missing { unit: name.to_owned() }),
            "masked" => faults.push(Fault::Masked { unit: name.to_owned() }),
            "loaded" => {
                let same = read_text(&file, UNIT_MAX).ok().as_ref() == text && Path::new(&seen.fragment_path) == file;
                faults.extend((!same).then_some(Fault::Differs { file }));
                let by = seen.drop_in_paths;
                faults.extend((!by.is_empty()).then(|| Fault::Overridden { unit: name.to_owned(), by }));
                faults.extend(seen.need_daemon_reload.then(|| Fault::NotReloaded { unit: name.to_owned() }));
                let state = seen.unit_file_state;
                faults.extend((name == RESUME && state != "enabled").then_some(Fault::NotEnabled { state }));
            }
            _ => faults.push(Fault::Broken { unit: name.to_owned(), why: seen.load_error }),
        }
    }
    Ok(faults)
}

/// Disables and deletes both units; fine when there are none.
///
/// # Errors
/// [`SystemdError`].
pub async fn remove(bus: &Bus, unit_dir: &Path) -> Result<(), SystemdError> {
    let systemd = bus.systemd().await?;
    match bus.call("disable the resume unit", systemd.disable_unit_files(&[RESUME], false)).await {
        Ok(_) | Err(SystemdError::NoSuchUnit { .. }) => {}
        Err(failed) => return Err(failed),
    }
    for name in [RESUME, FAIL_OPEN] {
        let path = unit_dir.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(SystemdError::File { path, source });
            }
            _ => {}
        }
    }
    bus.call_within(RELOAD_DEADLINE, "reload systemd", systemd.reload()).await
}

fn binary_faults(unit: &ResumeUnit) -> Vec<Fault> {
    let path = unit.binary.clone();
    if let Err(why) = rustix::fs::access(&path, rustix::fs::Access::EXEC_OK) {
        return vec![Fault::NoBinary { path, why: why.to_string() }];
    }
    if let Err(why) = root_owned::judge(&path) {
        return vec![Fault::NotRoots { why: why.to_string() }];
    }
    match sha256_of(&path) {
        Ok(now) if now == unit.binary_sha256 => Vec::new(),
        Ok(_) => vec![Fault::BinaryChanged { path }],
        Err(why) => vec![Fault::NoBinary { path, why: named(&why.to_string(), 200) }],
    }
}

/// SHA-256 of a file in hexadecimal, read in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = std::io::BufReader::with_capacity(1 << 16, std::fs::File::open(path)?);
    loop {
        let piece = std::io::BufRead::fill_buf(&mut file)?;
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        let read = piece.len();
        std::io::BufRead::consume(&mut file, read);
    }
    Ok(hex::encode(hash.finalize()))
}

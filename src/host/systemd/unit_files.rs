//! Unit files: enabling them for the next boot, and one drop-in that lifts a start time-out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bus::{Bus, RELOAD_DEADLINE, SystemdError};
use super::unit_name;
use crate::host::foreign::named;
use crate::host::small_file::write_whole;
use crate::host::span::words;

/// Where the administrator's units live.
pub const UNIT_DIR: &str = "/etc/systemd/system";
/// Our drop-in's name; 50 leaves room on both sides.
pub const START_TIMEOUT_DROP_IN: &str = "50-runbook-start-timeout.conf";
const START_TIMEOUT_TEXT: &str = "# Written by runbook: this service is ready only when its data is loaded.\n\
                                  [Service]\nTimeoutStartSec=infinity\n";

/// What enabling changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enabled {
    /// Links made or removed: (symlink or unlink, link, target).
    pub changes: Vec<(String, String, String)>,
    /// Names that are not enabled afterwards, with their state: static ones, mostly.
    pub still_not: Vec<(String, String)>,
}

impl Bus {
    /// Enables units for the next boot, reloads systemd and looks whether they are enabled now. Starts nothing.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn enable(&self, units: &[&str]) -> Result<Enabled, SystemdError> {
        for unit in units {
            unit_name::kind(unit)?;
        }
        let what = format!("enable {}", units.join(" "));
        let systemd = self.systemd().await?;
        let (_, changes) = self.call(&what, systemd.enable_unit_files(units, false, false)).await?;
        self.reload().await?;
        let mut still_not = Vec::new();
        for &unit in units {
            let state = self.unit_file_state(unit).await?;
            if state != "enabled" {
                still_not.push((unit.to_owned(), state));
            }
        }
        let tamed = |text: String| named(&text, 512);
        let changes = changes.into_iter().map(|(kind, link, to)| (tamed(kind), tamed(link), tamed(to))).collect();
        Ok(Enabled { changes, still_not })
    }

    /// Makes systemd read its unit files again.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn reload(&self) -> Result<(), SystemdError> {
        let systemd = self.systemd().await?;
        self.call_within(RELOAD_DEADLINE, "reload systemd", systemd.reload()).await
    }

    /// Lifts the start time-out of one unit by a drop-in under `unit_dir` (normally [`UNIT_DIR`]), reloads, and looks
    /// whether it holds. Returns the file.
    ///
    /// # Errors
    /// [`SystemdError::NotVerified`] when another drop-in wins.
    pub async fn lift_start_timeout(&self, unit: &str, unit_dir: &Path) -> Result<PathBuf, SystemdError> {
        unit_name::kind(unit)?;
        let dir = unit_dir.join(format!("{unit}.d"));
        let path = dir.join(START_TIMEOUT_DROP_IN);
        let write = || {
            std::fs::create_dir_all(&dir)?;
            write_whole(&path, START_TIMEOUT_TEXT.as_bytes(), 0o644)
        };
        write().map_err(|source| SystemdError::File { path: path.clone(), source })?;
        self.reload().await?;
        let after = self.unit(unit).await?;
        match after.start_timeout {
            None => Ok(path),
            Some(timeout) => Err(SystemdError::NotVerified {
                what: format!("lift the start time-out of {unit}"),
                why: format!("it is still {} with {}: see systemctl cat {unit}", words(timeout), path.display()),
            }),
        }
    }
}

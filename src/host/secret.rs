//! Where a secret lies. A runbook never holds a secret, only one of these references.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The place of a secret; the value itself is read at the moment it is used and never travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// A file that holds the secret and nothing else (one trailing line break is ignored).
    File(PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY` (systemd.exec, `LoadCredential=`).
    Credential(String),
    /// An environment variable; it does not survive a reboot.
    Env(String),
}

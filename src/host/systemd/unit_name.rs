//! Unit names (systemd.unit(5)): what kind a name is, and that it is one at all before it becomes part of a path.

use super::bus::SystemdError;
use crate::host::foreign::named;

/// UNIT_NAME_MAX of systemd.
const MAX: usize = 255;
const SUFFIXES: [&str; 11] =
    ["service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice", "scope", "device"];

/// What a name can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// `redis-server.service`.
    Plain,
    /// `redis-server@bull00.service`.
    Instance,
    /// `redis-server@.service`: can be enabled by instance only, and never started.
    Template,
}

/// Checks a name and tells its kind.
///
/// # Errors
/// [`SystemdError::BadName`]: wrong characters, no known suffix, too long, or empty before the suffix.
pub fn kind(name: &str) -> Result<NameKind, SystemdError> {
    let bad = || SystemdError::BadName { name: named(name, 80) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let (stem, suffix) = name.rsplit_once('.').ok_or_else(bad)?;
    if name.len() > MAX || stem.is_empty() || !SUFFIXES.contains(&suffix) || !name.chars().all(plain) {
        return Err(bad());
    }
    match stem.split_once('@') {
        Some(("", _)) => Err(bad()),
        Some((_, "")) => Ok(NameKind::Template),
        Some(_) => Ok(NameKind::Instance),
        None => Ok(NameKind::Plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (name, wanted) in [
            ("redis-server.service", Some(NameKind::Plain)),
            ("redis-server@bull00.service", Some(NameKind::Instance)),
            ("redis-server@.service", Some(NameKind::Template)),
            ("dev-disk-by\\x2dlabel-a.mount", Some(NameKind::Plain)),
            ("redis-server", None),
            ("redis.conf", None),
            ("../../etc/passwd.service", None),
            ("a b.service", None),
            ("@x.service", None),
            (".service", None),
            ("", None),
        ] {
            assert_eq!(kind(name).ok(), wanted, "{name}");
        }
        assert!(kind(&format!("{}.service", "a".repeat(250))).is_err());
    }
}

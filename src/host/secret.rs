//! Secrets by reference: a runbook says *where* a password lives, never what it is.
//!
//! A [`SecretRef`] is what is written and journaled; a [`Secret`] exists only between reading it and handing it to a
//! connection. It is wiped when dropped and has neither `Debug`, `Display` nor `Serialize`, so that no log line, error
//! text or saved value can carry it by accident; and it is told to [`redact`], in case somebody else repeats it.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::host::foreign::named;
use crate::host::safe_file::{self, Trust};
use crate::host::{off_thread, redact};

/// A longer password is a mistaken path (a key ring, a log), not a password.
const MAX_BYTES: u64 = 4096;

/// Where a secret is kept: `{ file: PATH }`, `{ credential: NAME }` or `{ env: NAME }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// A regular file that only its owner may read.
    File(PathBuf),
    /// A systemd credential (`LoadCredential=`, systemd.exec(5)): a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A variable of this process's environment; gone after a reboot.
    Env(String),
}

/// Why a secret could not be read. Names the place and the cure, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be opened or read.
    #[error("secret file {path}: {why}; let the account that runs this read it")]
    Unreadable {
        /// The file.
        path: String,
        /// The operating system's words.
        why: String,
    },
    /// A directory, pipe or device.
    #[error("secret file {path} is not a regular file; name the file itself")]
    NotRegular {
        /// The path.
        path: String,
    },
    /// Group or others have rights on the file.
    #[error("secret file {path} is open to others (mode {mode:04o}); chmod 600 {path}")]
    OpenToOthers {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Whoever owns the file may change what is sent as a password.
    #[error("secret file {path} belongs to user id {uid}; chown it to root, or to the account that runs this")]
    Foreign {
        /// The file.
        path: String,
        /// Its owner.
        uid: u32,
    },
    /// More than a password can be.
    #[error("secret in {place} is longer than {MAX_BYTES} bytes; is this the right place?")]
    TooLong {
        /// File, credential or variable.
        place: String,
    },
    /// Nothing in it.
    #[error("secret in {place} is empty")]
    Empty {
        /// File, credential or variable.
        place: String,
    },
    /// Not UTF-8.
    #[error("secret in {place} is not UTF-8 text")]
    NotText {
        /// File, credential or variable.
        place: String,
    },
    /// `$CREDENTIALS_DIRECTORY` is not set.
    #[error("credential {name}: no $CREDENTIALS_DIRECTORY; add LoadCredential={name}:PATH to the unit that runs this")]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// A credential name that is a path.
    #[error("credential {name} must be a plain name, without a slash")]
    BadCredential {
        /// The credential.
        name: String,
    },
    /// The variable is not set.
    #[error("environment variable {name} is not set")]
    NoVariable {
        /// The variable.
        name: String,
    },
}

/// A secret in memory, wiped on drop. Deliberately without any way to print, compare or save it.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself; hand it to the connection and forget it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl SecretRef {
    /// Reads the secret now; at most 4 KiB, one trailing line end is dropped. Blocks on the file system.
    ///
    /// # Errors
    /// See [`SecretError`]. A file with rights for group or others is refused: what others can read is no secret.
    /// (systemd's credential directory is private already and may grant rights by access lists, so its modes are not judged.)
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => read_file(path, true),
            Self::Credential(name) => {
                if name.is_empty() || name.contains('/') || name.starts_with('.') {
                    return Err(SecretError::BadCredential { name: named(name, 80) });
                }
                let dir = variable("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials { name: named(name, 80) })?;
                read_file(&Path::new(&dir).join(name), false)
            }
            Self::Env(name) => {
                let place = named(name, 80);
                let value = variable(name).ok_or_else(|| SecretError::NoVariable { name: place.clone() })?;
                let value = value.into_string().map_err(|_| SecretError::NotText { place: place.clone() })?;
                finish(Zeroizing::new(value), place)
            }
        }
    }

    /// [`SecretRef::read`] off the thread that runs timers and signals: the file may lie on a disk that hangs.
    ///
    /// # Errors
    /// `TimedOut`; inside, as there.
    pub async fn read_within(&self, limit: Duration) -> std::io::Result<Result<Secret, SecretError>> {
        let (place, asked) = (self.place(), self.clone());
        off_thread::within(limit, &place, move || asked.read()).await
    }

    fn place(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Credential(name) => Path::new("credential").join(name),
            Self::Env(name) => Path::new("variable").join(name),
        }
    }

    /// Whether the secret can still be read after a reboot, by a process that systemd starts. A variable cannot.
    #[must_use]
    pub fn boot_safe(&self) -> bool {
        !matches!(self, Self::Env(_))
    }
}

#[expect(clippy::disallowed_methods, reason = "secrets by variable are the environment's one reader here")]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

fn read_file(path: &Path, judge_mode: bool) -> Result<Secret, SecretError> {
    let place = named(&path.to_string_lossy(), 200);
    let unreadable = |e: std::io::Error| SecretError::Unreadable { path: place.clone(), why: e.to_string() };
    // Whoever owns a directory on the way must not choose which of root's secrets is sent to a server.
    let trust = if judge_mode { Trust::Kept } else { Trust::Ours };
    let opened = safe_file::open(path, trust);
    let irregular = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidInput;
    if opened.as_ref().is_err_and(irregular) {
        return Err(SecretError::NotRegular { path: place });
    }
    let file = opened.map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    let (mode, me) = (meta.mode() & 0o7777, rustix::process::geteuid().as_raw());
    if judge_mode && meta.uid() != me && meta.uid() != 0 {
        return Err(SecretError::Foreign { path: place, uid: meta.uid() });
    }
    if judge_mode && mode & 0o077 != 0 {
        return Err(SecretError::OpenToOthers { path: place, mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 3));
    file.take(MAX_BYTES + 3).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText { place: place.clone() })?;
    finish(Zeroizing::new(text.to_owned()), place)
}

fn finish(text: Zeroizing<String>, place: String) -> Result<Secret, SecretError> {
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(SecretError::Empty { place });
    }
    if line.len() as u64 > MAX_BYTES {
        return Err(SecretError::TooLong { place });
    }
    // From here on no sink shows it.
    redact::learn(line);
    Ok(Secret(Zeroizing::new(line.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> SecretRef {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        SecretRef::File(path)
    }

    #[test]
    fn one_line_end_is_dropped_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for (bytes, wanted) in [("a b\n", "a b"), ("x", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x ")] {
            assert_eq!(file(dir.path(), "p", bytes.as_bytes(), 0o600).read().ok().unwrap().reveal(), wanted);
        }
    }

    #[test]
    fn a_link_is_followed_only_where_nobody_else_could_have_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        file(dir.path(), "secret", b"hunter2", 0o600);
        let link = |at: &Path| {
            std::os::unix::fs::symlink(dir.path().join("secret"), at).unwrap();
            SecretRef::File(at.to_owned()).read()
        };
        assert_eq!(link(&dir.path().join("link")).ok().unwrap().reveal(), "hunter2");
        let linked =
            |read: Result<Secret, SecretError>| read.err().unwrap().to_string().contains("is a symbolic link of");
        assert!(linked(link(&open.join("link"))));
        std::os::unix::fs::symlink(dir.path(), open.join("dir")).unwrap();
        let through = SecretRef::File(open.join("dir/secret")).read();
        assert!(linked(through));
        assert_eq!(file(&open, "plain", b"x", 0o600).read().ok().unwrap().reveal(), "x");
    }

    #[test]
    fn what_is_refused_says_why_and_never_shows_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![b'k'; 5000];
        let cases: [(SecretRef, &str); 8] = [
            (file(dir.path(), "open", b"hunter2", 0o640), "mode 0640); chmod 600"),
            (file(dir.path(), "long", &long, 0o600), "longer than 4096"),
            (file(dir.path(), "empty", b"\n", 0o600), "is empty"),
            (file(dir.path(), "binary", b"\xff\xfe", 0o600), "not UTF-8"),
            (SecretRef::File(dir.path().to_owned()), "not a regular file"),
            (SecretRef::File(dir.path().join("none")), "No such file"),
            (SecretRef::Env("RUNBOOK_TEST_NEVER_SET".into()), "is not set"),
            (SecretRef::Credential("../shadow".into()), "plain name"),
        ];
        for (secret, wanted) in cases {
            let error = secret.read().err().unwrap().to_string();
            assert!(error.contains(wanted), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_pipe_without_a_writer_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600), 0)
            .unwrap();
        assert!(matches!(SecretRef::File(path).read().err(), Some(SecretError::NotRegular { .. })));
    }

    #[test]
    fn only_the_place_travels() {
        for (secret, json, safe) in [
            (SecretRef::File("/etc/p".into()), r#"{"file":"/etc/p"}"#, true),
            (SecretRef::Credential("bds".into()), r#"{"credential":"bds"}"#, true),
            (SecretRef::Env("P".into()), r#"{"env":"P"}"#, false),
        ] {
            assert_eq!(serde_json::to_string(&secret).unwrap(), json);
            assert_eq!(serde_json::from_str::<SecretRef>(json).unwrap(), secret);
            assert_eq!(secret.boot_safe(), safe);
        }
    }
}

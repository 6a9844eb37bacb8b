//! Words to people who did not start the run: everyone logged in, everyone who logs in, and the system's log.
//!
//! None of these may hold up or fail a run, so each reports what went wrong as text and nothing more. The login note
//! lies in /run/motd.d: pam_motd shows that directory by default (Debian 12 reads it from its `noupdate` line for both
//! login and sshd), nothing of the administrator's is edited, and it is gone with the next reboot by itself.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::host::command::{CommandAsked, run};
use crate::host::foreign::named;
use crate::host::small_file::write_whole;

/// Where pam_motd looks for notes of others.
pub const MOTD_DIR: &str = "/run/motd.d";
/// Where syslog listens.
pub const SYSLOG: &str = "/dev/log";
const MOTD_NAME: &str = "50-runbook";
/// The longest line: what any receiver of syslog should take (RFC 5424, 6.1: 2048 octets) less its head. The sentence about a
/// failure ends with the command that cures it, and a note that is cut before it is no help to whoever logs in.
const LINE_MAX: usize = 2000;

/// Why a notice did not go out; for a footnote, never for stopping.
pub type NotTold = String;

/// Writes `message` to all terminals with wall(1), the message on standard input.
///
/// # Errors
/// Why nobody was told.
pub async fn wall(message: &str) -> Result<(), NotTold> {
    let stdin = Some(lines(message).into_bytes());
    let asked = CommandAsked { stdin, ..CommandAsked::new(&["wall"], Duration::from_secs(10)) };
    let seen = run(asked).await;
    if seen.succeeded() { Ok(()) } else { Err(format!("wall: {}", seen.end)) }
}

/// Puts a note before everyone who logs in.
///
/// # Errors
/// Why it is not there.
pub fn put_login_note(dir: &Path, message: &str) -> Result<(), NotTold> {
    let put = || {
        std::fs::create_dir_all(dir)?;
        write_whole(&dir.join(MOTD_NAME), lines(message).as_bytes(), 0o644)
    };
    put().map_err(|why| format!("note in {}: {why}", dir.display()))
}

/// Takes the note away; fine when there is none.
///
/// # Errors
/// Why it is still there.
pub fn remove_login_note(dir: &Path) -> Result<(), NotTold> {
    match std::fs::remove_file(dir.join(MOTD_NAME)) {
        Err(why) if why.kind() != ErrorKind::NotFound => Err(format!("note in {}: {why}", dir.display())),
        _ => Ok(()),
    }
}

/// How loud a line of the system's log is (RFC 5424, 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody must act.
    Error,
    /// Somebody should look.
    Warning,
    /// Worth finding later.
    Notice,
}

/// Sends one line to syslog as `runbook[pid]`, facility daemon, without ever waiting.
///
/// # Errors
/// Why it was not logged.
pub fn syslog(socket: &Path, severity: Severity, message: &str) -> Result<(), NotTold> {
    let level = match severity {
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Notice => 5,
    };
    let line = format!("<{}>runbook[{}]: {}", 3 * 8 + level, std::process::id(), named(message, LINE_MAX));
    let send = || {
        let out = UnixDatagram::unbound()?;
        out.set_nonblocking(true)?;
        out.send_to(line.as_bytes(), socket)
    };
    send().map(|_| ()).map_err(|why| format!("syslog at {}: {why}", socket.display()))
}

fn lines(message: &str) -> String {
    message.lines().take(20).map(|line| named(line, LINE_MAX) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_note_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let motd = dir.path().join("motd.d");
        put_login_note(&motd, "run r1 waits\nrunbook resume\x1b[2J").unwrap();
        let text = std::fs::read_to_string(motd.join(MOTD_NAME)).unwrap();
        assert_eq!(text, "run r1 waits\nrunbook resume\\u{1b}[2J\n");
        remove_login_note(&motd).unwrap();
        remove_login_note(&motd).unwrap();
        assert!(put_login_note(Path::new("/proc/nope"), "x").unwrap_err().starts_with("note in /proc/nope: "));
    }

    #[test]
    fn a_log_line_has_priority_and_tag() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(syslog(&path, Severity::Error, "x").unwrap_err().starts_with("syslog at "));
        let server = UnixDatagram::bind(&path).unwrap();
        syslog(&path, Severity::Warning, "gate\nfailed").unwrap();
        let mut buffer = [0; 512];
        let count = server.recv(&mut buffer).unwrap();
        let wanted = format!("<28>runbook[{}]: gate\\u{{a}}failed", std::process::id());
        assert_eq!(std::str::from_utf8(&buffer[..count]).unwrap(), wanted);
    }

    #[test]
    fn a_log_that_does_not_listen_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        // Nobody reads: sooner or later the queue is full, and then the line is lost instead of waited for.
        let lost = (0..100_000).find_map(|_| syslog(&path, Severity::Notice, "x").err());
        assert!(lost.is_some_and(|why| why.contains("os error 11")), "the queue of a deaf log is bounded");
    }
}

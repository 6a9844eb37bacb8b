//! logind: who forbids a shutdown, and asking for one.

use serde::{Deserialize, Serialize};

use super::bus::{Bus, SystemdError};
use super::proxies::InhibitorRow;
use crate::host::foreign::{Shown, named, tame};

/// One inhibitor lock (org.freedesktop.login1(5), ListInhibitors).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibitor {
    /// Colon-separated: shutdown, sleep, idle...
    pub what: String,
    /// The program's name for itself, foreign text.
    pub who: String,
    /// Its reason, foreign text.
    pub why: Shown,
    /// block, block-weak or delay.
    pub mode: String,
    /// Its user.
    pub uid: u32,
    /// Its process.
    pub pid: u32,
}

impl Inhibitor {
    fn stands_before_shutdown(&self) -> bool {
        self.what.split(':').any(|what| what == "shutdown")
    }
}

/// How the machine shall go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// Restart.
    Reboot,
    /// Off, until somebody switches it on.
    PowerOff,
}

/// Those that forbid a shutdown. Before systemd 257 root is let through all the same, so we must look ourselves.
#[must_use]
pub fn blocking(all: &[Inhibitor]) -> Vec<&Inhibitor> {
    all.iter().filter(|one| one.mode == "block" && one.stands_before_shutdown()).collect()
}

/// Those that hold a shutdown back for some seconds (InhibitDelayMaxSec): the reboot is queued, not refused.
#[must_use]
pub fn delaying(all: &[Inhibitor]) -> Vec<&Inhibitor> {
    all.iter().filter(|one| one.mode != "block" && one.stands_before_shutdown()).collect()
}

impl Bus {
    /// All inhibitor locks.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn inhibitors(&self) -> Result<Vec<Inhibitor>, SystemdError> {
        let login = self.login().await?;
        let rows = self.call("list inhibitors", login.list_inhibitors()).await?;
        Ok(rows.into_iter().take(256).map(inhibitor).collect())
    }

    /// Whether this user may: yes, no, challenge (a password would be asked for), na.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn may_go_down(&self, how: Down) -> Result<String, SystemdError> {
        let login = self.login().await?;
        let answer = match how {
            Down::Reboot => self.call("ask whether a reboot is allowed", login.can_reboot()).await?,
            Down::PowerOff => self.call("ask whether a power-off is allowed", login.can_power_off()).await?,
        };
        Ok(named(&answer, 64))
    }

    /// Asks for the reboot or power-off after looking for blocking locks other than those of `ignoring` (their `who`).
    /// `Ok` means accepted, not done: delay locks come first, and only a new boot id proves a reboot.
    ///
    /// # Errors
    /// [`SystemdError::Inhibited`] before anything was asked. After [`SystemdError::TimedOut`] or
    /// [`SystemdError::Lost`] it may be under way (the bus may simply have gone down first).
    pub async fn go_down(&self, how: Down, ignoring: &[String]) -> Result<(), SystemdError> {
        let what = match how {
            Down::Reboot => "reboot",
            Down::PowerOff => "power off",
        };
        let all = self.inhibitors().await?;
        let who: Vec<_> = blocking(&all).into_iter().filter(|one| !ignoring.contains(&one.who)).map(shown).collect();
        if !who.is_empty() {
            return Err(SystemdError::Inhibited { what: what.to_owned(), who: who.join("; ") });
        }
        let login = self.login().await?;
        match how {
            Down::Reboot => self.call(what, login.reboot(false)).await,
            Down::PowerOff => self.call(what, login.power_off(false)).await,
        }
    }
}

fn shown(one: &Inhibitor) -> String {
    format!("{} (pid {}, uid {}): {}", one.who, one.pid, one.uid, one.why)
}

fn inhibitor((what, who, why, mode, uid, pid): InhibitorRow) -> Inhibitor {
    let name = |text: &str| named(text, 200);
    Inhibitor { what: name(&what), who: name(&who), why: tame(&why, 200), mode: name(&mode), uid, pid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_block_locks_on_shutdown_block() {
        let lock = |what: &str, mode: &str| inhibitor((what.into(), "who".into(), "why\x07".into(), mode.into(), 0, 1));
        let all = [
            lock("shutdown:sleep", "block"),
            lock("sleep", "block"),
            lock("shutdown", "delay"),
            lock("handle-power-key", "block"),
            lock("shutdown", "block-weak"),
        ];
        assert_eq!(blocking(&all), [&all[0]]);
        assert_eq!(delaying(&all), [&all[2], &all[4]]);
        assert_eq!(all[0].why, "why\\u{7}");
    }
}

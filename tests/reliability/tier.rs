//! How hard to test, and the table of figures that each campaign prints.
use std::fmt::Display;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// `RUNBOOK_HARD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Quick,
    Full,
}

/// One campaign at a time: each uses both cores, and their tables must not mix.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static HELD: std::cell::RefCell<Option<(MutexGuard<'static, ()>, Instant)>> = const { std::cell::RefCell::new(None) };
}

/// The tier that was asked for, when this campaign's turn has come; `None` (and a word) if it is not to run here.
pub(crate) fn tier(name: &str) -> Option<Tier> {
    let asked = asked(name)?;
    if let Some(missing) = missing() {
        say(&format!("skipped: {name}: {missing}"));
        return None;
    }
    Some(turn(asked))
}

/// The same for a campaign that needs neither root nor tools.
pub(crate) fn tier_anywhere(name: &str) -> Option<Tier> {
    asked(name).map(turn)
}

fn asked(name: &str) -> Option<Tier> {
    let tier = match std::env::var("RUNBOOK_HARD").as_deref() {
        Ok("quick") => Tier::Quick,
        Ok("full") => Tier::Full,
        _ => {
            say(&format!("skipped: {name}: RUNBOOK_HARD=quick or RUNBOOK_HARD=full runs it"));
            return None;
        }
    };
    Some(tier)
}

fn turn(tier: Tier) -> Tier {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    HELD.with(|held| *held.borrow_mut() = Some((turn, Instant::now())));
    tier
}

fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mount namespaces need root".to_owned());
    }
    let tools = ["strace", "setpriv", "unshare", "mount", "mkfs.ext4", "perl", "dbus-daemon"];
    let paths: Vec<_> = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    let there = |tool: &str| paths.iter().chain(&sbin).any(|dir| dir.join(tool).exists());
    let gone: Vec<&str> = tools.into_iter().filter(|tool| !there(tool)).collect();
    (!gone.is_empty()).then(|| format!("{} missing: tests/lab/need.sh hard", gone.join(", ")))
}

/// The table of one campaign.
pub(crate) struct Figures {
    name: &'static str,
}

pub(crate) fn figures(name: &'static str) -> Figures {
    let took = HELD.with(|held| held.borrow().as_ref().map_or(0, |(_, began)| began.elapsed().as_secs()));
    let figures = Figures { name };
    figures.say("seconds", took);
    figures
}

impl Figures {
    pub(crate) fn say(&self, what: &str, value: impl Display) {
        say(&format!("{:<16} {what:<62} {value}", self.name));
    }
}

/// Straight to standard error: a skip and a figure must be seen even when the test passes.
fn say(line: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "{line}");
}

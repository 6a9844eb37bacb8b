//! Names of runs.
use std::fmt;

use super::Stamp;
use super::record::sha256_hex;

/// Name of a run, safe as a file name: `[a-z0-9-]`, 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// Takes a name if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        fits.then(|| Self(text.to_owned()))
    }

    /// `r-20261122-101500-ab12`: the time (UTC) for people, four digits against two runs in one second.
    pub(super) fn of(stamp: &Stamp, nth: u32) -> Self {
        let salt = format!("{} {} {} {nth}", stamp.boot_id, stamp.mono_ms, stamp.wall);
        let salt = sha256_hex(salt.as_bytes());
        Self(format!("r-{}-{}", stamp.wall.strftime("%Y%m%d-%H%M%S"), &salt[..4]))
    }

    /// The name without what tells runs of one second apart, as far as it is a name of ours: names compare by it first.
    pub(super) fn second(&self) -> &str {
        let dated = self.0.len() == "r-20261122-101500-ab12".len() && self.0.starts_with("r-");
        self.0.rsplit_once('-').filter(|_| dated).map_or(self.as_str(), |(second, _)| second)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! Recorded facts: a map from questions to answers, the form in which a machine is remembered.
//!
//! The baseline of a run, a file for CI, and what a plan was made from are all [`Facts`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Ask};
use super::foreign::{Shown, defuse, tame};
use super::machine::MachineSeen;
use super::pm2::{Pm2At, Pm2Seen};
use super::redis::eta::History;
use super::redis::{RedisAt, RedisSeen};
use super::systemd::UnitSeen;

/// The version of the recorded form; a reader refuses a newer one.
pub const FORMAT: u32 = 1;

/// No facts file is longer: 500 apps are half a megabyte.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Why a facts file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// A later version of this program wrote it.
    #[error(
        "the facts are of format {found}, and this version reads up to {FORMAT}: record them anew, or update runbook"
    )]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It is something else, or was cut.
    #[error("these are no recorded facts ({why}); `runbook facts NAME -o FILE` writes them")]
    Broken {
        /// Where reading stopped.
        why: Shown,
    },
}

/// What every version of a facts file begins with.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// What one machine answered at one time. Holds no secrets: answers have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// When the first answer came.
    pub at: Timestamp,
    /// CLOCK_BOOTTIME then, in seconds.
    pub uptime: f64,
    /// Question and answer, in the order of their keys.
    pub answers: Vec<(Ask, Answer)>,
    /// Questions that got no answer, and why.
    pub unanswered: BTreeMap<String, String>,
    /// Loads of its Redis instances that earlier runs have measured.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub loads: History,
    /// Bytes per second of a cold read of their files, where somebody asked for a probe of the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_rate: Option<f64>,
}

impl Facts {
    /// Nothing known yet.
    #[must_use]
    pub fn new(at: Timestamp, uptime: f64) -> Self {
        Self {
            format: FORMAT,
            at,
            uptime,
            answers: Vec::new(),
            unanswered: BTreeMap::new(),
            loads: History::default(),
            disk_rate: None,
        }
    }

    /// Reads a facts file. The caller has bounded its length by [`MAX_BYTES`].
    ///
    /// # Errors
    /// [`FactsError`]; a newer format is told from a broken file.
    pub fn read(bytes: &[u8]) -> Result<Self, FactsError> {
        let broken = |error: serde_json::Error| FactsError::Broken { why: tame(&error.to_string(), 200) };
        // Later formats may hold anything beside their number, so that comes first and alone.
        let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
        if head.format > FORMAT {
            return Err(FactsError::Newer { found: head.format });
        }
        // Whoever wrote the file need not have tamed what it repeats.
        let mut value: serde_json::Value = serde_json::from_slice(bytes).map_err(broken)?;
        defuse(&mut value);
        serde_json::from_value(value).map_err(broken)
    }

    /// The text of a facts file: one answer on a line, so that two files can be compared.
    ///
    /// # Errors
    /// A number that JSON cannot hold; answers have none.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        Ok(text.replace("],[{\"", "],\n[{\"") + "\n")
    }

    /// What was answered to `ask`.
    #[must_use]
    pub fn get(&self, ask: &Ask) -> Option<&Answer> {
        self.answers.iter().find(|(a, _)| a == ask).map(|(_, answer)| answer)
    }

    /// Remembers an answer in place of an earlier one.
    pub fn put(&mut self, ask: Ask, answer: Answer) {
        match self.answers.iter_mut().find(|(a, _)| *a == ask) {
            Some(known) => known.1 = answer,
            None => self.answers.push((ask, answer)),
        }
    }

    /// The machine as remembered.
    #[must_use]
    pub fn machine(&self) -> Option<&MachineSeen> {
        match self.get(&Ask::Machine)? {
            Answer::Machine(seen) => Some(seen),
            _ => None,
        }
    }

    /// A Redis instance as remembered.
    #[must_use]
    pub fn redis(&self, at: &RedisAt) -> Option<&RedisSeen> {
        self.answers.iter().find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Redis(a), Answer::Redis(seen)) if a == at => Some(&**seen),
            _ => None,
        })
    }

    /// A PM2 daemon as remembered.
    #[must_use]
    pub fn pm2(&self, at: &Pm2At) -> Option<&Pm2Seen> {
        self.answers.iter().find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Pm2(a), Answer::Pm2(seen)) if a == at => Some(&**seen),
            _ => None,
        })
    }

    /// A unit as remembered.
    #[must_use]
    pub fn unit(&self, name: &str) -> Option<&UnitSeen> {
        self.answers.iter().find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Unit(a), Answer::Unit(seen)) if a == name => Some(&**seen),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::model::sample;

    #[test]
    fn facts_come_back_as_they_were_written() {
        let mut facts = sample::small();
        facts.unanswered.insert("tcp [::1]:5432".into(), "refused".into());
        let text = facts.write().unwrap();
        assert!(text.lines().count() > 5, "one answer on a line");
        assert_eq!(Facts::read(text.as_bytes()), Ok(facts));
    }

    #[test]
    fn a_newer_format_and_a_broken_file_are_told_apart() {
        let newer = br#"{"format":2,"nobody":["knows",{"what":"comes"}]}"#;
        assert_eq!(Facts::read(newer), Err(FactsError::Newer { found: 2 }));
        assert!(Facts::read(newer).unwrap_err().to_string().contains("update runbook"));
        for broken in ["", "{", "[]", "{\"format\":1}", "{\"format\":-1}", "\u{0}"] {
            assert!(matches!(Facts::read(broken.as_bytes()), Err(FactsError::Broken { .. })), "{broken}");
        }
    }
}

//! Recorded facts: a map from questions to answers, the form in which a machine is remembered.
//!
//! The baseline of a run, a file for CI, and what a plan was made from are all [`Facts`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Ask};
use super::machine::MachineSeen;
use super::pm2::{Pm2At, Pm2Seen};
use super::redis::{RedisAt, RedisSeen};
use super::systemd::UnitSeen;

/// The version of the recorded form; a reader refuses a newer one.
pub const FORMAT: u32 = 1;

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
}

impl Facts {
    /// Nothing known yet.
    #[must_use]
    pub fn new(at: Timestamp, uptime: f64) -> Self {
        Self { format: FORMAT, at, uptime, answers: Vec::new(), unanswered: BTreeMap::new() }
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

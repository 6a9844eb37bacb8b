//! What of the state directory goes, so that it does not grow for ever: runs that are over, and saved plans.
//!
//! A run goes when a limit says so, its journal says that it is over, and what it taught is written down in
//! `learned`. It is first renamed out of sight, durably, then removed: whoever is killed in between leaves
//! nothing that a list, a resume or a new run would take for a run, and the next one finishes it.
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::files::Directory;
use super::learned::{Learned, Over};
use super::plans::PLANS_KEPT;
use super::run_id::RunId;
use super::store::{Store, StoreError, draft_of};
use super::tree::{gone, is_gone};

/// Runs that stay by default.
pub const RUNS_KEPT: usize = 200;
/// Bytes that runs may take by default.
pub const BYTES_KEPT: u64 = 1 << 30;
/// So long a run that was abandoned or set aside stays, whatever the limits: its snapshot and its journal are what the host is
/// brought into order by.
pub const EVIDENCE_STAYS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Limits; each takes effect by itself, and `None` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// So many stay, the newest.
    pub keep: Option<usize>,
    /// What ended before this goes.
    pub before: Option<Timestamp>,
    /// The newest stay that together take no more than so much; the newest of all stays anyway.
    pub bytes: Option<u64>,
    /// Saved plans that stay, the newest.
    pub plans: Option<usize>,
}

impl Limits {
    /// The bound that holds by itself.
    pub const DEFAULT: Self =
        Self { keep: Some(RUNS_KEPT), before: None, bytes: Some(BYTES_KEPT), plans: Some(PLANS_KEPT) };
}

/// Which limit a run is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// Too many newer ones.
    Keep,
    /// Too old.
    Age,
    /// The newer ones take all the room.
    Size,
}

/// A run that is beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Its name.
    pub run: RunId,
    /// What it takes on the disk.
    pub bytes: u64,
    /// The limit.
    pub beyond: Beyond,
}

/// What goes or went, and what stays although a limit says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Runs.
    pub runs: Vec<Doomed>,
    /// Saved plans with their bytes.
    pub plans: Vec<(String, u64)>,
    /// What earlier processes left half removed or half made, with its bytes.
    pub leftovers: Vec<(String, u64)>,
    /// Runs that a limit names and that stay, with the reason.
    pub spared: Vec<(RunId, String)>,
    /// Runs that stay.
    pub left: usize,
    /// What could not be removed, and why.
    pub trouble: Vec<String>,
}

impl Pruned {
    /// Bytes of everything that goes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let plans = self.plans.iter().chain(&self.leftovers).map(|(_, bytes)| *bytes);
        self.runs.iter().map(|run| run.bytes).chain(plans).fold(0, u64::saturating_add)
    }
}

/// A run as the limits see it.
struct Seen {
    run: RunId,
    over: Option<Over>,
    bytes: u64,
}

impl Store {
    /// What a prune would remove now; nothing is changed.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be read.
    pub fn would_prune(&self, limits: &Limits, now: Timestamp) -> Result<Pruned, StoreError> {
        let learned = self.learned_now()?;
        let mut found = self.judge(&learned, limits, now, &BTreeMap::new())?;
        found.plans = self.doomed_plans(limits)?.into_iter().map(|(id, bytes)| (id.to_string(), bytes)).collect();
        found.leftovers = self.leftovers()?;
        Ok(found)
    }

    /// Removes what is beyond the limits and makes sure that it is gone. The caller holds the host lock.
    ///
    /// # Errors
    /// [`StoreError`] if what the runs taught cannot be written down; nothing is removed then. What cannot be removed is told
    /// in [`Pruned::trouble`].
    pub fn prune(&self, limits: &Limits, now: Timestamp) -> Result<Pruned, StoreError> {
        // Learning gives back what journals had reserved; told is what the disk gets back in all.
        let known = self.learned().over;
        let fresh = self.ids()?.into_iter().filter(|id| !known.contains_key(id.as_str()));
        let sizes = fresh.map(|id| (id.to_string(), self.bytes_of(&id))).collect();
        let learned = self.learn_all()?;
        let mut found = self.judge(&learned, limits, now, &sizes)?;
        found.leftovers = self.leftovers()?;
        if !found.runs.is_empty() || !found.leftovers.is_empty() {
            let runs = self.root.sub("runs")?;
            self.take_away(&runs, &mut found);
            let there = runs.names()?;
            let is_there = |name: &str| there.iter().any(|known| known == name);
            let before = found.runs.len();
            found.runs.retain(|Doomed { run, .. }| !is_there(run.as_str()) && !is_there(&gone(run.as_str())));
            found.left += before - found.runs.len();
            found.leftovers.retain(|(name, _)| !is_there(name));
            self.learn_all()?;
        }
        match self.remove_plans(limits, now.checked_sub(jiff::SignedDuration::from_hours(24)).ok()) {
            Ok(plans) => found.plans = plans,
            Err(error) => found.trouble.push(error.to_string()),
        }
        Ok(found)
    }

    /// Out of sight first, all of them, and durably; only then anything is removed.
    fn take_away(&self, runs: &Directory, found: &mut Pruned) {
        let mut apart: Vec<String> = found.leftovers.iter().map(|(name, _)| name.clone()).collect();
        for doomed in &found.runs {
            match runs.set_apart(doomed.run.as_str()) {
                Ok(name) => apart.push(name),
                Err(error) => found.trouble.push(error.to_string()),
            }
        }
        if let Err(error) = runs.sync() {
            return found.trouble.push(error.to_string());
        }
        found
            .trouble
            .extend(apart.iter().filter_map(|name| runs.remove_tree(name).err()).map(|error| error.to_string()));
        found.trouble.extend(runs.sync().err().map(|error| error.to_string()));
    }

    /// Which runs are beyond a limit and may go; `sizes` has what some of them took before.
    fn judge(
        &self,
        learned: &Learned,
        limits: &Limits,
        now: Timestamp,
        sizes: &BTreeMap<String, u64>,
    ) -> Result<Pruned, StoreError> {
        let seen = self.ids()?.into_iter().map(|run| {
            let over = learned.over.get(run.as_str()).cloned();
            let bytes = over.as_ref().map_or_else(|| self.bytes_of(&run), |over| over.bytes);
            Seen { run, over, bytes }
        });
        let mut seen: Vec<Seen> = seen.collect();
        // Names do not order runs of one second; their ends do, and what has not ended is the newest.
        let end = |one: &Seen| one.over.as_ref().map_or(Timestamp::MAX, |over| over.at);
        seen.sort_by(|a, b| a.run.second().cmp(b.run.second()).then_with(|| end(a).cmp(&end(b))));
        let named = self.pending()?;
        let mut found = Pruned::default();
        for (one, beyond) in beyond(&seen, limits) {
            match self.must_stay(one, named.as_deref(), now) {
                Some(why) => found.spared.push((one.run.clone(), why)),
                None => {
                    let bytes = sizes.get(one.run.as_str()).copied().unwrap_or_else(|| self.bytes_of(&one.run));
                    found.runs.push(Doomed { run: one.run.clone(), bytes, beyond });
                }
            }
        }
        found.left = seen.len() - found.runs.len();
        Ok(found)
    }

    /// Why a run stays although it is beyond a limit. What is written in a summary is believed for keeping only: before a run
    /// goes, its own journal or note must say that it is over.
    fn must_stay(&self, one: &Seen, pending: Option<&str>, now: Timestamp) -> Option<String> {
        if pending == Some(one.run.as_str()) {
            return Some("it owns this host".into());
        }
        let reading = self.fold(&one.run);
        let Some(over) = self.over(&one.run, reading.as_ref().ok().map(|reading| &reading.state)) else {
            return Some(match reading {
                Ok(_) => "it is unfinished".into(),
                Err(error) => format!("it cannot be read and nobody has set it aside: {error}"),
            });
        };
        // A clock that was set back makes an end lie in the future: then its age is not known.
        let age = Duration::try_from(now.duration_since(over.at)).unwrap_or_default();
        let fresh = over.evidence && age < EVIDENCE_STAYS;
        fresh.then(|| format!("it was abandoned or set aside {}, and stays for 30 days", over.at.strftime("%F")))
    }

    /// What was left half removed, and runs that were never put in place. A draft that `pending` names has its name taken
    /// away by the next run.
    fn leftovers(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let kept = self.pending()?.as_deref().and_then(RunId::parse).map(|id| draft_of(&id));
        let mut names = self.names()?;
        names.retain(|name| is_gone(name) || (name.starts_with(".new-") && Some(name) != kept.as_ref()));
        let Ok(runs) = self.root.sub("runs") else { return Ok(Vec::new()) };
        Ok(names.into_iter().map(|name| (name.clone(), runs.tree_bytes(&name))).collect())
    }

    /// What a run takes on the disk; 0 if it cannot be seen.
    pub(super) fn bytes_of(&self, run: &RunId) -> u64 {
        self.root.sub("runs").map_or(0, |runs| runs.tree_bytes(run.as_str()))
    }
}

/// The runs beyond a limit, oldest first, with the first limit that says so. `seen` is oldest first.
fn beyond<'a>(seen: &'a [Seen], limits: &Limits) -> Vec<(&'a Seen, Beyond)> {
    let mut found = Vec::new();
    let mut bytes = 0_u64;
    for (newer, one) in seen.iter().rev().enumerate() {
        bytes = bytes.saturating_add(one.bytes);
        let old = || one.over.as_ref().zip(limits.before).is_some_and(|(over, before)| over.at < before);
        let limit = if limits.keep.is_some_and(|keep| newer >= keep) {
            Beyond::Keep
        } else if old() {
            Beyond::Age
        } else if newer > 0 && limits.bytes.is_some_and(|most| bytes > most) {
            Beyond::Size
        } else {
            continue;
        };
        found.push((one, limit));
    }
    found.reverse();
    found
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;

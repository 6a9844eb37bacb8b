//! Saved plans: `plans/<id>/` in the state directory, each put together aside and renamed into place, never changed again.
use jiff::Timestamp;

use super::Stamp;
use super::files::{Directory, FileError};
use super::prune::Limits;
use super::record::sha256_hex;
use super::store::{Store, StoreError};
use super::tree::is_gone;

/// Where saved plans lie.
const PLANS: &str = "plans";
/// So many saved plans are kept, the newest.
pub const PLANS_KEPT: usize = 50;

/// Name of a saved plan: `p-` and some hexadecimal digits, short enough to be typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanId(String);

impl PlanId {
    /// Takes a name if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("p-")?;
        let fits = (4..=16).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The nth try for a name that is free.
    fn of(stamp: &Stamp, nth: u32) -> Self {
        let salt = sha256_hex(format!("plan {} {} {} {nth}", stamp.boot_id, stamp.mono_ms, stamp.wall).as_bytes());
        Self(format!("p-{}", &salt[..4 + nth.min(12) as usize]))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Store {
    /// Keeps files under a new name: all of them or none, and durably.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn save_plan(&self, files: &[(&str, &[u8])], stamp: &Stamp) -> Result<PlanId, StoreError> {
        let plans = match self.root.make_sub(PLANS) {
            Ok(plans) => {
                self.root.sync()?;
                plans
            }
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                self.root.sub(PLANS)?
            }
            Err(error) => return Err(error.into()),
        };
        let names = plans.names()?;
        let free = |id: &PlanId| !names.iter().any(|name| name.trim_start_matches(".new-") == id.as_str());
        let id = (0..).map(|nth| PlanId::of(stamp, nth)).find(free).unwrap_or_else(|| PlanId::of(stamp, 0));
        let draft = format!(".new-{id}");
        let dir = plans.make_sub(&draft)?;
        for (name, bytes) in files {
            dir.write_new(name, bytes)?;
        }
        dir.sync()?;
        rustix::fs::renameat(plans.fd(), &draft, plans.fd(), id.as_str())
            .map_err(FileError::io("rename to", &plans.path().join(id.as_str())))?;
        plans.sync()?;
        Ok(id)
    }

    /// Removes the oldest saved plans until so many are left, and says how many went.
    ///
    /// # Errors
    /// [`StoreError::File`]; some may have gone by then.
    pub fn prune_plans(&self, keep: usize) -> Result<usize, StoreError> {
        Ok(self.remove_plans(&Limits { plans: Some(keep), ..Limits::default() }, None)?.len())
    }

    /// Saved plans beyond a limit with their bytes, oldest first. A plan is good for half an hour; those that are kept longer are
    /// for looking back only. A run has a copy of the plan that it was begun with, so none of them is needed by one.
    pub(super) fn doomed_plans(&self, limits: &Limits) -> Result<Vec<(PlanId, u64)>, StoreError> {
        let plans = match self.root.sub(PLANS) {
            Ok(plans) => plans,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut all: Vec<(i64, i64, PlanId)> = Vec::new();
        for id in plans.names()?.iter().filter_map(|name| PlanId::parse(name)) {
            let stat = match rustix::fs::statat(plans.fd(), id.as_str(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                // Somebody else prunes at the same time.
                Err(rustix::io::Errno::NOENT) => continue,
                stat => stat.map_err(FileError::io("look at", &plans.path().join(id.as_str())))?,
            };
            all.push((stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0), id));
        }
        all.sort();
        let surplus = limits.plans.map_or(0, |keep| all.len().saturating_sub(keep));
        let before = limits.before.map(|before| (before.as_second(), i64::from(before.subsec_nanosecond())));
        let old = |since: (i64, i64)| before.is_some_and(|before| since < before);
        let doomed = all.into_iter().enumerate().filter(|(n, (since, nanos, _))| *n < surplus || old((*since, *nanos)));
        let with_bytes = |id: PlanId| {
            let bytes = plans.tree_bytes(id.as_str());
            (id, bytes)
        };
        Ok(doomed.map(|(_, (.., id))| with_bytes(id)).collect())
    }

    /// Removes saved plans beyond a limit: out of sight first, so that nobody reads half of one. What an earlier process left
    /// half removed goes, too, and drafts from before `drafts`, whose maker has died: no lock is held while a plan is saved.
    pub(super) fn remove_plans(
        &self,
        limits: &Limits,
        drafts: Option<Timestamp>,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let doomed = self.doomed_plans(limits)?;
        let plans = match self.root.sub(PLANS) {
            Ok(plans) => plans,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut removed = Vec::new();
        for (id, bytes) in doomed {
            match plans.set_apart(id.as_str()) {
                Ok(_) => removed.push((id.to_string(), bytes)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let stale = |name: &String| {
            let stat = rustix::fs::statat(plans.fd(), name.as_str(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            let since = stat.ok().map(|stat| stat.st_mtime);
            name.starts_with(".new-") && since.zip(drafts).is_some_and(|(since, drafts)| since < drafts.as_second())
        };
        let left_over: Vec<String> = plans.names()?.into_iter().filter(|name| is_gone(name) || stale(name)).collect();
        if !left_over.is_empty() {
            plans.sync()?;
            left_over.iter().try_for_each(|name| plans.remove_tree(name))?;
        }
        Ok(removed)
    }

    /// The directory of a saved plan; `None` when there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn saved_plan(&self, id: &PlanId) -> Result<Option<Directory>, StoreError> {
        match self.root.sub(PLANS).and_then(|plans| plans.sub(id.as_str())) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn stamp() -> Stamp {
        Stamp { boot_id: "b".into(), mono_ms: 7, wall: "2026-11-28T09:00:00Z".parse().unwrap() }
    }

    #[test]
    fn names_are_short_and_nothing_else_is_one() {
        let id = PlanId::of(&stamp(), 0);
        assert_eq!(id.as_str().len(), 6);
        assert_eq!(PlanId::parse(id.as_str()), Some(id));
        for bad in ["p-", "p-12", "p-xyzw", "p-AB12", "../p-ab12", "p-ab12/..", "r-ab12", ".new-p-ab12"] {
            assert_eq!(PlanId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_plan_is_kept_whole_private_and_under_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::prepare(&dir.path().join("state")).unwrap();
        assert!(store.saved_plan(&PlanId::of(&stamp(), 0)).unwrap().is_none());
        let first = store.save_plan(&[("plan.json", b"{}"), ("facts.json", b"[]")], &stamp()).unwrap();
        let second = store.save_plan(&[("plan.json", b"{}")], &stamp()).unwrap();
        assert_ne!(first, second, "the same moment");
        let kept = store.saved_plan(&first).unwrap().unwrap();
        assert_eq!(kept.read("facts.json").unwrap(), b"[]");
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(kept.path()), mode(&kept.path().join("plan.json"))), (0o700, 0o600));
        assert!(store.list().unwrap().is_empty(), "a plan is no run");
    }

    #[test]
    fn the_oldest_plans_go_first_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::prepare(&dir.path().join("state")).unwrap();
        assert_eq!(store.prune_plans(3).unwrap(), 0);
        let at = |n: i64| Stamp { mono_ms: u64::try_from(n).unwrap(), ..stamp() };
        let ids: Vec<PlanId> =
            (0..5).map(|n| store.save_plan(&[("plan.json", b"{}"), ("facts.json", b"[]")], &at(n)).unwrap()).collect();
        for (n, id) in ids.iter().enumerate() {
            let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + n as u64);
            let path = store.saved_plan(id).unwrap().unwrap().path().to_owned();
            std::fs::File::open(path).unwrap().set_modified(when).unwrap();
        }
        std::fs::write(dir.path().join("state/plans/note.txt"), "mine").unwrap();
        assert_eq!(store.prune_plans(3).unwrap(), 2);
        let left: Vec<bool> = ids.iter().map(|id| store.saved_plan(id).unwrap().is_some()).collect();
        assert_eq!(left, [false, false, true, true, true]);
        assert!(dir.path().join("state/plans/note.txt").exists(), "what is no plan stays");
    }
}

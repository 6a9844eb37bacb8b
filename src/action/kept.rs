//! What a run has captured, as its steps read it.
//!
//! Captured values are JSON texts, because they come from the journal. The one that is large, the snapshot of a PM2 list,
//! is wanted once for every app of it, and is read into its type only the first time.
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use super::process_list::names;
use crate::host::json_text::JsonText;
use crate::host::pm2::{App, SnapshotRef};

/// What a run has captured, by key; write-once, so that a later look cannot overwrite what was true then.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    values: BTreeMap<String, JsonText>,
    snapshots: RefCell<HashMap<String, Arc<Saved>>>,
}

/// A captured snapshot, and where in it the app of a name is.
#[derive(Debug)]
struct Saved {
    snapshot: Arc<SnapshotRef>,
    index: HashMap<String, usize>,
}

impl Saved {
    fn of(snapshot: SnapshotRef) -> Self {
        // Of two of one name, which the names rule out, the first counts.
        let mut index = HashMap::new();
        for (at, name) in names(&snapshot.apps).into_iter().enumerate() {
            index.entry(name).or_insert(at);
        }
        Self { snapshot: Arc::new(snapshot), index }
    }
}

impl Kept {
    /// Nothing captured yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Captures a value, unless the key has one already.
    pub fn keep(&mut self, key: String, value: JsonText) {
        self.values.entry(key).or_insert(value);
    }

    /// The snapshot captured under a key; `None` where there is none, or something else.
    pub(super) fn snapshot(&self, key: &str) -> Option<Arc<SnapshotRef>> {
        Some(Arc::clone(&self.saved(key)?.snapshot))
    }

    /// The app of the snapshot under a key which is called `name` in items and messages.
    pub(super) fn saved_app(&self, key: &str, name: &str) -> Option<App> {
        let saved = self.saved(key)?;
        saved.snapshot.apps.get(*saved.index.get(name)?).cloned()
    }

    fn saved(&self, key: &str) -> Option<Arc<Saved>> {
        if let Some(saved) = self.snapshots.borrow().get(key) {
            return Some(Arc::clone(saved));
        }
        let saved = Arc::new(Saved::of(self.values.get(key)?.read::<SnapshotRef>().ok()?));
        self.snapshots.borrow_mut().insert(key.to_owned(), Arc::clone(&saved));
        Some(saved)
    }
}

impl Deref for Kept {
    type Target = BTreeMap<String, JsonText>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}

impl FromIterator<(String, JsonText)> for Kept {
    fn from_iter<I: IntoIterator<Item = (String, JsonText)>>(values: I) -> Self {
        Self { values: values.into_iter().collect(), ..Self::default() }
    }
}

impl Extend<(String, JsonText)> for Kept {
    fn extend<I: IntoIterator<Item = (String, JsonText)>>(&mut self, values: I) {
        values.into_iter().for_each(|(key, value)| self.keep(key, value));
    }
}

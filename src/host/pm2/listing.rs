//! A daemon's list, taken in entry by entry: of each the facts of its app, what is to be said of it and the secrets to be hidden,
//! and nothing else. A thousand apps of a megabyte come to no more than a thousand small ones.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use super::advice::Adviser;
use super::app::App;
use super::cutter::Refusal;
use super::listed::number_equals;
use super::trimmed::{self, VALUES_MAX};
use crate::host::redact::Learner;

/// All texts that are kept of one list, in bytes: names and paths, some three hundred bytes of an app.
const TEXTS_MAX: usize = 3 << 19;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The apps, modules included; once the list is whole, in the order of their numbers and numbered among equals.
    pub(super) apps: Vec<App>,
    pub(super) adviser: Adviser,
    /// The first entry as it came: the answer to an order about one app is a list, too.
    pub(super) first: Option<Value>,
    /// The entries as they came, for whoever records them.
    pub(super) kept: Option<Kept>,
    texts: usize,
}

/// A list under way.
#[derive(Default)]
pub(super) struct Taking {
    listing: Listing,
    secrets: Learner,
    /// Whose apps these are.
    user: u32,
}

impl Taking {
    /// The list of this user's daemon.
    pub(super) fn of(user: u32) -> Self {
        Self { user, ..Self::default() }
    }

    /// Keeps the entries, too, in a file without a name.
    pub(super) fn keeping(self, file: File) -> Self {
        let kept = Some(Kept { file, spans: Vec::new(), end: 0 });
        Self { listing: Listing { kept, ..self.listing }, ..self }
    }

    /// Takes one entry in.
    ///
    /// # Errors
    /// [`Refusal`]: the list is not to be read on.
    pub(super) fn take(&mut self, entry: &[u8]) -> Result<(), Refusal> {
        let value = trimmed::read(entry)
            .ok_or_else(|| Refusal::Unwanted(format!("an app that is no JSON, or of more than {VALUES_MAX} values")))?;
        self.add(value)
    }

    fn add(&mut self, entry: Value) -> Result<(), Refusal> {
        let listing = &mut self.listing;
        let app = App::from_entry(&entry);
        listing.texts += app.text_bytes();
        if listing.texts > TEXTS_MAX {
            return Err(Refusal::Unwanted(format!("a list with more than {} KiB of names and paths", TEXTS_MAX >> 10)));
        }
        listing.adviser.see(&entry, &app);
        self.secrets.see(&entry);
        if let Some(kept) = &mut listing.kept {
            kept.add(&entry).map_err(|error| Refusal::Unwanted(format!("it cannot be written down: {error}")))?;
        }
        listing.apps.push(app);
        listing.first.get_or_insert(entry);
        Ok(())
    }

    /// The list is whole.
    pub(super) fn finish(mut self) -> Listing {
        self.secrets.learn(self.user);
        self.listing.sort();
        self.listing
    }
}

impl Listing {
    fn sort(&mut self) {
        // A list that grew by doubling is kept for a whole run.
        self.apps.shrink_to_fit();
        match &mut self.kept {
            Some(kept) => kept.sort_with(&mut self.apps),
            None => {
                self.apps.sort_by_key(|app| app.pm_id);
                number_equals(&mut self.apps);
            }
        }
    }

    /// Leaves apps out, and what was kept of them.
    pub(super) fn retain(&mut self, stays: impl Fn(&App) -> bool) {
        if let Some(kept) = &mut self.kept {
            let mut apps = self.apps.iter();
            kept.spans.retain(|_| apps.next().is_some_and(&stays));
        }
        self.apps.retain(stays);
        number_equals(&mut self.apps);
    }

    /// The list of these entries.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of(entries: &[Value]) -> Self {
        let mut taking = Taking::default();
        for entry in entries {
            drop(taking.add(entry.clone()));
        }
        taking.finish()
    }
}

/// Entries in a file, each a JSON object of its own.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    spans: Vec<(u64, usize)>,
    end: u64,
}

impl Kept {
    /// Entries that stand in a file already.
    pub(super) fn of(file: File, spans: Vec<(u64, usize)>) -> Self {
        Self { file, spans, end: 0 }
    }

    /// Room in `dir`, under no name.
    pub(super) fn room(dir: &Path) -> io::Result<File> {
        tempfile::tempfile_in(dir)
    }

    /// Puts entries and their apps into the order of numbers, and numbers those that are equal.
    pub(super) fn sort_with(&mut self, apps: &mut Vec<App>) {
        let mut both: Vec<_> = std::mem::take(apps).into_iter().zip(std::mem::take(&mut self.spans)).collect();
        both.sort_by_key(|(app, _)| app.pm_id);
        (*apps, self.spans) = both.into_iter().unzip();
        number_equals(apps);
    }

    fn add(&mut self, entry: &Value) -> io::Result<()> {
        let text = serde_json::to_vec(entry)?;
        self.file.write_all_at(&text, self.end)?;
        self.spans.push((self.end, text.len()));
        self.end += text.len() as u64;
        Ok(())
    }

    /// The text of an entry; `None` beyond the last.
    pub(super) fn entry(&self, index: usize) -> Option<io::Result<Vec<u8>>> {
        let (at, len) = *self.spans.get(index)?;
        let mut text = vec![0; len];
        Some(self.file.read_exact_at(&mut text, at).map(|()| text))
    }

    /// All of them, as the members of a JSON list.
    pub(super) fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        for index in 0..self.spans.len() {
            if index > 0 {
                to.write_all(b",")?;
            }
            if let Some(text) = self.entry(index) {
                to.write_all(&text?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kept_entries_follow_their_apps() {
        let mut taking = Taking::default().keeping(tempfile::tempfile().unwrap());
        for (name, id, module) in [("c", 3, false), ("m", 2, true), ("a", 1, false)] {
            let entry = json!({ "pm_id": id, "pm2_env": { "name": name, "pm_id": id, "pmx_module": module } });
            taking.take(entry.to_string().as_bytes()).unwrap();
        }
        let mut listing = taking.finish();
        listing.retain(|app| !app.module);
        let names: Vec<&str> = listing.apps.iter().map(|app| app.key.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let mut text = b"[".to_vec();
        listing.kept.as_ref().unwrap().write_to(&mut text).unwrap();
        text.push(b']');
        let read: Vec<Value> = serde_json::from_slice(&text).unwrap();
        assert_eq!((read.len(), &read[0]["pm2_env"]["name"], &read[1]["pm_id"]), (2, &json!("a"), &json!(3)));
        assert!(listing.kept.unwrap().entry(2).is_none());
    }

    #[test]
    fn a_list_of_too_much_text_is_refused() {
        let long = json!({ "pm2_env": { "name": "\u{1b}".repeat(200), "pm_cwd": "\u{1b}".repeat(1024) } }).to_string();
        let mut taking = Taking::default();
        let took = (0..2_000).take_while(|_| taking.take(long.as_bytes()).is_ok()).count();
        assert!((100..600).contains(&took), "{took}");
        let many = format!("{{\"a\":[{}0]}}", "0,".repeat(VALUES_MAX));
        assert!(matches!(Taking::default().take(many.as_bytes()), Err(Refusal::Unwanted(_))));
    }
}

//! The last filter before anything leaves this process: known secrets are replaced by `[redacted]`, whatever carries them.
//!
//! A flag on a task or a careful `Debug` fails on the side paths: the failed task, the log of a service that prints its
//! own token, the panic. So every secret that is resolved in this process is learnt here, *by value*, and every sink asks:
//! terminals and pipes ([`Sieved`]), the journal and small files ([`json`], [`checked`]), and foreign text at the door
//! ([`text`], called by [`super::foreign::tame`]), because a screen that wraps or cuts a value would hide it from a sink.
//!
//! Choices. *Known by value* means in the forms of `forms.rs`, not only as written. *At least six bytes*: a shorter secret is
//! guessed in seconds, and hiding every `root` or `6379` would make the output lie. *Kept until the end*: a value that was
//! wiped cannot be recognised, so this process may not be dumped ([`super::own_process`]). *Environments*: apps have many
//! variables that are no secrets (`NODE_ENV=production`); those that look like one are learnt, all are kept out by the
//! allow-list of [`super::pm2`].

mod environment;
mod forms;
mod sieve;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use environment::Learner;
pub use sieve::{Sieve, Sieved};

/// What stands in the place of a secret.
pub const MARK: &str = "[redacted]";
/// Shorter values are not hidden; see the module.
pub const SHORTEST: usize = 6;
/// Bytes by which forms are looked up; no form is shorter.
const KEY: usize = 4;
/// Forms that are kept of what others list, and their bytes: some thousand secrets. A host with more has not told us that they
/// are secrets, and others must not fill our memory. What was given to this process itself is always kept.
const MOST_FORMS: usize = 60_000;
const MOST_FORM_BYTES: usize = 6 << 20;

static KNOWN: RwLock<Option<Known>> = RwLock::new(None);
/// How many forms there are, so that nothing is locked while there is nothing to hide.
static FORMS: AtomicUsize = AtomicUsize::new(0);

/// Everything that must not be shown.
#[derive(Default)]
struct Known {
    values: HashSet<Box<str>>,
    /// Forms by their first bytes, the longest first.
    by_start: HashMap<[u8; KEY], Vec<Box<[u8]>>>,
    /// The first one to three bytes of every form: what may be the beginning of one at the end of a write.
    starts: HashSet<Box<[u8]>>,
    /// A bit for each pair of bytes that a form begins with: nearly every place of a text ends here.
    pairs: Vec<u64>,
    forms: usize,
    form_bytes: usize,
}

impl Known {
    fn is_full(&self) -> bool {
        self.forms >= MOST_FORMS || self.form_bytes >= MOST_FORM_BYTES
    }

    fn add(&mut self, value: &str) {
        if !self.values.insert(value.into()) {
            return;
        }
        for form in forms::of(value) {
            let Some(start) = form.first_chunk::<KEY>().copied() else { continue };
            let bucket = self.by_start.entry(start).or_default();
            if bucket.iter().any(|known| **known == *form) {
                continue;
            }
            self.pairs.resize(1 << 10, 0);
            let pair = pair(start[0], start[1]);
            self.pairs[pair / 64] |= 1 << (pair % 64);
            self.starts.extend((1..KEY).map(|len| Box::from(&form[..len])));
            self.form_bytes += form.len();
            let at = bucket.partition_point(|known| known.len() > form.len());
            bucket.insert(at, form.into());
            self.forms += 1;
        }
    }

    /// The length of the longest form that `bytes` begins with.
    fn begins(&self, bytes: &[u8]) -> Option<usize> {
        let start = bytes.first_chunk::<KEY>()?;
        let pair = pair(start[0], start[1]);
        if self.pairs.get(pair / 64)? & (1 << (pair % 64)) == 0 {
            return None;
        }
        let bucket = self.by_start.get(start)?;
        bucket.iter().find(|form| bytes.starts_with(form)).map(|form| form.len())
    }

    /// Whether `bytes` could become a form when more comes.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        match bytes.first_chunk::<KEY>() {
            Some(start) => {
                let bucket = self.by_start.get(start).map_or(&[][..], Vec::as_slice);
                bucket.iter().any(|form| form.len() > bytes.len() && form.starts_with(bytes))
            }
            None => self.starts.contains(bytes),
        }
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Learns a secret; also each of its lines that is long enough, because logs and screens break lines.
pub fn learn(value: &str) {
    learn_if(value, |_| true);
}

/// The same for a secret that somebody else lists.
fn learn_found(value: &str) {
    learn_if(value, |known| !known.is_full());
}

fn learn_if(value: &str, wanted: impl Fn(&Known) -> bool) {
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= 2 * SHORTEST && line.len() < value.len());
    let new: Vec<&str> =
        std::iter::once(value).chain(lines).filter(|value| value.len() >= SHORTEST && !is_known(value)).collect();
    if new.is_empty() {
        return;
    }
    let mut guard = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let known = guard.get_or_insert_default();
    for value in new {
        if wanted(known) {
            known.add(value);
        }
    }
    FORMS.store(known.forms, Ordering::Release);
}

fn is_known(value: &str) -> bool {
    with(|known| known.values.contains(value)).unwrap_or(false)
}

/// Asks what is known; `None` while nothing is.
fn with<T>(ask: impl FnOnce(&Known) -> T) -> Option<T> {
    if FORMS.load(Ordering::Acquire) == 0 {
        return None;
    }
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
}

/// Whether any known secret is in it.
#[must_use]
pub fn holds_secret(bytes: &[u8]) -> bool {
    with(|known| (0..bytes.len()).any(|at| known.begins(&bytes[at..]).is_some())).unwrap_or(false)
}

/// The bytes with every known secret replaced.
#[must_use]
pub fn bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !holds_secret(bytes) {
        return Cow::Borrowed(bytes);
    }
    let mut sieve = Sieve::default();
    let mut out = Vec::with_capacity(bytes.len());
    sieve.push(bytes, &mut out);
    sieve.finish(&mut out);
    Cow::Owned(out)
}

/// The text with every known secret replaced.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    match bytes(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
    }
}

/// A JSON document with every known secret replaced inside its strings, so that it stays a document: a secret that
/// happens to be a number stays a number where it stands for one. What is no JSON is treated as plain bytes.
#[must_use]
pub fn json(document: &[u8]) -> Cow<'_, [u8]> {
    if !holds_secret(document) {
        return Cow::Borrowed(document);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(document) else { return bytes(document) };
    for at in telling(&value) {
        replace(&mut value, &at);
    }
    match serde_json::to_vec_pretty(&value) {
        Ok(clean) => Cow::Owned(clean),
        Err(_) => bytes(document),
    }
}

/// The same for a value that is going to be written: `None` when nothing in it must be hidden, else what may be written. A
/// string without which the value could not be read back (a tag, a time) is left alone: it is there by coincidence.
#[must_use]
pub fn checked<T: Serialize + DeserializeOwned>(value: &T) -> Option<T> {
    if FORMS.load(Ordering::Acquire) == 0 {
        return None;
    }
    let original = serde_json::to_value(value).ok()?;
    let places = telling(&original);
    if places.is_empty() {
        return None;
    }
    let read = |value: &Value| T::deserialize(value).ok();
    let mut clean = original.clone();
    places.iter().for_each(|at| replace(&mut clean, at));
    if let Some(whole) = read(&clean) {
        return Some(whole);
    }
    let mut clean = original;
    for at in &places {
        let before = clean.clone();
        replace(&mut clean, at);
        if read(&clean).is_none() {
            clean = before;
        }
    }
    read(&clean)
}

/// Where in a value strings hold a secret, as JSON pointers (RFC 6901). A string that is nothing but a plain word is a tag
/// or a name of ours.
fn telling(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, &mut String::new(), &mut found);
    found
}

fn collect(value: &Value, at: &mut String, found: &mut Vec<String>) {
    let len = at.len();
    match value {
        Value::String(text) if !is_word(text) && holds_secret(text.as_bytes()) => found.push(at.clone()),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                at.push_str(&format!("/{n}"));
                collect(item, at, found);
                at.truncate(len);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields.iter().filter(|(key, item)| !(is_identity(key) && is_names(item))) {
                at.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
                collect(item, at, found);
                at.truncate(len);
            }
        }
        _ => {}
    }
}

/// Fields by which records are found again: with another text in them a step, an item or an app would be another one. What
/// stands there was written into the runbook as a name, or is shown by every list of processes.
fn is_identity(field: &str) -> bool {
    const FIELDS: [&str; 11] =
        ["step", "steps", "no_return", "item", "items", "key", "run", "runbook_name", "name", "namespace", "script"];
    FIELDS.contains(&field)
}

fn is_names(value: &Value) -> bool {
    value.is_string() || value.as_array().is_some_and(|names| names.iter().all(Value::is_string))
}

fn is_word(text: &str) -> bool {
    text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn replace(value: &mut Value, at: &str) {
    if let Some(Value::String(string)) = value.pointer_mut(at) {
        *string = text(string).into_owned();
    }
}

#[cfg(test)]
mod tests;

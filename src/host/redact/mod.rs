//! Secrets in text from outside are replaced by `[redacted]` when the text is taken in ([`super::foreign::tame`]).
//!
//! Secrecy is a property of the *field*. What identifies something (a machine, a run, a path, a name, a digest) and what this
//! program says itself is never rewritten, in no file and on no screen: whoever owns an app chooses the values of its
//! variables, and a filter by value in front of the journal would let him choose what the journal forgets. So this filter
//! stands at one door only, in front of free text that somebody else wrote.
//!
//! Choices. *What the runbook resolved* ([`learn`]) is hidden in outside text at any length: from four bytes on wherever it
//! stands, shorter ones as whole words. *An app's variable* ([`Learner`]) is hidden by value from [`SHORTEST`] bytes on if
//! it looks like a secret and is no common word (`common.rs`). *Everything else by key* (`by_key.rs`): `PASSWORD=x`,
//! `--token x`, the user part of an address, `Authorization: Bearer x`. *By value* means in the forms of `forms.rs`, not only
//! as written. *Kept until the end*: a value that was wiped cannot be recognised, so this process may not be dumped
//! ([`super::own_process`]).

mod by_key;
mod common;
mod environment;
mod forms;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

pub use environment::Learner;

/// What stands in the place of a secret.
pub const MARK: &str = "[redacted]";
/// Shorter variables of apps are not hidden by value; see the module.
pub const SHORTEST: usize = 8;
/// Bytes by which forms are looked up; shorter ones are hidden as whole words only.
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
    /// Forms that are too short for that, the longest first.
    short: Vec<Box<[u8]>>,
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
            let bucket = match form.first_chunk::<KEY>() {
                Some(start) => {
                    self.pairs.resize(1 << 10, 0);
                    let pair = pair(start[0], start[1]);
                    self.pairs[pair / 64] |= 1 << (pair % 64);
                    self.by_start.entry(*start).or_default()
                }
                None => &mut self.short,
            };
            if bucket.iter().any(|known| **known == *form) {
                continue;
            }
            self.form_bytes += form.len();
            let at = bucket.partition_point(|known| known.len() > form.len());
            bucket.insert(at, form.into());
            self.forms += 1;
        }
    }

    /// How many bytes of a secret stand at this place.
    fn at(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let rest = bytes.get(at..)?;
        self.begins(rest).or_else(|| self.short_word(bytes, at))
    }

    /// The length of the longest form that `bytes` begins with. At the end of a text, which a bound may have cut, half of a
    /// form and more counts for the whole.
    fn begins(&self, bytes: &[u8]) -> Option<usize> {
        let start = bytes.first_chunk::<KEY>()?;
        let pair = pair(start[0], start[1]);
        if self.pairs.get(pair / 64)? & (1 << (pair % 64)) == 0 {
            return None;
        }
        let bucket = self.by_start.get(start)?;
        let whole = bucket.iter().find(|form| bytes.starts_with(form)).map(|form| form.len());
        let cut = |form: &Box<[u8]>| form.starts_with(bytes) && bytes.len() * 2 >= form.len();
        whole.or_else(|| bucket.iter().any(cut).then_some(bytes.len()))
    }

    fn short_word(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let within = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        };
        if self.short.is_empty() || within(at.checked_sub(1)) {
            return None;
        }
        let fits = |form: &&Box<[u8]>| bytes[at..].starts_with(form) && !within(Some(at + form.len()));
        self.short.iter().find(fits).map(|form| form.len())
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Learns a secret that the runbook named, whatever its length; also each of its lines that is long enough, because logs and
/// screens break lines.
pub fn learn(value: &str) {
    learn_if(value, |_| true);
}

/// The same for a secret that somebody else lists.
fn learn_found(value: &str) {
    learn_if(value, |known| !known.is_full());
}

fn learn_if(value: &str, wanted: impl Fn(&Known) -> bool) {
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= 12 && line.len() < value.len());
    let new: Vec<&str> =
        std::iter::once(value).chain(lines).filter(|value| !value.is_empty() && !is_known(value)).collect();
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

/// The bytes with every known secret replaced: by value alone.
#[must_use]
pub(super) fn bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    with(|known| sift(known, bytes)).flatten().map_or(Cow::Borrowed(bytes), Cow::Owned)
}

/// `None` when nothing in it must be hidden.
fn sift(known: &Known, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        // What was replaced once stays as it is, whatever the secrets are.
        let (len, hidden) = match rest.starts_with(MARK.as_bytes()) {
            true => (MARK.len(), false),
            false => known.at(bytes, at).map_or((1, false), |len| (len, true)),
        };
        if hidden {
            out.get_or_insert_with(|| bytes[..at].to_vec()).extend_from_slice(MARK.as_bytes());
        } else if let Some(out) = &mut out {
            out.extend_from_slice(&rest[..len]);
        }
        at += len;
    }
    out
}

/// The text with every secret replaced: those that are known by their value, then those that a key beside them gives away.
#[must_use]
pub(super) fn text(text: &str) -> Cow<'_, str> {
    let by_value = match bytes(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
    };
    let by_key = by_key::hide(&by_value);
    by_key.map_or(by_value, Cow::Owned)
}

#[cfg(test)]
mod tests;

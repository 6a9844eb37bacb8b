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
mod known;

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use known::{Known, Teller};

pub use environment::Learner;

/// What stands in the place of a secret.
pub const MARK: &str = "[redacted]";
/// Shorter variables of apps are not hidden by value; see the module.
pub const SHORTEST: usize = 8;
/// Bytes by which forms are looked up; shorter ones are hidden as whole words only.
const KEY: usize = 4;
static KNOWN: RwLock<Option<Known>> = RwLock::new(None);
/// How many forms there are, so that nothing is locked while there is nothing to hide.
static FORMS: AtomicUsize = AtomicUsize::new(0);

/// Learns a secret that the runbook named, whatever its length; also each of its lines that is long enough, because logs and
/// screens break lines.
pub fn learn(value: &str) {
    learn_all(Teller::Runbook, [value]);
}

fn learn_all<'v>(teller: Teller, values: impl IntoIterator<Item = &'v str>) {
    let new: Vec<&str> = values.into_iter().flat_map(with_lines).filter(|value| !is_known(value)).collect();
    if new.is_empty() {
        return;
    }
    let mut guard = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let known = guard.get_or_insert_default();
    known.add(teller, new);
    FORMS.store(known.count(), Ordering::Release);
}

/// A value and its lines; of what is too long for one secret, the lines.
fn with_lines(value: &str) -> impl Iterator<Item = &str> {
    let fits = |text: &&str| !text.is_empty() && text.len() <= known::LONGEST;
    let lines = value.lines().map(str::trim).filter(move |line| line.len() >= 12 && line.len() < value.len());
    std::iter::once(value).chain(lines).filter(fits)
}

fn is_known(value: &str) -> bool {
    with(|known| known.holds(value)).unwrap_or(false)
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
    let by_key = by_key::hide(&without_colours(&by_value));
    by_key.map_or(by_value, Cow::Owned)
}

/// The text without what a terminal obeys between a key and its value: colours (ECMA-48, SGR) and NULs.
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\0']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\u{1b}', '\0']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let body = rest.strip_prefix("\u{1b}[").unwrap_or_default();
        let digits = body.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        let len = match body.as_bytes().get(digits) {
            Some(b'm') => 2 + digits + 1,
            _ if rest.starts_with('\0') => 1,
            _ => {
                out.push_str(&rest[..1]);
                1
            }
        };
        rest = &rest[len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;

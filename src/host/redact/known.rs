//! The secrets that are known, in all their forms, and finding one at a place of a text.
//!
//! The owner of an app chooses how many there are and what they look like, so a look takes no longer because of him: the forms
//! stand in order, and each knows the longest other form that it begins with. What may stand at a place is then the last form
//! before the text there, or one of those that this one begins with. What apps have told is bounded for each user, and what the
//! runbook names is learnt whatever they have told.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{KEY, forms};

/// A longer text is no single secret.
pub(super) const LONGEST: usize = 4096;
/// Room for the forms of the secrets of one user's apps: some thousand secrets.
const ROOM: usize = 8 << 20;
/// What a form takes besides its bytes, about.
const OVERHEAD: usize = 48;
/// Forms that are looked at where a text ends.
const NEXT: usize = 64;

/// Who told a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Teller {
    /// The runbook, which named it.
    Runbook,
    /// The apps of a user.
    User(u32),
}

/// A form, and the longest other one that it begins with.
struct Form {
    bytes: Box<[u8]>,
    begins_with: Option<u32>,
}

/// Everything that must not be shown.
#[derive(Default)]
pub(super) struct Known {
    values: HashSet<Box<str>>,
    /// Forms of four bytes and more, in order.
    forms: Vec<Form>,
    /// The others, the longest first.
    short: Vec<Box<[u8]>>,
    /// A bit for each pair of bytes that a form begins with: nearly every place of a text ends here.
    pairs: Vec<u64>,
    /// Bytes that each user's apps have taken.
    taken: HashMap<Teller, usize>,
}

impl Known {
    pub(super) fn holds(&self, value: &str) -> bool {
        self.values.contains(value)
    }

    pub(super) fn count(&self) -> usize {
        self.forms.len() + self.short.len()
    }

    pub(super) fn add(&mut self, teller: Teller, values: Vec<&str>) {
        let mut all: BTreeSet<Box<[u8]>> = std::mem::take(&mut self.forms).into_iter().map(|form| form.bytes).collect();
        for value in values {
            let taken = self.taken.entry(teller).or_default();
            if teller != Teller::Runbook && *taken > ROOM {
                break;
            }
            if !self.values.insert(value.into()) {
                continue;
            }
            *taken += value.len() + OVERHEAD;
            for form in forms::of(value) {
                let size = form.len() + OVERHEAD;
                let new = match form.len() {
                    KEY.. => all.insert(form.into()),
                    _ => {
                        let at = self.short.partition_point(|known| known.len() > form.len());
                        self.short.insert(at, form.into());
                        true
                    }
                };
                *taken += if new { size } else { 0 };
            }
        }
        self.order(all);
    }

    fn order(&mut self, all: BTreeSet<Box<[u8]>>) {
        self.pairs.resize(1 << 10, 0);
        // Those that the last form begins with, from the shortest to itself.
        let mut within: Vec<u32> = Vec::new();
        for (at, bytes) in (0..).zip(all) {
            let is_start = |of: u32| self.forms.get(of as usize).is_some_and(|form| bytes.starts_with(&form.bytes));
            while within.last().is_some_and(|of| !is_start(*of)) {
                within.pop();
            }
            let pair = pair(&bytes);
            self.pairs[pair / 64] |= 1 << (pair % 64);
            self.forms.push(Form { bytes, begins_with: within.last().copied() });
            within.push(at);
        }
    }

    /// How many bytes of a secret stand at this place.
    pub(super) fn at(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let rest = bytes.get(at..)?;
        self.begins(rest).or_else(|| self.short_word(bytes, at))
    }

    /// The length of the longest form that `bytes` begins with. At the end of a text, which a bound may have cut, half of a
    /// form and more counts for the whole.
    fn begins(&self, bytes: &[u8]) -> Option<usize> {
        let pair = pair(bytes.first_chunk::<KEY>()?);
        if self.pairs.get(pair / 64)? & (1 << (pair % 64)) == 0 {
            return None;
        }
        let next = self.forms.partition_point(|form| *form.bytes <= *bytes);
        let mut one = next.checked_sub(1).and_then(|last| self.forms.get(last));
        if let Some(last) = one {
            let same = last.bytes.iter().zip(bytes).take_while(|(form, text)| form == text).count();
            while one.is_some_and(|form| form.bytes.len() > same) {
                one = one.and_then(|form| self.forms.get(form.begins_with? as usize));
            }
        }
        let cut = |form: &Form| form.bytes.starts_with(bytes) && bytes.len() * 2 >= form.bytes.len();
        let whole = one.map(|form| form.bytes.len());
        whole.or_else(|| self.forms[next..].iter().take(NEXT).any(cut).then_some(bytes.len()))
    }

    fn short_word(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let within = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        };
        if self.short.is_empty() || within(at.checked_sub(1)) {
            return None;
        }
        let fits = |form: &[u8]| bytes[at..].starts_with(form) && !within(Some(at + form.len()));
        self.short.iter().find(|form| fits(form)).map(|form| form.len())
    }
}

fn pair(bytes: &[u8]) -> usize {
    let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
    byte(0) << 8 | byte(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a list of forms, each tried.
    fn slow(forms: &[Form], text: &[u8]) -> Option<usize> {
        forms.iter().filter(|form| text.starts_with(&form.bytes)).map(|form| form.bytes.len()).max()
    }

    proptest! {
        #[test]
        fn the_longest_form_is_found(values in prop::collection::vec("[ab]{4,9}", 1..20), text in "[ab]{0,40}") {
            let mut known = Known::default();
            let (first, rest) = values.split_at(values.len() / 2);
            known.add(Teller::User(1), first.iter().map(String::as_str).collect());
            known.add(Teller::Runbook, rest.iter().map(String::as_str).collect());
            for at in 0..text.len() {
                // A text that ends in something else is not cut.
                let whole = format!("{}!!!!!!!!!!!!", &text[at..]);
                prop_assert_eq!(known.begins(whole.as_bytes()), slow(&known.forms, whole.as_bytes()));
            }
        }
    }

    #[test]
    fn what_apps_tell_is_bounded_and_takes_nothing_from_others() {
        let mut known = Known::default();
        let many: Vec<String> = (0..60_000).map(|n| format!("AAAAAAAAAAAAAAAA{n:032x}")).collect();
        known.add(Teller::User(1), many.iter().map(String::as_str).collect());
        assert!(known.values.len() < 40_000 && known.forms.len() * OVERHEAD < 2 * ROOM, "{}", known.forms.len());
        known.add(Teller::User(2), vec!["another-users-own"]);
        known.add(Teller::Runbook, vec!["named-by-runbook"]);
        assert!(known.at(b"another-users-own", 0).is_some() && known.at(b"named-by-runbook", 0).is_some());
        let text = vec![b'A'; 64 << 10];
        let begun = crate::host::clock::boottime();
        assert_eq!((0..text.len()).find_map(|at| known.at(&text, at).filter(|_| at + 64 < text.len())), None);
        let took = crate::host::clock::boottime().saturating_sub(begun);
        assert!(took.as_secs() < 5, "{took:?}");
    }
}

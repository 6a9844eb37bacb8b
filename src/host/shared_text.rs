//! Texts that are read again and again (the run, the boot and the step of every record of a journal): kept once, for all who
//! have them. For `serde(with)`.
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::Serializer;
use serde::de::{Deserializer, Error, Visitor};

thread_local! {
    /// What was read last, the latest first.
    static KNOWN: RefCell<Vec<Arc<str>>> = const { RefCell::new(Vec::new()) };
}
/// How many are kept.
const MOST: usize = 4;

/// The one copy of a text.
pub(crate) fn one_copy(text: &str) -> Arc<str> {
    KNOWN.with_borrow_mut(|known| {
        match known.iter().position(|one| **one == *text) {
            Some(at) => known[..=at].rotate_right(1),
            None => {
                known.truncate(MOST - 1);
                known.insert(0, text.into());
            }
        }
        Arc::clone(&known[0])
    })
}

pub(crate) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    struct Once;
    impl Visitor<'_> for Once {
        type Value = Arc<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
            Ok(one_copy(text))
        }
    }
    from.deserialize_str(Once)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_is_the_same_copy_and_the_least_used_goes() {
        let first = one_copy("run");
        for step in ["a", "b", "c", "d", "e"] {
            one_copy(step);
            assert!(Arc::ptr_eq(&first, &one_copy("run")), "still known after {step}");
        }
        assert!(["f", "g", "h", "i"].map(one_copy).iter().all(|one| Arc::strong_count(one) == 2));
        assert!(!Arc::ptr_eq(&first, &one_copy("run")), "no more than a few are kept");
        assert_eq!(first, one_copy("run"));
    }
}

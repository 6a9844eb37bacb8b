//! A bag of D-Bus properties, read by name with the type that the manual promises; anything else counts as absent.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use zbus::{OwnedVariant, Variant};

use crate::host::foreign::{Shown, named, tame};

const TEXT_MAX: usize = 1024;
const LIST_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Bag(pub(super) HashMap<String, OwnedVariant>);

impl Bag {
    fn get(&self, key: &str) -> Option<&Variant<'static>> {
        self.0.get(key).map(|value| &**value)
    }

    /// Empty when absent: systemd itself says "" for "none".
    pub(super) fn text(&self, key: &str) -> String {
        match self.get(key) {
            Some(Variant::Str(text)) => named(text.as_str(), TEXT_MAX),
            _ => String::new(),
        }
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let Some(Variant::Array(items)) = self.get(key) else {
            return Vec::new();
        };
        let texts = items.iter().filter_map(|item| match item {
            Variant::Str(text) => Some(named(text.as_str(), TEXT_MAX)),
            _ => None,
        });
        texts.take(LIST_MAX).collect()
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Variant::U32(number) => Some(u64::from(*number)),
            Variant::U64(number) => Some(*number),
            Variant::I32(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn small(&self, key: &str) -> Option<u32> {
        self.number(key)?.try_into().ok()
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Variant::Bool(true)))
    }

    /// Microseconds; `None` for infinity (all bits set) and when absent.
    pub(super) fn span(&self, key: &str) -> Option<Duration> {
        self.number(key).filter(|&usec| usec != u64::MAX).map(Duration::from_micros)
    }

    /// Microseconds since 1970; 0 means never.
    pub(super) fn wall(&self, key: &str) -> Option<Timestamp> {
        let usec = self.number(key).filter(|&usec| usec != 0)?;
        Timestamp::from_microsecond(usec.try_into().ok()?).ok()
    }

    /// A byte array in hexadecimal digits.
    pub(super) fn hex(&self, key: &str) -> String {
        let Some(Variant::Array(items)) = self.get(key) else {
            return String::new();
        };
        let bytes = items.iter().filter_map(|item| if let Variant::U8(byte) = item { Some(*byte) } else { None });
        hex::encode(bytes.take(64).collect::<Vec<_>>())
    }

    /// The first text of every structure of an array: programs of `ExecStart`, name of `LoadError`.
    pub(super) fn first_texts(&self, key: &str) -> Vec<String> {
        let Some(Variant::Array(items)) = self.get(key) else {
            return Vec::new();
        };
        let texts = items.iter().filter_map(|item| match item {
            Variant::Structure(fields) => match fields.fields().first() {
                Some(Variant::Str(text)) => Some(named(text.as_str(), TEXT_MAX)),
                _ => None,
            },
            _ => None,
        });
        texts.take(LIST_MAX).collect()
    }

    /// The arguments of every program of `ExecStart`, each beginning with its own name. They may hold secrets: for readers
    /// that keep only what they know to be none.
    pub(super) fn arguments(&self, key: &str) -> Vec<Vec<String>> {
        let Some(Variant::Array(items)) = self.get(key) else {
            return Vec::new();
        };
        let word = |item: &Variant<'_>| {
            if let Variant::Str(text) = item { Some(named(text.as_str(), TEXT_MAX)) } else { None }
        };
        let words = items.iter().filter_map(|item| match item {
            Variant::Structure(fields) => match fields.fields().get(1) {
                Some(Variant::Array(words)) => Some(words.iter().filter_map(word).take(LIST_MAX).collect()),
                _ => None,
            },
            _ => None,
        });
        words.take(LIST_MAX).collect()
    }

    /// The number at the head of a structure: the job of a unit. 0 when absent.
    pub(super) fn first_number(&self, key: &str) -> u32 {
        let Some(Variant::Structure(fields)) = self.get(key) else { return 0 };
        match fields.fields().first() {
            Some(Variant::U32(number)) => *number,
            _ => 0,
        }
    }

    /// A text that somebody wrote for people.
    pub(super) fn said(&self, key: &str) -> Shown {
        match self.get(key) {
            Some(Variant::Str(text)) => tame(text.as_str(), TEXT_MAX),
            _ => Shown::default(),
        }
    }

    /// The last text of a structure: the message of `LoadError`.
    pub(super) fn last_text(&self, key: &str) -> Shown {
        match self.get(key) {
            Some(Variant::Structure(fields)) => match fields.fields().last() {
                Some(Variant::Str(text)) => tame(text.as_str(), TEXT_MAX),
                _ => Shown::default(),
            },
            _ => Shown::default(),
        }
    }
}

//! Text of others, before and after it was taken in: two types, so that neither is confused with our own.
//!
//! [`Untrusted`] is as it came: it can be compared and parsed, and there is no way to print it. [`Shown`] went through the door
//! ([`super::foreign::tame`]), which is the only way to make one; it is printed and written like any text. Both are stored as
//! plain strings, so files of earlier versions stay readable; what is read back goes through the door again.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::foreign::tame;

/// Free text of somebody else, harmless and without secrets.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shown(Box<str>);

impl Shown {
    /// Only for the door: `text` went through it.
    pub(super) fn cleaned(text: String) -> Self {
        Self(text.into_boxed_str())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Shown {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Shown {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Words of this program where somebody else's are expected: "the answer is not a list".
impl From<&'static str> for Shown {
    fn from(ours: &'static str) -> Self {
        Self(ours.into())
    }
}

impl From<Shown> for String {
    fn from(shown: Shown) -> Self {
        shown.0.into_string()
    }
}

impl PartialEq<str> for Shown {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<String> for Shown {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<&str> for Shown {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// Whoever wrote the file need not have tamed what it repeats.
impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| tame(&text, usize::MAX))
    }
}

/// Text of somebody else as it came. It is compared and parsed; to print it, take it in.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// As it came.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// For comparing and parsing.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Takes it in as a line of a log.
    #[must_use]
    pub fn line(&self) -> Shown {
        self.shown(300)
    }

    /// Takes it in.
    #[must_use]
    pub fn shown(&self, max: usize) -> Shown {
        tame(&self.0, max)
    }
}

/// It may be long, secret and harmful: only its length is told.
impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Untrusted({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_goes_through_the_door_again() {
        let read: Vec<Shown> = serde_json::from_str(r#"["a\u001b[2J", "token=x", "plain"]"#).unwrap();
        assert_eq!(read, ["a\\u{1b}[2J", "token=[redacted]", "plain"]);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Shown>>(&written).unwrap(), read, "and stays then");
    }

    #[test]
    fn what_came_is_not_printed() {
        let came = Untrusted::new("token=abc\u{1b}".into());
        assert_eq!(format!("{came:?}"), "Untrusted(10 bytes)");
        assert_eq!((came.raw().len(), came.shown(80).as_str()), (10, "token=[redacted]\\u{1b}"));
    }
}

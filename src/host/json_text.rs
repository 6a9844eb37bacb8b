//! A JSON value kept as its text: what a journal holds for others and nobody looks into before it is wanted.
//!
//! As a tree a list of some thousand apps takes eight times its text, and each reader used to have a tree of its own. The text
//! is shared by all who have it, and is read into its type by the one who wants it.
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// See the module. It is JSON always: it is made by a writer of JSON only.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Arc<String>);

impl JsonText {
    /// The text of a value.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::written)
    }

    fn written(mut text: String) -> Self {
        // In place: a copy would be a second of a large one.
        text.shrink_to_fit();
        Self(Arc::new(text))
    }

    /// The value in it.
    ///
    /// # Errors
    /// It is none of this type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        Self::written(value.to_string())
    }
}

impl From<bool> for JsonText {
    fn from(value: bool) -> Self {
        Value::Bool(value).into()
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut text = Vec::new();
        Writing(&mut text).deserialize(from)?;
        String::from_utf8(text).map(Self::written).map_err(D::Error::custom)
    }
}

/// Writes what is read as it comes; no tree of it is ever there.
struct Writing<'a>(&'a mut Vec<u8>);

impl Writing<'_> {
    fn put<E: Error>(self, value: impl Serialize) -> Result<(), E> {
        serde_json::to_writer(self.0, &value).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Writing<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writing<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.put(())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        let first = self.0.len();
        loop {
            let before = self.0.len();
            if before > first {
                self.0.push(b',');
            }
            if list.next_element_seed(Writing(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push(b'{');
        let first = self.0.len();
        loop {
            let before = self.0.len();
            if before > first {
                self.0.push(b',');
            }
            if map.next_key_seed(Writing(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
            self.0.push(b':');
            map.next_value_seed(Writing(self.0))?;
        }
        self.0.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_and_read_as_the_value_is() {
        for value in [
            json!(null),
            json!(true),
            json!(-7),
            json!(1.5),
            json!("a\"\u{1b}\n"),
            json!([]),
            json!({}),
            json!({
                "a": [1, [2, {}], "x"], "b": { "c": null, "": 1e300 }, "n\u{0}": u64::MAX
            }),
        ] {
            let text = JsonText::from(value.clone());
            assert_eq!(text, JsonText::of(&value).unwrap());
            assert_eq!(text.read::<Value>().unwrap(), value);
            let line = serde_json::to_string(&[&text]).unwrap();
            assert_eq!(line, json!([value]).to_string());
            let [back] = serde_json::from_str::<[JsonText; 1]>(&line).unwrap();
            assert_eq!(back, text);
            assert_eq!(serde_json::from_value::<JsonText>(value.clone()).unwrap(), text);
            assert_eq!(serde_json::to_value(&text).unwrap(), value);
        }
    }

    #[test]
    fn what_is_no_json_is_refused_and_depth_is_bounded() {
        assert!(serde_json::from_str::<JsonText>("{\"a\":}").is_err());
        assert!(serde_json::from_str::<JsonText>(&format!("{}{}", "[".repeat(5_000), "]".repeat(5_000))).is_err());
    }
}

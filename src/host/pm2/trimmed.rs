//! PM2's JSON without what its agent in each app tells of it (`axm_actions`, `axm_monitor`, `axm_options`, …): metrics of a
//! moment, in trees that are the larger part of every list, read by nothing here and left out of every payload.
//!
//! Only trees are left out: a variable of an app's environment is a text whatever its name, and none is ever lost.
//!
//! A tree takes some hundred bytes for a value that is two bytes of JSON, so values are counted while they are read.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How the agent's settings begin.
const OF_THE_AGENT: &str = "axm_";

/// Most values of one document. An app of a hundred variables is some three hundred.
pub(super) const VALUES_MAX: usize = 50_000;

/// Reads JSON; `None` for what is none, or has more than [`VALUES_MAX`] values.
pub(super) fn read(json: &[u8]) -> Option<Value> {
    let left = Cell::new(VALUES_MAX);
    let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(json).ok()?);
    let value = Tree { left: &left, kept: true }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    value
}

/// A value of something that is read for the sake of others: one that is too large counts as absent.
#[derive(Default)]
pub(super) struct Small(pub(super) Value);

/// Most values of a [`Small`] one.
const SMALL_MAX: usize = 1_000;

impl<'de> Deserialize<'de> for Small {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let left = Cell::new(SMALL_MAX);
        Tree { left: &left, kept: true }.deserialize(json).map(|value| Self(value.unwrap_or_default()))
    }
}

/// A value to be read: how many more may be, and whether this one is kept if it is an object or a list.
#[derive(Clone, Copy)]
struct Tree<'a> {
    left: &'a Cell<usize>,
    kept: bool,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Value>, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.left.set(left);
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(Some(Value::Null))
    }

    fn visit_bool<E>(self, it: bool) -> Result<Option<Value>, E> {
        Ok(Some(it.into()))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Option<Value>, E> {
        Ok(Some(it.into()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Option<Value>, E> {
        Ok(Some(it.into()))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Option<Value>, E> {
        Ok(Some(Number::from_f64(it).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Option<Value>, E> {
        Ok(Some(it.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<Value>, A::Error> {
        let mut kept = Vec::new();
        match self {
            Self { kept: true, .. } => {
                while let Some(one) = list.next_element_seed(self)? {
                    kept.extend(one);
                }
                Ok(Some(Value::Array(kept)))
            }
            Self { kept: false, .. } => {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Option<Value>, A::Error> {
        let mut kept = Map::new();
        match self {
            Self { kept: true, .. } => {
                while let Some(name) = object.next_key::<String>()? {
                    let tree = Self { kept: !name.starts_with(OF_THE_AGENT), ..self };
                    if let Some(value) = object.next_value_seed(tree)? {
                        kept.insert(name, value);
                    }
                }
                Ok(Some(Value::Object(kept)))
            }
            Self { kept: false, .. } => {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_are_left_out_and_variables_never() {
        let entry = json!({
            "pm_id": 3, "pm2_env": {
                "axm_actions": [{ "action_name": "km:heapdump", "arity": -1 }], "axm_monitor": { "Heap": { "value": 5.64 } },
                "axm_mode": true, "args": ["a", ["b"]], "env": { "axm_token": "a variable", "NODE_ENV": "production" },
            },
        });
        let read = read(entry.to_string().as_bytes()).unwrap();
        let env = &read["pm2_env"];
        assert_eq!((env.get("axm_actions"), env.get("axm_monitor")), (None, None));
        for same in ["axm_mode", "args", "env"] {
            assert_eq!(env[same], entry["pm2_env"][same]);
        }
    }

    #[test]
    fn everything_else_is_read_as_by_anybody() {
        for text in [
            "null",
            "-7",
            "1.5e3",
            "18446744073709551615",
            "\"\\u00e9\\n\"",
            "[[],{},[1,{\"a\":null}]]",
            "{\"a\":{\"b\":[true]}}",
        ] {
            assert_eq!(read(text.as_bytes()), serde_json::from_str(text).ok(), "{text}");
        }
        for broken in [&b"{"[..], b"[1,]", b"1 2", b"\"\xff\"", b"{\"axm_a\":[}", b""] {
            assert_eq!(read(broken), None);
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(read(deep.as_bytes()), None, "bounded");
        let many = |count: usize| read(format!("[{}0]", "0,".repeat(count - 1)).as_bytes()).is_some();
        assert_eq!((many(VALUES_MAX - 1), many(VALUES_MAX)), (true, false), "values are counted");
        assert_eq!(read(format!("{{\"axm_a\":{deep}}}").as_bytes()), Some(json!({})), "passed over, not followed");
    }
}

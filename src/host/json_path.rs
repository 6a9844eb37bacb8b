//! One value inside a JSON document, and comparing it without mercy.
//!
//! The path is the small common part of RFC 9535: `$.a.b[0]["odd key"]`, no wildcards or filters, so it finds one
//! value or none. `.length()` at its end counts what is there, as that function does: elements, members, characters. A comparison of different types is an error, never true: a gate that compares `42 < "100"` as text
//! or by luck would open when it must not.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use thiserror::Error;

use crate::host::foreign::named;

const PATH_MAX: usize = 512;
const SEGMENTS_MAX: usize = 32;
/// The longest list that [`JsonPath::plant`] makes.
const LIST_MAX: usize = 1_000;

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    segments: Vec<Segment>,
    /// What is asked for is how much is there.
    counted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A path that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("JSON path {path}: {why} at character {at} (write it like $.a.b[0])")]
pub struct BadPath {
    path: String,
    /// The place in the path, from 1, in characters.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl JsonPath {
    /// Parses `$`, `.name`, `[3]` and `["any key"]`, and `.length()` at the end.
    ///
    /// # Errors
    /// [`BadPath`] with the place.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let bad = |rest: &str, why| BadPath { path: named(text, 80), at: place(text, rest), why };
        if text.len() > PATH_MAX {
            return Err(bad("", "longer than 512 characters"));
        }
        let (path, counted) = text.strip_suffix(LENGTH).map_or((text, false), |path| (path, true));
        let mut rest = path.strip_prefix('$').ok_or_else(|| bad(text, "no $ as the root"))?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let (segment, after) = segment(rest).map_err(|why| bad(&text[path.len() - rest.len()..], why))?;
            segments.push(segment);
            if segments.len() > SEGMENTS_MAX {
                return Err(bad(&text[path.len() - rest.len()..], "deeper than 32 steps"));
            }
            rest = after;
        }
        Ok(Self { segments, counted })
    }

    /// The value at this path, if there is one.
    #[must_use]
    pub fn get<'a>(&self, document: &'a Value) -> Option<Cow<'a, Value>> {
        let value = self.segments.iter().try_fold(document, |value, segment| match segment {
            Segment::Key(key) => value.as_object()?.get(key),
            Segment::Index(index) => value.as_array()?.get(*index),
        })?;
        if !self.counted {
            return Some(Cow::Borrowed(value));
        }
        let count = match value {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            Value::String(text) => text.chars().count(),
            Value::Null | Value::Bool(_) | Value::Number(_) => return None,
        };
        Some(Cow::Owned(count.into()))
    }

    /// Puts a value at this path of a document that is being made, with whatever leads there. `false`, and nothing is put
    /// there, when something else is in the way or a list would become longer than 1,000.
    pub fn plant(&self, document: &mut Value, value: Value) -> bool {
        let place = self.segments.iter().try_fold(document, |place, segment| match segment {
            Segment::Key(key) => {
                if place.is_null() {
                    *place = Value::Object(serde_json::Map::new());
                }
                Some(place.as_object_mut()?.entry(key.as_str()).or_insert(Value::Null))
            }
            Segment::Index(index) => {
                if place.is_null() {
                    *place = Value::Array(Vec::new());
                }
                let list = place.as_array_mut().filter(|_| *index < LIST_MAX)?;
                if list.len() <= *index {
                    list.resize(*index + 1, Value::Null);
                }
                list.get_mut(*index)
            }
        });
        let Some(place) = place else { return false };
        if self.counted {
            return plant_so_many(place, &value);
        }
        let free = place.is_null() || *place == value;
        if free {
            *place = value;
        }
        free
    }
}

/// A list with so many elements, of which nothing is told.
fn plant_so_many(place: &mut Value, count: &Value) -> bool {
    let count = count.as_u64().and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= LIST_MAX);
    let Some(count) = count else { return false };
    if place.is_null() {
        *place = Value::Array(Vec::new());
    }
    match place {
        Value::Array(list) if list.len() <= count => {
            list.resize(count, Value::Null);
            true
        }
        _ => false,
    }
}

/// At the end of a path: how much is there.
const LENGTH: &str = ".length()";

/// Where the rest of a text begins, from 1, in characters as people count them.
fn place(text: &str, rest: &str) -> usize {
    text[..text.len() - rest.len()].chars().count() + 1
}

fn segment(rest: &str) -> Result<(Segment, &str), &'static str> {
    if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | ':' | '/');
        if name.is_empty() || !name.chars().all(plain) {
            return Err("no plain name after the dot; quote it as [\"...\"]");
        }
        return Ok((Segment::Key(name.to_owned()), after));
    }
    let rest = rest.strip_prefix('[').ok_or("neither .name nor [")?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (key, after) = quoted.split_once("\"]").ok_or("no \"] at the end of the key")?;
        return Ok((Segment::Key(key.to_owned()), after));
    }
    let (digits, after) = rest.split_once(']').ok_or("no ]")?;
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let index = all_digits.then(|| digits.parse().ok()).flatten().ok_or("no number in [ ]")?;
    Ok((Segment::Index(index), after))
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal, but of the same type.
    Ne,
    /// Less (numbers, or strings by code point).
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// A string has a part, an array an element, an object a key.
    Contains,
}

impl fmt::Display for Operator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Contains => "contains",
        })
    }
}

/// Two values that cannot be compared in the asked way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot compare {seen} {operator} {wanted}: write the wanted value in the type that is really there")]
pub struct NotComparable {
    seen: &'static str,
    operator: Operator,
    wanted: &'static str,
}

/// Whether `seen operator wanted` holds.
///
/// # Errors
/// [`NotComparable`] for different types, or types without that operator.
pub fn holds(seen: &Value, operator: Operator, wanted: &Value) -> Result<bool, NotComparable> {
    let senseless = || NotComparable { seen: type_name(seen), operator, wanted: type_name(wanted) };
    match operator {
        Operator::Eq => same(seen, wanted).ok_or_else(senseless),
        Operator::Ne => same(seen, wanted).map(|same| !same).ok_or_else(senseless),
        Operator::Contains => contains(seen, wanted).ok_or_else(senseless),
        Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => {
            let order = order(seen, wanted).ok_or_else(senseless)?;
            Ok(match operator {
                Operator::Lt => order.is_lt(),
                Operator::Le => order.is_le(),
                Operator::Gt => order.is_gt(),
                _ => order.is_ge(),
            })
        }
    }
}

/// Equality within one type; `None` across types.
fn same(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(compare(a, b)?.is_eq()),
        _ if type_name(a) == type_name(b) => Some(a == b),
        _ => None,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Whole numbers exactly, others as floating point.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn contains(seen: &Value, wanted: &Value) -> Option<bool> {
    match (seen, wanted) {
        (Value::String(text), Value::String(part)) => Some(text.contains(part.as_str())),
        (Value::Object(map), Value::String(key)) => Some(map.contains_key(key)),
        (Value::Array(items), wanted) => {
            let answers: Vec<_> = items.iter().map(|item| same(item, wanted)).collect();
            // An array with no element of that type was meant for another question.
            if items.is_empty() { Some(false) } else { answers.into_iter().flatten().reduce(|a, b| a || b) }
        }
        _ => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_one_value_or_none() {
        let document = json!({"a": {"b": [10, {"odd key.": true}]}, "status": "healthy", "": 5});
        for (path, wanted) in [
            ("$.a.b[0]", Some(json!(10))),
            ("$.a.b[1][\"odd key.\"]", Some(json!(true))),
            ("$.status", Some(json!("healthy"))),
            ("$[\"\"]", Some(json!(5))),
            ("$.a.b[2]", None),
            ("$.a[0]", None),
            ("$.status.x", None),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().get(&document).as_deref(), wanted.as_ref(), "{path}");
        }
        assert_eq!(JsonPath::parse("$").unwrap().get(&document).as_deref(), Some(&document));
    }

    #[test]
    fn the_length_of_what_is_there_is_counted() {
        let document = json!({"shards": [1, 2, 3], "by": {"a": 1, "b": 2}, "name": "\u{e4}bc", "n": 4, "none": null});
        for (path, count) in [
            ("$.shards.length()", Some(3)),
            ("$.by.length()", Some(2)),
            ("$.length()", Some(5)),
            ("$.name.length()", Some(3)),
            ("$.n.length()", None),
            ("$.none.length()", None),
            ("$.missing.length()", None),
        ] {
            let seen = JsonPath::parse(path).unwrap().get(&document).map(|seen| seen.into_owned());
            assert_eq!(seen, count.map(|count: u64| json!(count)), "{path}");
        }
        let mut told = Value::Null;
        assert!(JsonPath::parse("$.shards.length()").unwrap().plant(&mut told, json!(3)));
        assert!(JsonPath::parse("$.shards[1].n").unwrap().plant(&mut told, json!(7)));
        assert_eq!(told, json!({"shards": [null, {"n": 7}, null]}));
        assert!(!JsonPath::parse("$.shards.length()").unwrap().plant(&mut told, json!(2)), "there are more already");
    }

    #[test]
    fn bad_paths_name_the_place() {
        for (path, place) in [
            ("a.b", "character 1"),
            ("$a", "character 2"),
            ("$..a", "character 2"),
            ("$.a[", "character 4"),
            ("$.a[-1]", "character 4"),
            ("$.a[99999999999999999999999]", "character 4"),
            ("$.a[*]", "character 4"),
            ("$.*", "character 2"),
            ("$[\"a]", "character 2"),
            ("$.length().a", "character 2"),
            ("$.a.size()", "character 4"),
            ("$.\u{e4}[x].length()", "character 4"),
            ("length()", "character 1"),
        ] {
            let said = JsonPath::parse(path).unwrap_err().to_string();
            assert!(said.contains(place), "{path}: {said}");
        }
        assert!(JsonPath::parse(&format!("${}", ".a".repeat(33))).is_err());
        assert!(JsonPath::parse(&format!("$.{}", "a".repeat(600))).is_err());
    }

    #[test]
    fn types_are_strict() {
        use Operator::{Contains, Eq, Ge, Gt, Le, Lt, Ne};
        for (seen, operator, wanted, holds_) in [
            (json!(42), Lt, json!(100), Some(true)),
            (json!(42), Lt, json!("100"), None),
            (json!("42"), Eq, json!(42), None),
            (json!("42"), Ne, json!(42), None),
            (json!(1), Eq, json!(1.0), Some(true)),
            (json!(9_007_199_254_740_993_u64), Gt, json!(9_007_199_254_740_992_u64), Some(true)),
            (json!(-1), Lt, json!(u64::MAX), Some(true)),
            (json!(95.5), Ge, json!(95), Some(true)),
            (json!("a"), Le, json!("b"), Some(true)),
            (json!(null), Eq, json!(null), Some(true)),
            (json!(null), Eq, json!("x"), None),
            (json!(true), Gt, json!(false), None),
            (json!("health: ok"), Contains, json!("ok"), Some(true)),
            (json!(["a", "b"]), Contains, json!("b"), Some(true)),
            (json!(["a", "b"]), Contains, json!("c"), Some(false)),
            (json!([1, 2]), Contains, json!("1"), None),
            (json!([]), Contains, json!("1"), Some(false)),
            (json!({"a": 1}), Contains, json!("a"), Some(true)),
            (json!(12), Contains, json!(1), None),
            (json!([1]), Eq, json!([1]), Some(true)),
        ] {
            assert_eq!(holds(&seen, operator, &wanted).ok(), holds_, "{seen} {operator} {wanted}");
        }
    }
}

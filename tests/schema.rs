//! The JSON Schema for editors against the loader, which reads by hand: at every place the same keys and the same words.
//!
//! The loader names what it knows when it meets what it does not; so each map of a runbook with every key gets a key that
//! nobody knows, and the answer is held against the schema's list.
#![expect(clippy::unwrap_used, reason = "a schema that cannot be read fails the test")]
use std::collections::BTreeSet;

use runbook::runbook::{Diagnostic, SCHEMA, load};
use serde_json::{Value, json};

const STRANGE: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

/// Laws for other types than the value's, laws that are followed elsewhere, and words for editors.
const QUIET: [&str; 17] = [
    "minItems",
    "minLength",
    "minimum",
    "maximum",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "propertyNames",
    "pattern",
    "description",
    "default",
    "title",
    "definitions",
    "$schema",
];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Follows references.
fn resolve<'s>(root: &'s Value, mut node: &'s Value) -> &'s Value {
    loop {
        let next = node.get("$ref").or_else(|| node.pointer("/allOf/0/$ref"));
        let Some(name) = next.and_then(Value::as_str) else { return node };
        node = root.pointer(name.strip_prefix('#').unwrap()).unwrap();
    }
}

/// What is wrong with a value, by the part of the standard that the schema uses; patterns are for editors alone.
fn faults(root: &Value, node: &Value, value: &Value, at: &str) -> Vec<String> {
    let node = resolve(root, node);
    let mut out = Vec::new();
    let mut need = |good: bool, what: String| {
        if !good {
            out.push(format!("{at}: {what}"));
        }
    };
    let fits = |one: &Value| faults(root, one, value, at).is_empty();
    let count = |list: &Value| list.as_array().unwrap().iter().filter(|one| fits(one)).count();
    for (word, law) in node.as_object().unwrap() {
        match (word.as_str(), value) {
            ("type", _) => {
                let types = law.as_array().cloned().unwrap_or_else(|| vec![law.clone()]);
                need(types.iter().any(|one| is(value, one.as_str().unwrap())), format!("is not of type {law}"));
            }
            ("enum", _) => need(law.as_array().unwrap().contains(value), format!("{value} is not one of {law}")),
            ("const", _) => need(law == value, format!("{value} is not {law}")),
            ("anyOf", _) => need(count(law) > 0, "is none of anyOf".into()),
            ("oneOf", _) => need(count(law) == 1, format!("is {} of oneOf", count(law))),
            ("minItems", Value::Array(list)) => need(list.len() as u64 >= law.as_u64().unwrap(), "is too short".into()),
            ("minLength", Value::String(text)) => need(!text.is_empty(), "is empty".into()),
            ("minimum", Value::Number(n)) => need(n.as_f64() >= law.as_f64(), format!("is below {law}")),
            ("maximum", Value::Number(n)) => need(n.as_f64() <= law.as_f64(), format!("is above {law}")),
            ("minProperties", Value::Object(map)) => {
                need(map.len() as u64 >= law.as_u64().unwrap(), "has too few".into())
            }
            ("maxProperties", Value::Object(map)) => {
                need(map.len() as u64 <= law.as_u64().unwrap(), "has too many".into())
            }
            ("required", Value::Object(map)) => {
                for key in law.as_array().unwrap() {
                    need(map.contains_key(key.as_str().unwrap()), format!("has no {key}"));
                }
            }
            ("dependencies", Value::Object(map)) => {
                for (key, needs) in law.as_object().unwrap().iter().filter(|(key, _)| map.contains_key(*key)) {
                    let there = |other: &Value| map.contains_key(other.as_str().unwrap());
                    need(needs.as_array().unwrap().iter().all(there), format!("has {key} without {needs}"));
                }
            }
            (word, _) if QUIET.contains(&word) => {}
            (other, _) => panic!("`{other}` is not part of what this test knows"),
        }
    }
    for (step, one, part) in children(root, node, value) {
        match part {
            Some(part) => out.extend(faults(root, part, one, &format!("{at}/{step}"))),
            None => out.push(format!("{at}: the key `{step}` is not known")),
        }
    }
    out
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}

/// The entries of a value with the schema of each.
fn children<'a>(root: &'a Value, node: &'a Value, value: &'a Value) -> Vec<(String, &'a Value, Option<&'a Value>)> {
    let node = resolve(root, node);
    match value {
        Value::Object(map) => {
            let of = |key: &str| {
                let other = node.get("additionalProperties").filter(|other| other.is_object());
                let free = node.get("properties").is_none() && node.get("additionalProperties").is_none();
                node.get("properties").and_then(|all| all.get(key)).or(other).or(if free {
                    Some(&Value::Null)
                } else {
                    None
                })
            };
            map.iter()
                .map(|(key, one)| (key.clone(), one, of(key)))
                .filter(|(.., part)| *part != Some(&Value::Null))
                .collect()
        }
        Value::Array(list) => {
            let items = node.get("items");
            let items = items.into_iter().flat_map(|items| list.iter().map(move |one| (one, items)));
            items.enumerate().map(|(n, (one, part))| (n.to_string(), one, Some(part))).collect()
        }
        _ => Vec::new(),
    }
}

/// Every place of a value with the schema that is in force there, alternatives decided.
fn walk<'a>(
    root: &'a Value,
    node: &'a Value,
    value: &'a Value,
    at: String,
    all: &mut Vec<(String, &'a Value, &'a Value)>,
) {
    let mut node = resolve(root, node);
    while let Some(ways) = node.get("anyOf").and_then(Value::as_array) {
        node = resolve(root, ways.iter().find(|way| faults(root, way, value, &at).is_empty()).unwrap());
    }
    all.push((at.clone(), value, node));
    for (step, one, part) in children(root, node, value) {
        walk(root, part.unwrap(), one, format!("{at}/{}", step.replace('~', "~0").replace('/', "~1")), all);
    }
}

/// The names that the loader offers for what it does not know.
fn offered(text: &Value) -> BTreeSet<String> {
    let found = load(&text.to_string(), "x.yaml").map_or_else(|found| found, |loaded| loaded.warnings);
    let texts = |one: &Diagnostic| one.help.iter().chain([&one.label]).cloned().collect::<Vec<_>>();
    let lists = found.iter().flat_map(texts).filter_map(|text| {
        let list = text.strip_prefix("known here: ").or_else(|| text.strip_prefix("one of: "))?;
        Some(list.split(", ").map(str::to_owned).collect::<BTreeSet<_>>())
    });
    let lists: Vec<_> = lists.collect();
    assert_eq!(lists.len(), 1, "{found:#?}");
    lists.into_iter().next().unwrap()
}

fn objects<'s>(node: &'s Value, all: &mut Vec<&'s Value>) {
    if node.get("properties").is_some_and(Value::is_object) && node.get("type").is_some() {
        all.push(node);
    }
    match node {
        Value::Object(map) => map.values().for_each(|one| objects(one, all)),
        Value::Array(list) => list.iter().for_each(|one| objects(one, all)),
        _ => {}
    }
}

#[test]
fn schema_and_loader_know_the_same_keys_everywhere() {
    let (root, every) = (schema(), yaml(&file("tests/recorded/every-key.yaml")));
    let found = load(&every.to_string(), "every-key.yaml").unwrap();
    assert_eq!(found.warnings, [], "nothing in it is odd");
    let mut places = Vec::new();
    walk(&root, &root, &every, String::new(), &mut places);
    let mut seen: Vec<&Value> = Vec::new();
    for (at, value, node) in &places {
        let Some(properties) = node.get("properties").and_then(Value::as_object).filter(|_| value.is_object()) else {
            continue;
        };
        let mut odd = every.clone();
        odd.pointer_mut(at).unwrap().as_object_mut().unwrap().insert(STRANGE.into(), json!(1));
        let known: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(offered(&odd), known, "at {at}");
        seen.push(node);
    }
    let mut all = Vec::new();
    objects(&root, &mut all);
    let missed = all.iter().filter(|one| !seen.iter().any(|known| std::ptr::eq(*known, **one)));
    let missed: Vec<_> = missed.map(|one| one["properties"].as_object().unwrap().keys().collect::<Vec<_>>()).collect();
    assert!(missed.is_empty(), "every-key.yaml has none of these: {missed:?}");
    assert!(seen.len() > 50, "{}", seen.len());
}

#[test]
fn schema_and_loader_know_the_same_words() {
    let (root, every) = (schema(), yaml(&file("tests/recorded/every-key.yaml")));
    let mut places = Vec::new();
    walk(&root, &root, &every, String::new(), &mut places);
    let mut held = 0;
    for (at, value, node) in &places {
        // `masters` and `auto` are words among other things that may stand there.
        let mixed = at.ends_with("/instances") || at.ends_with("/at_once");
        let Some(words) = node.get("enum").and_then(Value::as_array).filter(|_| value.is_string() && !mixed) else {
            continue;
        };
        let mut odd = every.clone();
        *odd.pointer_mut(at).unwrap() = json!(STRANGE);
        let known: BTreeSet<String> = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
        assert_eq!(offered(&odd), known, "at {at}");
        held += 1;
    }
    assert!(held >= 10, "{held}");
}

#[test]
fn every_runbook_here_is_valid_by_both() {
    let root = schema();
    let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks")).unwrap();
    let shipped = shipped.map(|entry| format!("runbooks/{}", entry.unwrap().file_name().to_str().unwrap()));
    let mut all: Vec<String> = shipped.filter(|name| name.ends_with(".yaml")).collect();
    assert!(!all.is_empty());
    let others = [
        "tests/lab/restart-staging.yaml",
        "tests/lab/topologies/quay/restart-quay.yaml",
        "tests/recorded/example.yaml",
        "tests/recorded/every-key.yaml",
    ];
    all.extend(others.map(str::to_owned));
    for name in &all {
        let text = file(name);
        load(&text, name).unwrap();
        assert_eq!(faults(&root, &root, &yaml(&text), ""), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let (root, every) = (schema(), yaml(&file("tests/recorded/every-key.yaml")));
    let cases = [
        ("/version", json!(2)),
        ("/hosts", json!([])),
        ("/phases", json!({})),
        ("/phases/0/steps/0", json!({ "name": "nothing" })),
        ("/phases/0/steps/1", json!({ "redis_compacted": {}, "redis_loaded": {} })),
        ("/phases/0/steps/1/redis_compacted/at_once", json!(0)),
        ("/phases/1/steps/1/units_stopped", json!(null)),
        ("/phases/0/steps/0/units_enabled/fix", json!("yes")),
        ("/phases/3/steps/2/healthy/checks/0", json!({ "tcp": { "addr": "a:1" }, "host": { "memory_free": "1%" } })),
        ("/redis/a/password", json!("hunter2")),
        ("/redis/a/password", json!({ "file": "/a", "env": "A" })),
        ("/units/router", json!({ "required": true })),
        ("/window/days", json!(["saturday"])),
    ];
    for (at, wrong) in cases {
        let mut odd = every.clone();
        *odd.pointer_mut(at).unwrap() = wrong.clone();
        assert!(load(&odd.to_string(), "x.yaml").is_err(), "the loader takes {wrong} at {at}");
        assert_ne!(faults(&root, &root, &odd, ""), Vec::<String>::new(), "the schema takes {wrong} at {at}");
    }
}

#[test]
fn editors_find_the_schema_and_the_command_prints_it() {
    let first = file("runbooks/restart-staging.yaml").lines().next().unwrap().to_owned();
    let target = first.strip_prefix("# yaml-language-server: $schema=").unwrap().to_owned();
    assert_eq!(file(&format!("runbooks/{target}")), SCHEMA);
    let place = crate::support::program::Place::new();
    assert_eq!(place.runbook(&["schema"]).exits(0).out, SCHEMA);
}

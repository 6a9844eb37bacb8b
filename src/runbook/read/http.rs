//! The check `http`: its headers, and what it asks of a JSON body.
use std::time::Duration;

use indexmap::IndexMap;

use super::fields::Fields;
use super::item::{Item, shown};
use super::{address, secret, trust};
use crate::action::check::{Comparison, HeaderValue, HttpCheck};
use crate::host::json_path::JsonPath;
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;
use crate::runbook::tree::Value;

/// `http: { url: ..., status: 200, headers: ..., json: ... }`.
pub(super) fn http(
    fields: &mut Fields<'_>,
    required: bool,
    env: &mut Vec<Span>,
    out: &mut Findings<'_>,
) -> Option<HttpCheck> {
    let url = fields.need("url", out).and_then(|item| address::http(&item, out));
    let tls = fields.get("tls").and_then(|item| trust::http(&item, url.as_deref(), out));
    let status = fields.get("status").map_or(Some(200), |item| item.whole(100..=599, out));
    let headers = headers(fields, env, out);
    let json = json(fields, out);
    let status = status.and_then(|status| u16::try_from(status).ok());
    let answers_within = fields.get("answers_within").and_then(|item| within(&item, out));
    Some(HttpCheck { url: url?, status: status?, headers, json, required, tls, answers_within })
}

/// How long an answer may take; never nothing, and never so long that nobody would call it an answer.
fn within(item: &Item<'_>, out: &mut Findings<'_>) -> Option<Duration> {
    let length = item.duration(out)?;
    let good = (Duration::from_millis(100)..=Duration::from_secs(600)).contains(&length);
    if !good {
        let found = item.error(codes::COUNT, format!("{} must be from 100ms to 10m", item.what), out);
        found.label("out of range").help("a page that takes longer is no health check; let it answer sooner");
    }
    good.then_some(length)
}

fn headers(fields: &mut Fields<'_>, env: &mut Vec<Span>, out: &mut Findings<'_>) -> IndexMap<String, HeaderValue> {
    let mut headers = IndexMap::new();
    if let Some(map) = fields.get("headers").and_then(|item| item.fields("`headers`", out)) {
        for (key, node) in map.others(&[]) {
            let Some(name) = key.scalar() else { continue };
            let item = Item::under(key, node, format!("`{}`", shown(name)));
            let token =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
            if !token {
                out.error(codes::NAME, &key.span, format!("`{}` is not the name of a header", shown(name)))
                    .label("not a header");
                continue;
            }
            headers.extend(header(name, &item, env, out).map(|value| (name.to_owned(), value)));
        }
    }
    headers
}

fn json(fields: &mut Fields<'_>, out: &mut Findings<'_>) -> IndexMap<String, Comparison> {
    let mut json = IndexMap::new();
    if let Some(map) = fields.get("json").and_then(|item| item.fields("`json`", out)) {
        for (key, node) in map.others(&[]) {
            let Some(path) = key.scalar() else { continue };
            // The parser of the gate itself: what it would not read there is refused here.
            if let Err(bad) = JsonPath::parse(path) {
                let message = format!("`{}` is not a JSON path: {} at character {}", shown(path), bad.why, bad.at);
                let found = out.error(codes::JSON_PATH, &key.span, message).label("cannot be read");
                found.help("write it like `\"$.shards[0].state\"`, or `\"$.shards.length()\"` for how many there are");
            }
            let item = Item::under(key, node, format!("`{}`", shown(path)));
            json.extend(comparison(&item, out).map(|comparison| (path.to_owned(), comparison)));
        }
    }
    json
}

/// A header is plain text, or a reference to a secret; those that carry secrets by their nature must be the latter.
fn header(name: &str, item: &Item<'_>, env: &mut Vec<Span>, out: &mut Findings<'_>) -> Option<HeaderValue> {
    let secret = ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"];
    if matches!(item.node.value, Value::Map(_)) || secret.contains(&name.to_ascii_lowercase().as_str()) {
        return secret::reference(item, env, out).map(HeaderValue::Secret);
    }
    let text = item.word(out)?;
    let good = text.chars().all(|c| !c.is_control());
    if !good {
        item.error(codes::WRONG_TYPE, format!("{} has a control character", item.what), out).label("one line of text");
    }
    good.then_some(HeaderValue::Text(text))
}

fn comparison(item: &Item<'_>, out: &mut Findings<'_>) -> Option<Comparison> {
    const WORDS: [&str; 7] = ["eq", "ne", "lt", "le", "gt", "ge", "contains"];
    let fields = item.fields(format!("the comparison of {}", item.what), out)?;
    let entries = fields.others(&[]);
    let [(key, value)] = entries.as_slice() else {
        let found =
            out.error(codes::CHOICE, fields.caret(), format!("{} needs exactly one comparison", fields.place()));
        found.label(format!("one of: {}", WORDS.join(", ")));
        return None;
    };
    let word = key.scalar()?;
    let operand = Item::under(key, value, format!("`{}`", shown(word)));
    match word {
        "eq" => json_value(&operand, out).map(Comparison::Eq),
        "ne" => json_value(&operand, out).map(Comparison::Ne),
        "contains" => json_value(&operand, out).map(Comparison::Contains),
        "lt" => operand.number(out).map(Comparison::Lt),
        "le" => operand.number(out).map(Comparison::Le),
        "gt" => operand.number(out).map(Comparison::Gt),
        "ge" => operand.number(out).map(Comparison::Ge),
        _ => {
            let found = out.error(codes::NOT_ONE_OF, &key.span, format!("there is no comparison `{}`", shown(word)));
            found.label(format!("one of: {}", WORDS.join(", "))).did_you_mean(word, WORDS);
            None
        }
    }
}

fn json_value(item: &Item<'_>, out: &mut Findings<'_>) -> Option<serde_json::Value> {
    match &item.node.value {
        Value::Null => Some(serde_json::Value::Null),
        Value::Bool(value) => Some((*value).into()),
        Value::Text(text) => Some(text.as_str().into()),
        Value::Number(text) => match text.parse::<i64>() {
            Ok(whole) => Some(whole.into()),
            Err(_) => item.number(out).map(Into::into),
        },
        Value::List(_) | Value::Map(_) => item.word(out).map(Into::into),
    }
}

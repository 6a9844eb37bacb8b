//! What stands in the list of a `healthy` gate.
use indexmap::IndexMap;

use super::fields::{Fields, Item, shown};
use super::inventory::ROLES;
use super::names::{Names, has, refer};
use super::{actions, address, secret};
use crate::action::check::{
    Check, CommandCheck, Comparison, DiskFree, HeaderValue, HostCheck, HttpCheck, Link, Pm2Check, RedisAddress,
    RedisCheck, RedisTarget, TcpCheck, UnitCheck,
};
use crate::action::inventory::Inventory;
use crate::action::measure::Quota;
use crate::runbook::codes;
use crate::runbook::diagnostic::{Findings, nearest};
use crate::runbook::source::Span;
use crate::runbook::tree::Value;

const KEYS: [&str; 7] = ["redis", "tcp", "http", "unit", "host", "command", "pm2"];

/// Reads one check, a map with one key.
pub(super) fn check(
    item: &Item<'_>,
    names: &Names,
    inventory: &Inventory,
    env: &mut Vec<Span>,
    out: &mut Findings<'_>,
) -> Option<Check> {
    let outer = item.fields("a check", out)?;
    let entries = outer.others(&[]);
    let [(key, value)] = entries.as_slice() else {
        let message = format!("a check is a map with one key, found {}", entries.len());
        let found = out
            .error(codes::ONE_ACTION, outer.caret(), message)
            .label("exactly one kind of check");
        found.help(format!("one of: {}", KEYS.join(", ")));
        return None;
    };
    let kind = key.scalar()?;
    if !KEYS.contains(&kind) {
        let found = out.error(
            codes::UNKNOWN_ACTION,
            &key.span,
            format!("there is no check `{}`", shown(kind)),
        );
        found
            .label("unknown check")
            .help(format!("one of: {}", KEYS.join(", ")))
            .did_you_mean(nearest(kind, KEYS));
        return None;
    }
    let mut fields = Item::under(key, value, format!("`{kind}`")).fields(format!("the check `{kind}`"), out)?;
    let f = &mut fields;
    let required = f.flag_or("required", true, out);
    let check = match kind {
        "redis" => redis(f, required, names, env, out).map(Check::Redis),
        "tcp" => {
            let addr = f.need("addr", out).and_then(|item| address::tcp(&item, out));
            addr.map(|addr| Check::Tcp(TcpCheck { addr, required }))
        }
        "http" => http(f, required, env, out).map(Check::Http),
        "unit" => unit(f, required, names, inventory, out).map(Check::Unit),
        "host" => host(f, required, out).map(Check::Host),
        "command" => {
            let argv = actions::argv(f, out);
            let (user, cwd) = actions::user_and_cwd(f, out);
            argv.map(|argv| {
                Check::Command(CommandCheck {
                    argv,
                    user,
                    cwd,
                    required,
                })
            })
        }
        _ => pm2(f, required, names, out).map(Check::Pm2),
    };
    fields.close(out);
    check
}

fn redis(
    fields: &mut Fields<'_>,
    required: bool,
    names: &Names,
    env: &mut Vec<Span>,
    out: &mut Findings<'_>,
) -> Option<RedisCheck> {
    let (instances, url) = (fields.get("instances"), fields.get("url"));
    let user = fields.get("user");
    let password = fields.get("password");
    let target = match (&instances, &url) {
        (Some(item), None) => {
            for extra in [&user, &password].into_iter().flatten() {
                let found = extra.error(codes::CHOICE, format!("{} belongs to `url`", extra.what), out);
                found.label("declared instances bring their own");
            }
            names.selector(item, out).map(RedisTarget::Instances)
        }
        (None, Some(item)) => {
            let user = user.and_then(|item| item.text(out));
            let password = password.and_then(|item| secret::reference(&item, env, out));
            address::redis(item, out).map(|url| RedisTarget::Address(RedisAddress { url, user, password }))
        }
        _ => {
            let message = "the check `redis` needs either `instances` or `url`";
            out.error(codes::CHOICE, fields.caret(), message)
                .label("exactly one of the two");
            None
        }
    };
    let role = fields.get("role").and_then(|item| item.choice(&ROLES, out));
    let link = fields
        .get("link")
        .and_then(|item| item.choice(&[("up", Link::Up), ("down", Link::Down)], out));
    let keys_at_least = fields.get("keys_at_least").and_then(|item| {
        let quota = item.measure::<Quota>(out)?;
        if url.is_some() && matches!(quota, Quota::Percent(_)) {
            let found = item.error(
                codes::NO_BASELINE,
                "there is no baseline for a bare `url`".to_owned(),
                out,
            );
            found
                .label("a share of what?")
                .help("write a number of keys, or check declared `instances`");
        }
        Some(quota)
    });
    let loading = fields.flag_or("loading", false, out);
    Some(RedisCheck {
        target: target?,
        role,
        link,
        keys_at_least,
        loading,
        required,
    })
}

fn http(fields: &mut Fields<'_>, required: bool, env: &mut Vec<Span>, out: &mut Findings<'_>) -> Option<HttpCheck> {
    let url = fields.need("url", out).and_then(|item| address::http(&item, out));
    let status = fields
        .get("status")
        .map_or(Some(200), |item| item.whole(100..=599, out));
    let mut headers = IndexMap::new();
    if let Some(map) = fields.get("headers").and_then(|item| item.fields("`headers`", out)) {
        for (key, node) in map.others(&[]) {
            let Some(name) = key.scalar() else { continue };
            let item = Item::under(key, node, format!("`{}`", shown(name)));
            let token = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
            if !token {
                out.error(
                    codes::NAME,
                    &key.span,
                    format!("`{}` is not the name of a header", shown(name)),
                )
                .label("not a header");
                continue;
            }
            headers.extend(header(name, &item, env, out).map(|value| (name.to_owned(), value)));
        }
    }
    let mut json = IndexMap::new();
    if let Some(map) = fields.get("json").and_then(|item| item.fields("`json`", out)) {
        for (key, node) in map.others(&[]) {
            let Some(path) = key.scalar() else { continue };
            if !is_json_path(path) {
                let found = out.error(
                    codes::JSON_PATH,
                    &key.span,
                    format!("`{}` is not a JSON path", shown(path)),
                );
                found
                    .label("cannot be read")
                    .help("write it like `\"$.shards[0].state\"`");
            }
            let item = Item::under(key, node, format!("`{}`", shown(path)));
            json.extend(comparison(&item, out).map(|comparison| (path.to_owned(), comparison)));
        }
    }
    let status = status.and_then(|status| u16::try_from(status).ok());
    Some(HttpCheck {
        url: url?,
        status: status?,
        headers,
        json,
        required,
    })
}

/// A header is plain text, or a reference to a secret; those that carry secrets by their nature must be the latter.
fn header(name: &str, item: &Item<'_>, env: &mut Vec<Span>, out: &mut Findings<'_>) -> Option<HeaderValue> {
    let secret = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
    ];
    if matches!(item.node.value, Value::Map(_)) || secret.contains(&name.to_ascii_lowercase().as_str()) {
        return secret::reference(item, env, out).map(HeaderValue::Secret);
    }
    let text = item.word(out)?;
    let good = text.chars().all(|c| !c.is_control());
    if !good {
        item.error(codes::WRONG_TYPE, format!("{} has a control character", item.what), out)
            .label("one line of text");
    }
    good.then_some(HeaderValue::Text(text))
}

/// `$`, then members `.name` and elements `[0]`.
fn is_json_path(path: &str) -> bool {
    let Some(mut rest) = path.strip_prefix('$') else {
        return false;
    };
    while !rest.is_empty() {
        let len = if let Some(member) = rest.strip_prefix('.') {
            let len = member.find(['.', '[', ']']).unwrap_or(member.len());
            if len == 0 {
                return false;
            }
            len + 1
        } else if let Some((index, _)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            if index.parse::<u32>().is_err() {
                return false;
            }
            index.len() + 2
        } else {
            return false;
        };
        rest = &rest[len..];
    }
    true
}

fn comparison(item: &Item<'_>, out: &mut Findings<'_>) -> Option<Comparison> {
    const WORDS: [&str; 7] = ["eq", "ne", "lt", "le", "gt", "ge", "contains"];
    let fields = item.fields(format!("the comparison of {}", item.what), out)?;
    let entries = fields.others(&[]);
    let [(key, value)] = entries.as_slice() else {
        let found = out.error(
            codes::CHOICE,
            fields.caret(),
            format!("{} needs exactly one comparison", fields.place()),
        );
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
            let found = out.error(
                codes::NOT_ONE_OF,
                &key.span,
                format!("there is no comparison `{}`", shown(word)),
            );
            found
                .label(format!("one of: {}", WORDS.join(", ")))
                .did_you_mean(nearest(word, WORDS));
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

fn unit(
    fields: &mut Fields<'_>,
    required: bool,
    names: &Names,
    inventory: &Inventory,
    out: &mut Findings<'_>,
) -> Option<UnitCheck> {
    let items = match (fields.get("name"), fields.get("names")) {
        (Some(item), None) => vec![item],
        (None, Some(item)) => item.one_or_more(out),
        _ => {
            let message = "the check `unit` needs either `name` or `names`";
            out.error(codes::CHOICE, fields.caret(), message)
                .label("exactly one of the two");
            return None;
        }
    };
    let known: Vec<_> = names.units.iter().chain(&names.with_unit).cloned().collect();
    let mut units: Vec<String> = Vec::new();
    for item in &items {
        let name = item.node.scalar().unwrap_or_default();
        // A full unit name has a dot; a name of the inventory may have one too, and then it is known.
        if has(&known, name) || !name.contains('.') {
            let found = refer(item, &known, codes::UNKNOWN_UNITS, "declared unit", out);
            units.extend(
                found
                    .iter()
                    .flat_map(|name| inventory.units_of(Some(std::slice::from_ref(name))))
                    .map(|one| one.unit.to_owned()),
            );
        } else {
            units.extend(address::units(item, out));
        }
    }
    Some(UnitCheck {
        units,
        active: fields.flag_or("active", true, out),
        required,
    })
}

fn host(fields: &mut Fields<'_>, required: bool, out: &mut Findings<'_>) -> Option<HostCheck> {
    let asked = ["memory_free", "memory_at_least", "cpus_at_least", "disk_free"];
    if !fields
        .others(&[])
        .iter()
        .any(|(key, _)| key.scalar().is_some_and(|key| asked.contains(&key)))
    {
        let found = out.error(codes::CHOICE, fields.caret(), "the check `host` asks nothing");
        found.label(format!("at least one of: {}", asked.join(", ")));
    }
    let memory_free = fields.get("memory_free").and_then(|item| item.measure(out));
    let memory_at_least = fields.get("memory_at_least").and_then(|item| item.measure(out));
    let cpus_at_least = fields.get("cpus_at_least").and_then(|item| item.whole(1..=65_536, out));
    let disks = fields
        .get("disk_free")
        .map(|item| item.one_or_more(out))
        .unwrap_or_default();
    let disk_free = disks.iter().filter_map(|item| disk(item, out)).collect();
    Some(HostCheck {
        memory_free,
        memory_at_least,
        cpus_at_least,
        disk_free,
        required,
    })
}

fn disk(item: &Item<'_>, out: &mut Findings<'_>) -> Option<DiskFree> {
    let mut fields = item.fields("`disk_free`", out)?;
    let path = fields.need("path", out).and_then(|item| item.path(out));
    let at_least = fields.need("at_least", out).and_then(|item| item.measure(out));
    fields.close(out);
    Some(DiskFree {
        path: path?,
        at_least: at_least?,
    })
}

fn pm2(fields: &mut Fields<'_>, required: bool, names: &Names, out: &mut Findings<'_>) -> Option<Pm2Check> {
    let pm2 = actions::pm2(fields, names, out);
    let apps = actions::apps(fields, out);
    let online_at_least = fields.get("online_at_least").and_then(|item| item.measure(out));
    let restarts_at_most = fields
        .get("restarts_at_most")
        .and_then(|item| item.whole(0..=1_000_000, out));
    if online_at_least.is_none() && restarts_at_most.is_none() {
        let found = out.error(codes::CHOICE, fields.caret(), "the check `pm2` asks nothing");
        found.label("at least one of: online_at_least, restarts_at_most");
    }
    Some(Pm2Check {
        pm2: pm2?,
        apps,
        online_at_least,
        restarts_at_most,
        required,
    })
}

/// The key of an entry, for tests.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_paths() {
        for good in ["$", "$.a", "$.a.b[0].c", "$[1]", "$.a-b"] {
            assert!(is_json_path(good), "{good}");
        }
        for bad in ["", "a", "$a", "$.", "$..a", "$[x]", "$[0", "$.a]"] {
            assert!(!is_json_path(bad), "{bad}");
        }
    }
}

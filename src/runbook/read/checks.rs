//! What stands in the list of a `healthy` gate.
use super::fields::Fields;
use super::inventory::ROLES;
use super::item::{Item, shown};
use super::names::{Names, has, refer};
use super::{actions, address, http, secret, trust};
use crate::action::check::{
    Check, CheckKind, CommandCheck, DiskFree, HostCheck, Link, Pm2Check, RedisAddress, RedisCheck, RedisTarget,
    TcpCheck, UnitCheck,
};
use crate::action::inventory::Inventory;
use crate::action::measure::Quota;
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;

const KEYS: &[&str] = CheckKind::KEYS;

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
        let found = out.error(codes::ONE_ACTION, outer.caret(), message).label("exactly one kind of check");
        found.help(format!("one of: {}", KEYS.join(", ")));
        return None;
    };
    let kind = key.scalar()?;
    let Some(check) = CheckKind::of_key(kind) else {
        let found = out.error(codes::UNKNOWN_ACTION, &key.span, format!("there is no check `{}`", shown(kind)));
        found
            .label("unknown check")
            .help(format!("one of: {}", KEYS.join(", ")))
            .did_you_mean(kind, KEYS.iter().copied());
        return None;
    };
    let mut fields = Item::under(key, value, format!("`{kind}`")).fields(format!("the check `{kind}`"), out)?;
    let f = &mut fields;
    let required = f.flag_or("required", true, out);
    let check = match check {
        CheckKind::Redis => redis(f, required, names, env, out).map(Check::Redis),
        CheckKind::Tcp => {
            let addr = f.need("addr", out).and_then(|item| address::tcp(&item, out));
            addr.map(|addr| Check::Tcp(TcpCheck { addr, required }))
        }
        CheckKind::Http => http::http(f, required, env, out).map(Check::Http),
        CheckKind::Unit => unit(f, required, names, inventory, out).map(Check::Unit),
        CheckKind::Host => host(f, required, out).map(Check::Host),
        CheckKind::Command => {
            let argv = actions::argv(f, out);
            let (user, cwd) = actions::user_and_cwd(f, out);
            argv.map(|argv| Check::Command(CommandCheck { argv, user, cwd, required }))
        }
        CheckKind::Pm2 => pm2(f, required, names, out).map(Check::Pm2),
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
    let tls = fields.get("tls");
    let target = match (&instances, &url) {
        (Some(item), None) => {
            for extra in [&user, &password, &tls].into_iter().flatten() {
                let found = extra.error(codes::CHOICE, format!("{} belongs to `url`", extra.what), out);
                found.label("declared instances bring their own");
            }
            names.selector(item, out).map(RedisTarget::Instances)
        }
        (None, Some(item)) => {
            let user = user.and_then(|item| item.text(out));
            let password = password.and_then(|item| secret::reference(&item, env, out));
            let url = address::redis(item, out);
            let tls = tls.and_then(|item| trust::redis(&item, url.as_deref(), env, out));
            url.map(|url| RedisTarget::Address(RedisAddress { url, user, password, tls }))
        }
        _ => {
            let message = "the check `redis` needs either `instances` or `url`";
            out.error(codes::CHOICE, fields.caret(), message).label("exactly one of the two");
            None
        }
    };
    let role = fields.get("role").and_then(|item| item.choice(&ROLES, out));
    let link = fields.get("link").and_then(|item| item.choice(&[("up", Link::Up), ("down", Link::Down)], out));
    let keys_at_least = fields.get("keys_at_least").and_then(|item| {
        let quota = item.measure::<Quota>(out)?;
        if url.is_some() && matches!(quota, Quota::Percent(_)) {
            let found = item.error(codes::NO_BASELINE, "there is no baseline for a bare `url`".to_owned(), out);
            found.label("a share of what?").help("write a number of keys, or check declared `instances`");
        }
        Some(quota)
    });
    let loading = fields.flag_or("loading", false, out);
    Some(RedisCheck { target: target?, role, link, keys_at_least, loading, required })
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
            out.error(codes::CHOICE, fields.caret(), message).label("exactly one of the two");
            return None;
        }
    };
    let known: Vec<_> = names.units.iter().chain(&names.with_unit).cloned().collect();
    let mut units: Vec<String> = Vec::new();
    for item in &items {
        let name = item.node.scalar().unwrap_or_default();
        // A full unit name has a dot; a name of the inventory may have one too, and then it is known.
        if has(&known, name) || !name.contains('.') {
            let Some(name) = refer(item, &known, codes::UNKNOWN_UNITS, "declared unit", out) else { continue };
            let found = inventory.units_of(Some(std::slice::from_ref(&name)));
            if found.is_empty() {
                // Inside `pm2:` the units of its places are not known yet.
                let message = format!("the unit of `{}` cannot be named like this here", shown(&name));
                item.error(codes::UNKNOWN_UNITS, message, out).label("write the unit's full name");
            }
            units.extend(found.into_iter().map(|one| one.unit.to_owned()));
        } else {
            units.extend(address::units(item, out));
        }
    }
    Some(UnitCheck { units, active: fields.flag_or("active", true, out), required })
}

fn host(fields: &mut Fields<'_>, required: bool, out: &mut Findings<'_>) -> Option<HostCheck> {
    let asked = ["memory_free", "memory_at_least", "cpus_at_least", "disk_free"];
    if !fields.others(&[]).iter().any(|(key, _)| key.scalar().is_some_and(|key| asked.contains(&key))) {
        let found = out.error(codes::CHOICE, fields.caret(), "the check `host` asks nothing");
        found.label(format!("at least one of: {}", asked.join(", ")));
    }
    let memory_free = fields.get("memory_free").and_then(|item| item.measure(out));
    let memory_at_least = fields.get("memory_at_least").and_then(|item| item.measure(out));
    let cpus_at_least = fields.get("cpus_at_least").and_then(|item| item.whole(1..=65_536, out));
    let disks = fields.get("disk_free").map(|item| item.one_or_more(out)).unwrap_or_default();
    let disk_free = disks.iter().filter_map(|item| disk(item, out)).collect();
    Some(HostCheck { memory_free, memory_at_least, cpus_at_least, disk_free, required })
}

fn disk(item: &Item<'_>, out: &mut Findings<'_>) -> Option<DiskFree> {
    let mut fields = item.fields("`disk_free`", out)?;
    let path = fields.need("path", out).and_then(|item| item.path(out));
    let at_least = fields.need("at_least", out).and_then(|item| item.measure(out));
    fields.close(out);
    Some(DiskFree { path: path?, at_least: at_least? })
}

fn pm2(fields: &mut Fields<'_>, required: bool, names: &Names, out: &mut Findings<'_>) -> Option<Pm2Check> {
    let pm2 = actions::pm2(fields, names, out);
    let apps = actions::apps(fields, out);
    let online_at_least = fields.get("online_at_least").and_then(|item| item.measure(out));
    let restarts_at_most = fields.get("restarts_at_most").and_then(|item| item.whole(0..=1_000_000, out));
    let restarts_in_all_at_most = fields.get("restarts_in_all_at_most").and_then(|item| item.whole(0..=1_000_000, out));
    if online_at_least.is_none() && restarts_at_most.is_none() && restarts_in_all_at_most.is_none() {
        let found = out.error(codes::CHOICE, fields.caret(), "the check `pm2` asks nothing");
        found.label("at least one of: online_at_least, restarts_at_most, restarts_in_all_at_most");
    }
    Some(Pm2Check { pm2: pm2?, apps, online_at_least, restarts_at_most, restarts_in_all_at_most, required })
}

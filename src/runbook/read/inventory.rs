//! The sections `redis:`, `units:` and `pm2:`.
use std::collections::HashMap;

use indexmap::IndexMap;

use super::fields::Fields;
use super::item::{Item, is_name, shown};
use super::names::{Declared, Names, declared, refer};
use super::{address, checks, secret, trust};
use crate::action::inventory::{
    AppGroup, AtBoot, DeclaredUnits, Inventory, Needs, Pm2Place, RedisInstance, RedisKind, Role,
};
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;

/// Roles as written.
pub(super) const ROLES: [(&str, Role); 2] = [("master", Role::Master), ("replica", Role::Replica)];

/// What [`super::super::validate`] needs to point at inside the inventory.
#[derive(Debug, Default)]
pub(crate) struct InventoryPlaces {
    /// `of` of a replica, by instance.
    pub(crate) of: IndexMap<String, Span>,
    /// Secrets that come from the environment.
    pub(crate) env_secrets: Vec<Span>,
    /// Each group by place and name.
    pub(crate) groups: IndexMap<(String, String), Span>,
    /// Each PM2 place.
    pub(crate) pm2: IndexMap<String, Span>,
    /// `home` of each.
    pub(crate) homes: IndexMap<String, Span>,
}

/// Reads the three sections.
pub(super) fn inventory(root: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> (Inventory, InventoryPlaces) {
    let mut places = InventoryPlaces::default();
    same_names(names, out);
    let redis = section(root, "redis", out, |name, item, out| redis(name, item, names, &mut places, out));
    let units = section(root, "units", out, |_, item, out| declared_units(item, out));
    let mut inventory = Inventory { redis, units, ..Inventory::default() };
    // What a group needs may be a unit of the other two sections.
    let pm2 = section(root, "pm2", out, |name, item, out| pm2_place(name, item, (names, &inventory), &mut places, out));
    inventory.pm2 = pm2;
    (inventory, places)
}

/// A map from names to things; things that cannot be read are left out.
fn section<'n, T>(
    root: &mut Fields<'n>,
    key: &'static str,
    out: &mut Findings<'_>,
    mut read: impl FnMut(&str, &Item<'n>, &mut Findings<'_>) -> Option<T>,
) -> IndexMap<String, T> {
    let mut found = IndexMap::new();
    let Some(fields) = root.get(key).and_then(|item| item.fields(format!("the section `{key}`"), out)) else {
        return found;
    };
    for (key, node) in fields.others(&[]) {
        let Some(name) = key.scalar() else { continue };
        let item = Item::under(key, node, format!("`{}`", shown(name)));
        if is_name(name, &Item::new(key, "a name"), out)
            && let Some(thing) = read(name, &item, out)
        {
            found.insert(name.to_owned(), thing);
        }
    }
    found
}

/// Names must differ across the three sections: `units: [bull]` would otherwise mean two things.
fn same_names(names: &Names, out: &mut Findings<'_>) {
    let all = [&names.redis, &names.units, &names.pm2].into_iter().enumerate();
    let mut firsts: HashMap<&str, (usize, &Span)> = HashMap::new();
    for (section, (name, span)) in all.flat_map(|(section, list)| list.iter().map(move |one| (section, one))) {
        let (owner, first) = *firsts.entry(name).or_insert((section, span));
        if owner != section {
            let message = format!("`{}` is declared in two sections", shown(name));
            out.error(codes::SAME_NAME, span, message).label("again").help("rename one of them");
            out.related(first, "first");
        }
    }
}

fn redis(
    name: &str,
    item: &Item<'_>,
    names: &Names,
    places: &mut InventoryPlaces,
    out: &mut Findings<'_>,
) -> Option<RedisInstance> {
    let mut fields = item.fields(format!("Redis instance `{name}`"), out)?;
    let url = fields.need("url", out).and_then(|item| address::redis(&item, out));
    let user = fields.get("user").and_then(|item| item.text(out));
    let password = fields.get("password").and_then(|item| secret::reference(&item, &mut places.env_secrets, out));
    let tls = fields.get("tls");
    let tls = tls.and_then(|item| trust::redis(&item, url.as_deref(), &mut places.env_secrets, out));
    let unit = fields.get("unit").and_then(|item| address::unit(&item, out));
    let role = fields.get("role");
    let role_span = role.as_ref().map(Item::span);
    let role = role.and_then(|item| item.choice(&ROLES, out)).unwrap_or_default();
    let of = fields.get("of").and_then(|item| {
        places.of.insert(name.to_owned(), item.span());
        if role == Role::Master {
            let found =
                item.error(codes::REPLICA_OF, format!("`{name}` is a master and cannot be a replica of another"), out);
            found.label("`of` belongs to replicas").help("add `role: replica`, or remove `of`");
            if let Some(span) = role_span {
                out.related(&span, "a master here");
            }
            return None;
        }
        refer(&item, &names.redis, codes::UNKNOWN_REDIS, "Redis instance", out)
    });
    let kinds = [("redis", RedisKind::Redis), ("tile38", RedisKind::Tile38)];
    let kind = fields.get("kind").and_then(|item| item.choice(&kinds, out)).unwrap_or_default();
    let required = fields.flag_or("required", true, out);
    fields.close(out);
    Some(RedisInstance { name: name.to_owned(), url: url?, user, password, unit, role, of, kind, required, tls })
}

fn declared_units(item: &Item<'_>, out: &mut Findings<'_>) -> Option<DeclaredUnits> {
    let mut fields = item.fields(format!("units {}", item.what), out)?;
    let (one, more) = (fields.get("unit"), fields.get("units"));
    let names = match (one, more) {
        (Some(one), None) => address::unit(&one, out).map(|unit| vec![unit]),
        (None, Some(more)) => Some(more.one_or_more(out).iter().flat_map(|item| address::units(item, out)).collect()),
        (one, _) => {
            let what = if one.is_some() { "has both `unit` and `units`" } else { "has neither `unit` nor `units`" };
            let found = out.error(codes::CHOICE, fields.caret(), format!("{} {what}", fields.place()));
            found.label("exactly one of the two");
            None
        }
    };
    let required = fields.flag_or("required", true, out);
    fields.close(out);
    Some(DeclaredUnits { names: names?, required })
}

fn pm2_place(
    name: &str,
    item: &Item<'_>,
    known_before: (&Names, &Inventory),
    places: &mut InventoryPlaces,
    out: &mut Findings<'_>,
) -> Option<Pm2Place> {
    let mut fields = item.fields(format!("PM2 place `{name}`"), out)?;
    let user = fields.need("user", out).and_then(|item| item.text(out));
    let home = fields.need("home", out).and_then(|item| {
        places.homes.insert(name.to_owned(), item.span());
        item.path(out)
    });
    let unit = fields.get("unit").and_then(|item| address::unit(&item, out));
    let cli = fields.get("cli").and_then(|item| item.path(out));
    let ways = [("registers", AtBoot::Registers), ("resurrects", AtBoot::Resurrects)];
    let boot = fields.get("boot").and_then(|item| item.choice(&ways, out)).unwrap_or_default();
    places.pm2.insert(name.to_owned(), fields.caret().clone());
    let groups = fields.get("groups").map(|item| item.list(out)).unwrap_or_default();
    let known: Vec<Declared> = groups.iter().filter_map(|group| group.node.get("name")).filter_map(declared).collect();
    let mut read = Vec::new();
    twice(&known, "group", out);
    for group in &groups {
        let Some(group_fields) = group.fields(format!("a group of `{name}`"), out) else {
            continue;
        };
        if let Some(group) = app_group(name, group_fields, known_before, &known, places, out) {
            read.push(group);
        }
    }
    fields.close(out);
    Some(Pm2Place { user: user?, home: home?, unit, cli, boot, groups: read })
}

/// Notes every name of `known` that an earlier one already has.
pub(super) fn twice(known: &[Declared], what: &str, out: &mut Findings<'_>) {
    let mut firsts: HashMap<&str, &Span> = HashMap::with_capacity(known.len());
    for (name, span) in known {
        let Some(first) = firsts.get(name.as_str()) else {
            firsts.insert(name, span);
            continue;
        };
        let message = format!("there are two {what}s named `{}`", shown(name));
        out.error(codes::SAME_NAME, span, message).label("again").help("rename one of them");
        out.related(first, "first");
    }
}

fn app_group(
    place: &str,
    mut fields: Fields<'_>,
    known: (&Names, &Inventory),
    groups: &[Declared],
    places: &mut InventoryPlaces,
    out: &mut Findings<'_>,
) -> Option<AppGroup> {
    let name = fields.need("name", out).and_then(|item| {
        let name = item.name(out)?;
        places.groups.insert((place.to_owned(), name.clone()), item.span());
        Some(name)
    });
    let apps = fields.need("apps", out).map(|item| patterns(&item, out));
    let needs = fields.get("needs");
    let needs = needs.map(|item| self::needs(&item, known, groups, &mut places.env_secrets, out)).unwrap_or_default();
    let optional = fields.get("optional").map(|item| patterns(&item, out)).unwrap_or_default();
    fields.close(out);
    Some(AppGroup { name: name?, apps: apps?, needs, optional })
}

/// Patterns of app names.
pub(super) fn patterns(item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
    item.one_or_more(out).iter().filter_map(|one| one.word(out)).collect()
}

fn needs(
    item: &Item<'_>,
    (names, inventory): (&Names, &Inventory),
    groups: &[Declared],
    env: &mut Vec<Span>,
    out: &mut Findings<'_>,
) -> Needs {
    let Some(mut fields) = item.fields("`needs`", out) else {
        return Needs::default();
    };
    let redis = fields.get("redis").map(|item| names.redis_list(&item, out)).unwrap_or_default();
    let units = fields.get("units").map(|item| names.units_list(&item, out)).unwrap_or_default();
    let many = |item: Item<'_>, known: &[Declared], code, what, out: &mut Findings<'_>| -> Vec<String> {
        item.one_or_more(out).iter().filter_map(|one| refer(one, known, code, what, out)).collect()
    };
    let groups =
        fields.get("groups").map(|item| many(item, groups, codes::UNKNOWN_GROUP, "group", out)).unwrap_or_default();
    let apps: Vec<String> = fields.get("apps").map(|item| named_apps(&item, out)).unwrap_or_default();
    let lost_at_most = fields.get("lost_at_most").and_then(|item| {
        let number = item.whole(0..=10_000, out)?;
        if groups.is_empty() && apps.is_empty() {
            let found = item.error(codes::CHOICE, "`lost_at_most` belongs to `groups` or `apps`".to_owned(), out);
            found.label("of what?").help("name the groups or the apps that may be lost in part");
        }
        Some(number)
    });
    let pm2 =
        fields.get("pm2").map(|item| many(item, &names.pm2, codes::UNKNOWN_PM2, "PM2 place", out)).unwrap_or_default();
    let checks = fields.get("checks").map(|item| item.list(out)).unwrap_or_default();
    let checks = checks.iter().filter_map(|item| checks::check(item, names, inventory, env, out)).collect();
    fields.close(out);
    Needs { redis, units, groups, apps, lost_at_most: lost_at_most.unwrap_or(0), pm2, checks }
}

/// Apps by their names: what is waited for must be one thing, and not whatever a pattern happens to match.
fn named_apps(item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
    let name = |one: &Item<'_>, out: &mut Findings<'_>| {
        let name = one.word(out)?;
        if name.contains(['*', '?']) {
            let found = one.error(codes::NAME, format!("{} is a pattern", one.what), out);
            found.label("the name of one app").help("name each app, or need its group: `groups: [...]`");
            return None;
        }
        Some(name)
    };
    item.one_or_more(out).iter().filter_map(|one| name(one, out)).collect()
}

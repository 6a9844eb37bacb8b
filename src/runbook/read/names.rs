//! All names that a runbook declares, collected before anything refers to them, and the look-up of references.
use super::item::{Item, shown};
use crate::action::inventory::Selector;
use crate::runbook::codes;
use crate::runbook::diagnostic::{Code, Findings, nearest};
use crate::runbook::source::Span;
use crate::runbook::tree::Node;

/// A name and where it is declared.
pub(super) type Declared = (String, Span);

/// The declared names, also of entries that turn out to be broken: one mistake should not make ten.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Redis instances.
    pub(super) redis: Vec<Declared>,
    /// Those that are declared as replicas.
    pub(super) replicas: Vec<String>,
    /// Platform units.
    pub(super) units: Vec<Declared>,
    /// PM2 places.
    pub(super) pm2: Vec<Declared>,
    /// Entries of `redis:` or `pm2:` with a unit.
    pub(super) with_unit: Vec<Declared>,
    /// Phases.
    pub(super) phases: Vec<Declared>,
}

impl Names {
    /// Collects what `root` declares.
    pub(super) fn of(root: &Node) -> Self {
        let section = |key: &str| root.get(key).map(Node::entries).unwrap_or_default();
        let keys =
            |key| section(key).iter().filter_map(|(k, _)| Some((k.scalar()?.to_owned(), k.span.clone()))).collect();
        let with_unit = |key| {
            let owners = section(key).iter().filter(|(_, value)| value.get("unit").is_some());
            owners.filter_map(|(k, _)| Some((k.scalar()?.to_owned(), k.span.clone())))
        };
        let replica = |value: &Node| value.get("role").and_then(Node::scalar) == Some("replica");
        let replicas = section("redis").iter().filter(|(_, value)| replica(value));
        let phases = root.get("phases").map(Node::elements).unwrap_or_default().iter();
        Self {
            redis: keys("redis"),
            replicas: replicas.filter_map(|(key, _)| key.scalar().map(str::to_owned)).collect(),
            units: keys("units"),
            pm2: keys("pm2"),
            with_unit: with_unit("redis").chain(with_unit("pm2")).collect(),
            phases: phases.filter_map(|one| one.get("name")).filter_map(declared).collect(),
        }
    }

    /// A list of declared Redis instances.
    pub(super) fn redis_list(&self, item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
        item.one_or_more(out)
            .iter()
            .filter_map(|one| refer(one, &self.redis, codes::UNKNOWN_REDIS, "Redis instance", out))
            .collect()
    }

    /// `masters`, `replicas`, `all`, a name or a list of names; it must not be empty.
    pub(super) fn selector(&self, item: &Item<'_>, out: &mut Findings<'_>) -> Option<Selector> {
        let selector = match item.node.scalar() {
            Some("masters") => Selector::Masters,
            Some("replicas") => Selector::Replicas,
            Some("all") => Selector::All,
            Some(word) if nearest(word, ["masters", "replicas", "all"]).is_some() && !has(&self.redis, word) => {
                let message = format!("{} cannot be `{}`", item.what, shown(word));
                let found =
                    item.error(codes::UNKNOWN_REDIS, message, out).label("no such instance or group of instances");
                found.did_you_mean(word, ["masters", "replicas", "all"]);
                return None;
            }
            _ => return Some(Selector::Names(self.redis_list(item, out))),
        };
        self.selects(&selector, &item.span(), out);
        Some(selector)
    }

    /// Notes a selector that selects nothing.
    pub(super) fn selects(&self, selector: &Selector, span: &Span, out: &mut Findings<'_>) {
        let (what, empty) = match selector {
            Selector::Masters => ("masters", self.redis.len() <= self.replicas.len()),
            Selector::Replicas => ("replicas", self.replicas.is_empty()),
            Selector::All => ("instances", self.redis.is_empty()),
            Selector::Names(_) => return,
        };
        if empty {
            let found = out.error(codes::SELECTS_NOTHING, span, format!("there are no Redis {what} in this runbook"));
            found.label("selects nothing").help("declare them in the `redis:` section, or remove the step");
        }
    }

    /// A list of inventory names that have units.
    pub(super) fn units_list(&self, item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
        let known: Vec<Declared> = self.units.iter().chain(&self.with_unit).cloned().collect();
        item.one_or_more(out)
            .iter()
            .filter_map(|one| refer(one, &known, codes::UNKNOWN_UNITS, "declared unit", out))
            .collect()
    }

    /// The PM2 place of a step.
    pub(super) fn pm2_place(&self, item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
        refer(item, &self.pm2, codes::UNKNOWN_PM2, "PM2 place", out)
    }
}

/// A scalar as a declared name.
pub(super) fn declared(node: &Node) -> Option<Declared> {
    Some((node.scalar()?.to_owned(), node.span.clone()))
}

/// Whether a name is declared.
pub(super) fn has(known: &[Declared], name: &str) -> bool {
    known.iter().any(|(one, _)| one == name)
}

/// Looks a reference up; a miss is noted, with the likeliest name and its place.
pub(super) fn refer(
    item: &Item<'_>,
    known: &[Declared],
    code: Code,
    what: &str,
    out: &mut Findings<'_>,
) -> Option<String> {
    let name = item.text(out)?;
    if has(known, &name) {
        return Some(name);
    }
    let found = item.error(code, format!("there is no {what} `{}`", shown(&name)), out).label("not declared");
    if found.counted() {
        return None;
    }
    let near = found.did_you_mean(&name, known.iter().map(|(one, _)| one.as_str()));
    if known.is_empty() {
        found.help("nothing of that kind is declared in this runbook");
    } else if near.is_none() {
        let all: Vec<&str> = known.iter().take(12).map(|(one, _)| one.as_str()).collect();
        found.help(format!("declared: {}", shown(&all.join(", "))));
    }
    if let Some((_, span)) = near.and_then(|near| known.iter().find(|(one, _)| one == near)) {
        out.related(span, "this one is declared");
    }
    None
}

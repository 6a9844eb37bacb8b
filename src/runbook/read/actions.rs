//! What stands under an action key.
use super::checks;
use super::fields::Fields;
use super::inventory::patterns;
use super::item::{Item, is_name};
use super::names::Names;
use crate::action::inventory::{Inventory, Selector};
use crate::action::pm2_restored::{AtOnce, Pm2Restored};
use crate::action::rebooted::Rebooted;
use crate::action::{
    Action, ActionKind, command::Command, healthy::Healthy, pm2_as_saved::Pm2AsSaved, pm2_saved::Pm2Saved,
    pm2_stopped::Pm2Stopped, redis_compacted::RedisCompacted, redis_loaded::RedisLoaded, units_active::UnitsActive,
    units_enabled::UnitsEnabled, units_stopped::UnitsStopped,
};
use crate::host::Down;
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;

/// Reads an action of a kind; places of environment secrets are collected in `env`.
pub(super) fn action(
    kind: ActionKind,
    item: &Item<'_>,
    names: &Names,
    inventory: &Inventory,
    env: &mut Vec<Span>,
    out: &mut Findings<'_>,
) -> Option<Action> {
    let mut fields = item.fields_or_nothing(&format!("`{}`", kind.key()), out)?;
    let f = &mut fields;
    let action = match kind {
        ActionKind::RedisCompacted => redis_compacted(f, names, out).map(Action::RedisCompacted),
        ActionKind::RedisLoaded => Some(Action::RedisLoaded(RedisLoaded {
            instances: instances(f, Selector::All, names, out)?,
            ..RedisLoaded::default()
        })),
        ActionKind::Pm2Saved => pm2_saved(f, names, out).map(Action::Pm2Saved),
        ActionKind::Pm2Stopped => pm2(f, names, out).map(|pm2| Action::Pm2Stopped(Pm2Stopped { pm2 })),
        ActionKind::Pm2Restored => pm2_restored(f, names, out).map(Action::Pm2Restored),
        ActionKind::Pm2AsSaved => pm2_as_saved(f, names, out).map(Action::Pm2AsSaved),
        ActionKind::UnitsEnabled => {
            let units = units(f, names, out);
            Some(Action::UnitsEnabled(UnitsEnabled { units, fix: f.flag_or("fix", false, out) }))
        }
        ActionKind::UnitsActive => Some(Action::UnitsActive(UnitsActive { units: units(f, names, out) })),
        ActionKind::UnitsStopped => {
            let units = f.need("units", out).map(|item| names.units_list(&item, out));
            units.map(|units| Action::UnitsStopped(UnitsStopped { units }))
        }
        ActionKind::Command => command(f, out).map(Action::Command),
        ActionKind::Rebooted => rebooted(f, out).map(Action::Rebooted),
        ActionKind::Healthy => healthy(f, names, inventory, env, out).map(Action::Healthy),
    };
    fields.close(out);
    action
}

/// The instances of a step; what a step means by default must exist as well.
fn instances(fields: &mut Fields<'_>, default: Selector, names: &Names, out: &mut Findings<'_>) -> Option<Selector> {
    if let Some(item) = fields.get("instances") {
        // A selector that could not be read is noted; the rest of the step is still worth reading.
        return Some(names.selector(&item, out).unwrap_or(default));
    }
    let caret = fields.caret().clone();
    names.selects(&default, &caret, out);
    Some(default)
}

fn redis_compacted(fields: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> Option<RedisCompacted> {
    let instances = instances(fields, Selector::Masters, names, out)?;
    let at_once = fields.get("at_once").map_or(Some(1), |item| item.whole(1..=1000, out));
    let min_saving = fields.get("min_saving").and_then(|item| item.duration(out));
    Some(RedisCompacted { instances, at_once: at_once?, min_saving })
}

/// The PM2 place of a step; a runbook with one place need not name it.
pub(super) fn pm2(fields: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> Option<String> {
    match (fields.get("pm2"), names.pm2.as_slice()) {
        (Some(item), _) => names.pm2_place(&item, out),
        (None, [(only, _)]) => Some(only.clone()),
        (None, _) => fields.need("pm2", out).and(None),
    }
}

fn pm2_saved(fields: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> Option<Pm2Saved> {
    let pm2 = pm2(fields, names, out);
    let allow_fewer = fields.flag_or("allow_fewer", false, out);
    Some(Pm2Saved { pm2: pm2?, allow_fewer })
}

fn pm2_restored(fields: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> Option<Pm2Restored> {
    let pm2 = pm2(fields, names, out);
    let at_once = fields.get("at_once").map_or(Some(AtOnce::Auto), |item| match item.node.scalar() {
        Some("auto") => Some(AtOnce::Auto),
        _ => item.whole(1..=1000, out).map(AtOnce::Fixed),
    });
    Some(Pm2Restored { pm2: pm2?, at_once: at_once? })
}

fn pm2_as_saved(fields: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> Option<Pm2AsSaved> {
    let pm2 = pm2(fields, names, out);
    let steady_for = fields.get("steady_for").and_then(|item| item.duration(out)).unwrap_or_default();
    let tolerate = fields.get("tolerate").and_then(|item| item.whole(0..=1_000_000, out)).unwrap_or_default();
    Some(Pm2AsSaved { pm2: pm2?, steady_for, tolerate })
}

fn units(fields: &mut Fields<'_>, names: &Names, out: &mut Findings<'_>) -> Option<Vec<String>> {
    let item = fields.get("units");
    if item.is_none() && names.units.is_empty() && names.with_unit.is_empty() {
        let found = out.error(codes::SELECTS_NOTHING, fields.caret(), "there are no units in this runbook");
        found.label("selects nothing").help("declare them in the `units:` section, or remove the step");
    }
    item.map(|item| names.units_list(&item, out))
}

fn command(fields: &mut Fields<'_>, out: &mut Findings<'_>) -> Option<Command> {
    let argv = argv(fields, out);
    let repeatable = fields.flag_or("repeatable", false, out);
    let done_if = fields.get("done_if").map(|item| words(&item, out));
    let (user, cwd) = user_and_cwd(fields, out);
    Some(Command { argv: argv?, repeatable, done_if: done_if.filter(|words| !words.is_empty()), user, cwd })
}

/// The command line that must be there.
pub(super) fn argv(fields: &mut Fields<'_>, out: &mut Findings<'_>) -> Option<Vec<String>> {
    let words = fields.need("argv", out).map(|item| words(&item, out));
    words.filter(|words| !words.is_empty())
}

fn words(item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
    // Not `one_or_more`: `argv: systemctl restart x` must not become one program with blanks in its name.
    let found = item.list(out);
    if let Some(empty) = found.first().filter(|word| word.node.scalar() == Some("")) {
        empty.error(codes::EMPTY, format!("the program of {} is empty", item.what), out).label("a program is needed");
    }
    found.iter().filter_map(|word| word.word(out)).collect()
}

/// `user` and `cwd` of a command.
pub(super) fn user_and_cwd(
    fields: &mut Fields<'_>,
    out: &mut Findings<'_>,
) -> (Option<String>, Option<std::path::PathBuf>) {
    let user = fields.get("user").and_then(|item| {
        let user = item.text(out)?;
        is_name(user.trim_start_matches('_'), &item, out).then_some(user)
    });
    (user, fields.get("cwd").and_then(|item| item.path(out)))
}

fn rebooted(fields: &mut Fields<'_>, out: &mut Findings<'_>) -> Option<Rebooted> {
    let ways = [("reboot", Down::Reboot), ("poweroff", Down::Poweroff), ("by_hand", Down::ByHand)];
    let how = fields.get("how").map_or(Some(Down::Reboot), |item| item.choice(&ways, out));
    how.map(|how| Rebooted { how })
}

fn healthy(
    fields: &mut Fields<'_>,
    names: &Names,
    inventory: &Inventory,
    env: &mut Vec<Span>,
    out: &mut Findings<'_>,
) -> Option<Healthy> {
    let steady_for = fields.get("steady_for").and_then(|item| item.duration(out)).unwrap_or_default();
    let items = fields.need("checks", out).map(|item| item.list(out))?;
    let checks = items.iter().filter_map(|item| checks::check(item, names, inventory, env, out)).collect();
    Some(Healthy { checks, steady_for })
}

/// Patterns of apps of a check.
pub(super) fn apps(fields: &mut Fields<'_>, out: &mut Findings<'_>) -> Vec<String> {
    fields.get("apps").map(|item| patterns(&item, out)).unwrap_or_default()
}

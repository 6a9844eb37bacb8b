//! The section `phases:` and what stands beside an action in a step.
use super::actions;
use super::fields::{Fields, unknown_key};
use super::inventory::twice;
use super::item::{Item, shown};
use super::names::{Declared, Names, declared};
use super::{Places, names};
use crate::action::inventory::Inventory;
use crate::action::{Action, ActionKind};
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;
use crate::runbook::tree::Node;
use crate::runbook::{Confirm, ConfirmKind, OnFailure, OnUnknown, Phase, Retry, Step, codes};

/// The keys that may stand beside an action.
const RESERVED: [&str; 7] = ["name", "within", "retry", "on_failure", "on_unknown", "confirm", "takes"];

/// Where the parts of a step stand.
#[derive(Debug, Default)]
pub(crate) struct StepPlaces {
    /// The action key.
    pub(crate) action: Span,
    /// `within`.
    pub(crate) within: Option<Span>,
    /// `retry`.
    pub(crate) retry: Option<Span>,
    /// `on_failure`.
    pub(crate) on_failure: Option<Span>,
    /// `on_unknown`.
    pub(crate) on_unknown: Option<Span>,
    /// Secrets that come from the environment.
    pub(crate) env_secrets: Vec<Span>,
}

/// Reads all phases; steps that cannot be read are left out.
pub(super) fn phases(
    item: &Item<'_>,
    names: &Names,
    inventory: &Inventory,
    places: &mut Places,
    out: &mut Findings<'_>,
) -> Vec<Phase> {
    let mut found = Vec::new();
    twice(&names.phases, "phase", out);
    for (at, item) in item.list(out).iter().enumerate() {
        let label = item.node.get("name").and_then(|name| name.scalar()).map_or(String::new(), shown);
        let place = if label.is_empty() { format!("phase {}", at + 1) } else { format!("phase `{label}`") };
        let Some(mut fields) = item.fields(place.clone(), out) else {
            continue;
        };
        let name = fields.need("name", out).and_then(|item| item.name(out));
        let steps = fields.need("steps", out).map(|item| item.list(out)).unwrap_or_default();
        fields.close(out);
        let known: Vec<Declared> = steps.iter().filter_map(|step| step.node.get("name")).filter_map(declared).collect();
        twice(&known, "step", out);
        let read = steps.iter().enumerate().filter_map(|(index, step)| {
            let place = format!("step {} of {place}", index + 1);
            self::step(step, &place, names, inventory, out)
        });
        let (steps, step_places): (Vec<_>, Vec<_>) = read.unzip();
        places.steps.push(step_places);
        found.push(Phase { name: name.unwrap_or_default(), steps });
    }
    found
}

fn step(
    item: &Item<'_>,
    place: &str,
    names: &names::Names,
    inventory: &Inventory,
    out: &mut Findings<'_>,
) -> Option<(Step, StepPlaces)> {
    if let Some(word) = item.node.scalar().filter(|word| ActionKind::KEYS.contains(word)) {
        let span = item.span();
        let found = item.error(codes::WRONG_TYPE, format!("{place} must be a map, found only the word `{word}`"), out);
        found.label("expected a map").patch("write", span, format!("{word}: {{}}"));
        return None;
    }
    let mut fields = item.fields(place, out)?;
    let mut places = StepPlaces::default();
    let line = out.source.line_number(fields.caret().start);
    let name = fields.get("name").and_then(|item| step_name(&item, out));
    let mut span_of = |key, spot: &mut Option<Span>| {
        let item = fields.get(key);
        *spot = item.as_ref().map(|item| if key == "retry" { item.key() } else { item.span() });
        item
    };
    let within = span_of("within", &mut places.within).and_then(|item| positive(&item, out));
    let retry = span_of("retry", &mut places.retry).and_then(|item| retry(&item, out));
    let failures = [("stop", OnFailure::Stop), ("continue", OnFailure::Continue), ("ask", OnFailure::Ask)];
    let on_failure = span_of("on_failure", &mut places.on_failure).and_then(|item| item.choice(&failures, out));
    let unknowns = [("rerun", OnUnknown::Rerun), ("skip", OnUnknown::Skip), ("stop", OnUnknown::Stop)];
    let on_unknown = span_of("on_unknown", &mut places.on_unknown).and_then(|item| item.choice(&unknowns, out));
    let confirm = fields.get("confirm").and_then(|item| confirm(&item, out));
    let takes = fields.get("takes").and_then(|item| item.duration(out));
    let action = action(&fields, &mut places, names, inventory, out)?;
    let on_failure = on_failure.unwrap_or_default();
    Some((Step { name, action, within, retry, on_failure, on_unknown, confirm, takes, line }, places))
}

fn step_name(item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let name = item.name(out)?;
    let number = name.chars().all(|c| c.is_ascii_digit());
    if number {
        let found = item.error(codes::NAME, format!("a step cannot be named `{name}`"), out);
        found.label("a number alone means the place of a step in its phase");
    }
    (!number).then_some(name)
}

fn positive(item: &Item<'_>, out: &mut Findings<'_>) -> Option<std::time::Duration> {
    let length = item.duration(out)?;
    if length.is_zero() {
        item.error(codes::COUNT, format!("{} must be more than zero", item.what), out).label("no time at all");
    }
    (!length.is_zero()).then_some(length)
}

fn retry(item: &Item<'_>, out: &mut Findings<'_>) -> Option<Retry> {
    let mut fields = item.fields("`retry`", out)?;
    let times = fields.need("times", out).and_then(|item| item.whole(1..=100, out));
    let wait = fields.get("wait").map_or(Some(std::time::Duration::from_secs(5)), |item| item.duration(out));
    let factor = fields.get("factor").map_or(Some(1.0), |item| {
        let factor = item.number(out)?;
        let good = (1.0..=10.0).contains(&factor);
        if !good {
            item.error(codes::COUNT, format!("{} must be from 1 to 10", item.what), out).label("out of range");
        }
        good.then_some(factor)
    });
    let max = fields.get("max").map_or(Some(std::time::Duration::from_secs(300)), |item| item.duration(out));
    fields.close(out);
    let (wait, max) = (wait?, max?);
    Some(Retry { times: times?, wait, factor: factor?, max: max.max(wait) })
}

fn confirm(item: &Item<'_>, out: &mut Findings<'_>) -> Option<Confirm> {
    let kinds = [("yes", ConfirmKind::Yes), ("name", ConfirmKind::Name)];
    if item.node.scalar().is_some() {
        return item.choice(&kinds, out).map(|kind| Confirm { kind, because: String::new() });
    }
    let mut fields = item.fields("`confirm`", out)?;
    let kind = fields.need("type", out).and_then(|item| item.choice(&kinds, out));
    let because = fields.get("because").and_then(|item| item.text(out)).unwrap_or_default();
    fields.close(out);
    Some(Confirm { kind: kind?, because })
}

/// The one entry of a step that is not reserved.
fn action(
    fields: &Fields<'_>,
    places: &mut StepPlaces,
    names: &Names,
    inventory: &Inventory,
    out: &mut Findings<'_>,
) -> Option<Action> {
    let others = fields.others(&RESERVED);
    let is_action = |key: &str| ActionKind::KEYS.contains(&key);
    let known: Vec<_> = others.iter().filter(|(key, _)| key.scalar().is_some_and(is_action)).collect();
    let strange: Vec<_> = others.iter().filter(|(key, _)| !key.scalar().is_some_and(is_action)).collect();
    let allowed: Vec<&'static str> = RESERVED.iter().chain(ActionKind::KEYS).copied().collect();
    match (known.as_slice(), strange.as_slice()) {
        ([], []) => {
            let found = out.error(codes::ONE_ACTION, fields.caret(), format!("{} has no action", fields.place()));
            found.label("no action here").help(format!("one of: {}", ActionKind::KEYS.join(", ")));
        }
        ([], strange) => strange.iter().for_each(|(key, _)| unknown_action(key, &allowed, out)),
        (known, strange) => {
            for (key, _) in strange {
                unknown_key(key, key.scalar().unwrap_or_default(), fields.place(), &allowed, out);
            }
            let twins = known.windows(2).filter(|pair| pair[0].0.scalar() != pair[1].0.scalar());
            for pair in twins {
                let message = format!("{} has more than one action", fields.place());
                out.error(codes::ONE_ACTION, &pair[1].0.span, message)
                    .label("another action")
                    .help("make it a step of its own");
                out.related(&pair[0].0.span, "the first action");
            }
        }
    }
    let (key, value) = known.first()?;
    places.action = key.span.clone();
    let kind = ActionKind::of_key(key.scalar()?)?;
    actions::action(
        kind,
        &Item::under(key, value, format!("`{}`", kind.key())),
        names,
        inventory,
        &mut places.env_secrets,
        out,
    )
}

/// With no action at all, each strange key may have been meant to be it.
fn unknown_action(key: &Node, allowed: &[&'static str], out: &mut Findings<'_>) {
    let Some(name) = key.scalar() else { return };
    let found = out.error(codes::UNKNOWN_ACTION, &key.span, format!("there is no action `{}`", shown(name)));
    found.label("unknown action");
    if found.did_you_mean(name, allowed.iter().copied()).is_none() {
        found.help(format!("one of: {}", ActionKind::KEYS.join(", ")));
    }
}

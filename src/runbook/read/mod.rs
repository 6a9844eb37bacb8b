//! From the tree to the values: every key asked for, every name looked up, every mistake noted, nothing thrown away
//! because something else was wrong.
mod actions;
mod address;
mod checks;
mod fields;
mod http;
mod inventory;
mod item;
mod names;
mod phases;
mod secret;
mod trust;
mod window;

use indexmap::IndexMap;

use self::inventory::InventoryPlaces;
use self::item::{Item, shown};
use self::names::{Names, refer};
pub(super) use self::phases::StepPlaces;
use super::Runbook;
use super::codes;
use super::diagnostic::Findings;
use super::source::Span;
use super::tree::Node;

/// A runbook as far as it could be read.
pub(super) struct Written {
    /// What was written.
    pub(super) runbook: Runbook,
    /// Where its parts stand.
    pub(super) places: Places,
    /// Nothing is missing: only then the order of steps means something.
    pub(super) complete: bool,
}

/// Where the parts of a runbook stand, for findings that need the whole.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// `opens` of the window.
    pub(super) opens: Span,
    /// `length` of the window.
    pub(super) length: Span,
    /// Each entry of `back_out` that names a phase.
    pub(super) back_out: IndexMap<String, Span>,
    /// Each pattern of `may_differ`, in parallel to the runbook.
    pub(super) may_differ: Vec<Span>,
    /// In the inventory.
    pub(super) inventory: InventoryPlaces,
    /// Each step of each phase, in parallel to the runbook.
    pub(super) steps: Vec<Vec<StepPlaces>>,
}

/// Reads a whole runbook; `None` only when there is no map to read.
pub(super) fn runbook(root: &Node, out: &mut Findings<'_>) -> Option<Written> {
    if matches!(root.value, super::tree::Value::Null) {
        out.error(codes::EMPTY_FILE, &(0..0), "the file is empty").help("a runbook begins with `version: 1`");
        return None;
    }
    let item = Item::new(root, "a runbook");
    let mut fields = item.fields("the runbook", out)?;
    let names = Names::of(root);
    let mut places = Places::default();
    let version = fields.need("version", out);
    let version = version.map(|item| version_of(&item, out)).unwrap_or_default();
    let name = fields.need("name", out).and_then(|item| item.name(out)).unwrap_or_default();
    let doc = fields.get("doc").and_then(|item| item.text(out)).unwrap_or_default();
    let hosts = fields.need("hosts", out).map(|item| hosts(&item, out)).unwrap_or_default();
    let window = fields.get("window").and_then(|item| window::window(&item, &mut places, out));
    let back_out = fields.get("back_out").map(|item| back_out(&item, &names, &mut places, out)).unwrap_or_default();
    let may_differ = fields.get("may_differ").map(|item| may_differ(&item, &mut places, out)).unwrap_or_default();
    let (inventory, inventory_places) = inventory::inventory(&mut fields, &names, out);
    places.inventory = inventory_places;
    let phases = fields.need("phases", out).map(|item| phases::phases(&item, &names, &inventory, &mut places, out));
    fields.close(out);
    let phases = phases.unwrap_or_default();
    let runbook = Runbook { version, name, doc, hosts, window, back_out, may_differ, inventory, phases };
    Some(Written { runbook, places, complete: !out.any_error() })
}

fn version_of(item: &Item<'_>, out: &mut Findings<'_>) -> u32 {
    if item.node.scalar() != Some("1") {
        let written = shown(item.node.scalar().unwrap_or(item.node.kind()));
        let found = item.error(codes::VERSION, format!("version `{written}` is not known to this program"), out);
        found.label("only `1` is").help("a newer program may read it");
    }
    1
}

fn hosts(item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
    item.one_or_more(out).iter().filter_map(|one| one.name(out)).collect()
}

/// Patterns; what they can mean is judged once the inventory is known.
fn may_differ(item: &Item<'_>, places: &mut Places, out: &mut Findings<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for one in item.one_or_more(out) {
        if let Some(pattern) = one.text(out) {
            places.may_differ.push(one.span());
            found.push(pattern);
        }
    }
    found
}

fn back_out(item: &Item<'_>, names: &Names, places: &mut Places, out: &mut Findings<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for one in item.one_or_more(out) {
        // Phases that cannot be read at all are one mistake, not one for each name here.
        if names.phases.is_empty() {
            continue;
        }
        let Some(name) = refer(&one, &names.phases, codes::UNKNOWN_PHASE, "phase", out) else {
            continue;
        };
        if let Some(first) = places.back_out.get(&name) {
            let message = format!("phase `{name}` stands twice in `back_out`");
            one.error(codes::SAME_NAME, message, out).label("again");
            out.related(first, "first");
        }
        places.back_out.insert(name.clone(), one.span());
        found.push(name);
    }
    found
}

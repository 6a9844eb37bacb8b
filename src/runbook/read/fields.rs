//! Maps that are read key by key: what is missing, what stands twice, what nobody asked for.
use std::collections::HashMap;

use super::item::{Item, shown};
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;
use crate::runbook::tree::{Node, Value};

/// A map that is being read: it remembers what it was asked for, and complains about the rest in the end.
pub(super) struct Fields<'n> {
    entries: &'n [(Node, Node)],
    place: String,
    caret: Span,
    asked: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Asks for an optional entry.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'n>> {
        self.asked.push(key);
        let (key, node) = self.entries.iter().find(|(k, _)| k.scalar() == Some(key))?;
        Some(Item::under(key, node, format!("`{}`", shown(key.scalar().unwrap_or_default()))))
    }

    /// Asks for an entry that must be there.
    pub(super) fn need(&mut self, key: &'static str, out: &mut Findings<'_>) -> Option<Item<'n>> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("{} has no `{key}`", self.place);
            out.error(codes::MISSING_KEY, &self.caret, message).label(format!("`{key}` is missing here"));
        }
        found
    }

    /// A truth value, or what it is when it is not written.
    pub(super) fn flag_or(&mut self, key: &'static str, default: bool, out: &mut Findings<'_>) -> bool {
        self.get(key).and_then(|item| item.flag(out)).unwrap_or(default)
    }

    /// The entries whose keys are not among `reserved`.
    pub(super) fn others(&self, reserved: &[&str]) -> Vec<(&'n Node, &'n Node)> {
        let other = |(key, _): &&(Node, Node)| key.scalar().is_none_or(|key| !reserved.contains(&key));
        self.entries.iter().filter(other).map(|(key, value)| (key, value)).collect()
    }

    /// Where the map stands.
    pub(super) fn caret(&self) -> &Span {
        &self.caret
    }

    /// What the map is.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Complains about every entry that nobody asked for.
    pub(super) fn close(self, out: &mut Findings<'_>) {
        for (key, _) in self.entries {
            let Some(name) = key.scalar() else { continue };
            if !self.asked.contains(&name) {
                unknown_key(key, name, &self.place, &self.asked, out);
            }
        }
    }
}

/// Notes a key that does not belong there.
pub(super) fn unknown_key(key: &Node, name: &str, place: &str, known: &[&'static str], out: &mut Findings<'_>) {
    if name == "<<" {
        let found = out.error(codes::MERGE_KEY, &key.span, "merge keys `<<` are not part of the language");
        found.label("write the entries out");
        return;
    }
    let found = out.error(codes::UNKNOWN_KEY, &key.span, format!("unknown key `{}` in {place}", shown(name)));
    found.label("not known here").did_you_mean(name, known.iter().copied());
    if !found.counted() && found.patch.is_none() {
        found.help(format!("known here: {}", known.join(", ")));
    }
}

impl<'n> Item<'n> {
    /// A map; `place` names it in messages.
    pub(super) fn fields(&self, place: impl Into<String>, out: &mut Findings<'_>) -> Option<Fields<'n>> {
        let place = place.into();
        let Value::Map(entries) = &self.node.value else {
            self.wrong("a map", out);
            return None;
        };
        let mut firsts: HashMap<&str, &Span> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            let Some(name) = key.scalar() else {
                out.error(
                    codes::WRONG_TYPE,
                    key.caret(),
                    format!("a key of {place} must be text, found {}", key.kind()),
                );
                continue;
            };
            if let Some(first) = firsts.get(name) {
                let message = format!("the key `{}` stands twice in {place}", shown(name));
                out.error(codes::DUPLICATE_KEY, &key.span, message).label("again").help("remove one of the two");
                out.related(first, "first");
            } else {
                firsts.insert(name, &key.span);
            }
        }
        let caret = if entries.is_empty() { self.key() } else { self.span() };
        Some(Fields { entries, place, caret, asked: Vec::new() })
    }

    /// A map that may also be left empty: `units_active:`.
    pub(super) fn fields_or_nothing(&self, place: &str, out: &mut Findings<'_>) -> Option<Fields<'n>> {
        if matches!(self.node.value, Value::Null) {
            return Some(Fields { entries: &[], place: place.to_owned(), caret: self.span(), asked: Vec::new() });
        }
        self.fields(place, out)
    }
}

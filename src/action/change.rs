//! What one step would change: a list of atomic items, before and after. An empty list means *already so*.

use serde::{Deserialize, Serialize};

use super::item_id::ItemId;
use crate::host::span::Span;

/// What kind of change an item is; each has its sign in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// `+` something is started, enabled or written that was not there.
    Add,
    /// `~` something that is there becomes different.
    Alter,
    /// `-` something is taken away or stopped.
    Remove,
    /// `!` the machine goes down.
    Reboot,
    /// `.` nothing is changed: a wait or a check.
    Wait,
    /// `?` nobody can know beforehand. Never shown as "no change".
    Unknown,
}

impl Sign {
    /// The character in front of the item.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Add => '+',
            Self::Alter => '~',
            Self::Remove => '-',
            Self::Reboot => '!',
            Self::Wait => '.',
            Self::Unknown => '?',
        }
    }
}

/// One atomic piece of a change: one instance, one app, one unit. It is journaled, applied and reported by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Of its [`ItemId`]: unique within the step and stable across resumes.
    pub key: String,
    /// What kind of change it is.
    pub sign: Sign,
    /// What is so now, in a few words.
    pub before: String,
    /// The same without what explains it, where room is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_brief: Option<String>,
    /// What will be so, in a few words.
    pub after: String,
    /// What it waits for looks so already and has only to be confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirms: bool,
    /// Losing it is declared to be tolerable.
    pub optional: bool,
    /// Index into [`Change::waves`]: it starts when that wave opens.
    pub wave: usize,
    /// How long this item alone takes.
    pub takes: Span,
    /// The neighbour's own number for it (PM2's `pm_id`): good for this attempt only, never compared or remembered.
    pub handle: Option<u32>,
}

impl Item {
    /// An item of the first wave that is not optional.
    #[must_use]
    pub fn new(id: impl Into<ItemId>, sign: Sign, before: impl Into<String>, after: impl Into<String>) -> Self {
        Self {
            key: id.into().key(),
            sign,
            before: before.into(),
            in_brief: None,
            after: after.into(),
            confirms: false,
            optional: false,
            wave: 0,
            takes: Span::ZERO,
            handle: None,
        }
    }

    /// The same item, with what is so now in fewer words.
    #[must_use]
    pub fn briefly(mut self, before: impl Into<String>) -> Self {
        self.in_brief = Some(before.into());
        self
    }

    /// The same item, which only confirms what looks so already.
    #[must_use]
    pub fn confirming(mut self) -> Self {
        self.confirms = true;
        self
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> ItemId {
        ItemId::of_key(&self.key)
    }

    /// Whether it is work of our own around the things that people count.
    #[must_use]
    pub fn is_chore(&self) -> bool {
        self.id().is_chore()
    }

    /// The same item with its estimate.
    #[must_use]
    pub fn taking(mut self, takes: Span) -> Self {
        self.takes = takes;
        self
    }

    /// The same item in another wave.
    #[must_use]
    pub fn in_wave(mut self, wave: usize) -> Self {
        self.wave = wave;
        self
    }
}

/// A set of items that may start together, once what it needs holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wave {
    /// Shown while it waits: a group's name, or `daemon`.
    pub name: String,
    /// Waves that must have ended first. A required item that failed there keeps this one closed.
    pub after: Vec<usize>,
    /// The action is asked to hold this gate open before the first item starts; see [`Act::gate`](super::Act::gate).
    pub gated: bool,
    /// Items in flight at once; 0 means all. Where the change has [`Slots`], they decide, and this is what to reckon with.
    pub at_once: usize,
    /// It starts when those before it have ended, however they ended.
    pub regardless: bool,
    /// Those of `after` of which items may be lost: so many in all as `lost_at_most` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soft: Vec<usize>,
    /// See `soft`.
    #[serde(default, skip_serializing_if = "super::inventory::is_zero")]
    pub lost_at_most: usize,
    /// Which group of the PM2 place its gate is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
}

/// What so many lost items of one wave hold back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// The wave's name: a group, or one app.
    pub wave: String,
    /// Required items of it.
    pub of: usize,
    /// So many of them have to be lost.
    pub lost: usize,
    /// So many items of other waves then do not begin.
    pub waiting: usize,
}

/// How many items of the waves that are limited at all may be in flight at once, over all of them together: a number that
/// follows what the machine bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// Never fewer.
    pub least: usize,
    /// What there is where the machine's pressure cannot be seen.
    pub fixed: usize,
    /// Never more.
    pub most: usize,
}

/// How bad something is that was seen while planning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Good to know.
    Note,
    /// A warning; the run goes on.
    Warn,
    /// The step would fail or do harm: the run is refused before its first change.
    Stop,
}

/// Something seen while planning that an operator must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concern {
    /// How bad it is.
    pub weight: Weight,
    /// Whom it is about: an instance, a unit, an app.
    pub about: String,
    /// What was seen and what it means.
    pub seen: String,
    /// What to do about it.
    pub cure: String,
}

impl Concern {
    /// A concern of the given weight.
    #[must_use]
    pub fn new(weight: Weight, about: impl Into<String>, seen: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { weight, about: about.into(), seen: seen.into(), cure: cure.into() }
    }
}

/// What a step would change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Change {
    /// What is left to do; empty means the step is done.
    pub items: Vec<Item>,
    /// The waves that items name; empty means one ungated wave without a limit.
    pub waves: Vec<Wave>,
    /// How many things were looked at and are already so.
    pub already: usize,
    /// What an operator must know first.
    pub concerns: Vec<Concern>,
    /// The text before and after where a diff says more than items do (a process list, a unit's settings).
    pub diff: Option<(String, String)>,
    /// How many items may be in flight, where that follows the machine's pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Slots>,
}

impl Change {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the run must not start because of what was seen here.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.concerns.iter().any(|c| c.weight == Weight::Stop)
    }

    /// The wave of an item; items of a change without waves share one that is open.
    #[must_use]
    pub fn wave(&self, index: usize) -> Wave {
        self.waves.get(index).cloned().unwrap_or_default()
    }

    /// What the loss of apps would hold back, the worst first: for each wave the smallest number that holds back anything.
    #[must_use]
    pub fn held_back(&self) -> Vec<HeldBack> {
        let required =
            |wave: usize| self.items.iter().filter(move |item| item.wave == wave && !item.optional && !item.is_chore());
        let mut found = Vec::new();
        for (at, wave) in self.waves.iter().enumerate().filter(|(_, wave)| wave.group.is_some()) {
            let of = required(at).count();
            let waits = |lost: usize| {
                let shut = self.shut_by(at, lost, &|wave| required(wave).count());
                self.items.iter().filter(|item| shut.contains(&item.wave)).count()
            };
            let least = (1..=of).map(|lost| (lost, waits(lost))).find(|(_, waiting)| *waiting > 0);
            found.extend(least.map(|(lost, waiting)| HeldBack { wave: wave.name.clone(), of, lost, waiting }));
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.waiting));
        found
    }

    /// The waves that do not start when `lost` items of the wave `at` are lost.
    fn shut_by(&self, at: usize, lost: usize, required: &dyn Fn(usize) -> usize) -> Vec<usize> {
        let mut shut: Vec<usize> = Vec::new();
        loop {
            let gone = |wave: usize| match wave {
                _ if wave == at => lost,
                _ if shut.contains(&wave) => required(wave).max(1),
                _ => 0,
            };
            let next = self.waves.iter().enumerate().position(|(index, wave)| {
                let soft: usize = wave.soft.iter().map(|before| gone(*before)).sum();
                let hard = wave.after.iter().any(|before| !wave.soft.contains(before) && gone(*before) > 0);
                index != at && !wave.regardless && !shut.contains(&index) && (hard || soft > wave.lost_at_most)
            });
            match next {
                Some(index) => shut.push(index),
                None => return shut,
            }
        }
    }

    /// How long the whole change takes when its waves follow each other and each keeps its `at_once` busy.
    #[must_use]
    pub fn takes(&self) -> Span {
        let waves = self.waves.len().max(1);
        let mut ends = vec![Span::ZERO; waves];
        for index in 0..waves {
            let wave = self.wave(index);
            let items: Vec<Span> = self.items.iter().filter(|i| i.wave == index).map(|i| i.takes).collect();
            let start = wave.after.iter().filter_map(|w| ends.get(*w)).fold(Span::ZERO, |a, b| a.beside(*b));
            ends[index] = start.then(in_lanes(&items, wave.at_once));
        }
        ends.into_iter().fold(Span::ZERO, Span::beside)
    }
}

/// The time of items worked off in `lanes` at once (0 = all together), longest total of a lane.
fn in_lanes(items: &[Span], lanes: usize) -> Span {
    let lanes = if lanes == 0 { items.len().max(1) } else { lanes };
    let mut ends = vec![Span::ZERO; lanes.min(items.len().max(1))];
    for item in items {
        if let Some(first_free) = ends.iter_mut().min_by(|a, b| a.typical.total_cmp(&b.typical)) {
            *first_free = first_free.then(*item);
        }
    }
    ends.into_iter().fold(Span::ZERO, Span::beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(secs: f64, wave: usize) -> Item {
        Item::new("x", Sign::Add, "", "").taking(Span::secs(secs, secs)).in_wave(wave)
    }

    #[test]
    fn time_of_waves_and_lanes() {
        let two_lanes = Wave { at_once: 2, ..Wave::default() };
        let change = Change { items: vec![item(2.0, 0); 4], waves: vec![two_lanes], ..Change::default() };
        assert_eq!(change.takes(), Span::secs(4.0, 4.0));

        let chain = Change {
            items: vec![item(3.0, 0), item(5.0, 1), item(7.0, 2)],
            waves: vec![Wave::default(), Wave { after: vec![0], ..Wave::default() }, Wave::default()],
            ..Change::default()
        };
        assert_eq!(chain.takes(), Span::secs(8.0, 8.0), "the third wave runs beside the other two");
    }

    #[test]
    fn what_a_loss_holds_back_is_counted_through_everything_behind_it() {
        let wave = |name: &str, after: &[usize]| Wave {
            name: name.into(),
            after: after.to_vec(),
            group: Some(0),
            ..Wave::default()
        };
        let soft = Wave { soft: vec![0], lost_at_most: 1, ..wave("soft", &[0]) };
        let regardless = Wave { regardless: true, ..wave("rest", &[0, 1, 2, 3]) };
        let waves = vec![wave("ids", &[]), wave("cart", &[]), soft, wave("web", &[1, 2]), regardless];
        let wanted = [(0, 3), (1, 1), (2, 5), (3, 40), (4, 9)];
        let items = wanted.iter().flat_map(|(at, n)| vec![item(1.0, *at); *n]).collect();
        let told: Vec<String> = Change { waves, items, ..Change::default() }
            .held_back()
            .into_iter()
            .map(|one| format!("{} of {} {}: {}", one.lost, one.of, one.wave, one.waiting))
            .collect();
        assert_eq!(told, ["2 of 3 ids: 45", "1 of 1 cart: 40", "1 of 5 soft: 40"]);
    }

    #[test]
    fn a_stop_refuses() {
        let mut change = Change::default();
        assert!(change.is_empty() && !change.refused());
        change.concerns.push(Concern::new(Weight::Stop, "bds", "masked", "unmask it"));
        assert!(change.refused());
    }
}

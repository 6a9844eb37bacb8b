//! Which item of a step this is, as a value; and the key under which plans and journals write it down.
//!
//! With the step's [`Subject`](super::Subject) a thing is {service, place, name}: an instance, a unit, an app of that place. Chores
//! are a closed set: what somebody has called an app is never taken for one. The key is written by [`ItemId::key`] and read back by
//! [`ItemId::of_key`], its inverse, and nowhere else is anything read from a key. How an item is called on a screen is the business
//! of `report/`.

/// One item of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemId {
    /// One of the things that the step is about, by its name among them.
    Thing(String),
    /// The start time-out of the unit with this name.
    StartTimeout(String),
    /// Work of our own.
    Chore(Chore),
}

/// Work of our own around the things that people count. Never a loss that is tolerated, and never counted among them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chore {
    /// The unit that resumes the run after the boot.
    ResumeUnit,
    /// PM2's own list on the disk.
    SavedList,
    /// PM2's daemon.
    Daemon,
    /// What PM2 starts by itself has come.
    Resurrect,
    /// Apps that PM2's list has lost are registered again.
    MissingApps,
    /// No app restarts for a while.
    Steady,
    /// A process that a former daemon has left behind.
    LeftOver {
        /// The app that it was, by its name alone.
        name: String,
        /// The process.
        pid: u32,
    },
}

/// In front of the name of a thing that would be read as something else.
const PLAIN: char = '=';
const START_TIMEOUT: &str = "start time-out of ";
const LEFT_OVER: (&str, &str, &str) = ("(left over ", ", process ", ")");

impl ItemId {
    /// The key of this item in plans and journals: no two items have the same.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Thing(name) if name.starts_with(PLAIN) || special(name).is_some() => format!("{PLAIN}{name}"),
            Self::Thing(name) => name.clone(),
            Self::StartTimeout(unit) => format!("{START_TIMEOUT}{unit}"),
            Self::Chore(chore) => chore.key(),
        }
    }

    /// The item with this key. Every text is the key of one: what is no other is a thing of that name.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        special(key).unwrap_or_else(|| Self::Thing(key.strip_prefix(PLAIN).unwrap_or(key).to_owned()))
    }

    /// Whether it is work of our own.
    #[must_use]
    pub fn is_chore(&self) -> bool {
        match self {
            Self::Chore(_) => true,
            Self::Thing(_) | Self::StartTimeout(_) => false,
        }
    }
}

/// What a text is the key of beside a thing.
fn special(key: &str) -> Option<ItemId> {
    if let Some(unit) = key.strip_prefix(START_TIMEOUT) {
        return Some(ItemId::StartTimeout(unit.to_owned()));
    }
    Chore::of_key(key).map(ItemId::Chore)
}

impl Chore {
    fn key(&self) -> String {
        let (begin, middle, end) = LEFT_OVER;
        match self {
            Self::ResumeUnit => "(resume unit)".to_owned(),
            Self::SavedList => "(saved list)".to_owned(),
            Self::Daemon => "(daemon)".to_owned(),
            Self::Resurrect => "(resurrect)".to_owned(),
            Self::MissingApps => "(missing apps)".to_owned(),
            Self::Steady => "(steady)".to_owned(),
            Self::LeftOver { name, pid } => format!("{begin}{name}{middle}{pid}{end}"),
        }
    }

    fn of_key(key: &str) -> Option<Self> {
        let plain = [Self::ResumeUnit, Self::SavedList, Self::Daemon, Self::Resurrect, Self::MissingApps, Self::Steady];
        plain.into_iter().find(|chore| chore.key() == key).or_else(|| {
            let (begin, middle, end) = LEFT_OVER;
            let (name, pid) = key.strip_prefix(begin)?.strip_suffix(end)?.rsplit_once(middle)?;
            let chore = Self::LeftOver { name: name.to_owned(), pid: pid.parse().ok()? };
            // A number may be written in more than one way; ours is one.
            (chore.key() == key).then_some(chore)
        })
    }
}

impl From<&Chore> for ItemId {
    fn from(chore: &Chore) -> Self {
        Self::Chore(chore.clone())
    }
}

impl From<Chore> for ItemId {
    fn from(chore: Chore) -> Self {
        Self::Chore(chore)
    }
}

/// A thing of this name.
impl From<&str> for ItemId {
    fn from(name: &str) -> Self {
        Self::Thing(name.to_owned())
    }
}

impl From<&String> for ItemId {
    fn from(name: &String) -> Self {
        Self::Thing(name.clone())
    }
}

impl From<String> for ItemId {
    fn from(name: String) -> Self {
        Self::Thing(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names, many of them made of what keys are made of.
    fn names() -> impl Strategy<Value = String> {
        let parts = [
            "",
            "=",
            "(",
            ")",
            "(daemon)",
            "(saved list)",
            "(left over ",
            ", process ",
            "7)",
            "07)",
            "+7)",
            "start time-out of ",
            "api",
            "(steady)",
            "\n",
            "\u{202e}",
        ];
        let crafted =
            prop::collection::vec(prop::sample::select(parts.to_vec()), 0..5).prop_map(|parts| parts.concat());
        prop_oneof![crafted, any::<String>()]
    }

    fn ids() -> impl Strategy<Value = ItemId> {
        let fixed = prop::sample::select(vec![
            Chore::ResumeUnit,
            Chore::SavedList,
            Chore::Daemon,
            Chore::Resurrect,
            Chore::MissingApps,
            Chore::Steady,
        ]);
        prop_oneof![
            4 => names().prop_map(ItemId::Thing),
            1 => names().prop_map(ItemId::StartTimeout),
            1 => fixed.prop_map(ItemId::Chore),
            2 => (names(), any::<u32>()).prop_map(|(name, pid)| Chore::LeftOver { name, pid }.into()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_key_is_read_back_as_the_item_that_wrote_it(id in ids()) {
            prop_assert_eq!(ItemId::of_key(&id.key()), id);
        }

        #[test]
        fn every_text_is_the_key_of_at_most_one_item(text in names()) {
            // `=x` is written by nobody where `x` needs no mark; all the same it is read as one thing, always the same.
            let id = ItemId::of_key(&text);
            prop_assert!(id.key() == text || ItemId::of_key(&id.key()) == id);
        }
    }

    #[test]
    fn no_name_of_an_app_is_one_of_our_chores() {
        for name in ["(daemon)", "(saved list)", "(left over a, process 7)", "start time-out of x.service", "=(daemon)"]
        {
            let id = ItemId::from(name);
            assert!(!ItemId::of_key(&id.key()).is_chore(), "{name}");
            assert_eq!(ItemId::of_key(&id.key()), id);
        }
        assert!(ItemId::of_key("(daemon)").is_chore());
        assert!(!ItemId::of_key("(x:b").is_chore(), "a namespace may begin so");
    }
}

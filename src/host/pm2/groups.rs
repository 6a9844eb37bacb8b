//! Which app starts with which: names matched by patterns, in the operator's order, the first match wins.

use serde::{Deserialize, Serialize};

/// One group of apps, as written in a runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Patterns of app names: `*` any run of characters, `?` exactly one, nothing else is special.
    pub apps: Vec<String>,
}

/// Apps sorted into groups: indices into the names given, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grouped {
    /// One entry per group, empty ones included, in starting order.
    pub groups: Vec<(String, Vec<usize>)>,
    /// What no pattern matched: the caller decides, nothing is dropped in silence.
    pub rest: Vec<usize>,
}

impl Grouped {
    /// The order for stopping: what no group names first, then last group first, last app first.
    #[must_use]
    pub fn stopping(&self) -> Vec<usize> {
        let groups = self.groups.iter().rev().flat_map(|(_, apps)| apps.iter().rev());
        self.rest.iter().rev().chain(groups).copied().collect()
    }
}

/// Sorts `names` into `groups`.
#[must_use]
pub fn assign<'a>(groups: &[Group], names: impl IntoIterator<Item = &'a str>) -> Grouped {
    let mut sorted =
        Grouped { groups: groups.iter().map(|group| (group.name.clone(), Vec::new())).collect(), rest: Vec::new() };
    for (index, name) in names.into_iter().enumerate() {
        let place = groups.iter().position(|group| group.apps.iter().any(|pattern| matches(pattern, name)));
        match place.and_then(|place| sorted.groups.get_mut(place)) {
            Some((_, members)) => members.push(index),
            None => sorted.rest.push(index),
        }
    }
    sorted
}

/// Whether a pattern covers the whole name. Linear in memory, at worst quadratic in time: it remembers the last `*` only.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), name.get(n)) {
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(want), Some(have)) if *want == '?' || want == have => {
                p += 1;
                n += 1;
            }
            _ => match star.as_mut() {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, n) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_whole_names() {
        let cases = [
            ("*", "", true),
            ("id-manager*", "id-manager-2", true),
            ("id-manager*", "x-id-manager", false),
            ("*-worker", "mail-worker", true),
            ("*-worker", "mail-worker-2", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "a--b--b-c", true),
            ("a*b*c", "a--b--b-", false),
            ("org-?*", "org-", false),
            ("[ab]", "a", false),
            ("ü?", "üx", true),
            ("", "", true),
            ("a**", "a", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(200), &"a".repeat(150)));
    }

    #[test]
    fn first_match_wins_and_stopping_is_the_reverse() {
        let group =
            |name: &str, apps: &[&str]| Group { name: name.into(), apps: apps.iter().map(|a| (*a).into()).collect() };
        let groups = [group("ids", &["id-*"]), group("workers", &["*-worker", "id-worker"]), group("none", &["zzz"])];
        let sorted = assign(&groups, ["mail-worker", "id-worker", "web", "id-1"]);
        assert_eq!(sorted.groups[0], ("ids".to_owned(), vec![1, 3]));
        assert_eq!(sorted.groups[1], ("workers".to_owned(), vec![0]));
        assert_eq!(sorted.groups[2], ("none".to_owned(), vec![]));
        assert_eq!(sorted.rest, [2]);
        assert_eq!(sorted.stopping(), [2, 0, 3, 1]);
    }
}

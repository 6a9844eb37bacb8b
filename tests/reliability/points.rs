//! The points of the reference run, by name: a system call of the main thread and its count, or an effect.
use serde::{Deserialize, Serialize};

use crate::campaign::{AGAIN_TOKENS, ONCE};
use crate::rig::Rig;
use crate::world::{Bomb, services};

/// One place where something is done to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Point {
    /// The `nth` call (from 1) of this name in a sitting (from 0); `place` is what it touched in the reference run.
    Call { sitting: usize, name: String, nth: usize, place: Place },
    /// The program is killed by its own effect, before or after that is noted.
    Effect { token: String, before: bool },
}

/// What a system call touched, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// The journal's records.
    Journal,
    /// The file that says how far they are acknowledged.
    Head,
    /// Anything else below the state directory.
    State,
    /// The lock of the host.
    Lock,
    /// Somewhere else.
    Elsewhere,
}

/// All of them, from one undisturbed run of two sittings.
pub(crate) fn survey(rig: &Rig) -> Vec<Point> {
    rig.fresh();
    let mut points = Vec::new();
    let texts = rig.traced().unwrap();
    for (sitting, text) in texts.iter().enumerate() {
        points.extend(calls(sitting, text));
    }
    let tokens = ONCE.iter().map(|(token, _)| (*token).to_owned()).chain(AGAIN_TOKENS.map(str::to_owned));
    let units = services().flat_map(|unit| [format!("stop:{unit}"), format!("start:{unit}")]);
    for token in tokens.chain(units).chain(["reboot".to_owned()]) {
        points.extend([true, false].map(|before| Point::Effect { token: token.clone(), before }));
    }
    points
}

/// Methods on the bus that change something; the others only look.
const DEEDS: [&str; 6] = ["StartUnit", "StopUnit", "Reboot", "EnableUnitFiles", "DisableUnitFiles", "Reload"];

/// Every `step`th point, or those whose text contains `RUNBOOK_HARD_ONLY`, to have a failure again.
pub(crate) fn sample(points: &[Point], step: usize) -> Vec<Point> {
    match std::env::var("RUNBOOK_HARD_ONLY") {
        Ok(only) => points.iter().filter(|point| point.to_string().contains(&only)).cloned().collect(),
        Err(_) => points.iter().step_by(step).cloned().collect(),
    }
}

/// The calls of one trace that matter: not opening to read, asking the bus, or waking oneself up.
pub(crate) fn calls(sitting: usize, text: &str) -> Vec<Point> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    let mut points = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || name == "sync" {
            continue;
        }
        let nth = counts.entry(name).or_default();
        *nth += 1;
        let place = place(rest);
        let matters = match name {
            "openat" => rest.contains("O_CREAT"),
            "sendmsg" | "sendto" => DEEDS.iter().any(|deed| rest.contains(&format!("{deed}\\0"))),
            _ => !rest.contains("<anon_inode:[eventfd]>"),
        };
        if matters {
            points.push(Point::Call { sitting, name: name.to_owned(), nth: *nth, place });
        }
    }
    points
}

fn place(rest: &str) -> Place {
    let first = rest.split(", ").next().unwrap_or(rest);
    if first.ends_with("/journal>") || first.contains("/journal>)") {
        Place::Journal
    } else if first.ends_with("/head>") || first.contains("/head>)") {
        Place::Head
    } else if rest.contains("/mnt/disk") {
        Place::State
    } else if rest.contains("/run/runbook") {
        Place::Lock
    } else {
        Place::Elsewhere
    }
}

impl Point {
    /// The injection that kills at this point of `sitting`, if it is there.
    pub(crate) fn kill(&self, here: usize) -> Vec<String> {
        match self {
            Self::Call { sitting, name, nth, .. } if *sitting == here => vec![format!("{name}:signal=KILL:when={nth}")],
            _ => Vec::new(),
        }
    }

    /// The sitting in which it lies; the others before it are undisturbed.
    pub(crate) fn sitting(&self) -> usize {
        match self {
            Self::Call { sitting, .. } => *sitting,
            Self::Effect { .. } => 0,
        }
    }

    pub(crate) fn bomb(&self) -> Option<Bomb> {
        match self {
            Self::Effect { token, before } => Some(Bomb { token: token.clone(), before: *before }),
            Self::Call { .. } => None,
        }
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call { sitting, name, nth, place } => write!(f, "{name}#{nth} of sitting {sitting} ({place:?})"),
            Self::Effect { token, before } => write!(f, "{} {token}", if *before { "before" } else { "after" }),
        }
    }
}

//! Runbooks of twelve one-shot commands in three phases, and what the ledger must say of them in the end.
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::world::{OUT, services};

/// Where the runbook of the campaign lies.
pub(crate) const RUNBOOK: &str = "/mnt/bin/shots.yaml";

/// What there is beside twelve one-shots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scenario {
    /// Nothing.
    Plain,
    /// Services go down, and the run turns back when a one-shot fails behind that.
    BackOut,
    /// Every third one-shot fails once or twice and is tried again.
    Retry,
    /// Every third one-shot fails for good, and the run goes on.
    Continue,
    /// Twelve services go down and come up at the same time in between.
    Parallel,
    /// Somebody takes the machine down and up in between.
    ByHand,
}

/// Three phases.
const PHASES: [&str; 3] = ["one", "two", "three"];

impl Scenario {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plain, Self::BackOut, Self::Retry, Self::Continue, Self::Parallel, Self::ByHand];

    /// Writes its runbook down.
    pub(crate) fn lay(self) {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let mut text = format!("version: 1\nname: shots\nhosts: [{}]\n", host.trim());
        if self.takes_services_away() {
            let units: Vec<String> = services().collect();
            text.push_str(&format!("units:\n  services: {{ units: [{}] }}\n", units.join(", ")));
        }
        if self == Self::BackOut {
            text.push_str("back_out: [three]\n");
        }
        text.push_str("phases:\n");
        for (nth, phase) in PHASES.iter().enumerate() {
            text.push_str(&format!("  - name: {phase}\n    steps:\n"));
            for step in self.steps(nth) {
                text.push_str(&format!("      - {step}\n"));
            }
        }
        std::fs::write(RUNBOOK, text).unwrap();
        let _not_there_yet = std::fs::remove_dir_all(Path::new(OUT).join("marks"));
    }

    fn takes_services_away(self) -> bool {
        matches!(self, Self::BackOut | Self::Parallel | Self::ByHand)
    }

    fn steps(self, phase: usize) -> Vec<String> {
        let mut steps: Vec<String> = (1..=4).map(|nth| self.shot(phase, nth)).collect();
        let stop = "{ name: stop, units_stopped: { units: [services] } }";
        let start = "{ name: start, units_active: { units: [services] }, within: 10m }";
        match (self, phase) {
            (Self::BackOut | Self::Parallel, 1) => steps.insert(1, stop.to_owned()),
            (Self::ByHand, 1) => {
                let confirm = "confirm: { type: name, because: \"Users are cut off.\" }";
                steps.insert(1, format!("{{ name: machine, rebooted: {{ how: by_hand }}, within: 10m, {confirm} }}"));
            }
            (Self::BackOut | Self::Parallel | Self::ByHand, 2) => steps.insert(1, start.to_owned()),
            _ => {}
        }
        steps
    }

    fn shot(self, phase: usize, nth: usize) -> String {
        let (phase_name, name) = (PHASES[phase], format!("shot-{nth}"));
        let (token, step) = (token(phase, nth), format!("{phase_name}/{name}"));
        let (how, more) = match self.how(phase, nth) {
            How::Once => ("0".to_owned(), String::new()),
            How::Fails => ("fails".to_owned(), ", on_failure: continue".to_owned()),
            How::TurnsBack => ("fails".to_owned(), String::new()),
            How::After(times) => (times.to_string(), ", retry: { times: 3, wait: 50ms }".to_owned()),
        };
        // Only what may be repeated can be tried again; with evidence it is not repeated either.
        let again = matches!(self.how(phase, nth), How::After(_));
        let mark = format!("{OUT}/marks/{token}");
        format!(
            "{{ name: {name}, command: {{ argv: [/mnt/bin/shot.sh, {token}, {step}, \"{how}\"], repeatable: {again}, \
             done_if: [/usr/bin/test, -e, {mark}] }}{more} }}"
        )
    }

    fn how(self, phase: usize, nth: usize) -> How {
        match self {
            Self::Retry if nth == 3 => How::After(1 + phase % 2),
            Self::Continue if nth == 3 => How::Fails,
            Self::BackOut if (phase, nth) == (1, 4) => How::TurnsBack,
            _ => How::Once,
        }
    }

    /// Whether a one-shot may happen again where nobody knows whether it has.
    pub(crate) fn may_repeat(self, token: &str) -> bool {
        self == Self::Retry && token.ends_with("-3")
    }

    /// Whether a one-shot is left out where a doubt has made the run turn back.
    pub(crate) fn may_turn_back(self, token: &str) -> bool {
        self == Self::BackOut && token.starts_with("shot-two-")
    }

    /// What the ledger must hold of one-shots, no more and no less.
    pub(crate) fn ledger(self) -> BTreeMap<String, usize> {
        let mut wanted = BTreeMap::new();
        for (phase, nth) in (0..3).flat_map(|phase| (1..=4).map(move |nth| (phase, nth))) {
            wanted.insert(token(phase, nth), 1);
            if let How::After(times) = self.how(phase, nth) {
                wanted.insert(format!("try:{}", token(phase, nth)), times + 1);
            }
        }
        wanted
    }
}

/// How a one-shot ends.
enum How {
    Once,
    /// It fails, and the run goes on.
    Fails,
    /// It fails, and the run turns back.
    TurnsBack,
    /// It succeeds after so many failures.
    After(usize),
}

fn token(phase: usize, nth: usize) -> String {
    format!("shot-{}-{nth}", PHASES[phase])
}

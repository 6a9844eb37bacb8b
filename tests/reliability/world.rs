//! The world around one run, as far as its effects can change it: services, the machine, and the ledger of effects.
//!
//! The ledger is only ever appended to, by whoever carries an effect out (a command of the runbook, or systemd on the bus),
//! never by the program under test. Each line says what stood in the journal at that moment.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const STATE: &str = "/mnt/disk/state";
pub(crate) const OUT: &str = "/mnt/out";

/// The ledger's path.
pub(crate) fn ledger() -> PathBuf {
    Path::new(OUT).join("ledger")
}

/// A place where the effect itself kills the program: the one moment that no system call of the program names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bomb {
    pub(crate) before: bool,
    pub(crate) token: String,
}

/// What there is besides the program and its journal.
#[derive(Debug, Default, Clone)]
pub(crate) struct World {
    /// Services that are up.
    pub(crate) up: BTreeSet<String>,
    /// Unit files that are enabled.
    pub(crate) enabled: BTreeSet<String>,
    /// The machine has been asked to go down.
    pub(crate) going_down: bool,
    /// How often it was started anew.
    pub(crate) boots: u32,
    /// The program under test, to be killed by a bomb.
    pub(crate) program: Option<u32>,
    pub(crate) bomb: Option<Bomb>,
}

/// The names of the twelve services.
pub(crate) fn services() -> impl Iterator<Item = String> {
    (1..=12).map(|n| format!("service-{n:02}.service"))
}

impl World {
    /// As before any run.
    pub(crate) fn fresh() -> Self {
        Self { up: services().collect(), ..Self::default() }
    }

    /// Carries out an effect of systemd: notes it in the ledger, and goes off if it is told to.
    pub(crate) fn effect(&mut self, token: &str, item: &str, then: impl FnOnce(&mut Self)) {
        let seen = intent(item);
        let goes_off =
            |bomb: &Option<Bomb>, before| bomb.as_ref().is_some_and(|b| b.token == token && b.before == before);
        if goes_off(&self.bomb, true) {
            self.kill();
        }
        let mut file = OpenOptions::new().append(true).create(true).open(ledger()).unwrap();
        writeln!(file, "{token} {seen}").unwrap();
        then(self);
        if goes_off(&self.bomb, false) {
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.bomb = None;
        if let Some(pid) = self.program.and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap())) {
            let _gone_already = kill_process(pid, Signal::KILL);
        }
    }

    /// The machine goes down and comes up again: nothing runs, nothing is in `/run`, and the boot id is another.
    pub(crate) fn boot(&mut self) {
        self.boots += 1;
        self.going_down = false;
        self.up.clear();
        let id = format!("00000000-0000-4000-8000-{:012}", self.boots);
        std::fs::write(Path::new(OUT).join("boot_id"), format!("{id}\n")).unwrap();
        let _not_made_yet = std::fs::remove_dir_all("/run/runbook");
    }
}

/// Whether the journal holds an acknowledged intent for `item` that has no outcome yet. The lines are searched as text, with
/// other eyes than the program's.
fn intent(item: &str) -> &'static str {
    let state = Path::new(STATE);
    let run = std::fs::read_to_string(state.join("pending")).unwrap_or_default();
    let dir = state.join("runs").join(run.trim());
    let (Ok(journal), Ok(head)) = (std::fs::read(dir.join("journal")), std::fs::read(dir.join("head"))) else {
        return "no-run";
    };
    let journal = String::from_utf8_lossy(&journal);
    let named = format!("\"item\":\"{item}\"");
    let mut of_it = journal.lines().rev().filter(|line| line.contains(&named) && line.contains("\"item_"));
    let is_intent = |line: &&str| line.contains("\"item_intent\":{");
    // Whoever leaves at once writes of what is in flight that its outcome is unknown; the intent stands behind that.
    let last = of_it.find(|line| !line.contains("\"outcome\":{\"unknown\""));
    let Some(line) = last.filter(is_intent) else { return "no-intent" };
    let seq = line.split_once("\"seq\":").and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
    if seq.is_some_and(|seq: u64| Some(&seq) <= marks(&head).iter().max()) { "intent" } else { "not-acknowledged" }
}

/// The records that the slots of a head file name; read here with other eyes than the program's.
pub(crate) fn marks(head: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(head);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == "RBH1").filter_map(|pair| pair[1].parse().ok()).collect()
}

/// The ledger, token by token: how often, and the worst of what was seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) counts: BTreeMap<String, usize>,
    pub(crate) unannounced: Vec<String>,
}

impl Ledger {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(ledger()).unwrap_or_default();
        let mut ledger = Self::default();
        for (token, seen) in text.lines().filter_map(|line| line.split_once(' ')) {
            *ledger.counts.entry(token.to_owned()).or_default() += 1;
            if seen != "intent" {
                ledger.unannounced.push(format!("{token}: {seen}"));
            }
        }
        ledger
    }

    pub(crate) fn count(&self, token: &str) -> usize {
        self.counts.get(token).copied().unwrap_or(0)
    }
}

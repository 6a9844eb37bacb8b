//! `command`: the way out for what no other action covers. No shell: a list of words.
use std::path::PathBuf;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Settled, Tell, Tick};
use super::change::{Change, Concern, Item, Sign};
use super::programs;
use crate::host::command::{CommandAsked, CommandEnd, CommandSeen};
use crate::host::effect::Effect;
use crate::host::json_text::JsonText;
use crate::host::programs::ProgramAsked;
use crate::host::{Deed, Host, HostError, Probe, Told};

/// Run one program to its end and require exit status 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments; the program is an absolute path or looked up in the host's fixed path.
    pub argv: Vec<String>,
    /// Whether running it twice does no harm; otherwise it runs at most once, and *unknown* is settled by a person.
    pub repeatable: bool,
    /// A read-only program whose exit status 0 proves that the wish already holds.
    pub done_if: Option<Vec<String>>,
    /// The Unix user to run as; `None`: the one that runs the program.
    pub user: Option<String>,
    /// The working directory; `None`: `/`.
    pub cwd: Option<PathBuf>,
}

/// What is remembered of a command's beginning: it begins by an order.
const BY_ORDER: &str = "by order";
/// The key of the only item.
const RUN: &str = "run";

/// How long a command may take when its step sets no `within`.
const DEADLINE: Duration = Duration::from_secs(3600);
/// How long after its step's `within` a command ends by itself: the run gives it up first, if there still is one.
const AFTER_WITHIN: Duration = Duration::from_secs(10);

impl Act for Command {
    type Seen = Vec<Concern>;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Vec<Concern>, HostError> {
        // A probe starts no process, so `done_if` is not asked here but right before the command.
        if ground.kept.contains_key(&ended_key(ground.step)) {
            return Ok(Vec::new());
        }
        Ok(programs::concerns(on, self.programs()).await)
    }

    fn plan(&self, concerns: &Vec<Concern>, ground: &Ground<'_>) -> Change {
        if ground.kept.contains_key(&ended_key(ground.step)) {
            return Change { already: 1, ..Change::default() };
        }
        let before = match &self.done_if {
            Some(check) => format!("unknown until `{}` is asked", check.join(" ")),
            None => "not run".to_owned(),
        };
        let item = Item::new(RUN, Sign::Unknown, before, format!("`{}` has run", self.argv.join(" ")));
        Change { items: vec![item], concerns: concerns.clone(), ..Change::default() }
    }

    fn remember(&self, _: &Vec<Concern>) -> Option<JsonText> {
        // From its first attempt on: whoever finds no order then knows that nothing was begun.
        Some(serde_json::Value::from(BY_ORDER).into())
    }

    async fn apply(&self, _: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        if self.is_done(on).await {
            return ended(ground, "already so".into());
        }
        tell(Tick::say(RUN, format!("running `{}`", self.argv.join(" "))));
        let effect = Some(Effect::of(ground.run_dir, ground.step, ground.attempt));
        // Whoever runs it ends it then, also when this process does not live so long.
        let deadline = ground.within.map_or(DEADLINE, |within| within.saturating_add(AFTER_WITHIN));
        match on.tell(&Deed::Run(CommandAsked { effect, deadline, ..self.asked(&self.argv) })).await {
            Ok(Told::Ran(seen)) => conclude(&seen, ground),
            Ok(_) => Outcome::failed("the answer to it was not that of a command"),
            Err(error) => error.into(),
        }
    }

    async fn settle(&self, _: &str, on: &dyn Host, ground: &Ground<'_>) -> Settled {
        // What the files of its order, or its unit, can prove outranks every guess.
        let effect = Effect::of(ground.run_dir, ground.step, ground.attempt);
        let by_order = ground.at_start().is_some_and(|value| value == BY_ORDER);
        let recalled = match on.tell(&Deed::Recall { effect, by_order }).await {
            Ok(Told::Ran(seen)) => proven(&seen),
            Ok(Told::AtWork(who)) => return Settled::AtWork(who),
            _ => Settled::Unknown,
        };
        match recalled {
            Settled::Unknown | Settled::Cut | Settled::Failed(_) if self.is_done(on).await => Settled::Done,
            Settled::Unknown | Settled::Cut if self.repeatable => Settled::Again,
            other => other,
        }
    }

    fn repeatable(&self) -> bool {
        self.repeatable
    }
}

impl Command {
    /// What would be executed.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramAsked> {
        let of =
            |argv: &Vec<String>| ProgramAsked { argv: argv.clone(), user: self.user.clone(), cwd: self.cwd.clone() };
        self.done_if.iter().chain([&self.argv]).map(of).collect()
    }

    /// Whether `done_if` ends with status 0; without one, nobody knows, which counts as no.
    async fn is_done(&self, on: &dyn Host) -> bool {
        let Some(check) = &self.done_if else { return false };
        match on.tell(&Deed::Run(self.asked(check))).await {
            Ok(Told::Ran(seen)) => seen.succeeded(),
            _ => false,
        }
    }

    fn asked(&self, argv: &[String]) -> CommandAsked {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        CommandAsked { user: self.user.clone(), cwd: self.cwd.clone(), ..CommandAsked::new(&words, DEADLINE) }
    }
}

/// The key under which a command's end is captured.
fn ended_key(step: &str) -> String {
    format!("{step}.ended")
}

fn ended(ground: &Ground<'_>, note: String) -> Outcome {
    Outcome::Applied { note: Some(note), keep: vec![(ended_key(ground.step), true.into())] }
}

/// What a known end says about an item in doubt.
fn proven(seen: &CommandSeen) -> Settled {
    match &seen.end {
        CommandEnd::Exited { code: 0 } => Settled::Done,
        CommandEnd::NotBegun { .. } => Settled::NotBegun,
        CommandEnd::Exited { code } => Settled::Failed(format!("exit status {code}")),
        CommandEnd::Killed { signal } => Settled::Failed(format!("ended by signal {signal}")),
        CommandEnd::TimedOut { .. } => Settled::Failed("the deadline passed, and all of it was ended".into()),
        // Ended in the middle by whoever left the run: what it did until then is open.
        CommandEnd::Stopped { .. } => Settled::Cut,
        CommandEnd::Unknown { .. } => Settled::Unknown,
    }
}

fn conclude(seen: &CommandSeen, ground: &Ground<'_>) -> Outcome {
    let mut said: Vec<String> = seen.stdout.lines().chain(seen.stderr.lines()).map(str::to_owned).collect();
    said.drain(..said.len().saturating_sub(10));
    let failed = |why: String| Outcome::Failed { why, causes: said.clone() };
    match &seen.end {
        CommandEnd::Exited { code: 0 } => ended(ground, "exit status 0".into()),
        CommandEnd::Exited { code } => failed(format!("exit status {code}")),
        CommandEnd::NotBegun { why } => failed(format!("not begun: {why}")),
        CommandEnd::Killed { signal } => failed(format!("ended by signal {signal}")),
        CommandEnd::TimedOut { .. } => failed("the deadline passed, and everything it had started was ended".into()),
        CommandEnd::Stopped { .. } => failed("somebody ended it, and everything it had started".into()),
        CommandEnd::Unknown { why } => Outcome::Unknown { why: why.clone() },
    }
}

//! `runbook rehearse`: a whole run on a model of the machine, with the screens of a real one and whatever is to go wrong.
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::TempDir;

use super::closing;
use super::last_words::left_stuck;
use super::plan::{allowed, right_host};
use super::prompt::{Answers, Prompt, person};
use super::run::consequence;
use super::site::owner;
use super::{Desk, Exit, Failure, check, offline, resume_unit};
use crate::execute::dress::{DressRehearsal, Sat, Script, memory_demanded};
use crate::execute::{Ending, Stop};
use crate::host::Facts;
use crate::host::clock;
use crate::host::foreign::named;
use crate::host::local::LocalHost;
use crate::host::model::{Faults, Pace};
use crate::host::span::{bytes, words};
use crate::plan::chance::{MOST_RUNS, draw};
use crate::plan::verdict::judge;
use crate::report::{Typed, call_in, commands_are_of};
use crate::runbook::{Loaded, Runbook, StepId};

/// How long a rehearsal takes at its default speed, in seconds.
const WATCHED: f64 = 6.0;

/// What to rehearse, and what is to go wrong.
#[derive(Debug, Args)]
pub(super) struct Rehearse {
    /// The runbook: its name, or a path with a slash
    name: String,
    /// Rehearse on recorded facts instead of those of this machine
    #[arg(long, value_name = "FACTS")]
    offline: Option<PathBuf>,
    /// So many times faster than life [default: what makes it last about 6 s]
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Make these steps fail
    #[arg(long, value_name = "STEP", num_args = 1..)]
    fail: Vec<String>,
    /// Let the process die after this step, and go on from its journal
    #[arg(long, value_name = "STEP")]
    crash_after: Option<String>,
    /// Let a Redis instance load so many times slower than reckoned: bds=4x
    #[arg(long, value_name = "INSTANCE=4x", num_args = 1..)]
    slow: Vec<String>,
    /// Let these PM2 apps crash over and over after the restart
    #[arg(long, value_name = "NAME", num_args = 1..)]
    lose_app: Vec<String>,
    /// Play nothing: draw so many runs from the estimates and give the chance to end inside the window
    #[arg(long, value_name = "200", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_RUNS)), conflicts_with_all = ["fail", "crash_after", "slow", "lose_app", "speed", "keep"])]
    runs: Option<u32>,
    /// With --runs: the same seed draws the same runs
    #[arg(long, value_name = "N", default_value_t = 1, requires = "runs")]
    seed: u64,
    /// Keep the journal, and say where it is
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    answers: Answers,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = factor(text).ok_or("a number such as 60 or 60x")?;
    if (0.001..=1e6).contains(&speed) { Ok(speed) } else { Err("from 0.001 to 1000000".into()) }
}

/// `4` or `4x`.
fn factor(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('x').unwrap_or(text).parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
}

impl Rehearse {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        commands_are_of(Typed { runbook: self.name.clone(), facts: self.offline.clone(), later: false });
        let source = offline::source(&desk.site, &self.name)?;
        let loaded = check::load(desk, &source)?;
        let runbook = &loaded.runbook;
        self.answers.fit(runbook)?;
        let facts = self.facts(desk, &loaded).await?;
        let script = self.script(desk, runbook, &facts)?;
        let dress = DressRehearsal::prepare(&loaded, facts, script).await?;
        if let Some(runs) = self.runs {
            return Ok(self.chance(desk, runbook, &dress, runs));
        }
        let plan = dress.rehearsed().plan.clone();
        let verdict = judge(&plan, runbook.window.as_ref());
        desk.screen.plan(&plan, runbook, &verdict, false);
        allowed(&plan, &verdict, runbook, self.answers.ignore_window.is_some())?;
        let speed = self.speed.unwrap_or_else(|| (plan.takes().typical / WATCHED).max(1.0));
        let mut dress = dress.at_pace(Pace::Times(speed));
        let answers = self.answers(desk, runbook);
        if !answers.prompt(desk).start(runbook, &consequence(runbook, &plan, &plan.hostname)) {
            return Err(Failure::say(Exit::NeedsAnswer, "not started"));
        }
        let dir = self.place().map_err(|error| Failure::new(Exit::Storage, error))?;
        dress.open(dir.path(), &source.bytes, owner())?;
        let began = clock::boottime();
        let exit = self.play(desk, runbook, &mut dress, &answers).await;
        let (took, ours) = (words(dress.dial().elapsed()), words(clock::boottime().saturating_sub(began)));
        desk.screen.talk(&format!(
            "Rehearsed: {took} of a run in {ours}. Nothing was touched, and this run is known to nobody.\n"
        ));
        self.tidy(desk, dir);
        exit
    }

    /// Where the journal lies. Its syncs mean nothing here, so memory will do where a disk may be busy; what is to be kept
    /// goes where temporary files go.
    fn place(&self) -> std::io::Result<TempDir> {
        let mut name = tempfile::Builder::new();
        name.prefix("runbook-rehearsal-");
        let memory = Path::new("/dev/shm");
        if !self.keep
            && memory.is_dir()
            && let Ok(dir) = name.tempdir_in(memory)
        {
            return Ok(dir);
        }
        name.tempdir()
    }

    /// Sits until the run is over, as often as a real one would.
    async fn play(
        &self,
        desk: &Desk,
        runbook: &Runbook,
        dress: &mut DressRehearsal<'_>,
        answers: &Answers,
    ) -> Result<Exit, Failure> {
        let stop = Stop::default();
        stop.listen(left_stuck).map_err(Failure::starved)?;
        let plan = dress.rehearsed().plan.clone();
        let mut prompt = answers.prompt(desk);
        let ending = loop {
            prompt.live = desk.screen.live_by(&dress.dial(), runbook, &plan);
            let live = prompt.live.clone();
            let mut reporter = desk.screen.reporters_by(&dress.dial(), live.as_ref(), runbook, &plan);
            let sat = dress.sit(&mut reporter, &mut prompt, stop.clone(), answers.orders()).await;
            drop(reporter);
            if let Some(live) = live {
                live.close();
            }
            match sat? {
                Sat::Crashed => {
                    desk.screen.alert("--- the process dies here; another one goes on from its journal ---\n")
                }
                Sat::Stuck { step, waited } => {
                    let text = format!("{step} has waited {} for what never comes on the model", words(waited));
                    return Err(Failure::say(Exit::Failed, text).hint("give the step a limit: `within: 10m`"));
                }
                Sat::Ended(Ending::WaitingForReboot { .. }) if dress.come_back() => {
                    desk.screen.alert("--- the machine is down, and up again; the resume unit goes on ---\n");
                    prompt = Prompt::nobody(&desk.screen);
                }
                Sat::Ended(ending) => break ending,
            }
        };
        let Some((store, id)) = dress.run() else { return Ok(closing::exit(&ending, answers.detailed_exitcode)) };
        closing::show(desk, id, &ending, store, false).await;
        Ok(closing::exit_of(&ending, answers.detailed_exitcode, store, id))
    }

    /// The facts to rehearse on: given ones, those of this machine, or those that come with the program.
    async fn facts(&self, desk: &Desk, loaded: &Loaded) -> Result<Facts, Failure> {
        let runbook = &loaded.runbook;
        let facts = if let Some(path) = &self.offline {
            offline::facts(path)?
        } else if let Err(elsewhere) = right_host(runbook) {
            if runbook.name != offline::SHIPPED {
                let hint = "record facts on its host (`facts -o FILE`), and name them here with --offline FILE";
                return Err(elsewhere.hint(hint));
            }
            offline::shipped_facts()?
        } else {
            let host = LocalHost::new(resume_unit::of(&desk.site, runbook)?);
            offline::record(&desk.site, loaded, &host).await
        };
        offline::right_facts(runbook, &facts)?;
        desk.screen.alert(&format!(
            "REHEARSAL on recorded facts of {} ({}): nothing is touched.\n",
            named(offline::hostname(&facts), 80),
            offline::recorded_at(&facts)
        ));
        Ok(self.in_the_window(desk, runbook, facts))
    }

    /// Facts are recorded at any time; the rehearsal begins when the window is open.
    fn in_the_window(&self, desk: &Desk, runbook: &Runbook, facts: Facts) -> Facts {
        let opening = runbook.window.as_ref().and_then(|window| window.current_or_next(facts.at));
        match (opening, &runbook.window) {
            (Some(opening), Some(window)) if !opening.contains(facts.at) && self.answers.ignore_window.is_none() => {
                let at = opening.opens.to_zoned(window.timezone.clone()).strftime("%a %F %H:%M %Z");
                desk.screen.talk(&format!("It is played as if begun {at}, when the window opens.\n"));
                Facts { at: opening.opens, ..facts }
            }
            _ => facts,
        }
    }

    /// What is to go wrong; names that mean nothing are a mistake, not a fault without effect.
    fn script(&self, desk: &Desk, runbook: &Runbook, facts: &Facts) -> Result<Script, Failure> {
        let step = |text: &String| {
            let known: Vec<StepId> = runbook.steps().map(|(id, ..)| id).collect();
            let found = known.iter().find(|id| id.as_str() == text).cloned();
            found.ok_or_else(|| unknown("step", text, known.iter().map(StepId::as_str)))
        };
        let slow = |text: &String| {
            let (name, times) = text.split_once('=').unwrap_or((text, ""));
            let one = runbook.inventory.redis.get(name);
            let one =
                one.ok_or_else(|| unknown("instance", name, runbook.inventory.redis.keys().map(String::as_str)))?;
            let usage = || Failure::say(Exit::Usage, format!("--slow {}: write {name}=4x", named(text, 80)));
            Ok((one.url.clone(), factor(times).ok_or_else(usage)?))
        };
        let apps: Vec<&str> = runbook
            .inventory
            .pm2
            .values()
            .flat_map(|place| {
                let at = crate::action::process_list::at(place);
                facts.pm2(&at).into_iter().flat_map(|seen| seen.apps.iter().map(|app| app.key.name.as_str()))
            })
            .collect();
        if let Some(stranger) = self.lose_app.iter().find(|name| !apps.contains(&name.as_str())) {
            return Err(unknown("app", stranger, apps.into_iter()));
        }
        let has = facts.machine().and_then(|machine| machine.mem_total).unwrap_or(0);
        let upgrade = memory_demanded(runbook).filter(|wanted| *wanted > has);
        if let Some(wanted) = upgrade {
            let (has, wanted) = (bytes(has), bytes(wanted));
            desk.screen
                .talk(&format!("The machine of {has} is taken to come back with the {wanted} that a gate demands.\n"));
        }
        Ok(Script {
            faults: Faults {
                lost_apps: self.lose_app.clone(),
                slow_load: self.slow.iter().map(slow).collect::<Result<_, Failure>>()?,
                memory_after_boot: upgrade,
                ..Faults::default()
            },
            fail: self.fail.iter().map(step).collect::<Result<_, Failure>>()?,
            crash_after: self.crash_after.as_ref().map(step).transpose()?,
        })
    }

    /// The answers: those of the flags, on a terminal those of a person, and yes where there is neither: nothing is at stake.
    fn answers(&self, desk: &Desk, runbook: &Runbook) -> Answers {
        let asked = person(desk);
        Answers {
            yes: self.answers.yes || !asked,
            confirm: self.answers.confirm.clone().or_else(|| (!asked).then(|| runbook.name.clone())),
            step: self.answers.step && asked,
            ignore_window: self.answers.ignore_window.clone(),
            detailed_exitcode: self.answers.detailed_exitcode,
        }
    }

    /// The chance, as a result.
    fn chance(&self, desk: &Desk, runbook: &Runbook, dress: &DressRehearsal<'_>, runs: u32) -> Exit {
        let plan = &dress.rehearsed().plan;
        let window = runbook.window.as_ref();
        let drawn = draw(plan, window, self.seed, runs);
        desk.screen.result(&crate::report::chance(&drawn, plan, window, &desk.screen.streams.result.style));
        Exit::Done
    }

    fn tidy(&self, desk: &Desk, dir: TempDir) {
        if self.keep {
            let state: &Path = &dir.keep().join("state");
            let report = call_in(state, "report");
            desk.screen.alert(&format!("The journal is kept:\n  {report}\n"));
        }
    }
}

fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Failure {
    let name = named(name, 80);
    let near = known.min_by_key(|known| strsim::damerau_levenshtein(known, &name)).map(str::to_owned);
    let failure = Failure::say(Exit::Usage, format!("there is no {what} `{name}`"));
    match near {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    }
}

//! From wherever a run was left to its end: what a person, the resume unit and the machine would do, and the oracle.
use std::path::Path;

use runbook::journal::checkpoint::End;
use runbook::journal::step::StepStatus;
use runbook::journal::store::{Listed, Store, StoreError};

use crate::rig::{Rig, Said, Saved};
use crate::world::{Bomb, Ledger, OUT, STATE, services};

const RUN: [&str; 6] = ["run", "/mnt/bin/reference.yaml", "--yes", "--confirm", "reference", "--json"];
const RESUME: [&str; 5] = ["resume", "--yes", "--confirm", "reference", "--json"];
/// Effects that may happen once only: token, and the step whose doubt it settles.
pub(crate) const ONCE: [(&str, &str); 3] =
    [("once-before", "before/once"), ("marked-before", "before/marked"), ("once-after", "after/once")];
/// Effects that may happen more than once.
const AGAIN: [(&str, &str); 2] = [("again-before", "before/again"), ("again-after", "after/again")];
pub(crate) const AGAIN_TOKENS: [&str; 2] = ["again-before", "again-after"];
/// More sittings than any fault can need.
const ENOUGH: usize = 10;

/// What is done to the sittings of one run.
pub(crate) trait Trouble {
    /// Injections into a sitting, counted from 0.
    fn inject(&mut self, sitting: usize) -> Vec<String>;
    /// After a sitting, before the world goes on.
    fn after(&mut self, _: usize, _: &Said, _: &Rig, _: &mut Story) -> Result<(), String> {
        Ok(())
    }
    /// Whether any exit code will do in this sitting, because `after` has judged it.
    fn excuses(&self, _: usize) -> bool {
        false
    }
}

/// None at all.
pub(crate) struct Peace;

impl Trouble for Peace {
    fn inject(&mut self, _: usize) -> Vec<String> {
        Vec::new()
    }
}

/// How a run came to its end.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) sittings: usize,
    pub(crate) kills: usize,
    /// Doubts that were settled by a person who looked at the ledger.
    pub(crate) asked: usize,
    /// Power cuts; each is a boot that nobody asked for.
    pub(crate) cuts: u32,
    /// Reboots that a person had to do, because the program never asks twice.
    pub(crate) by_hand: usize,
    /// The final state of run and world, for comparison.
    pub(crate) end: String,
    pub(crate) ledger: Ledger,
}

/// What every run is compared with, and where second sittings begin.
pub(crate) struct Reference {
    end: String,
    half_way: Saved,
}

impl Reference {
    /// From an undisturbed run.
    pub(crate) fn of(rig: &Rig) -> Self {
        rig.fresh();
        let end = rig.to_the_end(0, &mut Peace).unwrap().end;
        Self { end, half_way: rig.half_way() }
    }

    /// The world as it is before a sitting.
    pub(crate) fn before(&self, rig: &Rig, sitting: usize) {
        if sitting == 0 { rig.fresh() } else { rig.load(&self.half_way) }
    }

    /// A run that came to an end came to the same one.
    pub(crate) fn same(&self, ended: Result<Story, String>) -> Result<Story, String> {
        let story = ended?;
        if story.end == self.end { Ok(story) } else { Err(format!("another end:\n{}", story.end)) }
    }
}

impl Rig {
    /// Begins a run, or goes on with one after its first sittings, until it is done, with `trouble` on the way.
    pub(crate) fn to_the_end(&self, first: usize, trouble: &mut dyn Trouble) -> Result<Story, String> {
        let mut story = Story::default();
        for nth in first..first + ENOUGH {
            let args: &[&str] = if self.begun()? { &RESUME } else { &RUN };
            let said = self.sit(args, &trouble.inject(nth), None);
            story.sittings += 1;
            story.kills += usize::from(said.killed);
            if said.hung {
                return Err(format!("sitting {nth} hung: {}", said.err));
            }
            trouble.after(nth, &said, self, &mut story)?;
            if said.code == Some(0) && self.is_over()? {
                return self.judge(story);
            }
            self.react(&said, &mut story, trouble.excuses(nth)).map_err(|why| format!("sitting {nth}: {why}"))?;
        }
        Err(format!("not done after {ENOUGH} sittings"))
    }

    /// One sitting with `trouble`, and no more of the run.
    pub(crate) fn one(&self, nth: usize, trouble: &mut dyn Trouble) -> Result<(), String> {
        let args: &[&str] = if self.begun()? { &RESUME } else { &RUN };
        let said = self.sit(args, &trouble.inject(nth), None);
        trouble.after(nth, &said, self, &mut Story::default())
    }

    /// One sitting with nothing in its way, but traced like the others.
    pub(crate) fn one_undisturbed(&self) -> Said {
        let args: &[&str] = if self.begun().unwrap_or(false) { &RESUME } else { &RUN };
        self.sit(args, &["mkdir:delay_enter=1:when=65535".to_owned()], None)
    }

    /// The traces of an undisturbed run, one for each sitting.
    pub(crate) fn traced(&self) -> Result<Vec<String>, String> {
        let mut texts = Vec::new();
        for args in [&RUN[..], &RESUME[..]] {
            let path = format!("{OUT}/trace");
            let said = self.sit(args, &[], Some(&path));
            self.react(&said, &mut Story::default(), false)?;
            texts.push(std::fs::read_to_string(path).map_err(|why| why.to_string())?);
        }
        if self.is_over()? { Ok(texts) } else { Err("the reference run is not over after two sittings".to_owned()) }
    }

    /// An undisturbed first sitting, and the boot after it: saved, so that the second sitting can be had often.
    fn half_way(&self) -> Saved {
        self.fresh();
        let said = self.sit(&RUN, &[], None);
        self.react(&said, &mut Story::default(), false).unwrap();
        self.save()
    }

    pub(crate) fn runs(&self) -> Result<Vec<Listed>, String> {
        let store = match Store::open(Path::new(STATE)) {
            Err(StoreError::File(error)) if error.is_missing() => return Ok(Vec::new()),
            opened => opened.map_err(|why| why.to_string())?,
        };
        store.list().map_err(|why| why.to_string())
    }

    fn begun(&self) -> Result<bool, String> {
        Ok(!self.runs()?.is_empty())
    }

    /// Whether there is a run and it has ended.
    pub(crate) fn is_over(&self) -> Result<bool, String> {
        let runs = self.runs()?;
        Ok(!runs.is_empty() && runs.iter().all(|run| run.reading.as_ref().is_ok_and(|r| r.state.ended().is_some())))
    }

    /// What happens outside when a sitting has ended: the machine goes down, or a person looks and rules.
    fn react(&self, said: &Said, story: &mut Story, excused: bool) -> Result<(), String> {
        let going_down = self.systemd.world().going_down;
        if going_down {
            self.systemd.world().boot();
        }
        if said.killed || going_down || excused || said.code == Some(0) {
            return Ok(());
        }
        if said.code != Some(21) {
            return Err(format!("exit {:?}: {}", said.code, said.err));
        }
        let runs = self.runs()?;
        let reading = runs.last().and_then(|run| run.reading.as_ref().ok()).ok_or("exit 21 and no run")?;
        if reading.state.waiting_for_reboot().is_some() {
            story.by_hand += 1;
            self.systemd.world().boot();
            return Ok(());
        }
        let unknown =
            reading.state.steps().iter().find(|(_, state)| matches!(state.status, StepStatus::Unknown { .. }));
        let in_doubt = reading.state.in_doubt().first().map(|(step, _)| step.to_string());
        let step = unknown.map(|(step, _)| step.to_string()).or(in_doubt).ok_or("exit 21, and nothing is unknown")?;
        let (token, _) = ONCE.iter().find(|(_, known)| *known == step).ok_or(format!("{step} is unknown"))?;
        let seen = if Ledger::read().count(token) > 0 { "--done" } else { "--rerun" };
        let run = runs.last().map(|run| run.id.to_string()).unwrap_or_default();
        story.asked += 1;
        let ruled = self.sit(&["resolve", &run, &step, seen, "--reason", "seen in the ledger"], &[], None);
        if ruled.code == Some(0) { Ok(()) } else { Err(format!("resolve {step} {seen}: {}", ruled.err)) }
    }

    /// The oracle: the world and the journal after the end.
    fn judge(&self, mut story: Story) -> Result<Story, String> {
        let runs = self.runs()?;
        let [run] = runs.as_slice() else { return Err(format!("{} runs", runs.len())) };
        let reading = run.reading.as_ref().map_err(ToString::to_string)?;
        let state = &reading.state;
        if state.ended() != Some(End::Done) {
            return Err(format!("ended {:?}", state.ended()));
        }
        story.ledger = Ledger::read();
        let ledger = &story.ledger;
        if !ledger.unannounced.is_empty() {
            return Err(format!("effects without an acknowledged intent: {:?}", ledger.unannounced));
        }
        for (token, _) in ONCE {
            if ledger.count(token) != 1 {
                return Err(format!("{token} happened {} times", ledger.count(token)));
            }
        }
        let (reboots, boots) = (ledger.count("reboot"), self.systemd.world().boots);
        let once =
            if story.cuts == 0 { reboots + story.by_hand == 1 && boots == 1 } else { reboots <= 1 && boots >= 1 };
        if !once {
            return Err(format!("{reboots} reboots asked for, {boots} boots"));
        }
        let started = services().map(|unit| format!("start:{unit}"));
        // What a power cut has taken down needs no stop.
        let stopped = services().map(|unit| format!("stop:{unit}")).filter(|_| story.cuts == 0);
        let again = AGAIN.iter().map(|(token, _)| (*token).to_owned());
        if let Some(token) = started.chain(stopped).chain(again).find(|token| ledger.count(token) == 0) {
            return Err(format!("{token} never happened"));
        }
        for (token, step) in ONCE.iter().chain(&AGAIN) {
            let step = state.steps().iter().find(|(id, _)| id.as_str() == *step);
            let intents: u32 = step.map(|(_, s)| s.items.values().map(|item| item.intents).sum()).unwrap_or_default();
            if ledger.count(token) > usize::try_from(intents).unwrap() {
                return Err(format!("{token}: {} times, with {intents} intents", ledger.count(token)));
            }
        }
        story.end = self.end(state)?;
        Ok(story)
    }

    /// The final state in one text: every step's end, the services, the boots, and nothing left lying about.
    fn end(&self, state: &runbook::journal::RunState) -> Result<String, String> {
        let steps: Vec<String> = state
            .steps()
            .iter()
            .map(|(id, step)| match &step.status {
                StepStatus::Done { .. } => format!("{id} done"),
                other => format!("{id} {other:?}"),
            })
            .collect();
        let left: Vec<String> = ["/mnt/disk/state/pending", "/etc/systemd/system/runbook-resume.service"]
            .into_iter()
            .chain(["/etc/systemd/system/runbook-fail-open.service"])
            .filter(|path| Path::new(path).exists())
            .map(str::to_owned)
            .collect();
        let world = self.systemd.world();
        let marked = Path::new(OUT).join("marked").exists();
        Ok(format!(
            "{}\nup {:?}\nenabled {:?} marked {marked} left {left:?}",
            steps.join("\n"),
            world.up,
            world.enabled
        ))
    }

    /// Lays a bomb for the next time that `token` happens.
    pub(crate) fn lay(&self, bomb: &Bomb) {
        let when = if bomb.before { "before" } else { "after" };
        let command = ONCE.iter().chain(&AGAIN).any(|(token, _)| *token == bomb.token);
        if command {
            std::fs::write(Path::new(OUT).join("bomb"), format!("{when} {}\n", bomb.token)).unwrap();
        } else {
            self.systemd.world().bomb = Some(bomb.clone());
        }
    }
}

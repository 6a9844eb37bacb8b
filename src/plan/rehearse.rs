//! The rehearsal: every step is looked at and played on the model, in order, with the model's clock running ahead.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;

use super::eta::{Estimate, History, Source, estimate};
use super::{FORMAT, Plan, PlannedStep, Rehearsed, UnsavedAt, default_within};
use crate::action::act::start_key;
use crate::action::inventory::RedisInstance;
use crate::action::{ActionKind, Change, Ground, Kept, Outcome, Preview, Sign};
use crate::host::json_text::JsonText;
use crate::host::model::Model;
use crate::host::redis::{self, RedisKind, Unsaved};
use crate::host::span::Span;
use crate::host::{Ask, Facts, Probe};
use crate::runbook::{Loaded, Runbook, Step, StepId};

/// Walks the runbook over a model of the machine behind `probe`.
///
/// `starts_at` is when the run is meant to start. What cannot be asked makes a step *unforeseen*, never "no change".
pub async fn rehearse(
    loaded: &Loaded,
    probe: &dyn Probe,
    run_dir: &Path,
    history: &History,
    starts_at: Timestamp,
) -> Rehearsed {
    let began = probe.uptime();
    let mut baseline = look_around(&loaded.runbook, probe).await;
    baseline.loads.clone_from(&history.loads);
    baseline.disk_rate = history.disk_rate;
    let probed_in = probe.uptime().saturating_sub(began).as_secs_f64();
    let model = Model::believing(&baseline, probe).with_ties(loaded.runbook.inventory.ties());
    let mut walk = Walk { runbook: &loaded.runbook, model: &model, baseline: &baseline, kept: Kept::new(), run_dir };
    let mut steps = Vec::new();
    for (id, phase, step) in loaded.runbook.steps() {
        steps.push(walk.step(id, &phase.name, step, history).await);
    }
    let hostname = baseline.machine().and_then(|machine| machine.hostname.clone()).unwrap_or_default();
    let plan = Plan {
        format: FORMAT,
        runbook: loaded.runbook.name.clone(),
        sha256: loaded.sha256.clone(),
        hostname,
        made_at: probe.now(),
        starts_at,
        steps,
        back_out: loaded.runbook.back_out.clone(),
        probed_in,
        unsaved: unsaved(&loaded.runbook, &baseline),
    };
    Rehearsed { plan, facts: baseline }
}

/// What a runbook that restarts the machine would cost each instance of its runtime settings.
fn unsaved(runbook: &Runbook, baseline: &Facts) -> Vec<UnsavedAt> {
    if !runbook.reboots() {
        return Vec::new();
    }
    let redis = runbook.inventory.redis.values().filter(|one| one.kind == RedisKind::Redis);
    let of = |one: &RedisInstance| {
        let unknown = || Unsaved { unknown: Some("it could not be asked".into()), ..Unsaved::default() };
        let unit = one.unit.as_ref().and_then(|unit| baseline.unit(unit));
        let given = unit.map(|unit| unit.redis_settings.clone()).unwrap_or_default();
        let found =
            baseline.redis(&one.at()).map_or_else(unknown, |seen| redis::unsaved(&redis::started_with(seen, &given)));
        let told = found.unknown.is_some() || !found.lost.is_empty();
        told.then(|| UnsavedAt { instance: one.name.clone(), unsaved: found })
    };
    redis.filter_map(of).collect()
}

/// Asks everything that the inventory names, at the same time: the baseline of a run, and what it is held against at its end.
pub async fn look_around(runbook: &Runbook, probe: &dyn Probe) -> Facts {
    let inventory = &runbook.inventory;
    let mut asks = vec![Ask::Machine];
    asks.extend(inventory.redis.values().map(|instance| Ask::Redis(instance.at())));
    asks.extend(inventory.units_of(None).into_iter().map(|known| Ask::Unit(known.unit.to_owned())));
    asks.extend(inventory.pm2.values().map(|place| Ask::Pm2(crate::action::process_list::at(place))));
    let answers = futures_util::future::join_all(asks.iter().map(|ask| probe.ask(ask))).await;
    let mut facts = Facts::new(probe.now(), probe.uptime().as_secs_f64());
    for (ask, answer) in asks.into_iter().zip(answers) {
        match answer {
            Ok(answer) => facts.put(ask, answer),
            Err(error) => drop(facts.unanswered.insert(ask.about(), error.to_string())),
        }
    }
    facts
}

/// The walk's state.
struct Walk<'a> {
    runbook: &'a Runbook,
    model: &'a Model<'a>,
    baseline: &'a Facts,
    /// What the rehearsed run has captured so far.
    kept: Kept,
    run_dir: &'a Path,
}

impl Walk<'_> {
    async fn step(&mut self, id: StepId, phase: &str, step: &Step, history: &History) -> PlannedStep {
        let looked = step.action.preview(self.model, &self.ground(&id)).await;
        let (mut preview, unforeseen) = match looked {
            Ok(preview) => (preview, None),
            Err(error) => (Preview::default(), Some(error.to_string())),
        };
        let takes = match &unforeseen {
            Some(_) => Estimate { span: Span::ZERO, source: Source::Nothing },
            None => estimate(step, id.as_str(), &preview.change, history),
        };
        if has_own_pace(step.action.kind()) {
            // What an app usually takes is its own business, which no list tells.
            for item in &mut preview.change.items {
                item.takes = history.of_item(id.as_str(), &item.key).unwrap_or(item.takes);
            }
        }
        self.play(&id, step, &preview, takes.span).await;
        PlannedStep {
            phase: phase.to_owned(),
            title: step.title(),
            action: step.action.kind(),
            subject: step.action.subject(),
            takes,
            unforeseen,
            takes_away: step.action.takes_service_away(),
            brings_back: step.action.kind().brings_back(),
            reboots: step.action.goes_down(),
            waits: step.action.waits(),
            gives_up_after: (step.within.is_none() && step.action.waits()).then(|| default_within(takes.span.slow)),
            change: preview.change,
            id,
        }
    }

    /// Applies the change to the model, wave by wave, and lets the estimated time pass there, no more and no less where
    /// the model itself was not slower.
    async fn play(&mut self, id: &StepId, step: &Step, preview: &Preview, takes: Span) {
        let began = self.model.elapsed();
        if let Some(value) = &preview.remember {
            self.kept.keep(start_key(id.as_str()), value.clone());
        }
        if !step.action.waits() && !preview.change.refused() {
            for index in 0..preview.change.waves.len().max(1) {
                let kept = self.wave(id, step, &preview.change, index).await;
                self.kept.extend(kept);
            }
        }
        let passed = self.model.elapsed().saturating_sub(began);
        let rest = takes.typically().saturating_sub(passed).max(Duration::from_millis(1));
        // What loads after a boot begins when the step ends, not while it is still reckoned to be down.
        if !(step.action.goes_down() && self.model.come_back_in(rest)) {
            self.model.pass(rest);
        }
    }

    /// Plays the items of one wave side by side, as many at once as it allows, and returns what they want to keep.
    async fn wave(&self, id: &StepId, step: &Step, change: &Change, index: usize) -> Vec<(String, JsonText)> {
        let at_once = match change.wave(index).at_once {
            0 => change.items.len().max(1),
            n => n,
        };
        let items = change.items.iter().filter(|item| item.wave == index && item.sign != Sign::Unknown);
        let outcomes = items.map(|item| async move {
            match step.action.apply(item, self.model, &self.ground(id), &|_| {}).await {
                Outcome::Applied { keep, .. } => keep,
                Outcome::Failed { .. } | Outcome::Unknown { .. } | Outcome::Leaving => Vec::new(),
            }
        });
        let kept: Vec<_> = futures_util::stream::iter(outcomes).buffer_unordered(at_once).collect().await;
        kept.into_iter().flatten().collect()
    }

    fn ground<'g>(&'g self, id: &'g StepId) -> Ground<'g> {
        Ground {
            inventory: &self.runbook.inventory,
            baseline: self.baseline,
            kept: &self.kept,
            step: id.as_str(),
            attempt: 0,
            run_dir: self.run_dir,
            judged_later: self.runbook.judges_restore_after(id),
            within: None,
            reboots: self.runbook.reboots(),
        }
    }
}

/// Whether each of its items takes its own time, which no list tells and earlier runs do: apps that are started and stopped.
fn has_own_pace(action: ActionKind) -> bool {
    match action {
        ActionKind::Pm2Restored | ActionKind::Pm2Stopped => true,
        ActionKind::RedisCompacted | ActionKind::RedisLoaded | ActionKind::Pm2Saved | ActionKind::Pm2AsSaved => false,
        ActionKind::UnitsEnabled | ActionKind::UnitsActive | ActionKind::UnitsStopped => false,
        ActionKind::Command | ActionKind::Rebooted | ActionKind::Healthy => false,
    }
}

//! `runbook plan`: the rehearsal on this machine. It asks and computes; it writes nothing, starts nothing, locks nothing.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use super::may_begin::may_begin;
use super::site::identity;
use super::source::read;
use super::start::start;
use super::{Desk, Exit, Failure, check, offline, resume_unit, saved_plan};
use crate::action::change::Weight;
use crate::host::local::LocalHost;
use crate::host::model::Model;
use crate::host::redis::AofFiles;
use crate::host::redis::eta::read_rate;
use crate::host::{Probe, off_thread};
use crate::journal::store::Store;
use crate::plan::verdict::judge;
use crate::plan::{History, Plan as Planned, Rehearsed, Verdict, rehearse};
use crate::report::{Typed, call_on, commands_are_of, onward};
use crate::runbook::{Loaded, Runbook};

/// What to rehearse.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The runbook: its name, or a path with a slash
    name: String,
    /// Plan for a later start: 10:15 (the next one), 2026-11-28T10:15, or a full timestamp; in the window's time zone
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Exit 10 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Plan on recorded facts instead of this machine: anywhere, as any user; what they do not hold is `?`
    #[arg(long, value_name = "FACTS")]
    offline: Option<PathBuf>,
    /// Keep the plan with the facts it was made from, for `run --plan ID`; the newest 50 are kept
    #[arg(long, conflicts_with = "offline")]
    save: bool,
    /// Write the plan as JUnit XML, too: a suite per phase, a case per step
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The plan as the shell commands that a person would type as root, for the night when this program is broken
    #[arg(long, conflicts_with_all = ["json", "save"])]
    by_hand: bool,
    /// Read up to 256 MB of the largest data set, for 3 s at most, to learn what the disk gives
    #[arg(long, conflicts_with = "offline")]
    probe_disk: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// A runbook with its rehearsal.
pub(super) struct Rehearsal {
    pub(super) loaded: Loaded,
    pub(super) rehearsed: Rehearsed,
    pub(super) verdict: Verdict,
}

impl Plan {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        commands_are_of(Typed { runbook: self.name.clone(), facts: self.offline.clone(), later: self.at.is_some() });
        if let Some(path) = &self.offline {
            return self.offline(desk, path).await;
        }
        let source = read(&desk.site, &self.name, true)?;
        let loaded = check::load(desk, &source)?;
        let rehearsal = look(desk, loaded, self.at.as_deref(), self.probe_disk).await?;
        if let Some(path) = &self.junit {
            write_junit(path, &rehearsal.rehearsed.plan)?;
        }
        if self.by_hand {
            return rehearsal.by_hand(desk, self.detailed_exitcode);
        }
        let exit = rehearsal.tell(desk, self.detailed_exitcode)?;
        if self.save {
            saved_plan::save(desk, &source, &rehearsal)?;
        }
        Ok(exit)
    }

    /// No machine at all: the facts are asked, and their time is now.
    async fn offline(&self, desk: &Desk, path: &Path) -> Result<Exit, Failure> {
        let source = offline::source(&desk.site, &self.name)?;
        let loaded = check::load(desk, &source)?;
        let facts = offline::facts(path)?;
        offline::right_facts(&loaded.runbook, &facts)?;
        let past = History { loads: facts.loads.clone(), ..History::default() };
        let host = Model::of(facts);
        let rehearsal = Rehearsal::of(desk, past, loaded, &host, self.at.as_deref()).await?;
        if let Some(path) = &self.junit {
            write_junit(path, &rehearsal.rehearsed.plan)?;
        }
        if self.by_hand {
            return rehearsal.by_hand(desk, self.detailed_exitcode);
        }
        rehearsal.tell(desk, self.detailed_exitcode)
    }
}

/// Writes what a CI server reads; also for a plan that is refused, which is what it is for.
fn write_junit(path: &Path, plan: &Planned) -> Result<(), Failure> {
    let xml = crate::report::junit(plan).map_err(|error| Failure::new(Exit::Bug, error))?;
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Storage, anyhow::Error::new(error).context(format!("cannot write {}", path.display())))
    };
    write_named(path, xml.as_bytes()).map_err(failed)
}

/// Writes a file that the operator named: not through a link that somebody else may have left there, nor into a FIFO that
/// nobody reads. `/dev/stdout` is a link, and means what it says.
fn write_named(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let own = ["/dev", "/proc"].iter().any(|dir| path.starts_with(dir));
    let strict = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = if own { 0 } else { strict.bits().cast_signed() };
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
}

/// Rehearses and shows; the whole of `plan` and of `run --dry-run`.
pub(super) async fn show(desk: &Desk, loaded: Loaded, at: Option<&str>, detailed: bool) -> Result<Exit, Failure> {
    look(desk, loaded, at, false).await?.tell(desk, detailed)
}

/// Rehearses on this machine.
async fn look(desk: &Desk, loaded: Loaded, at: Option<&str>, probe_disk: bool) -> Result<Rehearsal, Failure> {
    may_begin(desk, &loaded.runbook).await?;
    let host = LocalHost::new(resume_unit::of(&desk.site, &loaded.runbook)?);
    let store = desk.site.look()?;
    let mut past = past(store.as_ref(), &loaded.runbook.name)?;
    if probe_disk {
        past.disk_rate = disk_rate(desk, &loaded.runbook, &host).await;
    }
    Rehearsal::of(desk, past, loaded, &host, at).await
}

/// A probe reads for three seconds; what a slow disk needs beside that.
const PROBE: Duration = Duration::from_secs(20);

/// What the disk gives of the largest data set; says so, because it is read for it.
async fn disk_rate(desk: &Desk, runbook: &Runbook, host: &dyn Probe) -> Option<f64> {
    let mut largest: Option<AofFiles> = None;
    for instance in runbook.inventory.redis.values() {
        let seen = host.redis(&instance.at()).await.ok();
        let files = seen.and_then(|seen| seen.facts).and_then(|facts| facts.files);
        largest = largest.into_iter().chain(files).max_by_key(AofFiles::bytes);
    }
    let files = largest?;
    let dir = std::path::PathBuf::from(&files.dir);
    let rate = off_thread::within(PROBE, &dir, move || read_rate(&files)).await.ok().flatten();
    desk.screen.talk(&match rate {
        Some(rate) => format!("The disk gives {} of Redis's files a second.\n", crate::host::span::bytes(rate as u64)),
        None => "The disk could not be probed: the files are too small, or not readable from here.\n".to_owned(),
    });
    rate
}

/// A runbook names its hosts and is refused on any other.
pub(super) fn right_host(runbook: &Runbook) -> Result<(), Failure> {
    let here = identity()?.hostname;
    if runbook.hosts.contains(&here) {
        return Ok(());
    }
    let text = format!("{} is for {}, and this host is {here}", runbook.name, runbook.hosts.join(", "));
    Err(Failure::say(Exit::Refused, text).hint("`hosts:` compares with the full output of `hostname`"))
}

impl Rehearsal {
    /// Asks the machine and walks the steps over the model of it.
    pub(super) async fn of(
        desk: &Desk,
        history: History,
        loaded: Loaded,
        host: &dyn Probe,
        at: Option<&str>,
    ) -> Result<Self, Failure> {
        let now = host.now();
        let starts_at = match at {
            Some(text) => start(text, now, &loaded.runbook)?,
            None => now,
        };
        let rehearsed = rehearse(&loaded, host, desk.site.nearest(), &history, starts_at).await;
        let verdict = judge(&rehearsed.plan, loaded.runbook.window.as_ref());
        Ok(Self { loaded, rehearsed, verdict })
    }

    /// Shows the plan as a result, with the exit code that judges it.
    fn tell(&self, desk: &Desk, detailed: bool) -> Result<Exit, Failure> {
        self.show(desk, true);
        self.allowed(false)?;
        Ok(if detailed && self.rehearsed.plan.changes_anything() { Exit::Changes } else { Exit::Done })
    }

    /// Prints the sheet as a result, with the exit code that judges the plan.
    fn by_hand(&self, desk: &Desk, detailed: bool) -> Result<Exit, Failure> {
        let Rehearsed { plan, facts } = &self.rehearsed;
        desk.screen.result(&crate::report::by_hand(plan, &self.loaded.runbook, facts));
        self.allowed(false)?;
        Ok(if detailed && plan.changes_anything() { Exit::Changes } else { Exit::Done })
    }

    /// Shows the plan: as the result of `plan`, as talk before a question.
    pub(super) fn show(&self, desk: &Desk, result: bool) {
        desk.screen.plan(&self.rehearsed.plan, &self.loaded.runbook, &self.verdict, result);
    }

    /// Whether a run may start: refused steps first, then what could not be seen, then the window.
    pub(super) fn allowed(&self, ignore_window: bool) -> Result<(), Failure> {
        allowed(&self.rehearsed.plan, &self.verdict, &self.loaded.runbook, ignore_window)
    }
}

/// Whether a run may start: refused steps first, then what could not be seen, then the window.
pub(super) fn allowed(
    plan: &Planned,
    verdict: &Verdict,
    runbook: &Runbook,
    ignore_window: bool,
) -> Result<(), Failure> {
    let refused: Vec<&str> = plan.refused().map(|step| step.id.as_str()).collect();
    if !refused.is_empty() {
        let again = [cure(plan), call_on("plan", &runbook.name, "")].into_iter().filter(|line| !line.is_empty());
        let again = again.collect::<Vec<_>>().join("\n  ");
        let text = format!("refused at {}: {}nothing was changed", refused.join(", "), first_reason(plan));
        return Err(Failure::say(Exit::Refused, text).hint(again));
    }
    let unseen = unseen(plan);
    if !unseen.is_empty() {
        let text =
            format!("the plan is incomplete, because a probe failed; nothing was changed. {}", unseen.join("; "));
        return Err(Failure::say(Exit::Unforeseen, text).hint(call_on("doctor", &runbook.name, "")));
    }
    if verdict.allows() || ignore_window {
        return Ok(());
    }
    let text = outside(plan, verdict, runbook);
    let next = onward(plan, runbook, verdict).command;
    let all_the_same = "--ignore-window REASON runs all the same; the reason goes into the report";
    Err(Failure::say(Exit::Window, text).hint(format!("{next}\n  {all_the_same}")))
}

/// Each reason why something could not be looked at, with the steps that it keeps from being planned.
fn unseen(plan: &Planned) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for step in plan.unforeseen() {
        let why = step.unforeseen.as_deref().unwrap_or_default();
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, steps)) => steps.push(step.id.as_str()),
            None => reasons.push((why, vec![step.id.as_str()])),
        }
    }
    reasons.into_iter().map(|(why, steps)| format!("{}: {why}", steps.join(", "))).collect()
}

/// What forbids the run, in front: the first of all reasons, because the later ones are often its consequences.
fn first_reason(plan: &Planned) -> String {
    let stops = || plan.steps.iter().flat_map(|step| &step.change.concerns).filter(|one| one.weight == Weight::Stop);
    let more = match stops().count().saturating_sub(1) {
        0 => String::new(),
        n => format!(" (and {n} more, shown above)"),
    };
    stops().next().map_or_else(String::new, |one| format!("{}: {}{more}; ", one.about, one.seen))
}

/// Its cure, to be read before the plan is asked for again.
fn cure(plan: &Planned) -> String {
    let mut concerns = plan.steps.iter().flat_map(|step| &step.change.concerns);
    concerns.find(|one| one.weight == Weight::Stop).map_or_else(String::new, |one| one.cure.clone())
}

fn outside(plan: &Planned, verdict: &Verdict, runbook: &Runbook) -> String {
    let zone = runbook.window.as_ref().map_or(TimeZone::UTC, |window| window.timezone.clone());
    match verdict {
        Verdict::Closed { opens } => {
            format!("the window is closed; it opens {}", opens.to_zoned(zone).strftime("%a %F %H:%M %Z"))
        }
        Verdict::TooLong { late, longest, .. } => {
            let late = crate::host::span::words(Duration::try_from_secs_f64(*late).unwrap_or_default());
            let takes = crate::host::span::words(plan.takes().at_worst());
            format!(
                "it does not fit the window: {takes} on a slow night, {late} too long; phase {} takes most of it",
                longest.0
            )
        }
        _ => "the window does not allow it".into(),
    }
}

/// How long the steps took in past runs, and the loads that were measured there.
pub(super) fn past(store: Option<&Store>, runbook: &str) -> Result<History, Failure> {
    let Some(store) = store else {
        return Ok(History::default());
    };
    let seconds = |all: Vec<u64>| all.into_iter().map(|ms| Duration::from_millis(ms).as_secs_f64()).collect();
    let durations = store.durations(runbook)?;
    let steps = durations.steps.into_iter().map(|(step, all)| (step.as_str().to_owned(), seconds(all))).collect();
    let of_a_step = |items: BTreeMap<String, Vec<u64>>| items.into_iter().map(|(item, all)| (item, seconds(all)));
    let items = durations.items.into_iter().map(|(step, items)| (step.as_str().to_owned(), of_a_step(items).collect()));
    Ok(History { steps, items: items.collect(), loads: store.loads()?, disk_rate: None })
}

//! Workers: this test binary again, each in namespaces with a world of its own, drawing its points one by one.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::points::{Point, survey};
use crate::rig::Rig;
use crate::shots::Scenario;
use crate::tier::Tier;
use crate::{cuts, errnos, full_disk, kills, one_shots};

/// How many sandboxes work side by side: many more than cores, because a run spends most of its time waiting, above all for
/// services that it has started to stay up. Each begins with a reference run, so a sample is dealt to few.
pub(crate) fn workers(tier: Tier) -> usize {
    match tier {
        Tier::Quick => 6,
        Tier::Full => 16,
    }
}

const JOB: &str = "RUNBOOK_RELIABILITY_JOB";

/// What a worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Finds the points.
    Survey,
    /// Kills at each point.
    Kills,
    /// Kills in two sittings of the same run.
    DoubleKills { seed: u64 },
    /// Cuts the power at each sync.
    Cuts { syncs: bool },
    /// Makes calls fail.
    Errnos { names: Vec<String> },
    /// Fills the disk.
    FullDisk,
    /// Finds the syncs of a runbook of one-shot commands.
    ShotSurvey { scenario: Scenario },
    /// Kills such a run at each sync.
    Shots { scenario: Scenario },
    /// Kills and stops such runs at random.
    ShotStops { seed: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    job: Job,
    points: Vec<Point>,
    report: PathBuf,
}

/// What a worker has found; sums, peaks, and what must not be.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) peaks: BTreeMap<String, u64>,
    pub(crate) bad: Vec<String>,
    pub(crate) points: Vec<Point>,
}

impl Report {
    pub(crate) fn add(&mut self, key: &str, more: u64) {
        *self.counts.entry(key.to_owned()).or_default() += more;
    }

    pub(crate) fn peak(&mut self, key: &str, value: u64) {
        let peak = self.peaks.entry(key.to_owned()).or_default();
        *peak = value.max(*peak);
    }

    pub(crate) fn count(&self, key: &str) -> u64 {
        self.counts.get(key).copied().unwrap_or(0)
    }

    fn merge(&mut self, other: Self) {
        for (key, value) in other.counts {
            self.add(&key, value);
        }
        for (key, value) in other.peaks {
            self.peak(&key, value);
        }
        self.bad.extend(other.bad);
        self.points.extend(other.points);
    }
}

/// The points of the reference run, looked for once.
pub(crate) fn points() -> &'static [Point] {
    static POINTS: OnceLock<Vec<Point>> = OnceLock::new();
    POINTS.get_or_init(|| work(&Job::Survey, &[], 0, 1).points)
}

/// The tickets of a job, numbers from 0: every worker draws its next one from the same pipe, so that none is idle while
/// others still have many.
pub(crate) struct Tickets(File);

impl Tickets {
    fn print(count: usize) -> PipeReader {
        // All of them fit into the pipe, and nothing else is ever written to it.
        assert!(count <= 1 << 14, "{count} tickets");
        let (drawn, mut printed) = std::io::pipe().unwrap();
        for ticket in 0..u32::try_from(count).unwrap() {
            printed.write_all(&ticket.to_ne_bytes()).unwrap();
        }
        drawn
    }
}

impl Iterator for Tickets {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let mut ticket = [0; 4];
        self.0.read_exact(&mut ticket).ok()?;
        usize::try_from(u32::from_ne_bytes(ticket)).ok()
    }
}

/// Lets `workers` draw `count` tickets, waits, and adds up what they found.
pub(crate) fn work(job: &Job, points: &[Point], count: usize, workers: usize) -> Report {
    let base = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tickets = Tickets::print(count);
    let mut running = Vec::new();
    for worker in 0..workers {
        let report = base.path().join(format!("report-{worker}"));
        let order = Order { job: job.clone(), points: points.to_vec(), report: report.clone() };
        let path = base.path().join(format!("order-{worker}"));
        std::fs::write(&path, serde_json::to_vec(&order).unwrap()).unwrap();
        let mut command = sandbox();
        command.args(["--exact", "worker::worker", "--nocapture", "--test-threads=1"]).env(JOB, &path);
        command.stdin(tickets.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        running.push((command.spawn().unwrap(), report));
    }
    let mut all = Report::default();
    for (child, report) in running {
        let output = child.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "a worker failed: {}\n{out}\n{err}", output.status);
        all.merge(serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap());
    }
    all
}

/// This program in a sandbox. It has processes of its own, too: the program under test looks through all that there are,
/// and must neither find the other workers' nor be held up by their number.
fn sandbox() -> Command {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability/fixtures");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]);
    command.args(["--pid", "--mount-proc", "--kill-child", "sh"]).arg(fixtures.join("sandbox.sh"));
    command.arg(env!("CARGO_BIN_EXE_runbook")).arg(&fixtures).arg(std::env::current_exe().unwrap());
    command
}

/// Not a test: what a worker runs.
#[test]
fn worker() {
    let Some(path) = std::env::var_os(JOB) else { return };
    let order: Order = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tickets = Tickets(File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap()));
    let rig = Rig::new();
    let mut report = Report::default();
    match order.job {
        Job::Survey => report.points = survey(&rig),
        Job::Kills => kills::single(&rig, tickets.map(|n| &order.points[n]), &mut report),
        Job::DoubleKills { seed } => kills::double(&rig, &order.points, tickets, seed, &mut report),
        Job::Cuts { syncs } => cuts::cut(&rig, tickets.map(|n| &order.points[n]), syncs, &mut report),
        Job::Errnos { names } => errnos::inject(&rig, &order.points, &names, tickets, &mut report),
        Job::FullDisk => full_disk::run(&rig, &mut report),
        Job::ShotSurvey { scenario } => report.points = one_shots::survey(&rig, scenario),
        Job::Shots { scenario } => one_shots::kill(&rig, scenario, tickets.map(|n| &order.points[n]), &mut report),
        Job::ShotStops { seed } => one_shots::stop(&rig, tickets, seed, &mut report),
    }
    std::fs::write(order.report, serde_json::to_vec(&report).unwrap()).unwrap();
}

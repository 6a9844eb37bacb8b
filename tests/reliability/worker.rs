//! Workers: this test binary again, each in a mount namespace with a world of its own, doing its share of the points.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::points::{Point, survey};
use crate::rig::Rig;
use crate::{cuts, errnos, full_disk, kills};

/// How many sandboxes work side by side: more than cores, because a run spends half of its time waiting, above all for
/// services that it has started to stay up.
pub(crate) const WORKERS: usize = 6;

const JOB: &str = "RUNBOOK_RELIABILITY_JOB";

/// What a worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Finds the points.
    Survey,
    /// Kills at each point.
    Kills,
    /// Kills in two sittings of the same run, so often.
    DoubleKills { rounds: u64, seed: u64 },
    /// Cuts the power at each sync.
    Cuts { syncs: bool },
    /// Makes calls fail.
    Errnos { names: Vec<String> },
    /// Fills the disk.
    FullDisk,
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
    POINTS.get_or_init(|| work(&Job::Survey, &[], 1).points)
}

/// Deals the points out to the workers, waits, and adds up what they found.
pub(crate) fn work(job: &Job, points: &[Point], workers: usize) -> Report {
    let base = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut running = Vec::new();
    for worker in 0..workers {
        let report = base.path().join(format!("report-{worker}"));
        let share = points.iter().skip(worker).step_by(workers).cloned().collect();
        let mut job = job.clone();
        if let Job::DoubleKills { rounds, seed } = &mut job {
            *rounds = rounds.div_ceil(workers as u64);
            *seed += worker as u64;
        }
        let order = Order { job, points: share, report: report.clone() };
        let path = base.path().join(format!("order-{worker}"));
        std::fs::write(&path, serde_json::to_vec(&order).unwrap()).unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability/fixtures");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "unshare", "-m", "--propagation", "private", "sh"])
            .arg(fixtures.join("sandbox.sh"));
        command.arg(env!("CARGO_BIN_EXE_runbook")).arg(&fixtures).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "worker::worker", "--nocapture", "--test-threads=1"]).env(JOB, &path);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        running.push((child, report));
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

/// Not a test: what a worker runs.
#[test]
fn worker() {
    let Some(path) = std::env::var_os(JOB) else { return };
    let order: Order = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let rig = Rig::new();
    let mut report = Report::default();
    match order.job {
        Job::Survey => report.points = survey(&rig),
        Job::Kills => kills::single(&rig, &order.points, &mut report),
        Job::DoubleKills { rounds, seed } => kills::double(&rig, &order.points, rounds, seed, &mut report),
        Job::Cuts { syncs } => cuts::cut(&rig, &order.points, syncs, &mut report),
        Job::Errnos { names } => errnos::inject(&rig, &order.points, &names, &mut report),
        Job::FullDisk => full_disk::run(&rig, &mut report),
    }
    std::fs::write(order.report, serde_json::to_vec(&report).unwrap()).unwrap();
}

//! Limits of memory that the kernel keeps: the program inside of a control group, each with a control that is killed in it. Inside the
//! lab's hosts a unit's limits bind nothing where this machine still has the old hierarchy, so groups are made outside.
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, hostname, told};
use super::bounds::{DAEMONS, daemon, me};
use super::{fakes, figure};

const RUNBOOK: &str = env!("CARGO_BIN_EXE_runbook");

/// The limit of memory binds from outside, too: with a control group of 64 MiB around it, the program is not killed, and what takes
/// a hundred is. Where no group can be made, nothing is shown here.
#[test]
fn sixty_four_mebibytes_are_enough() {
    let Some(group) = Group::new(64 << 20) else { return figure("skipped: no memory cgroup can be made here") };
    group.control();
    for (what, code, flood) in DAEMONS.into_iter().take(11) {
        let bench = Bench::new();
        daemon(&bench.path("bad"), flood);
        let phases = "  - name: save\n    steps:\n      - pm2_saved: { pm2: bad, allow_fewer: true }\n";
        let book = bench.file("one.yaml", &runbook(&[bench.path("bad")], phases));
        let output = group.run(&[RUNBOOK, "plan", &book], &bench.path("state"));
        assert_eq!(output.status.code(), Some(code), "{what}: {}", told(&output));
    }
    figure("bounds: eleven hostile daemons inside of 64 MiB, and a control that was killed");
}

/// What the resume unit allows suffices for a resume among neighbours that turned hostile while the machine was down, and binds what
/// runs away. The figure is taken from the unit as it is installed.
#[test]
fn the_limit_of_the_resume_unit_binds_and_suffices() {
    let Some(group) = Group::new(limit_of_the_unit()) else {
        return figure("skipped: no memory cgroup can be made here");
    };
    group.control();
    for (what, _, flood) in DAEMONS.into_iter().take(10) {
        let bench = Bench::new();
        let (bad, good, state) = (bench.path("bad"), bench.path("good"), bench.path("state"));
        for home in [&bad, &good] {
            std::fs::create_dir_all(home).unwrap();
            let listed = json!([fakes::app("healthy-one", 0, "/dev/null", json!({ "NODE_ENV": "production" }))]);
            fakes::pm2(home, Box::new(move |method, _| fakes::daemon(method, &listed, "no")));
        }
        let go = bench.path("go");
        let phases = format!(
            "  - name: a\n    steps:\n      - command: {{ argv: [/usr/bin/test, -e, {}], repeatable: true }}\n      \
             - {{ pm2_saved: {{ pm2: good }} }}\n      - {{ pm2_saved: {{ pm2: bad }} }}\n",
            go.display()
        );
        let book = bench.file("two.yaml", &runbook(&[bad.clone(), good], &phases));
        let began = group.run(&[RUNBOOK, "run", &book, "--yes"], &state);
        assert_eq!(began.status.code(), Some(1), "{what}: {}", told(&began));
        std::fs::write(&go, "").unwrap();
        std::fs::remove_file(bad.join("rpc.sock")).unwrap();
        daemon(&bad, flood);
        let resumed = group.run(&[RUNBOOK, "resume", "--yes"], &state);
        let said = told(&resumed);
        assert_eq!(resumed.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("a/3") && said.contains("bad"), "{what}: {said}");
        let report = group.run(&[RUNBOOK, "report", "--format", "json"], &state);
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(report.contains("a/2"), "{what}: {report}");
    }
    figure("bounds: ten resumes inside of what the resume unit allows, and a control that was killed");
}

fn runbook(homes: &[PathBuf], phases: &str) -> String {
    let places = ["bad", "good"].iter().zip(homes);
    let places: String =
        places.map(|(name, home)| format!("  {name}: {{ user: {}, home: {} }}\n", me(), home.display())).collect();
    format!("version: 1\nname: limits\nhosts: [{}]\npm2:\n{places}phases:\n{phases}", hostname())
}

/// `MemoryMax=` of the unit, in bytes.
fn limit_of_the_unit() -> u64 {
    let bench = Bench::new();
    let mut command = Command::new(RUNBOOK);
    command.args(["install-resume-unit", "--print"]).env("RUNBOOK_STATE_DIR", bench.path("state")).stdin(Stdio::null());
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let limit = text.lines().find_map(|line| line.strip_prefix("MemoryMax=")?.strip_suffix('M'));
    limit.unwrap_or_else(|| panic!("no limit: {text}")).parse::<u64>().unwrap() << 20
}

/// A control group with a limit of memory, of the old hierarchy or the new one.
struct Group {
    dir: PathBuf,
    bytes: u64,
}

impl Group {
    fn new(bytes: u64) -> Option<Self> {
        for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let dir = Path::new(root).join(format!("runbook-test-{}-{bytes}", std::process::id()));
            if std::fs::create_dir(&dir).is_ok() {
                let group = Self { dir, bytes };
                if std::fs::write(group.dir.join(limit), bytes.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    /// What takes half as much again is killed.
    fn control(&self) {
        let more = (self.bytes / 2 * 3).to_string();
        let script = format!("head -c {more} /dev/zero | tail -c {more} | wc -c");
        let said = self.run(&["/bin/sh", "-c", &script], Path::new("/"));
        assert_ne!(String::from_utf8_lossy(&said.stdout).trim(), more, "the limit does not bind");
    }

    fn run(&self, argv: &[&str], state: &Path) -> Output {
        let script = format!("echo $$ > {}/cgroup.procs || exit 99; exec \"$@\"", self.dir.display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, "sh"]).args(argv).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("RUNBOOK_STATE_DIR", state).env("RUNBOOK_LOCK", state.with_extension("lock")).stdin(Stdio::null());
        command.output().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes leave a moment after they were waited for.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

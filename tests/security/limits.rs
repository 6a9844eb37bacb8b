//! Limits of memory that the kernel keeps: the program inside of a control group, each with a control that is killed in it. Inside the
//! lab's hosts a unit's limits bind nothing where this machine still has the old hierarchy, so groups are made outside.
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use runbook::host::pm2::Status;
use serde_json::json;

use super::bed::Bed;
use super::bench::{Bench, hostname, told};
use super::bounds::{DAEMONS, Flood, daemon, me};
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

/// What the units allow suffices to bring apps back among neighbours that turned hostile while the machine was down, for the resume unit and
/// for the one that opens the host when that failed, and binds what runs away. The figures are taken from the units as they are installed,
/// the words of the command line from their `ExecStart=`, and whether the app is back from its own daemon.
#[test]
fn the_limits_of_both_units_bind_and_suffice_to_bring_apps_back() {
    let Some(bed) = Bed::new("6.0.14") else { return };
    bed.steer(async |steer| steer.start_new(&bed.recipe("healthy", &json!({}))).await.unwrap());
    // The second unit gives a silent daemon ten seconds each time, so it is tried with every third.
    for ((unit, limits, words), every) in units().into_iter().zip([1, 3]) {
        let Some(group) = Group::with(limits) else { return figure("skipped: no control group can be made here") };
        group.control();
        for (what, _, flood) in DAEMONS.into_iter().take(10).step_by(every) {
            let said = brought_back(&bed, &group, &words, flood);
            assert_eq!(online(&bed), ["healthy"], "{unit}, {what}: {said}");
        }
        figure(&format!("bounds: apps brought back inside of what {unit:?} allows, and controls that were ended"));
    }
}

/// A run whose services are down goes on as the unit would, after a neighbour has turned hostile; what it said.
fn brought_back(bed: &Bed, group: &Group, words: &[String], flood: Flood) -> String {
    let bench = Bench::new();
    let (bad, state) = (bench.path("bad"), bench.path("state"));
    std::fs::create_dir_all(&bad).unwrap();
    let listed = json!([fakes::app("neighbour", 0, "/dev/null", json!({ "NODE_ENV": "production" }))]);
    fakes::pm2(&bad, Box::new(move |method, _| fakes::daemon(method, &listed, "no")));
    let go = bench.path("go");
    let phases = format!(
        "  - name: a\n    steps:\n      - {{ pm2_saved: {{ pm2: bad }} }}\n      - {{ pm2_saved: {{ pm2: good }} }}\n      \
         - {{ pm2_stopped: {{ pm2: good }} }}\n      - command: {{ argv: [/usr/bin/test, -e, {}], repeatable: true }}\n  \
         - name: b\n    steps:\n      - {{ pm2_restored: {{ pm2: good }} }}\n      - {{ pm2_restored: {{ pm2: bad }} }}\n",
        go.display()
    );
    let book = bench.file("two.yaml", &runbook(&[bad.clone(), bed.at.home.clone()], &phases));
    let began = group.run(&[RUNBOOK, "run", &book, "--yes"], &state);
    assert_eq!((began.status.code(), online(bed).len()), (Some(1), 0), "{}", told(&began));
    std::fs::write(&go, "").unwrap();
    std::fs::remove_file(bad.join("rpc.sock")).unwrap();
    daemon(&bad, flood);
    let words: Vec<&str> = [RUNBOOK].into_iter().chain(words.iter().map(String::as_str)).collect();
    let resumed = group.run(&words, &state);
    // The neighbour's own apps are what is missing, and nothing else.
    assert!(matches!(resumed.status.code(), Some(1 | 21)), "{}", told(&resumed));
    let named =
        ["FAILED   b/2", "in BAD: getMonitorData"].map(|words| words.replace("BAD", &bad.display().to_string()));
    assert!(named.iter().any(|words| told(&resumed).contains(words)), "{}", told(&resumed));
    told(&resumed)
}

/// The apps that run, as the daemon itself tells them.
fn online(bed: &Bed) -> Vec<String> {
    let apps = bed.list();
    apps.iter().filter(|app| app.status == Status::Online).map(|app| app.key.name.clone()).collect()
}

fn runbook(homes: &[PathBuf], phases: &str) -> String {
    let places = ["bad", "good"].iter().zip(homes);
    let places: String =
        places.map(|(name, home)| format!("  {name}: {{ user: {}, home: {} }}\n", me(), home.display())).collect();
    format!("version: 1\nname: limits\nhosts: [{}]\npm2:\n{places}phases:\n{phases}", hostname())
}

/// Both units as they are installed: the name, the limits, and the words behind the state directory.
fn units() -> Vec<(String, Limits, Vec<String>)> {
    let bench = Bench::new();
    let mut command = Command::new(RUNBOOK);
    command.args(["install-resume-unit", "--print"]).env("RUNBOOK_STATE_DIR", bench.path("state")).stdin(Stdio::null());
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let texts: Vec<&str> = text.split("\n# runbook-").collect();
    assert_eq!(texts.len(), 2, "{text}");
    let unit = |text: &&str| {
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}: {text}"))
        };
        let words = value("ExecStart=").split_whitespace().skip(3).map(str::to_owned).collect();
        let bytes = value("MemoryMax=").strip_suffix('M').unwrap().parse::<u64>().unwrap() << 20;
        let limits = Limits { bytes, tasks: Some(value("TasksMax=").parse().unwrap()) };
        (value("Description=").to_owned(), limits, words)
    };
    texts.iter().map(unit).collect()
}

/// What a control group allows.
#[derive(Clone, Copy)]
struct Limits {
    bytes: u64,
    tasks: Option<u64>,
}

/// Control groups with these limits, of the old hierarchy (one for each kind) or the new one.
struct Group {
    dirs: Vec<PathBuf>,
    limits: Limits,
}

impl Group {
    fn new(bytes: u64) -> Option<Self> {
        Self::with(Limits { bytes, tasks: None })
    }

    fn with(limits: Limits) -> Option<Self> {
        let mut group = Self { dirs: Vec::new(), limits };
        let kinds = [
            ("memory", ["memory.limit_in_bytes", "memory.max"], Some(limits.bytes)),
            ("pids", ["pids.max"; 2], limits.tasks),
        ];
        for (kind, [old, new], value) in kinds {
            let Some(value) = value else { continue };
            let (root, file) = match Path::new("/sys/fs/cgroup").join(kind) {
                root if root.is_dir() => (root, old),
                _ => ("/sys/fs/cgroup".into(), new),
            };
            let dir = root.join(format!("runbook-test-{}-{}", std::process::id(), limits.bytes));
            let made = dir.is_dir() || std::fs::create_dir(&dir).is_ok();
            if made && !group.dirs.contains(&dir) {
                group.dirs.push(dir.clone());
            }
            std::fs::write(dir.join(file), value.to_string()).ok()?;
        }
        Some(group)
    }

    /// What takes half as much again is ended, of memory and of tasks.
    fn control(&self) {
        let more = (self.limits.bytes / 2 * 3).to_string();
        let script = format!("head -c {more} /dev/zero | tail -c {more} | wc -c");
        let said = self.run(&["/bin/sh", "-c", &script], Path::new("/"));
        assert_ne!(String::from_utf8_lossy(&said.stdout).trim(), more, "the limit of memory does not bind");
        let Some(tasks) = self.limits.tasks else { return };
        let script = format!("for n in $(seq {}); do sleep 3 & done; echo all", tasks / 2 * 3);
        let said = self.run(&["/bin/sh", "-c", &script], Path::new("/"));
        assert_ne!(String::from_utf8_lossy(&said.stdout).trim(), "all", "the limit of tasks does not bind");
        std::thread::sleep(Duration::from_secs(4));
    }

    fn run(&self, argv: &[&str], state: &Path) -> Output {
        let joins: String =
            self.dirs.iter().map(|dir| format!("echo $$ > {}/cgroup.procs || exit 99; ", dir.display())).collect();
        let script = format!("{joins}exec \"$@\"");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, "sh"]).args(argv).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("RUNBOOK_STATE_DIR", state).env("RUNBOOK_LOCK", state.with_extension("lock")).stdin(Stdio::null());
        command.output().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes leave a moment after they were waited for.
        for dir in &self.dirs {
            for _ in 0..50 {
                if std::fs::remove_dir(dir).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

//! Whole runs against real PM2: what ran comes back, once, in order; what was stopped stays stopped; what is broken is
//! named. Scenarios are drawn from seeds; the program or the daemon is killed in the middle of a wave in some of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::disallowed_methods, reason = "a test waits for another process")]
use std::collections::BTreeMap;
use std::time::Duration;

use runbook::action::inventory::AtBoot;
use runbook::action::process_list::names;
use runbook::host::pm2::{App, RunBy, Status};
use serde_json::{Value, json};

use crate::support::pm2::{Bed, hard, kill, skipped};
use crate::support::program::{Place, Said, hostname};

/// Numbers that follow from a seed (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// What is wrong with an app after the window began.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Crashes,
    NoScript,
    NoFolder,
    NoInterpreter,
}

/// One app of a scenario.
#[derive(Debug)]
struct Planned {
    name: String,
    key: String,
    online: bool,
    fault: Fault,
    settings: Value,
}

/// The apps of a scenario: `ids-*` start first, `api-*` need them, the rest comes last.
fn planned(seed: u64, dir: &std::path::Path) -> Vec<Planned> {
    let mut dice = Dice::new(seed);
    let count = 6 + dice.below(9);
    let mut all = Vec::new();
    for n in 0..count {
        let group = ["ids", "api", "misc"][usize::try_from(dice.below(3)).unwrap()];
        // Some names occur twice.
        let name = format!("{group}-{}", if dice.percent(12) { n / 2 } else { n });
        let key = format!("{name}.{n}");
        let mut settings = json!({ "env": { "LEDGER_KEY": key, "WAITS": dice.below(300).to_string() } });
        if dice.percent(25) {
            settings["namespace"] = "eu".into();
        }
        if dice.percent(25) {
            settings["NODE_APP_INSTANCE"] = dice.below(3).into();
        }
        if dice.percent(20) {
            settings["wait_ready"] = true.into();
            settings["env"]["SAYS_READY"] = "1".into();
        }
        if dice.percent(10) && settings.get("wait_ready").is_none() {
            settings["exec_mode"] = "cluster_mode".into();
        }
        let online = dice.percent(80);
        let broken = online && dice.percent(10) && settings.get("exec_mode").is_none();
        let faults = [Fault::Crashes, Fault::NoScript, Fault::NoFolder, Fault::NoInterpreter];
        let fault = if broken { faults[usize::try_from(dice.below(4)).unwrap()] } else { Fault::None };
        match fault {
            Fault::NoScript => {
                std::fs::copy(dir.join("app.js"), dir.join(format!("{key}.js"))).unwrap();
                settings["pm_exec_path"] = json!(dir.join(format!("{key}.js")));
            }
            Fault::NoFolder => {
                std::fs::create_dir_all(dir.join("cwd").join(&key)).unwrap();
                settings["pm_cwd"] = json!(dir.join("cwd").join(&key));
            }
            Fault::NoInterpreter => {
                std::os::unix::fs::symlink("/usr/bin/node", dir.join(format!("node-{key}"))).unwrap();
                settings["exec_interpreter"] = json!(dir.join(format!("node-{key}")));
            }
            Fault::None | Fault::Crashes => {}
        }
        all.push(Planned { name, key, online, fault, settings });
    }
    all
}

/// A daemon with the planned apps, and the runbook that takes them down and up again.
struct Scene {
    bed: Bed,
    place: Place,
    book: String,
    planned: Vec<Planned>,
    before: Vec<App>,
    boot: AtBoot,
}

impl Scene {
    fn new(version: &str, seed: u64, boot: AtBoot) -> Option<Self> {
        let bed = Bed::new(version)?;
        let mut planned = planned(seed, bed.path());
        if boot == AtBoot::Resurrects {
            // What the program must repair then is not what is broken in the apps.
            planned.iter_mut().for_each(|app| app.fault = Fault::None);
        }
        bed.steer(async |steer| {
            for app in &planned {
                let recipe = bed.recipe(&app.name, &app.settings);
                let added = if app.online { steer.start_new(&recipe).await } else { steer.register(&recipe).await };
                added.unwrap_or_else(|error| panic!("seed {seed}, {}: {error}", app.key));
            }
        });
        let before = bed.list();
        let place = Place::new();
        let book = place.file("window.yaml", &window(&bed, seed, boot));
        Some(Self { bed, place, book, planned, before, boot })
    }

    /// What breaks between the save and the restore, and how the daemon ends: the script that the runbook runs.
    fn break_apps(&self, resurrects: bool) {
        let dir = self.bed.path();
        let mut script = String::from("#!/bin/sh\nset -eu\n");
        for app in &self.planned {
            let key = &app.key;
            script += &match app.fault {
                Fault::None => continue,
                Fault::Crashes => format!("touch {}/fault/{key}\n", dir.display()),
                Fault::NoScript => format!("rm -f {}/{key}.js\n", dir.display()),
                Fault::NoFolder => format!("rm -rf {}/cwd/{key}\n", dir.display()),
                Fault::NoInterpreter => format!("rm -f {}/node-{key}\n", dir.display()),
            };
        }
        let home = self.bed.at.home.display();
        script += &format!("kill -9 $(cat {home}/pm2.pid)\nsleep 0.3\n");
        if resurrects {
            // What the unit of a host does at its boot.
            let cli = self.bed.at.cli.as_ref().unwrap().display();
            script += &format!("PM2_HOME={home} HOME={} /usr/bin/node {cli} resurrect >/dev/null\n", dir.display());
        }
        self.bed.script("down.sh", &script);
    }

    /// A boot of a host on which PM2 starts its apps from its own dump. That has lost an app that ran, as a `pm2 kill` that is
    /// interrupted leaves it, and has another as stopped, as a shutdown that reaches the app before the daemon leaves it.
    fn boot_by_itself(&self) {
        let (dir, home) = (self.bed.path(), self.bed.at.home.display());
        let cli = self.bed.at.cli.as_ref().unwrap().display();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(runbook::host::pm2::save(&self.bed.at, &RunBy::child())).unwrap();
        let mut ran = self.planned.iter().filter(|app| app.online).map(|app| app.key.as_str());
        let edit = format!(
            "const fs = require('fs'), dump = '{home}/dump.pm2', key = entry => entry.env.LEDGER_KEY;\n\
             const entries = JSON.parse(fs.readFileSync(dump)).filter(entry => key(entry) !== '{}');\n\
             for (const entry of entries) if (key(entry) === '{}') entry.status = 'stopped';\n\
             fs.writeFileSync(dump, JSON.stringify(entries));\n",
            ran.next().unwrap_or_default(),
            ran.next().unwrap_or_default(),
        );
        self.bed.script("edit.js", &edit);
        let script = format!(
            "#!/bin/sh\nset -eu\ndaemon=$(cat {home}/pm2.pid)\napps=$(ps -o pid= --ppid $daemon || true)\nkill -9 $daemon\n\
             [ -z \"$apps\" ] || kill -9 $apps || true\nsleep 0.3\n/usr/bin/node {dir}/edit.js\n\
             PM2_HOME={home} HOME={dir} /usr/bin/node {cli} resurrect >/dev/null\n",
            dir = dir.display(),
        );
        self.bed.script("down.sh", &script);
    }

    fn run(&self) -> Said {
        self.place.runbook(&["run", &self.book, "--yes", "--progress", "plain"])
    }

    /// The journal's content.
    fn journal(&self) -> String {
        let runs = std::fs::read_dir(self.place.path("state/runs")).into_iter().flatten().flatten();
        let journals = runs.filter_map(|run| std::fs::read(run.path().join("journal")).ok());
        journals.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    /// Waits until as many intents of the restore are in the journal.
    fn until_restoring(&self, intents: usize) {
        for _ in 0..1200 {
            let journal = self.journal();
            let began = journal.lines().filter(|line| line.contains("item_intent") && line.contains("restore/1"));
            if began.count() >= intents {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the restore never began: {}", self.journal());
    }

    /// Whether an app must be down because a required one of the group before it is.
    fn held(&self, app: &Planned) -> bool {
        app.name.starts_with("api-")
            && self.planned.iter().any(|a| a.name.starts_with("ids-") && a.fault != Fault::None)
    }

    /// Equality with what was before, no second start, no start through a closed gate, nothing left out in silence.
    fn judge(&self, about: &str) {
        let after = self.bed.list();
        let journal = self.journal();
        assert_eq!(
            after.len(),
            self.before.len(),
            "{about}: {:?}, not {:?}\n{journal}",
            shape(&after),
            shape(&self.before)
        );
        // Apps are told apart by their ledgers; the list has them in the order in which they were added.
        let before = self.before.iter().zip(&self.planned);
        let by_label: BTreeMap<String, (&App, &Planned)> = names(&self.before).into_iter().zip(before).collect();
        assert_eq!(by_label.len(), self.before.len(), "{about}: labels are unique");
        let mut last_id_up = 0u128;
        let mut first_api = u128::MAX;
        for (label, (before, planned)) in &by_label {
            let now = after.iter().find(|app| app.key == before.key);
            let now = now.unwrap_or_else(|| panic!("{about}: {label} is not listed"));
            let lines = self.bed.ledger(&planned.key);
            assert!(!lines.iter().any(|line| line.starts_with("DOUBLE")), "{about}: {label} ran twice: {lines:?}");
            let alive = lines.iter().filter_map(|l| l.strip_prefix("start ")?.split(' ').next()?.parse().ok());
            let alive = alive.filter(|pid| runbook::host::pm2::procs::alive(*pid)).count();
            let down = !planned.online || planned.fault != Fault::None || self.held(planned);
            assert_eq!(alive, usize::from(!down), "{about}: {label} ({:?}): {lines:?}\n{journal}", planned.fault);
            let fault = planned.fault;
            assert_eq!(
                now.status == Status::Online,
                !down,
                "{about}: {label} ({fault:?}) is {:?} (process {:?}): {lines:?}\n{journal}",
                now.status,
                now.pid
            );
            if planned.online && down {
                let item = serde_json::to_string(label).unwrap();
                let named =
                    |line: &&str| line.contains("item_done") && line.contains(&item) && line.contains("\"failed\"");
                assert!(
                    journal.lines().any(|line| named(&line)),
                    "{about}: {label} was left out in silence\n{journal}"
                );
            }
            let starts: Vec<u128> = lines
                .iter()
                .filter_map(|line| line.strip_prefix("start ")?.split(' ').nth(1)?.parse().ok())
                .skip(1)
                .collect();
            match planned.name.split('-').next() {
                Some("ids") if !down => last_id_up = last_id_up.max(starts.first().copied().unwrap_or(0)),
                Some("api") => first_api = first_api.min(starts.first().copied().unwrap_or(u128::MAX)),
                _ => {}
            }
        }
        let in_order = self.boot == AtBoot::Resurrects || first_api > last_id_up;
        assert!(in_order, "{about}: an app started through a closed gate");
    }
}

fn shape(apps: &[App]) -> Vec<(String, &str)> {
    names(apps).into_iter().zip(apps.iter().map(|app| app.status.word())).collect()
}

/// The runbook of a scene: what a window does, without the machine going down.
fn window(bed: &Bed, seed: u64, boot: AtBoot) -> String {
    let (by, stop) = match boot {
        AtBoot::Registers => ("registers", " - name: stop\n    steps:\n      - pm2_stopped: { pm2: services }\n "),
        AtBoot::Resurrects => ("resurrects", ""),
    };
    let at_once = if seed.is_multiple_of(3) { "3" } else { "auto" };
    format!(
        "version: 1\nname: window\nhosts: [{host}]\npm2:\n  services:\n    user: {user}\n    home: {home}\n    cli: {cli}\n    boot: {by}\n    groups:\n\
         \x20     - {{ name: ids, apps: [\"ids-*\"] }}\n\
         \x20     - {{ name: api, apps: [\"api-*\"], needs: {{ groups: [ids] }} }}\nphases:\n\
         \x20 - name: save\n    steps:\n      - pm2_saved: {{ pm2: services }}\n\
         \x20{stop} - name: down\n    steps:\n      - command: {{ argv: [/bin/sh, {dir}/down.sh], repeatable: true }}\n\
         \x20 - name: restore\n    steps:\n      - pm2_restored: {{ pm2: services, at_once: {at_once} }}\n        within: 2m\n\
         \x20 - name: verify\n    steps:\n      - pm2_as_saved: {{ pm2: services, tolerate: 100 }}\n        within: 2m\n",
        host = hostname(),
        user = bed.at.user,
        home = bed.at.home.display(),
        cli = bed.at.cli.as_ref().unwrap().display(),
        dir = bed.path().display(),
    )
}

/// One seeded scenario; what goes wrong in the middle follows from the seed as well.
fn play(version: &str, seed: u64, killed: Killed) {
    let Some(mut scene) = Scene::new(version, seed, AtBoot::Registers) else { return };
    let about = format!("PM2 {version}, seed {seed}, {killed:?}");
    scene.break_apps(seed.is_multiple_of(2));
    match killed {
        Killed::Nothing => {
            let said = scene.run();
            assert!([0, 11].contains(&said.code), "{about}: {said:?}\n{}", scene.journal());
        }
        Killed::Runbook => {
            let mut child = scene.place.start(&["run", &scene.book, "--yes", "--progress", "none"]);
            scene.until_restoring(3 + usize::try_from(seed % 4).unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            resume(&scene, &about);
        }
        Killed::Daemon => {
            let child = scene.place.start(&["run", &scene.book, "--yes", "--progress", "none"]);
            scene.until_restoring(4);
            std::thread::sleep(Duration::from_millis(400 * (seed % 3)));
            let daemons = scene.bed.daemons();
            kill(&daemons);
            let ended: Said = child.wait_with_output().unwrap().into();
            if ![0, 11].contains(&ended.code) {
                resume(&scene, &about);
            }
        }
    }
    scene.judge(&about);
    scene.bed.kill_daemon();
}

/// Resumes until the run is over; a daemon that died may need a second sitting.
fn resume(scene: &Scene, about: &str) {
    let mut last = None;
    for _ in 0..4 {
        let said = scene.place.runbook(&["resume", "--unattended", "--progress", "plain"]);
        if [0, 11].contains(&said.code) {
            return;
        }
        last = Some(said);
    }
    panic!("{about}: it does not come to an end: {last:?}\n{}", scene.journal());
}

#[derive(Debug, Clone, Copy)]
enum Killed {
    Nothing,
    Runbook,
    Daemon,
}

/// Plays scenarios, two at a time: each of them mostly waits.
fn play_all(scenes: Vec<(&'static str, u64, Killed)>) {
    let queue = std::sync::Mutex::new(scenes.into_iter());
    let next = || queue.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((version, seed, killed)) = next() {
                    play(version, seed, killed);
                }
            });
        }
    });
}

#[test]
fn what_ran_comes_back_once_and_in_order() {
    if crate::support::pm2::installed("7").is_none() {
        return skipped("no node or no PM2 in the lab; tests/lab/pm2.sh installs it");
    }
    let count = [3, 10, 100][hard()];
    let versions = if hard() > 0 { &["7", "6.0.14", "5.4.3", "4.5.6"][..] } else { &["7"][..] };
    let version = |n: u64| versions[usize::try_from(n).unwrap() % versions.len()];
    // A scenario that failed is played again with RUNBOOK_SEED set to its number.
    let one = std::env::var("RUNBOOK_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()?.checked_sub(1_000));
    let scenes = one.map_or(0..count, |n| n..n + 1);
    play_all(scenes.map(|n| (version(n), 1_000 + n, Killed::Nothing)).collect());
}

#[test]
fn what_pm2_resurrects_by_itself_is_compared_and_repaired() {
    let versions = if hard() > 0 { &["7", "6.0.14", "5.4.3", "4.5.6"][..] } else { &["7"][..] };
    for (version, seed) in versions.iter().zip(4_000..) {
        let Some(mut scene) = Scene::new(version, seed, AtBoot::Resurrects) else { return };
        let about = format!("PM2 {version}, seed {seed}, resurrected");
        scene.boot_by_itself();
        let said = scene.run();
        assert!([0, 11].contains(&said.code), "{about}: {said:?}");
        scene.judge(&about);
        scene.bed.kill_daemon();
    }
}

#[test]
fn a_restore_that_is_killed_in_the_middle_is_resumed_without_a_second_start() {
    if crate::support::pm2::installed("7").is_none() {
        return skipped("no node or no PM2 in the lab; tests/lab/pm2.sh installs it");
    }
    let count = [1, 3, 12][hard()];
    let both = (0..count).flat_map(|n| [("7", 2_000 + n, Killed::Runbook), ("7", 3_000 + n, Killed::Daemon)]);
    play_all(both.collect());
}

//! What makes a list slower, more fragile or different after a boot, said to the operator and never changed: the settings
//! of other people's apps are theirs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::{App, Status, Wanted, wanted};
use super::recipe::{checked, missing};
use crate::host::foreign::{named, tame};

/// Names that are told; of more only the number.
const NAMES: usize = 5;
/// Apps of which missing files are told.
const FILES: usize = 20;
/// Processor milliseconds that the agent in every app costs at each start: PM2 7, and 5 and 6 with their older one.
const AGENT_MS: (usize, usize) = (49, 125);
/// Processor milliseconds that node spends on reading extra certificates at each start.
const CERTIFICATES_MS: usize = 64;

/// One thing worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// What was seen, with names.
    pub seen: String,
    /// What to do about it, if anything.
    pub cure: String,
}

/// Apps that something is said of: as many names as are told, and how many there are.
#[derive(Debug, Clone, Default)]
struct Named {
    first: Vec<String>,
    count: usize,
}

impl Named {
    fn add(&mut self, app: &App) {
        self.add_name(&app.key.name);
    }

    fn add_name(&mut self, name: &str) {
        if self.first.len() < NAMES {
            self.first.push(name.to_owned());
        }
        self.count += 1;
    }

    fn of<'a>(apps: impl Iterator<Item = &'a App>) -> Self {
        let mut named = Self::default();
        apps.for_each(|app| named.add(app));
        named
    }

    /// `a, b and 3 more`; `None` for no apps.
    fn list(&self) -> Option<String> {
        let shown = self.first.join(", ");
        match self.count - self.first.len() {
            _ if self.count == 0 => None,
            0 => Some(shown),
            more => Some(format!("{shown} and {more} more")),
        }
    }
}

/// Everything worth knowing of a list, gathered as its entries go by: of an entry nothing stays but what is said of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Adviser {
    agents: usize,
    certificates: usize,
    cron: Named,
    clocked: Named,
    kept_down: Named,
    watched: Named,
    errored: Named,
    files: Vec<Advice>,
    starts: BTreeMap<Alike, Starts>,
}

/// Namespace, name and script: what a copy shares with the app that it is a copy of.
type Alike = (String, String, String);

/// How apps that are alike came into the list. All processes of one start bear the same `unique_id`, whatever their mode, those
/// that `pm2 scale` has added included; a second start has another one. `pm2 resurrect` starts each by itself and drops
/// `instances`: of such a list nobody can say which were started together.
#[derive(Debug, Clone, Default)]
struct Starts {
    first: String,
    another: bool,
    unknown: bool,
}

impl Starts {
    fn add(&mut self, env: &Value) {
        let text = |key: &str| env.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, declared) = (text("unique_id"), env.get("instances").is_some_and(|count| count.is_number()));
        self.unknown |= id.is_empty() || !declared;
        if self.first.is_empty() {
            self.first = named(id, 64);
        }
        self.another |= self.first != named(id, 64);
    }

    fn are_copies(&self) -> bool {
        self.another && !self.unknown
    }
}

impl Adviser {
    /// Takes one entry in, as the daemon sent it, and the app that it is. Blocking: it looks whether files are there.
    pub(super) fn see(&mut self, entry: &Value, app: &App) {
        if app.module {
            return;
        }
        let env = entry.get("pm2_env").unwrap_or(&Value::Null);
        let alike = (app.key.namespace.clone(), app.key.name.clone(), app.key.script.clone());
        self.starts.entry(alike).or_default().add(env);
        let runs = wanted(app) == Some(Wanted::Online);
        let is_node = app.interpreter.is_empty() || app.interpreter.rsplit('/').next() == Some("node");
        self.agents += usize::from(runs && is_node && env.get("pmx") != Some(&Value::Bool(false)));
        self.certificates += usize::from(runs && env.pointer("/env/NODE_EXTRA_CA_CERTS").is_some());
        for (holds, of) in [
            (app.cron.is_some() && app.status == Status::Stopped, &mut self.cron),
            (app.cron.is_some() && !app.is_down(), &mut self.clocked),
            (!app.autostart && runs, &mut self.kept_down),
            (app.watch, &mut self.watched),
            (app.status == Status::Errored, &mut self.errored),
        ] {
            if holds {
                of.add(app);
            }
        }
        if self.files.len() < FILES {
            self.files.extend(files(env, app));
        }
    }

    /// What is to be said; `apps` are those that were taken in.
    pub(super) fn advice(&self, version: &str, apps: &[App]) -> Vec<Advice> {
        let mut all: Vec<Advice> = [self.costs(version), self.boots(), self.files.clone()].concat();
        let mut say = |of: Named, seen: &str, cure: &str| {
            all.extend(of.list().map(|names| Advice { seen: format!("{names}{seen}"), cure: cure.to_owned() }));
        };
        let copies = self.starts.iter().filter(|(_, starts)| starts.are_copies());
        let mut twins = Named::default();
        copies.for_each(|((_, name, _), _)| twins.add_name(name));
        say(
            twins,
            ": started more than once, with the same name and script",
            "delete the copies that nobody wants, and `pm2 save`",
        );
        let modules = Named::of(apps.iter().filter(|app| app.module));
        say(modules, ": modules of PM2, which it starts by itself and which are in no snapshot", "");
        all
    }

    /// What every start costs beside the app's own code.
    fn costs(&self, version: &str) -> Vec<Advice> {
        let mut all = Vec::new();
        let each = if version.starts_with('7') { AGENT_MS.0 } else { AGENT_MS.1 };
        let secs = |count: usize, each: usize| format!("{:.1} s for all of them", (count * each) as f64 / 1000.0);
        if self.agents > 0 {
            let agents = self.agents;
            all.push(Advice {
                seen: format!(
                    "{agents} apps load PM2's metrics agent (pmx): about {each} ms of processor time at each start, {}",
                    secs(agents, each)
                ),
                cure: "set `pmx: false` where nobody uses custom metrics or `pm2 trigger`".into(),
            });
        }
        if self.certificates > 0 {
            let leaked = self.certificates;
            all.push(Advice {
                seen: format!(
                    "{leaked} apps carry NODE_EXTRA_CA_CERTS, most likely from the shell that started them: about {CERTIFICATES_MS} ms of processor time at each start, {}",
                    secs(leaked, CERTIFICATES_MS)
                ),
                cure: "start those that need no extra certificates from an environment without it".into(),
            });
        }
        all
    }

    /// What a boot or a stop makes different.
    fn boots(&self) -> Vec<Advice> {
        let say = |of: &Named, seen: &str, cure: &str| {
            of.list().map(|names| Advice { seen: format!("{names}: {seen}"), cure: cure.to_owned() })
        };
        let all = [
            say(
                &self.cron,
                "stopped, but `cron_restart` starts it at its next time",
                "remove `cron_restart`, or delete the app",
            ),
            say(
                &self.clocked,
                "`cron_restart` starts it by the clock, also while it is stopped and before what it needs is there",
                "remove `cron_restart` for the window where that matters",
            ),
            say(
                &self.kept_down,
                "online, but `autostart: false` keeps it down after a plain `pm2 resurrect`; a restore starts it and lifts that",
                "set `autostart: true` if it is meant to run",
            ),
            say(
                &self.watched,
                "watched: a change of files in its directory restarts it in the middle of the window",
                "switch `watch` off on a server",
            ),
            say(&self.errored, "errored; it is left stopped", "repair or delete it before the window"),
        ];
        all.into_iter().flatten().collect()
    }
}

/// What an app that runs would miss at its next start.
fn files(env: &Value, app: &App) -> Option<Advice> {
    let settings = match checked(env) {
        Ok(settings) => settings,
        Err(error) => {
            let seen = format!("cannot be registered again if it gets lost: {error}");
            return Some(Advice { seen, cure: "delete it and start it anew".into() });
        }
    };
    let (what, missing) = missing(settings)?;
    Some(Advice {
        seen: format!(
            "{}: its {what} {} is gone; it cannot start again",
            app.key.name,
            tame(&missing.to_string_lossy(), 300)
        ),
        cure: "put it back, or start the app from where it is now and `pm2 save`".into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::listing::Listing;
    use super::super::recipe::tests::pm2_env;
    use super::*;

    /// One online app whose files are there, with `more` laid over it.
    fn told(version: &str, more: &[Value]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.js");
        std::fs::write(&file, "").unwrap();
        let entries: Vec<Value> = more
            .iter()
            .enumerate()
            .map(|(n, more)| {
                let mut env = pm2_env(&format!("app{n}"));
                let own = json!({ "pm_exec_path": file, "pm_cwd": dir.path(), "pm_out_log_path": file, "pm_err_log_path": file, "pm_pid_path": file, "pmx": false });
                for (key, value) in own.as_object().unwrap().iter().chain(more.as_object().unwrap()) {
                    env[key] = value.clone();
                }
                json!({ "pid": 7, "pm_id": n, "pm2_env": env })
            })
            .collect();
        let listed = Listing::of(&entries);
        listed.adviser.advice(version, &listed.apps).into_iter().map(|one| one.seen).collect()
    }

    /// As PM2 6 and 7 list them: `unique_id` per start, `instances` as declared, and none after a resurrect.
    #[test]
    fn copies_are_told_by_their_starts_and_not_by_their_mode() {
        let of = |mode: &str, start: &str, instances: Option<u32>| json!({ "name": "api", "pm_exec_path": "/dev/null", "exec_mode": mode, "unique_id": start, "instances": instances });
        for mode in ["cluster_mode", "fork_mode"] {
            let one = |start: &str, instances: Option<u32>| of(mode, start, instances);
            let none = Vec::<String>::new();
            assert_eq!(told("7.0.4", &[one("a", Some(3)), one("a", Some(3)), one("a", Some(3))]), none, "{mode}");
            assert_eq!(told("7.0.4", &[one("a", Some(1)), one("a", Some(1))]), none, "{mode}: scaled by hand");
            assert_eq!(
                told("7.0.4", &[one("a", None), one("b", None)]),
                none,
                "{mode}: resurrected, so nobody can say"
            );
            let copies = told("7.0.4", &[one("a", Some(1)), one("b", Some(1))]);
            assert_eq!(copies, ["api: started more than once, with the same name and script"], "{mode}");
        }
    }

    #[test]
    fn an_app_without_oddities_needs_no_advice() {
        assert_eq!(told("7.0.4", &[json!({})]), Vec::<String>::new());
    }

    #[test]
    fn each_oddity_is_said_once_with_its_price() {
        let cases = [
            (json!({ "pmx": true }), "about 49 ms of processor time at each start, 0.0 s for all"),
            (json!({ "env": { "NODE_EXTRA_CA_CERTS": "/x" } }), "1 apps carry NODE_EXTRA_CA_CERTS"),
            (json!({ "cron_restart": "0 3 * * *", "status": "stopped" }), "app0: stopped, but `cron_restart`"),
            (json!({ "cron_restart": "* * * * *" }), "app0: `cron_restart` starts it by the clock"),
            (json!({ "autostart": false }), "`autostart: false`"),
            (json!({ "watch": ["src"] }), "app0: watched"),
            (json!({ "status": "errored" }), "app0: errored"),
            (json!({ "exec_interpreter": "/no/such/node" }), "its interpreter /no/such/node is gone"),
            (json!({ "pm_out_log_path": "/no/such/dir/a.log" }), "its log directory /no/such/dir is gone"),
            (json!({ "pm_exec_path": "/no/such.js" }), "its script /no/such.js is gone"),
            (json!({ "env": 7 }), "cannot be registered again"),
            (json!({ "pmx_module": true }), "app0: modules of PM2"),
        ];
        for (more, words) in cases {
            let all = told("7.0.4", std::slice::from_ref(&more));
            assert!(all.len() == 1 && all[0].contains(words), "{more}: {all:?}");
        }
        let many = vec![json!({ "pmx": true }); 8];
        assert!(told("6.0.14", &many)[0].contains("8 apps load") && told("6.0.14", &many)[0].contains("125 ms"));
        let watched = vec![json!({ "watch": true }); 8];
        assert!(told("7.0.4", &watched)[0].starts_with("app0, app1, app2, app3, app4 and 3 more: watched"));
    }
}

//! What makes a list slower, more fragile or different after a boot, said to the operator and never changed: the settings
//! of other people's apps are theirs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::{App, Status, Wanted, wanted};
use super::recipe::{checked, missing};

/// Names that are told; of more only the number.
const NAMES: usize = 5;
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

/// Everything worth knowing of a list as the daemon sent it; `apps` are its entries in any order. Blocking: it looks
/// whether files are there.
#[must_use]
pub fn advice(version: &str, entries: &[Value], apps: &[App]) -> Vec<Advice> {
    let own: Vec<Seen<'_>> = entries.iter().map(Seen::new).filter(|seen| !seen.app.module).collect();
    let mut all: Vec<Advice> = [costs(version, &own), boots(&own), files(&own)].concat();
    let mut say = |names: Vec<String>, seen: &str, cure: &str| {
        if !names.is_empty() {
            all.push(Advice { seen: format!("{}{seen}", list(&names)), cure: cure.to_owned() });
        }
    };
    let twins: Vec<String> = apps.iter().filter(|app| app.key.ordinal == 1 && !app.module).map(name).collect();
    say(twins, ": listed more than once, alike in everything", "delete the copies that nobody wants, and `pm2 save`");
    let modules: Vec<String> = apps.iter().filter(|app| app.module).map(name).collect();
    say(modules, ": modules of PM2, which it starts by itself and which are in no snapshot", "");
    all
}

/// One app with the settings that [`App`] does not carry.
struct Seen<'a> {
    app: App,
    env: &'a Value,
}

impl<'a> Seen<'a> {
    fn new(entry: &'a Value) -> Self {
        Self { app: App::from_entry(entry), env: entry.get("pm2_env").unwrap_or(&Value::Null) }
    }

    fn runs(&self) -> bool {
        wanted(&self.app) == Some(Wanted::Online)
    }

    fn is_node(&self) -> bool {
        self.app.interpreter.is_empty() || self.app.interpreter.rsplit('/').next() == Some("node")
    }
}

fn name(app: &App) -> String {
    app.key.name.clone()
}

/// `a, b and 3 more`.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES { format!("{shown} and {} more", names.len() - NAMES) } else { shown }
}

/// What every start costs beside the app's own code.
fn costs(version: &str, own: &[Seen<'_>]) -> Vec<Advice> {
    let mut all = Vec::new();
    let agents =
        own.iter().filter(|s| s.runs() && s.is_node() && s.env.get("pmx") != Some(&Value::Bool(false))).count();
    let each = if version.starts_with('7') { AGENT_MS.0 } else { AGENT_MS.1 };
    let secs = |count: usize, each: usize| format!("{:.1} s for all of them", (count * each) as f64 / 1000.0);
    if agents > 0 {
        all.push(Advice {
            seen: format!(
                "{agents} apps load PM2's metrics agent (pmx): about {each} ms of processor time at each start, {}",
                secs(agents, each)
            ),
            cure: "set `pmx: false` where nobody uses custom metrics or `pm2 trigger`".into(),
        });
    }
    let leaked = own.iter().filter(|s| s.runs() && s.env.pointer("/env/NODE_EXTRA_CA_CERTS").is_some()).count();
    if leaked > 0 {
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
fn boots(own: &[Seen<'_>]) -> Vec<Advice> {
    let mut all = Vec::new();
    let mut say = |which: &dyn Fn(&Seen<'_>) -> bool, seen: &str, cure: &str| {
        let names: Vec<String> = own.iter().filter(|s| which(s)).map(|s| name(&s.app)).collect();
        if !names.is_empty() {
            all.push(Advice { seen: format!("{}: {seen}", list(&names)), cure: cure.to_owned() });
        }
    };
    say(
        &|s| s.app.cron.is_some() && s.app.status == Status::Stopped,
        "stopped, but `cron_restart` starts it at its next time",
        "remove `cron_restart`, or delete the app",
    );
    say(
        &|s| !s.app.autostart && s.runs(),
        "online, but `autostart: false` keeps it down after a plain `pm2 resurrect`; a restore starts it and lifts that",
        "set `autostart: true` if it is meant to run",
    );
    say(
        &|s| s.app.watch,
        "watched: a change of files in its directory restarts it in the middle of the window",
        "switch `watch` off on a server",
    );
    say(&|s| s.app.status == Status::Errored, "errored; it is left stopped", "repair or delete it before the window");
    all
}

/// What an app that runs would miss at its next start.
fn files(own: &[Seen<'_>]) -> Vec<Advice> {
    let mut all = Vec::new();
    for one in own {
        match checked(one.env) {
            Err(error) => all.push(Advice {
                seen: format!("cannot be registered again if it gets lost: {error}"),
                cure: "delete it and start it anew".into(),
            }),
            Ok(settings) => {
                if let Some((what, missing)) = missing(settings) {
                    all.push(Advice {
                        seen: format!(
                            "{}: its {what} {} is gone; it cannot start again",
                            name(&one.app),
                            missing.display()
                        ),
                        cure: "put it back, or start the app from where it is now and `pm2 save`".into(),
                    });
                }
            }
        }
        if all.len() >= 20 {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::listed::apps;
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
        advice(version, &entries, &apps(&entries)).into_iter().map(|one| one.seen).collect()
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
        let twin = json!({ "name": "twin" });
        assert_eq!(told("7.0.4", &[twin.clone(), twin]), ["twin: listed more than once, alike in everything"]);
        let many = vec![json!({ "pmx": true }); 8];
        assert!(told("6.0.14", &many)[0].contains("8 apps load") && told("6.0.14", &many)[0].contains("125 ms"));
        let watched = vec![json!({ "watch": true }); 8];
        assert!(told("7.0.4", &watched)[0].starts_with("app0, app1, app2, app3, app4 and 3 more: watched"));
    }
}

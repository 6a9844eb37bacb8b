//! PM2 on the sheet: as its own user, with the daemon's own node and script, in an environment of four variables.

use super::quote::{is_exact, word};
use super::{Sheet, function};
use crate::action::inventory::Pm2Place;
use crate::action::process_list::at;
use crate::host::pm2::{App, Pm2Seen, Status, Wanted, wanted};

/// Names in one command.
const CHUNK: usize = 12;

/// Reads `pm2 jlist`, which may say something before the list, and prints one line per app, sorted by whoever pipes it.
const LIST: &str = r#"let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const l=t.split("\n").find(l=>l.startsWith("["))||"[]";for(const a of JSON.parse(l)){const e=a.pm2_env;if(!e.pmx_module)console.log(JSON.stringify([e.namespace,a.name,e.NODE_APP_INSTANCE||0,e.status]))}})"#;
/// Prints the numbers of the apps with exactly one name, for names that PM2's command line would take for something else.
const NUMBERS: &str = r#"let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const l=t.split("\n").find(l=>l.startsWith("["))||"[]";console.log(JSON.parse(l).filter(a=>a.name===process.argv[1]).map(a=>a.pm_id).join(" "))})"#;

/// One place with what is known of it.
pub(super) struct Place<'a> {
    name: &'a str,
    place: &'a Pm2Place,
    seen: Option<&'a Pm2Seen>,
}

impl<'a> Place<'a> {
    /// The place of this inventory name.
    pub(super) fn of(sheet: &Sheet<'a>, name: &'a str) -> Option<Self> {
        let place = sheet.runbook.inventory.pm2.get(name)?;
        Some(Self { name, place, seen: sheet.facts.pm2(&at(place)) })
    }

    fn node(&self) -> String {
        let path = self.seen.and_then(Pm2Seen::up).and_then(|up| up.node_path.as_ref());
        path.map_or("node".to_owned(), |path| word(&path.to_string_lossy()))
    }

    /// The shell function that is `pm2` for this place.
    fn pm2(&self) -> String {
        format!("pm2_{}", function(self.name))
    }

    /// Defines the shell functions of this place: `pm2` as the owning user, its list in lines, and the numbers of a name.
    pub(super) fn define(&self, sheet: &mut Sheet<'_>) {
        let (name, pm2) = (function(self.name), self.pm2());
        sheet.command(&format!("{pm2}() {{ {} \"$@\" </dev/null; }}", self.program()));
        sheet.command(&format!("list_{name}() {{ {pm2} jlist | {} -e {} | sort; }}", self.node(), word(LIST)));
        let numbers = format!("{pm2} jlist | {} -e {} -- \"$1\"", self.node(), word(NUMBERS));
        sheet.command(&format!("numbers_{name}() {{ {numbers}; }}"));
    }

    /// `pm2` as the owning user.
    fn program(&self) -> String {
        let script = self.seen.and_then(Pm2Seen::up).and_then(|up| up.cli.clone());
        let program = match (script, &self.place.cli) {
            (Some(script), _) => format!("{} {}", self.node(), word(&script.to_string_lossy())),
            (None, Some(cli)) => word(&cli.to_string_lossy()),
            (None, None) => "pm2".to_owned(),
        };
        let user = word(&self.place.user);
        format!(
            "runuser -u {user} -- env -i HOME=\"$(getent passwd {user} | cut -d: -f6)\" PM2_HOME={} LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin {program}",
            word(&self.place.home.to_string_lossy()),
        )
    }

    fn list(&self) -> String {
        format!("list_{}", function(self.name))
    }

    fn kept(&self, what: &str) -> String {
        format!("\"$keep\"/{}.{what}", word(self.name))
    }

    fn dump(&self) -> String {
        word(&self.place.home.join("dump.pm2").to_string_lossy())
    }

    /// The list as it is now, and PM2's own dump, laid aside untouched.
    pub(super) fn write_down(&self, sheet: &mut Sheet<'_>) {
        sheet.command(&format!("{} > {}", self.list(), self.kept("list.before")));
        sheet.command(&format!("[ -s {} ]", self.kept("list.before")));
        sheet.command(&format!("[ ! -e {0} ] || cp -a -- {0} {1}", self.dump(), self.kept("dump.before")));
    }

    pub(super) fn saved(&self, sheet: &mut Sheet<'_>) {
        if let Some(seen) = self.seen {
            sheet.comment(&format!("expect: {}", crate::action::process_list::census(&seen.apps)));
        }
        sheet.command(&format!("{} save --force --silent", self.pm2()));
        sheet.command(&format!("cp -a -- {} {}", self.dump(), self.kept("dump.saved")));
        sheet.command(&format!("wc -l {}", self.kept("list.before")));
    }

    /// Every running app stopped, the last group first, then saved so: the boot will only register them.
    pub(super) fn stopped(&self, sheet: &mut Sheet<'_>) {
        let Some(apps) = self.apps() else {
            sheet.comment("? nobody could look at the list; every app is stopped");
            sheet.command(&format!("{} stop --silent all", self.pm2()));
            return self.save_stopped(sheet);
        };
        for (group, name) in self.groups().into_iter().rev() {
            let all: Vec<&App> = apps.iter().copied().filter(|app| self.group(app) == group).collect();
            let running: Vec<&App> = all.into_iter().filter(|app| app.status != Status::Stopped).collect();
            self.each(sheet, "stop", name, &running);
        }
        self.save_stopped(sheet);
    }

    fn save_stopped(&self, sheet: &mut Sheet<'_>) {
        sheet.comment("check: none is online");
        sheet.command(&format!("[ \"$({} | grep -c '\"online\"]$')\" = 0 ]", self.list()));
        sheet.command(&format!("{} save --force --silent", self.pm2()));
    }

    /// What was online is started again, group by group, each behind its gate.
    pub(super) fn restored(&self, sheet: &mut Sheet<'_>) {
        if let Some(unit) = &self.place.unit {
            sheet.comment("PM2's daemon lives in its unit, never in this terminal");
            sheet.command(&format!("systemctl start -- {}", word(unit)));
            sheet.command(&format!("systemctl is-active -- {}", word(unit)));
        }
        let Some(apps) = self.apps() else {
            sheet.comment("? nobody could look at the list; PM2 brings back what was saved, all at once");
            sheet.command(&format!("cp -a -- {} {}", self.kept("dump.saved"), self.dump()));
            sheet.command(&format!("{} resurrect", self.pm2()));
            return;
        };
        for (group, name) in self.groups() {
            let all: Vec<&App> = apps.iter().copied().filter(|app| self.group(app) == group).collect();
            let online: Vec<&App> = all.into_iter().filter(|app| wanted(app) == Some(Wanted::Online)).collect();
            if online.is_empty() {
                continue;
            }
            if let Some(group) = self.place.groups.get(group) {
                super::gates::needs(sheet, &group.needs);
            }
            self.each(sheet, "restart", name, &online);
        }
        sheet.command(&format!("{} save --force --silent", self.pm2()));
    }

    /// The list against the one before, by name; a minute of patience.
    pub(super) fn as_saved(&self, sheet: &mut Sheet<'_>) {
        let (before, after) = (self.kept("list.before"), self.kept("list.after"));
        sheet.comment("check: no line; `<` is what has not come back, `>` what it is instead");
        sheet.command("n=0");
        sheet.command(&format!(
            "until {} > {after}; cmp -s {before} {after}; do n=$((n + 1)); [ \"$n\" -lt 30 ] || break; sleep 2; done",
            self.list()
        ));
        sheet.command(&format!("diff {before} {after}"));
    }

    fn apps(&self) -> Option<Vec<&'a App>> {
        let seen = self.seen.filter(|seen| seen.up().is_some())?;
        Some(seen.apps.iter().filter(|app| !app.module).collect())
    }

    fn group(&self, app: &App) -> usize {
        self.place.group_of(&app.key.name).unwrap_or(self.place.groups.len())
    }

    /// The groups in the order of their start; those that no group names come last.
    fn groups(&self) -> Vec<(usize, &'a str)> {
        let mut left: Vec<usize> = (0..self.place.groups.len()).collect();
        let mut order: Vec<usize> = Vec::new();
        while !left.is_empty() {
            let known = |name: &String| order.iter().any(|at| self.place.groups[*at].name == *name);
            let ready = left.iter().position(|at| self.place.groups[*at].needs.groups.iter().all(known)).unwrap_or(0);
            order.push(left.remove(ready));
        }
        let named = order.into_iter().map(|at| (at, self.place.groups[at].name.as_str()));
        named.chain([(self.place.groups.len(), "other apps")]).collect()
    }

    fn each(&self, sheet: &mut Sheet<'_>, verb: &str, group: &str, apps: &[&App]) {
        let mut names: Vec<&str> = apps.iter().map(|app| app.key.name.as_str()).collect();
        names.dedup();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return;
        }
        sheet.comment(&format!("{group}: {verb} {} app(s)", apps.len()));
        let (exact, lost): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| is_exact(name));
        let (odd, usual): (Vec<&str>, Vec<&str>) = exact.into_iter().partition(|name| is_odd(name));
        for chunk in usual.chunks(CHUNK) {
            let words: Vec<String> = chunk.iter().map(|name| word(name)).collect();
            sheet.command(&format!("{} {verb} --silent {}", self.pm2(), words.join(" ")));
        }
        for name in odd {
            let numbers = format!("numbers_{} {}", function(self.name), word(name));
            sheet.command(&format!("{} {verb} --silent $({numbers})", self.pm2()));
        }
        for name in lost {
            sheet
                .comment(&format!("? {name}: holds what cannot be typed; find its number in `pm2 ls` and {verb} that"));
        }
    }
}

/// Names that `pm2 stop NAME` takes for something else: numbers, words of its own, patterns, options, files.
fn is_odd(name: &str) -> bool {
    let file = [".json", ".json5", ".yml", ".yaml", ".config.js", ".config.cjs", ".config.mjs"];
    name.is_empty()
        || name.parse::<f64>().is_ok()
        || matches!(name, "all" | "json" | "stdin")
        || name.starts_with(['-', '/', '@'])
        || name.trim() != name
        || file.iter().any(|end| name.ends_with(end))
}

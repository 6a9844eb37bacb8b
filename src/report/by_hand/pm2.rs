//! PM2 on the sheet: as its own user, with the daemon's own node and script, in an environment of four variables.
//!
//! The node, the script and PM2's files are the user's, so root runs, reads and writes none of them itself. All of it goes
//! through one function per place: `runuser`, in a session of its own (a process on root's terminal could type into it) and for
//! ten minutes at most. What comes back is data of printable characters, of a bounded length, and in quotes; where
//! it cannot be (numbers of apps), it is digits.

use super::quote::{is_exact, word};
use super::{Sheet, function};
use crate::action::inventory::Pm2Place;
use crate::action::process_list::at;
use crate::host::pm2::{App, Pm2Seen, Wanted, wanted};

/// Names in one command.
const CHUNK: usize = 12;

/// Reads `pm2 jlist`, which may say something before the list, and prints one line per app, sorted by whoever pipes it.
const LIST: &str = r#"let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const l=t.split("\n").find(l=>l.startsWith("["))||"[]";for(const a of JSON.parse(l)){const e=a.pm2_env;if(!e.pmx_module)console.log(JSON.stringify([e.namespace,a.name,e.NODE_APP_INSTANCE||0,e.status]))}})"#;
/// Prints the numbers of the apps with exactly one name, for names that PM2's command line would take for something else; only
/// those in these namespaces and of these instances (`cargo/0`), where some are named.
const NUMBERS: &str = r#"let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const l=t.split("\n").find(l=>l.startsWith("["))||"[]";console.log(JSON.parse(l).filter(a=>a.name===process.argv[1]&&(process.argv.length<3||process.argv.slice(2).includes(a.pm2_env.namespace+"/"+(a.pm2_env.NODE_APP_INSTANCE||0)))).map(a=>a.pm_id).join(" "))})"#;

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

    /// The daemon's own node, if its path can be typed; a daemon chooses where its node lies.
    fn node(&self) -> String {
        let path = self.seen.and_then(Pm2Seen::up).and_then(|up| up.node_path.as_ref());
        let path = path.and_then(|path| path.to_str()).filter(|path| is_exact(path));
        path.map_or("node".to_owned(), word)
    }

    /// What root must not execute, where the daemon is root's.
    fn refused(&self) -> Option<String> {
        self.seen?.not_roots.as_ref().map(ToString::to_string)
    }

    /// The shell function that is `pm2` for this place.
    fn pm2(&self) -> String {
        format!("pm2_{}", function(self.name))
    }

    /// The shell function that runs something as the place's user.
    fn as_user(&self) -> String {
        format!("as_{}", function(self.name))
    }

    /// Defines the shell functions of this place: anything as the owning user, `pm2`, its list in lines, the numbers of a name.
    pub(super) fn define(&self, sheet: &mut Sheet<'_>) {
        let (name, pm2, run) = (function(self.name), self.pm2(), self.as_user());
        let (node, program) = (self.node(), self.program());
        match self.refused() {
            Some(refused) => {
                sheet.comment(&format!("REFUSED: root would execute what others may write: {refused}"));
                sheet.command(&format!("{run}() {{ echo 'refused: see above' >&2; return 1; }}"));
            }
            None => {
                let user = word(&self.place.user);
                let home = word(&self.place.home.to_string_lossy());
                let as_user = format!("setsid -w timeout -k 9 600 runuser -u {user} --");
                let clean = format!("env -i HOME=\"$(getent passwd {user} | cut -d: -f6)\" PM2_HOME={home}");
                let fixed = "LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin";
                sheet.command(&format!("{run}() {{ {as_user} {clean} {fixed} \"$@\"; }}"));
            }
        }
        let ok = self.kept("ok");
        let ran = format!("{{ {run} {program} \"$@\" </dev/null 2>&1 && : > {ok}; }}");
        sheet.command(&format!("{pm2}() {{ rm -f {ok}; {ran} | shown; [ -e {ok} ]; }}"));
        let read = format!("{run} {program} jlist </dev/null 2>/dev/null | {run} {node} -e");
        sheet.command(&format!("list_{name}() {{ {read} {} 2>/dev/null | shown | sort; }}", word(LIST)));
        let digits = "head -c 4096 | LC_ALL=C tr -cd '0-9 '";
        sheet.command(&format!("numbers_{name}() {{ {read} {} -- \"$@\" 2>/dev/null | {digits}; }}", word(NUMBERS)));
    }

    /// `pm2` with its interpreter.
    fn program(&self) -> String {
        let script = self.seen.and_then(Pm2Seen::up).and_then(|up| up.cli.as_ref());
        let script = script.and_then(|script| script.to_str()).filter(|script| is_exact(script));
        match (script, &self.place.cli) {
            (Some(script), _) => format!("{} {}", self.node(), word(script)),
            (None, Some(cli)) => word(&cli.to_string_lossy()),
            (None, None) => "pm2".to_owned(),
        }
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

    /// Reads PM2's dump as its user: what lies there may be a link to what only root reads.
    fn copy_dump(&self, to: &str) -> String {
        format!("{} head -c 268435456 -- {} </dev/null > {}", self.as_user(), self.dump(), self.kept(to))
    }

    /// The list as it is now, and PM2's own dump, laid aside untouched.
    pub(super) fn write_down(&self, sheet: &mut Sheet<'_>) {
        sheet.command(&format!("{} > {}", self.list(), self.kept("list.before")));
        sheet.command(&format!("[ -s {} ]", self.kept("list.before")));
        sheet.command(&format!("[ ! -e {} ] || {}", self.dump(), self.copy_dump("dump.before")));
    }

    pub(super) fn saved(&self, sheet: &mut Sheet<'_>) {
        if let Some(seen) = self.seen {
            sheet.comment(&format!("expect: {}", crate::action::process_list::census(&seen.apps)));
        }
        sheet.command(&format!("{} save --force --silent", self.pm2()));
        sheet.command(&self.copy_dump("dump.saved"));
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
            let running: Vec<&App> = all.into_iter().filter(|app| !app.is_down()).collect();
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
            // Written by its user, too: the file may have become a link to one of root's.
            let put = word(r#"cat > "$0.by-hand" && mv -f -- "$0.by-hand" "$0""#);
            sheet.command(&format!("{} sh -c {put} {} < {}", self.as_user(), self.dump(), self.kept("dump.saved")));
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
            let (mixed, plain): (Vec<&App>, Vec<&App>) =
                online.into_iter().partition(|app| has_stopped_twin(app, &apps));
            self.each(sheet, "restart", name, &plain);
            self.one_by_one(sheet, name, &mixed);
        }
        let watched: Vec<&str> = apps.iter().filter(|app| app.watch).map(|app| app.key.name.as_str()).collect();
        if !watched.is_empty() {
            let names = watched.join(", ");
            sheet.comment(&format!(
                "PM2 watches no files of what was stopped: start it from its own file to have it watched: {names}"
            ));
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
            let has = |app: &String| self.place.group_of(app).is_none_or(|at| order.contains(&at));
            let needs = |at: &usize| &self.place.groups[*at].needs;
            let ready = left.iter().position(|at| needs(at).groups.iter().all(known) && needs(at).apps.iter().all(has));
            let ready = ready.unwrap_or(0);
            order.push(left.remove(ready));
        }
        let named = order.into_iter().map(|at| (at, self.place.groups[at].name.as_str()));
        named.chain([(self.place.groups.len(), "other apps")]).collect()
    }

    /// Apps whose name others have, too, that are to stay stopped: by their numbers of that moment.
    fn one_by_one(&self, sheet: &mut Sheet<'_>, group: &str, apps: &[&App]) {
        if apps.is_empty() {
            return;
        }
        sheet.comment(&format!("{group}: restart {} app(s) whose name a stopped one has, too", apps.len()));
        for app in apps {
            let key = &app.key;
            if !is_exact(&key.name) || !is_exact(&key.namespace) {
                sheet.comment(&format!("? {}: holds what cannot be typed; find its number in `pm2 ls`", key.name));
                continue;
            }
            let which = word(&format!("{}/{}", key.namespace, key.instance.unwrap_or(0)));
            let numbers = format!("numbers_{} {} {which}", function(self.name), word(&key.name));
            sheet.command(&format!("{} restart --silent $({numbers})", self.pm2()));
        }
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

/// Whether an app of the same name is to stay stopped: `pm2 restart NAME` would start it, too.
fn has_stopped_twin(app: &App, all: &[&App]) -> bool {
    all.iter().any(|other| other.key.name == app.key.name && wanted(other) != Some(Wanted::Online))
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

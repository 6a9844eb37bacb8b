//! The plan as the exact commands that a person would type as root, for the night in which this program is what is broken.
//!
//! Everything between the commands is a comment, so that a part can be piped into `sh -eu`: a check that fails stops it
//! there. Values of the machine and of the runbook stand in single quotes, passwords are read by the command that needs
//! them, and nothing relies on a journal: what was true before is written into a directory of its own.
//!
//! Whoever types it is root, so it executes only what is root's: names are looked up in root's directories, nothing of an
//! app's user is run, read or written but as that user, and what others answer comes back as data, never as part of a command.

mod gates;
mod pm2;
pub(super) mod quote;
mod redis;

use std::path::Path;

use jiff::tz::TimeZone;
use quote::word;

use super::layout::{clean, wrap};
use crate::action::change::Weight;
use crate::action::check::Check;
use crate::action::{Action, ItemId};
use crate::host::span::{Span, words};
use crate::host::{Down, Facts};
use crate::plan::{Plan, PlannedStep};
use crate::runbook::{Phase, Runbook, Step};

/// Columns of a comment.
const WIDTH: usize = 98;

/// The sheet while it is written.
struct Sheet<'a> {
    plan: &'a Plan,
    runbook: &'a Runbook,
    facts: &'a Facts,
    text: String,
}

/// The sheet of a plan, made from the facts that the plan was made from. Ends with a newline.
#[must_use]
pub fn by_hand(plan: &Plan, runbook: &Runbook, facts: &Facts) -> String {
    let mut sheet = Sheet { plan, runbook, facts, text: String::new() };
    sheet.head();
    sheet.part(1);
    sheet.what_is_now();
    for (n, phase) in runbook.phases.iter().enumerate() {
        sheet.phase(n, phase);
    }
    sheet.blank();
    sheet.comment("The end. Write down what took how long, what did not come back, and what differs.");
    sheet.text
}

/// Both ends of an estimate, in words.
fn span(takes: Span) -> String {
    format!("about {}, slow {}", words(takes.typically()), words(takes.at_worst()))
}

/// A name of the inventory as part of a shell function's name. The usual ones stay readable; the others begin with `_` and
/// have every odd character spelt out, so that two names never meet.
fn function(name: &str) -> String {
    let usual = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if usual {
        return name.replace('-', "_");
    }
    let part = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:x}_", u32::from(c)) };
    format!("_{}", name.chars().map(part).collect::<String>())
}

/// Where root looks for programs, and what they get as their PATH: as [`crate::host::command`] does.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program of the runbook as its user, in its directory, with the environment that a run gives it. Another user's program
/// enters its directory by itself, and has no terminal that it could type into.
fn command(argv: &[String], user: Option<&str>, cwd: Option<&Path>) -> String {
    let words: Vec<String> = argv.iter().map(|one| word(one)).collect();
    let (words, cwd) = (words.join(" "), word(&cwd.unwrap_or(Path::new("/")).to_string_lossy()));
    let env = format!("env -i LANG=C.UTF-8 PATH={PATH}");
    let enter = "sh -c 'cd -- \"$0\" && exec \"$@\"'";
    match user.map(word) {
        None => format!("{env} {enter} {cwd} {words} </dev/null"),
        Some(user) => {
            let home = format!("HOME=\"$(getent passwd {user} | cut -d: -f6)\"");
            let become_user = format!("setsid -w runuser -u {user} --");
            format!("{become_user} {env} {home} USER={user} LOGNAME={user} {enter} {cwd} {words} </dev/null")
        }
    }
}

impl<'a> Sheet<'a> {
    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Comments hold foreign text: it is harmless and on one line, whatever it was.
    fn comment(&mut self, text: &str) {
        for line in wrap(&clean(text), WIDTH, 0) {
            self.text.push_str(format!("# {line}").trim_end());
            self.text.push('\n');
        }
    }

    /// A command, made of words that were quoted one by one.
    fn command(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn head(&mut self) {
        let zone = self.runbook.window.as_ref().map_or(TimeZone::UTC, |window| window.timezone.clone());
        let at = self.plan.made_at.to_zoned(zone).strftime("%a %F %H:%M %Z").to_string();
        let (plan, takes) = (self.plan, self.plan.takes());
        self.comment(&format!("{} on {}, by hand: the plan {:.12} of {at}", plan.runbook, plan.hostname, plan.sha256));
        self.comment("Type it as root, from top to bottom, and look at each answer. A command that fails stops you: read it first.");
        self.comment("Or a part at once: sed -n '/^# ==== part 1/,/^# ==== part 2/p' SHEET | sh -eu");
        let cut = plan.cut_off().map_or(String::new(), |cut| format!("; users are cut off for {}", span(cut)));
        self.comment(&format!("All of it takes {}{cut}.", span(takes)));
        let back = &self.runbook.back_out;
        if !back.is_empty() {
            self.comment(&format!(
                "To give up before the reboot: go on with the phases {} below, nothing else.",
                back.join(", ")
            ));
        }
        let steps = plan.steps.iter().flat_map(|step| step.change.concerns.iter().map(move |one| (&step.id, one)));
        let bad: Vec<String> = steps
            .filter(|(_, one)| one.weight >= Weight::Warn)
            .map(|(id, one)| {
                let word = if one.weight == Weight::Stop { "REFUSED" } else { "warn" };
                format!("{word} ({id}) {}: {}; cure: {}", one.about, one.seen, one.cure)
            })
            .collect();
        bad.iter().for_each(|line| self.comment(line));
        for at in &plan.unsaved {
            for one in &at.unsaved.lost {
                let then = one.then.as_deref().unwrap_or("?");
                self.comment(&format!("lost at the restart, redis {}: {} {} -> {then}", at.instance, one.key, one.now));
            }
            if let Some(why) = &at.unsaved.unknown {
                self.comment(&format!("? redis {}: what the restart would lose is not known: {why}", at.instance));
            }
        }
    }

    /// Each part stands alone: another shell, and another boot, know nothing of the one before.
    fn part(&mut self, n: u32) {
        let title = match (n, self.runbook.reboots()) {
            (1, true) => "part 1 of 2: before the reboot",
            (1, false) => "part 1 of 1",
            _ => "part 2 of 2: after the reboot",
        };
        self.blank();
        self.command(&format!("# ==== {title} ===="));
        let hosts: Vec<String> =
            self.runbook.hosts.iter().map(|host| format!("[ \"$(hostname)\" = {} ]", word(host))).collect();
        self.command(&hosts.join(" || "));
        self.command("[ \"$(id -u)\" = 0 ]");
        self.command(&format!(
            "umask 077; cd /; PATH={PATH}; export PATH; unset LD_PRELOAD LD_LIBRARY_PATH NODE_OPTIONS"
        ));
        self.command("shown() { head -c 1048576 | LC_ALL=C tr -c '\\n -~' '?'; }");
        self.command(&format!("keep=/root/by-hand-{}; mkdir -p \"$keep\"", word(&self.runbook.name)));
        let runbook = self.runbook;
        if !runbook.inventory.redis.is_empty() {
            self.comment("what redis-cli complains of: cat -v \"$keep\"/redis.said");
        }
        for one in runbook.inventory.redis.values() {
            redis::define(self, one);
        }
        for name in runbook.inventory.pm2.keys() {
            if let Some(place) = pm2::Place::of(self, name) {
                place.define(self);
            }
        }
    }

    /// What the checks afterwards compare with.
    fn what_is_now(&mut self) {
        self.blank();
        self.comment("---- what is true now ----");
        self.command("cat /proc/sys/kernel/random/boot_id > \"$keep\"/boot_id");
        let runbook = self.runbook;
        for one in runbook.inventory.redis.values() {
            redis::count(self, one);
        }
        for name in runbook.inventory.pm2.keys() {
            if let Some(place) = pm2::Place::of(self, name) {
                place.write_down(self);
            }
        }
    }

    fn phase(&mut self, n: usize, phase: &Phase) {
        let plan = self.plan;
        let steps: Vec<&PlannedStep> = plan.steps.iter().filter(|step| step.phase == phase.name).collect();
        let takes = steps.iter().fold(Span::ZERO, |sum, step| sum.then(step.takes.span));
        self.blank();
        self.comment(&format!("---- {} {}: {} ----", n + 1, phase.name, span(takes)));
        for (step, planned) in phase.steps.iter().zip(steps) {
            if plan.no_return().and_then(|at| plan.steps.get(at)).is_some_and(|first| first.id == planned.id) {
                self.comment("POINT OF NO RETURN: from here on users notice.");
            }
            self.step(step, planned);
        }
    }

    fn step(&mut self, step: &Step, planned: &PlannedStep) {
        self.comment(&format!("{} {}", planned.id, planned.title));
        if let Some(confirm) = &step.confirm {
            self.comment(&format!("ask somebody first: {}", confirm.because));
        }
        if let Some(why) = &planned.unforeseen {
            self.comment(&format!("? could not be looked at ({why}); these are the commands for all of it"));
        } else if planned.change.is_empty() && !planned.waits && !planned.brings_back {
            self.comment(&format!("nothing to do: {} already so", planned.change.already));
            return;
        }
        if let Some(within) = step.within {
            self.comment(&format!("it has failed when it is not done within {}", words(within)));
        }
        self.action(&step.action, planned);
    }

    fn action(&mut self, action: &Action, planned: &PlannedStep) {
        let inventory = &self.runbook.inventory;
        let blind = planned.unforeseen.is_some();
        let listed = |key: &str| blind || planned.change.items.iter().any(|item| item.key == key);
        match action {
            Action::UnitsEnabled(wish) => self.enabled(wish.units.as_deref(), planned),
            Action::UnitsActive(wish) => {
                for known in inventory.units_of(wish.units.as_deref()) {
                    self.active(known.unit, known.required);
                }
            }
            Action::UnitsStopped(wish) => {
                for known in inventory.units_of(Some(&wish.units)) {
                    self.command(&format!("systemctl stop -- {}", word(known.unit)));
                }
            }
            Action::RedisCompacted(wish) => {
                for one in inventory.select(&wish.instances).into_iter().filter(|one| listed(&one.name)) {
                    redis::compacted(self, one, planned);
                }
            }
            Action::RedisLoaded(wish) => {
                for one in inventory.select(&wish.instances) {
                    redis::loaded(self, one);
                }
            }
            Action::Pm2Saved(wish) => self.place(&wish.pm2, pm2::Place::saved),
            Action::Pm2Stopped(wish) => self.place(&wish.pm2, pm2::Place::stopped),
            Action::Pm2Restored(wish) => self.place(&wish.pm2, pm2::Place::restored),
            Action::Pm2AsSaved(wish) => self.place(&wish.pm2, pm2::Place::as_saved),
            // The plan has no other reason to refuse a command than that root must not run it.
            Action::Command(_) if planned.change.refused() => {
                self.comment("REFUSED, see above: not to be typed as root")
            }
            Action::Command(wish) => self.program(wish),
            Action::Rebooted(wish) => self.reboot(wish.how),
            Action::Healthy(wish) => {
                for one in &wish.checks {
                    match one {
                        Check::Command(_) if planned.change.refused() => {
                            self.comment("REFUSED, see above: its program is not to be run as root");
                        }
                        one => gates::check(self, one),
                    }
                }
            }
        }
    }

    fn place(&mut self, name: &str, act: fn(&pm2::Place<'a>, &mut Sheet<'a>)) {
        let Some((name, _)) = self.runbook.inventory.pm2.get_key_value(name) else { return };
        if let Some(place) = pm2::Place::of(self, name) {
            act(&place, self);
        }
    }

    fn enabled(&mut self, units: Option<&[String]>, planned: &PlannedStep) {
        if planned.unforeseen.is_some() {
            for known in self.runbook.inventory.units_of(units) {
                self.command(&format!("systemctl enable -- {}", word(known.unit)));
            }
            return;
        }
        for item in &planned.change.items {
            match item.id() {
                ItemId::Chore(_) => {}
                ItemId::Thing(unit) => {
                    self.command(&format!("systemctl enable -- {}", word(&unit)));
                    self.command(&format!("[ \"$(systemctl is-enabled -- {})\" = enabled ]", word(&unit)));
                }
                ItemId::StartTimeout(unit) => {
                    let dir = format!("/etc/systemd/system/{unit}.d");
                    self.comment(&format!("expect: {}: {} -> {}", item.key, item.before, item.after));
                    self.command(&format!("mkdir -p -m 755 -- {}", word(&dir)));
                    let file = word(&format!("{dir}/50-runbook-start-timeout.conf"));
                    self.command(&format!("printf '[Service]\\nTimeoutStartSec=infinity\\n' > {file}"));
                    self.command(&format!("chmod 644 -- {file}; systemctl daemon-reload"));
                }
            }
        }
    }

    fn active(&mut self, unit: &str, required: bool) {
        let unit = word(unit);
        if required {
            self.command(&format!("systemctl is-active --quiet -- {unit} || systemctl start -- {unit}"));
            self.command(&format!("systemctl is-active -- {unit}"));
        } else {
            self.command(&format!("systemctl start -- {unit} || echo 'not required: go on'"));
        }
    }

    fn program(&mut self, wish: &crate::action::command::Command) {
        let line = command(&wish.argv, wish.user.as_deref(), wish.cwd.as_deref());
        match &wish.done_if {
            Some(done) => {
                let done = command(done, wish.user.as_deref(), wish.cwd.as_deref());
                self.command(&format!("{done} || {line}"));
            }
            None => self.command(&line),
        }
    }

    fn reboot(&mut self, how: Down) {
        self.comment("expect: this terminal is cut off; log in again and go on with part 2");
        self.command("sync");
        match how {
            Down::Reboot => self.command("systemctl reboot"),
            Down::Poweroff => self.command("systemctl poweroff"),
            Down::ByHand => self.comment("take the machine down and up by hand now"),
        }
        self.part(2);
        self.comment("check: it is another boot");
        self.command("[ \"$(cat /proc/sys/kernel/random/boot_id)\" != \"$(cat \"$keep\"/boot_id)\" ]");
    }
}

#[cfg(test)]
mod tests;

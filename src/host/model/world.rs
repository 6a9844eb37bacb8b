//! What is believed at the moment, and what is under way. Pure: effects in `instances`, `units`, `apps` and `boot` move it on.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::course::{Faults, Ties};
use super::loads::Load;
use crate::host::pm2::{App, AppKey, DaemonUp, ListSeen, Pm2At, Pm2Seen};
use crate::host::redis::{RedisAt, RedisFacts, RedisSeen};
use crate::host::systemd::UnitSeen;
use crate::host::{Answer, Ask, Facts};

/// Something that happens by itself at its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happening {
    /// A rewrite child ends.
    Rewritten(RedisAt),
    /// An instance has read its files.
    Loaded(RedisAt),
    /// A replica reaches its master.
    Linked(RedisAt),
    /// An app ends and is started again, so many times more.
    Crashed { pm2: Pm2At, app: AppKey, more: u32 },
    /// The machine comes up again.
    Booted,
}

/// A happening with its time; both are times of the model's clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Due {
    pub(super) at: Duration,
    pub(super) began: Duration,
    pub(super) what: Happening,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    /// Answers as they are now, but for what moves by the second: that is added when it is asked for.
    pub(super) facts: Facts,
    pub(super) ties: Ties,
    pub(super) faults: Faults,
    pub(super) due: Vec<Due>,
    /// Instances that read their files.
    pub(super) loads: Vec<Load>,
    /// Addresses that lead to another one's instance, and to which.
    pub(super) aliases: Vec<(RedisAt, RedisAt)>,
    /// Each instance as it was when it last served: what a start brings back.
    pub(super) whole: Vec<(RedisAt, RedisFacts)>,
    /// Each daemon as it was when it last answered.
    pub(super) daemons: Vec<(Pm2At, DaemonUp)>,
    /// Apps that a daemon has known, environment and all: what its dump brings back.
    pub(super) recipes: Vec<(Pm2At, Arc<Vec<App>>)>,
    pub(super) snapshots: Vec<(PathBuf, String, Arc<Vec<App>>)>,
    /// Lists as they were handed out since anything of PM2 changed: whoever waits shares them.
    lists: RefCell<Vec<(Pm2At, Arc<Vec<App>>)>>,
    /// Made-up process ids count from here.
    pub(super) last_pid: u32,
    /// When the machine came up; `None` for the boot that it was found in.
    pub(super) booted_at: Option<Duration>,
}

impl World {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            facts,
            ties: Ties::default(),
            faults: Faults::default(),
            due: Vec::new(),
            loads: Vec::new(),
            aliases: Vec::new(),
            whole: Vec::new(),
            daemons: Vec::new(),
            recipes: Vec::new(),
            snapshots: Vec::new(),
            lists: RefCell::default(),
            last_pid: 100_000,
            booted_at: None,
        }
    }

    /// Takes in an answer from below.
    pub(super) fn learn(&mut self, ask: Ask, answer: Answer) {
        let answer = self.faults.colour(&ask, answer);
        self.lists.get_mut().clear();
        self.facts.put(ask, answer);
    }

    /// Lets everything happen whose time has come, in its order.
    pub(super) fn catch_up(&mut self, now: Duration) {
        while let Some(next) =
            self.due.iter().enumerate().filter(|(_, due)| due.at <= now).min_by_key(|(_, due)| due.at)
        {
            let index = next.0;
            let due = self.due.remove(index);
            self.happen(due);
        }
    }

    fn happen(&mut self, due: Due) {
        match due.what {
            Happening::Rewritten(at) => self.rewritten(&at, due.at.saturating_sub(due.began)),
            Happening::Loaded(at) => self.loaded(&at, due.at),
            Happening::Linked(at) => self.linked(&at),
            Happening::Crashed { pm2, app, more } => self.crashed(&pm2, &app, more, due.at),
            Happening::Booted => self.booted(due.at),
        }
    }

    pub(super) fn plan(&mut self, began: Duration, takes: Duration, what: Happening) {
        self.due.push(Due { at: began + takes, began, what });
    }

    /// The wall clock at a time of the model's clock.
    pub(super) fn wall(&self, at: Duration) -> Timestamp {
        self.facts.at.checked_add(at).unwrap_or(self.facts.at)
    }

    pub(super) fn new_pid(&mut self) -> u32 {
        self.last_pid = self.last_pid.wrapping_add(1);
        self.last_pid
    }

    pub(super) fn redis_mut(&mut self, at: &RedisAt) -> Option<&mut RedisSeen> {
        self.facts.answers.iter_mut().find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Redis(known), Answer::Redis(seen)) if known == at => Some(&mut **seen),
            _ => None,
        })
    }

    pub(super) fn unit_mut(&mut self, name: &str) -> Option<&mut UnitSeen> {
        self.facts.answers.iter_mut().find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Unit(known), Answer::Unit(seen)) if known == name => Some(&mut **seen),
            _ => None,
        })
    }

    pub(super) fn pm2_mut(&mut self, at: &Pm2At) -> Option<&mut Pm2Seen> {
        self.lists.get_mut().clear();
        self.facts.answers.iter_mut().find_map(|(ask, answer)| match (ask, answer) {
            (Ask::Pm2(known), Answer::Pm2(seen)) if known == at => Some(&mut **seen),
            _ => None,
        })
    }

    /// Every instance, unit and PM2 place that is known.
    pub(super) fn instances(&self) -> Vec<RedisAt> {
        let at = |(ask, _): &(Ask, Answer)| {
            if let Ask::Redis(at) = ask { Some(at.clone()) } else { None }
        };
        self.facts.answers.iter().filter_map(at).collect()
    }

    pub(super) fn units(&self) -> Vec<String> {
        let name = |(ask, _): &(Ask, Answer)| {
            if let Ask::Unit(name) = ask { Some(name.clone()) } else { None }
        };
        self.facts.answers.iter().filter_map(name).collect()
    }

    pub(super) fn places(&self) -> Vec<Pm2At> {
        let at = |(ask, _): &(Ask, Answer)| if let Ask::Pm2(at) = ask { Some(at.clone()) } else { None };
        self.facts.answers.iter().filter_map(at).collect()
    }

    /// The list of a place as it is, copied at most once per change.
    fn list(&self, at: &Pm2At, seen: &Pm2Seen) -> Arc<Vec<App>> {
        let mut lists = self.lists.borrow_mut();
        if let Some((_, apps)) = lists.iter().find(|(known, _)| known == at) {
            return Arc::clone(apps);
        }
        let apps = Arc::new(seen.apps.clone());
        lists.push((at.clone(), Arc::clone(&apps)));
        apps
    }

    /// Whether the machine below has been asked; of the kinds that deeds are about.
    pub(super) fn knows(&self, ask: &Ask) -> bool {
        if let Ask::Redis(at) = ask {
            self.facts.redis(self.behind(at)).is_some()
        } else {
            self.facts.get(ask).is_some()
        }
    }

    /// The answer as far as it is believed; `None` when the machine below has to be asked.
    pub(super) fn answer(&self, ask: &Ask, now: Duration) -> Option<Answer> {
        match ask {
            Ask::Redis(at) => {
                let at = self.behind(at);
                let seen = self.facts.redis(at)?;
                Some(Answer::Redis(Box::new(self.moving(at, seen, now))))
            }
            Ask::LoadProgress { pid, .. } => self.load_progress(*pid, now).map(|seen| Answer::LoadProgress(Some(seen))),
            Ask::Pm2List(at) => match self.facts.pm2(at) {
                Some(seen) => Some(Answer::Pm2List(ListSeen { apps: self.list(at, seen), ..ListSeen::default() })),
                None => self.facts.get(ask).cloned(),
            },
            Ask::Snapshot { sha256, .. } => {
                let known = self.snapshots.iter().find(|(_, hash, _)| hash == sha256);
                known.map(|(_, _, apps)| Answer::Snapshot(apps.to_vec())).or_else(|| self.facts.get(ask).cloned())
            }
            Ask::Machine => {
                let mut seen = self.facts.machine()?.clone();
                let since = now.saturating_sub(self.booted_at.unwrap_or_default()).as_secs_f64();
                seen.uptime_seconds =
                    seen.uptime_seconds.map(|found| if self.booted_at.is_some() { since } else { found + since });
                Some(Answer::Machine(Box::new(seen)))
            }
            Ask::IncrCost(_) | Ask::Unit(_) | Ask::Inhibitors | Ask::Pm2(_) | Ask::Disk(_) => {
                self.facts.get(ask).cloned()
            }
            Ask::Http(_) | Ask::Tcp(_) | Ask::ResumeUnit | Ask::LogTail { .. } => self.facts.get(ask).cloned(),
            Ask::Pressure | Ask::Program(_) => self.facts.get(ask).cloned(),
        }
    }
}

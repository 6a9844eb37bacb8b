//! One instance on its way to ready: what each look at it shows, and when waiting longer is in vain.
use std::path::Path;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::act::{Ground, Outcome, Tell, Tick};
use super::dead_end::{self, Patience, Way};
use super::inventory::RedisInstance;
use super::load_damage;
use super::load_watch::LoadWatch;
use super::loads::{self, Board};
use super::needs::is_ready;
use super::redis_loaded::work;
use crate::host::ask::LogOf;
use crate::host::foreign::{Shown, Untrusted};
use crate::host::json_text::JsonText;
use crate::host::redis::{Door, RedisSeen, ServerName};
use crate::host::span::{bytes, words};
use crate::host::systemd::UnitSeen;
use crate::host::{Host, HostError};

/// Looks in a row that must agree before an instance is called ready: a replica flips back to loading when its
/// master's copy arrives.
pub(super) const SAME_ANSWERS: u32 = 3;
/// A loading server answers in milliseconds; after so long without an answer the kernel is asked instead.
const UNANSWERED: Duration = Duration::from_secs(3);
/// How long a server that loads may owe an answer before that is what a look at it shows.
const OWED: Duration = Duration::from_secs(30);
/// Starts of the server after which a load is called a restart loop.
const RESTARTS: u64 = 2;

/// It took the connection and said nothing.
fn silent(seen: &RedisSeen) -> bool {
    seen.door == Door::TimedOut { connected: true }
}

/// What one look at a loading instance showed.
pub(super) enum Look {
    Ready(String),
    Lost(Outcome),
    Wait(Tick),
}

/// One instance under watch: INFO at most once a second, and its end seen between two looks.
pub(super) struct Watch<'a> {
    instance: &'a RedisInstance,
    on: &'a dyn Host,
    ground: &'a Ground<'a>,
    began: Duration,
    load: LoadWatch<'a>,
    /// Restarts counted by systemd at the first look.
    restarts: Option<u64>,
    /// From the start of the main process to READY=1, as the unit's own time stamps have it.
    unit_load: Option<Duration>,
    /// It said that it loads, at the last look.
    pub(super) loading: bool,
    good: u32,
    patience: Patience,
}

impl<'a> Watch<'a> {
    pub(super) fn new(instance: &'a RedisInstance, on: &'a dyn Host, ground: &'a Ground<'_>, board: &'a Board) -> Self {
        let load = LoadWatch::new(instance, on.as_probe(), ground, board);
        let began = on.as_probe().uptime();
        Self {
            instance,
            on,
            ground,
            began,
            load,
            restarts: None,
            unit_load: None,
            loading: false,
            good: 0,
            patience: Patience::default(),
        }
    }

    pub(super) async fn look(&mut self, tell: Tell<'_>) -> Look {
        let on = self.on.as_probe();
        let seen = match self.answer(tell).await {
            Ok(seen) => seen,
            Err(error) => return Look::Lost(error.into()),
        };
        self.loading = seen.door == Door::Loading;
        if let Some(unit) = &self.instance.unit {
            match self.judge_unit(on.unit(unit).await) {
                Ok(()) => {}
                Err(lost) => return Look::Lost(self.with_cause(lost).await),
            }
        }
        let why = match is_ready(self.instance, &seen, self.ground) {
            Ok(()) => {
                self.good += 1;
                self.load.ready(&seen).await;
                if self.good >= SAME_ANSWERS {
                    let alarm = self.alarm(&seen).await.map_or(String::new(), |line| format!("; its log says: {line}"));
                    return Look::Ready(format!("{}{alarm}", self.note(&seen)));
                }
                return Look::Wait(Tick::say(
                    &self.instance.name,
                    format!("ready, {} of {SAME_ANSWERS} looks", self.good),
                ));
            }
            Err(why) => why,
        };
        self.good = 0;
        let end = dead_end::of_instance(self.instance, &seen, on, self.ground).await;
        match self.patience.judge(end, &why, self.on, self.ground).await {
            Way::Ended(why) => Look::Lost(Outcome::failed(why)),
            Way::Blocked(why) => Look::Wait(Tick::say(&self.instance.name, why)),
            Way::Open => Look::Wait(self.load.look(&seen, why).await),
        }
    }

    /// What the server answers; the load is told of by the kernel's word for as long as it does not, as behind a stalled disk.
    async fn answer(&mut self, tell: Tell<'_>) -> Result<Box<RedisSeen>, HostError> {
        let (on, at) = (self.on, self.instance.at());
        if !self.load.has_begun() {
            return on.as_probe().redis(&at).await;
        }
        let asked = on.as_probe().uptime();
        let mut answer = Box::pin(on.as_probe().redis(&at));
        loop {
            match select(answer, on.sleep(UNANSWERED)).await {
                // A look gives up sooner than a server behind a stalled disk is slow.
                Either::Left((Ok(seen), _)) if silent(&seen) && on.as_probe().uptime().saturating_sub(asked) < OWED => {
                    on.sleep(Duration::from_secs(1)).await;
                    answer = Box::pin(on.as_probe().redis(&at));
                }
                Either::Left((seen, _)) => return seen,
                Either::Right((_, still)) => answer = still,
            }
            if let Some(tick) = self.load.unanswered(on.as_probe().uptime().saturating_sub(asked)).await {
                tell(tick);
            }
        }
    }

    /// A unit that starts again and again will not load however long one waits.
    fn judge_unit(&mut self, unit: Result<Box<UnitSeen>, HostError>) -> Result<(), Outcome> {
        let Ok(unit) = unit else { return Ok(()) };
        let notifies = unit.service_type.starts_with("notify");
        if let (true, Some(began), Some(ready)) = (notifies, unit.main_started, unit.active_enter) {
            self.unit_load = Duration::try_from(ready - began).ok();
        }
        let now = u64::from(unit.n_restarts);
        let first = *self.restarts.get_or_insert(now);
        if now >= first + RESTARTS {
            let why = format!(
                "{} was restarted {} times while loading (result {}): see its log",
                unit.id,
                now - first,
                unit.result
            );
            return Err(Outcome::failed(why));
        }
        Ok(())
    }

    /// The loss with what the server's own log says about it.
    async fn with_cause(&self, lost: Outcome) -> Outcome {
        match (lost, load_damage::cause(self.instance, self.on.as_probe(), self.ground).await) {
            (Outcome::Failed { why, causes }, Some(cause)) => {
                Outcome::Failed { why: format!("{why}; {cause}"), causes }
            }
            (lost, _) => lost,
        }
    }

    /// The end of the wait, with the load for those to come.
    pub(super) fn outcome(&self, note: String) -> Outcome {
        let record = self.load.record().and_then(|load| JsonText::of(&load).ok());
        Outcome::Applied {
            note: Some(note),
            keep: record.map(|record| (loads::key(&self.instance.name), record)).into_iter().collect(),
        }
    }

    /// What the log of this start cries out: Redis loads a file that was cut short and says so nowhere else.
    async fn alarm(&self, seen: &RedisSeen) -> Option<Shown> {
        let facts = seen.facts.as_ref()?;
        let log = facts.config.as_ref()?.get("logfile").filter(|path| path.starts_with('/'))?;
        let lines = self.on.as_probe().log_tail(Path::new(log), LogOf::User(facts.server.uid?)).await.ok()?;
        alarming(&lines, facts.server.process_id?)
    }

    /// What is worth writing down of a finished load: its time against the estimate. A notifying unit knows the time even
    /// where the load was over before anybody watched.
    fn note(&self, seen: &RedisSeen) -> String {
        let watched = self.on.as_probe().uptime().saturating_sub(self.began);
        let took = self.unit_load.unwrap_or(watched);
        let size = self.load.files.as_ref().map_or(String::new(), |files| format!("{}, ", bytes(files.bytes())));
        let expected = work(self.instance, seen, self.ground, None).map(|work| loads::span(work.expected()));
        let expected = expected.map_or(String::new(), |span| format!(" (estimated {})", words(span.typically())));
        // Tile38 counts objects, and tells nobody in INFO: no number is not zero.
        let counted = seen.facts.as_ref().filter(|facts| facts.server.name != ServerName::Tile38);
        let keys: Option<u64> = counted.map(|facts| facts.keys.values().sum());
        let keys = keys.map_or(String::new(), |keys| format!(", {keys} keys"));
        format!("{size}loaded in {}{expected}{keys}", words(took))
    }
}

/// The last line that the process `pid` marked with exclamation marks (aof.c, `loadSingleAppendOnlyFile`).
fn alarming(lines: &[Untrusted], pid: u32) -> Option<Shown> {
    let own = format!("{pid}:");
    let cries = |line: &&Untrusted| line.raw().starts_with(&own) && line.raw().contains("!!!");
    lines.iter().rev().find(cries).map(|line| line.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_short_is_seen_in_the_log_of_this_start_only() {
        let lines = [
            "41:M 22 Nov 2026 02:14:01.000 # !!! Truncating the AOF a.aof at offset 99 !!!".to_owned(),
            "42:M 22 Nov 2026 02:20:01.000 # !!! Warning: short read while loading the AOF file a.aof!!!".to_owned(),
            "42:M 22 Nov 2026 02:20:01.100 * DB loaded from append only file: 1.2 seconds".to_owned(),
        ]
        .map(Untrusted::new);
        assert!(alarming(&lines, 42).unwrap().contains("short read"));
        assert_eq!(alarming(&lines, 43), None);
    }
}

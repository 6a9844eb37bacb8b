//! What a check of `healthy` means: each becomes one or more questions with a yes, or a no with its reason.

use std::collections::HashMap;
use std::time::Duration;

use super::act::Ground;
use super::check::{
    Check, CommandCheck, Comparison, HeaderValue, HostCheck, HttpCheck, Link, Pm2Check, RedisCheck, RedisTarget,
    TcpCheck,
};
use super::dead_end::{self, DeadEnd};
use super::glob::any_matches;
use super::inventory::{Pm2Place, RedisInstance, Role};
use super::measure::Amount;
use super::needs::role_wanted;
use super::process_list;
use crate::host::ask::{HttpAsk, HttpHeader};
use crate::host::command::CommandAsked;
use crate::host::json_path::{JsonPath, Operator, holds};
use crate::host::pm2::{App, Pm2Seen, Status};
use crate::host::redis::{self, Door, RedisAt, RoleWanted, Wanted, ready};
use crate::host::span::bytes;
use crate::host::{Deed, Host, HostError, Probe, Told};

/// How long a command check may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// One question of a gate, with its place there: that, and not its words, is which one it is.
pub(super) struct Question<'a> {
    /// Place of its check in the gate, from 1.
    check: usize,
    /// Unique within the gate, and readable.
    key: String,
    about: About<'a>,
}

/// What a question is about.
enum About<'a> {
    /// One instance, or one address.
    Redis(&'a RedisCheck, Option<&'a RedisInstance>, RedisAt),
    /// One unit and whether it must be active.
    Unit(&'a str, bool, bool),
    /// A port.
    Tcp(&'a TcpCheck),
    /// A page.
    Http(&'a HttpCheck),
    /// The machine itself.
    Host(&'a HostCheck),
    /// The apps of one place.
    Pm2(&'a Pm2Check),
    /// A program.
    Command(&'a CommandCheck),
}

/// Why a question has no yes.
pub(super) enum No {
    /// It was asked and the answer is no.
    Because(String),
    /// Only a process could tell.
    NotAsked,
    /// There is no machine to ask, and the recorded facts do not hold the answer.
    NotRecorded,
}

impl From<String> for No {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

impl From<HostError> for No {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NotRecorded { .. } => Self::NotRecorded,
            other => Self::Because(other.to_string()),
        }
    }
}

/// Takes the checks apart, so that each instance and each unit answers for itself.
pub(super) fn questions<'a>(checks: &'a [Check], ground: &Ground<'a>) -> Vec<Question<'a>> {
    let mut out = Vec::new();
    for (at, check) in checks.iter().enumerate() {
        let parts = match check {
            Check::Redis(redis) => match &redis.target {
                RedisTarget::Instances(selector) => {
                    let chosen = ground.inventory.select(selector).into_iter();
                    chosen.map(|one| About::Redis(redis, Some(one), one.at())).collect()
                }
                RedisTarget::Address(to) => vec![About::Redis(redis, None, to.at())],
            },
            Check::Unit(unit) => {
                let named: std::collections::BTreeSet<&str> = unit.units.iter().map(String::as_str).collect();
                named.into_iter().map(|name| About::Unit(name, unit.active, unit.required)).collect()
            }
            Check::Tcp(tcp) => vec![About::Tcp(tcp)],
            Check::Http(http) => vec![About::Http(http)],
            Check::Host(host) => vec![About::Host(host)],
            Check::Pm2(pm2) => vec![About::Pm2(pm2)],
            Check::Command(command) => vec![About::Command(command)],
        };
        out.extend(parts.into_iter().map(|about| Question { check: at + 1, key: about.label(), about }));
    }
    tell_apart(&mut out);
    out
}

/// Checks of one gate may be about the same instance or page: their place in the gate stands behind what they share. A label may
/// end like that by itself, so whatever is still the same then makes all of them bear their place.
fn tell_apart(questions: &mut [Question<'_>]) {
    let numbered = |question: &mut Question<'_>| question.key = format!("{} [check {}]", question.key, question.check);
    for twin in twins(questions) {
        numbered(&mut questions[twin]);
    }
    if !twins(questions).is_empty() {
        questions.iter_mut().for_each(numbered);
    }
}

/// Those whose key another one has, too.
fn twins(questions: &[Question<'_>]) -> Vec<usize> {
    let mut bearers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, question) in questions.iter().enumerate() {
        bearers.entry(&question.key).or_default().push(at);
    }
    bearers.into_values().filter(|all| all.len() > 1).flatten().collect()
}

impl About<'_> {
    fn label(&self) -> String {
        match self {
            Self::Redis(_, Some(instance), _) => format!("redis {}", instance.name),
            Self::Redis(_, None, at) => format!("redis {}", at.url),
            Self::Unit(name, ..) => format!("unit {name}"),
            Self::Tcp(tcp) => format!("tcp {}", tcp.addr),
            Self::Http(http) => format!("http {}", http.url),
            Self::Host(host) => format!("host {}", host_label(host)),
            Self::Command(command) => format!("command {}", command.argv.join(" ")),
            Self::Pm2(pm2) => format!("pm2 {} {}", pm2.pm2, pm2.apps.join(" ")).trim_end().to_owned(),
        }
    }
}

impl Question<'_> {
    /// Unique within a gate, and readable.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether the gate fails with it.
    pub(super) fn required(&self) -> bool {
        match &self.about {
            About::Redis(check, instance, _) => check.required && instance.is_none_or(|one| one.required),
            About::Unit(.., required) => *required,
            About::Tcp(check) => check.required,
            About::Http(check) => check.required,
            About::Host(check) => check.required,
            About::Pm2(check) => check.required,
            About::Command(check) => check.required,
        }
    }

    /// Whether it holds.
    pub(super) async fn holds(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<(), No> {
        match &self.about {
            About::Redis(check, instance, at) => redis_holds(check, *instance, at, on, ground).await,
            About::Unit(name, active, _) => unit_holds(name, *active, on).await,
            About::Tcp(tcp) => match on.tcp(&tcp.addr).await {
                Ok(None) => Ok(()),
                Ok(Some(why)) => Err(String::from(why).into()),
                Err(error) => Err(error.into()),
            },
            About::Http(http) => http_holds(http, on, ground).await,
            About::Host(host) => host_holds(host, on).await,
            About::Pm2(pm2) => pm2_holds(pm2, on, ground).await,
            About::Command(_) => Err(No::NotAsked),
        }
    }

    /// Why waiting will not make it hold, where a look can tell; asked only of one that does not hold.
    pub(super) async fn dead_end(&self, on: &dyn Probe, ground: &Ground<'_>) -> Option<DeadEnd> {
        match &self.about {
            About::Redis(check, instance, at) => redis_dead_end(check, *instance, at, on, ground).await,
            About::Unit(name, true, _) => dead_end::of_unit(name, on).await,
            About::Pm2(pm2) => dead_end::of_place(&pm2.pm2, on, ground).await,
            About::Tcp(tcp) => {
                let listens =
                    |one: &&RedisInstance| one.url.trim_end_matches('/').ends_with(&format!("//{}", tcp.addr));
                let instance = ground.inventory.redis.values().find(listens)?;
                dead_end::of_unit(instance.unit.as_deref()?, on).await
            }
            // A page is served by whoever it is, a machine may be given more, and a program may say something else.
            About::Unit(_, false, _) | About::Http(_) | About::Host(_) | About::Command(_) => None,
        }
    }

    /// Runs a command check.
    pub(super) async fn run(&self, on: &dyn Host) -> Result<(), String> {
        let About::Command(CommandCheck { argv, user, cwd, .. }) = &self.about else {
            return Ok(());
        };
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let asked =
            CommandAsked { user: user.clone(), cwd: cwd.clone(), ..CommandAsked::new(&words, COMMAND_DEADLINE) };
        match on.tell(&Deed::Run(asked)).await {
            Ok(Told::Ran(seen)) if seen.succeeded() => Ok(()),
            Ok(Told::Ran(seen)) => Err(format!("{} {}", seen.end, seen.stderr.lines().last().unwrap_or_default())),
            Ok(_) => Err("an odd answer to a command".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Asks one check, by the hands where only a process can tell. `Ok` comes with what is worth telling.
pub(super) async fn ask(question: &Question<'_>, on: &dyn Host, ground: &Ground<'_>) -> Result<Option<String>, String> {
    match question.holds(on.as_probe(), ground).await {
        Ok(()) => Ok(None),
        Err(No::Because(why)) => Err(why),
        Err(No::NotAsked) => question.run(on).await.map(|()| None),
        // Only a rehearsal without a machine comes here. It goes on, and says on what.
        Err(No::NotRecorded) => Ok(Some("not in the recorded facts: taken to hold".into())),
    }
}

async fn redis_holds(
    check: &RedisCheck,
    instance: Option<&RedisInstance>,
    at: &RedisAt,
    on: &dyn Probe,
    ground: &Ground<'_>,
) -> Result<(), No> {
    let seen = on.redis(at).await?;
    let loading = seen.facts.as_ref().is_some_and(|facts| facts.loading.is_some());
    if check.loading && loading {
        return Ok(());
    }
    let asked = check.role.map(|role| match role {
        Role::Master => RoleWanted::Master,
        Role::Replica => RoleWanted::Replica,
    });
    let role = match instance {
        Some(instance) => role_wanted(instance).map(|own| asked.unwrap_or(own)),
        None => asked,
    };
    let wanted = Wanted { role, keys_before: None, keys_at_least: 0.0, aof: None };
    let link_down_is_fine = check.link == Some(Link::Down);
    if let Err(why) = ready(&seen, &wanted) {
        let counts =
            |reason: &&redis::NotReady| !(link_down_is_fine && matches!(reason, redis::NotReady::LinkDown { .. }));
        let why: Vec<String> = why.iter().filter(counts).map(ToString::to_string).collect();
        if !why.is_empty() {
            return Err(why.join(", ").into());
        }
    }
    match keys_lacking(check, &seen, at, ground) {
        Some(Lacking { now, least, before }) => Err(format!("{now} keys, wanted {least} (of {before} before)").into()),
        None => Ok(()),
    }
}

/// A data set that is too small.
struct Lacking {
    now: u64,
    least: u64,
    before: u64,
}

fn keys_lacking(check: &RedisCheck, seen: &redis::RedisSeen, at: &RedisAt, ground: &Ground<'_>) -> Option<Lacking> {
    let count = |seen: &redis::RedisSeen| seen.facts.as_ref().map_or(0, |facts| facts.keys.values().sum::<u64>());
    let before = ground.baseline.redis(at).map_or(0, count);
    let (now, least) = (count(seen), check.keys_at_least?.of(before));
    (now < least).then_some(Lacking { now, least, before })
}

/// An instance that does not answer hangs on its unit, one that lacks keys on a load. Roles and links are changed by others.
async fn redis_dead_end(
    check: &RedisCheck,
    instance: Option<&RedisInstance>,
    at: &RedisAt,
    on: &dyn Probe,
    ground: &Ground<'_>,
) -> Option<DeadEnd> {
    let instance = instance.or_else(|| ground.inventory.redis.values().find(|one| one.url == at.url))?;
    let seen = on.redis(at).await.ok()?;
    match dead_end::of_instance(instance, &seen, on, ground).await {
        Some(DeadEnd::Answer) if seen.door == Door::Open => {
            keys_lacking(check, &seen, at, ground).map(|lacking| DeadEnd::Keys(lacking.now))
        }
        other => other,
    }
}

async fn unit_holds(name: &str, active: bool, on: &dyn Probe) -> Result<(), No> {
    let seen = on.unit(name).await?;
    let is = seen.active_state == "active";
    if is == active { Ok(()) } else { Err(format!("{} ({})", seen.active_state, seen.sub_state).into()) }
}

/// The shortest and the longest time that one request of a gate may take, where the check does not say.
const REQUEST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// How long an answer may take: as the check says, else half of what its step may take, so that a slow page is asked twice at
/// least. A plan waits no longer than for any other look.
fn answers_within(check: &HttpCheck, ground: &Ground<'_>) -> Option<Duration> {
    let of_the_gate = || (ground.attempt > 0).then(|| ground.within.map_or(REQUEST.1 / 2, |within| within / 2));
    check.answers_within.or_else(|| Some(of_the_gate()?.clamp(REQUEST.0, REQUEST.1)))
}

async fn http_holds(check: &HttpCheck, on: &dyn Probe, ground: &Ground<'_>) -> Result<(), No> {
    let header = |(name, value): (&String, &HeaderValue)| {
        let value = match value {
            HeaderValue::Text(text) => HttpHeader::Text(text.clone()),
            HeaderValue::Secret(place) => HttpHeader::Secret(place.clone()),
        };
        (name.clone(), value)
    };
    let ask = HttpAsk {
        url: check.url.clone(),
        headers: check.headers.iter().map(header).collect(),
        tls: check.tls.clone(),
        within: answers_within(check, ground),
    };
    let seen = on.http(&ask).await?;
    if seen.status != check.status {
        return Err(format!("status {}, wanted {}", seen.status, check.status).into());
    }
    if check.json.is_empty() {
        return Ok(());
    }
    if seen.cut && seen.body.raw().is_empty() {
        // Recorded facts leave bodies out.
        return Err(No::NotRecorded);
    }
    let body: serde_json::Value =
        serde_json::from_str(seen.body.raw()).map_err(|_| "the body is not JSON".to_owned())?;
    for (path, comparison) in &check.json {
        json_holds(&body, path, comparison).map_err(|why| format!("{path}: {why}"))?;
    }
    Ok(())
}

fn json_holds(body: &serde_json::Value, path: &str, comparison: &Comparison) -> Result<(), String> {
    let number = |n: &f64| serde_json::Number::from_f64(*n).map_or(serde_json::Value::Null, serde_json::Value::Number);
    let (operator, wanted) = match comparison {
        Comparison::Eq(value) => (Operator::Eq, value.clone()),
        Comparison::Ne(value) => (Operator::Ne, value.clone()),
        Comparison::Lt(n) => (Operator::Lt, number(n)),
        Comparison::Le(n) => (Operator::Le, number(n)),
        Comparison::Gt(n) => (Operator::Gt, number(n)),
        Comparison::Ge(n) => (Operator::Ge, number(n)),
        Comparison::Contains(value) => (Operator::Contains, value.clone()),
    };
    let path = JsonPath::parse(path).map_err(|error| error.to_string())?;
    let seen = path.get(body).ok_or("is not in the answer")?;
    match holds(&seen, operator, &wanted) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(format!("is {}, wanted {operator} {wanted}", crate::host::foreign::tame(&seen.to_string(), 80)))
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn host_holds(check: &HostCheck, on: &dyn Probe) -> Result<(), No> {
    let machine = on.machine().await?;
    let total = machine.mem_total.unwrap_or(0);
    let of = |amount: &Amount, whole: u64| match amount {
        Amount::Bytes(least) => least.0,
        Amount::Percent(share) => share.of(whole),
    };
    if let Some(least) = check.memory_free.as_ref().map(|amount| of(amount, total)) {
        let free = machine.mem_available.unwrap_or(0);
        if free < least {
            return Err(format!("{} of memory available, wanted {}", bytes(free), bytes(least)).into());
        }
    }
    if let Some(least) = check.memory_at_least.filter(|least| total < least.0) {
        return Err(format!("{} of memory in all, wanted {least}", bytes(total)).into());
    }
    if let Some(least) = check.cpus_at_least.filter(|least| machine.cpus.unwrap_or(0) < *least) {
        return Err(format!("{} processors, wanted {least}", machine.cpus.unwrap_or(0)).into());
    }
    for disk in &check.disk_free {
        let seen = on.disk(&disk.path).await?;
        let least = of(&disk.at_least, seen.bytes_total);
        if seen.bytes_free < least {
            return Err(
                format!("{} free on {}, wanted {}", bytes(seen.bytes_free), disk.path.display(), bytes(least)).into()
            );
        }
    }
    Ok(())
}

async fn pm2_holds(check: &Pm2Check, on: &dyn Probe, ground: &Ground<'_>) -> Result<(), No> {
    let Some(place) = process_list::place(ground, &check.pm2) else {
        return Err("no such PM2 place".to_owned().into());
    };
    let list = on.pm2_list(&process_list::at(place)).await?;
    let asked_about = |name: &str| check.apps.is_empty() || any_matches(&check.apps, name);
    let apps: Vec<_> = list.apps.iter().filter(|app| !app.module && asked_about(&app.key.name)).collect();
    let online = apps.iter().filter(|app| app.status == Status::Online && app.pid.is_some()).count() as u64;
    if let Some(least) = check.online_at_least.map(|quota| quota.of(apps.len() as u64)).filter(|least| online < *least)
    {
        return Err(format!("{online} of {} online, wanted {least}", apps.len()).into());
    }
    restarts_hold(check, place, &apps, on, ground).await
}

/// How often apps were restarted: since the run began, and in all.
async fn restarts_hold(
    check: &Pm2Check,
    place: &Pm2Place,
    apps: &[&App],
    on: &dyn Probe,
    ground: &Ground<'_>,
) -> Result<(), No> {
    let over = |app: &App, count: u64, most: Option<u32>, since: &str| {
        let most = most.map(u64::from).filter(|most| count > *most)?;
        Some(format!("{} has restarted {count} times {since}, wanted {most} at most", process_list::label(&app.key)))
    };
    let rebooted = match (ground.baseline.machine(), on.machine().await) {
        (Some(then), Ok(now)) => then.boot_id.is_some() && now.boot_id.is_some() && then.boot_id != now.boot_id,
        _ => false,
    };
    // Another daemon counts from nothing.
    let before = ground.baseline.pm2(&process_list::at(place)).filter(|_| !rebooted);
    let before = match before {
        Some(seen) if check.restarts_at_most.is_some() && is_another_daemon(seen, place, on).await => None,
        same => same,
    };
    for app in apps {
        let then = before.and_then(|seen| process_list::find(&seen.apps, &app.key)).map_or(0, |app| app.restarts);
        let since = app.restarts.checked_sub(then).unwrap_or(app.restarts);
        let why = over(app, since, check.restarts_at_most, "since the run began")
            .or_else(|| over(app, app.restarts, check.restarts_in_all_at_most, "in all"));
        if let Some(why) = why {
            return Err(why.into());
        }
    }
    Ok(())
}

/// Whether the daemon of now is not the one of then, by their processes.
async fn is_another_daemon(then: &Pm2Seen, place: &Pm2Place, on: &dyn Probe) -> bool {
    let Ok(now) = on.pm2(&process_list::at(place)).await else { return false };
    let pid = |seen: &Pm2Seen| seen.up().and_then(|up| up.pid);
    matches!((pid(then), pid(&now)), (Some(then), Some(now)) if then != now)
}

/// What a host check asks, in a word or two.
fn host_label(check: &HostCheck) -> String {
    let mut parts = Vec::new();
    if check.memory_free.is_some() {
        parts.push("memory_free".to_owned());
    }
    if check.memory_at_least.is_some() {
        parts.push("memory_at_least".to_owned());
    }
    if check.cpus_at_least.is_some() {
        parts.push("cpus_at_least".to_owned());
    }
    parts.extend(check.disk_free.iter().map(|disk| format!("disk_free {}", disk.path.display())));
    parts.join(" ")
}

#[cfg(test)]
mod tests;

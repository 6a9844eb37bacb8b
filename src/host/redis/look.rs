//! One look at one instance: ask everything in one breath, then read its files. Never fails; what is not seen is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use tokio::time::timeout;

use super::at::{RedisAddr, RedisAt, RedisKind};
use super::door::Door;
use super::files::{self, Names};
use super::info::Fields;
use super::odd::odd;
use super::seen::{RedisFacts, RedisSeen, Unseen};
use super::whose::server_of;
use super::wire::{self, Patience, Wire};
use super::{facts, settings, written};
use crate::host::foreign::{Shown, named, tame};
use crate::host::off_thread;
use crate::host::safe_file::Reader;

/// For the connection, a handshake and the answers of a look together. A loading Redis on a slow disk has been silent for longer; it
/// is looked at again by whoever waits for it, and whoever plans is told that it is silent.
const LOOK: Duration = Duration::from_secs(9);

/// Looks. Never fails, never hangs: at most 9 s for the server, in practice a few milliseconds.
pub async fn look(at: &RedisAt) -> RedisSeen {
    let patience = Patience { answer: Duration::from_millis(7_500), ..Patience::default() };
    timeout(LOOK, look_with(at, patience)).await.unwrap_or_else(|_| RedisSeen {
        door: Door::TimedOut { connected: true },
        facts: None,
        unseen: Vec::new(),
    })
}

/// Looks with the given patience.
pub async fn look_with(at: &RedisAt, patience: Patience) -> RedisSeen {
    match gather(at, patience).await {
        Ok(seen) => seen,
        Err(door) => RedisSeen { door, facts: None, unseen: Vec::new() },
    }
}

async fn gather(at: &RedisAt, patience: Patience) -> Result<RedisSeen, Door> {
    let addr = at.check().map_err(|error| Door::BadAddress { text: error.to_string() })?;
    let password = wire::password(at, patience.connect).await?;
    let mut wire = wire::open(at, &addr, patience).await?;
    let talk = async {
        wire.login(at, password.as_ref()).await?;
        drop(password);
        match at.kind {
            RedisKind::Redis => Ok((redis(&mut wire).await?, true)),
            RedisKind::Tile38 => Ok((tile38(&mut wire).await?, false)),
        }
    };
    let (mut seen, is_redis) =
        timeout(patience.answer, talk).await.unwrap_or(Err(Door::TimedOut { connected: true }))?;
    if let Some(facts) = seen.facts.as_mut() {
        facts.certified_until = wire.certified_until;
    }
    let peer = wire.peer;
    drop(wire);
    if is_redis && seen.facts.is_some() {
        seen = on_this_host(seen, addr, peer).await;
    }
    Ok(seen)
}

async fn redis(wire: &mut Wire) -> Result<RedisSeen, Door> {
    let mut commands: Vec<Cmd> = vec![cmd("CLIENT"), cmd("PING"), cmd("INFO"), cmd("ROLE"), cmd("COMMAND")];
    commands[0].arg("SETNAME").arg("runbook"); // a courtesy to whoever reads CLIENT LIST; its answer does not matter
    commands[4].arg("INFO").arg("BGREWRITEAOF");
    // One setting each: several in one CONFIG GET came with Redis 7.
    commands.extend(settings::names().map(|name| {
        let mut get = cmd("CONFIG");
        get.arg("GET").arg(name);
        get
    }));
    understand(&wire.ask(commands).await?)
}

/// What the answers of a Redis amount to, in the order of the questions. Pure.
pub(super) fn understand(answers: &[Value]) -> Result<RedisSeen, Door> {
    let [_, ping, info, role, command, settings @ ..] = answers else {
        return Err(Door::Odd { text: "fewer answers than questions".into() });
    };
    let mut seen = RedisSeen { door: Door::of_ping(ping), facts: None, unseen: Vec::new() };
    let info = match info {
        Value::ServerError(error) => {
            seen.unseen.push(unseen("INFO", &words(error)));
            return Ok(seen);
        }
        other => Fields::parse(&plain(other)),
    };
    let Some(mut facts) = facts::facts(&info) else {
        seen.unseen.push(unseen("INFO", "it lacks the fields of a redis server"));
        return Ok(seen);
    };
    match role {
        Value::ServerError(error) => seen.unseen.push(unseen("ROLE", &words(error))),
        answer => match facts::role(answer, &info) {
            Ok(role) => facts.role = Some(role),
            Err(odd) => seen.unseen.push(unseen("ROLE", &odd)),
        },
    }
    facts.rewrite_known = match command {
        Value::Array(items) => {
            Some(items.first().is_some_and(|item| matches!(item, Value::Array(parts) if !parts.is_empty())))
        }
        _ => None,
    };
    match merge(settings) {
        Ok(config) => facts.config = Some(config),
        Err(why) => seen.unseen.push(unseen("CONFIG", &why)),
    }
    seen.facts = Some(facts);
    Ok(seen)
}

async fn tile38(wire: &mut Wire) -> Result<RedisSeen, Door> {
    let answers = wire.ask(vec![cmd("PING"), cmd("ROLE")]).await?;
    let [ping, role] = answers.as_slice() else {
        return Err(Door::Odd { text: "fewer answers than questions".into() });
    };
    let mut seen = RedisSeen { door: Door::of_ping(ping), facts: None, unseen: Vec::new() };
    let role = match role {
        Value::ServerError(error) => Err(words(error)),
        answer => facts::role(answer, &Fields::default()),
    };
    seen.unseen.extend(role.as_ref().err().map(|why| unseen("ROLE", why)));
    seen.facts = Some(facts::tile38(role.ok()));
    Ok(seen)
}

fn merge(answers: &[Value]) -> Result<BTreeMap<String, String>, String> {
    let mut config = BTreeMap::new();
    for answer in answers {
        match answer {
            Value::ServerError(error) => return Err(words(error).into()),
            other => config.extend(facts::settings(other).ok_or_else(|| odd(Some(other)).to_string())?),
        }
    }
    Ok(config)
}

fn words(error: &redis::ServerError) -> Shown {
    tame(&format!("{} {}", error.code(), error.details().unwrap_or_default()), 200)
}

fn unseen(what: &str, why: &str) -> Unseen {
    Unseen { what: what.to_owned(), why: why.to_owned() }
}

fn plain(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

/// Adds what this host's disk shows, if the server is a process of this host.
async fn on_this_host(seen: RedisSeen, addr: RedisAddr, peer: Option<u32>) -> RedisSeen {
    let mut late = seen.clone();
    let config = seen.facts.as_ref().and_then(|facts| facts.config.as_ref());
    let dir = config.and_then(|config| config.get("dir")).map(PathBuf::from).unwrap_or_default();
    match off_thread::within(off_thread::DISK, &dir, move || with_disk(seen, &addr, peer)).await {
        Ok(seen) => seen,
        Err(why) => {
            late.unseen.push(unseen("files", &why.to_string()));
            late
        }
    }
}

fn with_disk(mut seen: RedisSeen, addr: &RedisAddr, peer: Option<u32>) -> RedisSeen {
    let Some(facts) = seen.facts.as_mut() else { return seen };
    let server = server_of(facts, addr, peer);
    facts.server.uid = server.as_ref().ok().map(|server| server.uid);
    match server.as_ref().map_err(Clone::clone).and_then(|server| files_of(facts, server)) {
        Ok(files) => facts.files = Some(files),
        Err(why) => seen.unseen.push(unseen("files", &why)),
    }
    if addr.is_local() && !facts.server.config_file.is_empty() {
        match server.and_then(|server| written::read(&facts.server.config_file, &server)) {
            Ok(written) => facts.written = Some(written),
            Err(why) => seen.unseen.push(unseen("config file", &why)),
        }
    }
    seen
}

fn files_of(facts: &RedisFacts, server: &Reader) -> Result<files::AofFiles, String> {
    let config = facts.config.as_ref().ok_or("their names come from CONFIG GET, which is not permitted")?;
    let get = |key: &str| config.get(key).map(String::as_str);
    let dir = get("dir").ok_or("CONFIG GET dir is empty")?;
    let pid = facts.server.process_id.ok_or("INFO names no process")?;
    let process = Path::new("/proc").join(pid.to_string());
    // CONFIG GET dir is the working directory. Readable for root and the owner; others have to trust the address.
    if let Ok(works_in) = std::fs::read_link(process.join("cwd"))
        && works_in != Path::new(dir)
    {
        let works_in = named(&works_in.to_string_lossy(), 200);
        return Err(format!(
            "process {pid} works in {works_in}, not in {dir}: a tunnel leads to another host, or it runs in a container"
        ));
    }
    let names = Names {
        aof: get("appendonly") == Some("yes"),
        dir,
        appenddirname: get("appenddirname"),
        appendfilename: get("appendfilename").unwrap_or("appendonly.aof"),
        dbfilename: get("dbfilename").unwrap_or("dump.rdb"),
    };
    files::read(&names, server)
}

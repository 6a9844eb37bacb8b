//! BGREWRITEAOF: the one command of ours that changes an instance.
//!
//! An accepted request is not a rewrite; [`judge`](super::judge) proves that. And a request whose answer was lost may or may
//! not have been heard, which is its own outcome here and never a guess.

use redis::{Value, cmd};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::at::{RedisAt, RedisKind};
use super::door::Door;
use super::info::Fields;
use super::odd::odd;
use super::wire::{self, Patience, Wire};
use crate::host::foreign::{Shown, tame};

/// The server agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewriteReply {
    /// A child was forked.
    Started,
    /// It begins once the running BGSAVE (or module child) has ended.
    Scheduled,
    /// One was running already. It began before now, so what was written since may not be in it: wait, then ask again.
    AlreadyRunning,
}

/// The server did not agree, or we cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisFault {
    /// `fork` failed, for want of memory or processes.
    #[error("redis could not fork a rewrite child ({text}); see its log, free memory or set vm.overcommit_memory=1")]
    ForkFailed {
        /// The server's words.
        text: Shown,
    },
    /// Redis would rewrite happily, and the next start would not read the result.
    #[error("append-only persistence is off; a rewrite would write files that the next start does not read")]
    AofOff,
    /// The ACL forbids a command.
    #[error("redis does not permit this user {command}; ACL SETUSER NAME +{}", command.to_lowercase())]
    NoPerm {
        /// The command.
        command: String,
    },
    /// No or a wrong password.
    #[error("redis {door}; check user: and password: of this instance")]
    NoAuth {
        /// How it said so.
        door: Door,
    },
    /// Renamed away, or a server that has none (Tile38).
    #[error("the server knows no BGREWRITEAOF; was it renamed, or is this Tile38 (AOFSHRINK)?")]
    UnknownCommand,
    /// Another service.
    #[error("what listens there is not redis, it said: {text}")]
    NotRedis {
        /// The first bytes of it.
        text: Shown,
    },
    /// Nothing was sent.
    #[error("redis cannot be asked: {door}")]
    Unreachable {
        /// Why.
        door: Door,
    },
    /// A state in which it refuses (loading, script, odd answer). Nothing happened.
    #[error("redis refused: {door}")]
    Refused {
        /// How.
        door: Door,
    },
    /// Sent, and no answer: whether it happened is unknown. Look at the instance.
    #[error(
        "the answer to BGREWRITEAOF was lost ({door}); whether it began is unknown until the instance is seen again"
    )]
    AnswerLost {
        /// How it was lost.
        door: Door,
    },
}

/// Asks for a rewrite with the usual [`Patience`].
///
/// # Errors
/// [`RedisFault`]; only [`RedisFault::AnswerLost`] leaves it open whether the server did it.
pub async fn request_rewrite(at: &RedisAt) -> Result<RewriteReply, RedisFault> {
    request_rewrite_with(at, Patience::default()).await
}

/// Asks for a rewrite with the given patience.
///
/// # Errors
/// As [`request_rewrite`].
pub async fn request_rewrite_with(at: &RedisAt, patience: Patience) -> Result<RewriteReply, RedisFault> {
    if at.kind == RedisKind::Tile38 {
        return Err(RedisFault::UnknownCommand);
    }
    let mut wire = timeout(patience.connect + patience.answer, prepare(at, patience))
        .await
        .unwrap_or(Err(RedisFault::Unreachable { door: Door::TimedOut { connected: true } }))?;
    match before(&mut wire, patience).await? {
        Some(reply) => Ok(reply),
        None => send(&mut wire, patience).await,
    }
}

async fn prepare(at: &RedisAt, patience: Patience) -> Result<Wire, RedisFault> {
    let addr =
        at.check().map_err(|error| RedisFault::Unreachable { door: Door::BadAddress { text: error.to_string() } })?;
    let password = wire::password(at, patience.connect).await.map_err(before_sending)?;
    let mut wire = wire::open(at, &addr, patience).await.map_err(before_sending)?;
    wire.login(at, password.as_ref()).await.map_err(before_sending)?;
    Ok(wire)
}

/// Redis answers `started` even with AOF off, so that is asked first; so is a rewrite that already runs.
async fn before(wire: &mut Wire, patience: Patience) -> Result<Option<RewriteReply>, RedisFault> {
    let mut info = cmd("INFO");
    info.arg("persistence");
    let answers = timeout(patience.answer, wire.ask(vec![info]))
        .await
        .unwrap_or(Err(Door::TimedOut { connected: true }))
        .map_err(before_sending)?;
    let info = match answers.first() {
        Some(Value::BulkString(bytes)) => Fields::parse(&String::from_utf8_lossy(bytes)),
        Some(Value::ServerError(error)) => {
            return Err(before_sending(Door::of_reply(error.code(), error.details().unwrap_or_default(), "INFO")));
        }
        other => {
            return Err(RedisFault::NotRedis { text: odd(other) });
        }
    };
    if info.flag("loading") == Some(true) {
        return Err(RedisFault::Refused { door: Door::Loading });
    }
    match (info.flag("aof_enabled"), info.flag("aof_rewrite_in_progress")) {
        (Some(false), _) => Err(RedisFault::AofOff),
        (Some(true), Some(true)) => Ok(Some(RewriteReply::AlreadyRunning)),
        (Some(true), Some(false)) => Ok(None),
        _ => Err(RedisFault::NotRedis { text: "INFO without the append-only fields".into() }),
    }
}

async fn send(wire: &mut Wire, patience: Patience) -> Result<RewriteReply, RedisFault> {
    let answers = timeout(patience.answer, wire.ask(vec![cmd("BGREWRITEAOF")]))
        .await
        .unwrap_or(Err(Door::TimedOut { connected: true }))
        .map_err(|door| RedisFault::AnswerLost { door })?;
    match answers.first() {
        Some(Value::ServerError(error)) => refusal(error.code(), error.details().unwrap_or_default()),
        Some(Value::SimpleString(text)) => agreement(text),
        Some(Value::BulkString(bytes)) => agreement(&String::from_utf8_lossy(bytes)),
        other => Err(RedisFault::AnswerLost { door: Door::Odd { text: odd(other) } }),
    }
}

/// aof.c, `bgrewriteaofCommand`: the two texts have been the same since Redis 2.
fn agreement(text: &str) -> Result<RewriteReply, RedisFault> {
    if text.contains("started") {
        Ok(RewriteReply::Started)
    } else if text.contains("scheduled") {
        Ok(RewriteReply::Scheduled)
    } else {
        Err(RedisFault::AnswerLost { door: Door::Odd { text: tame(text, 200) } })
    }
}

fn refusal(code: &str, detail: &str) -> Result<RewriteReply, RedisFault> {
    if code == "ERR" && detail.contains("already in progress") {
        return Ok(RewriteReply::AlreadyRunning);
    }
    if code == "ERR" && detail.contains("Can't execute an AOF background rewriting") {
        return Err(RedisFault::ForkFailed { text: tame(detail, 200) });
    }
    if code == "ERR" && detail.to_ascii_lowercase().starts_with("unknown command") {
        return Err(RedisFault::UnknownCommand);
    }
    Err(match Door::of_reply(code, detail, "BGREWRITEAOF") {
        Door::NoPerm { command } => RedisFault::NoPerm { command },
        door @ (Door::NoAuth | Door::WrongPass) => RedisFault::NoAuth { door },
        door => RedisFault::Refused { door },
    })
}

/// A break before BGREWRITEAOF was sent: it certainly did not happen.
fn before_sending(door: Door) -> RedisFault {
    match door {
        Door::NoPerm { command } => RedisFault::NoPerm { command },
        Door::NoAuth | Door::WrongPass => RedisFault::NoAuth { door },
        Door::NotRedis { text } => RedisFault::NotRedis { text },
        Door::Loading | Door::MasterDown | Door::Busy | Door::Misconf { .. } | Door::Odd { .. } => {
            RedisFault::Refused { door }
        }
        door => RedisFault::Unreachable { door },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        assert_eq!(agreement("Background append only file rewriting started"), Ok(RewriteReply::Started));
        assert_eq!(agreement("Background append only file rewriting scheduled"), Ok(RewriteReply::Scheduled));
        assert!(matches!(agreement("OK"), Err(RedisFault::AnswerLost { .. })));
        type Fits = fn(&Result<RewriteReply, RedisFault>) -> bool;
        let cases: [(&str, &str, Fits); 6] = [
            ("ERR", "Background append only file rewriting already in progress", |r| {
                r == &Ok(RewriteReply::AlreadyRunning)
            }),
            ("ERR", "Can't execute an AOF background rewriting. Please check the server logs", |r| {
                matches!(r, Err(RedisFault::ForkFailed { .. }))
            }),
            ("ERR", "unknown command 'BGREWRITEAOF', with args", |r| r == &Err(RedisFault::UnknownCommand)),
            ("NOPERM", "no", |r| matches!(r, Err(RedisFault::NoPerm { command }) if command == "BGREWRITEAOF")),
            ("NOAUTH", "no", |r| r == &Err(RedisFault::NoAuth { door: Door::NoAuth })),
            ("LOADING", "no", |r| r == &Err(RedisFault::Refused { door: Door::Loading })),
        ];
        for (code, detail, fits) in cases {
            let result = refusal(code, detail);
            assert!(fits(&result), "{code} {detail}: {result:?}");
        }
    }
}

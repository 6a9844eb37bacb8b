//! The door: how an instance answers a PING, or does not. Eighteen states that ask for different cures.

use std::fmt;

use redis::{RedisError, Value};
use serde::{Deserialize, Serialize};

use super::odd::odd;
use crate::host::foreign::{Shown, tame, tame_bytes};

/// The answer to PING. Only [`Door::Open`] means that commands are served; it says nothing about the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// `PONG`.
    Open,
    /// `-LOADING`: reading its files.
    Loading,
    /// `-MASTERDOWN`: a replica told not to serve stale data. Redis tests this before it tests loading.
    MasterDown,
    /// `-NOAUTH`: a password is required and none was given.
    NoAuth,
    /// `-WRONGPASS`: the user or password was refused.
    WrongPass,
    /// `-NOPERM`: the ACL forbids this command.
    NoPerm {
        /// The command, upper case.
        command: String,
    },
    /// `-BUSY`: a script or function blocks the server.
    Busy,
    /// `-MISCONF`: it cannot persist and so refuses writes.
    Misconf {
        /// The server's words.
        text: Shown,
    },
    /// Nobody listens.
    Refused,
    /// No connection or no answer in time.
    TimedOut {
        /// True: the connection stands but nothing was answered, so look at the process before calling it dead.
        connected: bool,
    },
    /// The connection was closed on us.
    Reset,
    /// The name or address leads nowhere.
    Unreachable {
        /// The operating system's words.
        text: Shown,
    },
    /// Something answers, in another language.
    NotRedis {
        /// The first bytes of it.
        text: Shown,
    },
    /// TLS was wanted and is not to be had as wanted; nothing was said in plain text.
    Untrusted {
        /// What the handshake, or its preparation, said.
        text: String,
    },
    /// What stands in the place of the socket, or answers there, is not the server.
    Foreign {
        /// What was seen.
        text: String,
    },
    /// The password could not be read, so nothing was tried.
    Secret {
        /// Why, without the secret.
        text: String,
    },
    /// The address as written is wrong.
    BadAddress {
        /// Why.
        text: String,
    },
    /// An answer in the right language that fits none of the above.
    Odd {
        /// The answer.
        text: Shown,
    },
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("answers"),
            Self::Loading => f.write_str("is loading"),
            Self::MasterDown => f.write_str("serves nothing while its link to the master is down"),
            Self::NoAuth => f.write_str("wants a password"),
            Self::WrongPass => f.write_str("refused the user or password"),
            Self::NoPerm { command } => write!(f, "does not permit this user {command}"),
            Self::Busy => f.write_str("is blocked by a script"),
            Self::Misconf { text } => write!(f, "cannot persist: {text}"),
            Self::Refused => f.write_str("nothing listens there"),
            Self::TimedOut { connected: false } => f.write_str("no connection in time"),
            Self::TimedOut { connected: true } => f.write_str("connected, but no answer in time"),
            Self::Reset => f.write_str("closed the connection"),
            Self::Unreachable { text } => write!(f, "cannot be reached: {text}"),
            Self::NotRedis { text } => write!(f, "is not redis, it said: {text}"),
            Self::Untrusted { text } => write!(f, "cannot be trusted: {text}"),
            Self::Foreign { text } => write!(f, "was not asked: {text}"),
            Self::Secret { text } | Self::BadAddress { text } => f.write_str(text),
            Self::Odd { text } => write!(f, "gave an odd answer: {text}"),
        }
    }
}

impl Door {
    /// What to do about a door that lets no question through.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::NoAuth => "give the instance `password: { file: ... }` in the runbook",
            Self::WrongPass => "correct the password file, or `user`; the server's own is `requirepass` or its ACL",
            Self::NoPerm { .. } => "ACL SETUSER NAME +ping +info +role +command|info +config|get +bgrewriteaof",
            Self::Secret { .. } => "make the secret readable to this user, and to nobody else",
            Self::Refused | Self::TimedOut { connected: false } => "start it, or correct the address",
            Self::Loading => "wait until it has loaded, then look again",
            Self::Busy => "SCRIPT KILL, or wait for the script",
            Self::Reset => "is `maxclients` reached, or protected mode on? see its log",
            Self::Untrusted { .. } => "redis-cli --tls --cacert FILE -h HOST -p PORT ping shows the same handshake",
            Self::Foreign { .. } => {
                "look who put it there; let the server have a directory for its socket that is its own or root's"
            }
            Self::NotRedis { .. } | Self::BadAddress { .. } | Self::Unreachable { .. } => "correct the address",
            _ => "look at its log; it must answer INFO to this user",
        }
    }

    /// The door as an error reply to `command` shows it. `code` is the first word (`LOADING`), `detail` the rest.
    pub(super) fn of_reply(code: &str, detail: &str, command: &str) -> Self {
        let text = tame(&format!("{code} {detail}"), 200);
        match code {
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPass,
            "NOPERM" => Self::NoPerm { command: command.to_owned() },
            "BUSY" => Self::Busy,
            "MISCONF" => Self::Misconf { text: tame(detail, 200) },
            // Tile38 and Redis before 6 have no codes for these two.
            "ERR" if detail.contains("invalid password") => Self::WrongPass,
            "ERR" if detail.contains("authentication required") => Self::NoAuth,
            "ERR" if detail.contains("catching up to leader") => Self::MasterDown,
            // A full server says this and closes (networking.c, acceptCommonHandler); whether the words are heard before the
            // end of the connection is seen is a race.
            "ERR" if detail.contains("max number of clients") => Self::Reset,
            _ => Self::Odd { text },
        }
    }

    /// The door that the answer to PING shows. Tile38 may answer in JSON.
    pub(super) fn of_ping(answer: &Value) -> Self {
        match answer {
            Value::SimpleString(text) if text == "PONG" => Self::Open,
            Value::BulkString(bytes) if bytes == b"PONG" || says_pong(bytes) => Self::Open,
            Value::SimpleString(text) if says_pong(text.as_bytes()) => Self::Open,
            Value::SimpleString(text) => Self::Odd { text: tame(text, 200) },
            Value::BulkString(bytes) => Self::Odd { text: tame_bytes(bytes, 200) },
            Value::ServerError(error) => Self::of_reply(error.code(), error.details().unwrap_or_default(), "PING"),
            other => Self::Odd { text: odd(Some(other)) },
        }
    }

    /// The door that a broken conversation shows; `heard` are the first bytes that came.
    pub(super) fn of_break(error: &RedisError, heard: &[u8]) -> Self {
        if error.is_timeout() {
            return Self::TimedOut { connected: true };
        }
        if crate::host::tls::spoke_tls(heard) {
            return Self::NotRedis { text: "TLS; write rediss:// in the place of redis://".into() };
        }
        if error.kind() == redis::ErrorKind::Parse || !(heard.is_empty() || b"+-:$*".contains(&heard[0])) {
            return Self::NotRedis { text: tame_bytes(heard, 60) };
        }
        if error.is_connection_dropped() || error.is_io_error() {
            return Self::Reset;
        }
        match error.code() {
            Some(code) => Self::of_reply(code, error.detail().unwrap_or_default(), ""),
            None => Self::Odd { text: tame(error.category(), 200) },
        }
    }
}

/// Tile38's `{"ok":true,"ping":"pong",...}`.
fn says_pong(bytes: &[u8]) -> bool {
    bytes.len() < 512
        && serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|v| v["ok"] == true && v["ping"] == "pong")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_ping() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        for (answer, open) in [
            (Value::SimpleString("PONG".into()), true),
            (bulk(r#"{"ok":true,"ping":"pong","elapsed":"1us"}"#), true),
            (bulk(r#"{"ok":false,"ping":"pong"}"#), false),
            (Value::SimpleString("PONGO".into()), false),
            (Value::Okay, false),
            (Value::Int(5), false),
        ] {
            assert_eq!(Door::of_ping(&answer) == Door::Open, open, "{answer:?}");
        }
    }

    #[test]
    fn error_replies_have_their_own_doors() {
        for (code, detail, wanted) in [
            ("LOADING", "Redis is loading the dataset in memory", Door::Loading),
            ("MASTERDOWN", "Link with MASTER is down", Door::MasterDown),
            ("NOAUTH", "Authentication required.", Door::NoAuth),
            ("WRONGPASS", "invalid username-password pair", Door::WrongPass),
            ("NOPERM", "this user has no permissions", Door::NoPerm { command: "PING".into() }),
            ("BUSY", "Redis is busy running a script", Door::Busy),
            ("MISCONF", "disk\u{1b}", Door::Misconf { text: "disk\\u{1b}".into() }),
            ("ERR", "invalid password", Door::WrongPass),
            ("ERR", "authentication required", Door::NoAuth),
            ("ERR", "max number of clients reached", Door::Reset),
            ("ERR", "what", Door::Odd { text: "ERR what".into() }),
        ] {
            assert_eq!(Door::of_reply(code, detail, "PING"), wanted);
        }
    }
}

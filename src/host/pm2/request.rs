//! What may be asked of a PM2 daemon. Its methods run inside the daemon: an exception in one of them ends the daemon, or
//! makes it restart every app. So the questions are a closed set, their arguments are typed, and the one large payload is
//! built from a validated [`Recipe`] only; a request that breaks the daemon has no way to be written down.

use std::time::Duration;

use serde_json::{Value, json};

use super::amp::{self, AmpError};
use super::recipe::Recipe;

/// PM2's own number of an app: valid for one life of one daemon, reassigned by every resurrect.
pub type PmId = u32;

/// One question or order to a daemon.
#[derive(Debug, Clone)]
pub enum Request {
    /// `ping`: is anybody there.
    Ping,
    /// `getVersion`: the version in memory, which an upgrade on disk does not change.
    Version,
    /// `getReport`: node version, start arguments, managed apps.
    Report,
    /// The methods that the daemon has, by name: no call, but a question to axon-rpc itself.
    Methods,
    /// `getMonitorData`: every app with its whole environment. Costs the daemon about 18 ms per 130 apps.
    List,
    /// `prepare` with status `stopped`: adds the app to the list and starts nothing.
    Register(Box<Recipe>),
    /// `prepare` with status `launching`: adds and starts. The only way that keeps every detail of a watched app.
    StartNew(Box<Recipe>),
    /// `startProcessId`: starts a stopped app, keeps its counters.
    StartId(PmId),
    /// `restartProcessId`: starts a stopped app with fresh counters; stops and starts a running one.
    RestartId {
        /// The app.
        id: PmId,
        /// Merged into the app's settings before it starts: `Some(true)` is what lifts `autostart: false`.
        autostart: Option<bool>,
    },
    /// `stopProcessId`: answers when the process is dead, so as late as `kill_timeout`.
    StopId(PmId),
    /// `deleteProcessId`: stops and forgets.
    DeleteId(PmId),
    /// `stopWatch`: must precede a stop of a watched app, or the watcher starts it again. Sets `watch: false` for good.
    StopWatch(PmId),
}

impl Request {
    /// The name of the daemon's method (PM2: `God` methods exposed in `Daemon.js`).
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Version => "getVersion",
            Self::Report => "getReport",
            Self::Methods => "methods",
            Self::List => "getMonitorData",
            Self::Register(_) | Self::StartNew(_) => "prepare",
            Self::StartId(_) => "startProcessId",
            Self::RestartId { .. } => "restartProcessId",
            Self::StopId(_) => "stopProcessId",
            Self::DeleteId(_) => "deleteProcessId",
            Self::StopWatch(_) => "stopWatch",
        }
    }

    /// The whole frame, `id` being what the answer will carry.
    ///
    /// # Errors
    /// [`AmpError::TooLarge`] for a recipe beyond the frame limit.
    pub fn encode(&self, id: &str) -> Result<Vec<u8>, AmpError> {
        let call = match self {
            Self::Methods => json!({ "type": "methods" }),
            _ => json!({ "type": "call", "method": self.method(), "args": self.args() }),
        };
        amp::encode(&[&amp::json_arg(&call), &amp::text_arg(id)])
    }

    /// Whether asking again can do no harm: then a lost answer is only a lost answer.
    #[must_use]
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Ping | Self::Version | Self::Report | Self::Methods | Self::List)
    }

    /// How long an answer may take when the caller knows nothing better.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match self {
            Self::Ping | Self::Version | Self::Report | Self::Methods => Duration::from_secs(10),
            Self::List | Self::StopWatch(_) => Duration::from_secs(20),
            Self::Register(recipe) | Self::StartNew(recipe) => recipe.start_deadline(),
            Self::StartId(_) | Self::RestartId { .. } | Self::StopId(_) | Self::DeleteId(_) => Duration::from_secs(15),
        }
    }

    fn args(&self) -> Value {
        match self {
            Self::Ping | Self::Version | Self::Report | Self::Methods | Self::List => json!([{}]),
            Self::Register(recipe) => json!([recipe.payload("stopped")]),
            Self::StartNew(recipe) => json!([recipe.payload("launching")]),
            Self::StartId(id) | Self::StopId(id) | Self::DeleteId(id) => json!([id]),
            Self::RestartId { id, autostart: None } => json!([{ "id": id }]),
            Self::RestartId { id, autostart: Some(on) } => {
                json!([{ "id": id, "env": { "current_conf": { "autostart": on } } }])
            }
            Self::StopWatch(id) => json!(["stopProcessId", id]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_the_daemon_expects() {
        let cases = [
            (Request::Ping, r#"{"args":[{}],"method":"ping","type":"call"}"#),
            (Request::Methods, r#"{"type":"methods"}"#),
            (Request::StopId(3), r#"{"args":[3],"method":"stopProcessId","type":"call"}"#),
            (Request::StopWatch(3), r#"{"args":["stopProcessId",3],"method":"stopWatch","type":"call"}"#),
            (
                Request::RestartId { id: 4, autostart: None },
                r#"{"args":[{"id":4}],"method":"restartProcessId","type":"call"}"#,
            ),
            (
                Request::RestartId { id: 4, autostart: Some(true) },
                r#"{"args":[{"env":{"current_conf":{"autostart":true}},"id":4}],"method":"restartProcessId","type":"call"}"#,
            ),
        ];
        for (request, expected) in cases {
            let mut decoder = amp::Decoder::default();
            decoder.push(&request.encode("7").unwrap());
            let args = decoder.next_frame().unwrap().unwrap();
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(amp::as_json(&args[0]), Some(expected), "{request:?}");
            assert_eq!(amp::as_text(&args[1]), Some("7"));
        }
    }

    #[test]
    fn only_questions_may_be_repeated() {
        assert!(Request::List.is_question());
        assert!(!Request::StopId(1).is_question());
    }
}

//! The daemon's event socket. Every subscriber is sent everything, all log lines included, and a slow one makes the
//! daemon's memory grow; so a task of its own drains the socket always, and keeps three topics: an app changed its
//! state, an app threw, an app spoke (`ready`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::amp::{AmpError, Decoder, as_text, json_of};
use super::door;
use super::place::Pm2At;
use super::request::PmId;
use super::rpc::RpcError;
use crate::host::foreign::tame;

/// Its name below the home (PM2 `paths.js`).
pub(super) const PUB: &str = "pub.sock";
const QUEUE: usize = 4_096;
const READ_BYTES: usize = 64 << 10;

/// One event of one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BusEvent {
    /// `process:event`: `online` (said before the status changes), `start`, `exit`, `restart overlimit`, …
    Process {
        /// Number.
        pm_id: Option<PmId>,
        /// Name.
        name: String,
        /// The event's word.
        event: String,
        /// An operator or client asked for it.
        manually: bool,
    },
    /// `process:exception`: an uncaught exception, reported by PM2's wrapper inside the app.
    Exception {
        /// Number.
        pm_id: Option<PmId>,
        /// Name.
        name: String,
        /// The exception's message.
        message: String,
    },
    /// `process:msg`: what the app sent by `process.send`; `ready` ends the wait of `wait_ready`.
    Message {
        /// Number.
        pm_id: Option<PmId>,
        /// Name.
        name: String,
        /// Its text, or the JSON of what was sent.
        raw: String,
    },
}

/// A subscription. Dropping it ends it.
#[derive(Debug)]
pub struct Bus {
    events: mpsc::Receiver<BusEvent>,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Bus {
    /// Subscribes at the daemon's `pub.sock`.
    ///
    /// # Errors
    /// As [`super::Rpc::connect`].
    pub async fn connect(at: &Pm2At) -> Result<Self, RpcError> {
        let (stream, _) = door::connect(at, PUB).await?;
        let (send, events) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(drain(stream, send, Arc::clone(&lost)));
        Ok(Self { events, lost, task })
    }

    /// The next event; `None` when the daemon has gone.
    pub async fn next(&mut self) -> Option<BusEvent> {
        self.events.recv().await
    }

    /// Events dropped because nobody took them. After any, only the list is the truth.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drain(mut stream: UnixStream, events: mpsc::Sender<BusEvent>, lost: Arc<AtomicU64>) {
    let mut decoder = Decoder::default();
    let mut bytes = vec![0u8; READ_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        decoder.push(bytes.get(..count).unwrap_or_default());
        if pass_on(&mut decoder, &events, &lost).is_err() {
            return;
        }
    }
}

fn pass_on(decoder: &mut Decoder, events: &mpsc::Sender<BusEvent>, lost: &AtomicU64) -> Result<(), AmpError> {
    while let Some(args) = decoder.next_frame()? {
        if let Some(event) = read(&args)
            && events.try_send(event).is_err()
        {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Looks at the topic first: log lines are by far the most and their JSON is never parsed.
pub(super) fn read(args: &[Vec<u8>]) -> Option<BusEvent> {
    let topic = args.first().and_then(|arg| as_text(arg))?;
    let kept = matches!(topic, "process:event" | "process:exception" | "process:msg");
    let body: Body = serde_json::from_slice(json_of(args.get(1).filter(|_| kept)?)?).ok()?;
    let text = |value: &Value, max| tame(value.as_str().unwrap_or_default(), max);
    let pm_id = body.process.pm_id.as_u64().and_then(|id| PmId::try_from(id).ok());
    let name = text(&body.process.name, 200);
    Some(match topic {
        "process:event" => BusEvent::Process {
            pm_id,
            name,
            event: text(&body.event, 60),
            manually: body.manually.as_bool().unwrap_or(false),
        },
        "process:exception" => {
            BusEvent::Exception { pm_id, name, message: text(body.data.get("message").unwrap_or(&Value::Null), 400) }
        }
        _ => {
            let raw = body.raw.as_str().map_or_else(|| tame(&body.raw.to_string(), 400), |raw| tame(raw, 400));
            BusEvent::Message { pm_id, name, raw }
        }
    })
}

/// What is read of an event: most of its bytes are the settings of its app, all of them with every event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    event: Value,
    manually: Value,
    process: Ids,
    data: Value,
    raw: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ids {
    pm_id: Value,
    name: Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::amp::{json_arg, text_arg};
    use super::*;

    fn event(topic: &str, body: &Value) -> Option<BusEvent> {
        read(&[text_arg(topic), json_arg(body)])
    }

    #[test]
    fn three_topics_are_kept() {
        let process = json!({ "pm_id": 3, "name": "a", "status": "launching", "restart_time": 2 });
        let online =
            event("process:event", &json!({ "event": "online", "manually": false, "at": 1, "process": process }));
        let expected = BusEvent::Process { pm_id: Some(3), name: "a".into(), event: "online".into(), manually: false };
        assert_eq!(online, Some(expected));
        let thrown = event(
            "process:exception",
            &json!({ "process": process, "data": { "message": "listen EADDRINUSE\u{1b}" } }),
        );
        let expected =
            BusEvent::Exception { pm_id: Some(3), name: "a".into(), message: "listen EADDRINUSE\\u{1b}".into() };
        assert_eq!(thrown, Some(expected));
        let ready = event("process:msg", &json!({ "process": process, "raw": "ready" }));
        assert_eq!(ready, Some(BusEvent::Message { pm_id: Some(3), name: "a".into(), raw: "ready".into() }));
        assert_eq!(event("log:out", &json!({ "data": "x" })), None);
        let odd = event("process:event", &json!({ "event": 7, "process": { "pm_id": "3", "name": ["a"] } }));
        let expected = BusEvent::Process { pm_id: None, name: String::new(), event: String::new(), manually: false };
        assert_eq!(odd, Some(expected), "a field of another type counts as absent");
        assert_eq!(read(&[text_arg("process:event"), b"j:{broken".to_vec()]), None);
        assert_eq!(read(&[]), None);
    }
}

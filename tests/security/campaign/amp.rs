//! PM2's framing, and a daemon whose every answer is a choice.
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Say, Server, play, unix};
use crate::fakes;

/// What a daemon does with a call of this method; the last is the id of the call.
pub(super) type Script = dyn Fn(&str, &Value, &[u8]) -> Say + Send + Sync;

/// A daemon at `socket`, listening as `uid`; gives the methods that were called.
pub(super) fn daemon(socket: &Path, uid: u32, script: Arc<Script>) -> (Server, Arc<Mutex<Vec<String>>>) {
    let called: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&called);
    let server = unix(
        socket,
        uid,
        Arc::new(move |stream| {
            while let Some(args) = read(stream) {
                let call: Value =
                    args.first().and_then(|arg| serde_json::from_slice(arg.get(2..)?).ok()).unwrap_or_default();
                let method = call["method"].as_str().or(call["type"].as_str()).unwrap_or_default().to_owned();
                noted.lock().unwrap().push(method.clone());
                if !play(stream, &script(&method, &call["args"], args.last().map_or(&[], Vec::as_slice))) {
                    return;
                }
            }
        }),
    );
    (server, called)
}

fn read(from: &mut (impl Read + ?Sized)) -> Option<Vec<Vec<u8>>> {
    let mut meta = [0];
    from.read_exact(&mut meta).ok()?;
    let mut args = Vec::new();
    for _ in 0..meta[0] & 15 {
        let mut length = [0; 4];
        from.read_exact(&mut length).ok()?;
        let mut arg = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        from.read_exact(&mut arg).ok()?;
        args.push(arg);
    }
    Some(args)
}

/// A frame of these arguments.
pub(super) fn frame(args: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0x10 | u8::try_from(args.len()).unwrap()];
    for arg in args {
        out.extend_from_slice(&u32::try_from(arg.len()).unwrap().to_be_bytes());
        out.extend_from_slice(arg);
    }
    out
}

/// A frame that answers a call with JSON as it is written here, well-formed or not.
pub(super) fn raw(id: &[u8], value: &[u8]) -> Say {
    Say::Bytes(frame(&[&[b"j:{\"args\":[", value, b"]}"].concat(), id]))
}

/// A frame that answers a call.
pub(super) fn answer(id: &[u8], value: &Value) -> Say {
    raw(id, value.to_string().as_bytes())
}

/// What a daemon without tricks says, with this text for a list.
pub(super) fn usual(method: &str, id: &[u8], list: &[u8]) -> Say {
    match method {
        "getMonitorData" => raw(id, list),
        "methods" => answer(id, &json!({})),
        other => answer(id, &fakes::daemon(other, &Value::Null, "").unwrap_or_else(|_| json!({}))),
    }
}

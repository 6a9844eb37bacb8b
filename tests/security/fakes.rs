//! Neighbours that tell everything they know: a PM2 daemon, an HTTP endpoint, a server that speaks Redis. Each answers as long
//! as the test process lives.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// What the daemon does with a call: a value, or an error.
pub(crate) type Script = dyn Fn(&str, &Value) -> Result<Value, Value> + Send + Sync;

/// A PM2 daemon at `home`: AMP frames of a JSON call and an id (PM2's rpc.sock).
pub(crate) fn pm2(home: &Path, script: Box<Script>) {
    let listener = UnixListener::bind(home.join("rpc.sock")).unwrap();
    let script: Arc<Script> = Arc::from(script);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, script) = (stream.unwrap(), Arc::clone(&script));
            std::thread::spawn(move || {
                while let Some(args) = frame(&mut stream) {
                    let call: Value = serde_json::from_slice(&args[0][2..]).unwrap();
                    let body = match script(call["method"].as_str().unwrap(), &call["args"]) {
                        Ok(value) => json!({ "args": [value] }),
                        Err(error) => json!({ "error": error }),
                    };
                    let body = format!("j:{body}");
                    let mut out = vec![0x12];
                    for arg in [body.as_bytes(), &args[1]] {
                        out.extend_from_slice(&u32::try_from(arg.len()).unwrap().to_be_bytes());
                        out.extend_from_slice(arg);
                    }
                    if stream.write_all(&out).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

pub(crate) fn frame(from: &mut impl Read) -> Option<Vec<Vec<u8>>> {
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

/// The usual answers of a daemon that lists `apps`; everything else is refused with `error`.
pub(crate) fn daemon(method: &str, apps: &Value, error: &str) -> Result<Value, Value> {
    match method {
        "ping" => Ok(json!({ "msg": "pong" })),
        "getVersion" => Ok(json!("5.4.3")),
        "getReport" => {
            Ok(json!({ "pm2_version": "5.4.3", "node_version": "18.0.0", "argv": ["node", "/opt/pm2/lib/Daemon.js"] }))
        }
        "getMonitorData" => Ok(apps.clone()),
        _ => Err(json!(error)),
    }
}

/// One app as the daemon lists it.
pub(crate) fn app(name: &str, id: u32, logs: &str, env: Value) -> Value {
    let pid = std::process::id();
    let mut pm2_env = json!({
        "name": name, "namespace": "default", "env": env, "pm_exec_path": "/srv/a/index.js", "pm_cwd": "/srv/a",
        "exec_mode": "fork_mode", "exec_interpreter": "node", "pm_out_log_path": logs, "pm_err_log_path": logs,
        "pm_pid_path": "/srv/pids/a-0.pid", "status": "online", "pm_id": id, "instances": 1, "created_at": 5, "pm_uptime": 5,
        "restart_time": 0, "unstable_restarts": 0, "autorestart": true, "node_args": [], "watch": false
    });
    // PM2 lays a copy of every variable beside its own fields.
    let copies = pm2_env["env"].as_object().unwrap().clone();
    copies.into_iter().for_each(|(name, value)| pm2_env[name] = value);
    json!({ "name": name, "pm_id": id, "pid": pid, "pm2_env": pm2_env })
}

/// An HTTP endpoint that repeats what it was sent; gives its port.
pub(crate) fn http(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                while reader.read_line(&mut request).is_ok_and(|n| n > 2) {}
                let body = answer(&request);
                let head = format!("HTTP/1.1 503 no\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = (&stream).write_all((head + &body).as_bytes());
            });
        }
    });
    port
}

/// A server that answers PING and repeats every word of anything else in an error; gives its port.
pub(crate) fn redis(answer: impl Fn(&[Vec<u8>]) -> Vec<u8> + Send + Sync + 'static) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
    let asked = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(words) = command(&mut reader) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    if (&stream).write_all(&answer(&words)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, count)
}

/// One command of the RESP protocol.
fn command(from: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let count: usize = {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        line.trim().strip_prefix('*')?.parse().ok()?
    };
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let len: usize = line.trim().strip_prefix('$')?.parse().ok()?;
        let mut word = vec![0; len + 2];
        from.read_exact(&mut word).ok()?;
        word.truncate(len);
        words.push(word);
    }
    Some(words)
}

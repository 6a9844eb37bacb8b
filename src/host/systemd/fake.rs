//! A private bus with a scripted systemd and logind on it, for tests: it notes every call and lies on demand.
//!
//! What a unit does is told by its name: `fails.service` fails, `hang.service` never ends its job, and so on.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use zbus::message::{Flags, Header, Type};
use zbus::{Connection, Message, MessageStream, ObjectPath, OwnedVariant, Variant};

use super::bus::Bus;
use crate::host::clock;

const MANAGER: &str = "/org/freedesktop/systemd1";
const DEADLINE: Duration = Duration::from_millis(900);

/// What the fake remembers.
#[derive(Default)]
pub(super) struct Memory {
    /// Methods in the order of arrival, with their first argument; a `~` in front marks the no-auto-start flag.
    pub(super) calls: Vec<String>,
    /// Names and printed values of the last transient unit.
    pub(super) settings: BTreeMap<String, String>,
    /// Rows of ListInhibitors.
    pub(super) inhibitors: Vec<(String, String, String, String, u32, u32)>,
    active: HashMap<String, String>,
    enabled: Vec<String>,
    reloads: u32,
}

/// A bus daemon and the fake on it. Both end with this value.
pub(super) struct Fake {
    pub(super) memory: Arc<Mutex<Memory>>,
    pub(super) dir: tempfile::TempDir,
    address: String,
    daemon: Child,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        let _ours = self.daemon.kill();
        let _ours = self.daemon.wait();
    }
}

impl Fake {
    /// A bus with systemd and logind; `None` (and a word) where dbus-daemon is not installed.
    pub(super) async fn start() -> Option<Self> {
        let mut fake = Self::empty().await?;
        let connection = zbus::connection::Builder::address(fake.address.as_str()).build().await.unwrap();
        let stream = MessageStream::from(&connection);
        for name in ["org.freedesktop.systemd1", "org.freedesktop.login1"] {
            connection.request_name(name).await.unwrap();
        }
        let desk = Desk { connection, memory: Arc::clone(&fake.memory), unit_dir: fake.dir.path().to_owned() };
        fake.task = Some(tokio::spawn(desk.answer(stream)));
        Some(fake)
    }

    /// A bus with nobody on it.
    pub(super) async fn empty() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("bus");
        let config = dir.path().join("bus.conf");
        let address = format!("unix:path={}", socket.display());
        std::fs::write(
            &config,
            format!(
                "<busconfig><listen>{address}</listen><policy context=\"default\"><allow user=\"*\"/>\
                 <allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>"
            ),
        )
        .unwrap();
        let daemon = daemon(&config)?;
        for _ in 0..500 {
            if socket.exists() {
                break;
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        Some(Self { memory: Arc::default(), dir, address, daemon, task: None })
    }

    /// A client with a short deadline.
    pub(super) async fn bus(&self) -> Bus {
        Bus::at(&self.address, DEADLINE).await.unwrap()
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.memory.lock().unwrap().calls.clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test starts its own bus")]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn daemon(config: &Path) -> Option<Child> {
    let mut command = Command::new("dbus-daemon");
    command.arg("--nofork").arg(format!("--config-file={}", config.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(why) => {
            eprintln!("skipped: no dbus-daemon ({why})");
            None
        }
    }
}

struct Desk {
    connection: Connection,
    memory: Arc<Mutex<Memory>>,
    unit_dir: PathBuf,
}

impl Desk {
    async fn answer(self, mut stream: MessageStream) {
        while let Some(Ok(message)) = stream.next().await {
            if message.message_type() == Type::MethodCall {
                self.reply(&message).await;
            }
        }
    }

    async fn reply(&self, message: &Message) {
        let header = message.header();
        let member = header.member().map(ToString::to_string).unwrap_or_default();
        let subject = message.body().deserialize_ignore_signature::<&str>().unwrap_or("").to_owned();
        let quiet = if header.primary().flags().contains(Flags::NO_AUTO_START) { "~" } else { "" };
        self.memory.lock().unwrap().calls.push(format!("{quiet}{member} {subject}").trim().to_owned());
        match member.as_str() {
            "LoadUnit" => self.send(&header, &path_of(&subject)).await,
            "GetUnit" if subject.contains("gone") => self.fail(&header, "org.freedesktop.systemd1.NoSuchUnit").await,
            "GetUnit" => self.send(&header, &path_of(&subject)).await,
            "GetUnitFileState" => self.file_state(&header, &subject).await,
            "GetAll" => self.properties(&header, &subject).await,
            "Subscribe" => self.send(&header, &()).await,
            "StartUnit" | "StopUnit" => self.job(&header, &member, &subject).await,
            "StartTransientUnit" => self.transient(message).await,
            "ResetFailedUnit" => self.send(&header, &()).await,
            "Reload" => {
                self.memory.lock().unwrap().reloads += 1;
                self.send(&header, &()).await;
            }
            "EnableUnitFiles" => self.enable(message).await,
            "DisableUnitFiles" => {
                self.memory.lock().unwrap().enabled.clear();
                self.send(&header, &Vec::<(String, String, String)>::new()).await;
            }
            "ListInhibitors" => {
                let rows = self.memory.lock().unwrap().inhibitors.clone();
                self.send(&header, &rows).await;
            }
            "CanReboot" => self.send(&header, &"yes").await,
            "PowerOff" => self.fail(&header, "org.freedesktop.login1.OperationInProgress").await,
            "Reboot" => self.send(&header, &()).await,
            _ => self.fail(&header, "org.freedesktop.DBus.Error.UnknownMethod").await,
        }
    }

    async fn send<B: serde::Serialize + zbus::DynamicType>(&self, to: &Header<'_>, body: &B) {
        self.connection.reply(to, body).await.unwrap();
    }

    async fn fail(&self, to: &Header<'_>, name: &str) {
        self.connection.reply_error(to, name.to_owned(), &"the fake says no").await.unwrap();
    }

    async fn removed(&self, job: &str, unit: &str, result: &str) {
        let body = (7_u32, ObjectPath::try_from(job).unwrap(), unit, result);
        let interface = "org.freedesktop.systemd1.Manager";
        self.connection.emit_signal(None::<&str>, MANAGER, interface, "JobRemoved", &body).await.unwrap();
    }

    async fn file_state(&self, header: &Header<'_>, unit: &str) {
        let enabled = self.memory.lock().unwrap().enabled.iter().any(|name| name == unit);
        match unit.split('.').next().unwrap_or("") {
            "missing" => self.fail(header, "org.freedesktop.DBus.Error.FileNotFound").await,
            "alias" => self.send(header, &"alias").await,
            "static" => self.send(header, &"static").await,
            "mute-read" => {}
            _ if enabled => self.send(header, &"enabled").await,
            _ => self.send(header, &"disabled").await,
        }
    }

    async fn job(&self, header: &Header<'_>, member: &str, unit: &str) {
        let job = "/org/freedesktop/systemd1/job/7";
        let reply = ObjectPath::try_from(job).unwrap();
        let state = if member == "StartUnit" { "active" } else { "inactive" };
        let set = |state: &str| self.memory.lock().unwrap().active.insert(unit.to_owned(), state.to_owned());
        match unit.split('.').next().unwrap_or("") {
            "masked" => self.fail(header, "org.freedesktop.systemd1.UnitMasked").await,
            "denied" => self.fail(header, "org.freedesktop.DBus.Error.AccessDenied").await,
            "password" => self.fail(header, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired").await,
            "mute" => {}
            "hang" => {
                set("activating");
                self.send(header, &reply).await;
            }
            "race" => {
                set(state);
                self.removed(job, unit, "done").await;
                self.send(header, &reply).await;
            }
            "skipped" => {
                set("inactive");
                self.send(header, &reply).await;
                self.removed(job, unit, "done").await;
            }
            "fails" => {
                set("failed");
                self.send(header, &reply).await;
                self.removed("/org/freedesktop/systemd1/job/6", "other.service", "done").await;
                self.removed(job, unit, "failed").await;
            }
            _ => {
                set(state);
                self.send(header, &reply).await;
                self.removed(job, unit, "done").await;
            }
        }
    }

    async fn transient(&self, message: &Message) {
        type Settings<'a> = Vec<(String, Variant<'a>)>;
        let body = message.body();
        let (unit, _mode, settings, _) =
            body.deserialize::<(String, String, Settings<'_>, Vec<(String, Settings<'_>)>)>().unwrap();
        let printed = settings.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        self.memory.lock().unwrap().settings = printed;
        let job = "/org/freedesktop/systemd1/job/8";
        self.send(&message.header(), &ObjectPath::try_from(job).unwrap()).await;
        self.removed(job, &unit, "done").await;
    }

    async fn enable(&self, message: &Message) {
        let body = message.body();
        let (files, _runtime, _force) = body.deserialize::<(Vec<String>, bool, bool)>().unwrap();
        let changes: Vec<_> = files.iter().map(|f| ("symlink".to_owned(), f.clone(), f.clone())).collect();
        let files = files.into_iter().filter(|file| !file.starts_with("static"));
        self.memory.lock().unwrap().enabled.extend(files);
        self.send(&message.header(), &(true, changes)).await;
    }

    async fn properties(&self, header: &Header<'_>, interface: &str) {
        let unit = name_of(header.path().map_or("", |path| path.as_str()));
        let all = if interface.ends_with(".Unit") { self.of_unit(&unit) } else { self.of_service(&unit) };
        self.send(header, &all).await;
    }

    fn of_unit(&self, unit: &str) -> HashMap<&'static str, OwnedVariant> {
        let file = self.unit_dir.join(unit);
        let there = file.exists() || !(unit.starts_with("runbook-resume") || unit.starts_with("runbook-fail-open"));
        let load_state = if unit == "missing.service" || !there { "not-found" } else { "loaded" };
        let id = if unit == "alias.service" { "real.service" } else { unit };
        let memory = self.memory.lock().unwrap();
        let active = memory.active.get(unit).map_or("active", String::as_str);
        let file_state = if memory.enabled.iter().any(|name| name == unit) { "enabled" } else { "disabled" };
        bag([
            ("Id", Variant::from(id.to_owned())),
            ("Description", Variant::from("text\x1b[2J")),
            ("LoadState", Variant::from(load_state)),
            ("UnitFileState", Variant::from(file_state)),
            ("ActiveState", Variant::from(active.to_owned())),
            ("SubState", Variant::from("running")),
            ("FragmentPath", Variant::from(file.to_string_lossy().into_owned())),
            ("DropInPaths", Variant::from(Vec::<String>::new())),
            ("TriggeredBy", Variant::from(vec!["a.socket".to_owned()])),
            ("WantedBy", Variant::from(Vec::<String>::new())),
            ("NeedDaemonReload", Variant::Bool(false)),
            ("InvocationID", Variant::from(vec![1_u8, 0xab])),
            ("ActiveEnterTimestamp", Variant::U64(1_700_000_000_000_000)),
            ("LoadError", Variant::from(("", ""))),
        ])
    }

    fn of_service(&self, unit: &str) -> HashMap<&'static str, OwnedVariant> {
        let lifted = self.memory.lock().unwrap().reloads > 0 && !unit.starts_with("stubborn");
        let timeout = if lifted { u64::MAX } else { 90_000_000 };
        let exec = vec![("/usr/bin/redis-server", vec!["redis-server", "--requirepass", "s3cret"], false)];
        bag([
            ("Type", Variant::from("notify")),
            ("Result", Variant::from("success")),
            ("Restart", Variant::from("always")),
            ("MainPID", Variant::U32(42)),
            ("NRestarts", Variant::U32(3)),
            ("TimeoutStartUSec", Variant::U64(timeout)),
            ("TimeoutStopUSec", Variant::U64(u64::MAX)),
            ("ExecMainCode", Variant::I32(1)),
            ("ExecMainStatus", Variant::I32(if unit.contains("seven") { 7 } else { 0 })),
            ("ExecStart", Variant::from(exec)),
        ])
    }
}

fn bag<const N: usize>(all: [(&'static str, Variant<'_>); N]) -> HashMap<&'static str, OwnedVariant> {
    all.into_iter().map(|(name, value)| (name, OwnedVariant::try_from(value).unwrap())).collect()
}

fn path_of(unit: &str) -> ObjectPath<'static> {
    ObjectPath::try_from(format!("{MANAGER}/unit/_{}", hex::encode(unit))).unwrap()
}

fn name_of(path: &str) -> String {
    let digits = path.rsplit("/_").next().unwrap_or("");
    String::from_utf8(hex::decode(digits).unwrap_or_default()).unwrap_or_default()
}

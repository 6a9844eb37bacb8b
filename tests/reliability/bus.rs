//! systemd and logind of the sandbox: a real bus daemon at the system's address, and on it whoever starts, stops and reboots.
use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use zbus::message::{Header, Type};
use zbus::{Connection, Message, MessageStream, ObjectPath, OwnedVariant, Variant};

use crate::world::World;

const MANAGER: &str = "/org/freedesktop/systemd1";
const SOCKET: &str = "/run/dbus/system_bus_socket";
const UNITS: &str = "/etc/systemd/system";

/// The bus and the services on it; both end with this value.
pub(crate) struct Systemd {
    pub(crate) world: Arc<Mutex<World>>,
    runtime: tokio::runtime::Runtime,
    client: Connection,
    daemon: Child,
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ours = self.daemon.kill();
        let _ours = self.daemon.wait();
    }
}

impl Systemd {
    /// Starts both, at the system bus's address of this mount namespace.
    pub(crate) fn start() -> Self {
        let config = "/run/dbus/bus.conf";
        let text = format!(
            "<busconfig><listen>unix:path={SOCKET}</listen><policy context=\"default\"><allow user=\"*\"/>\
             <allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>"
        );
        std::fs::write(config, text).unwrap();
        // It dies with this worker, whatever ends that: a daemon that lives on keeps the sandbox and its loop device.
        let mut daemon = Command::new("setpriv");
        daemon
            .args(["--pdeathsig", "KILL", "dbus-daemon", "--nofork", "--config-file", config])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let daemon = daemon.stderr(Stdio::null()).spawn().unwrap();
        // The socket is there before the daemon listens at it.
        while std::os::unix::net::UnixStream::connect(SOCKET).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let world = Arc::new(Mutex::new(World::fresh()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(serve(Arc::clone(&world)));
        Self { world, runtime, client, daemon }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes that belong to the sandbox itself.
    pub(crate) fn daemon(&self) -> u32 {
        self.daemon.id()
    }

    /// Returns once everything that the bus was given before has been carried out: what was sent by a process that has
    /// died is in the bus's hands, and each answer to us comes behind it.
    pub(crate) fn settle(&self) {
        for _ in 0..2 {
            let asked = self.client.call_method(
                Some("org.freedesktop.systemd1"),
                MANAGER,
                Some("org.freedesktop.systemd1.Manager"),
                "GetUnit",
                &"anything.service",
            );
            self.runtime.block_on(asked).unwrap();
        }
    }
}

async fn dial() -> Connection {
    zbus::connection::Builder::address(format!("unix:path={SOCKET}").as_str()).build().await.unwrap()
}

/// Puts systemd and logind on the bus, and gives a connection of ours beside them.
async fn serve(world: Arc<Mutex<World>>) -> Connection {
    let connection = dial().await;
    let mut stream = MessageStream::from(&connection);
    for name in ["org.freedesktop.systemd1", "org.freedesktop.login1"] {
        connection.request_name(name).await.unwrap();
    }
    let desk = Desk { connection, world };
    tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            if message.message_type() == Type::MethodCall {
                desk.answer(&message).await;
            }
        }
    });
    dial().await
}

struct Desk {
    connection: Connection,
    world: Arc<Mutex<World>>,
}

impl Desk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, message: &Message) {
        let header = message.header();
        let member = header.member().map(ToString::to_string).unwrap_or_default();
        let subject = message.body().deserialize_ignore_signature::<&str>().unwrap_or("").to_owned();
        match member.as_str() {
            "LoadUnit" | "GetUnit" => self.send(&header, &path_of(&subject)).await,
            "GetUnitFileState" => self.file_state(&header, &subject).await,
            "GetAll" => self.properties(&header, &subject).await,
            "Subscribe" | "Reload" | "ResetFailedUnit" => self.send(&header, &()).await,
            "StartUnit" | "StopUnit" => self.job(&header, &member, &subject).await,
            "EnableUnitFiles" => {
                let (files, _, _) = message.body().deserialize::<(Vec<String>, bool, bool)>().unwrap();
                self.world().enabled.extend(files);
                self.send(&header, &(true, Vec::<(String, String, String)>::new())).await;
            }
            "DisableUnitFiles" => {
                self.world().enabled.clear();
                self.send(&header, &Vec::<(String, String, String)>::new()).await;
            }
            "ListInhibitors" => self.send(&header, &Vec::<(String, String, String, String, u32, u32)>::new()).await,
            "CanReboot" => self.send(&header, &"yes").await,
            "Reboot" => {
                self.world().effect("reboot", "machine", |world| world.going_down = true);
                self.send(&header, &()).await;
            }
            _ => {
                let name = "org.freedesktop.DBus.Error.UnknownMethod".to_owned();
                let _caller_gone = self.connection.reply_error(&header, name, &"not in this sandbox").await;
            }
        }
    }

    /// Whoever asked may have been killed meanwhile.
    async fn send<B: serde::Serialize + zbus::DynamicType>(&self, to: &Header<'_>, body: &B) {
        let _caller_gone = self.connection.reply(to, body).await;
    }

    async fn file_state(&self, header: &Header<'_>, unit: &str) {
        let state = if self.world().enabled.contains(unit) { "enabled" } else { "disabled" };
        self.send(header, &state).await;
    }

    async fn job(&self, header: &Header<'_>, member: &str, unit: &str) {
        let job = ObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
        let starts = member == "StartUnit";
        let token = format!("{} {unit}", if starts { "start" } else { "stop" }).replace(' ', ":");
        self.world().effect(&token, unit, |world| {
            if starts {
                world.up.insert(unit.to_owned());
            } else {
                world.up.remove(unit);
            }
        });
        self.send(header, &job).await;
        let body = (7_u32, job, unit, "done");
        let interface = "org.freedesktop.systemd1.Manager";
        let _nobody_listens = self.connection.emit_signal(None::<&str>, MANAGER, interface, "JobRemoved", &body).await;
    }

    async fn properties(&self, header: &Header<'_>, interface: &str) {
        let unit = name_of(header.path().map_or("", |path| path.as_str()));
        let all = if interface.ends_with(".Unit") { self.of_unit(&unit) } else { of_service() };
        self.send(header, &all).await;
    }

    fn of_unit(&self, unit: &str) -> HashMap<&'static str, OwnedVariant> {
        let file = Path::new(UNITS).join(unit);
        let there = file.exists() || !unit.starts_with("runbook-");
        let world = self.world();
        let (active, sub) = if world.up.contains(unit) { ("active", "running") } else { ("inactive", "dead") };
        let enabled = if world.enabled.contains(unit) { "enabled" } else { "disabled" };
        bag([
            ("Id", Variant::from(unit.to_owned())),
            ("Description", Variant::from("a unit of the sandbox")),
            ("LoadState", Variant::from(if there { "loaded" } else { "not-found" })),
            ("UnitFileState", Variant::from(enabled)),
            ("ActiveState", Variant::from(active)),
            ("SubState", Variant::from(sub)),
            ("FragmentPath", Variant::from(file.to_string_lossy().into_owned())),
            ("DropInPaths", Variant::from(Vec::<String>::new())),
            ("TriggeredBy", Variant::from(Vec::<String>::new())),
            ("WantedBy", Variant::from(Vec::<String>::new())),
            ("NeedDaemonReload", Variant::Bool(false)),
            ("InvocationID", Variant::from(vec![1_u8, 0xab])),
            ("ActiveEnterTimestamp", Variant::U64(1_700_000_000_000_000)),
            ("LoadError", Variant::from(("", ""))),
        ])
    }
}

fn of_service() -> HashMap<&'static str, OwnedVariant> {
    bag([
        ("Type", Variant::from("simple")),
        ("Result", Variant::from("success")),
        ("Restart", Variant::from("no")),
        ("MainPID", Variant::U32(0)),
        ("NRestarts", Variant::U32(0)),
        ("TimeoutStartUSec", Variant::U64(90_000_000)),
        ("TimeoutStopUSec", Variant::U64(90_000_000)),
        ("ExecMainCode", Variant::I32(0)),
        ("ExecMainStatus", Variant::I32(0)),
    ])
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

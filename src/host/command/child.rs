//! Starting the child under the right identity, and waiting for it without reaping it too early.
//!
//! Linux keeps credentials per *thread*. A short-lived thread takes on the user's groups, gid and uid, spawns, and
//! ends; the child inherits them, the rest of this process never changes. That is the one way to set supplementary
//! groups in safe Rust, and it keeps `exec` errors exact, which a wrapper such as setpriv would blur.
//!
//! What runs as root is judged right before ([`programs`]): root executes only what nobody else can change.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, PoisonError, mpsc};

use rustix::process::{Gid, Pid, Uid, WaitId, WaitIdOptions, waitid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::group::Group;
use super::offspring::{self, Lend, Own};
use super::session::own_session;
use super::{CommandAsked, Patience};
use crate::host::foreign::named;
use crate::host::passwd::{self, User};
use crate::host::programs::{self, SearchPath};

/// How the main process ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
}

/// A started child. Dropping it kills the group, or begins to end it with patience.
pub(super) struct Running {
    pub(super) group: Group,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    exit: oneshot::Receiver<Exit>,
    reap: Option<mpsc::Sender<()>>,
    patience: Option<Patience>,
    // Last, so that it is one of our own until nobody waits for it any more.
    _own: Arc<Own>,
}

impl Running {
    /// # Errors
    /// Nothing was executed; the text says why.
    pub(super) async fn spawn(asked: CommandAsked, gift: Option<Arc<dyn Lend>>) -> Result<Self, String> {
        let user = asked.user.as_deref().map(passwd::user).transpose().map_err(|why| why.to_string())?;
        let start = begin(&asked, user.as_ref())?;
        let stdin = asked.stdin.clone();
        let (told, hear) = oneshot::channel();
        std::thread::Builder::new()
            .name("spawn".to_owned())
            .spawn(move || {
                let _nobody_listens = told.send(spawn_as(&asked, &start, user.as_ref(), gift.as_deref()));
            })
            .map_err(|why| format!("no thread to start it from: {why}"))?;
        let (mut child, own) = hear.await.map_err(|_| "the starting thread died".to_owned())??;
        feed(child.stdin.take(), stdin);
        Self::watch(child, Arc::new(own))
    }

    fn watch(mut child: Child, own: Arc<Own>) -> Result<Self, String> {
        let group = Group(Pid::from_child(&child));
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let (ended, exit) = oneshot::channel();
        let (reap, may_reap) = mpsc::channel();
        // A plain thread: a child stuck in the kernel must not hold up the end of the async runtime.
        let ours = Arc::clone(&own);
        let waiter = std::thread::Builder::new().name("wait".to_owned()).spawn(move || {
            if let Some(exit) = wait_unreaped(group.0) {
                let _nobody_listens = ended.send(exit);
            }
            let _released_or_dropped = may_reap.recv();
            let _reaped = child.wait();
            drop(ours);
        });
        match waiter {
            Ok(_) => Ok(Self { group, stdout, stderr, exit, reap: Some(reap), patience: None, _own: own }),
            Err(why) => {
                group.kill();
                Err(format!("no thread to wait for it, so it was killed at once: {why}"))
            }
        }
    }

    /// The same, ended with patience when it is dropped.
    pub(super) fn with(self, patience: Patience) -> Self {
        let mut patient = self;
        patient.patience = Some(patience);
        patient
    }

    /// Waits for the end of the main process; `None` when waiting failed.
    pub(super) async fn exit(&mut self) -> Option<Exit> {
        (&mut self.exit).await.ok()
    }

    /// Ends the watch without killing anybody; lets the child be reaped.
    pub(super) fn release(mut self) {
        if let Some(reap) = self.reap.take() {
            let _waiter_gone = reap.send(());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(reap) = self.reap.take() else { return };
        let (Some(patience), Ok(runtime)) = (self.patience.take(), Handle::try_current()) else {
            return self.group.kill();
        };
        let group = self.group;
        group.ask_leader();
        let end = runtime.spawn(async move {
            group.gone_within(patience.within).await;
            // Only now: until it is reaped its number is nobody else's.
            drop(reap);
        });
        patience.stops.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    }
}

/// Waits without reaping: until the release, the pid and thus the group's number stay ours.
fn wait_unreaped(pid: Pid) -> Option<Exit> {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(status)) => {
                return status.exit_status().map(Exit::Code).or(status.terminating_signal().map(Exit::Signal));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn feed(pipe: Option<ChildStdin>, bytes: Option<Vec<u8>>) {
    if let (Some(pipe), Some(bytes)) = (pipe, bytes) {
        tokio::spawn(async move {
            if let Ok(mut pipe) = Sender::from_owned_fd(OwnedFd::from(pipe)) {
                let _child_may_not_want_it = pipe.write_all(&bytes).await;
            }
        });
    }
}

/// What is executed, and the PATH that it is given.
struct Start {
    program: PathBuf,
    path: String,
    /// Starts it in a session of its own.
    session: Option<PathBuf>,
}

/// Resolves the program before anything is forked, and judges it where it runs as root.
fn begin(asked: &CommandAsked, user: Option<&User>) -> Result<Start, String> {
    let ours = programs::is_ours(user);
    let path = if ours { SearchPath::of_root() } else { SearchPath::of_a_user() };
    let program = find(asked.argv.first().map_or("", String::as_str), &path)?;
    // What is at work already is in nobody's hands.
    if ours && program != Path::new(programs::OURSELVES) {
        let judged = programs::judge(&asked.argv, &program, asked.cwd.as_deref(), &path);
        judged.map_err(|why| match why.missing {
            true => why.to_string(),
            false => format!("{} executes only what others cannot change: {why}", programs::ourselves()),
        })?;
    }
    let session = if ours { None } else { own_session() };
    Ok(Start { program, path: path.text(), session })
}

fn find(program: &str, path: &SearchPath) -> Result<PathBuf, String> {
    if program.is_empty() {
        return Err("the command is empty: name a program".to_owned());
    }
    if program.contains('/') {
        let path = Path::new(program);
        return match (path.is_absolute(), path.is_file()) {
            (false, _) => Err(format!("{} is a relative path: write it from /", named(program, 200))),
            (true, false) => Err(format!("{} is not there, or not a file", named(program, 200))),
            (true, true) => Ok(path.to_owned()),
        };
    }
    let none = || format!("{} is in none of {}: install it or write its path", named(program, 200), path.text());
    path.find(program).ok_or_else(none)
}

/// Runs on the thread that takes on the user's identity.
fn spawn_as(
    asked: &CommandAsked,
    start: &Start,
    user: Option<&User>,
    gift: Option<&dyn Lend>,
) -> Result<(Child, Own), String> {
    if let Some(user) = user {
        become_user(user)
            .map_err(|why| format!("cannot become user {}: {why} (run as root)", named(&user.name, 64)))?;
    }
    let mut command = command(asked, start, user);
    let failed =
        |why: std::io::Error| format!("cannot execute {}: {why}", named(&start.program.to_string_lossy(), 200));
    let spawn = || lending(gift, || command.spawn());
    offspring::start(spawn, |child| Some(child.id())).map_err(failed)
}

/// Starts something with the gift in its hands.
pub(in crate::host) fn lending<C>(
    gift: Option<&dyn Lend>,
    mut start: impl FnMut() -> std::io::Result<C>,
) -> std::io::Result<C> {
    let Some(gift) = gift else { return start() };
    let mut started = None;
    gift.lend(&mut || started = Some(start()))?;
    started.unwrap_or_else(|| Err(std::io::Error::other("it was not started")))
}

fn become_user(user: &User) -> Result<(), rustix::io::Errno> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if rustix::process::geteuid() == uid {
        return Ok(());
    }
    let groups: Vec<_> = user.groups.iter().map(|&id| Gid::from_raw(id)).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
fn command(asked: &CommandAsked, start: &Start, user: Option<&User>) -> Command {
    let mut command = Command::new(start.session.as_ref().unwrap_or(&start.program));
    match start.session {
        Some(_) => command.arg(&start.program),
        None => command.process_group(0),
    };
    command.args(asked.argv.iter().skip(1)).env_clear();
    command.env("PATH", &start.path).env("LANG", "C.UTF-8");
    if let Some(user) = user {
        command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
    }
    command.envs(asked.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(asked.cwd.as_deref().unwrap_or(Path::new("/")));
    let stdin = if asked.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

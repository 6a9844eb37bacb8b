//! The program under test in its sandbox: one sitting at a time, perhaps under strace, and quiet again after each.
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::bus::Systemd;
use crate::world::{OUT, STATE, World};

/// See `fixtures/sandbox.sh`.
pub(crate) const PROGRAM: &str = "/proc/self/fd/9";
/// What changes the state directory, the lock, a terminal or the world, as the main thread of the program calls it.
pub(crate) const CALLS: &str = "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,fallocate,mkdir,mkdirat,openat,flock,sendmsg,sendto,clone,clone3,vfork,kill,tgkill";
const SAVED: &str = "/mnt/out/saved";
const UNITS: &str = "/etc/systemd/system";
/// Longer than anything takes, even on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// What strace saw of a sitting with an injection.
const INJECTED: &str = "/mnt/out/injected";

/// How a sitting ended.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) killed: bool,
    pub(crate) hung: bool,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
    /// The call that was made to fail, as strace saw it: from run to run calls change places with their neighbours.
    pub(crate) injected: Option<String>,
}

/// A world that was saved: what lies in files, and the rest.
pub(crate) struct Saved {
    world: World,
    files: [(&'static str, Option<Vec<u8>>); 3],
}

/// One sandbox.
pub(crate) struct Rig {
    pub(crate) systemd: Systemd,
}

impl Rig {
    /// Starts systemd and takes in whatever a killed program leaves behind.
    pub(crate) fn new() -> Self {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        Self { systemd: Systemd::start() }
    }

    /// The world as before any run.
    pub(crate) fn fresh(&self) {
        let _not_there_yet = std::fs::remove_dir_all(STATE);
        let _not_there_yet = std::fs::remove_dir_all("/run/runbook");
        for name in ["ledger", "marked", "bomb", "told"] {
            let _not_there_yet = std::fs::remove_file(Path::new(OUT).join(name));
        }
        for entry in std::fs::read_dir(UNITS).unwrap() {
            let _ours = std::fs::remove_file(entry.unwrap().path());
        }
        std::fs::write(Path::new(OUT).join("boot_id"), "11111111-1111-4111-8111-111111111111\n").unwrap();
        *self.systemd.world() = World::fresh();
    }

    /// Keeps the world as it is now, for [`load`](Self::load).
    pub(crate) fn save(&self) -> Saved {
        let _not_there_yet = std::fs::remove_dir_all(SAVED);
        must("mkdir", &[SAVED]);
        must("cp", &["-a", STATE, UNITS, SAVED]);
        let keep = |name: &str| std::fs::read(Path::new(OUT).join(name)).ok();
        let files = ["ledger", "marked", "boot_id"].map(|name| (name, keep(name)));
        Saved { world: self.systemd.world().clone(), files }
    }

    /// The world as it was saved.
    pub(crate) fn load(&self, saved: &Saved) {
        self.fresh();
        must("cp", &["-a", &format!("{SAVED}/state"), "/mnt/disk"]);
        must("cp", &["-a", &format!("{SAVED}/system/."), UNITS]);
        for (name, bytes) in &saved.files {
            if let Some(bytes) = bytes {
                std::fs::write(Path::new(OUT).join(name), bytes).unwrap();
            }
        }
        *self.systemd.world() = saved.world.clone();
    }

    /// Runs the program with `args` to its end; with `inject`, under strace, which does these things to its system calls.
    pub(crate) fn sit(&self, args: &[&str], inject: &[String], trace: Option<&str>) -> Said {
        let said = self.sit_beside(args, inject, trace, &mut |_, _| {});
        self.calm();
        said
    }

    /// The same with something that happens beside it: `beside` is told again and again the program's pid (or its tracer's)
    /// and how long it has been at work. What the program leaves behind is left at work.
    pub(crate) fn sit_beside(
        &self,
        args: &[&str],
        inject: &[String],
        trace: Option<&str>,
        beside: &mut dyn FnMut(u32, Duration),
    ) -> Said {
        let mut command = if inject.is_empty() && trace.is_none() {
            Command::new(PROGRAM)
        } else {
            let mut command = Command::new("strace");
            command.args(["-qq", "-y", "-o", trace.unwrap_or(INJECTED)]);
            command.args(["-s", if trace.is_some() { "300" } else { "0" }]);
            command.arg("-e");
            command.arg(format!("trace={CALLS},sync"));
            // A reboot syncs the whole machine for the sake of others' logs. Nothing of ours may depend on it.
            command.args(["-e", "inject=sync:retval=0"]);
            for one in inject {
                command.args(["-e", &format!("inject={one}")]);
            }
            command.arg(PROGRAM);
            command
        };
        command.args(["--state-dir", STATE]).args(args).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        // A lock of its own: only on the host's lock are commands given to systemd, and the one of this sandbox runs none.
        command.env("RUNBOOK_LOCK", "/run/runbook/sandbox.lock");
        let (out, err) = (Path::new(OUT).join("stdout"), Path::new(OUT).join("stderr"));
        command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        self.systemd.world().program = Some(child.id());
        let mut hung = false;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                hung = true;
                child.kill().unwrap();
            }
            beside(child.id(), began.elapsed());
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = began.elapsed();
        self.systemd.world().program = None;
        let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let (out, err) = (text(&out), text(&err));
        let injected = std::fs::read(INJECTED).ok().filter(|_| trace.is_none() && !inject.is_empty());
        let injected = injected.map(|lines| String::from_utf8_lossy(&lines).into_owned());
        let hit = |line: &&str| line.contains("(INJECTED)") && !line.starts_with("sync(");
        let injected = injected.and_then(|lines| Some(lines.lines().find(hit)?.to_owned()));
        let killed = status.signal() == Some(9) && !hung;
        Said { code: status.code(), killed, hung, out, err, took, injected }
    }

    /// Waits until nothing of the program is at work any more: orphans have ended, messages were answered.
    pub(crate) fn calm(&self) {
        loop {
            self.systemd.settle();
            let orphans = self.orphans();
            if orphans.is_empty() {
                return;
            }
            for pid in orphans {
                let pid = Pid::from_raw(pid);
                while matches!(waitpid(pid, WaitOptions::empty()), Err(rustix::io::Errno::INTR)) {}
            }
        }
    }

    fn orphans(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        let daemon = i32::try_from(self.systemd.daemon()).unwrap();
        found.retain(|pid| *pid != daemon);
        found
    }

    /// Cuts the power of the disk and puts it back: what was not synced is gone.
    pub(crate) fn cut_power(&self) {
        must("perl", &["/mnt/bin/cut.pl", "/mnt/disk"]);
        must("umount", &["/mnt/disk"]);
        must("mount", &["-o", "loop,commit=300,noauto_da_alloc", "/mnt/image", "/mnt/disk"]);
    }

    /// What the disk holds now is what a cut leaves of it.
    pub(crate) fn sync_disk(&self) {
        must("sync", &["-f", "/mnt/disk"]);
    }
}

/// Runs a tool of the sandbox that must succeed.
pub(crate) fn must(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

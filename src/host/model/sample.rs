//! For tests: a small staging host as facts, put together from parts that each test may bend.
//!
//! The parts are what looks at a real host gave (Redis 7.0, PM2 6, systemd 252), cut to what the program reads.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::disk::{DiskKind, DiskSeen};
use crate::host::http::HttpSeen;
use crate::host::machine::MachineSeen;
use crate::host::pm2::{App, AppKey, DaemonSeen, DaemonUp, DumpEntry, DumpSeen, Pm2At, Pm2Seen, Status};
use crate::host::redis::{
    Aof, AofFile, AofFiles, Door, Layout, Memory, Rdb, RedisAt, RedisFacts, RedisKind, RedisSeen, Role, Server,
    ServerName,
};
use crate::host::systemd::UnitSeen;
use crate::host::{Answer, Ask, Facts};

pub(crate) const MB: u64 = 1_000_000;
pub(crate) const GB: u64 = 1_000 * MB;

/// Saturday, 2026-11-28 10:05 in Berlin: five minutes into the window of the shipped runbook.
pub(crate) const SATURDAY: &str = "2026-11-28T09:05:00Z";

/// Facts with a machine of `mem` bytes, a disk, an uninstalled resume unit and nobody who inhibits.
pub(crate) fn host(mem: u64) -> Facts {
    let mut facts = Facts::new(SATURDAY.parse().unwrap(), 7_000_000.0);
    facts.put(Ask::Machine, Answer::Machine(Box::new(machine(mem))));
    facts.put(Ask::Inhibitors, Answer::Inhibitors(Vec::new()));
    facts.put(Ask::ResumeUnit, Answer::ResumeUnit(vec!["runbook-resume.service is not installed".into()]));
    facts
}

pub(crate) fn machine(mem: u64) -> MachineSeen {
    MachineSeen {
        boot_id: Some("3f1c2a9e-5b1d-4c8e-9f10-2a77c0de0001".into()),
        machine_id: Some("5d0c1e2f3a4b4c5d8e9f0a1b2c3d4e5f".into()),
        hostname: Some("stg-1".into()),
        kernel: Some("6.1.0-28-amd64".into()),
        cpus: Some(16),
        mem_total: Some(mem),
        mem_available: Some(mem / 2),
        swap_total: Some(0),
        swap_free: Some(0),
        overcommit_memory: Some(1),
        commit_limit: Some(mem / 2),
        committed_as: Some(mem / 3),
        uptime_seconds: Some(7_000_000.0),
        cpu_pressure: Some(0.4),
        memory_pressure: Some(0.0),
        is_root: true,
        init: Some("systemd".into()),
        container: None,
    }
}

pub(crate) fn disk(free: u64) -> DiskSeen {
    DiskSeen {
        fs_type: "ext4".into(),
        kind: DiskKind::Disk,
        bytes_total: free * 3,
        bytes_free: free,
        inodes_total: 60_000_000,
        inodes_free: 59_000_000,
        read_only: false,
        mount_point: Some("/".into()),
    }
}

pub(crate) fn http_ok(body: &str) -> HttpSeen {
    let headers = vec![("content-type".into(), "application/json".into())];
    HttpSeen {
        status: 200,
        headers,
        body: crate::host::foreign::Untrusted::new(body.into()),
        cut: false,
        took: Duration::from_millis(12),
    }
}

/// The size of an instance: base and increments on the disk, memory, keys.
#[derive(Clone, Copy)]
pub(crate) struct Data {
    pub(crate) base: u64,
    pub(crate) incr: u64,
    pub(crate) used: u64,
    pub(crate) keys: u64,
}

/// An instance that serves; `of` is the port of its master.
pub(crate) fn redis(name: &str, kind: RedisKind, of: Option<u16>, data: Data) -> RedisSeen {
    let tile38 = kind == RedisKind::Tile38;
    let role = of.map_or(Role::Master { replicas: Vec::new() }, |master_port| Role::Replica {
        master_host: "127.0.0.1".into(),
        master_port,
        link_up: true,
        sync_in_progress: false,
        master_sync_perc: None,
    });
    let facts = RedisFacts {
        server: Server {
            name: if tile38 { ServerName::Tile38 } else { ServerName::Redis },
            version: if tile38 { String::new() } else { "7.0.15".into() },
            run_id: super::boot::made_up_id(name, "run", 40),
            process_id: Some(1_000 + name.bytes().map(u32::from).sum::<u32>()),
            uid: None,
            config_file: format!("/etc/redis/redis-{name}.conf"),
            uptime_secs: 6_900_000,
        },
        role: Some(role),
        loading: None,
        async_loading: false,
        aof: (!tile38).then(|| aof(data)),
        rdb: (!tile38).then_some(Rdb {
            bgsave_in_progress: false,
            last_bgsave_ok: true,
            changes_since_last_save: 1_234,
            last_save_time: 1_795_000_000,
        }),
        module_fork: false,
        memory: (!tile38).then_some(Memory { used_memory: data.used, rss: data.used / 10 * 11, maxmemory: 0 }),
        keys: if tile38 { BTreeMap::new() } else { BTreeMap::from([(0, data.keys)]) },
        latest_fork_usec: Some(41_000),
        config: (!tile38).then(|| settings(name)),
        written: (!tile38).then(|| settings(name)),
        rewrite_known: Some(!tile38),
        files: (!tile38).then(|| files(name, data)),
        certified_until: None,
    };
    RedisSeen { door: Door::Open, facts: Some(facts), unseen: Vec::new() }
}

/// The settings as an operator writes them; CONFIG GET and the file agree.
fn settings(name: &str) -> BTreeMap<String, String> {
    let dir = format!("/var/lib/redis/{name}");
    let pairs = [("appendonly", "yes"), ("dir", &dir), ("save", ""), ("maxmemory", "0")];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// A setting that somebody changed at runtime and never wrote into the file.
pub(crate) fn set_at_runtime(seen: &mut RedisSeen, key: &str, now: &str, file: &str) {
    let Some(facts) = seen.facts.as_mut() else { return };
    for (side, value) in [(&mut facts.config, now), (&mut facts.written, file)] {
        side.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    }
}

fn aof(data: Data) -> Aof {
    Aof {
        enabled: true,
        rewrite_in_progress: false,
        rewrite_scheduled: false,
        last_bgrewrite_ok: true,
        consecutive_failures: Some(0),
        rewrites: Some(0),
        last_rewrite_secs: None,
        current_rewrite_secs: None,
        current_size: data.base + data.incr,
        base_size: data.base,
        last_write_ok: true,
        save_keys_processed: Some(0),
        save_keys_total: Some(0),
        cow: Some(0),
    }
}

fn files(name: &str, data: Data) -> AofFiles {
    AofFiles {
        dir: format!("/var/lib/redis/{name}/appendonlydir"),
        layout: Layout::Manifest,
        base: Some(AofFile { name: "appendonly.aof.3.base.rdb".into(), seq: 3, bytes: data.base }),
        incrs: vec![AofFile { name: "appendonly.aof.3.incr.aof".into(), seq: 3, bytes: data.incr }],
        missing: Vec::new(),
    }
}

/// A loaded service that runs; `notifies` with the usual start time-out of 90 s.
pub(crate) fn unit(name: &str, enabled: bool, notifies: bool) -> UnitSeen {
    UnitSeen {
        asked: name.into(),
        id: name.into(),
        description: crate::host::foreign::tame(&format!("sample {name}"), 80),
        load_state: "loaded".into(),
        load_error: "".into(),
        unit_file_state: if enabled { "enabled" } else { "disabled" }.into(),
        active_state: "active".into(),
        sub_state: "running".into(),
        result: "success".into(),
        service_type: if notifies { "notify" } else { "simple" }.into(),
        main_pid: 900 + name.bytes().map(u32::from).sum::<u32>(),
        n_restarts: 0,
        start_timeout: Some(Duration::from_secs(90)),
        stop_timeout: Some(Duration::from_secs(90)),
        restart: "always".into(),
        job: 0,
        fragment_path: format!("/etc/systemd/system/{name}"),
        drop_in_paths: Vec::new(),
        need_daemon_reload: false,
        triggered_by: Vec::new(),
        wanted_by: if enabled { vec!["multi-user.target".into()] } else { Vec::new() },
        invocation_id: super::boot::made_up_id(name, "invocation", 32),
        active_enter: None,
        main_started: None,
        exec_start: vec!["/usr/bin/sample".into()],
        redis_settings: Default::default(),
    }
}

/// A daemon with these apps, in this order, and a dump that says the same.
pub(crate) fn pm2(at: &Pm2At, apps: &[(String, bool)]) -> Pm2Seen {
    let apps: Vec<App> = (0..).zip(apps).map(|(id, (name, online))| app(id, name, *online)).collect();
    let entry = |app: &App| DumpEntry {
        namespace: app.key.namespace.clone(),
        name: app.key.name.clone(),
        status: app.status.clone(),
    };
    let daemon = DaemonUp {
        version: "6.0.8".into(),
        pid: Some(2_001),
        uid: 1_001,
        node: "v20.19.2".into(),
        node_path: Some("/usr/bin/node".into()),
        cli: Some("/usr/lib/node_modules/pm2/bin/pm2".into()),
        argv1: "/usr/lib/node_modules/pm2/lib/Daemon.js".into(),
        cgroup: at.unit.as_ref().map(|unit| format!("/system.slice/{unit}")),
        probed: false,
    };
    Pm2Seen {
        daemon: DaemonSeen::Up(Box::new(daemon)),
        dump: DumpSeen::Read { entries: apps.iter().map(entry).collect() },
        apps,
        twins: Vec::new(),
        orphans: Vec::new(),
        advice: Vec::new(),
        not_roots: None,
    }
}

pub(crate) fn app(id: u32, name: &str, online: bool) -> App {
    App {
        key: AppKey {
            namespace: "default".into(),
            name: name.into(),
            instance: None,
            script: format!("/var/www/app/{name}/index.js"),
            ordinal: 0,
        },
        pm_id: Some(id),
        pid: online.then_some(20_000 + id),
        status: if online { Status::Online } else { Status::Stopped },
        restarts: 2,
        unstable: 0,
        created_at: Some(1_788_000_000_000),
        uptime_started: online.then_some(1_788_000_000_000),
        exit_code: None,
        exec_mode: "fork_mode".into(),
        wait_ready: false,
        listen_timeout: None,
        min_uptime: None,
        kill_timeout: Some(1_600),
        backoff: None,
        autorestart: true,
        autostart: true,
        watch: false,
        cron: None,
        cwd: format!("/var/www/app/{name}"),
        interpreter: "node".into(),
        out_log: format!("/var/www/app/.pm2/logs/{name}-out.log"),
        err_log: format!("/var/www/app/.pm2/logs/{name}-error.log"),
        pid_file: String::new(),
        module: false,
    }
}

/// `redis://127.0.0.1:PORT` of plain Redis.
pub(crate) fn at(port: u16) -> RedisAt {
    RedisAt { url: format!("redis://127.0.0.1:{port}"), user: None, password: None, kind: RedisKind::Redis, tls: None }
}

/// The PM2 place of the sample.
pub(crate) fn place() -> Pm2At {
    Pm2At {
        user: "deploy".into(),
        home: "/var/www/app/.pm2".into(),
        unit: Some("pm2-deploy.service".into()),
        cli: None,
    }
}

/// The names of 40 apps, of which the last six are stopped on purpose.
pub(crate) fn forty_apps() -> Vec<(String, bool)> {
    let ids = (0..2).map(|n| (format!("id-manager-{n}"), true));
    let workers = (0..12).map(|n| (format!("mail{n}-worker"), true));
    let rest = (0..20).map(|n| (format!("api-{n}"), true));
    let stopped = (0..6).map(|n| (format!("org-{n}"), false));
    ids.chain(workers).chain(rest).chain(stopped).collect()
}

/// The small staging host: masters `bds` (6379) and `bull00` (6377), replica `bds-r` (6381), the router's unit and 40 apps
/// under PM2. The units of `bull00` and of the router are not enabled.
pub(crate) fn small() -> Facts {
    let mut facts = host(125 * GB);
    let data = |base, incr, used, keys| Data { base, incr, used, keys };
    let masters = data(80 * MB, 220 * MB, 240 * MB, 50_000);
    for (name, port, of, data) in [
        ("bds", 6379, None, masters),
        ("bds-r", 6381, Some(6379), data(90 * MB, 40 * MB, 240 * MB, 50_000)),
        ("bull00", 6377, None, data(30 * MB, 400 * MB, 100 * MB, 9_000)),
    ] {
        facts.put(Ask::Redis(at(port)), Answer::Redis(Box::new(redis(name, RedisKind::Redis, of, data))));
        let unit_name = format!("redis-server@{name}.service");
        facts.put(Ask::Unit(unit_name.clone()), Answer::Unit(Box::new(unit(&unit_name, name != "bull00", true))));
        facts.put(Ask::Disk(files(name, data).dir.into()), Answer::Disk(disk(300 * GB)));
    }
    for (name, enabled) in [("redis-router.service", false), ("pm2-deploy.service", true)] {
        facts.put(Ask::Unit(name.into()), Answer::Unit(Box::new(unit(name, enabled, false))));
    }
    facts.put(Ask::Pm2(place()), Answer::Pm2(Box::new(pm2(&place(), &forty_apps()))));
    facts
}

/// Which unit runs which instance of [`small`].
pub(crate) fn small_ties() -> super::Ties {
    let tie = |(name, port)| (at(port), format!("redis-server@{name}.service"));
    super::Ties {
        redis: [("bds", 6379), ("bds-r", 6381), ("bull00", 6377)].map(tie).into(),
        names: [("bds", 6379), ("bds-r", 6381), ("bull00", 6377)].map(|(name, port)| (at(port), name.into())).into(),
    }
}

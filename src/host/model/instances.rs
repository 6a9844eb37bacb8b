//! Redis on the model: rewrites that take their time and prove themselves by a new manifest, loads, and replicas that link up.

use std::time::Duration;

use super::course::Faults;
use super::world::{Happening, World};
use crate::host::redis::{
    self, AofFile, AofFiles, Door, Layout, LoadProgress, Loading, Part, RedisAt, RedisKind, RedisSeen, RewriteReply,
    Role, compacted_bytes, rewrite_secs,
};
use crate::host::{HostError, Told};

/// From the end of the master's load to a replica's link.
const LINKS_AFTER: Duration = Duration::from_millis(500);
impl World {
    /// BGREWRITEAOF.
    pub(super) fn rewrite(&mut self, at: &RedisAt, now: Duration) -> Result<Told, HostError> {
        let about = format!("redis {}", at.url);
        let Some(seen) = self.redis_mut(at) else {
            return Err(HostError::unreachable(about, "not known to the model"));
        };
        let door = seen.door.clone();
        let Some(facts) = seen.facts.as_mut().filter(|facts| facts.loading.is_none()) else {
            return Err(HostError::refused(about, format!("redis {door}")));
        };
        let keys = facts.keys.values().sum();
        let used = facts.memory.as_ref().map_or(0, |memory| memory.used_memory);
        let Some(aof) = facts.aof.as_mut().filter(|aof| aof.enabled) else {
            return Err(HostError::refused(about, "append-only persistence is off"));
        };
        if aof.rewrite_in_progress {
            return Ok(Told::Rewrite(RewriteReply::AlreadyRunning));
        }
        aof.rewrite_in_progress = true;
        aof.rewrites = aof.rewrites.map(|count| count + 1);
        aof.save_keys_total = Some(keys);
        let takes = rewrite_secs(used, aof.last_rewrite_secs).typical;
        if let Some(files) = facts.files.as_mut().filter(|files| files.layout == Layout::Manifest) {
            // What is written from now on goes into a fresh increment.
            let last = files.incrs.last().cloned();
            files.incrs.push(next_file(last.as_ref(), "appendonly.aof.1.incr.aof", 0));
        }
        self.plan(now, Duration::from_secs_f64(takes.max(0.01)), Happening::Rewritten(at.clone()));
        Ok(Told::Rewrite(RewriteReply::Started))
    }

    pub(super) fn rewritten(&mut self, at: &RedisAt, took: Duration) {
        let fails = Faults::names(&self.faults.rewrite_fails, &at.url);
        let Some(facts) = self.redis_mut(at).and_then(|seen| seen.facts.as_mut()) else {
            return;
        };
        let used = facts.memory.as_ref().map_or(0, |memory| memory.used_memory);
        let Some(aof) = facts.aof.as_mut() else { return };
        aof.rewrite_in_progress = false;
        aof.last_bgrewrite_ok = !fails;
        (aof.save_keys_processed, aof.save_keys_total, aof.current_rewrite_secs) = (None, None, None);
        if fails {
            aof.consecutive_failures = aof.consecutive_failures.map(|count| count + 1);
            return;
        }
        aof.consecutive_failures = aof.consecutive_failures.map(|_| 0);
        aof.last_rewrite_secs = Some(took.as_secs());
        let Some(files) = facts.files.as_mut() else { return };
        let bytes = compacted_bytes(files.base_bytes(), files.incr_bytes(), used);
        files.base = Some(next_file(files.base.as_ref(), "appendonly.aof.1.base.rdb", bytes));
        files.missing.clear();
        match &mut files.layout {
            Layout::Single { inode } => *inode += 1,
            _ => drop(files.incrs.drain(..files.incrs.len().saturating_sub(1))),
        }
        (aof.base_size, aof.current_size) = (bytes, bytes);
    }

    /// Addresses through which an instance answers beside its own, such as a router's: the run id gives them away. From
    /// its end on they follow it.
    fn find_aliases(&mut self, at: &RedisAt) {
        let run_id = |seen: &RedisSeen| seen.facts.as_ref().map(|facts| facts.server.run_id.clone());
        let Some(own) = self.facts.redis(at).and_then(run_id).filter(|id| !id.is_empty()) else { return };
        for other in self.instances().into_iter().filter(|other| other != at && self.ties.unit_of(other).is_none()) {
            let same = self.facts.redis(&other).and_then(run_id).as_ref() == Some(&own);
            if same && !self.aliases.iter().any(|(known, _)| *known == other) {
                self.aliases.push((other, at.clone()));
            }
        }
    }

    /// The instance that answers at an address.
    pub(super) fn behind<'w>(&'w self, at: &'w RedisAt) -> &'w RedisAt {
        self.aliases.iter().find(|(alias, _)| alias == at).map_or(at, |(_, own)| own)
    }

    /// The instance is gone: nothing listens there any more.
    pub(super) fn end_instance(&mut self, at: &RedisAt) {
        if self.ties.unit_of(at).is_some() {
            self.find_aliases(at);
        }
        self.due.retain(|due| !matches!(&due.what, Happening::Rewritten(one) | Happening::Loaded(one) | Happening::Linked(one) if one == at));
        self.loads.retain(|load| load.at != *at);
        let Some(seen) = self.redis_mut(at) else { return };
        seen.door = Door::Refused;
        let Some(mut facts) = seen.facts.take() else { return };
        if facts.loading.is_some() {
            // It never served in this start: what it was before still counts.
            return;
        }
        if let Some(aof) = &mut facts.aof {
            aof.rewrite_in_progress = false;
        }
        self.whole.retain(|(known, _)| known != at);
        self.whole.push((at.clone(), facts));
    }

    /// The instance starts and reads its files; says how long that takes.
    pub(super) fn start_instance(&mut self, at: &RedisAt, now: Duration) -> Duration {
        let Some(whole) = self.whole.iter().find(|(known, _)| known == at).map(|(_, facts)| facts.clone()) else {
            return Duration::ZERO;
        };
        let (bytes, takes) = self.begin_load(at, &whole, now);
        let (pid, wall) = (self.new_pid(), self.wall(now));
        let loading = at.kind == RedisKind::Redis && bytes > 0;
        let mut facts = whole;
        facts.server.run_id = super::boot::made_up_id(&facts.server.run_id, &pid.to_string(), 40);
        facts.server.process_id = Some(pid);
        facts.server.uptime_secs = 0;
        match &mut facts.role {
            Some(Role::Replica { link_up, sync_in_progress, .. }) => (*link_up, *sync_in_progress) = (false, false),
            Some(Role::Master { replicas }) => replicas.clear(),
            None => {}
        }
        if let Some(aof) = &mut facts.aof {
            (aof.rewrites, aof.consecutive_failures) = (aof.rewrites.map(|_| 0), aof.consecutive_failures.map(|_| 0));
            aof.last_bgrewrite_ok = true;
        }
        if let (Some(config), Some(written)) = (&mut facts.config, &facts.written) {
            // What was set at runtime only is gone; what the unit's arguments say is said again.
            let unit = self.ties.unit_of(at).and_then(|unit| self.facts.unit(unit));
            let given = |key: &String| unit.and_then(|unit| unit.redis_settings.get(key));
            config.iter_mut().for_each(|(key, value)| {
                if let Some(file) =
                    given(key).or_else(|| written.get(key)).filter(|file| !redis::same_setting(key, value, file))
                {
                    value.clone_from(file);
                }
            });
        }
        if loading {
            let started = u64::try_from(wall.as_second()).unwrap_or(0);
            facts.loading =
                Some(Loading { started, total_bytes: bytes, loaded_bytes: 0, eta_seconds: takes.as_secs().max(1) });
        }
        if let Some(seen) = self.redis_mut(at) {
            seen.door = if loading { Door::Loading } else { Door::Open };
            seen.facts = Some(facts);
        }
        takes
    }

    pub(super) fn loaded(&mut self, at: &RedisAt, now: Duration) {
        let empty = Faults::names(&self.faults.empty_after_start, &at.url);
        let (unit, wall) = (self.ties.unit_of(at).map(str::to_owned), self.wall(now));
        self.end_load(at, now);
        let Some(seen) = self.redis_mut(at) else { return };
        seen.door = Door::Open;
        let Some(facts) = seen.facts.as_mut() else { return };
        facts.loading = None;
        if empty {
            facts.keys.clear();
        }
        let master = match &facts.role {
            Some(Role::Replica { master_port, .. }) => Some(*master_port),
            _ => None,
        };
        if let Some(unit) = unit {
            self.set_active(&unit, "active", "running");
            if let Some(seen) = self.unit_mut(&unit) {
                seen.active_enter = Some(wall);
            }
        }
        if let Some(port) = master {
            let ready = self.ready_at(port).unwrap_or(now).max(now);
            self.plan(now, ready.saturating_sub(now) + LINKS_AFTER, Happening::Linked(at.clone()));
        }
    }

    /// When the local instance at `port` will have loaded; `None` when it has, or is not known.
    fn ready_at(&self, port: u16) -> Option<Duration> {
        let suffix = format!(":{port}");
        self.due
            .iter()
            .find(|due| matches!(&due.what, Happening::Loaded(at) if at.url.ends_with(&suffix)))
            .map(|due| due.at)
    }

    pub(super) fn linked(&mut self, at: &RedisAt) {
        let Some(seen) = self.redis_mut(at) else { return };
        if let Some(Role::Replica { link_up, .. }) = seen.facts.as_mut().and_then(|facts| facts.role.as_mut()) {
            *link_up = true;
        }
    }

    /// The instance as it is at this second: how far a rewrite or a load is.
    pub(super) fn moving(&self, at: &RedisAt, seen: &RedisSeen, now: Duration) -> RedisSeen {
        let mut seen = seen.clone();
        let Some(facts) = &mut seen.facts else { return seen };
        for due in &self.due {
            let passed = now.saturating_sub(due.began).as_secs_f64();
            let whole = due.at.saturating_sub(due.began).as_secs_f64().max(1e-6);
            let part = (passed / whole).clamp(0.0, 1.0);
            match &due.what {
                Happening::Rewritten(one) if one == at => {
                    if let Some(aof) = &mut facts.aof {
                        aof.save_keys_processed = aof.save_keys_total.map(|total| (total as f64 * part) as u64);
                        aof.current_rewrite_secs = Some(passed as u64);
                    }
                }
                Happening::Loaded(one) if one == at && facts.loading.is_some() => {
                    if let Some(loading) = &mut facts.loading {
                        loading.loaded_bytes = self.bytes_read(at, now).unwrap_or_default().min(loading.total_bytes);
                        loading.eta_seconds = ((whole - passed) as u64).max(1);
                    }
                    facts.server.uptime_secs = passed as u64;
                    facts.keys.values_mut().for_each(|keys| *keys = (*keys as f64 * part) as u64);
                    if let Some(aof) = &mut facts.aof {
                        (aof.enabled, aof.current_size) = (false, 0);
                    }
                }
                _ => {}
            }
        }
        seen
    }

    /// The progress of a process that the model has started.
    pub(super) fn load_progress(&self, pid: u32, now: Duration) -> Option<LoadProgress> {
        self.facts.answers.iter().find_map(|(ask, answer)| {
            let (crate::host::Ask::Redis(at), crate::host::Answer::Redis(seen)) = (ask, answer) else {
                return None;
            };
            let facts = seen.facts.as_ref().filter(|facts| facts.server.process_id == Some(pid))?;
            let moved = self.moving(at, seen, now).facts?;
            let files = facts.files.as_ref()?;
            let read = moved.loading.as_ref().map(|loading| loading.loaded_bytes);
            let file = read.and_then(|read| file_at(files, read));
            let used = self.processor_time(at, now);
            Some(LoadProgress {
                pid,
                file: file.map(|(file, _)| file.name.clone()),
                part: file.map(|(_, part)| part),
                bytes_read_total: read,
                cpu_secs: read.and(used).map(|(cpu, _)| cpu),
                runqueue_secs: read.and(used).map(|(_, queue)| queue),
                age_secs: self.load_age(at, now),
                state: if read.is_some() { 'R' } else { 'S' },
            })
        })
    }
}

/// The file that is being read after so many bytes.
fn file_at(files: &AofFiles, read: u64) -> Option<(&AofFile, Part)> {
    let base = files.base.as_ref()?;
    let mut end = base.bytes;
    if read < end || files.incrs.is_empty() {
        return Some((base, Part::Base));
    }
    for (n, file) in (1..).zip(&files.incrs) {
        end += file.bytes;
        if read < end || n as usize == files.incrs.len() {
            return Some((file, Part::Incr(n)));
        }
    }
    None
}

/// The successor of a file in the manifest: the next number, also in its name (Redis: `NAME.SEQ.base.rdb`).
fn next_file(last: Option<&AofFile>, first: &str, bytes: u64) -> AofFile {
    let Some(last) = last else {
        return AofFile { name: first.to_owned(), seq: 1, bytes };
    };
    let (old, new) = (format!(".{}.", last.seq), format!(".{}.", last.seq + 1));
    AofFile { name: last.name.replace(&old, &new), seq: if last.seq == 0 { 0 } else { last.seq + 1 }, bytes }
}

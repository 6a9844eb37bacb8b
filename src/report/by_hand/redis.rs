//! Redis on the sheet. The password goes from its place into the environment of one command, never onto a command line.

use std::path::PathBuf;

use super::quote::{is_exact, word};
use super::{Sheet, function, span};
use crate::action::inventory::{RedisInstance, RedisKind, Role};
use crate::host::redis::{RedisAddr, RedisAt};
use crate::host::secret::SecretRef;
use crate::host::tls::Tls;
use crate::plan::PlannedStep;

/// The share of the keys below which a data set is called lost, in percent.
const KEYS: u64 = 90;

/// `redis-cli` for one address, with its password.
pub(super) fn cli(at: &RedisAt) -> String {
    let user = at.user.as_deref().map_or(String::new(), |user| format!(" --user {}", word(user)));
    let place = match at.check() {
        Ok(RedisAddr::Tcp(host, port)) => format!("-h {} -p {port}", word(&host)),
        Ok(RedisAddr::Tls(host, port)) => format!("-h {} -p {port}{}", word(&host), tls(at.tls.as_ref())),
        Ok(RedisAddr::Unix(path)) => format!("-s {}", word(&path.to_string_lossy())),
        Err(_) => format!("-u {}", word(&at.url)),
    };
    format!("{}redis-cli {place}{user}", at.password.as_ref().map_or(String::new(), auth))
}

/// The options of `redis-cli` for TLS; a key that is a credential lies where systemd put it.
fn tls(tls: Option<&Tls>) -> String {
    let Some(tls) = tls else { return " --tls".to_owned() };
    let path = |option: &str, path: &Option<PathBuf>| {
        path.as_ref().map_or(String::new(), |path| format!(" --{option} {}", word(&path.to_string_lossy())))
    };
    let name = tls.name.as_ref().map_or(String::new(), |name| format!(" --sni {}", word(name)));
    let key = match &tls.key {
        Some(SecretRef::File(path)) => format!(" --key {}", word(&path.to_string_lossy())),
        Some(SecretRef::Credential(name)) => format!(" --key \"${{CREDENTIALS_DIRECTORY:?}}\"/{}", word(name)),
        Some(SecretRef::Env(name)) => format!(" --key <(printenv {})", word(name)),
        None => String::new(),
    };
    format!(" --tls{}{}{key}{name}", path("cacert", &tls.ca), path("cert", &tls.cert))
}

fn auth(place: &SecretRef) -> String {
    match place {
        SecretRef::File(path) => format!("REDISCLI_AUTH=\"$(cat -- {})\" ", word(&path.to_string_lossy())),
        SecretRef::Credential(name) => {
            format!("REDISCLI_AUTH=\"$(cat -- \"${{CREDENTIALS_DIRECTORY:?}}\"/{})\" ", word(name))
        }
        SecretRef::Env(name) => format!("REDISCLI_AUTH=\"$(printenv {})\" ", word(name)),
    }
}

/// The shell function that asks an instance of the inventory, named after it.
fn call(one: &RedisInstance) -> String {
    format!("redis_{}", function(&one.name))
}

/// Defines that function; whoever reads the sheet from a pipe keeps the pipe. What a server answers is compared or counted and
/// never shown as it is; errors, in which its words may stand, are shown by `cat -v`.
pub(super) fn define(sheet: &mut Sheet<'_>, one: &RedisInstance) {
    sheet.command(&format!("{}() {{ {} \"$@\" </dev/null 2>> \"$keep\"/redis.said; }}", call(one), cli(&one.at())));
}

/// A line of INFO that must be there.
fn info(cli: &str, section: &str, line: &str) -> String {
    format!("{cli} INFO {section} | tr -d '\\r' | grep -qx {}", word(line))
}

/// The number of keys over all databases: digits whatever the server says, because the shell reckons with it.
fn keys(one: &RedisInstance) -> String {
    let sum = "/^db/ && $2 ~ /^[0-9]+$/ && length($2) < 15 { n += $2 } END { printf \"%.0f\\n\", n }";
    format!("{} INFO keyspace | tr -d '\\r' | awk -F '[=,]' {}", call(one), word(sum))
}

/// Writes down how many keys there are now.
pub(super) fn count(sheet: &mut Sheet<'_>, one: &RedisInstance) {
    if one.kind == RedisKind::Redis {
        sheet.command(&format!("{} > \"$keep\"/{}.keys", keys(one), word(&one.name)));
    }
}

/// A rewrite, asked for and waited for until it is proven to have ended well.
pub(super) fn compacted(sheet: &mut Sheet<'_>, one: &RedisInstance, step: &PlannedStep) {
    let cli = call(one);
    let item = step.change.items.iter().find(|item| item.key == one.name);
    match item {
        Some(item) => sheet.comment(&format!(
            "expect: {}: {} -> {}; takes {}",
            one.name,
            item.before,
            item.after,
            span(item.takes)
        )),
        None => sheet.comment(&format!("expect: {}: nobody could look; it may take long", one.name)),
    }
    sheet.command(&format!("until {}; do sleep 1; done", info(&cli, "persistence", "aof_rewrite_in_progress:0")));
    sheet.command(&format!("{} BGREWRITEAOF | grep -oE 'started|scheduled'", cli));
    sheet.command("sleep 2");
    let running = info(&cli, "persistence", "aof_rewrite_in_progress:0");
    let waiting = info(&cli, "persistence", "aof_rewrite_scheduled:0");
    sheet.command(&format!("until {running} && {waiting}; do sleep 2; done"));
    sheet.comment("check: it ended well, and the base file has a new number");
    sheet.command(&info(&cli, "persistence", "aof_last_bgrewrite_status:ok"));
    let facts = sheet.facts.redis(&one.at()).and_then(|seen| seen.facts.as_ref()?.files.as_ref());
    if let Some(dir) = facts.map(|files| files.dir.clone()).filter(|dir| is_exact(dir)) {
        sheet.command(&format!("ls -lq -- {}", word(&dir)));
    }
}

/// Waits until an instance has read its data, then holds its role and its keys against what was.
pub(super) fn loaded(sheet: &mut Sheet<'_>, one: &RedisInstance) {
    let cli = call(one);
    if one.kind != RedisKind::Redis {
        return answers(sheet, one);
    }
    sheet.command(&format!("until {}; do sleep 5; done", info_quiet(&cli, "persistence", "loading:0")));
    role(sheet, &cli, one.role);
    let least = format!("$(( $(cat \"$keep\"/{}.keys) * {KEYS} / 100 ))", word(&one.name));
    sheet.command(&format!("[ \"$({})\" -ge \"{least}\" ]", keys(one)));
}

/// The same as a gate in front of apps.
pub(super) fn gate(sheet: &mut Sheet<'_>, one: &RedisInstance) {
    match one.kind {
        RedisKind::Redis => {
            let loaded = info_quiet(&call(one), "persistence", "loading:0");
            sheet.command(&format!("until {loaded}; do sleep 5; done"));
            role(sheet, &call(one), one.role);
        }
        _ => answers(sheet, one),
    }
}

/// Silent while the server is not there yet.
fn info_quiet(cli: &str, section: &str, line: &str) -> String {
    info(cli, section, line).replacen(&format!(" INFO {section}"), &format!(" INFO {section} 2>/dev/null"), 1)
}

fn answers(sheet: &mut Sheet<'_>, one: &RedisInstance) {
    let ping = format!("[ \"$({} PING 2>/dev/null)\" = PONG ]", call(one));
    if one.required {
        sheet.command(&format!("until {ping}; do sleep 2; done"));
    } else {
        sheet
            .command(&format!("{ping} || echo {}", word(&format!("{} does not answer; it is not required", one.name))));
    }
}

/// The role that an instance must have; a replica is waited for until its link is up.
pub(super) fn role(sheet: &mut Sheet<'_>, cli: &str, role: Role) {
    match role {
        Role::Master => sheet.command(&format!("[ \"$({} ROLE | head -n 1)\" = master ]", cli)),
        Role::Replica => {
            sheet.command(&format!("until {}; do sleep 2; done", info(cli, "replication", "master_link_status:up")));
        }
    }
}

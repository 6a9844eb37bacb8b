//! What must hold before somebody goes on: checks of the runbook, and what groups of apps need.

use super::quote::word;
use super::{Sheet, redis};
use crate::action::check::{Check, HeaderValue, HttpCheck, Link, RedisCheck, RedisTarget};
use crate::action::inventory::{Needs, RedisKind, Role};
use crate::host::redis::RedisAt;
use crate::host::secret::SecretRef;

/// What a group needs, waited for.
pub(super) fn needs(sheet: &mut Sheet<'_>, needs: &Needs) {
    let runbook = sheet.runbook;
    for one in needs.redis.iter().filter_map(|name| runbook.inventory.redis.get(name)) {
        redis::gate(sheet, one);
    }
    if !needs.units.is_empty() {
        for known in runbook.inventory.units_of(Some(&needs.units)) {
            sheet.command(&format!("until systemctl is-active --quiet -- {}; do sleep 2; done", word(known.unit)));
        }
    }
    for name in &needs.pm2 {
        sheet.comment(&format!("check: every app of the place {name} is up"));
    }
    for one in &needs.checks {
        check(sheet, one);
    }
}

/// A check of `healthy`; what a shell cannot ask well is said.
pub(super) fn check(sheet: &mut Sheet<'_>, check: &Check) {
    match check {
        Check::Redis(redis) => redis_check(sheet, redis),
        Check::Tcp(tcp) => {
            let (host, port) = tcp.addr.rsplit_once(':').unwrap_or((&tcp.addr, ""));
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let knock = "exec 3<>/dev/tcp/$0/$1";
            let line = format!("timeout 5 bash -c {} {} {}", word(knock), word(host), word(port));
            asked(sheet, &line, tcp.required);
        }
        Check::Http(http) => http_check(sheet, http),
        Check::Unit(unit) => {
            for name in &unit.units {
                let not = if unit.active { "" } else { "! " };
                asked(sheet, &format!("{not}systemctl is-active -- {}", word(name)), unit.required);
            }
        }
        Check::Host(host) => {
            let show = |text: String| format!("check: {text}");
            if let Some(free) = &host.memory_free {
                sheet.comment(&show(format!("memory available: at least {free} (free -h)")));
            }
            if let Some(least) = &host.memory_at_least {
                sheet.comment(&show(format!("memory in all: at least {least} (free -h)")));
            }
            if let Some(cpus) = host.cpus_at_least {
                asked(sheet, &format!("[ \"$(nproc)\" -ge {cpus} ]"), host.required);
            }
            for disk in &host.disk_free {
                let path = disk.path.to_string_lossy();
                sheet.comment(&show(format!("room on {path}: at least {} (df -h)", disk.at_least)));
                sheet.command(&format!("df -h -- {}", word(&path)));
            }
        }
        Check::Command(command) => {
            asked(
                sheet,
                &super::command(&command.argv, command.user.as_deref(), command.cwd.as_deref()),
                command.required,
            );
        }
        Check::Pm2(pm2) => {
            let least = pm2.online_at_least.map_or(String::new(), |least| format!(", at least {least} online"));
            sheet.comment(&format!("check: pm2 {} {}{least}", pm2.pm2, pm2.apps.join(" ")));
        }
    }
}

/// A command whose failure stops the sheet only where the runbook says so.
fn asked(sheet: &mut Sheet<'_>, line: &str, required: bool) {
    if required {
        sheet.command(line);
    } else {
        sheet.command(&format!("{{ {line}; }} || echo 'not required: go on'"));
    }
}

fn redis_check(sheet: &mut Sheet<'_>, check: &RedisCheck) {
    let runbook = sheet.runbook;
    let all: Vec<(RedisAt, Option<Role>, bool)> = match &check.target {
        RedisTarget::Instances(selector) => runbook
            .inventory
            .select(selector)
            .into_iter()
            .filter(|one| one.kind == RedisKind::Redis)
            .map(|one| (one.at(), check.role.or(Some(one.role)), one.required && check.required))
            .collect(),
        RedisTarget::Address(to) => vec![(to.at(), check.role, check.required)],
    };
    for (at, role, required) in all {
        let cli = format!("{} 2>> \"$keep\"/redis.said", redis::cli(&at));
        asked(sheet, &format!("[ \"$({cli} PING </dev/null)\" = PONG ]"), required);
        match role {
            Some(Role::Replica) if check.link == Some(Link::Down) => {}
            Some(role) if required => redis::role(sheet, &cli, role),
            _ => {}
        }
    }
}

fn http_check(sheet: &mut Sheet<'_>, check: &HttpCheck) {
    for (path, comparison) in &check.json {
        sheet.comment(&format!("check: {path} {}", comparison_text(comparison)));
    }
    let headers: Vec<String> = check.headers.iter().map(|(name, value)| header(name, value)).collect();
    let feed = if headers.is_empty() { String::new() } else { format!("{{ {}; }} | ", headers.join("; ")) };
    let config = if headers.is_empty() { "" } else { " --config -" };
    // The authority of the check alone is believed, as by the check itself.
    let ca = check.tls.as_ref().and_then(|tls| tls.ca.as_ref());
    let ca = ca.map_or(String::new(), |ca| format!(" --cacert {}", word(&ca.to_string_lossy())));
    let curl = format!("{feed}curl -sSg --max-time 10{ca}{config}");
    asked(
        sheet,
        &format!("[ \"$({curl} -o /dev/null -w '%{{http_code}}' -- {})\" = {} ]", word(&check.url), check.status),
        check.required,
    );
    if !check.json.is_empty() {
        asked(sheet, &format!("{curl} -- {} | shown; echo", word(&check.url)), false);
    }
}

/// A line of curl's configuration, printed by a builtin: no secret stands on a command line.
fn header(name: &str, value: &HeaderValue) -> String {
    let secret = |place: String| format!("printf 'header = \"%s: %s\"\\n' {} \"{place}\"", word(name));
    match value {
        HeaderValue::Text(text) => format!("printf 'header = \"%s: %s\"\\n' {} {}", word(name), word(text)),
        HeaderValue::Secret(SecretRef::File(path)) => secret(format!("$(cat -- {})", word(&path.to_string_lossy()))),
        HeaderValue::Secret(SecretRef::Credential(name)) => {
            secret(format!("$(cat -- \"${{CREDENTIALS_DIRECTORY:?}}\"/{})", word(name)))
        }
        HeaderValue::Secret(SecretRef::Env(name)) => secret(format!("$(printenv {})", word(name))),
    }
}

fn comparison_text(one: &crate::action::check::Comparison) -> String {
    use crate::action::check::Comparison as C;
    match one {
        C::Eq(value) => format!("is {value}"),
        C::Ne(value) => format!("is not {value}"),
        C::Lt(n) => format!("is below {n}"),
        C::Le(n) => format!("is at most {n}"),
        C::Gt(n) => format!("is above {n}"),
        C::Ge(n) => format!("is at least {n}"),
        C::Contains(value) => format!("contains {value}"),
    }
}

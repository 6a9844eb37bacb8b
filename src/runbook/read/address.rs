//! Addresses and unit names: what can be refused without asking anybody.
use super::item::{Item, shown};
use crate::runbook::diagnostic::Findings;
use crate::runbook::{brace, codes};

/// The suffixes of systemd.unit(5) that make sense in a maintenance runbook.
const SUFFIXES: [&str; 9] =
    [".service", ".socket", ".target", ".timer", ".mount", ".automount", ".path", ".slice", ".scope"];

/// Parts of a query that carry secrets by their name.
const SECRET_PARAMETERS: [&str; 7] = ["pass=", "password=", "passwd=", "token=", "secret=", "key=", "auth="];

/// The address of a server that speaks the Redis protocol.
pub(super) fn redis(item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let url = item.text(out)?;
    let schemes = ["redis://", "rediss://", "redis+unix://", "unix://"];
    let good = |rest: &str, scheme: &&str| {
        if scheme.ends_with("unix://") { rest.starts_with('/') } else { host_of(rest) }
    };
    checked(url, item, &schemes, good, "`redis://127.0.0.1:6379` or `redis+unix:///run/redis.sock`", out)
}

/// The address of an HTTP endpoint.
pub(super) fn http(item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let url = item.text(out)?;
    checked(url, item, &["http://", "https://"], |rest, _| host_of(rest), "`http://127.0.0.1:3005/health`", out)
}

/// `host:port`.
pub(super) fn tcp(item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let addr = item.text(out)?;
    let good = addr.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') == host.contains(':');
        !host.is_empty()
            && bracketed
            && port.parse::<u16>().is_ok_and(|port| port > 0)
            && !addr.contains(char::is_whitespace)
    });
    if !good {
        let found = item.error(codes::ADDRESS, format!("{} cannot be `{}`", item.what, shown(&addr)), out);
        found.label("not `host:port`").help("write it like `\"127.0.0.1:5432\"` or `\"[::1]:5432\"`");
    }
    good.then_some(addr)
}

fn checked(
    url: String,
    item: &Item<'_>,
    schemes: &[&'static str],
    good: impl Fn(&str, &&'static str) -> bool,
    example: &str,
    out: &mut Findings<'_>,
) -> Option<String> {
    let scheme = schemes.iter().find(|scheme| url.starts_with(**scheme));
    let rest = scheme.map(|scheme| &url[scheme.len()..]).unwrap_or_default();
    // Also behind a scheme that is not known: a slip there must not show the password.
    let after = url.split_once("://").map_or(url.as_str(), |(_, after)| after);
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    // `pass=` is how redis+unix addresses carry one.
    let lower = url.to_ascii_lowercase();
    // A slash in a password ends the authority, but a name with a colon and a later @ are still user and password.
    let password = after
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split(['/', '?']).next().unwrap_or_default().contains(':') && !host_of(after));
    if authority.contains('@') || password || SECRET_PARAMETERS.iter().any(|name| lower.contains(name)) {
        let found = item.error(codes::PLAIN_SECRET, format!("{} carries a user or a secret", item.what), out);
        found
            .label("shown in plans, logs and reports")
            .help("write `user: ...` and `password: { file: ... }` beside it");
        return None;
    }
    if scheme.is_some_and(|scheme| good(rest, scheme)) && !url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some(url);
    }
    let found = item.error(codes::ADDRESS, format!("{} cannot be `{}`", item.what, shown(&url)), out);
    found.label("cannot be read").help(format!("write it like {example}"));
    None
}

/// Whether what follows `scheme://` begins with a host, and with a port that is one.
fn host_of(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// One full unit name.
pub(super) fn unit(item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let mut found = units(item, out);
    if found.len() > 1 {
        item.error(codes::UNIT_NAME, format!("{} must be one unit", item.what), out).label("expands to several");
    }
    if found.len() == 1 { found.pop() } else { None }
}

/// Unit names with braces expanded.
pub(super) fn units(item: &Item<'_>, out: &mut Findings<'_>) -> Vec<String> {
    let Some(text) = item.text(out) else { return Vec::new() };
    let names = match brace::expand(&text) {
        Ok(names) => names,
        Err(why) => {
            item.error(codes::UNIT_NAME, format!("`{}` has {why}", shown(&text)), out).label("cannot be expanded");
            return Vec::new();
        }
    };
    if !out.room_for_units(names.len()) {
        let message = "more than 20,000 units in one runbook".to_owned();
        item.error(codes::UNIT_NAME, message, out)
            .label("from here on")
            .help("name the units that the window is about");
        return Vec::new();
    }
    if let Some(bad) = names.iter().find(|name| !is_unit(name)) {
        let suffixed = SUFFIXES.iter().any(|suffix| bad.ends_with(suffix));
        let span = item.span();
        let written = out.source.slice(&span).to_owned();
        let found = item.error(codes::UNIT_NAME, format!("`{}` is not the full name of a unit", shown(bad)), out);
        if !suffixed && is_unit(&format!("{bad}.service")) && written == text {
            found.label("the suffix is missing").patch("add it", span.end..span.end, ".service");
        } else {
            found.label("not a unit name").help("write it like `redis-server@bull01.service`");
        }
        return Vec::new();
    }
    if let Some(bare) = names.iter().find(|name| name.contains("@.")) {
        let message = format!("`{}` is a template, not a unit", shown(bare));
        let found = item.error(codes::UNIT_NAME, message, out).label("no instance between `@` and `.`");
        found.help("systemd starts only instances of it, such as `redis-server@bull01.service`; braces list several");
        return Vec::new();
    }
    names
}

/// Whether systemd would take it for a unit name (systemd.unit(5): at most 255 of these characters, a known suffix).
fn is_unit(name: &str) -> bool {
    let stem = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    name.len() <= 255 && stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(inside))
}

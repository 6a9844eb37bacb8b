//! Where an instance listens and how to greet it, as written in a runbook. Holds no secret, only where one is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::host::foreign::named;
use crate::host::secret::SecretRef;
use crate::host::tls::Tls;

/// One instance that speaks the Redis protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(deny_unknown_fields)]
pub struct RedisAt {
    /// `redis://HOST:PORT`, `rediss://HOST:PORT` (TLS) or `unix:///PATH`; no user, password or database in it.
    pub url: String,
    /// The ACL user (Redis 6 and later); absent means the default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the password is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// What answers there.
    #[serde(default)]
    pub kind: RedisKind,
    /// Whom to trust at a `rediss://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// What is expected to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "lowercase")]
pub enum RedisKind {
    /// Redis, Redis Stack, Valkey: everything is asked.
    #[default]
    Redis,
    /// Tile38: speaks the protocol, but has its own INFO and AOFSHRINK, so only its door and role are judged.
    Tile38,
}

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddr {
    /// TCP: host name or address without brackets, and port.
    Tcp(String, u16),
    /// The same, with TLS over it.
    Tls(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl RedisAddr {
    /// Whether the server must be on this host, so that its pid and paths are ours to read.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(host, _) | Self::Tls(host, _) => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// What is wrong with an address as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisAtError {
    /// User or password inside the URL would end up in plans, journals and logs.
    #[error("no user or password inside a redis url; write user: and password: {{ file: PATH }} beside it")]
    Userinfo,
    /// What TLS is to trust stands beside an address that does not speak it: never taken for an encrypted one.
    #[error("redis url {0}: tls: belongs to rediss://; write rediss://HOST:PORT, or leave tls out")]
    PlainWithTls(String),
    /// Another scheme, or none.
    #[error("redis url {0}: write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")]
    Scheme(String),
    /// Host or port do not parse.
    #[error("redis url {0}: host or port is wrong; write redis://HOST:PORT")]
    HostPort(String),
    /// A path, database number or query after the port.
    #[error("redis url {0}: nothing may follow the port; a whole instance is meant, not one database")]
    Trailing(String),
    /// A socket path that is not absolute.
    #[error("redis url {0}: the socket path must be absolute, as in unix:///run/redis/redis.sock")]
    Relative(String),
    /// A user without a password says less than it seems to.
    #[error("redis user {0} has no password; add password: {{ file: PATH }}")]
    UserAlone(String),
}

impl RedisAt {
    /// Checks what was written and returns the address.
    ///
    /// # Errors
    /// [`RedisAtError`]; a URL that holds a password is refused without repeating it.
    pub fn check(&self) -> Result<RedisAddr, RedisAtError> {
        if let (Some(user), None) = (&self.user, &self.password) {
            return Err(RedisAtError::UserAlone(named(user, 60)));
        }
        self.addr()
    }

    fn addr(&self) -> Result<RedisAddr, RedisAtError> {
        // First of all, because every other error repeats the URL.
        let after_scheme = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let is_socket = self.url.starts_with("unix:") || self.url.starts_with("redis+unix:");
        if !is_socket && after_scheme.contains('@') {
            return Err(RedisAtError::Userinfo);
        }
        let shown = named(&self.url, 120);
        let with_tls = self.url.strip_prefix("rediss://");
        if self.tls.is_some() && with_tls.is_none() {
            return Err(RedisAtError::PlainWithTls(shown));
        }
        if let Some(path) = self.url.strip_prefix("redis+unix://").or_else(|| self.url.strip_prefix("unix://")) {
            return if path.starts_with('/') && path.len() > 1 && !path.contains(['\0', '?']) {
                Ok(RedisAddr::Unix(PathBuf::from(path)))
            } else {
                Err(RedisAtError::Relative(shown))
            };
        }
        let Some(rest) = with_tls.or_else(|| self.url.strip_prefix("redis://")) else {
            return Err(RedisAtError::Scheme(shown));
        };
        let (host, port) = host_and_port(rest.strip_suffix('/').unwrap_or(rest), self.kind, shown)?;
        Ok(if with_tls.is_some() { RedisAddr::Tls(host, port) } else { RedisAddr::Tcp(host, port) })
    }
}

fn host_and_port(rest: &str, kind: RedisKind, shown: String) -> Result<(String, u16), RedisAtError> {
    if rest.contains(['/', '?', '#']) {
        return Err(RedisAtError::Trailing(shown));
    }
    let (host, port) = if let Some(v6) = rest.strip_prefix('[') {
        let Some((host, tail)) = v6.split_once(']') else {
            return Err(RedisAtError::HostPort(shown));
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() || !(tail.is_empty() || tail.starts_with(':')) {
            return Err(RedisAtError::HostPort(shown));
        }
        (host, tail.strip_prefix(':'))
    } else {
        rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
    };
    let usual = match kind {
        RedisKind::Redis => 6379,
        RedisKind::Tile38 => 9851,
    };
    let port = port.map_or(Some(usual), |text| text.parse::<u16>().ok().filter(|port| *port != 0));
    let plain = !host.is_empty()
        && host.len() <= 253
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    match port {
        Some(port) if plain => Ok((host.to_owned(), port)),
        _ => Err(RedisAtError::HostPort(shown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> RedisAt {
        RedisAt { url: url.into(), user: None, password: None, kind: RedisKind::Redis, tls: None }
    }

    #[test]
    fn good_addresses() {
        for (url, wanted) in [
            ("redis://127.0.0.1:6379", RedisAddr::Tcp("127.0.0.1".into(), 6379)),
            ("redis://db-1.internal:6377/", RedisAddr::Tcp("db-1.internal".into(), 6377)),
            ("redis://localhost", RedisAddr::Tcp("localhost".into(), 6379)),
            ("rediss://db-1.internal:6390", RedisAddr::Tls("db-1.internal".into(), 6390)),
            ("redis+unix:///run/redis/b.sock", RedisAddr::Unix("/run/redis/b.sock".into())),
            ("redis://[::1]:7000", RedisAddr::Tcp("::1".into(), 7000)),
            ("unix:///run/redis/a@b.sock", RedisAddr::Unix("/run/redis/a@b.sock".into())),
        ] {
            assert_eq!(at(url).check(), Ok(wanted), "{url}");
        }
        assert!(at("redis://127.1.2.3:1").check().unwrap().is_local());
        assert!(!at("redis://10.0.0.1:1").check().unwrap().is_local());
    }

    #[test]
    fn bad_addresses_say_what_to_write_and_never_repeat_a_password() {
        for (url, wanted) in [
            ("redis://:hunter2@h:1", "no user or password"),
            ("hunter2@h:1", "no user or password"),
            ("rediss://h:1/2", "nothing may follow"),
            ("http://h:1", "write redis://"),
            ("redis://h:0", "host or port"),
            ("redis://h:x", "host or port"),
            ("redis://", "host or port"),
            ("redis://::1:6379", "host or port"),
            ("redis://[::1", "host or port"),
            ("redis://h:1/2", "nothing may follow"),
            ("unix://run/x", "absolute"),
        ] {
            let error = at(url).check().unwrap_err().to_string();
            assert!(error.contains(wanted) && !error.contains("hunter2"), "{url}: {error}");
        }
        let plain = RedisAt { tls: Some(Tls::default()), ..at("redis://h:1") };
        assert!(plain.check().unwrap_err().to_string().contains("rediss://"));
        let alone = RedisAt { user: Some("ops".into()), ..at("redis://h:1") };
        assert!(alone.check().unwrap_err().to_string().contains("has no password"));
    }

    #[test]
    fn as_written() {
        let at: RedisAt =
            serde_json::from_str(r#"{"url":"redis://h:1","password":{"file":"/p"},"kind":"tile38"}"#).unwrap();
        assert_eq!(at.kind, RedisKind::Tile38);
        assert!(serde_json::from_str::<RedisAt>(r#"{"url":"redis://h:1","pasword":1}"#).is_err());
    }
}

//! Which variables of an app are secrets: by their name, by a password inside an address, or by looking random.

use serde_json::Value;

use super::{SHORTEST, learn};

/// Parts of names that say so.
const TELLING: [&str; 19] = [
    "PASS", "PWD", "SECRET", "TOKEN", "KEY", "AUTH", "CRED", "PRIVATE", "DSN", "SALT", "COOKIE", "SESSION", "JWT",
    "CERT", "SIGN", "WEBHOOK", "CONN", "LICENSE", "PIN",
];
/// Names that look telling, or whose values look random, and are neither.
const HARMLESS: [&str; 10] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "PWD",
    "OLDPWD",
    "SSH_CONNECTION",
    "SSH_AUTH_SOCK",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "XDG_SESSION_CLASS",
    "DBUS_SESSION_BUS_ADDRESS",
];
/// A longer value is no single secret (a bundle of certificates is learnt line by line).
const LONGEST: usize = 16 << 10;

/// Learns what looks like a secret in the environment of one app, an entry of PM2's list (`pm2_env.env`, and the copies of
/// it that PM2 lays beside). Values that an app shows as its name or place are none.
pub fn learn_app(entry: &Value) {
    let Some(app) = entry.get("pm2_env").and_then(Value::as_object) else { return };
    let shown = |value: &str| {
        ["name", "namespace", "pm_cwd", "pm_exec_path", "exec_interpreter", "username", "version", "status"]
            .iter()
            .any(|key| app.get(*key).and_then(Value::as_str) == Some(value))
    };
    let inner = app.get("env").and_then(Value::as_object);
    // PM2 writes its own fields in lower case, and copies the variables beside them.
    let copies = app.iter().filter(|(name, _)| !name.bytes().any(|byte| byte.is_ascii_lowercase()));
    for (name, value) in inner.into_iter().flatten().chain(copies) {
        if let Some(value) = value.as_str().filter(|value| value.len() <= LONGEST && !shown(value)) {
            learn_variable(name, value);
        }
    }
}

fn learn_variable(name: &str, value: &str) {
    if let Some(password) = password_in(value) {
        learn(password);
    }
    let name = name.to_ascii_uppercase();
    if HARMLESS.contains(&name.as_str()) || value.len() < SHORTEST {
        return;
    }
    let number = value.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@:".contains(&byte);
    let path =
        value.starts_with('/') && value.bytes().filter(|byte| *byte == b'/').count() > 1 && value.bytes().all(plain);
    let place = path && !random(value) && !["PASS", "SECRET", "TOKEN"].iter().any(|part| name.contains(part));
    if (TELLING.iter().any(|part| name.contains(part)) && !place && !(number && value.len() < 9)) || random(value) {
        learn(value);
    }
}

/// `scheme://user:PASSWORD@host`.
fn password_in(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// One long word of mixed characters: a key without a telling name.
fn random(value: &str) -> bool {
    let word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte));
    let count = |of: &dyn Fn(&u8) -> bool| value.bytes().filter(|byte| of(byte)).count();
    let (upper, lower, digits) =
        (count(&u8::is_ascii_uppercase), count(&u8::is_ascii_lowercase), count(&u8::is_ascii_digit));
    let hex = value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) && digits > 3;
    word && (hex || (value.len() >= 20 && upper > 2 && lower > 2 && digits > 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_and_random_words_are_seen() {
        assert_eq!(password_in("postgres://app:s3cr/et@db"), None, "a slash ends the authority");
        assert_eq!(password_in("postgres://app:s3cret@db:5432/x?y=a@b"), Some("s3cret"));
        assert_eq!(password_in("https://example.org/@x:y"), None);
        assert!(random("AKIAIOSFODNN7exampleKEY12"));
        assert!(random("d41d8cd98f00b204e9800998ecf8427e"));
        for plain in ["production", "redis-bull00.internal:6377", "/var/www/app/current/index.js", "service-07-worker"]
        {
            assert!(!random(plain), "{plain}");
        }
    }
}

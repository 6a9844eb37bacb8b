//! Which variables of an app are secrets: by their name, by a password inside an address, or by looking random.

use std::collections::HashSet;

use serde_json::Value;

use super::{SHORTEST, is_known, learn_found};

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

/// Where an app shows who it is: everybody who may list processes reads these.
const SHOWN: [&str; 10] = [
    "name",
    "namespace",
    "pm_cwd",
    "pm_exec_path",
    "exec_interpreter",
    "pm_out_log_path",
    "pm_err_log_path",
    "username",
    "version",
    "status",
];

/// Values of one list that are looked at: some thousand. A list with more new ones is believed again when it comes next.
const MOST_VALUES: usize = 8_192;
/// Their bytes, and the bytes of names and places, that are remembered while a list goes by.
const MOST_BYTES: usize = 2 << 20;
/// Bytes of names and places that values are compared with, for one list.
const COMPARED: usize = 256 << 20;

/// Learns what looks like a secret in the environments of the apps of one list (`pm2_env.env`, and the copies of it that PM2
/// lays beside). A value that is a part of any app's name or place is none: it is public, and hiding it there would take
/// the app's identity away from the journal, and with it the app from the restore.
///
/// Entries are taken in one by one and none is kept; what is kept has bounds, since others write the list.
#[derive(Default)]
pub struct Learner {
    found: HashSet<Box<str>>,
    found_bytes: usize,
    shown: HashSet<Box<str>>,
    shown_bytes: usize,
}

impl Learner {
    /// Takes one entry of a list in.
    pub fn see(&mut self, entry: &Value) {
        let Some(app) = entry.get("pm2_env").and_then(Value::as_object) else { return };
        for shown in SHOWN.iter().filter_map(|key| app.get(*key)?.as_str()) {
            if self.shown_bytes + shown.len() <= MOST_BYTES && !self.shown.contains(shown) {
                self.shown_bytes += shown.len();
                self.shown.insert(shown.into());
            }
        }
        let inner = app.get("env").and_then(Value::as_object);
        // PM2 writes its own fields in lower case, and copies the variables beside them.
        let same = |name: &String, value| inner.is_some_and(|inner| inner.get(name) == Some(value));
        let copies = app.iter().filter(|(name, _)| !name.bytes().any(|byte| byte.is_ascii_lowercase()));
        let copies = copies.filter(|(name, value)| !same(name, *value));
        for (name, value) in inner.into_iter().flatten().chain(copies) {
            let Some(value) = value.as_str().filter(|value| value.len() <= LONGEST) else { continue };
            // Lists come once a second: what is known is not looked at again.
            for secret in secrets_in(name, value).into_iter().flatten().filter(|secret| !is_known(secret)) {
                let room = self.found.len() < MOST_VALUES && self.found_bytes + secret.len() <= MOST_BYTES;
                if room && self.found.insert(secret.into()) {
                    self.found_bytes += secret.len();
                }
            }
        }
    }

    /// Learns what was found, once every name and place has been seen.
    pub fn learn(self) {
        if self.found.is_empty() {
            return;
        }
        let mut left = COMPARED;
        let begun = Begun::of(self.shown.iter().map(|shown| &**shown));
        for secret in &self.found {
            let mut public = begun.may_hold(secret);
            if public {
                public = left >= self.shown_bytes && self.shown.iter().any(|shown| shown.contains(&**secret));
                left = left.saturating_sub(self.shown_bytes);
            }
            if !public {
                learn_found(secret);
            }
        }
    }
}

/// The beginnings that a part of some texts can have: nearly every value is none of them, and is compared with nothing.
struct Begun(Vec<u64>);

impl Begun {
    const BITS: usize = 1 << 21;

    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut bits = vec![0; Self::BITS / 64];
        for window in texts.flat_map(|text| text.as_bytes().windows(SHORTEST)) {
            let at = Self::place(window);
            bits[at / 64] |= 1 << (at % 64);
        }
        Self(bits)
    }

    fn may_hold(&self, part: &str) -> bool {
        let Some(start) = part.as_bytes().first_chunk::<SHORTEST>() else { return true };
        let at = Self::place(start);
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    /// Fowler-Noll-Vo, 64 bits.
    fn place(bytes: &[u8]) -> usize {
        let hash = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        usize::try_from((hash ^ (hash >> 32)) % (Self::BITS as u64)).unwrap_or(0)
    }
}

/// What is secret about a variable: a password inside of an address, and the whole value.
fn secrets_in<'v>(name: &str, value: &'v str) -> [Option<&'v str>; 2] {
    let password = password_in(value);
    if value.len() < SHORTEST {
        return [password, None];
    }
    let name = name.to_ascii_uppercase();
    if HARMLESS.contains(&name.as_str()) {
        return [password, None];
    }
    let number = value.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@:".contains(&byte);
    let path =
        value.starts_with('/') && value.bytes().filter(|byte| *byte == b'/').count() > 1 && value.bytes().all(plain);
    let place = path && !random(value) && !["PASS", "SECRET", "TOKEN"].iter().any(|part| name.contains(part));
    let telling = TELLING.iter().any(|part| name.contains(part)) && !place && !(number && value.len() < 9);
    [password, Some(value).filter(|_| telling || random(value))]
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

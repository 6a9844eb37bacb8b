//! Which variables of an app are secrets: by their name, by a password inside an address, or by looking random.

use std::collections::BTreeSet;

use serde_json::Value;

use super::by_key::in_arguments;
use super::common::is_common;
use super::known::Teller;
use super::{SHORTEST, is_known, learn_all};

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
/// Longer values are not looked at; of those that are longer than a secret, the lines are learnt (a bundle of certificates).
const LONGEST: usize = 64 << 10;

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

/// Where an app keeps the words that it is started with.
const ARGUMENTS: [&str; 3] = ["args", "node_args", "interpreter_args"];

/// Values of one list that are looked at: some thousand. A list with more new ones is believed again when it comes next.
const MOST_VALUES: usize = 8_192;
/// Their bytes, and the bytes of names and places, that are remembered while a list goes by.
const MOST_BYTES: usize = 2 << 20;

/// Learns what looks like a secret in the environments of the apps of one list (`pm2_env.env`, and the copies of it that PM2
/// lays beside), and what stands behind a telling key in their arguments. A value that is any app's name, or a part of its
/// place, is none: every list of processes shows it, and what services say about the app would become unreadable.
///
/// Entries are taken in one by one and none is kept; what is kept has bounds, since others write the list.
#[derive(Debug, Default)]
pub struct Learner {
    found: Bounded,
    public: Bounded,
}

/// Texts, as many as there is room for.
#[derive(Debug, Default)]
struct Bounded {
    texts: BTreeSet<Box<str>>,
    bytes: usize,
}

impl Bounded {
    fn add(&mut self, text: &str) {
        let room = self.texts.len() < MOST_VALUES && self.bytes + text.len() <= MOST_BYTES;
        if room && self.texts.insert(text.into()) {
            self.bytes += text.len();
        }
    }
}

impl Learner {
    /// Takes one entry of a list in.
    pub fn see(&mut self, entry: &Value) {
        let Some(app) = entry.get("pm2_env").and_then(Value::as_object) else { return };
        let texts = SHOWN.iter().filter_map(|key| app.get(*key)?.as_str());
        texts.flat_map(parts).filter(|part| part.len() >= SHORTEST).for_each(|part| self.public.add(part));
        let inner = app.get("env").and_then(Value::as_object);
        // PM2 writes its own fields in lower case, and copies the variables beside them.
        let same = |name: &String, value| inner.is_some_and(|inner| inner.get(name) == Some(value));
        let copies = app.iter().filter(|(name, _)| !name.bytes().any(|byte| byte.is_ascii_lowercase()));
        let copies = copies.filter(|(name, value)| !same(name, *value));
        for (name, value) in inner.into_iter().flatten().chain(copies) {
            let Some(value) = value.as_str().filter(|value| value.len() <= LONGEST) else { continue };
            self.find(secrets_in(name, value).into_iter().flatten());
        }
        let given = ARGUMENTS.iter().filter_map(|key| app.get(*key)).flat_map(arguments).collect::<Vec<_>>();
        self.find(in_arguments(&given).into_iter().filter(|secret| counts(secret)));
    }

    /// Lists come once a second: what is known is not looked at again.
    fn find<'v>(&mut self, secrets: impl Iterator<Item = &'v str>) {
        secrets.filter(|secret| !is_known(secret)).for_each(|secret| self.found.add(secret));
    }

    /// Learns what was found among the apps of this user, once every name and place has been seen.
    pub fn learn(self, user: u32) {
        let Self { found, public } = self;
        let secret = found.texts.iter().filter(|secret| !public.texts.contains(*secret)).map(|secret| &**secret);
        learn_all(Teller::User(user), secret);
    }
}

/// A public text with the parts of the path that it may be.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('/');
    std::iter::once(text)
        .chain(parts)
        .flat_map(|part| [Some(part), part.rsplit_once('.').map(|(stem, _)| stem)])
        .flatten()
}

/// Whether a value of an app can be told from other text.
fn counts(value: &str) -> bool {
    value.len() >= SHORTEST && value.len() <= LONGEST && !is_common(value)
}

/// A list of words, or a line of them.
fn arguments(value: &Value) -> Vec<&str> {
    match value {
        Value::String(line) => line.split_whitespace().collect(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What is secret about a variable: a password inside of an address, and the whole value. What is short or a common word is
/// hidden only where a key stands beside it: nobody could tell it from other text.
fn secrets_in<'v>(name: &str, value: &'v str) -> [Option<&'v str>; 2] {
    let password = password_in(value).filter(|password| counts(password));
    if !counts(value) {
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

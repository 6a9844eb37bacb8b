//! The text of INFO as exact key and value pairs.
//!
//! Exact is the point: looking for the text `loading:0` finds `async_loading:0` and takes a loading server for a ready one.

use std::collections::BTreeMap;

/// INFO of a busy server with hundreds of databases stays far below both bounds.
const MAX_FIELDS: usize = 4096;
const MAX_BYTES: usize = 1 << 20;

/// Parsed INFO. Values are kept as sent; whoever puts one into a fact tames it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Parses `key:value` lines; section headings, empty and odd lines are passed over, the first of two equal keys counts.
    /// Reads at most 1 MiB and 4096 fields.
    #[must_use]
    pub(super) fn parse(text: &str) -> Self {
        let mut fields = BTreeMap::new();
        let mut end = text.len().min(MAX_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        for line in text[..end].lines().take(MAX_FIELDS) {
            if line.starts_with('#') {
                continue;
            }
            if let Some((key, value)) = line.split_once(':') {
                fields.entry(key.to_owned()).or_insert_with(|| value.trim_end().to_owned());
            }
        }
        Self(fields)
    }

    /// The value of exactly this field.
    #[must_use]
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A count, size or number of seconds; absent, negative (Redis writes `-1` for *never*) or odd is `None`.
    #[must_use]
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    /// A flag: `0` or `1`, anything else is `None`.
    #[must_use]
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.text(key)? {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    /// A status: `ok` is true, any other text false.
    #[must_use]
    pub(super) fn is_ok(&self, key: &str) -> Option<bool> {
        Some(self.text(key)? == "ok")
    }

    /// A decimal number.
    #[must_use]
    pub(super) fn decimal(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// Keys per database, from `dbN:keys=K,expires=...`. An empty database is not listed.
    #[must_use]
    pub(super) fn keys(&self) -> BTreeMap<u32, u64> {
        self.0
            .iter()
            .filter_map(|(key, value)| {
                let db = key.strip_prefix("db")?.parse().ok()?;
                let count = value.split(',').find_map(|part| part.strip_prefix("keys="))?.parse().ok()?;
                Some((db, count))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_exact() {
        let info = Fields::parse(
            "# Persistence\r\nasync_loading:0\r\nloading:1\r\nloading:0\r\nx\r\n:y\r\nneg:-1\r\nodd:2\r\n",
        );
        assert_eq!(info.flag("loading"), Some(true), "the first of two");
        assert_eq!(info.flag("async_loading"), Some(false));
        assert_eq!((info.number("neg"), info.flag("odd"), info.flag("x")), (None, None, None));
        assert_eq!(info.flag("oading"), None);
    }

    #[test]
    fn values_may_hold_colons() {
        assert_eq!(Fields::parse("master_host:::1\nexecutable:/a:b\n").text("master_host"), Some("::1"));
    }

    #[test]
    fn keyspace() {
        let info =
            Fields::parse("db0:keys=81234,expires=3,avg_ttl=0\r\ndb12:keys=1,expires=0\r\ndbx:keys=1\r\ndb3:odd\r\n");
        assert_eq!(info.keys(), BTreeMap::from([(0, 81234), (12, 1)]));
    }

    #[test]
    fn endless_text_is_cut() {
        assert_eq!(Fields::parse(&"é:1\n".repeat(2_000_000)).0.len(), 1);
        let many: String = (0..10_000).map(|n| format!("k{n}:1\n")).collect();
        assert_eq!(Fields::parse(&many).0.len(), MAX_FIELDS);
    }
}

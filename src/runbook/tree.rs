//! YAML into a tree that knows where everything stands.
//!
//! Typed deserialization stops at the first mistake; a tree is read to the end, so that one look shows them all. It asks
//! for no types, so that whatever stops the parser is the syntax. Equal keys are passed through, and reported by whoever
//! opens the map.
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Options, Spanned};

use super::diagnostic::Findings;
use super::source::{Source, Span};
use super::syntax;

/// One value of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it stands: the whole of a scalar, the beginning of a list or a map. For an alias, the alias.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; nothing else is.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// All other scalars, and everything in quotes.
    Text(String),
    /// `[a, b]` or lines with dashes.
    List(Vec<Node>),
    /// Entries in the order written; equal keys are still there.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The scalar as written, whatever its type.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Number(text) | Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The value of the first entry with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| k.scalar() == Some(key)).map(|(_, v)| v)
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[(Node, Node)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The elements of a list; none for anything else.
    pub(crate) fn elements(&self) -> &[Node] {
        if let Value::List(elements) = &self.value { elements } else { &[] }
    }

    /// Where to put the caret when the whole node is meant: on the first key of a block, else on the node.
    pub(crate) fn caret(&self) -> &Span {
        match &self.value {
            Value::Map(entries) => entries.first().map_or(&self.span, |(key, _)| &key.span),
            Value::List(elements) => elements.first().map_or(&self.span, Self::caret),
            _ => &self.span,
        }
    }

    /// The kind, for "expected a list, found …".
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The path of the innermost entry that begins at or last before `offset`: `phases[1].steps[0].within`.
    pub(crate) fn path_at(&self, offset: usize) -> Option<String> {
        let (mut path, mut node) = (String::new(), self);
        loop {
            let starts = |span: &Span| span.start <= offset;
            match &node.value {
                Value::Map(entries) => match entries.iter().rfind(|(key, _)| starts(&key.span)) {
                    Some((key, value)) => {
                        let dot = if path.is_empty() { "" } else { "." };
                        path.push_str(&format!("{dot}{}", crate::host::foreign::named(key.scalar()?, 40)));
                        node = value;
                    }
                    None => break,
                },
                Value::List(elements) => match elements.iter().rposition(|one| starts(one.caret())) {
                    Some(at) => {
                        path.push_str(&format!("[{at}]"));
                        node = &elements[at];
                    }
                    None => break,
                },
                _ => break,
            }
        }
        (!path.is_empty()).then_some(path)
    }
}

/// Parses the text; `None` when there is no tree, and then there is a finding that says why.
pub(crate) fn parse(out: &mut Findings<'_>) -> Option<Node> {
    let source = out.source;
    match serde_yaml::from_str_with_options::<Rough>(source.text, options()) {
        Ok(raw) => Some(settle(raw, source)),
        Err(error) => {
            syntax::explain(&error, out);
            None
        }
    }
}

fn options() -> Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: 250_000, max_events: 600_000, max_depth: 32, max_aliases: 1000, max_anchors: 1000,
            flow_nesting_limit: 32, max_total_scalar_bytes: 4 << 20,
        },
        // What is written has the size of the file as its bound; what aliases repeat has this one.
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 20_000, max_replay_stack_depth: 32 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// What the parser makes of a value when it is asked for no type. A number is where it stands: its writing is read there.
enum Raw {
    Null,
    Bool(bool),
    Number(Place),
    Text(String),
    List(Vec<Rough>),
    Map(Vec<(Rough, Rough)>),
}

/// A value of the parser, and where it was referred to.
struct Rough {
    place: Place,
    raw: Raw,
}

/// A location of the parser in a fifth of its size: of a long file there are a hundred thousand, and they are moved.
#[derive(Clone, Copy, Default)]
struct Place {
    byte: Option<u32>,
    bytes: u32,
    line: u32,
    column: u32,
}

impl Place {
    /// The text has at most [`super::load::MAX_BYTES`], so nothing is cut.
    fn of(location: &Location) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let span = location.span();
        Self {
            byte: span.byte_offset().map(small),
            bytes: span.byte_len().map_or(0, small),
            line: small(location.line()),
            column: small(location.column()),
        }
    }
}

impl<'de> Deserialize<'de> for Rough {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::<Raw>::deserialize(deserializer)?;
        let raw = if matches!(value, Raw::Number(_)) { Raw::Number(Place::of(&defined)) } else { value };
        Ok(Self { place: Place::of(&referenced), raw })
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number(Place::default()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number(Place::default()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number(Place::default()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Raw::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Puts byte spans and the written form of numbers (`1.10`, `0x1F`) into the tree.
fn settle(rough: Rough, source: &Source<'_>) -> Node {
    let span = span_of(rough.place, source);
    let value = match rough.raw {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number(place) => Value::Number(source.slice(&span_of(place, source)).trim().to_owned()),
        Raw::Text(text) => Value::Text(text),
        Raw::List(elements) => Value::List(elements.into_iter().map(|one| settle(one, source)).collect()),
        Raw::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (settle(key, source), settle(value, source))).collect())
        }
    };
    Node { span, value }
}

fn span_of(place: Place, source: &Source<'_>) -> Span {
    let start = place.byte.map(|byte| byte as usize);
    let start = start.unwrap_or_else(|| source.offset(place.line.into(), place.column.into()));
    let start = start.min(source.text.len());
    start..start.saturating_add(place.bytes as usize).min(source.text.len())
}

//! JSON read by the one spelling in which this tool writes it.
//!
//! A reader of any JSON asks of each name which of all names it is. What [`encode`](super::record::encode) wrote has every
//! field where the type declares it, so a name is only compared, and most texts are taken as they stand. Whatever is spelled
//! otherwise (an escape, another order, a blank, a fraction) is no mistake yet: it is left to the reader of any JSON, which
//! takes it or says what is wrong with it. What both can read, they read alike.
use std::fmt;

use memchr::memchr2;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

/// Digits of a number that surely fits 64 bits.
const MOST_DIGITS: usize = 18;
/// How deep values may lie in one another: less than what the reader of any JSON follows.
const MOST_DEPTH: u8 = 64;
const BRACES: [&str; 2] = ["{", "}"];

/// It is not spelled so.
#[derive(Debug)]
pub(super) struct Otherwise;

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("spelled otherwise")
    }
}

impl std::error::Error for Otherwise {}

impl serde::de::Error for Otherwise {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// What is left to read.
pub(super) struct Rest<'de> {
    text: &'de str,
    depth: u8,
}

impl<'de> Rest<'de> {
    /// All of a text. Nothing in a record is below a blank: what would be is escaped.
    pub(super) fn of(json: &'de [u8]) -> Result<Self, Otherwise> {
        let printable = json.iter().fold(true, |all, byte| all & (*byte >= b' '));
        let text = std::str::from_utf8(json).ok().filter(|_| printable).ok_or(Otherwise)?;
        Ok(Self { text, depth: MOST_DEPTH })
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), Otherwise> {
        if self.text.is_empty() { Ok(()) } else { Err(Otherwise) }
    }

    #[inline]
    pub(super) fn skip(&mut self, words: &str) -> Result<(), Otherwise> {
        self.text = self.text.strip_prefix(words).ok_or(Otherwise)?;
        Ok(())
    }

    /// Whether these words come next; then they are skipped.
    #[inline]
    fn skips(&mut self, words: &str) -> bool {
        self.skip(words).is_ok()
    }

    /// A text up to its closing quote.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'de str, Otherwise> {
        self.skip("\"")?;
        let end = memchr2(b'"', b'\\', self.text.as_bytes()).ok_or(Otherwise)?;
        let (string, rest) = self.text.split_at(end);
        self.text = rest.strip_prefix('"').ok_or(Otherwise)?;
        Ok(string)
    }

    /// A number without a sign.
    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Otherwise> {
        let (mut number, mut digits) = (0, 0);
        let values = self.text.bytes().map(|byte| byte.wrapping_sub(b'0')).take_while(|value| *value < 10);
        for value in values.take(MOST_DIGITS + 1) {
            (number, digits) = (number * 10 + u64::from(value), digits + 1);
        }
        let leading_zero = digits > 1 && self.text.starts_with('0');
        let rest = &self.text[digits..];
        if digits == 0 || digits > MOST_DIGITS || leading_zero || rest.starts_with(['.', 'e', 'E']) {
            return Err(Otherwise);
        }
        self.text = rest;
        Ok(number)
    }

    /// Reads what lies between two brackets. What was found is handed on where it lies: moving it costs more than reading it.
    fn between<T>(
        &mut self,
        brackets: [&str; 2],
        read: impl FnOnce(&mut Self) -> Result<T, Otherwise>,
    ) -> Result<T, Otherwise> {
        self.skip(brackets[0])?;
        self.depth = self.depth.checked_sub(1).ok_or(Otherwise)?;
        let found = read(self);
        self.depth += 1;
        if self.skips(brackets[1]) { found } else { Err(Otherwise) }
    }

    /// The fields of a struct.
    fn fields<V: Visitor<'de>>(&mut self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Otherwise> {
        self.between(BRACES, |rest| visitor.visit_seq(Fields { rest, names: names.iter(), first: true }))
    }
}

impl<'de> Deserializer<'de> for &mut Rest<'de> {
    type Error = Otherwise;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        match self.text.as_bytes().first() {
            Some(b'"') => self.deserialize_str(visitor),
            Some(b'n') => self.skip("null").and_then(|()| visitor.visit_unit()),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'{') => self.between(BRACES, |rest| visitor.visit_map(Many { rest, first: true })),
            _ => self.deserialize_u64(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        let yes = self.skips("true");
        if yes || self.skips("false") { visitor.visit_bool(yes) } else { Err(Otherwise) }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        visitor.visit_borrowed_str(self.string()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        if self.skips("null") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        self.between(["[", "]"], |rest| visitor.visit_seq(Many { rest, first: true }))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Otherwise> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Otherwise> {
        self.fields(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Otherwise> {
        if self.text.starts_with('"') {
            return visitor.visit_enum(StrDeserializer::new(self.string()?));
        }
        self.between(BRACES, |rest| visitor.visit_enum(rest))
    }

    // Smaller numbers are asked for as they are; what does not fit them is left to the other reader, which says so.
    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char string bytes byte_buf unit unit_struct tuple tuple_struct map
        identifier ignored_any
    }
}

/// The fields of a struct, in the order of its type.
struct Fields<'r, 'de> {
    rest: &'r mut Rest<'de>,
    names: std::slice::Iter<'static, &'static str>,
    first: bool,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Otherwise;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Otherwise> {
        let name = self.names.next().ok_or(Otherwise)?;
        if !std::mem::take(&mut self.first) {
            self.rest.skip(",")?;
        }
        self.rest.skip("\"")?;
        self.rest.skip(name)?;
        self.rest.skip("\":")?;
        seed.deserialize(&mut *self.rest).map(Some)
    }
}

/// The elements of a list, or the entries of a map.
struct Many<'r, 'de> {
    rest: &'r mut Rest<'de>,
    first: bool,
}

impl Many<'_, '_> {
    /// Whether another one comes.
    fn another(&mut self) -> bool {
        if std::mem::take(&mut self.first) { !self.rest.text.starts_with([']', '}']) } else { self.rest.skips(",") }
    }
}

impl<'de> SeqAccess<'de> for Many<'_, 'de> {
    type Error = Otherwise;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Otherwise> {
        if self.another() { seed.deserialize(&mut *self.rest).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Many<'_, 'de> {
    type Error = Otherwise;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Otherwise> {
        if !self.another() {
            return Ok(None);
        }
        let key = self.rest.string()?;
        self.rest.skip(":")?;
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Otherwise> {
        seed.deserialize(&mut *self.rest)
    }
}

impl<'de> EnumAccess<'de> for &mut Rest<'de> {
    type Error = Otherwise;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Otherwise> {
        let name = self.string()?;
        self.skip(":")?;
        Ok((seed.deserialize(StrDeserializer::new(name))?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Rest<'de> {
    type Error = Otherwise;

    fn unit_variant(self) -> Result<(), Otherwise> {
        Err(Otherwise)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Otherwise> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Otherwise> {
        Err(Otherwise)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Otherwise> {
        self.fields(names, visitor)
    }
}

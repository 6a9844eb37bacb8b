//! Answers that nobody expects, in words: what kind of thing came, and the beginning of it where it is text.
use redis::Value;

use crate::host::foreign::{Shown, tame, tame_bytes};
use crate::host::span::count;

/// Characters of an odd answer that are shown.
const LONGEST: usize = 120;

/// What came instead of the answer.
pub(super) fn odd(answer: Option<&Value>) -> Shown {
    let Some(answer) = answer else { return tame("no answer at all", LONGEST) };
    let text = match answer {
        Value::BulkString(bytes) => return tame_bytes(bytes, LONGEST),
        Value::SimpleString(text) => text.clone(),
        Value::ServerError(error) => format!("{} {}", error.code(), error.details().unwrap_or_default()),
        Value::Nil => "nothing".to_owned(),
        Value::Int(number) => format!("the number {number}"),
        Value::Double(number) => format!("the number {number}"),
        Value::Boolean(said) => if *said { "yes" } else { "no" }.to_owned(),
        Value::Okay => "OK".to_owned(),
        Value::Array(parts) | Value::Set(parts) => format!("a list of {}", count(parts.len(), "part")),
        Value::Map(pairs) => format!("a table of {}", count(pairs.len(), "row")),
        _ => "an answer of a kind that is not known here".to_owned(),
    };
    tame(&text, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_answer_is_told_in_words() {
        let list = Value::Array(vec![Value::Int(1), Value::Nil]);
        for (answer, words) in [
            (None, "no answer at all"),
            (Some(Value::Nil), "nothing"),
            (Some(Value::Int(7)), "the number 7"),
            (Some(list), "a list of 2 parts"),
            (Some(Value::Map(vec![(Value::Okay, Value::Okay)])), "a table of 1 row"),
            (Some(Value::BulkString(b"220 mail ready".to_vec())), "220 mail ready"),
        ] {
            assert_eq!(odd(answer.as_ref()).to_string(), words);
        }
    }
}

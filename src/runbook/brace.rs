//! Braces as a shell expands them: `bull{01,02}` and `bull{00..02}`.

/// The most words that one text may become.
const MOST: usize = 256;

/// Expands every brace group; a text without braces is itself.
///
/// # Errors
/// A few words on what is wrong: an unclosed or stray brace, a group of one, nested groups, too many words.
pub(super) fn expand(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = vec![String::new()];
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        let close = after.find('}').ok_or("a `{` without its `}`")?;
        let inner = &after[1..close];
        if before.contains('}') {
            return Err("a `}` without its `{`");
        }
        if inner.contains('{') {
            return Err("braces within braces");
        }
        let choices = choices(inner)?;
        if words.len() * choices.len() > MOST {
            return Err("more than 256 words");
        }
        words =
            words.iter().flat_map(|word| choices.iter().map(move |choice| format!("{word}{before}{choice}"))).collect();
        rest = &after[close + 1..];
    }
    if rest.contains('}') {
        return Err("a `}` without its `{`");
    }
    Ok(words.into_iter().map(|word| word + rest).collect())
}

fn choices(inner: &str) -> Result<Vec<String>, &'static str> {
    if let Some((from, to)) = inner.split_once("..") {
        let width = if from.starts_with('0') || to.starts_with('0') { from.len().max(to.len()) } else { 0 };
        let number = |text: &str| text.parse::<u32>().map_err(|_| "a range that is not `{1..3}`");
        let (from, to) = (number(from)?, number(to)?);
        if from > to || to - from >= MOST as u32 {
            return Err("a range that is empty or too long");
        }
        return Ok((from..=to).map(|n| format!("{n:0width$}")).collect());
    }
    let choices: Vec<String> = inner.split(',').map(|choice| choice.trim().to_owned()).collect();
    if choices.len() < 2 { Err("a `{...}` with less than two choices") } else { Ok(choices) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_ranges_multiply() {
        for (text, words) in [
            ("a.service", vec!["a.service"]),
            ("b@{01,02}.service", vec!["b@01.service", "b@02.service"]),
            ("b{08..10}", vec!["b08", "b09", "b10"]),
            ("{a,b}-{1..2}", vec!["a-1", "a-2", "b-1", "b-2"]),
            ("x{,-r}", vec!["x", "x-r"]),
        ] {
            assert_eq!(expand(text).unwrap(), words, "{text}");
        }
        for bad in
            ["a{", "a}", "a}{b,c}", "{a}", "{a,{b,c}}", "{1..x}", "{3..1}", "{0..255}{0..255}", "{1..4000000000}"]
        {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}

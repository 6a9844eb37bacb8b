//! Laying text out in columns: widths, cuts, wraps, and many names in a few words.

use std::collections::BTreeMap;

use super::out::{Style, Tone};
use crate::host::foreign::named;

/// The longest value that a screen shows. Long enough for a sentence of ours around foreign words, each of which was bounded
/// where it came in: a cut here would fall into the command that cures.
const LONGEST: usize = 4096;

/// A value from outside, harmless and on one line.
#[must_use]
pub fn clean(text: &str) -> String {
    named(text, LONGEST)
}

/// Columns that a text takes; colour codes take none, wide characters two.
#[must_use]
pub fn columns(text: &str) -> usize {
    let mut sum = 0;
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => in_code = true,
            'm' if in_code => in_code = false,
            _ if in_code => {}
            _ => sum += wide(c),
        }
    }
    sum
}

/// Columns of one character (the wide ranges of Unicode's East Asian Width, roughly).
fn wide(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' => 2,
        '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' => 2,
        '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Cuts an uncoloured text to a width; the cut is shown.
#[must_use]
pub fn fit(text: &str, width: usize, style: &Style) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let dots = if style.unicode { "\u{2026}" } else { "..." };
    let room = width.saturating_sub(columns(dots));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += wide(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    let end = out.trim_end().len();
    out.truncate(end);
    out + dots
}

/// The text with blanks behind it up to a width.
#[must_use]
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// The text with blanks in front of it up to a width.
#[must_use]
pub fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Breaks a text at blanks; lines after the first begin with `indent` blanks. Words longer than a line are cut through.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(indent + 8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word;
        loop {
            let blank = usize::from(used > 0 && lines.last().is_some_and(|line| !line.trim().is_empty()));
            if used + blank + columns(word) <= width {
                if let Some(line) = lines.last_mut() {
                    line.push_str(&" ".repeat(blank));
                    line.push_str(word);
                }
                used += blank + columns(word);
                break;
            }
            if lines.last().is_some_and(|line| line.trim().is_empty()) {
                let at = word.char_indices().nth(width - used).map_or(word.len(), |(at, _)| at);
                if let Some(line) = lines.last_mut() {
                    line.push_str(&word[..at]);
                }
                word = &word[at..];
            }
            lines.push(" ".repeat(indent));
            used = indent;
        }
    }
    lines
}

/// Appends wrapped lines; the first begins with `lead`, the others are indented as far.
pub fn paragraph(out: &mut String, lead: &str, text: &str, style: &Style) {
    let indent = columns(lead);
    let lines = wrap(text, style.columns().saturating_sub(indent), 0);
    for (n, line) in lines.iter().enumerate() {
        out.push_str(&if n == 0 { format!("{lead}{line}") } else { format!("{}{line}", " ".repeat(indent)) });
        out.push('\n');
    }
}

/// The same with the first `label` of it painted: a word that says how the paragraph is to be taken.
pub fn labelled(out: &mut String, lead: &str, label: &str, tone: Tone, text: &str, style: &Style) {
    let mut lines = String::new();
    paragraph(&mut lines, lead, text, style);
    out.push_str(&lines.replacen(label, &style.paint(tone, label), 1));
}

/// Many names in a few words: `31 *-worker, 12 org-*, api/[0-7], mailer`, cut with a count when too long.
#[must_use]
pub fn patterns(names: &[&str], width: usize) -> String {
    let groups = families(names);
    let mut out = String::new();
    let mut named = 0;
    for (n, (text, count)) in groups.iter().enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        let more = format!(", +{}", names.len() - named);
        let last = n + 1 == groups.len();
        let room = width.saturating_sub(if last { 0 } else { more.len() });
        if n > 0 && columns(&out) + comma.len() + columns(text) > room {
            out.push_str(&format!(", +{}", names.len() - named));
            return out;
        }
        out.push_str(comma);
        out.push_str(text);
        named += count;
    }
    out
}

/// Names that belong together, the largest families first.
fn families(names: &[&str]) -> Vec<(String, usize)> {
    let mut numbered: BTreeMap<(&str, usize), Vec<&str>> = BTreeMap::new();
    let mut single: Vec<&str> = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        if digits.is_empty() || stem.is_empty() {
            single.push(name);
        } else {
            // `01` and `10` are of one family, `1` and `10` too; `1` and `01` are not.
            let fixed = if digits.starts_with('0') && digits.len() > 1 { digits.len() } else { 0 };
            numbered.entry((stem, fixed)).or_default().push(digits);
        }
    }
    let mut groups: Vec<(String, usize)> = Vec::new();
    for ((stem, _), mut digits) in numbered {
        digits.sort_by_key(|digits| digits.parse::<u64>().unwrap_or(u64::MAX));
        match digits.as_slice() {
            [one] => groups.push((format!("{stem}{one}"), 1)),
            [first, .., last] => {
                let number = |digits: &str| digits.parse::<u64>().unwrap_or(u64::MAX);
                let whole = number(last).checked_sub(number(first)) == Some(digits.len() as u64 - 1);
                let range = if whole { format!("[{first}-{last}]") } else { "[0-9]".to_owned() };
                groups.push((format!("{stem}{range}"), digits.len()));
            }
            [] => {}
        }
    }
    groups.extend(by_affix(&mut single, |name| name.rsplit_once('-').map(|(_, end)| format!("*-{end}"))));
    groups.extend(by_affix(&mut single, |name| name.split_once('-').map(|(start, _)| format!("{start}-*"))));
    groups.extend(single.iter().map(|name| ((*name).to_owned(), 1)));
    groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    groups
}

/// Takes out of `names` those of which at least three share what `affix` makes of them.
fn by_affix(names: &mut Vec<&str>, affix: impl Fn(&str) -> Option<String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names.iter() {
        if let Some(text) = affix(name) {
            *counts.entry(text).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count >= 3);
    names.retain(|name| !affix(name).is_some_and(|text| counts.contains_key(&text)));
    counts.into_iter().map(|(text, count)| (format!("{count} {text}"), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_know_colours_and_wide_characters() {
        assert_eq!(columns("\u{1b}[1mab\u{1b}[0m"), 2);
        assert_eq!(columns("\u{6f22}e\u{301}"), 3);
        assert_eq!(fit("abcdefgh", 6, &Style::PLAIN), "abc...");
        assert_eq!(fit("abcdefgh", 6, &Style { unicode: true, ..Style::PLAIN }), "abcde\u{2026}");
        assert_eq!(fit("abc", 3, &Style::PLAIN), "abc");
    }

    #[test]
    fn wraps_at_blanks_and_through_long_words() {
        assert_eq!(wrap("one two three", 8, 0), ["one two", "three"]);
        assert_eq!(wrap("aaaaaaaaaaaa b", 8, 0), ["aaaaaaaa", "aaaa b"]);
        assert_eq!(wrap("", 8, 0), [""]);
    }

    #[test]
    fn names_gather_in_families() {
        let names = ["api/0", "api/1", "api/2", "mail-worker", "org-a", "log-worker", "pdf-worker", "router"];
        assert_eq!(patterns(&names, 80), "3 *-worker, api/[0-2], org-a, router");
        assert_eq!(patterns(&names, 26), "3 *-worker, api/[0-2], +2");
        assert_eq!(patterns(&names, 20), "3 *-worker, +5");
        assert_eq!(patterns(&["a1", "a3"], 80), "a[0-9]");
        assert_eq!(patterns(&["bull00"], 80), "bull00");
        assert_eq!(patterns(&["bull01", "bull02"], 80), "bull[01-02]");
        assert_eq!(patterns(&[], 80), "");
    }

    #[test]
    fn clean_text_stays_on_its_line() {
        assert_eq!(clean("a\nb\u{1b}[2J"), "a\\u{a}b\\u{1b}[2J");
    }
}

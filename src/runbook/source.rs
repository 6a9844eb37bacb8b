//! The text of a runbook and where things stand in it: byte offsets for cutting, lines and columns for people.
use std::ops::Range;

/// Bytes of the text, as `start..end`.
pub type Span = Range<usize>;

/// A text with the starts of its lines.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    /// The whole text, without a byte order mark.
    pub(crate) text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Source<'t> {
    /// Indexes `text`.
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column (both from 1, columns in characters) of a byte offset; past the end is the end.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let offset = self.floor(offset);
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The line (from 1) of a byte offset, without the walk to its column.
    pub(crate) fn line_number(&self, offset: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|&start| start <= offset)).unwrap_or(u32::MAX)
    }

    /// The byte offset of a line and column; the inverse of [`Self::position`], clamped to the line and the text.
    pub(crate) fn offset(&self, line: u64, column: u64) -> usize {
        let at = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(&start) = self.starts.get(at) else {
            return self.text.len();
        };
        let rest = self.line_at(start);
        let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        start + rest.char_indices().nth(skip).map_or(rest.len(), |(at, _)| at)
    }

    /// The line that holds `offset`, without its line break.
    pub(crate) fn line_at(&self, offset: usize) -> &'t str {
        self.text[self.line_start(offset)..].split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    /// The offset at which the line that holds `offset` begins.
    pub(crate) fn line_start(&self, offset: usize) -> usize {
        self.text[..self.floor(offset)].rfind('\n').map_or(0, |at| at + 1)
    }

    /// The text of a span; empty when it is not one.
    pub(crate) fn slice(&self, span: &Span) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// A span of whole characters within the text that covers `span`.
    pub(crate) fn whole(&self, span: &Span) -> Span {
        let mut end = span.end.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let start = self.floor(span.start);
        start..end.max(start)
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_positions_are_inverse() {
        let source = Source::new("a: ü\r\nb: x\n\nend");
        for (offset, position) in [(0, (1, 1)), (5, (1, 5)), (7, (2, 1)), (12, (3, 1)), (16, (4, 4))] {
            assert_eq!(source.position(offset), position, "{offset}");
            assert_eq!(source.offset(position.0.into(), position.1.into()), offset, "{position:?}");
        }
        assert_eq!(source.position(4), (1, 4), "inside a character counts as its start");
        assert_eq!(source.line_at(9), "b: x");
        assert_eq!(source.line_at(0), "a: ü");
        assert_eq!((source.offset(9, 1), source.offset(1, 99)), (16, 5));
    }
}

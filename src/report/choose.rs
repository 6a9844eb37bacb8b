//! Which kind of progress is shown.

use std::fmt;
use std::str::FromStr;

/// `--progress`, or `RUNBOOK_PROGRESS`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// [`Live`](Self::Live) on a terminal that a person watches, else [`Plain`](Self::Plain).
    #[default]
    Auto,
    /// A block of lines that is redrawn.
    Live,
    /// A line per event: logs, CI, the resume unit, screen readers.
    Plain,
    /// NDJSON on the standard output.
    Json,
    /// Nothing but the ending.
    None,
}

/// What speaks for or against redrawing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watcher {
    /// The standard error output is a terminal.
    pub stderr_tty: bool,
    /// `TERM=dumb`.
    pub dumb: bool,
    /// `CI`, `NO_PROGRESS` or `ACCESSIBLE` is set and not empty.
    pub no_animation: bool,
    /// `-v`: more lines than a block can show.
    pub verbose: bool,
}

impl Mode {
    /// Decides `auto`; what was asked for outright is kept.
    #[must_use]
    pub fn settle(self, watcher: Watcher) -> Self {
        let redraw = watcher.stderr_tty && !watcher.dumb && !watcher.no_animation && !watcher.verbose;
        match self {
            Self::Auto if redraw => Self::Live,
            Self::Auto => Self::Plain,
            other => other,
        }
    }

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Live => "live",
            Self::Plain => "plain",
            Self::Json => "json",
            Self::None => "none",
        }
    }

    /// Every mode, for help texts.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Live, Self::Plain, Self::Json, Self::None];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|mode| mode.word() == text);
        known.ok_or_else(|| "not one of auto, live, plain, json, none".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_watched_terminal_is_redrawn() {
        let watched = Watcher { stderr_tty: true, ..Watcher::default() };
        assert_eq!(Mode::Auto.settle(watched), Mode::Live);
        for against in [
            Watcher::default(),
            Watcher { dumb: true, ..watched },
            Watcher { no_animation: true, ..watched },
            Watcher { verbose: true, ..watched },
        ] {
            assert_eq!(Mode::Auto.settle(against), Mode::Plain, "{against:?}");
            assert_eq!(Mode::Live.settle(against), Mode::Live, "asked for outright");
        }
        assert_eq!("json".parse(), Ok(Mode::Json));
        assert!("fancy".parse::<Mode>().is_err());
    }
}

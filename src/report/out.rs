//! Where text goes out: a sink that never panics, and how much a terminal can show.
//!
//! `println!` panics once the SSH line is gone (EIO after a caught SIGHUP, rust-lang/rust#92989) and would take the run
//! with it. Here a write that fails is dropped: no screen may stop a run. Nothing is rewritten here but what a
//! terminal would obey: secrets are hidden where foreign text is taken in ([`crate::host::foreign`]).

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::host::foreign::guarded;
use anstyle::{AnsiColor, Effects, Style as Look};

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum When {
    /// As terminal and environment suggest.
    #[default]
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

/// What is known of a stream and of the environment; read by whoever may read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The stream is a terminal.
    pub tty: bool,
    /// Its width; see [`columns_of`].
    pub terminal_columns: Option<u16>,
    /// `NO_COLOR`: not empty means no (no-color.org).
    pub no_color: Option<String>,
    /// `CLICOLOR`: `0` means no (bixense.com/clicolors).
    pub clicolor: Option<String>,
    /// `CLICOLOR_FORCE`: neither empty nor `0` means yes, even into a file.
    pub clicolor_force: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
    /// `COLUMNS`.
    pub columns: Option<String>,
    /// The first that is set of `LC_ALL`, `LC_CTYPE` and `LANG`.
    pub locale: Option<String>,
}

/// What a stream can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours; they only repeat what the words say.
    pub color: bool,
    /// Columns of a line.
    pub width: u16,
    /// Characters beyond ASCII for bars and arrows.
    pub unicode: bool,
}

/// The meaning that a colour repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// Went well, fits.
    Good,
    /// Failed, refused.
    Bad,
    /// Needs a look.
    Warn,
    /// Of less interest.
    Faint,
    /// A heading.
    Strong,
    /// What will be different.
    Alter,
}

impl Style {
    /// 80 columns of ASCII without colours: files, CI, and whoever asks for nothing else.
    pub const PLAIN: Self = Self { color: false, width: 80, unicode: false };

    /// Decides what to show; `--color` outranks the environment, and the environment the terminal.
    #[must_use]
    pub fn detect(when: When, around: &Surroundings) -> Self {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
        let dumb = around.term.as_deref() == Some("dumb");
        let forced = set(&around.clicolor_force) && around.clicolor_force.as_deref() != Some("0");
        let color = match when {
            When::Always => true,
            When::Never => false,
            When::Auto if set(&around.no_color) => false,
            When::Auto if forced => true,
            When::Auto => around.tty && !dumb && around.clicolor.as_deref() != Some("0"),
        };
        let told = || around.columns.as_deref().and_then(|text| text.parse().ok());
        let measured = around.terminal_columns.filter(|_| around.tty);
        let width = measured.filter(|n| *n > 0).or_else(told).filter(|n| *n > 0).unwrap_or(80);
        let locale = around.locale.as_deref().unwrap_or_default().to_ascii_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        Self { color, width: width.clamp(40, 160), unicode: around.tty && !dumb && utf8 }
    }

    /// The text in the colour of its meaning; unchanged without colours.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let look = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Faint => Look::new().effects(Effects::DIMMED),
            Tone::Strong => Look::new().effects(Effects::BOLD),
            Tone::Alter => AnsiColor::Cyan.on_default(),
        };
        if !self.color || text.is_empty() { text.to_owned() } else { format!("{look}{text}{look:#}") }
    }

    /// The width as a count.
    #[must_use]
    pub fn columns(&self) -> usize {
        usize::from(self.width)
    }
}

/// The width of the terminal behind a stream; `None` when it is none or does not know.
pub fn columns_of(stream: impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// A sink for text that takes every failure quietly. Copies share the sink.
#[derive(Clone)]
pub struct Out {
    sink: Arc<Mutex<Box<dyn Write + Send>>>,
    /// It is, or was, a terminal: one that hangs up has no reader any more.
    terminal: bool,
    /// The first failure to write that cut something off for a reader who is still there.
    lost: Arc<OnceLock<String>>,
    /// What it can show.
    pub style: Style,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Out {
    /// A sink around any writer.
    pub fn to(writer: impl Write + Send + 'static, style: Style) -> Self {
        Self { sink: Arc::new(Mutex::new(Box::new(writer))), terminal: false, lost: Arc::default(), style }
    }

    /// The standard output.
    #[must_use]
    pub fn stdout(style: Style) -> Self {
        Self::stream(std::io::stdout(), style)
    }

    /// The standard error output.
    #[must_use]
    pub fn stderr(style: Style) -> Self {
        Self::stream(std::io::stderr(), style)
    }

    /// A stream of this process, by a descriptor of its own: the library's handle takes a stream that cannot be written to (EBADF)
    /// for one that swallows everything, and then a result that went nowhere would be a success.
    fn stream(stream: impl AsFd + Write + Send + 'static, style: Style) -> Self {
        let terminal = is_terminal(&stream);
        let own: std::io::Result<OwnedFd> = stream.as_fd().try_clone_to_owned();
        let out = match own {
            Ok(fd) => Self::to(std::fs::File::from(fd), style),
            Err(_) => Self::to(stream, style),
        };
        Self { terminal, ..out }
    }

    /// Writes the text; of what a terminal obeys, only what this program draws with. A reader that went away (EPIPE) or a dead terminal
    /// (its EIO) is no reason to stop; what any other failure has cut off is remembered, see [`Self::lost`].
    pub fn print(&self, text: &str) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = sink.write_all(guarded(text).as_bytes()).and_then(|()| sink.flush())
            && !gone(&error, self.terminal)
        {
            let _the_first_one_counts = self.lost.set(error.to_string());
        }
    }

    /// Why something that was printed is not whole where it was printed to; `None` when it is, or when nobody is there any more.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Writes a line.
    pub fn line(&self, text: &str) {
        self.print(&format!("{text}\n"));
    }
}

/// Whether a failure means that the reader has gone away: a closed pipe, or a terminal that hung up. The same EIO of anything else
/// is a bad disk, and what was printed there is not whole.
fn gone(error: &std::io::Error, terminal: bool) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    errno == Some(rustix::io::Errno::PIPE) || (terminal && errno == Some(rustix::io::Errno::IO))
}

/// Whether a stream is a terminal, or was one: after a hang-up it answers every question with EIO, as nothing else does.
fn is_terminal(stream: impl AsFd) -> bool {
    matches!(rustix::termios::tcgetattr(stream), Ok(_) | Err(rustix::io::Errno::IO))
}

/// The two streams of a program: results can be piped while talk stays on the terminal.
#[derive(Debug, Clone)]
pub struct Streams {
    /// The result (standard output).
    pub result: Out,
    /// Progress and talk (standard error output).
    pub talk: Out,
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    fn around(tty: bool) -> Surroundings {
        Surroundings { tty, term: Some("xterm".into()), ..Surroundings::default() }
    }

    #[test]
    fn colour_follows_the_conventions() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            ("a terminal", When::Auto, around(true), true),
            ("a file", When::Auto, around(false), false),
            ("a file, always", When::Always, around(false), true),
            ("a terminal, never", When::Never, around(true), false),
            ("NO_COLOR", When::Auto, Surroundings { no_color: some("1"), ..around(true) }, false),
            ("NO_COLOR empty", When::Auto, Surroundings { no_color: some(""), ..around(true) }, true),
            ("NO_COLOR, always", When::Always, Surroundings { no_color: some("1"), ..around(true) }, true),
            ("CLICOLOR=0", When::Auto, Surroundings { clicolor: some("0"), ..around(true) }, false),
            ("CLICOLOR_FORCE", When::Auto, Surroundings { clicolor_force: some("1"), ..around(false) }, true),
            ("CLICOLOR_FORCE=0", When::Auto, Surroundings { clicolor_force: some("0"), ..around(false) }, false),
            ("dumb", When::Auto, Surroundings { term: some("dumb"), ..around(true) }, false),
        ];
        for (name, when, around, wanted) in cases {
            assert_eq!(Style::detect(when, &around).color, wanted, "{name}");
        }
    }

    #[test]
    fn width_and_glyphs() {
        let wide = Surroundings { terminal_columns: Some(120), locale: Some("de_DE.UTF-8".into()), ..around(true) };
        assert_eq!(Style::detect(When::Auto, &wide), Style { color: true, width: 120, unicode: true });
        let told = Surroundings { columns: Some("100".into()), ..around(false) };
        assert_eq!(Style::detect(When::Auto, &told), Style { color: false, width: 100, unicode: false });
        let silly = Surroundings { columns: Some("0".into()), terminal_columns: Some(0), ..around(true) };
        assert_eq!(Style::detect(When::Auto, &silly).width, 80);
    }

    #[test]
    fn a_dead_terminal_is_survived() {
        struct Dead;
        impl Write for Dead {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(Error::from(ErrorKind::BrokenPipe))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(Error::from(ErrorKind::Other))
            }
        }
        Out::to(Dead, Style::PLAIN).line("nobody reads this");
    }

    #[test]
    fn only_a_closed_pipe_and_a_terminal_that_hung_up_have_no_reader() {
        struct Broken(i32);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(Error::from_raw_os_error(self.0))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        use rustix::io::Errno;
        for (errno, terminal, lost) in [
            (Errno::PIPE, false, false),
            (Errno::PIPE, true, false),
            (Errno::IO, true, false),
            (Errno::IO, false, true),
            (Errno::BADF, false, true),
            (Errno::BADF, true, true),
            (Errno::NOSPC, false, true),
            (Errno::DQUOT, false, true),
        ] {
            let out = Out { terminal, ..Out::to(Broken(errno.raw_os_error()), Style::PLAIN) };
            out.line("the result");
            assert_eq!(out.lost().is_some(), lost, "{errno} on a terminal: {terminal}");
        }
    }

    #[test]
    fn paint_adds_nothing_without_colour() {
        assert_eq!(Style::PLAIN.paint(Tone::Bad, "FAILED"), "FAILED");
        let style = Style { color: true, ..Style::PLAIN };
        assert_eq!(style.paint(Tone::Bad, "FAILED"), "\u{1b}[1m\u{1b}[31mFAILED\u{1b}[0m");
    }
}

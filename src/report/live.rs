//! Progress on a terminal: finished lines go into the scrollback once, below them a block of at most twelve lines is
//! redrawn. Hundreds of bars would write a hundred kilobytes a second through SSH and still hide the one that is stuck,
//! so only what has run longest is drawn, and the rest is counted.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};
use jiff::Timestamp;

use super::fold::Fold;
use super::layout::{clean, columns, fit, pad, right, wrap};
use super::lines::EVIDENCE;
use super::out::{Out, Style, Tone};
use super::progress::{Clock, Progress, Running, Wall, machine_clock, machine_wall};
use super::telling::{Said, tell};
use crate::event::{Event, Reporter};
use crate::host::span::{clock, words};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::state::RunState;
use crate::plan::Plan;
use crate::runbook::Runbook;

/// Redraws in a second.
const HZ: u8 = 4;
/// Items of the block.
const ITEMS: usize = 6;
/// Steps with more items do not print each success.
const MANY: usize = 20;

/// Tells a run on a terminal. Copies share the screen, so that a prompt can [`suspend`](Self::suspend) it.
#[derive(Clone)]
pub struct Live {
    screen: Arc<Screen>,
}

struct Screen {
    out: Out,
    multi: MultiProgress,
    bar: ProgressBar,
    board: Arc<Mutex<Board>>,
}

/// What the block shows; drawn by indicatif's own thread, so that time goes on while nothing is told.
struct Board {
    progress: Progress,
    style: Style,
    wall: Wall,
    fold: Fold,
}

impl Live {
    /// For a run of `plan`, drawn on the terminal behind `out`.
    #[must_use]
    pub fn new(out: Out, runbook: &Runbook, plan: &Plan) -> Self {
        Self::timed(out, runbook, plan, machine_clock(), machine_wall())
    }

    /// [`new`](Self::new) with the time of a rehearsal.
    #[must_use]
    pub fn timed(out: Out, runbook: &Runbook, plan: &Plan, clock: Clock, wall: Wall) -> Self {
        let live = Self::with_clock(out, runbook, plan, clock, wall);
        live.screen.bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(HZ)));
        live
    }

    pub(super) fn with_clock(out: Out, runbook: &Runbook, plan: &Plan, clock: Clock, wall: Wall) -> Self {
        let style = out.style;
        let board = Arc::new(Mutex::new(Board {
            progress: Progress::new(runbook, plan, clock),
            style,
            wall,
            fold: Fold::default(),
        }));
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal(out.clone())), HZ);
        let multi = MultiProgress::with_draw_target(target);
        let bar = multi.add(ProgressBar::no_length());
        let drawn = Arc::clone(&board);
        let block = move |_: &ProgressState, to: &mut dyn fmt::Write| {
            let _ = to.write_str(&lock(&drawn).block().join("\n"));
        };
        // The template is a constant; should it ever be refused, the block stays away and the lines remain.
        if let Ok(look) = ProgressStyle::with_template("{block}") {
            bar.set_style(look.with_key("block", block));
        }
        Self { screen: Arc::new(Screen { out, multi, bar, board }) }
    }

    /// Takes the block away while `ask` has the terminal, and draws it again.
    pub fn suspend<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.screen.multi.suspend(ask)
    }

    /// Takes the block away for good; what was printed above stays.
    pub fn close(&self) {
        self.screen.bar.finish_and_clear();
    }

    /// Draws the block now, whatever the rate.
    #[cfg(test)]
    pub(super) fn redraw(&self) {
        self.screen.bar.force_draw();
    }

    fn print(&self, time: &str, said: &Said) {
        let style = &self.screen.out.style;
        let room = style.columns().saturating_sub(columns(time) + 1);
        // This stays in the scrollback and is read again: a reason that is cut off is none.
        let lines = wrap(&said.text, room, 4).into_iter().map(|line| style.paint(said.tone, &line));
        let lines = lines.collect::<Vec<_>>().join(&format!("\n{} ", " ".repeat(columns(time))));
        let mut text = format!("{} {lines}", style.paint(Tone::Faint, time));
        for more in said.more.iter().take(EVIDENCE) {
            let room = style.columns().saturating_sub(columns(time) + 5);
            text.push_str(&format!("\n{}     {}", " ".repeat(columns(time)), fit(more, room, style)));
        }
        if self.screen.multi.println(&text).is_err() {
            self.screen.out.line(&text);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter for Live {
    fn on(&mut self, event: &Event<'_>, state: &RunState) {
        let mut board = lock(&self.screen.board);
        let (said, wall) = match event {
            Event::Durable(entry) => {
                let said = tell(entry, &board.progress);
                (said.map(|said| board.fold.shortened(&entry.checkpoint, said)), entry.wall)
            }
            Event::Tick { .. } => (None, Timestamp::UNIX_EPOCH),
            Event::Talk(text) => {
                (Some(Said { tone: Tone::Warn, text: clean(text), more: Vec::new(), routine: false }), (board.wall)())
            }
        };
        board.progress.take_in(event, state);
        let many = board.progress.current.as_ref().is_some_and(|current| current.of > MANY);
        let time = board.progress.clock_time(wall);
        let held = matches!(event, Event::Durable(entry) if board.fold.takes(&entry.checkpoint));
        let said = said.filter(|_| !held);
        let folded = match event {
            Event::Durable(entry) if said.is_some() => {
                let board = &mut *board;
                board.fold.release(&entry.checkpoint, &board.progress)
            }
            Event::Durable(_) | Event::Tick { .. } | Event::Talk(_) => Vec::new(),
        };
        // The drawing thread needs the board; it must be free before anything is printed.
        drop(board);
        for folded in &folded {
            self.print(&time, folded);
        }
        if let Some(said) = said.filter(|said| !(said.routine && many)) {
            self.print(&time, &said);
        }
        let over = |checkpoint: &Checkpoint| {
            matches!(checkpoint, Checkpoint::Finished { .. } | Checkpoint::Abandoned { .. } | Checkpoint::Paused { .. })
        };
        match event {
            Event::Durable(entry) if over(&entry.checkpoint) => self.close(),
            _ => self.screen.bar.tick(),
        }
    }
}

impl Board {
    /// The lines of the block, each at most as wide as the terminal.
    fn block(&self) -> Vec<String> {
        let Some(current) = &self.progress.current else {
            return vec![self.total()];
        };
        let mut lines = vec![self.phase()];
        let slowest = self.progress.slowest();
        for (key, one) in slowest.iter().take(ITEMS) {
            lines.push(self.item(key, one));
        }
        let hidden = slowest.len().saturating_sub(ITEMS);
        if hidden + self.progress.queued() + current.failed > 0 {
            let parts = [(hidden, "more running"), (self.progress.queued(), "queued"), (current.failed, "FAILED")];
            let named: Vec<String> =
                parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
            let tone = if current.failed > 0 { Tone::Bad } else { Tone::Faint };
            lines.push(self.style.paint(tone, &format!("      {}", named.join(", "))));
        }
        lines.push(self.total());
        lines.extend(self.window());
        lines
    }

    /// ` >>  6/9 load  [=====>....]  2/4  12:10  ~20:30`.
    fn phase(&self) -> String {
        let Some(current) = &self.progress.current else {
            return String::new();
        };
        let count = if current.of > 1 { format!("{}/{}", current.done, current.of) } else { String::new() };
        let elapsed = clock(self.progress.now().saturating_sub(current.began));
        let left = self.progress.left_of_step();
        let left = if left.typical >= 1.0 { format!("~{}", clock(left.typically())) } else { String::new() };
        let again = if current.attempt > 1 { format!(" (attempt {})", current.attempt) } else { String::new() };
        let name = format!("{}{again}", self.progress.place(&current.step));
        self.with_bar(" >>", &name, self.progress.part(), &count, &elapsed, &left)
    }

    fn total(&self) -> String {
        let left = self.progress.left();
        let ran = self.progress.now().saturating_sub(self.progress.began).as_secs_f64();
        let part = if ran + left.typical > 0.0 { ran / (ran + left.typical) } else { 0.0 };
        let elapsed = clock(Duration::from_secs_f64(ran));
        let left = format!("~{}", clock(left.typically()));
        self.with_bar("all", "", part, "", &elapsed, &left)
    }

    fn with_bar(&self, mark: &str, name: &str, part: f64, count: &str, elapsed: &str, left: &str) -> String {
        let width = self.style.columns().saturating_sub(1);
        let tail = format!("{}{}{}", right(count, 9), right(elapsed, 9), right(left, 10));
        let name = pad(&fit(name, 22, &self.style), 22);
        let cells = width.saturating_sub(columns(mark) + 1 + columns(&name) + 3 + columns(&tail)).min(60);
        let bar = if cells < 6 { String::new() } else { format!("[{}]", gauge(part, cells, self.style.unicode)) };
        let mark = self.style.paint(Tone::Strong, mark);
        format!("{mark} {name} {bar}{tail}")
    }

    /// One item: what it waits for, for how long, and how long that usually takes.
    fn item(&self, key: &str, one: &Running) -> String {
        let width = self.style.columns().saturating_sub(1);
        let elapsed = self.progress.now().saturating_sub(one.began);
        let about = match one.tick.left {
            Some(left) => format!("~{}", clock(left.typically())),
            None if one.usually.typical >= 1.0 => format!("usually {}", clock(one.usually.typically())),
            None => String::new(),
        };
        let part = one.tick.part.map_or(String::new(), |part| format!("{:.0}%", part * 100.0));
        let tail = format!("{}{}{}", right(&part, 5), right(&clock(elapsed), 9), right(&about, 14));
        let name = pad(&fit(&clean(key), 20, &self.style), 20);
        let room = width.saturating_sub(6 + 20 + 2 + columns(&tail));
        let say = if one.tick.say.is_empty() { "in work".to_owned() } else { clean(&one.tick.say) };
        let slow = one.usually.slow >= 1.0 && elapsed > one.usually.at_worst();
        let line = format!("      {name}  {}{tail}", pad(&fit(&say, room, &self.style), room));
        self.style.paint(if slow { Tone::Warn } else { Tone::Plain }, &line)
    }

    /// When it ends, and whether that is before the window closes.
    fn window(&self) -> Option<String> {
        let at = (self.wall)();
        let left = self.progress.left();
        let end = |length: Duration| at.checked_add(length).unwrap_or(Timestamp::MAX);
        let short = |at: Timestamp| at.to_zoned(self.progress.zone.clone()).strftime("%H:%M").to_string();
        let (typical, slow) = (end(left.typically()), end(left.at_worst()));
        let mut text = format!("    ends {} typical, {} slow", short(typical), short(slow));
        let mut tone = Tone::Faint;
        if let Some(closes) = self.progress.closes() {
            let spare = Duration::try_from(closes.duration_since(slow)).unwrap_or_default();
            let late = slow > closes;
            tone = if late { Tone::Warn } else { Tone::Faint };
            let verdict =
                if late { "the slow end is LATE".to_owned() } else { format!("fits, {} spare", words(spare)) };
            text.push_str(&format!("; window closes {}: {verdict}", short(closes)));
        }
        Some(self.style.paint(tone, &fit(&text, self.style.columns().saturating_sub(1), &self.style)))
    }
}

/// `======>....`, or blocks where the terminal has them.
fn gauge(part: f64, cells: usize, unicode: bool) -> String {
    let full = ((part.clamp(0.0, 1.0) * cells as f64).floor() as usize).min(cells);
    if unicode {
        return format!("{}{}", "\u{2588}".repeat(full), "\u{2591}".repeat(cells - full));
    }
    let head = usize::from(full < cells);
    format!("{}{}{}", "=".repeat(full), ">".repeat(head), ".".repeat(cells - full - head))
}

/// The terminal as indicatif sees it: every failure is taken quietly, so a lost SSH line cannot reach the run.
struct Terminal(Out);

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    fn code(&self, n: usize, letter: char) -> io::Result<()> {
        if n > 0 {
            self.0.print(&format!("\u{1b}[{n}{letter}"));
        }
        Ok(())
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.0.style.width
    }

    fn height(&self) -> u16 {
        24
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.code(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.code(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.code(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.code(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.0.print(&format!("{s}\r\n"));
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.0.print(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.print("\r\u{1b}[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

//! The block that is redrawn on a terminal, as a terminal shows it.

use std::io::Write;

use super::super::*;
use super::{LOOKS, NARROW, Tape, after, after_the_last, hand, keep_text, play, play_from, sample, wall};

/// The screen as it is seen, without trailing blanks; in a coloured one every change of colour is shown as its code.
fn rows(terminal: &vt100::Parser, style: Style) -> String {
    if !style.color {
        let rows = terminal.screen().rows(0, style.width).map(|row| row.trim_end().to_owned());
        return rows.collect::<Vec<_>>().join("\n");
    }
    let (height, width) = terminal.screen().size();
    let rows: Vec<String> = (0..height).map(|row| coloured_row(terminal.screen(), row, width)).collect();
    rows.join("\n")
}

fn coloured_row(screen: &vt100::Screen, row: u16, width: u16) -> String {
    let (mut out, mut before) = (String::new(), String::new());
    for cell in (0..width).filter_map(|column| screen.cell(row, column)) {
        let colour = if let vt100::Color::Idx(n) = cell.fgcolor() { format!("{}", 30 + n) } else { String::new() };
        let codes = [cell.bold().then_some("1"), cell.dim().then_some("2"), Some(colour.as_str())];
        let now = codes.into_iter().flatten().filter(|code| !code.is_empty()).collect::<Vec<_>>().join(";");
        if now != before {
            out.push_str(&format!("^[{}m", if now.is_empty() { "0" } else { &now }));
            before = now;
        }
        out.push_str(if cell.contents().is_empty() { " " } else { cell.contents() });
    }
    out.trim_end().to_owned()
}

#[test]
fn live_block_in_a_terminal() {
    for (name, run, from) in [
        ("load", sample::until_the_load(), after(&sample::until_the_load(), "resumed")),
        ("restore", sample::in_the_restore(), after(&sample::in_the_restore(), "resumed")),
        ("backing_out", sample::backing_out(), after(&sample::backing_out(), "back_out")),
        ("resumed", sample::resumed(), after_the_last(&sample::resumed(), "resumed")),
    ] {
        for (look, style) in LOOKS {
            let (hand, clock) = hand();
            let tape = Tape::default();
            let out = Out::to(tape.clone(), style);
            let mut live = Live::with_clock(out, &sample::runbook(), &sample::plan(), clock, wall(&hand));
            play_from(from, &run, &hand, &mut live);
            live.redraw();
            let mut terminal = vt100::Parser::new(24, style.width, 0);
            terminal.process(&tape.bytes());
            let shown = rows(&terminal, style);
            assert_eq!(shown.contains("^["), style.color, "{name} {look}: {shown}");
            keep_text(&format!("live_{name}_{look}"), &shown);
            live.close();
            terminal = vt100::Parser::new(24, style.width, 0);
            terminal.process(&tape.bytes());
            assert!(!terminal.screen().hide_cursor());
            assert!(!terminal.screen().contents().contains("window closes"), "the block is taken away");
        }
    }
}

#[test]
fn a_prompt_has_the_terminal_to_itself() {
    let (hand, clock) = hand();
    let tape = Tape::default();
    let wall = wall(&hand);
    let out = Out::to(tape.clone(), NARROW);
    let mut live = Live::with_clock(out.clone(), &sample::runbook(), &sample::plan(), clock, wall);
    let run = sample::until_the_load();
    play_from(after(&run, "resumed"), &run, &hand, &mut live);
    live.redraw();
    let seen = live.suspend(|| {
        let mut terminal = vt100::Parser::new(24, 80, 0);
        terminal.process(&tape.bytes());
        out.line("Type restart-staging:");
        terminal.screen().contents()
    });
    assert!(!seen.contains("window closes") && seen.contains("redis_loaded"), "{seen}");
}

#[test]
fn a_dead_terminal_does_not_stop_the_live_block() {
    struct Dead;
    impl Write for Dead {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::Error::from_raw_os_error(32))
        }
    }
    let (hand, _) = hand();
    let mut live = Live::new(Out::to(Dead, NARROW), &sample::runbook(), &sample::plan());
    play(&sample::whole(), &hand, &mut live);
    assert_eq!(live.suspend(|| 7), 7);
}

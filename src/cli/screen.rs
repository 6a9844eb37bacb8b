//! What commands print through: results on the standard output, talk on the standard error output, both by the one sink
//! that no dead terminal can make panic.
use std::io::IsTerminal;
use std::sync::Arc;

use super::site::variable;
use super::{Exit, Failure, Global};
use crate::event::Reporter;
use crate::execute::dress::Dial;
use crate::plan::{Plan, Verdict};
use crate::report::{
    self, Clock, Detail, Json, Lines, Live, Mode, Out, Streams, Style, Surroundings, Tone, Wall, Watcher, When,
    columns_of,
};
use crate::runbook::Runbook;

/// The two streams and what they are to show.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pub(super) streams: Streams,
    quiet: bool,
    verbose: bool,
    progress: Mode,
    /// The standard output is NDJSON.
    pub(super) json: bool,
}

impl Screen {
    /// `json`: the command was asked for lines that programs read.
    pub(super) fn new(global: &Global, json: bool) -> Self {
        let when = match global.color.as_str() {
            "always" => When::Always,
            "never" => When::Never,
            _ => When::Auto,
        };
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let result = Style::detect(when, &around(stdout.is_terminal(), columns_of(&stdout)));
        let talk = Style::detect(when, &around(stderr.is_terminal(), columns_of(&stderr)));
        let set = |name| variable(name).is_some();
        let watcher = Watcher {
            stderr_tty: stderr.is_terminal(),
            dumb: variable("TERM").as_deref() == Some("dumb"),
            no_animation: set("CI") || set("NO_PROGRESS") || set("ACCESSIBLE"),
            verbose: global.verbose,
        };
        let asked: Mode = global.progress.parse().unwrap_or_default();
        let progress = match asked {
            _ if json => Mode::Json,
            Mode::Auto if global.quiet => Mode::None,
            asked => asked.settle(watcher),
        };
        let streams = Streams { result: Out::stdout(result), talk: Out::stderr(talk) };
        Self { streams, quiet: global.quiet, verbose: global.verbose, progress, json }
    }

    /// The same for a process without a person in front of it.
    pub(super) fn unattended(&self) -> Self {
        let progress = if self.json { Mode::Json } else { Mode::Plain };
        Self { progress, ..self.clone() }
    }

    /// The first line of NDJSON; nothing where people read.
    pub(super) fn version(&self) {
        if self.json {
            self.lines([report::version_line()]);
        }
    }

    /// Lines for programs.
    pub(super) fn lines(&self, lines: impl IntoIterator<Item = String>) {
        lines.into_iter().for_each(|line| self.streams.result.line(&line));
    }

    /// How the command ended, as the last line for programs.
    pub(super) fn exited(&self, exit: Exit) {
        if self.json {
            self.lines([serde_json::json!({ "type": "exit", "code": exit.code() }).to_string()]);
        }
    }

    /// A part of the result.
    pub(super) fn result(&self, text: &str) {
        self.streams.result.print(text);
    }

    /// Talk; not with `-q`.
    pub(super) fn talk(&self, text: &str) {
        if !self.quiet {
            self.alert(text);
        }
    }

    /// Talk that `-q` does not keep back.
    pub(super) fn alert(&self, text: &str) {
        self.streams.talk.print(text);
    }

    /// Why a command failed, and what to do.
    pub(super) fn failure(&self, failure: &Failure) {
        let style = self.streams.talk.style;
        let mut text = format!("{} {}\n", style.paint(Tone::Bad, "runbook:"), failure.reason());
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("  {hint}\n"));
        }
        self.alert(&text);
        if self.json {
            let (reason, hint, code) = (failure.reason(), &failure.hint, failure.exit.code());
            let line = serde_json::json!({ "type": "failure", "code": code, "reason": reason, "hint": hint });
            self.lines([line.to_string()]);
        }
    }

    /// What the terminal behind talk can show.
    pub(super) fn style(&self) -> &Style {
        &self.streams.talk.style
    }

    /// Shows a plan: as the result of `plan`, as talk before a question.
    pub(super) fn plan(&self, plan: &Plan, runbook: &Runbook, verdict: &Verdict, result: bool) {
        if self.json {
            self.lines(report::plan_lines(plan, verdict));
            // Whoever is asked to agree must see it, too.
            if result {
                return;
            }
        }
        let detail = if self.verbose { Detail::Full } else { Detail::Short };
        let style = if result { self.streams.result.style } else { self.streams.talk.style };
        let screen = if result { report::plan } else { report::plan_to_agree };
        let text = screen(plan, runbook, verdict, detail, &style);
        if result { self.result(&text) } else { self.talk(&text) }
    }

    /// The block that is redrawn while a run goes on, where one is wanted. It begins to draw at once.
    pub(super) fn live(&self, runbook: &Runbook, plan: &Plan) -> Option<Live> {
        (self.progress == Mode::Live).then(|| Live::new(self.streams.talk.clone(), runbook, plan))
    }

    /// Whoever shows the progress of a run.
    pub(super) fn reporters(&self, live: Option<&Live>, runbook: &Runbook, plan: &Plan) -> Vec<Box<dyn Reporter>> {
        match (live, self.progress) {
            (_, Mode::None) => Vec::new(),
            (Some(live), _) => vec![Box::new(live.clone())],
            (None, Mode::Json) => vec![Box::new(Json::going_on(self.streams.result.clone(), runbook, plan))],
            (None, _) => vec![Box::new(Lines::new(self.streams.talk.clone(), runbook, plan))],
        }
    }

    /// [`live`](Self::live) with the time of a rehearsal.
    pub(super) fn live_by(&self, dial: &Dial, runbook: &Runbook, plan: &Plan) -> Option<Live> {
        let (clock, wall) = times(dial);
        let live = || Live::timed(self.streams.talk.clone(), runbook, plan, clock, wall);
        (self.progress == Mode::Live).then(live)
    }

    /// [`live`](Self::live) and [`reporters`](Self::reporters) of a run in another process, with its time.
    pub(super) fn followers(&self, clock: Clock, wall: Wall, runbook: &Runbook, plan: &Plan) -> Followers {
        let talk = self.streams.talk.clone();
        match self.progress {
            Mode::None => (None, Vec::new()),
            Mode::Json => (None, self.reporters(None, runbook, plan)),
            Mode::Live => {
                let live = Live::timed(talk, runbook, plan, clock, wall);
                (Some(live.clone()), vec![Box::new(live)])
            }
            _ => (None, vec![Box::new(Lines::with_clock(talk, runbook, plan, clock, wall))]),
        }
    }

    /// [`reporters`](Self::reporters) with the time of a rehearsal.
    pub(super) fn reporters_by(
        &self,
        dial: &Dial,
        live: Option<&Live>,
        runbook: &Runbook,
        plan: &Plan,
    ) -> Vec<Box<dyn Reporter>> {
        if live.is_some() || self.progress == Mode::None {
            return self.reporters(live, runbook, plan);
        }
        let (clock, wall) = times(dial);
        vec![Box::new(Lines::with_clock(self.streams.talk.clone(), runbook, plan, clock, wall))]
    }
}

/// Whoever follows a run from outside, and the block that is redrawn where one is wanted.
pub(super) type Followers = (Option<Live>, Vec<Box<dyn Reporter>>);

/// A rehearsal's time for the screens.
fn times(dial: &Dial) -> (Clock, Wall) {
    let (elapsed, wall) = (dial.clone(), dial.clone());
    (Arc::new(move || elapsed.elapsed()), Arc::new(move || wall.wall()))
}

/// What the environment says about a stream.
fn around(tty: bool, terminal_columns: Option<u16>) -> Surroundings {
    Surroundings {
        tty,
        terminal_columns,
        no_color: variable("NO_COLOR"),
        clicolor: variable("CLICOLOR"),
        clicolor_force: variable("CLICOLOR_FORCE"),
        term: variable("TERM"),
        columns: variable("COLUMNS"),
        locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable),
    }
}

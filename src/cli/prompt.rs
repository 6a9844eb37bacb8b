//! Questions: asked on a terminal where somebody sits, answered by flags elsewhere, and never guessed.
use std::io::IsTerminal;

use clap::Args;
use dialoguer::Input;

use super::screen::Screen;
use super::{Desk, Exit, Failure};
use crate::execute::{Approve, Question, Reply};
use crate::host::foreign::named;
use crate::report::{Asked, Live, asked, word};
use crate::runbook::{ConfirmKind, Runbook};

/// Flags that answer beforehand.
#[derive(Debug, Args)]
pub(super) struct Answers {
    /// Answer ordinary questions with yes
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Answer the questions that want the runbook's name typed
    #[arg(long, value_name = "NAME")]
    pub(super) confirm: Option<String>,
    /// Ask before each phase
    #[arg(long)]
    pub(super) step: bool,
    /// Run outside the window; the reason goes into the journal and the report
    #[arg(long, value_name = "REASON")]
    pub(super) ignore_window: Option<String>,
    /// Exit 11 when tolerated losses are left
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
}

/// Whoever answers.
pub(super) struct Prompt<'a> {
    /// Somebody can be asked.
    person: bool,
    yes: bool,
    confirm: Option<&'a str>,
    screen: &'a Screen,
    /// What must be taken off the screen while a question stands there.
    pub(super) live: Option<Live>,
}

impl Answers {
    /// Flags that contradict the runbook are a mistake, not an answer.
    pub(super) fn fit(&self, runbook: &Runbook) -> Result<(), Failure> {
        let blank = self.ignore_window.as_deref().is_some_and(|reason| reason.trim().is_empty());
        if blank {
            return Err(Failure::say(Exit::Usage, "--ignore-window needs a reason"));
        }
        match self.confirm.as_deref() {
            Some(name) if name != runbook.name => {
                let text = format!("--confirm {} is not the name of this runbook", named(name, 80));
                Err(Failure::say(Exit::Usage, text).hint(format!("--confirm {}", word(&runbook.name))))
            }
            _ => Ok(()),
        }
    }

    /// The flags that a run without a terminal lacks.
    pub(super) fn lacking(&self, runbook: &Runbook) -> Vec<String> {
        let mut flags = Vec::new();
        if !self.yes {
            flags.push("--yes".to_owned());
        }
        if wants_name(runbook) && self.confirm.is_none() {
            flags.push(format!("--confirm {}", word(&runbook.name)));
        }
        flags
    }

    /// Answers with these flags, and on a terminal by asking.
    pub(super) fn prompt<'a>(&'a self, desk: &'a Desk) -> Prompt<'a> {
        Prompt {
            person: person(desk),
            yes: self.yes,
            confirm: self.confirm.as_deref(),
            screen: &desk.screen,
            live: None,
        }
    }
}

/// Whether somebody can be asked: both ends are a terminal, and we are in its foreground.
pub(super) fn person(desk: &Desk) -> bool {
    let (stdin, stderr) = (std::io::stdin(), std::io::stderr());
    let foreground = rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
    !desk.no_input && stdin.is_terminal() && stderr.is_terminal() && foreground
}

/// Whether some step wants the name typed.
pub(super) fn wants_name(runbook: &Runbook) -> bool {
    let name = |confirm: &crate::runbook::Confirm| confirm.kind == ConfirmKind::Name;
    runbook.steps().any(|(.., step)| step.confirm.as_ref().is_some_and(name))
}

impl Prompt<'_> {
    /// Nobody: the resume unit has no terminal and no flags.
    pub(super) fn nobody(screen: &Screen) -> Prompt<'_> {
        Prompt { person: false, yes: false, confirm: None, screen, live: None }
    }

    /// Asks for a text; `false` for anything else, for nothing, and for Ctrl-C or Ctrl-D.
    fn typed(&self, question: &str, wanted: &str) -> bool {
        // `Input` alone leaves the cursor alone when it is interrupted; dialoguer's `Confirm` hides it for good.
        let answer = Input::<String>::new().with_prompt(question).allow_empty(true).interact_text();
        match answer {
            Ok(answer) if answer.trim() == wanted => true,
            Ok(answer) if !answer.trim().is_empty() => {
                self.screen.alert(&format!("`{}` is not `{wanted}`\n", named(answer.trim(), 80)));
                false
            }
            Ok(_) => false,
            // Interrupted in the middle of the line: what is said next must not stand behind the question.
            Err(_) => {
                self.screen.alert("\n");
                false
            }
        }
    }

    /// The question before a run.
    pub(super) fn start(&self, runbook: &Runbook, what: &str) -> bool {
        let name = wants_name(runbook);
        if self.yes && (!name || self.confirm.is_some()) {
            return true;
        }
        self.screen.alert(&format!("\n{what}\n"));
        let wanted = if name { &runbook.name } else { "yes" };
        self.typed(&format!("Type {wanted} to start, or Ctrl-C"), wanted)
    }

    /// Says what it is about on lines of its own, then asks on one that fits any terminal.
    fn put(&self, asked: &Asked) -> Reply {
        if !self.person {
            return Reply::NoOne { how: asked.elsewhere.clone() };
        }
        let ask = || {
            self.screen.alert(&asked.about);
            self.typed(&asked.line, &asked.wanted)
        };
        let yes = match &self.live {
            Some(live) => live.suspend(ask),
            None => ask(),
        };
        if yes { Reply::Yes } else { Reply::No }
    }
}

impl Approve for Prompt<'_> {
    fn ask(&mut self, ask: &Question) -> Reply {
        match ask {
            Question::Confirm { type_name: None, .. } if self.yes => Reply::Yes,
            Question::Confirm { type_name: Some(name), .. } if self.confirm == Some(name) => Reply::Yes,
            // No flag lets a run go on past a failure: that is judged by somebody who has seen it.
            _ => self.put(&asked(ask, self.screen.style())),
        }
    }
}

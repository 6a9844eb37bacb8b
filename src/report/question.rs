//! Questions in the middle of a run: what each is about, on lines of its own, and the line on which it is answered.

use super::calls::call;
use super::layout::{clean, labelled, paragraph};
use super::out::{Style, Tone};
use crate::execute::Question;
use crate::host::shell_word::word;

/// A question as it is put to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it is about; ends with a newline.
    pub about: String,
    /// The line that is answered.
    pub line: String,
    /// The answer that means yes.
    pub wanted: String,
    /// How to answer it where nobody can be asked.
    pub elsewhere: String,
}

/// How it is put.
#[must_use]
pub fn asked(question: &Question, style: &Style) -> Asked {
    let terminal = format!("on a terminal, {}", call("resume"));
    let yes = "yes".to_owned();
    match question {
        Question::Confirm { step, type_name, because, services_down } => {
            let (wanted, elsewhere) = match type_name {
                Some(name) => (clean(name), call(&format!("resume --confirm {}", word(name)))),
                None => (yes, call("resume --yes")),
            };
            let mut about = put(step.as_str(), &clean(because), style);
            if *services_down {
                // Where service is away already, *not now* is no safe answer.
                let ways = [call("resume"), call("abort")].join("` or `");
                let down = format!("The services are DOWN and stay down until you answer, `{ways}`.");
                paragraph(&mut about, "", &down, style);
            }
            Asked { about, line: format!("Type {wanted}, or Enter for not now"), wanted, elsewhere }
        }
        Question::GoOnWithout { step, error } => Asked {
            about: put(&format!("{step} failed"), &format!("{}. Go on without it?", clean(error)), style),
            line: "Type yes, or Enter to stop".to_owned(),
            wanted: yes,
            elsewhere: terminal,
        },
        Question::NextPhase { phase } => Asked {
            about: format!("Next is phase {}.\n", clean(phase)),
            line: "Type yes, or Enter to pause".to_owned(),
            wanted: yes,
            elsewhere: terminal,
        },
    }
}

fn put(lead: &str, text: &str, style: &Style) -> String {
    let mut out = String::new();
    labelled(&mut out, "", lead, Tone::Strong, &format!("{}: {text}", clean(lead)), style);
    out
}

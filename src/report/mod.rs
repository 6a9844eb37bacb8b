//! Floor 8: what people and programs are shown. Plans, progress, status, summaries.
//!
//! Everything here but what was typed in front of a command ([`commands_name`], [`commands_are_of`]) is a pure function of plans and checkpoints, written through one sink that cannot panic. Text that
//! came from a machine was tamed when it entered; it is tamed once more here, because this is the last door.

mod around;
mod by_hand;
mod calls;
mod came_back_view;
mod chance_view;
pub mod choose;
mod diagnosis;
mod doubts;
pub mod drift_view;
mod ending;
mod estimates;
pub mod findings;
mod fold;
mod html;
mod journal_view;
pub mod json;
mod json_runs;
pub mod junit;
mod junit_xml;
mod label;
mod lacking;
pub mod layout;
mod left_down;
pub mod lines;
pub mod live;
mod missing;
mod offers;
pub mod out;
mod past_runs;
mod plan_changes;
mod plan_next;
mod plan_unsaved;
pub mod plan_view;
mod plan_window;
mod progress;
mod question;
mod recorded_view;
mod report_forms;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod screens;
mod shelf;
mod state_word;
pub mod status;
mod story;
pub mod summary;
mod telling;

pub use around::{Around, Refused};
pub use by_hand::by_hand;
pub use calls::{Typed, call, call_in, call_on, commands_are_of, commands_name, offer};
pub use chance_view::chance;
pub use choose::{Mode, Watcher};
pub use diagnosis::{Diagnosed, diagnosis};
pub use doubts::doubts;
pub use drift_view::{drift_lines, drifted};
pub use ending::surprised;
pub use estimates::{estimate_lines, estimate_table};
pub use findings::{Annotation, annotations, finding_line};
pub use html::html;
pub use journal_view::{journal_verdict, record_lines, set_aside, timeline, verdict_line};
pub use json::{Json, plan_json, plan_lines, version_line};
pub use json_runs::{aside_line, past_run_line, status_lines, unreadable_run_line};
pub use junit::junit;
pub use lines::Lines;
pub use live::Live;
pub use offers::ways;
pub use out::{Out, Streams, Style, Surroundings, Tone, When, columns_of};
pub use past_runs::{PastRun, past_run};
pub use plan_next::{Onward, onward};
pub use plan_view::{Detail, plan, plan_to_agree};
pub use progress::{Clock, Wall};
pub use question::{Asked, asked};
pub use recorded_view::{recorded, unanswered};
pub use report_forms::{report_junit, report_lines};
pub use shelf::{script, shelf};
pub use state_word::StateWord;
pub use status::{status, status_in};
pub use summary::{ending, markdown, markdown_in};

pub use crate::host::shell_word::{path_word, word};

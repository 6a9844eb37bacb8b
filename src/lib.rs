//! `runbook`: maintenance runbooks for one stateful host, rehearsed before the window and carried across the reboot.
//!
//! # The house
//!
//! One sentence: a *runbook* is *planned* against a *host*, *executed*, *journaled* and *reported*. The rooms are the words
//! of that sentence, and a room imports only what is declared above it here (`tests/floors.rs` reads this order):
//!
//! | floor | room | what lives there |
//! |---|---|---|
//! | 1 | [`host`] | the machine: [`host::Probe`] asks, [`host::Host`] also acts; Redis, PM2, systemd, this machine, the believed one |
//! | 2 | [`action`] | one wish per file, the file's name is the YAML key; [`action::Act`] looks, plans purely, applies one item |
//! | 3 | [`runbook`] | the script as written: types, the loader with positions, the window |
//! | 4 | [`plan`] | what would happen: the rehearsal over a [`host::model::Model`], estimates, the verdict |
//! | 5 | [`journal`] | what did happen: durable checkpoints, their fold, the table of legal transitions, locks |
//! | 6 | [`event`] | what is told, and who listens |
//! | 7 | [`execute`] | making it so: the one loop behind `run` and `resume` |
//! | 8 | [`report`] | telling people: screens, plain lines, JSON, the session summary |
//! | 9 | [`cli`] | the front door: one sub-command per file, exit codes |
//!
//! # The life of a run
//!
//! `plan` asks the live machine everything the runbook names, at the same time, and walks the steps over a model of it. `run`
//! does the same, shows it, asks, writes the plan and the baseline into a new journal, and starts the loop: look, decide, write the
//! intent, act, write the outcome, look again. *Done* is an empty change; so skipping, verifying, resuming and drift are one
//! call, [`action::Action::preview`]. A reboot ends the process; the resume unit starts the same loop on the same journal.
//!
//! Three rules carry the rest. *Read-only by type*: the planner is handed a `Probe`. *Legal, then durable, then told*:
//! [`execute::Book`] is the only place that writes checkpoints. *Unknown is a state*: an effect that may have happened is
//! settled by evidence, never by a guess.
//!
//! # Files on disk
//!
//! Below the state directory (`/var/lib/runbook` for root, `state/` in a checkout), 0600 in 0700: `pending` names the
//! unfinished run; `runs/<id>/` holds `journal` and its `head`, the frozen `runbook.yaml`, and `snapshot/<place>/` with PM2's
//! list, the only file in which an app's environment is kept, and `effects/` with the orders of commands and how they ended;
//! `plans/<id>/` holds a saved plan with the facts it was made from. Who owns which: [`journal::store`].

pub mod host;

pub mod action;

pub mod runbook;

pub mod plan;

pub mod journal;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub mod event;

pub mod execute;

pub mod report;

pub mod cli;

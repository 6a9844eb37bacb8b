//! Floor 9: the front door. One sub-command per file; each returns an [`Exit`] or a [`Failure`].
//!
//! This is the only floor that knows `anyhow`, flags, prompts and the environment. Commands that look are read-only: they
//! create no file, take no lock and start no process.
mod abandon;
mod abort;
mod around;
mod ask_to_stop;
mod attach;
mod check;
mod closing;
mod completions;
mod doctor;
mod effect;
mod exit_code;
mod explain;
mod facts;
mod fail_open;
mod failure;
mod failure_of;
mod freed;
mod history;
mod install_resume_unit;
mod journal;
mod last_words;
mod list;
mod man;
mod may_begin;
mod offline;
mod pause;
mod plan;
mod prompt;
mod prune;
mod rehearse;
mod report;
mod resolve;
mod resume;
mod resume_unit;
mod run;
mod saved_plan;
mod schema;
mod screen;
mod show;
mod site;
mod sitting;
mod source;
mod start;
mod status;
#[cfg(test)]
mod tellings;
mod witness;

use std::path::PathBuf;

use std::io::Write as _;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit_code::Exit;
pub use failure::Failure;

use crate::host::foreign::tame;
use crate::host::own_process::survive_file_limit;
use screen::Screen;
use site::Site;

/// Maintenance runbooks for stateful hosts: planned beforehand, carried across the reboot, proven afterwards.
#[derive(Debug, Parser)]
#[command(
    name = "runbook",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(infer_subcommands = false, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Default, Args)]
struct Global {
    /// Where runs are kept [default: /var/lib/runbook as root, else ./state]
    #[arg(long, global = true, value_name = "DIR", env = "RUNBOOK_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = ["auto", "always", "never"])]
    color: String,
    /// How progress is shown; auto is live on a terminal that somebody watches, else plain; json is for programs
    #[arg(long, global = true, value_name = "HOW", default_value = "auto", env = "RUNBOOK_PROGRESS", value_parser = ["auto", "live", "plain", "json", "none"])]
    progress: String,
    /// Results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Everything, not only what matters most
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Never ask, even on a terminal
    #[arg(long, global = true)]
    no_input: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which runbooks there are
    List,
    /// Show what a runbook does, without looking at the machine
    Show(show::Show),
    /// Validate runbooks; nothing is probed or run
    Check(check::Check),
    /// Rehearse a runbook on this machine, read-only: changes, durations, window
    Plan(plan::Plan),
    /// Record what a plan sees on this machine, to plan and rehearse elsewhere; no secrets
    Facts(facts::RecordFacts),
    /// Play a whole run, reboot included, on a model of the machine in compressed time; nothing is touched
    Rehearse(rehearse::Rehearse),
    /// Plan, ask, and carry it out
    Run(run::Run),
    /// Go on with the unfinished run: after a pause, a failure, a crash or a reboot
    Resume(resume::Resume),
    /// Show where a run stands; the exit code says it too
    Status(status::Status),
    /// Follow the run in progress from a second terminal; ends with its exit code
    Attach(attach::Attach),
    /// Ask the run in progress to stop at the next checkpoint
    Pause(pause::Pause),
    /// Give a run up: back out where service was taken away
    Abort(abort::Abort),
    /// Rule on a step of which nobody knows whether it happened
    Resolve(resolve::Resolve),
    /// Show the journal of a run record by record, or verify it
    Journal(journal::Journal),
    /// Show past runs; `history prune` removes old ones
    History(history::History),
    /// Write the summary of a run
    Report(report::Report),
    /// Say what is missing on this host
    Doctor(doctor::Doctor),
    /// Install the unit that goes on with a run after the boot (a run that reboots does it itself)
    InstallResumeUnit(install_resume_unit::InstallResumeUnit),
    /// Explain a code, a word of a screen, or an exit code
    Explain(explain::Explain),
    /// Print the JSON Schema of runbooks, for editors
    Schema(schema::Schema),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Write the manual pages
    Man(man::Man),
    /// Carry out an order of a run; called by its transient unit
    #[command(hide = true)]
    Effect(effect::RunEffect),
}

/// The definition of the command line, for parsing, manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    let examples = "Examples:\n  runbook plan restart-staging\n  runbook run restart-staging --yes --confirm restart-staging\n  \
                    runbook resume\n";
    Cli::command().after_long_help(format!("{}\n{examples}", Exit::table()))
}

/// Parses the command line; a wrong one ends the program with exit code 2.
#[must_use]
pub fn parse() -> Cli {
    let matches = command().try_get_matches().unwrap_or_else(|told| no_command(&told));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // From the environment it comes back by itself; what was typed must be typed again.
    let typed = matches.value_source("state_dir") == Some(clap::parser::ValueSource::CommandLine);
    if let Some(Ok(path)) = cli.global.state_dir.as_deref().filter(|_| typed).map(std::path::absolute)
        // Where it would be looked for anyway it need not be said.
        && !site::is_usual(&path)
    {
        crate::report::commands_name(&path);
    }
    cli
}

/// Help, the version, or what is wrong with the command line. A help that did not reach the file it was printed to is an error, as every
/// other result is.
fn no_command(told: &clap::Error) -> ! {
    let printed = told.print().and_then(|()| std::io::stdout().flush());
    if let Err(error) = printed
        && !told.use_stderr()
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let failure = cut_short(&error.to_string());
        Screen::new(&Global::default(), false).failure(&failure);
        std::process::exit(failure.exit.code().into());
    }
    std::process::exit(told.exit_code())
}

/// A result that did not reach the file or the disk it was printed to is no result.
fn cut_short(why: &str) -> Failure {
    let text = format!("what was printed on the standard output is cut short: {}", tame(why, 200));
    Failure::say(Exit::Storage, text).hint("print it to a place with room, or into a pipe")
}

/// Before anything else: nobody may look into this process, and not even a bug shows a secret.
pub fn guard_secrets() {
    crate::host::own_process::keep_private();
    last_words::guard_panics();
}

/// What every command works with.
struct Desk {
    site: Site,
    screen: Screen,
    /// `--no-input`.
    no_input: bool,
}

impl Cli {
    /// Carries the command out.
    ///
    /// # Errors
    /// [`Failure`] with its exit code.
    pub async fn call(&self) -> Result<Exit, Failure> {
        survive_file_limit().map_err(|error| Failure::new(Exit::Bug, error))?;
        let site = Site::find(self.global.state_dir.as_deref())?;
        let desk = Desk { site, screen: self.screen(), no_input: self.global.no_input };
        desk.screen.version();
        let exit = self.at(&desk).await?;
        desk.screen.exited(exit);
        self.printed(&desk, exit)
    }

    /// What a command has *done* stays done: those that change something keep their exit code, and say what was not printed.
    fn printed(&self, desk: &Desk, exit: Exit) -> Result<Exit, Failure> {
        let Some(failure) = desk.screen.streams.result.lost().map(cut_short) else { return Ok(exit) };
        if self.command.acts() {
            desk.screen.alert(&format!("runbook: {}\n", failure.reason()));
            return Ok(exit);
        }
        Err(failure)
    }

    async fn at(&self, desk: &Desk) -> Result<Exit, Failure> {
        match &self.command {
            Command::List => list::call(desk),
            Command::Show(show) => show.call(desk),
            Command::Check(check) => check.call(desk),
            Command::Plan(plan) => plan.call(desk).await,
            Command::Facts(facts) => facts.call(desk).await,
            Command::Rehearse(rehearse) => rehearse.call(desk).await,
            Command::Run(run) => run.call(desk).await,
            Command::Resume(resume) => resume.call(desk).await,
            Command::Status(status) => status.call(desk).await,
            Command::Attach(attach) => attach.call(desk).await,
            Command::Pause(pause) => pause.call(desk),
            Command::Abort(abort) => abort.call(desk).await,
            Command::Resolve(resolve) => resolve.call(desk),
            Command::Journal(journal) => journal.call(desk),
            Command::History(history) => history.call(desk),
            Command::Report(report) => report.call(desk),
            Command::Doctor(doctor) => doctor.call(desk).await,
            Command::InstallResumeUnit(install) => install.call(desk).await,
            Command::Explain(explain) => explain.call(desk),
            Command::Schema(schema) => schema.call(desk),
            Command::Completions(completions) => completions.call(desk),
            Command::Man(man) => man.call(desk),
            Command::Effect(effect) => effect.call().await,
        }
    }

    /// Says on the standard error output why the command failed, and gives the exit code.
    #[must_use]
    pub fn tell(&self, failure: &Failure) -> u8 {
        self.screen().failure(failure);
        failure.exit.code()
    }

    fn screen(&self) -> Screen {
        Screen::new(&self.global, self.json())
    }

    /// Whether the standard output is for programs.
    fn json(&self) -> bool {
        match &self.command {
            Command::Check(check) => check.json,
            Command::Plan(plan) => plan.json,
            Command::Status(status) => status.json,
            Command::Journal(journal) => journal.json(),
            Command::History(history) => history.json(),
            Command::Run(run) => run.json || self.global.progress == "json",
            Command::Resume(resume) => resume.json || self.global.progress == "json",
            Command::Abort(_) | Command::Attach(_) => self.global.progress == "json",
            _ => false,
        }
    }
}

impl Command {
    /// Whether it changes something on the machine, in a run or in what is kept.
    fn acts(&self) -> bool {
        match self {
            Self::Run(run) => !run.dry_run,
            Self::InstallResumeUnit(install) => !install.print,
            Self::Resume(_) | Self::Pause(_) | Self::Abort(_) | Self::Resolve(_) | Self::Effect(_) => true,
            Self::List
            | Self::Show(_)
            | Self::Check(_)
            | Self::Plan(_)
            | Self::Facts(_)
            | Self::Rehearse(_)
            | Self::Status(_)
            | Self::Attach(_)
            | Self::Journal(_)
            | Self::History(_)
            | Self::Report(_)
            | Self::Doctor(_)
            | Self::Explain(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}

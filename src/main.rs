//! The program `runbook`: parse, call the command, turn its end into an exit code.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use runbook::cli::{self, Exit, Failure};

fn main() -> ExitCode {
    cli::guard_secrets();
    let cli = cli::parse();
    // Where there are too few descriptors the library panics instead of saying so.
    let runtime = match catch_unwind(|| tokio::runtime::Builder::new_current_thread().enable_all().build()) {
        Ok(Ok(runtime)) => runtime,
        Ok(Err(error)) => return ExitCode::from(cli.tell(&Failure::starved(error))),
        Err(_) => return ExitCode::from(Exit::Bug.code()),
    };
    // A bug must have an exit code of its own: the resume unit tries again after it, and opens after too many.
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(cli.call())));
    // A call that hangs in the kernel (a disk, a network file system) has a thread that nobody can end but the process.
    runtime.shutdown_background();
    ExitCode::from(match ended {
        Ok(Ok(exit)) => exit.code(),
        Ok(Err(failure)) => cli.tell(&failure),
        Err(_) => Exit::Bug.code(),
    })
}

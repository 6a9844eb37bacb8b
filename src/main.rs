//! The program `runbook`: parse, call the command, turn its end into an exit code.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use runbook::cli::{self, Exit, Failure};

fn main() -> ExitCode {
    cli::guard_secrets();
    let cli = cli::parse();
    // A bug must have an exit code of its own: the resume unit tries again after it, and opens after too many.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let starved = "nothing was done: the system gives this process too little (ulimit -n, ulimit -u)";
        let runtime = runtime.map_err(|error| Failure::new(Exit::Bug, error).hint(starved))?;
        runtime.block_on(cli.call())
    }));
    ExitCode::from(match ended {
        Ok(Ok(exit)) => exit.code(),
        Ok(Err(failure)) => cli.tell(&failure),
        Err(_) => Exit::Bug.code(),
    })
}

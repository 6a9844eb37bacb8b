//! What is said when the program ends in another way than by its own end: a panic, and a call to the system that does not come back.
use std::backtrace::BacktraceStatus;
use std::sync::mpsc;
use std::time::Duration;

use super::Exit;
use crate::execute::stop::Urge;
use crate::host::foreign::tame;
use crate::report::{Out, Style, offer};

/// Panics speak through the filter for secrets, and not at all when nobody can hear them: the standard hook would panic again
/// on a dead terminal.
pub(super) fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let said = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let trace = std::backtrace::Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => trace.to_string(),
            _ => String::new(),
        };
        let sink = Out::stderr(Style::PLAIN);
        sink.line(&format!("runbook: a bug of this program, at {place}: {}", tame(&said, 2000)));
        sink.print(&trace);
        sink.line("  what was done is on record, and nothing was begun since");
        sink.line(&format!("  {}", offer("status", "where a run stands, and what can be typed next")));
    }));
}

/// Ends the process when it was asked to leave and a call to the system keeps the run from hearing of it. That call may be the
/// one that writes to the terminal, so the reason is told from a thread that is not waited for for long.
pub(super) fn left_stuck(urge: Urge) {
    const TELLING: Duration = Duration::from_secs(1);
    let exit = if urge == Urge::Now { Exit::HardStop } else { Exit::Terminated };
    let (told, heard) = mpsc::channel();
    let tell = move || {
        let sink = Out::stderr(Style::PLAIN);
        sink.line("runbook: left without a checkpoint: a call to the system does not come back (a disk or terminal that hangs?)");
        sink.line("  what was done is on record; what was under way is settled by evidence");
        sink.line(&format!("  {}", offer("status", "where the run stands")));
        sink.line(&format!("  {}", offer("resume", "goes on with it")));
        let _nobody_waits = told.send(());
    };
    if std::thread::Builder::new().spawn(tell).is_ok() {
        let _late = heard.recv_timeout(TELLING);
    }
    std::process::exit(exit.code().into());
}

//! Signals, heard on a thread of their own: also while a call to the system that does not come back holds the thread that does
//! the work (a state directory on a network file system that went away).
//!
//! Whoever asks to stop is answered by the work itself, at a place where it can stop. If that thread does not even take up
//! another task for a while, it never will, and the program is left as by a power cut, which every run survives.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

/// How long the working thread may be deaf after a request to leave.
const DEAF: Duration = Duration::from_secs(10);

/// What the listener makes of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heed {
    /// Taken down; the work stops when it comes to it.
    Noted,
    /// The same, and the process must end even if the work never comes to it.
    Leave,
}

/// Hears the signals that ask a run to stop, for as long as the process lives. `stuck` is called on the listening thread when
/// the working one (whose runtime this is called in) is deaf after a request to leave; it does not return.
///
/// # Errors
/// The signals cannot be taken over, or there is no thread to be had.
pub fn listen(heed: impl Fn(Signal) -> Heed + Send + 'static, stuck: impl Fn() + Send + 'static) -> io::Result<()> {
    let (work, (ready, begun)) = (Handle::current(), mpsc::channel());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let hears = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match hears {
            Ok(hears) => hears.block_on(hear(&work, &ready, &heed, &stuck)),
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    begun.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for signals ended")))
}

async fn hear(work: &Handle, ready: &mpsc::Sender<io::Result<()>>, heed: &impl Fn(Signal) -> Heed, stuck: &impl Fn()) {
    let kind = |which: Signal| signal(SignalKind::from_raw(which.as_raw()));
    let opened = (|| Ok((kind(Signal::INT)?, kind(Signal::TERM)?, kind(Signal::HUP)?, kind(Signal::TSTP)?)))();
    let (mut int, mut term, mut hup, mut suspend) = match opened {
        Ok(opened) => opened,
        Err(error) => return drop(ready.send(Err(error))),
    };
    drop(ready.send(Ok(())));
    loop {
        let heard = tokio::select! {
            _ = int.recv() => Signal::INT,
            _ = term.recv() => Signal::TERM,
            _ = hup.recv() => Signal::HUP,
            _ = suspend.recv() => Signal::TSTP,
        };
        if heed(heard) == Heed::Leave && tokio::time::timeout(DEAF, work.spawn(async {})).await.is_err() {
            stuck();
        }
    }
}

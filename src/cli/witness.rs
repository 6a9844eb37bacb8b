//! A note beside the host's lock of how far the run is: it lies in memory and outside the state directory, so that a state
//! directory put back from a backup is seen to be older than this boot.
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use super::site::Site;
use crate::event::{Event, Reporter};
use crate::journal::ownership::Witness;
use crate::journal::state::RunState;

fn path(site: &Site) -> PathBuf {
    site.lock.with_file_name("witness")
}

/// What was noted last in this boot; nothing when there is no note or it cannot be read.
pub(super) fn last(site: &Site) -> Option<Witness> {
    let mut line = Vec::new();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags()).open(path(site)).ok()?;
    file.take(4096).read_to_end(&mut line).ok()?;
    Witness::read(&line)
}

fn flags() -> i32 {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    i32::try_from(flags.bits()).unwrap_or(0)
}

/// Notes every durable record, then passes it on. A note that cannot be written is no reason to stop.
pub(super) struct Noting<'a> {
    file: Option<File>,
    next: &'a mut dyn Reporter,
}

impl<'a> Noting<'a> {
    pub(super) fn beside(site: &Site, next: &'a mut dyn Reporter) -> Self {
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags());
        Self { file: options.open(path(site)).ok(), next }
    }
}

impl Reporter for Noting<'_> {
    fn on(&mut self, event: &Event<'_>, state: &RunState) {
        if let (Event::Durable(entry), Some(file)) = (event, &self.file) {
            let witness = Witness { run: entry.run.to_string(), seq: entry.seq, prev: entry.prev.to_string() };
            let _only_a_note = file.write_all_at(&witness.line(), 0);
        }
        self.next.on(event, state);
    }
}

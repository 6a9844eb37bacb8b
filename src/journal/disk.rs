//! The few system calls that append to a journal, behind a trait so that tests can make each of them fail.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// One of the journal's two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Journal,
    Head,
}

/// What appending needs of a disk.
pub(super) trait Disk: Send {
    /// One write at a fixed place; may be short.
    fn write_at(&mut self, part: Part, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// fdatasync; never called again on a part where it failed.
    fn sync(&mut self, part: Part) -> io::Result<()>;
    /// Cuts the journal to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Makes sure that the journal can grow to `len` bytes. False: this file system cannot promise it.
    fn reserve(&mut self, len: u64) -> io::Result<bool>;
}

/// The real thing.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) journal: File,
    pub(super) head: File,
}

impl Files {
    fn of(&self, part: Part) -> &File {
        match part {
            Part::Journal => &self.journal,
            Part::Head => &self.head,
        }
    }
}

impl Disk for Files {
    fn write_at(&mut self, part: Part, bytes: &[u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.of(part).write_at(bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn sync(&mut self, part: Part) -> io::Result<()> {
        // rustix instead of `File::sync_data`: that one repeats after EINTR, and a sync is never repeated here.
        Ok(rustix::fs::fdatasync(self.of(part))?)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.journal.set_len(len)
    }

    /// Blocks are taken without growing the file, so that it stays plain text to its end; unwritten blocks read as NUL
    /// after a power cut, which the reader treats as the end of the log.
    fn reserve(&mut self, len: u64) -> io::Result<bool> {
        match fallocate(&self.journal, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

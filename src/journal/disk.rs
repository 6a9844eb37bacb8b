//! The few system calls that append to a journal, behind a trait so that tests can make each of them fail.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
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

impl Drop for Files {
    /// Lets the journal go. A lock lives as long as the last copy of its descriptor, and a child of ours has one between its fork
    /// and its exec: whoever opens the journal next would find it held by nobody.
    fn drop(&mut self) {
        // One that cannot be let go ends with the descriptor.
        let _ = flock(&self.journal, FlockOperation::Unlock);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_holds_nothing_once_the_journal_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| File::options().create(true).append(true).open(dir.path().join(name)).unwrap();
        let held = |files: &Files| flock(&files.journal, FlockOperation::NonBlockingLockExclusive);
        let files = || Files { journal: open("journal"), head: open("head") };
        let first = files();
        held(&first).unwrap();
        let of_a_child = first.journal.try_clone().unwrap();
        drop(files());
        assert_eq!(held(&files()), Err(Errno::WOULDBLOCK), "another one that is let go takes nothing away");
        drop(first);
        held(&files()).unwrap();
        drop(of_a_child);
    }
}

//! Where the bytes of a journal are: in memory, or on disk and asked for by pieces.
//!
//! Fresh memory for a whole file costs more than the file: the kernel clears and maps every page of it, one fault at a time.
//! A long journal is therefore read into a few small buffers that are used again and again.
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::files::{Directory, FileError, MAX_FILE};

/// Bytes that may be asked for by several threads.
pub(super) trait Bytes: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Those of a range, as far as they are there. `buffer` may hold them.
    fn get<'b>(&'b self, range: Range<usize>, buffer: &'b mut Vec<u8>) -> &'b [u8];

    /// Everything from an offset on.
    fn rest(&self, from: usize) -> Cow<'_, [u8]>;
}

impl Bytes for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn get<'b>(&'b self, range: Range<usize>, _: &'b mut Vec<u8>) -> &'b [u8] {
        let end = range.end.min(<[u8]>::len(self));
        &self[range.start.min(end)..end]
    }

    fn rest(&self, from: usize) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self[from..])
    }
}

/// A file of which nothing is held. It may grow meanwhile; what is added after it was opened is not looked at.
pub(super) struct OnDisk {
    file: File,
    path: PathBuf,
    len: usize,
    failure: Mutex<Option<io::Error>>,
}

impl OnDisk {
    /// A private file, as long as it is now.
    ///
    /// # Errors
    /// [`FileError`]; a file longer than [`MAX_FILE`] is refused.
    pub(super) fn open(dir: &Directory, name: &str) -> Result<Self, FileError> {
        let path = dir.path().join(name);
        let file = dir.file(name, false)?;
        let len = file.metadata().map_err(FileError::std("look at", &path))?.len();
        let len = usize::try_from(len).ok().filter(|len| *len as u64 <= MAX_FILE);
        let len = len.ok_or_else(|| FileError::refused(&path, format!("it is longer than {MAX_FILE} bytes")))?;
        Ok(Self { file, path, len, failure: Mutex::new(None) })
    }

    /// Gives the file back.
    ///
    /// # Errors
    /// What went wrong while it was read: then nothing that was concluded from its bytes counts.
    pub(super) fn close(self) -> Result<(), FileError> {
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), |source| Err(FileError::Io { what: "read", path: self.path, source }))
    }

    /// Fills the buffer from an offset on and gives how much was there.
    fn fill(&self, buffer: &mut [u8], from: usize) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], (from + filled) as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    break;
                }
            }
        }
        filled
    }
}

impl Bytes for OnDisk {
    fn len(&self) -> usize {
        self.len
    }

    fn get<'b>(&'b self, range: Range<usize>, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        let wanted = range.end.min(self.len).saturating_sub(range.start);
        // It only grows, so that its pages are cleared once.
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let filled = self.fill(&mut buffer[..wanted], range.start);
        &buffer[..filled]
    }

    fn rest(&self, from: usize) -> Cow<'_, [u8]> {
        let mut bytes = Vec::new();
        let filled = self.get(from..self.len, &mut bytes).len();
        bytes.truncate(filled);
        Cow::Owned(bytes)
    }
}

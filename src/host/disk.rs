//! One place on disk: what kind of file system it is, whether it survives a reboot, and the room left.
//!
//! The journal of a run that restarts the machine must not live on a tmpfs, and a network file system turns a synced
//! write into a promise of somebody else. Both are told from statfs(2), before anything is written.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use serde::{Deserialize, Serialize};

use crate::host::foreign::named;
use crate::host::small_file::read_text;

/// Enough for thousands of mounts (containers have them).
const MOUNTINFO_MAX: u64 = 4 * 1024 * 1024;

/// How far a file system can be trusted with a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskKind {
    /// A local file system on a block device.
    Disk,
    /// tmpfs or ramfs: gone with the reboot.
    Tmpfs,
    /// NFS, CIFS, FUSE and relatives: locks and syncs are somebody else's word.
    Network,
    /// A container's writable layer: may be thrown away with the container.
    Overlay,
    /// Not in the table.
    Other,
}

/// One look at the file system that holds a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSeen {
    /// Name of the type, `ext4` for the whole ext family (they share one magic number).
    pub fs_type: String,
    /// What that means for a journal.
    pub kind: DiskKind,
    /// Size.
    pub bytes_total: u64,
    /// Bytes that this user may still write (the root reserve is not counted).
    pub bytes_free: u64,
    /// All inodes; 0 where the file system has no such limit (btrfs).
    pub inodes_total: u64,
    /// Inodes left.
    pub inodes_free: u64,
    /// Mounted read-only, also by the kernel after an error.
    pub read_only: bool,
    /// Where it is mounted, if /proc/self/mountinfo says so.
    pub mount_point: Option<PathBuf>,
}

/// Looks at the file system that holds `path`.
///
/// # Errors
/// statfs(2) failed: the path does not exist or its server does not answer. A dead NFS server blocks this call in the
/// kernel; call it from `spawn_blocking` with a deadline where that can happen.
pub fn disk(path: &Path) -> io::Result<DiskSeen> {
    let (raw, flags) = (statfs(path)?, statvfs(path)?.f_flag);
    let (fs_type, kind) = kind_of(raw.f_type.cast_unsigned() & 0xffff_ffff);
    let block = u64::try_from(raw.f_bsize).unwrap_or(0);
    Ok(DiskSeen {
        fs_type,
        kind,
        bytes_total: raw.f_blocks.saturating_mul(block),
        bytes_free: raw.f_bavail.saturating_mul(block),
        inodes_total: raw.f_files,
        inodes_free: raw.f_ffree,
        read_only: flags.contains(StatVfsMountFlags::RDONLY),
        mount_point: mount_point(path),
    })
}

/// Magic numbers of statfs(2), `linux/magic.h`.
fn kind_of(magic: u64) -> (String, DiskKind) {
    let (name, kind) = match magic {
        0xef53 => ("ext4", DiskKind::Disk),
        0x5846_5342 => ("xfs", DiskKind::Disk),
        0x9123_683e => ("btrfs", DiskKind::Disk),
        0xf2f5_2010 => ("f2fs", DiskKind::Disk),
        0x2fc1_2fc1 => ("zfs", DiskKind::Disk),
        0x0102_1994 => ("tmpfs", DiskKind::Tmpfs),
        0x8584_58f6 => ("ramfs", DiskKind::Tmpfs),
        0x6969 => ("nfs", DiskKind::Network),
        0xff53_4d42 => ("cifs", DiskKind::Network),
        0xfe53_4d42 => ("smb2", DiskKind::Network),
        0x6573_5546 => ("fuse", DiskKind::Network),
        0x0102_1997 => ("9p", DiskKind::Network),
        0x00c3_6400 => ("ceph", DiskKind::Network),
        0x794c_7630 => ("overlay", DiskKind::Overlay),
        other => return (format!("0x{other:x}"), DiskKind::Other),
    };
    (name.to_owned(), kind)
}

fn mount_point(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let table = read_text(Path::new("/proc/self/mountinfo"), MOUNTINFO_MAX).ok()?;
    deepest_mount(&table, &path)
}

/// The fifth field of each line is a mount point, octal-escaped (proc(5)); the longest that holds `path` wins, and
/// among equals the last, which lies on top.
fn deepest_mount(table: &str, path: &Path) -> Option<PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4).map(unescape))
        .filter(|point| path.starts_with(point))
        .max_by_key(|point| point.components().count())
        .map(|point| PathBuf::from(named(&point.to_string_lossy(), 4096)))
}

fn unescape(field: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    PathBuf::from(escapes.into_iter().fold(field.to_owned(), |text, (from, to)| text.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_numbers_tell_what_survives_a_reboot() {
        for (magic, name, kind) in [
            (0xef53, "ext4", DiskKind::Disk),
            (0x0102_1994, "tmpfs", DiskKind::Tmpfs),
            (0x9123_683e, "btrfs", DiskKind::Disk),
            (0xff53_4d42, "cifs", DiskKind::Network),
            (0x794c_7630, "overlay", DiskKind::Overlay),
            (0x1234, "0x1234", DiskKind::Other),
        ] {
            assert_eq!(kind_of(magic), (name.to_owned(), kind));
        }
    }

    #[test]
    fn a_temporary_directory_has_room_and_a_mount() {
        let dir = tempfile::tempdir().unwrap();
        let seen = disk(dir.path()).unwrap();
        assert!(seen.bytes_free > 0 && seen.bytes_total >= seen.bytes_free);
        assert!(!seen.read_only);
        assert!(dir.path().canonicalize().unwrap().starts_with(seen.mount_point.unwrap()));
        assert_eq!(disk(Path::new("/nowhere/at/all")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn shared_memory_is_gone_with_the_reboot() {
        match disk(Path::new("/dev/shm")) {
            Ok(seen) => assert_eq!(seen.kind, DiskKind::Tmpfs),
            Err(why) => assert_eq!(why.kind(), io::ErrorKind::NotFound),
        }
    }

    #[test]
    fn the_deepest_mount_wins_and_spaces_are_unescaped() {
        let table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /var rw - ext4 /dev/b rw\n\
                     3 1 8:3 / /mnt/a\\040b rw - ext4 /dev/c rw\n";
        let found = |path: &str| deepest_mount(table, Path::new(path)).unwrap();
        assert_eq!(found("/var/lib/runbook"), Path::new("/var"));
        assert_eq!(found("/variable"), Path::new("/"));
        assert_eq!(found("/mnt/a b/c"), Path::new("/mnt/a b"));
    }
}

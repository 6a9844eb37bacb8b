//! Who may write a file by its POSIX access list (acl(5)), or by its group where it has none.
//!
//! Asked only where the group bits of the mode have a write bit: with a list they are its mask, which bounds all it grants.

use std::path::Path;

use rustix::io::Errno;

const NAME: &str = "system.posix_acl_access";
/// `POSIX_ACL_XATTR_VERSION` of `linux/posix_acl_xattr.h`; entries of eight bytes follow: tag, rights, id.
const VERSION: u32 = 2;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const WRITE: u16 = 0o2;
/// Far more than a file system stores.
const MAX: usize = 65_536;

/// Who may write besides the owner and everybody.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Writers {
    /// By name in the list.
    pub(super) users: Vec<u32>,
    /// The file's group, and those in the list.
    pub(super) groups: Vec<u32>,
    /// There is a list.
    pub(super) listed: bool,
}

/// Reads the list of a file whose group bits have a write bit.
///
/// # Errors
/// A list that cannot be read: then nobody knows who may write.
pub(super) fn writers(path: &Path, gid: u32) -> Result<Writers, String> {
    let mut bytes = vec![0; MAX];
    match rustix::fs::lgetxattr(path, NAME, &mut bytes) {
        Ok(length) => read(&bytes[..length], gid).ok_or_else(|| "has an access list of an unknown form".to_owned()),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(Writers { groups: vec![gid], ..Writers::default() }),
        Err(errno) => Err(format!("has an access list that cannot be read: {errno}")),
    }
}

fn read(bytes: &[u8], gid: u32) -> Option<Writers> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let (entries, odd) = rest.as_chunks::<8>();
    if u32::from_le_bytes(*head) != VERSION || !odd.is_empty() {
        return None;
    }
    let entries = entries.iter().map(|[a, b, c, d, id @ ..]| {
        (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]), u32::from_le_bytes(*id))
    });
    let mask = entries.clone().find(|(tag, ..)| *tag == MASK).map_or(WRITE, |(_, rights, _)| rights);
    let mut found = Writers { listed: true, ..Writers::default() };
    for (tag, rights, id) in entries {
        match tag {
            _ if rights & mask & WRITE == 0 => {}
            USER => found.users.push(id),
            GROUP_OBJ => found.groups.push(gid),
            GROUP => found.groups.push(id),
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
pub(super) fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(tag.to_le_bytes().iter().chain(&rights.to_le_bytes()).chain(&id.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_bounds_what_is_granted() {
        let entries = [
            (1, 6, u32::MAX),
            (USER, 6, 1000),
            (GROUP_OBJ, 4, u32::MAX),
            (GROUP, 6, 50),
            (MASK, 6, u32::MAX),
            (0x20, 4, u32::MAX),
        ];
        let found = read(&list(&entries), 7).unwrap();
        assert_eq!(found, Writers { users: vec![1000], groups: vec![50], listed: true });
        let masked: Vec<_> =
            entries.iter().map(|(tag, rights, id)| (*tag, if *tag == MASK { 4 } else { *rights }, *id)).collect();
        assert_eq!(read(&list(&masked), 7).unwrap(), Writers { listed: true, ..Writers::default() });
    }

    #[test]
    fn what_is_no_list_is_none() {
        for bytes in [&b""[..], b"\x02\0\0", b"\x03\0\0\0", b"\x02\0\0\0\x01"] {
            assert_eq!(read(bytes, 0), None);
        }
    }
}

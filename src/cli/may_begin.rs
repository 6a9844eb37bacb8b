//! What is refused before a plan or a run asks anything: another host, a program that root must not execute again, one home twice.
use std::path::Path;

use super::plan::right_host;
use super::{Desk, Exit, Failure, resume_unit};
use crate::host::off_thread;
use crate::host::safe_file::{self, Trust};
use crate::runbook::Runbook;

/// What is refused before anything is asked: another host, a program of ours that root must not execute again, two places in
/// one home.
pub(super) async fn may_begin(desk: &Desk, runbook: &Runbook) -> Result<(), Failure> {
    right_host(runbook)?;
    resume_unit::own_file_is_roots(&desk.site, runbook.reboots())?;
    one_home_each(runbook).await
}

/// Two PM2 places must not be one home, by links neither: each would record, stop and start the other's apps.
async fn one_home_each(runbook: &Runbook) -> Result<(), Failure> {
    let mut seen: Vec<(&str, (u64, u64))> = Vec::new();
    for (name, place) in &runbook.inventory.pm2 {
        let home = place.home.clone();
        let identity = off_thread::within(off_thread::DISK, &place.home, move || same_directory(&home)).await;
        // What is not there, or cannot be looked at, is told where it is needed.
        let Ok(Some(identity)) = identity else { continue };
        if let Some((first, _)) = seen.iter().find(|(_, known)| *known == identity) {
            let text = format!("`{first}` and `{name}` of `pm2:` lead to the same directory, {}", place.home.display());
            return Err(
                Failure::say(Exit::Refused, text).hint("remove one of the two; `groups` divide the apps of one home")
            );
        }
        seen.push((name, identity));
    }
    Ok(())
}

/// Device and inode of a directory; the comparison follows every link, because it only compares.
fn same_directory(path: &Path) -> Option<(u64, u64)> {
    let (_, stat) = safe_file::directory(path, Trust::Ours).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

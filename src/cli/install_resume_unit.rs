//! `runbook install-resume-unit`: the unit that goes on with a run after the boot, shown or installed beforehand.
use clap::Args;

use super::source::read;
use super::{Desk, Exit, Failure, check, resume_unit};
use crate::host::local::LocalHost;
use crate::host::systemd::resume_unit::{FAIL_OPEN, RESUME};
use crate::host::{Deed, Host};

/// For what.
#[derive(Debug, Args)]
pub(super) struct InstallResumeUnit {
    /// Only show the units
    #[arg(long)]
    pub(super) print: bool,
    /// A runbook whose PM2 homes and credentials the unit has to reach
    #[arg(long, value_name = "NAME")]
    runbook: Option<String>,
}

impl InstallResumeUnit {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let loaded = match &self.runbook {
            Some(name) => Some(check::load(desk, &read(&desk.site, name, true)?)?),
            None => None,
        };
        if !self.print {
            resume_unit::own_file_is_roots(&desk.site, true)?;
        }
        let unit = resume_unit::build(&desk.site, loaded.as_ref().map(|loaded| &loaded.runbook))?;
        let texts = unit.render().map_err(|error| Failure::new(Exit::Refused, error))?;
        if self.print {
            desk.screen.result(&format!("# {RESUME}\n{}\n# {FAIL_OPEN}\n{}", texts.resume, texts.fail_open));
            return Ok(Exit::Done);
        }
        let told = LocalHost::new(Some(unit)).tell(&Deed::InstallResume).await;
        told.map_err(|error| Failure::new(Exit::Failed, error).hint("as root, on a host that systemd runs"))?;
        desk.screen.talk(&format!("{RESUME} is installed and enabled; it does nothing while no run is unfinished\n"));
        Ok(Exit::Done)
    }
}

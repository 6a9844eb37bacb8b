//! One sitting of a run, the same for `run`, `resume` and `abort`: the executor at work, then everything that its ending asks for.
use std::sync::Arc;

use super::last_words::left_stuck;
use super::site::{identity, owner};
use super::{Desk, Exit, Failure, closing, prune, resume_unit};
use crate::execute::{Approve, Book, Ending, Executor, Orders, Stop, Urge};
use crate::host::local::LocalHost;
use crate::host::{Deed, Facts, Host, notice};
use crate::journal::Journal;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::lock::ChildrenLock;
use crate::journal::store::{RunId, Store};
use crate::plan::Plan;
use crate::report::Live;
use crate::runbook::Runbook;

use super::witness::Noting;

/// Everything that a sitting needs. The caller holds the host lock until it is over.
pub(super) struct Sitting<'a> {
    pub(super) desk: &'a Desk,
    pub(super) store: &'a Store,
    pub(super) id: RunId,
    pub(super) runbook: &'a Runbook,
    pub(super) plan: &'a Plan,
    pub(super) baseline: Facts,
    pub(super) host: &'a LocalHost,
    pub(super) children: Arc<ChildrenLock>,
    pub(super) journal: Journal,
    pub(super) live: Option<Live>,
    pub(super) approve: &'a mut dyn Approve,
    pub(super) orders: Orders,
    pub(super) stop: Stop,
    pub(super) detailed: bool,
}

/// How a sitting ended, for whoever must tell people.
pub(super) struct Sat {
    pub(super) ending: Ending,
    pub(super) exit: Exit,
}

impl Sitting<'_> {
    /// Goes on with the run and gives the exit code.
    pub(super) async fn sit(self, opening: Vec<Checkpoint>) -> Result<Exit, Failure> {
        self.through(opening).await.map(|sat| sat.exit)
    }

    /// Goes on with the run; `opening` is written first.
    pub(super) async fn through(mut self, opening: Vec<Checkpoint>) -> Result<Sat, Failure> {
        self.stop.listen(left_stuck).map_err(Failure::starved)?;
        let mut listeners = self.desk.screen.reporters(self.live.as_ref(), self.runbook, self.plan);
        let run_dir = self.store.dir(&self.id)?.path().to_owned();
        let mut reporter = Noting::beside(&self.desk.site, &mut listeners);
        let mut book = Book::new(&mut self.journal, &mut reporter);
        book.write(&opening)?;
        let mut executor = Executor {
            runbook: self.runbook,
            plan: self.plan,
            baseline: &self.baseline,
            run_dir,
            host: self.host,
            book,
            approve: self.approve,
            stop: self.stop.clone(),
            orders: self.orders.clone(),
        };
        let ended = executor.run().await;
        drop(executor);
        self.host.finish_stops().await;
        drop(reporter);
        drop(listeners);
        if let Some(live) = &self.live {
            live.close();
        }
        let ending = ended?;
        if !matches!(ending, Ending::Unknown { .. } | Ending::Paused(Urge::Now)) {
            self.children.release();
        }
        let left_at_once = self.stop.urge() == Urge::Now && self.journal.state().ended().is_none();
        let foreseen = closing::exit_of(&ending, self.detailed, self.store, &self.id);
        let exit = if left_at_once { Exit::HardStop } else { foreseen };
        if self.journal.state().ended().is_some() {
            // `pending` goes last: as long as it is there, the next process knows that something is left to tidy up.
            tidy(self.desk, self.host).await;
            self.store.release(&self.journal)?;
        }
        // The fold is read again with the records, and nobody asks for the baseline: neither need be there twice.
        let over = self.journal.state().ended().is_some();
        drop((self.journal, self.baseline));
        closing::show(self.desk, &self.id, &ending, self.store, true).await;
        if over {
            prune::by_itself(self.desk, self.store);
        }
        Ok(Sat { ending, exit })
    }
}

/// Takes away what only an unfinished run needs. The run is over already: what fails here is said and no more.
pub(super) async fn tidy(desk: &Desk, host: &LocalHost) {
    if !desk.site.root {
        return;
    }
    if resume_unit::installed(&desk.site)
        && let Err(error) = host.tell(&Deed::RemoveResume).await
    {
        desk.screen.alert(&format!("the resume unit is still there: {error}\n"));
    }
    if let Err(why) = notice::remove_login_note(std::path::Path::new(notice::MOTD_DIR)) {
        desk.screen.alert(&format!("{why}\n"));
    }
}

/// The record that begins a sitting of a run that exists already.
pub(super) fn resumed(unattended: bool) -> Result<Checkpoint, Failure> {
    Ok(Checkpoint::Resumed { owner: owner(), boot_id: identity()?.boot_id, unattended })
}

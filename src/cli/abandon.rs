//! `runbook abort --abandon`: the way out of every run, also of one that cannot be gone on with: a damaged journal, a changed
//! runbook, another machine, a run whose directory is gone. Such a run is set aside with a note, never deleted, and whoever does
//! it is told first what nobody can know.
//!
//! The order is always the same: why the host is free is written down, then what only an unfinished run needs is taken away,
//! and `pending` goes last. Whoever dies in between finds a host that is still owned, and the same command goes on. What is
//! said at the end comes from a look: nothing is called done because it was tried.
use super::ask_to_stop::at_work;
use super::freed::{in_the_way, told};
use super::journal::at_pm2;
use super::run::hold;
use super::site::{Identity, identity_or_less, stamps, who};
use super::sitting::tidy;
use super::{Desk, Exit, Failure, resume};
use crate::host::clock;
use crate::host::foreign::tame;
use crate::host::local::LocalHost;
use crate::journal::aside::Aside;
use crate::journal::checkpoint::{Checkpoint, End};
use crate::journal::store::{RunId, Store, StoreError};
use crate::report::{self, call, offer, word};

/// What owns the host.
enum Owner {
    Run(RunId),
    /// `pending` names something that is not there.
    Gone(String, StoreError),
}

/// What was done to it.
enum Done {
    Abandoned(RunId),
    SetAside(RunId, Aside),
    Forgotten(String),
}

pub(super) async fn call_it(desk: &Desk, named: Option<&str>, reason: Option<&str>) -> Result<Exit, Failure> {
    let reason = reason.unwrap_or_default();
    if reason.trim().is_empty() {
        return Err(Failure::say(Exit::Usage, "--abandon needs a reason"));
    }
    let store = desk.site.store()?;
    let done = match owner(desk, &store, named).await {
        Ok(owner) => end(desk, &store, owner, reason).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(done) => Ok(seen(desk, &store, &done)),
        Err(failure) if failure.exit == Exit::Usage => Err(failure),
        Err(failure) => Err(not_done(desk, failure, named, reason)),
    }
}

async fn owner(desk: &Desk, store: &Store, named: Option<&str>) -> Result<Owner, Failure> {
    let other = |owner: &str| {
        let name = tame(named.unwrap_or_default(), 64);
        let text = format!("run {name} is not the unfinished one, that is {owner}");
        Failure::say(Exit::Usage, text).hint(call(&format!("abort {} --abandon --reason TEXT", word(owner))))
    };
    match store.unfinished() {
        Ok(Some(listed)) if named.is_some_and(|name| name != listed.id.as_str()) => Err(other(listed.id.as_str())),
        Ok(Some(listed)) => Ok(Owner::Run(listed.id)),
        Err(StoreError::Dangling { run, .. }) if named.is_some_and(|name| name != run) => Err(other(&run)),
        Err(StoreError::Dangling { run, path }) => Ok(Owner::Gone(run.clone(), StoreError::Dangling { run, path })),
        Err(error) => Err(error.into()),
        Ok(None) => {
            // A process may have died between the last record of its run and its own end.
            resume::sweep(desk, store).await?;
            Err(Failure::say(Exit::Usage, "no run is unfinished").hint(call("history")))
        }
    }
}

async fn end(desk: &Desk, store: &Store, owner: Owner, reason: &str) -> Result<Done, Failure> {
    let identity = identity_or_less();
    let name = match &owner {
        Owner::Run(id) => id.as_str(),
        Owner::Gone(..) => "-",
    };
    let _lock = hold(&desk.site, &identity, name)?;
    match owner {
        Owner::Gone(run, error) => {
            store.note_aside(&run, &note(&error, reason, Vec::new()))?;
            tidy(desk, &LocalHost::new(None)).await;
            store.free(&run)?;
            Ok(Done::Forgotten(run))
        }
        Owner::Run(id) => match store.resume(&id, &identity.machine_id, stamps(&identity.boot_id)) {
            Ok(mut journal) => {
                // Somebody may have ended it while this process waited for the lock.
                if journal.state().ended().is_none() {
                    journal.append(&[Checkpoint::Abandoned { who: who(), reason: reason.to_owned() }])?;
                }
                tidy(desk, &LocalHost::new(None)).await;
                store.release(&journal)?;
                Ok(Done::Abandoned(id))
            }
            Err(error) if error.spoils_the_run() => set_aside(desk, store, id, &identity, &error, reason).await,
            Err(error) => Err(error.into()),
        },
    }
}

/// The run cannot be gone on with, nor can its end be written into it.
async fn set_aside(
    desk: &Desk,
    store: &Store,
    id: RunId,
    identity: &Identity,
    error: &StoreError,
    reason: &str,
) -> Result<Done, Failure> {
    let known = store.inspect(&id).map(|seen| report::doubts(&seen, &identity.boot_id)).unwrap_or_default();
    let note = note(error, reason, known);
    store.note_aside(id.as_str(), &note)?;
    tidy(desk, &LocalHost::new(None)).await;
    store.free(id.as_str())?;
    Ok(Done::SetAside(id, note))
}

fn note(error: &StoreError, reason: &str, known: Vec<String>) -> Aside {
    let found = tame(&error.to_string(), 600);
    Aside { at: clock::now(), who: who(), reason: reason.to_owned(), found, known }
}

/// What a look says afterwards.
fn seen(desk: &Desk, store: &Store, done: &Done) -> Exit {
    let (free, exit) = told(&in_the_way(desk));
    let text = match done {
        Done::Abandoned(id) => {
            let ended = store.fold(id).is_ok_and(|reading| reading.state.ended() == Some(End::Abandoned));
            let what = if ended { "is abandoned" } else { "is over" };
            let report = call(&format!("report {id}"));
            format!("{id} {what}; what it had stopped stays as it is\n  {report}\n{free}")
        }
        Done::SetAside(id, note) => {
            let told = report::set_aside(id.as_str(), note, desk.screen.style());
            let kept = "Nothing on the host was changed, nothing of the run was deleted.";
            format!("{told}{free}{kept}\n{}", by_hand(store, id))
        }
        Done::Forgotten(run) => format!(
            "{}: named and not there. It is forgotten.\n{free}What it had done is not known: look at services and data.\n  \
             systemctl --failed\n  {}\n",
            tame(run, 80),
            call("doctor")
        ),
    };
    desk.screen.alert(&text);
    exit
}

/// Nothing is told as done: who owns the host still does, and what must be done first.
fn not_done(desk: &Desk, failure: Failure, named: Option<&str>, reason: &str) -> Failure {
    let mut lines: Vec<String> =
        failure.hint.iter().flat_map(|hint| hint.lines()).map(|line| line.trim().to_owned()).collect();
    let run = named.map(|name| format!("{} ", word(name))).unwrap_or_default();
    let again = call(&format!("abort {run}--abandon --reason {}", word(reason)));
    if failure.exit == Exit::Held && at_work_now(desk).is_some() {
        let id = at_work_now(desk).unwrap_or_default();
        lines = vec![offer(&format!("abort {id}"), "asks its process to give up, and to back out if it must")];
    }
    lines.push(format!("{again}    once that is done: nothing was freed"));
    failure.hint(lines.join("\n  "))
}

/// The run that a living process works on.
fn at_work_now(desk: &Desk) -> Option<String> {
    let id = desk.site.look().ok()??.unfinished().ok()??.id;
    at_work(&desk.site, &id).then(|| id.to_string())
}

/// What a person does about a run that was set aside, as exact commands.
fn by_hand(store: &Store, id: &RunId) -> String {
    let name = store.inspect(id).ok().and_then(|seen| Some(seen.state.opened()?.runbook_name.clone()));
    let name = name.map(|name| format!(" {}", word(&tame(&name, 80)))).unwrap_or_default();
    let apps: String = at_pm2(store, id).iter().map(|command| format!("             {command}\n")).collect();
    let dir = store.dir(id).map(|dir| dir.path().display().to_string()).unwrap_or_default();
    format!(
        "  Look       systemctl --failed\n{apps}             {}\n  If down    {}\n             \
         (starts what the snapshot wants online, without any check)\n  Evidence   {}\n             {dir}\n",
        call(&format!("doctor{name}")),
        call(&format!("resume {id} --fail-open")),
        call(&format!("journal show {id}")),
    )
}

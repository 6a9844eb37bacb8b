//! Adding and starting apps. Started is not back: that is proven by [`super::prove`] and judged by [`crate::host::pm2::back()`].
use std::sync::Arc;

use super::prove::ended_early;
use super::{Steer, SteerError, answered, at_number, same};
use crate::host::pm2::app::{App, Status};
use crate::host::pm2::listed;
use crate::host::pm2::recipe::Recipe;
use crate::host::pm2::request::{PmId, Request};
use crate::host::pm2::rpc::RpcError;

impl Steer {
    /// Starts an app that is registered and not running, with fresh counters; a running one is left alone. Lifts
    /// `autostart: false`, which PM2 offers no way to restore without a restart: the app given back then says `true`.
    /// Started is not back: judge with [`crate::host::pm2::back()`].
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn start_registered(&self, app: &App) -> Result<App, SteerError> {
        let (id, before) = self.find(app).await?;
        if before.pid.is_some() && matches!(before.status, Status::Online | Status::Launching) {
            return Ok(before);
        }
        let hearing = self.hearing().await;
        if let Some(hearing) = hearing {
            hearing.begin(id);
        }
        let restart = Request::RestartId { id, autostart: (!before.autostart).then_some(true) };
        let asked = tokio::select! {
            asked = self.rpc.call_within(&restart, before.start_deadline()) => asked,
            () = ended_early(hearing, id, before.autorestart) => Err(RpcError::Unknown {
                method: restart.method(),
                why: "it ended before it was ready".to_owned(),
            }),
        };
        self.order(id);
        if let Some(started) = asked.as_ref().ok().and_then(|answer| answered(answer, &before.key))
            && started.pid.is_some()
        {
            return Ok(started);
        }
        // A one-shot may be over by the time of the list: then its start time tells.
        let started = |now: &App| now.pid.is_some() || now.uptime_started != before.uptime_started;
        let what = format!("start `{}`", app.key.name);
        self.settle(&what, asked, |listed| at_number(listed, id, &app.key).filter(|now| started(now))).await
    }

    /// Adds an app as stopped. Nothing is started.
    ///
    /// # Errors
    /// [`SteerError`]. After [`SteerError::Unknown`] compare the list before registering again: PM2 never merges equals.
    pub async fn register(&self, recipe: &Recipe) -> Result<App, SteerError> {
        let app = self.prepare(recipe, Request::Register(Box::new(recipe.clone())), "register").await?;
        // Known from now on, so that nobody adds it again because a list from before lacks it.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_mut()
            && !kept.apps.iter().any(|known| known.pm_id == app.pm_id)
        {
            listed::add(Arc::make_mut(&mut kept.apps), app.clone());
            self.orders().extend(app.pm_id.map(|id| (id, 0)));
        }
        Ok(app)
    }

    /// Adds and starts an app.
    ///
    /// # Errors
    /// As [`Steer::register`], and [`SteerError::Missing`]: without its log directory the app would be lost from the list.
    pub async fn start_new(&self, recipe: &Recipe) -> Result<App, SteerError> {
        if let Some((what, missing)) = recipe.missing().await {
            return Err(SteerError::Missing { app: recipe.app().key.name, what, missing });
        }
        self.prepare(recipe, Request::StartNew(Box::new(recipe.clone())), "start").await
    }

    /// Starts a watched app so that it is watched as before: only an app that is added running gets its watcher back, so
    /// the stopped registration is deleted first. A crash between the two leaves the app unlisted; the next comparison
    /// with the snapshot registers it again.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn start_watched(&self, registered: &App, recipe: &Recipe) -> Result<App, SteerError> {
        self.delete_app(registered).await?;
        self.start_new(recipe).await
    }

    async fn prepare(&self, recipe: &Recipe, request: Request, word: &str) -> Result<App, SteerError> {
        let key = recipe.app().key;
        let hearing = self.hearing().await;
        let known: Vec<PmId> = self.recent(None).await?.iter().filter_map(|app| app.pm_id).collect();
        let asked = self.rpc.call(&request).await;
        let told = asked.as_ref().ok().and_then(|answer| answered(answer.get(0)?, &key));
        if let Some(id) = told.as_ref().and_then(|app| app.pm_id) {
            self.order(id);
            if let Some(hearing) = hearing {
                hearing.whole_from_birth(id);
            }
        }
        if let Some(app) = told.clone().filter(|app| app.pm_id.is_some() && (word == "register" || app.pid.is_some())) {
            return Ok(app);
        }
        let told = told.and_then(|app| app.pm_id);
        let what = format!("{word} `{}`", key.name);
        let taken: Vec<PmId> = self.orders().keys().copied().collect();
        self.settle(&what, asked, |listed| {
            let unknown = |id: PmId| !known.contains(&id) && !taken.contains(&id);
            let new = |app: &&App| app.pm_id.is_some_and(|id| told.map_or(unknown(id), |told| told == id));
            listed.iter().find(|app| new(app) && same(&app.key, &key)).cloned()
        })
        .await
    }
}

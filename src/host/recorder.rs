//! A probe that writes down what is asked through it: the way in which facts are recorded.
//!
//! The planner is the one who knows what a runbook asks. So facts are recorded by planning over this probe, and hold
//! exactly what a plan on another machine will ask again.

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;

use super::ask::{Answer, Ask, HttpAsk};
use super::facts::Facts;
use super::shown::Untrusted;
use super::{HostError, Pending, Probe};

/// Makes of the body of an HTTP answer what may be recorded of it.
type Bare<'a> = Box<dyn Fn(&HttpAsk, &str) -> Option<String> + 'a>;

/// See the module.
pub struct Recorder<'a> {
    under: &'a dyn Probe,
    facts: RefCell<Facts>,
    bare: Bare<'a>,
}

impl<'a> Recorder<'a> {
    /// Nothing recorded yet.
    #[must_use]
    pub fn over(under: &'a dyn Probe) -> Self {
        Self {
            under,
            facts: RefCell::new(Facts::new(under.now(), under.uptime().as_secs_f64())),
            bare: Box::new(|_, _| None),
        }
    }

    /// The same, keeping of the body of an HTTP answer what `bare` makes of it; otherwise none is kept.
    #[must_use]
    pub fn keeping(self, bare: impl Fn(&HttpAsk, &str) -> Option<String> + 'a) -> Self {
        Self { bare: Box::new(bare), ..self }
    }

    /// What was asked, with the answers.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.facts.borrow().clone()
    }

    async fn record(&self, ask: &Ask) -> Result<Answer, HostError> {
        let answered = self.under.ask(ask).await;
        if travels(ask) {
            let mut facts = self.facts.borrow_mut();
            match &answered {
                Ok(answer) => facts.put(ask.clone(), self.bare(ask, answer.clone())),
                Err(error) => drop(facts.unanswered.insert(ask.about(), error.to_string())),
            }
        }
        answered
    }

    /// An answer without what may be secret: the body of an HTTP answer. What asks it is unanswered then, not "no".
    fn bare(&self, ask: &Ask, mut answer: Answer) -> Answer {
        if let (Ask::Http(ask), Answer::Http(seen)) = (ask, &mut answer) {
            let kept = (self.bare)(ask, seen.body.raw());
            seen.cut = kept.is_none() && (seen.cut || !seen.body.raw().is_empty());
            seen.body = Untrusted::new(kept.unwrap_or_default());
        }
        answer
    }
}

/// Whether an answer means anything beyond the moment and the machine: what is recorded is named here. Log lines stay where
/// they are: services write secrets into them. Who owns a program counts when it is run.
fn travels(ask: &Ask) -> bool {
    match ask {
        Ask::Machine | Ask::Redis(_) | Ask::IncrCost(_) | Ask::Unit(_) | Ask::Inhibitors | Ask::Pm2(_) => true,
        Ask::Disk(_) | Ask::Http(_) | Ask::Tcp(_) | Ask::ResumeUnit => true,
        Ask::LoadProgress { .. } | Ask::LogTail { .. } | Ask::Snapshot { .. } => false,
        Ask::Pm2List(_) | Ask::Pressure | Ask::Program(_) => false,
    }
}

impl Probe for Recorder<'_> {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        Box::pin(self.record(ask))
    }

    fn now(&self) -> Timestamp {
        self.under.now()
    }

    fn uptime(&self) -> Duration {
        self.under.uptime()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ask::HttpAsk;
    use crate::host::model::{Model, sample};

    #[tokio::test]
    async fn answers_are_recorded_without_bodies_and_failures_with_their_reason() {
        let mut facts = sample::small();
        let http = HttpAsk { url: "http://127.0.0.1:1/x".into(), headers: Vec::new(), tls: None, within: None };
        facts.put(Ask::Http(http.clone()), Answer::Http(sample::http_ok("{\"token\":\"hush\"}")));
        let host = Model::of(facts);
        let recorder = Recorder::over(&host);
        let on: &dyn Probe = &recorder;
        assert!(on.http(&http).await.unwrap().body.raw().contains("hush"), "who asks now is told everything");
        assert!(on.tcp("127.0.0.1:2").await.is_err());
        assert!(on.pm2_list(&sample::place()).await.is_ok());
        on.log_tail(std::path::Path::new("/x"), crate::host::ask::LogOf::User(0)).await.unwrap();
        let seen = recorder.facts();
        let Some(Answer::Http(told)) = seen.get(&Ask::Http(http.clone())) else { panic!("{seen:?}") };
        assert!(told.body.raw().is_empty() && told.cut && told.status == 200);
        assert_eq!((seen.answers.len(), seen.unanswered.len()), (1, 1));
        assert!(seen.unanswered.contains_key("tcp 127.0.0.1:2"));

        let keeping =
            Recorder::over(&host).keeping(|ask, body| ask.url.ends_with("/x").then(|| body.len().to_string()));
        (&keeping as &dyn Probe).http(&http).await.unwrap();
        let seen = keeping.facts();
        let Some(Answer::Http(told)) = seen.get(&Ask::Http(http)) else { panic!("{seen:?}") };
        assert_eq!((told.body.raw(), told.cut), ("16", false));
    }
}

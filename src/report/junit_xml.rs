//! JUnit XML as CI servers read it: suites of cases, each passed, skipped or not. Written event by event with `quick-xml`, which
//! escapes; what XML 1.0 cannot hold at all is left out.
use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// A document.
pub(super) struct Document {
    pub(super) name: String,
    pub(super) time: Duration,
    pub(super) suites: Vec<Suite>,
}

/// A suite of cases.
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) time: Option<Duration>,
    pub(super) cases: Vec<Case>,
}

/// One case.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) class: String,
    pub(super) time: Option<Duration>,
    /// The property `action`.
    pub(super) action: Option<String>,
    pub(super) verdict: Verdict,
    pub(super) said: String,
}

/// How a case ended.
pub(super) enum Verdict {
    Passed,
    /// Not tried, with the reason.
    Skipped(String),
    /// Tried, and it is not as it should be.
    Failure(Trouble),
    /// Nobody knows how it ended.
    Error(Trouble),
}

/// Why a case did not pass.
pub(super) struct Trouble {
    pub(super) kind: &'static str,
    pub(super) message: String,
    pub(super) more: String,
}

/// Cases of a kind in one suite or in all.
struct Counts([usize; 4]);

impl Counts {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut counts = [0; 4];
        for case in cases {
            counts[0] += 1;
            match case.verdict {
                Verdict::Passed => {}
                Verdict::Skipped(_) => counts[1] += 1,
                Verdict::Failure(_) => counts[2] += 1,
                Verdict::Error(_) => counts[3] += 1,
            }
        }
        Self(counts)
    }

    fn on(&self, tag: &mut Tag, order: [usize; 4]) {
        let names = ["tests", "skipped", "failures", "errors"];
        order.iter().for_each(|n| tag.put(names[*n], &self.0[*n].to_string()));
    }
}

impl Document {
    /// As text.
    ///
    /// # Errors
    /// [`io::Error`], which writing into memory does not cause.
    pub(super) fn written(&self) -> io::Result<String> {
        let mut out = Out(Writer::new_with_indent(Vec::new(), b' ', 4));
        out.0.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let mut tag = Tag::new("testsuites").with("name", &self.name);
        Counts::of(self.suites.iter().flat_map(|suite| &suite.cases)).on(&mut tag, [0, 1, 2, 3]);
        out.around(tag.timed(Some(self.time)), |out| self.suites.iter().try_for_each(|suite| out.suite(suite)))?;
        let mut bytes = out.0.into_inner();
        bytes.push(b'\n');
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

/// A start tag in the making.
struct Tag(BytesStart<'static>, &'static str);

impl Tag {
    fn new(name: &'static str) -> Self {
        Self(BytesStart::new(name), name)
    }

    fn put(&mut self, key: &'static str, value: &str) {
        self.0.push_attribute((key, allowed(value).as_str()));
    }

    fn with(mut self, key: &'static str, value: &str) -> Self {
        self.put(key, value);
        self
    }

    fn timed(self, time: Option<Duration>) -> Self {
        match time {
            Some(time) => self.with("time", &format!("{:.3}", time.as_secs_f64())),
            None => self,
        }
    }
}

struct Out(Writer<Vec<u8>>);

impl Out {
    fn around(&mut self, tag: Tag, inside: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.0.write_event(Event::Start(tag.0))?;
        inside(self)?;
        self.0.write_event(Event::End(BytesEnd::new(tag.1)))
    }

    fn text(&mut self, tag: Tag, text: &str) -> io::Result<()> {
        let text = allowed(text);
        self.around(tag, |out| out.0.write_event(Event::Text(BytesText::new(&text))))
    }

    fn suite(&mut self, suite: &Suite) -> io::Result<()> {
        let mut tag = Tag::new("testsuite").with("name", &suite.name);
        Counts::of(suite.cases.iter()).on(&mut tag, [0, 1, 3, 2]);
        self.around(tag.timed(suite.time), |out| suite.cases.iter().try_for_each(|case| out.case(case)))
    }

    fn case(&mut self, case: &Case) -> io::Result<()> {
        let tag = Tag::new("testcase").with("name", &case.name).with("classname", &case.class).timed(case.time);
        self.around(tag, |out| {
            if let Some(action) = &case.action {
                let property = Tag::new("property").with("name", "action").with("value", action);
                out.around(Tag::new("properties"), |out| out.0.write_event(Event::Empty(property.0)))?;
            }
            let trouble =
                |name, trouble: &Trouble| Tag::new(name).with("message", &trouble.message).with("type", trouble.kind);
            match &case.verdict {
                Verdict::Passed => {}
                Verdict::Skipped(why) => out.0.write_event(Event::Empty(Tag::new("skipped").with("message", why).0))?,
                Verdict::Failure(why) => out.text(trouble("failure", why), &why.more)?,
                Verdict::Error(why) => out.text(trouble("error", why), &why.more)?,
            }
            out.text(Tag::new("system-out"), &case.said)
        })
    }
}

/// The characters of XML 1.0 (section 2.2).
fn allowed(text: &str) -> String {
    text.chars().filter(|one| matches!(one, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)).collect()
}

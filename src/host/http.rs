//! One bounded HTTP GET, for health gates.
//!
//! No redirects, no proxy from the environment, no more than 256 KiB, one deadline for name lookup, connection and
//! body together. TLS is verified with rustls (ring) against the store of this host, or the one
//! authority that the runbook names; there is no switch to turn that off.

use std::io::Read;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::host::clock;
use crate::host::foreign::{Shown, Untrusted, named, tame};
use crate::host::span::words;
use crate::host::tls::{Tls, TlsError};

const BODY_MAX: u64 = 256 * 1024;
const HEADERS_MAX: usize = 16 * 1024;
/// The blocking call has its own deadline; this is what it may take to notice.
const SLACK: Duration = Duration::from_secs(2);
/// Headers worth showing; everything else is dropped unread.
const SHOWN: [&str; 5] = ["content-type", "content-length", "location", "retry-after", "server"];

/// What a server answered, whatever the status.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSeen {
    /// Status code; redirects are answers like any other.
    pub status: u16,
    /// A few headers, tamed, names in lower case.
    pub headers: Vec<(String, Shown)>,
    /// The first 256 KiB, as text.
    pub body: Untrusted,
    /// Whether there was more.
    pub cut: bool,
    /// From the lookup to the last byte.
    pub took: Duration,
}

/// The body stays out of debug output: it is foreign and may be long or secret.
impl std::fmt::Debug for HttpSeen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.body.raw().len();
        out.debug_struct("HttpSeen").field("status", &self.status).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpError {
    /// Not a URL, or a scheme that is not http or https.
    #[error("{url} is not an http or https address: {why}")]
    BadUrl {
        /// As given, without user part and query.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The deadline passed.
    #[error("{url} gave no complete answer within {}: is it still starting?", words(*.waited))]
    Silent {
        /// Without user part and query.
        url: String,
        /// The deadline.
        waited: Duration,
    },
    /// Connection, TLS or protocol.
    #[error("{url} does not answer: {why}")]
    Failed {
        /// Without user part and query.
        url: String,
        /// The reason.
        why: Shown,
    },
}

/// GETs `url` with extra headers (values may be secrets: they appear in no error). A status is an answer, never an error.
///
/// # Errors
/// [`HttpError`]: no answer came.
pub async fn get(
    url: &str,
    headers: &[(String, String)],
    tls: Option<&Tls>,
    deadline: Duration,
) -> Result<HttpSeen, HttpError> {
    let shown = shown_url(url);
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(HttpError::BadUrl { url: shown, why: "write http:// or https:// in front".to_owned() });
    }
    let (url, headers, place) = (url.to_owned(), headers.to_vec(), shown.clone());
    let tls = url.starts_with("https://").then(|| tls.cloned().unwrap_or_default());
    let call = tokio::task::spawn_blocking(move || {
        let failed = |why: TlsError| HttpError::Failed { url: place.clone(), why: tame(&why.to_string(), 200) };
        let trusted = tls.map(|tls| trusted(&tls)).transpose().map_err(failed)?;
        blocking_get(&config(deadline, trusted).new_agent(), &url, &headers, deadline, &place)
    });
    match tokio::time::timeout(deadline.saturating_add(SLACK), call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(HttpError::Failed { url: shown, why: "the call was cut off".into() }),
        Err(_) => Err(HttpError::Silent { url: shown, waited: deadline }),
    }
}

/// Without `user:password@` and without the query, where tokens travel.
fn shown_url(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or("");
    let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or("");
    named(&if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{host}/{path}") }, 200)
}

pub(super) fn blocking_get(
    agent: &ureq::Agent,
    url: &str,
    headers: &[(String, String)],
    deadline: Duration,
    shown: &str,
) -> Result<HttpSeen, HttpError> {
    let begun = clock::boottime();
    let failed = |why: ureq::Error| error(why, shown, deadline);
    let mut request = agent.get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut response = request.call().map_err(failed)?;
    let mut bytes = Vec::new();
    let reader = response.body_mut().as_reader();
    reader.take(BODY_MAX + 1).read_to_end(&mut bytes).map_err(|why| failed(ureq::Error::from(why)))?;
    let whole = usize::try_from(BODY_MAX).unwrap_or(usize::MAX);
    let cut = bytes.len() > whole;
    bytes.truncate(whole);
    Ok(HttpSeen {
        status: response.status().as_u16(),
        headers: few_headers(response.headers()),
        body: Untrusted::new(String::from_utf8_lossy(&bytes).into_owned()),
        cut,
        took: clock::boottime().saturating_sub(begun),
    })
}

/// The authorities of a target, or of this host; the bundled web roots where this host has none.
fn trusted(tls: &Tls) -> Result<TlsConfig, TlsError> {
    let known = tls.authorities()?;
    let roots = if known.is_empty() {
        RootCerts::WebPki
    } else {
        RootCerts::from(known.iter().map(|one| Certificate::from_der(one).to_owned()))
    };
    Ok(TlsConfig::builder().root_certs(roots).build())
}

/// Everything that an answer is held to.
pub(super) fn config(deadline: Duration, tls: Option<TlsConfig>) -> ureq::config::Config {
    ureq::Agent::config_builder()
        .tls_config(tls.unwrap_or_default())
        .timeout_global(Some(deadline))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(HEADERS_MAX)
        .max_idle_connections(0)
        .proxy(None)
        .user_agent("runbook")
        .build()
}

fn few_headers(headers: &ureq::http::HeaderMap) -> Vec<(String, Shown)> {
    let wanted = SHOWN.iter().filter_map(|&name| Some((name, headers.get(name)?)));
    wanted.map(|(name, value)| (name.to_owned(), tame(&String::from_utf8_lossy(value.as_bytes()), 200))).collect()
}

fn error(why: ureq::Error, shown: &str, waited: Duration) -> HttpError {
    let url = shown.to_owned();
    match why {
        ureq::Error::Timeout(_) => HttpError::Silent { url, waited },
        ureq::Error::Io(inner) if inner.kind() == std::io::ErrorKind::TimedOut => HttpError::Silent { url, waited },
        // Both may repeat what was given, secrets included.
        ureq::Error::BadUri(_) => HttpError::BadUrl { url, why: "it cannot be parsed".to_owned() },
        ureq::Error::Http(_) => {
            HttpError::BadUrl { url, why: "the address or a header has forbidden characters".into() }
        }
        other => HttpError::Failed { url, why: tame(&other.to_string(), 200) },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::host::tls::testbed::Authority;

    /// Answers one request with `reply` and returns what was asked.
    fn serve(reply: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health?token=s3cret", door.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = door.accept().unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            let _hung_up = stream.write_all(&reply);
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        (url, server)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn any_status_is_an_answer_and_redirects_are_not_followed() {
        let reply = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 2\r\nX: y\r\n\r\nok";
        let (url, server) = serve(reply.into());
        let seen = get(&url, &[("Authorization".into(), "Bearer x".into())], None, LONG).await.unwrap();
        assert_eq!((seen.status, seen.body.raw(), seen.cut), (302, "ok", false));
        assert!(seen.headers.contains(&("location".into(), "http://169.254.169.254/".into())));
        assert!(!seen.headers.iter().any(|(name, _)| name == "x"));
        let asked = server.join().unwrap().to_lowercase();
        assert!(asked.contains("authorization: bearer x"), "{asked}");
    }

    #[tokio::test]
    async fn a_long_body_is_cut() {
        let mut reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        reply.resize(reply.len() + 3 * 1024 * 1024, b'x');
        let (url, _server) = serve(reply);
        let seen = get(&url, &[], None, LONG).await.unwrap();
        assert!(seen.cut);
        assert_eq!(seen.body.raw().len(), 256 * 1024);
    }

    #[tokio::test]
    async fn no_answer_is_silent_and_secrets_stay_out() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap();
        let url = format!("http://user:pass@{address}/x?token=s3cret");
        let said = get(&url, &[], None, Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(&said, HttpError::Silent { .. }), "{said}");
        assert!(!said.to_string().contains("s3cret") && !said.to_string().contains("pass@"), "{said}");
        drop(door);
        let said = get(&url, &[], None, LONG).await.unwrap_err();
        assert!(matches!(&said, HttpError::Failed { .. }), "{said}");
        for bad in ["ftp://x/", "127.0.0.1:80", "http://a b/"] {
            assert!(matches!(get(bad, &[], None, LONG).await, Err(HttpError::BadUrl { .. })), "{bad}");
        }
        let header = [("X".to_owned(), "s3cret\n".to_owned())];
        let said = get("http://127.0.0.1:1/", &header, None, LONG).await.unwrap_err().to_string();
        assert!(!said.contains("s3cret"), "{said}");
    }

    #[tokio::test]
    async fn only_the_named_authority_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (Authority::new(dir.path(), "ours"), Authority::new(dir.path(), "theirs"));
        let shown = ours.issue("good", "127.0.0.1", |_| {}).server();
        let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/health", door.local_addr().unwrap());
        tokio::spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(shown);
            while let Ok((stream, _)) = door.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let _asked = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
                let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _hung_up = tokio::io::AsyncWriteExt::write_all(&mut stream, reply).await;
                let _closed = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
            }
        });
        assert_eq!(get(&url, &[], Some(&ours.trusted()), LONG).await.unwrap().body.raw(), "ok");
        for tls in [Some(theirs.trusted()), None] {
            let said = get(&url, &[], tls.as_ref(), LONG).await.unwrap_err().to_string();
            assert!(said.contains("UnknownIssuer"), "{said}");
        }
    }
}

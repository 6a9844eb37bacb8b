//! TLS to an instance: every certificate that must not be believed is named and refused, nothing is ever said in plain text,
//! and a real server that asks for our certificate is spoken to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::host::redis::testbed::{Testbed, until};
use crate::host::redis::*;
use crate::host::tls::Tls;
use crate::host::tls::testbed::{Authority, Pair, Params, Purpose, long_over, not_yet};

/// A server that shows this certificate and counts what it is told once the handshake stands.
async fn shows(pair: &Pair) -> (String, Arc<AtomicUsize>) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", door.local_addr().unwrap());
    let told = Arc::new(AtomicUsize::new(0));
    let (acceptor, count) = (TlsAcceptor::from(pair.server()), Arc::clone(&told));
    tokio::spawn(async move {
        while let Ok((stream, _)) = door.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut heard = [0; 512];
            count.fetch_add(stream.read(&mut heard).await.unwrap_or(0), Ordering::SeqCst);
        }
    });
    (url, told)
}

fn at(url: &str, tls: Tls) -> RedisAt {
    RedisAt { url: url.into(), user: None, password: None, kind: RedisKind::Redis, tls: Some(tls) }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_believed_closes_the_door_before_a_word_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(dir.path(), "ours"), Authority::new(dir.path(), "theirs"));
    let other_dir = tempfile::tempdir().unwrap();
    let forger = Authority::new(other_dir.path(), "ours");
    let only_client = |params: &mut Params| {
        params.purpose = Purpose::Client;
    };
    let good = |_: &mut Params| {};
    let elsewhere = Tls { name: Some("cache.example".into()), ..ours.trusted() };
    let stranger = ours.issue("stranger", "127.0.0.1", good);
    let cases = [
        ("over", ours.issue("over", "127.0.0.1", long_over), ours.trusted(), "ended at 2001-12-31"),
        ("early", ours.issue("early", "127.0.0.1", not_yet), ours.trusted(), "not valid before 2090-01-01"),
        ("name", ours.issue("name", "10.9.8.7", good), ours.trusted(), "not for 127.0.0.1"),
        ("wanted", ours.issue("wanted", "127.0.0.1", good), elsewhere, "not for cache.example"),
        ("issuer", theirs.issue("issuer", "127.0.0.1", good), ours.trusted(), "write `tls: { ca: FILE }`"),
        ("purpose", ours.issue("purpose", "127.0.0.1", only_client), ours.trusted(), "issue it with serverAuth"),
        // The store of this host has never heard of an authority of a test.
        ("store", ours.issue("store", "127.0.0.1", good), Tls::default(), "tls: { ca: FILE }"),
        // The authority's name without its key: a forgery.
        ("forged", forger.issue("forged", "127.0.0.1", good), ours.trusted(), "certificate"),
    ];
    for (name, pair, tls, wanted) in cases {
        let (url, told) = shows(&pair).await;
        match look(&at(&url, tls)).await.door {
            Door::Untrusted { text } => assert!(text.contains(wanted), "{name}: {text}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(told.load(Ordering::SeqCst), 0, "{name}: something was said");
    }
    let (url, _) = shows(&stranger).await;
    let unreadable = Tls { ca: Some(dir.path().join("none")), ..Tls::default() };
    let lonely = Tls { cert: Some(ours.ca.clone()), ..ours.trusted() };
    let mixed = Tls { cert: Some(ours.ca.clone()), ..stranger.shown(ours.trusted()) };
    for (tls, wanted) in [(unreadable, "cannot be read"), (lonely, "has no key"), (mixed, "of one pair")] {
        let door = look(&at(&url, tls)).await.door;
        assert!(matches!(&door, Door::Untrusted { text } if text.contains(wanted)), "{door:?}");
    }
}

#[tokio::test]
async fn a_plain_port_is_never_spoken_to_in_plain_text_and_a_tls_port_is_recognised() {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = door.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        let (mut stream, _) = door.accept().await.unwrap();
        let mut heard = [0; 512];
        let count = stream.read(&mut heard).await.unwrap();
        stream.write_all(b"-ERR Protocol error\r\n").await.unwrap();
        heard[..count].to_vec()
    });
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ours");
    let door = look(&at(&format!("rediss://127.0.0.1:{port}"), ours.trusted())).await.door;
    assert!(matches!(&door, Door::Untrusted { text } if text.contains("the plain port?")), "{door:?}");
    assert!(plain.await.unwrap().starts_with(&[0x16, 0x03]), "a handshake, and nothing else");

    let (url, _) = shows(&ours.issue("good", "127.0.0.1", |_| {})).await;
    let plainly = RedisAt { tls: None, ..at(&url.replace("rediss", "redis"), Tls::default()) };
    let door = look(&plainly).await.door;
    assert!(matches!(&door, Door::NotRedis { text } if text.contains("rediss://")), "{door:?}");
}

#[tokio::test]
async fn a_real_server_that_wants_our_certificate() {
    let papers = tempfile::tempdir().unwrap();
    let ours = Authority::new(papers.path(), "ours");
    let server = ours.issue("server", "127.0.0.1", |_| {});
    let us = ours.issue("us", "runbook", |params| {
        params.purpose = Purpose::Client;
    });
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port_text, text) = (port.to_string(), |path: &std::path::Path| path.display().to_string());
    let (cert, key, ca) = (text(&server.cert), text(&server.key), text(&ours.ca));
    let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let args = [&["--tls-port", port_text.as_str(), "--bind", "127.0.0.1"][..], &files].concat();
    let Some(bed) = Testbed::start(&args).await else { return };
    if bed.log().contains("TLS") && bed.log().contains("not support") {
        return;
    }
    let url = format!("rediss://127.0.0.1:{port}");
    let open = at(&url, us.shown(ours.trusted()));
    let seen = until("the TLS port is open", async || {
        let seen = look(&open).await;
        (seen.door != Door::Refused).then_some(seen)
    })
    .await;
    assert_eq!(seen.door, Door::Open);
    let facts = seen.facts.unwrap();
    assert_eq!(facts.server.process_id, Some(bed.pid()));
    assert!(facts.files.is_some() && facts.certified_until.is_some(), "{facts:?}");
    assert_eq!(request_rewrite(&open).await.map(|_| ()), Ok(()));

    let unknown = look(&at(&url, ours.trusted())).await.door;
    assert!(matches!(&unknown, Door::Untrusted { text } if text.contains("certificate of ours")), "{unknown:?}");
}

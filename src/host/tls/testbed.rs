//! Test support: authorities and certificates made for one test, and servers that show them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Tls;
use crate::host::secret::SecretRef;

/// An authority with its certificate in a file.
pub(crate) struct Authority {
    dir: PathBuf,
    pub(crate) ca: PathBuf,
    name: String,
    key: EcdsaKeyPair,
}

/// A certificate and its key, in files.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Server,
    Client,
    Authority,
}

/// What is written into a certificate. Times are as DER has them: `YYYYMMDDHHMMSSZ`.
pub(crate) struct Params {
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
    pub(crate) purpose: Purpose,
}

impl Params {
    fn of(purpose: Purpose) -> Self {
        Self { not_before: "20200101000000Z", not_after: "20991231000000Z", purpose }
    }
}

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let (key, _) = new_key();
        let own = certificate(&Params::of(Purpose::Authority), name, None, &key, name, &key);
        let ca = write(dir, &format!("{name}.crt"), &pem("CERTIFICATE", &own));
        Self { dir: dir.to_owned(), ca, name: name.to_owned(), key }
    }

    /// A certificate of a server at `host`, changed by `how`.
    pub(crate) fn issue(&self, name: &str, host: &str, how: impl FnOnce(&mut Params)) -> Pair {
        let mut params = Params::of(Purpose::Server);
        how(&mut params);
        let (key, secret) = new_key();
        let cert = certificate(&params, name, Some(host), &key, &self.name, &self.key);
        Pair {
            cert: write(&self.dir, &format!("{name}.crt"), &pem("CERTIFICATE", &cert)),
            key: write(&self.dir, &format!("{name}.key"), &pem("PRIVATE KEY", &secret)),
        }
    }

    /// Trusts this authority, and nobody else.
    pub(crate) fn trusted(&self) -> Tls {
        Tls { ca: Some(self.ca.clone()), ..Tls::default() }
    }
}

impl Pair {
    pub(crate) fn shown(&self, tls: Tls) -> Tls {
        Tls { cert: Some(self.cert.clone()), key: Some(SecretRef::File(self.key.clone())), ..tls }
    }

    /// A server that shows this certificate and asks for none.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

/// Valid in 2001 only.
pub(crate) fn long_over(params: &mut Params) {
    (params.not_before, params.not_after) = ("20010101000000Z", "20011231000000Z");
}

/// Valid from 2090 on.
pub(crate) fn not_yet(params: &mut Params) {
    (params.not_before, params.not_after) = ("20900101000000Z", "20990101000000Z");
}

fn new_key() -> (EcdsaKeyPair, Vec<u8>) {
    let random = SystemRandom::new();
    let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, secret.as_ref(), &random).unwrap();
    (key, secret.as_ref().to_vec())
}

/// One value of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let len = match u16::try_from(body.len()).unwrap().to_be_bytes() {
        [0, short @ 0..128] => vec![short],
        [0, byte] => vec![0x81, byte],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag][..], &len, &body].concat()
}

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const ECDSA_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const P256: [u8; 21] =
    [0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// A name of one part, `CN=`.
fn common_name(name: &str) -> Vec<u8> {
    let part = der(SEQUENCE, &[&[6, 3, 0x55, 4, 3], &der(0x0c, &[name.as_bytes()])]);
    der(SEQUENCE, &[&der(0x31, &[&part])])
}

/// An extension `2.5.29.id`.
fn extension(id: u8, value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&[6, 3, 0x55, 0x1d, id], &der(OCTETS, &[value])])
}

/// RFC 5280, as little of it as a handshake needs.
fn certificate(
    params: &Params,
    name: &str,
    host: Option<&str>,
    key: &EcdsaKeyPair,
    issuer: &str,
    signed_by: &EcdsaKeyPair,
) -> Vec<u8> {
    let random = SystemRandom::new();
    let mut serial = [0; 8];
    random.fill(&mut serial).unwrap();
    let host = host.map(|host| match host.parse::<std::net::Ipv4Addr>() {
        Ok(address) => der(0x87, &[&address.octets()]),
        Err(_) => der(0x82, &[host.as_bytes()]),
    });
    let alternative = host.map(|host| extension(17, &der(SEQUENCE, &[&host])));
    let usage = |last: u8| extension(37, &der(SEQUENCE, &[&[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, last]]));
    let purpose = match params.purpose {
        Purpose::Server => usage(1),
        Purpose::Client => usage(2),
        Purpose::Authority => extension(19, &der(SEQUENCE, &[&[1, 1, 0xff]])),
    };
    let extensions = der(SEQUENCE, &[&alternative.unwrap_or_default(), &purpose]);
    // Years before 2050 are written with two digits.
    let time = |text: &str| match text.strip_prefix("20") {
        Some(short) if short < "50" => der(0x17, &[short.as_bytes()]),
        _ => der(0x18, &[text.as_bytes()]),
    };
    let content = der(
        SEQUENCE,
        &[
            &der(0xa0, &[&[2, 1, 2]]),
            &der(2, &[&[1], &serial]),
            &ECDSA_SHA256,
            &common_name(issuer),
            &der(SEQUENCE, &[&time(params.not_before), &time(params.not_after)]),
            &common_name(name),
            &der(SEQUENCE, &[&P256, &der(3, &[&[0], key.public_key().as_ref()])]),
            &der(0xa3, &[&extensions]),
        ],
    );
    let signature = signed_by.sign(&random, &content).unwrap();
    der(SEQUENCE, &[&content, &ECDSA_SHA256, &der(3, &[&[0], signature.as_ref()])])
}

/// As a PEM file (RFC 7468).
fn pem(what: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let digit = |n: usize| char::from(DIGITS[(word >> (18 - 6 * n)) as usize & 63]);
        (0..4).for_each(|n| text.push(if n <= three.len() { digit(n) } else { '=' }));
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

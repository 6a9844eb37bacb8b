//! TLS as this program speaks it: always verified, never a way around it.
//!
//! What a target is trusted by is written beside its address: a certificate authority of its own, or else the store of this
//! host (update-ca-certificates(8)). The handshake is rustls with ring; what it says is put into words with a cure in
//! `refusal`. How long the certificate still holds is read from it, because one that ends inside the window closes every
//! gate behind it.

mod refusal;
#[cfg(test)]
pub(crate) mod testbed;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

pub(crate) use refusal::{said, spoke_tls};

use crate::host::foreign::{Shown, named, tame};
use crate::host::secret::{SecretError, SecretRef};
use crate::host::small_file;

/// The largest file of certificates; a whole system store has a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// Whom to trust at one address, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Hash)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the only authorities to trust; absent means the store of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The name that the certificate must bear, where it is not the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// PEM file of our own certificate (`tls-auth-clients yes`, the default of Redis) with the chain behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Where its private key lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretRef>,
}

/// Why no handshake was even begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates.
    #[error("certificates cannot be read from {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        why: Shown,
    },
    /// The system's store is missing or empty.
    #[error("this host trusts no authority: install ca-certificates, or write `tls: {{ ca: FILE }}`")]
    NoStore,
    /// Not a host name or address.
    #[error("`{0}` is no name that a certificate can bear; write `tls: {{ name: HOST }}`")]
    Name(String),
    /// The private key.
    #[error("the key of our certificate: {0}")]
    Key(SecretError),
    /// Certificate and key do not go together, or one of them is missing.
    #[error("our own certificate cannot be used: {0}; write both `cert` and `key`, of one pair")]
    Pair(Shown),
}

impl Tls {
    /// The name to be verified for an address at `host`.
    ///
    /// # Errors
    /// [`TlsError::Name`].
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(named(&name, 120)))
    }

    /// Everything a handshake needs. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn client(&self) -> Result<ClientConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        let (trusted, _unusable) = roots.add_parsable_certificates(self.authorities()?);
        if trusted == 0 {
            return Err(self.ca.as_deref().map_or(TlsError::NoStore, |ca| unreadable(ca, "no certificate in it")));
        }
        // Named here, because a process-wide default would be anybody's to change.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| TlsError::Pair(tame(&why.to_string(), 200)))?
            .with_root_certificates(roots);
        match (&self.cert, &self.key) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(cert), Some(key)) => {
                let key = key.read().map_err(TlsError::Key)?;
                let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                    .map_err(|_| TlsError::Pair("no PEM key where the key should be".into()))?;
                let paired = builder.with_client_auth_cert(certificates(cert)?, key);
                paired.map_err(|why| TlsError::Pair(tame(&why.to_string(), 200)))
            }
            (Some(_), None) => Err(TlsError::Pair("it has no key".into())),
            (None, Some(_)) => Err(TlsError::Pair("there is a key without a certificate".into())),
        }
    }

    /// The authorities trusted here. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`TlsError`]: a file that was named and cannot be read. The system's store has whatever can be read of it.
    pub(crate) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        match &self.ca {
            Some(path) => certificates(path),
            None => Ok(store().to_vec()),
        }
    }
}

/// The store of this host: some hundred files, which a gate that asks every second does not read every second.
fn store() -> &'static [CertificateDer<'static>] {
    static STORE: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    STORE.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = small_file::read(path, MAX_BYTES).map_err(|why| unreadable(path, why))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(|why| unreadable(path, why))?;
    if read.is_empty() { Err(unreadable(path, "no PEM certificate in it")) } else { Ok(read) }
}

fn unreadable(path: &Path, why: impl ToString) -> TlsError {
    TlsError::Unreadable { path: named(&path.to_string_lossy(), 200), why: tame(&why.to_string(), 120) }
}

/// When the first certificate of a chain ceases to hold (RFC 5280, `notAfter`); `None` for what cannot be read.
///
/// Asked of the verifier that has just accepted it, at the end of all time: what it says is over tells since when. The validity
/// is judged before any issuer is looked for, so no authority is needed; and no second reader of certificates is linked in
/// for one date.
pub(crate) fn ends(chain: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let read = ParsedCertificate::try_from(chain.first()?).ok()?;
    let never = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match verify_server_cert_signed_by_trust_anchor(&read, &RootCertStore::empty(), &[], never, &[]) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_whoever_issued_it_and_whenever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let ours = testbed::Authority::new(dir.path(), "ours");
        let end = |pair: &testbed::Pair| ends(&certificates(&pair.cert).unwrap()).map(|end| end.to_string());
        let good = ours.issue("good", "127.0.0.1", |_| {});
        assert_eq!(end(&good).as_deref(), Some("2099-12-31T00:00:00Z"));
        assert_eq!(end(&ours.issue("over", "h", testbed::long_over)).as_deref(), Some("2001-12-31T00:00:00Z"));
        assert_eq!(end(&ours.issue("early", "h", testbed::not_yet)).as_deref(), Some("2099-01-01T00:00:00Z"));
        let client = ours.issue("client", "h", |params| params.purpose = testbed::Purpose::Client);
        assert_eq!(end(&client).as_deref(), Some("2099-12-31T00:00:00Z"), "whatever it is for");
        assert_eq!(ends(&[CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])]), None);
        assert_eq!(ends(&[]), None);
    }
}

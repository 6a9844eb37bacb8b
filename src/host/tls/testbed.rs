//! Test support: authorities and certificates made for one test, and servers that show them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Tls;
use crate::host::secret::SecretRef;

/// An authority with its certificate in a file.
pub(crate) struct Authority {
    dir: PathBuf,
    pub(crate) ca: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in files.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let ca = write(dir, &format!("{name}.crt"), &params.self_signed(&key).unwrap().pem());
        Self { dir: dir.to_owned(), ca, issuer: Issuer::new(params, key) }
    }

    /// A certificate of a server at `host`, changed by `how`.
    pub(crate) fn issue(&self, name: &str, host: &str, how: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        how(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            cert: write(&self.dir, &format!("{name}.crt"), &cert.pem()),
            key: write(&self.dir, &format!("{name}.key"), &key.serialize_pem()),
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
pub(crate) fn long_over(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2001, 12, 31));
}

/// Valid from 2090 on.
pub(crate) fn not_yet(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2099, 1, 1));
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

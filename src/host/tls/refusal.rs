//! A handshake that failed, in words: what was seen, and what would cure it.

use std::io;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::host::foreign::tame;

/// What rustls says behind an i/o error; `None` where the error is the connection's.
pub(crate) fn said(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<Error>().map(words)
}

fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => certificate(why),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it speaks no TLS there: is this the plain port?".to_owned()
        }
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::HandshakeFailure
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown => {
                format!(
                    "it refused us ({}): it wants a certificate of ours; write `tls: {{ cert: FILE, key: {{ file: FILE }} }}`",
                    alert_words(*alert)
                )
            }
            other => format!("it refused the handshake ({})", alert_words(*other)),
        },
        Error::PeerIncompatible(why) => {
            let lacks = match why {
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => "version",
                PeerIncompatible::NoCipherSuitesInCommon => "cipher",
                PeerIncompatible::NoKxGroupsInCommon => "key exchange",
                PeerIncompatible::NoSignatureSchemesInCommon => "signature scheme",
                _ => "version or cipher",
            };
            format!("no common {lacks}: TLS 1.2 and 1.3 are spoken here")
        }
        other => tame(&other.to_string(), 200).into(),
    }
}

/// The words of RFC 8446, 6, for what a server says when it hangs up.
fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "certificate required".to_owned(),
        AlertDescription::BadCertificate => "bad certificate".to_owned(),
        AlertDescription::HandshakeFailure => "handshake failure".to_owned(),
        AlertDescription::UnknownCA => "unknown certificate authority".to_owned(),
        AlertDescription::CertificateUnknown => "certificate unknown".to_owned(),
        AlertDescription::ProtocolVersion => "protocol version".to_owned(),
        AlertDescription::InsufficientSecurity => "insufficient security".to_owned(),
        AlertDescription::UnrecognisedName => "unrecognised name".to_owned(),
        AlertDescription::InternalError => "internal error".to_owned(),
        AlertDescription::AccessDenied => "access denied".to_owned(),
        other => format!("alert {}", u8::from(other)),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate ended at {}: renew it, or correct this clock", time(*not_after))
        }
        CertificateError::Expired => "its certificate has ended: renew it, or correct this clock".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}: correct the clock", time(*not_before))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet: correct the clock".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "its certificate is for {}, not for {}: write `tls: {{ name: ... }}`",
            tame(&presented.join(", "), 160),
            tame(&expected.to_str(), 80)
        ),
        CertificateError::NotValidForName => {
            "its certificate is for another name: write `tls: { name: ... }`".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "nobody trusted here has signed its certificate: write `tls: { ca: FILE }`".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one of a server: issue it with serverAuth".to_owned()
        }
        other => format!("its certificate cannot be trusted: {}", tame(&other.to_string(), 160)),
    }
}

fn time(at: UnixTime) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|secs| Timestamp::from_second(secs).ok());
    at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

/// Whether the first bytes that came are a TLS record (RFC 8446, 5.1: an alert or a handshake message, version 3.x), which
/// is how a TLS port answers somebody who speaks plainly.
pub(crate) fn spoke_tls(heard: &[u8]) -> bool {
    matches!(heard, [0x15 | 0x16, 0x03, ..])
}

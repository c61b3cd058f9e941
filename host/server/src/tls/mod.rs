//! TLS in front of a connector: certificates that can be replaced while it listens, and handshakes with bounds.
//!
//! Neither files nor keys of the configuration are known here: whoever makes a [`Tls`] hands over PEM texts.
//!
//! Start reading at [`Tls`], then `handshake`.

mod handshake;
mod name;
mod x509;

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

pub(crate) use self::handshake::{Failure, Handshakes, Secured, looks_like_tls};

/// What a connector needs to speak TLS, as PEM texts.
#[derive(Clone, Debug)]
pub struct Certificates<'a> {
    /// The connector's own certificate, and behind it those that lead to its authority.
    pub chain: &'a [u8],
    /// Its private key, not encrypted.
    pub key: &'a [u8],
    /// Certificates of the authorities that sign clients' certificates; needed unless `client_auth` is
    /// [`ClientAuth::None`].
    pub client_ca: Option<&'a [u8]>,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// Versions of TLS that are spoken.
    pub versions: Versions,
}

/// Whether clients of a connector show certificates (row X04).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may (`wantClientAuth`); one that is shown must be good.
    Want,
    /// They must (`needClientAuth`).
    Need,
}

/// Versions of TLS that a connector speaks. Older ones than 1.2 are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    V1_2,
    /// 1.3 alone.
    V1_3,
}

/// Which of the texts is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// [`Certificates::chain`].
    Chain,
    /// [`Certificates::key`].
    Key,
    /// [`Certificates::client_ca`].
    ClientCa,
}

/// Why certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TlsError {
    /// Which text.
    pub part: Part,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The certificates of one connector. Replacing them touches no connection that is there: the next handshake uses the
/// new ones, and sessions that began under the old ones cannot be resumed.
pub struct Tls {
    current: RwLock<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    not_after: Option<i64>,
}

impl Tls {
    /// Checks the texts and makes them ready.
    pub fn new(certificates: &Certificates<'_>) -> Result<Tls, TlsError> {
        Ok(Tls { current: RwLock::new(ready(certificates)?) })
    }

    /// Puts other certificates in place of these, or says why not and leaves these.
    pub fn replace(&self, other: Tls) {
        let other = other.current.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = other;
    }

    /// When the connector's own certificate ends, in seconds since 1970; `None` where its date cannot be read.
    pub fn not_after(&self) -> Option<i64> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).not_after
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("not_after", &self.not_after()).finish_non_exhaustive()
    }
}

fn ready(certificates: &Certificates<'_>) -> Result<Current, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = match certificates.versions {
        Versions::Both => &[&rustls::version::TLS13, &rustls::version::TLS12],
        Versions::V1_2 => &[&rustls::version::TLS12],
        Versions::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("the provider has suites for both versions");
    let builder = match certificates.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        asked => {
            let roots = roots(certificates.client_ca.unwrap_or_default())?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if asked == ClientAuth::Want { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|error| TlsError {
                part: Part::ClientCa,
                what: format!("holds no authorities that clients can be checked against ({error})"),
                remedy: CERTIFICATE_REMEDY,
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = chain(certificates.chain, Part::Chain)?;
    let not_after = chain.first().and_then(|first| x509::read(first)).map(|first| first.not_after);
    let key = key(certificates.key)?;
    let config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError {
            part: Part::Key,
            what: "is not the key of the certificate".to_owned(),
            remedy: "name the key that the certificate was made with; the connector's own certificate stands first in its file",
        },
        rustls::Error::InvalidCertificate(error) => TlsError {
            part: Part::Chain,
            what: format!("holds a certificate that cannot be read ({error:?})"),
            remedy: CERTIFICATE_REMEDY,
        },
        error => TlsError { part: Part::Key, what: format!("is no usable key ({error})"), remedy: KEY_REMEDY },
    })?;
    Ok(Current { config: Arc::new(config), not_after })
}

const CERTIFICATE_REMEDY: &str = "name a PEM file with BEGIN CERTIFICATE";
const KEY_REMEDY: &str =
    "name a PEM file with BEGIN PRIVATE KEY (RSA from 2048 bits, ECDSA P-256, P-384 or P-521, or Ed25519)";

/// The certificates of a text, at least one.
fn chain(text: &[u8], part: Part) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |what: String| TlsError { part, what, remedy: CERTIFICATE_REMEDY };
    let all: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(format!("is no PEM ({error})")))?;
    if all.is_empty() { Err(fault("holds no certificate".to_owned())) } else { Ok(all) }
}

fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let encrypted = text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
        let (what, remedy) = match error {
            _ if encrypted => (
                "holds an encrypted key".to_owned(),
                "decrypt it with `openssl pkey -in OLD -out NEW` and let nobody but the broker read it",
            ),
            pem::Error::NoItemsFound => ("holds no private key".to_owned(), KEY_REMEDY),
            error => (format!("is no PEM ({error})"), KEY_REMEDY),
        };
        TlsError { part: Part::Key, what, remedy }
    })
}

fn roots(text: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in chain(text, Part::ClientCa)? {
        roots.add(authority).map_err(|error| TlsError {
            part: Part::ClientCa,
            what: format!("holds a certificate that cannot be read ({error})"),
            remedy: CERTIFICATE_REMEDY,
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;

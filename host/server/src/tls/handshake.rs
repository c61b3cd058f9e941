//! From a fresh socket to a secured one, within bounds, on the connection's own task.
//!
//! ```text
//! first byte ── not a handshake ──> PlainClient
//!     │
//! whole ClientHello, then a place among those that may compute, then the rest ──> Secured
//!     └── all of it within one time limit
//! ```
//!
//! A place is taken only by a peer that has said its part, so that silent ones cannot use the places up.

use std::time::Duration;

use message::Text;
use rustls::server::Acceptor;
use rustls::{AlertDescription, CertificateError, Error};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Tls, name, x509};

/// First byte of a TLS connection: a handshake record.
const HANDSHAKE: u8 = 0x16;

/// True when a client that should speak something else begins a TLS connection. No frame that is allowed before login
/// begins so: as a length it means 369 megabytes, as text it is no command.
pub(crate) fn looks_like_tls(first_bytes: &[u8]) -> bool {
    matches!(first_bytes, [HANDSHAKE, 3, 0..=4, ..])
}

/// A socket after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    /// Subject of the client's certificate, see [`session::Config::certificate_subject`].
    pub(crate) subject: Option<Text>,
}

/// Why there is no secured connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client does not speak TLS.
    Plain,
    /// The time was over.
    TooSlow,
    /// The client went away before it said anything.
    Gone,
    /// The two did not agree.
    Refused(String),
}

/// Bounds of all handshakes of a server.
pub(crate) struct Handshakes {
    places: Semaphore,
    time_max: Duration,
}

impl Handshakes {
    /// So many may compute at a time, and each may take so long.
    pub(crate) fn new(count_max: usize, time_max: Duration) -> Handshakes {
        Handshakes { places: Semaphore::new(count_max.clamp(1, Semaphore::MAX_PERMITS)), time_max }
    }

    /// Does the handshake of one connection.
    pub(crate) async fn accept(&self, stream: TcpStream, tls: &Tls) -> Result<Secured, Failure> {
        timeout(self.time_max, self.shake(stream, tls)).await.unwrap_or(Err(Failure::TooSlow))
    }

    async fn shake(&self, stream: TcpStream, tls: &Tls) -> Result<Secured, Failure> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return Err(Failure::Gone),
            Ok(_) if first[0] != HANDSHAKE => return Err(Failure::Plain),
            Ok(_) => {}
        }
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(refused)?;
        let place = self.places.acquire().await.map_err(|_| Failure::Gone)?;
        let stream = hello.into_stream(tls.config()).await.map_err(refused)?;
        drop(place);
        let subject = match stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            Some(certificate) => {
                let unreadable = || Failure::Refused("the subject of the client's certificate cannot be read".into());
                let fields = x509::read(certificate).ok_or_else(unreadable)?;
                let subject = name::rfc2253(fields.subject).ok_or_else(unreadable)?;
                (!subject.is_empty()).then(|| Text::from(subject))
            }
            None => None,
        };
        Ok(Secured { stream, subject })
    }

    /// For tests of what happens when all places are taken.
    #[cfg(test)]
    pub(super) fn places(&self) -> &Semaphore {
        &self.places
    }
}

/// What went wrong, for the person who looks after the broker.
fn refused(error: std::io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return Failure::Refused(format!("the connection broke: {error}"));
    };
    Failure::Refused(match error {
        Error::NoCertificatesPresented => "the client shows no certificate; needClientAuth asks for one".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "no authority of client_ca signed the client's certificate".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the client's certificate is no longer valid".to_owned()
        }
        Error::InvalidCertificate(error) => format!("the client's certificate is not good: {error}"),
        Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate),
        ) => format!("the client does not trust this broker's certificate ({alert:?})"),
        Error::PeerIncompatible(why) => format!("the client's TLS does not fit, 1.2 is the oldest spoken: {why:?}"),
        error => error.to_string(),
    })
}

//! `[tls]`: certificates, and the check that each connector with TLS has them. Files are read elsewhere.

use std::path::PathBuf;

use server::ClientAuth;

use super::keys::{Key, Shown, plain, text};
use super::problem::Fault;
use super::raw::Raw;
use super::{Config, Connector};

/// Where certificates are; `None` where another place is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The connector's certificate and those between it and its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key.
    pub(crate) key: Option<PathBuf>,
    /// Authorities that sign clients' certificates.
    pub(crate) client_ca: Option<PathBuf>,
}

/// What holds for all connectors with TLS.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// Certificates of the connectors that have none of their own.
    pub(crate) files: TlsFiles,
    /// How long a handshake may take.
    pub(crate) handshake_ms_max: u64,
    /// Handshakes that compute at a time.
    pub(crate) handshakes_max: usize,
}

/// Keys of `[tls]`.
pub(super) const TLS: &[Key<Config>] = &[
    Key {
        name: "certificate",
        doc: "The certificate of this broker and behind it those that lead to its authority (sslContext keyStore).",
        read: |c, raw| path(raw).map(|file| c.tls.files.certificate = Some(file)),
        show: |c| file(c.tls.files.certificate.as_ref(), "\"broker.pem\""),
    },
    Key {
        name: "key",
        doc: "Its private key, not encrypted: let nobody but the broker read the file.",
        read: |c, raw| path(raw).map(|file| c.tls.files.key = Some(file)),
        show: |c| file(c.tls.files.key.as_ref(), "\"broker.key\""),
    },
    Key {
        name: "client_ca",
        doc: "Authorities that sign the certificates of clients (sslContext trustStore).",
        read: |c, raw| path(raw).map(|file| c.tls.files.client_ca = Some(file)),
        show: |c| file(c.tls.files.client_ca.as_ref(), "\"clients-ca.pem\""),
    },
    Key {
        name: "handshake_ms",
        doc: "Longest time for a handshake; after it the connection is closed.",
        read: |c, raw| raw.integer(1..=600_000).map(|ms| c.tls.handshake_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.tls.handshake_ms_max),
    },
    Key {
        name: "handshakes",
        doc: "Handshakes that compute at the same time; further ones wait, within their time.",
        read: |c, raw| raw.count(1..=100_000).map(|count| c.tls.handshakes_max = count),
        show: |c| plain(c.tls.handshakes_max),
    },
];

/// A file that is not read here.
pub(super) fn path(raw: Raw<'_>) -> Result<PathBuf, Fault> {
    raw.name().map(PathBuf::from)
}

pub(super) fn file(file: Option<&PathBuf>, example: &'static str) -> Shown {
    file.map_or(Shown::Unset(example), |file| text(&file.to_string_lossy()))
}

impl TlsFiles {
    /// These, and those of `other` where there is none.
    pub(crate) fn or(&self, other: &TlsFiles) -> TlsFiles {
        TlsFiles {
            certificate: self.certificate.clone().or_else(|| other.certificate.clone()),
            key: self.key.clone().or_else(|| other.key.clone()),
            client_ca: self.client_ca.clone().or_else(|| other.client_ca.clone()),
        }
    }
}

/// What a connector lacks for TLS, or has too much without it.
pub(super) fn check(connector: &Connector, tls: &Tls) -> Vec<Fault> {
    let Some(options) = connector.tls else {
        return if connector.files == TlsFiles::default() {
            Vec::new()
        } else {
            let what = "has certificates but no TLS";
            Fault::new(what, "write ssl:// or stomp+ssl:// in front, or leave certificate, key and client_ca out")
                .into()
        };
    };
    let files = connector.files.or(&tls.files);
    let mut faults = Vec::new();
    if files.certificate.is_none() || files.key.is_none() {
        let what = "needs a certificate and its key";
        faults.push(Fault::new(what, "name PEM files: certificate = \"…\" and key = \"…\" in [tls]"));
    }
    if options.client_auth() != ClientAuth::None && files.client_ca.is_none() {
        let what = "asks clients for certificates, and nobody is there who may sign them";
        faults.push(Fault::new(what, "name a PEM file: client_ca = \"…\" in [tls]"));
    }
    faults
}

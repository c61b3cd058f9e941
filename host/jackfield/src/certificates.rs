//! The certificate files of the connectors: read and checked before a port opens, and again when asked to.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use server::{ClientAuth, Part, Tls, TlsError};

use crate::config::{Config, Connector, Fault, Problem, TlsFiles};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the connectors with TLS show, and where it came from.
pub(crate) struct Certificates {
    connectors: Vec<Connector>,
    /// Files of the connectors that have none of their own.
    shared: TlsFiles,
    /// One for each connector, `None` for those without TLS.
    ready: Vec<Option<Arc<Tls>>>,
}

impl Certificates {
    /// Reads and checks all files; all that is wrong with them comes at once.
    pub(crate) fn load(config: &Config) -> Result<Certificates, Vec<Problem>> {
        let (connectors, shared) = (config.connectors.clone(), config.tls.files.clone());
        let ready = read(&connectors, &shared)?.into_iter().map(|tls| tls.map(Arc::new)).collect();
        Ok(Certificates { connectors, shared, ready })
    }

    /// For each connector, in the order of the configuration.
    pub(crate) fn of_connectors(&self) -> &[Option<Arc<Tls>>] {
        &self.ready
    }

    /// Reads all files again. Either all connectors get what is there now, or none does. Returns how many connectors it
    /// was for.
    pub(crate) fn reload(&self) -> Result<usize, Vec<Problem>> {
        let again = read(&self.connectors, &self.shared)?;
        let pairs = self.ready.iter().flatten().zip(again.into_iter().flatten());
        Ok(pairs.map(|(ready, again)| ready.replace(again)).count())
    }
}

fn read(connectors: &[Connector], shared: &TlsFiles) -> Result<Vec<Option<Tls>>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut all = Vec::new();
    for (index, connector) in connectors.iter().enumerate() {
        let Some(options) = connector.tls else {
            all.push(None);
            continue;
        };
        match one(connector, shared, options.client_auth(), options.versions) {
            Ok(tls) => all.push(Some(tls)),
            Err(found) => {
                problems.extend(found.into_iter().map(|(part, fault)| place(index, connector, shared, part, fault)))
            }
        }
    }
    // What is wrong with a shared file is wrong for each connector that has it.
    problems.dedup();
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

fn one(
    connector: &Connector,
    shared: &TlsFiles,
    client_auth: ClientAuth,
    versions: server::Versions,
) -> Result<Tls, Vec<(Part, Fault)>> {
    let files = connector.files.or(shared);
    let asks = client_auth != ClientAuth::None;
    let chain = content(Part::Chain, files.certificate.as_deref());
    let key = content(Part::Key, files.key.as_deref());
    let client_ca = if asks { content(Part::ClientCa, files.client_ca.as_deref()).map(Some) } else { Ok(None) };
    let (chain, key, client_ca) = match (chain, key, client_ca) {
        (Ok(chain), Ok(key), Ok(client_ca)) => (chain, key, client_ca),
        (chain, key, client_ca) => {
            return Err([chain.err(), key.err(), client_ca.err()].into_iter().flatten().collect());
        }
    };
    let certificates =
        server::Certificates { chain: &chain, key: &key, client_ca: client_ca.as_deref(), client_auth, versions };
    let tls =
        Tls::new(&certificates).map_err(|TlsError { part, what, remedy }| vec![(part, Fault::new(what, remedy))])?;
    if let Some(key) = &files.key
        && std::fs::metadata(key).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
    {
        tracing::warn!("{} can be read by others than the broker; chmod 600 it", key.display());
    }
    if tls.not_after().is_some_and(|end| end < now()) {
        tracing::warn!("the certificate of connector {} is no longer valid; clients will refuse it", connector.name);
    }
    Ok(tls)
}

fn content(part: Part, file: Option<&Path>) -> Result<Vec<u8>, (Part, Fault)> {
    // The configuration was checked: each file that is needed has a name.
    let file = file.unwrap_or(Path::new(""));
    let mut content = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content));
    match read {
        Ok(_) if content.len() as u64 > FILE_BYTES_MAX => Err((
            part,
            Fault::new("is larger than any certificate", format!("name a PEM file up to {FILE_BYTES_MAX} bytes")),
        )),
        Ok(_) => Ok(content),
        Err(error) => {
            let remedy = "name a PEM file that the broker may read, relative to where it is started";
            Err((part, Fault::new(format!("cannot be read ({error})"), remedy)))
        }
    }
}

/// The key whose file it is: the connector's own, or the one of `[tls]`.
fn place(index: usize, connector: &Connector, shared: &TlsFiles, part: Part, fault: Fault) -> Problem {
    let (name, own, other) = match part {
        Part::Chain => ("certificate", &connector.files.certificate, &shared.certificate),
        Part::Key => ("key", &connector.files.key, &shared.key),
        Part::ClientCa => ("client_ca", &connector.files.client_ca, &shared.client_ca),
    };
    let key = if own.is_some() { format!("connector[{}].{name}", index + 1) } else { format!("tls.{name}") };
    let value = own.as_ref().or(other.as_ref()).map(|file| format!("\"{}\"", file.display()));
    Problem { line: None, key, value, fault }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

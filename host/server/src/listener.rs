//! Accepts connections and gives each its task.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use message::{ConnectionKey, Text};
use session::openwire::{OpenWireSession, Options};
use session::stomp::StompSession;
use session::{Protocol, Session};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::Instrument;

use crate::connection::Connection;
use crate::core::Core;
use crate::counters::{Counters, is_told};
use crate::logins::Logins;
use crate::tls::{Failure, Handshakes, Secured};
use crate::{Config, Connector, ConnectorReport};

/// Pause after a failed accept: the system is out of descriptors or memory, and asking faster does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between two tries to have a port that is in use.
const BIND_POLL: Duration = Duration::from_millis(2);

/// Opens the listening socket of a connector. A port that is in use is tried again until `patience` is over.
pub(crate) fn bind(connector: &Connector, patience: Instant) -> std::io::Result<(std::net::TcpListener, SocketAddr)> {
    loop {
        match bind_once(connector) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < patience => {
                std::thread::sleep(BIND_POLL);
            }
            answer => return answer,
        }
    }
}

fn bind_once(connector: &Connector) -> std::io::Result<(std::net::TcpListener, SocketAddr)> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in connector.address.to_socket_addrs()? {
        match bind_to(address, connector.backlog) {
            Ok(socket) => {
                let address = socket.local_addr()?;
                return Ok((socket, address));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_to(address: SocketAddr, backlog: u32) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// What all listeners share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) core: Arc<Core>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) handshakes: Handshakes,
    pub(crate) next_key: AtomicU64,
    /// Connection tasks alive.
    pub(crate) tasks: AtomicUsize,
}

/// What the connections of one listener share.
pub(crate) struct Place {
    connector: Connector,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// Connections that are open.
    open: AtomicUsize,
}

/// Accepts until told to stop.
pub(crate) async fn listen(socket: std::net::TcpListener, place: Arc<Place>, mut stop: watch::Receiver<bool>) {
    let connector = &place.connector;
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(connector = connector.name, %error, "the listener failed"),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) if place.open.load(Ordering::Relaxed) < connector.connections_max => {
                serve(stream, peer, place.clone(), stop.clone());
            }
            Ok((stream, peer)) => {
                drop(stream);
                let refused = place.counters.refused.count();
                if is_told(refused) {
                    let limit = connector.connections_max;
                    tracing::warn!(connector = connector.name, %peer, limit, refused, "maximumConnections is reached");
                }
            }
            Err(error) => {
                tracing::warn!(connector = connector.name, %error, "accept failed; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts a connection as long as it lives.
struct Counted(Arc<Place>);

impl Counted {
    fn new(place: Arc<Place>) -> Counted {
        place.counters.accepted.count();
        place.open.fetch_add(1, Ordering::Relaxed);
        place.shared.tasks.fetch_add(1, Ordering::Relaxed);
        Counted(place)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.shared.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Gives the connection its task.
fn serve(stream: TcpStream, peer: SocketAddr, place: Arc<Place>, mut stop: watch::Receiver<bool>) {
    let key = place.shared.next_key.fetch_add(1, Ordering::Relaxed);
    let span = tracing::info_span!("connection", connector = place.connector.name, key, %peer);
    let counted = Counted::new(place);
    let task = async move {
        let place = &counted.0;
        // Frames are gathered before they are written, so waiting for more to send helps nobody.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &place.connector.tls else {
            tracing::debug!("open");
            let (reader, writer) = stream.into_split();
            let why = place.connection(key, peer, None).run(reader, writer).await;
            return tracing::debug!(why, "closed");
        };
        let accepted = tokio::select! {
            accepted = place.shared.handshakes.accept(stream, tls) => accepted,
            _ = stop.changed() => return tracing::debug!("closed in its handshake: the broker stops"),
        };
        match accepted {
            Ok(Secured { stream, subject }) => {
                place.counters.handshakes.count();
                tracing::debug!(subject = subject.as_deref(), "open");
                let (reader, writer) = tokio::io::split(stream);
                let why = place.connection(key, peer, subject).run(reader, writer).await;
                tracing::debug!(why, "closed");
            }
            Err(failure) => place.tell(&failure),
        }
    };
    tokio::spawn(task.instrument(span));
}

impl Place {
    pub(crate) fn new(connector: Connector, shared: Arc<Shared>) -> Place {
        Place { connector, shared, counters: Arc::default(), open: AtomicUsize::new(0) }
    }

    /// How the connector stands.
    pub(crate) fn report(&self, address: SocketAddr) -> ConnectorReport {
        let (connector, counters) = (&self.connector, &self.counters);
        let (sessions, limits_hit) = counters.sum();
        ConnectorReport {
            name: connector.name.clone(),
            protocol: connector.protocol,
            address,
            tls: connector.tls.is_some(),
            certificate_not_after: connector.tls.as_ref().and_then(|tls| tls.not_after()),
            open: self.open.load(Ordering::Relaxed) as u64,
            connections_max: connector.connections_max as u64,
            accepted: counters.accepted.get(),
            refused: counters.refused.get(),
            handshakes: counters.handshakes.get(),
            handshakes_failed: counters.handshakes_failed.get(),
            handshakes_slow: counters.handshakes_slow.get(),
            mistaken: counters.mistaken.get(),
            sessions,
            limits_hit,
        }
    }

    fn connection(&self, key: ConnectionKey, peer: SocketAddr, subject: Option<Text>) -> Connection {
        let mut config = self.connector.session.clone();
        config.remote = Text::from(format!("tcp://{peer}"));
        config.certificate_subject = subject;
        let session: Box<dyn Session> = match self.connector.protocol {
            Protocol::OpenWire => Box::new(OpenWireSession::new(config, Options::default())),
            Protocol::Stomp => Box::new(StompSession::new(config)),
        };
        let is_secured = self.connector.tls.is_some();
        let (core, config, counters) = (self.shared.core.clone(), &self.shared.config, self.counters.clone());
        let logins = (self.shared.logins.clone(), peer.ip());
        Connection::new(key, session, core, logins, config, counters, is_secured)
    }

    /// Counts a failed handshake and has the log hear of it.
    fn tell(&self, failure: &Failure) {
        let counters = &self.counters;
        let (count, why) = match failure {
            Failure::Gone => return tracing::debug!("closed before its handshake"),
            Failure::Plain => (
                counters.mistaken.count(),
                "the client speaks no TLS, this connector does; have it use ssl:// or the port of another connector",
            ),
            Failure::TooSlow => {
                (counters.handshakes_slow.count(), "the TLS handshake took longer than tls.handshake_ms")
            }
            Failure::Refused(why) => (counters.handshakes_failed.count(), why.as_str()),
        };
        if is_told(count) {
            tracing::warn!(count, "no TLS connection: {why}");
        } else {
            tracing::debug!(count, "no TLS connection: {why}");
        }
    }
}

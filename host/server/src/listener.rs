//! Accepts connections and gives each its task.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use message::Text;
use session::openwire::{OpenWireSession, Options};
use session::stomp::StompSession;
use session::{Protocol, Session};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::Instrument;

use crate::connection::Connection;
use crate::core::Core;
use crate::logins::Logins;
use crate::{Config, Connector};

/// Pause after a failed accept: the system is out of descriptors or memory, and asking faster does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the listening socket of a connector.
pub(crate) fn bind(connector: &Connector) -> std::io::Result<(std::net::TcpListener, SocketAddr)> {
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
    pub(crate) next_key: AtomicU64,
    /// Connection tasks alive.
    pub(crate) tasks: AtomicUsize,
}

/// Accepts until told to stop.
pub(crate) async fn listen(
    socket: std::net::TcpListener,
    connector: Connector,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(connector = connector.name, %error, "the listener failed"),
    };
    let open = Arc::new(AtomicUsize::new(0));
    let mut refused = 0u64;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) if open.load(Ordering::Relaxed) < connector.connections_max => {
                serve(stream, peer, &connector, &shared, &open);
            }
            Ok((stream, peer)) => {
                drop(stream);
                refused += 1;
                if refused.is_power_of_two() {
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
struct Counted(Arc<AtomicUsize>, Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        self.1.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(stream: TcpStream, peer: SocketAddr, connector: &Connector, shared: &Arc<Shared>, open: &Arc<AtomicUsize>) {
    open.fetch_add(1, Ordering::Relaxed);
    shared.tasks.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(open.clone(), shared.clone());
    let key = shared.next_key.fetch_add(1, Ordering::Relaxed);
    let mut config = connector.session.clone();
    config.remote = Text::from(format!("tcp://{peer}"));
    let session: Box<dyn Session> = match connector.protocol {
        Protocol::OpenWire => Box::new(OpenWireSession::new(config, Options::default())),
        Protocol::Stomp => Box::new(StompSession::new(config)),
    };
    let span = tracing::info_span!("connection", connector = connector.name, key, %peer);
    let logins = (shared.logins.clone(), peer.ip());
    let connection = Connection::new(key, session, shared.core.clone(), logins, &shared.config);
    let task = async move {
        let _counted = counted;
        // Frames are gathered before they are written, so waiting for more to send helps nobody.
        let _ = stream.set_nodelay(true);
        tracing::debug!("open");
        let (reader, writer) = stream.into_split();
        let why = connection.run(reader, writer).await;
        tracing::debug!(why, "closed");
    };
    tokio::spawn(task.instrument(span));
}

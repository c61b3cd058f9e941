//! A door: connections come in, each on its own task and within bounds.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use registry::PolicyControl;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::guard::Door;
use crate::{Control, Limits, Problem, routes};

/// Pause after a failed accept: the system is out of descriptors or memory, and asking faster does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Smallest buffer that the HTTP machine takes.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// What all doors share.
pub(crate) struct House {
    pub(crate) control: Arc<dyn Control>,
    /// `None` while the broker does not serve.
    pub(crate) policies: Option<Arc<dyn PolicyControl>>,
    /// Places for those who wait for `policies`, each with a thread.
    pub(crate) waiting: Arc<Semaphore>,
    pub(crate) limits: Limits,
}

impl House {
    /// Waits for an answer of the broker, not for ever.
    pub(crate) async fn wait<T>(&self, answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let ms = self.limits.answer_ms_max;
        timeout(Duration::from_millis(ms), answer).await.unwrap_or_else(|_| {
            let what = format!("the broker did not answer within {ms} ms");
            Err(Problem::new(503, what, "look at its log and at the load of the machine, and ask again"))
        })
    }
}

/// A socket that listens.
pub(crate) enum Listening {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Accepts until told to stop.
pub(crate) async fn listen(listening: Listening, door: Arc<Door>, house: Arc<House>, mut stop: watch::Receiver<bool>) {
    // Places of this door alone: whoever fills up an address does not close the socket.
    let places = Arc::new(Semaphore::new(house.limits.connections_max));
    let mut refused = 0u64;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listening) => accepted,
            _ = stop.changed() => return,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(door = door.name(), %error, "accept failed; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let (door, house) = (door.clone(), house.clone());
                match stream {
                    Stream::Unix(stream) => drop(tokio::spawn(serve(stream, door, house, place))),
                    Stream::Tcp(stream) => drop(tokio::spawn(serve(stream, door, house, place))),
                }
            }
            Err(_) => {
                refused += 1;
                if refused.is_power_of_two() {
                    let limit = house.limits.connections_max;
                    tracing::warn!(door = door.name(), limit, refused, "admin.connections is reached");
                }
            }
        }
    }
}

enum Stream {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

async fn accept(listening: &Listening) -> std::io::Result<Stream> {
    match listening {
        Listening::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        Listening::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
    }
}

/// Serves one connection to its end.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    door: Arc<Door>,
    house: Arc<House>,
    _place: OwnedSemaphorePermit,
) {
    let limits = house.limits;
    let name = door.name();
    let service = service_fn(move |request| {
        let (door, house) = (door.clone(), house.clone());
        async move { Ok::<_, Infallible>(routes::serve(&house, &door, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_ms_max))
        .max_buf_size(limits.header_bytes_max.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service);
    match timeout(Duration::from_millis(limits.connection_ms_max), connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(door = name, %error, "an admin connection broke"),
        Err(_) => tracing::debug!(door = name, "an admin connection lived too long"),
    }
}

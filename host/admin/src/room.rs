//! The room with its doors: opened, served on a thread of its own, closed.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use registry::PolicyControl;
use tokio::sync::{Semaphore, watch};

use crate::door::{self, House, Listening};
use crate::guard::Door;
use crate::{Config, Control};

/// Requests about policies that are under way at the same time; each holds a thread while it waits.
const WAITING_MAX: usize = 8;

/// Why a door does not open.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The Unix socket.
    #[error("admin.socket = \"{path}\": {what}; {remedy}", path = path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// One of the addresses.
    #[error("{key} = \"{address}\": cannot listen there ({cause}); name a free address of this machine")]
    Address {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The thread or its runtime.
    #[error("the admin room's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The open room. It closes when it is dropped, which waits until its sockets are closed.
#[derive(Debug)]
pub struct Room {
    socket: Option<PathBuf>,
    address: Option<SocketAddr>,
    health: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    /// `None` only while it is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Room {
    /// Opens all doors or none. A broker that does not serve yet has no `policies`.
    pub fn open(
        config: Config,
        control: Arc<dyn Control>,
        policies: Option<Arc<dyn PolicyControl>>,
    ) -> Result<Room, AdminError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AdminError::Thread)?;
        let guard = runtime.enter();
        let mut doors = Vec::new();
        let (mut address, mut health) = (None, None);
        if let Some(tcp) = config.tcp {
            let socket = bind("admin.address", &tcp.address)?;
            address = socket.local_addr().ok();
            doors.push((Listening::Tcp(socket), Door::Tcp(tcp)));
        }
        if let Some(open) = config.health {
            let socket = bind(open.key, &open.address)?;
            health = socket.local_addr().ok();
            doors.push((Listening::Tcp(socket), Door::Health));
        }
        // Last, since a file is left behind by a socket that is not closed in order.
        if let Some(path) = &config.socket {
            doors.push((Listening::Unix(bind_unix(path)?), Door::Socket));
        }
        drop(guard);
        let (stop, stopped) = watch::channel(false);
        let house = Arc::new(House {
            control,
            policies,
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            limits: config.limits,
        });
        let work = move || {
            runtime.block_on(async move {
                for (listening, door) in doors {
                    tokio::spawn(door::listen(listening, Arc::new(door), house.clone(), stopped.clone()));
                }
                let mut stopped = stopped;
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("admin".into()).spawn(work).map_err(AdminError::Thread)?;
        Ok(Room { socket: config.socket, address, health, stop, thread: Some(thread) })
    }

    /// Path of the Unix socket.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The address with a login, with its real port.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The open address, with its real port.
    pub fn health(&self) -> Option<SocketAddr> {
        self.health
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(path) = &self.socket {
            let _ = std::fs::remove_file(path);
        }
        // Its addresses are free for the next room then. A panic there was reported by the thread itself.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(key: &'static str, address: &str) -> Result<tokio::net::TcpListener, AdminError> {
    let refused = |cause| AdminError::Address { key, address: address.to_owned(), cause };
    let socket = std::net::TcpListener::bind(address).map_err(refused)?;
    socket.set_nonblocking(true).map_err(refused)?;
    tokio::net::TcpListener::from_std(socket).map_err(refused)
}

/// A socket that nobody but this user may ever use: it is made in a folder that is closed to others, and moved into its
/// place when its rights are set.
fn bind_unix(path: &Path) -> Result<tokio::net::UnixListener, AdminError> {
    let refused = |what: String, remedy| AdminError::Socket { path: path.to_owned(), what, remedy };
    if let Ok(about) = std::fs::symlink_metadata(path) {
        if !about.file_type().is_socket() {
            return Err(refused("something else is there".into(), "name another path, or move it away"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(refused("another process answers there".into(), "stop it, or name another path"));
        }
    }
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    // One of a process that was killed here, which had the same number.
    let _ = std::fs::remove_dir_all(&hidden);
    let made = (|| {
        std::fs::DirBuilder::new().mode(0o700).create(&hidden)?;
        let fresh = hidden.join("s");
        let socket = tokio::net::UnixListener::bind(&fresh)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&fresh, path)?;
        Ok(socket)
    })();
    let _ = std::fs::remove_dir_all(&hidden);
    made.map_err(|error: std::io::Error| {
        refused(format!("cannot be made ({error})"), "name a short path in a folder where the broker may write")
    })
}

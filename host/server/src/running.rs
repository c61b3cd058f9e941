//! Start, stop, and what came of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use broker::{Broker, Recovery};
use journal::{Journal, JournalError};
use message::{Fact, Record, Text};
use plugin::PolicyHost;
use session::Protocol;
use tokio::sync::watch;

use crate::Config;
use crate::core::Core;
use crate::inbox::Input;
use crate::listener::{self, Place, Shared};
use crate::logins::Logins;
use crate::observer::Observer;
use crate::policy_hand::PolicyHand;
use crate::queue::Queue;
use crate::tls::Handshakes;
use crate::writer;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A connector's address cannot be listened on.
    #[error("connector {connector} cannot listen on {address}: {cause}")]
    Bind {
        /// Name of the connector.
        connector: String,
        /// Its address.
        address: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The journal cannot be read.
    #[error("the journal cannot be recovered: {0}")]
    Journal(#[from] JournalError),
    /// What the journal keeps for others cannot be used, in their words.
    #[error("{0}")]
    Facts(String),
    /// Threads or the runtime cannot be had.
    #[error("the server's threads cannot be started: {0}")]
    Threads(std::io::Error),
}

/// How the server ended.
#[derive(Debug)]
pub enum Exit {
    /// In order, all promises kept.
    Stopped,
    /// The journal failed: nothing more could be promised.
    JournalFailed(JournalError),
    /// A fault of the broker itself.
    Fault(&'static str),
}

/// A connector that listens.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Name of the connector.
    pub name: String,
    /// Which machine speaks there.
    pub protocol: Protocol,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// The address with its real port.
    pub address: SocketAddr,
}

/// What the journal gave back.
#[derive(Clone, Copy, Debug)]
pub struct Recovered {
    /// Figures of the journal.
    pub journal: journal::Recovered,
    /// How long it took.
    pub took: Duration,
}

/// What ended first.
enum Ended {
    Core { panicked: bool },
    Writer(Result<(), JournalError>),
    Loader(Result<(), JournalError>),
}

/// A broker that serves.
pub struct Server {
    core: Arc<Core>,
    listeners: Vec<Listener>,
    recovered: Recovered,
    stop: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    journal: Arc<dyn Journal>,
    places: Arc<[(Arc<Place>, SocketAddr)]>,
    ended: mpsc::Receiver<Ended>,
}

impl Server {
    /// Reads the journal, starts the threads, then opens the ports: a client that gets in is served. `facts` gets what
    /// the journal keeps for others, before anybody is served.
    pub fn start(
        config: Config,
        broker: broker::Config,
        journal: Arc<dyn Journal>,
        policies: Box<dyn PolicyHost>,
        id: Text,
        facts: impl FnOnce(Vec<Fact>) -> Result<(), String>,
    ) -> Result<Server, ServerError> {
        let mut machine = Broker::new(broker, policies, id);
        if let Some(guard) = &config.guard {
            machine.set_guard(guard.clone());
        }
        let (recovered, found) = recover(&mut machine, &*journal)?;
        facts(found).map_err(ServerError::Facts)?;
        // The facts may say that policies are bound.
        machine.policies_changed();
        let mut sockets = Vec::new();
        let patience = Instant::now() + Duration::from_millis(config.bind_ms_max);
        for connector in &config.connectors {
            let bound = listener::bind(connector, patience).map_err(|cause| ServerError::Bind {
                connector: connector.name.clone(),
                address: connector.address.clone(),
                cause,
            })?;
            sockets.push((connector.clone(), bound));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("connections")
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let (ended_tx, ended) = mpsc::channel();
        let core = start_threads(machine, &config, &journal, ended_tx)?;
        let (stop, stopped) = watch::channel(false);
        let handshakes = Handshakes::new(config.handshakes_max, Duration::from_millis(config.handshake_ms_max));
        let logins = Arc::new(Logins::new(config.authenticator.clone(), config.login_threads));
        let shared = Arc::new(Shared {
            config,
            core: core.clone(),
            handshakes,
            logins,
            next_key: AtomicU64::new(1),
            tasks: AtomicUsize::new(0),
        });
        let (mut listeners, mut places) = (Vec::new(), Vec::new());
        for (connector, (socket, address)) in sockets {
            let (name, tls) = (connector.name.clone(), connector.tls.is_some());
            listeners.push(Listener { name, protocol: connector.protocol, tls, address });
            let place = Arc::new(Place::new(connector, shared.clone()));
            places.push((place.clone(), address));
            runtime.spawn(listener::listen(socket, place, stopped.clone()));
        }
        Ok(Server { core, listeners, recovered, stop, runtime, shared, journal, places: places.into(), ended })
    }

    /// The connectors with their real ports.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// What the journal gave back.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// A hand that stops the server from another thread.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (core, stop) = (self.core.clone(), self.stop.clone());
        move || {
            let _ = stop.send(true);
            core.push(Input::Stop);
        }
    }

    /// A hand for those who change policies.
    pub fn policy_hand(&self) -> PolicyHand {
        PolicyHand::new(self.core.clone())
    }

    /// A hand that has the server tell the log how things stand.
    pub fn reporter(&self) -> impl Fn() + Send + Sync + 'static {
        let core = self.core.clone();
        move || core.push(Input::Report)
    }

    /// Tells how things stand, to other threads.
    pub fn observer(&self) -> Observer {
        Observer {
            core: self.core.clone(),
            places: self.places.clone(),
            journal: self.journal.clone(),
            stopping: self.stop.subscribe(),
        }
    }

    /// Waits for the end: told to stop, or the journal failed. After a failed journal nothing more is answered to
    /// anybody: what was not confirmed may or may not be there.
    pub fn wait(self) -> Exit {
        let mut exit = Exit::Stopped;
        // The three threads of an orderly stop end in any order; one that fails ends the wait at once.
        for _ in 0..3 {
            match self.ended.recv() {
                Ok(Ended::Core { panicked: false } | Ended::Writer(Ok(())) | Ended::Loader(Ok(()))) => {}
                Ok(Ended::Core { panicked: true }) => {
                    exit = Exit::Fault("the core thread panicked");
                    break;
                }
                Ok(Ended::Writer(Err(error)) | Ended::Loader(Err(error))) => {
                    exit = Exit::JournalFailed(error);
                    break;
                }
                Err(_) => {
                    exit = Exit::Fault("a journal thread panicked");
                    break;
                }
            }
        }
        if let Exit::Stopped = exit {
            let patience = Instant::now() + Duration::from_millis(self.shared.config.drain_ms_max);
            while self.shared.tasks.load(Ordering::Relaxed) > 0 && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(5));
            }
            if let Err(error) = self.journal.close() {
                return Exit::JournalFailed(error);
            }
        }
        self.runtime.shutdown_background();
        exit
    }
}

fn recover(machine: &mut Broker, journal: &dyn Journal) -> Result<(Recovered, Vec<Fact>), ServerError> {
    let begun = Instant::now();
    let mut recovery = Recovery::default();
    let mut facts = Vec::new();
    let found = journal.recover(&mut |record| match record {
        Record::Fact(fact) => facts.push(fact),
        record => machine.recover(&mut recovery, record),
    })?;
    let recovery = machine.recovered(recovery, found.next_sequence, found.next_log, found.clean_stop);
    for refused in &recovery.refused {
        tracing::error!(refused, "part of the journal could not be used");
    }
    Ok((Recovered { journal: found, took: begun.elapsed() }, facts))
}

fn start_threads(
    machine: Broker,
    config: &Config,
    journal: &Arc<dyn Journal>,
    ended: mpsc::Sender<Ended>,
) -> Result<Arc<Core>, ServerError> {
    let queue = Arc::new(Queue::new(journal, config.threads > 1));
    let (loader, requests) = mpsc::channel();
    let core = Arc::new(Core::new(machine, queue.clone(), loader, config.journal_backlog_bytes_max));
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(ServerError::Threads)
    };
    let (writer_journal, writer_core, tell) = (journal.clone(), core.clone(), ended.clone());
    spawn(
        "journal-writer",
        Box::new(move || {
            let outcome = writer::write(&*writer_journal, &queue, &writer_core);
            let _ = tell.send(Ended::Writer(outcome));
        }),
    )?;
    let (loader_journal, loader_core, tell) = (journal.clone(), core.clone(), ended.clone());
    spawn(
        "journal-loader",
        Box::new(move || {
            let outcome = writer::read(&loader_journal, &requests, &loader_core);
            let _ = tell.send(Ended::Loader(outcome));
        }),
    )?;
    let own = core.clone();
    spawn("core", Box::new(move || drop(ended.send(Ended::Core { panicked: own.run() }))))?;
    Ok(core)
}

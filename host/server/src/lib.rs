//! Where the machines meet the world: listeners, connection tasks, the broker machine and who works it, the thread that
//! writes the journal, the thread that reads it.
//!
//! tokio lives here and nowhere below. The server sees the journal and the policies as traits: it never knows RocksDB
//! or WebAssembly.
//!
//! ```text
//!  socket <─> connection task (session) ──commands──>    core (broker)    ──groups──> writer thread (journal)
//!                     ^───────────────── events ──────────┘  ^  ^──── persisted ───────────┘
//!                                                            └── bodies ── loader thread
//! ```
//!
//! Every arrow is bounded: a connection has at most [`Config::batches_in_flight_max`] batches of commands on the way, the
//! core takes no messages while the writer has [`Config::journal_backlog_bytes_max`] bytes before it, and nothing at twice
//! as many, and a connection that does not read gets no more than its window. A TLS handshake stands between the accept and
//! the session, on the connection's own task: [`Config::handshakes_max`] at a time, [`Config::handshake_ms_max`] long. Logins
//! that take a while wait for one of [`Config::login_threads`] threads of their own.
//!
//! Start reading at [`Server`], then `core` and `connection`.

mod config;
mod connection;
mod core;
mod counters;
mod gather;
mod inbox;
mod inspection;
mod listener;
mod logins;
mod observer;
mod outbox;
mod policy_hand;
mod queue;
mod report;
mod running;
mod tls;
mod writer;

pub use config::{Config, Connector, MaySpeak};
pub use observer::{ConnectorReport, Figures, Gone, Observer, Page};
pub use policy_hand::{HandError, PolicyHand};
pub use running::{Exit, Listener, Recovered, Server, ServerError};
pub use tls::{Certificates, ClientAuth, Part, Tls, TlsError, Versions};

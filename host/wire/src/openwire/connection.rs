//! Commands about a connection, its sessions, transactions and destinations.

use bytes::Bytes;
use bytestring::ByteString;

use super::fields::{Header, Throwable, fields};
use super::ids::{BrokerId, ConnectionId, Destination, ObjectId, SessionId, TransactionId};

/// A client introduces itself (3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The new connection.
    pub connection_id: Option<ConnectionId>,
    /// JMS client id.
    pub client_id: Option<ByteString>,
    /// Password.
    pub password: Option<ByteString>,
    /// User.
    pub user_name: Option<ByteString>,
    /// Brokers passed so far.
    pub broker_path: Option<Vec<BrokerId>>,
    /// A slave broker's connection to its master; unused today.
    pub broker_master_connector: bool,
    /// The client understands management commands.
    pub manageable: bool,
    /// The client knows its master; since version 2.
    pub client_master: bool,
    /// The client uses the failover transport; since version 6.
    pub fault_tolerant: bool,
    /// The client has connected before and comes back; since version 6.
    pub failover_reconnect: bool,
    /// Address of the client, set by brokers; since version 8.
    pub client_ip: Option<ByteString>,
}

/// A new session (4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The session.
    pub session_id: Option<SessionId>,
}

/// A step of a transaction (7, W24).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The connection.
    pub connection_id: Option<ConnectionId>,
    /// The transaction.
    pub transaction_id: Option<TransactionId>,
    /// BEGIN 0, PREPARE 1, COMMIT_ONE_PHASE 2, COMMIT_TWO_PHASE 3, ROLLBACK 4, RECOVER 5, FORGET 6, END 7.
    pub kind: u8,
}

/// A destination comes or goes (8, W36).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DestinationInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The connection.
    pub connection_id: Option<ConnectionId>,
    /// The destination.
    pub destination: Option<Destination>,
    /// Add 0, remove 1.
    pub operation: u8,
    /// Milliseconds to wait for consumers to leave when removing.
    pub timeout_ms: i64,
    /// Brokers passed so far.
    pub broker_path: Option<Vec<BrokerId>>,
}

/// A connection, session, consumer or producer ends (12, W33).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoveInfo {
    /// Command id and wish for an answer.
    pub header: Header,
    /// What ends.
    pub object_id: Option<ObjectId>,
    /// The last message that the consumer saw: 0 unknown, -1 none, -2 ignore; since version 5.
    pub last_delivered_sequence_id: i64,
}

/// "I am still here" (10, W14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepAliveInfo {
    /// Command id and wish for an answer.
    pub header: Header,
}

/// The sender is about to close (11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownInfo {
    /// Command id and wish for an answer.
    pub header: Header,
}

/// The sender wants what is pending to be sent (15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushCommand {
    /// Command id and wish for an answer.
    pub header: Header,
}

/// A management command (14), such as `shutdown`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlCommand {
    /// Command id and wish for an answer.
    pub header: Header,
    /// The command.
    pub command: Option<ByteString>,
}

/// A command that wanted no answer failed (16, W20).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionError {
    /// Command id and wish for an answer.
    pub header: Header,
    /// What happened.
    pub exception: Option<Throwable>,
    /// Where.
    pub connection_id: Option<ConnectionId>,
}

/// The broker steers its clients (18): where to reconnect, when to close.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionControl {
    /// Command id and wish for an answer.
    pub header: Header,
    /// Close the connection.
    pub close: bool,
    /// End the program.
    pub exit: bool,
    /// The connection is fault tolerant.
    pub fault_tolerant: bool,
    /// Go on after a suspend.
    pub resume: bool,
    /// Stop sending for now.
    pub suspend: bool,
    /// URIs of the brokers of the cluster, comma separated; since version 6.
    pub connected_brokers: Option<ByteString>,
    /// URI to connect to instead; since version 6.
    pub reconnect_to: Option<ByteString>,
    /// Spread clients over the cluster; since version 6.
    pub rebalance_connection: bool,
    /// Opaque bytes; since version 8.
    pub token: Option<Bytes>,
}

fields!(ConnectionInfo = 3 {
    header: header,
    connection_id: cached,
    client_id: string,
    password: string,
    user_name: string,
    broker_path: array,
    broker_master_connector: boolean,
    manageable: boolean,
    client_master: boolean since 2,
    fault_tolerant: boolean since 6,
    failover_reconnect: boolean since 6,
    client_ip: string since 8,
});
fields!(SessionInfo = 4 { header: header, session_id: cached });
fields!(TransactionInfo = 7 { header: header, connection_id: cached, transaction_id: cached, kind: byte });
fields!(DestinationInfo = 8 {
    header: header,
    connection_id: cached,
    destination: cached,
    operation: byte,
    timeout_ms: long,
    broker_path: array,
});
fields!(RemoveInfo = 12 { header: header, object_id: cached, last_delivered_sequence_id: long since 5 });
fields!(KeepAliveInfo = 10 { header: header });
fields!(ShutdownInfo = 11 { header: header });
fields!(FlushCommand = 15 { header: header });
fields!(ControlCommand = 14 { header: header, command: string });
fields!(ConnectionError = 16 { header: header, exception: throwable, connection_id: nested });
fields!(ConnectionControl = 18 {
    header: header,
    close: boolean,
    exit: boolean,
    fault_tolerant: boolean,
    resume: boolean,
    suspend: boolean,
    connected_brokers: string since 6,
    reconnect_to: string since 6,
    rebalance_connection: boolean since 6,
    token: bytes since 8,
});

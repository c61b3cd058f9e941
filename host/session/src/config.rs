//! What a session is told when it is made.

use std::sync::Arc;

use message::Text;

use crate::{Authorizer, UserId};

/// Which machine speaks on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// ActiveMQ's own protocol, scheme `tcp` or `nio`.
    #[default]
    OpenWire,
    /// STOMP 1.0, 1.1, 1.2, scheme `stomp` or `stomp+nio`.
    Stomp,
}

/// Who this broker is, as it tells its clients (row W15).
#[derive(Clone, Debug)]
pub struct BrokerInfo {
    /// Unique id of this run, `ID:host-port-time-0:1`.
    pub id: Text,
    /// Name from the configuration; unique in a network (row B02).
    pub name: Text,
    /// URL under which clients reach this connector.
    pub url: Text,
}

/// Limits and habits of the sessions of one connector.
#[derive(Clone)]
pub struct Config {
    /// Who the broker is.
    pub broker: BrokerInfo,
    /// Name of the connector, for whoever decides logins.
    pub connector: Text,
    /// Address of the peer, for people and advisories.
    pub remote: Text,
    /// Subject of the client's certificate, as RFC 2253 writes names (`CN=orders,O=Example`): it was verified against the
    /// authorities that the connector trusts. `None` without TLS, without a certificate, and for an empty subject.
    pub certificate_subject: Option<Text>,
    /// Largest frame accepted, in bytes (`wireFormat.maxFrameSize`, default 104857600; STOMP `wireFormat.maxDataLength`).
    pub frame_bytes_max: usize,
    /// Silence after which an OpenWire peer is taken for dead, ms (`wireFormat.maxInactivityDuration`, default 30000);
    /// 0 for never. The smaller of both sides' wishes holds (row W14).
    pub inactivity_ms: i64,
    /// First such silence after the handshake, ms (`wireFormat.maxInactivityDurationInitalDelay`, default 10000).
    pub inactivity_initial_delay_ms: i64,
    /// A connection that has not logged in after this long is closed, ms (`connectAttemptTimeout`, default 30000).
    pub login_ms_max: i64,
    /// Frames taken from one connection before the broker machine gets them (default 1024).
    pub commands_per_read_max: usize,
    /// Bytes accepted before login, handshake included (default 64 KiB).
    pub login_bytes_max: usize,
    /// Consumers of one connection (`maximumConsumersAllowedPerConnection`, default 10000).
    pub consumers_max: usize,
    /// Producers of one connection (`maximumProducersAllowedPerConnection`, default 10000).
    pub producers_max: usize,
    /// JMS sessions of one connection (default 10000).
    pub sessions_max: usize,
    /// Open transactions of one connection (default 1000).
    pub transactions_max: usize,
    /// STOMP: how much later than agreed a heart-beat may come (`transport.hbGracePeriodMultiplier`, default 1.0).
    pub heart_beat_grace: f64,
    /// STOMP: heart-beats are agreed as the client asks, as ActiveMQ does, but none shorter than this, ms (default 100).
    pub heart_beat_ms_min: i64,
    /// Length and depth limits of selectors.
    pub selector: selector::Limits,
    /// Count and depth limits of message properties.
    pub properties: message::properties::Limits,
    /// Says what a client may do; `None` where everybody who is in may do everything.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Verdicts of the authorizer that one connection remembers (default 1000).
    pub verdicts_max: usize,
    /// Where JMSXUserID of a message comes from.
    pub user_id: UserId,
}

//! The types of the WIT package as the host lowers and lifts them, and the names of the functions.
//!
//! Written by hand and not generated, because a batch is lowered from buffers that live as long as the policy: `Arc`s
//! that are refilled in place between calls. Their types are checked against the component when it is made an instance.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Lower};

/// Interfaces that a policy may import, whatever its world.
pub(crate) const GRANTED: [&str; 5] = [TYPES, VALUES, TELEMETRY, SYMBOLS, STATE_STORE];

const TYPES: &str = "jackfield:policy/types@0.1.0";
const VALUES: &str = "jackfield:policy/values@0.1.0";
pub(crate) const TELEMETRY: &str = "jackfield:policy/telemetry@0.1.0";
pub(crate) const SYMBOLS: &str = "jackfield:policy/symbols@0.1.0";
pub(crate) const LIFECYCLE: &str = "jackfield:policy/lifecycle@0.1.0";
pub(crate) const STATE_STORE: &str = "jackfield:policy/state-store@0.1.0";
pub(crate) const QUEUE_DISPATCH: &str = "jackfield:policy/queue-dispatch@0.1.0";
pub(crate) const TOPIC_DISPATCH: &str = "jackfield:policy/topic-dispatch@0.1.0";
pub(crate) const GROUP_ASSIGNMENT: &str = "jackfield:policy/group-assignment@0.1.0";
pub(crate) const NETWORK_FILTER: &str = "jackfield:policy/network-filter@0.1.0";
pub(crate) const AUTH: &str = "jackfield:policy/auth@0.1.0";
pub(crate) const PUBLISH_ROUTING: &str = "jackfield:policy/publish-routing@0.1.0";

/// `types.column-data`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ColumnData {
    #[component(name = "u8s")]
    U8s(Vec<u8>),
    #[component(name = "u32s")]
    U32s(Vec<u32>),
    #[component(name = "s64s")]
    S64s(Vec<i64>),
    #[component(name = "f64s")]
    F64s(Vec<f64>),
    #[component(name = "symbols")]
    Symbols(Vec<u32>),
}

/// `types.column`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Column {
    pub(crate) id: u32,
    pub(crate) data: ColumnData,
}

/// `types.batch`
#[derive(Debug, Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Batch {
    #[component(name = "now-ms")]
    pub(crate) now_ms: u64,
    pub(crate) destination: u32,
    pub(crate) rows: u32,
    pub(crate) columns: Vec<Column>,
    pub(crate) candidates: Vec<u64>,
}

/// `types.consumers`
#[derive(Debug, Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Consumers {
    pub(crate) slots: Vec<u32>,
    pub(crate) credit: Vec<u32>,
    #[component(name = "in-flight")]
    pub(crate) in_flight: Vec<u32>,
    pub(crate) priority: Vec<i16>,
    pub(crate) columns: Vec<Column>,
}

/// `types.requirements`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Requirements {
    pub(crate) columns: Vec<u32>,
    pub(crate) properties: Vec<String>,
    #[component(name = "max-rows")]
    pub(crate) max_rows: u32,
    #[component(name = "state-version")]
    pub(crate) state_version: u32,
    pub(crate) restores: Vec<u32>,
}

/// `lifecycle.setting`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// `lifecycle.refusal`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "the values are for the operator, who reads them as Debug")]
pub(crate) enum Refusal {
    #[component(name = "unknown-format")]
    UnknownFormat,
    #[component(name = "too-large")]
    TooLarge(u64),
    #[component(name = "other")]
    Other(String),
}

/// `telemetry.level`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make them, the derived lifting turns numbers into them")]
pub(crate) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// `state-store.denial`: why something is not kept; each carries the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Denial {
    #[component(name = "bad-key")]
    BadKey(u32),
    #[component(name = "value-too-large")]
    ValueTooLarge(u32),
    #[component(name = "too-many-keys")]
    TooManyKeys(u32),
    #[component(name = "full")]
    Full(u32),
}

/// `queue-dispatch.member`, `group-assignment.member`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Member {
    pub(crate) slot: u32,
    #[component(name = "client-id")]
    pub(crate) client_id: Arc<str>,
    pub(crate) selector: Arc<str>,
    #[component(name = "is-network")]
    pub(crate) is_network: bool,
}

/// `queue-dispatch.change`, `group-assignment.change`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Change {
    #[component(name = "joined")]
    Joined(Member),
    #[component(name = "left")]
    Left(u32),
}

/// `values.scalar`
#[derive(Debug, Clone, PartialEq, ComponentType, Lower, Lift)]
#[component(variant)]
pub(crate) enum Scalar {
    #[component(name = "absent")]
    Absent,
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "int")]
    Int(i64),
    #[component(name = "float")]
    Float(f64),
    #[component(name = "text")]
    Text(String),
}

impl From<plugin::Scalar<'_>> for Scalar {
    fn from(scalar: plugin::Scalar<'_>) -> Scalar {
        match scalar {
            plugin::Scalar::Absent => Scalar::Absent,
            plugin::Scalar::Bool(value) => Scalar::Boolean(value),
            plugin::Scalar::Int(value) => Scalar::Int(value),
            plugin::Scalar::Float(value) => Scalar::Float(value),
            plugin::Scalar::Text(value) => Scalar::Text(value.into_owned()),
        }
    }
}

impl From<Scalar> for plugin::Scalar<'static> {
    fn from(scalar: Scalar) -> plugin::Scalar<'static> {
        match scalar {
            Scalar::Absent => plugin::Scalar::Absent,
            Scalar::Boolean(value) => plugin::Scalar::Bool(value),
            Scalar::Int(value) => plugin::Scalar::Int(value),
            Scalar::Float(value) => plugin::Scalar::Float(value),
            Scalar::Text(value) => plugin::Scalar::Text(value.into()),
        }
    }
}

/// `group-assignment.groups`
#[derive(Debug, Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Groups {
    #[component(name = "now-ms")]
    pub(crate) now_ms: u64,
    pub(crate) hashes: Vec<u64>,
    pub(crate) queued: Vec<u32>,
    pub(crate) owners: Vec<u32>,
    pub(crate) candidates: Vec<u64>,
    pub(crate) owned: Vec<u32>,
}

/// `group-assignment.move`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Move {
    pub(crate) row: u32,
    pub(crate) to: u32,
}

/// `topic-dispatch.subscriptions`
#[derive(Debug, Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Subscriptions {
    pub(crate) slots: Vec<u32>,
    pub(crate) priority: Vec<i16>,
    pub(crate) waiting: Vec<u32>,
    pub(crate) kinds: Vec<u8>,
    pub(crate) columns: Vec<Column>,
}

/// `topic-dispatch.fan-out`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct FanOut {
    pub(crate) mask: Vec<u64>,
    pub(crate) order: Vec<u32>,
}

/// `publish-routing.verdict`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Verdict {
    #[component(name = "as-addressed")]
    AsAddressed,
    #[component(name = "replace")]
    Replace(Vec<String>),
    #[component(name = "add")]
    Add(Vec<String>),
    #[component(name = "drop")]
    Drop,
    #[component(name = "reject")]
    Reject(String),
    #[component(name = "dead-letter")]
    DeadLetter(String),
}

impl From<Verdict> for plugin::Verdict {
    fn from(verdict: Verdict) -> plugin::Verdict {
        match verdict {
            Verdict::AsAddressed => plugin::Verdict::AsAddressed,
            Verdict::Replace(targets) => plugin::Verdict::Replace(targets),
            Verdict::Add(targets) => plugin::Verdict::Add(targets),
            Verdict::Drop => plugin::Verdict::Drop,
            Verdict::Reject(reason) => plugin::Verdict::Reject(reason),
            Verdict::DeadLetter(reason) => plugin::Verdict::DeadLetter(reason),
        }
    }
}

/// `network-filter.peer`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Peer {
    broker: String,
    connector: String,
}

impl From<&plugin::Peer> for Peer {
    fn from(peer: &plugin::Peer) -> Peer {
        Peer { broker: peer.broker.clone(), connector: peer.connector.clone() }
    }
}

/// `network-filter.demand`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Demand {
    destination: String,
    selector: String,
    hops: u8,
    priority: i16,
    durable: bool,
}

impl From<&plugin::Demand> for Demand {
    fn from(demand: &plugin::Demand) -> Demand {
        Demand {
            destination: demand.destination.clone(),
            selector: demand.selector.clone(),
            hops: demand.hops,
            priority: demand.priority,
            durable: demand.durable,
        }
    }
}

/// `network-filter.interest`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make them, the derived lifting turns numbers into them")]
pub(crate) enum Interest {
    #[component(name = "forward")]
    Forward,
    #[component(name = "suppress")]
    Suppress,
}

impl From<Interest> for plugin::Interest {
    fn from(interest: Interest) -> plugin::Interest {
        match interest {
            Interest::Forward => plugin::Interest::Forward,
            Interest::Suppress => plugin::Interest::Suppress,
        }
    }
}

/// `network-filter.edit`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Edit {
    #[component(name = "set")]
    Set((String, Scalar)),
    #[component(name = "remove")]
    Remove(String),
    #[component(name = "strip-group")]
    StripGroup,
}

impl From<Edit> for plugin::Edit {
    fn from(edit: Edit) -> plugin::Edit {
        match edit {
            Edit::Set((name, value)) => plugin::Edit::Set(name, value.into()),
            Edit::Remove(name) => plugin::Edit::Remove(name),
            Edit::StripGroup => plugin::Edit::StripGroup,
        }
    }
}

/// `network-filter.crossing`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Crossing {
    #[component(name = "forward")]
    Forward(Vec<Edit>),
    #[component(name = "hold")]
    Hold,
    #[component(name = "drop")]
    Drop,
}

impl From<Crossing> for plugin::Crossing {
    fn from(crossing: Crossing) -> plugin::Crossing {
        match crossing {
            Crossing::Forward(edits) => plugin::Crossing::Forward(edits.into_iter().map(plugin::Edit::from).collect()),
            Crossing::Hold => plugin::Crossing::Hold,
            Crossing::Drop => plugin::Crossing::Drop,
        }
    }
}

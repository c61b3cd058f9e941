//! What the API says, as plain values: field names are the JSON's names. Fields are added, never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the broker stands in one picture: `GET /api/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Name of the broker.
    pub broker: String,
    /// `active`: it serves. `standby`: it waits until it may.
    pub role: String,
    /// Who has what a standby waits for; empty for one that is active.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits_for: String,
    /// It takes connections: false from the moment that it was told to stop.
    pub ready: bool,
    /// Seconds since it began to serve.
    pub uptime_s: u64,
    /// Number of the process.
    pub pid: u32,
    /// Connections logged in.
    pub connections: u64,
    /// Counters of the whole broker.
    pub totals: Totals,
    /// Memory, in bytes.
    pub memory: Memory,
    /// The ports.
    pub connectors: Vec<Connector>,
    /// The journal.
    pub journal: Journal,
    /// Logins and rights; absent where everybody may come in and do everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Everything that has an upper bound: how much of it is used.
    pub limits: Vec<Limit>,
}

/// Counters of the whole broker, rising since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Messages taken in.
    pub published: u64,
    /// Sends recognised as repeated and dropped.
    pub duplicates: u64,
    /// Sends that had to wait for room.
    pub sends_parked: u64,
    /// Sends refused for want of room.
    pub sends_refused: u64,
    /// Messages for destinations that went away meanwhile.
    pub dropped: u64,
    /// Acknowledgements of consumers that are gone.
    pub stale_acks: u64,
    /// Policies that could not be had; the built-in ones serve in their place.
    pub policies_refused: u64,
}

/// What became of logins, of questions about rights and of messages that were looked at, since the broker started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Logins decided, those that were remembered included.
    pub logins: u64,
    /// Logins refused.
    pub logins_refused: u64,
    /// Questions about rights; what a connection remembers is not asked.
    pub rights: u64,
    /// Those of them that were answered with a refusal.
    pub rights_refused: u64,
    /// Messages that an auth policy was asked about.
    pub messages: u64,
    /// Messages that it refused.
    pub messages_refused: u64,
    /// Sends whose clients were told so.
    pub sends_forbidden: u64,
    /// Logins, rights and messages refused because a policy did not answer.
    pub failed_closed: u64,
    /// Logins and rights decided by what was known last, because a policy did not answer.
    pub honoured: u64,
    /// The instances of components.
    pub policies: Vec<AuthPlace>,
}

/// An auth policy that is a component, asked about one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthPlace {
    /// The policy.
    pub policy: String,
    /// The generation that decides; 0 for one that the configuration names.
    #[serde(default)]
    pub generation: u64,
    /// `logins`, `rights` or `messages`.
    pub place: String,
    /// How its instance stands: `live`, `warming`, `asleep`, `backing_off`, `refused`.
    pub state: String,
    /// Calls into it.
    pub calls: u64,
    /// Questions that it did not answer, by why.
    pub failed: BTreeMap<String, u64>,
    /// Instances made.
    pub instances_made: u64,
    /// Memory of its instance.
    pub memory_bytes: u64,
    /// Log lines dropped by the rate limit.
    pub log_lines_dropped: u64,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Messages that are nowhere else.
    pub messages: u64,
    /// Bodies that the journal has too.
    pub body_window: u64,
    /// The whole process, as the system counts it.
    pub resident: u64,
}

/// One port. Counters rise since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// Its name.
    pub name: String,
    /// `openwire`, `openwire+ssl`, `stomp`, `stomp+ssl`.
    pub protocol: String,
    /// Address with its port.
    pub address: String,
    /// Connections now, those in their TLS handshake included.
    pub open: u64,
    /// Most connections at a time.
    pub connections_max: u64,
    /// Connections let in.
    pub accepted: u64,
    /// Connections closed at once because there were too many.
    pub refused: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// TLS handshakes on which the two did not agree.
    pub handshakes_failed: u64,
    /// TLS handshakes that took too long.
    pub handshakes_slow: u64,
    /// Clients without TLS where it is spoken, and the reverse.
    pub mistaken: u64,
    /// End of the connector's certificate, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_not_after: Option<i64>,
    /// Frames read.
    pub frames_in: u64,
    /// Frames written.
    pub frames_out: u64,
    /// Frames refused.
    pub frames_refused: u64,
    /// Messages taken in.
    pub messages_in: u64,
    /// Messages handed out.
    pub messages_out: u64,
    /// Acknowledgements that named nothing the consumer holds.
    pub acks_stale: u64,
    /// How often sessions hit each of their limits, by its name.
    pub limits_hit: BTreeMap<String, u64>,
}

/// The journal. Counters rise since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Appends, each with one sync.
    pub appends: u64,
    /// Groups in them.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes handed to the log for them.
    pub bytes_appended: u64,
    /// Bodies read.
    pub bodies_loaded: u64,
    /// Records found damaged.
    pub damaged: u64,
    /// Appends refused for want of space.
    pub refused_full: u64,
    /// Times that space was given back.
    pub trims: u64,
    /// Times that what appends left in one place was brought to its own (a journal in a database).
    #[serde(default)]
    pub settles: u64,
    /// Appends that waited for that.
    #[serde(default)]
    pub settle_waits: u64,
    /// Bytes on disk now.
    pub store_bytes: u64,
    /// Bytes free on the file system now.
    pub disk_free_bytes: u64,
    /// Memory of the engine now.
    pub memory_bytes: u64,
    /// It failed and answers nothing any more.
    pub poisoned: bool,
}

/// One upper bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The configuration key.
    pub name: String,
    /// How much is used now.
    pub used: u64,
    /// How much may be.
    pub max: u64,
}

/// Which destinations to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// At most so many.
    pub limit: usize,
    /// After leaving out so many.
    pub offset: usize,
    /// Those whose qualified name has this in it.
    pub contains: String,
    /// In which order.
    pub sort: Sort,
}

/// Orders of destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Most messages waiting first.
    #[default]
    Pending,
    /// Most messages taken in first.
    Enqueued,
    /// By name.
    Name,
}

/// Destinations, and sums: `GET /api/v1/destinations`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Those that were asked for.
    pub destinations: Vec<Destination>,
    /// How many fit the question.
    pub matched: u64,
    /// How many there are, durable subscriptions included.
    pub total: u64,
    /// Sums over all there are.
    pub sums: Sums,
    /// The dispatch policies, each with its counters over all destinations.
    pub policies: Vec<Policy>,
}

/// One queue or durable subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Qualified name.
    pub name: String,
    /// Name of its dispatch policy; empty for subscriptions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// Its figures.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Figures of one destination or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Messages waiting now, those in flight aside.
    pub pending: u64,
    /// Consumers now.
    pub consumers: u64,
    /// Bytes in memory now.
    pub memory_bytes: u64,
    /// Messages taken in.
    pub enqueued: u64,
    /// Messages handed out, repeated ones counted again.
    pub dispatched: u64,
    /// Messages acknowledged.
    pub dequeued: u64,
    /// Messages that expired.
    pub expired: u64,
    /// Messages that became dead letters.
    pub dead_lettered: u64,
    /// Messages that could not be read back.
    pub damaged: u64,
    /// Rows of policies' answers that were impossible and were put right.
    pub corrected: u64,
}

impl Sums {
    /// Adds the figures of another one.
    pub fn add(&mut self, other: &Sums) {
        self.pending += other.pending;
        self.consumers += other.consumers;
        self.memory_bytes += other.memory_bytes;
        self.enqueued += other.enqueued;
        self.dispatched += other.dispatched;
        self.dequeued += other.dequeued;
        self.expired += other.expired;
        self.dead_lettered += other.dead_lettered;
        self.damaged += other.damaged;
        self.corrected += other.corrected;
    }
}

/// One policy over all its destinations: `GET /api/v1/policies`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it decides, such as `queue-dispatch`.
    pub point: String,
    /// Queues by how it stands there: `live`, `warming`, `asleep`, `backing_off`, `refused`.
    pub destinations: BTreeMap<String, u64>,
    /// Rows that it was asked about.
    pub rows: u64,
    /// Rows of its answers that were impossible.
    pub corrected: u64,
    /// Batches by who decided: `policy`, or the built-in one because of `warming`, `trap`, `deadline`, `wrong_length`,
    /// `backing_off`, `busy`, `full`, `refused`.
    pub batches: BTreeMap<String, u64>,
    /// Traps and overruns outside its decisions.
    pub faults_lifecycle: u64,
    /// Instances made.
    pub instances_made: u64,
    /// Times that an idle instance was put to sleep.
    pub instances_slept: u64,
    /// States that were lost.
    pub states_lost: u64,
    /// Log lines dropped by the rate limit.
    pub log_lines_dropped: u64,
    /// Times that another generation took over on a destination.
    pub swaps: u64,
    /// Times that a destination did not take another generation.
    pub swaps_refused: u64,
    /// Times that a destination went back to the generation before.
    pub swaps_undone: u64,
    /// Memory of its instances now, on all destinations together.
    pub memory_bytes: u64,
    /// The most that it was on one destination.
    pub memory_bytes_most: u64,
    /// Processor time of its calls: of one in sixteen, of all on probation and beside a shadow.
    pub times: Times,
    /// Time on the clock for which destinations waited while another generation took over, or was refused.
    pub swap_times: Times,
}

/// Times of calls that were measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How many there are.
    pub calls: u64,
    /// Of all of them, nanoseconds.
    pub nanos: u64,
    /// Of the longest one, nanoseconds.
    pub nanos_most: u64,
    /// The calls, from the shortest to the longest.
    pub buckets: Vec<Bucket>,
}

/// Calls that took longer than the bucket before says, and no longer than this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Microseconds; without it there is no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to_us: Option<u64>,
    /// How many.
    pub calls: u64,
}

impl Times {
    /// Microseconds that `percent` of the calls did not take longer than, as far as the buckets tell; `None` without calls
    /// and beyond the last end.
    pub fn up_to_us(&self, percent: u64) -> Option<u64> {
        let mut sum = 0;
        let fits = |bucket: &&Bucket| {
            sum += bucket.calls;
            sum > 0 && sum * 100 >= self.calls * percent
        };
        self.buckets.iter().find(fits)?.up_to_us
    }
}

/// A plug-in in `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlugIn {
    /// Its name.
    pub name: String,
    /// The generation that decides; 0 for none.
    pub generation: u64,
    /// Digest of its component.
    pub digest: String,
    /// Destinations whose states are kept for the next run.
    pub states: u64,
    /// Bytes of those.
    pub state_bytes: u64,
    /// What its shadow found so far, if it has one.
    pub shadow: Option<Shadow>,
}

/// What a shadow found so far, on all destinations together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Rows that both decided.
    pub rows: u64,
    /// Of them those that both decided alike.
    pub rows_agreed: u64,
    /// Answers of the shadow that would have had to be corrected.
    pub corrected: u64,
}

/// Answer to a change of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The generation that it was about, where it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// A sentence for each destination where that generation does not decide, or without the state of the one before; as far
    /// as that is known at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Answer of `GET /health`, with 200 where clients are served and 503 elsewhere; and of `GET /health/alive`, with 200 also
/// where a standby waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// See [`Status::role`].
    pub role: String,
    /// See [`Status::ready`].
    pub ready: bool,
    /// See [`Status::waits_for`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits_for: String,
}

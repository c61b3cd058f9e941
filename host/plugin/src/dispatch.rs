//! The traits that the core asks, and what they say about themselves.

use std::sync::Arc;

use crate::{
    CallTimes, Columns, Corrections, DispatchBatch, GroupAssignment, MemberChange, NetworkFilter, Point, PolicyError,
    PolicyMetrics, Property, PublishRouting, SymbolTable, TopicDispatch,
};

/// The dispatch policy of one queue. The core owns it and asks it synchronously.
///
/// An answer always comes, at the latest after the host's deadline: if the policy fails, its native twin decides that
/// very batch. The answer is advice; the core passes it through [`PlanCheck`](crate::PlanCheck) before it acts.
pub trait QueueDispatch: Send {
    /// A batch is about to be gathered: this is where another generation takes over, so that the columns of the batch are
    /// those that it wants. `now_ms` is the broker's time in ms since 1970.
    fn boundary(&mut self, now_ms: u64) {
        let _ = now_ms;
    }

    /// The columns to fill for the next plan. Ask before each batch: a policy that is not ready yet wants none.
    fn wants(&self) -> Columns;

    /// The message properties to show as columns, likewise.
    fn properties(&self) -> &[Property] {
        &[]
    }

    /// The most rows that one plan may ask about, at least 1. Ask before each batch, as for [`wants`](Self::wants).
    fn rows_max(&self) -> usize;

    /// Consumers came or went since the last call, in this order.
    fn members_changed(&mut self, changes: &[MemberChange]);

    /// Clears `out`, then puts a slot or [`LEAVE`](crate::LEAVE) there for each row of the batch.
    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided;

    /// The plan just given for `rows` rows had to be corrected. Not called for a plan that was right.
    fn corrected(&mut self, rows: usize, corrections: &Corrections) {
        let _ = (rows, corrections);
    }

    /// What happened so far and how it stands.
    fn stats(&self) -> PolicyStats;
}

/// Who decided a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// The policy that was asked for.
    Policy,
    /// Its native twin, for this reason.
    Fallback(Fallback),
}

/// Why the native twin decided a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// The policy is being compiled or made; nothing is wrong.
    Warming,
    /// The policy trapped in this call.
    Trap,
    /// The policy overran its deadline in this call.
    Deadline,
    /// The policy answered with more or fewer slots than rows.
    WrongLength,
    /// The policy failed before; a new instance is made after a pause.
    BackingOff,
    /// The instance is in other hands for a moment (it is being put to sleep).
    Busy,
    /// More instances are alive than the limit allows; the idlest are being put to sleep.
    Full,
    /// The policy cannot be run at all (it does not compile or refuses its settings).
    Refused,
}

/// How a policy stands on its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyState {
    /// Native code, or an instance that is alive.
    #[default]
    Live,
    /// Not compiled yet, or never asked yet.
    Warming,
    /// Idle: its state is kept, its instance is not.
    Asleep,
    /// It failed; a new instance comes after a pause.
    BackingOff,
    /// It cannot be run; the native twin decides for good.
    Refused,
}

/// Counters of one policy on one destination. Each batch is in exactly one of `batches_policy` and `batches_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyStats {
    /// How it stands now.
    pub state: PolicyState,
    /// The generation that decides; 0 for a policy that has none: native, stock or named in the configuration file.
    pub generation: u64,
    /// Times that another generation took over.
    pub swaps: u64,
    /// Times that another generation was to take over and the one before went on: it did not take the state.
    pub swaps_refused: u64,
    /// Times that a generation on probation went back to the one before.
    pub swaps_undone: u64,
    /// Rows that plans were asked about.
    pub rows: u64,
    /// Batches that the policy decided.
    pub batches_policy: u64,
    /// Batches decided natively for [`Fallback::Warming`].
    pub batches_warming: u64,
    /// Batches decided natively for [`Fallback::Trap`].
    pub batches_trap: u64,
    /// Batches decided natively for [`Fallback::Deadline`].
    pub batches_deadline: u64,
    /// Batches decided natively for [`Fallback::WrongLength`].
    pub batches_wrong_length: u64,
    /// Batches decided natively for [`Fallback::BackingOff`].
    pub batches_backing_off: u64,
    /// Batches decided natively for [`Fallback::Busy`].
    pub batches_busy: u64,
    /// Batches decided natively for [`Fallback::Full`].
    pub batches_full: u64,
    /// Batches decided natively for [`Fallback::Refused`].
    pub batches_refused: u64,
    /// Traps and overruns outside `plan`: describe, configure, restore, snapshot, members-changed.
    pub faults_lifecycle: u64,
    /// Instances made, the first one included.
    pub instances_made: u64,
    /// Times that an idle instance was put to sleep.
    pub instances_slept: u64,
    /// States that were lost: no snapshot, snapshot refused or restore refused.
    pub states_lost: u64,
    /// Log lines dropped by the rate limit.
    pub log_lines_dropped: u64,
    /// Answers that had to be corrected; a native policy's never have to be.
    pub corrected: u64,
    /// Linear memory of its instances now, bytes.
    pub memory_bytes: u64,
    /// The most that it was.
    pub memory_bytes_most: u64,
    /// Processor time of calls to `plan`: of one in sixteen, of all while somebody looks closer.
    pub times: CallTimes,
    /// Time on the clock for which the destination waited while another generation took over, or was refused.
    pub swap_times: CallTimes,
}

impl PolicyStats {
    /// Counts a batch of `rows` rows under the one who decided it.
    pub fn count(&mut self, rows: usize, decided: Decided) {
        self.rows += rows as u64;
        let counter = match decided {
            Decided::Policy => &mut self.batches_policy,
            Decided::Fallback(Fallback::Warming) => &mut self.batches_warming,
            Decided::Fallback(Fallback::Trap) => &mut self.batches_trap,
            Decided::Fallback(Fallback::Deadline) => &mut self.batches_deadline,
            Decided::Fallback(Fallback::WrongLength) => &mut self.batches_wrong_length,
            Decided::Fallback(Fallback::BackingOff) => &mut self.batches_backing_off,
            Decided::Fallback(Fallback::Busy) => &mut self.batches_busy,
            Decided::Fallback(Fallback::Full) => &mut self.batches_full,
            Decided::Fallback(Fallback::Refused) => &mut self.batches_refused,
        };
        *counter += 1;
    }

    /// Adds the counters of a policy that is there no more; how it stood means nothing then.
    pub fn add(&mut self, other: &PolicyStats) {
        self.swaps += other.swaps;
        self.swaps_refused += other.swaps_refused;
        self.swaps_undone += other.swaps_undone;
        self.rows += other.rows;
        self.batches_policy += other.batches_policy;
        self.batches_warming += other.batches_warming;
        self.batches_trap += other.batches_trap;
        self.batches_deadline += other.batches_deadline;
        self.batches_wrong_length += other.batches_wrong_length;
        self.batches_backing_off += other.batches_backing_off;
        self.batches_busy += other.batches_busy;
        self.batches_full += other.batches_full;
        self.batches_refused += other.batches_refused;
        self.faults_lifecycle += other.faults_lifecycle;
        self.instances_made += other.instances_made;
        self.instances_slept += other.instances_slept;
        self.states_lost += other.states_lost;
        self.log_lines_dropped += other.log_lines_dropped;
        self.corrected += other.corrected;
        self.memory_bytes_most = self.memory_bytes_most.max(other.memory_bytes_most);
        self.times.merge(&other.times);
        self.swap_times.merge(&other.swap_times);
    }

    /// Batches that the native twin decided although the policy was asked for.
    pub fn batches_fallback(&self) -> u64 {
        self.batches_warming
            + self.batches_trap
            + self.batches_deadline
            + self.batches_wrong_length
            + self.batches_backing_off
            + self.batches_busy
            + self.batches_full
            + self.batches_refused
    }
}

/// Where a policy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOrigin {
    /// Code of the broker itself.
    Native,
    /// A component embedded in the program.
    Stock,
    /// A component of the operator.
    Custom,
}

/// A policy that may be named in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// The name to write in the configuration.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Where it comes from.
    pub origin: PolicyOrigin,
}

/// Makes policies by name. One host serves the whole broker.
pub trait PolicyHost: Send {
    /// The dispatch policy `policy` for the queue `destination`. Cheap: nothing is compiled on the caller's thread.
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError>;

    /// The group policy `policy` for `destination`. As cheap.
    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError>;

    /// The policy that somebody bound to `destination` on the running broker; it goes before the one in its settings.
    fn bound(&self, point: Point, destination: &str) -> Option<String> {
        let _ = (point, destination);
        None
    }

    /// All that is bound so: patterns, for publish routing those of topics with `topic://` in front, and names of policies.
    fn bindings(&self, point: Point) -> Vec<(String, String)> {
        let _ = point;
        Vec::new()
    }

    /// The policy `policy` for the topic `destination`. Cheap likewise. A host may have none.
    fn topic_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        let _ = destination;
        Err(PolicyError::Unknown { policy: policy.to_owned(), known: Vec::new() })
    }

    /// The policy `policy` with these settings for what is sent to destinations of `pattern`. Cheap likewise. A
    /// host may have none.
    fn publish_routing(
        &self,
        policy: &str,
        pattern: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn PublishRouting>, PolicyError> {
        let _ = (pattern, settings);
        Err(PolicyError::Unknown { policy: policy.to_owned(), known: Vec::new() })
    }

    /// The policy `policy` with these settings for the network connector `connector`. Cheap likewise. A host may have none.
    fn network_filter(
        &self,
        policy: &str,
        connector: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn NetworkFilter>, PolicyError> {
        let _ = (connector, settings);
        Err(PolicyError::Unknown { policy: policy.to_owned(), known: Vec::new() })
    }

    /// The policies of `point` that can be asked for, by name in ascending order.
    fn names(&self, point: Point) -> Vec<PolicyInfo>;

    /// The counters that policies keep of their own.
    fn metrics(&self) -> Vec<PolicyMetrics> {
        Vec::new()
    }

    /// The table in which the core interns the texts of symbol columns.
    fn symbols(&self) -> &Arc<SymbolTable>;
}

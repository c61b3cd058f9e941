//! Every bound on a component, with its name and default.

use std::time::Duration;

/// Upper bounds for components. What happens at each bound is counted in [`plugin::PolicyStats`] or
/// [`HostStats`](crate::HostStats), or is the reason of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of a component. Default 4 MiB.
    pub component_bytes_max: usize,
    /// Functions in all the core modules of a component. Default 30 000.
    pub functions_max: u32,
    /// Targets of one `br_table`. Default 4 096.
    pub branch_targets_max: u32,
    /// Core modules and nested components of a component; a language with libraries brings several dozen. Default 64.
    pub modules_max: usize,
    /// Core instances of a component. Default 64.
    pub core_instances_max: usize,
    /// Tables of an instance. Default 8.
    pub tables_max: usize,
    /// Elements of a table. Default 20 000.
    pub table_elements_max: usize,
    /// Linear memory of an instance; it has one memory. Growing beyond fails inside the guest. Default 16 MiB.
    pub memory_bytes_max: usize,
    /// Stack of a guest, on the stack of the thread that calls. Default 256 KiB.
    pub stack_bytes_max: usize,
    /// CPU time of one call into a guest, whichever function. Looked at in ticks of 1 ms, so a call may last 1 or 2 ms
    /// longer; where the machine is busy with other things the clock on the wall may show up to 40 times as much. Default
    /// 5 ms.
    pub call_ms_max: u64,
    /// Bytes that a guest may hand over in one call, answers and log lines alike. Default 1 MiB.
    pub answer_bytes_max: usize,
    /// Rows of a batch, whatever the policy asks for. Default 1 024.
    pub rows_max: usize,
    /// Message properties that a policy may see as columns. Default 8.
    pub properties_max: usize,
    /// State of a policy on one destination. Default 64 KiB.
    pub state_bytes_max: u32,
    /// Destinations without consumers whose states are kept. Default 10 000.
    pub states_kept_max: usize,
    /// Instances that stay alive. Beyond it the idlest are put to sleep; at twice as many no more are made until that is
    /// done, and the native twins decide. Default 256.
    pub instances_live_max: usize,
    /// Log lines of one instance in a second. Default 20.
    pub log_lines_per_second_max: u32,
    /// Length of a log line. Default 1 KiB.
    pub log_line_bytes_max: usize,
    /// Message properties that a policy of topics, networks or routing reads. Default 32.
    pub reads_max: usize,
    /// Name of such a property. Default 256 bytes.
    pub read_name_bytes_max: usize,
    /// Counters that a policy keeps on one destination. Default 32.
    pub metrics_max: usize,
    /// Name of such a counter. Default 64 bytes.
    pub metric_name_bytes_max: usize,
    /// Keys in the store of a policy on one destination. Default 256.
    pub store_keys_max: u32,
    /// Length of such a key. Default 128 bytes.
    pub store_key_bytes_max: u32,
    /// Length of a value in the store. Default 4 KiB.
    pub store_value_bytes_max: u32,
    /// Keys and values of such a store together. Default 64 KiB.
    pub store_bytes_max: u32,
    /// Destinations whose stores and counters are kept although nobody uses them now. Default 10 000.
    pub memories_max: usize,
    /// The first pause after a failure; it doubles with each further one. Default 1 s: each try of a policy that loops
    /// costs all queues its deadline.
    pub backoff_min: Duration,
    /// The longest pause. Default 30 s.
    pub backoff_max: Duration,
    /// Share of the core's time that a shadow may take, percent. Default 10.
    pub shadow_percent_max: u32,
    /// How long a generation that took over is watched, and the one before stays warm. Default 60 s.
    pub probation_ms: u64,
    /// Faults of a generation on probation until it has to go: traps, overruns of the deadline, answers of the wrong length.
    /// Default 0: the first one ends it.
    pub probation_faults_max: u32,
    /// Corrected answers of a generation on probation in a hundred rows. Default 5.
    pub probation_corrected_percent_max: u64,
    /// Rows before that share is judged. Default 256.
    pub probation_rows_min: u64,
    /// How many times as much a row may cost as with the generation before. Default 10.
    pub probation_cost_times_max: u32,
    /// A call that takes less than this is never too slow, microseconds. Default 200.
    pub probation_call_us_min: u64,
    /// Recordings at a time, those that wait to be fetched included. Default 4.
    pub recordings_max: usize,
    /// Memory of one recording, about. Default 16 MiB.
    pub recording_bytes_max: u64,
    /// Batches of one recording. Default 10 000.
    pub recording_batches_max: u64,
    /// How long a recording may take. Default 10 min.
    pub recording_ms_max: u64,
    /// Batches that a policy decides in a row until its failures are forgotten. Default 64.
    pub batches_until_recovered: u32,
}

impl Limits {
    /// The defaults, but for what a component may weigh: whatever a language's runtime brings. For authors' tools; what a
    /// broker takes is its operator's decision.
    pub fn largest() -> Limits {
        Limits {
            component_bytes_max: 64 << 20,
            functions_max: 200_000,
            branch_targets_max: 65_536,
            modules_max: 1_000,
            core_instances_max: 1_000,
            table_elements_max: 200_000,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            component_bytes_max: 4 << 20,
            functions_max: 30_000,
            branch_targets_max: 4_096,
            modules_max: 64,
            core_instances_max: 64,
            tables_max: 8,
            table_elements_max: 20_000,
            memory_bytes_max: 16 << 20,
            stack_bytes_max: 256 << 10,
            call_ms_max: 5,
            answer_bytes_max: 1 << 20,
            rows_max: 1_024,
            properties_max: 8,
            state_bytes_max: 64 << 10,
            states_kept_max: 10_000,
            instances_live_max: 256,
            log_lines_per_second_max: 20,
            log_line_bytes_max: 1 << 10,
            reads_max: 32,
            read_name_bytes_max: 256,
            metrics_max: 32,
            metric_name_bytes_max: 64,
            store_keys_max: 256,
            store_key_bytes_max: 128,
            store_value_bytes_max: 4 << 10,
            store_bytes_max: 64 << 10,
            memories_max: 10_000,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            shadow_percent_max: 10,
            probation_ms: 60_000,
            probation_faults_max: 0,
            probation_corrected_percent_max: 5,
            probation_rows_min: 256,
            probation_cost_times_max: 10,
            probation_call_us_min: 200,
            recordings_max: 4,
            recording_bytes_max: 16 << 20,
            recording_batches_max: 10_000,
            recording_ms_max: 600_000,
            batches_until_recovered: 64,
        }
    }
}

//! `[plugins]`: bounds of policies that are deployed while the broker runs.

use std::path::PathBuf;

use super::Config;
use super::keys::{Key, Shown, bytes, plain, text};

/// Keys of `[plugins]`.
pub(super) const PLUGINS: &[Key<Config>] = &[
    Key {
        name: "component_limit",
        doc: "Largest component, those of [[policy.component]] included.",
        read: |c, raw| raw.size(1 << 10..=32 << 20).map(|bytes| c.policy.component_bytes_max = bytes as usize),
        show: |c| bytes(c.policy.component_bytes_max as u64),
    },
    Key {
        name: "core_modules",
        doc: "Modules within a component. A language that comes with a library or two brings one for each.",
        read: |c, raw| raw.count(1..=1_000).map(|count| c.policy.modules_max = count),
        show: |c| plain(c.policy.modules_max),
    },
    Key {
        name: "core_instances",
        doc: "Instances of such modules.",
        read: |c, raw| raw.count(1..=1_000).map(|count| c.policy.core_instances_max = count),
        show: |c| plain(c.policy.core_instances_max),
    },
    Key {
        name: "functions",
        doc: "Functions of a component; each takes time to compile.",
        read: |c, raw| raw.integer(1..=1_000_000).map(|count| c.policy.functions_max = count as u32),
        show: |c| plain(c.policy.functions_max),
    },
    Key {
        name: "branch_targets",
        doc: "Places that one instruction may jump to; a few thousand of them take long to compile.",
        read: |c, raw| raw.integer(1..=65_536).map(|count| c.policy.branch_targets_max = count as u32),
        show: |c| plain(c.policy.branch_targets_max),
    },
    Key {
        name: "table_elements",
        doc: "Functions that a component may call by number.",
        read: |c, raw| raw.count(1..=1_000_000).map(|count| c.policy.table_elements_max = count),
        show: |c| plain(c.policy.table_elements_max),
    },
    Key {
        name: "cache_limit",
        doc: "Compiled components kept on disk for the next start, in plugins/ of the data directory; 0 keeps none.",
        read: |c, raw| raw.size(0..=64 << 30).map(|bytes| c.policy_cache_bytes_max = bytes),
        show: |c| bytes(c.policy_cache_bytes_max),
    },
    Key {
        name: "components_limit",
        doc: "Components of all generations that are kept, together; they are held in memory too.",
        read: |c, raw| raw.size(1 << 20..=8 << 30).map(|bytes| c.registry.components_bytes_max = bytes as usize),
        show: |c| bytes(c.registry.components_bytes_max as u64),
    },
    Key {
        name: "plugins",
        doc: "Plug-ins that may be deployed.",
        read: |c, raw| raw.count(1..=10_000).map(|count| c.registry.plug_ins_max = count),
        show: |c| plain(c.registry.plug_ins_max),
    },
    Key {
        name: "generations",
        doc: "Generations kept of one plug-in; beyond it the oldest that is not in use goes.",
        read: |c, raw| raw.count(3..=1000).map(|count| c.registry.generations_kept_max = count),
        show: |c| plain(c.registry.generations_kept_max),
    },
    Key {
        name: "history",
        doc: "Lines of history kept of one plug-in.",
        read: |c, raw| raw.count(1..=10_000).map(|count| c.registry.history_max = count),
        show: |c| plain(c.registry.history_max),
    },
    Key {
        name: "bindings",
        doc: "Patterns of destinations that policies may be bound to.",
        read: |c, raw| raw.count(1..=100_000).map(|count| c.registry.bindings_max = count),
        show: |c| plain(c.registry.bindings_max),
    },
    Key {
        name: "settings",
        doc: "Settings of one generation.",
        read: |c, raw| raw.count(0..=10_000).map(|count| c.registry.settings_max = count),
        show: |c| plain(c.registry.settings_max),
    },
    Key {
        name: "setting_limit",
        doc: "Largest setting, name and value together.",
        read: |c, raw| raw.size(16..=64 << 10).map(|bytes| c.registry.setting_bytes_max = bytes as usize),
        show: |c| bytes(c.registry.setting_bytes_max as u64),
    },
    Key {
        name: "states",
        doc: "Destinations whose policies' states are kept for the next run.",
        read: |c, raw| raw.count(0..=1_000_000).map(|count| c.registry.states_max = count),
        show: |c| plain(c.registry.states_max),
    },
    Key {
        name: "state_limit",
        doc: "Largest state of a policy on one destination.",
        read: |c, raw| raw.size(0..=1 << 20).map(|bytes| c.policy.state_bytes_max = bytes as u32),
        show: |c| bytes(c.policy.state_bytes_max.into()),
    },
    Key {
        name: "recording_limit",
        doc: "Memory of what `jackfield plugin record` takes down on one queue, about.",
        read: |c, raw| raw.size(64 << 10..=1 << 30).map(|bytes| c.policy.recording_bytes_max = bytes),
        show: |c| bytes(c.policy.recording_bytes_max),
    },
    Key {
        name: "recording_batches",
        doc: "Most batches that it takes down.",
        read: |c, raw| raw.integer(1..=10_000_000).map(|count| c.policy.recording_batches_max = count.unsigned_abs()),
        show: |c| plain(c.policy.recording_batches_max),
    },
    Key {
        name: "recording_ms",
        doc: "Longest time that it takes.",
        read: |c, raw| raw.integer(1..=86_400_000).map(|ms| c.policy.recording_ms_max = ms.unsigned_abs()),
        show: |c| plain(c.policy.recording_ms_max),
    },
    Key {
        name: "recordings",
        doc: "Recordings at a time; one that nobody fetches within a minute is dropped.",
        read: |c, raw| raw.count(1..=100).map(|count| c.policy.recordings_max = count),
        show: |c| plain(c.policy.recordings_max),
    },
    Key {
        name: "shadow_percent",
        doc: "Share of the broker's own time that a shadow may take; it sits out what is beyond.",
        read: |c, raw| raw.integer(1..=100).map(|percent| c.policy.shadow_percent_max = percent as u32),
        show: |c| plain(c.policy.shadow_percent_max),
    },
    Key {
        name: "probation_ms",
        doc: "How long a new generation is watched and the one before stays ready.",
        read: |c, raw| raw.integer(0..=86_400_000).map(|ms| c.policy.probation_ms = ms.unsigned_abs()),
        show: |c| plain(c.policy.probation_ms),
    },
    Key {
        name: "probation_faults",
        doc: "Traps, overrun deadlines and answers of a wrong length that it may have meanwhile; one more and the\n\
              generation before decides again.",
        read: |c, raw| raw.integer(0..=1_000_000).map(|count| c.policy.probation_faults_max = count as u32),
        show: |c| plain(c.policy.probation_faults_max),
    },
    Key {
        name: "probation_corrected_percent",
        doc: "Share of its answers that may have to be corrected.",
        read: |c, raw| {
            raw.integer(0..=100).map(|percent| c.policy.probation_corrected_percent_max = percent.unsigned_abs())
        },
        show: |c| plain(c.policy.probation_corrected_percent_max),
    },
    Key {
        name: "probation_rows",
        doc: "Messages that it must have been asked about before that share counts.",
        read: |c, raw| raw.integer(1..=1_000_000_000).map(|rows| c.policy.probation_rows_min = rows.unsigned_abs()),
        show: |c| plain(c.policy.probation_rows_min),
    },
    Key {
        name: "probation_cost_times",
        doc: "How many times as much processor time a message may take as with the generation before …",
        read: |c, raw| raw.integer(1..=1_000_000).map(|times| c.policy.probation_cost_times_max = times as u32),
        show: |c| plain(c.policy.probation_cost_times_max),
    },
    Key {
        name: "probation_call_us",
        doc: "… unless a call takes less than this, in microseconds.",
        read: |c, raw| raw.integer(0..=1_000_000).map(|us| c.policy.probation_call_us_min = us.unsigned_abs()),
        show: |c| plain(c.policy.probation_call_us_min),
    },
    Key {
        name: "watch",
        doc: "For development: a folder whose NAME.wasm becomes the next generation of the plug-in NAME whenever\n\
              it changes.",
        read: |c, raw| raw.name().map(|folder| c.plugin_watch = Some(PathBuf::from(folder))),
        show: |c| match &c.plugin_watch {
            Some(folder) => text(&folder.to_string_lossy()),
            None => Shown::Unset("\"policies\""),
        },
    },
    Key {
        name: "watch_ms",
        doc: "How often that folder is looked at; a component is deployed when it looked the same twice.",
        read: |c, raw| raw.integer(10..=60_000).map(|ms| c.plugin_watch_ms = ms.unsigned_abs()),
        show: |c| plain(c.plugin_watch_ms),
    },
];

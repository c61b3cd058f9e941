//! What the host and the core know, in the words of who asks.

use plugin_wasmtime::{RecordingProgress, Remark, ShadowReport, Sides};
use registry::{
    Digest, Explained, ExplainedOwner, Generation, Listed, ListedGeneration, PlugIn, Recorded, ShadowFindings,
};

/// How far a recording is.
pub(super) fn recorded(progress: RecordingProgress) -> Recorded {
    let RecordingProgress { destination: queue, policy, batches, bytes, is_over } = progress;
    Recorded { queue, policy, batches, bytes, is_over }
}

/// A plug-in, with how many states are kept for it and how many bytes they have.
pub(super) fn listed(name: &str, plug_in: &PlugIn, (states, state_bytes): (u64, u64)) -> Listed {
    let generation = |generation: &Generation| ListedGeneration {
        number: generation.number,
        digest: Digest::to_string(&generation.digest),
        bytes: generation.bytes,
        world: generation.world.clone(),
        settings: generation.settings.clone(),
        grants: generation.grants.clone(),
        deployed_ms: generation.deployed_ms,
        withdrawn: generation.withdrawn.clone(),
    };
    Listed {
        name: name.to_owned(),
        active: plug_in.active,
        previous: plug_in.previous,
        shadow: plug_in.shadow,
        generations: plug_in.generations.iter().map(generation).collect(),
        states,
        state_bytes,
    }
}

/// What a shadow found on one destination.
pub(super) fn found(report: ShadowReport) -> ShadowFindings {
    let rows = report.rows.max(1);
    let consumer = |(slot, client_id, sides): (u32, String, Sides)| (slot, client_id, sides.active, sides.shadow);
    ShadowFindings {
        destination: report.destination,
        generation: report.generation,
        batches: report.batches,
        batches_skipped: report.batches_skipped,
        rows: report.rows,
        rows_agreed: report.rows_agreed,
        agreement_percent: report.rows_agreed as f64 * 100.0 / rows as f64,
        corrected: report.corrected,
        nanos_per_row: (report.nanos.active / rows, report.nanos.shadow / rows),
        rows_left: (report.rows_left.active, report.rows_left.shadow),
        moves: (report.moves.active, report.moves.shadow),
        consumers: report.consumers.into_iter().map(consumer).collect(),
        ended: report.ended,
    }
}

/// Why a message went where it went.
pub(super) fn told(decision: broker::Decision) -> Explained {
    Explained {
        at_ms: decision.at_ms,
        sequence: decision.sequence,
        message_id: decision.message_id,
        policy: decision.policy.to_string(),
        generation: decision.generation,
        decided: decider(decision.decided),
        asked: decision.asked,
        given: decision.given.map(receiver),
        table: format!("{:016x}", decision.table),
        group: decision.group.map(|owner| ExplainedOwner {
            at_ms: owner.at_ms,
            group: owner.group.to_string(),
            slot: owner.slot,
            policy: owner.policy.to_string(),
            generation: owner.generation,
            decided: decider(owner.decided),
            table: format!("{:016x}", owner.table),
        }),
        copies: decision.copies.into_iter().map(receiver).collect(),
        withheld: decision.withheld,
    }
}

/// `policy`, or why its native twin decided.
fn decider(decided: plugin::Decided) -> String {
    match decided {
        plugin::Decided::Policy => "policy".to_owned(),
        plugin::Decided::Fallback(fallback) => format!("{fallback:?}"),
    }
}

fn receiver(given: broker::Given) -> (u32, String, Option<String>) {
    (given.slot, given.consumer, given.client_id.map(|id| id.to_string()))
}

/// What became of a takeover on a destination, and what can be done where it is about the state.
pub(super) fn remarked(Remark { destination, is_taken, reason }: Remark, start_empty: bool) -> String {
    if is_taken {
        return format!("on {destination} it goes on without the state of the one before: {reason}");
    }
    let remedy = match !start_empty && reason.contains(" state") {
        true => "; if it can do without that state, roll back and promote it with --start-empty",
        false => "",
    };
    format!("on {destination} the one before goes on: {reason}{remedy}")
}

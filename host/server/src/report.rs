//! How things stand, as lines of the log: asked for by a person, and said once at an orderly stop.

use broker::{Broker, LineReport};

/// Lines told in one report; the busiest come first.
const LINES_MAX: usize = 100;

/// Writes totals and one line per queue and durable subscription.
pub(crate) fn to_log(broker: &Broker) {
    let stats = broker.stats();
    let (memory_bytes, body_window_bytes) = broker.memory();
    tracing::info!(
        connections = broker.connections(),
        published = stats.published,
        duplicates = stats.duplicates,
        sends_parked = stats.sends_parked,
        sends_refused = stats.sends_refused,
        sends_forbidden = stats.sends_forbidden,
        stale_acks = stats.stale_acks,
        policies_refused = stats.policies_refused,
        memory_bytes,
        body_window_bytes,
        "report: totals"
    );
    let mut lines = broker.report();
    lines.sort_by_key(|line| std::cmp::Reverse(line.stats.enqueued + line.pending as u64));
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.iter().take(LINES_MAX).for_each(one);
    for binding in broker.routing() {
        let (routing, stats) = (&binding.routing, &binding.stats);
        tracing::info!(
            name = binding.pattern,
            policy = binding.policy,
            state = ?stats.state,
            rows = stats.rows,
            batches_fallback = stats.batches_fallback(),
            as_addressed = routing.as_addressed,
            replaced = routing.replaced,
            added = routing.added,
            dropped = routing.dropped,
            rejected = routing.rejected,
            dead_lettered = routing.dead_lettered,
            corrected = routing.corrected,
            targets_cut = routing.targets_cut,
            hops_cut = routing.hops_cut,
            "report: routing"
        );
    }
    for topic in broker.topics_dispatched().iter().take(LINES_MAX) {
        tracing::info!(
            name = topic.name,
            state = ?topic.stats.state,
            messages = topic.topic.messages,
            withheld = topic.topic.withheld,
            batches_fallback = topic.stats.batches_fallback(),
            corrected = topic.topic.corrected,
            "report: topic dispatch policy"
        );
    }
    for kept in broker.policy_metrics().iter().take(LINES_MAX) {
        for metric in &kept.metrics {
            tracing::info!(
                name = &*kept.destination,
                policy = &*kept.policy,
                metric = metric.name,
                total = metric.total,
                noted = metric.noted,
                sum = metric.sum,
                least = metric.least,
                greatest = metric.greatest,
                "report: policy metric"
            );
        }
    }
    if more > 0 {
        tracing::info!(more, "report: destinations not told");
    }
}

fn one(line: &LineReport) {
    let stats = &line.stats;
    tracing::info!(
        name = line.name,
        pending = line.pending,
        consumers = line.consumers,
        memory_bytes = line.memory,
        enqueued = stats.enqueued,
        dispatched = stats.dispatched,
        dequeued = stats.dequeued,
        expired = stats.expired,
        dead_lettered = stats.dead_lettered,
        damaged = stats.damaged,
        "report: destination"
    );
    if let Some(groups) = &line.groups {
        tracing::info!(
            name = line.name,
            owned = groups.owned,
            parked = groups.parked,
            assigned = groups.assigned,
            moved = groups.moved,
            closed = groups.closed,
            forgotten = groups.forgotten,
            waited = groups.waited,
            corrected = groups.corrected,
            rows = groups.policy.rows,
            batches_policy = groups.policy.batches_policy,
            batches_fallback = groups.policy.batches_fallback(),
            "report: message groups"
        );
    }
    let Some(policy) = &line.policy else { return };
    tracing::info!(
        name = line.name,
        state = ?policy.state,
        rows = policy.rows,
        batches_policy = policy.batches_policy,
        batches_fallback = policy.batches_fallback(),
        trap = policy.batches_trap,
        deadline = policy.batches_deadline,
        wrong_length = policy.batches_wrong_length,
        backing_off = policy.batches_backing_off,
        warming = policy.batches_warming,
        corrected = stats.corrected,
        "report: dispatch policy"
    );
}

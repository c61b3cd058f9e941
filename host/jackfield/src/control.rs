//! What the admin room asks, answered by the rooms that know.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use admin::words::{
    Ask, AuthPlace, Bucket, Connector, Destination, Journal, Limit, Memory, Policy, Security, Sort, Status, Sums,
    Survey, Times, Totals,
};
use admin::{Answer, Control, Problem};
use auth::{Gate, GateStats};
use broker::{LineReport, LineStats, Retired};
use plugin::{CallTimes, Point, PolicyState, PolicyStats};
use server::{ConnectorReport, Gone, Observer};

use crate::config::protocol_name;

/// The running broker in the hands of the admin room.
pub(crate) struct House {
    pub(crate) broker: String,
    pub(crate) observer: Observer,
    /// `None` if everybody may come in.
    pub(crate) gate: Option<Arc<Gate>>,
    pub(crate) since: Instant,
}

impl Control for House {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async {
            let figures = self.observer.figures().await.map_err(gone)?;
            let connectors: Vec<Connector> = self.observer.connectors().into_iter().map(connector).collect();
            let journal = self.observer.journal();
            let (backlog, backlog_max) = self.observer.journal_backlog();
            let mut limits: Vec<Limit> = figures
                .used
                .iter()
                .map(|(name, used, max)| Limit { name: (*name).to_owned(), used: *used, max: *max })
                .collect();
            limits.push(Limit { name: "server.journal_backlog".into(), used: backlog, max: backlog_max });
            limits.push(Limit {
                name: "store.limit".into(),
                used: journal.store_bytes,
                max: journal.store_bytes_limit,
            });
            limits.extend(connectors.iter().map(|connector| Limit {
                name: format!("connector.{}.maximumConnections", connector.name),
                used: connector.open,
                max: connector.connections_max,
            }));
            Ok(Status {
                version: env!("CARGO_PKG_VERSION").into(),
                broker: self.broker.clone(),
                role: "active".into(),
                waits_for: String::new(),
                ready: !self.observer.is_stopping(),
                uptime_s: self.since.elapsed().as_secs(),
                pid: std::process::id(),
                connections: figures.connections,
                totals: Totals {
                    published: figures.published,
                    duplicates: figures.duplicates,
                    sends_parked: figures.sends_parked,
                    sends_refused: figures.sends_refused,
                    dropped: figures.dropped,
                    stale_acks: figures.stale_acks,
                    policies_refused: figures.policies_refused,
                },
                memory: Memory {
                    messages: figures.memory_bytes,
                    body_window: figures.body_window_bytes,
                    resident: resident_bytes(),
                },
                connectors,
                journal: self::journal(&journal),
                security: self.gate.as_ref().map(|gate| security(gate.stats(), figures.sends_forbidden)),
                limits,
            })
        })
    }

    fn survey(&self, ask: Ask) -> Answer<'_, Survey> {
        Box::pin(async move {
            let mut fold = Fold::new(ask);
            let mut from = Some(0);
            while let Some(at) = from {
                let page = self.observer.page(at).await.map_err(gone)?;
                page.lines.iter().for_each(|line| fold.take(line));
                fold.add_policies(&page.policies);
                fold.add_retired(&page.retired);
                from = page.next;
            }
            let guards = self.gate.iter().flat_map(|gate| gate.stats().policies);
            guards.for_each(|(name, _, stats)| fold.add_policy(Point::Auth, &name, &stats));
            Ok(fold.finish())
        })
    }
}

fn security(stats: GateStats, sends_forbidden: u64) -> Security {
    let place = |(policy, place, stats): (String, &'static str, PolicyStats)| AuthPlace {
        policy,
        generation: stats.generation,
        place: place.to_owned(),
        state: state(stats.state).to_owned(),
        calls: stats.batches_policy + stats.batches_trap + stats.batches_deadline + stats.batches_wrong_length,
        failed: batches(&stats).into_iter().filter(|(how, _)| how != "policy").collect(),
        instances_made: stats.instances_made,
        memory_bytes: stats.memory_bytes,
        log_lines_dropped: stats.log_lines_dropped,
    };
    Security {
        logins: stats.logins,
        logins_refused: stats.logins_refused,
        rights: stats.rights,
        rights_refused: stats.rights_refused,
        messages: stats.messages,
        messages_refused: stats.messages_refused,
        sends_forbidden,
        failed_closed: stats.failed_closed,
        honoured: stats.honoured,
        policies: stats.policies.into_iter().map(place).collect(),
    }
}

fn gone(error: Gone) -> Problem {
    Problem::new(503, error.to_string(), "ask again when it is started")
}

fn connector(report: ConnectorReport) -> Connector {
    let session::Stats { frames_in, frames_out, frames_refused, messages_in, messages_out, acks_stale, .. } =
        report.sessions;
    Connector {
        protocol: protocol_name(report.protocol, report.tls).to_owned(),
        name: report.name,
        address: report.address.to_string(),
        open: report.open,
        connections_max: report.connections_max,
        accepted: report.accepted,
        refused: report.refused,
        handshakes: report.handshakes,
        handshakes_failed: report.handshakes_failed,
        handshakes_slow: report.handshakes_slow,
        mistaken: report.mistaken,
        certificate_not_after: report.certificate_not_after,
        frames_in,
        frames_out,
        frames_refused,
        messages_in,
        messages_out,
        acks_stale,
        limits_hit: report.limits_hit.into_iter().map(|(limit, count)| (limit.to_owned(), count)).collect(),
    }
}

fn journal(stats: &journal::Stats) -> Journal {
    Journal {
        appends: stats.appends,
        groups: stats.groups,
        records: stats.records,
        bytes_appended: stats.bytes_appended,
        bodies_loaded: stats.bodies_loaded,
        damaged: stats.damaged,
        refused_full: stats.refused_full,
        trims: stats.trims,
        settles: stats.settles,
        settle_waits: stats.settle_waits,
        store_bytes: stats.store_bytes,
        disk_free_bytes: stats.disk_free_bytes,
        memory_bytes: stats.memory_bytes,
        poisoned: stats.poisoned,
    }
}

/// Makes one answer of many lines: sums over all, and the best of those that fit. Holds no more than twice as many
/// destinations as are asked for.
struct Fold {
    ask: Ask,
    wanted: usize,
    best: Vec<Destination>,
    survey: Survey,
    policies: HashMap<(Point, String), Policy>,
}

impl Fold {
    fn new(ask: Ask) -> Fold {
        let wanted = if ask.limit == 0 { 0 } else { ask.limit.saturating_add(ask.offset) };
        Fold { ask, wanted, best: Vec::new(), survey: Survey::default(), policies: HashMap::new() }
    }

    fn take(&mut self, line: &LineReport) {
        let sums = sums(line);
        self.survey.total += 1;
        self.survey.sums.add(&sums);
        if let Some(stats) = &line.policy {
            self.add_policy(Point::QueueDispatch, &line.policy_name, stats);
        }
        if let Some(groups) = &line.groups
            && !line.group_policy_name.is_empty()
        {
            self.add_policy(Point::GroupAssignment, &line.group_policy_name, &groups.policy);
        }
        if !line.name.contains(&self.ask.contains) {
            return;
        }
        self.survey.matched += 1;
        if self.wanted > 0 {
            self.best.push(Destination { name: line.name.clone(), policy: line.policy_name.clone(), sums });
            if self.best.len() >= self.wanted.saturating_mul(2).max(1024) {
                self.sort();
            }
        }
    }

    /// Adds what is gone to the sums.
    fn add_retired(&mut self, retired: &Retired) {
        self.survey.sums.add(&counters(&retired.lines));
        for ((point, name), stats) in &retired.policies {
            add_policy(self.policy(*point, name), stats);
        }
    }

    /// Adds the policies that are in use elsewhere than on lines.
    fn add_policies(&mut self, policies: &BTreeMap<(Point, Arc<str>), PolicyStats>) {
        for ((point, name), stats) in policies {
            let policy = self.policy(*point, name);
            policy.memory_bytes += stats.memory_bytes;
            add_policy(policy, stats);
        }
    }

    /// Adds a policy as it stands on a line.
    fn add_policy(&mut self, point: Point, name: &str, stats: &PolicyStats) {
        let policy = self.policy(point, name);
        *policy.destinations.entry(state(stats.state).to_owned()).or_default() += 1;
        policy.memory_bytes += stats.memory_bytes;
        add_policy(policy, stats);
    }

    fn policy(&mut self, point: Point, name: &str) -> &mut Policy {
        self.policies.entry((point, name.to_owned())).or_insert_with(|| Policy {
            name: name.to_owned(),
            point: point.key().to_owned(),
            ..Policy::default()
        })
    }

    fn sort(&mut self) {
        match self.ask.sort {
            Sort::Pending => self.best.sort_by(|a, b| (b.sums.pending, &a.name).cmp(&(a.sums.pending, &b.name))),
            Sort::Enqueued => self.best.sort_by(|a, b| (b.sums.enqueued, &a.name).cmp(&(a.sums.enqueued, &b.name))),
            Sort::Name => self.best.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        self.best.truncate(self.wanted);
    }

    fn finish(mut self) -> Survey {
        self.sort();
        let mut policies: Vec<Policy> = self.policies.into_values().collect();
        policies.sort_by(|a, b| (&a.name, &a.point).cmp(&(&b.name, &b.point)));
        Survey { destinations: self.best.into_iter().skip(self.ask.offset).collect(), policies, ..self.survey }
    }
}

fn sums(line: &LineReport) -> Sums {
    Sums {
        pending: line.pending as u64,
        consumers: line.consumers as u64,
        memory_bytes: line.memory,
        ..counters(&line.stats)
    }
}

fn counters(stats: &LineStats) -> Sums {
    Sums {
        enqueued: stats.enqueued,
        dispatched: stats.dispatched,
        dequeued: stats.dequeued,
        expired: stats.expired,
        dead_lettered: stats.dead_lettered,
        damaged: stats.damaged,
        corrected: stats.corrected,
        ..Sums::default()
    }
}

fn state(state: PolicyState) -> &'static str {
    match state {
        PolicyState::Live => "live",
        PolicyState::Warming => "warming",
        PolicyState::Asleep => "asleep",
        PolicyState::BackingOff => "backing_off",
        PolicyState::Refused => "refused",
    }
}

/// Questions by who decided and why.
fn batches(stats: &PolicyStats) -> [(String, u64); 9] {
    [
        ("policy", stats.batches_policy),
        ("warming", stats.batches_warming),
        ("trap", stats.batches_trap),
        ("deadline", stats.batches_deadline),
        ("wrong_length", stats.batches_wrong_length),
        ("backing_off", stats.batches_backing_off),
        ("busy", stats.batches_busy),
        ("full", stats.batches_full),
        ("refused", stats.batches_refused),
    ]
    .map(|(decided, batches)| (decided.to_owned(), batches))
}

fn add_policy(policy: &mut Policy, stats: &PolicyStats) {
    policy.rows += stats.rows;
    policy.corrected += stats.corrected;
    for (decided, batches) in batches(stats) {
        *policy.batches.entry(decided).or_default() += batches;
    }
    policy.faults_lifecycle += stats.faults_lifecycle;
    policy.instances_made += stats.instances_made;
    policy.instances_slept += stats.instances_slept;
    policy.states_lost += stats.states_lost;
    policy.log_lines_dropped += stats.log_lines_dropped;
    policy.swaps += stats.swaps;
    policy.swaps_refused += stats.swaps_refused;
    policy.swaps_undone += stats.swaps_undone;
    policy.memory_bytes_most = policy.memory_bytes_most.max(stats.memory_bytes_most);
    add_times(&mut policy.times, &stats.times);
    add_times(&mut policy.swap_times, &stats.swap_times);
}

fn add_times(sum: &mut Times, times: &CallTimes) {
    sum.nanos = sum.nanos.saturating_add(times.nanos());
    sum.nanos_most = sum.nanos_most.max(times.nanos_most());
    if sum.buckets.is_empty() {
        sum.buckets = times.buckets().map(|(up_to_us, _)| Bucket { up_to_us, calls: 0 }).collect();
    }
    for (bucket, (_, calls)) in sum.buckets.iter_mut().zip(times.buckets()) {
        bucket.calls += calls;
        sum.calls += calls;
    }
}

/// Memory of this process as the system counts it; 0 where it does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, pending: usize, policy: &str) -> LineReport {
        LineReport {
            name: name.into(),
            pending,
            consumers: 1,
            memory: 10,
            stats: broker::LineStats { enqueued: 100 - pending as u64, ..Default::default() },
            groups: None,
            group_policy_name: String::new(),
            policy_name: policy.into(),
            policy: (!policy.is_empty()).then(|| PolicyStats { rows: 2, batches_trap: 1, ..PolicyStats::default() }),
        }
    }

    #[test]
    fn the_best_are_told_and_all_are_summed() {
        let lines: Vec<LineReport> = (0..3000)
            .map(|number| {
                line(&format!("queue://{}.{number:04}", if number % 2 == 0 { "A" } else { "B" }), number % 7, "p")
            })
            .chain([line("durable://c/d", 50, "")])
            .collect();
        let survey = |ask: Ask| {
            let mut fold = Fold::new(ask);
            lines.iter().for_each(|line| fold.take(line));
            let survey = fold.finish();
            let names = survey.destinations.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
            (names, survey)
        };
        let (names, all) = survey(Ask { limit: 3, ..Ask::default() });
        assert_eq!(names, ["durable://c/d", "queue://A.0006", "queue://A.0020"]);
        assert_eq!((all.total, all.matched, all.sums.memory_bytes), (3001, 3001, 30_010));
        assert_eq!(all.policies.len(), 1, "subscriptions have none");
        assert_eq!(
            (all.policies[0].rows, all.policies[0].batches["trap"], all.policies[0].destinations["live"]),
            (6000, 3000, 3000)
        );
        let table = [
            (
                Ask { limit: 2, offset: 1, sort: Sort::Name, ..Ask::default() },
                3001,
                ["queue://A.0000", "queue://A.0002"],
            ),
            (Ask { limit: 2, contains: "B.".into(), ..Ask::default() }, 1500, ["queue://B.0013", "queue://B.0027"]),
            (Ask { limit: 2, sort: Sort::Enqueued, ..Ask::default() }, 3001, ["queue://A.0000", "queue://A.0014"]),
        ];
        for (ask, matched, expected) in table {
            let (names, survey) = survey(ask.clone());
            assert_eq!((names, survey.matched), (expected.map(str::to_owned).to_vec(), matched), "{ask:?}");
        }
        let mut fold = Fold::new(Ask::default());
        lines.iter().for_each(|line| fold.take(line));
        let gone = PolicyStats { rows: 5, ..PolicyStats::default() };
        let lines = LineStats { enqueued: 7, ..LineStats::default() };
        let key = |name: &str| (Point::QueueDispatch, name.into());
        fold.add_retired(&Retired { lines, policies: [(key("p"), gone), (key("q"), gone)].into() });
        fold.add_policies(&[((Point::TopicDispatch, "p".into()), gone)].into());
        let summed = fold.finish();
        assert_eq!(summed.sums.enqueued, all.sums.enqueued + 7);
        let rows: Vec<_> = summed.policies.iter().map(|policy| (policy.name.as_str(), policy.rows)).collect();
        assert_eq!(rows, [("p", 6005), ("p", 5), ("q", 5)]);
        assert_eq!(summed.policies[1].point, "topic-dispatch", "the same name decides two things");
        assert_eq!(summed.policies[2].destinations.len(), 0, "it is nowhere now");
        let (names, none) = survey(Ask::default());
        assert_eq!((names.len(), none.total), (0, 3001));
    }

    #[test]
    fn the_process_knows_its_size() {
        assert!(resident_bytes() > 1024 * 1024);
    }
}

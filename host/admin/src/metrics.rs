//! `/metrics`: the words of the API as OpenMetrics text, which Prometheus reads.
//!
//! The number of series does not grow with what clients do: only the busiest destinations have series of their own.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::words::{AuthPlace, Connector, PlugIn, Policy, Security, Shadow, Status, Sums, Survey, Times};

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes all metrics.
pub(crate) fn render(
    status: Status,
    survey: Survey,
    plug_ins: Vec<PlugIn>,
    compiled: Vec<(&'static str, u64)>,
) -> String {
    let mut registry = Registry::with_prefix("jackfield");
    registry.register_collector(Box::new(Picture { status, survey, plug_ins, compiled }));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes all text");
    text
}

/// Everything that is told, at one moment.
#[derive(Debug)]
struct Picture {
    status: Status,
    survey: Survey,
    plug_ins: Vec<PlugIn>,
    compiled: Vec<(&'static str, u64)>,
}

/// Labels of one series.
type Labels<'a> = Vec<(&'a str, &'a str)>;

impl Collector for Picture {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        broker(&mut page, &self.status)?;
        connectors(&mut page, &self.status.connectors)?;
        journal(&mut page, &self.status)?;
        if let Some(figures) = &self.status.security {
            security(&mut page, figures)?;
        }
        destinations(&mut page, &self.survey)?;
        policies(&mut page, &self.survey)?;
        plug_ins(&mut page, &self.plug_ins)?;
        page.counters(
            "policy_components",
            "Components of policies by how they came to be compiled, and entries of the cache that went",
            self.compiled.iter().map(|(outcome, count)| (vec![("outcome", *outcome)], *count)),
        )
    }
}

fn broker(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let about =
        vec![("version", status.version.as_str()), ("broker", status.broker.as_str()), ("role", status.role.as_str())];
    page.gauges("broker", "What runs here", [(about, 1)])?;
    page.gauge("ready", "Whether connections are taken", u64::from(status.ready))?;
    page.gauge("uptime_seconds", "Time since it began to serve", status.uptime_s)?;
    page.gauge("connections", "Connections logged in", status.connections)?;
    let totals = &status.totals;
    for (name, help, value) in [
        ("messages_published", "Messages taken in", totals.published),
        ("messages_duplicate", "Sends recognised as repeated and dropped", totals.duplicates),
        ("sends_parked", "Sends that had to wait for room", totals.sends_parked),
        ("sends_refused", "Sends refused for want of room", totals.sends_refused),
        ("messages_dropped", "Messages for destinations that went away meanwhile", totals.dropped),
        ("acks_stale", "Acknowledgements of consumers that are gone", totals.stale_acks),
        ("policies_refused", "Policies that could not be had", totals.policies_refused),
    ] {
        page.counter(name, help, value)?;
    }
    let memory = &status.memory;
    page.gauges(
        "memory_bytes",
        "Memory by what it holds; process is all of it",
        [
            ("messages", memory.messages),
            ("body_window", memory.body_window),
            ("journal", status.journal.memory_bytes),
            ("process", memory.resident),
        ]
        .map(|(of, bytes)| (vec![("of", of)], bytes)),
    )?;
    let limits = || status.limits.iter().map(|limit| (vec![("limit", limit.name.as_str())], limit));
    page.gauges("limit_used", "How much of each limit is used", limits().map(|(labels, limit)| (labels, limit.used)))?;
    page.gauges("limit_max", "How much of each limit may be used", limits().map(|(labels, limit)| (labels, limit.max)))
}

fn labels(connector: &Connector) -> Labels<'_> {
    vec![("connector", connector.name.as_str()), ("protocol", connector.protocol.as_str())]
}

fn connectors(page: &mut Page<'_>, connectors: &[Connector]) -> fmt::Result {
    type Figure = fn(&Connector) -> u64;
    page.gauges("connector_open", "Connections now", connectors.iter().map(|c| (labels(c), c.open)))?;
    let ends =
        connectors.iter().filter_map(|c| Some((labels(c), u64::try_from(c.certificate_not_after?).unwrap_or(0))));
    page.gauges("connector_certificate_not_after_seconds", "End of the connector's certificate, since 1970", ends)?;
    let counters: [(&str, &str, Figure); 12] = [
        ("connector_accepted", "Connections let in", |c| c.accepted),
        ("connector_refused", "Connections closed because of maximumConnections", |c| c.refused),
        ("connector_handshakes", "TLS handshakes that succeeded", |c| c.handshakes),
        ("connector_handshakes_failed", "TLS handshakes on which the two did not agree", |c| c.handshakes_failed),
        ("connector_handshakes_slow", "TLS handshakes that took too long", |c| c.handshakes_slow),
        ("connector_mistaken", "Clients without TLS where it is spoken, and the reverse", |c| c.mistaken),
        ("connector_frames_in", "Frames read", |c| c.frames_in),
        ("connector_frames_out", "Frames written", |c| c.frames_out),
        ("connector_frames_refused", "Frames refused", |c| c.frames_refused),
        ("connector_messages_in", "Messages taken in", |c| c.messages_in),
        ("connector_messages_out", "Messages handed out", |c| c.messages_out),
        ("connector_acks_stale", "Acknowledgements that named nothing the consumer holds", |c| c.acks_stale),
    ];
    for (name, help, figure) in counters {
        page.counters(name, help, connectors.iter().map(|connector| (labels(connector), figure(connector))))?;
    }
    let hits = connectors.iter().flat_map(|connector| {
        connector.limits_hit.iter().map(move |(limit, count)| {
            let mut labels = labels(connector);
            labels.push(("limit", limit));
            (labels, *count)
        })
    });
    page.counters("connector_limits_hit", "Times that sessions hit a limit", hits)
}

fn journal(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let journal = &status.journal;
    for (name, help, value) in [
        ("journal_appends", "Appends, each with one sync", journal.appends),
        ("journal_groups", "Groups appended", journal.groups),
        ("journal_records", "Records appended", journal.records),
        ("journal_appended_bytes", "Bytes handed to the log", journal.bytes_appended),
        ("journal_bodies_loaded", "Bodies read", journal.bodies_loaded),
        ("journal_damaged", "Records found damaged", journal.damaged),
        ("journal_refused_full", "Appends refused for want of space", journal.refused_full),
        ("journal_trims", "Times that space was given back", journal.trims),
        ("journal_settles", "Times that a database was told the places of what was appended", journal.settles),
        ("journal_settle_waits", "Appends that waited for that, because too much was left", journal.settle_waits),
    ] {
        page.counter(name, help, value)?;
    }
    page.gauge("journal_store_bytes", "Bytes on disk", journal.store_bytes)?;
    page.gauge("journal_disk_free_bytes", "Bytes free on its file system", journal.disk_free_bytes)?;
    page.gauge("journal_poisoned", "Whether it failed", u64::from(journal.poisoned))
}

fn security(page: &mut Page<'_>, security: &Security) -> fmt::Result {
    for (name, help, value) in [
        ("logins", "Logins decided", security.logins),
        ("logins_refused", "Logins refused", security.logins_refused),
        ("rights_asked", "Questions about rights", security.rights),
        ("rights_refused", "Questions about rights answered with a refusal", security.rights_refused),
        ("messages_inspected", "Messages that auth policies were asked about", security.messages),
        ("messages_forbidden", "Messages that they refused", security.messages_refused),
        ("sends_forbidden", "Sends refused because of that", security.sends_forbidden),
        ("auth_failed_closed", "Refusals because an auth policy did not answer", security.failed_closed),
        ("auth_honoured", "Decisions from memory because an auth policy did not answer", security.honoured),
    ] {
        page.counter(name, help, value)?;
    }
    let of = |place: &AuthPlace| (place.policy.clone(), place.place.clone());
    let places: Vec<_> = security.policies.iter().map(|place| (of(place), place)).collect();
    let labels = || {
        places
            .iter()
            .map(|((policy, place), figures)| (vec![("policy", policy.as_str()), ("place", place.as_str())], *figures))
    };
    page.counters("auth_policy_calls", "Calls into its instance", labels().map(|(l, p)| (l, p.calls)))?;
    page.counters("auth_policy_instances_made", "Instances made", labels().map(|(l, p)| (l, p.instances_made)))?;
    page.gauges(
        "auth_policy_generation",
        "The generation that decides; 0 for one that the configuration names",
        labels().map(|(l, p)| (l, p.generation)),
    )?;
    page.gauges("auth_policy_memory_bytes", "Memory of its instance", labels().map(|(l, p)| (l, p.memory_bytes)))?;
    page.gauges(
        "auth_policy_state",
        "How its instance stands",
        labels().map(|(mut labels, place)| {
            labels.push(("state", place.state.as_str()));
            (labels, 1)
        }),
    )?;
    let failed = labels().flat_map(|(labels, place)| {
        place.failed.iter().map(move |(why, count)| {
            let mut labels = labels.clone();
            labels.push(("why", why.as_str()));
            (labels, *count)
        })
    });
    page.counters("auth_policy_failed", "Questions that it did not answer, by why", failed)
}

fn destinations(page: &mut Page<'_>, survey: &Survey) -> fmt::Result {
    page.gauge("destinations", "Queues and durable subscriptions", survey.total)?;
    let told = survey.destinations.len() as u64;
    page.gauge(
        "destination_series_omitted",
        "Destinations without series of their own (admin.destination_series)",
        survey.total.saturating_sub(told),
    )?;
    type Figure = fn(&Sums) -> u64;
    let gauges: [(&str, &str, Figure); 3] = [
        ("pending", "Messages waiting", |s| s.pending),
        ("consumers", "Consumers", |s| s.consumers),
        ("memory_bytes", "Bytes in memory", |s| s.memory_bytes),
    ];
    let counters: [(&str, &str, Figure); 7] = [
        ("enqueued", "Messages taken in", |s| s.enqueued),
        ("dispatched", "Messages handed out", |s| s.dispatched),
        ("dequeued", "Messages acknowledged", |s| s.dequeued),
        ("expired", "Messages that expired", |s| s.expired),
        ("dead_lettered", "Messages that became dead letters", |s| s.dead_lettered),
        ("damaged", "Messages that could not be read back", |s| s.damaged),
        ("corrected", "Rows of policies' answers that were put right", |s| s.corrected),
    ];
    let each = || survey.destinations.iter().map(|one| (vec![("destination", one.name.as_str())], &one.sums));
    for (name, help, figure) in gauges {
        page.gauge(&format!("all_{name}"), &format!("{help}, all destinations together"), figure(&survey.sums))?;
        page.gauges(&format!("destination_{name}"), help, each().map(|(labels, sums)| (labels, figure(sums))))?;
    }
    for (name, help, figure) in counters {
        page.counter(&format!("all_{name}"), &format!("{help}, all destinations together"), figure(&survey.sums))?;
        page.counters(&format!("destination_{name}"), help, each().map(|(labels, sums)| (labels, figure(sums))))?;
    }
    Ok(())
}

fn policies(page: &mut Page<'_>, survey: &Survey) -> fmt::Result {
    let parts = |of: fn(&Policy) -> &BTreeMap<String, u64>, label: &'static str| {
        survey.policies.iter().flat_map(move |policy| {
            of(policy)
                .iter()
                .map(move |(part, count)| ([of_policy(policy), vec![(label, part.as_str())]].concat(), *count))
        })
    };
    page.gauges(
        "policy_destinations",
        "Destinations by how the policy stands there",
        parts(|p| &p.destinations, "state"),
    )?;
    page.counters("policy_batches", "Batches by who decided and why", parts(|p| &p.batches, "decided"))?;
    type Figure = fn(&Policy) -> u64;
    let counters: [(&str, &str, Figure); 10] = [
        ("policy_rows", "Rows that it was asked about", |p| p.rows),
        ("policy_corrected", "Rows of its answers that were impossible", |p| p.corrected),
        ("policy_faults_lifecycle", "Traps and overruns outside its decisions", |p| p.faults_lifecycle),
        ("policy_instances_made", "Instances made", |p| p.instances_made),
        ("policy_instances_slept", "Times that an idle instance was put to sleep", |p| p.instances_slept),
        ("policy_states_lost", "States that were lost", |p| p.states_lost),
        ("policy_log_lines_dropped", "Log lines dropped by the rate limit", |p| p.log_lines_dropped),
        ("policy_swaps", "Times that another generation took over on a destination", |p| p.swaps),
        ("policy_swaps_refused", "Times that a destination did not take another generation", |p| p.swaps_refused),
        ("policy_swaps_undone", "Times that a destination went back to the generation before", |p| p.swaps_undone),
    ];
    for (name, help, figure) in counters {
        page.counters(name, help, survey.policies.iter().map(|policy| (of_policy(policy), figure(policy))))?;
    }
    let of = || survey.policies.iter().map(|policy| (of_policy(policy), policy));
    page.gauges("policy_memory_bytes", "Memory of its instances", of().map(|(labels, p)| (labels, p.memory_bytes)))?;
    page.gauges(
        "policy_memory_bytes_most",
        "The most that its instances took on one destination",
        of().map(|(labels, p)| (labels, p.memory_bytes_most)),
    )?;
    page.histograms(
        "policy_call_seconds",
        "Processor time of calls, of those that are measured",
        of().map(|(labels, policy)| (labels, &policy.times)),
    )?;
    page.histograms(
        "policy_swap_seconds",
        "Time for which a destination waited while another generation took over, or was refused",
        of().map(|(labels, policy)| (labels, &policy.swap_times)),
    )
}

fn plug_ins(page: &mut Page<'_>, plug_ins: &[PlugIn]) -> fmt::Result {
    page.gauges(
        "plugin_generation",
        "The generation that decides, by the digest of its component",
        plug_ins.iter().map(|one| {
            let mut labels = named(one);
            labels.push(("digest", one.digest.as_str()));
            (labels, one.generation)
        }),
    )?;
    page.gauges("plugin_states", "Destinations whose states are kept", plug_ins.iter().map(|p| (named(p), p.states)))?;
    page.gauges("plugin_state_bytes", "Bytes of those states", plug_ins.iter().map(|p| (named(p), p.state_bytes)))?;
    type Figure = fn(&Shadow) -> u64;
    let figures: [(&str, &str, Figure); 3] = [
        ("plugin_shadow_rows", "Rows that the shadow decided too", |s| s.rows),
        ("plugin_shadow_rows_agreed", "Rows that it decided alike", |s| s.rows_agreed),
        ("plugin_shadow_corrected", "Its answers that were impossible", |s| s.corrected),
    ];
    for (name, help, figure) in figures {
        let each = plug_ins.iter().filter_map(|one| Some((named(one), figure(one.shadow.as_ref()?))));
        page.gauges(name, help, each)?;
    }
    Ok(())
}

fn of_policy(policy: &Policy) -> Labels<'_> {
    vec![("policy", policy.name.as_str()), ("point", policy.point.as_str())]
}

fn named(plug_in: &PlugIn) -> Labels<'_> {
    vec![("plugin", plug_in.name.as_str())]
}

/// The page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        series.into_iter().try_for_each(|(labels, value)| {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, &'l Times)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        series.into_iter().try_for_each(|(labels, times)| {
            let end = |up_to_us: Option<u64>| up_to_us.map_or(f64::INFINITY, |us| us as f64 / 1e6);
            let buckets: Vec<(f64, u64)> = times.buckets.iter().map(|one| (end(one.up_to_us), one.calls)).collect();
            let seconds = times.nanos as f64 / 1e9;
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(seconds, times.calls, &buckets, None)
        })
    }
}

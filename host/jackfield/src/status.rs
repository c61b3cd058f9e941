//! `jackfield status`: asks a running broker over its admin socket how it stands.

use std::io::Write;

use admin::words::{Status, Survey};
use anyhow::Context;

use crate::admin_client::AdminClient;
use crate::cli;
use crate::table::{section, size, time};

/// Prints how the broker stands.
pub(crate) fn status(args: &cli::Status, out: &mut impl Write) -> anyhow::Result<()> {
    let broker = AdminClient::new(&args.reach)?;
    let status: Status = match broker.get("/api/v1/status") {
        Ok(status) => status,
        Err(error) => {
            let health = broker.standby().ok_or(error)?;
            let text = if args.json {
                serde_json::to_string_pretty(&serde_json::json!({ "status": health }))?
            } else {
                format!("this broker is {}: it waits for {}", health.role, health.waits_for)
            };
            return writeln!(out, "{text}").context("cannot print");
        }
    };
    let survey: Survey = broker.get(&format!("/api/v1/destinations?limit={}", args.destinations))?;
    let text = if args.json {
        serde_json::to_string_pretty(&serde_json::json!({ "status": status, "survey": survey }))?
    } else {
        for_people(&status, &survey)
    };
    writeln!(out, "{}", text.trim_end()).context("cannot print")
}

fn for_people(status: &Status, survey: &Survey) -> String {
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text = format!(
        "broker {} is {} and {ready}: jackfield {}, process {}, up {}, {} connections, {} of memory\n",
        status.broker,
        status.role,
        status.version,
        status.pid,
        time(status.uptime_s),
        status.connections,
        size(status.memory.resident),
    );
    let totals = &status.totals;
    text += &format!(
        "{} messages taken in, {} sends waited, {} refused; journal {} in {} appends, {} free on its disk\n",
        totals.published,
        totals.sends_parked,
        totals.sends_refused,
        size(status.journal.store_bytes),
        status.journal.appends,
        size(status.journal.disk_free_bytes),
    );
    if let Some(security) = &status.security {
        text += &format!(
            "{} logins, {} refused; {} questions about rights, {} refused; {} messages looked at, {} refused; \
             {} refused and {} decided from memory because a policy did not answer\n",
            security.logins,
            security.logins_refused,
            security.rights,
            security.rights_refused,
            security.messages,
            security.messages_refused,
            security.failed_closed,
            security.honoured
        );
        text += &section(
            ["auth policy", "asked about", "state", "calls", "not answered"],
            security.policies.iter().map(|p| {
                let failed: u64 = p.failed.values().sum();
                [p.policy.clone(), p.place.clone(), p.state.clone(), p.calls.to_string(), failed.to_string()].into()
            }),
        );
    }
    text += &section(
        ["connector", "protocol", "address", "open", "of", "messages in", "messages out", "refused"],
        status.connectors.iter().map(|c| {
            let (open, max, turned_away) =
                (c.open, c.connections_max, c.refused + c.handshakes_failed + c.handshakes_slow);
            [c.name.clone(), c.protocol.clone(), c.address.clone(), open.to_string(), max.to_string()]
                .into_iter()
                .chain([c.messages_in, c.messages_out, turned_away].map(|n| n.to_string()))
                .collect()
        }),
    );
    text += &section(
        ["destination", "pending", "consumers", "enqueued", "dequeued", "dead letters", "policy"],
        survey.destinations.iter().map(|d| {
            let sums = [d.sums.pending, d.sums.consumers, d.sums.enqueued, d.sums.dequeued, d.sums.dead_lettered];
            [d.name.clone()].into_iter().chain(sums.map(|n| n.to_string())).chain([d.policy.clone()]).collect()
        }),
    );
    let more = survey.total.saturating_sub(survey.destinations.len() as u64);
    if more > 0 {
        text += &format!("and {more} more\n");
    }
    text += &section(
        ["policy", "for", "queues", "batches", "decided natively", "corrected rows"],
        survey.policies.iter().map(|p| {
            let (all, own) = (p.batches.values().sum::<u64>(), p.batches.get("policy").copied().unwrap_or(0));
            let numbers = [p.destinations.values().sum::<u64>(), all, all.saturating_sub(own), p.corrected];
            [p.name.clone(), p.point.clone()].into_iter().chain(numbers.map(|n| n.to_string())).collect()
        }),
    );
    let tight = status
        .limits
        .iter()
        .filter(|limit| limit.max > 0 && limit.used.saturating_mul(10) >= limit.max.saturating_mul(8));
    text + &section(
        ["limit that is nearly reached", "used", "of"],
        tight.map(|limit| vec![limit.name.clone(), limit.used.to_string(), limit.max.to_string()]),
    )
}

#[cfg(test)]
mod tests {
    use admin::words::{Connector, Destination, Limit, Sums};

    use super::*;

    /// What a person sees: the ports, the destinations, and only the limits that are nearly reached.
    #[test]
    fn tables_for_people() {
        let limit = |name: &str, used| Limit { name: name.into(), used, max: 10 };
        let status = Status {
            broker: "north".into(),
            role: "active".into(),
            ready: true,
            uptime_s: 7260,
            connectors: vec![Connector {
                name: "openwire".into(),
                address: "127.0.0.1:61616".into(),
                ..Connector::default()
            }],
            limits: vec![limit("limits.consumers", 7), limit("limits.destinations", 8)],
            ..Status::default()
        };
        let destination = Destination {
            name: "queue://A\u{1b}[2J".into(),
            sums: Sums { pending: 42, ..Sums::default() },
            ..Destination::default()
        };
        let text = for_people(&status, &Survey { destinations: vec![destination], total: 3, ..Survey::default() });
        for part in
            ["north is active and ready", "up 2 h 1 min", "127.0.0.1:61616", "42", "and 2 more", "limits.destinations"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("limits.consumers") && !text.contains('\u{1b}'), "{text}");
    }
}

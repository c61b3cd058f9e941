//! Plug-ins, their history, shadows and decisions as tables for people.

use admin::words::Policy;
use registry::{Bound, Explained, Explanation, Happened, History, Listed, LogLine, ShadowFindings};

use crate::table::{moment, or_dash, section, size};

/// Letters of a digest that are shown.
const DIGEST_LETTERS: usize = 12;

/// The plug-ins, where policies are bound, and what those in use did.
pub(crate) fn list(plug_ins: &[Listed], bindings: &[Bound], policies: &[Policy]) -> String {
    let mut text = section(
        ["plug-in", "decides", "world", "digest", "size", "shadow", "previous", "kept", "state"],
        plug_ins.iter().map(|plug_in| {
            let active = plug_in.generations.iter().find(|generation| Some(generation.number) == plug_in.active);
            let state = format!("{} on {}", size(plug_in.state_bytes), plug_in.states);
            vec![
                plug_in.name.clone(),
                or_dash(plug_in.active),
                or_dash(active.or(plug_in.generations.last()).map(|generation| generation.world.clone())),
                or_dash(active.map(|generation| generation.digest.chars().take(DIGEST_LETTERS).collect::<String>())),
                or_dash(active.map(|generation| size(generation.bytes as u64))),
                or_dash(plug_in.shadow),
                or_dash(plug_in.previous),
                plug_in.generations.len().to_string(),
                if plug_in.states == 0 { "-".to_owned() } else { state },
            ]
        }),
    );
    if text.is_empty() {
        text = "no plug-ins are deployed\n".to_owned();
    }
    text += &section(
        ["bound to", "for", "policy"],
        bindings.iter().map(|one| vec![one.pattern.clone(), one.point.to_string(), one.policy.clone()]),
    );
    text + &section(
        [
            "policy",
            "for",
            "queues",
            "calls",
            "messages",
            "us a call",
            "99 % within us",
            "natively",
            "traps",
            "deadline",
            "corrected",
            "memory",
        ],
        policies.iter().map(|policy| {
            let batches = |decided: &str| policy.batches.get(decided).copied().unwrap_or(0);
            let all: u64 = policy.batches.values().sum();
            let calls = ["policy", "trap", "deadline", "wrong_length"].map(batches).iter().sum::<u64>();
            let times = &policy.times;
            let mean = times.nanos.checked_div(times.calls).map(|nanos| format!("{:.1}", nanos as f64 / 1e3));
            vec![
                policy.name.clone(),
                policy.point.clone(),
                policy.destinations.values().sum::<u64>().to_string(),
                calls.to_string(),
                policy.rows.to_string(),
                or_dash(mean),
                or_dash(times.up_to_us(99)),
                (all - batches("policy")).to_string(),
                batches("trap").to_string(),
                batches("deadline").to_string(),
                policy.corrected.to_string(),
                size(policy.memory_bytes),
            ]
        }),
    )
}

/// What happened to a plug-in.
pub(crate) fn history(history: &[History]) -> String {
    section(
        ["when", "what", "generation", "why"],
        history.iter().map(|line| {
            vec![moment(line.at_ms), happened(line.what).to_owned(), line.generation.to_string(), line.reason.clone()]
        }),
    )
}

/// What a shadow found.
pub(crate) fn shadow(found: &[ShadowFindings]) -> String {
    if found.is_empty() {
        return "no shadow has looked on yet; deploy one with --shadow and let messages come\n".to_owned();
    }
    let both = |(active, shadow): (u64, u64)| format!("{active} : {shadow}");
    let mut text = section(
        [
            "destination",
            "generation",
            "rows",
            "alike",
            "corrected",
            "batches",
            "sat out",
            "ns a row",
            "left lying",
            "groups moved",
            "ended",
        ],
        found.iter().map(|one| {
            vec![
                one.destination.clone(),
                one.generation.to_string(),
                one.rows.to_string(),
                format!("{:.1} %", one.agreement_percent),
                one.corrected.to_string(),
                one.batches.to_string(),
                one.batches_skipped.to_string(),
                both(one.nanos_per_row),
                both(one.rows_left),
                both(one.moves),
                or_dash(one.ended.clone()),
            ]
        }),
    );
    text += &section(
        ["destination", "consumer", "client id", "rows"],
        found.iter().flat_map(|one| {
            one.consumers.iter().map(|(slot, client, active, shadow)| {
                vec![one.destination.clone(), slot.to_string(), client.clone(), both((*active, *shadow))]
            })
        }),
    );
    text + "\na row is a message, for message groups a group; of two figures the first is the active generation's, the second the \
            shadow's\n"
}

/// What a policy said.
pub(crate) fn logs(lines: &[LogLine]) -> String {
    if lines.is_empty() {
        return "it has said nothing since the broker started\n".to_owned();
    }
    section(
        ["when", "level", "queue", "text"],
        lines.iter().map(|line| {
            vec![moment(line.at_ms), line.level.clone(), or_dash(some(&line.destination)), line.text.clone()]
        }),
    )
}

fn some(text: &str) -> Option<&str> {
    if text.is_empty() { None } else { Some(text) }
}

/// The decisions on the messages of a queue or a topic.
pub(crate) fn explanation(destination: &str, explained: &Explanation) -> String {
    if explained.decisions.is_empty() {
        return match explained.begun_now {
            true => format!("decisions on {destination} are noted from now on; ask again when messages have come\n"),
            false => format!("no message of {destination} was decided on yet\n"),
        };
    }
    if destination.starts_with("topic://") {
        return fan_outs(&explained.decisions);
    }
    let text = section(
        ["when", "message", "policy", "generation", "decided by", "to consumer", "client id", "asked for", "inputs"],
        explained.decisions.iter().map(|one| {
            let given = one.given.as_ref();
            let rest = vec![
                or_dash(given.map(|(slot, id, _)| format!("{slot} {id}"))),
                or_dash(given.and_then(|(_, _, client)| client.clone())),
                or_dash(one.asked),
                one.table.clone(),
            ];
            [decided(one), rest].concat()
        }),
    );
    text + &section(
        ["message", "is of group", "owned by", "owner by policy", "generation", "decided by", "since", "inputs"],
        explained.decisions.iter().filter_map(|one| {
            let owner = one.group.as_ref()?;
            Some(vec![
                message(one),
                owner.group.clone(),
                owner.slot.to_string(),
                owner.policy.clone(),
                owner.generation.to_string(),
                decider(&owner.decided),
                moment(owner.at_ms),
                owner.table.clone(),
            ])
        }),
    )
}

/// The decisions on a topic's messages.
fn fan_outs(decisions: &[Explained]) -> String {
    section(
        ["when", "message", "policy", "generation", "decided by", "to", "taken from", "inputs"],
        decisions.iter().map(|one| {
            let to: Vec<String> = one.copies.iter().map(|(slot, id, _)| format!("{slot} {id}")).collect();
            let rest = vec![or_dash(some(&to.join(", "))), one.withheld.to_string(), one.table.clone()];
            [decided(one), rest].concat()
        }),
    )
}

/// When, on what, and who.
fn decided(one: &Explained) -> Vec<String> {
    let decider = decider(&one.decided);
    vec![moment(one.at_ms), message(one), one.policy.clone(), one.generation.to_string(), decider]
}

fn message(one: &Explained) -> String {
    match one.message_id.as_str() {
        "" => format!("number {}", one.sequence),
        id => id.to_owned(),
    }
}

fn decider(decided: &str) -> String {
    match decided {
        "policy" => "it".to_owned(),
        why => format!("native: {why}"),
    }
}

fn happened(what: Happened) -> &'static str {
    match what {
        Happened::Shadowed => "deployed as shadow",
        Happened::Deployed => "deployed",
        Happened::Promoted => "promoted",
        Happened::Configured => "configured",
        Happened::RolledBack => "rolled back",
        Happened::Withdrawn => "taken back",
        Happened::Refused => "refused",
    }
}

#[cfg(test)]
mod tests {
    use admin::words::{Bucket, Times};
    use registry::{ListedGeneration, Point};

    use super::*;

    fn words(text: &str) -> Vec<Vec<&str>> {
        text.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    #[test]
    fn plug_ins_and_policies_are_told_in_lines() {
        let generation = |number, digest: &str| ListedGeneration {
            number,
            digest: digest.into(),
            bytes: 20_480,
            world: "queue-policy".into(),
            settings: Vec::new(),
            grants: Vec::new(),
            deployed_ms: 0,
            withdrawn: None,
        };
        let mine = Listed {
            name: "mine".into(),
            active: Some(2),
            previous: Some(1),
            shadow: None,
            generations: vec![generation(1, "0000"), generation(2, "0123456789abcdef")],
            states: 3,
            state_bytes: 2_048,
        };
        let waiting = Listed {
            name: "waiting".into(),
            active: None,
            previous: None,
            shadow: Some(1),
            generations: vec![generation(1, "0000")],
            states: 0,
            state_bytes: 0,
        };
        let bound = Bound { point: Point::QueueDispatch, pattern: "A.>".into(), policy: "mine".into() };
        let buckets = vec![
            Bucket { up_to_us: Some(5), calls: 99 },
            Bucket { up_to_us: Some(10), calls: 1 },
            Bucket { up_to_us: None, calls: 0 },
        ];
        let policy = Policy {
            name: "mine".into(),
            point: "queue-dispatch".into(),
            destinations: [("live".to_owned(), 2), ("asleep".to_owned(), 1)].into(),
            batches: [("policy".to_owned(), 90), ("trap".to_owned(), 2), ("warming".to_owned(), 1)].into(),
            rows: 1_000,
            memory_bytes: 3 << 20,
            times: Times { calls: 100, nanos: 250_000, nanos_most: 9_000, buckets },
            ..Policy::default()
        };
        let text = list(&[mine, waiting], &[bound], &[policy]);
        let lines = words(&text);
        for expected in [
            "mine 2 queue-policy 0123456789ab 20 KiB - 1 2 2 KiB on 3",
            "waiting - queue-policy - - 1 - 1 -",
            "A.> queue-dispatch mine",
            "mine queue-dispatch 3 92 1000 2.5 5 3 2 0 0 3 MiB",
        ] {
            assert!(lines.contains(&expected.split(' ').collect()), "{expected} is not in\n{text}");
        }
        assert!(list(&[], &[], &[]).contains("no plug-ins are deployed"));
    }

    #[test]
    fn a_shadow_is_told_beside_the_active_generation() {
        let found = ShadowFindings {
            destination: "ORDERS".into(),
            generation: 2,
            batches: 7,
            rows: 10,
            rows_agreed: 5,
            agreement_percent: 50.0,
            nanos_per_row: (300, 900),
            consumers: vec![(4, "c".into(), 10, 0)],
            ended: Some("Trap: unreachable".into()),
            ..ShadowFindings::default()
        };
        let text = shadow(&[found]);
        for part in ["50.0 %", "300 : 900", "10 : 0", "Trap: unreachable"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(shadow(&[]).contains("--shadow"));
    }

    #[test]
    fn decisions_are_told_with_who_made_them() {
        let one = registry::Explained {
            at_ms: 0,
            sequence: 7,
            message_id: "ID:a-1".into(),
            policy: "mine".into(),
            generation: 2,
            decided: "Trap".into(),
            asked: None,
            given: Some((3, "ID:c:1".into(), None)),
            table: "00ff".into(),
            group: None,
            copies: Vec::new(),
            withheld: 0,
        };
        let text = explanation("Q", &Explanation { begun_now: false, decisions: vec![one] });
        let expected =
            ["1970-01-01T00:00:00.000Z", "ID:a-1", "mine", "2", "native:", "Trap", "3", "ID:c:1", "-", "-", "00ff"];
        assert!(words(&text).contains(&expected.to_vec()), "{text}");
        assert!(explanation("Q", &Explanation { begun_now: true, decisions: vec![] }).contains("from now on"));
        let line = History { at_ms: 0, what: Happened::Withdrawn, generation: 3, reason: "it trapped".into() };
        assert!(history(&[line]).contains("taken back"));
    }
}

//! Candidates for message groups and topics on the running program: what they would do is told and has no effect.

use std::path::Path;

use serde_json::Value;

use crate::plugins::{json, plugin, refused, stock};
use crate::support::{Broker, Stomp, figure, until};

fn found(home: &Path, name: &str) -> Value {
    json(home, &["shadow", name])[0].clone()
}

/// Sends a message of a group of its own.
fn send(client: &mut Stomp, group: usize) {
    client.confirm(&format!("SEND\ndestination:/queue/Q\nJMSXGroupID:group {group}\n"), "x");
}

/// What became of groups on the queue, from the broker's report.
fn groups(broker: &Broker, name: &str) -> u64 {
    let report = broker.report();
    let line = report.iter().find(|line| line.starts_with("message groups") && line.contains("queue://Q"));
    figure(line.expect("the queue has groups"), name)
}

/// A candidate that would share groups out by their hash is compared, group by group, with the sticky policy that decides; it
/// would move groups to a consumer that comes, and none moves.
#[test]
fn a_candidate_for_message_groups_is_compared_and_moves_nothing() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    plugin(&home, &["deploy", "owners", &stock("group-sticky")]);
    plugin(&home, &["bind", "owners", "Q", "--point", "group-assignment"]);
    let mut consumers = vec![broker.client()];
    consumers[0].subscribe("Q", "auto");
    let mut producer = broker.client();
    let mut sent = 0;
    let mut more = |count: usize| {
        (sent..sent + count).for_each(|group| send(&mut producer, group));
        sent += count;
    };
    more(1);
    let shadow = plugin(&home, &["deploy", "owners", &stock("group-consistent-hash"), "--shadow", "--start-empty"]);
    assert_eq!(shadow, "generation 2 of owners looks on\n");
    until("a comparison", || {
        more(1);
        found(&home, "owners")["rows"].as_u64() > Some(20)
    });
    let one = found(&home, "owners");
    assert_eq!(
        (&one["destination"], &one["generation"], &one["agreement_percent"]),
        (&"Q".into(), &2.into(), &100.0.into())
    );
    assert_eq!((&one["rows_left"], &one["moves"]), (&serde_json::json!([0, 0]), &serde_json::json!([0, 0])), "{one}");
    consumers.push(broker.client());
    consumers[1].subscribe("Q", "auto");
    until("moves", || {
        more(1);
        found(&home, "owners")["moves"][1].as_u64() > Some(0)
    });
    until("answers that differ", || {
        more(10);
        let two = found(&home, "owners");
        two["rows_agreed"].as_u64() < two["rows"].as_u64()
    });
    let two = found(&home, "owners");
    assert_eq!((&two["moves"][0], &two["corrected"], &two["ended"]), (&0.into(), &0.into(), &Value::Null), "{two}");
    let counts = two["consumers"].as_array().cloned().unwrap_or_default();
    let sum = |side: usize| counts.iter().filter_map(|one| one[side].as_u64()).sum::<u64>();
    assert!(counts.len() == 2 && sum(2) == sum(3) && Some(sum(2)) == two["rows"].as_u64(), "{two}");
    assert!(two["nanos_per_row"].as_array().is_some_and(|both| both.iter().all(|one| one.as_u64() > Some(0))), "{two}");
    assert_eq!((groups(&broker, "moved"), groups(&broker, "corrected")), (0, 0));
    let told = plugin(&home, &["shadow", "owners"]);
    assert!(told.contains("groups moved") && told.contains("0 : "), "{told}");
    assert_eq!(plugin(&home, &["promote", "owners", "--start-empty"]), "generation 2 of owners decides\n");
    assert!(refused(&home, &["end-shadow", "owners"]).contains("has no shadow"));
}

/// A candidate that ranks by priority is compared with one that does not; subscriptions are served as before.
#[test]
fn a_candidate_for_a_topic_is_compared_and_ranks_nothing() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    plugin(&home, &["deploy", "ranks", &stock("topic-strict-order")]);
    plugin(&home, &["bind", "ranks", "PRICES.>", "--point", "topic-dispatch"]);
    let mut client = broker.client();
    for (id, priority) in [(1, 0), (2, 5), (3, 2)] {
        let wish = format!("SUBSCRIBE\nid:{id}\ndestination:/topic/PRICES.ACME\nack:auto\n");
        client.confirm(&format!("{wish}activemq.priority:{priority}\n"), "");
    }
    let served = |client: &mut Stomp| {
        client.send("SEND\ndestination:/topic/PRICES.ACME\n\nx");
        [(); 3].map(|()| client.frame().header("subscription").to_owned())
    };
    assert_eq!(served(&mut client), ["1", "2", "3"]);
    plugin(&home, &["deploy", "ranks", &stock("topic-priority"), "--shadow"]);
    until("a comparison", || {
        assert_eq!(served(&mut client), ["1", "2", "3"]);
        found(&home, "ranks")["rows"].as_u64() > Some(5)
    });
    let one = found(&home, "ranks");
    assert_eq!((&one["destination"], &one["rows_agreed"]), (&"PRICES.ACME".into(), &0.into()), "{one}");
    assert_eq!((&one["rows_left"], &one["corrected"]), (&serde_json::json!([0, 0]), &0.into()), "{one}");
    let rows = one["rows"].as_u64();
    let counts = one["consumers"].as_array().cloned().unwrap_or_default();
    assert!(counts.len() == 3 && counts.iter().all(|one| one[2].as_u64() == rows && one[3].as_u64() == rows), "{one}");
    plugin(&home, &["promote", "ranks"]);
    assert_eq!(served(&mut client), ["2", "3", "1"]);
}

//! Candidates for message groups and topics on the running program: what they would do is told and has no effect. And who
//! decided on a message's group, and on a topic's message, can be asked.

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

/// Who decided on the owner of a message's group is told with the message, generation by generation.
#[test]
fn the_owner_of_a_group_is_explained() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    plugin(&home, &["deploy", "owners", &stock("group-sticky")]);
    plugin(&home, &["bind", "owners", "Q", "--point", "group-assignment"]);
    let mut consumer = broker.client();
    consumer.subscribe("Q", "auto");
    let mut producer = broker.client();
    send(&mut producer, 0);
    assert_eq!(json(&home, &["explain", "Q"])["begun_now"], true);
    let last = || {
        json(&home, &["explain", "Q"])["decisions"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default()
    };
    send(&mut producer, 0);
    assert_eq!(last()["group"], Value::Null, "it had its owner before anybody asked");
    let mut group = 0;
    for generation in [1, 2] {
        until("the generation to decide", || {
            group += 1;
            send(&mut producer, group);
            let owner = last()["group"].clone();
            owner["policy"] == "owners" && owner["generation"] == generation && owner["decided"] == "policy"
        });
        let one = last();
        assert_eq!(
            (&one["group"]["group"], &one["policy"]),
            (&format!("group {group}").into(), &"round-robin".into()),
            "{one}"
        );
        assert!(one["group"]["table"].as_str().is_some_and(|table| table.len() == 16), "{one}");
        // A second message of it goes by the same decision.
        send(&mut producer, group);
        assert_eq!(last()["group"], one["group"]);
        plugin(&home, &["deploy", "owners", &stock("group-hash-bucket"), "--start-empty"]);
    }
    let told = plugin(&home, &["explain", "Q"]);
    assert!(told.contains("owner by policy") && told.contains("owners"), "{told}");
}

/// A topic's messages likewise: which policy in which generation, who got them and from how many they were taken.
#[test]
fn what_a_topic_policy_decided_is_explained() {
    let broker = Broker::start();
    let home = broker.home.path().to_owned();
    let ask = || json(&home, &["explain", "topic://PRICES.ACME"]);
    assert!(refused(&home, &["explain", "topic://PRICES.ACME"]).contains("topic PRICES.ACME has no policy"));
    plugin(&home, &["deploy", "ranks", &stock("topic-priority")]);
    plugin(&home, &["bind", "ranks", "PRICES.>", "--point", "topic-dispatch"]);
    let mut client = broker.client();
    for (id, priority) in [(1, 0), (2, 5)] {
        let wish = format!("SUBSCRIBE\nid:{id}\ndestination:/topic/PRICES.ACME\nack:auto\n");
        client.confirm(&format!("{wish}activemq.priority:{priority}\n"), "");
    }
    let mut serve = || {
        client.send("SEND\ndestination:/topic/PRICES.ACME\n\nx");
        [(); 2].map(|()| client.frame().header("subscription").to_owned())
    };
    assert_eq!(serve(), ["2", "1"]);
    assert_eq!(ask()["begun_now"], true);
    assert_eq!(serve(), ["2", "1"]);
    let one = ask()["decisions"][0].clone();
    assert_eq!(
        (&one["policy"], &one["generation"], &one["decided"]),
        (&"ranks".into(), &1.into(), &"policy".into()),
        "{one}"
    );
    assert_eq!((one["copies"].as_array().map(Vec::len), &one["withheld"]), (Some(2), &0.into()), "{one}");
    let slots = |one: &Value| [0, 1].map(|at| one["copies"][at][0].as_u64());
    plugin(&home, &["deploy", "ranks", &stock("topic-strict-order")]);
    assert_eq!(serve(), ["1", "2"]);
    let two = ask()["decisions"][1].clone();
    assert_eq!((&two["generation"], slots(&two)), (&2.into(), [slots(&one)[1], slots(&one)[0]]), "{two}");
    let told = plugin(&home, &["explain", "topic://PRICES.ACME"]);
    assert!(told.contains("taken from") && told.contains("ranks"), "{told}");
}

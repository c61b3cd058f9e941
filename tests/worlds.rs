//! Policies beside queue dispatch and routing on the real program: the stock ones decide as components.

use crate::support::{Broker, figure, until};

/// Who owns a group is asked of the component of the default policy.
#[test]
fn message_groups_are_assigned_by_a_component() {
    let broker =
        Broker::start_with("[[destination]]\nqueue = \"HASHED\"\nmessage_group_policy = \"consistent-hash\"\n");
    for queue in ["DEFAULT", "HASHED"] {
        let mut client = broker.client();
        client.subscribe(queue, "auto");
        let mut group = 0;
        // The first groups may come before the component is compiled.
        until("the component to decide", || {
            group += 1;
            client.send(&format!("SEND\ndestination:/queue/{queue}\nJMSXGroupID:{group}\n\nx"));
            assert_eq!(client.frame().body, "x");
            let report = broker.report();
            let line = report.iter().find(|line| line.starts_with("message groups") && line.contains(queue));
            line.is_some_and(|line| figure(line, "batches_policy") > 0)
        });
    }
}

/// Of two subscriptions of one connection the one of higher priority gets each message first.
#[test]
fn a_topic_policy_ranks_subscriptions() {
    let broker = Broker::start_with("[[destination]]\ntopic = \"PRICES.>\"\ntopic_dispatch_policy = \"priority\"\n");
    let mut client = broker.client();
    for (id, priority) in [(1, 0), (2, 5), (3, 2)] {
        let wish = format!("SUBSCRIBE\nid:{id}\ndestination:/topic/PRICES.ACME\nack:auto\n");
        client.confirm(&format!("{wish}activemq.priority:{priority}\n"), "");
    }
    let mut messages = 0;
    until("the component to decide", || {
        messages += 1;
        client.send("SEND\ndestination:/topic/PRICES.ACME\n\nx");
        let served = [(); 3].map(|()| client.frame().header("subscription").to_owned());
        assert_eq!(served, ["2", "3", "1"]);
        let report = broker.report();
        let line = report.iter().find(|line| line.starts_with("topic dispatch policy")).expect("told");
        assert_eq!((figure(line, "messages"), figure(line, "withheld")), (messages, 0), "{line}");
        figure(line, "batches_fallback") < messages
    });
}

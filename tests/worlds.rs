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

use message::{Event, RefusalKind, Subscribe};

use super::*;

fn subscribe(command: Command) -> Subscribe {
    match command {
        Command::Subscribe(subscribe) => *subscribe,
        other => panic!("{other:?} is no subscribe"),
    }
}

fn subscribed(headers: &str) -> Subscribe {
    let mut bench = Bench::connected(Version::V1_1);
    bench.say(format!("SUBSCRIBE\nid:1\n{headers}\n\0"));
    let wrong = bench.text();
    assert_eq!(wrong, "");
    subscribe(bench.command())
}

#[test]
fn stomp_prefetch_is_activemqs() {
    for (headers, prefetch) in [
        ("destination:/queue/a\n", 1000),
        ("destination:/queue/a\nack:client\n", 1000),
        ("destination:/topic/a\n", 32_767),
        ("destination:/topic/a\nactivemq.subscriptionName:d\n", 100),
        ("destination:/queue/a\nbrowser:true\n", 500),
        ("destination:/temp-queue/a\nactivemq.prefetchSize:7\n", 7),
        ("destination:/queue/a\nactivemq.prefetchSize:1\n", 1),
        ("destination:/queue/a\nactivemq.prefetchSize:9999999999\n", 32_767),
        ("destination:/queue/a\nactivemq.prefetchSize:many\n", 1000),
    ] {
        let mut bench = Bench::connected(Version::V1_1);
        bench.say(format!("SUBSCRIBE\nid:1\n{headers}\n\0"));
        let last = bench.commands().pop().expect("a command");
        assert_eq!(subscribe(last).prefetch, prefetch, "{headers}");
    }
}

#[test]
fn stomp_subscriptions_pass_on_their_wishes() {
    let all = subscribed(
        "destination:/topic/a.>\nselector:n > 5\nactivemq.subscriptionName:d\nactivemq.noLocal:true\n\
         activemq.exclusive:true\nactivemq.priority:10\nactivemq.retroactive:true\nactivemq.dispatchAsync:false\nack:client\n",
    );
    assert_eq!(all.destination, Destination::topic("a.>"));
    assert_eq!(all.selector.as_ref().map(|s| &**s.text()), Some("convert_string_expressions:n > 5"));
    assert_eq!(all.durable_name.as_deref(), Some("d"));
    assert!(all.no_local && all.exclusive && !all.auto_ack && !all.browser && !all.network);
    assert_eq!(all.priority, 10);
    assert_eq!(all.consumer.to_string(), "ID:host-1-2-stomp:7:-1:1");

    let plain = subscribed("destination:/queue/a,/queue/b\nselector:\n");
    assert!(plain.auto_ack && plain.selector.is_none() && plain.durable_name.is_none());
    assert_eq!(plain.destination.to_string(), "queue://a,b");
    assert!(!subscribed("destination:/queue/a\nack:client-individual\n").auto_ack);
    assert!(subscribed("destination:/queue/a\nack:other\n").auto_ack);
    assert!(subscribed("destination:/queue/a\nbrowser:true\n").browser);
}

#[test]
fn stomp_bad_subscriptions_are_refused() {
    use Version::{V1_0, V1_1, V1_2};
    for (version, headers, why) in [
        (V1_1, "destination:/queue/a\n", "SUBSCRIBE received without a subscription id!"),
        (V1_2, "destination:/queue/a\n", "SUBSCRIBE received without a subscription id!"),
        (V1_0, "", "Invalid empty or 'null' Destination header"),
        (V1_0, "destination:\n", "Invalid empty or 'null' Destination header"),
        (V1_0, "destination:/topic/\n", "Illegal destination name: [/topic/]"),
        (V1_0, "destination:/queue/a\nbrowser:true\n", "Queue Browser feature only valid for Stomp v1.1+ clients!"),
        (V1_2, "id:1\ndestination:/queue/a\nselector:a = = b\n", "Invalid selector: a = = b: "),
        (V1_2, "id:1\ndestination:/queue/a\nactivemq.prefetchSize:0\n", "activemq.prefetchSize is 0"),
        (
            V1_2,
            "id:1\ndestination:/queue/a\nactivemq.subscriptionName:d\n",
            "Invalid Subscription: cannot durably subscribe to a Queue destination!",
        ),
    ] {
        let mut bench = Bench::connected(version);
        bench.subscribe("id:taken\ndestination:/queue/a\n");
        bench.say(format!("SUBSCRIBE\n{headers}receipt:r\n\n\0"));
        let frame = bench.frame();
        assert!(frame.get("message").is_some_and(|message| message.starts_with(why)), "{frame:?}");
        assert_eq!(frame.get("receipt-id").map(|id| &**id), Some("r"));
        assert!(bench.commands().is_empty() && bench.out.close.is_none());
    }
    let mut bench = Bench::connected_with(Config { consumers_max: 1, ..config() }, V1_2, "");
    bench.subscribe("id:1\ndestination:/queue/a\n");
    bench.say("SUBSCRIBE\nid:2\ndestination:/queue/a\n\n\0");
    assert!(bench.error().contains("1 subscriptions"));
    assert_eq!(bench.session.stats().limit_hit, Some("consumers_max"));
}

/// RECEIPT goes first even when a message was quicker, and a refused subscription leaves nothing behind.
#[test]
fn stomp_a_subscription_is_answered_before_it_is_served() {
    let mut bench = Bench::connected(Version::V1_2);
    bench.say("SUBSCRIBE\nid:1\ndestination:/queue/A\nreceipt:r\n\n\0");
    bench.deliver(1, 1, text_message(1));
    assert_eq!((bench.text().as_str(), bench.out.delivered_bytes), ("", 0));
    bench.answer_all(Ok(()));
    let names: Vec<String> = bench.frames().iter().map(|frame| frame.command.as_str().into()).collect();
    assert_eq!(names, ["RECEIPT", "MESSAGE"]);
    let size = text_message(1).size_bytes() as u64;
    assert_eq!(bench.out.delivered_bytes, size);

    let mut bench = Bench::connected(Version::V1_2);
    bench.say("SUBSCRIBE\nid:1\ndestination:/queue/A\nreceipt:r\n\n\0");
    bench.deliver(1, 1, text_message(1));
    bench.answer_all(Err(Refusal::new(RefusalKind::Security, "not yours")));
    assert_eq!(bench.frame().get("receipt-id").map(|id| &**id), Some("r"));
    assert_eq!(bench.out.delivered_bytes, size, "the window gets back what was dropped");
    bench.commands();
    bench.subscribe("id:1\ndestination:/queue/A\n");
}

#[test]
fn stomp_unsubscribe_finds_its_subscription() {
    for (version, headers, want) in [
        (Version::V1_0, "id:b\n", Ok(2)),
        (Version::V1_0, "destination:/queue/A\n", Ok(1)),
        (Version::V1_0, "destination:/queue/B\n", Ok(2)),
        (Version::V1_0, "destination:/queue/C\n", Err("No subscription matched.")),
        (Version::V1_0, "", Err("Must specify the subscriptionId or the destination you are unsubscribing from")),
        (Version::V1_1, "destination:/queue/A\n", Err("UNSUBSCRIBE received without a subscription id!")),
        (Version::V1_2, "id:a\n", Ok(1)),
        (Version::V1_2, "id:c\n", Err("No subscription matched.")),
    ] {
        let mut bench = Bench::connected(version);
        bench.subscribe("id:a\ndestination:/queue/A\n");
        bench.subscribe("id:b\ndestination:/queue/B\n");
        bench.say(format!("UNSUBSCRIBE\n{headers}receipt:r\n\n\0"));
        match want {
            Ok(key) => {
                bench.answer_all(Ok(()));
                assert_eq!(bench.text(), "RECEIPT\nreceipt-id:r\n\n\0\n");
                match bench.command() {
                    Command::Unsubscribe { subscription, last_delivered: None, .. } => assert_eq!(subscription, key),
                    other => panic!("{other:?}"),
                }
                bench.deliver(key, 1, text_message(1));
                assert_eq!(bench.text(), "", "what crosses the frame is dropped");
                assert!(bench.out.delivered_bytes > 0);
                bench.say(format!("UNSUBSCRIBE\n{headers}\n\0"));
                assert_eq!(bench.error(), "No subscription matched.");
            }
            Err(why) => assert_eq!(bench.error(), why),
        }
    }
}

/// One id for several subscriptions is what careless clients use and ActiveMQ serves. ACK finds the message in any of
/// them, UNSUBSCRIBE ends the newest.
#[test]
fn stomp_subscriptions_may_share_an_id() {
    for version in Version::ALL {
        let mut bench = Bench::connected(version);
        bench.subscribe("id:s\ndestination:/queue/A\nack:client\n");
        bench.subscribe("id:s\ndestination:/queue/B\nack:client\n");
        for key in [1, 2] {
            bench.deliver(key, key.into(), text_message(key.into()));
            assert_eq!(bench.frame().get("subscription").map(|id| &**id), Some("s"));
        }
        if version != Version::V1_2 {
            for key in [1, 2] {
                let id = text_message(key.into()).id.to_string().replace(':', "\\c");
                bench.say(format!("ACK\nsubscription:s\nmessage-id:{id}\n\n\0"));
                match bench.command() {
                    Command::Ack(ack) => assert_eq!(ack.subscription, key),
                    other => panic!("{other:?}"),
                }
            }
        }
        for key in [2, 1] {
            bench.say("UNSUBSCRIBE\nid:s\n\n\0");
            match bench.command() {
                Command::Unsubscribe { subscription, .. } => assert_eq!(subscription, key),
                other => panic!("{other:?}"),
            }
        }
        bench.say("UNSUBSCRIBE\nid:s\n\n\0");
        assert_eq!(bench.error(), "No subscription matched.");
    }
}

#[test]
fn stomp_durable_subscriptions_are_removed_by_name() {
    for (version, connect, owner) in [
        (Version::V1_0, "", Some("d")),
        (Version::V1_0, "client-id:me\n", Some("me")),
        (Version::V1_1, "client-id:me\n", Some("me")),
        (Version::V1_2, "", None),
    ] {
        let mut bench = Bench::connected_with(config(), version, connect);
        bench.say("UNSUBSCRIBE\nid:1\ndestination:/topic/a\nactivemq.subscriptionName:d\nreceipt:r\n\n\0");
        match owner {
            Some(owner) => match bench.command() {
                Command::RemoveDurable { client_id, name, receipt: Some(_) } => {
                    assert_eq!((&*client_id, &*name), (owner, "d"));
                }
                other => panic!("{other:?}"),
            },
            None => assert!(bench.error().contains("client-id")),
        }
    }
}

#[test]
fn stomp_browsers_are_told_the_end() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.subscribe("id:1\ndestination:/queue/A\nbrowser:true\nack:client\n");
    bench.deliver(1, 1, text_message(1));
    let id = text_message(1).id;
    bench.text();
    bench.say(format!("NACK\nsubscription:1\nmessage-id:{}\n\n\0", id.to_string().replace(':', "\\c")));
    assert_eq!(bench.error(), "Cannot Nack a message on a Queue Browser Subscription.");
    bench.hear(Event::BrowseEnd { subscription: 1 });
    assert_eq!(bench.text(), "MESSAGE\nsubscription:1\nbrowser:end\ndestination:/queue/A\nmessage-id:0\n\n\0\n");

    // Without acknowledgements of its own the window must still move on.
    bench.subscribe("id:2\ndestination:/queue/A\nbrowser:true\n");
    bench.deliver(2, 1, text_message(1));
    match bench.command() {
        Command::Ack(ack) => assert_eq!((ack.subscription, ack.first, ack.last), (2, 1, 1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stomp_the_broker_may_end_a_subscription() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.subscribe("id:1\ndestination:/queue/A\n");
    let why = Refusal::new(RefusalKind::InvalidDestination, "queue A was removed");
    bench.hear(Event::SubscriptionClosed { subscription: 1, why });
    assert_eq!(bench.error(), "queue A was removed");
    assert!(bench.out.close.is_none());
    bench.subscribe("id:1\ndestination:/queue/A\n");
}

/// The shortened names that ActiveMQ takes.
#[test]
fn stomp_short_names_are_taken() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.say("SUB\nid:1\ndestination:/queue/A\n\n\0UNSUB\nid:1\n\n\0");
    assert!(matches!(bench.commands()[..], [Command::Subscribe(_), Command::Unsubscribe { subscription: 1, .. }]));
}

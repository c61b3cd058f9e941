//! Sessions, consumers, producers, destinations and transactions come and go.

use super::*;

fn remove(object_id: ow::ObjectId, last_delivered_sequence_id: i64) -> ow::RemoveInfo {
    ow::RemoveInfo { object_id: Some(object_id), last_delivered_sequence_id, ..Default::default() }
}

fn illegal(id: i32) -> Vec<(i32, Option<String>)> {
    vec![(id, Some("jakarta.jms.IllegalStateException".into()))]
}

/// `lastDeliveredSequenceId` is a broker sequence; the broker machine gets the tag (row L13).
#[test]
fn the_last_delivery_becomes_a_tag() {
    for (seen, expected) in [(-2, None), (-1, Some(0)), (100, Some(0)), (101, Some(1)), (103, Some(3)), (500, Some(4))]
    {
        let mut peer = Peer::open();
        let key = peer.consumer(1, 4);
        peer.frames();
        let id = peer.ask(remove(ow::ObjectId::Consumer(consumer_id(1)), seen));
        match &peer.accept()[..] {
            [Ask::Unsubscribe { subscription, last_delivered, .. }] => {
                assert_eq!((*subscription, *last_delivered), (key, expected), "{seen}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(peer.answers(), [(id, None)]);
        peer.hear(delivery(key, 5));
        assert!(peer.frames().is_empty());
        let id = peer.ask(remove(ow::ObjectId::Consumer(consumer_id(1)), seen));
        assert_eq!(peer.answers(), illegal(id));
    }
}

/// Before version 5 nothing is said of the last delivery, so nothing is known.
#[test]
fn old_clients_say_nothing_of_their_last_delivery() {
    let mut peer = Peer::new().agree(4, true, true, "").joined();
    peer.consumer(1, 1);
    peer.tell(remove(ow::ObjectId::Consumer(consumer_id(1)), 0));
    assert!(matches!(&peer.commands()[..], [Ask::Unsubscribe { last_delivered: None, .. }]));
}

#[test]
fn a_session_takes_its_consumers_and_producers_along() {
    let mut peer = Peer::open();
    peer.consumer(1, 2);
    peer.consumer(2, 0);
    peer.tell(ow::ProducerInfo { producer_id: Some(producer_id(1)), ..Default::default() });
    peer.accept();
    peer.frames();
    let id = peer.ask(remove(ow::ObjectId::Session(session_id(1)), 101));
    let commands = peer.accept();
    let count = |wanted: fn(&Ask) -> bool| commands.iter().filter(|command| wanted(command)).count();
    assert_eq!(count(|c| matches!(c, Ask::Unsubscribe { .. })), 2);
    assert_eq!(count(|c| matches!(c, Ask::RemoveProducer { .. })), 1);
    assert!(matches!(commands.last(), Some(Ask::Fence { .. })));
    assert_eq!(peer.answers(), [(id, None)]);
    let id = peer.ask(consumer(3, ow::DestinationKind::Queue));
    assert_eq!(peer.answers(), illegal(id));
    let id = peer.ask(remove(ow::ObjectId::Session(session_id(1)), -1));
    assert_eq!(peer.answers(), illegal(id));
}

/// The connection and its client id are free before the client hears so, for it may come back at once.
#[test]
fn a_connection_takes_everything_along() {
    let mut peer = Peer::open();
    peer.consumer(1, 2);
    peer.tell(transaction(0, local(1)));
    peer.commands();
    let id = peer.ask(remove(ow::ObjectId::Connection(connection_id()), -1));
    let commands = peer.commands();
    assert!(matches!(
        &commands[..],
        [Ask::Rollback { .. }, Ask::Unsubscribe { last_delivered: Some(0), .. }, Ask::Fence { .. }]
    ));
    let receipt = commands.last().and_then(receipt_of).expect("a fence");
    peer.frames();
    peer.hear(Event::Reply { receipt, outcome: Ok(()) });
    assert!(matches!(&peer.commands()[..], [Ask::Disconnect]));
    assert_eq!(peer.answers(), [(id, None)]);
    assert_eq!(peer.closed(), None);
    let late = peer.ask(text(1));
    assert_eq!(peer.answers(), illegal(late));
    peer.tell(ow::ShutdownInfo::default());
    assert_eq!(peer.closed(), Some("the client closed the connection"));
    assert!(peer.commands().is_empty());
}

#[test]
fn a_client_that_left_cannot_keep_its_socket() {
    let mut peer = Peer::open();
    peer.tell(remove(ow::ObjectId::Connection(connection_id()), -1));
    peer.accept();
    peer.tick(peer.now + 30_000);
    assert!(peer.closed().expect("closed").contains("left"));
}

/// Replays after a failover are answered and have no effect (row W23).
#[test]
fn what_is_known_is_not_added_twice() {
    let mut peer = Peer::open();
    let producer = ow::ProducerInfo { producer_id: Some(producer_id(1)), ..Default::default() };
    let all: [Command; 4] = [
        ow::SessionInfo { session_id: Some(session_id(1)), ..Default::default() }.into(),
        consumer(1, ow::DestinationKind::Queue).into(),
        producer.into(),
        transaction(0, local(1)).into(),
    ];
    for command in all {
        let first = peer.ask(command.clone());
        peer.accept();
        let second = peer.ask(command.clone());
        let commands = peer.accept();
        assert!(commands.iter().all(|command| matches!(command, Ask::Fence { .. })), "{commands:?}");
        assert_eq!(peer.answers(), [(first, None), (second, None)], "{command:?}");
    }
}

#[test]
fn a_refused_consumer_is_forgotten() {
    let mut peer = Peer::open();
    let id = peer.ask(consumer(1, ow::DestinationKind::Queue));
    peer.refuse(RefusalKind::InvalidDestination);
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.InvalidDestinationException".into()))]);
    let id = peer.ask(consumer(1, ow::DestinationKind::Queue));
    assert!(matches!(&peer.accept()[..], [Ask::Subscribe(_)]));
    assert_eq!(peer.answers(), [(id, None)]);
    peer.tell(consumer(2, ow::DestinationKind::Queue));
    peer.refuse(RefusalKind::Security);
    assert!(matches!(&peer.frames()[..], [Command::ConnectionError(_)]));
}

#[test]
fn a_consumers_wishes_are_handed_over() {
    let mut peer = Peer::open();
    peer.tell(ow::ConsumerInfo {
        selector: Some("a = 1".into()),
        subscription_name: Some("sub".into()),
        no_local: true,
        exclusive: true,
        browser: true,
        priority: 127,
        prefetch_size: -3,
        network_subscription: true,
        ..consumer(1, ow::DestinationKind::Topic)
    });
    match &peer.commands()[..] {
        [Ask::Subscribe(s)] => {
            assert_eq!(s.selector.as_ref().map(|s| &s.text()[..]), Some("a = 1"));
            assert_eq!(s.durable_name.as_deref(), Some("sub"));
            assert_eq!((s.prefetch, s.priority), (0, 127));
            assert!(s.no_local && s.exclusive && s.browser && s.network && !s.auto_ack);
            assert_eq!(s.consumer.to_string(), "ID:client-1:1:1:1");
            assert_eq!(s.destination.to_string(), "topic://Q");
        }
        other => panic!("{other:?}"),
    }
    let id = peer.ask(ow::ConsumerInfo { selector: Some("a = ".into()), ..consumer(2, ow::DestinationKind::Queue) });
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.InvalidSelectorException".into()))]);
    let id = peer.ask(ow::ConsumerInfo { destination: None, ..consumer(2, ow::DestinationKind::Queue) });
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.InvalidDestinationException".into()))]);
    peer.tell(ow::ConsumerInfo { selector: Some(" ".into()), ..consumer(2, ow::DestinationKind::Queue) });
    assert!(matches!(&peer.commands()[..], [Ask::Subscribe(s)] if s.selector.is_none()));
}

/// Each limit refuses by name, and the connection goes on.
#[test]
fn limits_refuse_by_name() {
    let mut peer = Peer::open();
    type Make = fn(i64) -> Command;
    let makers: [(Make, &str, i64); 4] = [
        (|n| consumer(n, ow::DestinationKind::Queue).into(), "consumers_max", 5),
        (|n| ow::ProducerInfo { producer_id: Some(producer_id(n)), ..Default::default() }.into(), "producers_max", 5),
        (|n| ow::SessionInfo { session_id: Some(session_id(n + 10)), ..Default::default() }.into(), "sessions_max", 2),
        (|n| transaction(0, local(n)).into(), "transactions_max", 2),
    ];
    for (make, name, limit) in makers {
        for n in 0..limit {
            peer.tell(make(n));
        }
        peer.accept();
        assert!(peer.frames().is_empty(), "{name}");
        peer.ask(make(limit));
        match &peer.frames()[..] {
            [Command::ExceptionResponse(answer)] => {
                let exception = answer.exception.as_ref().expect("an exception");
                assert_eq!(exception.class, "jakarta.jms.ResourceAllocationException");
                assert!(exception.message.as_ref().expect("a text").contains(name));
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(peer.session.stats().limit_hit, Some(name));
    }
    assert_eq!(peer.closed(), None);
}

#[test]
fn unanswered_questions_are_bounded() {
    let mut peer = Peer::with(config(), Options { replies_max: 3, ..Options::default() });
    peer = peer.agree(12, true, true, "6.2.0").joined();
    (0..3).for_each(|_| {
        peer.ask(text(1));
    });
    assert!(peer.answers().is_empty());
    let id = peer.ask(text(1));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.ResourceAllocationException".into()))]);
    assert_eq!(peer.session.stats().limit_hit, Some("replies_max"));
    peer.tell(text(1));
    assert_eq!(peer.accept().len(), 4);
    assert_eq!(peer.answers().len(), 3);
}

#[test]
fn pulls_and_prefetch_reach_their_consumer() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 0);
    for timeout_ms in [-1, 0, 500] {
        peer.tell(ow::MessagePull { consumer_id: Some(consumer_id(1)), timeout_ms, ..Default::default() });
        match &peer.commands()[..] {
            [Ask::Pull { subscription, timeout_ms: given }] => assert_eq!((*subscription, *given), (key, timeout_ms)),
            other => panic!("{other:?}"),
        }
    }
    peer.tell(ow::ConsumerControl { consumer_id: Some(consumer_id(1)), prefetch: 7, ..Default::default() });
    assert!(matches!(&peer.commands()[..], [Ask::Prefetch { prefetch: 7, .. }]));
    let id = peer.ask(ow::ConsumerControl { consumer_id: Some(consumer_id(9)), prefetch: 7, ..Default::default() });
    assert!(matches!(&peer.accept()[..], [Ask::Fence { .. }]));
    assert_eq!(peer.answers(), [(id, None)]);
    for end in [Event::PullEmpty { subscription: key }, Event::BrowseEnd { subscription: key }] {
        peer.hear(end);
        let expected = ow::MessageDispatch { consumer_id: Some(consumer_id(1)), ..Default::default() };
        assert_eq!(peer.frames(), [expected.into()]);
    }
    peer.tell(ow::ConsumerControl { consumer_id: Some(consumer_id(1)), close: true, ..Default::default() });
    assert!(matches!(&peer.commands()[..], [Ask::Unsubscribe { last_delivered: None, .. }]));
}

/// The client closes its consumer after the broker did; that is no error.
#[test]
fn a_subscription_that_the_broker_ended_can_still_be_removed() {
    let mut peer = Peer::open();
    let subscription = peer.consumer(1, 1);
    peer.frames();
    let why = Refusal::new(RefusalKind::ResourceAllocation, "slow");
    peer.hear(Event::SubscriptionClosed { subscription, why });
    match &peer.frames()[..] {
        [Command::ConsumerControl(control)] => {
            assert!(control.close && control.consumer_id == Some(consumer_id(1)));
        }
        other => panic!("{other:?}"),
    }
    let id = peer.ask(remove(ow::ObjectId::Consumer(consumer_id(1)), 101));
    assert!(peer.commands().is_empty());
    assert_eq!(peer.answers(), [(id, None)]);
}

#[test]
fn destinations_and_durable_subscriptions() {
    let mut peer = Peer::open();
    for (operation, name, expected) in [(0, "T", true), (1, "T", true), (7, "T", false), (0, "", false)] {
        let destination = ow::Destination { kind: ow::DestinationKind::TempTopic, name: name.into() };
        let id = peer.ask(ow::DestinationInfo { destination: Some(destination), operation, ..Default::default() });
        let commands = peer.accept();
        assert_eq!(matches!(&commands[..], [Ask::AddDestination { .. } | Ask::RemoveDestination { .. }]), expected);
        let answers = peer.answers();
        assert!(matches!(&answers[..], [(answered, class)] if *answered == id && class.is_none() == expected));
    }
    for (client_id, expected) in [(None, "app"), (Some("other"), "other")] {
        let client_id = client_id.map(Text::from);
        peer.tell(ow::RemoveSubscriptionInfo { client_id, subscription_name: Some("s".into()), ..Default::default() });
        match &peer.commands()[..] {
            [Ask::RemoveDurable { client_id, name, .. }] => assert_eq!((&client_id[..], &name[..]), (expected, "s")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn transactions_are_local() {
    let mut peer = Peer::open();
    for kind in 0..=6 {
        let id = peer.ask(transaction(kind, xa()));
        assert_eq!(peer.answers(), [(id, Some("javax.transaction.xa.XAException".into()))], "{kind}");
    }
    for kind in [2, 4] {
        let id = peer.ask(transaction(kind, local(1)));
        assert_eq!(peer.answers(), [(id, Some("jakarta.jms.JMSException".into()))], "{kind}");
    }
    let id = peer.ask(transaction(7, local(1)));
    assert!(matches!(&peer.accept()[..], [Ask::Fence { .. }]));
    assert_eq!(peer.answers(), [(id, None)]);

    peer.tell(transaction(0, local(1)));
    peer.tell(ow::Message { transaction_id: Some(local(1)), ..text(1) });
    match &peer.accept()[..] {
        [Ask::Begin { transaction, .. }, Ask::Publish(publish)] => {
            assert_eq!(publish.transaction, Some(*transaction));
            assert_eq!(publish.message.original_transaction.as_deref(), Some("TX:ID:client-1:1:1"));
        }
        other => panic!("{other:?}"),
    }
    let id = peer.ask(transaction(2, local(1)));
    peer.accept();
    assert_eq!(peer.answers(), [(id, None)]);
}

/// A send that nobody waited for was refused: the transaction must not commit without it (row W20).
#[test]
fn a_transaction_that_misses_a_part_rolls_back() {
    let mut peer = Peer::open();
    peer.tell(transaction(0, local(1)));
    peer.tell(ow::Message { transaction_id: Some(local(1)), properties: Some(vec![1].into()), ..text(1) });
    peer.commands();
    peer.frames();
    let id = peer.ask(transaction(2, local(1)));
    assert!(matches!(&peer.commands()[..], [Ask::Rollback { .. }]));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.TransactionRolledBackException".into()))]);
}

#[test]
fn the_brokers_own_words_reach_the_client() {
    let mut peer = Peer::open();
    peer.hear(Event::Failed(Refusal::new(RefusalKind::ResourceAllocation, "full")));
    match &peer.frames()[..] {
        [Command::ConnectionError(error)] => {
            let exception = error.exception.as_ref().expect("an exception");
            assert_eq!(exception.class, "jakarta.jms.ResourceAllocationException");
            assert_eq!(exception.message.as_deref(), Some("full"));
        }
        other => panic!("{other:?}"),
    }
    peer.hear(Event::Close(Refusal::new(RefusalKind::Closing, "stopping")));
    assert!(peer.frames().is_empty());
    assert_eq!(peer.closed(), Some("stopping"));
    peer.hear(Event::Failed(Refusal::new(RefusalKind::Security, "late")));
    assert!(peer.out.bytes.is_empty());
}

/// However long a text is, the answer that carries it leaves.
#[test]
fn long_texts_do_not_swallow_answers() {
    let mut peer = Peer::open();
    let id = peer.ask(text(1));
    let receipt = peer.commands().iter().find_map(receipt_of).expect("a receipt");
    let why = Refusal::new(RefusalKind::Security, "é".repeat(100_000));
    peer.hear(Event::Reply { receipt, outcome: Err(why) });
    assert_eq!(peer.answers(), [(id, Some("java.lang.SecurityException".into()))]);
}

/// A client without a broker drops the acknowledgements of a transaction and brings along the rest of it when it comes back. A
/// commit must not say that they took effect; without consumers beside the sends there were none.
#[test]
fn a_returning_clients_commit_without_its_acknowledgements_is_rolled_back() {
    let cases = [
        ("new", false, true, false, false, false),
        ("back, nothing in it", true, true, false, false, true),
        ("back, sends beside a consumer", true, true, true, false, true),
        ("back, sends and no consumer", true, false, true, false, false),
        ("back, nothing in it and no consumer", true, false, false, false, false),
        ("back, and done with restoring", true, true, false, true, false),
    ];
    for (case, returns, consumes, sends, before, rolled_back) in cases {
        let mut peer = Peer::agreed();
        peer.tell(ow::ConnectionInfo { failover_reconnect: returns, ..login("bob") });
        peer.accept();
        let mut peer = peer.sessions();
        if consumes {
            peer.consumer(1, 0);
        }
        if before {
            peer.tell(text(7));
        }
        peer.tell(transaction(0, local(1)));
        if sends {
            peer.tell(ow::Message { transaction_id: Some(local(1)), ..text(1) });
        }
        peer.accept();
        peer.frames();
        let id = peer.ask(transaction(2, local(1)));
        let commands = peer.accept();
        assert_eq!(commands.iter().any(|c| matches!(c, Ask::Commit { .. })), !rolled_back, "{case}");
        let class = rolled_back.then(|| "jakarta.jms.TransactionRolledBackException".to_owned());
        assert_eq!(peer.answers(), [(id, class)], "{case}");
    }
}

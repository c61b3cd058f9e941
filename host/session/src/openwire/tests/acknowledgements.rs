//! Acknowledgements name messages, the broker machine gets delivery tags (row W27).

use message::AckKind;

use super::*;

fn ack(ack_type: u8, first: Option<i64>, last: i64, message_count: i32) -> ow::MessageAck {
    ow::MessageAck {
        destination: Some(queue("Q")),
        consumer_id: Some(consumer_id(1)),
        ack_type,
        first_message_id: first.map(id_of),
        last_message_id: Some(id_of(last)),
        message_count,
        ..Default::default()
    }
}

/// Kind and tags of the only command.
fn only(peer: &mut Peer) -> Option<(AckKind, u64, u64)> {
    match &peer.commands()[..] {
        [] => None,
        [Ask::Ack(ack)] => Some((ack.kind, ack.first, ack.last)),
        other => panic!("{other:?}"),
    }
}

/// Of five deliveries 1 to 5, each acknowledgement means these tags, and afterwards so many are held.
#[test]
fn each_kind_means_its_deliveries() {
    use AckKind::*;
    let table = [
        (ack(0, None, 3, 3), Some((Delivered, 1, 3)), 5),
        (ack(0, Some(2), 3, 2), Some((Delivered, 1, 3)), 5),
        (ack(1, Some(2), 3, 2), Some((Poison, 2, 3)), 3),
        (ack(1, None, 1, 1), Some((Poison, 1, 1)), 4),
        (ack(2, None, 5, 5), Some((Standard, 1, 5)), 0),
        (ack(2, Some(1), 3, 3), Some((Standard, 1, 3)), 2),
        (ack(2, Some(4), 4, 1), Some((Standard, 4, 4)), 4),
        (ack(3, Some(2), 2, 1), Some((Redelivered, 2, 2)), 5),
        (ack(4, Some(1), 4, 1), Some((Individual, 4, 4)), 4),
        (ack(5, None, 4, 4), None, 5),
        (ack(6, Some(1), 1, 1), Some((Expired, 1, 1)), 4),
        (ack(2, None, 9, 1), None, 5),
        (ack(2, Some(9), 2, 1), None, 5),
        (ack(2, Some(3), 2, 1), None, 5),
        (ow::MessageAck { consumer_id: Some(consumer_id(2)), ..ack(2, None, 2, 2) }, None, 5),
        (ow::MessageAck { consumer_id: None, ..ack(2, None, 2, 2) }, None, 5),
        (ow::MessageAck { last_message_id: None, ..ack(2, None, 2, 2) }, None, 5),
    ];
    for (given, expected, held) in table {
        let mut peer = Peer::open();
        let key = peer.consumer(1, 5);
        peer.frames();
        peer.tell(given.clone());
        assert_eq!(only(&mut peer), expected, "{given:?}");
        assert_eq!(peer.session.client.consumers[&key].held.len(), held, "{given:?}");
        let stale = u64::from(expected.is_none() && given.ack_type != 5);
        assert_eq!(peer.session.stats().acks_stale, stale, "{given:?}");
        assert!(peer.frames().is_empty() && peer.closed().is_none(), "{given:?}");
    }
}

/// A count that does not match acknowledges nothing and is always told; plain topic consumers need not count.
#[test]
fn counts_must_match_where_messages_are_kept() {
    let mut peer = Peer::open();
    peer.consumer(1, 5);
    peer.frames();
    let id = peer.ask(ack(2, None, 3, 2));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.JMSException".into()))]);
    peer.tell(ack(2, None, 3, 4));
    assert!(matches!(&peer.frames()[..], [Command::ConnectionError(_)]));
    assert_eq!(only(&mut peer), None);

    let mut peer = Peer::open();
    peer.tell(consumer(1, ow::DestinationKind::Topic));
    peer.accept();
    (1..=5).for_each(|tag| peer.hear(delivery(1, tag)));
    peer.tell(ack(2, None, 3, 2));
    assert_eq!(only(&mut peer), Some((AckKind::Standard, 1, 3)));
}

#[test]
fn stale_acknowledgements_are_an_error_only_to_who_asks() {
    let mut peer = Peer::open();
    peer.consumer(1, 1);
    peer.frames();
    let id = peer.ask(ack(2, None, 9, 1));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.JMSException".into()))]);
    let id = peer.ask(ow::MessageAck { consumer_id: Some(consumer_id(7)), ..ack(2, None, 9, 1) });
    assert_eq!(peer.answers(), [(id, None)]);
    let id = peer.ask(ack(77, None, 1, 1));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.IllegalStateException".into()))]);
    let id = peer.ask(ack(2, None, 1, 1));
    assert!(peer.answers().is_empty());
    peer.accept();
    assert_eq!(peer.answers(), [(id, None)]);
}

/// What was under way when a broker died is asked again of the next one, before that has delivered anything (row L08).
#[test]
fn acknowledgements_from_before_a_failover_are_answered_and_mean_nothing() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 0);
    peer.frames();
    for given in [ack(2, None, 9, 1), ack(2, Some(3), 9, 7), ack(4, None, 9, 1)] {
        let id = peer.ask(given);
        assert_eq!(peer.answers(), [(id, None)]);
    }
    assert_eq!((only(&mut peer), peer.session.stats().acks_stale), (None, 3));
    peer.hear(delivery(key, 1));
    peer.frames();
    let id = peer.ask(ack(2, None, 9, 1));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.JMSException".into()))], "this one it had from nobody");
}

/// A client may not have noticed that its broker died between its acknowledgements and its commit. The next broker has the
/// transaction replayed and must not say that it committed what it never dispatched.
#[test]
fn a_commit_whose_acknowledgements_are_of_another_broker_is_rolled_back() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 0);
    peer.frames();
    for (n, kind, expected) in [(1, 2, true), (2, 4, true), (3, 0, false), (4, 2, true)] {
        // The last one comes after this broker has delivered something else.
        if n == 4 {
            peer.hear(delivery(key, 1));
            peer.frames();
        }
        peer.tell(transaction(0, local(n)));
        peer.tell(ow::MessageAck { transaction_id: Some(local(n)), ..ack(kind, None, 9, 1) });
        assert!(peer.frames().is_empty() && peer.closed().is_none());
        peer.commands();
        let id = peer.ask(transaction(2, local(n)));
        peer.accept();
        let rolled_back = expected.then(|| "jakarta.jms.TransactionRolledBackException".to_owned());
        assert_eq!(peer.answers(), [(id, rolled_back)], "{n}");
    }
}

#[test]
fn poison_says_why() {
    let mut peer = Peer::open();
    peer.consumer(1, 1);
    let poison_cause = Some(ow::Throwable { class: "java.lang.Throwable".into(), message: Some("too often".into()) });
    peer.tell(ow::MessageAck { poison_cause, ..ack(1, None, 1, 1) });
    match &peer.commands()[..] {
        [Ask::Ack(ack)] => assert_eq!(ack.cause.as_deref(), Some("java.lang.Throwable: too often")),
        other => panic!("{other:?}"),
    }
}

/// What a transaction acknowledges stays findable until it commits: after a rollback the client acknowledges it again.
#[test]
fn transacted_acknowledgements_wait_for_the_commit() {
    let mut peer = Peer::open();
    let key = peer.consumer(1, 5);
    let in_transaction = |ack, n| ow::MessageAck { transaction_id: Some(local(n)), ..ack };
    let held = |peer: &Peer| peer.session.client.consumers[&key].held.len();
    for (n, outcome, left) in [(1, Some(false), 5), (2, Some(true), 2), (3, None, 2)] {
        peer.tell(transaction(0, local(n)));
        let last = if n == 3 { 5 } else { 3 };
        peer.tell(in_transaction(ack(2, None, last, 1), n));
        let acks: Vec<_> = peer.commands().into_iter().filter(|c| matches!(c, Ask::Ack(_))).collect();
        assert!(matches!(&acks[..], [Ask::Ack(ack)] if ack.transaction == Some(n as u64) && ack.last == last as u64));
        assert!(held(&peer) >= 2);
        match outcome {
            Some(true) => {
                peer.ask(transaction(2, local(n)));
                assert_eq!(held(&peer), 5, "until the broker machine says so");
                peer.accept();
            }
            Some(false) => {
                peer.ask(transaction(2, local(n)));
                peer.refuse(RefusalKind::Transaction);
            }
            None => {
                peer.ask(transaction(4, local(n)));
                peer.accept();
            }
        }
        assert_eq!(held(&peer), left, "{n}");
    }
    let expected = [(1, Some("jakarta.jms.TransactionRolledBackException".to_owned())), (2, None), (3, None)];
    let answers: Vec<_> = peer.answers().into_iter().zip(1..).map(|((_, class), n)| (n, class)).collect();
    assert_eq!(answers, expected);

    let id = peer.ask(in_transaction(ack(2, None, 4, 1), 9));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.JMSException".into()))]);
    peer.tell(transaction(0, local(4)));
    let id = peer.ask(in_transaction(ack(1, None, 4, 1), 4));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.JMSException".into()))]);
}

/// A consumer cannot make its session remember without bound.
#[test]
fn holding_too_much_ends_the_connection() {
    let mut peer = Peer::with(config(), Options { held_max: 10, ..Options::default() });
    peer = peer.agree(12, true, true, "6.2.0").joined();
    let key = peer.consumer(1, 10);
    assert_eq!(peer.closed(), None);
    peer.frames();
    peer.hear(delivery(key, 11));
    assert!(matches!(&peer.frames()[..], [Command::ConnectionError(_)]));
    assert!(peer.closed().expect("closed").contains("held_max"));
}

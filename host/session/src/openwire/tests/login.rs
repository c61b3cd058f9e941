//! Nothing is obeyed before login (V10).

use std::collections::BTreeSet;

use super::*;

/// One of each command there is.
fn every_command() -> Vec<Command> {
    let remove = ow::RemoveInfo { object_id: Some(ow::ObjectId::Connection(connection_id())), ..Default::default() };
    let add = ow::DestinationInfo { destination: Some(queue("Q")), ..Default::default() };
    vec![
        Command::Null,
        text(1).into(),
        ow::MessageAck { consumer_id: Some(consumer_id(1)), ..Default::default() }.into(),
        ow::MessageDispatch::default().into(),
        ow::Response::default().into(),
        ow::ProducerAck::default().into(),
        ow::BrokerInfo::default().into(),
        login("bob").into(),
        ow::SessionInfo { session_id: Some(session_id(1)), ..Default::default() }.into(),
        consumer(1, ow::DestinationKind::Queue).into(),
        ow::ProducerInfo { producer_id: Some(producer_id(1)), ..Default::default() }.into(),
        transaction(0, local(1)).into(),
        add.into(),
        ow::RemoveSubscriptionInfo::default().into(),
        ow::KeepAliveInfo::default().into(),
        ow::ShutdownInfo::default().into(),
        remove.into(),
        ow::ControlCommand { command: Some("shutdown".into()), ..Default::default() }.into(),
        ow::FlushCommand::default().into(),
        ow::ConnectionError::default().into(),
        ow::ConsumerControl::default().into(),
        ow::ConnectionControl { close: true, exit: true, ..Default::default() }.into(),
        ow::MessagePull { consumer_id: Some(consumer_id(1)), ..Default::default() }.into(),
        ow::ExceptionResponse::default().into(),
        ow::DataResponse::default().into(),
        ow::DataArrayResponse::default().into(),
        ow::IntegerResponse::default().into(),
        ow::ReplayCommand::default().into(),
        ow::MessageDispatchNotification::default().into(),
        ow::BrokerSubscriptionInfo::default().into(),
        offer(12, true, true, "").into(),
        ow::DiscoveryEvent::default().into(),
        ow::JournalTopicAck::default().into(),
        ow::JournalQueueAck::default().into(),
        ow::JournalTrace::default().into(),
        ow::JournalTransaction::default().into(),
        ow::SubscriptionInfo::default().into(),
        ow::PartialCommand::default().into(),
        ow::NetworkBridgeFilter::default().into(),
        queue("Q").into(),
        ow::MessageId::default().into(),
        local(1).into(),
        connection_id().into(),
        session_id(1).into(),
        consumer_id(1).into(),
        producer_id(1).into(),
        ow::BrokerId::default().into(),
    ]
}

/// Does not compile when a command is added that the table above may not have.
fn is_known(command: &Command) -> bool {
    use Command as C;
    match command {
        C::Null | C::Message(_) | C::MessageAck(_) | C::MessageDispatch(_) | C::Response(_) | C::ProducerAck(_) => true,
        C::BrokerInfo(_) | C::ConnectionInfo(_) | C::SessionInfo(_) | C::ConsumerInfo(_) | C::ProducerInfo(_) => true,
        C::TransactionInfo(_) | C::DestinationInfo(_) | C::RemoveSubscriptionInfo(_) | C::KeepAliveInfo(_) => true,
        C::ShutdownInfo(_) | C::RemoveInfo(_) | C::ControlCommand(_) | C::FlushCommand(_) => true,
        C::ConnectionError(_) | C::ConsumerControl(_) | C::ConnectionControl(_) | C::MessagePull(_) => true,
        C::ExceptionResponse(_) | C::DataResponse(_) | C::DataArrayResponse(_) | C::IntegerResponse(_) => true,
        C::ReplayCommand(_) | C::MessageDispatchNotification(_) | C::BrokerSubscriptionInfo(_) => true,
        C::WireFormatInfo(_) | C::DiscoveryEvent(_) | C::JournalTopicAck(_) | C::JournalQueueAck(_) => true,
        C::JournalTrace(_) | C::JournalTransaction(_) | C::SubscriptionInfo(_) | C::PartialCommand(_) => true,
        C::NetworkBridgeFilter(_) | C::Destination(_) | C::MessageId(_) | C::TransactionId(_) => true,
        C::ConnectionId(_) | C::SessionId(_) | C::ConsumerId(_) | C::ProducerId(_) | C::BrokerId(_) => true,
    }
}

/// Before login every command but the handshake's is refused and ends the connection, and none reaches the broker
/// machine; before the agreement not even a login does.
#[test]
fn nothing_is_obeyed_before_login() {
    let all = every_command();
    let types: BTreeSet<_> = all.iter().map(Command::data_type).collect();
    assert_eq!((types.len(), all.len()), (47, 47));
    for agreed in [false, true] {
        for command in &all {
            assert!(is_known(command));
            let mut peer = if agreed { Peer::agreed() } else { Peer::new() };
            if !agreed {
                peer.frames();
            }
            let id = peer.ask(command.clone());
            let name = format!("{command:?} agreed: {agreed}");
            let wants = command.header().is_some();
            if let (Command::WireFormatInfo(_), false) = (command, agreed) {
                assert_eq!(peer.closed(), None, "{name}");
                continue;
            }
            let frames = peer.frames();
            match command {
                Command::KeepAliveInfo(_) => {
                    assert!(matches!(&frames[..], [Command::KeepAliveInfo(_)]), "{name}");
                    assert_eq!(peer.closed(), None, "{name}");
                }
                Command::ConnectionControl(_) if agreed => {
                    assert!(matches!(&frames[..], [Command::Response(_)]), "{name}");
                    assert_eq!(peer.closed(), None, "{name}");
                }
                Command::BrokerInfo(_) if agreed => {
                    assert!(matches!(&frames[..], [Command::Response(_)]), "{name}");
                    assert_eq!(peer.closed(), None, "{name}");
                    peer.ask(command.clone());
                    assert!(peer.closed().is_some(), "a second {name}");
                }
                Command::ConnectionInfo(_) if agreed => {
                    assert!(matches!(&peer.commands()[..], [Ask::Connect(_)]));
                    assert_eq!(peer.closed(), None, "{name}");
                }
                Command::ShutdownInfo(_) => assert_eq!(peer.closed(), Some("the client closed the connection")),
                _ => {
                    assert!(peer.closed().expect("closed").contains("not allowed before login"), "{name}");
                    assert_eq!(peer.session.stats().frames_refused, 1, "{name}");
                    match &frames[..] {
                        [] => assert!(!wants, "{name}"),
                        [Command::ExceptionResponse(answer)] => {
                            let class = answer.exception.as_ref().map(|exception| &exception.class[..]);
                            assert_eq!((answer.correlation_id, class), (id, Some("java.lang.SecurityException")));
                        }
                        other => panic!("{name}: {other:?}"),
                    }
                }
            }
            assert!(peer.commands().is_empty(), "{name}");
        }
    }
}

/// After login no command ends the connection but a good-bye, and each that wants an answer gets exactly one.
#[test]
fn after_login_every_command_is_answered_once() {
    for command in every_command() {
        let mut peer = Peer::open();
        peer.frames();
        let id = peer.ask(command.clone());
        peer.accept();
        let frames = peer.frames();
        let name = format!("{command:?}: {frames:?}");
        let answers = frames.iter().filter(|frame| match frame {
            Command::Response(answer) => answer.correlation_id == id,
            Command::ExceptionResponse(answer) => answer.correlation_id == id,
            _ => false,
        });
        match command {
            Command::KeepAliveInfo(_) => assert!(matches!(&frames[..], [Command::KeepAliveInfo(_)]), "{name}"),
            _ => assert_eq!(answers.count(), usize::from(command.header().is_some()), "{name}"),
        }
        assert_eq!(peer.closed().is_some(), matches!(command, Command::ShutdownInfo(_)), "{name}");
    }
}

#[test]
fn a_login_is_handed_over_and_answered() {
    let mut peer = Peer::agreed();
    let info = ow::ConnectionInfo { manageable: true, failover_reconnect: true, ..login("bob") };
    let id = peer.ask(info);
    assert!(peer.frames().is_empty());
    match &peer.accept()[..] {
        [Ask::Connect(connect)] => {
            assert_eq!((&connect.connection[..], connect.client_id.as_deref()), (CONNECTION, Some("app")));
            assert_eq!(connect.user.as_deref(), Some("bob"));
            assert!(connect.failover_reconnect && !connect.link_stealing);
        }
        other => panic!("{other:?}"),
    }
    match &peer.frames()[..] {
        [Command::Response(answer), Command::ConnectionControl(control)] => {
            assert_eq!(answer.correlation_id, id);
            assert!(!control.close && !control.fault_tolerant);
        }
        other => panic!("{other:?}"),
    }
    let id = peer.ask(login("bob"));
    assert_eq!(peer.answers(), [(id, Some("jakarta.jms.IllegalStateException".into()))]);
    assert_eq!(peer.closed(), None);
}

#[test]
fn a_refused_login_is_answered_before_the_close() {
    let mut peer = Peer::agreed();
    let id = peer.ask(login("eve"));
    assert_eq!(peer.answers(), [(id, Some("java.lang.SecurityException".into()))]);
    assert!(peer.closed().is_some() && peer.commands().is_empty());

    let mut peer = Peer::agreed();
    peer.tell(login("eve"));
    assert!(matches!(&peer.frames()[..], [Command::ConnectionError(_)]));
    assert!(peer.closed().is_some());

    let mut peer = Peer::agreed();
    peer.ask(ow::ConnectionInfo { connection_id: None, ..login("bob") });
    assert!(peer.closed().is_some() && peer.commands().is_empty());
}

/// What comes in one piece with the login waits until the broker machine has answered it.
#[test]
fn commands_behind_the_login_wait_for_its_answer() {
    let mut peer = Peer::agreed();
    let mut bytes = peer.encode(&login("bob").into());
    bytes.extend(peer.encode(&text(1).into()));
    peer.receive(&bytes);
    assert!(!peer.session.has_more());
    peer.receive(&[]);
    assert!(matches!(&peer.commands()[..], [Ask::Connect(_)]));
    peer.hear(Event::Reply { receipt: 1, outcome: Ok(()) });
    assert!(peer.session.has_more());
    peer.receive(&[]);
    assert!(matches!(&peer.commands()[..], [Ask::Publish(_)]));
    assert!(!peer.session.has_more());
}

//! What a client may do is asked once per destination, refused in ActiveMQ's words, and nothing leaks before login.

use std::sync::atomic::{AtomicUsize, Ordering};

use message::Destination;
use plugin::auth::Action;

use super::*;
use crate::{Authorizer, Verdict};

/// Allows what is in the list; each verdict holds for a second.
#[derive(Default)]
struct List {
    allowed: Vec<(Action, &'static str)>,
    asked: AtomicUsize,
}

impl Authorizer for List {
    fn authorize(&self, who: &Principal, action: Action, destinations: &[Destination], now_ms: i64) -> Verdict {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(who.name, "bob");
        if destinations.iter().any(|destination| &*destination.name == "UNKNOWN") {
            return Verdict::Unanswered;
        }
        let may = |destination: &Destination| self.allowed.contains(&(action, &*destination.to_string()));
        match destinations.iter().all(may) {
            true => Verdict::Allowed { until_ms: now_ms + 1000 },
            false => Verdict::Refused { until_ms: now_ms + 1000 },
        }
    }
}

fn guarded(allowed: &[(Action, &'static str)], user_id: UserId) -> (Peer, Arc<List>) {
    let list = Arc::new(List { allowed: allowed.to_vec(), ..List::default() });
    let config = Config { authorizer: Some(list.clone()), user_id, ..config() };
    (Peer::with(config, Options::default()).agree(12, true, true, "6.2.0").joined(), list)
}

fn send_to(name: &str, sequence: i64) -> ow::Message {
    ow::Message { destination: Some(queue(name)), ..text(sequence) }
}

const SECURITY: Option<&str> = Some("java.lang.SecurityException");

/// Consumers, producers and sends without a right are refused as ActiveMQ refuses them, and the connection goes on.
#[test]
fn what_is_not_allowed_is_refused_and_the_connection_stays() {
    let (mut peer, _) = guarded(&[(Action::Write, "queue://W"), (Action::Read, "queue://R")], UserId::Client);
    let on = |name: &str, value| ow::ConsumerInfo {
        destination: Some(queue(name)),
        ..consumer(value, ow::DestinationKind::Queue)
    };
    let producer = |name: &str, value| ow::ProducerInfo {
        producer_id: Some(producer_id(value)),
        destination: (!name.is_empty()).then(|| queue(name)),
        ..Default::default()
    };
    let composite = ow::Destination { kind: ow::DestinationKind::TempQueue, name: "queue://W,queue://R".into() };
    let refused: Vec<Command> = vec![
        on("W", 1).into(),
        on("R,W", 1).into(),
        ow::ConsumerInfo { browser: true, ..on("W", 1) }.into(),
        producer("R", 1).into(),
        send_to("R", 1).into(),
        send_to("W,R", 2).into(),
        ow::Message { destination: Some(composite), ..text(3) }.into(),
        send_to("UNKNOWN", 4).into(),
        ow::RemoveSubscriptionInfo { client_id: Some("another".into()), ..Default::default() }.into(),
    ];
    for command in refused {
        let shown = format!("{command:?}");
        let id = peer.ask(command);
        let answers = peer.answers();
        assert_eq!(
            answers.iter().map(|(id, class)| (*id, class.as_deref())).collect::<Vec<_>>(),
            [(id, SECURITY)],
            "{shown}"
        );
        assert!(peer.commands().is_empty(), "{shown}");
        assert!(peer.out.close.is_none(), "{shown}");
    }
    for command in [Command::from(on("R", 1)), producer("W", 1).into(), producer("", 2).into(), send_to("W", 5).into()]
    {
        let id = peer.ask(command);
        assert_eq!(peer.accept().len(), 1);
        assert_eq!(peer.answers(), [(id, None)]);
    }
}

/// A send that nobody waits for is reported by itself, and the transaction that it belongs to can only roll back.
#[test]
fn refused_sends_that_nobody_waits_for_spoil_their_transaction() {
    let (mut peer, _) = guarded(&[(Action::Write, "queue://W")], UserId::Client);
    peer.tell(transaction(0, local(1)));
    peer.tell(ow::Message { transaction_id: Some(local(1)), ..send_to("W", 1) });
    peer.tell(ow::Message { transaction_id: Some(local(1)), ..send_to("R", 2) });
    let [Command::ConnectionError(error)] = &peer.frames()[..] else { panic!("one ConnectionError") };
    let exception = error.exception.as_ref().expect("an exception");
    assert_eq!(&*exception.class, "java.lang.SecurityException");
    assert_eq!(exception.message.as_deref(), Some("User bob is not authorized to write to: queue://R"));
    peer.commands();
    let id = peer.ask(transaction(2, local(1)));
    assert!(matches!(&peer.commands()[..], [Ask::Rollback { .. }]));
    let answers = peer.answers();
    assert_eq!(answers, [(id, Some("jakarta.jms.TransactionRolledBackException".into()))]);
}

/// The path of each message asks nobody: ten thousand sends take one question, until its answer has expired.
#[test]
fn a_verdict_is_asked_for_once_per_destination_and_time() {
    let allowed = ["A", "B", "C", "D", "E"].map(|name| match name {
        "A" => (Action::Write, "queue://A"),
        "B" => (Action::Write, "queue://B"),
        "C" => (Action::Write, "queue://C"),
        "D" => (Action::Write, "queue://D"),
        _ => (Action::Write, "queue://E"),
    });
    let (mut peer, list) = guarded(&allowed, UserId::Client);
    let asked = || list.asked.load(Ordering::Relaxed);
    for sequence in 0..10_000 {
        peer.tell(send_to("A", sequence));
        peer.commands();
    }
    assert_eq!(asked(), 1);
    for name in ["B", "A", "B", "A"] {
        peer.tell(send_to(name, 1));
    }
    assert_eq!(asked(), 2, "another destination is another question, once");
    peer.now += 1000;
    peer.tell(send_to("A", 1));
    assert_eq!(asked(), 3, "the verdict has expired");
    for _ in 0..2 {
        peer.tell(send_to("R", 1));
    }
    assert_eq!(asked(), 4, "a refusal is remembered too");
    for name in ["C", "D", "E"] {
        peer.tell(send_to(name, 1));
    }
    assert_eq!(peer.session.stats().limit_hit, Some("verdicts_max"));
    assert!(peer.frames().iter().all(|frame| matches!(frame, Command::ConnectionError(_))));
}

/// While a login is being decided nothing else is obeyed, answered or kept waiting without bound (V10).
#[test]
fn nothing_is_obeyed_while_a_login_is_being_decided() {
    let mut peer = Peer::agreed();
    peer.patient = true;
    let id = peer.ask(login("bob"));
    assert!(peer.out.login.take().is_some_and(|said| said.user.as_deref() == Some("bob")));
    peer.tell(ow::SessionInfo { session_id: Some(session_id(1)), ..Default::default() });
    peer.tell(consumer(1, ow::DestinationKind::Queue));
    peer.tell(send_to("Q", 1));
    peer.tell(ow::KeepAliveInfo { header: Header { response_required: true, command_id: 0 } });
    assert!(peer.commands().is_empty() && peer.frames().is_empty() && peer.out.login.is_none());
    assert!(!peer.session.has_more(), "the caller does not spin");
    peer.session.login(
        decide(&Credentials { user: Some("bob".into()), ..Default::default() }),
        peer.now,
        &mut peer.out,
    );
    assert!(matches!(&peer.accept()[..], [Ask::Connect(connect)] if connect.user.as_deref() == Some("bob")));
    assert_eq!(peer.answers(), [(id, None)]);
    assert!(peer.session.has_more());
    peer.receive(&[]);
    assert!(matches!(&peer.commands()[..], [Ask::Subscribe(_), Ask::Publish(_)]));
    // A second decision means nothing.
    peer.session.login(Err(Denied::Invalid), peer.now, &mut peer.out);
    assert!(peer.out.close.is_none());
}

/// What was behind a login that is refused is gone with it.
#[test]
fn a_refused_login_takes_what_came_behind_it_along() {
    for (denied, text) in [
        (Denied::Invalid, "User name [bob] or password is invalid."),
        (Denied::Expired, "User name [bob] or password is invalid: the token has expired"),
        (Denied::Unavailable, "User name [bob] cannot be checked at present; try again later"),
    ] {
        let mut peer = Peer::agreed();
        peer.patient = true;
        let id = peer.ask(login("bob"));
        peer.tell(send_to("Q", 1));
        peer.session.login(Err(denied), peer.now, &mut peer.out);
        let [Command::ExceptionResponse(answer)] = &peer.frames()[..] else { panic!("one answer") };
        let exception = answer.exception.as_ref().expect("an exception");
        assert_eq!((answer.correlation_id, &*exception.class), (id, "java.lang.SecurityException"));
        assert_eq!(exception.message.as_deref(), Some(text));
        peer.receive(&[]);
        assert!(peer.commands().is_empty() && peer.out.close.is_some());
    }
}

/// A client that waits for its login too long is let go, whoever is slow.
#[test]
fn a_login_that_is_not_decided_in_time_ends() {
    let mut peer = Peer::agreed();
    peer.patient = true;
    peer.ask(login("bob"));
    peer.now += 30_000;
    peer.session.tick(peer.now, &mut peer.out);
    assert!(peer.out.close.is_some());
    peer.session.login(Ok(Admitted::forever(Principal::default())), peer.now, &mut peer.out);
    assert!(peer.commands().is_empty(), "too late");
}

/// When a token expires its connection ends, and says why.
#[test]
fn a_login_ends_with_its_token() {
    let mut peer = Peer::agreed();
    peer.patient = true;
    peer.ask(login("bob"));
    let principal = Arc::new(Principal { name: "bob".into(), ..Default::default() });
    let until_ms = peer.now + 5000;
    peer.session.login(Ok(Admitted { principal, until_ms }), peer.now, &mut peer.out);
    peer.accept();
    peer.frames();
    assert!(peer.session.timeout_ms().is_some_and(|due| due <= until_ms));
    peer.session.tick(until_ms - 1, &mut peer.out);
    assert!(peer.out.close.is_none());
    peer.session.tick(until_ms, &mut peer.out);
    assert!(peer.out.close.is_some());
    let frames = peer.frames();
    let last = frames.last().expect("a last word");
    assert!(matches!(last, Command::ConnectionError(_)), "{last:?}");
}

/// With the option on JMSXUserID is the broker's to say, whatever the client says (row K12).
#[test]
fn the_sender_is_named_by_the_broker_where_wanted() {
    for (user_id, expected) in
        [(UserId::Client, Some("admin")), (UserId::LoginName, Some("bob")), (UserId::Principal, Some("bob"))]
    {
        let (mut peer, _) = guarded(&[(Action::Write, "queue://W")], user_id);
        peer.tell(ow::Message { user_id: Some("admin".into()), ..send_to("W", 1) });
        let [Ask::Publish(publish)] = &peer.commands()[..] else { panic!("one message") };
        assert_eq!(publish.message.user_id.as_deref(), expected);
    }
}

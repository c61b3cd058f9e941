//! Rights of STOMP clients: an ERROR with the receipt's id, and the connection goes on.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use plugin::auth::Action;

use super::*;
use crate::{Authorizer, Verdict};

/// Lets everybody write to queues whose names begin with W and read from those that begin with R.
#[derive(Default)]
struct Letters(AtomicUsize);

impl Authorizer for Letters {
    fn authorize(&self, _who: &Principal, action: Action, destinations: &[Destination], now_ms: i64) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        let letter = if action == Action::Write { 'W' } else { 'R' };
        let until_ms = now_ms + 1000;
        let temporary = |one: &Destination| one.kind.is_temporary();
        match destinations.iter().all(|one| one.name.starts_with(letter) || temporary(one)) {
            true => Verdict::Allowed { until_ms },
            false => Verdict::Refused { until_ms },
        }
    }
}

fn guarded() -> (Bench, Arc<Letters>) {
    let letters = Arc::new(Letters::default());
    let config = Config { authorizer: Some(letters.clone()), user_id: UserId::LoginName, ..config() };
    (Bench::connected_with(config, Version::V1_2, "login:admin\npasscode:secret\n"), letters)
}

#[test]
fn stomp_what_is_not_allowed_is_an_error_with_the_receipt() {
    let (mut bench, _) = guarded();
    let table = [
        ("SEND\ndestination:/queue/R\nreceipt:1\n", "not authorized to write to: queue://R"),
        ("SEND\ndestination:/queue/W,/queue/R\nreceipt:1\n", "not authorized to write to: queue://W,R"),
        ("SEND\ndestination:/topic/R\nreceipt:1\n", "not authorized to write to: topic://R"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/W\nreceipt:1\n", "not authorized to read from: queue://W"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/>\nreceipt:1\n", "not authorized to read from: queue://>"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/W\nbrowser:true\nreceipt:1\n", "not authorized to read from"),
        ("UNSUBSCRIBE\nid:1\nactivemq.subscriptionName:s\nreceipt:1\n", "belongs to a client-id"),
    ];
    for (frame, why) in table {
        bench.say(format!("{frame}\n\0"));
        let error = bench.frame();
        assert_eq!((error.command.as_str(), error.get("receipt-id").map(|id| &**id)), ("ERROR", Some("1")), "{frame}");
        assert!(error.get("message").is_some_and(|message| message.contains(why)), "{frame}: {error:?}");
        assert!(bench.commands().is_empty() && bench.out.close.is_none(), "{frame}");
    }
    bench.say("SEND\ndestination:/queue/W\nJMSXUserID:root\n\nx\0SUBSCRIBE\nid:1\ndestination:/queue/R\n\n\0");
    match &bench.commands()[..] {
        [Command::Publish(publish), Command::Subscribe(_)] => {
            assert_eq!(publish.message.user_id.as_deref(), Some("admin"), "never the client's word (row K12)");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn stomp_a_refused_send_without_receipt_spoils_its_transaction() {
    let (mut bench, letters) = guarded();
    bench.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/W\ntransaction:t\n\n\0");
    bench.say("SEND\ndestination:/queue/R\ntransaction:t\n\n\0");
    assert!(bench.error().contains("not authorized"));
    bench.commands();
    bench.say("COMMIT\ntransaction:t\nreceipt:c\n\n\0");
    assert!(matches!(&bench.commands()[..], [Command::Rollback { receipt: None, .. }]));
    let error = bench.frame();
    assert_eq!((error.command.as_str(), error.get("receipt-id").map(|id| &**id)), ("ERROR", Some("c")));
    assert_eq!(letters.0.load(Ordering::Relaxed), 2);
}

/// While a login is being decided no frame is taken (V10).
#[test]
fn stomp_nothing_is_obeyed_while_a_login_is_being_decided() {
    let mut bench = Bench::new();
    bench.patient = true;
    bench.say("CONNECT\nlogin:admin\npasscode:secret\nreceipt:r\n\n\0SEND\ndestination:/queue/W\n\nx\0");
    assert!(bench.out.login.take().is_some_and(|said| said.password.as_deref() == Some("secret")));
    bench.read();
    assert!(bench.commands().is_empty() && bench.text().is_empty() && bench.out.login.is_none());
    bench.session.login(Err(Denied::Invalid), START_MS, &mut bench.out);
    let error = bench.frame();
    assert_eq!((error.command.as_str(), error.get("receipt-id").map(|id| &**id)), ("ERROR", Some("r")));
    bench.read();
    assert!(bench.commands().is_empty() && bench.out.close.is_some());
}

#[test]
fn stomp_a_login_ends_with_its_token() {
    let mut bench = Bench::new();
    bench.patient = true;
    bench.say("CONNECT\n\n\0");
    let until_ms = START_MS + 5000;
    bench.session.login(Ok(Admitted { principal: Arc::default(), until_ms }), START_MS, &mut bench.out);
    bench.answer_all(Ok(()));
    bench.frames();
    assert_eq!(bench.session.timeout_ms(), Some(until_ms));
    bench.tick(4999);
    assert!(bench.out.close.is_none());
    bench.tick(5000);
    assert!(bench.error().contains("expired") && bench.out.close.is_some());
}

/// Nobody sees a password in what a session says about itself.
#[test]
fn stomp_passwords_are_not_shown() {
    let mut bench = Bench::new();
    bench.patient = true;
    bench.say("CONNECT\nlogin:admin\npasscode:s3cret\n\n\0");
    assert!(!format!("{:?}", bench.out).contains("s3cret"));
}

/// Lets everybody do everything in even terms and nothing in odd ones, for ever; the last one limits nobody.
#[derive(Default)]
struct Parity {
    term: AtomicU64,
    asked: AtomicUsize,
}

const UNLIMITED: u64 = 5;

impl Authorizer for Parity {
    fn authorize(&self, _: &Principal, _: Action, _: &[Destination], _: i64) -> Verdict {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.term.load(Ordering::Relaxed).is_multiple_of(2) {
            true => Verdict::Allowed { until_ms: i64::MAX },
            false => Verdict::Refused { until_ms: i64::MAX },
        }
    }

    fn term(&self) -> Option<u64> {
        Some(self.term.load(Ordering::Relaxed)).filter(|term| *term != UNLIMITED)
    }
}

/// What a connection remembers ends with the term in which it was said, to the good and to the bad.
#[test]
fn stomp_a_right_ends_with_its_term() {
    let parity = Arc::new(Parity::default());
    let config = Config { authorizer: Some(parity.clone()), ..config() };
    let mut bench = Bench::connected_with(config, Version::V1_2, "login:admin\npasscode:secret\n");
    for term in 0..=UNLIMITED {
        parity.term.store(term, Ordering::Relaxed);
        let before = parity.asked.load(Ordering::Relaxed);
        for _ in 0..2 {
            bench.say("SEND\ndestination:/queue/Q\n\nx\0");
            let is_sent = matches!(&bench.commands()[..], [Command::Publish(_)]);
            assert_eq!(is_sent, term % 2 == 0 || term == UNLIMITED, "{term}");
            if !is_sent {
                assert!(bench.error().contains("not authorized to write to: queue://Q"), "{term}");
            }
        }
        let asked = parity.asked.load(Ordering::Relaxed) - before;
        assert_eq!(asked, usize::from(term != UNLIMITED), "once in term {term}");
    }
}

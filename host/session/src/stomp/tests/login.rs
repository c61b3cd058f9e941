use message::{Event, RefusalKind};

use super::*;

fn login(headers: &str) -> (Bench, Option<message::Connect>) {
    let mut bench = Bench::new();
    bench.say(format!("CONNECT\n{headers}\n\0"));
    let connect = bench.out.commands.first().map(|command| match command {
        Command::Connect(connect) => (**connect).clone(),
        other => panic!("{other:?} came first"),
    });
    bench.answer_all(Ok(()));
    (bench, connect)
}

/// The version is the newest that both speak, and 1.0 when the client names none.
#[test]
fn stomp_versions_are_negotiated() {
    for (accepts, version) in [
        ("", Some("1.0")),
        ("accept-version:1.0\n", Some("1.0")),
        ("accept-version:1.0,1.1\n", Some("1.1")),
        ("accept-version: 1.2 , 1.1\n", Some("1.2")),
        ("accept-version:1.1,1.2,2.0\n", Some("1.2")),
        ("accept-version:2.0\n", None),
        ("accept-version:\n", None),
    ] {
        let (mut bench, connect) = login(accepts);
        let frame = bench.frame();
        match version {
            Some(version) => {
                assert_eq!(frame.command.as_str(), "CONNECTED");
                assert_eq!(frame.get("version").map(|v| &**v), Some(version), "{accepts}");
                assert!(bench.out.close.is_none());
            }
            None => {
                assert_eq!(frame.command.as_str(), "ERROR");
                assert_eq!(frame.get("version").map(|v| &**v), Some("1.0,1.1,1.2"));
                let message = frame.get("message").expect("an ERROR says why");
                assert!(message.ends_with("], supported versions are: [1.2, 1.1, 1.0]"), "{message}");
                assert!(connect.is_none() && bench.out.close.is_some());
            }
        }
    }
}

#[test]
fn stomp_connected_says_who_answers() {
    let (mut bench, connect) = login("login:admin\npasscode:secret\nclient-id:me\nrequest-id:r1\nhost:ignored\n");
    let connect = connect.expect("a login");
    assert_eq!(connect.client_id.as_deref(), Some("me"));
    assert_eq!(connect.user.as_deref(), Some("admin"));
    assert_eq!(connect.connection, "ID:host-1-2-stomp:7");
    assert_eq!(connect.remote, "10.0.0.1:5");
    let server = format!("Jackfield/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        bench.text(),
        format!(
            "CONNECTED\nversion:1.0\nheart-beat:0,0\nsession:me\nserver:{server}\nresponse-id:r1\nreceipt-id:r1\n\n\0\n"
        )
    );
    let (mut bench, connect) = login("");
    assert_eq!(connect.expect("a login").client_id, None);
    assert_eq!(bench.frame().get("session").map(|id| &**id), Some("ID:host-1-2-stomp:7"));
}

/// Who is refused hears why and is let go; the broker machine never hears of them.
#[test]
fn stomp_logins_are_refused() {
    for (headers, why) in [
        ("login:admin\npasscode:wrong\n", "User name [admin] or password is invalid."),
        ("login:x\n", "User name [x] or password is invalid."),
        ("passcode:secret\n", "User name [] or password is invalid."),
        ("heart-beat:1\n", "Invalid heart-beat header:1"),
        ("heart-beat:a,b\n", "Invalid heart-beat header:a,b"),
        ("heart-beat:-1,0\n", "Invalid heart-beat header:-1,0"),
        ("heart-beat:1,2,3\n", "Invalid heart-beat header:1,2,3"),
    ] {
        let (mut bench, connect) = login(headers);
        assert!(connect.is_none());
        assert_eq!(bench.error(), why);
        assert!(bench.out.close.is_some());
    }
    let (bench, _) = login("login:x\n");
    assert_eq!(bench.out.close.map(|why| why.kind), Some(RefusalKind::Security));
}

#[test]
fn stomp_a_client_id_in_use_is_refused() {
    let mut bench = Bench::new();
    bench.say("STOMP\naccept-version:1.2\nclient-id:me\n\n\0");
    bench.answer_all(Err(Refusal::new(RefusalKind::InvalidClientId, "client id me is in use")));
    assert_eq!(bench.error(), "client id me is in use");
    assert!(bench.out.close.is_some());
}

/// Nothing but CONNECT and STOMP is obeyed before the login, and nothing after it until it is answered.
#[test]
fn stomp_nothing_is_obeyed_before_login() {
    for name in [
        "SEND",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
        "DISCONNECT",
        "CONNECTED",
        "MESSAGE",
        "RECEIPT",
        "ERROR",
        "SUB",
        "connect",
        "CONNECTX",
        "STOMPED",
        "BOGUS",
    ] {
        let mut bench = Bench::new();
        bench.say(format!("{name}\ndestination:/queue/a\nid:1\ntransaction:t\nreceipt:r\n\nx\0"));
        assert!(bench.commands().is_empty(), "{name} was obeyed");
        bench.error();
        assert!(bench.out.close.is_some(), "{name} may stay");
        bench.say("CONNECT\n\n\0");
        assert!(bench.commands().is_empty() && bench.text().is_empty(), "{name} comes back");
        assert!(bench.buffer.is_empty());
    }
    let mut bench = Bench::new();
    bench.say("CONNECT\n\n\0SEND\ndestination:/queue/a\n\nx\0");
    assert_eq!(bench.out.commands.len(), 1);
    assert!(bench.session.has_more(), "so nothing more is read");
    bench.answer_all(Ok(()));
    assert_eq!(bench.out.commands.len(), 2, "the frame that waited is read");
}

#[test]
fn stomp_a_second_login_ends_the_connection() {
    for name in ["CONNECT", "STOMP", "CONNECTED", "MESSAGE", "RECEIPT", "ERROR", "BOGUS"] {
        let mut bench = Bench::connected(Version::V1_2);
        bench.say(format!("{name}\nreceipt:r\n\n\0"));
        assert_eq!(bench.frame().get("receipt-id").map(|id| &**id), Some("r"));
        assert!(bench.out.close.is_some(), "{name}");
        assert!(bench.commands().is_empty());
    }
}

#[test]
fn stomp_strangers_have_limits() {
    let mut bench = Bench::new();
    assert_eq!(bench.session.timeout_ms(), Some(START_MS + 30_000));
    bench.tick(29_999);
    assert!(bench.out.close.is_none());
    bench.tick(30_000);
    assert!(bench.out.close.is_some());
    assert_eq!(bench.session.stats().limit_hit, Some("login_ms_max"));
    assert_eq!(bench.session.timeout_ms(), None);

    let mut bench = Bench::new();
    bench.say("CONNECT\n");
    for _ in 0..80 {
        bench.say(format!("a:{}\n", "x".repeat(1000)));
    }
    assert_eq!(bench.session.stats().limit_hit, Some("login_bytes_max"));
    assert!(bench.out.close.is_some());

    let mut bench = Bench::new();
    for _ in 0..70 {
        bench.say("\n".repeat(1000));
    }
    assert!(bench.out.close.is_some(), "line ends count too");
}

/// Whoever reads the answer to DISCONNECT, or the end of the connection, may log in at once with the same client id.
#[test]
fn stomp_leaving_frees_the_client_id_before_the_answer() {
    for (headers, answer) in [("receipt:bye\n", "RECEIPT\nreceipt-id:bye\n\n\0\n"), ("", "")] {
        let mut bench = Bench::connected_with(config(), Version::V1_2, "client-id:me\n");
        bench.say(format!("DISCONNECT\n{headers}\n\0"));
        assert_eq!(bench.text(), "");
        bench.answer_all(Ok(()));
        assert!(matches!(bench.commands().pop(), Some(Command::Disconnect)), "{headers}");
        assert_eq!(bench.text(), answer);
        assert!(bench.out.close.is_some());
    }
}

#[test]
fn stomp_the_broker_may_end_the_connection() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.hear(Event::Close(Refusal::new(RefusalKind::Closing, "the broker stops")));
    assert_eq!(bench.error(), "the broker stops");
    assert_eq!(bench.out.close.as_ref().map(|why| why.kind), Some(RefusalKind::Closing));
}

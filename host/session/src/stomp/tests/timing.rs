use message::{Event, RefusalKind};

use super::*;

/// Each wish is met, none below the least that the broker allows.
#[test]
fn stomp_heart_beats_are_negotiated() {
    for (wish, answer) in [
        ("0,0", "0,0"),
        ("1000,2000", "2000,1000"),
        ("0,500", "500,0"),
        ("500,0", "0,500"),
        (" 700 , 800 ", "800,700"),
        ("1,1", "100,100"),
        ("9223372036854775807,9223372036854775807", "9223372036854775807,9223372036854775807"),
    ] {
        let mut bench = Bench::new();
        bench.say(format!("CONNECT\naccept-version:1.2\nheart-beat:{wish}\n\n\0"));
        bench.answer_all(Ok(()));
        assert_eq!(bench.frame().get("heart-beat").map(|v| &**v), Some(answer));
        bench.tick(5);
        assert!(bench.out.close.is_none());
    }
}

#[test]
fn stomp_a_silent_broker_beats() {
    let mut bench = Bench::connected_with(config(), Version::V1_2, "heart-beat:0,1000\n");
    assert_eq!(bench.session.timeout_ms(), Some(START_MS + 1000));
    bench.tick(999);
    assert_eq!(bench.text(), "");
    bench.tick(1000);
    assert_eq!(bench.text(), "\n");
    assert_eq!(bench.session.timeout_ms(), Some(START_MS + 2000));
    bench.now_ms = START_MS + 1500;
    bench.hear(Event::Failed(Refusal::new(RefusalKind::Security, "no")));
    bench.text();
    bench.tick(2000);
    assert_eq!(bench.text(), "", "a frame is a beat");
    bench.tick(2500);
    assert_eq!(bench.text(), "\n");
    bench.tick(1_000_000);
    assert!(bench.out.close.is_none(), "the client promised nothing");
}

#[test]
fn stomp_a_silent_client_is_let_go() {
    for (interval, grace, silence) in
        [(1000, 1.0, 2000), (10_000, 1.0, 15_000), (10_000, 2.0, 25_000), (1000, 0.0, 2000)]
    {
        let config = Config { heart_beat_grace: grace, ..config() };
        let mut bench = Bench::connected_with(config, Version::V1_1, &format!("heart-beat:{interval},0\n"));
        bench.tick(500);
        bench.say("\n");
        assert_eq!(bench.session.timeout_ms(), Some(START_MS + 500 + silence));
        bench.tick(500 + silence - 1);
        assert!(bench.out.close.is_none());
        bench.tick(500 + silence);
        assert!(bench.out.close.is_some(), "{interval} {grace}");
        assert_eq!(bench.text().lines().next(), Some("ERROR"));
    }
}

/// While nobody reads, nobody can be silent.
#[test]
fn stomp_a_pause_is_not_the_clients_silence() {
    let mut bench = Bench::connected_with(config(), Version::V1_1, "heart-beat:1000,0\n");
    bench.hear(Event::Pause);
    bench.say("\n");
    bench.tick(60_000);
    bench.tick(120_000);
    assert!(bench.out.close.is_none());
    bench.hear(Event::Resume);
    bench.tick(121_999);
    assert!(bench.out.close.is_none());
    bench.tick(122_000);
    assert!(bench.out.close.is_some());
}

/// DISCONNECT's receipt comes after all that was asked for before it, and then the end.
#[test]
fn stomp_disconnect_waits_for_its_fence() {
    let mut bench = Bench::connected(Version::V1_2);
    bench.say(
        "SEND\ndestination:/queue/a\nreceipt:1\n\n\0DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/queue/a\n\n\0",
    );
    let commands = bench.commands();
    assert!(matches!(commands[..], [Command::Publish(_), Command::Fence { .. }]), "{commands:?}");
    assert!(bench.out.close.is_none());
    for command in &commands {
        bench.hear(Event::Reply { receipt: receipt_of(command).expect("both ask"), outcome: Ok(()) });
    }
    assert_eq!(bench.text(), "RECEIPT\nreceipt-id:1\n\n\0\nRECEIPT\nreceipt-id:bye\n\n\0\n");
    assert_eq!(bench.out.close.as_ref().map(|why| why.kind), Some(RefusalKind::Closing));
    bench.deliver(1, 1, text_message(1));
    assert_eq!(bench.text(), "");

    let mut bench = Bench::connected(Version::V1_0);
    bench.say("DISCONNECT\n\n\0");
    assert!(bench.out.close.is_some() && bench.text().is_empty());
    assert!(matches!(bench.command(), Command::Disconnect));
}

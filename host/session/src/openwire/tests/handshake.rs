//! Agreement on a format, peers that came to the wrong port, silence.

use super::*;

/// Every version, encoding and cache setting is agreed upon and carries a login and a message both ways.
#[test]
fn all_versions_and_encodings_are_spoken() {
    for version in 1..=12 {
        for (tight, cache) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut peer = Peer::new().agree(version, tight, cache, "5.18.3").joined();
            let agreement = peer.session.format.agreement().clone();
            assert_eq!((i32::from(agreement.version), agreement.tight), (version, tight));
            assert_eq!(agreement.cache_size, cache.then_some(1024));
            assert!(!agreement.size_prefix_disabled);
            assert_eq!(agreement.frame_bytes_max, 1 << 20);
            let key = peer.consumer(1, 0);
            let id = peer.ask(text(1));
            let sent = match peer.accept().pop() {
                Some(Ask::Publish(publish)) => publish.message,
                other => panic!("{other:?}"),
            };
            assert_eq!(peer.answers(), [(id, None)]);
            peer.hear(Event::Deliver(Delivery {
                subscription: key,
                tag: 1,
                message: sent,
                redeliveries: 2,
                group_first: false,
            }));
            match &peer.frames()[..] {
                [Command::MessageDispatch(dispatch)] => {
                    let message = dispatch.message.as_ref().expect("a message");
                    assert_eq!(message.content, text(1).content, "{version} {tight} {cache}");
                    assert_eq!(dispatch.redelivery_counter, 2);
                    assert_eq!(dispatch.consumer_id, Some(consumer_id(1)));
                    assert_eq!(dispatch.destination, Some(queue("Q")));
                }
                other => panic!("{version} {tight} {cache}: {other:?}"),
            }
            assert_eq!(peer.closed(), None);
        }
    }
}

#[test]
fn what_cannot_be_agreed_upon_is_refused() {
    let options = Options { version_min: 5, ..Options::default() };
    let bad_magic = WireFormatInfo { magic: *b"ActiveXX", ..offer(12, true, true, "") };
    for (info, reason) in [
        (offer(4, true, true, ""), "version 4"),
        (bad_magic, "magic"),
        (WireFormatInfo { version: -1, ..offer(12, true, true, "") }, "version"),
    ] {
        let mut peer = Peer::with(config(), options.clone());
        peer.tell(info);
        let closed = peer.closed().expect("closed");
        assert!(closed.contains(reason), "{closed}");
        assert_eq!(peer.session.stats().frames_refused, 1);
    }
}

#[test]
fn foreign_protocols_are_named() {
    for (bytes, name) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "HTTP"),
        (b"CONNECT\naccept-version:1.2\n\n\0", "STOMP"),
        (b"STOMP\n\n\0", "STOMP"),
        (b"AMQP\0\x01\0\0", "AMQP"),
        (b"\x16\x03\x01\x02\0\x01", "TLS"),
        (b"\x10\x10\0\x04MQTT", "MQTT"),
        (b"SSH-2.0-OpenSSH", "OpenWire"),
    ] {
        let mut peer = Peer::new();
        peer.receive(bytes);
        let closed = peer.closed().expect("closed");
        assert!(closed.contains(name), "{closed}");
        assert!(peer.commands().is_empty() && peer.rest.is_empty());
    }
}

/// Java clients rebuild an exception by its class name, and the package depends on their age.
#[test]
fn exceptions_are_named_as_the_client_knows_them() {
    for (provider, class) in [
        ("6.0.0", "jakarta.jms.InvalidClientIDException"),
        ("11.1", "jakarta.jms.InvalidClientIDException"),
        ("5.16.7", "javax.jms.InvalidClientIDException"),
        ("", "javax.jms.InvalidClientIDException"),
    ] {
        let mut peer = Peer::new().agree(12, true, true, provider);
        let id = peer.ask(login("bob"));
        peer.refuse(RefusalKind::InvalidClientId);
        assert_eq!(peer.answers(), [(id, Some(class.to_owned()))]);
        assert_eq!(peer.closed(), Some("because"));
    }
}

#[test]
fn silence_is_answered_with_keep_alives_and_then_with_a_close() {
    let mut peer = Peer::open();
    peer.frames();
    let start = peer.now;
    assert_eq!(peer.session.timeout_ms(), Some(start + 10_000));
    for n in 1..=3 {
        peer.tick(start + n * 10_000 - 1);
        assert!(peer.frames().is_empty());
        peer.tick(start + n * 10_000);
        assert!(matches!(&peer.frames()[..], [Command::KeepAliveInfo(info)] if !info.header.response_required));
    }
    // The first silence begins after the initial delay.
    assert_eq!((peer.closed(), peer.session.timeout_ms()), (None, Some(start + 40_000)));
    peer.tick(start + 40_000);
    assert!(peer.closed().expect("closed").contains("nothing was read for 30000 ms"));
    assert_eq!(peer.session.timeout_ms(), None);
}

#[test]
fn any_byte_read_and_any_byte_written_counts_as_a_sign_of_life() {
    let mut peer = Peer::open();
    let start = peer.now;
    peer.now = start + 39_000;
    peer.receive(&[0, 0]);
    peer.tick(start + 68_000);
    assert_eq!(peer.closed(), None);
    peer.frames();
    let key = {
        peer.rest.clear();
        peer.consumer(1, 0)
    };
    peer.now = start + 77_000;
    peer.hear(delivery(key, 1));
    assert_eq!(peer.frames().len(), 1);
    peer.tick(start + 86_000);
    assert!(peer.frames().is_empty());
    peer.tick(start + 87_000);
    assert_eq!(peer.frames().len(), 1);
}

/// A client that the broker does not read from cannot be blamed for its silence.
#[test]
fn a_paused_client_is_not_closed_for_silence() {
    let mut peer = Peer::open();
    let start = peer.now;
    peer.hear(Event::Pause);
    peer.tick(start + 1_000_000);
    assert_eq!(peer.closed(), None);
    peer.hear(Event::Resume);
    peer.tick(start + 1_029_999);
    assert_eq!(peer.closed(), None);
    peer.tick(start + 1_030_000);
    assert!(peer.closed().is_some());
}

#[test]
fn keep_alives_that_want_an_answer_get_a_keep_alive() {
    for mut peer in [Peer::agreed(), Peer::open()] {
        peer.frames();
        let header = Header { command_id: 7, response_required: true };
        peer.tell(ow::KeepAliveInfo { header });
        let answer = ow::KeepAliveInfo { header: Header { command_id: 7, response_required: false } };
        assert_eq!(peer.frames(), [answer.into()]);
    }
}

/// Spare connections of failover clients live on keep-alives alone (row F07); silent strangers do not live long.
#[test]
fn strangers_must_log_in_or_keep_themselves_alive() {
    let mut silent = Peer::new();
    let start = silent.now;
    assert_eq!(silent.session.timeout_ms(), Some(start + 30_000));
    silent.tick(start + 30_000);
    assert!(silent.closed().expect("closed").contains("login_ms_max"));
    assert_eq!(silent.session.stats().limit_hit, Some("login_ms_max"));

    let mut agreed = Peer::agreed();
    agreed.tick(start + 30_000);
    assert!(agreed.closed().is_some());

    let mut spare = Peer::agreed();
    for n in 1..10_000 {
        spare.now = start + n * 10_000;
        spare.tell(ow::KeepAliveInfo::default());
        spare.tick(spare.now);
        assert_eq!(spare.closed(), None, "{n}");
        spare.frames();
    }
    let mut spare = spare.joined();
    assert_eq!(spare.closed(), None);
    assert!(spare.answers().is_empty());
}

#[test]
fn strangers_may_not_talk_for_long() {
    let mut peer = Peer::agreed();
    for _ in 0..100_000 {
        peer.tell(ow::KeepAliveInfo::default());
    }
    assert!(peer.closed().expect("closed").contains("login_bytes_max"));
    assert_eq!(peer.session.stats().limit_hit, Some("login_bytes_max"));

    let mut peer = Peer::agreed();
    peer.receive(&[0, 1, 0, 0, 3]);
    assert!(peer.closed().expect("closed").contains("login_bytes_max"));
}

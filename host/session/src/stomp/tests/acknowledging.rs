use message::{Ack, AckKind};

use super::*;

/// An ACK as `kind first-last`, with `t<key>` in a transaction and `r` when it wants an answer.
fn acks(bench: &mut Bench) -> Vec<String> {
    let show = |ack: Ack| {
        let transaction = ack.transaction.map(|key| format!(" t{key}")).unwrap_or_default();
        let receipt = ack.receipt.map_or("", |_| " r");
        format!("{:?} {}:{}-{}{transaction}{receipt}", ack.kind, ack.subscription, ack.first, ack.last)
    };
    let all = bench.commands().into_iter();
    all.filter_map(|command| if let Command::Ack(ack) = command { Some(show(ack)) } else { None }).collect()
}

/// A session with five deliveries of messages 1 to 5, and how each version names the `n`th of them.
fn with_five(version: Version, mode: &str) -> Bench {
    let mut bench = Bench::connected(version);
    bench.subscribe(&format!("id:s\ndestination:/queue/A\nack:{mode}\n"));
    for n in 1..=5 {
        bench.deliver(1, n, text_message(n as i64));
    }
    assert_eq!(bench.frames().len(), 5);
    bench
}

fn name(version: Version, n: i64) -> String {
    let id = text_message(n).id.to_string();
    match version {
        Version::V1_0 => format!("message-id:{id}\n"),
        Version::V1_1 => format!("subscription:s\nmessage-id:{}\n", id.replace(':', "\\c")),
        Version::V1_2 => format!("id:1-{n}\n"),
    }
}

#[test]
fn stomp_acks_speak_for_what_their_mode_says() {
    for version in Version::ALL {
        for (mode, frames, want) in [
            ("client", &[("ACK", 3)][..], &["Standard 1:1-3"][..]),
            ("client", &[("ACK", 2), ("ACK", 5)], &["Standard 1:1-2", "Standard 1:3-5"]),
            ("client-individual", &[("ACK", 3), ("ACK", 1)], &["Individual 1:3-3", "Individual 1:1-1"]),
        ] {
            let mut bench = with_five(version, mode);
            for (command, n) in frames {
                bench.say(format!("{command}\n{}\n\0", name(version, *n)));
            }
            assert_eq!(acks(&mut bench), want, "{version:?} {mode}");
            assert_eq!(bench.text(), "");
        }
        if version != Version::V1_0 {
            // A hole that NACK left is not acknowledged, and only the last range answers.
            let mut bench = with_five(version, "client");
            bench.say(format!("NACK\n{}\n\0", name(version, 2)));
            bench.say(format!("ACK\n{}receipt:r\n\n\0", name(version, 4)));
            assert_eq!(acks(&mut bench), ["Poison 1:2-2", "Standard 1:1-1", "Standard 1:3-4 r"]);
        }
    }
}

/// There are clients that escape in 1.0 as well.
#[test]
fn stomp_escaped_message_ids_are_acknowledged_in_every_version() {
    for version in [Version::V1_0, Version::V1_1] {
        let mut bench = with_five(version, "client-individual");
        let id = text_message(2).id.to_string().replace(':', "\\c");
        bench.say(format!("ACK\nsubscription:s\nmessage-id:{id}\n\n\0"));
        assert_eq!(bench.text(), "", "{version:?}");
        assert_eq!(acks(&mut bench), ["Individual 1:2-2"]);
    }
}

/// The `ack` header of 1.2 is what ACK sends back; without acknowledgements there is none.
#[test]
fn stomp_ack_headers_are_for_1_2() {
    for (version, mode, want) in [
        (Version::V1_2, "client", Some("1-1")),
        (Version::V1_2, "client-individual", Some("1-1")),
        (Version::V1_2, "auto", None),
        (Version::V1_1, "client", None),
    ] {
        let mut bench = Bench::connected(version);
        bench.subscribe(&format!("id:s\ndestination:/queue/A\nack:{mode}\n"));
        bench.deliver(1, 1, text_message(1));
        assert_eq!(bench.frame().get("ack").map(|id| &**id), want);
    }
}

#[test]
fn stomp_unexpected_acks_are_refused() {
    use Version::{V1_0, V1_1, V1_2};
    let id = "ID\\cx\\c1\\c1\\c1\\c9";
    for (version, frame, why) in [
        (V1_0, "ACK\n".to_string(), "ACK received without a message-id to acknowledge!"),
        (V1_0, "NACK\nmessage-id:x\n".into(), "NACK received but connection is in v1.0 mode."),
        (V1_0, "ACK\nmessage-id:x\n".into(), "Unexpected ACK received for message-id [x]"),
        (V1_1, "ACK\nsubscription:s\n".into(), "ACK received without a message-id to acknowledge!"),
        (V1_1, "ACK\nmessage-id:x\n".into(), "ACK received without a subscription id for acknowledge!"),
        (V1_1, "NACK\nmessage-id:x\n".into(), "NACK received without a subscription id for acknowledge!"),
        (
            V1_1,
            format!("ACK\nsubscription:s\nmessage-id:{id}\n"),
            "Unexpected ACK received for message-id [ID:x:1:1:1:9]",
        ),
        (
            V1_1,
            format!("NACK\nsubscription:no\nmessage-id:{id}\n"),
            "Unexpected NACK received for message-id [ID:x:1:1:1:9]",
        ),
        (V1_2, "ACK\nmessage-id:x\nsubscription:s\n".into(), "ACK received without an ack id for acknowledge!"),
        (V1_2, "NACK\n".into(), "NACK received without an ack id for acknowledge!"),
        (V1_2, "ACK\nid:1-6\n".into(), "Unexpected ACK received for message-id [1-6]"),
        (V1_2, "ACK\nid:2-1\n".into(), "Unexpected ACK received for message-id [2-1]"),
        (V1_2, "ACK\nid:-\n".into(), "Unexpected ACK received for message-id [-]"),
        (V1_2, "ACK\nid:99999999999999999999-1\n".into(), "Unexpected ACK"),
        (V1_2, "ACK\nid:1-1\ntransaction:t\n".into(), "Invalid transaction id: t"),
    ] {
        let mut bench = with_five(version, "client");
        bench.say(format!("{frame}receipt:r\n\n\0"));
        let error = bench.frame();
        assert!(error.get("message").is_some_and(|message| message.starts_with(why)), "{error:?}");
        assert_eq!(error.get("receipt-id").map(|id| &**id), Some("r"));
        assert!(bench.commands().is_empty() && bench.out.close.is_none());
    }
    let mut bench = with_five(Version::V1_2, "client");
    bench.say("ACK\nid:1-2\n\n\0ACK\nid:1-2\n\n\0");
    assert_eq!(acks(&mut bench), ["Standard 1:1-2"]);
    assert_eq!(bench.error(), "Unexpected ACK received for message-id [1-2]", "twice is once too often");
    let mut bench = with_five(Version::V1_1, "auto");
    bench.say(format!("ACK\n{}\n\0", name(Version::V1_1, 1)));
    assert!(bench.error().starts_with("Unexpected ACK"), "auto needs none");
}

/// ABORT gives back what was acknowledged in the transaction, COMMIT does not.
#[test]
fn stomp_acks_in_transactions_come_back_with_abort() {
    for mode in ["client", "client-individual"] {
        let mut bench = with_five(Version::V1_2, mode);
        bench.say("BEGIN\ntransaction:t\n\n\0ACK\nid:1-2\ntransaction:t\n\n\0ACK\nid:1-3\ntransaction:t\n\n\0");
        let first = if mode == "client" {
            ["Standard 1:1-2 t1", "Standard 1:3-3 t1"]
        } else {
            ["Individual 1:2-2 t1", "Individual 1:3-3 t1"]
        };
        assert_eq!(acks(&mut bench), first);
        bench.say("ACK\nid:1-3\n\n\0");
        assert_eq!(bench.error(), "Unexpected ACK received for message-id [1-3]");
        bench.say("ABORT\ntransaction:t\n\n\0BEGIN\ntransaction:u\n\n\0ACK\nid:1-3\ntransaction:u\n\n\0COMMIT\ntransaction:u\n\n\0");
        let again = if mode == "client" { "Standard 1:1-3 t2" } else { "Individual 1:3-3 t2" };
        assert_eq!(acks(&mut bench), [again]);
        bench.say("ACK\nid:1-3\n\n\0");
        assert_eq!(bench.error(), "Unexpected ACK received for message-id [1-3]");
    }
    let mut bench = with_five(Version::V1_2, "client");
    bench.say("BEGIN\ntransaction:t\n\n\0NACK\nid:1-2\ntransaction:t\n\n\0");
    assert!(bench.error().starts_with("Poison ack cannot be transacted"));
    bench.say("NACK\nid:1-2\n\n\0");
    assert_eq!(acks(&mut bench), ["Poison 1:2-2"]);
}

/// A message with an id of another protocol is acknowledged by that.
#[test]
fn stomp_foreign_message_ids_are_acknowledged() {
    let mut bench = Bench::connected(Version::V1_1);
    bench.subscribe("id:s\ndestination:/queue/A\nack:client-individual\n");
    for n in 1..=2 {
        let mut message = text_message(n);
        message.id.text_view = Some(format!("foreign-{n}").into());
        bench.deliver(1, n as u64, message);
    }
    bench.text();
    bench.say("ACK\nsubscription:s\nmessage-id:foreign-2\n\n\0");
    match bench.command() {
        Command::Ack(Ack { kind: AckKind::Individual, first: 2, last: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
}

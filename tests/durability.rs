//! What was confirmed survives `kill -9`.

use crate::support::{Broker, run, text};

#[test]
fn confirmed_messages_survive_a_kill_in_order() {
    let broker = Broker::start();
    let mut client = broker.client();
    for number in 0..100 {
        client.publish("Q", &number.to_string());
    }
    client.subscribe("Q", "client-individual");
    for number in 0..10 {
        let message = client.frame();
        assert_eq!(message.body, number.to_string());
    }
    let broker = Broker::start_in(broker.kill(), "");
    let mut client = broker.client();
    client.subscribe("Q", "client-individual");
    for number in 0..100 {
        let message = client.frame();
        assert_eq!(message.body, number.to_string());
        assert!(number >= 10 || message.header("redelivered") == "true", "{number} was delivered before");
        client.ack(&message);
    }
    let broker = Broker::start_in(broker.kill(), "");
    let mut client = broker.client();
    client.publish("Q", "after");
    client.subscribe("Q", "client-individual");
    assert_eq!(client.frame().body, "after", "acknowledged messages do not come back");
}

#[test]
fn a_transaction_is_whole_after_a_kill() {
    let broker = Broker::start();
    let mut client = broker.client();
    for name in ["done", "undone"] {
        client.confirm(&format!("BEGIN\ntransaction:{name}\n"), "");
        for queue in ["A", "B"] {
            let frame = format!("SEND\ndestination:/queue/{queue}\npersistent:true\ntransaction:{name}\n");
            client.confirm(&frame, name);
        }
    }
    client.confirm("COMMIT\ntransaction:done\n", "");
    let broker = Broker::start_in(broker.kill(), "");
    for queue in ["A", "B"] {
        let mut client = broker.client();
        client.publish(queue, "last");
        client.subscribe(queue, "auto");
        assert_eq!((client.frame().body.as_str(), client.frame().body.as_str()), ("done", "last"));
    }
}

/// A client that sends without waiting and closes at once has sent: the end of its socket overtakes nothing.
#[test]
fn what_was_sent_before_the_close_counts() {
    let broker = Broker::start();
    for round in 0..20 {
        let mut sender = broker.client();
        let frames: String = (0..500).map(|n| format!("SEND\ndestination:/queue/LAST.{round}\n\n{n}\0")).collect();
        sender.send_bytes(frames.as_bytes()).expect("sent");
        sender.say_no_more();
        assert!(sender.is_closed());
        let mut receiver = broker.client();
        receiver.subscribe(&format!("LAST.{round}"), "auto");
        for number in 0..500 {
            assert_eq!(receiver.frame().body, number.to_string());
        }
    }
}

/// The campaign in its short form: kills under load, judged from outside.
#[test]
fn kills_under_load_lose_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let args = ["bench", "kill", "--program", crate::support::PROGRAM, "--data", "data", "--kills", "5", "--seed", "7"];
    let output = run(home.path(), &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

//! What a person does first.

use crate::support::{Broker, repository, run, text};

#[test]
fn the_first_message_arrives() {
    let broker = Broker::start();
    let url = format!("stomp://{}", broker.stomp);
    let home = broker.home.path();
    let sent = run(home, &["send", "queue://hello", "hi there", "--broker", &url]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let received = run(home, &["receive", "queue://hello", "--broker", &url]);
    assert_eq!(text(&received.stdout).trim_end(), "hi there", "{}", text(&received.stderr));
}

#[test]
fn nobody_there_is_said_plainly() {
    let home = tempfile::tempdir().expect("a folder");
    let sent = run(home.path(), &["send", "queue://hello", "hi", "--broker", "stomp://127.0.0.1:1"]);
    assert_eq!(sent.status.code(), Some(1));
    assert!(text(&sent.stderr).contains("jackfield serve"), "{}", text(&sent.stderr));
}

/// Every mistake is told at once, by key, value and remedy, before a port opens.
#[test]
fn five_mistakes_are_five_messages() {
    let home = tempfile::tempdir().expect("a folder");
    let file = "[broker]\nname = \"\"\nnmae = \"x\"\n[memory]\nlimit = \"lots\"\n[store]\nlimit = -5\n\
                [[connector]]\nuri = \"gopher://127.0.0.1:70\"\n[[destination]]\nqueue = \"A\"\ndispatch_policy = \"dice\"\n";
    std::fs::write(home.path().join("bad.toml"), file).expect("a file");
    for command in [&["config", "check", "--config", "bad.toml"][..], &["serve", "--config", "bad.toml"]] {
        let output = run(home.path(), command);
        let said = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "{said}");
        for word in ["nmae", "lots", "-5", "gopher", "dice"] {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    }
    assert!(!home.path().join("data").exists(), "nothing was touched");
}

#[test]
fn the_example_configuration_is_good() {
    let file = repository("examples/jackfield.toml");
    let output = run(&repository("."), &["config", "check", "--config", file.to_str().expect("a path")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// A second broker on a data directory that is not to wait says so and leaves with its own code, with the lock and without.
#[test]
fn a_data_directory_in_use_is_refused() {
    let broker = Broker::start();
    for (lock, told) in
        [("fail_if_locked = true", "is locked by another server"), ("enabled = false", "in use by another")]
    {
        std::fs::write(broker.home.path().join("second.toml"), format!("[lock]\n{lock}\n")).expect("a file");
        let second = run(broker.home.path(), &["serve", "--config", "second.toml", "--data", "data"]);
        assert_eq!(second.status.code(), Some(75), "{}", text(&second.stderr));
        assert!(text(&second.stderr).contains(told), "{}", text(&second.stderr));
    }
    broker.client().publish("Q", "still here");
}

/// Asked to stop, the broker says goodbye and leaves nothing undone.
#[test]
fn an_orderly_stop_is_clean() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.publish("Q", "kept");
    client.subscribe("Q", "client-individual");
    assert_eq!(client.frame().body, "kept");
    let (status, home) = broker.stop();
    assert_eq!(status.code(), Some(0));
    assert!(client.is_closed());
    let broker = Broker::start_in(home, "");
    let mut client = broker.client();
    client.subscribe("Q", "client-individual");
    let message = client.frame();
    assert_eq!((message.body.as_str(), message.header("redelivered")), ("kept", "true"));
}

#[test]
fn the_version_is_told() {
    let home = tempfile::tempdir().expect("a folder");
    let output = run(home.path(), &["--version"]);
    assert!(text(&output.stdout).starts_with("jackfield "), "{}", text(&output.stdout));
}

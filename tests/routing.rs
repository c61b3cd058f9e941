//! Publish routing on the real program: stock policies as components, from the configuration to the client's error.

use crate::support::{Broker, figure, run, text};

const CONFIG: &str = "\
[[routing]]
queue = \"ORDERS.>\"
policy = \"content-based\"
settings = { \"to EU\" = \"region = 'eu'\", \"reject no such region\" = \"region = 'moon'\" }
[[routing]]
queue = \"PAYMENTS\"
policy = \"wiretap\"
settings = { targets = \"AUDIT\" }
";

#[test]
fn messages_go_where_the_policy_says_and_survive_there() {
    let broker = Broker::start_with(CONFIG);
    let mut client = broker.client();
    let order = |region: &str| {
        format!("SEND\ndestination:/queue/ORDERS.NEW\nregion:{region}\npersistent:true\nreceipt:r\n\n{region}")
    };
    for region in ["eu", "us"] {
        client.send(&order(region));
        client.expect_receipt("r");
    }
    client.send("SEND\ndestination:/queue/PAYMENTS\npersistent:true\nreceipt:r\n\npaid");
    client.expect_receipt("r");
    client.send(&order("moon"));
    let refused = client.frame();
    assert_eq!(refused.command, "ERROR");
    let said = format!("{} {}", refused.header("message"), refused.body);
    assert!(said.contains("rejected by routing policy content-based: no such region"), "{said}");

    let report = broker.report();
    let line = report.iter().find(|line| line.starts_with("routing") && line.contains("ORDERS")).expect("told");
    assert_eq!((figure(line, "replaced"), figure(line, "as_addressed"), figure(line, "rejected")), (1, 1, 1), "{line}");

    let home = broker.kill();
    let broker = Broker::start_in(home, CONFIG);
    for (queue, body) in [("EU", "eu"), ("ORDERS.NEW", "us"), ("PAYMENTS", "paid"), ("AUDIT", "paid")] {
        let mut client = broker.client();
        client.subscribe(queue, "auto");
        assert_eq!(client.frame().body, body, "{queue}");
    }
}

/// Before a port opens.
#[test]
fn a_binding_that_cannot_be_is_told_at_the_start() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("text.wasm"), "no component").expect("a file");
    let stock = "[[routing]]\nqueue = \"A\"\npolicy = \"sampling\"\nsettings = { every = \"0\" }\n";
    let custom =
        "[[policy.component]]\nname = \"mine\"\nfile = \"text.wasm\"\n[[routing]]\nqueue = \"A\"\npolicy = \"mine\"\n";
    for (file, word) in [(stock, "every = 0"), (custom, "text.wasm")] {
        std::fs::write(home.path().join("bad.toml"), file).expect("a file");
        let output = run(home.path(), &["serve", "--config", "bad.toml"]);
        assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
}

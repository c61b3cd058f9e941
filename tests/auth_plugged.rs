//! Auth policies deployed, exchanged and taken back on the running program by `jackfield plugin`, while connections go on and
//! what they may do is remembered; over failures, kills and restarts, and closed in all of them.

use std::path::Path;

use crate::admin::{metrics, series};
use crate::auth::always;
use crate::auth_guest::{ADMIT, AuthGuest, LOGINS, MESSAGES, PASSWORDS, RIGHTS, once};
use crate::openwire::{OpenWire, queue};
use crate::plugins::{json, plugin, refused};
use crate::support::{Broker, Stomp, repository, run, text, until};

/// "ann" may do everything as long as the broker's own policies decide alone.
const CONFIG: &str = "[security]
users = [{ name = \"ann\", password = \"secret\", groups = [\"all\"] }]
[[security.authorization]]
default = true
read = [\"all\"]
write = [\"all\"]
admin = [\"all\"]
";

const HOUR_MS: u32 = 3_600_000;
const DENY: u8 = 1;
const ALLOW: u8 = 2;

fn write(home: &Path, name: &str, guest: &AuthGuest<'_>) {
    std::fs::write(home.join(name), guest.component()).expect("a file");
}

/// A component that has this opinion of every wish, for an hour.
fn opinion(home: &Path, name: &str, opinion: u8) {
    let authorize = always(opinion, HOUR_MS);
    write(home, name, &AuthGuest { wants: &[RIGHTS], authorize: &authorize, ..AuthGuest::default() });
}

const SEND: &str = "SEND\ndestination:/queue/Q\n";
const NOT_ALLOWED: &str = "User ann is not authorized to write to: queue://Q";
const NOT_DECIDED: &str = "whether user ann may use queue://Q cannot be decided now; try again later";

/// What comes of a send on each of the two connections; empty if it is taken.
fn sends(stomp: &mut Stomp, openwire: &mut OpenWire) -> [String; 2] {
    let message = openwire.sent_to(queue("Q"));
    let refusal = openwire.ask(message).err().unwrap_or_default();
    let prefix = "java.lang.SecurityException: ";
    [stomp.attempt(SEND).err().unwrap_or_default(), refusal.strip_prefix(prefix).unwrap_or(&refusal).to_owned()]
}

fn active(home: &Path) -> serde_json::Value {
    json(home, &["list"])["plugins"][0]["active"].clone()
}

/// The auth policies that are asked, in their order, each with its place.
fn order(home: &Path) -> Vec<String> {
    let listed = json(home, &["list"]);
    let bindings = listed["bindings"].as_array().cloned().unwrap_or_default();
    let theirs = bindings.iter().filter(|one| one["point"] == "auth");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    theirs.map(|one| format!("{} {}", text(&one["pattern"]), text(&one["policy"]))).collect()
}

/// A right that was given for an hour, and is remembered by connections on both protocols, ends the moment that another
/// generation decides; a kill finds the one that was confirmed last.
#[test]
fn a_right_ends_when_another_generation_decides() {
    let broker = Broker::start_with(CONFIG);
    let home = broker.home.path().to_owned();
    opinion(&home, "allows.wasm", ALLOW);
    opinion(&home, "denies.wasm", DENY);
    let (mut stomp, mut openwire) =
        (Stomp::as_user(&broker, "ann", "secret"), OpenWire::as_user(&broker, "ann", "secret"));
    assert_eq!(plugin(&home, &["deploy", "rights", "denies.wasm"]), "generation 1 of rights decides\n");
    assert_eq!(sends(&mut stomp, &mut openwire), ["", ""], "it is bound nowhere");
    let bound = plugin(&home, &["bind", "rights", "before.1", "--point", "auth"]);
    assert_eq!(bound, "rights is bound to before.1 for auth\n");
    assert_eq!(order(&home), ["before.1 rights", "security.policies native"]);
    let mut rounds = 0;
    let mut expect = |what: &str| {
        // Twice: the second comes from memory.
        for _ in 0..2 {
            assert_eq!(sends(&mut stomp, &mut openwire), [what, what], "round {rounds}");
        }
        rounds += 1;
    };
    expect(NOT_ALLOWED);
    for _ in 0..5 {
        plugin(&home, &["deploy", "rights", "allows.wasm"]);
        expect("");
        plugin(&home, &["deploy", "rights", "denies.wasm"]);
        expect(NOT_ALLOWED);
    }
    assert_eq!(plugin(&home, &["rollback", "rights"]), "generation 10 of rights decides again\n");
    expect("");
    plugin(&home, &["promote", "rights", "--generation", "11"]);
    expect(NOT_ALLOWED);
    plugin(&home, &["configure", "rights", "--set", "any=thing"]);
    expect(NOT_ALLOWED);
    assert_eq!(active(&home), 12);
    let figures = metrics(&broker);
    let place = "{policy=\"rights\",place=\"rights\"}";
    assert_eq!(series(&figures, &format!("jackfield_auth_policy_generation{place}")), 12.0);
    assert!(series(&figures, "jackfield_policy_swaps_total{policy=\"rights\",point=\"auth\"}") >= 13.0, "{figures}");

    let broker = Broker::start_in(broker.kill(), CONFIG);
    let home = broker.home.path().to_owned();
    assert_eq!(
        (active(&home), order(&home)),
        (12.into(), vec!["before.1 rights".to_owned(), "security.policies native".into()])
    );
    let settings = json(&home, &["list"])["plugins"][0]["generations"].as_array().and_then(|all| all.last().cloned());
    assert_eq!(settings.expect("a generation")["settings"], serde_json::json!([["any", "thing"]]));
    let (mut stomp, mut openwire) =
        (Stomp::as_user(&broker, "ann", "secret"), OpenWire::as_user(&broker, "ann", "secret"));
    assert_eq!(sends(&mut stomp, &mut openwire), [NOT_ALLOWED, NOT_ALLOWED]);
    assert!(refused(&home, &["remove", "rights"]).contains("is bound to before.1 for auth; unbind it first"));
    plugin(&home, &["unbind", "before.1", "--point", "auth"]);
    assert_eq!(sends(&mut stomp, &mut openwire), ["", ""], "the broker's own decide again");
    plugin(&home, &["remove", "rights"]);
    assert_eq!(order(&home), ["security.policies native"]);
    let (status, _home) = broker.stop();
    assert!(status.success());
}

/// A consumer with wildcards stays, and from the next message on it gets what the new generation lets it read.
#[test]
fn what_a_wildcard_reads_ends_when_another_generation_decides() {
    let broker = Broker::start_with(CONFIG);
    let home = broker.home.path().to_owned();
    opinion(&home, "allows.wasm", ALLOW);
    // Everything but reading, by the first byte of the first request.
    let authorize = format!(
        "(i32.store8 (i32.const 256) (select (i32.const {ALLOW}) (i32.const {DENY}) (i32.load8_u (local.get 5))))
         (i32.store (i32.const 260) (i32.const {HOUR_MS})) (call $answer (i32.const 1))"
    );
    write(&home, "blinds.wasm", &AuthGuest { wants: &[RIGHTS], authorize: &authorize, ..AuthGuest::default() });
    plugin(&home, &["deploy", "rights", "allows.wasm"]);
    plugin(&home, &["bind", "rights", "behind.9", "--point", "auth"]);
    assert_eq!(order(&home), ["security.policies native", "behind.9 rights"]);
    let mut reader = Stomp::as_user(&broker, "ann", "secret");
    reader.confirm("SUBSCRIBE\nid:1\ndestination:/topic/T.>\nack:auto\n", "");
    let mut writer = Stomp::as_user(&broker, "ann", "secret");
    let mut send = |body: &str| writer.confirm("SEND\ndestination:/topic/T.a\n", body);
    // Behind the map, which has an opinion on everything, nobody asks it.
    plugin(&home, &["deploy", "rights", "blinds.wasm"]);
    send("1");
    plugin(&home, &["unbind", "behind.9", "--point", "auth"]);
    plugin(&home, &["bind", "rights", "before.9", "--point", "auth"]);
    send("unread");
    plugin(&home, &["rollback", "rights"]);
    send("2");
    assert_eq!([reader.frame().body, reader.frame().body], ["1", "2"]);
}

/// What fails is refused while it fails, and the generation before decides from the next question on. One that two of three
/// instances would take decides for none.
#[test]
fn a_generation_that_fails_is_taken_back_and_opens_nothing() {
    let broker = Broker::start_with(&format!("{CONFIG}[plugins]\nprobation_ms = 600000\n"));
    let home = broker.home.path().to_owned();
    // Puts a mark where the next generation's instances find it, one for each question.
    let mark = "(call $put (i32.const 1024) (i32.const 5) (i32.const 1024) (i32.const 5) (i32.const 640))";
    let authorize = format!("{mark} {}", always(DENY, HOUR_MS));
    write(&home, "denies.wasm", &AuthGuest { wants: &[RIGHTS], authorize: &authorize, ..AuthGuest::default() });
    let traps = AuthGuest { wants: &[LOGINS, RIGHTS], authorize: "(unreachable)", ..AuthGuest::default() };
    write(&home, "traps.wasm", &traps);
    let configure = once("(i32.const 64)");
    let cannot = AuthGuest { wants: &[LOGINS, RIGHTS], configure: &configure, ..AuthGuest::default() };
    write(&home, "cannot.wasm", &cannot);
    write(&home, "never.wasm", &AuthGuest { configure: "(unreachable)", ..AuthGuest::default() });
    write(&home, "nothing.wasm", &AuthGuest { wants: &[], ..AuthGuest::default() });

    plugin(&home, &["deploy", "rights", "denies.wasm"]);
    plugin(&home, &["bind", "rights", "before.1", "--point", "auth"]);
    let (mut stomp, mut openwire) =
        (Stomp::as_user(&broker, "ann", "secret"), OpenWire::as_user(&broker, "ann", "secret"));
    assert_eq!(sends(&mut stomp, &mut openwire), [NOT_ALLOWED, NOT_ALLOWED]);
    plugin(&home, &["deploy", "rights", "traps.wasm"]);
    let comes_in = |user: &str| Stomp::log_in(&broker, &format!("login:{user}\n")).1.command == "CONNECTED";
    assert!(comes_in("stranger"), "generation 2 has a say in logins");
    let [first, second] = sends(&mut stomp, &mut openwire);
    assert!(first == NOT_ALLOWED && second == NOT_DECIDED, "OpenWire asks first: {first} {second}");
    assert!(!comes_in("stranger"), "generation 1 has none");
    assert_eq!(sends(&mut stomp, &mut openwire), [NOT_ALLOWED, NOT_ALLOWED]);
    until("the way back", || active(&home) == 1);
    let history = plugin(&home, &["history", "rights"]);
    assert!(history.contains("taken back") && history.contains("on rights: it trapped, fault 1"), "{history}");

    let said = refused(&home, &["deploy", "rights", "cannot.wasm"]);
    assert!(said.contains("generation 3 of rights did not take over, and is taken back"), "{said}");
    assert!(!comes_in("stranger"), "not for one question either");
    assert_eq!(sends(&mut stomp, &mut openwire), [NOT_ALLOWED, NOT_ALLOWED]);
    until("the way back", || active(&home) == 1);
    for (file, words) in [("never.wasm", "configure failed"), ("nothing.wasm", "it asks for nothing")] {
        let said = refused(&home, &["deploy", "rights", file]);
        assert!(said.contains(words), "{said}");
        assert_eq!(
            (active(&home), sends(&mut stomp, &mut openwire)),
            (1.into(), [NOT_ALLOWED, NOT_ALLOWED].map(String::from))
        );
    }
    // Without a generation before, it refuses for good, until somebody unbinds it.
    plugin(&home, &["unbind", "before.1", "--point", "auth"]);
    plugin(&home, &["deploy", "only", "traps.wasm"]);
    plugin(&home, &["bind", "only", "before.1", "--point", "auth"]);
    assert_eq!(sends(&mut stomp, &mut openwire), [NOT_DECIDED, NOT_DECIDED]);
    plugin(&home, &["unbind", "before.1", "--point", "auth"]);
    assert_eq!(sends(&mut stomp, &mut openwire), ["", ""]);
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// A way back to what cannot be had any more is refused, and changes nothing: who decides is who is named, also after a restart.
#[test]
fn a_rollback_to_what_cannot_be_had_changes_nothing() {
    let broker = Broker::start_with(CONFIG);
    let home = broker.home.path().to_owned();
    let (configure, authorize) = (once("(i32.const 64)"), always(DENY, HOUR_MS));
    let was = AuthGuest { wants: &[RIGHTS], configure: &configure, authorize: &authorize, ..AuthGuest::default() };
    write(&home, "was.wasm", &was);
    opinion(&home, "allows.wasm", ALLOW);
    plugin(&home, &["deploy", "rights", "was.wasm"]);
    plugin(&home, &["bind", "rights", "before.1", "--point", "auth"]);
    let (mut stomp, mut openwire) =
        (Stomp::as_user(&broker, "ann", "secret"), OpenWire::as_user(&broker, "ann", "secret"));
    assert_eq!(sends(&mut stomp, &mut openwire), [NOT_ALLOWED, NOT_ALLOWED]);
    plugin(&home, &["deploy", "rights", "allows.wasm"]);
    plugin(&home, &["deploy", "rights", "allows.wasm", "--set", "any=thing"]);
    assert_eq!(sends(&mut stomp, &mut openwire), ["", ""]);
    let named = || {
        let listed = json(&home, &["list"])["plugins"][0].clone();
        (listed["active"].clone(), listed["previous"].clone())
    };
    for _ in 0..2 {
        let said = refused(&home, &["rollback", "rights", "--generation", "1"]);
        let expected =
            "generation 1 of rights does not take over, and the one before goes on: on rights: no instance can be";
        assert!(said.contains(expected), "{said}");
        assert_eq!(sends(&mut stomp, &mut openwire), ["", ""]);
        assert_eq!(named(), (3.into(), 2.into()));
    }
    assert_eq!(plugin(&home, &["rollback", "rights"]), "generation 2 of rights decides again\n");
    assert_eq!(sends(&mut stomp, &mut openwire), ["", ""]);
    assert!(!broker.log().contains("is torn"), "{}", broker.log());
    let broker = Broker::start_in(broker.kill(), CONFIG);
    assert_eq!(active(broker.home.path()), 2);
}

/// Logins and messages likewise: a login that was to be remembered for an hour is asked about again, and messages of a
/// connection that was there before are looked at.
#[test]
fn logins_and_messages_are_for_the_generation_that_decides() {
    let broker = Broker::start_with(CONFIG);
    let home = broker.home.path().to_owned();
    let admit = format!("(i32.store (i32.const 280) (i32.const {HOUR_MS})) {ADMIT}");
    write(&home, "admits.wasm", &AuthGuest { wants: &[LOGINS], authenticate: &admit, ..AuthGuest::default() });
    // No opinion on a login, no judgement in favour of a message.
    let (authenticate, check_messages) = ("(i32.const 64)", "(call $answer (i32.const 1))");
    let looks = AuthGuest { wants: &[LOGINS, MESSAGES], authenticate, check_messages, ..AuthGuest::default() };
    write(&home, "looks.wasm", &looks);
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    assert_eq!(ann.attempt(SEND), Ok(()));
    let comes_in = || Stomp::log_in(&broker, "login:stranger\n").1.command == "CONNECTED";
    assert!(!comes_in());
    plugin(&home, &["deploy", "door", "admits.wasm"]);
    plugin(&home, &["bind", "door", "before.1", "--point", "auth"]);
    assert!(comes_in() && comes_in());
    assert_eq!(ann.attempt(SEND), Ok(()));
    plugin(&home, &["deploy", "door", "looks.wasm"]);
    assert!(!comes_in());
    let said = ann.attempt(SEND).expect_err("nothing pleases it");
    assert!(said.starts_with("User ann is not authorized to send this message to: queue://Q"), "{said}");
    plugin(&home, &["rollback", "door"]);
    assert!(comes_in());
    assert_eq!(ann.attempt(SEND), Ok(()));
}

/// What the configuration names is its own to change, what sees passwords needs a grant, and where nobody logs in nobody is
/// asked; each is said with what to do.
#[test]
fn what_cannot_be_changed_here_is_told() {
    let home = tempfile::tempdir().expect("a folder");
    write(home.path(), "guard.wasm", &AuthGuest { wants: &[MESSAGES], ..AuthGuest::default() });
    let component = "[[policy.component]]\nname = \"guard\"\nfile = \"guard.wasm\"\n";
    let broker = Broker::start_in(
        home,
        &format!("{component}{}", CONFIG.replace("[security]\n", "[security]\npolicies = [\"native\", \"guard\"]\n")),
    );
    let home = broker.home.path().to_owned();
    write(&home, "sees.wasm", &AuthGuest { wants: &[LOGINS, PASSWORDS], ..AuthGuest::default() });
    opinion(&home, "allows.wasm", ALLOW);
    plugin(&home, &["deploy", "rights", "allows.wasm"]);
    let stock = repository("plugins/built/round-robin.wasm").to_str().expect("a path in letters").to_owned();
    plugin(&home, &["deploy", "queues", &stock]);
    let auth = ["--point", "auth"];
    for (args, words) in [
        (
            vec!["remove", "guard"],
            "named in security.policies of jackfield.toml: no command removes it; change it there",
        ),
        (vec!["remove", "native"], "named in security.policies of jackfield.toml: no command removes it"),
        (
            vec!["rollback", "guard"],
            "comes from [[policy.component]] of jackfield.toml, and is changed and removed there",
        ),
        (
            vec!["unbind", "guard", auth[0], auth[1]],
            "no command unbinds it; change it there and start the broker again",
        ),
        (vec!["bind", "guard", "before.1", auth[0], auth[1]], "it is asked already"),
        (vec!["bind", "rights", "ORDERS", auth[0], auth[1]], "before.1 to before.9 and behind.1 to behind.9"),
        (vec!["bind", "queues", "before.1", auth[0], auth[1]], "decides nothing for auth"),
        (vec!["bind", "rights", "ORDERS"], "decides nothing for queue-dispatch"),
        (vec!["bind", "absent", "before.1", auth[0], auth[1]], "plug-in absent does not exist"),
        (vec!["unbind", "before.1", auth[0], auth[1]], "nothing is bound to before.1 for auth"),
        (
            vec!["deploy", "sees", "sees.wasm"],
            "it asks for passwords, which were not granted; deploy it with --grant passwords",
        ),
        (
            vec!["deploy", "sees", "sees.wasm", "--grant", "everything"],
            "grant everything is unknown; there is passwords",
        ),
        (vec!["deploy", "native", "allows.wasm"], "choose another name"),
        (vec!["deploy", "guard", "allows.wasm"], "comes from [[policy.component]] of jackfield.toml already"),
        (vec!["deploy", "rights", "allows.wasm", "--shadow"], "cannot look on"),
    ] {
        let said = refused(&home, &args);
        assert!(said.contains(words), "{args:?}: {said}");
    }
    assert_eq!(order(&home), ["security.policies native", "security.policies guard"]);
    plugin(&home, &["deploy", "sees", "sees.wasm", "--grant", "passwords"]);
    let grants = json(&home, &["list"])["plugins"][2]["generations"][0]["grants"].clone();
    assert!(grants.as_array().is_some_and(|grants| grants.contains(&"passwords".into())), "{grants}");
    plugin(&home, &["bind", "sees", "before.1", "--point", "auth"]);
    assert_eq!(
        plugin(&home, &["configure", "sees", "--set", "a=b"]),
        "generation 2 of sees decides\n",
        "it keeps its grant"
    );

    let broker = Broker::start();
    let home = broker.home.path();
    opinion(home, "allows.wasm", ALLOW);
    plugin(home, &["deploy", "rights", "allows.wasm"]);
    let said = refused(home, &["bind", "rights", "before.1", "--point", "auth"]);
    assert!(
        said.contains("nobody has to log in at this broker") && said.contains("[security] of jackfield.toml"),
        "{said}"
    );
}

/// A policy that is bound and cannot be had after a restart lets nobody in and nothing be done, and its operator in; without
/// anybody to log in the broker does not start.
#[test]
fn what_is_bound_and_gone_refuses_everybody() {
    let home = tempfile::tempdir().expect("a folder");
    opinion(home.path(), "guard.wasm", ALLOW);
    let component = "[[policy.component]]\nname = \"guard\"\nfile = \"guard.wasm\"\n";
    let broker = Broker::start_in(home, &format!("{component}{CONFIG}"));
    plugin(broker.home.path(), &["bind", "guard", "before.1", "--point", "auth"]);
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    assert_eq!(ann.attempt(SEND), Ok(()));
    let (status, home) = broker.stop();
    assert!(status.success());

    let broker = Broker::start_in(home, CONFIG);
    let (_, answer) = Stomp::log_in(&broker, "login:ann\npasscode:secret\n");
    assert!(answer.header("message").contains("cannot be checked at present"), "{answer:?}");
    let log = broker.log();
    assert!(
        log.contains("before.1 is bound to guard for auth, which does not exist; everybody is refused until it does"),
        "{log}"
    );
    let (_, home) = broker.stop();

    std::fs::write(home.path().join("jackfield.toml"), "[[connector]]\nuri = \"tcp://127.0.0.1:0\"\n").expect("a file");
    let output = run(home.path(), &["serve", "--data", "data"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("auth policy guard is bound to before.1, but nobody has to log in"),
        "{}",
        text(&output.stderr)
    );

    let broker = Broker::start_in(home, CONFIG);
    plugin(broker.home.path(), &["unbind", "before.1", "--point", "auth"]);
    let mut ann = Stomp::as_user(&broker, "ann", "secret");
    assert_eq!(ann.attempt(SEND), Ok(()));
}

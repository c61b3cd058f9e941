//! The contract as authors hold their policies to it.

use plugin::Point;
use plugin_wasmtime::kit::{Outcome, contract};
use plugin_wasmtime::{CachePlace, Limits, stock, stock_of};

use crate::auth_guest::{AuthGuest, LOGINS, PASSWORDS, RIGHTS};
use crate::{auth_guest, guest, world_guest};

/// What is broken of a component, as checks and sentences.
fn broken(bytes: &[u8]) -> Vec<(String, String)> {
    let findings = contract(bytes, &[], &Limits::default(), None).expect("the engine starts");
    let broken = findings.into_iter().filter_map(|finding| match finding.outcome {
        Outcome::Broken(what) => Some((finding.check.into_owned(), what)),
        _ => None,
    });
    broken.collect()
}

/// A place where each component is compiled once, however often it is run.
fn cache() -> (tempfile::TempDir, CachePlace) {
    let home = tempfile::tempdir().expect("a folder");
    let place = CachePlace { folder: home.path().to_owned(), bytes_max: 1 << 30 };
    (home, place)
}

#[test]
fn stock_policies_keep_the_contract() {
    let (_home, cache) = cache();
    for stock in stock() {
        let findings = contract(stock.bytes, &[], &Limits::default(), Some(&cache)).expect("the engine starts");
        assert_eq!(findings.len(), 7, "{}", stock.name);
        for finding in findings {
            assert!(matches!(finding.outcome, Outcome::Kept(_)), "{}: {finding:?}", stock.name);
        }
    }
}

/// Keys with their values.
type Settings = &'static [(&'static str, &'static str)];

/// Settings of stock policies, so that each has something to decide.
const SETTINGS: &[(Point, &str, Settings)] = &[
    (Point::PublishRouting, "content-based", &[("to queue://EU, topic://SEEN", "region = 'eu' AND weight > 5")]),
    (Point::PublishRouting, "header-table", &[("property", "region"), ("=eu", "EU"), ("otherwise", "REST")]),
    (Point::PublishRouting, "partition-by-key", &[("partitions", "7"), ("prefix", "topic://P.")]),
    (Point::PublishRouting, "sampling", &[("every", "3"), ("targets", "S,T")]),
    (Point::PublishRouting, "wiretap", &[("targets", "A")]),
    (Point::NetworkFilter, "data-residency", &[("property", "region"), ("allow", "eu,none,3")]),
    (Point::NetworkFilter, "header-redaction", &[("remove", "region,flag"), ("strip-group", "true")]),
    (Point::NetworkFilter, "include-exclude", &[("include", "queue://A.>,topic://*"), ("exclude", "queue://A.B")]),
    (Point::NetworkFilter, "rate-limit", &[("per-second", "40"), ("burst", "9")]),
    (
        Point::Auth,
        "auth-table",
        &[
            ("user ann", "desk"),
            ("key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "machine desk"),
            ("role desk", "read ORDERS.>, write ORDERS.IN"),
            ("tenant", "region"),
        ],
    ),
];

#[test]
fn stock_policies_of_the_other_worlds_keep_the_contract() {
    let points = [Point::TopicDispatch, Point::GroupAssignment, Point::PublishRouting, Point::NetworkFilter];
    let stock =
        points.into_iter().flat_map(|point| stock_of(point).iter().map(move |stock| (point, stock.name, stock.bytes)));
    let table = include_bytes!("../../../plugins/built/auth-table.wasm").as_slice();
    let (_home, cache) = cache();
    for (point, name, bytes) in stock.chain([(Point::Auth, "auth-table", table)]) {
        let of = |entry: &&(Point, &str, Settings)| (entry.0, entry.1) == (point, name);
        let settings = SETTINGS.iter().find(of).map_or(&[][..], |(_, _, settings)| settings);
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        for settings in [Vec::new(), settings] {
            let findings = contract(bytes, &settings, &Limits::default(), Some(&cache)).expect("the engine starts");
            assert_eq!(findings.len(), if point == Point::Auth { 9 } else { 7 }, "{name}: {findings:?}");
            for finding in findings {
                let is_kept = match &finding.outcome {
                    Outcome::Kept(_) => true,
                    // What these remember they keep nowhere; and a table without keys sees no passwords.
                    Outcome::NotAsked(why) if why.contains("keeps no state") => {
                        point == Point::GroupAssignment || name == "rate-limit"
                    }
                    Outcome::NotAsked(why) => point == Point::Auth && why == "it sees none",
                    Outcome::Broken(_) => false,
                };
                assert!(is_kept, "{name} {settings:?}: {finding:?}");
            }
        }
    }
}

/// One of each world that is wrong, and what is told of it.
#[test]
fn wrong_answers_of_the_other_worlds_are_told() {
    for (world, bytes, what) in world_guest::wrong() {
        let broken = broken(&bytes);
        assert!(broken.iter().any(|(_, text)| text.contains(what)), "{world}: {broken:?}");
    }
}

/// What an auth policy ought not to say or keep.
#[test]
fn auth_policies_that_make_no_sense_or_tell_passwords_are_told() {
    let for_ever = "(i32.store8 (i32.const 256) (i32.const 3))
        (i32.store (i32.const 264) (i32.const 1024)) (i32.store (i32.const 268) (i32.const 5))
        (i32.store (i32.const 280) (i32.const -1)) (i32.const 256)";
    let ended = "(i32.store8 (i32.const 256) (i32.const 3))
        (i32.store (i32.const 264) (i32.const 1024)) (i32.store (i32.const 268) (i32.const 5))
        (i64.store (i32.const 288) (i64.const 1)) (i64.store (i32.const 296) (i64.const 1000)) (i32.const 256)";
    let nobody = "(i32.store8 (i32.const 256) (i32.const 3)) (i32.const 256)";
    // At 20 of the question is whether there is a password, behind that where it is and how long.
    let says = "(i32.store8 (i32.const 256) (i32.load8_u offset=20 (local.get $asked)))
        (i32.store (i32.const 264) (i32.load offset=24 (local.get $asked)))
        (i32.store (i32.const 268) (i32.load offset=28 (local.get $asked))) (i32.const 256)";
    let logs = "(if (i32.load8_u offset=20 (local.get $asked)) (then (call $log (i32.const 1)
        (i32.load offset=24 (local.get $asked)) (i32.load offset=28 (local.get $asked))))) (i32.const 64)";
    let keeps = "(if (i32.load8_u offset=20 (local.get $asked)) (then (call $put (i32.const 1024) (i32.const 5)
        (i32.load offset=24 (local.get $asked)) (i32.load offset=28 (local.get $asked)) (i32.const 640)))) (i32.const 64)";
    let allow = world_guest::each("(local.get 6)", 8, 2, 0) + &world_guest::each("(local.get 6)", 8, -1, 4);
    let allow = allow + "(call $answer (local.get 6))";
    let login = |authenticate| AuthGuest { wants: &[LOGINS, PASSWORDS], authenticate, ..AuthGuest::default() };
    let cases = [
        (login(for_ever), "has a login that is remembered for 4294967295 ms"),
        (login(ended), "lets in a login that ended before, at 1000"),
        (login(nobody), "it admits: a name is empty"),
        (login(says), "the reason of a refusal has one"),
        (login(logs), "a log line has one"),
        (login(keeps), "the state-store has one"),
        (
            AuthGuest { wants: &[RIGHTS], authorize: &allow, ..AuthGuest::default() },
            "has a right that is remembered for",
        ),
        (AuthGuest { wants: &[], ..AuthGuest::default() }, "it asks for nothing"),
    ];
    for (guest, what) in cases {
        let broken = broken(&guest.component());
        assert!(broken.iter().any(|(_, text)| text.contains(what)), "{what}: {broken:?}");
    }
    // Somebody lets everybody in: no breach, and told.
    let open =
        contract(&login(auth_guest::ADMIT).component(), &[], &Limits::default(), None).expect("the engine starts");
    assert!(
        open.iter()
            .any(|finding| matches!(&finding.outcome, Outcome::NotAsked(what) if what.contains("is that meant?"))),
        "{open:?}"
    );
}

/// What breaks the contract is told by the check that found it, and what it is.
#[test]
fn what_breaks_the_contract_is_told() {
    let leave = "(call $answer (i32.load offset=12 (local.get $question)))";
    let all_left = "(memory.fill (i32.const 256) (i32.const 255) (i32.const 7936))";
    let cases = [
        ("no component", b"nonsense".to_vec(), "a broker takes it with these settings", "not a WebAssembly component"),
        ("a trap", guest::component("(unreachable)"), "each row has an answer", "Trap"),
        ("another length", guest::component("(call $answer (i32.const 3))"), "each row has an answer", "WrongLength"),
        ("nothing given", guest::component(&format!("{all_left} {leave}")), "is given something", "stands still"),
    ];
    for (case, bytes, check, what) in cases {
        let broken = broken(&bytes);
        let told = broken.iter().find(|(name, _)| name.contains(check));
        assert!(told.is_some_and(|(_, text)| text.contains(what)), "{case}: {broken:?}");
    }
    // The guests of these tests agree to any setting.
    let careless = broken(&guest::component(&format!("{all_left} {leave}")));
    assert!(careless.iter().any(|(check, _)| check.contains("refuses settings")), "{careless:?}");
}

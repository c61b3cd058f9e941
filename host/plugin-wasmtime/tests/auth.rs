//! The auth world: components that mean ill or are broken let nobody in, and the table of `plugins/auth-table`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin::auth::{Action, Admission, Answer, AuthPolicy, Kind, Login, Opinion, Password, Principal, Proofs, Request};
use plugin::{Columns, Messages, PolicyState, Scalar};
use plugin_wasmtime::{Limits, WasmHost};

use crate::auth_guest::{ADMIT, AuthGuest, LOGINS, MESSAGES, PASSWORDS, RIGHTS, once};

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";
const TRAP: &str = "(unreachable)";

fn host_with(component: Vec<u8>, settings: &[(&str, &str)]) -> WasmHost {
    let limits = Limits { backoff_min: Duration::from_millis(20), ..Limits::default() };
    host_within(limits, component, settings)
}

fn host_within(limits: Limits, component: Vec<u8>, settings: &[(&str, &str)]) -> WasmHost {
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let host = WasmHost::new(limits).expect("the engine starts");
    host.add("guest", component, &settings).expect("the component is accepted");
    host
}

fn policy(host: &WasmHost) -> Arc<dyn AuthPolicy> {
    host.auth("guest", true).unwrap_or_else(|error| panic!("{error}"))
}

/// Messages of so many bytes with such a tenant.
struct Rows<'a>(&'a [(i64, &'static str)]);

impl Messages for Rows<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn number(&self, row: usize, column: Columns) -> i64 {
        if column == Columns::SIZE { self.0[row].0 } else { 0 }
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        match (name, self.0[row].1) {
            ("tenant", tenant) if !tenant.is_empty() => Scalar::Text(tenant.into()),
            _ => Scalar::Absent,
        }
    }
}

/// What comes of the three questions, each as words.
fn all(policy: &dyn AuthPolicy) -> [Result<String, String>; 3] {
    let login = policy.authenticate(&Login::default(), 0).map(|admission| format!("{admission:?}"));
    let mut answers = Vec::new();
    let request = Request { action: Action::Write, kind: Kind::Queue, name: "A" };
    let right = policy
        .authorize(&Principal::default(), &[request], 0, &mut answers)
        .map(|()| format!("{:?}", answers.iter().map(|answer| answer.opinion).collect::<Vec<_>>()));
    let mut judgements = Vec::new();
    let message = policy
        .check_messages(&Principal::default(), &Rows(&[(1, "")]), 0, &mut judgements)
        .map(|()| format!("{judgements:?}"));
    [login, right, message].map(|outcome| outcome.map_err(|down| down.reason))
}

/// A component that does as it is told, so that the others are known to fail for their own reasons; and one that has
/// written nothing says nothing in anybody's favour.
#[test]
fn an_answer_is_what_was_written_and_zeros_open_nothing() {
    let host = host_with(AuthGuest::default().component(), &[]);
    let [login, right, message] = all(&*policy(&host));
    assert!(login.expect("it admits").contains(r#"name: "guest", groups: []"#));
    assert_eq!((right.as_deref(), message.as_deref()), (Ok("[Allow]"), Ok("[None]")));
    let (list, zeros) = ("(call $answer (i32.const 1))", "(i32.const 256)");
    let guest = AuthGuest { authenticate: zeros, authorize: list, check_messages: list, ..AuthGuest::default() };
    let host = host_with(guest.component(), &[]);
    let [login, right, message] = all(&*policy(&host));
    assert_eq!(login.as_deref(), Ok("NoOpinion"));
    assert_eq!((right.as_deref(), message.as_deref()), (Ok("[NoOpinion]"), Ok("[Some(\"\")]")));
}

/// Each of the three fails closed, within its deadline, and takes neither of the others along.
#[test]
fn whatever_fails_opens_nothing_and_holds_nobody_up() {
    let grow = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)";
    let flood = "(loop $again (call $log (i32.const 0) (i32.const 1024) (i32.const 5)) (br $again)) (unreachable)";
    let nonsense = "(i32.store8 (i32.const 256) (i32.const 77)) (i32.const 256)";
    let nonsense_list = "(i32.store8 (i32.const 256) (i32.const 77)) (call $answer (i32.const 1))";
    let nobody = "(i32.store8 (i32.const 256) (i32.const 3)) (i32.const 256)";
    let groups =
        format!("(i32.store (i32.const 272) (i32.const 4096)) (i32.store (i32.const 276) (i32.const 2000)) {ADMIT}");
    let recursion = "(call $answer (call $answer (i32.const 1000000000)))";
    let (trapped, late) = ("it trapped, or its answer made no sense", "it overran its deadline");
    let count = "it gave another number of answers than there were questions";
    let ones = [(TRAP, trapped), (FOREVER, late), (grow, late), (flood, late), (nonsense, trapped), (nobody, trapped)];
    let logins = ones.into_iter().chain([(&*groups, trapped), ("(i32.const -4)", trapped)]);
    let lists = [
        (TRAP, trapped),
        (FOREVER, late),
        (grow, late),
        (nonsense_list, trapped),
        ("(call $answer (i32.const 0))", count),
        ("(call $answer (i32.const 2))", count),
        ("(call $answer (i32.const 1000000000))", trapped),
        ("(call $answer (i32.const -1))", trapped),
        (recursion, trapped),
    ];
    let of = |at: usize, body| match at {
        0 => AuthGuest { authenticate: body, ..AuthGuest::default() },
        1 => AuthGuest { authorize: body, ..AuthGuest::default() },
        _ => AuthGuest { check_messages: body, ..AuthGuest::default() },
    };
    let cases = logins.map(|case| (0, case)).chain([1, 2].into_iter().flat_map(|at| lists.map(|case| (at, case))));
    for (at, (body, why)) in cases {
        let host = host_within(Limits::default(), of(at, body).component(), &[]);
        let policy = policy(&host);
        let begun = Instant::now();
        let outcomes = all(&*policy);
        assert!(begun.elapsed() < Duration::from_secs(2), "{body}");
        for (place, outcome) in outcomes.iter().enumerate() {
            match (place == at, outcome) {
                (false, Ok(_)) => {}
                (true, Err(reason)) => assert!(reason.ends_with(why), "{body}: {reason}"),
                _ => panic!("{at} {body}: {outcomes:?}"),
            }
        }
        // The next one hears at once that there is a pause, and none of them hears of a password or a name.
        if why != count {
            let again = all(&*policy)[at].clone().expect_err("it has a second's pause");
            assert!(again.ends_with("it failed and is given a pause"), "{body}: {again}");
            let (_, stats) = policy.stats()[at];
            assert_eq!((stats.state, stats.batches_backing_off), (PolicyState::BackingOff, 1), "{body}");
        }
    }
}

/// Functions of the lifecycle, and `reads`, that fail.
#[test]
fn a_component_that_cannot_begin_is_refused_by_name() {
    let configure = |configure| AuthGuest { configure, ..AuthGuest::default() };
    let wants = |wants| AuthGuest { wants, ..AuthGuest::default() };
    for (guest, words) in [
        (configure(TRAP), "configure failed"),
        (configure(FOREVER), "configure overran the deadline"),
        (wants(&[]), "it asks for nothing"),
        (wants(&[PASSWORDS]), "it asks for nothing"),
        (wants(&[LOGINS, 914]), "it wants column 914"),
        (wants(&[LOGINS, 3]), "it wants column 3"),
    ] {
        let host = host_with(guest.component(), &[]);
        let error = host.auth("guest", true).err().expect(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    for (reads, why) in [(TRAP, "trapped"), ("(call $answer (i32.const 33))", "trapped"), (FOREVER, "deadline")] {
        let host = host_with(AuthGuest { reads, ..AuthGuest::default() }.component(), &[]);
        let [login, right, message] = all(&*policy(&host));
        assert!(login.is_ok() && right.is_ok());
        assert!(message.expect_err(reads).contains(why), "{reads}");
    }
    let queue = include_bytes!("fixtures/0.1.0/round-robin.wasm");
    let host = host_with(queue.to_vec(), &[]);
    assert!(host.auth("guest", true).err().expect("another world").to_string().contains("is unknown"));
}

/// After a trap there is a new instance, after a pause, and what was said before is nothing that it knows.
#[test]
fn a_component_that_stops_failing_is_asked_again() {
    let trap_first = format!(
        r#"(call $get (i32.const 1024) (i32.const 5) (i32.const 600))
        (if (i32.eqz (i32.load8_u (i32.const 600))) (then
            (call $put (i32.const 1024) (i32.const 5) (i32.const 1024) (i32.const 5) (i32.const 640)) (unreachable)))
        {ADMIT}"#
    );
    let host = host_with(AuthGuest { authenticate: &trap_first, ..AuthGuest::default() }.component(), &[]);
    let policy = policy(&host);
    assert!(policy.authenticate(&Login::default(), 0).is_err());
    let begun = Instant::now();
    while policy.authenticate(&Login::default(), 0).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited too long");
        std::thread::yield_now();
    }
    assert!(begun.elapsed() >= Duration::from_millis(15), "it had its pause");
    let (place, stats) = policy.stats()[0];
    assert_eq!((place, stats.instances_made, stats.batches_trap), ("logins", 2, 1));
    let host = host_with(AuthGuest { authenticate: &once(ADMIT), ..AuthGuest::default() }.component(), &[]);
    let policy = self::policy(&host);
    assert!(policy.authenticate(&Login::default(), 0).is_ok());
    assert!(policy.authenticate(&Login::default(), 0).is_err());
}

/// Threads that ask at once wait for one another; nobody is refused because somebody else was asking, or because there are
/// too many other instances.
#[test]
fn who_comes_together_is_answered_one_after_the_other() {
    let limits = Limits { instances_live_max: 1, ..Limits::default() };
    let host = host_within(limits, AuthGuest::default().component(), &[]);
    let policy = policy(&host);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert!(all(&*policy).iter().all(Result::is_ok));
                }
            });
        }
    });
    let answered: u64 = policy.stats().iter().map(|(_, stats)| stats.batches_policy).sum();
    assert_eq!(answered, 3 * 4 * 500);
}

/// What was not asked for is not shown, and what was not granted is refused.
#[test]
fn passwords_are_for_who_asks_and_is_granted_them() {
    // The credentials begin at 8 with the option of the user; that of the password is at 20.
    let with_password =
        format!("(if (i32.eqz (i32.load8_u offset=20 (local.get $asked))) (then (unreachable))) {ADMIT}");
    let login = Login { user: Some("ann"), password: Some(Password("s3cret")), has_password: true, ..Login::default() };
    for (wants, granted, sees) in [(&[LOGINS][..], true, false), (&[LOGINS, PASSWORDS], true, true)] {
        let guest = AuthGuest { wants, authenticate: &with_password, ..AuthGuest::default() };
        let host = host_with(guest.component(), &[]);
        let policy = host.auth("guest", granted).expect("granted, or not asked for");
        assert_eq!(policy.authenticate(&login, 0).is_ok(), sees, "{wants:?}");
    }
    let guest = AuthGuest { wants: &[LOGINS, PASSWORDS], ..AuthGuest::default() };
    let error = host_with(guest.component(), &[]).auth("guest", false).err().expect("not granted").to_string();
    assert!(
        error.contains("asks for passwords, which were not granted; name it in security.show_passwords"),
        "{error}"
    );
    assert!(!format!("{login:?}").contains("s3cret"));
    let claims = [("sub".to_owned(), vec!["ann".to_owned()])];
    let token = Login { proofs: Proofs { claims: Some(&claims), ..Proofs::default() }, ..login };
    let guest = AuthGuest { wants: &[LOGINS, PASSWORDS], authenticate: &with_password, ..AuthGuest::default() };
    assert!(policy(&host_with(guest.component(), &[])).authenticate(&token, 0).is_err(), "a token is shown to nobody");
}

/// It is asked about what it named, and about nothing else.
#[test]
fn a_policy_decides_what_it_asked_for() {
    for (wants, expected) in [
        (&[LOGINS][..], (true, false, false)),
        (&[RIGHTS], (false, true, false)),
        (&[MESSAGES], (false, false, true)),
        (&[MESSAGES, RIGHTS, LOGINS], (true, true, true)),
    ] {
        let host = host_with(AuthGuest { wants, ..AuthGuest::default() }.component(), &[]);
        let decides = policy(&host).decides();
        assert_eq!((decides.logins, decides.rights, decides.messages), expected);
    }
}

/// A thousand messages in one call, more in several.
#[test]
fn messages_go_in_batches() {
    let reads_rows = r#"
        (local.set $left (local.get 6))
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (i32.store8 (i32.add (i32.const 16384) (i32.mul (local.get $left) (i32.const 12))) (i32.const 1))
            (br_if $again (local.get $left)))
        (i32.store (i32.const 128) (i32.const 16384)) (i32.store (i32.const 132) (local.get 6))
        (global.set $free (i32.const 8192))
        (i32.const 128)"#;
    let guest = AuthGuest { wants: &[MESSAGES], check_messages: reads_rows, ..AuthGuest::default() };
    let host = host_with(guest.component(), &[]);
    let policy = policy(&host);
    let rows = vec![(1, ""); 1000];
    let mut judgements = Vec::new();
    policy.check_messages(&Principal::default(), &Rows(&rows), 0, &mut judgements).expect("it answers");
    assert_eq!(judgements, vec![None; 1000]);
    let (_, stats) = policy.stats()[0];
    assert_eq!((stats.batches_policy, stats.rows), (4, 1000), "256 rows a call");
}

/// The component of `plugins/auth-table`: that of the tree, or of a fresh build.
fn table() -> Vec<u8> {
    let folder = std::env::var("JACKFIELD_STOCK_COMPONENTS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/built").to_owned());
    std::fs::read(std::path::Path::new(&folder).join("auth-table.wasm")).expect("the component is kept")
}

const SETTINGS: &[(&str, &str)] = &[
    ("user ann", "desk acme"),
    // SHA-256 of "key-of-robot".
    ("key bda5424d0ec3451be100bc4a103d795c281cf93ece78648a63976baafa749468", "robot press until=2000"),
    ("role desk", "read ORDERS.> topic://PRICES.*, write ORDERS.IN"),
    ("role *", "write GUEST, create GUEST"),
    ("tenant", "tenant"),
    ("max-bytes", "1000"),
    ("remember-s", "7"),
];

fn who(admission: &Admission) -> String {
    match admission {
        Admission::Admit { principal, cache_ms, until_ms } => {
            format!("{} {} {cache_ms} {until_ms}", principal.name, principal.groups.join(","))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn the_table_lets_in_whom_it_names() {
    let host = host_with(table(), SETTINGS);
    let policy = policy(&host);
    let login = |user, password, proven| Login {
        user,
        password: Some(Password(password)),
        has_password: true,
        proofs: Proofs { password: proven, ..Proofs::default() },
        ..Login::default()
    };
    let ask = |login: Login<'_>, now_ms| who(&policy.authenticate(&login, now_ms).expect("it answers"));
    assert_eq!(ask(login(Some("ann"), "x", true), 0), format!("ann desk,acme 7000 {}", i64::MAX));
    assert_eq!(ask(login(Some("ann"), "x", false), 0), "Deny(\"the password was not proven\")");
    assert_eq!(ask(login(Some("bob"), "x", true), 0), "NoOpinion");
    assert_eq!(ask(login(Some("anybody"), "key-of-robot", false), 0), "robot press 7000 2000000");
    assert_eq!(ask(login(None, "key-of-robot", false), 2_000_000), "Expired(\"the key of robot\")");
    assert_eq!(ask(login(None, "key-of-rob0t", false), 0), "NoOpinion");
}

#[test]
fn the_table_allows_what_roles_have() {
    let host = host_with(table(), SETTINGS);
    let policy = policy(&host);
    let ann = Principal { name: "ann".into(), groups: vec!["desk".into(), "acme".into()] };
    let robot = Principal { name: "robot".into(), groups: vec!["press".into()] };
    use Action::{Admin, Create, Read, Write};
    use Kind::{Queue, TempQueue, Topic};
    for (who, action, kind, name, allowed) in [
        (&ann, Read, Queue, "ORDERS.IN", true),
        (&ann, Read, Queue, "ORDERS.>", true),
        (&ann, Read, Queue, "ORDERS.*.X", true),
        (&ann, Read, Queue, ">", false),
        (&ann, Read, Queue, "ORDERS", false),
        (&ann, Write, Queue, "ORDERS.IN", true),
        (&ann, Write, Queue, "ORDERS.OUT", false),
        (&ann, Admin, Queue, "ORDERS.IN", false),
        (&ann, Read, Topic, "PRICES.ACME", true),
        (&ann, Read, Topic, "PRICES.>", false),
        (&ann, Read, Queue, "PRICES.ACME", false),
        (&ann, Read, Topic, "ActiveMQ.Advisory.TempQueue", true),
        (&ann, Read, Topic, "ActiveMQ.Advisory.>", false),
        (&ann, Read, TempQueue, "ID:1", true),
        (&robot, Read, Queue, "ORDERS.IN", false),
        (&robot, Write, Queue, "GUEST", true),
        (&robot, Create, Queue, "GUEST", true),
        (&robot, Admin, Queue, "GUEST", false),
    ] {
        let mut answers = Vec::new();
        policy.authorize(who, &[Request { action, kind, name }], 0, &mut answers).expect("it answers");
        let opinion = if allowed { Opinion::Allow } else { Opinion::Deny };
        assert_eq!(answers, [Answer { opinion, cache_ms: 7000 }], "{} {action:?} {name}", who.name);
    }
}

#[test]
fn the_table_keeps_messages_within_their_tenant() {
    let host = host_with(table(), SETTINGS);
    let policy = policy(&host);
    let ann = Principal { name: "ann".into(), groups: vec!["desk".into(), "acme".into()] };
    let mut judgements = Vec::new();
    let rows = [(10, "acme"), (10, ""), (10, "other"), (1001, "acme")];
    policy.check_messages(&ann, &Rows(&rows), 0, &mut judgements).expect("it answers");
    let refused = |why: &str| Some(why.to_owned());
    assert_eq!(judgements, [None, None, refused("tenant other is another's"), refused("it has more than 1000 bytes")]);
}

#[test]
fn the_table_says_what_is_wrong_with_its_settings() {
    for (key, value, words) in [
        ("usr ann", "desk", "setting usr ann = desk is unknown; known are user NAME"),
        ("role desk", "reads A", "begins no right"),
        ("role desk", "read", "has a right without a pattern"),
        ("key abc", "robot", "has no SHA-256"),
        ("max-bytes", "many", "is no number up to"),
        ("remember-s", "86401", "is no number up to 86400"),
    ] {
        let error = host_with(table(), &[(key, value)]).auth("guest", true).err().expect(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

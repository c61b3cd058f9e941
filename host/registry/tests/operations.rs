//! What each operation does, refuses and keeps; and that what is kept is what comes back.

use std::collections::BTreeMap;

use bytes::Bytes;
use message::Fact;
use registry::{Change, Deploy, Digest, Done, Happened, Limits, Point, Registry, RegistryError, State, Trouble};

const POINT: Point = Point::QueueDispatch;

/// Facts as a journal keeps them.
#[derive(Default, Clone)]
struct Kept(BTreeMap<String, Bytes>);

impl Kept {
    fn keep(&mut self, facts: &[Fact]) {
        for fact in facts {
            assert!(fact.is_within_limits());
            match &fact.value {
                Some(value) => drop(self.0.insert(fact.key.to_string(), value.clone())),
                None => assert!(self.0.remove(&*fact.key).is_some(), "{} was not there", fact.key),
            }
        }
    }

    fn facts(&self) -> Vec<Fact> {
        self.0.iter().map(|(key, value)| Fact { key: key.as_str().into(), value: Some(value.clone()) }).collect()
    }
}

fn taken() -> BTreeMap<String, String> {
    [("round-robin", "the stock policies"), ("mine", "the configuration file")]
        .map(|(name, by)| (name.to_owned(), by.to_owned()))
        .into()
}

fn deploy(name: &str, code: &str) -> Deploy {
    Deploy {
        name: name.into(),
        bytes: Bytes::copy_from_slice(code.as_bytes()),
        world: "queue-policy".into(),
        settings: vec![("home".into(), "north".into())],
        grants: vec!["jackfield:policy/telemetry@0.1.0".into()],
        state_format: 1,
        restores: vec![1],
        shadow: false,
        start_empty: false,
    }
}

/// A registry and the facts it asked to keep.
struct House {
    registry: Registry,
    kept: Kept,
    limits: Limits,
    now: i64,
}

impl House {
    fn new() -> House {
        House::with(Limits::default())
    }

    fn with(limits: Limits) -> House {
        House { registry: Registry::new(limits, taken()), kept: Kept::default(), limits, now: 0 }
    }

    /// An operation that goes well; afterwards the facts give the same registry.
    fn well(&mut self, operation: impl FnOnce(&mut Registry, i64) -> Result<Done, RegistryError>) -> Done {
        self.now += 1;
        let done = operation(&mut self.registry, self.now).expect("it goes well");
        self.kept.keep(&done.facts);
        let (again, troubles) = Registry::load(self.limits, taken(), self.kept.facts());
        assert_eq!(troubles, []);
        assert_eq!(again, self.registry);
        done
    }

    /// An operation that is refused changes nothing.
    fn refused(&mut self, operation: impl FnOnce(&mut Registry, i64) -> Result<Done, RegistryError>) -> String {
        let before = self.registry.clone();
        let error = operation(&mut self.registry, self.now).expect_err("it is refused");
        assert_eq!(self.registry, before);
        error.to_string()
    }

    fn running(&self, name: &str) -> Option<u64> {
        self.registry.running(name).map(|running| running.generation.number)
    }
}

fn run(policy: &str, start_empty: bool) -> Change {
    Change::Run { policy: policy.into(), start_empty }
}

fn shadow(policy: &str) -> Change {
    Change::Shadow { policy: policy.into() }
}

#[test]
fn a_plug_in_lives_through_its_generations() {
    let mut house = House::new();
    let done = house.well(|r, now| r.deploy(deploy("p", "one"), now));
    assert_eq!((done.generation, done.changes, done.facts.len()), (1, vec![run("p", false)], 2));
    let done = house.well(|r, now| r.deploy(Deploy { shadow: true, ..deploy("p", "two") }, now));
    assert_eq!((done.generation, done.changes), (2, vec![shadow("p")]));
    assert_eq!((house.running("p"), house.registry.shadow("p").map(|r| r.generation.number)), (Some(1), Some(2)));
    let done = house.well(|r, now| r.promote("p", None, false, now));
    assert_eq!((done.generation, done.changes), (2, vec![run("p", false), shadow("p")]));
    let done = house.well(|r, now| r.configure("p", vec![], now));
    assert_eq!((done.generation, done.changes, done.facts.len()), (3, vec![run("p", false)], 1));
    assert_eq!(house.registry.running("p").expect("it runs").bytes, "two");
    let done = house.well(|r, now| r.rollback("p", None, now));
    assert_eq!((done.generation, done.changes), (2, vec![run("p", true)]));
    assert_eq!(
        house.refused(|r, now| r.rollback("p", None, now)),
        "plug-in p has no previous generation; name one with --generation"
    );
    house.well(|r, now| r.rollback("p", Some(1), now));
    assert_eq!(house.running("p"), Some(1));
    let history: Vec<_> =
        house.registry.plug_in("p").expect("there").history.iter().map(|line| (line.what, line.generation)).collect();
    let expected = [
        (Happened::Deployed, 1),
        (Happened::Shadowed, 2),
        (Happened::Promoted, 2),
        (Happened::Configured, 3),
        (Happened::RolledBack, 2),
        (Happened::RolledBack, 1),
    ];
    assert_eq!(history, expected);
    let done = house.well(|r, _| r.remove("p"));
    assert_eq!(done.changes, [Change::Gone { policy: "p".into() }]);
    assert!(house.kept.0.is_empty(), "nothing of it is left");
}

#[test]
fn what_does_not_do_well_is_taken_back_once() {
    let mut house = House::new();
    house.well(|r, now| r.deploy(deploy("p", "good"), now));
    assert_eq!(house.registry.withdraw("p", 1, "it trapped", 0), Ok(None), "there is nothing to go back to");
    house.well(|r, now| r.deploy(deploy("p", "bad"), now));
    assert_eq!(house.registry.withdraw("p", 1, "late word", 0), Ok(None), "it is not active any more");
    house.well(|r, now| r.withdraw("p", 2, "it trapped", now).map(|done| done.expect("it is taken back")));
    assert_eq!(house.running("p"), Some(1));
    let plug_in = house.registry.plug_in("p").expect("there");
    assert_eq!(plug_in.generation(2).and_then(|g| g.withdrawn.as_deref()), Some("it trapped"));
    assert_eq!(plug_in.previous, None, "nothing goes back to it by itself");
    house.well(|r, now| r.promote("p", Some(2), false, now));
    assert_eq!(house.registry.plug_in("p").expect("there").generation(2).and_then(|g| g.withdrawn.clone()), None);
}

#[test]
fn bindings_say_who_decides_where() {
    let mut house = House::new();
    house.well(|r, now| r.deploy(deploy("p", "one"), now));
    house.well(|r, _| r.bind(POINT, "ORDERS.>", "p"));
    house.well(|r, _| r.bind(POINT, "ORDERS.*", "round-robin"));
    let done = house.well(|r, _| r.bind(POINT, "ORDERS.NORTH", "mine"));
    assert_eq!(done.changes, [Change::Bindings]);
    for (destination, expected) in
        [("ORDERS.NORTH", Some("mine")), ("ORDERS.X", Some("round-robin")), ("ORDERS.X.Y", Some("p")), ("X", None)]
    {
        assert_eq!(house.registry.bound(POINT, destination), expected, "{destination}");
    }
    assert_eq!(
        house.refused(|r, _| r.remove("p")),
        "plug-in p is bound to ORDERS.> for queue-dispatch; unbind it first"
    );
    house.well(|r, _| r.unbind(POINT, "ORDERS.>"));
    assert_eq!(
        house.refused(|r, _| r.unbind(POINT, "ORDERS.>")),
        "nothing is bound to ORDERS.> for queue-dispatch; bound are: ORDERS.*, ORDERS.NORTH"
    );
    house.well(|r, _| r.remove("p"));
}

/// Auth policies have places, one each; what cannot be read at a place still stands there.
#[test]
fn auth_policies_are_bound_to_places() {
    let auth = Point::Auth;
    let mut house = House::new();
    let guard = |name: &str| Deploy { world: "auth-policy".into(), ..deploy(name, name) };
    for name in ["p", "q", "r"] {
        house.well(|r, now| r.deploy(guard(name), now));
    }
    house.well(|r, _| r.bind(auth, "behind.1", "p"));
    house.well(|r, _| r.bind(auth, "before.2", "q"));
    house.well(|r, _| r.bind(auth, "before.1", "r"));
    house.well(|r, _| r.bind(auth, "before.1", "r"));
    let order = |registry: &Registry| {
        registry.guards().iter().map(|(place, name)| format!("{place} {name}")).collect::<Vec<_>>()
    };
    assert_eq!(order(&house.registry), ["before.1 r", "before.2 q", "behind.1 p"]);
    for (place, policy, words) in [
        ("ORDERS.>", "p", "\"ORDERS.>\" is no place among the auth policies; there are before.1 to before.9"),
        ("before.0", "p", "is no place"),
        ("before.10", "p", "is no place"),
        ("before", "p", "is no place"),
        ("before.3", "p", "policy p is bound to behind.1 for auth already; unbind it there first"),
    ] {
        let error = house.refused(|r, _| r.bind(auth, place, policy));
        assert!(error.contains(words), "{error}");
    }
    let error = house.refused(|r, _| r.bind(POINT, "A", "p"));
    assert!(error.contains("world auth-policy, which decides nothing for queue-dispatch"), "{error}");
    let error = house.refused(|r, _| r.remove("mine"));
    assert_eq!(
        error,
        "policy mine comes from the configuration file, and is changed and removed there, not by a command"
    );
    assert!(house.refused(|r, _| r.remove("q")).contains("is bound to before.2 for auth; unbind it first"));

    let mut kept = house.kept.clone();
    kept.0.insert("policy/binding/auth/before.2".into(), Bytes::from_static(b"{}"));
    kept.0.remove("policy/plug-in/r");
    let (registry, troubles) = Registry::load(Limits::default(), taken(), kept.facts());
    assert_eq!(order(&registry), ["before.1 r", "before.2 ", "behind.1 p"]);
    let told: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    let holds = |words: &str| told.iter().any(|trouble| trouble.contains(words));
    assert!(holds("policy/binding/auth/before.2 cannot be read"), "{told:?}");
    assert!(
        holds("before.1 is bound to r for auth, which does not exist; everybody is refused until it does"),
        "{told:?}"
    );
}

#[test]
fn what_is_refused_names_what_value_and_remedy() {
    let limits = Limits {
        component_bytes_max: 100,
        components_bytes_max: 150,
        plug_ins_max: 2,
        settings_max: 2,
        setting_bytes_max: 10,
        bindings_max: 1,
        ..Limits::default()
    };
    let mut house = House::with(limits);
    house.well(|r, now| r.deploy(deploy("p", &"x".repeat(100)), now));
    house.well(|r, now| r.deploy(deploy("q", "y"), now));
    house.well(|r, _| r.bind(POINT, "A", "p"));
    let setting = |key: &str| (key.to_owned(), "v".to_owned());
    let other = |name: &str, code: &str| deploy(name, code);
    type Operation = Box<dyn FnOnce(&mut Registry, i64) -> Result<Done, RegistryError>>;
    let table: Vec<(Operation, &[&str])> = vec![
        (Box::new(move |r, now| r.deploy(other("a b", "x"), now)), &["\"a b\"", "letters, digits"]),
        (Box::new(move |r, now| r.deploy(other("", "x"), now)), &["\"\""]),
        (Box::new(move |r, now| r.deploy(other(&"n".repeat(65), "x"), now)), &["64"]),
        (
            Box::new(move |r, now| r.deploy(other("mine", "x"), now)),
            &["mine", "the configuration file", "another name"],
        ),
        (
            Box::new(move |r, now| r.deploy(other("p", &"x".repeat(101)), now)),
            &["101", "plugins.component_limit of 100", "strip"],
        ),
        (
            Box::new(move |r, now| r.deploy(other("p", &"z".repeat(60)), now)),
            &["161", "plugins.components_limit of 150"],
        ),
        (Box::new(move |r, now| r.deploy(other("s", "x"), now)), &["3", "plugins.plugins of 2", "remove one"]),
        (
            Box::new(move |r, now| r.configure("p", vec![setting("a"), setting("b"), setting("c")], now)),
            &["3", "plugins.settings of 2"],
        ),
        (
            Box::new(move |r, now| r.configure("p", vec![setting("1234567890")], now)),
            &["11", "plugins.setting_limit of 10"],
        ),
        (Box::new(|r, now| r.promote("p", None, false, now)), &["no shadow", "--shadow"]),
        (Box::new(|r, now| r.promote("p", Some(9), false, now)), &["no generation 9", "kept are: 1"]),
        (Box::new(|r, now| r.promote("p", Some(1), false, now)), &["generation 1 of p is the active one already"]),
        (Box::new(|r, now| r.promote("x", None, false, now)), &["x does not exist", "p, q"]),
        (Box::new(|r, _| r.bind(POINT, "A,B", "p")), &["\"A,B\"", "commas"]),
        (Box::new(|r, _| r.bind(POINT, "", "p")), &["\"\"", "empty"]),
        (Box::new(|r, _| r.bind(POINT, "B", "p")), &["2", "plugins.bindings of 1", "unbind one"]),
        (Box::new(|r, _| r.bind(POINT, "A", "x")), &["x does not exist"]),
        (Box::new(|r, _| r.end_shadow("p")), &["no shadow"]),
        (
            Box::new(move |r, now| r.deploy(Deploy { state_format: 3, restores: vec![2, 3], ..other("p", "x") }, now)),
            &["generation 2 of p", "format 1", "only 2, 3", "--start-empty"],
        ),
    ];
    for (operation, words) in table {
        let error = house.refused(operation);
        for word in words {
            assert!(error.contains(word), "{word} in {error}");
        }
    }
    // What needs no state, or says that it goes on without, is taken.
    house.well(|r, now| r.deploy(Deploy { state_format: 0, restores: vec![], ..deploy("p", "x") }, now));
    house.well(|r, now| r.rollback("p", None, now));
    let reads_another = Deploy { state_format: 3, restores: vec![3], start_empty: true, ..deploy("p", "x") };
    let done = house.well(|r, now| r.deploy(reads_another, now));
    assert_eq!(done.changes, [run("p", true)]);
    let error = house.refused(|r, now| r.deploy(Deploy { world: "topic-policy".into(), ..deploy("p", "x") }, now));
    assert!(
        error.contains("world queue-policy") && error.contains("topic-policy") && error.contains("another name"),
        "{error}"
    );
    let mut house = House::new();
    house.well(|r, now| r.deploy(Deploy { world: "topic-policy".into(), ..deploy("p", "x") }, now));
    let error = house.refused(|r, _| r.bind(POINT, "A", "p"));
    assert!(error.contains("world topic-policy, which decides nothing for queue-dispatch"), "{error}");
}

#[test]
fn generations_and_history_are_bounded_and_what_is_named_stays() {
    let mut house =
        House::with(Limits { generations_kept_max: 3, history_max: 4, reason_bytes_max: 4, ..Limits::default() });
    for at in 0..20 {
        house.well(|r, now| r.deploy(deploy("p", &format!("code {at}")), now));
    }
    let done = house.well(|r, now| r.deploy(Deploy { shadow: true, ..deploy("p", "shadow") }, now));
    assert_eq!(done.generation, 21);
    for at in 0..9 {
        house.well(|r, now| r.configure("p", vec![("round".into(), at.to_string())], now));
    }
    let plug_in = house.registry.plug_in("p").expect("there");
    assert_eq!(plug_in.generations.iter().map(|g| g.number).collect::<Vec<_>>(), [21, 29, 30]);
    assert_eq!((plug_in.active, plug_in.previous, plug_in.shadow), (Some(30), Some(29), Some(21)));
    assert_eq!(plug_in.history.len(), 4);
    let components = house.kept.0.keys().filter(|key| key.contains("component")).count();
    assert_eq!(components, 2, "one for the shadow, one for all that was configured");
    house.well(|r, now| r.refused("p", 30, "äöü, much too long", now));
    assert_eq!(house.registry.plug_in("p").expect("there").history[3].reason, "äö");
}

#[test]
fn states_are_kept_within_their_limits() {
    let mut house = House::with(Limits { states_max: 2, state_bytes_max: 3, ..Limits::default() });
    house.well(|r, now| r.deploy(deploy("p", "one"), now));
    let state = |bytes: &'static [u8]| {
        Some(State { policy: "p".into(), generation: 1, format: 1, bytes: Bytes::from_static(bytes) })
    };
    let keep = |house: &mut House, all: Vec<(&str, Option<State>)>| {
        let all = all.into_iter().map(|(name, state)| (name.to_owned(), state)).collect();
        house.well(|r, _| Ok(r.keep_states(POINT, all))).facts.len()
    };
    assert_eq!(keep(&mut house, vec![("A", state(b"\x00\xff")), ("B", state(b"long")), ("C", state(b""))]), 2);
    assert_eq!(keep(&mut house, vec![("A", state(b"\x00\xff")), ("D", state(b"1"))]), 0, "the same, and one too many");
    assert_eq!(house.registry.state(POINT, "A").map(|state| &state.bytes[..]), Some(&b"\x00\xff"[..]));
    assert_eq!(keep(&mut house, vec![("A", None), ("D", state(b"1"))]), 2);
    house.well(|r, _| r.remove("p"));
    assert_eq!(house.registry.states().count(), 0);
}

/// Facts that do not read, each alone: said by name, and the rest works.
#[test]
fn facts_that_do_not_read_are_told_and_passed_over() {
    let mut house = House::new();
    house.well(|r, now| r.deploy(deploy("p", "one"), now));
    house.well(|r, now| r.deploy(deploy("p", "two"), now));
    house.well(|r, now| r.deploy(deploy("q", "three"), now));
    house.well(|r, _| r.bind(POINT, "A", "p"));
    let component = |code: &str| format!("policy/component/{}", Digest::of(code.as_bytes()));
    let load = |change: &dyn Fn(&mut BTreeMap<String, Bytes>)| {
        let mut kept = house.kept.clone();
        change(&mut kept.0);
        Registry::load(Limits::default(), taken(), kept.facts())
    };
    let running = |registry: &Registry| registry.running("p").map(|running| running.generation.number);

    let (registry, troubles) = load(&|kept| drop(kept.remove(&component("two"))));
    assert_eq!(running(&registry), Some(1), "the previous one decides in its place");
    let [Trouble::BytesGone { number: 2, .. }] = &troubles[..] else { panic!("{troubles:?}") };
    assert!(troubles[0].to_string().contains("generation 1 decides in its place; deploy it again"), "{}", troubles[0]);

    let both = |kept: &mut BTreeMap<String, Bytes>| {
        kept.remove(&component("one"));
        kept.insert(component("two"), Bytes::from_static(b"tw0"));
    };
    let (registry, troubles) = load(&both);
    assert_eq!(running(&registry), None);
    assert!(matches!(&troubles[..], [Trouble::Damaged { .. }, Trouble::BytesGone { .. }, Trouble::BytesGone { .. }]));
    assert!(troubles[2].to_string().contains("the native policy decides"), "{}", troubles[2]);
    let mut registry = registry;
    let error = registry.rollback("p", None, 0).expect_err("it is lost");
    assert!(matches!(error, RegistryError::BytesGone { number: 1, .. }), "{error}");

    let newer = |kept: &mut BTreeMap<String, Bytes>| {
        kept.insert("policy/plug-in/p".into(), Bytes::from_static(b"{\"version\":2,\"surprise\":true}"));
    };
    let (mut registry, troubles) = load(&newer);
    assert!(
        matches!(&troubles[..], [Trouble::Newer { found: 2, known: 1, .. }, Trouble::Dangling { .. }]),
        "{troubles:?}"
    );
    assert!(registry.bound(POINT, "A").is_none());
    let error = registry.deploy(deploy("p", "four"), 0).expect_err("it is kept as it is").to_string();
    assert!(error.contains("start the version that wrote it"), "{error}");
    let done = registry.deploy(deploy("q", "five"), 0).expect("others work");
    assert!(done.facts.iter().all(|fact| fact.value.is_some()), "no component goes that the unread one may name");
    let done = registry.remove("p").expect("it can be removed");
    assert_eq!(done.facts.iter().filter(|fact| fact.value.is_none()).count(), 3, "with both its components");

    let bad: [(&str, &[u8]); 7] = [
        ("policy/plug-in/x", b"no JSON"),
        ("policy/plug-in/x", b"{\"version\":1,\"active\":3,\"previous\":null,\"shadow\":null,\"next\":4,\"generations\":[],\"history\":[]}"),
        ("policy/binding/queue-dispatch/B", b"{}"),
        ("policy/binding/dreams/B", b"{\"version\":1,\"policy\":\"p\"}"),
        ("policy/state/queue-dispatch/B", b"{\"version\":1,\"policy\":\"p\",\"generation\":1,\"format\":1,\"state\":\"abc\"}"),
        ("policy/component/abc", b"one"),
        ("policy/surprise", b"{}"),
    ];
    for (key, value) in bad {
        let (registry, troubles) = load(&|kept| drop(kept.insert(key.into(), Bytes::from_static(value))));
        assert!(matches!(&troubles[..], [Trouble::Damaged { .. }]), "{key}: {troubles:?}");
        assert!(troubles[0].to_string().contains(key), "{}", troubles[0]);
        assert_eq!(running(&registry), Some(2));
    }
    let damaged = Fact { key: "policy/plug-in/q".into(), value: None };
    let (_, troubles) =
        Registry::load(Limits::default(), taken(), [damaged, Fact { key: "other/x".into(), value: None }]);
    assert!(troubles[0].to_string().contains("the journal found it damaged"), "{troubles:?}");
    assert_eq!(troubles.len(), 1);
    let mut more = taken();
    more.insert("q".into(), "the configuration file".into());
    let (_, troubles) = Registry::load(Limits::default(), more, house.kept.facts());
    assert!(matches!(&troubles[..], [Trouble::Taken { .. }]), "{troubles:?}");
}

/// SplitMix64: enough for a test, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }
}

/// Any sequence of operations, refused ones included: the facts kept so far give the registry as it is.
#[test]
fn any_sequence_of_operations_is_found_again() {
    let limits = Limits {
        plug_ins_max: 3,
        generations_kept_max: 4,
        history_max: 5,
        bindings_max: 3,
        components_bytes_max: 40,
        states_max: 3,
        ..Limits::default()
    };
    let mut well = 0;
    for seed in 0..60 {
        let mut random = Random(seed);
        let (mut registry, mut kept) = (Registry::new(limits, taken()), Kept::default());
        for step in 0..150 {
            let name = ["p", "q", "r", "s", "mine"][random.below(5) as usize];
            let number = (random.below(2) == 0).then(|| random.below(8));
            let flag = random.below(2) == 0;
            let mut next = registry.clone();
            let outcome = match random.below(12) {
                0..3 => {
                    let code = format!("code {}", random.below(9));
                    let format = 1 + random.below(2) as u32;
                    let restores = if flag { vec![1, 2] } else { vec![format] };
                    let shadow = random.below(3) == 0;
                    let wish =
                        Deploy { state_format: format, restores, shadow, start_empty: flag, ..deploy(name, &code) };
                    next.deploy(wish, step)
                }
                3 => next.configure(name, vec![("n".into(), step.to_string())], step),
                4 => next.promote(name, number, flag, step),
                5 => next.rollback(name, number, step),
                6 => next.withdraw(name, number.unwrap_or(1), "because", step).map(Option::unwrap_or_default),
                7 => next.remove(name),
                8 => next.bind(POINT, ["A", "B.>", "C.*", "D", ""][random.below(5) as usize], name),
                9 => next.unbind(POINT, ["A", "B.>", "C.*", "D"][random.below(4) as usize]),
                10 => next.end_shadow(name),
                _ => {
                    let bytes = Bytes::from(vec![step as u8; random.below(4) as usize]);
                    let state = State { policy: name.into(), generation: 1, format: 1, bytes };
                    let destination = format!("D{}", random.below(5));
                    Ok(next.keep_states(POINT, vec![(destination, flag.then_some(state))]))
                }
            };
            let Ok(done) = outcome else { continue };
            well += 1;
            kept.keep(&done.facts);
            registry = next;
            let (again, troubles) = Registry::load(limits, taken(), kept.facts());
            assert_eq!(troubles, [], "seed {seed} step {step}");
            assert_eq!(again, registry, "seed {seed} step {step}");
        }
    }
    assert!(well > 2_000, "{well} operations went well");
}

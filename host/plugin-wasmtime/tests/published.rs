//! Components built against each published version of the WIT package load and decide for ever.

use plugin::auth::{Action, Admission, Kind, Login, Opinion, Principal, Proofs, Request};
use plugin::native::{self, NativeHost};
use plugin::{
    Columns, ConsumerRow, Crossing, Decided, Demand, DispatchBatch, FanOut, GroupBatch, Member, MemberChange, Messages,
    Peer, PolicyHost, QueueDispatch, Scalar, SubscriptionRow, Verdict,
};
use plugin_wasmtime::{Limits, WasmHost};

/// Version, policy, component.
const PUBLISHED: [(&str, &str, &[u8]); 2] = [
    ("0.1.0", "round-robin", include_bytes!("fixtures/0.1.0/round-robin.wasm")),
    ("0.1.0", "least-in-flight", include_bytes!("fixtures/0.1.0/least-in-flight.wasm")),
];

const ROUTING: (&str, &[u8]) = ("0.1.0", include_bytes!("fixtures/0.1.0/routing-header-table.wasm"));
const GROUPS: (&str, &[u8]) = ("0.1.0", include_bytes!("fixtures/0.1.0/group-consistent-hash.wasm"));
const TOPICS: (&str, &[u8]) = ("0.1.0", include_bytes!("fixtures/0.1.0/topic-priority-network.wasm"));
const AUTH: (&str, &[u8]) = ("0.1.0", include_bytes!("fixtures/0.1.0/auth-table.wasm"));
const NETWORKS: (&str, &[u8]) = ("0.1.0", include_bytes!("fixtures/0.1.0/network-data-residency.wasm"));

fn plan(policy: &mut dyn QueueDispatch, rows: usize, consumers: &[ConsumerRow]) -> (Decided, Vec<u32>) {
    let mut out = Vec::new();
    let decided = policy.plan(&DispatchBatch::new(7, rows, consumers), &mut out);
    (decided, out)
}

/// They take the place of a component of today in the middle of its work: the state of one is the state of the other.
#[test]
fn components_of_every_version_decide_as_they_did() {
    for (version, name, bytes) in PUBLISHED {
        let limits = Limits { call_ms_max: 2_000, ..Limits::default() };
        let host = WasmHost::new(limits).expect("the engine starts");
        host.add("old", bytes.to_vec(), &[]).unwrap_or_else(|error| panic!("{name} {version}: {error}"));
        host.prepare("old").unwrap_or_else(|error| panic!("{name} {version}: {error}"));
        let mut old = host.queue_dispatch("old", "orders").expect("it is there");
        let mut twin = native::twin(name).expect("still a stock policy").make(&[]).expect("no settings");
        for step in 0..200_u32 {
            let row = |at: u32| ConsumerRow {
                slot: at * 3,
                credit: (step + at) % 4,
                in_flight: (step * 7 + at) % 5,
                priority: if at == 2 { -5 } else { 0 },
            };
            let consumers: Vec<_> = (0..2 + step / 50).map(row).collect();
            let (_, expected) = plan(&mut *twin, 6, &consumers);
            assert_eq!(plan(&mut *old, 6, &consumers), (Decided::Policy, expected), "{name} {version} step {step}");
        }
        assert_eq!(old.stats().batches_policy, 200, "{name} {version}");
    }
}

/// A component that takes no settings still says so.
#[test]
fn a_component_of_an_old_version_refuses_settings_in_its_own_words() {
    let host = WasmHost::new(Limits::default()).expect("the engine starts");
    let settings = [("colour".to_owned(), "red".to_owned())];
    host.add("old", PUBLISHED[0].2.to_vec(), &settings).expect("the component is accepted");
    let error = host.prepare("old").unwrap_err().to_string();
    assert!(error.contains("setting colour = red is unknown; this policy takes no settings"), "{error}");
}

/// Messages whose property `region` is `eu`, 7, or absent, in turn.
struct Regions(usize);

impl Messages for Regions {
    fn rows(&self) -> usize {
        self.0
    }

    fn number(&self, _row: usize, _column: Columns) -> i64 {
        0
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        match (name, row % 3) {
            ("region", 0) => Scalar::Text("eu".into()),
            ("region", 1) => Scalar::Int(7),
            _ => Scalar::Absent,
        }
    }
}

fn host_of((version, bytes): (&str, &[u8])) -> WasmHost {
    let limits = Limits { call_ms_max: 2_000, ..Limits::default() };
    let host = WasmHost::new(limits).expect("the engine starts");
    host.add("old", bytes.to_vec(), &[]).unwrap_or_else(|error| panic!("{version}: {error}"));
    host.prepare("old").unwrap_or_else(|error| panic!("{version}: {error}"));
    host
}

fn pairs(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn routing_policies_of_every_version_decide_as_they_did() {
    let settings = pairs(&[("property", "region"), ("=eu", "EU"), ("=7", "SEVEN,topic://ALL")]);
    let mut old = host_of(ROUTING).publish_routing("old", "ORDERS.>", &settings).expect("it is there");
    let mut verdicts = Vec::new();
    assert_eq!(old.route(1, &Regions(3), &mut verdicts), Decided::Policy);
    let to = |targets: &[&str]| Verdict::Replace(targets.iter().map(|target| (*target).to_owned()).collect());
    assert_eq!(verdicts, [to(&["EU"]), to(&["SEVEN", "topic://ALL"]), Verdict::AsAddressed]);
}

#[test]
fn group_policies_of_every_version_decide_as_they_did() {
    let mut old = host_of(GROUPS).group_assignment("old", "ORDERS").expect("it is there");
    let mut twin = NativeHost::new().group_assignment("consistent-hash", "ORDERS").expect("still a stock policy");
    let row = |slot| ConsumerRow { slot, credit: 9, in_flight: 0, priority: 0 };
    let consumers: Vec<_> = (1..6).map(row).collect();
    let join = |slot: u32| {
        let client_id = format!("client-{slot}").into();
        MemberChange::Joined(Member { slot, client_id, selector: None, is_network: false })
    };
    let members: Vec<_> = (1..6).map(join).collect();
    old.members_changed(&members);
    twin.members_changed(&members);
    let hash: Vec<u64> = (0..50_u64).map(|group| group.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let batch =
        GroupBatch { hash: &hash, queued: &[1; 50], consumers: &consumers, owned: &[0; 5], ..Default::default() };
    let (mut owners, mut expected) = (Vec::new(), Vec::new());
    assert_eq!(old.assign(&batch, &mut owners), Decided::Policy);
    twin.assign(&batch, &mut expected);
    assert_eq!(owners, expected);
    let owned = GroupBatch { owners: &[1; 50], owned: &[50, 0, 0, 0, 0], ..batch };
    let (mut moves, mut expected) = (Vec::new(), Vec::new());
    assert_eq!(old.rebalance(&owned, &mut moves), Decided::Policy);
    twin.rebalance(&owned, &mut expected);
    assert_eq!(moves, expected);
    assert!(!moves.is_empty());
}

#[test]
fn topic_policies_of_every_version_decide_as_they_did() {
    let mut old = host_of(TOPICS).topic_dispatch("old", "PRICES").expect("it is there");
    let row = |slot, priority, is_network| SubscriptionRow { slot, priority, is_network, ..Default::default() };
    let table = [row(7, 0, false), row(9, -5, true), row(4, -6, true)];
    let mut out = FanOut::default();
    assert_eq!(old.plan(1, &Regions(2), &table, &mut out), Decided::Policy);
    assert_eq!(out, FanOut { mask: vec![0b011; 2], order: vec![] });
}

#[test]
fn network_policies_of_every_version_decide_as_they_did() {
    let settings = pairs(&[("property", "region"), ("allow", "eu")]);
    let mut old = host_of(NETWORKS).network_filter("old", "north", &settings).expect("it is there");
    let (peer, mut interests, mut crossings) = (Peer::default(), Vec::new(), Vec::new());
    assert_eq!(old.demand(&peer, &[Demand::default()], &mut interests), Decided::Policy);
    assert_eq!(old.messages(1, &peer, &Regions(3), &mut crossings), Decided::Policy);
    assert_eq!(crossings, [Crossing::Forward(vec![]), Crossing::Drop, Crossing::Drop]);
}

/// One that was compiled against the first version of the world lets in, allows and refuses as it did.
#[test]
fn auth_policies_of_every_version_decide_as_they_did() {
    let settings = pairs(&[("user ann", "desk"), ("role desk", "write ORDERS.>"), ("tenant", "region")]);
    let host = WasmHost::new(Limits { call_ms_max: 2_000, ..Limits::default() }).expect("the engine starts");
    host.add("old", AUTH.1.to_vec(), &settings).unwrap_or_else(|error| panic!("{}: {error}", AUTH.0));
    let old = host.auth("old", false).unwrap_or_else(|error| panic!("{}: {error}", AUTH.0));
    let proofs = Proofs { password: true, ..Proofs::default() };
    let login = Login { user: Some("ann"), has_password: true, proofs, ..Login::default() };
    let principal = Principal { name: "ann".into(), groups: vec!["desk".into()] };
    let admitted = Admission::Admit { principal: principal.clone(), cache_ms: 60_000, until_ms: i64::MAX };
    assert_eq!(old.authenticate(&login, 1), Ok(admitted));
    let request = |name| Request { action: Action::Write, kind: Kind::Queue, name };
    let mut answers = Vec::new();
    old.authorize(&principal, &[request("ORDERS.IN"), request("OTHER")], 1, &mut answers).expect("it answers");
    let opinions: Vec<_> = answers.iter().map(|answer| answer.opinion).collect();
    assert_eq!(opinions, [Opinion::Allow, Opinion::Deny]);
    let mut judgements = Vec::new();
    old.check_messages(&principal, &Regions(3), 1, &mut judgements).expect("it answers");
    let why = |region: &str| Some(format!("region {region} is another's"));
    assert_eq!(judgements, [why("eu"), why("7"), None]);
}

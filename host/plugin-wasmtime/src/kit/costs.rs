//! What policies of the other worlds cost: answer and check together, as the core pays them.

use std::sync::Arc;

use plugin::auth::{Action, AuthPolicy, Decides, Kind, Login, Password, Principal, Proofs, Request};
use plugin::{
    Columns, ConsumerRow, CrossingCheck, Decided, FanOut, FanOutCheck, GroupAssignment, GroupBatch, GroupCheck, Member,
    MemberChange, Messages, NetworkFilter, Peer, PublishRouting, RouteCheck, Scalar, SubscriptionRow, TopicDispatch,
    group_hash,
};

use crate::kit::cost::{COST_ROWS, Cost, best};
use crate::kit::questions::words;

/// The broker's time of all questions, ms since 1970.
const NOW_MS: u64 = 1_790_000_000_000;

/// Messages whose properties are words of a policy's settings in turn: what its settings wait for is there.
#[derive(Debug, Clone)]
pub struct CostMessages {
    words: Arc<[String]>,
    rows: usize,
}

impl CostMessages {
    /// None yet, for a policy with these settings.
    pub fn new(settings: &[(String, String)]) -> CostMessages {
        let words = words(settings);
        CostMessages { words: if words.is_empty() { ["gold".to_owned()].into() } else { words }, rows: 0 }
    }
}

impl Messages for CostMessages {
    fn rows(&self) -> usize {
        self.rows
    }

    fn number(&self, _row: usize, column: Columns) -> i64 {
        match column {
            Columns::PRIORITY => 4,
            Columns::SIZE => 1_000,
            _ => 0,
        }
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        match name {
            "JMSDestination" => Scalar::Text("queue://ORDERS".into()),
            _ => Scalar::Text(self.words[row % self.words.len()].as_str().into()),
        }
    }
}

/// Measures `ask` with messages of [`COST_ROWS`]; it says whether the policy answered.
fn by_rows(messages: &CostMessages, mut ask: impl FnMut(&CostMessages) -> bool) -> Option<Cost> {
    let (mut messages, mut cost) = (messages.clone(), Cost::default());
    for (rows, cost) in COST_ROWS.into_iter().zip(&mut cost) {
        messages.rows = rows;
        *cost = best(|| ask(&messages))? / rows as f64;
    }
    Some(cost)
}

/// Nanoseconds a message on a topic with so many subscriptions; `None` if something else than the policy answered.
pub fn cost_topic(policy: &mut dyn TopicDispatch, messages: &CostMessages, subscriptions: u32) -> Option<Cost> {
    let row = |slot: u32| SubscriptionRow {
        slot,
        priority: (slot % 5) as i16,
        is_network: slot.is_multiple_of(3),
        ..SubscriptionRow::default()
    };
    let table: Vec<_> = (0..subscriptions).map(row).collect();
    let (mut check, mut answer, mut order) = (FanOutCheck::new(), FanOut::default(), Vec::new());
    by_rows(messages, |messages| {
        answer.clear();
        let decided = policy.plan(NOW_MS, messages, &table, &mut answer);
        check.correct(messages.rows, &table, &mut answer, &mut order);
        decided == Decided::Policy
    })
}

/// Nanoseconds a new group on a queue with so many consumers, likewise.
pub fn cost_groups(policy: &mut dyn GroupAssignment, consumers: u32) -> Option<Cost> {
    let row = |slot: u32| ConsumerRow { slot, credit: 1_000, in_flight: slot % 7, priority: 0 };
    let table: Vec<_> = (0..consumers).map(row).collect();
    let member = |row: &ConsumerRow| {
        let client_id = format!("client-{}", row.slot).into();
        MemberChange::Joined(Member { slot: row.slot, client_id, selector: None, is_network: false })
    };
    policy.members_changed(&table.iter().map(member).collect::<Vec<_>>());
    let hash: Vec<u64> = (0..128).map(|group: u64| group_hash(&group.to_string())).collect();
    let (queued, owned) = (vec![1; hash.len()], vec![300; table.len()]);
    let (mut check, mut owners, mut cost) = (GroupCheck::new(), Vec::new(), Cost::default());
    for (rows, cost) in COST_ROWS.into_iter().zip(&mut cost) {
        let batch = GroupBatch {
            now_ms: NOW_MS,
            hash: &hash[..rows],
            queued: &queued[..rows],
            consumers: &table,
            owned: &owned,
            ..GroupBatch::default()
        };
        let nanoseconds = best(|| {
            let decided = policy.assign(&batch, &mut owners);
            check.owners(&batch, &mut owners);
            decided == Decided::Policy
        })?;
        *cost = nanoseconds / rows as f64;
    }
    Some(cost)
}

/// Nanoseconds a message that is sent, likewise.
pub fn cost_routing(policy: &mut dyn PublishRouting, messages: &CostMessages) -> Option<Cost> {
    let check = RouteCheck { targets_max: 64, reason_bytes_max: 1_024 };
    let mut verdicts = Vec::new();
    by_rows(messages, |messages| {
        let decided = policy.route(NOW_MS, messages, &mut verdicts);
        check.correct(messages.rows, &mut verdicts, |_| true);
        decided == Decided::Policy
    })
}

/// Nanoseconds a message that may cross, likewise.
pub fn cost_network(policy: &mut dyn NetworkFilter, messages: &CostMessages) -> Option<Cost> {
    let check = CrossingCheck { edits_max: 64, text_bytes_max: 4_096 };
    let peer = Peer { broker: "north".into(), connector: "to-north".into() };
    let mut crossings = Vec::new();
    by_rows(messages, |messages| {
        let decided = policy.messages(NOW_MS, &peer, messages, &mut crossings);
        check.correct(messages.rows, &mut crossings);
        decided == Decided::Policy
    })
}

/// What an auth policy costs; nothing for what it has no say in.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AuthCost {
    /// Nanoseconds a login.
    pub login: Option<f64>,
    /// Nanoseconds a right, asked for one or more at a time.
    pub rights: Option<Cost>,
    /// Nanoseconds a message.
    pub messages: Option<Cost>,
}

/// Measures all that an auth policy has a say in; `None` if it did not answer.
pub fn cost_auth(policy: &dyn AuthPolicy, messages: &CostMessages) -> Option<AuthCost> {
    let Decides { logins, rights, messages: sent } = policy.decides();
    let name = messages.words.first().cloned().unwrap_or_default();
    let (who, now_ms) = (Principal { name, groups: messages.words.iter().take(2).cloned().collect() }, NOW_MS as i64);
    let mut cost = AuthCost::default();
    if logins {
        let login = Login {
            user: Some(&who.name),
            password: Some(Password("a password of some length")),
            has_password: true,
            protocol: "openwire",
            connector: "tcp",
            remote: "tcp://10.1.2.3:45678",
            proofs: Proofs { password: true, ..Proofs::default() },
            ..Login::default()
        };
        cost.login = Some(best(|| policy.authenticate(&login, now_ms).is_ok())?);
    }
    if rights {
        let mut answers = Vec::new();
        cost.rights = Some(by_rows(messages, |messages| {
            let request = Request { action: Action::Write, kind: Kind::Queue, name: "ORDERS.EU" };
            policy.authorize(&who, &vec![request; messages.rows], now_ms, &mut answers).is_ok()
        })?);
    }
    if sent {
        let mut judgements = Vec::new();
        cost.messages =
            Some(by_rows(messages, |messages| policy.check_messages(&who, messages, now_ms, &mut judgements).is_ok())?);
    }
    Some(cost)
}

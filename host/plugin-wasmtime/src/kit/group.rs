//! Message groups, judged.

use std::collections::BTreeSet;

use plugin::{
    ConsumerRow, GROUP_ROWS_MAX, GroupAssignment, GroupBatch, GroupCheck, GroupMove, LEAVE, Member, MemberChange,
    PolicyError, PolicyHost, PolicyStats, group_hash,
};

use crate::WasmHost;
use crate::kit::contract::{Finding, JUDGED, Outcome, Subject, answered};
use crate::kit::questions::{Ground, PLACE, Questions, Size};
use crate::kit::rows::BEGIN_MS;
use crate::kit::traffic::Random;

/// Groups that have owners in the largest question.
const OWNED_MAX: usize = 4_096;
/// Consumers at most.
const CONSUMERS_MAX: usize = 150;
/// A policy that gave a group no owner although everything was there is asked so often again.
const TRIES: u64 = 100;
/// Client ids of consumers.
const CLIENT_IDS: [&str; 5] = ["", "gold", "ID:big-1", "ID:big-2", "größer"];

/// Consumers of one queue that come and go, groups without an owner, and groups that have one.
pub(super) struct GroupQuestions {
    random: Random,
    now_ms: u64,
    consumers: Vec<ConsumerRow>,
    slot_next: u32,
    /// Groups that need an owner.
    free: Columns,
    /// Groups that have one.
    owned: Columns,
    /// Groups of each consumer.
    counts: Vec<u32>,
    /// The answer about the free ones, once it is there: the policy is not asked twice.
    assigned: Option<Vec<u32>>,
    check: GroupCheck,
}

/// Groups in columns.
#[derive(Default)]
struct Columns {
    hash: Vec<u64>,
    queued: Vec<u32>,
    owners: Vec<u32>,
    candidates: Vec<u64>,
}

impl GroupQuestions {
    fn batch<'a>(&'a self, groups: &'a Columns) -> GroupBatch<'a> {
        GroupBatch {
            now_ms: self.now_ms,
            hash: &groups.hash,
            queued: &groups.queued,
            owners: &groups.owners,
            candidates: &groups.candidates,
            consumers: &self.consumers,
            owned: &self.counts,
        }
    }

    fn groups(&mut self, rows: usize, have_owners: bool) -> Columns {
        let random = &mut self.random;
        let consumers = &self.consumers;
        let words = if random.below(3) == 0 && !have_owners { rows * consumers.len().div_ceil(64) } else { 0 };
        // A group is asked about once.
        let first = random.below(1 << 40);
        Columns {
            hash: (0..rows as u64).map(|at| group_hash(&(first + at).to_string())).collect(),
            queued: (0..rows).map(|_| random.pick(&[1, 1, 2, 500])).collect(),
            candidates: (0..words).map(|_| random.below(u64::MAX)).collect(),
            owners: match have_owners {
                true => (0..rows).map(|_| consumers[random.below(consumers.len() as u64) as usize].slot).collect(),
                false => Vec::new(),
            },
        }
    }

    /// Consumers join and leave.
    fn members(&mut self, size: Size) -> Vec<MemberChange> {
        let (random, mut changes) = (&mut self.random, Vec::new());
        let joining = match size {
            Size::Largest => CONSUMERS_MAX - self.consumers.len(),
            Size::Empty => 0,
            Size::Random => random.pick(&[0, 0, 0, 1, 2, 60]).min(CONSUMERS_MAX - self.consumers.len()),
        };
        for _ in 0..joining {
            self.slot_next += 1 + random.below(3) as u32;
            let (slot, priority) = (self.slot_next, random.pick(&[0, 0, 0, 4, -5]));
            self.consumers.push(ConsumerRow { slot, credit: 0, in_flight: 0, priority });
            let client_id = random.pick(&CLIENT_IDS).into();
            changes.push(MemberChange::Joined(Member { slot, client_id, selector: None, is_network: false }));
        }
        while size == Size::Empty && !self.consumers.is_empty()
            || size == Size::Random && random.below(5) < 2 && !self.consumers.is_empty()
        {
            let at = random.below(self.consumers.len() as u64) as usize;
            changes.push(MemberChange::Left(self.consumers.remove(at).slot));
        }
        for consumer in &mut self.consumers {
            consumer.credit = random.below(4) as u32;
            consumer.in_flight = random.below(9) as u32;
        }
        changes
    }
}

impl Questions for GroupQuestions {
    type Policy = Box<dyn GroupAssignment>;
    type Answer = (Vec<u32>, Vec<GroupMove>);
    const RIGHT: &'static str = "each group has an answer, and owners and moves name consumers that may have it";
    const READS: bool = false;

    fn new(seed: u64, _ground: &Ground) -> GroupQuestions {
        GroupQuestions {
            random: Random(seed),
            now_ms: BEGIN_MS,
            consumers: Vec::new(),
            slot_next: 0,
            free: Columns::default(),
            owned: Columns::default(),
            counts: Vec::new(),
            assigned: None,
            check: GroupCheck::new(),
        }
    }

    fn policy(host: &WasmHost, name: &str, place: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        host.group_assignment(name, place)
    }

    fn draw(&mut self, size: Size, policy: &mut Box<dyn GroupAssignment>) {
        self.now_ms += self.random.below(1_000);
        let changes = self.members(size);
        policy.members_changed(&changes);
        let (free, owned) = match size {
            Size::Random => (self.random.pick(&[0, 1, 1, 8, 60]), self.random.pick(&[0, 1, 20, 300])),
            Size::Empty => (0, 0),
            Size::Largest => (GROUP_ROWS_MAX, OWNED_MAX),
        };
        self.free = self.groups(free, false);
        let owned = if self.consumers.is_empty() { 0 } else { owned };
        self.owned = self.groups(owned, true);
        let count = |row: &ConsumerRow| self.owned.owners.iter().filter(|owner| **owner == row.slot).count() as u32;
        self.counts = self.consumers.iter().map(count).collect();
        self.assigned = None;
    }

    fn ask(&mut self, policy: &mut Box<dyn GroupAssignment>) -> Result<Self::Answer, String> {
        if self.assigned.is_none() {
            let mut owners = Vec::new();
            answered(policy.assign(&self.batch(&self.free), &mut owners))?;
            self.assigned = Some(owners);
        }
        let mut moves = Vec::new();
        if policy.rebalances() {
            answered(policy.rebalance(&self.batch(&self.owned), &mut moves))?;
        }
        Ok((self.assigned.take().unwrap_or_default(), moves))
    }

    fn judge(&mut self, (owners, moves): &Self::Answer) -> Result<(), String> {
        let mut check = std::mem::take(&mut self.check);
        let of_owners = check.owners(&self.batch(&self.free), &mut owners.clone());
        let of_moves = check.moves(&self.batch(&self.owned), &mut moves.clone());
        self.check = check;
        match (of_owners.total(), of_moves.total()) {
            (0, 0) => Ok(()),
            (0, _) => Err(format!("has moves that cannot be: {of_moves:?}")),
            _ => Err(format!("has owners that cannot be: {of_owners:?}")),
        }
    }

    fn rows(&self) -> usize {
        self.free.hash.len() + self.owned.hash.len()
    }

    fn wanted(&self, policy: &Box<dyn GroupAssignment>) -> BTreeSet<String> {
        policy.rebalances().then(|| "rebalance".to_owned()).into_iter().collect()
    }

    fn stats(policy: &Box<dyn GroupAssignment>) -> PolicyStats {
        policy.stats()
    }

    fn own(_subject: &Subject<'_>, host: &WasmHost, _ground: &Ground) -> Result<Vec<Finding>, PolicyError> {
        let outcome = owns(host)?;
        Ok(vec![Finding { check: "a group gets an owner where a consumer has credit".into(), outcome }])
    }
}

fn owns(host: &WasmHost) -> Result<Outcome, PolicyError> {
    let mut policy = host.group_assignment(JUDGED, PLACE)?;
    let member = Member { slot: 7, client_id: "gold".into(), selector: None, is_network: false };
    policy.members_changed(&[MemberChange::Joined(member)]);
    let consumers = [ConsumerRow { slot: 7, credit: 10, in_flight: 0, priority: 0 }];
    let hash = [group_hash("a group")];
    let mut owners = Vec::new();
    for at in 0..TRIES {
        let now_ms = BEGIN_MS + at * 1_000;
        let batch = GroupBatch {
            now_ms,
            hash: &hash,
            queued: &[1],
            consumers: &consumers,
            owned: &[0],
            ..GroupBatch::default()
        };
        policy.assign(&batch, &mut owners);
        if owners.iter().any(|slot| *slot != LEAVE) {
            return Ok(Outcome::Kept(format!("at call {}", at + 1)));
        }
    }
    let what = format!("one group, one consumer with credit, and no owner in {TRIES} calls");
    Ok(Outcome::Broken(format!("{what}; such a group stands still")))
}

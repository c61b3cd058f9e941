//! Queue dispatch, judged.

use std::collections::BTreeSet;

use plugin::{
    ConsumerRow, DispatchBatch, LEAVE, Member, MemberChange, PlanCheck, PolicyError, PolicyHost, PolicyStats,
    QueueDispatch,
};

use crate::WasmHost;
use crate::kit::contract::{Finding, JUDGED, Outcome, Subject, answered};
use crate::kit::questions::{Ground, PLACE, Questions, Size};
use crate::kit::traffic::{Headers, Traffic, absent};

/// A policy that gave nothing although everything was there is asked so often again.
const TRIES: u64 = 100;

pub(super) struct QueueQuestions {
    traffic: Traffic,
    changes: Vec<MemberChange>,
    check: PlanCheck,
    rows: usize,
}

impl Questions for QueueQuestions {
    type Policy = Box<dyn QueueDispatch>;
    type Answer = Vec<u32>;
    const RIGHT: &'static str = "each row has an answer, and none has to be corrected";
    const READS: bool = false;

    fn new(seed: u64, ground: &Ground) -> QueueQuestions {
        QueueQuestions {
            traffic: Traffic::new(seed, &ground.symbols),
            changes: Vec::new(),
            check: PlanCheck::new(),
            rows: 0,
        }
    }

    fn policy(host: &WasmHost, name: &str, place: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        host.queue_dispatch(name, place)
    }

    fn draw(&mut self, size: Size, policy: &mut Box<dyn QueueDispatch>) {
        let rows = self.traffic.step(&**policy, &mut self.changes);
        policy.members_changed(&self.changes);
        self.rows = match size {
            Size::Random => rows.min(policy.rows_max()),
            Size::Empty => 0,
            Size::Largest => policy.rows_max(),
        };
        if self.rows != rows {
            self.traffic.resize(&**policy, self.rows);
        }
    }

    fn ask(&mut self, policy: &mut Box<dyn QueueDispatch>) -> Result<Vec<u32>, String> {
        let mut plan = Vec::new();
        answered(policy.plan(&self.traffic.batch(self.rows), &mut plan))?;
        Ok(plan)
    }

    fn judge(&mut self, answer: &Vec<u32>) -> Result<(), String> {
        let corrections = self.check.correct(&self.traffic.batch(self.rows), &mut answer.clone());
        if corrections.total() == 0 { Ok(()) } else { Err(format!("was corrected: {corrections:?}")) }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn wanted(&self, policy: &Box<dyn QueueDispatch>) -> BTreeSet<String> {
        let columns = format!("{:?}", policy.wants());
        policy.properties().iter().map(|property| format!("{property:?}")).chain([columns]).collect()
    }

    fn stats(policy: &Box<dyn QueueDispatch>) -> PolicyStats {
        policy.stats()
    }

    fn own(_subject: &Subject<'_>, host: &WasmHost, _ground: &Ground) -> Result<Vec<Finding>, PolicyError> {
        let outcome = gives(host)?;
        Ok(vec![Finding { check: "a consumer with credit is given something".into(), outcome }])
    }
}

fn gives(host: &WasmHost) -> Result<Outcome, PolicyError> {
    let mut policy = host.queue_dispatch(JUDGED, PLACE)?;
    let member = Member { slot: 7, client_id: "gold".into(), selector: None, is_network: false };
    policy.members_changed(&[MemberChange::Joined(member)]);
    let consumers = [ConsumerRow { slot: 7, credit: 10, in_flight: 0, priority: 0 }];
    let mut plan = Vec::new();
    for now in 0..TRIES {
        let properties: Vec<_> = policy.properties().iter().map(|property| absent(property.form, 4)).collect();
        let wants_pace = policy.wants().contains(plugin::Columns::ACK_INTERVAL);
        let ack_interval = vec![0; usize::from(wants_pace)];
        let headers = Headers::plain(policy.wants(), 4);
        let batch = DispatchBatch {
            properties: &properties,
            ack_interval: &ack_interval,
            ..headers.shown(DispatchBatch::new(now * 1_000, 4, &consumers))
        };
        policy.plan(&batch, &mut plan);
        if plan.iter().any(|slot| *slot != LEAVE) {
            return Ok(Outcome::Kept(format!("at call {}", now + 1)));
        }
    }
    let what = format!("4 plain messages, one consumer with credit, and nothing given in {TRIES} calls");
    Ok(Outcome::Broken(format!("{what}; such a queue stands still")))
}

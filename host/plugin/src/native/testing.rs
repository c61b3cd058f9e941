//! Short words for the tests of the twins.

use crate::{ConsumerRow, DispatchBatch, Member, MemberChange, QueueDispatch};

pub(super) fn make(policy: &str, settings: &[(&str, &str)]) -> Box<dyn QueueDispatch> {
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    super::twin(policy).expect("a stock policy").make(&settings).expect("good settings")
}

pub(super) fn consumer(slot: u32, credit: u32, priority: i16) -> ConsumerRow {
    ConsumerRow { slot, credit, in_flight: 0, priority }
}

pub(super) fn joined(slot: u32, client_id: &str) -> MemberChange {
    MemberChange::Joined(Member { slot, client_id: client_id.into(), selector: None, is_network: false })
}

pub(super) fn plan(policy: &mut dyn QueueDispatch, consumers: &[ConsumerRow], rows: usize) -> Vec<u32> {
    let mut out = vec![];
    policy.plan(&DispatchBatch::new(0, rows, consumers), &mut out);
    out
}

//! Home first: a message goes to a consumer of its own region, the one that was served least; where there is none, to the
//! one of all that was served least.
//!
//! A consumer's region is its client id up to the first dot; a message's is a property. Setting: `property` = `region`.
//! The state is how often each consumer was served.

use std::collections::BTreeMap;

use jackfield_policy::{Batch, Change, Give, Property, QueuePolicy, Settings, export_queue_policy, text};

#[derive(Default)]
struct Member {
    region: String,
    served: u32,
    is_here: bool,
}

#[derive(Default)]
struct HomeFirst {
    property: String,
    members: BTreeMap<u32, Member>,
    regions: BTreeMap<u32, String>,
    /// A state was taken over: who is in it and was not heard of before the next plan is gone.
    is_restored: bool,
}

impl QueuePolicy for HomeFirst {
    const ROWS_MAX: u32 = 256;
    const STATE_VERSION: u8 = 1;

    fn configure(&mut self, settings: &mut Settings) {
        self.property = settings.text("property", "region");
    }

    fn properties(&self) -> Vec<Property> {
        vec![Property::symbol(&self.property)]
    }

    fn members_changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Joined(consumer) => {
                    let member = self.members.entry(consumer.slot).or_default();
                    member.is_here = true;
                    member.region = consumer.client_id.split('.').next().unwrap_or_default().to_owned();
                }
                Change::Left(slot) => drop(self.members.remove(&slot)),
            }
        }
    }

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        if std::mem::take(&mut self.is_restored) {
            self.members.retain(|_, member| member.is_here);
        }
        let symbols = batch.symbols(0);
        for row in 0..batch.rows() {
            let symbol = symbols.get(row).copied().unwrap_or(0);
            let home = self.regions.entry(symbol).or_insert_with(|| text(symbol));
            let served_first = |at: &usize| {
                let member = self.members.get(&batch.consumers.slots[*at])?;
                let is_home = !home.is_empty() && member.region == *home;
                Some((!is_home, member.served))
            };
            let open = (0..batch.consumers.slots.len()).filter(|at| give.may_take(batch, row, *at));
            let Some(at) = open.filter(|at| served_first(at).is_some()).min_by_key(|at| served_first(at)) else { continue };
            give.give(batch, row, at);
            if let Some(member) = self.members.get_mut(&batch.consumers.slots[at]) {
                member.served = member.served.saturating_add(1);
            }
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let pair = |(slot, member): (&u32, &Member)| [slot.to_le_bytes(), member.served.to_le_bytes()].concat();
        self.members.iter().flat_map(pair).collect()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let (pairs, rest) = state.as_chunks::<8>();
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let member = |pair: &[u8; 8]| (number(&pair[..4]), Member { served: number(&pair[4..]), ..Member::default() });
        self.members = pairs.iter().map(member).collect();
        self.is_restored = true;
        rest.is_empty()
    }
}

export_queue_policy!(HomeFirst);

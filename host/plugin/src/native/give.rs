//! What the native twins have in common: the budget of a batch, and the frame around a policy.

use super::settings::{SettingFault, Settings};
use crate::{Columns, Decided, DispatchBatch, LEAVE, MemberChange, PolicyStats, Property, QueueDispatch};

/// The answer while it is built: what is left of each credit, and a slot per row.
#[derive(Debug, Default)]
pub(super) struct Give {
    credit: Vec<u32>,
    /// Credit of all consumers together.
    left: u64,
    slots: Vec<u32>,
}

impl Give {
    fn begin(&mut self, batch: &DispatchBatch<'_>) {
        self.credit.clear();
        self.credit.extend(batch.consumers.iter().map(|row| row.credit));
        self.left = self.credit.iter().copied().map(u64::from).sum();
        self.slots.clear();
        self.slots.resize(batch.rows, LEAVE);
    }

    /// True if any consumer has credit left.
    pub(super) fn any_credit(&self) -> bool {
        self.left > 0
    }

    /// True if the consumer at index `at` has credit left and may take `row`.
    pub(super) fn may_take(&self, batch: &DispatchBatch<'_>, row: usize, at: usize) -> bool {
        self.credit[at] > 0 && batch.is_candidate(row, at)
    }

    /// Unacknowledged messages of the consumer at index `at`, those of this answer included.
    pub(super) fn in_flight(&self, batch: &DispatchBatch<'_>, at: usize) -> u64 {
        let consumer = &batch.consumers[at];
        u64::from(consumer.in_flight) + u64::from(consumer.credit - self.credit[at])
    }

    /// Gives `row` to the consumer at index `at`, which [`may_take`](Self::may_take) it.
    pub(super) fn give(&mut self, batch: &DispatchBatch<'_>, row: usize, at: usize) {
        self.credit[at] -= 1;
        self.left -= 1;
        self.slots[row] = batch.consumers[at].slot;
    }
}

/// Goes round the consumers: a search begins behind the one that was served last.
#[derive(Debug, Default)]
pub(super) struct Turn {
    next: usize,
}

impl Turn {
    /// Indices of the table in turn.
    pub(super) fn order(&mut self, batch: &DispatchBatch<'_>) -> impl Iterator<Item = usize> + use<> {
        let count = batch.consumers.len();
        if self.next >= count {
            self.next = 0;
        }
        (self.next..count).chain(0..self.next)
    }

    /// The consumer at index `at` was served.
    pub(super) fn served(&mut self, at: usize) {
        self.next = at + 1;
    }

    /// Gives `row` to the consumer of the highest priority, then with the fewest messages in flight, then next in turn.
    /// False if none may take it.
    pub(super) fn give_least_loaded(&mut self, batch: &DispatchBatch<'_>, give: &mut Give, row: usize) -> bool {
        let mut best: Option<(usize, i16, u64)> = None;
        for at in self.order(batch) {
            if !give.may_take(batch, row, at) {
                continue;
            }
            let (priority, load) = (batch.consumers[at].priority, give.in_flight(batch, at));
            if best.is_none_or(|(_, p, l)| priority > p || priority == p && load < l) {
                best = Some((at, priority, load));
            }
        }
        let Some((at, ..)) = best else { return false };
        give.give(batch, row, at);
        self.served(at);
        true
    }
}

/// A policy without its frame.
pub(super) trait Plan: Default + Send {
    /// The most rows of a plan.
    const ROWS_MAX: usize = super::NATIVE_ROWS_MAX;
    /// The columns that it reads.
    const COLUMNS: Columns = Columns::NONE;

    /// Takes all the settings, those that are not there by their defaults.
    fn configure(&mut self, settings: &mut Settings<'_>);

    /// The message properties that it reads; they may depend on the settings.
    fn properties(&self) -> Vec<Property> {
        Vec::new()
    }

    /// Consumers came or went.
    fn members_changed(&mut self, _changes: &[MemberChange]) {}

    /// Gives rows to consumers; a row that is not given stays where it is.
    fn plan(&mut self, batch: &DispatchBatch<'_>, give: &mut Give);
}

/// A policy in its frame.
#[derive(Debug)]
pub(super) struct Native<P> {
    plan: P,
    properties: Vec<Property>,
    give: Give,
    stats: PolicyStats,
}

impl<P: Plan> Native<P> {
    pub(super) fn new(settings: &[(String, String)]) -> Result<Native<P>, Vec<SettingFault>> {
        let mut plan = P::default();
        let mut settings = Settings::new(settings);
        plan.configure(&mut settings);
        let faults = settings.finish();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Native { properties: plan.properties(), plan, give: Give::default(), stats: PolicyStats::default() })
    }
}

impl<P: Plan> QueueDispatch for Native<P> {
    fn wants(&self) -> Columns {
        P::COLUMNS
    }

    fn properties(&self) -> &[Property] {
        &self.properties
    }

    fn rows_max(&self) -> usize {
        P::ROWS_MAX
    }

    fn members_changed(&mut self, changes: &[MemberChange]) {
        self.plan.members_changed(changes);
    }

    fn plan(&mut self, batch: &DispatchBatch<'_>, out: &mut Vec<u32>) -> Decided {
        self.give.slots = std::mem::take(out);
        self.give.begin(batch);
        self.plan.plan(batch, &mut self.give);
        *out = std::mem::take(&mut self.give.slots);
        self.stats.count(batch.rows, Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

/// The column of the policy's only property as hashes; zeros if the core did not fill it, so that nothing is known.
pub(super) fn hash_of(batch: &DispatchBatch<'_>, row: usize) -> i64 {
    batch.properties.first().and_then(|column| column.hashes().get(row)).copied().unwrap_or(0)
}

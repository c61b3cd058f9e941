//! Broken promises on the broker's behalf, to prove that the checker sees them.

use std::sync::Arc;

use bytes::Bytes;
use message::{ConnectionKey, Event, Message, Record};

use crate::rng::Rng;

/// What is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing.
    #[default]
    None,
    /// Everything counts as durable before it is.
    ConfirmEarly,
    /// Some deliveries come twice.
    Duplicate,
    /// Some stored messages never reach the journal.
    Lose,
    /// Some acknowledgements never reach the journal.
    Resurrect,
    /// Redeliveries are not marked.
    Unmark,
    /// Some bodies are changed.
    Corrupt,
    /// Some deliveries change places.
    Reorder,
    /// Groups of several messages lose the last one.
    Tear,
    /// Redeliveries after a crash are forgotten: the journal is not told what was handed out.
    ForgetDispatched,
    /// Bodies of acknowledged messages stay.
    Leak,
}

impl Tamper {
    /// Whether the writer is passed over.
    pub(crate) fn confirms_early(self) -> bool {
        self == Tamper::ConfirmEarly
    }

    /// Whether the journal gets what the broker said.
    pub(crate) fn is_honest_on_disk(self) -> bool {
        !matches!(self, Tamper::Lose | Tamper::Resurrect | Tamper::Tear | Tamper::ForgetDispatched | Tamper::Leak)
    }

    /// Breaks a group on its way to the journal.
    pub(crate) fn group(self, rng: &mut Rng, group: &mut Vec<Record>) {
        match self {
            Tamper::Lose if rng.per_mille(100) => {
                group.retain(|record| !matches!(record, Record::Body { .. } | Record::Entry { .. }));
            }
            Tamper::Resurrect if rng.per_mille(100) => {
                group.retain(|record| !matches!(record, Record::EntryGone { .. } | Record::BodyGone { .. }));
            }
            Tamper::Tear => {
                let bodies = group.iter().filter_map(|record| match record {
                    Record::Body { sequence, .. } => Some(*sequence),
                    _ => None,
                });
                let bodies: Vec<_> = bodies.collect();
                if let [_, .., last] = bodies[..] {
                    group.retain(|record| match record {
                        Record::Body { sequence, .. } | Record::Entry { sequence, .. } => *sequence != last,
                        _ => true,
                    });
                }
            }
            Tamper::ForgetDispatched => {
                for record in group.iter_mut() {
                    if let Record::Entry { meta, .. } = record {
                        meta.maybe_delivered = false;
                    }
                }
                group.retain(|record| !matches!(record, Record::Dispatched { .. } | Record::Redeliveries { .. }));
            }
            Tamper::Leak if rng.per_mille(100) => {
                group.retain(|record| !matches!(record, Record::BodyGone { .. }));
            }
            _ => {}
        }
    }

    /// Breaks events on their way out.
    pub(crate) fn events(self, rng: &mut Rng, all: &mut [(ConnectionKey, Vec<Event>)]) {
        for (_, events) in all {
            match self {
                Tamper::Duplicate if rng.per_mille(50) => {
                    let copy = events.iter().find(|event| matches!(event, Event::Deliver(_))).cloned();
                    if let Some(Event::Deliver(mut delivery)) = copy {
                        let last = events.iter().filter_map(tag).max().unwrap_or(0);
                        delivery.tag = last + 1;
                        events.push(Event::Deliver(delivery));
                    }
                }
                Tamper::Unmark => {
                    for event in events.iter_mut() {
                        if let Event::Deliver(delivery) = event {
                            delivery.redeliveries = 0;
                        }
                    }
                }
                Tamper::Corrupt if rng.per_mille(20) => {
                    if let Some(Event::Deliver(delivery)) =
                        events.iter_mut().find(|event| matches!(event, Event::Deliver(_)))
                    {
                        let message = Message::clone(&delivery.message);
                        delivery.message = Arc::new(Message { content: Some(Bytes::from_static(b"rot")), ..message });
                    }
                }
                Tamper::Reorder if rng.per_mille(100) => swap_messages(events),
                _ => {}
            }
        }
    }
}

fn tag(event: &Event) -> Option<u64> {
    match event {
        Event::Deliver(delivery) => Some(delivery.tag),
        _ => None,
    }
}

/// The first two deliveries to one consumer change their messages.
fn swap_messages(events: &mut [Event]) {
    let deliveries: Vec<_> = (0..events.len()).filter(|at| tag(&events[*at]).is_some()).collect();
    let [first, second, ..] = deliveries[..] else { return };
    let (left, right) = events.split_at_mut(second);
    if let (Event::Deliver(one), Event::Deliver(two)) = (&mut left[first], &mut right[0])
        && one.subscription == two.subscription
    {
        std::mem::swap(&mut one.message, &mut two.message);
        std::mem::swap(&mut one.redeliveries, &mut two.redeliveries);
    }
}

//! One subscription: what it was delivered and may still acknowledge.

use std::collections::VecDeque;

use message::{Delivery, Destination, MessageId, SubscriptionKey, Text};

/// What an ACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckMode {
    /// Nobody says ACK; what was delivered is done with.
    Auto,
    /// ACK speaks for a message and all before it.
    Client,
    /// ACK speaks for one message.
    Individual,
}

/// A subscription of the connection.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) key: SubscriptionKey,
    /// As the client gave it; only 1.0 may leave it out.
    pub(super) id: Option<Text>,
    pub(super) ack: AckMode,
    pub(super) browser: bool,
    pub(super) destination: Destination,
    /// How the client wants bodies turned into text.
    pub(super) transformation: Option<Text>,
    /// Deliveries that may be acknowledged, tags rising. The broker machine keeps to the prefetch, which bounds it.
    pub(super) held: VecDeque<Held>,
    /// What was delivered before SUBSCRIBE was answered, so that RECEIPT goes first; `None` after that.
    pub(super) parked: Option<Vec<Delivery>>,
    /// The last message's destination, and its header.
    pub(super) spelled: Option<(Destination, String)>,
}

/// A delivery that may be acknowledged.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) tag: u64,
    /// What the client calls it before 1.2; later the tag is in the `ack` header.
    pub(super) message: Option<MessageId>,
}

impl Subscription {
    pub(super) fn find_tag(&self, tag: u64) -> Option<usize> {
        self.held.binary_search_by_key(&tag, |held| held.tag).ok()
    }

    pub(super) fn find_message(&self, id: &MessageId, text: &str) -> Option<usize> {
        self.held.iter().position(|held| {
            held.message.as_ref().is_some_and(|have| match &have.text_view {
                Some(view) => *view == *text,
                None => have.sequence == id.sequence && have.producer == id.producer,
            })
        })
    }

    /// Takes out what an ACK for the delivery at `index` speaks for.
    pub(super) fn acked(&mut self, index: usize) -> Vec<Held> {
        match self.ack {
            AckMode::Client => self.held.drain(..=index).collect(),
            AckMode::Auto | AckMode::Individual => self.held.remove(index).into_iter().collect(),
        }
    }

    /// Puts back what a rolled-back transaction had acknowledged.
    pub(super) fn put_back(&mut self, held: Held) {
        let at = self.held.partition_point(|have| have.tag < held.tag);
        self.held.insert(at, held);
    }
}

/// The unbroken ranges of tags in what an ACK speaks for.
pub(super) fn ranges(held: &[Held]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::with_capacity(1);
    for one in held {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == one.tag => *last = one.tag,
            _ => ranges.push((one.tag, one.tag)),
        }
    }
    ranges
}

/// Writes the value of a 1.2 `ack` header.
pub(super) fn write_ack_id(key: SubscriptionKey, tag: u64, into: &mut String) {
    use std::fmt::Write;
    // Writing to a string does not fail.
    let _ = write!(into, "{key}-{tag}");
}

/// Reads it back.
pub(super) fn read_ack_id(text: &str) -> Option<(SubscriptionKey, u64)> {
    let (key, tag) = text.split_once('-')?;
    Some((key.parse().ok()?, tag.parse().ok()?))
}

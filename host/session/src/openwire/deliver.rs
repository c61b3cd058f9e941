//! Messages go out.

use message::{Ack, AckKind, Command as Ask, Delivery, Refusal, RefusalKind};
use wire::openwire::{Dispatch, Header};

use super::{OpenWireSession, advisory, convert};
use crate::Output;

impl OpenWireSession {
    pub(super) fn deliver(&mut self, delivery: &Delivery, now_ms: i64, out: &mut Output) {
        let key = delivery.subscription;
        let Some(consumer) = self.client.consumers.get_mut(&key).filter(|consumer| !consumer.closed) else {
            return; // Sent before the broker machine knew that the consumer has gone; it takes the message back.
        };
        if consumer.held.len() >= self.options.held_max {
            self.stats.limit_hit = Some("held_max");
            let limit = self.options.held_max;
            let text = format!("a consumer holds {limit} unacknowledged messages (held_max); acknowledge them");
            let why = Refusal::new(RefusalKind::ResourceAllocation, text);
            self.complain(why.clone().into(), out);
            return self.close(why, out);
        }
        let mut message = convert::message_out(&delivery.message, delivery.redeliveries, now_ms);
        message.group_first_for_consumer = delivery.group_first;
        if let Some(subject) = &delivery.message.advisory {
            advisory::render(subject, &self.config.broker, &mut message);
        }
        let destination = message.destination.clone().unwrap_or_default();
        let dispatch = Dispatch {
            header: Header::default(),
            consumer_id: &consumer.id,
            destination: &destination,
            message: Some(&message),
            redelivery_counter: message.redelivery_counter,
        };
        match self.format.encode_dispatch(&dispatch, &mut out.bytes) {
            Ok(()) => {
                if let Some(id) = &message.message_id {
                    consumer.held.push(delivery.tag, id);
                }
                self.stats.frames_out += 1;
                self.stats.messages_out += 1;
            }
            // The peer's version or frame limit cannot carry it, and never will: it must not block those behind it.
            Err(error) => out.commands.push(Ask::Ack(Ack {
                subscription: key,
                kind: AckKind::Poison,
                first: delivery.tag,
                last: delivery.tag,
                transaction: None,
                cause: Some(format!("the message cannot be sent to its consumer: {error}").into()),
                receipt: None,
            })),
        }
    }
}

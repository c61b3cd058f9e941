//! Advisories as STOMP clients see them: the subject as a small JSON text, named like ActiveMQ's commands.

use std::fmt::Write;

use message::{Advisory, Destination, ProducerId};

/// Appends the body of an advisory.
pub(super) fn write(advisory: &Advisory, into: &mut String) {
    match advisory {
        Advisory::Destination { destination, connection, removed } => object(into, "DestinationInfo", |json| {
            json.text("connectionId", connection);
            json.destination("destination", destination);
            json.raw("operationType", u8::from(*removed));
        }),
        Advisory::ConnectionAdded { connection, client_id, user, remote } => object(into, "ConnectionInfo", |json| {
            json.text("connectionId", connection);
            json.optional("clientId", client_id.as_deref());
            json.optional("userName", user.as_deref());
            json.text("clientIp", remote);
        }),
        Advisory::ConnectionRemoved { connection } => {
            object(into, "RemoveInfo", |json| json.text("objectId", connection));
        }
        Advisory::ConsumerAdded {
            consumer,
            destination,
            selector,
            prefetch,
            durable_name,
            browser,
            priority,
            exclusive,
            no_local,
            client_id,
        } => object(into, "ConsumerInfo", |json| {
            json.id("consumerId", consumer);
            json.raw("browser", browser);
            json.destination("destination", destination);
            json.raw("prefetchSize", prefetch);
            json.optional("selector", selector.as_deref());
            json.optional("clientId", client_id.as_deref());
            json.optional("subscriptionName", durable_name.as_deref());
            json.raw("noLocal", no_local);
            json.raw("exclusive", exclusive);
            json.raw("priority", priority);
        }),
        Advisory::ConsumerRemoved { consumer } => object(into, "RemoveInfo", |json| json.id("objectId", consumer)),
        Advisory::ProducerAdded { producer, destination } => object(into, "ProducerInfo", |json| {
            json.id("producerId", producer);
            if let Some(destination) = destination {
                json.destination("destination", destination);
            }
        }),
        Advisory::ProducerRemoved { producer } => object(into, "RemoveInfo", |json| json.id("objectId", producer)),
        // ActiveMQ sends it without a body.
        Advisory::MasterBroker => {}
        Advisory::Message(message) => object(into, "Message", |json| {
            json.text("messageId", &message.id.to_string());
            json.destination("destination", &message.destination);
        }),
    }
}

/// Writes `{"<name>":{…}}`.
fn object(into: &mut String, name: &str, fields: impl FnOnce(&mut Object<'_>)) {
    into.push('{');
    quoted(into, name);
    into.push_str(":{");
    fields(&mut Object { into, first: true });
    into.push_str("}}");
}

struct Object<'s> {
    into: &'s mut String,
    first: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.into.push(',');
        }
        quoted(self.into, name);
        self.into.push(':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quoted(self.into, value);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A number or a truth value.
    fn raw(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        // Writing to a string does not fail.
        let _ = write!(self.into, "{value}");
    }

    fn destination(&mut self, name: &str, value: &Destination) {
        self.text(name, &value.to_string());
    }

    fn id(&mut self, name: &str, value: &ProducerId) {
        self.text(name, &value.to_string());
    }
}

fn quoted(into: &mut String, text: &str) {
    into.push('"');
    for c in text.chars() {
        match c {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(into, "\\u{:04x}", c as u32);
            }
            c => into.push(c),
        }
    }
    into.push('"');
}

//! Advisories as ActiveMQ's clients expect them (rows E01, E02, E10): the command that happened, in a message.

use message::{Advisory, ProducerId, Properties, Text, Value};
use wire::openwire::{
    Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, DestinationInfo, Message, ObjectId, ProducerInfo,
    RemoveInfo,
};

use super::convert;
use crate::BrokerInfo;

/// Nothing is known of what the object's application saw.
const LAST_DELIVERED_UNKNOWN: i64 = -2;

/// Puts the subject, and who tells it, into the message.
pub(super) fn render(subject: &Advisory, broker: &BrokerInfo, message: &mut Message) {
    message.data_structure = command(subject).map(Box::new);
    message.message_type.get_or_insert(Text::from_static("Advisory"));
    let limits = message::properties::Limits::default();
    let given = message.properties.take().unwrap_or_default();
    let mut properties = Properties::from_encoded(given, &limits).unwrap_or_default();
    for (name, value) in
        [("originBrokerId", &broker.id), ("originBrokerName", &broker.name), ("originBrokerURL", &broker.url)]
    {
        if properties.get(name).is_none() {
            properties = properties.with(name, &Value::Text((&**value).into()));
        }
    }
    message.properties = properties.encoded().cloned();
}

/// `None` where the message alone says it.
fn command(subject: &Advisory) -> Option<Command> {
    let command = match subject {
        Advisory::Destination { destination, connection, removed } => DestinationInfo {
            connection_id: Some(ConnectionId { value: connection.clone() }),
            destination: Some(convert::destination_out(destination)),
            operation: u8::from(*removed),
            ..DestinationInfo::default()
        }
        .into(),
        Advisory::ConnectionAdded { connection, client_id, user, remote } => ConnectionInfo {
            connection_id: Some(ConnectionId { value: connection.clone() }),
            client_id: client_id.clone(),
            user_name: user.clone(),
            client_ip: Some(remote.clone()),
            ..ConnectionInfo::default()
        }
        .into(),
        Advisory::ConnectionRemoved { connection } => {
            removed(ObjectId::Connection(ConnectionId { value: connection.clone() }))
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
        } => ConsumerInfo {
            consumer_id: Some(consumer_id(consumer)),
            destination: Some(convert::destination_out(destination)),
            selector: selector.clone(),
            prefetch_size: i32::try_from(*prefetch).unwrap_or(i32::MAX),
            subscription_name: durable_name.clone(),
            browser: *browser,
            priority: *priority as u8,
            exclusive: *exclusive,
            no_local: *no_local,
            client_id: client_id.clone(),
            ..ConsumerInfo::default()
        }
        .into(),
        Advisory::ConsumerRemoved { consumer } => removed(ObjectId::Consumer(consumer_id(consumer))),
        Advisory::ProducerAdded { producer, destination } => ProducerInfo {
            producer_id: Some(convert::producer_out(producer)),
            destination: destination.as_ref().map(convert::destination_out),
            ..ProducerInfo::default()
        }
        .into(),
        Advisory::ProducerRemoved { producer } => removed(ObjectId::Producer(convert::producer_out(producer))),
        Advisory::Message(about) => convert::message_out(about, about.redelivery_count, about.broker_in_time).into(),
        Advisory::MasterBroker => return None,
    };
    Some(command)
}

fn removed(object_id: ObjectId) -> Command {
    let last_delivered_sequence_id = LAST_DELIVERED_UNKNOWN;
    RemoveInfo { object_id: Some(object_id), last_delivered_sequence_id, ..RemoveInfo::default() }.into()
}

fn consumer_id(id: &ProducerId) -> ConsumerId {
    ConsumerId { connection: id.connection.clone(), session: id.session, value: id.value }
}

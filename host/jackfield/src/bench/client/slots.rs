//! The objects that OpenWire caches, as the generator writes them: which slot of the peer's cache each has.
//!
//! What does not fit below the negotiated size is sent whole each time.

use super::{Destination, marshal::Writer};

pub(crate) const QUEUE: u8 = 100;
pub(crate) const TOPIC: u8 = 101;
pub(crate) const LOCAL_TRANSACTION: u8 = 111;
pub(crate) const CONNECTION_ID: u8 = 120;
pub(crate) const CONSUMER_ID: u8 = 122;
pub(crate) const PRODUCER_ID: u8 = 123;

/// Null is cached as well: it is what most fields hold.
pub(crate) const NULL_SLOT: usize = 0;
const CONNECTION_SLOT: usize = 1;
const CONSUMER_SLOT: usize = 2;
const CONSUMER_SLOTS: usize = 98;
const DESTINATION_SLOT: usize = 100;
const DESTINATION_SLOTS: usize = 400;
/// Slot of our own producer; those of others follow it.
pub(crate) const PRODUCER_SLOT: usize = 500;

pub(crate) fn connection_id(writer: &mut Writer, connection: &str) {
    writer.cached(Some(CONNECTION_SLOT), |writer| {
        writer.nested(CONNECTION_ID);
        writer.string(Some(connection));
    });
}

pub(crate) fn producer_id(writer: &mut Writer, slot: usize, connection: &str, value: i64, session: i64) {
    writer.cached(Some(slot), |writer| {
        writer.nested(PRODUCER_ID);
        writer.string(Some(connection));
        writer.long(value);
        writer.long(session);
    });
}

pub(crate) fn consumer_id(writer: &mut Writer, connection: &str, value: i64) {
    let slot = (value as usize) < CONSUMER_SLOTS;
    writer.cached(slot.then_some(CONSUMER_SLOT + value as usize), |writer| {
        writer.nested(CONSUMER_ID);
        writer.string(Some(connection));
        writer.long(1);
        writer.long(value);
    });
}

pub(crate) fn cached_destination(writer: &mut Writer, destinations: &[Destination], index: u32) {
    let destination = &destinations[index as usize];
    let slot = (index as usize) < DESTINATION_SLOTS;
    writer.cached(slot.then_some(DESTINATION_SLOT + index as usize), |writer| {
        writer.nested(if destination.topic { TOPIC } else { QUEUE });
        writer.string(Some(&destination.name));
    });
}

pub(crate) fn transaction_id(writer: &mut Writer, connection: &str, transaction: Option<i64>) {
    match transaction {
        None => writer.cached(Some(NULL_SLOT), Writer::null),
        Some(value) => writer.cached(None, |writer| {
            writer.nested(LOCAL_TRANSACTION);
            writer.long(value);
            connection_id(writer, connection);
        }),
    }
}

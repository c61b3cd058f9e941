//! The OpenWire commands of the generator, version 12, as ActiveMQ's JMS client sends them.

use std::collections::HashMap;

use super::{
    Confirm, Delivery, Destination, Failure, Outgoing, Received, Subscription,
    marshal::{Format, Reader, Writer},
    properties::{flag, int_properties, int_property},
    slots::{
        CONNECTION_ID, CONSUMER_ID, LOCAL_TRANSACTION, NULL_SLOT, PRODUCER_ID, PRODUCER_SLOT, QUEUE, TOPIC,
        cached_destination, connection_id, consumer_id, producer_id, transaction_id,
    },
};

/// The type number of `WireFormatInfo`, the one command that is never tightly encoded.
pub(crate) const WIRE_FORMAT_INFO: u8 = 1;
const VERSION: i32 = 12;
const CACHE_SLOTS: usize = 1024;

const CONNECTION_INFO: u8 = 3;
const SESSION_INFO: u8 = 4;
const CONSUMER_INFO: u8 = 5;
const PRODUCER_INFO: u8 = 6;
const TRANSACTION_INFO: u8 = 7;
const KEEP_ALIVE_INFO: u8 = 10;
const SHUTDOWN_INFO: u8 = 11;
const REMOVE_INFO: u8 = 12;
const CONNECTION_ERROR: u8 = 16;
const PRODUCER_ACK: u8 = 19;
const MESSAGE_DISPATCH: u8 = 21;
const MESSAGE_ACK: u8 = 22;
const BYTES_MESSAGE: u8 = 24;
const RESPONSE: u8 = 30;
const EXCEPTION_RESPONSE: u8 = 31;

const MESSAGE_ID: u8 = 110;
const XA_TRANSACTION: u8 = 112;
const SESSION_ID: u8 = 121;
const BROKER_ID: u8 = 124;

const ACK_STANDARD: u8 = 2;
const ACK_INDIVIDUAL: u8 = 4;

/// What the peer's cache slots and nested objects are to the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Other,
    Producer(u32),
    Destination(u32),
    Consumer(i64),
    Message(MessageId),
}

/// A message id; the producer is a number of [`OpenWire::producers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MessageId {
    producer: u32,
    producer_sequence: i64,
    broker_sequence: i64,
}

struct Producer {
    connection: String,
    value: i64,
    session: i64,
}

/// The deliveries of one consumer that no acknowledgement has named yet.
#[derive(Clone, Copy)]
struct Pending {
    first: MessageId,
    last: MessageId,
    destination: u32,
    count: i32,
}

/// State of one OpenWire connection: one session, any number of producers and consumers in it.
pub(crate) struct OpenWire {
    writer: Writer,
    format: Format,
    command_last: u32,
    connection: String,
    cache: Vec<Object>,
    producers: Vec<Producer>,
    producers_by_key: HashMap<Vec<u8>, u32>,
    destinations: Vec<Destination>,
    destinations_by_name: HashMap<Vec<u8>, u32>,
    destination_last: u32,
    pending: HashMap<i64, Pending>,
    /// The last acknowledgement inside the open transaction, to be taken back when it is rolled back.
    acked: Option<(i64, Pending)>,
    delivered_last: Option<MessageId>,
    consumer_last: i64,
    producer_sequence: i64,
    transaction: i64,
}

impl OpenWire {
    pub(crate) fn new(connection: String, tight: bool, cache: bool) -> Self {
        Self {
            writer: Writer::new(),
            format: Format { tight, cache_slots: if cache { CACHE_SLOTS } else { 0 } },
            command_last: 0,
            connection,
            cache: Vec::new(),
            producers: Vec::new(),
            producers_by_key: HashMap::new(),
            destinations: Vec::new(),
            destinations_by_name: HashMap::new(),
            destination_last: 0,
            pending: HashMap::new(),
            acked: None,
            delivered_last: None,
            consumer_last: 0,
            producer_sequence: 0,
            transaction: 0,
        }
    }

    fn next_command(&mut self) -> u32 {
        self.command_last += 1;
        self.command_last
    }

    /// The first frame of a connection.
    pub(crate) fn hello(&mut self, out: &mut Vec<u8>) {
        let mut properties = Vec::new();
        let cache = self.format.cache_slots > 0;
        let flags = [
            ("TcpNoDelayEnabled", true),
            ("SizePrefixDisabled", false),
            ("CacheEnabled", cache),
            ("TightEncodingEnabled", self.format.tight),
            ("StackTraceEnabled", false),
        ];
        properties.extend_from_slice(&8u32.to_be_bytes());
        let key = |properties: &mut Vec<u8>, name: &str| {
            properties.extend_from_slice(&(name.len() as u16).to_be_bytes());
            properties.extend_from_slice(name.as_bytes());
        };
        for (name, value) in flags {
            key(&mut properties, name);
            properties.extend_from_slice(&[1, u8::from(value)]);
        }
        key(&mut properties, "CacheSize");
        properties.push(5);
        properties.extend_from_slice(&(CACHE_SLOTS as u32).to_be_bytes());
        // No inactivity watch: a paused generator must not be taken for a dead one.
        for name in ["MaxInactivityDuration", "MaxInactivityDurationInitalDelay"] {
            key(&mut properties, name);
            properties.push(6);
            properties.extend_from_slice(&0i64.to_be_bytes());
        }
        self.writer.start(WIRE_FORMAT_INFO);
        self.writer.raw(b"ActiveMQ");
        self.writer.int(VERSION);
        self.writer.bytes(Some(&properties));
        self.writer.finish(out);
    }

    /// Settles the format from the peer's `WireFormatInfo`, then sends what opens a connection and its session.
    /// Returns the number of the command whose response means "logged in".
    pub(crate) fn login(
        &mut self,
        frame: &[u8],
        user: Option<&str>,
        password: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<u32, Failure> {
        let (kind, mut reader) = Reader::new(frame, false)?;
        if kind != WIRE_FORMAT_INFO || reader.raw(8)? != b"ActiveMQ" {
            return Err(Failure::Protocol(format!("expected WireFormatInfo, got command {kind}")));
        }
        let version = reader.int()?;
        if version < VERSION {
            return Err(Failure::Protocol(format!("peer speaks OpenWire {version}, the generator needs {VERSION}")));
        }
        let properties = reader.bytes()?.unwrap_or_default();
        self.format.tight &= flag(properties, "TightEncodingEnabled");
        let cache = flag(properties, "CacheEnabled");
        let slots = int_property(properties, "CacheSize").unwrap_or(0);
        self.format.cache_slots = if cache { self.format.cache_slots.min(slots) } else { 0 };
        self.writer.format = self.format;

        let id = self.next_command();
        let connection = self.connection.clone();
        let Self { writer, .. } = self;
        writer.command(CONNECTION_INFO, id, true);
        connection_id(writer, &connection);
        writer.string(Some(&connection));
        writer.string(password);
        writer.string(user);
        writer.null();
        writer.bool(false);
        writer.bool(true);
        writer.bool(true);
        writer.bool(false);
        writer.bool(false);
        writer.string(None);
        writer.finish(out);
        let session = self.next_command();
        let Self { writer, .. } = self;
        writer.command(SESSION_INFO, session, false);
        writer.cached(None, |writer| {
            writer.nested(SESSION_ID);
            writer.string(Some(&connection));
            writer.long(1);
        });
        writer.finish(out);
        Ok(id)
    }

    /// Number of a destination on this connection.
    fn destination(&mut self, destination: &Destination) -> u32 {
        if self.destinations.get(self.destination_last as usize) == Some(destination) {
            return self.destination_last;
        }
        let mut key = vec![if destination.topic { TOPIC } else { QUEUE }];
        key.extend_from_slice(destination.name.as_bytes());
        self.destination_last = self.destination_by_key(key, destination.clone());
        self.destination_last
    }

    pub(crate) fn add_producer(&mut self, destination: Option<&Destination>, window: i32, out: &mut Vec<u8>) -> u32 {
        let destination = destination.map(|destination| self.destination(destination));
        let id = self.next_command();
        let connection = self.connection.clone();
        self.writer.command(PRODUCER_INFO, id, true);
        producer_id(&mut self.writer, PRODUCER_SLOT, &connection, 1, 1);
        let Self { writer, destinations, .. } = self;
        match destination {
            Some(destination) => cached_destination(writer, destinations, destination),
            None => writer.cached(Some(NULL_SLOT), Writer::null),
        }
        writer.null();
        writer.bool(true);
        writer.int(window);
        writer.finish(out);
        id
    }

    pub(crate) fn send(&mut self, message: &Outgoing<'_>, confirm: bool, out: &mut Vec<u8>) -> u32 {
        let destination = self.destination(message.destination);
        let id = self.next_command();
        self.producer_sequence += 1;
        let sequence = self.producer_sequence;
        let transaction = message.transacted.then_some(self.transaction);
        let Self { writer, destinations, connection, .. } = self;
        writer.command(BYTES_MESSAGE, id, confirm);
        producer_id(writer, PRODUCER_SLOT, connection, 1, 1);
        cached_destination(writer, destinations, destination);
        transaction_id(writer, connection, transaction);
        writer.cached(Some(NULL_SLOT), Writer::null);
        writer.nested(MESSAGE_ID);
        writer.string(None);
        producer_id(writer, PRODUCER_SLOT, connection, 1, 1);
        writer.long(sequence);
        writer.long(0);
        writer.cached(Some(NULL_SLOT), Writer::null);
        writer.string(message.group);
        writer.int(0);
        writer.string(None);
        writer.bool(message.persistent);
        writer.long(0);
        writer.byte(4);
        writer.null();
        writer.long(message.timestamp_ms);
        writer.string(None);
        writer.bytes(Some(message.body));
        match message.property {
            Some((name, value)) => {
                let mut properties = [0u8; 64];
                let len = int_properties(&mut properties, name, value);
                writer.bytes(Some(&properties[..len]));
            }
            None => writer.bytes(None),
        }
        writer.null();
        writer.cached(Some(NULL_SLOT), Writer::null);
        writer.bool(false);
        writer.int(0);
        writer.null();
        writer.long(0);
        writer.string(None);
        writer.bool(false);
        writer.bool(false);
        writer.null();
        writer.long(0);
        writer.long(0);
        writer.bool(false);
        writer.finish(out);
        id
    }

    pub(crate) fn subscribe(&mut self, subscription: &Subscription<'_>, out: &mut Vec<u8>) -> (u32, i64) {
        let destination = self.destination(subscription.destination);
        let id = self.next_command();
        self.consumer_last += 1;
        let consumer = self.consumer_last;
        let Self { writer, destinations, connection, .. } = self;
        writer.command(CONSUMER_INFO, id, true);
        consumer_id(writer, connection, consumer);
        writer.bool(false);
        cached_destination(writer, destinations, destination);
        writer.int(subscription.prefetch as i32);
        writer.int(0);
        writer.bool(true);
        writer.string(subscription.selector);
        writer.string(None);
        writer.string(None);
        writer.bool(false);
        writer.bool(false);
        writer.bool(false);
        writer.byte(0);
        writer.null();
        writer.null();
        writer.bool(false);
        writer.bool(false);
        writer.bool(false);
        writer.null();
        writer.finish(out);
        (id, consumer)
    }

    /// Closes a consumer; what it was sent and did not acknowledge goes back to the queue.
    pub(crate) fn unsubscribe(&mut self, consumer: i64, out: &mut Vec<u8>) -> u32 {
        let id = self.next_command();
        self.pending.remove(&consumer);
        let last = self.delivered_last.map_or(0, |id| id.broker_sequence);
        let Self { writer, connection, .. } = self;
        writer.command(REMOVE_INFO, id, true);
        consumer_id(writer, connection, consumer);
        writer.long(last);
        writer.finish(out);
        id
    }

    /// Acknowledges the last delivery alone, or all deliveries since the last acknowledgement.
    pub(crate) fn ack(
        &mut self,
        consumer: i64,
        individual: bool,
        transacted: bool,
        confirm: bool,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let mut pending = self.pending.remove(&consumer)?;
        if individual {
            pending.first = pending.last;
            pending.count = 1;
        }
        self.acked = Some((consumer, pending));
        let id = self.next_command();
        let transaction = transacted.then_some(self.transaction);
        let Self { writer, connection, destinations, producers, .. } = self;
        writer.command(MESSAGE_ACK, id, confirm);
        cached_destination(writer, destinations, pending.destination);
        transaction_id(writer, connection, transaction);
        consumer_id(writer, connection, consumer);
        writer.byte(if individual { ACK_INDIVIDUAL } else { ACK_STANDARD });
        for message in [pending.first, pending.last] {
            let producer = &producers[message.producer as usize];
            writer.nested(MESSAGE_ID);
            writer.string(None);
            let slot = PRODUCER_SLOT + 1 + message.producer as usize;
            producer_id(writer, slot, &producer.connection, producer.value, producer.session);
            writer.long(message.producer_sequence);
            writer.long(message.broker_sequence);
        }
        writer.int(pending.count);
        writer.bool(false);
        writer.finish(out);
        Some(id)
    }

    /// After a rollback: what the last acknowledgement named is to be acknowledged again, as the JMS client does
    /// when it redelivers from its own memory.
    pub(crate) fn reopen(&mut self) {
        if let Some((consumer, mut pending)) = self.acked.take() {
            if let Some(later) = self.pending.get(&consumer) {
                pending.last = later.last;
                pending.count += later.count;
            }
            self.pending.insert(consumer, pending);
        }
    }

    /// Begins a transaction; nothing answers it before its end.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        self.transaction += 1;
        self.transaction_info(0, false, out);
    }

    /// Commits or rolls back; the response is the promise.
    pub(crate) fn end(&mut self, commit: bool, out: &mut Vec<u8>) -> u32 {
        self.transaction_info(if commit { 2 } else { 4 }, true, out)
    }

    fn transaction_info(&mut self, kind: u8, confirm: bool, out: &mut Vec<u8>) -> u32 {
        let id = self.next_command();
        let transaction = Some(self.transaction);
        let Self { writer, connection, .. } = self;
        writer.command(TRANSACTION_INFO, id, confirm);
        connection_id(writer, connection);
        transaction_id(writer, connection, transaction);
        writer.byte(kind);
        writer.finish(out);
        id
    }

    pub(crate) fn shutdown(&mut self, out: &mut Vec<u8>) {
        let id = self.next_command();
        self.writer.command(SHUTDOWN_INFO, id, false);
        self.writer.finish(out);
    }

    /// Reads one frame (without size); `base` is the frame's place in the input buffer.
    pub(crate) fn receive(&mut self, frame: &[u8], base: usize, out: &mut Vec<u8>) -> Result<Received, Failure> {
        let (kind, mut reader) = Reader::new(frame, self.format.tight)?;
        if kind == WIRE_FORMAT_INFO {
            return Ok(Received::Nothing);
        }
        let id = reader.int()?;
        let response_required = reader.bool()?;
        match kind {
            MESSAGE_DISPATCH => self.dispatch(&mut reader, base),
            RESPONSE | 32..=34 => Ok(Received::Confirm(Confirm { id: reader.int()? as u32, refused: None })),
            EXCEPTION_RESPONSE => {
                let id = reader.int()? as u32;
                Ok(Received::Confirm(Confirm { id, refused: Some(reader.throwable()?) }))
            }
            PRODUCER_ACK => {
                self.nested(&mut reader)?;
                Ok(Received::Credit(reader.int()?))
            }
            CONNECTION_ERROR => Ok(Received::Refused(reader.throwable()?)),
            KEEP_ALIVE_INFO if response_required => {
                self.writer.command(KEEP_ALIVE_INFO, id as u32, false);
                self.writer.finish(out);
                Ok(Received::Nothing)
            }
            SHUTDOWN_INFO => Ok(Received::Refused("the broker shuts down".into())),
            _ => Ok(Received::Nothing),
        }
    }

    fn dispatch(&mut self, reader: &mut Reader<'_>, base: usize) -> Result<Received, Failure> {
        let consumer = match self.cached(reader)? {
            Object::Consumer(consumer) => consumer,
            other => return Err(Failure::Protocol(format!("MessageDispatch for {other:?}"))),
        };
        let Object::Destination(destination) = self.cached(reader)? else {
            return Err(Failure::Protocol("MessageDispatch without destination".into()));
        };
        if !reader.bool()? {
            // The null message says "end of browse" or "nothing to pull".
            return Ok(Received::Nothing);
        }
        reader.byte()?;
        if reader.is_tight() && reader.bool()? {
            return Err(Failure::Protocol("message in the form of another connection".into()));
        }
        let (message, body) = self.message(reader)?;
        let redelivered = reader.int()? > 0;
        self.delivered_last = Some(message);
        let fresh = Pending { first: message, last: message, destination, count: 0 };
        let pending = self.pending.entry(consumer).or_insert(fresh);
        pending.last = message;
        pending.count += 1;
        Ok(Received::Delivery(Delivery { body: base + body.0..base + body.1, redelivered, consumer }))
    }

    /// Reads all fields of a message (the cache must see them all) and keeps its id and the place of its body.
    fn message(&mut self, reader: &mut Reader<'_>) -> Result<(MessageId, (usize, usize)), Failure> {
        reader.int()?;
        reader.bool()?;
        self.cached(reader)?;
        self.cached(reader)?;
        self.cached(reader)?;
        self.cached(reader)?;
        let id = match self.nested(reader)? {
            Object::Message(id) => id,
            other => return Err(Failure::Protocol(format!("message with id {other:?}"))),
        };
        self.cached(reader)?;
        reader.string()?;
        reader.int()?;
        reader.string()?;
        reader.bool()?;
        reader.long()?;
        reader.byte()?;
        self.nested(reader)?;
        reader.long()?;
        reader.string()?;
        let len = reader.bytes()?.map_or(0, <[u8]>::len);
        let body = (reader.position() - len, reader.position());
        reader.bytes()?;
        self.nested(reader)?;
        self.cached(reader)?;
        reader.bool()?;
        reader.int()?;
        self.path(reader)?;
        reader.long()?;
        reader.string()?;
        reader.bool()?;
        reader.bool()?;
        self.path(reader)?;
        reader.long()?;
        reader.long()?;
        reader.bool()?;
        Ok((id, body))
    }

    fn path(&mut self, reader: &mut Reader<'_>) -> Result<(), Failure> {
        if reader.bool()? {
            for _ in 0..reader.short()? {
                self.nested(reader)?;
            }
        }
        Ok(())
    }

    fn cached(&mut self, reader: &mut Reader<'_>) -> Result<Object, Failure> {
        if self.format.cache_slots == 0 {
            return self.nested(reader);
        }
        let fresh = reader.bool()?;
        let slot = usize::try_from(reader.short()?).ok();
        if !fresh {
            let object = slot.and_then(|slot| self.cache.get(slot));
            return object.copied().ok_or_else(|| Failure::Protocol(format!("empty cache slot {slot:?}")));
        }
        let object = self.nested(reader)?;
        if let Some(slot) = slot {
            if self.cache.len() <= slot {
                self.cache.resize(slot + 1, Object::Other);
            }
            self.cache[slot] = object;
        }
        Ok(object)
    }

    fn nested(&mut self, reader: &mut Reader<'_>) -> Result<Object, Failure> {
        if !reader.bool()? {
            return Ok(Object::Other);
        }
        match reader.byte()? {
            kind @ 100..=103 => {
                let name = reader.string()?.unwrap_or_default();
                let mut key = vec![kind];
                key.extend_from_slice(name);
                let name = String::from_utf8_lossy(name).into_owned();
                Ok(Object::Destination(self.destination_by_key(key, Destination { topic: kind != QUEUE, name })))
            }
            MESSAGE_ID => {
                reader.string()?;
                let Object::Producer(producer) = self.cached(reader)? else {
                    return Err(Failure::Protocol("message id without producer".into()));
                };
                Ok(Object::Message(MessageId {
                    producer,
                    producer_sequence: reader.long()?,
                    broker_sequence: reader.long()?,
                }))
            }
            LOCAL_TRANSACTION => {
                reader.long()?;
                self.cached(reader)?;
                Ok(Object::Other)
            }
            XA_TRANSACTION => {
                reader.int()?;
                reader.bytes()?;
                reader.bytes()?;
                Ok(Object::Other)
            }
            CONNECTION_ID | BROKER_ID => {
                reader.string()?;
                Ok(Object::Other)
            }
            SESSION_ID => {
                reader.string()?;
                reader.long()?;
                Ok(Object::Other)
            }
            CONSUMER_ID => {
                reader.string()?;
                reader.long()?;
                Ok(Object::Consumer(reader.long()?))
            }
            PRODUCER_ID => {
                let connection = reader.string()?.unwrap_or_default();
                let (value, session) = (reader.long()?, reader.long()?);
                Ok(Object::Producer(self.producer(connection, value, session)))
            }
            kind => Err(Failure::Protocol(format!("nested object of type {kind}"))),
        }
    }

    fn destination_by_key(&mut self, key: Vec<u8>, destination: Destination) -> u32 {
        if let Some(index) = self.destinations_by_name.get(&key) {
            return *index;
        }
        let index = self.destinations.len() as u32;
        self.destinations.push(destination);
        self.destinations_by_name.insert(key, index);
        index
    }

    fn producer(&mut self, connection: &[u8], value: i64, session: i64) -> u32 {
        let mut key = connection.to_vec();
        key.extend_from_slice(&value.to_be_bytes());
        key.extend_from_slice(&session.to_be_bytes());
        if let Some(index) = self.producers_by_key.get(&key) {
            return *index;
        }
        let index = self.producers.len() as u32;
        let connection = String::from_utf8_lossy(connection).into_owned();
        self.producers.push(Producer { connection, value, session });
        self.producers_by_key.insert(key, index);
        index
    }
}

//! STOMP 1.2 as a client: the few frames of the generator, written without a map in between.

use std::{collections::HashMap, io::Write};

use super::{Confirm, Delivery, Destination, Failure, Outgoing, Received, Subscription};

/// State of one STOMP connection.
pub(crate) struct Stomp {
    receipt_last: u32,
    consumer_last: i64,
    transaction: u64,
    pending: HashMap<i64, Pending>,
    acked: Option<(i64, Vec<u8>)>,
    individual: bool,
}

/// The `ack` header of a consumer's last delivery, as it came (still escaped).
#[derive(Default)]
struct Pending {
    id: Vec<u8>,
    open: bool,
}

impl Stomp {
    pub(crate) fn new() -> Self {
        Self {
            receipt_last: 0,
            consumer_last: 0,
            transaction: 0,
            pending: HashMap::new(),
            acked: None,
            individual: false,
        }
    }

    pub(crate) fn hello(&self, user: Option<&str>, password: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CONNECT\naccept-version:1.2\nhost:localhost\nheart-beat:0,0\n");
        for (name, value) in [("login", user), ("passcode", password)] {
            if let Some(value) = value {
                header(out, name, value);
            }
        }
        out.extend_from_slice(b"\n\0");
    }

    fn receipt(&mut self, out: &mut Vec<u8>) -> u32 {
        self.receipt_last += 1;
        header(out, "receipt", self.receipt_last);
        self.receipt_last
    }

    fn transaction(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"transaction:t");
        number(out, self.transaction);
        out.push(b'\n');
    }

    pub(crate) fn send(&mut self, message: &Outgoing<'_>, confirm: bool, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(b"SEND\n");
        destination(out, message.destination);
        if message.persistent {
            out.extend_from_slice(b"persistent:true\n");
        }
        if message.transacted {
            self.transaction(out);
        }
        if let Some((name, value)) = message.property {
            header(out, name, value);
        }
        if let Some(group) = message.group {
            header(out, "JMSXGroupID", group);
        }
        let receipt = if confirm { self.receipt(out) } else { 0 };
        out.extend_from_slice(b"content-length:");
        number(out, message.body.len() as u64);
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(message.body);
        out.push(0);
        receipt
    }

    pub(crate) fn subscribe(&mut self, subscription: &Subscription<'_>, out: &mut Vec<u8>) -> (u32, i64) {
        self.consumer_last += 1;
        self.individual = subscription.individual;
        out.extend_from_slice(b"SUBSCRIBE\n");
        header(out, "id", self.consumer_last);
        destination(out, subscription.destination);
        out.extend_from_slice(if subscription.individual { b"ack:client-individual\n" } else { b"ack:client\n" });
        header(out, "activemq.prefetchSize", subscription.prefetch);
        if let Some(selector) = subscription.selector {
            header(out, "selector", selector);
        }
        let receipt = self.receipt(out);
        out.extend_from_slice(b"\n\0");
        (receipt, self.consumer_last)
    }

    pub(crate) fn unsubscribe(&mut self, consumer: i64, out: &mut Vec<u8>) -> u32 {
        self.pending.remove(&consumer);
        out.extend_from_slice(b"UNSUBSCRIBE\n");
        header(out, "id", consumer);
        let receipt = self.receipt(out);
        out.extend_from_slice(b"\n\0");
        receipt
    }

    pub(crate) fn ack(&mut self, consumer: i64, transacted: bool, confirm: bool, out: &mut Vec<u8>) -> Option<u32> {
        let pending = self.pending.get_mut(&consumer).filter(|pending| pending.open)?;
        pending.open = false;
        out.extend_from_slice(b"ACK\nid:");
        out.extend_from_slice(&pending.id);
        out.push(b'\n');
        if transacted {
            let id = pending.id.clone();
            self.acked = Some((consumer, id));
            self.transaction(out);
        }
        let receipt = if confirm { self.receipt(out) } else { 0 };
        out.extend_from_slice(b"\n\0");
        Some(receipt)
    }

    /// After an aborted transaction: the acknowledgement in it is to be sent again.
    pub(crate) fn reopen(&mut self) {
        if let Some((consumer, id)) = self.acked.take() {
            let pending = self.pending.entry(consumer).or_default();
            if !pending.open {
                *pending = Pending { id, open: true };
            }
        }
    }

    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        self.transaction += 1;
        out.extend_from_slice(b"BEGIN\n");
        self.transaction(out);
        out.extend_from_slice(b"\n\0");
    }

    pub(crate) fn end(&mut self, commit: bool, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(if commit { b"COMMIT\n" } else { b"ABORT\n" });
        self.transaction(out);
        let receipt = self.receipt(out);
        out.extend_from_slice(b"\n\0");
        receipt
    }

    pub(crate) fn shutdown(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"DISCONNECT\n\n\0");
    }

    /// Reads one frame from the front of `input`: the bytes it took and what it was; none when it is not whole yet.
    pub(crate) fn receive(&mut self, input: &[u8], base: usize) -> Result<Option<(usize, Received)>, Failure> {
        let start = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let mut position = start;
        let mut content_length = None;
        let mut command: &[u8] = &[];
        let mut consumer = 0;
        let mut redelivered = false;
        let mut ack: &[u8] = &[];
        let mut receipt = 0;
        let mut message: &[u8] = &[];
        let mut first = true;
        loop {
            let Some(end) = input[position..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
            let mut line = &input[position..position + end];
            position += end + 1;
            if let Some((b'\r', rest)) = line.split_last() {
                line = rest;
            }
            if first {
                command = line;
                first = false;
                continue;
            }
            if line.is_empty() {
                break;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            match name {
                b"content-length" => content_length = Some(parse(value)? as usize),
                b"subscription" => consumer = parse(value)?,
                b"redelivered" => redelivered = value == b"true",
                b"ack" => ack = value,
                b"receipt-id" => receipt = parse(value)? as u32,
                b"message" => message = value,
                _ => {}
            }
        }
        let body_len = match content_length {
            Some(len) if input.len() > position + len => len,
            Some(_) => return Ok(None),
            None => match input[position..].iter().position(|byte| *byte == 0) {
                Some(len) => len,
                None => return Ok(None),
            },
        };
        let used = position + body_len + 1;
        let received = match command {
            b"MESSAGE" => {
                let pending = self.pending.entry(consumer).or_default();
                pending.id.clear();
                pending.id.extend_from_slice(ack);
                pending.open = true;
                Received::Delivery(Delivery {
                    body: base + position..base + position + body_len,
                    redelivered,
                    consumer,
                })
            }
            b"RECEIPT" => Received::Confirm(Confirm { id: receipt, refused: None }),
            b"CONNECTED" => Received::Confirm(Confirm { id: 0, refused: None }),
            b"ERROR" => {
                let text = String::from_utf8_lossy(message).into_owned();
                if receipt > 0 {
                    Received::Confirm(Confirm { id: receipt, refused: Some(text) })
                } else {
                    Received::Refused(text)
                }
            }
            other => return Err(Failure::Protocol(format!("frame {:?}", String::from_utf8_lossy(other)))),
        };
        Ok(Some((used, received)))
    }
}

fn header(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    writeln!(out, "{name}:{value}").expect("a vector takes all bytes");
}

fn number(out: &mut Vec<u8>, value: u64) {
    write!(out, "{value}").expect("a vector takes all bytes");
}

fn destination(out: &mut Vec<u8>, destination: &Destination) {
    out.extend_from_slice(if destination.topic { b"destination:/topic/" } else { b"destination:/queue/" });
    out.extend_from_slice(destination.name.as_bytes());
    out.push(b'\n');
}

fn parse(value: &[u8]) -> Result<i64, Failure> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.trim().parse().map_err(|_| Failure::Protocol(format!("{text:?} is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A MESSAGE split at any byte is read once, when it is whole, and its body keeps its place.
    #[test]
    fn message_is_read_when_whole() {
        let frame = b"\nMESSAGE\nsubscription:4\nack:id\\c1\nredelivered:true\ncontent-length:3\n\na\0b\0";
        let mut stomp = Stomp::new();
        for end in 0..frame.len() {
            assert!(stomp.receive(&frame[..end], 0).unwrap().is_none(), "{end}");
        }
        let (used, received) = stomp.receive(frame, 100).unwrap().unwrap();
        assert_eq!(used, frame.len());
        let Received::Delivery(delivery) = received else { panic!("a message is a delivery") };
        assert_eq!(&frame[delivery.body.start - 100..delivery.body.end - 100], b"a\0b");
        assert!(delivery.redelivered);
        let mut out = Vec::new();
        assert_eq!(stomp.ack(4, false, true, &mut out), Some(1));
        assert_eq!(out, b"ACK\nid:id\\c1\nreceipt:1\n\n\0");
        assert_eq!(stomp.ack(4, false, true, &mut out), None);
    }
}

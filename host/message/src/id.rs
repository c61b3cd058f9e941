//! Who sent a message, and which of its messages it is.

use std::fmt;

use crate::Text;

/// A producer: `<connection id>:<session>:<producer>` (row L15).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ProducerId {
    /// Id of the client connection, as the client chose it (`ID:host-port-time-n:m`).
    pub connection: Text,
    /// Number of the session within the connection; the client's choice.
    pub session: i64,
    /// Number of the producer within the session; the client's choice.
    pub value: i64,
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.connection, self.session, self.value)
    }
}

/// A message: its producer and the producer's count (row L15). The text form is what JMS clients see as JMSMessageID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct MessageId {
    /// Who sent it.
    pub producer: ProducerId,
    /// Rises by one with each message of the producer, starting at 1 in all known clients.
    pub sequence: i64,
    /// A foreign id that replaces the text form; set only by clients that bring ids of another protocol (row W08, v10).
    pub text_view: Option<Text>,
}

impl MessageId {
    /// Reads the text form back; `None` when the last three parts are not numbers.
    pub fn parse(text: &str) -> Option<MessageId> {
        let mut parts = text.rsplitn(4, ':');
        let sequence = parts.next()?.parse().ok()?;
        let value = parts.next()?.parse().ok()?;
        let session = parts.next()?.parse().ok()?;
        let connection = Text::from(parts.next()?);
        Some(MessageId { producer: ProducerId { connection, session, value }, sequence, text_view: None })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text_view {
            Some(text) => f.write_str(text),
            None => write!(f, "{}:{}", self.producer, self.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_reads_back_from_its_text() {
        let id = MessageId::parse("ID:host-1234-99-0:1:-1:2:77").expect("four parts");
        assert_eq!(id.producer.connection, "ID:host-1234-99-0:1");
        assert_eq!((id.producer.session, id.producer.value, id.sequence), (-1, 2, 77));
        assert_eq!(id.to_string(), "ID:host-1234-99-0:1:-1:2:77");
        assert_eq!(MessageId::parse("1:2:3"), None);
        assert_eq!(MessageId::parse("a:b:c:d"), None);
    }
}

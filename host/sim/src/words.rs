//! Messages and selectors of the simulation, made so that an outsider can check what became of them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use message::properties::{Builder, text_content};
use message::{BodyKind, Destination, Message, MessageId, Text, Value};
use selector::Selector;

/// Number of a send; unique in a simulation, stands in the message.
pub(crate) type Uid = u64;

/// What was sent, as its sender knows it.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Unique number.
    pub(crate) uid: Uid,
    /// Its identity.
    pub(crate) id: MessageId,
    /// Where to; composites as written.
    pub(crate) destination: Destination,
    /// Whether it is to survive.
    pub(crate) persistent: bool,
    /// 0 to 9.
    pub(crate) priority: u8,
    /// 0 for never.
    pub(crate) expiration: i64,
    /// Index into [`COLORS`].
    pub(crate) color: usize,
    /// Message group and its sequence.
    pub(crate) group: Option<(Text, i32)>,
    /// For selectors.
    pub(crate) weight: i32,
    /// The body.
    pub(crate) body: Bytes,
}

/// Values of the property `color`.
pub(crate) const COLORS: [&str; 3] = ["red", "green", "blue"];

/// What a selector says, as code.
type Test = fn(&Letter) -> bool;

/// The selectors that consumers use: as text for the broker, as code for the checker.
pub(crate) const SELECTORS: [(&str, Test); 4] = [
    ("color = 'red'", |letter| letter.color == 0),
    ("weight > 5", |letter| letter.weight > 5),
    ("JMSPriority >= 5", |letter| letter.priority >= 5),
    ("color IN ('green', 'blue') AND weight < 8", |letter| letter.color > 0 && letter.weight < 8),
];

/// The broker's form of a selector.
pub(crate) fn parsed(selector: Option<usize>) -> Option<Arc<Selector>> {
    let (text, _) = SELECTORS[selector?];
    Some(Arc::new(Selector::parse(text, &selector::Limits::default()).expect("the list holds good selectors")))
}

/// Whether a selector takes the letter.
pub(crate) fn takes(selector: Option<usize>, letter: &Letter) -> bool {
    selector.is_none_or(|index| SELECTORS[index].1(letter))
}

impl Letter {
    /// A body that names its message and has about this size.
    pub(crate) fn body(uid: Uid, bytes: usize) -> Bytes {
        let mut text = format!("{uid}:");
        text.extend(std::iter::repeat_n('x', bytes));
        text_content(&text)
    }

    /// The message as a client sends it.
    pub(crate) fn message(&self, now: i64) -> Message {
        let mut message = Message::new(self.id.clone(), self.destination.clone());
        message.persistent = self.persistent;
        message.priority = self.priority;
        message.expiration = self.expiration;
        message.timestamp = now;
        if let Some((group, sequence)) = &self.group {
            message.group_id = Some(group.clone());
            message.group_sequence = *sequence;
        }
        message.body_kind = BodyKind::Text;
        message.content = Some(self.body.clone());
        let mut properties = Builder::new();
        properties.push("uid", &Value::Long(self.uid as i64));
        properties.push("color", &Value::Text(Cow::Borrowed(COLORS[self.color])));
        properties.push("weight", &Value::Int(self.weight));
        message.properties = properties.finish();
        message
    }
}

/// The number in a message; `None` for the broker's own.
pub(crate) fn uid_of(message: &Message) -> Option<Uid> {
    match message.properties.get("uid") {
        Some(Value::Long(uid)) => Uid::try_from(uid).ok(),
        _ => None,
    }
}

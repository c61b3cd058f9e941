//! A message that is a list of names and values.

use selector::{Properties, Value};

pub(crate) struct Message(pub(crate) Vec<(&'static str, Value<'static>)>);

impl Properties for Message {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        self.0.iter().find(|(have, _)| *have == name).map(|(_, value)| value.clone())
    }
}

/// The message most tables ask.
pub(crate) fn message() -> Message {
    Message(vec![
        ("JMSType", Value::Str("selector-test")),
        ("JMSMessageID", Value::Str("id:test:1:1:1:1")),
        ("JMSPriority", Value::Int(4)),
        ("JMSDeliveryMode", Value::Str("PERSISTENT")),
        ("JMSXGroupID", Value::Owned("group-1".into())),
        ("$_a1", Value::Int(1)),
        ("größe", Value::Int(5)),
        ("name", Value::Str("James")),
        ("location", Value::Str("London")),
        ("rank", Value::Int(123)),
        ("version", Value::Int(2)),
        ("small", Value::Int(i64::MIN)),
        ("large", Value::Int(i64::MAX)),
        ("half", Value::Float(0.5)),
        ("nan", Value::Float(f64::NAN)),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("quote", Value::Str("'In God We Trust'")),
        ("foo", Value::Str("_foo")),
        ("ending", Value::Str("XD7xlJIQn_")),
        ("punctuation", Value::Str("!#$&()*+,-./:;<=>?@[\\]^`{|}~")),
        ("lines", Value::Str("one\ntwo")),
        ("umlaut", Value::Str("äöü")),
        ("high", Value::Str("\u{ffff}")),
        ("astral", Value::Str("\u{10000}")),
        ("digits", Value::Str("12")),
        ("decimal", Value::Str(" 1.50f ")),
        ("truth", Value::Str("TRUE")),
        ("empty", Value::Str("")),
    ])
}

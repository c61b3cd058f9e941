//! Messages on their way as policies of topics, networks and routing may look at them.

use std::borrow::Cow;

use crate::Columns;

/// A header or property of one message.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// The message has none of this name, or one that is no plain value.
    Absent,
    /// A flag.
    Bool(bool),
    /// A whole number of any width.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
}

impl Scalar<'_> {
    /// The value as text, the way a selector or a table of settings would write it; `None` if it is absent.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Scalar::Absent => return None,
            Scalar::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Scalar::Int(value) => value.to_string().into(),
            Scalar::Float(value) => value.to_string().into(),
            Scalar::Text(value) => Cow::Borrowed(value),
        })
    }
}

/// The messages of one question. The core implements it over its own messages, so that a policy pays for what it reads
/// and for nothing else.
pub trait Messages {
    /// How many messages there are.
    fn rows(&self) -> usize;

    /// A header that is a number: one of [`Columns`] from `PRIORITY` to `SEQUENCE`; 0 for any other.
    fn number(&self, row: usize, column: Columns) -> i64;

    /// An application property, or a header by its JMS name.
    fn property(&self, row: usize, name: &str) -> Scalar<'_>;
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A message with properties alone.
    pub(crate) type Row = Vec<(&'static str, Scalar<'static>)>;

    /// Messages with properties alone.
    pub(crate) struct Rows(pub(crate) Vec<Row>);

    impl Messages for Rows {
        fn rows(&self) -> usize {
            self.0.len()
        }

        fn number(&self, _row: usize, _column: Columns) -> i64 {
            0
        }

        fn property(&self, row: usize, name: &str) -> Scalar<'_> {
            let found = self.0[row].iter().find(|(other, _)| *other == name);
            found.map_or(Scalar::Absent, |(_, value)| value.clone())
        }
    }

    pub(crate) fn text(value: &'static str) -> Scalar<'static> {
        Scalar::Text(Cow::Borrowed(value))
    }
}

//! Message properties as columns of a question to a policy.

use std::fmt::Write;

use message::Message;
use plugin::{Property, PropertyColumn, SYMBOL_ABSENT, SymbolTable, text_hash};
use selector::{Properties, Value};

/// Columns that keep their memory from question to question.
#[derive(Debug, Default)]
pub(crate) struct PropertyColumns {
    columns: Vec<PropertyColumn>,
    /// The text of a number or flag.
    text: String,
}

impl PropertyColumns {
    /// Empty columns for the properties that the next question shows.
    pub(crate) fn begin(&mut self, wanted: &[Property]) {
        self.columns.truncate(wanted.len());
        for (at, property) in wanted.iter().enumerate() {
            match self.columns.get_mut(at) {
                Some(column) if column.form() == property.form => column.clear(),
                Some(column) => *column = PropertyColumn::new(property.form),
                None => self.columns.push(PropertyColumn::new(property.form)),
            }
        }
    }

    /// Adds a row; `redeliveries` counts failed deliveries so far.
    pub(crate) fn push(&mut self, wanted: &[Property], message: &Message, redeliveries: u32, symbols: &SymbolTable) {
        let view = message.selector_view(redeliveries);
        for (column, property) in self.columns.iter_mut().zip(wanted) {
            let value = view.get(&property.name);
            match column {
                PropertyColumn::Symbols(values) => {
                    let symbol =
                        text(value.as_ref(), &mut self.text).map_or(SYMBOL_ABSENT, |text| symbols.intern(text));
                    values.push(symbol);
                }
                PropertyColumn::Numbers(values) => values.push(value.as_ref().map_or(0.0, number)),
                PropertyColumn::Hashes(values) => {
                    values.push(text(value.as_ref(), &mut self.text).map_or(0, text_hash));
                }
            }
        }
    }

    /// The columns, in the order of the properties.
    pub(crate) fn columns(&self) -> &[PropertyColumn] {
        &self.columns
    }
}

/// The text of a value, written into `buffer` if it is none yet.
fn text<'a>(value: Option<&'a Value<'_>>, buffer: &'a mut String) -> Option<&'a str> {
    let value = value?;
    if let Some(text) = value.as_str() {
        return Some(text);
    }
    buffer.clear();
    let written = match value {
        Value::Bool(flag) => write!(buffer, "{flag}"),
        Value::Int(number) => write!(buffer, "{number}"),
        Value::Float(number) => write!(buffer, "{number}"),
        Value::Str(_) | Value::Owned(_) => Ok(()),
    };
    written.expect("a String takes all text");
    Some(buffer)
}

/// The number that a value is; 0 for none. STOMP knows texts only, so a text that reads as a number is one.
fn number(value: &Value<'_>) -> f64 {
    let number = match value {
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Str(_) | Value::Owned(_) => value.as_str().and_then(|text| text.trim().parse().ok()).unwrap_or(0.0),
    };
    if number.is_finite() { number } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use message::{Destination, MessageId, ProducerId, Text};
    use plugin::PropertyForm;

    use super::*;

    fn message(properties: &[(&str, message::Value<'_>)]) -> Message {
        let producer = ProducerId { connection: Text::from_static("ID:c"), session: 1, value: 1 };
        let id = MessageId { producer, sequence: 1, text_view: None };
        let mut message = Message::new(id, Destination::queue("Q"));
        message.correlation_id = Some(Text::from_static("order-7"));
        for (name, value) in properties {
            message.properties = message.properties.with(name, value);
        }
        message
    }

    #[test]
    fn every_kind_of_value_is_shown_in_every_form() {
        use message::Value as V;
        let message = message(&[
            ("text", V::Text("gold".into())),
            ("digits", V::Text(" 2.5".into())),
            ("int", V::Int(-3)),
            ("double", V::Double(0.5)),
            ("flag", V::Bool(true)),
            ("endless", V::Double(f64::INFINITY)),
            ("null", V::Null),
            ("empty", V::Text("".into())),
        ]);
        let table: [(&str, Option<&str>, f64); 11] = [
            ("text", Some("gold"), 0.0),
            ("digits", Some(" 2.5"), 2.5),
            ("int", Some("-3"), -3.0),
            ("double", Some("0.5"), 0.5),
            ("flag", Some("true"), 1.0),
            ("endless", Some("inf"), 0.0),
            ("null", None, 0.0),
            ("empty", None, 0.0),
            ("absent", None, 0.0),
            ("JMSCorrelationID", Some("order-7"), 0.0),
            ("JMSXDeliveryCount", Some("3"), 3.0),
        ];
        let symbols = SymbolTable::default();
        let mut columns = PropertyColumns::default();
        for form in [PropertyForm::Symbol, PropertyForm::Number, PropertyForm::Hash, PropertyForm::Symbol] {
            let wanted: Vec<_> = table.iter().map(|(name, ..)| Property { name: (*name).into(), form }).collect();
            columns.begin(&wanted);
            columns.push(&wanted, &message, 2, &symbols);
            for ((name, text, number), column) in table.iter().zip(columns.columns()) {
                let expected = match form {
                    PropertyForm::Symbol => PropertyColumn::Symbols(vec![text.map_or(0, |text| symbols.intern(text))]),
                    PropertyForm::Number => PropertyColumn::Numbers(vec![*number]),
                    PropertyForm::Hash => PropertyColumn::Hashes(vec![text.map_or(0, text_hash)]),
                };
                assert_eq!(*column, expected, "{name}");
            }
        }
        columns.begin(&[]);
        assert!(columns.columns().is_empty());
    }
}

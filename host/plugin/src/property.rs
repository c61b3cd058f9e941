//! Message properties as columns: what a policy asks for, and the values that it is shown.

use std::fmt;
use std::sync::Arc;

/// How the values of a property are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyForm {
    /// As symbols of the host's [`SymbolTable`](crate::SymbolTable); numbers and flags by their text. 0 is absent.
    Symbol,
    /// As numbers; a text is read as one if it can be, a flag is 1 or 0. What is absent or no number is 0.
    Number,
    /// As [`text_hash`] of the text. 0 is absent. Unlike symbols there is no limit to how many texts there may be, and
    /// the same text has the same hash in every run of the broker.
    Hash,
}

/// A property that a policy wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name as a selector would write it, so that headers such as `JMSCorrelationID` have theirs too.
    pub name: Arc<str>,
    /// How its values are shown.
    pub form: PropertyForm,
}

impl Property {
    /// Id of the column of a policy's first property; the others follow in their order.
    pub const ID_FIRST: u32 = 1000;
    /// Longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 255;

    /// Reads `NAME`, `number:NAME` or `hash:NAME`; the error says what is wrong and what to write.
    pub fn parse(text: &str) -> Result<Property, String> {
        let (form, name) = match text.split_once(':') {
            None => (PropertyForm::Symbol, text),
            Some(("number", name)) => (PropertyForm::Number, name),
            Some(("hash", name)) => (PropertyForm::Hash, name),
            Some((form, _)) => return Err(format!("form {form} is unknown; write NAME, number:NAME or hash:NAME")),
        };
        if name.is_empty() || name.len() > Property::NAME_BYTES_MAX {
            let max = Property::NAME_BYTES_MAX;
            return Err(format!("a name of {} bytes is none; write one of 1 to {max}", name.len()));
        }
        Ok(Property { name: name.into(), form })
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            PropertyForm::Symbol => f.write_str(&self.name),
            PropertyForm::Number => write!(f, "number:{}", self.name),
            PropertyForm::Hash => write!(f, "hash:{}", self.name),
        }
    }
}

/// The values of one property, one per row, in the form that the policy asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyColumn {
    /// [`PropertyForm::Symbol`].
    Symbols(Vec<u32>),
    /// [`PropertyForm::Number`].
    Numbers(Vec<f64>),
    /// [`PropertyForm::Hash`].
    Hashes(Vec<i64>),
}

impl PropertyColumn {
    /// A column without values.
    pub fn new(form: PropertyForm) -> PropertyColumn {
        match form {
            PropertyForm::Symbol => PropertyColumn::Symbols(Vec::new()),
            PropertyForm::Number => PropertyColumn::Numbers(Vec::new()),
            PropertyForm::Hash => PropertyColumn::Hashes(Vec::new()),
        }
    }

    /// The form of its values.
    pub fn form(&self) -> PropertyForm {
        match self {
            PropertyColumn::Symbols(_) => PropertyForm::Symbol,
            PropertyColumn::Numbers(_) => PropertyForm::Number,
            PropertyColumn::Hashes(_) => PropertyForm::Hash,
        }
    }

    /// Forgets the values and keeps their memory.
    pub fn clear(&mut self) {
        match self {
            PropertyColumn::Symbols(values) => values.clear(),
            PropertyColumn::Numbers(values) => values.clear(),
            PropertyColumn::Hashes(values) => values.clear(),
        }
    }

    /// The hashes; empty if it has another form.
    pub fn hashes(&self) -> &[i64] {
        match self {
            PropertyColumn::Hashes(values) => values,
            _ => &[],
        }
    }

    /// The numbers; empty if it has another form.
    pub fn numbers(&self) -> &[f64] {
        match self {
            PropertyColumn::Numbers(values) => values,
            _ => &[],
        }
    }
}

/// Number of a text that is the same everywhere and always: FNV-1a of 64 bits over its UTF-8, as a signed number; 0 for
/// the empty text, and 1 in place of 0 for any other.
pub fn text_hash(text: &str) -> i64 {
    if text.is_empty() {
        return 0;
    }
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    match text.bytes().fold(0xcbf2_9ce4_8422_2325, step).cast_signed() {
        0 => 1,
        hash => hash,
    }
}

/// Number of a format of state that no other policy has, so that none reads another one's: the last 24 bits of
/// [`text_hash`] of its name, and its version, 1 to 255, as the last byte. 0 for version 0, which is no state.
pub fn state_format(policy: &str, version: u8) -> u32 {
    let [.., a, b, c] = text_hash(policy).to_be_bytes();
    if version == 0 { 0 } else { u32::from_be_bytes([a, b, c, version]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_shown_again() {
        for (text, name, form) in [
            ("region", "region", PropertyForm::Symbol),
            ("number:urgency", "urgency", PropertyForm::Number),
            ("hash:JMSCorrelationID", "JMSCorrelationID", PropertyForm::Hash),
            ("hash:a:b", "a:b", PropertyForm::Hash),
        ] {
            let property = Property::parse(text).expect(text);
            assert_eq!((&*property.name, property.form, property.to_string()), (name, form, text.to_owned()));
        }
        let long = "x".repeat(256);
        for (text, words) in [("date:x", "form date is unknown"), ("", "of 0 bytes"), ("hash:", "of 0"), (&long, "256")]
        {
            assert!(Property::parse(text).unwrap_err().contains(words), "{text}");
        }
    }

    /// The published vectors of FNV-1a: policies in other languages compute the same.
    #[test]
    fn hashes_are_those_of_fnv_1a() {
        for (text, hash) in [("a", 0xaf63_dc4c_8601_ec8c_u64), ("foobar", 0x8594_4171_f739_67e8)] {
            assert_eq!(text_hash(text).cast_unsigned(), hash, "{text}");
        }
        assert_eq!(text_hash(""), 0);
    }

    #[test]
    fn formats_are_of_one_policy() {
        assert_eq!(state_format("foobar", 1), 0x3967_e801);
        assert_eq!(state_format("foobar", 0), 0);
    }
}

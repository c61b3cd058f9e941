//! One value of the file on its way to a plain value: type and bounds are checked here, with a remedy for each mistake.

use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::problem::Fault;
use super::size;

/// A value as it stands in the file.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a>(pub(crate) &'a DeValue<'a>);

impl<'a> Raw<'a> {
    /// A text.
    pub(crate) fn text(self) -> Result<&'a str, Fault> {
        self.0.as_str().ok_or_else(|| self.not("a text", "write it in quotes"))
    }

    /// A text that is not empty.
    pub(crate) fn name(self) -> Result<&'a str, Fault> {
        match self.text()? {
            text if text.trim().is_empty() => Err(Fault::new("is empty", "write a name, or leave the key out")),
            text => Ok(text),
        }
    }

    /// A list of texts, none of them empty.
    pub(crate) fn names(self) -> Result<Vec<String>, Fault> {
        let remedy = "write a list such as [\"users\", \"admins\"]";
        let Some(array) = self.0.as_array() else { return Err(self.not("a list", remedy)) };
        let name = |value: &toml::Spanned<DeValue<'_>>| match value.get_ref().as_str() {
            Some(text) if !text.trim().is_empty() && !text.contains(',') => Ok(text.to_owned()),
            _ => Err(Fault::new("holds what is no name", remedy)),
        };
        array.iter().map(name).collect()
    }

    /// True or false.
    pub(crate) fn flag(self) -> Result<bool, Fault> {
        self.0.as_bool().ok_or_else(|| self.not("a flag", "write true or false, without quotes"))
    }

    /// A whole number.
    pub(crate) fn integer(self, bounds: RangeInclusive<i64>) -> Result<i64, Fault> {
        let remedy = format!("write a number from {} to {}, without quotes", bounds.start(), bounds.end());
        let Some(integer) = self.0.as_integer() else { return Err(self.not("a whole number", &remedy)) };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if bounds.contains(&number) => Ok(number),
            _ => Err(Fault::new("is out of bounds", remedy)),
        }
    }

    /// A count of things.
    pub(crate) fn count(self, bounds: RangeInclusive<i64>) -> Result<usize, Fault> {
        debug_assert!(*bounds.start() >= 0);
        self.integer(bounds).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// A size: a text with a unit, or a number of bytes.
    pub(crate) fn size(self, bounds: RangeInclusive<u64>) -> Result<u64, Fault> {
        let bytes = match self.0 {
            DeValue::String(text) => size::parse(text)?,
            DeValue::Integer(_) => self.integer(0..=i64::MAX)?.unsigned_abs(),
            _ => return Err(self.not("a size", "write a number and a unit in quotes, such as \"32mb\"")),
        };
        if bounds.contains(&bytes) {
            return Ok(bytes);
        }
        let (least, most) = (size::show(*bounds.start()), size::show(*bounds.end()));
        Err(Fault::new("is out of bounds", format!("write a size from {least} to {most}")))
    }

    /// A table.
    pub(crate) fn table(self) -> Result<&'a DeTable<'a>, Fault> {
        self.0.as_table().ok_or_else(|| self.not("a section", "write it as [name] on a line of its own"))
    }

    fn not(self, wanted: &str, remedy: &str) -> Fault {
        let found = match self.0 {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a flag",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        Fault::new(format!("is {found} where {wanted} belongs"), remedy)
    }
}

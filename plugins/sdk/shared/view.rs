//! The messages of a call as policies look at them. The crates of several worlds share this file: each has its own
//! generated types under `crate::bindings`.

use std::borrow::Cow;

use plugin::{Columns, Messages};

use crate::bindings::jackfield::policy::types::{Batch, ColumnData};
use crate::bindings::jackfield::policy::values::Scalar;

/// The policy, and the names that it said it reads.
#[derive(Default)]
pub struct Kept<P> {
    /// The policy.
    pub policy: P,
    /// Names of the columns of properties.
    pub names: Vec<String>,
}

/// A batch and its properties.
pub(crate) struct View<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) properties: &'a [Vec<Scalar>],
    pub(crate) names: &'a [String],
}

/// Ids of the columns that are numbers.
const NUMBERS: [(Columns, u32); 6] = [
    (Columns::PRIORITY, 1),
    (Columns::SIZE, 2),
    (Columns::REDELIVERED, 3),
    (Columns::TIMESTAMP, 4),
    (Columns::EXPIRATION, 5),
    (Columns::SEQUENCE, 6),
];

impl Messages for View<'_> {
    fn rows(&self) -> usize {
        self.batch.rows as usize
    }

    fn number(&self, row: usize, column: Columns) -> i64 {
        let id = NUMBERS.iter().find(|(other, _)| *other == column).map(|(_, id)| *id);
        let column = self.batch.columns.iter().find(|column| Some(column.id) == id);
        match column.map(|column| &column.data) {
            Some(ColumnData::U8s(values)) => values[row].into(),
            Some(ColumnData::U32s(values)) => values[row].into(),
            Some(ColumnData::S64s(values)) => values[row],
            _ => 0,
        }
    }

    fn property(&self, row: usize, name: &str) -> plugin::Scalar<'_> {
        let Some(at) = self.names.iter().position(|other| other == name) else { return plugin::Scalar::Absent };
        match &self.properties[at][row] {
            Scalar::Absent => plugin::Scalar::Absent,
            Scalar::Boolean(value) => plugin::Scalar::Bool(*value),
            Scalar::Int(value) => plugin::Scalar::Int(*value),
            Scalar::Float(value) => plugin::Scalar::Float(*value),
            Scalar::Text(value) => plugin::Scalar::Text(Cow::Borrowed(value)),
        }
    }
}

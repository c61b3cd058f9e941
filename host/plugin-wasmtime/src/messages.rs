//! Messages on their way as worlds are shown them: columns of headers, and a column for each
//! property that the policy reads.

use std::sync::Arc;

use plugin::{Columns, Messages};
use wasmtime::component::TypedFunc;

use crate::Limits;
use crate::bindings::{Batch, Column, ColumnData, Scalar};
use crate::engine::Ticker;
use crate::instance::{Fault, FaultKind, Live};
use crate::program::Ready;
use crate::runtime::Runtime;
use crate::world::Functions;

/// The function `reads` of an instance, and what it said.
pub(crate) struct Reads {
    func: TypedFunc<(), (Vec<String>,)>,
    /// `None` until it was asked; the settings do not change while the instance lives.
    names: Option<Arc<[String]>>,
}

impl Reads {
    pub(crate) fn new(func: TypedFunc<(), (Vec<String>,)>) -> Reads {
        Reads { func, names: None }
    }
}

/// Functions of a world that shows properties.
pub(crate) trait Reading: Functions {
    /// Its function `reads`.
    fn reads(&mut self) -> &mut Reads;
}

/// Names of the properties that the instance reads.
pub(crate) fn names<F: Reading>(live: &mut Live<F>, ticker: &Ticker, limits: &Limits) -> Result<Arc<[String]>, Fault> {
    let Reads { func, names } = live.functions.reads();
    if let Some(names) = names {
        return Ok(names.clone());
    }
    let func = *func;
    let (named,) = live.call(ticker, &func, ())?;
    let (count, longest) = (named.len(), named.iter().map(String::len).max().unwrap_or(0));
    if count > limits.reads_max || longest > limits.read_name_bytes_max {
        let reason = format!(
            "it reads {count} properties with names of up to {longest} bytes; reads_max is {} and \
             read_name_bytes_max {}",
            limits.reads_max, limits.read_name_bytes_max
        );
        return Err(Fault { kind: FaultKind::Trap, reason });
    }
    let named: Arc<[String]> = named.into();
    live.functions.reads().names = Some(named.clone());
    Ok(named)
}

/// A question in the form in which components read it; refilled in place.
#[derive(Default)]
pub(crate) struct Question {
    pub(crate) batch: Arc<Batch>,
    pub(crate) properties: Arc<Vec<Vec<Scalar>>>,
}

impl Question {
    /// A question about `destination`, without messages.
    pub(crate) fn new(runtime: &Runtime, destination: &str) -> Question {
        let batch = Batch { destination: runtime.symbols.intern(destination), ..Batch::default() };
        Question { batch: Arc::new(batch), properties: Arc::default() }
    }

    /// Fills in what the policy reads of these messages.
    pub(crate) fn fill(
        &mut self,
        runtime: &Runtime,
        ready: &Ready,
        names: &[String],
        now_ms: u64,
        messages: &dyn Messages,
    ) {
        let batch = Arc::make_mut(&mut self.batch);
        let rows = messages.rows();
        batch.now_ms = now_ms;
        batch.rows = rows as u32;
        batch.columns.clear();
        batch.columns.extend(ready.column_ids.iter().map(|id| column(runtime, *id, rows, messages)));
        let properties = Arc::make_mut(&mut self.properties);
        properties.resize_with(names.len(), Vec::new);
        for (values, name) in properties.iter_mut().zip(names) {
            values.clear();
            values.extend((0..rows).map(|row| Scalar::from(messages.property(row, name))));
        }
    }
}

/// A column of headers. Values that do not fit their type cannot come from the core; they become 0.
fn column(runtime: &Runtime, id: u32, rows: usize, messages: &dyn Messages) -> Column {
    let numbers = |column| (0..rows).map(move |row| messages.number(row, column));
    let symbols = |name: &str| {
        let text = |row| messages.property(row, name).to_text().map_or(0, |text| runtime.symbols.intern(&text));
        ColumnData::Symbols((0..rows).map(text).collect())
    };
    let small = |column| ColumnData::U32s(numbers(column).map(|value| u32::try_from(value).unwrap_or(0)).collect());
    let data = match id {
        1 => ColumnData::U8s(numbers(Columns::PRIORITY).map(|value| u8::try_from(value).unwrap_or(0)).collect()),
        2 => small(Columns::SIZE),
        3 => small(Columns::REDELIVERED),
        4 => ColumnData::S64s(numbers(Columns::TIMESTAMP).collect()),
        5 => ColumnData::S64s(numbers(Columns::EXPIRATION).collect()),
        6 => ColumnData::S64s(numbers(Columns::SEQUENCE).collect()),
        7 => symbols("JMSXGroupID"),
        _ => symbols("JMSType"),
    };
    Column { id, data }
}

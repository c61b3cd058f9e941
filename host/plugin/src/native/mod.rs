//! Native twins of the stock policies. Each decides the batches that its WebAssembly twin cannot, and is the yardstick
//! in the tests: for the same batches from the same start both give the same plans.

mod host;
mod least_in_flight;
mod round_robin;

pub use self::host::NativeHost;
pub use self::least_in_flight::LeastInFlight;
pub use self::round_robin::RoundRobin;

use crate::QueueDispatch;

/// Rows that a native policy takes at once; a bound on the time that one queue keeps the core.
pub const NATIVE_ROWS_MAX: usize = 256;

/// The native twin of the stock policy `policy`; round robin for any other name.
pub fn twin(policy: &str) -> Box<dyn QueueDispatch> {
    match policy {
        LeastInFlight::NAME => Box::new(LeastInFlight::new()),
        _ => Box::new(RoundRobin::new()),
    }
}

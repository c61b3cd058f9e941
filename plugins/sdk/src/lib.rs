//! Dispatch policies for the Jackfield message broker, in a dozen lines each.
//!
//! Implement [`QueuePolicy`] and export it; build for `wasm32-unknown-unknown` and make a component of the module.
//!
//! ```ignore
//! use jackfield_policy::{Batch, QueuePolicy, export_queue_policy};
//!
//! #[derive(Default)]
//! struct FirstCome;
//!
//! impl QueuePolicy for FirstCome {
//!     fn plan(&mut self, batch: &Batch, give: &mut jackfield_policy::Give) {
//!         for row in 0..batch.rows() {
//!             if let Some(at) = (0..batch.consumers.slots.len()).find(|at| give.may_take(batch, row, *at)) {
//!                 give.give(batch, row, at);
//!             }
//!         }
//!     }
//! }
//!
//! export_queue_policy!(FirstCome);
//! ```
//!
//! There is one policy value per destination and its calls never overlap. A panic ends the instance: the broker decides
//! that batch itself and makes a new one later. The manual is `wit/policy.wit` and `wit/queue.wit`.

/// Generated from the WIT package. Authors need it only for what the trait does not cover.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "queue-policy",
        pub_export_macro: true,
        default_bindings_module: "jackfield_policy::bindings",
        export_macro_name: "export_world",
    });
}

mod batch;
mod glue;
mod property;
mod settings;
mod turn;

pub use batch::{Batch, Give, LEAVE};
pub use bindings::exports::jackfield::policy::queue_dispatch::{Change, Member};
pub use bindings::jackfield::policy::telemetry::Level;
#[doc(hidden)]
pub use glue::Glue;
pub use property::{Property, text_hash};
pub use settings::{Settings, WEIGHT_MAX};
pub use turn::Turn;

/// A column or a wish to name in [`QueuePolicy::COLUMNS`]. The manual has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Column {
    /// JMS priority, 0 to 9.
    Priority = 1,
    /// Size of the message in bytes.
    Size = 2,
    /// How often it was delivered before.
    RedeliveryCount = 3,
    /// Producer's time stamp, ms since 1970.
    Timestamp = 4,
    /// Time of expiry, ms since 1970, 0 = never.
    Expiration = 5,
    /// The broker's sequence.
    Sequence = 6,
    /// Message group, a symbol.
    Group = 7,
    /// `JMSType`, a symbol.
    Type = 8,
    /// What each consumer needs for an acknowledgement; see [`Batch::ack_intervals`].
    AckInterval = 500,
    /// No column: rows beyond what the consumers have credit for are shown too, up to [`QueuePolicy::ROWS_MAX`].
    LookAhead = 900,
}

/// Decides which consumer gets which message of one queue.
pub trait QueuePolicy: Default + 'static {
    /// The columns that [`plan`](Self::plan) reads. Each costs a copy per batch.
    const COLUMNS: &'static [Column] = &[];
    /// The most rows wanted in one call; 0 leaves it to the broker.
    const ROWS_MAX: u32 = 0;
    /// Version of the state that [`snapshot`](Self::snapshot) writes and [`restore`](Self::restore) reads; 0 = none. With
    /// the name of the package it is the format: a policy of another name does not read this state.
    const STATE_VERSION: u8 = 0;

    /// The settings of the policy's section in the configuration. Read all that you know, also those that have to have
    /// their defaults: a policy may be configured again. What you do not read is refused.
    fn configure(&mut self, settings: &mut Settings) {
        let _ = settings;
    }

    /// The message properties that [`plan`](Self::plan) reads. May depend on the settings.
    fn properties(&self) -> Vec<Property> {
        Vec::new()
    }

    /// Consumers came or went.
    fn members_changed(&mut self, changes: Vec<Change>) {
        let _ = changes;
    }

    /// Gives rows to consumers through `give`; a row that is not given stays where it is.
    fn plan(&mut self, batch: &Batch, give: &mut Give);

    /// What to keep while the policy sleeps.
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what [`snapshot`](Self::snapshot) gave; false if it makes no sense of it.
    fn restore(&mut self, state: &[u8]) -> bool {
        state.is_empty()
    }
}

/// A line in the broker's log.
pub fn log(level: Level, text: &str) {
    bindings::jackfield::policy::telemetry::log(level, text);
}

/// The text of a symbol. Ask once per symbol and remember.
pub fn text(symbol: u32) -> String {
    bindings::jackfield::policy::symbols::text(symbol)
}

/// Makes `$policy` the policy that this component exports.
#[macro_export]
macro_rules! export_queue_policy {
    ($policy:ty) => {
        type JackfieldExported = $crate::Glue<$policy>;

        // One instance of the component serves one destination, so one value serves all the calls.
        ::std::thread_local! {
            static POLICY: ::std::cell::RefCell<$policy> = ::std::cell::RefCell::default();
        }

        impl $crate::Exported for $policy {
            const PACKAGE: &'static str = ::core::env!("CARGO_PKG_NAME");

            fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
                POLICY.with_borrow_mut(work)
            }
        }

        $crate::bindings::export_world!(JackfieldExported with_types_in $crate::bindings);
    };
}

/// Where the one value of an exported policy lives. Implemented by [`export_queue_policy!`].
#[doc(hidden)]
pub trait Exported: QueuePolicy {
    /// Name of the package that it is in.
    const PACKAGE: &'static str;

    /// Calls `work` with the value.
    fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T;
}

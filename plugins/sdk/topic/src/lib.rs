//! Topic policies for the Jackfield message broker: implement [`FanOutLogic`] and export it with
//! [`export_topic_policy!`]. The manual is `wit/topic.wit`.
//!
//! ```ignore
//! use jackfield_topic_policy::plugin::{FanOut, Messages, SubscriptionRow};
//! use jackfield_topic_policy::{FanOutLogic, export_topic_policy};
//!
//! /// The subscription with the least backlog is served first.
//! #[derive(Default)]
//! struct ShortestFirst;
//!
//! impl FanOutLogic for ShortestFirst {
//!     fn decide(&mut self, _messages: &dyn Messages, subscriptions: &[SubscriptionRow], out: &mut FanOut) {
//!         let mut ranked: Vec<_> = subscriptions.iter().collect();
//!         ranked.sort_by_key(|row| row.waiting);
//!         out.order = ranked.iter().map(|row| row.slot).collect();
//!     }
//! }
//!
//! export_topic_policy!(ShortestFirst);
//! ```
//!
//! One instance of the component has one policy value, and its calls never overlap. A panic ends the instance.

/// Generated from the WIT package. Authors need it only for what the trait does not cover.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "topic-policy",
        pub_export_macro: true,
        default_bindings_module: "jackfield_topic_policy::bindings",
        export_macro_name: "export_world",
    });
}

#[path = "../../shared/view.rs"]
mod view;

use std::marker::PhantomData;

pub use plugin;
pub use plugin::FanOutLogic;
#[doc(hidden)]
pub use view::Kept;

use bindings::exports::jackfield::policy::lifecycle::{self, Refusal, Setting};
use bindings::exports::jackfield::policy::topic_dispatch::{self as point, FanOut, Subscriptions};
use bindings::jackfield::policy::types::{Batch, Requirements};
use bindings::jackfield::policy::values::Scalar;
use plugin::SubscriptionRow;
use view::View;

/// Where the one value of an exported policy lives. Implemented by [`export_topic_policy!`].
#[doc(hidden)]
pub trait Exported {
    /// What is exported.
    type Policy: FanOutLogic;

    /// Calls `work` with the value.
    fn with<T>(work: impl FnOnce(&mut Kept<Self::Policy>) -> T) -> T;
}

/// Exports the policy as the world wants it.
#[doc(hidden)]
pub struct Glue<E>(PhantomData<E>);

impl<E: Exported> lifecycle::Guest for Glue<E> {
    fn describe() -> Requirements {
        Requirements {
            columns: E::Policy::COLUMN_IDS.to_vec(),
            properties: Vec::new(),
            max_rows: 0,
            state_version: 0,
            restores: Vec::new(),
        }
    }

    fn configure(settings: Vec<Setting>) -> Result<(), String> {
        let settings: Vec<_> = settings.into_iter().map(|setting| (setting.key, setting.value)).collect();
        E::with(|kept| kept.policy.configure(&settings))
    }

    fn snapshot(_limit: u32) -> Result<Vec<u8>, Refusal> {
        Ok(Vec::new())
    }

    fn restore(_format: u32, _state: Vec<u8>) -> Result<(), Refusal> {
        Err(Refusal::UnknownFormat)
    }
}

impl<E: Exported> point::Guest for Glue<E> {
    fn reads() -> Vec<String> {
        E::with(|kept| {
            kept.names = kept.policy.reads();
            kept.names.clone()
        })
    }

    fn plan(messages: Batch, properties: Vec<Vec<Scalar>>, now: Subscriptions) -> FanOut {
        let table: Vec<SubscriptionRow> = (0..now.slots.len())
            .map(|at| SubscriptionRow {
                slot: now.slots[at],
                priority: now.priority[at],
                waiting: now.waiting[at],
                is_network: now.kinds[at] & 1 != 0,
                is_durable: now.kinds[at] & 2 != 0,
            })
            .collect();
        let mut out = plugin::FanOut::default();
        E::with(|kept| {
            let view = View { batch: &messages, properties: &properties, names: &kept.names };
            kept.policy.decide(&view, &table, &mut out);
        });
        FanOut { mask: out.mask, order: out.order }
    }
}

/// Makes `$policy` the policy that this component exports.
#[macro_export]
macro_rules! export_topic_policy {
    ($policy:ty) => {
        struct JackfieldPolicy;
        type JackfieldExported = $crate::Glue<JackfieldPolicy>;

        ::std::thread_local! {
            static POLICY: ::std::cell::RefCell<$crate::Kept<$policy>> = ::std::cell::RefCell::default();
        }

        impl $crate::Exported for JackfieldPolicy {
            type Policy = $policy;

            fn with<T>(work: impl FnOnce(&mut $crate::Kept<$policy>) -> T) -> T {
                POLICY.with_borrow_mut(work)
            }
        }

        $crate::bindings::export_world!(JackfieldExported with_types_in $crate::bindings);
    };
}

//! Network policies for the Jackfield message broker: implement [`CrossingLogic`] and export it with
//! [`export_network_policy!`]. The manual is `wit/network.wit`.
//!
//! ```ignore
//! use jackfield_network_policy::plugin::{Demand, Interest, Peer};
//! use jackfield_network_policy::{CrossingLogic, export_network_policy};
//!
//! /// Only what is durable over there is worth the line.
//! #[derive(Default)]
//! struct DurableOnly;
//!
//! impl CrossingLogic for DurableOnly {
//!     fn configure(&mut self, _settings: &[(String, String)]) -> Result<(), String> {
//!         Ok(())
//!     }
//!
//!     fn interest(&mut self, _peer: &Peer, demand: &Demand) -> Interest {
//!         if demand.durable { Interest::Forward } else { Interest::Suppress }
//!     }
//! }
//!
//! export_network_policy!(DurableOnly);
//! ```
//!
//! One instance of the component has one policy value, and its calls never overlap. A panic ends the instance.

/// Generated from the WIT package. Authors need it only for what the trait does not cover.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "network-policy",
        pub_export_macro: true,
        default_bindings_module: "jackfield_network_policy::bindings",
        export_macro_name: "export_world",
    });
}

#[path = "../../shared/view.rs"]
mod view;

use std::marker::PhantomData;

pub use plugin;
pub use plugin::CrossingLogic;
#[doc(hidden)]
pub use view::Kept;

use bindings::exports::jackfield::policy::lifecycle::{self, Refusal, Setting};
use bindings::exports::jackfield::policy::network_filter::{self as point, Crossing, Demand, Edit, Interest, Peer};
use bindings::jackfield::policy::types::{Batch, Requirements};
use bindings::jackfield::policy::values::Scalar;
use view::View;

/// Where the one value of an exported policy lives. Implemented by [`export_network_policy!`].
#[doc(hidden)]
pub trait Exported {
    /// What is exported.
    type Policy: CrossingLogic;

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

    fn filter_demand(to: Peer, what: Vec<Demand>) -> Vec<Interest> {
        let peer = peer(to);
        let interest = |demand: Demand| {
            let demand = plugin::Demand {
                destination: demand.destination,
                selector: demand.selector,
                hops: demand.hops,
                priority: demand.priority,
                durable: demand.durable,
            };
            match E::with(|kept| kept.policy.interest(&peer, &demand)) {
                plugin::Interest::Forward => Interest::Forward,
                plugin::Interest::Suppress => Interest::Suppress,
            }
        };
        what.into_iter().map(interest).collect()
    }

    fn filter_messages(to: Peer, messages: Batch, properties: Vec<Vec<Scalar>>) -> Vec<Crossing> {
        let peer = peer(to);
        E::with(|kept| {
            let view = View { batch: &messages, properties: &properties, names: &kept.names };
            let rows = 0..messages.rows as usize;
            rows.map(|row| crossing(kept.policy.crossing(messages.now_ms, &peer, &view, row))).collect()
        })
    }
}

fn peer(peer: Peer) -> plugin::Peer {
    plugin::Peer { broker: peer.broker, connector: peer.connector }
}

fn crossing(crossing: plugin::Crossing) -> Crossing {
    match crossing {
        plugin::Crossing::Forward(edits) => Crossing::Forward(edits.into_iter().map(edit).collect()),
        plugin::Crossing::Hold => Crossing::Hold,
        plugin::Crossing::Drop => Crossing::Drop,
    }
}

fn edit(edit: plugin::Edit) -> Edit {
    match edit {
        plugin::Edit::Set(name, value) => Edit::Set((name, scalar(value))),
        plugin::Edit::Remove(name) => Edit::Remove(name),
        plugin::Edit::StripGroup => Edit::StripGroup,
    }
}

fn scalar(value: plugin::Scalar<'static>) -> Scalar {
    match value {
        plugin::Scalar::Absent => Scalar::Absent,
        plugin::Scalar::Bool(value) => Scalar::Boolean(value),
        plugin::Scalar::Int(value) => Scalar::Int(value),
        plugin::Scalar::Float(value) => Scalar::Float(value),
        plugin::Scalar::Text(value) => Scalar::Text(value.into_owned()),
    }
}

/// Makes `$policy` the policy that this component exports.
#[macro_export]
macro_rules! export_network_policy {
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

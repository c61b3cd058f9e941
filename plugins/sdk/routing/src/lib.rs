//! Routing policies for the Jackfield message broker: implement [`RouteLogic`] and export it with
//! [`export_routing_policy!`]. The manual is `wit/routing.wit`.
//!
//! ```ignore
//! use jackfield_routing_policy::plugin::{Messages, Verdict};
//! use jackfield_routing_policy::{RouteLogic, export_routing_policy};
//!
//! #[derive(Default)]
//! struct NightShift;
//!
//! impl RouteLogic for NightShift {
//!     fn configure(&mut self, _settings: &[(String, String)]) -> Result<(), String> {
//!         Ok(())
//!     }
//!
//!     fn reads(&self) -> Vec<String> {
//!         vec!["shift".to_owned()]
//!     }
//!
//!     fn decide(&mut self, messages: &dyn Messages, row: usize) -> Verdict {
//!         match messages.property(row, "shift").to_text().as_deref() {
//!             Some("night") => Verdict::Replace(vec!["queue://NIGHT".to_owned()]),
//!             _ => Verdict::AsAddressed,
//!         }
//!     }
//! }
//!
//! export_routing_policy!(NightShift);
//! ```
//!
//! One instance of the component has one policy value, and its calls never overlap. A panic ends the instance.

/// Generated from the WIT package. Authors need it only for what the trait does not cover.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "routing-policy",
        pub_export_macro: true,
        default_bindings_module: "jackfield_routing_policy::bindings",
        export_macro_name: "export_world",
    });
}

#[path = "../../shared/view.rs"]
mod view;

use std::marker::PhantomData;

pub use plugin;
pub use plugin::RouteLogic;
#[doc(hidden)]
pub use view::Kept;

use bindings::exports::jackfield::policy::lifecycle::{self, Refusal, Setting};
use bindings::exports::jackfield::policy::publish_routing::{self as point, Verdict};
use bindings::jackfield::policy::types::{Batch, Requirements};
use bindings::jackfield::policy::values::Scalar;
use view::View;

/// Where the one value of an exported policy lives. Implemented by [`export_routing_policy!`].
#[doc(hidden)]
pub trait Exported {
    /// Name of the package that it is in.
    const PACKAGE: &'static str;

    /// What is exported.
    type Policy: RouteLogic;

    /// Calls `work` with the value.
    fn with<T>(work: impl FnOnce(&mut Kept<Self::Policy>) -> T) -> T;
}

/// Exports the policy as the world wants it.
#[doc(hidden)]
pub struct Glue<E>(PhantomData<E>);

impl<E: Exported> lifecycle::Guest for Glue<E> {
    fn describe() -> Requirements {
        let format = plugin::state_format(E::PACKAGE, E::Policy::STATE_VERSION);
        Requirements {
            columns: E::Policy::COLUMN_IDS.to_vec(),
            properties: Vec::new(),
            max_rows: 0,
            state_version: format,
            restores: if format == 0 { Vec::new() } else { vec![format] },
        }
    }

    fn configure(settings: Vec<Setting>) -> Result<(), String> {
        let settings: Vec<_> = settings.into_iter().map(|setting| (setting.key, setting.value)).collect();
        E::with(|kept| kept.policy.configure(&settings))
    }

    fn snapshot(limit: u32) -> Result<Vec<u8>, Refusal> {
        let state = E::with(|kept| kept.policy.snapshot());
        if state.len() > limit as usize { Err(Refusal::TooLarge(state.len() as u64)) } else { Ok(state) }
    }

    fn restore(format: u32, state: Vec<u8>) -> Result<(), Refusal> {
        if format != plugin::state_format(E::PACKAGE, E::Policy::STATE_VERSION) {
            return Err(Refusal::UnknownFormat);
        }
        match E::with(|kept| kept.policy.restore(&state)) {
            true => Ok(()),
            false => Err(Refusal::Other(String::from("the state makes no sense to this policy"))),
        }
    }
}

impl<E: Exported> point::Guest for Glue<E> {
    fn reads() -> Vec<String> {
        E::with(|kept| {
            kept.names = kept.policy.reads();
            kept.names.clone()
        })
    }

    fn route(messages: Batch, properties: Vec<Vec<Scalar>>) -> Vec<Verdict> {
        E::with(|kept| {
            let view = View { batch: &messages, properties: &properties, names: &kept.names };
            (0..messages.rows as usize).map(|row| verdict(kept.policy.decide(&view, row))).collect()
        })
    }
}

fn verdict(verdict: plugin::Verdict) -> Verdict {
    match verdict {
        plugin::Verdict::AsAddressed => Verdict::AsAddressed,
        plugin::Verdict::Replace(targets) => Verdict::Replace(targets),
        plugin::Verdict::Add(targets) => Verdict::Add(targets),
        plugin::Verdict::Drop => Verdict::Drop,
        plugin::Verdict::Reject(reason) => Verdict::Reject(reason),
        plugin::Verdict::DeadLetter(reason) => Verdict::DeadLetter(reason),
    }
}

/// Makes `$policy` the policy that this component exports.
#[macro_export]
macro_rules! export_routing_policy {
    ($policy:ty) => {
        struct JackfieldPolicy;
        type JackfieldExported = $crate::Glue<JackfieldPolicy>;

        ::std::thread_local! {
            static POLICY: ::std::cell::RefCell<$crate::Kept<$policy>> = ::std::cell::RefCell::default();
        }

        impl $crate::Exported for JackfieldPolicy {
            const PACKAGE: &'static str = ::core::env!("CARGO_PKG_NAME");

            type Policy = $policy;

            fn with<T>(work: impl FnOnce(&mut $crate::Kept<$policy>) -> T) -> T {
                POLICY.with_borrow_mut(work)
            }
        }

        $crate::bindings::export_world!(JackfieldExported with_types_in $crate::bindings);
    };
}

//! Message group policies for the Jackfield message broker: implement [`GroupAssignment`] and export it with
//! [`export_group_policy!`]. The manual is `wit/group.wit`.
//!
//! One instance of the component has one policy value, and its calls never overlap. A panic ends the instance. The
//! counters that the trait asks for are the broker's: a component answers with zeros.

/// Generated from the WIT package. Authors need it only for what the trait does not cover.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "group-policy",
        pub_export_macro: true,
        default_bindings_module: "jackfield_group_policy::bindings",
        export_macro_name: "export_world",
    });
}

use std::marker::PhantomData;
use std::sync::Arc;

pub use plugin;
pub use plugin::GroupAssignment;

use bindings::exports::jackfield::policy::group_assignment::{self as point, Change, Groups, Move};
use bindings::exports::jackfield::policy::lifecycle::{self, Refusal, Setting};
use bindings::jackfield::policy::types::{Consumers, Requirements};
use plugin::{ConsumerRow, GroupBatch, Member, MemberChange};

/// Where the one value of an exported policy lives. Implemented by [`export_group_policy!`].
#[doc(hidden)]
pub trait Exported {
    /// What is exported.
    type Policy: GroupAssignment + Default;

    /// Calls `work` with the value.
    fn with<T>(work: impl FnOnce(&mut Self::Policy) -> T) -> T;
}

/// Exports the policy as the world wants it.
#[doc(hidden)]
pub struct Glue<E>(PhantomData<E>);

impl<E: Exported> lifecycle::Guest for Glue<E> {
    fn describe() -> Requirements {
        Requirements { columns: vec![], properties: vec![], max_rows: 0, state_version: 0, restores: vec![] }
    }

    fn configure(settings: Vec<Setting>) -> Result<(), String> {
        match settings.first() {
            None => Ok(()),
            Some(Setting { key, value }) => {
                Err(format!("setting {key} = {value} is unknown; leave it out, this policy takes no settings"))
            }
        }
    }

    fn snapshot(_limit: u32) -> Result<Vec<u8>, Refusal> {
        Ok(Vec::new())
    }

    fn restore(_format: u32, _state: Vec<u8>) -> Result<(), Refusal> {
        Err(Refusal::UnknownFormat)
    }
}

impl<E: Exported> point::Guest for Glue<E> {
    fn members_changed(changes: Vec<Change>) {
        let changes: Vec<MemberChange> = changes.into_iter().map(change).collect();
        E::with(|policy| policy.members_changed(&changes));
    }

    fn assign(what: Groups, now: Consumers) -> Vec<u32> {
        let table = table(&now);
        let mut owners = Vec::new();
        E::with(|policy| policy.assign(&batch(&what, &table), &mut owners));
        owners
    }

    fn rebalances() -> bool {
        E::with(|policy| policy.rebalances())
    }

    fn rebalance(what: Groups, now: Consumers) -> Vec<Move> {
        let table = table(&now);
        let mut moves = Vec::new();
        E::with(|policy| policy.rebalance(&batch(&what, &table), &mut moves));
        moves.into_iter().map(|one| Move { row: one.row, to: one.to }).collect()
    }
}

fn table(now: &Consumers) -> Vec<ConsumerRow> {
    let row = |at: usize| ConsumerRow {
        slot: now.slots[at],
        credit: now.credit[at],
        in_flight: now.in_flight[at],
        priority: now.priority[at],
    };
    (0..now.slots.len()).map(row).collect()
}

fn batch<'a>(what: &'a Groups, table: &'a [ConsumerRow]) -> GroupBatch<'a> {
    GroupBatch {
        now_ms: what.now_ms,
        hash: &what.hashes,
        queued: &what.queued,
        owners: &what.owners,
        candidates: &what.candidates,
        consumers: table,
        owned: &what.owned,
    }
}

fn change(change: Change) -> MemberChange {
    match change {
        Change::Left(slot) => MemberChange::Left(slot),
        Change::Joined(member) => MemberChange::Joined(Member {
            slot: member.slot,
            client_id: Arc::from(member.client_id),
            selector: (!member.selector.is_empty()).then(|| Arc::from(member.selector)),
            is_network: member.is_network,
        }),
    }
}

/// Makes `$policy` the policy that this component exports.
#[macro_export]
macro_rules! export_group_policy {
    ($policy:ty) => {
        struct JackfieldPolicy;
        type JackfieldExported = $crate::Glue<JackfieldPolicy>;

        ::std::thread_local! {
            static POLICY: ::std::cell::RefCell<$policy> = ::std::cell::RefCell::default();
        }

        impl $crate::Exported for JackfieldPolicy {
            type Policy = $policy;

            fn with<T>(work: impl FnOnce(&mut $policy) -> T) -> T {
                POLICY.with_borrow_mut(work)
            }
        }

        $crate::bindings::export_world!(JackfieldExported with_types_in $crate::bindings);
    };
}

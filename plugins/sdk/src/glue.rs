//! From the functions of the world to the trait.

use std::marker::PhantomData;

use crate::bindings::exports::jackfield::policy::lifecycle::{self, Refusal, Setting};
use crate::bindings::exports::jackfield::policy::queue_dispatch;
use crate::bindings::jackfield::policy::types::{self, Consumers, Requirements};
use crate::property::state_format;
use crate::{Batch, Change, Exported, Give, Settings};

/// Exports `P` as the world wants it.
pub struct Glue<P>(PhantomData<P>);

impl<P: Exported> lifecycle::Guest for Glue<P> {
    fn describe() -> Requirements {
        let format = state_format(P::PACKAGE, P::STATE_VERSION);
        Requirements {
            columns: P::COLUMNS.iter().map(|column| *column as u32).collect(),
            properties: P::with(|policy| policy.properties()).into_iter().map(|property| property.0).collect(),
            max_rows: P::ROWS_MAX,
            state_version: format,
            restores: if format == 0 { Vec::new() } else { vec![format] },
        }
    }

    fn configure(settings: Vec<Setting>) -> Result<(), String> {
        let mut settings = Settings::new(settings);
        P::with(|policy| policy.configure(&mut settings));
        settings.finish()
    }

    fn snapshot(limit: u32) -> Result<Vec<u8>, Refusal> {
        let state = P::with(|policy| policy.snapshot());
        if state.len() > limit as usize { Err(Refusal::TooLarge(state.len() as u64)) } else { Ok(state) }
    }

    fn restore(format: u32, state: Vec<u8>) -> Result<(), Refusal> {
        if format != state_format(P::PACKAGE, P::STATE_VERSION) {
            return Err(Refusal::UnknownFormat);
        }
        match P::with(|policy| policy.restore(&state)) {
            true => Ok(()),
            false => Err(Refusal::Other(String::from("the state makes no sense to this policy"))),
        }
    }
}

impl<P: Exported> queue_dispatch::Guest for Glue<P> {
    fn members_changed(changes: Vec<Change>) {
        P::with(|policy| policy.members_changed(changes));
    }

    fn plan(messages: types::Batch, now: Consumers) -> Vec<u32> {
        let batch = Batch::new(messages, now);
        let mut give = Give::new(&batch);
        P::with(|policy| policy.plan(&batch, &mut give));
        give.slots
    }
}

//! What a recording has to know of a policy as it begins.

use std::sync::Arc;

use super::{Cell, Inner, Kept, Legacy, Slot};
use crate::recorder::Tape;
use crate::recording::{Head, Start, hex};
use crate::runtime::Runtime;
use crate::world::Functions;

impl<F: Functions> Cell<F> {
    /// A recording that begins: its tape has the policy's settings and what it remembers. To be called by the core's
    /// thread before a batch is gathered.
    pub(crate) fn tape_boundary(&self, runtime: &Runtime, now_ms: u64) -> Option<Arc<Tape>> {
        if !self.desk.is_tape_offered() {
            return None;
        }
        let mut inner = self.inner.try_lock().ok()?;
        let tape = self.desk.take_tape().filter(|tape| !tape.is_over())?;
        let start = self.start(runtime, &mut inner).map_err(|reason| tape.end(&reason)).ok()?;
        let program = inner.program.clone();
        let Some(Ok(ready)) = program.get() else { return None };
        let settings = program.settings.iter().chain(&self.settings);
        tape.begin(Head {
            generation: program.generation,
            begun_ms: now_ms,
            settings: settings.map(|setting| (setting.key.clone(), setting.value.clone())).collect(),
            properties: ready.properties.iter().map(ToString::to_string).collect(),
            store: self.seat.memory.store.all().into_iter().map(|(key, value)| (key, hex(&value))).collect(),
            ..Head::new(&self.seat.policy, &self.seat.destination, start)
        });
        Some(tape)
    }

    /// What the policy remembers now, or why it cannot be recorded.
    fn start(&self, runtime: &Runtime, inner: &mut Inner<F>) -> Result<Start, String> {
        let program = inner.program.clone();
        let Some(Ok(ready)) = program.get() else { return Err("the policy is not compiled yet".to_owned()) };
        let kept = match &mut inner.slot {
            Slot::Empty => None,
            Slot::Asleep(state) => state.clone(),
            Slot::Live(live) => match self.legacy(runtime, ready, live) {
                Legacy::State(None) => return Ok(Start::Unknown),
                Legacy::State(state) => state,
                Legacy::Denied(reason) => return Err(reason),
                Legacy::Broken(fault) => {
                    self.break_down(runtime, inner, &fault);
                    return Err(format!("its snapshot fails: {}", fault.reason));
                }
            },
            Slot::Failed { .. } | Slot::Refused => {
                return Err("the policy has failed, the native one decides".to_owned());
            }
        };
        let state = |kept: Kept| Start::State { format: kept.format, bytes: hex(&kept.bytes) };
        Ok(kept.map_or(Start::Fresh, state))
    }
}

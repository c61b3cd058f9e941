//! Topic dispatch: a component asked which subscriptions get a message.

use std::sync::Arc;

use plugin::{Decided, FanOut, Messages, Point, PolicyStats, SubscriptionRow, TopicDispatch};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{self, Batch, Scalar, Subscriptions, TOPIC_DISPATCH};
use crate::incumbent::Incumbent;
use crate::instance::{Fault, Live};
use crate::messages::{Question, Reading, Reads, names};
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::shadow::TopicShadow;
use crate::world::{Finder, Functions, World};

/// `world topic-policy`
pub(crate) static WORLD: World = World {
    point: Point::TopicDispatch,
    name: "topic-policy",
    interface: TOPIC_DISPATCH,
    functions: &["reads", "plan"],
    column_ids: &[1, 2, 3, 4, 5, 6, 7, 8],
    properties: false,
    rehearse: Program::rehearse::<TopicFunctions>,
};

type Plan = TypedFunc<(Arc<Batch>, Arc<Vec<Vec<Scalar>>>, Arc<Subscriptions>), (bindings::FanOut,)>;

/// The functions of `topic-dispatch` in one instance.
pub(crate) struct TopicFunctions {
    reads: Reads,
    plan: Plan,
}

impl Functions for TopicFunctions {
    const WORLD: &'static World = &WORLD;

    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<TopicFunctions, Fault> {
        Ok(TopicFunctions { reads: Reads::new(finder.typed(&exports[0])?), plan: finder.typed(&exports[1])? })
    }
}

impl Reading for TopicFunctions {
    fn reads(&mut self) -> &mut Reads {
        &mut self.reads
    }
}

/// A component on one topic, with its native twin beside it if it has one.
pub(crate) struct WasmTopic {
    incumbent: Incumbent<TopicFunctions>,
    twin: Option<Box<dyn TopicDispatch>>,
    shown: Shown,
    /// A candidate that looks on.
    shadow: Option<Box<TopicShadow>>,
}

impl WasmTopic {
    pub(crate) fn new(incumbent: Incumbent<TopicFunctions>, twin: Option<Box<dyn TopicDispatch>>) -> WasmTopic {
        let shown = Shown::new(incumbent.runtime(), incumbent.destination());
        WasmTopic { incumbent, twin, shown, shadow: None }
    }
}

/// A question in the form in which components read it; refilled in place.
pub(crate) struct Shown {
    question: Question,
    subscriptions: Arc<Subscriptions>,
}

impl Shown {
    pub(crate) fn new(runtime: &Runtime, topic: &str) -> Shown {
        Shown { question: Question::new(runtime, topic), subscriptions: Arc::default() }
    }

    /// Puts the question to an instance; `None` for an answer that does not fit.
    pub(crate) fn put(
        &mut self,
        runtime: &Runtime,
        ready: &Ready,
        live: &mut Live<TopicFunctions>,
        now_ms: u64,
        messages: &dyn Messages,
        table: &[SubscriptionRow],
    ) -> Result<Option<FanOut>, Fault> {
        let Shown { question, subscriptions } = self;
        let names = names(live, &runtime.ticker, &runtime.limits)?;
        question.fill(runtime, ready, &names, now_ms, messages);
        fill(Arc::make_mut(subscriptions), table);
        let plan = live.functions.plan;
        let params = (question.batch.clone(), question.properties.clone(), subscriptions.clone());
        let (answer,) = live.call(&runtime.ticker, &plan, params)?;
        let answer = FanOut { mask: answer.mask, order: answer.order };
        Ok(Some(answer).filter(|answer| answer.fits(messages.rows(), table.len())))
    }
}

fn fill(subscriptions: &mut Subscriptions, table: &[SubscriptionRow]) {
    subscriptions.slots.clear();
    subscriptions.slots.extend(table.iter().map(|row| row.slot));
    subscriptions.priority.clear();
    subscriptions.priority.extend(table.iter().map(|row| row.priority));
    subscriptions.waiting.clear();
    subscriptions.waiting.extend(table.iter().map(|row| row.waiting));
    subscriptions.kinds.clear();
    subscriptions.kinds.extend(table.iter().map(|row| u8::from(row.is_network) | u8::from(row.is_durable) << 1));
}

impl TopicDispatch for WasmTopic {
    fn plan(&mut self, now_ms: u64, messages: &dyn Messages, table: &[SubscriptionRow], out: &mut FanOut) -> Decided {
        let rows = messages.rows();
        self.incumbent.boundary(now_ms);
        let WasmTopic { incumbent, shown, shadow, .. } = self;
        if let Some(next) = incumbent.shadow_boundary() {
            let begun = |next| Box::new(TopicShadow::new(next, incumbent.runtime(), incumbent.destination()));
            *shadow = next.map(begun);
        }
        let put = |runtime: &Runtime, ready: &Ready, live: &mut Live<TopicFunctions>| {
            shown.put(runtime, ready, live, now_ms, messages, table)
        };
        let (answer, _) = incumbent.ask(now_ms, rows, put);
        match answer {
            Ok(answer) => {
                if let Some(shadow) = shadow {
                    shadow.look(incumbent.runtime(), now_ms, messages, table, &answer, incumbent.took());
                }
                *out = answer;
                Decided::Policy
            }
            Err(fallback) => {
                if let Some(twin) = &mut self.twin {
                    twin.plan(now_ms, messages, table, out);
                }
                Decided::Fallback(fallback)
            }
        }
    }

    fn corrected(&mut self, faults: u64) {
        self.incumbent.corrected(faults);
    }

    fn generation(&self) -> u64 {
        self.incumbent.asked()
    }

    fn stats(&self) -> PolicyStats {
        self.incumbent.stats()
    }
}

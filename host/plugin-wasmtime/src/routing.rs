//! Publish routing: a component asked where messages go.

use std::sync::Arc;

use plugin::{Decided, Messages, Point, PolicyStats, PublishRouting, Verdict};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{self, Batch, PUBLISH_ROUTING, Scalar};
use crate::incumbent::Incumbent;
use crate::instance::Fault;
use crate::messages::{Question, Reading, Reads, names};
use crate::program::Program;
use crate::world::{Finder, Functions, World};

/// `world routing-policy`
pub(crate) static WORLD: World = World {
    point: Point::PublishRouting,
    name: "routing-policy",
    interface: PUBLISH_ROUTING,
    functions: &["reads", "route"],
    column_ids: &[1, 2, 3, 4, 5, 7, 8],
    properties: false,
    rehearse: Program::rehearse::<RoutingFunctions>,
};

type Route = TypedFunc<(Arc<Batch>, Arc<Vec<Vec<Scalar>>>), (Vec<bindings::Verdict>,)>;

/// The functions of `publish-routing` in one instance.
pub(crate) struct RoutingFunctions {
    reads: Reads,
    route: Route,
}

impl Functions for RoutingFunctions {
    const WORLD: &'static World = &WORLD;

    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<RoutingFunctions, Fault> {
        Ok(RoutingFunctions { reads: Reads::new(finder.typed(&exports[0])?), route: finder.typed(&exports[1])? })
    }
}

impl Reading for RoutingFunctions {
    fn reads(&mut self) -> &mut Reads {
        &mut self.reads
    }
}

/// A component on one binding, with its native twin beside it if it has one.
pub(crate) struct WasmRouting {
    incumbent: Incumbent<RoutingFunctions>,
    twin: Option<Box<dyn PublishRouting>>,
    question: Question,
}

impl WasmRouting {
    pub(crate) fn new(incumbent: Incumbent<RoutingFunctions>, twin: Option<Box<dyn PublishRouting>>) -> WasmRouting {
        let question = Question::new(incumbent.runtime(), incumbent.destination());
        WasmRouting { incumbent, twin, question }
    }
}

impl PublishRouting for WasmRouting {
    fn rows_max(&self) -> usize {
        self.incumbent.rows_max()
    }

    fn route(&mut self, now_ms: u64, messages: &dyn Messages, out: &mut Vec<Verdict>) -> Decided {
        out.clear();
        let rows = messages.rows();
        self.incumbent.boundary(now_ms);
        let question = &mut self.question;
        let (answer, _) = self.incumbent.ask(now_ms, rows, |runtime, ready, live| {
            let names = names(live, &runtime.ticker, &runtime.limits)?;
            question.fill(runtime, ready, &names, now_ms, messages);
            let route = live.functions.route;
            let params = (question.batch.clone(), question.properties.clone());
            let (verdicts,) = live.call(&runtime.ticker, &route, params)?;
            Ok(Some(verdicts).filter(|verdicts| verdicts.len() == rows))
        });
        match answer {
            Ok(verdicts) => {
                out.extend(verdicts.into_iter().map(Verdict::from));
                Decided::Policy
            }
            Err(fallback) => {
                match &mut self.twin {
                    Some(twin) => drop(twin.route(now_ms, messages, out)),
                    None => out.resize(rows, Verdict::AsAddressed),
                }
                Decided::Fallback(fallback)
            }
        }
    }

    fn corrected(&mut self, answers: u64) {
        self.incumbent.corrected(answers);
    }

    fn stats(&self) -> PolicyStats {
        self.incumbent.stats()
    }
}

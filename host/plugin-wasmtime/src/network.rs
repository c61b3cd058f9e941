//! Network forwarding: a component asked what crosses to another broker.

use std::sync::Arc;

use plugin::{Crossing, Decided, Demand, Interest, Messages, NetworkFilter, Peer, Point, PolicyStats};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{self, Batch, NETWORK_FILTER, Scalar};
use crate::incumbent::Incumbent;
use crate::instance::Fault;
use crate::messages::{Question, Reading, Reads, names};
use crate::program::Program;
use crate::world::{Finder, Functions, World};

/// `world network-policy`
pub(crate) static WORLD: World = World {
    point: Point::NetworkFilter,
    name: "network-policy",
    interface: NETWORK_FILTER,
    functions: &["reads", "filter-demand", "filter-messages"],
    column_ids: &[1, 2, 3, 4, 5, 6, 7, 8],
    properties: false,
    rehearse: Program::rehearse::<NetworkFunctions>,
};

type FilterDemand = TypedFunc<(bindings::Peer, Vec<bindings::Demand>), (Vec<bindings::Interest>,)>;
type FilterMessages = TypedFunc<(bindings::Peer, Arc<Batch>, Arc<Vec<Vec<Scalar>>>), (Vec<bindings::Crossing>,)>;

/// The functions of `network-filter` in one instance.
pub(crate) struct NetworkFunctions {
    reads: Reads,
    demand: FilterDemand,
    messages: FilterMessages,
}

impl Functions for NetworkFunctions {
    const WORLD: &'static World = &WORLD;

    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<NetworkFunctions, Fault> {
        Ok(NetworkFunctions {
            reads: Reads::new(finder.typed(&exports[0])?),
            demand: finder.typed(&exports[1])?,
            messages: finder.typed(&exports[2])?,
        })
    }
}

impl Reading for NetworkFunctions {
    fn reads(&mut self) -> &mut Reads {
        &mut self.reads
    }
}

/// A component on one network connector, with its native twin beside it if it has one.
pub(crate) struct WasmFilter {
    incumbent: Incumbent<NetworkFunctions>,
    twin: Option<Box<dyn NetworkFilter>>,
    question: Question,
    /// The broker's time of the last question about messages; those about demand come without one.
    now_ms: u64,
}

impl WasmFilter {
    pub(crate) fn new(incumbent: Incumbent<NetworkFunctions>, twin: Option<Box<dyn NetworkFilter>>) -> WasmFilter {
        let question = Question::new(incumbent.runtime(), incumbent.destination());
        WasmFilter { incumbent, twin, question, now_ms: 0 }
    }
}

impl NetworkFilter for WasmFilter {
    fn rows_max(&self) -> usize {
        self.incumbent.rows_max()
    }

    fn demand(&mut self, peer: &Peer, demand: &[Demand], out: &mut Vec<Interest>) -> Decided {
        out.clear();
        self.incumbent.boundary(self.now_ms);
        let (answer, _) = self.incumbent.ask(self.now_ms, demand.len(), |runtime, _, live| {
            let func = live.functions.demand;
            let params = (bindings::Peer::from(peer), demand.iter().map(bindings::Demand::from).collect());
            let (answers,) = live.call(&runtime.ticker, &func, params)?;
            Ok(Some(answers).filter(|answers| answers.len() == demand.len()))
        });
        match answer {
            Ok(answers) => {
                out.extend(answers.into_iter().map(Interest::from));
                Decided::Policy
            }
            Err(fallback) => {
                match &mut self.twin {
                    Some(twin) => drop(twin.demand(peer, demand, out)),
                    None => out.resize(demand.len(), Interest::Suppress),
                }
                Decided::Fallback(fallback)
            }
        }
    }

    fn messages(&mut self, now_ms: u64, peer: &Peer, messages: &dyn Messages, out: &mut Vec<Crossing>) -> Decided {
        out.clear();
        self.now_ms = now_ms;
        let rows = messages.rows();
        self.incumbent.boundary(now_ms);
        let question = &mut self.question;
        let (answer, _) = self.incumbent.ask(now_ms, rows, |runtime, ready, live| {
            let names = names(live, &runtime.ticker, &runtime.limits)?;
            question.fill(runtime, ready, &names, now_ms, messages);
            let func = live.functions.messages;
            let params = (bindings::Peer::from(peer), question.batch.clone(), question.properties.clone());
            let (answers,) = live.call(&runtime.ticker, &func, params)?;
            Ok(Some(answers).filter(|answers| answers.len() == rows))
        });
        match answer {
            Ok(answers) => {
                out.extend(answers.into_iter().map(Crossing::from));
                Decided::Policy
            }
            Err(fallback) => {
                match &mut self.twin {
                    Some(twin) => drop(twin.messages(now_ms, peer, messages, out)),
                    None => out.resize(rows, Crossing::Hold),
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

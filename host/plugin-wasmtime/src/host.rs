//! The host: the policies that there are, by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use plugin::{
    GroupAssignment, Point, PolicyError, PolicyHost, PolicyInfo, PolicyOrigin, QueueDispatch, SymbolTable, native,
};

use crate::Limits;
use crate::bindings::Setting;
use crate::cell::Cell;
use crate::check::check;
use crate::dispatch::{self, WasmDispatch};
use crate::keeper::{Cells, JOBS_MAX, Job, Keeper, Kept};
use crate::program::Program;
use crate::runtime::Runtime;
use crate::stock::stock;
use crate::world::Functions;

/// Serves the stock policies and those of the operator as WebAssembly components.
///
/// Nothing is compiled until somebody asks for a policy, and then on a thread of the host: until that is done the
/// native twin decides and the batches are counted as warming.
pub struct WasmHost {
    programs: BTreeMap<(Point, Arc<str>), Arc<Program>>,
    runtime: Arc<Runtime>,
    cells: Arc<Cells>,
    keeper: Option<JoinHandle<()>>,
}

/// What a host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostStats {
    /// Policies that are compiled.
    pub policies_ready: u64,
    /// Policies that cannot be run.
    pub policies_refused: u64,
    /// Destinations with a policy.
    pub destinations: u64,
    /// Instances that are alive.
    pub instances_live: u64,
}

impl WasmHost {
    /// A host with the stock policies. Starts two threads that sleep until there is work.
    pub fn new(limits: Limits) -> Result<WasmHost, PolicyError> {
        let (sender, jobs) = mpsc::sync_channel(JOBS_MAX);
        let runtime = Arc::new(Runtime::new(limits, sender)?);
        let cells = Arc::new(Cells::default());
        let keeper = Keeper { runtime: runtime.clone(), cells: cells.clone(), jobs, waiting: Vec::new() };
        let keeper = thread::Builder::new()
            .name("policy-keeper".into())
            .spawn(move || keeper.run())
            .map_err(|error| PolicyError::Engine { reason: format!("no thread for the keeper: {error}") })?;
        let programs = stock().iter().map(|stock| {
            let program = Program::stock(stock.name, stock, &[]);
            ((dispatch::WORLD.point, program.name.clone()), Arc::new(program))
        });
        Ok(WasmHost { programs: programs.collect(), runtime, cells, keeper: Some(keeper) })
    }

    /// Serves the stock policy `policy` with these settings under a name of its own. The native twin takes the settings
    /// here and now, so that what is wrong with them is known before anything is compiled.
    pub fn add_stock(&mut self, name: &str, policy: &str, settings: &[(String, String)]) -> Result<(), PolicyError> {
        let key = (dispatch::WORLD.point, Arc::from(name));
        if self.programs.contains_key(&key) {
            return Err(PolicyError::Duplicate { policy: name.to_owned() });
        }
        let twin = native::check(name, policy, settings)?;
        let stock = stock().iter().find(|stock| stock.name == twin.name).expect("each twin has its component");
        let program = Program::stock(name, stock, settings);
        self.programs.insert(key, Arc::new(program));
        Ok(())
    }

    /// Adds a component of the operator under a name of its own, with its settings in their order. Its exports say which
    /// extension point it serves.
    ///
    /// Looks into the bytes and does not compile them; [`prepare`](Self::prepare) does.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>, settings: &[(String, String)]) -> Result<(), PolicyError> {
        let world = check(name, &bytes, &self.runtime.limits)?;
        let key = (world.point, Arc::from(name));
        if self.programs.contains_key(&key) {
            return Err(PolicyError::Duplicate { policy: name.to_owned() });
        }
        let settings = settings.iter().map(|(key, value)| Setting { key: key.clone(), value: value.clone() }).collect();
        let description = format!("a component of {} bytes", bytes.len());
        let program = Program::new(name, &description, PolicyOrigin::Custom, world, Cow::Owned(bytes), settings);
        self.programs.insert(key, Arc::new(program));
        Ok(())
    }

    /// Compiles the policies of this name on this thread, asks what they want and gives them their settings. Not for the
    /// core's thread.
    pub fn prepare(&self, policy: &str) -> Result<(), PolicyError> {
        let named: Vec<_> = self.programs.values().filter(|program| &*program.name == policy).collect();
        if named.is_empty() {
            let known = self.programs.keys().map(|(_, name)| name.to_string()).collect();
            return Err(PolicyError::Unknown { policy: policy.to_owned(), known });
        }
        for program in named {
            program.prepare(&self.runtime).map_err(Clone::clone)?;
        }
        Ok(())
    }

    /// What it holds.
    pub fn stats(&self) -> HostStats {
        let mut stats = HostStats {
            destinations: self.cells.all().len() as u64,
            instances_live: self.runtime.live.load(Ordering::Relaxed) as u64,
            ..HostStats::default()
        };
        for program in self.programs.values() {
            match program.get() {
                Some(Ok(_)) => stats.policies_ready += 1,
                Some(Err(_)) => stats.policies_refused += 1,
                None => {}
            }
        }
        stats
    }

    /// A policy on one destination, in the care of the keeper.
    fn cell<F: Functions>(&self, policy: &str, destination: &str) -> Result<Arc<Cell<F>>, PolicyError> {
        let point = F::WORLD.point;
        let program = self.programs.get(&(point, Arc::from(policy))).ok_or_else(|| PolicyError::Unknown {
            policy: policy.to_owned(),
            known: self.names(point).into_iter().map(|info| info.name).collect(),
        })?;
        if let Some(Err(error)) = program.get() {
            return Err(error.clone());
        }
        program.request(&self.runtime);
        let cell = Arc::new(Cell::<F>::new(program.clone(), destination));
        let kept: Arc<dyn Kept> = cell.clone();
        self.cells.add(Arc::downgrade(&kept));
        Ok(cell)
    }
}

impl PolicyHost for WasmHost {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        Ok(Box::new(WasmDispatch::new(self.runtime.clone(), self.cell(policy, destination)?)))
    }

    fn group_assignment(&self, policy: &str, _destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        plugin::native::group_policy(policy)
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        let info = |program: &Arc<Program>| PolicyInfo {
            name: program.name.to_string(),
            description: program.description.clone(),
            origin: program.origin,
        };
        self.programs.values().filter(|program| program.world.point == point).map(info).collect()
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        &self.runtime.symbols
    }
}

impl Drop for WasmHost {
    fn drop(&mut self) {
        // A keeper that is busy to the brim stops when the last policy is gone.
        if self.runtime.ask(Job::Stop)
            && let Some(keeper) = self.keeper.take()
        {
            let _ = keeper.join();
        }
    }
}

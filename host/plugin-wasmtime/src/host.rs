//! The host: the policies that there are, by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use plugin::auth::{AuthPolicy, Decides, Terms};
use plugin::native::NativeHost;
use plugin::{
    Columns, GroupAssignment, NetworkFilter, Point, PolicyError, PolicyHost, PolicyInfo, PolicyMetrics, PolicyOrigin,
    PublishRouting, QueueDispatch, SymbolTable, TopicDispatch, native,
};

use crate::Limits;
use crate::auth::{self, AuthFunctions, WasmAuth, Wishes};
use crate::bindings::Setting;
use crate::cache::{CachePlace, CacheStats};
use crate::cell::Cell;
use crate::check::{check, imports};
use crate::dispatch::{self, WasmDispatch};
use crate::groups::WasmGroups;
use crate::incumbent::Incumbent;
use crate::keeper::{Cells, JOBS_MAX, Job, Keeper, Kept};
use crate::log_book::{LogLine, Said};
use crate::network::WasmFilter;
use crate::program::Program;
use crate::recorder::{RecordingProgress, RecordingWish, Recordings};
use crate::recording::{Recording, RecordingError};
use crate::routing::WasmRouting;
use crate::runtime::Runtime;
use crate::shadow::ShadowReport;
use crate::state::KeptState;
use crate::stock::{stock, stock_of};
use crate::stores::KeptStore;
use crate::swap::{SwapEvent, Takeover, Turnout};
use crate::topic::WasmTopic;
use crate::world::{Functions, WORLDS};

/// Serves the stock policies and those of the operator as WebAssembly components.
///
/// Nothing is compiled until somebody asks for a policy, and then on a thread of the host: until that is done the
/// native twin decides and the batches are counted as warming.
pub struct WasmHost {
    /// Changed by whoever deploys, for a moment each time.
    programs: RwLock<Programs>,
    runtime: Arc<Runtime>,
    cells: Arc<Cells>,
    keeper: Option<JoinHandle<()>>,
    events: Mutex<Option<Receiver<SwapEvent>>>,
    /// Generations that look on, by policy.
    shadows: Mutex<BTreeMap<Arc<str>, Arc<Program>>>,
    /// Times that states were collected.
    collections: AtomicUsize,
    recordings: Recordings,
    /// Auth policies that are asked.
    guards: Mutex<Vec<Weak<WasmAuth>>>,
    /// Another one begins when another generation of such a policy decides.
    terms: Arc<Terms>,
}

type Programs = BTreeMap<(Point, Arc<str>), Arc<Program>>;

/// States collected at a time.
pub const STATES_COLLECTED_MAX: usize = 256;

/// Queues that an error names.
const DESTINATIONS_TOLD_MAX: usize = 20;

/// Events that wait for a reader at most.
const EVENTS_MAX: usize = 1_024;

/// A generation of a policy, compiled and ready to decide.
#[derive(Clone)]
pub struct Prepared(Arc<Program>);

impl Prepared {
    /// Its number.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The extension point that it serves.
    pub fn point(&self) -> Point {
        self.0.world.point
    }

    /// The name of its world, without package and version.
    pub fn world(&self) -> &'static str {
        self.0.world.name
    }

    /// Format of the state that it writes, 0 if it keeps none, and the formats that it reads.
    pub fn states(&self) -> (u32, Vec<u32>) {
        self.0.get().and_then(Result::ok).map(|ready| (ready.state_version, ready.restores.clone())).unwrap_or_default()
    }

    /// Ids of the columns that it wants, ascending, and the most rows that it is asked about.
    pub fn wants(&self) -> (Vec<u32>, usize) {
        self.0.get().and_then(Result::ok).map(|ready| (ready.column_ids.clone(), ready.rows_max)).unwrap_or_default()
    }

    /// Interfaces that it imports; all of them are granted.
    pub fn imports(&self) -> Vec<String> {
        imports(&self.0.bytes)
    }

    /// Whether it may look on while another generation decides.
    pub fn can_look_on(&self) -> bool {
        can_look_on(self.point())
    }

    /// Grants it to see passwords, if it is of the auth world and asks for them.
    pub fn grant_passwords(&self) {
        self.0.grant_passwords(true);
    }

    /// Whether a compiled generation asks to see passwords.
    pub fn wants_passwords(&self) -> bool {
        self.0.get().and_then(Result::ok).is_some_and(|ready| ready.columns.contains(Columns::PASSWORDS))
    }

    /// What a compiled generation of the auth world has a say in, or why it cannot guard.
    pub fn guards(&self) -> Result<Decides, PolicyError> {
        auth::wishes(&self.0).map(|wishes| Wishes::new(wishes).decides())
    }
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
    /// What became of compiled components; zeros without a cache.
    pub cache: CacheStats,
}

impl WasmHost {
    /// A host with the stock policies. Starts two threads that sleep until there is work.
    pub fn new(limits: Limits) -> Result<WasmHost, PolicyError> {
        WasmHost::with_cache(limits, None)
    }

    /// The same, which keeps compiled components for the next run. Where they cannot be kept that is logged, and no error.
    pub fn with_cache(limits: Limits, cache: Option<&CachePlace>) -> Result<WasmHost, PolicyError> {
        let (sender, jobs) = mpsc::sync_channel(JOBS_MAX);
        let (teller, events) = mpsc::sync_channel(EVENTS_MAX);
        let runtime = Arc::new(Runtime::new(limits, Arc::default(), cache, sender, teller)?);
        let cells = Arc::new(Cells::default());
        let keeper =
            Keeper { runtime: runtime.clone(), cells: cells.clone(), jobs, waiting: Vec::new(), cooling: Vec::new() };
        let keeper = thread::Builder::new()
            .name("policy-keeper".into())
            .spawn(move || keeper.run())
            .map_err(|error| PolicyError::Engine { reason: format!("no thread for the keeper: {error}") })?;
        let stock_policies = WORLDS.into_iter().flat_map(|world| stock_of(world.point).iter().map(move |s| (world, s)));
        let programs = stock_policies.map(|(world, stock)| {
            let program = Program::stock(stock.name, stock, world, &[]);
            ((world.point, program.name.clone()), Arc::new(program))
        });
        let (programs, events) = (RwLock::new(programs.collect()), Mutex::new(Some(events)));
        Ok(WasmHost {
            programs,
            runtime,
            cells,
            keeper: Some(keeper),
            events,
            shadows: Mutex::default(),
            collections: AtomicUsize::new(0),
            recordings: Recordings::default(),
            guards: Mutex::default(),
            terms: Arc::default(),
        })
    }

    /// Serves the stock dispatch policy `policy` with these settings under a name of its own. The native twin takes the settings
    /// here and now, so that what is wrong with them is known before anything is compiled.
    pub fn add_stock(&self, name: &str, policy: &str, settings: &[(String, String)]) -> Result<(), PolicyError> {
        let key = (dispatch::WORLD.point, Arc::from(name));
        let mut programs = self.change();
        if programs.contains_key(&key) {
            return Err(PolicyError::Duplicate { policy: name.to_owned() });
        }
        let twin = native::check(name, policy, settings)?;
        let stock = stock().iter().find(|stock| stock.name == twin.name).expect("each twin has its component");
        let program = Program::stock(name, stock, &dispatch::WORLD, settings);
        programs.insert(key, Arc::new(program));
        Ok(())
    }

    /// Adds a component of the operator under a name of its own, with its settings in their order. Its exports say which
    /// extension point it serves.
    ///
    /// Looks into the bytes and does not compile them; [`prepare`](Self::prepare) does.
    pub fn add(&self, name: &str, bytes: Vec<u8>, settings: &[(String, String)]) -> Result<(), PolicyError> {
        let world = check(name, &bytes, &self.runtime.limits)?;
        let key = (world.point, Arc::from(name));
        let mut programs = self.change();
        if programs.contains_key(&key) {
            return Err(PolicyError::Duplicate { policy: name.to_owned() });
        }
        let description = format!("a component of {} bytes", bytes.len());
        let program =
            Program::new(name, &description, PolicyOrigin::Custom, world, Cow::Owned(bytes), all(settings), 0);
        programs.insert(key, Arc::new(program));
        Ok(())
    }

    /// Compiles the policies of this name on this thread, asks what they want and gives them their settings. Not for the
    /// core's thread.
    pub fn prepare(&self, policy: &str) -> Result<(), PolicyError> {
        let named: Vec<_> = self.look().values().filter(|program| &*program.name == policy).cloned().collect();
        if named.is_empty() {
            let known = self.look().keys().map(|(_, name)| name.to_string()).collect();
            return Err(PolicyError::Unknown { policy: policy.to_owned(), known });
        }
        for program in named {
            program.prepare(&self.runtime).map_err(Clone::clone)?;
        }
        Ok(())
    }

    /// The auth policy of this name, compiled on this thread. Its wish to see passwords has to be granted: here, or with its
    /// generation. Whatever it does, it answers, or says within its deadline that it does not. Generations that
    /// [`run`](Self::run) brings take over in it.
    pub fn auth(&self, policy: &str, passwords_granted: bool) -> Result<Arc<dyn AuthPolicy>, PolicyError> {
        let program = self.look().get(&(auth::WORLD.point, Arc::from(policy))).cloned();
        let Some(program) = program else {
            let known = self.names(auth::WORLD.point).into_iter().map(|info| info.name).collect();
            return Err(PolicyError::Unknown { policy: policy.to_owned(), known });
        };
        if program.generation == 0 {
            program.grant_passwords(passwords_granted);
        }
        program.prepare(&self.runtime).map_err(Clone::clone)?;
        let make = |place: &'static str| self.incumbent::<AuthFunctions>(policy, place, &[]);
        let made = Arc::new(WasmAuth::new(policy, &program, &self.terms, make)?);
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        guards.retain(|guard| guard.strong_count() > 0);
        guards.push(Arc::downgrade(&made));
        Ok(made)
    }

    /// The terms of the auth policies: another one begins when another generation decides.
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// Compiles a generation of a policy on this thread, asks what it wants and gives it its settings. It decides nothing
    /// before [`run`](Self::run). Not for the core's thread.
    pub fn prepare_generation(
        &self,
        policy: &str,
        generation: u64,
        bytes: Vec<u8>,
        settings: &[(String, String)],
    ) -> Result<Prepared, PolicyError> {
        let generation = self.examine(policy, generation, bytes, settings)?;
        self.compile(&generation)?;
        Ok(generation)
    }

    /// A generation of a policy that is compiled when it is first needed. Looks into the bytes.
    pub fn examine(
        &self,
        policy: &str,
        generation: u64,
        bytes: Vec<u8>,
        settings: &[(String, String)],
    ) -> Result<Prepared, PolicyError> {
        let world = check(policy, &bytes, &self.runtime.limits)?;
        let description = format!("generation {generation}, a component of {} bytes", bytes.len());
        let (origin, bytes) = (PolicyOrigin::Custom, Cow::Owned(bytes));
        let program = Program::new(policy, &description, origin, world, bytes, all(settings), generation);
        Ok(Prepared(Arc::new(program)))
    }

    /// Has a generation decide for its policy from the start: it is compiled when the first destination asks for it.
    pub fn install(&self, generation: &Prepared) {
        let program = &generation.0;
        self.change().insert((program.world.point, program.name.clone()), program.clone());
    }

    /// Compiles a generation on this thread, unless that was done. Not for the core's thread.
    pub fn compile(&self, generation: &Prepared) -> Result<(), PolicyError> {
        generation.0.prepare(&self.runtime).map(|_| ()).map_err(Clone::clone)
    }

    /// Gives destinations what their policies remembered in a former run, for when they ask for them.
    pub fn set_states(&self, states: Vec<KeptState>) {
        for state in states {
            self.runtime.attic.put(state, false, self.runtime.limits.states_kept_max);
        }
    }

    /// What policies with generations remember on destinations, as far as it changed since the last call; at most
    /// [`STATES_COLLECTED_MAX`] of them. A busy destination answers at its next batch, which is seen by the next call. Not
    /// for the core's thread.
    pub fn collect_states(&self) -> Vec<KeptState> {
        let mut cells = self.cells.all();
        if !cells.is_empty() {
            // Not always the same ones first.
            let first = self.collections.fetch_add(1, Ordering::Relaxed) * STATES_COLLECTED_MAX % cells.len();
            cells.rotate_left(first);
        }
        let mut states = self.runtime.attic.collect(STATES_COLLECTED_MAX);
        let more = STATES_COLLECTED_MAX - states.len();
        states.extend(cells.iter().filter_map(|cell| cell.collect(&self.runtime)).take(more));
        states
    }

    /// Gives policies the stores that they had in a former run, before anybody asks for them.
    pub fn set_stores(&self, stores: Vec<KeptStore>) {
        self.runtime.memories.begin(stores, &self.runtime.limits);
    }

    /// Gives `keep` the stores that changed since they were last kept, whole, if there are any; an empty one has been emptied.
    /// It says whether they are kept now; if not they come again with the next call.
    pub fn keep_stores(&self, keep: impl FnOnce(Vec<KeptStore>) -> bool) {
        self.runtime.memories.keep(keep);
    }

    /// Has a generation decide for its policy: at once for new destinations, at the next batch boundary for those that
    /// there are. Waits for no batch. One of the auth world decides when this returns, or an event says why not; only for
    /// those it may not be taken, and the one before goes on. Not for the core's thread.
    pub fn run(&self, generation: &Prepared, takeover: Takeover) -> Turnout {
        let program = &generation.0;
        self.change().insert((program.world.point, program.name.clone()), program.clone());
        let (told, mut turnout) = Turnout::new();
        for cell in self.cells.all() {
            if cell.policy() == (program.world.point, &program.name) {
                cell.offer(&self.runtime, program, takeover, &told);
            }
        }
        if program.world.is_closed() {
            let guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let theirs = guards.iter().filter_map(Weak::upgrade).filter(|guard| guard.name() == &*program.name);
            if theirs.filter(|guard| !guard.turn(program, now_ms)).count() > 0 {
                turnout.deny();
            }
        }
        turnout
    }

    /// Has a generation look on wherever its policy decides, without effect; `None` ends that. Not for the core's thread.
    pub fn shadow(&self, policy: &str, generation: Option<&Prepared>) {
        let program = generation.map(|generation| &generation.0);
        let mut shadows = self.shadows.lock().unwrap_or_else(PoisonError::into_inner);
        match program {
            Some(program) => drop(shadows.insert(program.name.clone(), program.clone())),
            None => drop(shadows.remove(policy)),
        }
        drop(shadows);
        for cell in self.cells.all() {
            if &**cell.policy().1 == policy && can_look_on(cell.policy().0) {
                cell.offer_shadow(&self.runtime, program);
            }
        }
    }

    /// What the shadow of a policy found so far, by destination.
    pub fn shadow_reports(&self, policy: &str) -> Vec<ShadowReport> {
        let cells = self.cells.all();
        let theirs = cells.iter().filter(|cell| &**cell.policy().1 == policy);
        theirs.filter_map(|cell| cell.shadow_report()).collect()
    }

    /// Has what a queue's policy is asked and answers recorded from the next batch on. `what` is the queue, or a policy
    /// that decides on one queue alone. Not for the core's thread.
    pub fn record(&self, what: &str, wish: RecordingWish) -> Result<RecordingProgress, RecordingError> {
        let mut cells = self.cells.all();
        cells.retain(|cell| cell.policy().0 == Point::QueueDispatch);
        let found: Vec<_> = match cells.iter().any(|cell| &**cell.destination() == what) {
            true => cells.iter().filter(|cell| &**cell.destination() == what).collect(),
            false => cells.iter().filter(|cell| &**cell.policy().1 == what).collect(),
        };
        // A queue that was given another policy just now has two for a moment; the newer one comes last.
        let Some(cell) = found.last() else { return Err(RecordingError::Nobody { what: what.to_owned() }) };
        if found.iter().any(|other| other.destination() != cell.destination()) {
            let mut destinations: Vec<String> = found.iter().map(|cell| cell.destination().to_string()).collect();
            destinations.sort();
            destinations.truncate(DESTINATIONS_TOLD_MAX);
            return Err(RecordingError::Several { policy: what.to_owned(), destinations });
        }
        let (destination, (_, policy)) = (cell.destination(), cell.policy());
        let tape = self.recordings.begin(destination, policy, wish, &self.runtime.limits)?;
        cell.offer_tape(tape);
        self.recordings.progress(destination)
    }

    /// How the recording of a queue stands.
    pub fn recording(&self, destination: &str) -> Result<RecordingProgress, RecordingError> {
        self.recordings.progress(destination)
    }

    /// Ends the recording of a queue and hands it over. Not for the core's thread.
    pub fn end_recording(&self, destination: &str) -> Result<Recording, RecordingError> {
        self.recordings.take(destination, &self.runtime.symbols)
    }

    /// Drops recordings that nobody fetched. To be called now and then.
    pub fn sweep_recordings(&self) {
        self.recordings.sweep();
    }

    /// Why a policy failed last, in the engine's words; empty if none did. For authors' tools, which run one.
    pub fn last_fault(&self) -> String {
        self.runtime.last_fault()
    }

    /// The keys and values that a policy keeps, wherever it decides.
    pub(crate) fn stored(&self, policy: &str) -> Vec<(String, Vec<u8>)> {
        self.runtime.memories.stored(policy)
    }

    /// What a policy said lately, oldest first.
    pub fn log_lines(&self, policy: &str) -> Vec<LogLine> {
        self.runtime.log_book.read(policy)
    }

    /// What policies say from now on; can be had once.
    pub fn said(&self) -> Option<Receiver<Said>> {
        self.runtime.log_book.listen()
    }

    /// Forgets a policy. Destinations that have it keep it until they ask anew.
    pub fn forget(&self, policy: &str) {
        let is_other =
            |_: &(Point, Arc<str>), program: &mut Arc<Program>| &*program.name != policy || program.generation == 0;
        self.change().retain(is_other);
        self.runtime.log_book.forget(policy);
        self.runtime.memories.forget(policy);
    }

    /// What becomes of generations that take over; can be had once. When nobody reads it, only the log has it.
    pub fn events(&self) -> Option<Receiver<SwapEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn look(&self) -> RwLockReadGuard<'_, Programs> {
        self.programs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Programs> {
        self.programs.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds.
    pub fn stats(&self) -> HostStats {
        let mut stats = HostStats {
            destinations: self.cells.all().len() as u64,
            instances_live: self.runtime.live.load(Ordering::Relaxed) as u64,
            cache: self.runtime.cache.as_ref().map(|cache| cache.stats()).unwrap_or_default(),
            ..HostStats::default()
        };
        for program in self.look().values() {
            match program.get() {
                Some(Ok(_)) => stats.policies_ready += 1,
                Some(Err(_)) => stats.policies_refused += 1,
                None => {}
            }
        }
        stats
    }

    /// A policy on one destination, in the care of the keeper.
    fn cell<F: Functions>(
        &self,
        policy: &str,
        destination: &str,
        settings: &[(String, String)],
    ) -> Result<(Arc<Cell<F>>, Arc<Program>), PolicyError> {
        let point = F::WORLD.point;
        // Held until the cell is known: a generation that comes now finds it, or is found by it.
        let programs = self.look();
        let program = programs.get(&(point, Arc::from(policy))).ok_or_else(|| PolicyError::Unknown {
            policy: policy.to_owned(),
            known: programs.keys().filter(|(at, _)| *at == point).map(|(_, name)| name.to_string()).collect(),
        })?;
        if let Some(Err(error)) = program.get() {
            return Err(error.clone());
        }
        program.request(&self.runtime);
        let cell = Arc::new(Cell::<F>::new(&self.runtime, program.clone(), destination, all(settings)));
        let kept: Arc<dyn Kept> = cell.clone();
        self.cells.add(Arc::downgrade(&kept));
        let shadow = self.shadows.lock().unwrap_or_else(PoisonError::into_inner).get(&program.name).cloned();
        if let Some(shadow) = shadow.filter(|shadow| shadow.world.point == point) {
            // The keeper makes its instance.
            self.runtime.ask(Job::Shadow { cell: Arc::downgrade(&kept), program: shadow });
        }
        Ok((cell, program.clone()))
    }

    /// The same with what it decided so far.
    fn incumbent<F: Functions>(
        &self,
        policy: &str,
        destination: &str,
        settings: &[(String, String)],
    ) -> Result<Incumbent<F>, PolicyError> {
        let (cell, program) = self.cell(policy, destination, settings)?;
        Ok(Incumbent::new(self.runtime.clone(), cell, program))
    }

    /// The native twin of a stock policy; a component of the operator has none. Its error is that of the settings.
    fn twin<T>(
        &self,
        point: Point,
        policy: &str,
        make: impl FnOnce(&NativeHost) -> Result<T, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        let origin = self.look().get(&(point, Arc::from(policy))).map(|program| program.origin);
        if origin == Some(PolicyOrigin::Stock) { make(&NativeHost::new()).map(Some) } else { Ok(None) }
    }
}

impl PolicyHost for WasmHost {
    fn queue_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        let (cell, program) = self.cell(policy, destination, &[])?;
        Ok(Box::new(WasmDispatch::new(self.runtime.clone(), cell, program)))
    }

    fn group_assignment(&self, policy: &str, destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        let twin = self.twin(Point::GroupAssignment, policy, |twins| twins.group_assignment(policy, destination))?;
        Ok(Box::new(WasmGroups::new(self.incumbent(policy, destination, &[])?, twin)))
    }

    fn topic_dispatch(&self, policy: &str, destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        let twin = self.twin(Point::TopicDispatch, policy, |twins| twins.topic_dispatch(policy, destination))?;
        Ok(Box::new(WasmTopic::new(self.incumbent(policy, destination, &[])?, twin)))
    }

    fn publish_routing(
        &self,
        policy: &str,
        pattern: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn PublishRouting>, PolicyError> {
        let twin =
            self.twin(Point::PublishRouting, policy, |twins| twins.publish_routing(policy, pattern, settings))?;
        Ok(Box::new(WasmRouting::new(self.incumbent(policy, pattern, settings)?, twin)))
    }

    fn network_filter(
        &self,
        policy: &str,
        connector: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn NetworkFilter>, PolicyError> {
        let twin =
            self.twin(Point::NetworkFilter, policy, |twins| twins.network_filter(policy, connector, settings))?;
        Ok(Box::new(WasmFilter::new(self.incumbent(policy, connector, settings)?, twin)))
    }

    fn metrics(&self) -> Vec<PolicyMetrics> {
        self.runtime.memories.metrics()
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        let info = |program: &Arc<Program>| PolicyInfo {
            name: program.name.to_string(),
            description: program.description.clone(),
            origin: program.origin,
        };
        self.look().values().filter(|program| program.world.point == point).map(info).collect()
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

/// Where candidates are shown what the active generation is asked.
fn can_look_on(point: Point) -> bool {
    matches!(point, Point::QueueDispatch | Point::TopicDispatch | Point::GroupAssignment)
}

fn all(settings: &[(String, String)]) -> Vec<Setting> {
    settings.iter().map(|(key, value)| Setting { key: key.clone(), value: value.clone() }).collect()
}

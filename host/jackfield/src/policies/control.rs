//! Changes of policies on the running broker: the registry says what is to be, the journal keeps it, the host carries it
//! out; in this order, so that a crash finds the policies as before or as after.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use auth::Gate;
use broker::PluginLine;
use bytes::Bytes;
use message::Fact;
use plugin::PolicyHost;
use plugin_wasmtime::{CacheStats, KeptState, KeptStore, Prepared, RecordingWish, Said, SwapEvent, Takeover, WasmHost};
use registry::{
    Bound, Change, ControlError, Deploy, Done, Explanation, History, Listed, LogLine, PASSWORDS, Place, Point,
    PolicyControl, RecordWish, Recorded, Registry, RegistryError, Running, ShadowFindings, State, StorePlace, Trouble,
    Turned, Wish,
};
use server::{HandError, PolicyHand};

use super::answers::{found, listed, recorded, remarked, told};
use super::doors::Doors;
use super::{NATIVE, with_remedy};
use crate::config::{NATIVE_AUTH, Security};

/// How often what policies remember is kept for the next run.
const STATES_INTERVAL: Duration = Duration::from_secs(10);
/// How often stores that changed are kept.
const STORES_INTERVAL: Duration = Duration::from_secs(1);

/// How long whoever changes the generation waits to hear what destinations make of it. Busy ones come to a batch in a fraction of
/// that; of those that are idle nothing is known yet.
const TURN_PATIENCE: Duration = Duration::from_millis(250);

/// The hand that changes policies. One change at a time.
pub(crate) struct Control {
    host: Arc<WasmHost>,
    /// What holds; the core looks into it for bindings.
    registry: Arc<RwLock<Registry>>,
    limits: registry::Limits,
    taken: BTreeMap<String, String>,
    /// Set before anything is loaded, where somebody has to log in.
    doors: OnceLock<Doors>,
    /// Set once the server runs.
    hand: OnceLock<PolicyHand>,
    /// Held during a change. Generations that are compiled, those alone that may decide again soon.
    prepared: Mutex<BTreeMap<(String, u64), Prepared>>,
}

impl Control {
    pub(super) fn new(
        host: Arc<WasmHost>,
        registry: Arc<RwLock<Registry>>,
        limits: registry::Limits,
        taken: BTreeMap<String, String>,
    ) -> Arc<Control> {
        let (doors, hand) = (OnceLock::new(), OnceLock::new());
        Arc::new(Control { host, registry, limits, taken, doors, hand, prepared: Mutex::default() })
    }

    /// From now on auth policies may be bound at this gate, beside those of the configuration.
    pub(crate) fn guard(&self, gate: Arc<Gate>, security: &Security) {
        // Set once, here.
        let _ = self.doors.set(Doors::new(gate, security));
    }

    /// Takes over what the journal kept, before anybody is served. What cannot be used is told, and the native policies
    /// decide in its place; two policies of one name are an error, because nobody can say which one is meant.
    pub(crate) fn load(&self, facts: Vec<Fact>) -> Result<(), String> {
        let (registry, troubles) = Registry::load(self.limits, self.taken.clone(), facts);
        let taken: Vec<String> =
            troubles.iter().filter(|t| matches!(t, Trouble::Taken { .. })).map(Trouble::to_string).collect();
        if !taken.is_empty() {
            return Err(taken.join("; "));
        }
        if let (Some((place, policy)), None) = (registry.guards().first(), self.doors.get()) {
            return Err(format!("auth policy {policy} is bound to {place}, but {NOBODY_LOGS_IN}"));
        }
        for trouble in &troubles {
            tracing::error!(%trouble, "part of the deployed policies cannot be used");
        }
        let mut prepared = self.lock();
        for (name, _) in registry.plug_ins() {
            let examine = |found: Option<Running<'_>>| {
                let Running { generation, bytes } = found?;
                let examined = self.host.examine(name, generation.number, bytes.to_vec(), &generation.settings);
                let granted = examined.inspect(|examined| grant(examined, &generation.grants));
                let told = |error: &plugin::PolicyError| {
                    tracing::error!(%error, generation = generation.number, "a deployed policy cannot be run");
                };
                granted.inspect_err(told).ok()
            };
            if let Some(active) = examine(registry.running(name)) {
                self.host.install(&active);
                let goes_unasked = |(point, _, policy): (Point, &str, &str)| passes_unasked(point) && policy == name;
                if registry.bindings().any(goes_unasked)
                    && let Err(error) = self.host.compile(&active)
                {
                    tracing::error!(%error, generation = active.generation(), "a deployed policy cannot be run");
                }
                prepared.insert((name.to_owned(), active.generation()), active);
            }
            if let Some(shadow) = examine(registry.shadow(name)) {
                self.host.shadow(name, Some(&shadow));
                prepared.insert((name.to_owned(), shadow.generation()), shadow);
            }
        }
        let states = registry.states().map(|(point, destination, state)| KeptState {
            point: to_plugin(point),
            destination: seat_of(point, destination).to_owned(),
            policy: state.policy.clone(),
            generation: state.generation,
            format: state.format,
            bytes: state.bytes.to_vec().into(),
        });
        self.host.set_states(states.collect());
        let stores = registry.stores().map(|(place, values)| KeptStore {
            point: to_plugin(place.point),
            policy: place.policy.clone(),
            destination: place.destination.clone(),
            values: values.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect(),
        });
        self.host.set_stores(stores.collect());
        self.seat(&registry);
        self.publish(registry);
        Ok(())
    }

    /// Has the auth policies that are bound asked in their places.
    fn seat(&self, registry: &Registry) {
        if let Some(doors) = self.doors.get() {
            doors.seat(&self.host, &registry.guards());
        }
    }

    /// The server runs: from now on changes are possible, generations that do not do well are taken back, and what
    /// policies remember is kept from time to time.
    pub(crate) fn begin(self: &Arc<Control>, hand: PolicyHand) -> std::io::Result<()> {
        // Set once, here.
        let _ = self.hand.set(hand);
        let (Some(events), Some(said)) = (self.host.events(), self.host.said()) else { return Ok(()) };
        let (control, speaker) = (Arc::downgrade(self), Arc::downgrade(self));
        std::thread::Builder::new().name("policy-control".into()).spawn(move || watch(&control, &events))?;
        std::thread::Builder::new().name("policy-log".into()).spawn(move || hand_on(&speaker, &said)).map(drop)
    }

    /// Keeps all that policies remember, before a stop.
    pub(crate) fn keep_all(&self) {
        // Twice: busy destinations answer at the batch after the first.
        self.keep_states();
        self.keep_states();
        self.keep_stores();
    }

    /// Keeps what policies remember: of busy destinations what they remembered at the batch after the last call.
    fn keep_states(&self) {
        let _one_at_a_time = self.lock();
        let states = self.host.collect_states();
        if states.is_empty() {
            return;
        }
        let mut next = self.look();
        let mut facts = Vec::new();
        for point in Point::ALL {
            let theirs = states.iter().filter(|state| state.point == to_plugin(point)).map(|state| {
                let bytes = Bytes::copy_from_slice(&state.bytes);
                let (policy, generation, format) = (state.policy.clone(), state.generation, state.format);
                let kept = State { policy, generation, format, bytes };
                (state_key(point, &state.policy, &state.destination), (format != 0).then_some(kept))
            });
            facts.extend(next.keep_states(point, theirs.collect()).facts);
        }
        self.keep_what_is_remembered(next, facts);
    }

    /// Keeps the stores of policies that changed since the last call.
    fn keep_stores(&self) {
        let _one_at_a_time = self.lock();
        self.host.keep_stores(|stores| {
            let stores = stores.into_iter().filter_map(|KeptStore { point, policy, destination, values }| {
                let place = StorePlace { point: from_plugin(point)?, policy, destination };
                Some((place, values.into_iter().map(|(key, value)| (key, value.into())).collect()))
            });
            let mut next = self.look();
            let facts = next.keep_stores(stores.collect()).facts;
            self.keep_what_is_remembered(next, facts)
        });
    }

    /// The registry as it is with these facts, once they are durable; false if they are not.
    fn keep_what_is_remembered(&self, next: Registry, facts: Vec<Fact>) -> bool {
        if facts.is_empty() {
            return true;
        }
        match self.keep(facts) {
            Ok(()) => {
                self.publish(next);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "what policies remember was not kept");
                false
            }
        }
    }

    /// One change: on a copy first, then durable, then carried out.
    fn change(
        &self,
        prepared: &mut BTreeMap<(String, u64), Prepared>,
        operate: impl FnOnce(&mut Registry) -> Result<Done, RegistryError>,
    ) -> Result<Turned, ControlError> {
        let mut next = self.look();
        let done = operate(&mut next)?;
        self.keep(done.facts)?;
        self.publish(next);
        let mut turned = Turned { generation: done.generation, remarks: Vec::new() };
        for change in done.changes {
            turned.remarks.extend(self.carry_out(prepared, change)?);
        }
        Ok(turned)
    }

    /// Gives what is to be told to whoever asked for it.
    fn carry_out(
        &self,
        prepared: &mut BTreeMap<(String, u64), Prepared>,
        change: Change,
    ) -> Result<Vec<String>, ControlError> {
        let registry = self.look();
        match change {
            Change::Run { policy, start_empty } => {
                let Ok(plug_in) = registry.plug_in(&policy) else { return Ok(Vec::new()) };
                let Some(number) = plug_in.active else { return Ok(Vec::new()) };
                let generation = self.prepare(prepared, &registry, &policy, number)?;
                let probation = plug_in.previous.is_some();
                let turnout = self.host.run(&generation, Takeover { start_empty, probation });
                if generation.point() == plugin::Point::Auth {
                    // One that could not be had before may be now.
                    self.seat(&registry);
                }
                let kept = [plug_in.active, plug_in.previous, plug_in.shadow];
                prepared.retain(|(name, number), _| *name != policy || kept.contains(&Some(*number)));
                if !turnout.is_taken() {
                    return Err(ControlError::Refused(format!(
                        "generation {number} of {policy} did not take over, and is taken back; see its history"
                    )));
                }
                tracing::info!(policy, generation = number, "policy generation decides from now on");
                let remarks = turnout.remarks(TURN_PATIENCE).into_iter();
                return Ok(remarks.map(|remark| remarked(remark, start_empty)).collect());
            }
            Change::Shadow { policy } => {
                let shadow = match registry.shadow(&policy).map(|running| running.generation.number) {
                    Some(number) => Some(self.prepare(prepared, &registry, &policy, number)?),
                    None => None,
                };
                self.host.shadow(&policy, shadow.as_ref());
                let generation = shadow.map(|shadow| shadow.generation());
                tracing::info!(policy, generation, "policy generation that looks on");
            }
            Change::Gone { policy } => {
                self.host.shadow(&policy, None);
                self.host.forget(&policy);
                prepared.retain(|(name, _), _| *name != policy);
                tracing::info!(policy, "policy is removed");
            }
            Change::Bindings => {
                self.seat(&registry);
                self.hand()?.policies_changed().map_err(unavailable)?;
            }
        }
        Ok(Vec::new())
    }

    /// The generation, compiled.
    fn prepare(
        &self,
        prepared: &mut BTreeMap<(String, u64), Prepared>,
        registry: &Registry,
        name: &str,
        number: u64,
    ) -> Result<Prepared, ControlError> {
        let key = (name.to_owned(), number);
        if let Some(found) = prepared.get(&key) {
            self.host.compile(found).map_err(refused)?;
            return Ok(found.clone());
        }
        let plug_in = registry.plug_in(name)?;
        let Some(generation) = plug_in.generation(number) else {
            let known = plug_in.generations.iter().map(|generation| generation.number).collect();
            return Err(RegistryError::Generation { name: name.to_owned(), number, known }.into());
        };
        let Some(bytes) = registry.component(generation.digest) else {
            return Err(RegistryError::BytesGone { name: name.to_owned(), number, digest: generation.digest }.into());
        };
        let made = self.host.prepare_generation(name, number, bytes.to_vec(), &generation.settings).map_err(refused)?;
        grant(&made, &generation.grants);
        check_guards(&made)?;
        prepared.insert(key, made.clone());
        Ok(made)
    }

    /// Says whether a policy can guard here, before it is bound.
    fn check_guard(&self, prepared: &mut BTreeMap<(String, u64), Prepared>, policy: &str) -> Result<(), ControlError> {
        let Some(doors) = self.doors.get() else { return Err(ControlError::Refused(NOBODY_LOGS_IN.to_owned())) };
        self.check_not_configured(policy, "it is asked already")?;
        if self.taken.contains_key(policy) {
            return self.host.auth(policy, doors.shows_passwords(policy)).map(drop).map_err(refused);
        }
        let registry = self.look();
        match registry.plug_in(policy)?.active {
            Some(active) => check_guards(&self.prepare(prepared, &registry, policy, active)?),
            // The registry says what is missing.
            None => Ok(()),
        }
    }

    /// What the configuration has asked is the configuration's to change.
    fn check_not_configured(&self, policy: &str, what: &str) -> Result<(), ControlError> {
        match self.doors.get().filter(|doors| doors.configured().iter().any(|name| name == policy)) {
            Some(_) => Err(ControlError::Refused(format!(
                "auth policy {policy} is named in security.policies of jackfield.toml: {what}; change it there and start the \
                 broker again"
            ))),
            None => Ok(()),
        }
    }

    /// What a generation did on a destination is noted, and one that does not do well is taken back everywhere.
    fn note(&self, event: &SwapEvent) -> Result<(), ControlError> {
        let mut prepared = self.lock();
        let now = now_ms();
        match event {
            SwapEvent::Refused { policy, destination, generation, reason } => {
                let reason = format!("on {destination}: {reason}");
                self.change(&mut prepared, |registry| registry.refused(policy, *generation, &reason, now))?;
            }
            SwapEvent::Undone { policy, destination, generation, reason } => {
                let reason = format!("on {destination}: {reason}");
                self.change(&mut prepared, |registry| {
                    Ok(registry.withdraw(policy, *generation, &reason, now)?.unwrap_or_default())
                })?;
            }
        }
        Ok(())
    }

    /// Says whether a policy of the program or of its configuration decides at this point; the registry knows the others.
    /// One that messages would pass by meanwhile is compiled before they meet it.
    fn check_serves(&self, point: Point, policy: &str) -> Result<(), ControlError> {
        if !self.taken.contains_key(policy) {
            return Ok(());
        }
        let native = policy.strip_prefix(NATIVE);
        let names = self.host.names(to_plugin(point));
        if !names.iter().any(|info| info.name == native.unwrap_or(policy)) {
            return Err(ControlError::Refused(format!("policy {policy} decides nothing for {point}")));
        }
        match point {
            _ if passes_unasked(point) && native.is_none() => self.host.prepare(policy).map_err(refused),
            _ => Ok(()),
        }
    }

    fn keep(&self, facts: Vec<Fact>) -> Result<(), ControlError> {
        if facts.is_empty() {
            return Ok(());
        }
        self.hand()?.keep(facts).map_err(unavailable)
    }

    fn hand(&self) -> Result<&PolicyHand, ControlError> {
        self.hand.get().ok_or_else(|| ControlError::Unavailable("the broker is starting; ask again".to_owned()))
    }

    /// A copy of what holds; components are shared.
    pub(super) fn look(&self) -> Registry {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, registry: Registry) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = registry;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, u64), Prepared>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PolicyControl for Control {
    fn deploy(&self, wish: Wish) -> Result<Turned, ControlError> {
        let mut prepared = self.lock();
        let next = self.look().plug_in(&wish.name).map_or(1, |plug_in| plug_in.next);
        let made =
            self.host.prepare_generation(&wish.name, next, wish.bytes.to_vec(), &wish.settings).map_err(refused)?;
        if let Some(unknown) = wish.grants.iter().find(|grant| *grant != PASSWORDS) {
            return Err(ControlError::Refused(format!("grant {unknown} is unknown; there is {PASSWORDS}")));
        }
        grant(&made, &wish.grants);
        check_guards(&made)?;
        if made.point() == plugin::Point::Auth && wish.name == NATIVE_AUTH {
            let reason = format!("{NATIVE_AUTH} among the auth policies is the broker itself; choose another name");
            return Err(ControlError::Refused(reason));
        }
        if wish.shadow && !made.can_look_on() {
            let reason = format!("a candidate for {} cannot look on; deploy it without shadow", made.point());
            return Err(ControlError::Refused(reason));
        }
        let (state_format, restores) = made.states();
        let key = (wish.name.clone(), next);
        let deploy = Deploy {
            name: wish.name,
            bytes: wish.bytes,
            world: made.world().to_owned(),
            settings: wish.settings,
            grants: made.imports().into_iter().chain(wish.grants).collect(),
            state_format,
            restores,
            shadow: wish.shadow,
            start_empty: wish.start_empty,
        };
        prepared.insert(key.clone(), made);
        self.change(&mut prepared, |registry| registry.deploy(deploy, now_ms())).inspect_err(|_| {
            prepared.remove(&key);
        })
    }

    fn configure(&self, name: &str, settings: Vec<(String, String)>) -> Result<Turned, ControlError> {
        let mut prepared = self.lock();
        let mut trial = self.look();
        let next = trial.configure(name, settings.clone(), 0)?.generation;
        self.prepare(&mut prepared, &trial, name, next)?;
        self.change(&mut prepared, |registry| registry.configure(name, settings, now_ms()))
    }

    fn promote(&self, name: &str, generation: Option<u64>, start_empty: bool) -> Result<Turned, ControlError> {
        let mut prepared = self.lock();
        let mut trial = self.look();
        let number = trial.promote(name, generation, start_empty, 0)?.generation;
        self.prepare(&mut prepared, &trial, name, number)?;
        self.change(&mut prepared, |registry| registry.promote(name, generation, start_empty, now_ms()))
    }

    fn rollback(&self, name: &str, generation: Option<u64>) -> Result<Turned, ControlError> {
        let mut prepared = self.lock();
        let (before, mut trial) = (self.look(), self.look());
        let number = trial.rollback(name, generation, 0)?.generation;
        let made = self.prepare(&mut prepared, &trial, name, number)?;
        if made.point() != plugin::Point::Auth {
            return self.change(&mut prepared, |registry| registry.rollback(name, generation, now_ms()));
        }
        // Behind a rollback there is no previous generation that a failure would lead back to. So one that guards decides
        // first, and the registry hears of it only if it does.
        let active = before.plug_in(name)?.active;
        let active = active.and_then(|active| self.prepare(&mut prepared, &before, name, active).ok());
        let takeover = Takeover { start_empty: true, probation: false };
        let turnout = self.host.run(&made, takeover);
        let outcome = match turnout.is_taken() {
            true => self.change(&mut prepared, |registry| registry.rollback(name, generation, now_ms())),
            false => {
                let refusals = turnout.remarks(Duration::ZERO).into_iter().filter(|remark| !remark.is_taken);
                let why: Vec<String> = refusals.map(|one| format!("on {}: {}", one.destination, one.reason)).collect();
                Err(ControlError::Refused(format!(
                    "generation {number} of {name} does not take over, and the one before goes on: {}; go back to another one with \
                     --generation",
                    why.join("; ")
                )))
            }
        };
        outcome.inspect_err(|_| {
            active.iter().for_each(|active| drop(self.host.run(active, takeover)));
        })
    }

    fn end_shadow(&self, name: &str) -> Result<u64, ControlError> {
        self.change(&mut self.lock(), |registry| registry.end_shadow(name)).map(|turned| turned.generation)
    }

    fn shadow(&self, name: &str) -> Result<Vec<ShadowFindings>, ControlError> {
        self.look().plug_in(name)?;
        Ok(self.host.shadow_reports(name).into_iter().map(found).collect())
    }

    fn remove(&self, name: &str) -> Result<(), ControlError> {
        self.check_not_configured(name, "no command removes it")?;
        self.change(&mut self.lock(), |registry| registry.remove(name)).map(drop)
    }

    fn bind(&self, point: Point, pattern: &str, policy: &str) -> Result<(), ControlError> {
        let mut prepared = self.lock();
        if point == Point::Auth {
            self.check_guard(&mut prepared, policy)?;
        }
        self.check_serves(point, policy)?;
        self.change(&mut prepared, |registry| registry.bind(point, pattern, policy)).map(drop)
    }

    fn unbind(&self, point: Point, pattern: &str) -> Result<(), ControlError> {
        if point == Point::Auth {
            self.check_not_configured(pattern, "no command unbinds it")?;
        }
        self.change(&mut self.lock(), |registry| registry.unbind(point, pattern)).map(drop)
    }

    fn list(&self) -> Vec<Listed> {
        let registry = self.look();
        let mut states: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (_, _, state) in registry.states() {
            let (count, bytes) = states.entry(&state.policy).or_default();
            *count += 1;
            *bytes += state.bytes.len() as u64;
        }
        let states = |name: &str| states.get(name).copied().unwrap_or_default();
        registry.plug_ins().map(|(name, plug_in)| listed(name, plug_in, states(name))).collect()
    }

    fn compiled(&self) -> Vec<(&'static str, u64)> {
        let CacheStats { hits, misses, rejected, evicted, failed } = self.host.stats().cache;
        vec![("found", hits), ("compiled", misses), ("rejected", rejected), ("evicted", evicted), ("not_kept", failed)]
    }

    fn bindings(&self) -> Vec<Bound> {
        let registry = self.look();
        let bound = |point: Point, pattern: &str, policy: &str| Bound {
            point,
            pattern: pattern.to_owned(),
            policy: policy.to_owned(),
        };
        let places = registry.bindings().filter(|(point, ..)| *point != Point::Auth);
        let mut all: Vec<Bound> = places.map(|(point, pattern, policy)| bound(point, pattern, policy)).collect();
        let (behind, before): (Vec<_>, Vec<_>) = registry.guards().into_iter().partition(|(place, _)| place.is_behind);
        let guard = |(place, policy): (Place, &str)| bound(Point::Auth, &place.to_string(), policy);
        all.extend(before.into_iter().map(guard));
        let configured = self.doors.get().map(Doors::configured).unwrap_or_default();
        all.extend(configured.iter().map(|policy| bound(Point::Auth, "security.policies", policy)));
        all.extend(behind.into_iter().map(guard));
        all
    }

    fn history(&self, name: &str) -> Result<Vec<History>, ControlError> {
        Ok(self.look().plug_in(name)?.history.clone())
    }

    fn logs(&self, name: &str) -> Result<Vec<LogLine>, ControlError> {
        if !self.taken.contains_key(name) {
            self.look().plug_in(name)?;
        }
        let line = |line: plugin_wasmtime::LogLine| LogLine {
            at_ms: line.at_ms,
            level: line.level.to_owned(),
            destination: line.destination.to_string(),
            text: line.text,
        };
        Ok(self.host.log_lines(name).into_iter().map(line).collect())
    }

    fn explain(&self, destination: &str) -> Result<Explanation, ControlError> {
        let explained = self.hand()?.explain(destination).map_err(|error| match error {
            HandError::Stopping => unavailable(error),
            other => refused(other),
        })?;
        Ok(Explanation {
            begun_now: explained.begun_now,
            decisions: explained.decisions.into_iter().map(told).collect(),
        })
    }

    fn record(&self, what: &str, wish: RecordWish) -> Result<Recorded, ControlError> {
        let RecordWish { ms, batches } = wish;
        self.host.record(what, RecordingWish { ms, batches }).map(recorded).map_err(refused)
    }

    fn recorded(&self, queue: &str) -> Result<Recorded, ControlError> {
        self.host.recording(queue).map(recorded).map_err(refused)
    }

    fn end_recording(&self, queue: &str) -> Result<String, ControlError> {
        let mut recording = self.host.end_recording(queue).map_err(refused)?;
        let registry = self.look();
        let plug_in = registry.plug_in(&recording.head.policy).ok();
        let generation = plug_in.and_then(|plug_in| plug_in.generation(recording.head.generation));
        recording.head.component = generation.map(|generation| generation.digest.to_string()).unwrap_or_default();
        Ok(recording.write())
    }
}

/// What is wrong where an auth policy is bound and the configuration lets everybody in, and what to do.
const NOBODY_LOGS_IN: &str = "nobody has to log in at this broker, so nobody is asked: name users, anonymous_access = true or \
     policies in [security] of jackfield.toml, and start it again";

/// Gives a generation what the operator granted it.
fn grant(made: &Prepared, grants: &[String]) {
    if grants.iter().any(|grant| grant == PASSWORDS) {
        made.grant_passwords();
    }
}

/// A generation of the auth world has to be able to guard; of others nothing is asked.
fn check_guards(made: &Prepared) -> Result<(), ControlError> {
    match made.point() {
        plugin::Point::Auth => made.guards().map(drop).map_err(refused),
        _ => Ok(()),
    }
}

/// Under which name a state is kept: auth policies have no destinations, and each has a state for each of its instances.
fn state_key(point: Point, policy: &str, destination: &str) -> String {
    if point == Point::Auth { format!("{policy}/{destination}") } else { destination.to_owned() }
}

/// The destination of a state by its name.
fn seat_of(point: Point, key: &str) -> &str {
    if point == Point::Auth { key.rsplit_once('/').map_or(key, |(_, place)| place) } else { key }
}

/// Reads what becomes of swaps and keeps states, until the broker is gone.
fn watch(control: &Weak<Control>, events: &Receiver<SwapEvent>) {
    let began = Instant::now();
    let (mut next_stores, mut next_states) = (began + STORES_INTERVAL, began + STATES_INTERVAL);
    loop {
        let event = events.recv_timeout(next_stores.saturating_duration_since(Instant::now()));
        let Some(control) = control.upgrade() else { return };
        match event {
            Ok(event) => {
                if let Err(error) = control.note(&event) {
                    tracing::warn!(%error, ?event, "what became of a policy generation could not be noted");
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                control.keep_stores();
                next_stores = now + STORES_INTERVAL;
                if now >= next_states {
                    control.host.sweep_recordings();
                    control.keep_states();
                    next_states = now + STATES_INTERVAL;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Hands on what policies say, until the broker is gone.
fn hand_on(control: &Weak<Control>, said: &Receiver<Said>) {
    for (policy, line) in said {
        let Some(control) = control.upgrade() else { return };
        let line = PluginLine {
            policy: (&*policy).into(),
            level: line.level,
            destination: (&*line.destination).into(),
            text: line.text,
            at_ms: line.at_ms,
        };
        if control.hand().is_ok_and(|hand| hand.say(line).is_err()) {
            return;
        }
    }
}

/// Whether messages go on unasked while a policy of this point is being compiled; elsewhere its native twin, or the
/// native default, decides meanwhile.
fn passes_unasked(point: Point) -> bool {
    matches!(point, Point::TopicDispatch | Point::PublishRouting)
}

fn to_plugin(point: Point) -> plugin::Point {
    match point {
        Point::QueueDispatch => plugin::Point::QueueDispatch,
        Point::TopicDispatch => plugin::Point::TopicDispatch,
        Point::GroupAssignment => plugin::Point::GroupAssignment,
        Point::PublishRouting => plugin::Point::PublishRouting,
        Point::Auth => plugin::Point::Auth,
    }
}

/// The point as the registry knows it; those without bindings it does not know.
pub(super) fn from_plugin(point: plugin::Point) -> Option<Point> {
    Point::ALL.into_iter().find(|known| to_plugin(*known) == point)
}

fn refused(error: impl std::fmt::Display) -> ControlError {
    ControlError::Refused(with_remedy(&error))
}

fn unavailable(error: impl std::fmt::Display) -> ControlError {
    ControlError::Unavailable(error.to_string())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

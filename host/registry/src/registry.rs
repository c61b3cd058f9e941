//! The registry and its operations.

mod kept;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use message::{Destination, Fact, Pattern};

use crate::facts::{self, Key, Unread};
use crate::{
    Deploy, Digest, Generation, Happened, History, Limits, Place, PlugIn, Point, RegistryError, State, StorePlace,
    StoreValues, Trouble,
};

/// Plug-ins, bindings and states. Cheap to copy: components are shared.
///
/// Invariants: what `active`, `previous` and `shadow` name is kept; no component is kept that no generation names; what
/// is loaded from the facts of an operation is what the operation left here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    limits: Limits,
    /// Policies from elsewhere, with where from.
    taken: BTreeMap<String, String>,
    plug_ins: BTreeMap<String, PlugIn>,
    components: BTreeMap<Digest, Bytes>,
    bindings: BTreeMap<(Point, String), String>,
    states: BTreeMap<(Point, String), State>,
    stores: BTreeMap<StorePlace, StoreValues>,
    /// Plug-ins whose facts do not read, with the reason.
    unreadable: BTreeMap<String, String>,
}

/// What is to be carried out once the facts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The policy runs another generation, or none: [`Registry::running`] tells.
    Run {
        /// The policy.
        policy: String,
        /// Go on without the former generation's state where it is not taken.
        start_empty: bool,
    },
    /// Another generation is the policy's shadow, or none.
    Shadow {
        /// The policy.
        policy: String,
    },
    /// The policy is no more.
    Gone {
        /// The policy.
        policy: String,
    },
    /// Destinations are to have other policies than before.
    Bindings,
}

/// What an operation comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// For the journal, all or none.
    pub facts: Vec<Fact>,
    /// To be carried out then, in this order.
    pub changes: Vec<Change>,
    /// The generation that the operation was about; 0 if it was about none.
    pub generation: u64,
}

/// A generation that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running<'a> {
    /// The generation.
    pub generation: &'a Generation,
    /// Its component.
    pub bytes: &'a Bytes,
}

impl Registry {
    /// An empty one. `taken` are policies from elsewhere, each with where it comes from, such as "the configuration file".
    pub fn new(limits: Limits, taken: BTreeMap<String, String>) -> Registry {
        Registry {
            limits,
            taken,
            plug_ins: BTreeMap::new(),
            components: BTreeMap::new(),
            bindings: BTreeMap::new(),
            states: BTreeMap::new(),
            stores: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// What former operations left, from the facts of a journal; those of others are passed over.
    pub fn load(
        limits: Limits,
        taken: BTreeMap<String, String>,
        facts: impl IntoIterator<Item = Fact>,
    ) -> (Registry, Vec<Trouble>) {
        let mut registry = Registry::new(limits, taken);
        let mut troubles = Vec::new();
        for fact in facts.into_iter().filter(|fact| fact.key.starts_with(facts::PREFIX)) {
            if let Err(trouble) = registry.take(&fact) {
                troubles.push(trouble);
            }
        }
        registry.look_through(&mut troubles);
        (registry, troubles)
    }

    /// The plug-ins by name.
    pub fn plug_ins(&self) -> impl Iterator<Item = (&str, &PlugIn)> {
        self.plug_ins.iter().map(|(name, plug_in)| (name.as_str(), plug_in))
    }

    /// The plug-in of this name.
    pub fn plug_in(&self, name: &str) -> Result<&PlugIn, RegistryError> {
        if let Some(by) = self.taken.get(name) {
            return Err(RegistryError::Elsewhere { name: name.to_owned(), by: by.clone() });
        }
        if let Some(reason) = self.unreadable.get(name) {
            return Err(RegistryError::Unreadable { name: name.to_owned(), reason: reason.clone() });
        }
        self.plug_ins.get(name).ok_or_else(|| RegistryError::Unknown {
            name: name.to_owned(),
            known: self.plug_ins.keys().cloned().collect(),
        })
    }

    /// The generation that is to decide: the active one, or the previous one while the active one's component is lost.
    pub fn running(&self, policy: &str) -> Option<Running<'_>> {
        let plug_in = self.plug_ins.get(policy)?;
        [plug_in.active, plug_in.previous].into_iter().flatten().find_map(|number| self.runnable(plug_in, number))
    }

    /// The generation that sees what the active one sees, without effect.
    pub fn shadow(&self, policy: &str) -> Option<Running<'_>> {
        let plug_in = self.plug_ins.get(policy)?;
        self.runnable(plug_in, plug_in.shadow?)
    }

    /// A component.
    pub fn component(&self, digest: Digest) -> Option<&Bytes> {
        self.components.get(&digest)
    }

    /// The bindings: extension point, pattern, policy.
    pub fn bindings(&self) -> impl Iterator<Item = (Point, &str, &str)> {
        self.bindings.iter().map(|((point, pattern), policy)| (*point, pattern.as_str(), policy.as_str()))
    }

    /// The policy that is bound to a destination and exists: of the patterns that match, the most specific one's.
    pub fn bound(&self, point: Point, destination: &str) -> Option<&str> {
        let matching = self.bindings.iter().filter_map(|((at, pattern), policy)| {
            let pattern = Pattern::new(pattern.as_str().into());
            (*at == point && pattern.matches(destination) && self.exists(policy))
                .then(|| (pattern.specificity(), policy))
        });
        matching.max_by_key(|(rank, _)| *rank).map(|(_, policy)| policy.as_str())
    }

    /// Adds a generation, as the active one or as the shadow.
    pub fn deploy(&mut self, deploy: Deploy, now_ms: i64) -> Result<Done, RegistryError> {
        self.check_name(&deploy.name)?;
        self.check_settings(&deploy.settings)?;
        let limits = self.limits;
        let have = deploy.bytes.len();
        under("the component's size of", have, "plugins.component_limit", limits.component_bytes_max, SMALLER)?;
        let digest = Digest::of(&deploy.bytes);
        let is_new = !self.plug_ins.contains_key(&deploy.name);
        let plug_ins = self.plug_ins.len() + self.unreadable.len() + usize::from(is_new);
        under("the number of plug-ins, now", plug_ins, "plugins.plugins", limits.plug_ins_max, "remove one")?;
        let last = self.plug_ins.get(&deploy.name).and_then(|plug_in| plug_in.generations.last());
        if let Some(last) = last.filter(|last| last.world != deploy.world) {
            let (name, have, world) = (deploy.name, last.world.clone(), deploy.world);
            return Err(RegistryError::OtherWorld { name, have, world });
        }
        let number = self.plug_ins.get(&deploy.name).map_or(1, |plug_in| plug_in.next);
        let generation = Generation {
            number,
            digest,
            bytes: have,
            world: deploy.world,
            settings: deploy.settings,
            grants: deploy.grants,
            state_format: deploy.state_format,
            restores: deploy.restores,
            deployed_ms: now_ms,
            withdrawn: None,
        };
        if !deploy.shadow {
            self.check_state(&deploy.name, &generation, deploy.start_empty)?;
        }
        let others: usize = self.components.iter().filter(|(other, _)| **other != digest).map(|(_, b)| b.len()).sum();
        under(
            "the size of all components,",
            others + have,
            "plugins.components_limit",
            limits.components_bytes_max,
            FEWER,
        )?;
        let happened = if deploy.shadow { Happened::Shadowed } else { Happened::Deployed };
        let component = facts::component(digest, Some(deploy.bytes.clone()));
        let is_known = self.components.insert(digest, deploy.bytes).is_some();
        let mut done = self.add(&deploy.name, generation, happened, deploy.start_empty, now_ms);
        if !is_known {
            done.facts.insert(0, component);
        }
        Ok(done)
    }

    /// Gives the active generation's component other settings: a new generation that is active at once.
    pub fn configure(
        &mut self,
        name: &str,
        settings: Vec<(String, String)>,
        now_ms: i64,
    ) -> Result<Done, RegistryError> {
        self.check_settings(&settings)?;
        let plug_in = self.plug_in(name)?;
        let active = plug_in.active.ok_or_else(|| RegistryError::NoActive { name: name.to_owned() })?;
        let generation = self.usable(name, active)?.clone();
        let next = self.plug_ins[name].next;
        let generation = Generation { number: next, settings, deployed_ms: now_ms, withdrawn: None, ..generation };
        Ok(self.add(name, generation, Happened::Configured, false, now_ms))
    }

    /// Makes the shadow, or the generation of this number, the active one.
    pub fn promote(
        &mut self,
        name: &str,
        number: Option<u64>,
        start_empty: bool,
        now_ms: i64,
    ) -> Result<Done, RegistryError> {
        let plug_in = self.plug_in(name)?;
        let number = number.or(plug_in.shadow).ok_or_else(|| RegistryError::NoShadow { name: name.to_owned() })?;
        if plug_in.active == Some(number) {
            return Err(RegistryError::Active { name: name.to_owned(), number });
        }
        let generation = self.usable(name, number)?.clone();
        self.check_state(name, &generation, start_empty)?;
        let mut done = Done { generation: number, ..Done::default() };
        let plug_in = self.plug_ins.get_mut(name).expect("looked at just now");
        plug_in.previous = plug_in.active.replace(number);
        set_withdrawn(plug_in, number, None);
        done.changes.push(Change::Run { policy: name.to_owned(), start_empty });
        if plug_in.shadow == Some(number) {
            plug_in.shadow = None;
            done.changes.push(Change::Shadow { policy: name.to_owned() });
        }
        self.note(name, Happened::Promoted, number, "", now_ms);
        self.finish(name, &mut done);
        Ok(done)
    }

    /// Goes back to the previous generation, or to the one of this number. States that it does not read are let go: the
    /// way back is always open.
    pub fn rollback(&mut self, name: &str, number: Option<u64>, now_ms: i64) -> Result<Done, RegistryError> {
        let plug_in = self.plug_in(name)?;
        let number = number.or(plug_in.previous).ok_or_else(|| RegistryError::NoPrevious { name: name.to_owned() })?;
        if plug_in.active == Some(number) {
            return Err(RegistryError::Active { name: name.to_owned(), number });
        }
        self.usable(name, number)?;
        Ok(self.go_back(name, number, Happened::RolledBack, "", now_ms))
    }

    /// Takes back a generation that did not do well. Without a previous one it stays, and the native policy decides where
    /// it fails; the same where it is not active any more.
    pub fn withdraw(
        &mut self,
        name: &str,
        number: u64,
        reason: &str,
        now_ms: i64,
    ) -> Result<Option<Done>, RegistryError> {
        let plug_in = self.plug_in(name)?;
        let Some(previous) = plug_in.previous.filter(|_| plug_in.active == Some(number)) else { return Ok(None) };
        self.usable(name, previous)?;
        let plug_in = self.plug_ins.get_mut(name).expect("looked at just now");
        set_withdrawn(plug_in, number, Some(cut(reason, self.limits.reason_bytes_max)));
        self.note(name, Happened::Withdrawn, number, reason, now_ms);
        Ok(Some(self.go_back(name, previous, Happened::RolledBack, "", now_ms)))
    }

    /// Notes that a destination did not take a generation.
    pub fn refused(&mut self, name: &str, number: u64, reason: &str, now_ms: i64) -> Result<Done, RegistryError> {
        self.plug_in(name)?;
        self.note(name, Happened::Refused, number, reason, now_ms);
        let mut done = Done { generation: number, ..Done::default() };
        self.finish(name, &mut done);
        Ok(done)
    }

    /// Ends the shadow.
    pub fn end_shadow(&mut self, name: &str) -> Result<Done, RegistryError> {
        self.plug_in(name)?;
        let plug_in = self.plug_ins.get_mut(name).expect("looked at just now");
        let Some(number) = plug_in.shadow.take() else {
            return Err(RegistryError::NoShadow { name: name.to_owned() });
        };
        let mut done = Done { generation: number, ..Done::default() };
        done.changes.push(Change::Shadow { policy: name.to_owned() });
        self.finish(name, &mut done);
        Ok(done)
    }

    /// Removes a plug-in with all its generations and states.
    pub fn remove(&mut self, name: &str) -> Result<Done, RegistryError> {
        let mut done = Done::default();
        let was_unreadable = self.unreadable.remove(name).is_some();
        if !was_unreadable {
            self.plug_in(name)?;
            let bound = |(point, pattern): &(Point, String)| format!("{pattern} for {point}");
            let patterns: Vec<_> =
                self.bindings.iter().filter(|(_, to)| *to == name).map(|(key, _)| bound(key)).collect();
            if !patterns.is_empty() {
                return Err(RegistryError::Bound { name: name.to_owned(), patterns });
            }
            self.plug_ins.remove(name);
        }
        done.facts.push(facts::plug_in(name, None));
        self.forget_kept(name, &mut done);
        self.sweep(&mut done);
        done.changes.push(Change::Gone { policy: name.to_owned() });
        Ok(done)
    }

    /// Has the destinations of a pattern use a policy: a plug-in, or one from elsewhere. Patterns name queues, for topic
    /// dispatch topics; for publish routing those of topics have `topic://` in front. For auth it is no pattern but a
    /// [`Place`], and a policy has one at most.
    pub fn bind(&mut self, point: Point, pattern: &str, policy: &str) -> Result<Done, RegistryError> {
        self.check_pattern(point, pattern, policy)?;
        if !self.taken.contains_key(policy) {
            let plug_in = self.plug_in(policy)?;
            let active = plug_in.active.ok_or_else(|| RegistryError::NoActive { name: policy.to_owned() })?;
            let world = self.usable(policy, active)?.world.clone();
            if world != point.world() {
                return Err(RegistryError::World { name: policy.to_owned(), world, point });
            }
        }
        let key = (point, pattern.to_owned());
        let have = self.bindings.len() + usize::from(!self.bindings.contains_key(&key));
        under("the number of bindings, now", have, "plugins.bindings", self.limits.bindings_max, "unbind one")?;
        self.bindings.insert(key, policy.to_owned());
        let facts = vec![facts::binding(point, pattern, Some(policy))];
        Ok(Done { facts, changes: vec![Change::Bindings], generation: 0 })
    }

    /// Whether there can be such a binding.
    fn check_pattern(&self, point: Point, pattern: &str, policy: &str) -> Result<(), RegistryError> {
        let refuse = |reason: String| RegistryError::Pattern { pattern: pattern.to_owned(), reason };
        let name = match point {
            Point::PublishRouting => pattern.strip_prefix("topic://").unwrap_or(pattern),
            Point::QueueDispatch | Point::TopicDispatch | Point::GroupAssignment => pattern,
            Point::Auth => {
                let _: Place = pattern.parse().map_err(|reason| RegistryError::NoPlace { reason })?;
                let known = self.bindings.iter().find(|((at, _), bound)| *at == point && *bound == policy);
                return match known.map(|((_, place), _)| place).filter(|place| *place != pattern) {
                    Some(place) => Err(RegistryError::Placed { name: policy.to_owned(), place: place.clone() }),
                    None => Ok(()),
                };
            }
        };
        Destination::queue(name.to_owned()).check().map_err(|error| refuse(error.to_string()))?;
        if name.contains("://") || name.contains(',') {
            return Err(refuse("it is more than a name".to_owned()));
        }
        Ok(())
    }

    /// The auth policies that are bound, in the order of their places, whether they exist or not.
    pub fn guards(&self) -> Vec<(Place, &str)> {
        let theirs = self.bindings.iter().filter(|((point, _), _)| *point == Point::Auth);
        let mut guards: Vec<_> =
            theirs.filter_map(|((_, place), policy)| Some((place.parse().ok()?, policy.as_str()))).collect();
        guards.sort();
        guards
    }

    /// Takes a binding back; the destination's own setting holds again.
    pub fn unbind(&mut self, point: Point, pattern: &str) -> Result<Done, RegistryError> {
        if self.bindings.remove(&(point, pattern.to_owned())).is_none() {
            let known = self.bindings.keys().filter(|(at, _)| *at == point).map(|(_, pattern)| pattern.clone());
            return Err(RegistryError::NotBound { pattern: pattern.to_owned(), point, known: known.collect() });
        }
        let facts = vec![facts::binding(point, pattern, None)];
        Ok(Done { facts, changes: vec![Change::Bindings], generation: 0 })
    }

    fn take(&mut self, fact: &Fact) -> Result<(), Trouble> {
        let key = fact.key.to_string();
        let damaged = |reason: String| Trouble::Damaged { key: key.clone(), reason };
        let unread = |unread: Unread| match unread {
            Unread::Newer { found, known } => Trouble::Newer { key: key.clone(), found, known },
            Unread::Damaged(reason) => damaged(reason),
        };
        let parsed = Key::parse(&fact.key).map_err(damaged)?;
        let value = fact.value.as_ref().ok_or(Unread::Damaged("the journal found it damaged".to_owned()));
        match parsed {
            Key::Component(digest) => {
                let bytes = value.map_err(unread)?;
                if Digest::of(bytes) != digest {
                    return Err(damaged("the bytes have another digest".to_owned()));
                }
                self.components.insert(digest, bytes.clone());
            }
            Key::PlugIn(name) => match value.and_then(|value| facts::read_plug_in(value)) {
                Ok(plug_in) => drop(self.plug_ins.insert(name, plug_in)),
                Err(why) => {
                    let trouble = unread(why);
                    self.unreadable.insert(name, trouble.to_string());
                    return Err(trouble);
                }
            },
            Key::Binding(point, pattern) => match value.and_then(|value| facts::read_binding(value)) {
                Ok(policy) => drop(self.bindings.insert((point, pattern), policy)),
                Err(why) => {
                    // Somebody was to guard there: it is kept as a binding to a policy that cannot be.
                    if point == Point::Auth {
                        self.bindings.insert((point, pattern), String::new());
                    }
                    return Err(unread(why));
                }
            },
            Key::State(point, destination) => {
                let state = value.and_then(|value| facts::read_state(value)).map_err(unread)?;
                self.states.insert((point, destination), state);
            }
            Key::Store(place) => {
                let values = value.and_then(|value| facts::read_store(value)).map_err(unread)?;
                self.stores.insert(place, values);
            }
        }
        Ok(())
    }

    /// Finds what each fact alone does not show.
    fn look_through(&self, troubles: &mut Vec<Trouble>) {
        for (name, plug_in) in &self.plug_ins {
            if let Some(by) = self.taken.get(name) {
                troubles.push(Trouble::Taken { name: name.clone(), by: by.clone() });
            }
            for generation in &plug_in.generations {
                if self.components.contains_key(&generation.digest) {
                    continue;
                }
                let running = self.running(name).map(|running| running.generation.number);
                let falls_back = match running {
                    _ if plug_in.active != Some(generation.number) => "it is not the active one".to_owned(),
                    Some(number) => format!("generation {number} decides in its place"),
                    None if generation.world == Point::Auth.world() => {
                        "everybody is refused where it is bound".to_owned()
                    }
                    None => "the native policy decides in its place".to_owned(),
                };
                let (number, digest) = (generation.number, generation.digest);
                troubles.push(Trouble::BytesGone { name: name.clone(), number, digest, falls_back });
            }
        }
        for ((point, pattern), name) in &self.bindings {
            if !self.exists(name) {
                troubles.push(Trouble::Dangling { point: *point, pattern: pattern.clone(), name: name.clone() });
            }
        }
    }

    fn exists(&self, policy: &str) -> bool {
        self.plug_ins.contains_key(policy) || self.taken.contains_key(policy)
    }

    fn runnable<'a>(&'a self, plug_in: &'a PlugIn, number: u64) -> Option<Running<'a>> {
        let generation = plug_in.generation(number)?;
        Some(Running { generation, bytes: self.components.get(&generation.digest)? })
    }

    /// The generation, if its component is there.
    fn usable(&self, name: &str, number: u64) -> Result<&Generation, RegistryError> {
        let plug_in = self.plug_in(name)?;
        let generation = plug_in.generation(number).ok_or_else(|| RegistryError::Generation {
            name: name.to_owned(),
            number,
            known: plug_in.numbers(),
        })?;
        match self.components.contains_key(&generation.digest) {
            true => Ok(generation),
            false => Err(RegistryError::BytesGone { name: name.to_owned(), number, digest: generation.digest }),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), RegistryError> {
        let limit = self.limits.name_bytes_max;
        let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
        if name.is_empty() || name.len() > limit || !name.chars().all(fits) {
            let name: String = name.chars().take(limit).collect();
            return Err(RegistryError::Name { name, limit });
        }
        if let Some(by) = self.taken.get(name) {
            return Err(RegistryError::Taken { name: name.to_owned(), by: by.clone() });
        }
        match self.unreadable.get(name) {
            Some(reason) => Err(RegistryError::Unreadable { name: name.to_owned(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn check_settings(&self, settings: &[(String, String)]) -> Result<(), RegistryError> {
        let limits = &self.limits;
        under("the number of settings, now", settings.len(), "plugins.settings", limits.settings_max, "give fewer")?;
        let longest = settings.iter().map(|(key, value)| key.len() + value.len()).max().unwrap_or(0);
        under("the length of a setting,", longest, "plugins.setting_limit", limits.setting_bytes_max, "make it shorter")
    }

    /// A generation that keeps a state takes the active one's, or it is said that it need not.
    fn check_state(&self, name: &str, new: &Generation, start_empty: bool) -> Result<(), RegistryError> {
        let plug_in = self.plug_ins.get(name);
        let active = plug_in.and_then(|plug_in| plug_in.generation(plug_in.active?));
        let have = active.map_or(0, |active| active.state_format);
        let needs_none = have == 0 || start_empty || new.restores.is_empty();
        if needs_none || new.restores.contains(&have) {
            return Ok(());
        }
        let (name, number, restores) = (name.to_owned(), new.number, new.restores.clone());
        Err(RegistryError::StateFormat { name, number, have, restores })
    }

    fn add(&mut self, name: &str, generation: Generation, what: Happened, start_empty: bool, now_ms: i64) -> Done {
        let number = generation.number;
        let plug_in = self.plug_ins.entry(name.to_owned()).or_default();
        plug_in.generations.push(generation);
        plug_in.next = number + 1;
        let mut done = Done { generation: number, ..Done::default() };
        if what == Happened::Shadowed {
            plug_in.shadow = Some(number);
            done.changes.push(Change::Shadow { policy: name.to_owned() });
        } else {
            plug_in.previous = plug_in.active.replace(number);
            done.changes.push(Change::Run { policy: name.to_owned(), start_empty });
        }
        self.note(name, what, number, "", now_ms);
        self.finish(name, &mut done);
        done
    }

    fn go_back(&mut self, name: &str, number: u64, what: Happened, reason: &str, now_ms: i64) -> Done {
        let mut done = Done { generation: number, ..Done::default() };
        let plug_in = self.plug_ins.get_mut(name).expect("the caller looked at it");
        plug_in.active = Some(number);
        // Whoever goes back did not like what was there: it is kept, and nothing goes back to it by itself.
        plug_in.previous = None;
        if plug_in.shadow == Some(number) {
            plug_in.shadow = None;
            done.changes.push(Change::Shadow { policy: name.to_owned() });
        }
        set_withdrawn(plug_in, number, None);
        done.changes.insert(0, Change::Run { policy: name.to_owned(), start_empty: true });
        self.note(name, what, number, reason, now_ms);
        self.finish(name, &mut done);
        done
    }

    fn note(&mut self, name: &str, what: Happened, generation: u64, reason: &str, now_ms: i64) {
        let (limit, reason) = (self.limits.history_max, cut(reason, self.limits.reason_bytes_max));
        let Some(plug_in) = self.plug_ins.get_mut(name) else { return };
        plug_in.history.push(History { at_ms: now_ms, what, generation, reason });
        let surplus = plug_in.history.len().saturating_sub(limit);
        plug_in.history.drain(..surplus);
    }

    /// Lets go what is beyond the limits and says what is to be kept of the plug-in.
    fn finish(&mut self, name: &str, done: &mut Done) {
        let limit = self.limits.generations_kept_max.max(3);
        if let Some(plug_in) = self.plug_ins.get_mut(name) {
            let named = [plug_in.active, plug_in.previous, plug_in.shadow];
            while plug_in.generations.len() > limit {
                let spare = |generation: &Generation| !named.contains(&Some(generation.number));
                let Some(at) = plug_in.generations.iter().position(spare) else { break };
                plug_in.generations.remove(at);
            }
        }
        done.facts.push(facts::plug_in(name, self.plug_ins.get(name)));
        self.sweep(done);
    }

    /// Lets go components that no generation names. A plug-in whose description does not read may name any of them.
    fn sweep(&mut self, done: &mut Done) {
        if !self.unreadable.is_empty() {
            return;
        }
        let generations = self.plug_ins.values().flat_map(|plug_in| &plug_in.generations);
        let named: BTreeSet<Digest> = generations.map(|generation| generation.digest).collect();
        self.components.retain(|digest, _| {
            let stays = named.contains(digest);
            if !stays {
                done.facts.push(facts::component(*digest, None));
            }
            stays
        });
    }
}

const SMALLER: &str = "make it smaller: strip names and debug sections";
const FEWER: &str = "remove plug-ins that are not needed";

fn set_withdrawn(plug_in: &mut PlugIn, number: u64, reason: Option<String>) {
    if let Some(generation) = plug_in.generations.iter_mut().find(|generation| generation.number == number) {
        generation.withdrawn = reason;
    }
}

fn cut(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

fn under(
    what: &'static str,
    have: usize,
    limit_name: &'static str,
    limit: usize,
    remedy: &'static str,
) -> Result<(), RegistryError> {
    if have <= limit { Ok(()) } else { Err(RegistryError::Limit { what, have, limit_name, limit, remedy }) }
}

//! What policies remember from run to run: the states of their instances, and their stores.

use super::Registry;
use crate::{Done, Point, State, StorePlace, StoreValues, facts};

impl Registry {
    /// What a policy remembered on a destination.
    pub fn state(&self, point: Point, destination: &str) -> Option<&State> {
        self.states.get(&(point, destination.to_owned()))
    }

    /// The states: extension point, destination, state.
    pub fn states(&self) -> impl Iterator<Item = (Point, &str, &State)> {
        self.states.iter().map(|((point, destination), state)| (*point, destination.as_str(), state))
    }

    /// The stores that are not empty.
    pub fn stores(&self) -> impl Iterator<Item = (&StorePlace, &StoreValues)> {
        self.stores.iter()
    }

    /// Keeps what policies remember on destinations, for the next run; `None` forgets. Those beyond a limit are left out:
    /// a policy must be ready to lose its state.
    pub fn keep_states(&mut self, point: Point, states: Vec<(String, Option<State>)>) -> Done {
        let mut done = Done::default();
        for (destination, state) in states {
            let key = (point, destination);
            let fits = state.as_ref().is_none_or(|state| {
                let is_room = self.states.len() < self.limits.states_max || self.states.contains_key(&key);
                is_room && state.bytes.len() <= self.limits.state_bytes_max
            });
            let is_same = self.states.get(&key) == state.as_ref();
            if !fits || is_same {
                continue;
            }
            done.facts.push(facts::state(point, &key.1, state.as_ref()));
            match state {
                Some(state) => drop(self.states.insert(key, state)),
                None => drop(self.states.remove(&key)),
            }
        }
        done
    }

    /// Keeps stores as they are now; an empty one is forgotten. Beyond the limit new ones are left out.
    pub fn keep_stores(&mut self, stores: Vec<(StorePlace, StoreValues)>) -> Done {
        let mut done = Done::default();
        for (place, values) in stores {
            let known = self.stores.get(&place);
            let is_same = known.map_or(values.is_empty(), |known| *known == values);
            if is_same || (known.is_none() && self.stores.len() >= self.limits.states_max) {
                continue;
            }
            done.facts.push(facts::store(&place, Some(&values).filter(|values| !values.is_empty())));
            match values.is_empty() {
                true => drop(self.stores.remove(&place)),
                false => drop(self.stores.insert(place, values)),
            }
        }
        done
    }

    /// Lets go all that a policy remembers.
    pub(super) fn forget_kept(&mut self, policy: &str, done: &mut Done) {
        self.states.retain(|(point, destination), state| {
            let stays = state.policy != policy;
            if !stays {
                done.facts.push(facts::state(*point, destination, None));
            }
            stays
        });
        self.stores.retain(|place, _| {
            let stays = place.policy != policy;
            if !stays {
                done.facts.push(facts::store(place, None));
            }
            stays
        });
    }
}

//! What is kept under which key, and how it is written.
//!
//! ```text
//! policy/component/<digest>                    the component's bytes
//! policy/plug-in/<name>                        JSON: generations, which of them is what, history
//! policy/binding/<point>/<pattern>             JSON: the policy's name
//! policy/state/<point>/<destination>           JSON: policy, generation, format; the state in hexadecimal digits
//! policy/store/<point>/<policy>/<destination>  JSON: the values by their keys, in hexadecimal digits
//! ```
//!
//! Each JSON object has a `version`. A later one is refused by name and left where it is.

use std::collections::BTreeMap;

use bytes::Bytes;
use message::Fact;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Digest, Generation, History, PlugIn, Point, State, StorePlace, StoreValues};

/// All keys of the registry begin with this.
pub const PREFIX: &str = "policy/";

const COMPONENT: &str = "policy/component/";
const PLUG_IN: &str = "policy/plug-in/";
const BINDING: &str = "policy/binding/";
const STATE: &str = "policy/state/";
const STORE: &str = "policy/store/";

/// The version that is written.
const VERSION: u32 = 1;

/// A fact of the registry by its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Component(Digest),
    PlugIn(String),
    Binding(Point, String),
    State(Point, String),
    Store(StorePlace),
}

impl Key {
    pub(crate) fn parse(key: &str) -> Result<Key, String> {
        let pair = |rest: &str| -> Result<(Point, String), String> {
            let (point, name) = rest.split_once('/').ok_or("it names no extension point")?;
            Ok((point.parse()?, name.to_owned()))
        };
        if let Some(digest) = key.strip_prefix(COMPONENT) {
            digest.parse().map(Key::Component)
        } else if let Some(name) = key.strip_prefix(PLUG_IN) {
            Ok(Key::PlugIn(name.to_owned()))
        } else if let Some(rest) = key.strip_prefix(BINDING) {
            pair(rest).map(|(point, pattern)| Key::Binding(point, pattern))
        } else if let Some(rest) = key.strip_prefix(STATE) {
            pair(rest).map(|(point, destination)| Key::State(point, destination))
        } else if let Some(rest) = key.strip_prefix(STORE) {
            let (point, rest) = pair(rest)?;
            let (policy, destination) = rest.split_once('/').ok_or("it names no destination")?;
            Ok(Key::Store(StorePlace { point, policy: policy.to_owned(), destination: destination.to_owned() }))
        } else {
            Err("its key is none of the registry's".to_owned())
        }
    }
}

/// Why a value does not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Newer { found: u32, known: u32 },
    Damaged(String),
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPlugIn {
    version: u32,
    active: Option<u64>,
    previous: Option<u64>,
    shadow: Option<u64>,
    next: u64,
    generations: Vec<Generation>,
    history: Vec<History>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBinding {
    version: u32,
    policy: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredState {
    version: u32,
    policy: String,
    generation: u64,
    format: u32,
    state: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredStore {
    version: u32,
    values: BTreeMap<String, String>,
}

pub(crate) fn component(digest: Digest, bytes: Option<Bytes>) -> Fact {
    Fact { key: format!("{COMPONENT}{digest}").into(), value: bytes }
}

pub(crate) fn plug_in(name: &str, plug_in: Option<&PlugIn>) -> Fact {
    let stored = plug_in.map(|plug_in| StoredPlugIn {
        version: VERSION,
        active: plug_in.active,
        previous: plug_in.previous,
        shadow: plug_in.shadow,
        next: plug_in.next,
        generations: plug_in.generations.clone(),
        history: plug_in.history.clone(),
    });
    fact(format!("{PLUG_IN}{name}"), stored)
}

pub(crate) fn read_plug_in(value: &[u8]) -> Result<PlugIn, Unread> {
    let stored: StoredPlugIn = read(value)?;
    let found = PlugIn {
        active: stored.active,
        previous: stored.previous,
        shadow: stored.shadow,
        next: stored.next,
        generations: stored.generations,
        history: stored.history,
    };
    for number in [found.active, found.previous, found.shadow].into_iter().flatten() {
        if found.generation(number).is_none() {
            return Err(Unread::Damaged(format!("it names generation {number}, which it does not hold")));
        }
    }
    let rising = found.generations.windows(2).all(|two| two[0].number < two[1].number);
    if !rising || found.generations.last().is_some_and(|last| last.number >= found.next) {
        return Err(Unread::Damaged("the numbers of its generations do not rise".to_owned()));
    }
    Ok(found)
}

pub(crate) fn binding(point: Point, pattern: &str, policy: Option<&str>) -> Fact {
    let stored = policy.map(|policy| StoredBinding { version: VERSION, policy: policy.to_owned() });
    fact(format!("{BINDING}{point}/{pattern}"), stored)
}

pub(crate) fn read_binding(value: &[u8]) -> Result<String, Unread> {
    read::<StoredBinding>(value).map(|stored| stored.policy)
}

pub(crate) fn state(point: Point, destination: &str, state: Option<&State>) -> Fact {
    let stored = state.map(|state| StoredState {
        version: VERSION,
        policy: state.policy.clone(),
        generation: state.generation,
        format: state.format,
        state: hex::encode(&state.bytes),
    });
    fact(format!("{STATE}{point}/{destination}"), stored)
}

pub(crate) fn read_state(value: &[u8]) -> Result<State, Unread> {
    let stored: StoredState = read(value)?;
    let bytes = digits(&stored.state)?;
    Ok(State { policy: stored.policy, generation: stored.generation, format: stored.format, bytes })
}

pub(crate) fn store(place: &StorePlace, values: Option<&StoreValues>) -> Fact {
    let stored = values.map(|values| StoredStore {
        version: VERSION,
        values: values.iter().map(|(key, value)| (key.clone(), hex::encode(value))).collect(),
    });
    let StorePlace { point, policy, destination } = place;
    fact(format!("{STORE}{point}/{policy}/{destination}"), stored)
}

pub(crate) fn read_store(value: &[u8]) -> Result<StoreValues, Unread> {
    let stored: StoredStore = read(value)?;
    stored.values.into_iter().map(|(key, value)| Ok((key, digits(&value)?))).collect()
}

fn digits(text: &str) -> Result<Bytes, Unread> {
    let bytes = hex::decode(text);
    bytes
        .map(Bytes::from)
        .map_err(|error| Unread::Damaged(format!("a value is not written in hexadecimal digits: {error}")))
}

fn fact(key: String, value: Option<impl Serialize>) -> Fact {
    let value =
        value.map(|value| serde_json::to_vec(&value).expect("texts, numbers and lists have a JSON form").into());
    Fact { key: key.into(), value }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Unread> {
    let damaged = |error: serde_json::Error| Unread::Damaged(error.to_string());
    let Version { version } = serde_json::from_slice(value).map_err(damaged)?;
    if version > VERSION {
        return Err(Unread::Newer { found: version, known: VERSION });
    }
    serde_json::from_slice(value).map_err(damaged)
}

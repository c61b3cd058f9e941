//! A plug-in and its generations, as values.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The grant to see passwords, of an auth policy that asks for them.
pub const PASSWORDS: &str = "passwords";

/// What a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Which consumer gets which message of a queue.
    QueueDispatch,
    /// Which subscriptions get a message of a topic, and in which order.
    TopicDispatch,
    /// Which consumer owns a message group.
    GroupAssignment,
    /// Where a message goes that a producer sends.
    PublishRouting,
    /// Who comes in, what they may do, and which messages they may send. Bound to places, not to destinations: [`Place`].
    Auth,
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 5] =
        [Point::QueueDispatch, Point::TopicDispatch, Point::GroupAssignment, Point::PublishRouting, Point::Auth];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Point::QueueDispatch => "queue-dispatch",
            Point::TopicDispatch => "topic-dispatch",
            Point::GroupAssignment => "group-assignment",
            Point::PublishRouting => "publish-routing",
            Point::Auth => "auth",
        }
    }

    /// The name of the world that decides here, without package and version.
    pub fn world(self) -> &'static str {
        match self {
            Point::QueueDispatch => "queue-policy",
            Point::TopicDispatch => "topic-policy",
            Point::GroupAssignment => "group-policy",
            Point::PublishRouting => "routing-policy",
            Point::Auth => "auth-policy",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Point, String> {
        let found = Point::ALL.into_iter().find(|point| point.name() == text);
        found.ok_or_else(|| {
            let known = Point::ALL.map(Point::name).join(", ");
            format!("{text} is no extension point; there are {known}")
        })
    }
}

/// Where among the auth policies one is asked: before those of the configuration, or behind them; lower numbers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Behind those of the configuration.
    pub is_behind: bool,
    /// 1 to 9.
    pub number: u8,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", if self.is_behind { "behind" } else { "before" }, self.number)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let wrong = || {
            format!(
                "{text:?} is no place among the auth policies; there are before.1 to before.9 and behind.1 to behind.9"
            )
        };
        let (side, number) = text.split_once('.').ok_or_else(wrong)?;
        let is_behind = match side {
            "before" => false,
            "behind" => true,
            _ => return Err(wrong()),
        };
        match number.as_bytes() {
            [digit @ b'1'..=b'9'] => Ok(Place { is_behind, number: digit - b'0' }),
            _ => Err(wrong()),
        }
    }
}

/// What is to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Name of the plug-in; made if it does not exist.
    pub name: String,
    /// The component.
    pub bytes: Bytes,
    /// The world it implements, such as `queue-policy`.
    pub world: String,
    /// What it is configured with, in order.
    pub settings: Vec<(String, String)>,
    /// Interfaces that it asked for and is given, and what else the operator granted it: [`PASSWORDS`].
    pub grants: Vec<String>,
    /// Format of the state it writes; 0 if it keeps none.
    pub state_format: u32,
    /// Formats that it reads.
    pub restores: Vec<u32>,
    /// It is to see what the active generation sees, without effect.
    pub shadow: bool,
    /// Go on without the active generation's state if it does not read that.
    pub start_empty: bool,
}

/// A component with its settings. Never changed once it is there, but for `withdrawn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// From 1; never used twice by a plug-in while that exists.
    pub number: u64,
    /// Its component.
    pub digest: Digest,
    /// Size of the component.
    pub bytes: usize,
    /// The world it implements.
    pub world: String,
    /// What it is configured with, in order.
    pub settings: Vec<(String, String)>,
    /// Interfaces that it asked for and is given, and what else the operator granted it: [`PASSWORDS`].
    pub grants: Vec<String>,
    /// Format of the state it writes; 0 if it keeps none.
    pub state_format: u32,
    /// Formats that it reads.
    pub restores: Vec<u32>,
    /// When it came, ms since 1970.
    pub deployed_ms: i64,
    /// Why it was taken back without being asked; set when that happens, cleared when it is promoted again.
    pub withdrawn: Option<String>,
}

/// What happened to a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// It came as the shadow.
    Shadowed,
    /// It came and was made the active one.
    Deployed,
    /// It was there and was made the active one.
    Promoted,
    /// The component of another one came with other settings and was made the active one.
    Configured,
    /// Somebody went back to it.
    RolledBack,
    /// It did not do well and was taken back.
    Withdrawn,
    /// A destination did not take it.
    Refused,
}

/// A line of a plug-in's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// What.
    pub what: Happened,
    /// To which generation.
    pub generation: u64,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A plug-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlugIn {
    /// The generation that decides; `None` before the first promotion.
    pub active: Option<u64>,
    /// What was active before, if somebody may want to go back to it.
    pub previous: Option<u64>,
    /// The generation that sees what the active one sees, without effect.
    pub shadow: Option<u64>,
    /// Number of the next one.
    pub next: u64,
    /// Those that are kept, oldest first.
    pub generations: Vec<Generation>,
    /// What happened, oldest first.
    pub history: Vec<History>,
}

impl PlugIn {
    /// The generation of this number.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.generations.iter().map(|generation| generation.number).collect()
    }
}

/// What a policy remembered on one destination, for the next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The policy that wrote it.
    pub policy: String,
    /// Its generation.
    pub generation: u64,
    /// The format.
    pub format: u32,
    /// The state.
    pub bytes: Bytes,
}

/// Whose store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorePlace {
    /// What it decides.
    pub point: Point,
    /// The policy.
    pub policy: String,
    /// Where it decides.
    pub destination: String,
}

/// What is in a store: values by their keys.
pub type StoreValues = BTreeMap<String, Bytes>;

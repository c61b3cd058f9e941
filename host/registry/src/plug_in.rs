//! A plug-in and its generations, as values.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Digest;

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
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 4] =
        [Point::QueueDispatch, Point::TopicDispatch, Point::GroupAssignment, Point::PublishRouting];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Point::QueueDispatch => "queue-dispatch",
            Point::TopicDispatch => "topic-dispatch",
            Point::GroupAssignment => "group-assignment",
            Point::PublishRouting => "publish-routing",
        }
    }

    /// The name of the world that decides here, without package and version.
    pub fn world(self) -> &'static str {
        match self {
            Point::QueueDispatch => "queue-policy",
            Point::TopicDispatch => "topic-policy",
            Point::GroupAssignment => "group-policy",
            Point::PublishRouting => "routing-policy",
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
    /// Interfaces that it asked for and is given.
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
    /// Interfaces that it asked for and is given.
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

//! What a person or a tool can ask of a running broker's policies. Whoever has a door to the outside asks this trait.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{History, Point};

/// Asks a running broker. Each call answers when what it changed is durable and carried out; none is for a thread that
/// has to be quick.
pub trait PolicyControl: Send + Sync {
    /// Takes in a component as a new generation, as the active one or as the shadow.
    fn deploy(&self, wish: Wish) -> Result<Turned, ControlError>;

    /// Gives the active generation's component other settings, which makes another generation.
    fn configure(&self, name: &str, settings: Vec<(String, String)>) -> Result<Turned, ControlError>;

    /// Makes the shadow, or the generation of this number, the active one.
    fn promote(&self, name: &str, generation: Option<u64>, start_empty: bool) -> Result<Turned, ControlError>;

    /// Goes back to the previous generation, or to the one of this number.
    fn rollback(&self, name: &str, generation: Option<u64>) -> Result<Turned, ControlError>;

    /// Ends the shadow. Gives the number of the generation that it was.
    fn end_shadow(&self, name: &str) -> Result<u64, ControlError>;

    /// What the shadow found so far, by destination.
    fn shadow(&self, name: &str) -> Result<Vec<ShadowFindings>, ControlError>;

    /// Removes a plug-in that nothing is bound to.
    fn remove(&self, name: &str) -> Result<(), ControlError>;

    /// Has the destinations of a pattern, or a place among the auth policies, use a policy.
    fn bind(&self, point: Point, pattern: &str, policy: &str) -> Result<(), ControlError>;

    /// Takes a binding back.
    fn unbind(&self, point: Point, pattern: &str) -> Result<(), ControlError>;

    /// The plug-ins, by name.
    fn list(&self) -> Vec<Listed>;

    /// What became of compiled components since the start: an outcome in a word, and how often.
    fn compiled(&self) -> Vec<(&'static str, u64)>;

    /// Where policies are bound, and behind that the auth policies in the order in which they are asked, those of the
    /// configuration among them.
    fn bindings(&self) -> Vec<Bound>;

    /// What happened to a plug-in, oldest first.
    fn history(&self, name: &str) -> Result<Vec<History>, ControlError>;

    /// What a policy said lately, oldest first.
    fn logs(&self, name: &str) -> Result<Vec<LogLine>, ControlError>;

    /// The latest decisions on the messages of a queue, or of a topic by its name with `topic://` in front; the first question
    /// begins to note them.
    fn explain(&self, destination: &str) -> Result<Explanation, ControlError>;

    /// Has what the policy of a queue is asked and answers recorded from now on. `what` is the queue, or a policy that
    /// decides on one queue alone.
    fn record(&self, what: &str, wish: RecordWish) -> Result<Recorded, ControlError>;

    /// How the recording of a queue stands.
    fn recorded(&self, queue: &str) -> Result<Recorded, ControlError>;

    /// Ends the recording of a queue and hands it over: the text of a file. It is gone here.
    fn end_recording(&self, queue: &str) -> Result<String, ControlError>;
}

/// What is to be deployed, as somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Name of the plug-in; made if it does not exist.
    pub name: String,
    /// The component.
    pub bytes: Bytes,
    /// What it is configured with, in order.
    pub settings: Vec<(String, String)>,
    /// It is to see what the active generation sees, without effect.
    pub shadow: bool,
    /// Go on without the active generation's state if it does not read that.
    pub start_empty: bool,
    /// What it is granted beyond the interfaces that it imports: [`PASSWORDS`](crate::PASSWORDS).
    pub grants: Vec<String>,
}

/// What came of a change of the generation that decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turned {
    /// The generation.
    pub generation: u64,
    /// A sentence for each destination where it does not decide, or without the state of the one before; as far as that is known at
    /// once.
    pub remarks: Vec<String>,
}

/// How much is to be recorded at most; the broker's own limits hold too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordWish {
    /// For so long, ms.
    pub ms: u64,
    /// So many batches.
    pub batches: u64,
}

/// A recording as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The queue.
    pub queue: String,
    /// The policy that decides there.
    pub policy: String,
    /// Batches so far.
    pub batches: u64,
    /// What they take in memory, bytes.
    pub bytes: u64,
    /// Nothing is added any more.
    pub is_over: bool,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It is refused: the text says what, value and remedy. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The broker cannot do it now. It may or may not have been done.
    #[error("{0}")]
    Unavailable(String),
}

impl From<crate::RegistryError> for ControlError {
    fn from(error: crate::RegistryError) -> ControlError {
        ControlError::Refused(error.to_string())
    }
}

/// A plug-in in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The generation that decides.
    pub active: Option<u64>,
    /// The one before.
    pub previous: Option<u64>,
    /// The one that looks on.
    pub shadow: Option<u64>,
    /// Those that are kept, oldest first.
    pub generations: Vec<ListedGeneration>,
    /// Destinations whose states are kept for the next run.
    pub states: u64,
    /// Bytes of those states, as they were last kept.
    pub state_bytes: u64,
}

/// A binding in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The extension point.
    pub point: Point,
    /// Destinations that this matches, or the place among the auth policies …
    pub pattern: String,
    /// … have this policy.
    pub policy: String,
}

/// A generation in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedGeneration {
    /// Its number.
    pub number: u64,
    /// SHA-256 of its component.
    pub digest: String,
    /// Bytes of its component.
    pub bytes: usize,
    /// The world that it implements.
    pub world: String,
    /// What it is configured with.
    pub settings: Vec<(String, String)>,
    /// Interfaces that it is given, and what else it is granted.
    pub grants: Vec<String>,
    /// When it came, ms since 1970.
    pub deployed_ms: i64,
    /// Why it was taken back, if it was.
    pub withdrawn: Option<String>,
}

/// What came of showing a candidate what the active generation was asked, on one destination.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShadowFindings {
    /// The destination.
    pub destination: String,
    /// The candidate's generation.
    pub generation: u64,
    /// Batches that both decided.
    pub batches: u64,
    /// Batches that the candidate sat out, to keep within its share of the time.
    pub batches_skipped: u64,
    /// Rows that both decided.
    pub rows: u64,
    /// Rows that both gave to the same consumer, or left.
    pub rows_agreed: u64,
    /// The share of those, percent.
    pub agreement_percent: f64,
    /// Answers of the candidate that would have had to be corrected.
    pub corrected: u64,
    /// Nanoseconds a row: the active generation, the candidate.
    pub nanos_per_row: (u64, u64),
    /// Rows left where they were, on a topic copies taken away: by the active generation, by the candidate.
    pub rows_left: (u64, u64),
    /// Message groups moved to other owners as consumers came and went: by the active generation, by the candidate.
    #[serde(default)]
    pub moves: (u64, u64),
    /// Rows by consumer: slot, client id, from the active generation, from the candidate.
    pub consumers: Vec<(u32, String, u64, u64)>,
    /// Why the candidate ended, if it did.
    pub ended: Option<String>,
}

/// A line that a policy said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The destination that it was on; empty while it was tried out.
    pub destination: String,
    /// What it said.
    pub text: String,
}

/// Decisions on the messages of a queue or a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Nothing was noted before this question; from now on it is.
    pub begun_now: bool,
    /// The latest decisions, oldest first.
    pub decisions: Vec<Explained>,
}

/// One message put to a policy, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The message's number in the broker.
    pub sequence: u64,
    /// Its JMS id.
    pub message_id: String,
    /// The policy that was asked.
    pub policy: String,
    /// Its generation; 0 if it has none.
    pub generation: u64,
    /// `policy`, or why the native twin decided in its place.
    pub decided: String,
    /// The slot that the answer named.
    pub asked: Option<u32>,
    /// The consumer that got it, after the check: slot, id, client id.
    pub given: Option<(u32, String, Option<String>)>,
    /// Digest of the table of consumers, on a topic of subscriptions, that was shown.
    pub table: String,
    /// How the message's group got its owner, where it has one and that was noted.
    #[serde(default)]
    pub group: Option<ExplainedOwner>,
    /// On a topic the subscriptions that got it, in the order in which they were served, as far as they are told: slot, id of
    /// the consumer or name of the durable subscription, client id.
    #[serde(default)]
    pub copies: Vec<(u32, String, Option<String>)>,
    /// On a topic the subscriptions that matched and did not get it.
    #[serde(default)]
    pub withheld: u32,
}

/// Who said that a consumer owns a message group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedOwner {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The group.
    pub group: String,
    /// The slot of the consumer that it was given to, after the check.
    pub slot: u32,
    /// The group policy that was asked.
    pub policy: String,
    /// Its generation; 0 if it has none.
    pub generation: u64,
    /// `policy`, or why the native twin decided in its place.
    pub decided: String,
    /// Digest of the table of consumers and of how many groups each owned.
    pub table: String,
}

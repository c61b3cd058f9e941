//! What the room asks of the broker, and how it is told that something is wrong.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::words::{Ask, Status, Survey};

/// What comes of a question.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// The broker as the room sees it. Questions must not stop the broker and should come back soon; the room stops waiting
/// after [`Limits::answer_ms_max`](crate::Limits::answer_ms_max).
pub trait Control: Send + Sync + 'static {
    /// How things stand in one picture.
    fn status(&self) -> Answer<'_, Status>;

    /// Destinations, the best by `ask.sort` first, with sums over all.
    fn survey(&self, ask: Ask) -> Answer<'_, Survey>;
}

/// What is wrong with a request, said so that it can be put right: the API's only form of error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// What is wrong.
    pub title: String,
    /// Which key, field or header; empty where it is none in particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Its value; empty for secrets and where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What to do about it; empty where the title says that too.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Problem {
    /// A problem without a key.
    pub fn new(status: u16, title: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { status, title: title.into(), key: String::new(), value: String::new(), remedy: remedy.into() }
    }

    /// The same of a key and its value.
    pub fn with(self, key: impl Into<String>, value: impl Into<String>) -> Problem {
        Problem { key: key.into(), value: value.into(), ..self }
    }
}

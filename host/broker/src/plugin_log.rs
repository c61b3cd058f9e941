//! What policies say, as messages: on a topic for each of them, for whoever listens.

use std::sync::Arc;

use bytes::Bytes;
use message::{BodyKind, Destination, Text, Value};

use crate::broker::Broker;

/// In front of the name of a policy in the name of its topic. Not among the advisories, which everybody may read on many
/// brokers: what an auth policy says is for those who have the right to this very topic.
pub const PLUGIN_LOG_TOPIC: &str = "Jackfield.Plugin.Log.";

/// A line that a policy said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLine {
    /// The policy.
    pub policy: Text,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The destination, or the place of an auth policy, that it was on; empty while it was tried out.
    pub destination: Text,
    /// What it said.
    pub text: String,
    /// When, ms since 1970.
    pub at_ms: i64,
}

impl Broker {
    /// Hands a line to those who listen to the policy's topic. It is not persistent, and costs next to nothing when nobody
    /// listens. No policy is asked where it goes: one that spoke of that would never come to an end.
    pub fn tell_plugin_line(&mut self, line: &PluginLine, now_ms: i64) {
        self.now = now_ms;
        let topic = format!("{PLUGIN_LOG_TOPIC}{}", line.policy);
        if !self.has_listener(&topic) {
            return;
        }
        let mut message = self.own_message(Destination::topic(topic));
        message.timestamp = line.at_ms;
        message.kind = Some(Text::from_static("PluginLog"));
        let mut properties = message::properties::Builder::new();
        properties.push("policy", &Value::Text((&*line.policy).into()));
        properties.push("level", &Value::Text(line.level.into()));
        properties.push("policyDestination", &Value::Text((&*line.destination).into()));
        message.properties = properties.finish();
        message.body_kind = BodyKind::Text;
        let length = u32::try_from(line.text.len()).unwrap_or(u32::MAX).to_be_bytes();
        message.content = Some(Bytes::from([&length[..], line.text.as_bytes()].concat()));
        self.route(Arc::new(message));
    }
}

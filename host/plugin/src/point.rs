//! The extension points by name.

use std::fmt;

/// A decision that a policy may take. A component serves exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Which consumer gets which message of a queue.
    QueueDispatch,
    /// Which subscriptions get a message of a topic, and in which order.
    TopicDispatch,
    /// Which consumer owns a message group.
    GroupAssignment,
    /// Who may connect and do what.
    Auth,
    /// What crosses to another broker.
    NetworkFilter,
    /// Where a message goes that a producer sends.
    PublishRouting,
}

impl Point {
    /// The word for it in commands, metrics and what is kept.
    pub fn key(self) -> &'static str {
        match self {
            Point::QueueDispatch => "queue-dispatch",
            Point::TopicDispatch => "topic-dispatch",
            Point::GroupAssignment => "group-assignment",
            Point::Auth => "auth",
            Point::NetworkFilter => "network-filter",
            Point::PublishRouting => "publish-routing",
        }
    }

    /// The words for it in messages to the operator.
    pub fn name(self) -> &'static str {
        match self {
            Point::QueueDispatch => "queue dispatch",
            Point::TopicDispatch => "topic dispatch",
            Point::GroupAssignment => "message groups",
            Point::Auth => "auth",
            Point::NetworkFilter => "network forwarding",
            Point::PublishRouting => "publish routing",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

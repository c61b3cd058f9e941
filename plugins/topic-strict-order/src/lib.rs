//! Strict order: subscriptions are served in one order for all messages (strictOrderDispatchPolicy). No settings.

use jackfield_topic_policy::export_topic_policy;
use jackfield_topic_policy::plugin::native::StrictOrder;

export_topic_policy!(StrictOrder);

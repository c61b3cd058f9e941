//! Priority: consumers of higher priority are served first (priorityDispatchPolicy). No settings.

use jackfield_topic_policy::export_topic_policy;
use jackfield_topic_policy::plugin::native::Priority;

export_topic_policy!(Priority);

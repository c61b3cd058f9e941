//! Priority network: of the subscriptions of other brokers only those of the highest priority get a copy
//! (priorityNetworkDispatchPolicy); consumers of this broker always do. No settings.

use jackfield_topic_policy::export_topic_policy;
use jackfield_topic_policy::plugin::native::PriorityNetwork;

export_topic_policy!(PriorityNetwork);

//! Partition by key: messages of the same key go to the same of a number of destinations.
//!
//! Settings: `key` is a property (JMSXGroupID), `partitions` how many there are, `prefix` what stands before their
//! numbers from 0, such as `queue://ORDERS.`. A message without the key goes as addressed.

use jackfield_routing_policy::export_routing_policy;
use jackfield_routing_policy::plugin::native::PartitionByKey;

export_routing_policy!(PartitionByKey);

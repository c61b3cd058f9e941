//! Hash bucket: groups of a bucket have one owner. No settings.

use jackfield_group_policy::export_group_policy;
use jackfield_group_policy::plugin::native::HashBucket;

export_group_policy!(HashBucket);

//! Include exclude: destinations by pattern.
//!
//! Settings: `include` (all) and `exclude` (none) are patterns with commas between them, such as `queue://ORDERS.>`.

use jackfield_network_policy::export_network_policy;
use jackfield_network_policy::plugin::native::IncludeExclude;

export_network_policy!(IncludeExclude);

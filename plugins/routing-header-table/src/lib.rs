//! Header table: the value of one property says where the message goes.
//!
//! Settings: `property` is its name; each `=VALUE` has the destinations for that value, with commas between them;
//! `otherwise` (as addressed) has those for all others; `keep` (false) leaves the message where it was sent as well.

use jackfield_routing_policy::export_routing_policy;
use jackfield_routing_policy::plugin::native::HeaderTable;

export_routing_policy!(HeaderTable);

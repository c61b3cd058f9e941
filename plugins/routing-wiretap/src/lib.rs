//! Wiretap: every message goes to other destinations as well.
//!
//! Settings: `targets` has them, with commas between them.

use jackfield_routing_policy::export_routing_policy;
use jackfield_routing_policy::plugin::native::Wiretap;

export_routing_policy!(Wiretap);

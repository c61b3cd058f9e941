//! Sampling: every n-th message goes to other destinations as well.
//!
//! Settings: `every` is n (100), `targets` has the destinations, with commas between them.

use jackfield_routing_policy::export_routing_policy;
use jackfield_routing_policy::plugin::native::Sampling;

export_routing_policy!(Sampling);

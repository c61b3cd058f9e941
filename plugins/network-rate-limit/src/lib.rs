//! Rate limit: so many messages a second cross, the others are held.
//!
//! Settings: `per-second` (1000) and `burst` (as `per-second`), how many may cross at once after a pause.

use jackfield_network_policy::export_network_policy;
use jackfield_network_policy::plugin::native::RateLimit;

export_network_policy!(RateLimit);

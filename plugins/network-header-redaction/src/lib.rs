//! Header redaction: properties are taken out of what crosses.
//!
//! Settings: `remove` has their names with commas between them; `strip-group` (false) takes the message group out too.

use jackfield_network_policy::export_network_policy;
use jackfield_network_policy::plugin::native::HeaderRedaction;

export_network_policy!(HeaderRedaction);

//! Data residency: messages whose property has none of the named values stay here.
//!
//! Settings: `property` is its name, `allow` the values with commas between them; `none` among them lets messages without
//! the property cross.

use jackfield_network_policy::export_network_policy;
use jackfield_network_policy::plugin::native::DataResidency;

export_network_policy!(DataResidency);

//! Sticky: a new group goes to the consumer with the fewest groups and stays there. No settings.

use jackfield_group_policy::export_group_policy;
use jackfield_group_policy::plugin::native::Sticky;

export_group_policy!(Sticky);

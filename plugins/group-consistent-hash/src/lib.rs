//! Consistent hash: owners follow from hashes; who joins gets a share, with a bounded number of moves. No settings.

use jackfield_group_policy::export_group_policy;
use jackfield_group_policy::plugin::native::ConsistentHash;

export_group_policy!(ConsistentHash);

//! The native group policies by name.

use super::{ConsistentHash, HashBucket, Sticky};
use crate::{GroupAssignment, PolicyError};

/// Names and descriptions of the group policies, by name in ascending order.
pub const GROUP_POLICIES: [(&str, &str); 3] = [
    (ConsistentHash::NAME, ConsistentHash::DESCRIPTION),
    (HashBucket::NAME, HashBucket::DESCRIPTION),
    (Sticky::NAME, Sticky::DESCRIPTION),
];

/// The native group policy of this name.
pub fn group_policy(policy: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
    match policy {
        ConsistentHash::NAME => Ok(Box::new(ConsistentHash::new())),
        HashBucket::NAME => Ok(Box::new(HashBucket::new())),
        Sticky::NAME => Ok(Box::new(Sticky::new())),
        _ => Err(PolicyError::Unknown {
            policy: policy.to_owned(),
            known: GROUP_POLICIES.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_served_and_others_are_told_the_names() {
        for (name, _) in GROUP_POLICIES {
            assert!(group_policy(name).is_ok(), "{name}");
        }
        let error = group_policy("lottery").err().expect("no such policy");
        assert_eq!(error.to_string(), "policy lottery is unknown; known are consistent-hash, hash-bucket, sticky");
    }
}

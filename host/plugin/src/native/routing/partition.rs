//! Partition by key: a queue per share of the keys.

use super::unknown;
use crate::{Messages, RouteLogic, Verdict, text_hash};

/// Most partitions.
const PARTITIONS_MAX: u64 = 1_024;

/// Messages of the same key go to the same of a number of destinations: `prefix` and a number from 0. A message without
/// the key goes as addressed.
///
/// Settings: `key` is a property (JMSXGroupID), `partitions` how many there are, `prefix` what stands before their
/// numbers, such as `queue://ORDERS.`. The number is that of [`text_hash`], modulo `partitions`.
#[derive(Debug)]
pub struct PartitionByKey {
    key: String,
    partitions: u64,
    prefix: String,
}

impl Default for PartitionByKey {
    fn default() -> PartitionByKey {
        PartitionByKey { key: "JMSXGroupID".to_owned(), partitions: 0, prefix: String::new() }
    }
}

impl RouteLogic for PartitionByKey {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = PartitionByKey::default();
        for (key, value) in settings {
            match key.as_str() {
                "key" => fresh.key.clone_from(value),
                "prefix" => fresh.prefix.clone_from(value),
                "partitions" => {
                    let number = value.parse().ok().filter(|number| (1..=PARTITIONS_MAX).contains(number));
                    fresh.partitions = number.ok_or_else(|| {
                        format!(
                            "setting {key} = {value} is no such number; write a whole number from 1 to {PARTITIONS_MAX}"
                        )
                    })?;
                }
                _ => return Err(unknown(key, value, "key, partitions, prefix")),
            }
        }
        if !settings.is_empty() && (fresh.prefix.is_empty() || fresh.partitions == 0) {
            return Err("partition-by-key needs prefix and partitions; write such as queue://ORDERS. and 8".to_owned());
        }
        *self = fresh;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        vec![self.key.clone()]
    }

    fn decide(&mut self, messages: &dyn Messages, row: usize) -> Verdict {
        let value = messages.property(row, &self.key);
        match value.to_text() {
            Some(key) if self.partitions > 0 => {
                Verdict::Replace(vec![format!("{}{}", self.prefix, text_hash(&key).cast_unsigned() % self.partitions)])
            }
            _ => Verdict::AsAddressed,
        }
    }
}

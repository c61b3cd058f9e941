//! Native twins of the stock policies. Each decides the batches that its WebAssembly twin cannot, and is the yardstick
//! in the tests: for the same settings and the same batches from the same start both give the same plans.
//!
//! Start reading at [`Twin`], the table of them all; `give.rs` is what they have in common.

mod consistent_hash;
mod fair_share;
mod give;
mod groups;
mod hash_bucket;
mod host;
mod latency_aware;
mod least_in_flight;
mod network;
mod priority;
mod round_robin;
mod routing;
mod settings;
mod sticky;
mod sticky_group;
mod strict_order;
#[cfg(test)]
mod testing;
mod topic;
mod weighted;

pub use self::consistent_hash::ConsistentHash;
pub use self::groups::{GROUP_POLICIES, group_policy};
pub use self::hash_bucket::HashBucket;
pub use self::host::{NativeHost, check};
pub use self::least_in_flight::LeastInFlight;
pub use self::network::{DataResidency, HeaderRedaction, IncludeExclude, NETWORK, NetworkTwin, RateLimit};
pub use self::round_robin::RoundRobin;
pub use self::routing::{ContentBased, HeaderTable, PartitionByKey, ROUTING, RoutingTwin, Sampling, Wiretap};
pub use self::settings::SettingFault;
pub use self::sticky_group::Sticky;
pub use self::topic::{Priority, PriorityNetwork, StrictOrder, TOPIC, TopicTwin};

use self::give::Native;
use crate::QueueDispatch;

/// Rows that a native policy takes at once unless it says otherwise; a bound on the time that one queue keeps the core.
pub const NATIVE_ROWS_MAX: usize = 256;

/// Makes a policy with its settings, or says all that is wrong with them.
type Make = fn(&[(String, String)]) -> Result<Box<dyn QueueDispatch>, Vec<SettingFault>>;

/// A stock policy: what people need to know of it, and how its native twin is made.
#[derive(Debug)]
pub struct Twin {
    /// The name in a configuration.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// What can be set.
    pub settings: &'static [Setting],
    make: Make,
}

/// A setting of a stock policy.
#[derive(Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// The value that holds where it is left out; empty if there is none.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl Twin {
    /// A twin with these settings, in the state of one that served nobody yet.
    pub fn make(&self, settings: &[(String, String)]) -> Result<Box<dyn QueueDispatch>, Vec<SettingFault>> {
        (self.make)(settings)
    }
}

/// All of them, by name in ascending order.
pub fn twins() -> &'static [Twin] {
    TWINS
}

/// The twin of the stock policy `name`.
pub fn twin(name: &str) -> Option<&'static Twin> {
    TWINS.iter().find(|twin| twin.name == name)
}

const TWINS: &[Twin] = &[
    Twin {
        name: "fair-share",
        description: "keys take turns, so that a flood of one does not crowd out the others",
        settings: &[
            Setting { key: "key", default: "JMSXGroupID", meaning: "message property or header that is the key" },
            Setting { key: "weights", default: "", meaning: "share of keys, such as gold=3, silver=2; others 1" },
        ],
        make: framed::<fair_share::FairShare>,
    },
    Twin {
        name: "latency-aware",
        description: "the consumer that is likely to be done first, by messages in flight and pace of acknowledgements",
        settings: &[Setting {
            key: "tolerance",
            default: "10",
            meaning: "per cent by which expected times may differ and count as equal; equals take turns",
        }],
        make: framed::<latency_aware::LatencyAware>,
    },
    Twin {
        name: LeastInFlight::NAME,
        description: LeastInFlight::DESCRIPTION,
        settings: &[],
        make: |settings| without_settings(settings, LeastInFlight::new()),
    },
    Twin {
        name: "priority",
        description: "the most urgent of the waiting messages first, to the consumer with the fewest in flight",
        settings: &[
            Setting { key: "by", default: "JMSPriority", meaning: "property or header that is the rank, a number" },
            Setting {
                key: "rise-ms",
                default: "0",
                meaning: "a waiting message counts one more after each such time, up to 86400000; 0 for never",
            },
        ],
        make: framed::<priority::Priority>,
    },
    Twin {
        name: RoundRobin::NAME,
        description: RoundRobin::DESCRIPTION,
        settings: &[],
        make: |settings| without_settings(settings, RoundRobin::new()),
    },
    Twin {
        name: "sticky-by-property",
        description: "messages with the same value go to the same consumer as long as it is there",
        settings: &[
            Setting { key: "property", default: "JMSCorrelationID", meaning: "message property or header" },
            Setting {
                key: "when-busy",
                default: "wait",
                meaning: "wait for the consumer of the value, or spill to the next best while it has no credit",
            },
        ],
        make: framed::<sticky::StickyByProperty>,
    },
    Twin {
        name: "strict-order",
        description: "one consumer is filled before the next one gets anything (strictOrderDispatch)",
        settings: &[Setting {
            key: "order",
            default: "arrival",
            meaning: "of equal priority who came first is first, or by client-id: the lowest one",
        }],
        make: framed::<strict_order::StrictOrder>,
    },
    Twin {
        name: "weighted",
        description: "each consumer gets messages in proportion to its weight",
        settings: &[Setting {
            key: "weights",
            default: "",
            meaning: "by client id, such as big=5, ID:small-*=2; the first that matches holds, others 1",
        }],
        make: framed::<weighted::Weighted>,
    },
];

fn framed<P: give::Plan + 'static>(settings: &[(String, String)]) -> Result<Box<dyn QueueDispatch>, Vec<SettingFault>> {
    Native::<P>::new(settings).map(|policy| Box::new(policy) as Box<dyn QueueDispatch>)
}

fn without_settings(
    settings: &[(String, String)],
    policy: impl QueueDispatch + 'static,
) -> Result<Box<dyn QueueDispatch>, Vec<SettingFault>> {
    let faults = settings::Settings::new(settings).finish();
    if faults.is_empty() { Ok(Box::new(policy)) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each setting that is documented is taken, with the default that is documented, and no other.
    #[test]
    fn the_table_says_what_the_policies_take() {
        assert!(TWINS.is_sorted_by_key(|twin| twin.name));
        let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
        for twin in TWINS {
            assert!(twin.make(&[]).is_ok(), "{}", twin.name);
            for setting in twin.settings {
                let value = if setting.default.is_empty() { "a=2" } else { setting.default };
                assert!(twin.make(&pair(setting.key, value)).is_ok(), "{} {}", twin.name, setting.key);
            }
            let faults = twin.make(&pair("colour", "red")).err().expect("no policy has this setting");
            let known: Vec<_> = twin.settings.iter().map(|setting| setting.key).collect();
            let remedy = match known.is_empty() {
                true => "leave it out, this policy takes no settings".to_owned(),
                false => format!("known are {}", known.join(", ")),
            };
            assert_eq!(faults[0].to_string(), format!("setting colour = red is unknown; {remedy}"));
        }
    }
}

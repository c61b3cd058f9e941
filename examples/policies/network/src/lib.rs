//! Small parcels: large messages stay here, and what crosses says where it comes from.
//!
//! Settings: `max-bytes` (1000000) is the size up to which a message crosses; `stamp` (none) the name of a property in which
//! its copy gets the name of the connector that it crossed by.

use jackfield_network_policy::plugin::{Columns, Crossing, Edit, Messages, Peer, Scalar};
use jackfield_network_policy::{CrossingLogic, export_network_policy};

#[derive(Default)]
struct SmallParcels {
    max_bytes: i64,
    stamp: Option<String>,
}

impl CrossingLogic for SmallParcels {
    /// The size; `wit/policy.wit` has the table.
    const COLUMN_IDS: &'static [u32] = &[2];

    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = SmallParcels { max_bytes: 1_000_000, stamp: None };
        for (key, value) in settings {
            match key.as_str() {
                "max-bytes" => {
                    let number = value.parse::<u32>();
                    fresh.max_bytes = number.map_err(|_| format!("setting {key} = {value} is no whole number"))?.into();
                }
                "stamp" if value.is_empty() || value.starts_with("JMS") => {
                    return Err(format!(
                        "setting {key} = {value} is no name; those beginning with JMS are the broker's"
                    ));
                }
                "stamp" => fresh.stamp = Some(value.clone()),
                _ => return Err(format!("setting {key} = {value} is unknown; known are max-bytes, stamp")),
            }
        }
        *self = fresh;
        Ok(())
    }

    fn crossing(&mut self, _now_ms: u64, peer: &Peer, messages: &dyn Messages, row: usize) -> Crossing {
        if messages.number(row, Columns::SIZE) > self.max_bytes {
            return Crossing::Drop;
        }
        let stamp = |name: &String| Edit::Set(name.clone(), Scalar::Text(peer.connector.clone().into()));
        Crossing::Forward(self.stamp.iter().map(stamp).collect())
    }
}

export_network_policy!(SmallParcels);

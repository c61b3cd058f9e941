//! Tenant lanes: the messages of each tenant go to a queue of its own.
//!
//! Settings: `property` (tenant) says whose a message is; `prefix` (queue://TENANTS.) is what stands before the tenant's
//! name; `known` has the tenants with commas between them, and messages of others are refused. Without it all are known.
//! A message without the property goes where it was sent.

use jackfield_routing_policy::plugin::{Messages, Verdict};
use jackfield_routing_policy::{RouteLogic, export_routing_policy};

#[derive(Default)]
struct TenantLanes {
    property: String,
    prefix: String,
    /// Empty if all are known.
    known: Vec<String>,
}

impl RouteLogic for TenantLanes {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let mut fresh = TenantLanes { property: "tenant".into(), prefix: "queue://TENANTS.".into(), known: Vec::new() };
        for (key, value) in settings {
            match key.as_str() {
                "property" | "prefix" if value.trim().is_empty() => {
                    return Err(format!("setting {key} is empty; write a name, or leave the setting out"));
                }
                "property" => fresh.property.clone_from(value),
                "prefix" => fresh.prefix.clone_from(value),
                "known" => fresh.known = value.split(',').map(|name| name.trim().to_owned()).collect(),
                _ => {
                    let known = "property, prefix, known";
                    return Err(format!("setting {key} = {value} is unknown; known are {known}"));
                }
            }
        }
        *self = fresh;
        Ok(())
    }

    fn reads(&self) -> Vec<String> {
        vec![self.property.clone()]
    }

    fn decide(&mut self, messages: &dyn Messages, row: usize) -> Verdict {
        let value = messages.property(row, &self.property);
        let Some(tenant) = value.to_text() else { return Verdict::AsAddressed };
        // A client wrote it: what would be several queues, or a pattern for them, is no tenant.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if tenant.is_empty() || tenant.len() > 100 || !tenant.bytes().all(is_name) {
            return Verdict::DeadLetter(format!("the property {} is no tenant's name", self.property));
        }
        if !self.known.is_empty() && !self.known.iter().any(|known| *known == *tenant) {
            return Verdict::Reject(format!("there is no tenant {tenant}"));
        }
        Verdict::Replace(vec![format!("{}{tenant}", self.prefix)])
    }
}

export_routing_policy!(TenantLanes);

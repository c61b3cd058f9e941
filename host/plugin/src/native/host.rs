//! The native policies as a host: what tests and simulators use in place of WebAssembly.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GROUP_POLICIES, NETWORK, ROUTING, SettingFault, TOPIC, Twin, group_policy, twin, twins};
use crate::{
    GroupAssignment, NetworkFilter, Point, PolicyError, PolicyHost, PolicyInfo, PolicyOrigin, PublishRouting,
    QueueDispatch, SymbolTable, TopicDispatch,
};

/// Serves the native policies under the names of the stock ones, and under names of the operator's with settings.
#[derive(Debug, Default)]
pub struct NativeHost {
    symbols: Arc<SymbolTable>,
    named: BTreeMap<String, Named>,
}

/// A policy with settings of its own. They were taken once, so they are taken again.
#[derive(Debug)]
struct Named {
    twin: &'static Twin,
    settings: Vec<(String, String)>,
}

impl NativeHost {
    /// A host with an empty symbol table of default limits.
    pub fn new() -> NativeHost {
        NativeHost::default()
    }

    /// Serves the stock policy `policy` with these settings under a name of its own.
    pub fn add(&mut self, name: &str, policy: &str, settings: &[(String, String)]) -> Result<(), PolicyError> {
        if twin(name).is_some() || self.named.contains_key(name) {
            return Err(PolicyError::Duplicate { policy: name.to_owned() });
        }
        let twin = check(name, policy, settings)?;
        self.named.insert(name.to_owned(), Named { twin, settings: settings.to_vec() });
        Ok(())
    }

    fn unknown(&self, point: Point, policy: &str) -> PolicyError {
        let known = self.names(point).into_iter().map(|info| info.name).collect();
        PolicyError::Unknown { policy: policy.to_owned(), known }
    }
}

/// The twin of the stock policy `policy`, if there is one and it takes these settings; `name` is for the error.
pub fn check(name: &str, policy: &str, settings: &[(String, String)]) -> Result<&'static Twin, PolicyError> {
    let Some(twin) = twin(policy) else {
        let known = twins().iter().map(|twin| twin.name.to_owned()).collect();
        return Err(PolicyError::Unknown { policy: policy.to_owned(), known });
    };
    twin.make(settings).map_err(|faults| refused(name, &faults))?;
    Ok(twin)
}

/// The error of settings that are not taken, all of them at once.
fn refused(policy: &str, faults: &[SettingFault]) -> PolicyError {
    let sentences: Vec<String> = faults.iter().map(SettingFault::to_string).collect();
    let reason = format!("it refuses its settings: {}", sentences.join(". "));
    PolicyError::Refused { policy: policy.to_owned(), reason }
}

impl PolicyHost for NativeHost {
    fn queue_dispatch(&self, policy: &str, _destination: &str) -> Result<Box<dyn QueueDispatch>, PolicyError> {
        let (twin, settings) = match (twin(policy), self.named.get(policy)) {
            (Some(twin), _) => (twin, &[][..]),
            (None, Some(named)) => (named.twin, &named.settings[..]),
            (None, None) => return Err(self.unknown(Point::QueueDispatch, policy)),
        };
        twin.make(settings).map_err(|faults| refused(policy, &faults))
    }

    fn group_assignment(&self, policy: &str, _destination: &str) -> Result<Box<dyn GroupAssignment>, PolicyError> {
        group_policy(policy)
    }

    fn topic_dispatch(&self, policy: &str, _destination: &str) -> Result<Box<dyn TopicDispatch>, PolicyError> {
        let twin = TOPIC.iter().find(|twin| twin.name == policy);
        Ok((twin.ok_or_else(|| self.unknown(Point::TopicDispatch, policy))?.make)())
    }

    fn publish_routing(
        &self,
        policy: &str,
        _pattern: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn PublishRouting>, PolicyError> {
        let twin = ROUTING.iter().find(|twin| twin.name == policy);
        let twin = twin.ok_or_else(|| self.unknown(Point::PublishRouting, policy))?;
        (twin.make)(settings).map_err(|reason| PolicyError::Refused { policy: policy.to_owned(), reason })
    }

    fn network_filter(
        &self,
        policy: &str,
        _connector: &str,
        settings: &[(String, String)],
    ) -> Result<Box<dyn NetworkFilter>, PolicyError> {
        let twin = NETWORK.iter().find(|twin| twin.name == policy);
        let twin = twin.ok_or_else(|| self.unknown(Point::NetworkFilter, policy))?;
        (twin.make)(settings).map_err(|reason| PolicyError::Refused { policy: policy.to_owned(), reason })
    }

    fn names(&self, point: Point) -> Vec<PolicyInfo> {
        let mut all: Vec<(&str, &str)> = match point {
            Point::QueueDispatch => twins().iter().map(|twin| (twin.name, twin.description)).collect(),
            Point::PublishRouting => ROUTING.iter().map(|twin| (twin.name, twin.description)).collect(),
            Point::GroupAssignment => GROUP_POLICIES.to_vec(),
            Point::TopicDispatch => TOPIC.iter().map(|twin| (twin.name, twin.description)).collect(),
            Point::NetworkFilter => NETWORK.iter().map(|twin| (twin.name, twin.description)).collect(),
            Point::Auth => Vec::new(),
        };
        if point == Point::QueueDispatch {
            all.extend(self.named.iter().map(|(name, named)| (name.as_str(), named.twin.description)));
            all.sort_unstable();
        }
        let info = |(name, description): (&str, &str)| PolicyInfo {
            name: name.to_owned(),
            description: description.to_owned(),
            origin: PolicyOrigin::Native,
        };
        all.into_iter().map(info).collect()
    }

    fn symbols(&self) -> &Arc<SymbolTable> {
        &self.symbols
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_are_served_and_others_are_told_the_names() {
        let mut host = NativeHost::new();
        host.add("big-first", "weighted", &settings(&[("weights", "big=9")])).expect("a good one");
        assert_eq!(host.names(Point::QueueDispatch).len(), twins().len() + 1);
        for info in host.names(Point::QueueDispatch) {
            assert!(host.queue_dispatch(&info.name, "orders").is_ok());
        }
        for info in host.names(Point::TopicDispatch) {
            assert!(host.topic_dispatch(&info.name, "prices").is_ok());
        }
        for info in host.names(Point::GroupAssignment) {
            assert!(host.group_assignment(&info.name, "orders").is_ok());
        }
        for info in host.names(Point::PublishRouting) {
            assert!(host.publish_routing(&info.name, "orders", &[]).is_ok());
        }
        for info in host.names(Point::NetworkFilter) {
            assert!(host.network_filter(&info.name, "north", &[]).is_ok());
        }
        let error = host.queue_dispatch("lottery", "orders").err().expect("no such policy");
        assert_eq!(
            error.to_string(),
            "policy lottery is unknown; known are big-first, fair-share, latency-aware, least-in-flight, priority, \
             round-robin, sticky-by-property, strict-order, weighted"
        );
    }

    #[test]
    fn what_cannot_be_added_is_told() {
        let mut host = NativeHost::new();
        let error = host.add("x", "lottery", &[]).unwrap_err();
        assert!(error.to_string().starts_with("policy lottery is unknown; known are fair-share"), "{error}");
        let error = host.add("x", "priority", &settings(&[("rise-ms", "soon"), ("a", "b")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy x was refused: it refuses its settings: setting rise-ms = soon is no such number; write a whole \
             number from 0 to 86400000. setting a = b is unknown; known are by, rise-ms"
        );
        host.add("x", "priority", &[]).expect("a name that nobody has");
        for taken in ["x", "priority"] {
            assert_eq!(host.add(taken, "priority", &[]), Err(PolicyError::Duplicate { policy: taken.to_owned() }));
        }
    }
}

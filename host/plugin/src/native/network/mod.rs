//! Stock network policies.

mod data_residency;
mod header_redaction;
mod include_exclude;
mod rate_limit;

pub use self::data_residency::DataResidency;
pub use self::header_redaction::HeaderRedaction;
pub use self::include_exclude::IncludeExclude;
pub use self::rate_limit::RateLimit;

use super::NATIVE_ROWS_MAX;
use crate::{Crossing, CrossingLogic, Decided, Demand, Interest, Messages, NetworkFilter, Peer, PolicyStats};

/// Most entries of a list in the settings.
const ENTRIES_MAX: usize = 256;

/// Makes a network policy with its settings, or says what is wrong with them.
type Make = fn(&[(String, String)]) -> Result<Box<dyn NetworkFilter>, String>;

/// A stock network policy.
#[derive(Debug, Clone, Copy)]
pub struct NetworkTwin {
    /// The name in a configuration.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Its native twin with these settings.
    pub make: Make,
}

/// All of them, by name in ascending order.
pub const NETWORK: &[NetworkTwin] = &[
    NetworkTwin {
        name: "data-residency",
        description: "messages whose property has none of the named values stay here",
        make: make::<DataResidency>,
    },
    NetworkTwin {
        name: "header-redaction",
        description: "properties are taken out of what crosses",
        make: make::<HeaderRedaction>,
    },
    NetworkTwin {
        name: "include-exclude",
        description: "destinations by pattern (dynamicallyIncludedDestinations, excludedDestinations)",
        make: make::<IncludeExclude>,
    },
    NetworkTwin {
        name: "rate-limit",
        description: "so many messages a second cross, the others are held",
        make: make::<RateLimit>,
    },
];

fn make<L: CrossingLogic>(settings: &[(String, String)]) -> Result<Box<dyn NetworkFilter>, String> {
    let mut logic = L::default();
    logic.configure(settings)?;
    Ok(Box::new(NativeFilter { logic, stats: PolicyStats::default() }))
}

/// A native policy with its counters.
struct NativeFilter<L> {
    logic: L,
    stats: PolicyStats,
}

impl<L: CrossingLogic> NetworkFilter for NativeFilter<L> {
    fn rows_max(&self) -> usize {
        NATIVE_ROWS_MAX
    }

    fn demand(&mut self, peer: &Peer, demand: &[Demand], out: &mut Vec<Interest>) -> Decided {
        out.clear();
        out.extend(demand.iter().map(|demand| self.logic.interest(peer, demand)));
        self.stats.count(demand.len(), Decided::Policy);
        Decided::Policy
    }

    fn messages(&mut self, now_ms: u64, peer: &Peer, messages: &dyn Messages, out: &mut Vec<Crossing>) -> Decided {
        out.clear();
        out.extend((0..messages.rows()).map(|row| self.logic.crossing(now_ms, peer, messages, row)));
        self.stats.count(messages.rows(), Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

/// Texts with commas between them.
fn list(key: &str, value: &str) -> Result<Vec<String>, String> {
    let list: Vec<String> = value.split(',').map(|entry| entry.trim().to_owned()).collect();
    if list.len() > ENTRIES_MAX || list.iter().any(String::is_empty) {
        return Err(format!(
            "setting {key} = {value} is no list; write up to {ENTRIES_MAX} entries with commas between"
        ));
    }
    Ok(list)
}

fn unknown(key: &str, value: &str, known: &str) -> String {
    format!("setting {key} = {value} is unknown; known are {known}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Edit;
    use crate::messages::testing::{Row, Rows, text};

    type Pairs = [(&'static str, &'static str)];

    fn policy(name: &str, settings: &[(&str, &str)]) -> Result<Box<dyn NetworkFilter>, String> {
        let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let twin = NETWORK.iter().find(|twin| twin.name == name).expect("a stock policy");
        (twin.make)(&settings)
    }

    fn cross(policy: &mut dyn NetworkFilter, now_ms: u64, rows: &[Row]) -> Vec<Crossing> {
        let mut out = Vec::new();
        assert_eq!(policy.messages(now_ms, &Peer::default(), &Rows(rows.to_vec()), &mut out), Decided::Policy);
        out
    }

    #[test]
    fn demand_is_let_in_by_pattern() {
        let settings = [("include", "queue://ORDERS.>, topic://PRICES.*"), ("exclude", "queue://ORDERS.LOCAL.>")];
        let mut policy = policy("include-exclude", &settings).expect("good settings");
        let names =
            ["queue://ORDERS.EU", "queue://ORDERS.LOCAL.X", "topic://PRICES.A", "queue://PRICES.A", "queue://X"];
        let demand: Vec<_> =
            names.iter().map(|name| Demand { destination: (*name).to_owned(), ..Demand::default() }).collect();
        let mut out = Vec::new();
        policy.demand(&Peer::default(), &demand, &mut out);
        use Interest::{Forward, Suppress};
        assert_eq!(out, [Forward, Suppress, Forward, Suppress, Suppress]);
        assert_eq!(cross(&mut *policy, 0, &[vec![]]), [Crossing::Forward(vec![])]);
    }

    #[test]
    fn data_stays_where_it_belongs() {
        let settings = [("property", "residency"), ("allow", "eu, any")];
        let mut policy = policy("data-residency", &settings).expect("good settings");
        let rows = [vec![("residency", text("eu"))], vec![("residency", text("us"))], vec![]];
        assert_eq!(cross(&mut *policy, 0, &rows), [Crossing::Forward(vec![]), Crossing::Drop, Crossing::Drop]);
    }

    #[test]
    fn only_what_is_there_is_taken_out() {
        let mut policy = policy("header-redaction", &[("remove", "card, pin"), ("strip-group", "true")]).expect("good");
        let rows = [vec![("card", text("1"))], vec![]];
        let expected = [vec![Edit::Remove("card".into()), Edit::StripGroup], vec![Edit::StripGroup]];
        assert_eq!(cross(&mut *policy, 0, &rows), expected.map(Crossing::Forward));
    }

    #[test]
    fn the_bucket_fills_with_time() {
        let mut policy = policy("rate-limit", &[("per-second", "2"), ("burst", "3")]).expect("good settings");
        let forwarded = |crossings: Vec<Crossing>| crossings.iter().filter(|c| **c != Crossing::Hold).count();
        assert_eq!(forwarded(cross(&mut *policy, 1_000, &vec![vec![]; 5])), 3);
        assert_eq!(forwarded(cross(&mut *policy, 1_400, &vec![vec![]; 5])), 0);
        assert_eq!(forwarded(cross(&mut *policy, 1_500, &vec![vec![]; 5])), 1);
        assert_eq!(forwarded(cross(&mut *policy, 9_000, &vec![vec![]; 5])), 3);
        assert_eq!(forwarded(cross(&mut *policy, 8_000, &vec![vec![]; 5])), 0, "a clock that steps back gives nothing");
    }

    #[test]
    fn wrong_settings_are_refused_with_a_remedy() {
        let table: &[(&str, &Pairs, &str)] = &[
            ("include-exclude", &[("include", "A,,B")], "is no list"),
            ("include-exclude", &[("includes", "A")], "known are include, exclude"),
            ("data-residency", &[("allow", "eu")], "needs property"),
            ("header-redaction", &[("remove", "JMSType")], "are the broker's"),
            ("header-redaction", &[("strip-group", "1")], "write true or false"),
            ("rate-limit", &[("per-second", "-1")], "whole number from 1"),
        ];
        for (name, settings, words) in table {
            let error = policy(name, settings).err().unwrap_or_else(|| panic!("{name} takes {settings:?}"));
            assert!(error.contains(words), "{name}: {error}");
        }
    }
}

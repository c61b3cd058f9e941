//! Stock routing policies.

mod content_based;
mod header_table;
mod partition;
mod sampling;
mod wiretap;

pub use self::content_based::ContentBased;
pub use self::header_table::HeaderTable;
pub use self::partition::PartitionByKey;
pub use self::sampling::Sampling;
pub use self::wiretap::Wiretap;

use super::NATIVE_ROWS_MAX;
use crate::{Decided, Messages, PolicyStats, PublishRouting, RouteLogic, Verdict};

/// Most rules, table rows or targets in the settings of one stock policy.
const ENTRIES_MAX: usize = 256;

/// Makes a routing policy with its settings, or says what is wrong with them.
type Make = fn(&[(String, String)]) -> Result<Box<dyn PublishRouting>, String>;

/// A stock routing policy.
#[derive(Debug, Clone, Copy)]
pub struct RoutingTwin {
    /// The name in a configuration.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Its native twin with these settings.
    pub make: Make,
}

/// All of them, by name in ascending order.
pub const ROUTING: &[RoutingTwin] = &[
    RoutingTwin {
        name: "content-based",
        description: "the first rule whose selector takes the message says where it goes",
        make: make::<ContentBased>,
    },
    RoutingTwin {
        name: "header-table",
        description: "the value of one property, looked up in a table, says where the message goes",
        make: make::<HeaderTable>,
    },
    RoutingTwin {
        name: "partition-by-key",
        description: "messages of the same key go to the same of a number of queues",
        make: make::<PartitionByKey>,
    },
    RoutingTwin {
        name: "sampling",
        description: "every n-th message goes to other destinations as well",
        make: make::<Sampling>,
    },
    RoutingTwin {
        name: "wiretap",
        description: "every message goes to other destinations as well",
        make: make::<Wiretap>,
    },
];

fn make<L: RouteLogic>(settings: &[(String, String)]) -> Result<Box<dyn PublishRouting>, String> {
    let mut logic = L::default();
    logic.configure(settings)?;
    Ok(Box::new(NativeRouting { logic, stats: PolicyStats::default() }))
}

/// A native policy with its counters.
struct NativeRouting<L> {
    logic: L,
    stats: PolicyStats,
}

impl<L: RouteLogic> PublishRouting for NativeRouting<L> {
    fn rows_max(&self) -> usize {
        NATIVE_ROWS_MAX
    }

    fn route(&mut self, _now_ms: u64, messages: &dyn Messages, out: &mut Vec<Verdict>) -> Decided {
        out.clear();
        out.extend((0..messages.rows()).map(|row| self.logic.decide(messages, row)));
        self.stats.count(messages.rows(), Decided::Policy);
        Decided::Policy
    }

    fn stats(&self) -> PolicyStats {
        self.stats
    }
}

/// Destinations with commas between them.
fn targets(key: &str, value: &str) -> Result<Vec<String>, String> {
    let targets: Vec<String> = value.split(',').map(|target| target.trim().to_owned()).collect();
    if targets.len() > ENTRIES_MAX || targets.iter().any(String::is_empty) {
        return Err(format!(
            "setting {key} = {value} names no destinations; write up to {ENTRIES_MAX} such as queue://A with commas \
             between them"
        ));
    }
    Ok(targets)
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("setting {key} = {value} is no flag; write true or false")),
    }
}

fn unknown(key: &str, value: &str, known: &str) -> String {
    format!("setting {key} = {value} is unknown; known are {known}")
}

fn full(key: &str, value: &str) -> String {
    format!("setting {key} = {value} is one too many; write at most {ENTRIES_MAX}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::testing::{Row, Rows, text};
    use crate::{Scalar, text_hash};

    type Pairs = [(&'static str, &'static str)];

    fn policy(name: &str, settings: &[(&str, &str)]) -> Result<Box<dyn PublishRouting>, String> {
        let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let twin = ROUTING.iter().find(|twin| twin.name == name).expect("a stock policy");
        (twin.make)(&settings)
    }

    fn check(name: &str, settings: &[(&str, &str)], rows: &[Row], expected: &[Verdict]) {
        let mut policy = policy(name, settings).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut verdicts = vec![Verdict::Drop];
        assert_eq!(policy.route(0, &Rows(rows.to_vec()), &mut verdicts), Decided::Policy);
        assert_eq!(verdicts, expected, "{name}");
    }

    fn to(targets: &[&str]) -> Verdict {
        Verdict::Replace(targets.iter().map(|target| (*target).to_owned()).collect())
    }

    fn also(targets: &[&str]) -> Verdict {
        Verdict::Add(targets.iter().map(|target| (*target).to_owned()).collect())
    }

    #[test]
    fn the_first_rule_that_takes_a_message_decides() {
        let settings = [
            ("to queue://EU, topic://SEEN", "region = 'eu' AND weight > 5"),
            ("also AUDIT", "region = 'eu'"),
            ("reject too heavy", "weight >= 100"),
            ("dead-letter no region", "region IS NULL"),
            ("drop", "test"),
        ];
        let eu = |weight| vec![("region", text("eu")), ("weight", Scalar::Int(weight))];
        let rows = [
            eu(9),
            eu(1),
            vec![("region", text("us")), ("weight", Scalar::Float(100.0))],
            vec![("weight", Scalar::Int(1))],
            vec![("region", text("us")), ("test", Scalar::Bool(true))],
            vec![("region", text("us"))],
        ];
        let expected = [
            to(&["queue://EU", "topic://SEEN"]),
            also(&["AUDIT"]),
            Verdict::Reject("too heavy".into()),
            Verdict::DeadLetter("no region".into()),
            Verdict::Drop,
            Verdict::AsAddressed,
        ];
        check("content-based", &settings, &rows, &expected);
    }

    #[test]
    fn a_table_says_where_a_value_goes() {
        let settings = [("property", "region"), ("=eu", "EU"), ("=7", "SEVEN,topic://ALL"), ("otherwise", "REST")];
        let rows =
            [vec![("region", text("eu"))], vec![("region", Scalar::Int(7))], vec![("region", text("x"))], vec![]];
        let expected = [to(&["EU"]), to(&["SEVEN", "topic://ALL"]), to(&["REST"]), to(&["REST"])];
        check("header-table", &settings, &rows, &expected);
        let settings = [("property", "region"), ("=eu", "EU"), ("keep", "true")];
        let expected = [also(&["EU"]), Verdict::AsAddressed, Verdict::AsAddressed, Verdict::AsAddressed];
        check("header-table", &settings, &rows, &expected);
    }

    #[test]
    fn taps_and_samples_leave_the_message_where_it_was() {
        let rows = vec![vec![]; 5];
        check("wiretap", &[("targets", "A,topic://B")], &rows, &vec![also(&["A", "topic://B"]); 5]);
        let none = Verdict::AsAddressed;
        let expected = [none.clone(), none.clone(), also(&["A"]), none.clone(), none];
        check("sampling", &[("every", "3"), ("targets", "A")], &rows, &expected);
        check("wiretap", &[], &rows, &vec![Verdict::AsAddressed; 5]);
    }

    #[test]
    fn a_key_keeps_its_partition() {
        let settings = [("key", "customer"), ("partitions", "4"), ("prefix", "queue://ORDERS.")];
        let rows =
            [vec![("customer", text("a"))], vec![("customer", Scalar::Int(42))], vec![("customer", text("a"))], vec![]];
        let partition = |key: &str| to(&[&format!("queue://ORDERS.{}", text_hash(key).cast_unsigned() % 4)]);
        check(
            "partition-by-key",
            &settings,
            &rows,
            &[partition("a"), partition("42"), partition("a"), Verdict::AsAddressed],
        );
    }

    #[test]
    fn wrong_settings_are_refused_with_a_remedy() {
        let table: &[(&str, &Pairs, &str)] = &[
            ("content-based", &[("to A", "region =")], "is no selector"),
            ("content-based", &[("to ", "TRUE")], "names no destinations"),
            ("content-based", &[("send A", "TRUE")], "is unknown; known are to"),
            ("header-table", &[("=a", "A")], "needs property"),
            ("header-table", &[("property", "p"), ("keep", "yes")], "write true or false"),
            ("header-table", &[("property", "p"), ("a", "A")], "is unknown"),
            ("wiretap", &[("target", "A")], "is unknown; known are targets"),
            ("wiretap", &[("targets", "A,,B")], "names no destinations"),
            ("sampling", &[("every", "0")], "write a whole number from 1"),
            ("sampling", &[("every", "5")], "needs targets"),
            ("partition-by-key", &[("partitions", "100000")], "write a whole number from 1"),
            ("partition-by-key", &[("partitions", "3")], "needs prefix"),
        ];
        for (name, settings, words) in table {
            let error = policy(name, settings).err().unwrap_or_else(|| panic!("{name} takes {settings:?}"));
            assert!(error.contains(words), "{name}: {error}");
        }
    }
}
